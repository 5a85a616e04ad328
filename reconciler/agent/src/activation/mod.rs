//! Running an activation so that it outlives the agent, and learning how it ended.

mod at_boot;
#[cfg(target_os = "linux")]
mod critical;
#[cfg(target_os = "macos")]
#[path = "critical_darwin.rs"]
mod critical;
mod files;
mod handle;
mod launch;
#[cfg(target_os = "linux")]
mod restart;
#[cfg(target_os = "macos")]
#[path = "restart_darwin.rs"]
mod restart;
mod result;
mod runner;
#[cfg(target_os = "linux")]
mod unit;

pub use at_boot::AtBoot;
pub use critical::Watch;
pub use files::PrepareError;
pub use launch::{End, LaunchError, Launcher, step_name};
pub use restart::Restarter;
pub use result::{ResultError, parse};
pub use runner::{RunnerError, run as serve_runner};
