//! Owns the opening and the making of age's `ssh-ed25519` stanzas. It must never be used for any other kind.
//!
//! Written here, as the `ssh` feature of the crate `age` brings the crate `rsa`, whose decryption leaks by its
//! timing (RUSTSEC-2023-0071) and has no fixed version. The format: filippo.io/age, `agessh/agessh.go`.

use std::io;

use aes_gcm::aead::OsRng;
use aes_gcm::aead::rand_core::RngCore;
use age::secrecy::ExposeSecret;
use age_core::format::{FILE_KEY_BYTES, FileKey, Stanza};
use age_core::primitives::{aead_decrypt, aead_encrypt, hkdf};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use curve25519_dalek::MontgomeryPoint;
use curve25519_dalek::edwards::CompressedEdwardsY;
use zeroize::Zeroizing;

use super::attempt::{Unwrapped, decode};
use super::ssh::{PublicHalf, SshConversionError};

pub(super) const TAG: &str = "ssh-ed25519";
const LABEL: &[u8] = b"age-encryption.org/v1/ssh-ed25519";

/// An ed25519 SSH key as age itself uses it.
pub(super) struct SshEd25519 {
    public: PublicHalf,
    /// Clamped by each multiplication.
    scalar: Zeroizing<[u8; 32]>,
    /// The scalar's X25519 public key.
    point: MontgomeryPoint,
    /// `HKDF(salt = wire form, info = label, input = "")`: binds the exchange to the SSH key.
    tweak: [u8; 32],
}

impl SshEd25519 {
    pub(super) fn new(public: PublicHalf, scalar: Zeroizing<[u8; 32]>) -> Self {
        Self {
            point: MontgomeryPoint::mul_base_clamped(*scalar),
            tweak: hkdf(&public.wire, LABEL, &[]),
            public,
            scalar,
        }
    }

    /// `ssh-ed25519 AAAA…`.
    pub(super) fn line(&self) -> &str {
        &self.public.line
    }

    pub(super) fn unwrap(&self, stanza: &Stanza) -> Unwrapped {
        let [tag, share] = stanza.args.as_slice() else {
            return Unwrapped::Malformed;
        };
        if !self.public.is_tagged(Some(tag)) {
            return Unwrapped::NotOurs;
        }
        let Some(share) = decode::<32>(share) else {
            return Unwrapped::Malformed;
        };
        let exchanged = MontgomeryPoint(share).mul_clamped(*self.scalar);
        let shared = Zeroizing::new(exchanged.mul_clamped(self.tweak).to_bytes());
        if *shared == [0; 32] {
            // A share of low order: the key would be known to everybody.
            return Unwrapped::Malformed;
        }
        let salt = [share, self.point.to_bytes()].concat();
        let key = Zeroizing::new(hkdf(&salt, LABEL, &*shared));
        match aead_decrypt(&key, FILE_KEY_BYTES, &stanza.body) {
            Ok(key) => Unwrapped::of(Zeroizing::new(key)),
            Err(_) => Unwrapped::Damaged,
        }
    }
}

/// The public half alone.
#[derive(Clone)]
pub(super) struct SshEd25519Recipient {
    public: PublicHalf,
    point: MontgomeryPoint,
}

impl SshEd25519Recipient {
    pub(super) fn new(public: PublicHalf, key: &[u8; 32]) -> Result<Self, SshConversionError> {
        let point = CompressedEdwardsY(*key)
            .decompress()
            .ok_or(SshConversionError::Point)?;
        Ok(Self {
            point: point.to_montgomery(),
            public,
        })
    }

    /// `ssh-ed25519 AAAA…`.
    pub(super) fn line(&self) -> &str {
        &self.public.line
    }

    /// The start of its hash.
    pub(super) fn tag(&self) -> String {
        self.public.tag()
    }

    pub(super) fn wrap(&self, key: &FileKey) -> io::Result<Stanza> {
        let mut scalar = Zeroizing::new([0; 32]);
        OsRng.try_fill_bytes(&mut *scalar).map_err(io::Error::other)?;
        let share = MontgomeryPoint::mul_base_clamped(*scalar).to_bytes();
        let tweak = hkdf(&self.public.wire, LABEL, &[]);
        let exchanged = self.point.mul_clamped(*scalar).mul_clamped(tweak);
        let shared = Zeroizing::new(exchanged.to_bytes());
        if *shared == [0; 32] {
            // A key of low order: everybody could open what is sealed for it.
            return Err(io::Error::other(SshConversionError::Point));
        }
        let salt = [share, self.point.to_bytes()].concat();
        let wrapping = Zeroizing::new(hkdf(&salt, LABEL, &*shared));
        Ok(Stanza {
            tag: TAG.to_owned(),
            args: vec![self.public.tag(), BASE64_STANDARD_NO_PAD.encode(share)],
            body: aead_encrypt(&wrapping, key.expose_secret()),
        })
    }
}
