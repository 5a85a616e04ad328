//! One pass: from what is declared and what is, to what is done about the difference.

mod building;
mod carrier;
mod change;
mod commit;
mod declare;
mod error;
mod evaluate;
mod gates;
mod manifests;
mod observe;
mod policy;
mod probes;
mod progress;
mod ready;
mod record;
mod recover;
mod request;
mod rollback;
mod secrets;
mod target;
mod tidy;
mod transact;
mod world;

pub use building::{Building, RunningBuild};
pub use change::{compare, secret_marks, side};
pub use error::PassError;
pub use gates::judge;
pub use observe::surface_of;
pub use observe::{Observation, observe};
pub use progress::{Phase, PhaseState, Progress, Reporter};
pub use record::pass;
pub use request::{Cause, Depth, Ended, Insistence, Request};
pub use world::{World, WorldError, source_settings};
