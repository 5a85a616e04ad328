//! Running an activation so that it outlives the agent, and learning how it ended.

mod launch;
mod result;
mod runner;

pub use launch::{End, LaunchError, Launcher};
pub use result::{ResultError, parse};
pub use runner::{RunnerError, run as serve_runner};
