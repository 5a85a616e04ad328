//! Owns one encrypted value, `ENC[AES256_GCM,data:…,iv:…,tag:…,type:…]`. It must never put a value, open
//! or sealed, in an error.

use aes_gcm::aead::AeadInPlace;
use aes_gcm::aead::consts::{U12, U16, U24, U32};
use aes_gcm::aead::generic_array::{ArrayLength, GenericArray};
use aes_gcm::aes::Aes256;
use aes_gcm::{AesGcm, KeyInit};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::error::ValueProblem;
use super::node::{Comment, Node, Place};
use super::walk::Made;
use super::{number, timestamp};

/// The key that every value of one file is sealed with.
pub(super) struct DataKey(pub(super) Zeroizing<[u8; 32]>);

/// Length of a GCM tag in bytes.
const TAG: usize = 16;

/// What a sealed value was made of.
pub(super) struct Opened {
    pub(super) made: Made,
    /// The nonce, where it is of the length that is written.
    pub(super) iv: Option<[u8; IV]>,
}

/// Opens a value whose keys, each followed by a colon, are `context`.
///
/// The empty text stands for itself: sops seals no empty value (aes/cipher.go).
pub(super) fn open(key: &DataKey, text: &str, context: &str) -> Result<Opened, ValueProblem> {
    if text.is_empty() {
        let made = Made::Value(Node::text(""));
        return Ok(Opened { made, iv: None });
    }
    let parts = Parts::read(text)?;
    let bytes = unseal(key, &parts, context.as_bytes())?;
    Ok(Opened {
        made: typed(parts.kind, bytes)?,
        iv: parts.iv.try_into().ok(),
    })
}

struct Parts<'a> {
    data: Vec<u8>,
    iv: Vec<u8>,
    tag: Vec<u8>,
    kind: &'a str,
}

impl<'a> Parts<'a> {
    fn read(text: &'a str) -> Result<Self, ValueProblem> {
        let rest = text
            .strip_prefix("ENC[AES256_GCM,data:")
            .ok_or(ValueProblem::NotEncrypted)?;
        let (data, rest) = rest.split_once(",iv:").ok_or(ValueProblem::NotEncrypted)?;
        let (iv, rest) = rest.split_once(",tag:").ok_or(ValueProblem::NotEncrypted)?;
        let (tag, rest) = rest.split_once(",type:").ok_or(ValueProblem::NotEncrypted)?;
        let (kind, rest) = rest.split_once(']').ok_or(ValueProblem::NotEncrypted)?;
        if !rest.is_empty() {
            return Err(ValueProblem::TrailingText);
        }
        let decode = |part: &str| STANDARD.decode(part).map_err(|_| ValueProblem::Base64);
        Ok(Self {
            data: decode(data)?,
            iv: decode(iv)?,
            tag: decode(tag)?,
            kind,
        })
    }
}

/// The nonce is as long as the value's own iv: 32 bytes from sops itself, while other writers of the
/// format use shorter ones. Its length is part of the cipher's type, so the choices are listed.
fn unseal(key: &DataKey, parts: &Parts<'_>, context: &[u8]) -> Result<Zeroizing<Vec<u8>>, ValueProblem> {
    match parts.iv.len() {
        32 => unseal_with::<U32>(key, parts, context),
        24 => unseal_with::<U24>(key, parts, context),
        16 => unseal_with::<U16>(key, parts, context),
        12 => unseal_with::<U12>(key, parts, context),
        other => Err(ValueProblem::IvLength(other)),
    }
}

fn unseal_with<N: ArrayLength<u8>>(
    key: &DataKey,
    parts: &Parts<'_>,
    context: &[u8],
) -> Result<Zeroizing<Vec<u8>>, ValueProblem> {
    if parts.tag.len() != TAG {
        return Err(ValueProblem::TagLength(parts.tag.len()));
    }
    if parts.iv.len() != N::USIZE {
        return Err(ValueProblem::IvLength(parts.iv.len()));
    }
    let cipher = AesGcm::<Aes256, N>::new(GenericArray::from_slice(&*key.0));
    let mut buffer = Zeroizing::new(parts.data.clone());
    let (nonce, tag) = (
        GenericArray::from_slice(&parts.iv),
        GenericArray::from_slice(&parts.tag),
    );
    cipher
        .decrypt_in_place_detached(nonce, context, &mut buffer, tag)
        .map_err(|_| ValueProblem::Authentication)?;
    Ok(buffer)
}

/// Length in bytes of the nonce that sops writes.
pub(super) const IV: usize = 32;

/// The type of a value, as it stands behind the ciphertext.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Text,
    Integer,
    Float,
    Bool,
    Time,
    Comment,
}

impl Kind {
    /// Of a leaf.
    pub(super) fn of(node: &Node) -> Self {
        match node {
            Node::Integer(_) => Self::Integer,
            Node::Float(_) => Self::Float,
            Node::Bool(_) => Self::Bool,
            Node::Time(_) => Self::Time,
            Node::Null | Node::Text(_) | Node::List(_) | Node::Map(_) => Self::Text,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Text => "str",
            Self::Integer => "int",
            Self::Float => "float",
            Self::Bool => "bool",
            Self::Time => "time",
            Self::Comment => "comment",
        }
    }
}

/// Seals a value; `None` where it is longer than the cipher can take. A nonce must never be used for two
/// plaintexts.
pub(super) fn seal(
    key: &DataKey,
    plaintext: &[u8],
    kind: Kind,
    context: &str,
    iv: &[u8; IV],
) -> Option<String> {
    let cipher = AesGcm::<Aes256, U32>::new(GenericArray::from_slice(&*key.0));
    let mut buffer = Zeroizing::new(plaintext.to_vec());
    let tag = cipher
        .encrypt_in_place_detached(GenericArray::from_slice(iv), context.as_bytes(), &mut buffer)
        .ok()?;
    let [data, iv, tag] = [buffer.as_slice(), iv, tag.as_slice()].map(|part| STANDARD.encode(part));
    Some(format!(
        "ENC[AES256_GCM,data:{data},iv:{iv},tag:{tag},type:{}]",
        kind.name()
    ))
}

fn typed(kind: &str, bytes: Zeroizing<Vec<u8>>) -> Result<Made, ValueProblem> {
    let text = || std::str::from_utf8(&bytes).map_err(|_| ValueProblem::Content);
    let node = match kind {
        "str" | "bytes" => Node::Text(bytes),
        // Where it stood is not known; sops puts it on a line of its own.
        "comment" => {
            return Ok(Made::Comment(Comment {
                text: bytes,
                place: Place::Above,
            }));
        }
        "time" => Node::Time(timestamp::precise(text()?).ok_or(ValueProblem::Content)?.into()),
        "int" => Node::Integer(text()?.parse().map_err(|_| ValueProblem::Content)?),
        "float" => Node::Float(number::parse(text()?).ok_or(ValueProblem::Content)?),
        // The words of Go's `ParseBool`.
        "bool" => match text()? {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Node::Bool(true),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Node::Bool(false),
            _ => return Err(ValueProblem::Content),
        },
        _ => return Err(ValueProblem::Type),
    };
    Ok(Made::Value(node))
}
