//! Room on a file system.

use camino::Utf8Path;
use unix::sys::statvfs::statvfs;
use unix::unistd::geteuid;

/// How much this process can still write where `path` is, in bytes; none where that cannot be told. What is kept
/// for root is root's.
#[must_use]
pub fn free(path: &Utf8Path) -> Option<u64> {
    let space = statvfs(path.as_std_path()).ok()?;
    let blocks = if geteuid().is_root() {
        space.blocks_free()
    } else {
        space.blocks_available()
    };
    // The widths of both are the platform's own.
    let (blocks, size) = (u128::from(blocks), u128::from(space.fragment_size()));
    u64::try_from(blocks.saturating_mul(size)).ok()
}
