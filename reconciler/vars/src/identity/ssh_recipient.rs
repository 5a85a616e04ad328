//! Owns the SSH public keys that age files are sealed for. It must never hold a private one.

use std::collections::HashSet;

use age::EncryptError;
use age_core::format::{FileKey, Stanza};
use ssh_key::public::KeyData;

use super::ssh::{PublicHalf, SshConversionError};
use super::ssh_ed25519::SshEd25519Recipient;
use super::ssh_rsa::SshRsaRecipient;

/// `ssh-ed25519 AAAA…` or `ssh-rsa AAAA…`.
#[derive(Clone)]
pub(crate) struct SshRecipient(Kind);

#[derive(Clone)]
enum Kind {
    Ed25519(SshEd25519Recipient),
    Rsa(SshRsaRecipient),
}

impl SshRecipient {
    /// Reads a line of a `.pub` file, with or without a comment.
    pub(crate) fn parse(line: &str) -> Result<Self, SshConversionError> {
        let key = ssh_key::PublicKey::from_openssh(line.trim()).map_err(SshConversionError::Format)?;
        let data = key.key_data().clone();
        let public = PublicHalf::of(data.clone())?;
        Ok(Self(match &data {
            KeyData::Ed25519(key) => Kind::Ed25519(SshEd25519Recipient::new(public, &key.0)?),
            KeyData::Rsa(key) => Kind::Rsa(SshRsaRecipient::new(public, key)?),
            _ => {
                return Err(SshConversionError::Unsupported {
                    algorithm: key.algorithm().to_string(),
                });
            }
        }))
    }

    /// The start of its hash, by which an age file names it.
    pub(crate) fn tag(&self) -> String {
        match &self.0 {
            Kind::Ed25519(key) => key.tag(),
            Kind::Rsa(key) => key.tag(),
        }
    }

    /// The key without its comment.
    pub(crate) fn line(&self) -> &str {
        match &self.0 {
            Kind::Ed25519(key) => key.line(),
            Kind::Rsa(key) => key.line(),
        }
    }
}

impl age::Recipient for SshRecipient {
    fn wrap_file_key(&self, key: &FileKey) -> Result<(Vec<Stanza>, HashSet<String>), EncryptError> {
        let stanza = match &self.0 {
            Kind::Ed25519(recipient) => recipient.wrap(key),
            Kind::Rsa(recipient) => recipient.wrap(key),
        };
        Ok((vec![stanza?], HashSet::new()))
    }
}
