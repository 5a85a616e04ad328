//! The sops file format with age recipients: JSON, YAML, dotenv, INI and binary stores; and plain age files.
//!
//! Written after getsops/sops 3.13: `sops.go`, `aes/cipher.go`, `stores/`. Stricter in three places
//! where the original lets someone without any key change what a file decrypts to: a key given twice in
//! one map, text after a value's closing bracket, and text after the document are refused.

mod agefile;
mod datakey;
mod decrypt;
mod decrypted;
mod dotenv;
mod encrypt;
mod error;
mod flat;
mod format;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod ini;
mod inspect;
mod json;
mod json_text;
mod key_groups;
mod keys;
mod metadata;
mod node;
mod number;
mod open;
mod recipient;
mod rules;
mod seal;
mod sealed;
mod shamir;
mod sink;
mod store;
mod timestamp;
mod value;
mod walk;
mod yaml;

pub(crate) use agefile::is_age;
pub use decrypt::{decrypt, decrypt_file};
pub use decrypted::{Decrypted, LookupError};
pub use encrypt::{
    MacScope, Rekeyed, SealError, SealOptions, edit, encrypt, encrypt_binary, rekey, rekey_file, rotate,
};
pub use error::{KeyKind, SopsError, ValueProblem};
pub use format::{Format, UnknownFormat};
pub use inspect::{AgeStanza, Inspection, Shares, inspect};
pub use key_groups::KeyGroups;
pub use keys::SealedKeys;
pub(crate) use recipient::canonical;
pub use recipient::{InvalidRecipient, Recipient};
pub use rules::Selection;
pub use store::LARGEST_FILE;
