//! Owns what several targets share: the keys of the tests, and what must hold of a document in any of the stores.

use std::path::Path;
use std::sync::OnceLock;

use reconciler_vars::sops::{MacScope, SealError, SealedKeys, Selection};
use reconciler_vars::{Format, Identities, IdentitySource, LookupError, decrypt, fuzzing};

/// A file of the fixtures of the crate that opens secrets.
#[must_use]
pub fn fixture(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../reconciler/vars/tests/fixtures")
        .join(name)
}

/// Keys of every kind that the tests have.
pub fn identities() -> &'static Identities {
    static KEYS: OnceLock<Identities> = OnceLock::new();
    KEYS.get_or_init(|| {
        let names = [
            "machine.txt",
            "post-quantum.txt",
            "ssh_host_ed25519_key",
            "ssh_host_rsa_key",
        ];
        let sources = names.map(|name| IdentitySource::KeyFile(fixture("keys").join(name)));
        let (identities, problems) = Identities::load(&sources);
        assert!(problems.is_empty(), "{problems:?}");
        identities
    })
}

/// The rule and the scope of the MAC that a byte stands for: `0` is the first rule, `6` the same with
/// `mac_only_encrypted`.
fn options(byte: u8) -> (Selection, MacScope) {
    let rule = match byte % 6 {
        0 => Selection::UnencryptedSuffix("_clear".into()),
        1 => Selection::EncryptedSuffix("_enc".into()),
        2 => Selection::UnencryptedRegex("^[a-f]".into()),
        3 => Selection::EncryptedRegex(r"^\w_|b".into()),
        4 => Selection::UnencryptedCommentRegex("clear".into()),
        _ => Selection::EncryptedCommentRegex("sops:enc".into()),
    };
    let scope = match byte / 6 % 2 {
        0 => MacScope::All,
        _ => MacScope::Encrypted,
    };
    (rule, scope)
}

/// A byte that chooses the rule, and a document: as a sealed file, and as plaintext to be sealed.
pub fn document(bytes: &[u8], format: Format) {
    let [choice, text @ ..] = bytes else {
        return;
    };
    sealed_file(text, format);
    plaintext(text, format, *choice);
}

/// What opens has keys that are found without opening it, and is written as something that is read again.
fn sealed_file(text: &[u8], format: Format) {
    let Ok(opened) = decrypt(text, format, identities()) else {
        return;
    };
    let keys = SealedKeys::read(text, format);
    for key in ["", "a", "a/b", "a/0", "nested/list/0", "key/", "/"] {
        let value = opened.lookup(key);
        if let (Ok(keys), Format::Json | Format::Yaml) = (&keys, opened.format()) {
            match (&value, keys.find(key)) {
                (Ok(_), found) => assert!(found.is_ok(), "{key}: {found:?}"),
                (Err(LookupError::Missing { .. }), found) => assert!(found.is_err(), "{key}"),
                _ => {}
            }
        }
    }
    if let Ok(json) = opened.to_json() {
        assert!(serde_json::from_slice::<serde_json::Value>(&json).is_ok());
    }
    if let Ok(written) = opened.into_bytes() {
        let is_blank = written.iter().all(u8::is_ascii_whitespace);
        assert!(is_blank || fuzzing::same_values(&written, &written, format).is_ok());
    }
}

/// What is sealed opens, what it opens to is of the store's syntax, and has the same values.
fn plaintext(text: &[u8], format: Format, choice: u8) {
    let (selection, scope) = options(choice);
    let sealed = match fuzzing::seal(text, format, &selection, scope) {
        Ok(sealed) => sealed,
        // Only comments may be in the way.
        Err(SealError::NotReadBack) => {
            assert!(format != Format::Json, "a JSON document that does not open again");
            return;
        }
        Err(_) => return,
    };
    let opened = fuzzing::open(&sealed, format).expect("what was sealed opens");
    let Ok(written) = opened.into_bytes() else {
        return;
    };
    // Comments of a file without any key: INI has nothing to put them at.
    if written.iter().all(u8::is_ascii_whitespace) {
        return;
    }
    assert!(
        fuzzing::same_values(text, &written, format).expect("what was written is read"),
        "other values: {}",
        String::from_utf8_lossy(&written)
    );
}
