//! Owns the reading of SSH keys, and their conversion to age's X25519 keys as ssh-to-age does it. It must never
//! read a file.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use bech32::{Bech32, Hrp};
use curve25519_dalek::edwards::CompressedEdwardsY;
use sha2::{Digest, Sha256, Sha512};
use ssh_key::private::KeypairData;
use ssh_key::public::{KeyData, RsaPublicKey};
use zeroize::{Zeroize, Zeroizing};

use super::ssh_ed25519::SshEd25519;
use super::ssh_rsa::SshRsa;

/// Why an SSH key cannot be used, or has no age counterpart.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SshConversionError {
    /// It is not of OpenSSH's format.
    #[error("not an OpenSSH key")]
    Format(#[source] ssh_key::Error),
    /// It is sealed with a passphrase.
    #[error("protected by a passphrase")]
    PassphraseProtected,
    /// It is of another algorithm; only ed25519 keys convert.
    #[error("an {algorithm} key, and only ed25519 keys convert to age")]
    NotEd25519 {
        /// The SSH algorithm's name.
        algorithm: String,
    },
    /// It is of an algorithm that opens no age file.
    #[error("an {algorithm} key; age knows ssh-ed25519 and ssh-rsa")]
    Unsupported {
        /// The SSH algorithm's name.
        algorithm: String,
    },
    /// The public key is no point of the curve.
    #[error("its point is not on the curve")]
    Point,
    /// The numbers of an RSA key do not belong together.
    #[error("an RSA key that OpenSSL does not take")]
    Rsa,
    /// An RSA key that is too short to be safe.
    #[error("an RSA key of {bits} bits, and age takes none below 2048")]
    ShortRsa {
        /// Its length.
        bits: u32,
    },
    /// The bech32 encoding failed.
    #[error("could not be encoded as an age key")]
    Encoding,
}

/// A private key that opens age files.
pub(super) enum SshKey {
    /// Its native identity, and the text of the age identity that ssh-to-age makes of it.
    Ed25519(SshEd25519, Zeroizing<String>),
    /// Its native identity; ssh-to-age converts none of these.
    Rsa(SshRsa),
}

/// Whether the bytes begin as a private key in one of OpenSSH's text formats does.
pub(super) fn is_private_key(bytes: &[u8]) -> bool {
    bytes.trim_ascii_start().starts_with(b"-----BEGIN ") && {
        let line = bytes.trim_ascii_start();
        let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default();
        line.trim_ascii_end().ends_with(b"PRIVATE KEY-----")
    }
}

/// Whether the bytes are a public key, as in `ssh_host_ed25519_key.pub`.
pub(super) fn is_public_key(bytes: &[u8]) -> bool {
    let bytes = bytes.trim_ascii_start();
    [&b"ssh-"[..], b"ecdsa-sha2-", b"sk-ssh-"]
        .iter()
        .any(|prefix| bytes.starts_with(prefix))
}

/// Reads a private key: OpenSSH's own format, or the PEM that older ones wrote RSA keys in.
pub(super) fn read_private_key(text: &[u8]) -> Result<SshKey, SshConversionError> {
    let first = text.trim_ascii_start();
    if !first.starts_with(b"-----BEGIN OPENSSH PRIVATE KEY-----") && is_private_key(text) {
        return SshRsa::from_pem(text).map(SshKey::Rsa);
    }
    let key = ssh_key::PrivateKey::from_openssh(text).map_err(SshConversionError::Format)?;
    if key.is_encrypted() {
        return Err(SshConversionError::PassphraseProtected);
    }
    match key.key_data() {
        KeypairData::Ed25519(pair) => {
            let scalar = scalar(pair.private.as_ref());
            let prefix = Hrp::parse("age-secret-key-").map_err(|_| SshConversionError::Encoding)?;
            let text =
                bech32::encode_upper::<Bech32>(prefix, &*scalar).map_err(|_| SshConversionError::Encoding)?;
            let public = PublicHalf::of(KeyData::Ed25519(pair.public))?;
            Ok(SshKey::Ed25519(
                SshEd25519::new(public, scalar),
                Zeroizing::new(text),
            ))
        }
        KeypairData::Rsa(pair) => SshRsa::from_pair(pair).map(SshKey::Rsa),
        _ => Err(SshConversionError::Unsupported {
            algorithm: key.algorithm().to_string(),
        }),
    }
}

