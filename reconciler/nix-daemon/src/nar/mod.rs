//! The Nix archive format: one file system object as bytes that depend on nothing but its names, contents,
//! executable bits and link targets.

mod copy;
mod encode;

pub(crate) use copy::copy;
pub use encode::{Encoder, Error, FileMode, write_file, write_symlink};
