//! The host: what the platform alone can say. One surface, a file per platform.

#[cfg(target_os = "macos")]
mod darwin;
mod environment;
#[cfg(target_os = "linux")]
mod linux;
mod memory;
mod person;
mod systemctl;

#[cfg(target_os = "macos")]
pub use darwin::{Supervisor, become_person, boot_id, bounded, supervisor};
pub use environment::{Environment, HostError, host_name, of_a_person, system};
#[cfg(target_os = "linux")]
pub use linux::{Supervisor, become_person, boot_id, bounded, supervisor, users_runtime};
pub use memory::keep_to_itself;
pub use person::Person;
pub use systemctl::{SystemctlError, UnitState, systemctl, unit_states};
