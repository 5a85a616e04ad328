//! Owns the taking of what a script left in `$out`. It must never follow a link, nor wait for anything there.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use unix::fcntl::OFlag;
use zeroize::Zeroizing;

use super::definition::GeneratedFile;
use crate::wiped::lossy;

/// The largest value of a file, in bytes: 16 MiB, which encrypted stays below what is read of an encrypted file.
pub const LARGEST_VALUE: u64 = 16 << 20;

/// What a script made.
#[derive(Default)]
pub struct Collected {
    /// The declared files.
    pub values: BTreeMap<String, Zeroizing<Vec<u8>>>,
    /// Names of what is there and not declared: it is not kept.
    pub unexpected: Vec<String>,
}

impl std::fmt::Debug for Collected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Collected")
            .field("values", &self.values.keys())
            .field("unexpected", &self.unexpected)
            .finish()
    }
}

/// Why a script's output cannot be used. It never holds a value.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// Declared files are not there.
    #[error("its script did not make {}{}", missing.join(", "), made(found))]
    Missing {
        /// Their names.
        missing: Vec<String>,
        /// What is there.
        found: Vec<String>,
    },
    /// Something other than a regular file is there.
    #[error("its script made `{name}` as {kind}, and a regular file is needed")]
    NotAFile {
        /// The file's name.
        name: String,
        /// What it is.
        kind: &'static str,
    },
    /// A file is too large.
    #[error("its script made `{name}` of {size} bytes, and {LARGEST_VALUE} are the most")]
    TooLarge {
        /// The file's name.
        name: String,
        /// Its size in bytes.
        size: u64,
    },
    /// It could not be read.
    #[error("could not read `{name}` from what its script made")]
    Read {
        /// The file's name.
        name: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

fn made(found: &[String]) -> String {
    if found.is_empty() {
        "; it made nothing in $out".to_owned()
    } else {
        format!("; it made {}", found.join(", "))
    }
}

/// Reads the declared files from the folder that was the script's `$out`.
///
/// # Errors
/// [`OutputError`] for the first thing that is wrong.
pub fn collect(out: &Path, declared: &BTreeMap<String, GeneratedFile>) -> Result<Collected, OutputError> {
    let whole = |source| OutputError::Read {
        name: "$out".to_owned(),
        source,
    };
    let mut found = Vec::new();
    for entry in out.read_dir().map_err(whole)? {
        found.push(entry.map_err(whole)?.file_name().to_string_lossy().into_owned());
    }
    found.sort();
    let missing: Vec<_> = declared
        .keys()
        .filter(|name| !found.contains(name))
        .cloned()
        .collect();
    if !missing.is_empty() {
        return Err(OutputError::Missing { missing, found });
    }
    let mut collected = Collected::default();
    for name in declared.keys() {
        collected
            .values
            .insert(name.clone(), read(&out.join(name), name)?);
    }
    found.retain(|name| !declared.contains_key(name));
    collected.unexpected = found;
    Ok(collected)
}

fn read(path: &Path, name: &str) -> Result<Zeroizing<Vec<u8>>, OutputError> {
    let failed = |source| OutputError::Read {
        name: name.to_owned(),
        source,
    };
    let kind = path.symlink_metadata().map_err(failed)?.file_type();
    if !kind.is_file() {
        let kind = if kind.is_symlink() {
            "a symbolic link"
        } else if kind.is_dir() {
            "a folder"
        } else if kind.is_block_device() || kind.is_char_device() {
            "a device"
        } else {
            "a socket or a pipe"
        };
        return Err(OutputError::NotAFile {
            name: name.to_owned(),
            kind,
        });
    }
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let file = std::fs::OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits())
        .open(path)
        .map_err(failed)?;
    let size = file.metadata().map_err(failed)?.len();
    if size > LARGEST_VALUE {
        return Err(OutputError::TooLarge {
            name: name.to_owned(),
            size,
        });
    }
    // The whole size at once: a growing vector would leave copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(size).unwrap_or(0)));
    file.take(size).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

/// `text` with every line of the values in it blanked: what a script says may hold what it was given.
///
/// Lines of less than four bytes are left, as they would blank half of every text.
pub fn without_values<'a>(text: &str, values: impl IntoIterator<Item = &'a [u8]>) -> Zeroizing<String> {
    let mut lines: Vec<Zeroizing<String>> = values
        .into_iter()
        .flat_map(|value| value.split(|byte| *byte == b'\n'))
        .map(|line| Zeroizing::new(lossy(line).trim().to_owned()))
        .filter(|line| line.len() >= 4)
        .collect();
    // The longest first: one may be a part of another.
    lines.sort_by_key(|line| std::cmp::Reverse(line.len()));
    let text = Zeroizing::new(text.to_owned());
    lines.iter().fold(text, |text, line| without(&text, line))
}

/// As `str::replace`, without a copy that nobody overwrites.
fn without(text: &str, value: &str) -> Zeroizing<String> {
    const INSTEAD: &str = "[redacted]";
    let places = text.match_indices(value).count();
    let room = text.len().saturating_add(places.saturating_mul(INSTEAD.len()));
    let mut out = Zeroizing::new(String::with_capacity(room));
    let mut after = 0;
    for (at, value) in text.match_indices(value) {
        out.push_str(text.get(after..at).unwrap_or_default());
        out.push_str(INSTEAD);
        after = at.saturating_add(value.len());
    }
    out.push_str(text.get(after..).unwrap_or_default());
    out
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn declared(names: &[&str]) -> BTreeMap<String, GeneratedFile> {
        let names = names.iter();
        names
            .map(|name| ((*name).to_owned(), GeneratedFile::default()))
            .collect()
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test plays the script")]
    fn takes_declared_files_and_names_the_others() {
        let out = tempfile::tempdir().unwrap();
        std::fs::write(out.path().join("key"), b"\x00\xffbytes").unwrap();
        std::fs::write(out.path().join("more"), "x").unwrap();
        std::fs::write(out.path().join("empty"), "").unwrap();
        let collected = collect(out.path(), &declared(&["key", "empty"])).unwrap();
        assert_eq!(collected.values["key"].as_slice(), b"\x00\xffbytes");
        assert!(collected.values["empty"].is_empty());
        assert_eq!(collected.unexpected, ["more"]);
        let error = collect(out.path(), &declared(&["key", "cert", "pub"])).unwrap_err();
        assert_eq!(
            error.to_string(),
            "its script did not make cert, pub; it made empty, key, more"
        );
    }

    #[test]
    fn refuses_what_is_no_regular_file() {
        let out = tempfile::tempdir().unwrap();
        let refused = |name: &str| collect(out.path(), &declared(&[name])).unwrap_err().to_string();
        symlink("/etc/hostname", out.path().join("link")).unwrap();
        assert!(refused("link").contains("a symbolic link"));
        std::fs::create_dir(out.path().join("folder")).unwrap();
        assert!(refused("folder").contains("a folder"));
        unix::unistd::mkfifo(&out.path().join("pipe"), unix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(refused("pipe").contains("a pipe"));
        let huge = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(out.path().join("huge"))
            .unwrap();
        huge.set_len(LARGEST_VALUE + 1).unwrap();
        assert!(refused("huge").contains("16777217 bytes"));
    }

    #[test]
    fn what_a_script_says_loses_its_secrets() {
        let values: [&[u8]; 3] = [b"hunter22\n", b"line one\nhunter22 and more", b"no"];
        assert_eq!(
            without_values("+ echo hunter22 and more; echo hunter22: no line one", values),
            Zeroizing::new("+ echo [redacted]; echo [redacted]: no [redacted]".to_owned())
        );
    }
}
