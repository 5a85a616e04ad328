//! Owns the loaded identities of a machine. It must never print a private key, nor write one anywhere.

use std::fmt;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use age::x25519;
use unix::fcntl::OFlag;
use zeroize::Zeroizing;

use super::problem::IdentityProblem;
use super::ssh::{SshConversionError, private_key_to_identity};

/// Where an identity may be found.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum IdentitySource {
    /// A file as age-keygen writes it: lines of `AGE-SECRET-KEY-1…`, and comments.
    AgeKeyFile(PathBuf),
    /// An OpenSSH private key, usually the host's; ed25519 only.
    SshHostKey(PathBuf),
    /// Either of them, as its first line says.
    KeyFile(PathBuf),
}

/// What kind of file an identity came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IdentityKind {
    /// An age key file.
    AgeKey,
    /// An SSH host key, converted.
    SshHostKey,
}

impl fmt::Display for IdentityKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AgeKey => "age key",
            Self::SshHostKey => "SSH host key",
        })
    }
}

/// What may be told of an identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityInfo {
    /// Its public half, `age1…`.
    pub recipient: String,
    /// The file it was read from.
    pub source: PathBuf,
    /// What kind of file that is.
    pub kind: IdentityKind,
}

/// The identities of a machine, in the order of their sources.
#[derive(Default)]
pub struct Identities {
    keys: Vec<x25519::Identity>,
    infos: Vec<IdentityInfo>,
    problems: Vec<IdentityProblem>,
}

impl fmt::Debug for Identities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identities")
            .field("recipients", &self.infos)
            .field("problems", &self.problems)
            .finish_non_exhaustive()
    }
}

/// A key file is a few lines long; this leaves room for many of them. In bytes.
const LARGEST_KEY_FILE: u64 = 256 * 1024;

impl Identities {
    /// Reads all sources; what gives no identity is a problem and stops nothing.
    pub fn load(sources: &[IdentitySource]) -> (Self, Vec<IdentityProblem>) {
        let mut identities = Self::default();
        for source in sources {
            let outcome = match source {
                IdentitySource::AgeKeyFile(path) => {
                    read_key_file(path).and_then(|bytes| identities.load_age_keys(path, &bytes))
                }
                IdentitySource::SshHostKey(path) => {
                    read_key_file(path).and_then(|bytes| identities.load_ssh_key(path, &bytes))
                }
                IdentitySource::KeyFile(path) => read_key_file(path).and_then(|bytes| {
                    if bytes.starts_with(b"-----BEGIN ") {
                        identities.load_ssh_key(path, &bytes)
                    } else {
                        identities.load_age_keys(path, &bytes)
                    }
                }),
            };
            identities.problems.extend(outcome.err());
        }
        let problems = identities.problems.clone();
        (identities, problems)
    }

    /// What may be told of each identity.
    pub fn recipients(&self) -> &[IdentityInfo] {
        &self.infos
    }

    /// What the sources had no identity for.
    pub fn problems(&self) -> &[IdentityProblem] {
        &self.problems
    }

    /// Whether there is no identity.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = (&IdentityInfo, &x25519::Identity)> {
        self.infos.iter().zip(&self.keys)
    }

    fn load_age_keys(&mut self, path: &Path, bytes: &[u8]) -> Result<(), IdentityProblem> {
        let Ok(text) = std::str::from_utf8(bytes) else {
            return Err(IdentityProblem::AgeKey {
                path: path.to_owned(),
                line: 1,
            });
        };
        let mut found = Ok(());
        let mut empty = true;
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            empty = false;
            match line.parse::<x25519::Identity>() {
                Ok(key) => self.push(key, path, IdentityKind::AgeKey),
                Err(_) => found = found.and(Err(age_line_problem(path, index.saturating_add(1), line))),
            }
        }
        if empty {
            return Err(IdentityProblem::Empty {
                path: path.to_owned(),
            });
        }
        found
    }

    fn load_ssh_key(&mut self, path: &Path, bytes: &[u8]) -> Result<(), IdentityProblem> {
        let path = path.to_owned();
        let text = match private_key_to_identity(bytes) {
            Ok(text) => text,
            Err(SshConversionError::PassphraseProtected) => {
                return Err(IdentityProblem::PassphraseProtected { path });
            }
            Err(SshConversionError::NotEd25519 { algorithm }) => {
                return Err(IdentityProblem::NotEd25519 { path, algorithm });
            }
            Err(source) => return Err(IdentityProblem::SshKey { path, source }),
        };
        match text.parse::<x25519::Identity>() {
            Ok(key) => {
                self.push(key, &path, IdentityKind::SshHostKey);
                Ok(())
            }
            Err(_) => Err(IdentityProblem::SshKey {
                path,
                source: SshConversionError::Encoding,
            }),
        }
    }

    fn push(&mut self, key: x25519::Identity, source: &Path, kind: IdentityKind) {
        let recipient = key.to_public().to_string();
        // The same key in two files would only double the tries.
        if self.infos.iter().any(|info| info.recipient == recipient) {
            return;
        }
        self.infos.push(IdentityInfo {
            recipient,
            source: source.to_owned(),
            kind,
        });
        self.keys.push(key);
    }
}

impl Identities {
    /// The identities of an age key file that was read already; `path` is where from.
    pub(crate) fn of_age_keys(path: &Path, bytes: &[u8]) -> Self {
        let mut identities = Self::default();
        let outcome = identities.load_age_keys(path, bytes);
        identities.problems.extend(outcome.err());
        identities
    }
}

fn age_line_problem(path: &Path, line: usize, text: &str) -> IdentityProblem {
    let path = path.to_owned();
    if text.starts_with("AGE-PLUGIN-") || text.starts_with("AGE-SECRET-KEY-PQ-") {
        IdentityProblem::UnsupportedAgeKey { path, line }
    } else {
        IdentityProblem::AgeKey { path, line }
    }
}

fn read_key_file(path: &Path) -> Result<Zeroizing<Vec<u8>>, IdentityProblem> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => IdentityProblem::NotFound {
            path: path.to_owned(),
        },
        kind => IdentityProblem::Unreadable {
            path: path.to_owned(),
            kind,
        },
    };
    // Symbolic links are followed: NixOS keeps host keys behind them on impermanent roots.
    let mut options = std::fs::OpenOptions::new();
    let file = options
        .read(true)
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(path)
        .map_err(failed)?;
    let facts = file.metadata().map_err(failed)?;
    if !facts.is_file() || facts.len() > LARGEST_KEY_FILE {
        return Err(IdentityProblem::NotAKeyFile {
            path: path.to_owned(),
            limit: LARGEST_KEY_FILE,
        });
    }
    // The whole size at once: a growing vector would leave copies of the key behind.
    let capacity = usize::try_from(LARGEST_KEY_FILE.min(facts.len().saturating_add(1))).unwrap_or(0);
    let mut bytes = Zeroizing::new(Vec::with_capacity(capacity));
    file.take(LARGEST_KEY_FILE)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    Ok(bytes)
}
