//! The sops file format, JSON and binary stores, with age recipients.
//!
//! Written after getsops/sops 3.13: `sops.go`, `aes/cipher.go`, `stores/`. Stricter in three places
//! where the original lets someone without any key change what a file decrypts to: a key given twice in
//! one object, text after a value's closing bracket, and text after the document are refused.

mod agefile;
mod datakey;
mod decrypt;
mod document;
mod encrypt;
mod error;
mod json;
mod metadata;
mod plain;
mod recipient;
mod rules;
mod timestamp;
mod value;

pub use decrypt::{Decrypted, LARGEST_FILE, decrypt_file};
pub use encrypt::{Rekeyed, SealError, encrypt_binary, rekey_file};
pub use error::{KeyKind, SopsError, ValueProblem};
pub use plain::{NotText, Plain};
pub use recipient::{InvalidRecipient, Recipient};
