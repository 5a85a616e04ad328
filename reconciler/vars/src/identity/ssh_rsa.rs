//! Owns the opening and the making of age's `ssh-rsa` stanzas. It must never be used for any other kind.
//!
//! The arithmetic is OpenSSL's, which libgit2 and libssh2 bring anyway: blinded, and in constant time. The crate
//! `rsa` is neither (RUSTSEC-2023-0071). The format: filippo.io/age, `agessh/agessh.go`.

use std::io;

use age::secrecy::ExposeSecret;
use age_core::format::{FileKey, Stanza};
use openssl::bn::{BigNum, BigNumContext};
use openssl::error::ErrorStack;
use openssl::md::Md;
use openssl::pkey::{HasPublic, PKey, Private, Public};
use openssl::pkey_ctx::PkeyCtx;
use openssl::rsa::{Padding, Rsa};
use ssh_key::Mpint;
use ssh_key::private::RsaKeypair;
use ssh_key::public::RsaPublicKey;
use zeroize::Zeroizing;

use super::attempt::Unwrapped;
use super::ssh::{PublicHalf, SshConversionError};

pub(super) const TAG: &str = "ssh-rsa";
const LABEL: &[u8] = b"age-encryption.org/v1/ssh-rsa";

/// An RSA SSH key.
pub(super) struct SshRsa {
    public: PublicHalf,
    key: PKey<Private>,
}

impl SshRsa {
    /// Of OpenSSH's own format.
    pub(super) fn from_pair(pair: &RsaKeypair) -> Result<Self, SshConversionError> {
        let key = assemble(pair).map_err(|_| SshConversionError::Rsa)?;
        Self::new(key)
    }

    /// Of `BEGIN RSA PRIVATE KEY` and its like, which `ssh-keygen -m PEM` and older ones write.
    pub(super) fn from_pem(text: &[u8]) -> Result<Self, SshConversionError> {
        let mut asked = Asked::No;
        let key = PKey::private_key_from_pem_callback(text, |_| {
            asked = Asked::Yes;
            // Without a callback OpenSSL would ask on the terminal.
            Ok(0)
        });
        let key = match (key, asked) {
            (Ok(key), _) => key,
            (Err(_), Asked::Yes) => return Err(SshConversionError::PassphraseProtected),
            (Err(_), Asked::No) => return Err(SshConversionError::Rsa),
        };
        let key = key.rsa().map_err(|_| SshConversionError::Unsupported {
            algorithm: "PEM".to_owned(),
        })?;
        Self::new(key)
    }

    fn new(key: Rsa<Private>) -> Result<Self, SshConversionError> {
        let public = PublicHalf::of_rsa(&key.e().to_vec(), &key.n().to_vec())?;
        let key = PKey::from_rsa(key).map_err(|_| SshConversionError::Rsa)?;
        Ok(Self { public, key })
    }

    /// `ssh-rsa AAAA…`.
    pub(super) fn line(&self) -> &str {
        &self.public.line
    }

    pub(super) fn unwrap(&self, stanza: &Stanza) -> Unwrapped {
        let [tag] = stanza.args.as_slice() else {
            return Unwrapped::Malformed;
        };
        if !self.public.is_tagged(Some(tag)) {
            return Unwrapped::NotOurs;
        }
        match self.decrypt(&stanza.body) {
            Ok(key) => Unwrapped::of(key),
            Err(_) => Unwrapped::Damaged,
        }
    }

    /// RSA-OAEP with SHA-256, MGF1 with SHA-256, and age's label (RFC 8017 §7.1).
    fn decrypt(&self, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, ErrorStack> {
        let mut context = PkeyCtx::new(&self.key)?;
        context.decrypt_init()?;
        pad(&mut context)?;
        let mut plain = Zeroizing::new(vec![0; self.key.size()]);
        let length = context.decrypt(sealed, Some(&mut plain))?;
        plain.truncate(length);
        Ok(plain)
    }
}

fn pad<T: HasPublic>(context: &mut PkeyCtx<T>) -> Result<(), ErrorStack> {
    context.set_rsa_padding(Padding::PKCS1_OAEP)?;
    context.set_rsa_oaep_md(Md::sha256())?;
    context.set_rsa_mgf1_md(Md::sha256())?;
    context.set_rsa_oaep_label(LABEL)
}

/// age seals for none that is shorter (`agessh.go`), in bits.
const SHORTEST: u32 = 2048;

/// The public half alone.
#[derive(Clone)]
pub(super) struct SshRsaRecipient {
    public: PublicHalf,
    key: PKey<Public>,
}

impl SshRsaRecipient {
    pub(super) fn new(public: PublicHalf, key: &RsaPublicKey) -> Result<Self, SshConversionError> {
        let number = |number: &Mpint| BigNum::from_slice(number.as_positive_bytes().unwrap_or_default());
        let made = || Rsa::from_public_components(number(&key.n)?, number(&key.e)?).and_then(PKey::from_rsa);
        let key = made().map_err(|_| SshConversionError::Rsa)?;
        if key.bits() < SHORTEST {
            return Err(SshConversionError::ShortRsa { bits: key.bits() });
        }
        Ok(Self { public, key })
    }

    /// `ssh-rsa AAAA…`.
    pub(super) fn line(&self) -> &str {
        &self.public.line
    }

    /// The start of its hash.
    pub(super) fn tag(&self) -> String {
        self.public.tag()
    }

    pub(super) fn wrap(&self, key: &FileKey) -> io::Result<Stanza> {
        Ok(Stanza {
            tag: TAG.to_owned(),
            args: vec![self.public.tag()],
            body: self.encrypt(key.expose_secret())?,
        })
    }

    fn encrypt(&self, plain: &[u8]) -> Result<Vec<u8>, ErrorStack> {
        let mut context = PkeyCtx::new(&self.key)?;
        context.encrypt_init()?;
        pad(&mut context)?;
        let mut sealed = Vec::new();
        context.encrypt_to_vec(plain, &mut sealed)?;
        Ok(sealed)
    }
}

enum Asked {
    No,
    Yes,
}

/// OpenSSH leaves out two numbers that OpenSSL wants: `d mod (p-1)` and `d mod (q-1)`.
fn assemble(pair: &RsaKeypair) -> Result<Rsa<Private>, ErrorStack> {
    let number = |number: &Mpint| BigNum::from_slice(number.as_positive_bytes().unwrap_or_default());
    let (n, e) = (number(&pair.public.n)?, number(&pair.public.e)?);
    let (d, p, q) = (
        number(&pair.private.d)?,
        number(&pair.private.p)?,
        number(&pair.private.q)?,
    );
    let mut context = BigNumContext::new_secure()?;
    let mut reduced = |prime: &BigNum| {
        let mut below = BigNum::from_slice(&Zeroizing::new(prime.to_vec()))?;
        below.sub_word(1)?;
        let mut rest = BigNum::new()?;
        let result = rest.checked_rem(&d, &below, &mut context);
        below.clear();
        result.map(|()| rest)
    };
    let (dp, dq) = (reduced(&p)?, reduced(&q)?);
    let key = Rsa::from_private_components(n, e, d, p, q, dp, dq, number(&pair.private.iqmp)?)?;
    // Numbers that do not belong together would decrypt to something that depends on them.
    if key.check_key()? {
        Ok(key)
    } else {
        Err(ErrorStack::get())
    }
}
