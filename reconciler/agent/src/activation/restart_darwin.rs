//! Restarting units on macOS: launchd has none that a fleet could name.

use crate::host::Supervisor;
use crate::transaction::{RunningUnit, Side};
use std::path::PathBuf;
use std::time::Duration;

/// There is none.
#[derive(Debug)]
pub enum Restarter {}

impl Restarter {
    /// None.
    #[must_use]
    pub fn of(
        _supervisor: Supervisor,
        _folders: &[PathBuf],
        _limit: Duration,
        _grace: Duration,
    ) -> Option<Restarter> {
        None
    }

    /// As on Linux.
    pub async fn running(&self, _units: &[String], _side: Side) -> Vec<RunningUnit> {
        match *self {}
    }

    /// As on Linux.
    pub async fn restart(&self, _running: &[RunningUnit], _side: Side) -> (Vec<String>, Vec<String>) {
        match *self {}
    }
}
