//! The Nix archive format: one file system object as bytes that depend on nothing but its names, contents,
//! executable bits and link targets.

mod check;
mod copy;
mod encode;

pub(crate) use check::Check;
pub(crate) use copy::copy;
pub use encode::{Encoder, Error, FileMode, write_file, write_symlink};

/// The longest word, name or link target in an archive; the system's own limit is 4 KiB.
const WORD_LIMIT: u64 = 64 << 10;
/// The deepest nesting that is followed; a path of 4 KiB cannot be deeper.
const DEPTH_LIMIT: usize = 4096;

/// Whether an entry of a directory may be called so.
fn is_entry_name(name: &[u8]) -> bool {
    !name.is_empty() && name != b"." && name != b".." && !name.iter().any(|byte| matches!(byte, b'/' | 0))
}
