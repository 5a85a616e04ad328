//! One pass: from what is declared and what is, to what is done about the difference.

mod carrier;
mod error;
mod evaluate;
mod observe;
mod probes;
mod progress;
mod recover;
mod request;
mod run;
mod secrets;
mod target;
mod transact;
mod world;

pub use error::PassError;
pub use observe::{Observation, observe};
pub use progress::{Phase, PhaseState, Progress, Reporter};
pub use request::{Cause, Depth, Ended, Insistence, Request};
pub use run::pass;
pub use world::{World, WorldError};
