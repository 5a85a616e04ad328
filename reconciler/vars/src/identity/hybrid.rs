//! Owns age's post-quantum keys, `AGE-SECRET-KEY-PQ-1…` and `age1pq1…`, and their `mlkem768x25519` stanzas.
//! It must never be used for any other kind.
//!
//! The crate `age` has none yet. The stanza is HPKE (RFC 9180, base mode, HKDF-SHA256, ChaCha20-Poly1305) over
//! the key encapsulation MLKEM768-X25519, also called X-Wing (draft-ietf-hpke-pq; filippo.io/age, `pq.go`).

use std::collections::HashSet;
use std::io;

use aes_gcm::aead::OsRng;
use aes_gcm::aead::rand_core::RngCore;
use age::EncryptError;
use age::secrecy::ExposeSecret;
use age_core::format::{FILE_KEY_BYTES, FileKey, Stanza};
use age_core::primitives::{bech32_decode, bech32_encode};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use bech32::Hrp;
use chacha20poly1305::aead::{Aead, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, Key, Nonce};
use curve25519_dalek::MontgomeryPoint;
use hkdf::Hkdf;
use ml_kem::kem::{Decapsulate, DecapsulationKey, Encapsulate, EncapsulationKey};
use ml_kem::{Ciphertext, Encoded, EncodedSizeUser, KemCore, MlKem768, MlKem768Params};
use sha2::Sha256;
use sha3::digest::{ExtendableOutput, XofReader};
use sha3::{Digest, Sha3_256, Shake256, digest::Update};
use zeroize::{Zeroize, Zeroizing};

use super::attempt::{Unwrapped, decode};

pub(super) const TAG: &str = "mlkem768x25519";
/// How these identities begin.
pub(super) const PREFIX: &str = "AGE-SECRET-KEY-PQ-1";

/// What stands before the `1` of these recipients.
const PUBLIC: &str = "age1pq";
/// Recipients with another label are not sealed for together with these (C2SP, age.md).
const POST_QUANTUM: &str = "postquantum";

const INFO: &[u8] = b"age-encryption.org/mlkem768x25519";
/// "HPKE", the KEM 0x647a, the KDF HKDF-SHA256, the AEAD ChaCha20-Poly1305 (RFC 9180 §5.1, §7).
const SUITE: &[u8] = b"HPKE\x64\x7a\x00\x01\x00\x03";
/// Ends X-Wing's hash of both secrets.
const LABEL: &[u8] = br"\.//^\";
/// Bytes of an ML-KEM-768 public key (FIPS 203 §8).
const LATTICE: usize = 1184;
/// Bytes of an ML-KEM-768 ciphertext and of the X25519 share behind it (FIPS 203 §8).
const SHARE: usize = 1088 + 32;

/// A post-quantum identity.
pub(super) struct Hybrid {
    lattice: DecapsulationKey<MlKem768Params>,
    scalar: Zeroizing<[u8; 32]>,
    point: MontgomeryPoint,
    recipient: String,
}

impl Hybrid {
    /// Reads `AGE-SECRET-KEY-PQ-1…`, which holds a seed of 32 bytes.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let expected = Hrp::parse("age-secret-key-pq-").ok()?;
        let seed = bech32_decode(
            text,
            |_| (),
            |prefix| (prefix == expected).then_some(()).ok_or(()),
            |_, bytes| {
                let mut seed = Zeroizing::new([0; 32]);
                let mut bytes = bytes.fuse();
                for slot in seed.iter_mut() {
                    *slot = bytes.next().ok_or(())?;
                }
                bytes.next().is_none().then_some(seed).ok_or(())
            },
        );
        let seed = seed.ok()?;
        Self::new(&seed)
    }

    fn new(seed: &[u8; 32]) -> Option<Self> {
        let mut hash = Shake256::default();
        Update::update(&mut hash, seed);
        let mut stream = hash.finalize_xof();
        let mut part = || {
            let mut bytes = Zeroizing::new([0; 32]);
            stream.read(&mut *bytes);
            bytes
        };
        let (d, z, scalar) = (part(), part(), part());
        let (lattice, public) = MlKem768::generate_deterministic(&(*d).into(), &(*z).into());
        let point = MontgomeryPoint::mul_base_clamped(*scalar);
        let public = [public.as_bytes().as_slice(), point.as_bytes()].concat();
        Some(Self {
            recipient: bech32_encode(Hrp::parse(PUBLIC).ok()?, &public),
            lattice,
            scalar,
            point,
        })
    }

    /// `age1pq1…`, some two thousand characters.
    pub(super) fn recipient(&self) -> &str {
        &self.recipient
    }

    pub(super) fn unwrap(&self, stanza: &Stanza) -> Unwrapped {
        let [share] = stanza.args.as_slice() else {
            return Unwrapped::Malformed;
        };
        let Some(share) = decode::<SHARE>(share) else {
            return Unwrapped::Malformed;
        };
        // As age does: a longer body could be made to open with several keys.
        if stanza.body.len() != FILE_KEY_BYTES.saturating_add(16) {
            return Unwrapped::Malformed;
        }
        let Some(shared) = self.decapsulate(&share) else {
            return Unwrapped::Malformed;
        };
        // The encapsulation rejects implicitly: whether it was for us, only the last step says.
        match open(&shared, &stanza.body) {
            Some(key) => Unwrapped::of(key),
            None => Unwrapped::NotOurs,
        }
    }

    fn decapsulate(&self, share: &[u8; SHARE]) -> Option<Zeroizing<[u8; 32]>> {
        let (lattice, curve) = share.split_last_chunk::<32>()?;
        let sealed = Ciphertext::<MlKem768>::try_from(lattice).ok()?;
        let mut first = self.lattice.decapsulate(&sealed).ok()?;
        let second = Zeroizing::new(MontgomeryPoint(*curve).mul_clamped(*self.scalar).to_bytes());
        if *second == [0; 32] {
            return None;
        }
        let both = combined(&first, &second, curve, &self.point);
        first.as_mut_slice().zeroize();
        Some(both)
    }
}

