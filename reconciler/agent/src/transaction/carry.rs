//! Carrying a transaction to its end: perform an effect, journal what came of it, go on.
//!
//! The journal is written before the next effect is performed, and never skipped.

use super::halt::{Moment, halt};
use super::step::{Effect, IllegalStep, effect, step};
use super::{Event, Failure, Health, Intent, State};
use crate::journal::{Journal, JournalError};
use jiff::Timestamp;

/// Performs the effects of a transaction on a host.
pub trait Carrier {
    /// Performs one effect and says what came of it. It may be asked for the same effect again after a crash.
    fn perform(&mut self, id: i64, intent: &Intent, effect: Effect) -> impl Future<Output = Event>;
    /// The time.
    fn now(&self) -> Timestamp;
    /// Gives up the room that is kept for a full disk.
    fn make_room(&self);
}

/// A transaction that could not be carried to its end. What was journaled is where it goes on.
#[derive(Debug, thiserror::Error)]
pub enum CarryError {
    /// The journal could not be written; nothing more was done.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A defect of the agent.
    #[error(transparent)]
    Illegal(#[from] Box<IllegalStep>),
}

/// How a transaction ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// The new toplevel is the machine's.
    Committed {
        /// How well it runs.
        health: Health,
        /// The profile's generation.
        profile: Option<u64>,
        /// Whether the boot loader has it.
        boot: crate::class::BootEntry,
    },
    /// The new toplevel is what boots next.
    Staged {
        /// Whether the boot loader has it.
        boot: crate::class::BootEntry,
    },
    /// The machine is back on what it ran.
    Reverted(Failure),
    /// The machine is not back.
    RevertFailed {
        /// Why it turned back.
        failure: Failure,
        /// Why the way back failed.
        revert: Failure,
    },
}

/// Carries transaction `id` from `state` to its end.
pub async fn carry(
    journal: &Journal,
    carrier: &mut impl Carrier,
    id: i64,
    intent: &Intent,
    mut state: State,
) -> Result<Ended, CarryError> {
    loop {
        match &state {
            State::Committed {
                health,
                profile,
                boot,
            } => {
                return Ok(Ended::Committed {
                    health: *health,
                    profile: *profile,
                    boot: *boot,
                });
            }
            State::Staged { boot, .. } => return Ok(Ended::Staged { boot: *boot }),
            State::Reverted(way) => return Ok(Ended::Reverted(way.failure.clone())),
            State::RevertFailed { way, revert } => {
                return Ok(Ended::RevertFailed {
                    failure: way.failure.clone(),
                    revert: revert.clone(),
                });
            }
            _ => {}
        }
        halt(&state, Moment::Journaled);
        let event = carrier.perform(id, intent, effect(&state, intent)).await;
        halt(&state, Moment::Done);
        state = advance(journal, carrier, id, intent, state, event)?;
    }
}

/// Takes one event in: decides and journals.
pub fn advance(
    journal: &Journal,
    carrier: &impl Carrier,
    id: i64,
    intent: &Intent,
    state: State,
    event: Event,
) -> Result<State, CarryError> {
    let next = step(state, event.clone(), intent).map_err(Box::new)?;
    let journaled = journal.step_transaction(id, &event, &next, carrier.now());
    match journaled {
        Err(error) if error.is_full() => {
            carrier.make_room();
            journal.step_transaction(id, &event, &next, carrier.now())?;
        }
        journaled => journaled?,
    }
    Ok(next)
}
