//! The host: what the platform alone can say. One surface, a file per platform.

#[cfg(target_os = "macos")]
mod darwin;
mod environment;
#[cfg(target_os = "linux")]
mod linux;
mod memory;
mod person;
mod processes;
mod service;
mod space;
mod systemctl;

#[cfg(target_os = "macos")]
pub use darwin::{
    Supervisor, adopt_orphans, become_person, boot_id, bounded, descendants, is_locked, monotonic,
    supervisor, unit_query, unit_state,
};
pub use environment::{Environment, HostError, host_name, of_a_person, system};
#[cfg(target_os = "linux")]
pub use linux::{
    Supervisor, adopt_orphans, become_person, boot_id, bounded, descendants, is_locked, monotonic,
    supervisor, unit_query, unit_state, users_runtime,
};
pub use memory::keep_to_itself;
pub use person::Person;
pub use processes::runs_activation;
pub use service::{SERVICE_FILES, agent_program};
pub use space::free;
pub use systemctl::{SystemctlError, UnitState, systemctl, unit_states};
