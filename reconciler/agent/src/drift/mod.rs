//! Drift: where a machine is not what its generation says. It looks and never touches.

mod declared;
mod error;
mod etc;
mod identities;
mod item;
mod look;
mod secrets;
mod store;
mod systemd;

pub use error::LookError;
pub use identities::{Identities, Rebooted};
pub use item::{Cause, Item, Kind, Report, Unchecked};
pub use look::{Scope, identities, look};
pub use secrets::{Recorded, in_force};
