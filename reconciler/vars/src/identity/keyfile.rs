//! Owns the reading of key files: their bytes, the lines of an age key file, and who else may read them. It must
//! never quote what a file holds.

use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use unix::fcntl::OFlag;
use unix::unistd::geteuid;
use zeroize::Zeroizing;

use super::problem::{IdentityProblem, IdentityWarning};

/// A key file is a few lines long; this leaves room for many of them. In bytes.
const LARGEST: u64 = 256 * 1024;

/// The bytes of a key file, and what is not as it should be with it.
pub(super) struct KeyFile {
    pub(super) bytes: Zeroizing<Vec<u8>>,
    pub(super) warning: Option<IdentityWarning>,
}

pub(super) fn read(path: &Path) -> Result<KeyFile, IdentityProblem> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => IdentityProblem::NotFound {
            path: path.to_owned(),
        },
        kind => IdentityProblem::Unreadable {
            path: path.to_owned(),
            kind,
        },
    };
    // Symbolic links are followed: NixOS keeps host keys behind them on impermanent roots. Not blocking: a pipe
    // in a key's place is told from a file before anything is read.
    let mut options = std::fs::OpenOptions::new();
    let file = options
        .read(true)
        .custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits())
        .open(path)
        .map_err(failed)?;
    let facts = file.metadata().map_err(failed)?;
    if !facts.is_file() || facts.len() > LARGEST {
        return Err(IdentityProblem::NotAKeyFile {
            path: path.to_owned(),
            limit: LARGEST,
        });
    }
    // The whole size at once: a growing vector would leave copies of the key behind.
    let capacity = usize::try_from(LARGEST.min(facts.len().saturating_add(1))).unwrap_or(0);
    let mut bytes = Zeroizing::new(Vec::with_capacity(capacity));
    file.take(LARGEST).read_to_end(&mut bytes).map_err(failed)?;
    Ok(KeyFile {
        bytes,
        warning: warning(path, &facts),
    })
}

fn warning(path: &Path, facts: &std::fs::Metadata) -> Option<IdentityWarning> {
    let (mode, owner) = (facts.mode() & 0o7777, facts.uid());
    if path
        .canonicalize()
        .is_ok_and(|place| place.starts_with("/nix/store"))
    {
        Some(IdentityWarning::InStore {
            path: path.to_owned(),
        })
    } else if mode & 0o077 != 0 {
        Some(IdentityWarning::OpenToOthers {
            path: path.to_owned(),
            mode,
        })
    } else if owner != 0 && owner != geteuid().as_raw() {
        Some(IdentityWarning::OthersOwn {
            path: path.to_owned(),
            owner,
        })
    } else {
        None
    }
}

/// One identity of an age key file.
pub(super) struct Line<'a> {
    /// From 1.
    pub(super) number: usize,
    pub(super) text: &'a str,
    /// The last recipient that a comment above it names, as `age-keygen` and the plugins write it.
    pub(super) comment: Option<&'a str>,
}

/// The identities of an age key file, in order.
pub(super) fn lines(text: &str) -> impl Iterator<Item = Line<'_>> {
    let mut comment = None;
    text.lines().enumerate().filter_map(move |(index, line)| {
        let line = line.trim();
        if line.starts_with('#') {
            comment = recipient(line).or(comment);
            return None;
        }
        if line.is_empty() {
            return None;
        }
        Some(Line {
            number: index.saturating_add(1),
            text: line,
            comment: comment.take(),
        })
    })
}

/// `# public key: age1…`, `#    Recipient: age1tpm1…`.
fn recipient(comment: &str) -> Option<&str> {
    let word = comment.split_whitespace().last()?;
    let plain = word
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    (word.starts_with("age1") && plain && word.len() > 20).then_some(word)
}