/// A post-quantum recipient.
#[derive(Clone)]
pub(crate) struct HybridRecipient {
    lattice: EncapsulationKey<MlKem768Params>,
    point: MontgomeryPoint,
}

impl HybridRecipient {
    /// Reads `age1pq1…`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let expected = Hrp::parse(PUBLIC).ok()?;
        let bytes: Vec<u8> = bech32_decode(
            text,
            |_| (),
            |prefix| (prefix == expected).then_some(()).ok_or(()),
            |_, bytes| Ok(bytes.collect()),
        )
        .ok()?;
        let (lattice, point) = bytes.split_at_checked(LATTICE)?;
        let encoded = Encoded::<EncapsulationKey<MlKem768Params>>::try_from(lattice).ok()?;
        let lattice = EncapsulationKey::from_bytes(&encoded);
        // Numbers that are not reduced would be read as others (FIPS 203 §7.2).
        (lattice.as_bytes() == encoded).then_some(Self {
            lattice,
            point: MontgomeryPoint(point.try_into().ok()?),
        })
    }

    fn wrap(&self, key: &FileKey) -> io::Result<Stanza> {
        let refused = || io::Error::other("the recipient is not a usable key");
        let (sealed, mut first) = self.lattice.encapsulate(&mut OsRng).map_err(|()| refused())?;
        let mut scalar = Zeroizing::new([0; 32]);
        OsRng.try_fill_bytes(&mut *scalar).map_err(io::Error::other)?;
        let curve = MontgomeryPoint::mul_base_clamped(*scalar).to_bytes();
        let second = Zeroizing::new(self.point.mul_clamped(*scalar).to_bytes());
        let shared = combined(&first, &second, &curve, &self.point);
        first.as_mut_slice().zeroize();
        if *second == [0; 32] {
            return Err(refused());
        }
        let (cipher, nonce) = cipher(&shared).ok_or_else(refused)?;
        let body = cipher.encrypt(&nonce, key.expose_secret().as_slice());
        Ok(Stanza {
            tag: TAG.to_owned(),
            args: vec![BASE64_STANDARD_NO_PAD.encode([sealed.as_slice(), &curve].concat())],
            body: body.map_err(|_| refused())?,
        })
    }
}

impl age::Recipient for HybridRecipient {
    fn wrap_file_key(&self, key: &FileKey) -> Result<(Vec<Stanza>, HashSet<String>), EncryptError> {
        Ok((vec![self.wrap(key)?], HashSet::from([POST_QUANTUM.to_owned()])))
    }
}

/// X-Wing's one secret out of two.
fn combined(
    lattice: &[u8],
    curve: &[u8; 32],
    share: &[u8; 32],
    point: &MontgomeryPoint,
) -> Zeroizing<[u8; 32]> {
    let mut hash = Sha3_256::new();
    for part in [lattice, curve, share, point.as_bytes(), LABEL] {
        Digest::update(&mut hash, part);
    }
    Zeroizing::new(hash.finalize().into())
}

/// HPKE's `OpenBase` for the one message of a stanza, with no additional data (RFC 9180 §5.1, §6.1).
fn open(shared: &[u8; 32], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (cipher, nonce) = cipher(shared)?;
    cipher.decrypt(&nonce, sealed).ok().map(Zeroizing::new)
}

/// The cipher of a stanza's message, and the nonce: as the message is the first, the base nonce.
fn cipher(shared: &[u8; 32]) -> Option<(ChaCha20Poly1305, Nonce)> {
    let (identifier, _) = extract(&[], b"psk_id_hash", &[]);
    let (info, _) = extract(&[], b"info_hash", INFO);
    let context = [&[0][..], &identifier, &info].concat();
    let (_, secret) = extract(shared, b"secret", &[]);
    let (mut key, mut nonce) = (Zeroizing::new([0; 32]), [0; 12]);
    expand(&secret, b"key", &context, &mut *key)?;
    expand(&secret, b"base_nonce", &context, &mut nonce)?;
    let cipher = ChaCha20Poly1305::new(Key::from_slice(&*key));
    Some((cipher, *Nonce::from_slice(&nonce)))
}

fn extract(salt: &[u8], label: &[u8], input: &[u8]) -> (Vec<u8>, Hkdf<Sha256>) {
    let input = [b"HPKE-v1", SUITE, label, input].concat();
    let (bytes, state) = Hkdf::<Sha256>::extract(Some(salt), &input);
    (bytes.to_vec(), state)
}

fn expand(secret: &Hkdf<Sha256>, label: &[u8], context: &[u8], output: &mut [u8]) -> Option<()> {
    let length = u16::try_from(output.len()).ok()?.to_be_bytes();
    let info = [&length[..], b"HPKE-v1", SUITE, label, context].concat();
    secret.expand(&info, output).ok()
}
