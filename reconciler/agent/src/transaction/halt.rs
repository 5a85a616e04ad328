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

/// Stops at a step: `probing`, or `probing/done`.
pub(super) fn halt(state: &State, moment: Moment) {
    match moment {
        Moment::Journaled => halt_at(state.name()),
        Moment::Done => halt_at(&format!("{}/done", state.name())),
    }
}

/// Stops this process, as SIGSTOP does, if `RECONCILER_HALT` names the place.
#[cfg(debug_assertions)]
pub fn halt_at(place: &str) {
    use unix::sys::signal::{Signal, raise};
    if std::env::var("RECONCILER_HALT").is_ok_and(|wanted| wanted == place) {
        let _ = raise(Signal::SIGSTOP);
    }
}

/// Nothing.
#[cfg(not(debug_assertions))]
pub fn halt_at(_place: &str) {}
