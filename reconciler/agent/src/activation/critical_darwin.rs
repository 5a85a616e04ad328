//! Critical units on macOS: launchd has none that a policy could name.

use crate::host::Supervisor;
use camino::Utf8Path;
use std::path::PathBuf;
use std::time::Duration;

/// There is none.
#[derive(Debug)]
pub enum Watch {}

impl Watch {
    /// None.
    #[must_use]
    pub fn of(_supervisor: Supervisor, _folders: &[PathBuf], _grace: Duration) -> Option<Watch> {
        None
    }

    /// As on Linux.
    pub async fn active(&self, _units: Vec<String>) -> Vec<String> {
        match *self {}
    }

    /// As on Linux.
    pub async fn fallen(&self, _units: &[String], _toplevel: &Utf8Path) -> Vec<String> {
        match *self {}
    }
}
