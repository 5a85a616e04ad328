//! Where a test stops the agent: exactly between two steps of a transaction. A build without debug assertions has
//! nothing of it.

use super::State;

/// A moment of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    /// It is journaled; nothing was done for it yet.
    Journaled,
    /// What it is for was done; that is not journaled yet.
    Done,
}

/// Stops this process, as SIGSTOP does, if `RECONCILER_HALT` names the step: `probing`, or `probing/done`.
#[cfg(debug_assertions)]
pub(super) fn halt(state: &State, moment: Moment) {
    use unix::sys::signal::{Signal, raise};
    let name = match moment {
        Moment::Journaled => state.name().to_owned(),
        Moment::Done => format!("{}/done", state.name()),
    };
    if std::env::var("RECONCILER_HALT").is_ok_and(|wanted| wanted == name) {
        let _ = raise(Signal::SIGSTOP);
    }
}

#[cfg(not(debug_assertions))]
pub(super) fn halt(_state: &State, _moment: Moment) {}
