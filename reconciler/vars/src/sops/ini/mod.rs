//! The INI store: sections of keys, read and written as the ini package of sops does it, and a flattened `sops`
//! section.

mod read;
mod write;

pub(super) use read::{parse, take_section};
pub(super) use write::{write, write_section};
