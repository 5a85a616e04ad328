//! Room on the disk that an activation cannot take away: with it a transaction is written down to its end, however
//! full the disk is by then.

use super::World;
use crate::durable::{self, DurableError, Lasting};
use crate::host;
use camino::{Utf8Path, Utf8PathBuf};
use std::hash::{BuildHasher, RandomState};

/// How much is kept: far more than a transaction writes, in bytes.
const SIZE: usize = 1 << 20;
/// A disk with less than this is full, in bytes.
const FULL: u64 = 256 << 10;

fn file(state: &Utf8Path) -> Utf8PathBuf {
    state.join("reserve")
}

/// Gives the room up where the disk is full, before anything else is written down: an agent that was killed on a full
/// disk, or the deadman, comes to an end with what it finds.
pub fn make_room(state: &Utf8Path) {
    if host::free(state).is_some_and(|free| free < FULL) {
        release(state);
    }
}

/// Sees to it that the room is there. An error means that the disk is full already.
pub(super) fn keep(world: &World) -> Result<(), DurableError> {
    let path = file(&world.settings.paths.state);
    if path.metadata().is_ok_and(|found| found.len() == SIZE as u64) {
        return Ok(());
    }
    // A file system that compresses would keep no room for zeros.
    let noise = RandomState::new();
    let bytes: Vec<u8> = (0..SIZE / 8)
        .flat_map(|at| noise.hash_one(at).to_ne_bytes())
        .collect();
    durable::replace(&path, &bytes, 0o600, Lasting::Power)
}

/// Gives the room up.
pub(super) fn release(state: &Utf8Path) {
    // What is not there takes no room either.
    let _ = std::fs::remove_file(file(state));
}

/// Whether the disk of the state has no room left, the reserve apart.
pub(super) fn is_full(world: &World) -> bool {
    host::free(&world.settings.paths.state).is_some_and(|free| free < FULL)
}
