//! Roots, garbage and the store's own check. Facts and requests only.

use std::collections::BTreeSet;

use crate::store_path::StorePath;
use crate::text::Text;

/// A root of the garbage collector.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Root {
    /// The link, or a word such as `{temp:123}`; `{censored}` for users who are not trusted. Not unique.
    pub link: Text,
    /// The path it keeps.
    pub target: StorePath,
}

/// What the garbage collector is asked to do: Nix's `GCAction`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Garbage {
    /// Tell which paths are alive.
    ListAlive,
    /// Tell which paths are dead.
    ListDead,
    /// Delete dead paths until this many bytes were freed; `u64::MAX` for all.
    DeleteDead {
        /// Bytes after which it stops.
        at_most: u64,
    },
    /// Delete these paths; an error if one of them is alive.
    Delete(BTreeSet<StorePath>),
}

/// What the garbage collector found or deleted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Collected {
    /// The paths found or deleted.
    pub paths: BTreeSet<StorePath>,
    /// Bytes freed; 0 for a list.
    pub bytes_freed: u64,
}

/// How thoroughly the store is verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Verification {
    /// That the registered paths exist.
    #[default]
    Existence,
    /// That their contents have the registered hashes as well.
    Contents,
    /// As `Contents`, and mend what can be mended; trusted users only.
    Repair,
}
