//! The host: what the platform alone can say. One surface, a file per platform.

#[cfg(target_os = "macos")]
mod darwin;
mod environment;
#[cfg(target_os = "linux")]
mod linux;
mod memory;
mod systemctl;

#[cfg(target_os = "macos")]
pub use darwin::{Supervisor, boot_id, bounded, supervisor};
pub use environment::{Environment, HostError, host_name, of_a_person, system};
#[cfg(target_os = "linux")]
pub use linux::{Supervisor, boot_id, bounded, supervisor};
pub use memory::keep_to_itself;
pub use systemctl::{SystemctlError, UnitState, unit_states};
