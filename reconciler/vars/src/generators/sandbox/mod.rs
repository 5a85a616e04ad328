//! The sandboxes that scripts run in, as commands: one surface, a file per platform. Only names things.

mod darwin;
mod linux;
mod workplace;

pub use darwin::seatbelt;
pub use linux::bubblewrap;
pub use workplace::{Invocation, Jail, unconfined};
