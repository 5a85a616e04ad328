//! Owns the reasons for which a file cannot be opened. It must never quote a value, encrypted or not.

use std::fmt;

use super::format::Format;
use crate::identity::PluginProblem;

/// A kind of key that sops can seal a data key for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KeyKind {
    /// OpenPGP.
    Pgp,
    /// AWS KMS.
    Kms,
    /// Google Cloud KMS.
    GcpKms,
    /// Huawei Cloud KMS.
    HuaweiKms,
    /// Azure Key Vault.
    AzureKeyVault,
    /// HashiCorp Vault.
    Vault,
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pgp => "pgp",
            Self::Kms => "kms",
            Self::GcpKms => "gcp_kms",
            Self::HuaweiKms => "hckms",
            Self::AzureKeyVault => "azure_kv",
            Self::Vault => "hc_vault",
        })
    }
}

/// What is wrong with one encrypted value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ValueProblem {
    /// Cleartext stands where the file's own rule wants an encrypted value.
    #[error("is not encrypted")]
    NotEncrypted,
    /// Text follows the closing bracket, which sops itself would silently drop.
    #[error("has text after its closing bracket")]
    TrailingText,
    /// A part is no base64.
    #[error("has a part that is not base64")]
    Base64,
    /// The initialisation vector has a length that no sops ever wrote.
    #[error("has an initialisation vector of {0} bytes")]
    IvLength(usize),
    /// The tag is not of 16 bytes.
    #[error("has a tag of {0} bytes")]
    TagLength(usize),
    /// The ciphertext, its place in the file, or the key is not the one it was sealed with.
    #[error("was changed, moved, or sealed with another data key")]
    Authentication,
    /// The type is unknown, or none that a JSON document can hold.
    #[error("has a type that is not known here")]
    Type,
    /// The decrypted text is not of the type that it claims.
    #[error("does not decrypt to its own type")]
    Content,
}

/// Why a file could not be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SopsError {
    /// It is larger than any secret may be.
    #[error("has {size} bytes, more than the {limit} that are read")]
    TooLarge {
        /// Its size in bytes.
        size: usize,
        /// The largest size that is read, in bytes.
        limit: usize,
    },
    /// It has no content.
    #[error("is empty")]
    Empty,
    /// The document ends before it is complete.
    #[error("is truncated")]
    Truncated,
    /// It is not of its store's syntax.
    #[error("is not a sops file: not {} at line {line}, column {column}", title(.format))]
    Syntax {
        /// The store; JSON where it is binary.
        format: Format,
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
    },
    /// It is JSON, and not an object.
    #[error("is not a sops file: not a JSON object")]
    NotAnObject,
    /// One map has a key twice, so that readers may differ about its value.
    #[error("has the key {key:?} twice in one map")]
    DuplicateKey {
        /// The key.
        key: String,
    },
    /// A key is a number, a truth value, a list or a map.
    #[error("has a key that is not a text at line {line}")]
    KeyNotText {
        /// From 1.
        line: usize,
    },
    /// It nests deeper than any sops file does.
    #[error("nests deeper than {limit} levels")]
    TooDeep {
        /// How deep it may.
        limit: usize,
    },
    /// There is no `sops` section: most likely the secret was committed in cleartext.
    #[error("is not encrypted: it has no `sops` section")]
    NoMetadata,
    /// A field of the `sops` section is missing or has the wrong type.
    #[error("has a malformed `{field}` in its `sops` section")]
    Metadata {
        /// The field.
        field: &'static str,
    },
    /// More than one rule says what is encrypted.
    #[error("has more than one rule for what is encrypted")]
    ConflictingRules,
    /// The rule is one that this code cannot follow.
    #[error("uses `{rule}`, which is not supported")]
    UnsupportedRule {
        /// The rule's name.
        rule: &'static str,
    },
    /// The rule's regular expression is none.
    #[error("has a malformed regular expression in `{rule}`")]
    Regex {
        /// The rule's name.
        rule: &'static str,
    },
    /// Its data key is split among groups of keys, of which too few open.
    #[error(
        "splits its data key among {count} key groups, of which {opened} can be opened here and {needed} are needed"
    )]
    KeyGroups {
        /// How many groups it has.
        count: usize,
        /// How many of them opened.
        opened: usize,
        /// How many have to.
        needed: usize,
    },
    /// The shares of its data key do not fit together.
    #[error("has damaged shares of its data key")]
    Shares,
    /// It has more key groups than there can be shares.
    #[error("has {count} key groups, more than the {limit} that there can be")]
    TooManyGroups {
        /// How many it has.
        count: usize,
        /// How many there can be.
        limit: usize,
    },
    /// No age key can open it, as it is sealed for none.
    #[error("is encrypted for no age key{}", Kinds(.kinds))]
    NoAgeRecipient {
        /// The kinds of keys that it is sealed for.
        kinds: Vec<KeyKind>,
    },
    /// None of this machine's identities opens it.
    #[error("is not encrypted to this machine")]
    NotEncryptedToThisMachine {
        /// Those that it is encrypted to, as the file itself says.
        recipients: Vec<String>,
    },
    /// It has more recipients than are tried.
    #[error("has {count} age recipients, more than the {limit} that are tried")]
    TooManyRecipients {
        /// How many it has.
        count: usize,
        /// How many are tried.
        limit: usize,
    },
    /// The data key sealed for this machine is damaged.
    #[error("has a damaged data key for {recipient}")]
    DataKey {
        /// The recipient, as the file itself says.
        recipient: String,
    },
    /// It is an age file that only a passphrase opens, which nobody is asked for.
    #[error("is encrypted with a passphrase")]
    Passphrase,
    /// No key of its own opens it, and the one that an age plugin holds cannot be used now.
    #[error("does not open with the age plugin {name}: {problem}")]
    Plugin {
        /// The plugin's name.
        name: String,
        /// Why it gave no key.
        problem: PluginProblem,
    },
    /// It is an age file that ends early or was changed.
    #[error("is a damaged age file")]
    AgeFile,
    /// Entries that no code vouches for stand beside the `data` of a binary file.
    #[error("has entries beside `data` that its message authentication code does not cover")]
    Unsealed,
    /// It was to be of the binary store, and has no `data`.
    #[error("is not of the binary store: it has no `data` of its own")]
    NotBinary,
    /// One value is wrong.
    #[error("value {path:?} {problem}")]
    Value {
        /// Its keys, joined by `:`.
        path: String,
        /// What is wrong.
        problem: ValueProblem,
    },
    /// `lastmodified` is not a time.
    #[error("has a malformed `lastmodified`")]
    LastModified,
    /// There is no code that vouches for the whole.
    #[error("has no message authentication code")]
    NoMac,
    /// The code does not vouch for these values.
    #[error("has a wrong message authentication code: it was edited without its key")]
    BadMac,
    /// The decrypted document holds what its store, or the one that was asked for, cannot write.
    #[error("decrypts to what cannot be written as {}", title(.format))]
    Unwritable {
        /// The store.
        format: Format,
    },
}

/// The store as a sentence names it.
fn title(format: &Format) -> &'static str {
    match format {
        Format::Json | Format::Binary => "JSON",
        Format::Yaml => "YAML",
        Format::Dotenv => "dotenv",
        Format::Ini => "INI",
    }
}

struct Kinds<'a>(&'a [KeyKind]);

impl fmt::Display for Kinds<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, kind) in self.0.iter().enumerate() {
            write!(f, "{}{kind}", if index == 0 { ", only for: " } else { ", " })?;
        }
        Ok(())
    }
}
