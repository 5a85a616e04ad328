//! The `nix` command that evaluates: where it is and which version.
//!
//! Its version is part of what an evaluation is remembered by, so it has to be known before each one; asking
//! costs a process, so it is asked once for each file and boot.

use super::tools::{NixTools, ToolError};
use crate::process::{Command, locate};
use serde::{Deserialize, Serialize};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The oldest Nix that is served: the first whose daemon reports a result per build.
pub(super) const OLDEST: (u32, u32) = (2, 8);

/// A `nix` that was asked for its version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nix {
    path: PathBuf,
    version: String,
    file: File,
}

/// What tells one file from another that came to its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct File {
    /// Behind all links.
    path: PathBuf,
    inode: u64,
    size: u64,
    /// Seconds and nanoseconds since 1970.
    changed: (i64, i64),
    /// A script may start another `nix` after every reboot.
    boot: String,
}

impl Nix {
    /// Finds it in `folders`; `known` is what was found at the last time.
    pub async fn find(
        folders: &[PathBuf],
        tools: &NixTools,
        boot: &str,
        known: Option<Nix>,
    ) -> Result<Nix, ToolError> {
        let path = locate("nix", folders).ok_or_else(|| ToolError::Missing {
            program: "nix",
            folders: folders.to_vec(),
        })?;
        let file = File::at(&path, boot);
        if let (Some(known), Some(file)) = (known, &file)
            && known.path == path
            && known.file == *file
        {
            return Ok(known);
        }
        let said = tools
            .command(Command::new(&path, Duration::from_secs(30)))
            .arg("--version")
            // Without one it wants an entry in the user database.
            .env("HOME", "/")
            .run(&mut |_| {})
            .await
            .map_err(ToolError::Version)?;
        let said = String::from_utf8_lossy(&said.stdout).trim().to_owned();
        let Some((found, version)) = version(&said) else {
            return Err(ToolError::NoVersion { said });
        };
        if version < OLDEST {
            return Err(ToolError::TooOld { found });
        }
        Ok(Nix {
            file: file.unwrap_or_else(|| File::gone(&path, boot)),
            path,
            version: said,
        })
    }

    /// Where it is, for a wrapper to run.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All that it says of its version: `nix (Nix) 2.8.0`.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }
}

impl File {
    fn at(path: &Path, boot: &str) -> Option<File> {
        let path = path.canonicalize().ok()?;
        let found = path.metadata().ok()?;
        Some(File {
            inode: found.ino(),
            size: found.size(),
            changed: (found.mtime(), found.mtime_nsec()),
            boot: boot.to_owned(),
            path,
        })
    }

    fn gone(path: &Path, boot: &str) -> File {
        File {
            path: path.to_owned(),
            inode: 0,
            size: 0,
            changed: (0, 0),
            boot: boot.to_owned(),
        }
    }
}

/// `nix (Nix) 2.8.0`, `nix (Lix, like Nix) 2.93.0`, `nix (Determinate Nix 3.6) 2.29.0`.
fn version(said: &str) -> Option<(String, (u32, u32))> {
    let word = said.split_whitespace().last()?;
    let mut parts = word.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
    match (parts.next(), parts.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => Some((word.to_owned(), (major, minor))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_every_nix() {
        let table = [
            ("nix (Nix) 2.8.0", Some((2, 8))),
            ("nix (Nix) 2.34.8", Some((2, 34))),
            ("nix (Nix) 2.35.0pre20260101_abcdef", Some((2, 35))),
            ("nix (Lix, like Nix) 2.93.3", Some((2, 93))),
            ("nix (Determinate Nix 3.22.0) 2.33.1", Some((2, 33))),
            ("nix", None),
        ];
        for (said, expected) in table {
            assert_eq!(version(said).map(|(_, version)| version), expected, "{said}");
        }
    }
}
