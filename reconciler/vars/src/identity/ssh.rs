//! Owns the conversion of ed25519 SSH keys to age's X25519 keys, as ssh-to-age does it. It must never
//! read a file.

use bech32::{Bech32, Hrp};
use curve25519_dalek::edwards::CompressedEdwardsY;
use sha2::{Digest, Sha512};
use ssh_key::private::KeypairData;
use zeroize::{Zeroize, Zeroizing};

/// Why an SSH key has no age counterpart.
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
    /// The public key is no point of the curve.
    #[error("its point is not on the curve")]
    Point,
    /// The bech32 encoding failed.
    #[error("could not be encoded as an age key")]
    Encoding,
}

/// The text of the age identity of an OpenSSH private key: `SHA-512(seed)[0..32]`, unclamped, in bech32
/// (ssh-to-age, `convert.go`).
pub(super) fn private_key_to_identity(openssh: &[u8]) -> Result<Zeroizing<String>, SshConversionError> {
    let key = ssh_key::PrivateKey::from_openssh(openssh).map_err(SshConversionError::Format)?;
    if key.is_encrypted() {
        return Err(SshConversionError::PassphraseProtected);
    }
    let KeypairData::Ed25519(pair) = key.key_data() else {
        return Err(SshConversionError::NotEd25519 {
            algorithm: key.algorithm().to_string(),
        });
    };
    let mut hash = Sha512::digest(pair.private.as_ref());
    let scalar: Zeroizing<Vec<u8>> = Zeroizing::new(hash.iter().take(32).copied().collect());
    hash.as_mut_slice().zeroize();
    let prefix = Hrp::parse("age-secret-key-").map_err(|_| SshConversionError::Encoding)?;
    let text = bech32::encode_upper::<Bech32>(prefix, &scalar).map_err(|_| SshConversionError::Encoding)?;
    Ok(Zeroizing::new(text))
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
