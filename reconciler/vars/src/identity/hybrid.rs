//! Owns age's post-quantum identities, `AGE-SECRET-KEY-PQ-1…`, and the opening of their `mlkem768x25519` stanzas.
//! It must never be used for any other kind.
//!
//! The crate `age` has none yet. The stanza is HPKE (RFC 9180, base mode, HKDF-SHA256, ChaCha20-Poly1305) over
//! the key encapsulation MLKEM768-X25519, also called X-Wing (draft-ietf-hpke-pq; filippo.io/age, `pq.go`).

use age_core::format::{FILE_KEY_BYTES, Stanza};
use age_core::primitives::{bech32_decode, bech32_encode};
use bech32::Hrp;
use chacha20poly1305::aead::{Aead, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, Key, Nonce};
use curve25519_dalek::MontgomeryPoint;
use hkdf::Hkdf;
use ml_kem::kem::{Decapsulate, DecapsulationKey};
use ml_kem::{Ciphertext, EncodedSizeUser, KemCore, MlKem768, MlKem768Params};
use sha2::Sha256;
use sha3::digest::{ExtendableOutput, XofReader};
use sha3::{Digest, Sha3_256, Shake256, digest::Update};
use zeroize::{Zeroize, Zeroizing};

use super::attempt::{Unwrapped, decode};

pub(super) const TAG: &str = "mlkem768x25519";
/// How these identities begin.
pub(super) const PREFIX: &str = "AGE-SECRET-KEY-PQ-1";

const INFO: &[u8] = b"age-encryption.org/mlkem768x25519";
/// "HPKE", the KEM 0x647a, the KDF HKDF-SHA256, the AEAD ChaCha20-Poly1305 (RFC 9180 §5.1, §7).
const SUITE: &[u8] = b"HPKE\x64\x7a\x00\x01\x00\x03";
/// Ends X-Wing's hash of both secrets.
const LABEL: &[u8] = br"\.//^\";
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
            recipient: bech32_encode(Hrp::parse("age1pq").ok()?, &public),
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
        let mut hash = Sha3_256::new();
        Digest::update(&mut hash, first.as_slice());
        Digest::update(&mut hash, second.as_slice());
        Digest::update(&mut hash, curve);
        Digest::update(&mut hash, self.point.as_bytes());
        Digest::update(&mut hash, LABEL);
        first.as_mut_slice().zeroize();
        Some(Zeroizing::new(hash.finalize().into()))
    }
}

/// HPKE's `OpenBase` for the one message of a stanza, with no additional data (RFC 9180 §5.1, §6.1).
fn open(shared: &[u8; 32], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (identifier, _) = extract(&[], b"psk_id_hash", &[]);
    let (info, _) = extract(&[], b"info_hash", INFO);
    let context = [&[0][..], &identifier, &info].concat();
    let (_, secret) = extract(shared, b"secret", &[]);
    let (mut key, mut nonce) = (Zeroizing::new([0; 32]), [0; 12]);
    expand(&secret, b"key", &context, &mut *key)?;
    expand(&secret, b"base_nonce", &context, &mut nonce)?;
    let cipher = ChaCha20Poly1305::new(Key::from_slice(&*key));
    // The sequence number is 0, so the base nonce is the nonce.
    cipher
        .decrypt(Nonce::from_slice(&nonce), sealed)
        .ok()
        .map(Zeroizing::new)
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
