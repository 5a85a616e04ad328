//! Owns the way from a file's bytes to its trees and back, whatever its store. It must never open or seal a value.

use zeroize::Zeroizing;

use super::error::SopsError;
use super::format::Format;
use super::node::{self, Branch, Entry, Node};
use super::{dotenv, ini, json, json_text, yaml};

/// The largest file that is opened or made, in bytes: 32 MiB.
pub const LARGEST_FILE: usize = 32 << 20;

/// A sealed file, read.
pub(super) struct SealedFile {
    /// Its documents; only YAML has more than one.
    pub(super) branches: Vec<Branch>,
    /// The `sops` section, whole.
    pub(super) section: Branch,
}

/// Reads a sealed file.
pub(super) fn read_sealed(bytes: &[u8], format: Format) -> Result<SealedFile, SopsError> {
    let mut branches = read(bytes, format)?;
    let first = branches.first_mut().ok_or(SopsError::NoMetadata)?;
    let section = match format {
        Format::Dotenv => dotenv::take_section(first)?,
        Format::Ini => ini::take_section(first)?,
        Format::Json | Format::Binary | Format::Yaml => take_section(first)?,
    };
    // Each document has a section, and the first one's counts.
    for other in branches.iter_mut().skip(1) {
        other.retain(|entry| !matches!(entry, Entry::Pair(key, _) if key == "sops"));
    }
    Ok(SealedFile { branches, section })
}

fn take_section(branch: &mut Branch) -> Result<Branch, SopsError> {
    let is_section = |entry: &Entry| matches!(entry, Entry::Pair(key, _) if key == "sops");
    let index = branch.iter().position(is_section).ok_or(SopsError::NoMetadata)?;
    match branch.remove(index) {
        Entry::Pair(_, Node::Map(section)) => Ok(section),
        _ => Err(SopsError::Metadata { field: "sops" }),
    }
}

/// Reads a file as its store has it, sealed or not. Plaintext of the binary store is no tree, and its sealed form
/// is JSON.
pub(super) fn read(bytes: &[u8], format: Format) -> Result<Vec<Branch>, SopsError> {
    if bytes.len() > LARGEST_FILE {
        return Err(SopsError::TooLarge {
            size: bytes.len(),
            limit: LARGEST_FILE,
        });
    }
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(SopsError::Empty);
    }
    match format {
        Format::Json | Format::Binary => match json::parse(bytes)? {
            Node::Map(branch) => Ok(vec![branch]),
            _ => Err(SopsError::NotAnObject),
        },
        Format::Dotenv => Ok(vec![dotenv::parse(bytes)?]),
        Format::Yaml => yaml::parse(bytes),
        Format::Ini => Ok(vec![ini::parse(bytes)?]),
    }
}

/// The text of a sealed file.
pub(super) fn write_sealed(
    branches: &[Branch],
    section: &Branch,
    format: Format,
) -> Result<Vec<u8>, SopsError> {
    let with = |branch: &Branch, entries: Branch| [branch.clone(), entries].concat();
    let nested = || vec![node::pair("sops", Node::Map(section.clone()))];
    let first = branches.first().ok_or(SopsError::Empty)?;
    let text = match format {
        Format::Json | Format::Binary => write_json(&with(first, nested()))?,
        Format::Yaml => {
            let all: Vec<_> = branches.iter().map(|branch| with(branch, nested())).collect();
            yaml::write(&all)?
        }
        Format::Dotenv => dotenv::write(&with(first, dotenv::write_section(section)))?,
        Format::Ini => {
            let flat = node::pair("sops", Node::Map(ini::write_section(section)));
            ini::write(&with(first, vec![flat]))?
        }
    };
    // Nothing of it is a secret any more.
    Ok(text.to_vec())
}

/// The text of an opened file, as `sops decrypt` prints it.
pub(super) fn write_plain(branches: &[Branch], format: Format) -> Result<Zeroizing<Vec<u8>>, SopsError> {
    let branch = match branches {
        [branch] => branch,
        _ if format == Format::Yaml => return yaml::write(branches),
        _ => return Err(SopsError::Unwritable { format }),
    };
    match format {
        Format::Json => write_json(branch),
        Format::Binary => match branch.as_slice() {
            [Entry::Pair(name, Node::Text(data))] if name == "data" => Ok(data.clone()),
            _ => Err(SopsError::Unwritable { format }),
        },
        Format::Dotenv => dotenv::write(branch),
        Format::Ini => ini::write(branch),
        Format::Yaml => yaml::write(branches),
    }
}

/// The JSON text of a tree.
pub(super) fn write_json(branch: &Branch) -> Result<Zeroizing<Vec<u8>>, SopsError> {
    json_text::write(&Node::Map(branch.clone())).map_err(|_| SopsError::Unwritable { format: Format::Json })
}
