//! Owns one try of all identities on one age file: which of them opens it, and if none does, why. It must never
//! keep a key beyond the try.

use std::cell::RefCell;

use age::{DecryptError, Identity};
use age_core::format::{FILE_KEY_BYTES, FileKey, Stanza};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use zeroize::Zeroizing;

use super::identities::{Identities, Key};
use super::plugin::PluginProblem;
use super::{hybrid, ssh_ed25519, ssh_rsa};

/// What one identity made of one stanza.
pub(super) enum Unwrapped {
    /// It was sealed for somebody else.
    NotOurs,
    /// It is no such stanza, which spoils the whole file (age-encryption.org/v1).
    Malformed,
    /// It names this identity, and does not open with it.
    Damaged,
    /// The file's key.
    Key(FileKey),
}

impl Unwrapped {
    pub(super) fn of(bytes: Zeroizing<Vec<u8>>) -> Self {
        let key = FileKey::try_init_with_mut(|key: &mut [u8; FILE_KEY_BYTES]| {
            if bytes.len() != key.len() {
                return Err(());
            }
            key.copy_from_slice(&bytes);
            Ok(())
        });
        key.map_or(Self::Damaged, Self::Key)
    }
}

/// A stanza's argument: canonical base64 without padding, of exactly `N` bytes.
pub(super) fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    BASE64_STANDARD_NO_PAD.decode(text).ok()?.try_into().ok()
}

/// Whether plugins are asked, too: each costs a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Only the keys that are held here.
    Own,
    /// Plugins where no other key opens it.
    Plugins,
}

/// Why no identity opened a file.
#[derive(Debug, Default)]
pub(crate) struct Missed {
    /// A stanza names one of our keys, and does not open.
    pub(crate) damaged: bool,
    /// What the first plugin that could not do its part said.
    pub(crate) plugin: Option<(String, PluginProblem)>,
    /// Whom it is sealed for, as far as the stanzas tell.
    pub(crate) sealed_for: Vec<String>,
}

/// All identities as one, which remembers what it saw.
pub(crate) struct Attempt<'a> {
    identities: &'a Identities,
    reach: Reach,
    missed: RefCell<Missed>,
}

impl<'a> Attempt<'a> {
    pub(crate) fn new(identities: &'a Identities, reach: Reach) -> Self {
        Self {
            identities,
            reach,
            missed: RefCell::default(),
        }
    }

    /// What was seen.
    pub(crate) fn missed(self) -> Missed {
        self.missed.into_inner()
    }

    fn one(&self, key: &Key, stanza: &Stanza) -> Unwrapped {
        match (key, stanza.tag.as_str()) {
            (Key::X25519(key), _) => match key.unwrap_stanza(stanza) {
                None => Unwrapped::NotOurs,
                Some(Ok(key)) => Unwrapped::Key(key),
                Some(Err(_)) => Unwrapped::Malformed,
            },
            (Key::SshEd25519(key), ssh_ed25519::TAG) => key.unwrap(stanza),
            (Key::SshRsa(key), ssh_rsa::TAG) => key.unwrap(stanza),
            (Key::Hybrid(key), hybrid::TAG) => key.unwrap(stanza),
            _ => Unwrapped::NotOurs,
        }
    }
}

impl Identity for Attempt<'_> {
    fn unwrap_stanza(&self, stanza: &Stanza) -> Option<Result<FileKey, DecryptError>> {
        self.unwrap_stanzas(std::slice::from_ref(stanza))
    }

    fn unwrap_stanzas(&self, stanzas: &[Stanza]) -> Option<Result<FileKey, DecryptError>> {
        let mut missed = self.missed.borrow_mut();
        for key in self.identities.keys() {
            for stanza in stanzas {
                match self.one(key, stanza) {
                    Unwrapped::NotOurs => {}
                    // Two keys may share a tag of four bytes: the others are still tried.
                    Unwrapped::Damaged => missed.damaged = true,
                    Unwrapped::Malformed => return Some(Err(DecryptError::InvalidHeader)),
                    Unwrapped::Key(key) => return Some(Ok(key)),
                }
            }
        }
        if self.reach == Reach::Plugins {
            for plugin in self.identities.plugins() {
                match plugin.unwrap(stanzas) {
                    Ok(Some(key)) => match Unwrapped::of(key) {
                        Unwrapped::Key(key) => return Some(Ok(key)),
                        _ => missed.damaged = true,
                    },
                    Ok(None) => {}
                    Err(problem) => {
                        if missed.plugin.is_none() {
                            missed.plugin = Some((plugin.name().to_owned(), problem));
                        }
                    }
                }
            }
        }
        missed.sealed_for = describe(stanzas);
        None
    }
}

/// Whom a file is sealed for. An SSH key's tag is the start of its hash; of other keys a file tells nothing.
fn describe(stanzas: &[Stanza]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for stanza in stanzas {
        let name = match (stanza.tag.as_str(), stanza.args.first()) {
            ("X25519", _) => "an X25519 key".to_owned(),
            (hybrid::TAG, _) => "a post-quantum key".to_owned(),
            (tag @ (ssh_ed25519::TAG | ssh_rsa::TAG), Some(argument)) if argument.len() <= 8 => {
                format!("{tag} with the tag {argument}")
            }
            // Noise that age and rage add so that readers keep ignoring what they do not know.
            (tag, _) if tag.ends_with("-grease") => continue,
            (tag, _) => {
                let tag: String = tag.chars().take(32).collect();
                format!("a key of the kind {tag}")
            }
        };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}