/// `SHA-512(seed)[0..32]`, unclamped (ssh-to-age, `convert.go`; age, `agessh.go`).
fn scalar(seed: &[u8]) -> Zeroizing<[u8; 32]> {
    let mut hash = Sha512::digest(seed);
    let mut scalar = Zeroizing::new([0; 32]);
    for (to, from) in scalar.iter_mut().zip(hash.iter()) {
        *to = *from;
    }
    hash.as_mut_slice().zeroize();
    scalar
}

/// The public half of an SSH key, in the shapes that age files know it by.
#[derive(Debug, Clone)]
pub(super) struct PublicHalf {
    /// `ssh-ed25519 AAAA…`, without a comment.
    pub(super) line: String,
    /// SSH's binary form (RFC 4253 §6.6, RFC 8709 §4).
    pub(super) wire: Vec<u8>,
    /// SHA-256 of that.
    hash: [u8; 32],
}

impl PublicHalf {
    pub(super) fn of(key: KeyData) -> Result<Self, SshConversionError> {
        let key = ssh_key::PublicKey::from(key);
        let wire = key.to_bytes().map_err(SshConversionError::Format)?;
        Ok(Self {
            line: key
                .to_openssh()
                .map_err(SshConversionError::Format)?
                .trim()
                .to_owned(),
            hash: Sha256::digest(&wire).into(),
            wire,
        })
    }

    pub(super) fn of_rsa(exponent: &[u8], modulus: &[u8]) -> Result<Self, SshConversionError> {
        let number = |bytes| ssh_key::Mpint::from_positive_bytes(bytes).map_err(SshConversionError::Format);
        Self::of(KeyData::Rsa(RsaPublicKey {
            e: number(exponent)?,
            n: number(modulus)?,
        }))
    }

    /// The first four bytes of the hash, by which a stanza names the key.
    pub(super) fn tag(&self) -> String {
        let [one, two, three, four, ..] = self.hash;
        BASE64_STANDARD_NO_PAD.encode([one, two, three, four])
    }

    /// Whether a stanza's first argument is this key's tag.
    pub(super) fn is_tagged(&self, argument: Option<&String>) -> bool {
        argument
            .and_then(|text| super::attempt::decode::<4>(text))
            .is_some_and(|tag| self.hash.starts_with(&tag))
    }
}

/// The age recipient (`age1…`) of an SSH public key, given as a line of `ssh_host_ed25519_key.pub` or of
/// `ssh-keyscan`'s output.
///
/// # Errors
/// [`SshConversionError`] when the line holds no ed25519 public key.
pub fn ssh_public_key_to_recipient(line: &str) -> Result<String, SshConversionError> {
    let line = line.trim();
    // ssh-keyscan and known_hosts put the host's name first.
    let key = match line.split_once(char::is_whitespace) {
        Some((first, rest)) if !first.contains("ssh-") && !first.contains("ecdsa-") => rest,
        _ => line,
    };
    let key = ssh_key::PublicKey::from_openssh(key.trim()).map_err(SshConversionError::Format)?;
    let Some(public) = key.key_data().ed25519() else {
        return Err(SshConversionError::NotEd25519 {
            algorithm: key.algorithm().to_string(),
        });
    };
    let point = CompressedEdwardsY(public.0)
        .decompress()
        .ok_or(SshConversionError::Point)?;
    let prefix = Hrp::parse("age").map_err(|_| SshConversionError::Encoding)?;
    bech32::encode::<Bech32>(prefix, point.to_montgomery().as_bytes())
        .map_err(|_| SshConversionError::Encoding)
}
