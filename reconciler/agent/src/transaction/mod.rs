//! The transaction: from intent to commit or back, so that no crash leaves a third state.
//!
//! [`step`] is pure and decides; [`carry`] performs one effect at a time and journals between them.

mod carry;
mod failure;
#[cfg(test)]
mod fake;
mod halt;
mod intent;
mod state;
mod step;
#[cfg(test)]
mod tests;

/// What an agent has to know to finish or undo what another version journaled. Counted up with every state, event or
/// failure that is new.
pub const FORMAT: u32 = 2;

pub use carry::{Carrier, CarryError, Ended, advance, carry};
pub use failure::{Failure, Health};
pub use halt::halt_at;
pub use intent::{Approach, Intent, Previous, RunningUnit, Side, Specialisation};
pub use state::{Activation, Event, Reach, Restart, Staging, State, Way};
pub use step::{BOOT, Effect, IllegalStep, RETURN_BOOT, STAGE, effect, step};
