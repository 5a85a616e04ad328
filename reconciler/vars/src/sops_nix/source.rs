//! Owns the sops files of a manifest: each is read and opened once, however many secrets it holds. It must
//! never keep a value in an error.

use std::collections::HashMap;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use unix::fcntl::OFlag;
use zeroize::Zeroizing;

use crate::identity::Identities;
use crate::sops::{self, Decrypted, Format, LookupError, SopsError};

/// Why a secret cannot be had of its file.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SourceError {
    /// The file could not be read.
    #[error("cannot read {}: {kind}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        kind: io::ErrorKind,
    },
    /// It does not open, or is no sops file.
    #[error("{} {reason}", path.display())]
    Sops {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: SopsError,
    },
    /// It has no such text.
    #[error("{}: {reason}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: LookupError,
    },
    /// Another secret reads the same file in another format.
    #[error("{} is of format {format} here and of format {before} for secret {other}", path.display())]
    TwoFormats {
        /// The file.
        path: PathBuf,
        /// The format here.
        format: Format,
        /// The format there.
        before: Format,
        /// That secret.
        other: String,
    },
}

impl SourceError {
    pub(super) fn path_mut(&mut self) -> &mut PathBuf {
        match self {
            Self::Read { path, .. }
            | Self::Sops { path, .. }
            | Self::Key { path, .. }
            | Self::TwoFormats { path, .. } => path,
        }
    }
}

/// The opened files.
#[derive(Debug)]
pub(super) struct Sources<'a> {
    identities: &'a Identities,
    files: HashMap<(PathBuf, Format), Result<Decrypted, SourceError>>,
}

/// A plaintext that several secrets may share.
pub(super) type Value = Rc<Zeroizing<Vec<u8>>>;

impl<'a> Sources<'a> {
    pub(super) fn new(identities: &'a Identities) -> Self {
        Self {
            identities,
            files: HashMap::new(),
        }
    }

    /// The value of a key; of the whole file where the key is empty, or the format has no keys.
    pub(super) fn value(&mut self, path: &Path, format: Format, key: &str) -> Result<Value, SourceError> {
        let identities = self.identities;
        let file = self
            .files
            .entry((path.to_owned(), format))
            .or_insert_with(|| open(path, format, identities))
            .as_ref()
            .map_err(Clone::clone)?;
        file.lookup(key).map(Rc::new).map_err(|reason| match reason {
            LookupError::Whole(reason) => sops_error(path, reason),
            reason => SourceError::Key {
                path: path.to_owned(),
                reason,
            },
        })
    }
}

fn open(path: &Path, format: Format, identities: &Identities) -> Result<Decrypted, SourceError> {
    let bytes = read(path)?;
    sops::decrypt(&bytes, format, identities).map_err(|reason| sops_error(path, reason))
}

pub(super) fn sops_error(path: &Path, reason: SopsError) -> SourceError {
    SourceError::Sops {
        path: path.to_owned(),
        reason,
    }
}

/// The bytes of an encrypted file.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, SourceError> {
    let limit = u64::try_from(sops::LARGEST_FILE).unwrap_or(u64::MAX);
    let read = read_bounded(path, limit).map_err(|error| SourceError::Read {
        path: path.to_owned(),
        kind: error.kind(),
    })?;
    read.ok_or_else(|| {
        let size = path.metadata().map_or(0, |facts| facts.len());
        sops_error(
            path,
            SopsError::TooLarge {
                size: usize::try_from(size).unwrap_or(usize::MAX),
                limit: sops::LARGEST_FILE,
            },
        )
    })
}

/// A regular file's bytes; `None` where it has more than `limit`.
pub(super) fn read_bounded(path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
    let file = std::fs::OpenOptions::new()
        .read(true)
        // A FIFO in its place must not hold a boot.
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok((u64::try_from(bytes.len()).unwrap_or(u64::MAX) <= limit).then_some(bytes))
}
