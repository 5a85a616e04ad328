//! How far a fetch is.

use serde::{Deserialize, Serialize};

/// Counters of one fetch, as libgit2 gives them. All only grow within a fetch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FetchProgress {
    /// Objects that arrived.
    pub received_objects: u64,
    /// Objects the server announced; 0 until it did.
    pub total_objects: u64,
    /// Objects that are in the index of the pack.
    pub indexed_objects: u64,
    /// Bytes that arrived.
    pub received_bytes: u64,
}
