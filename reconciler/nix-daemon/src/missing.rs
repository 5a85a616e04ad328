//! What a build would have to do, and whether substituters are asked. Facts only.

use std::collections::BTreeSet;

use crate::store_path::StorePath;

/// What a set of targets lacks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Missing {
    /// Derivations that would be built.
    pub will_build: BTreeSet<StorePath>,
    /// Paths that would be substituted.
    pub will_substitute: BTreeSet<StorePath>,
    /// Paths nobody can tell anything about.
    pub unknown: BTreeSet<StorePath>,
    /// Bytes to download, compressed.
    pub download_size: u64,
    /// Bytes the substituted paths take in the store, as archives.
    pub nar_size: u64,
}

impl Missing {
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.will_build.is_empty() && self.will_substitute.is_empty() && self.unknown.is_empty()
    }
}

/// Whether a query for valid paths may make paths valid by substitution first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Substitution {
    /// Only what is there counts.
    #[default]
    Never,
    /// What a substituter has is fetched.
    Allowed,
}
