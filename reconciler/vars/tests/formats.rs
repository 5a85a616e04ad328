//! Files written by real sops, and what was done to them by hand, against what this crate makes of them.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's own helpers may fail loudly"
)]

mod support;

use reconciler_vars::sops::{Format, KeyKind, ValueProblem};
use reconciler_vars::{SopsError, decrypt_file};
use support::{CANARY, age_key, host_key, sealed};

fn plaintext(name: &str, identities: &reconciler_vars::Identities) -> Vec<u8> {
    decrypt_file(&sealed(name), identities)
        .unwrap()
        .into_bytes()
        .unwrap()
        .to_vec()
}

#[test]
fn the_binary_store_opens() {
    let machine = age_key("machine");
    let line = format!("{CANARY}\n").into_bytes();
    for (name, expected) in [
        ("binary", &line[..]),
        ("binary-several", &line),
        ("binary-empty", b""),
        ("binary-bytes", b"\xff\xfe\x00\x01binary"),
        ("groups-one", &line),
    ] {
        let opened = decrypt_file(&sealed(name), &machine).unwrap();
        assert_eq!(opened.format(), Format::Binary, "{name}");
        assert_eq!(plaintext(name, &machine), expected, "{name}");
    }
    assert_eq!(plaintext("binary-host-key", &host_key()), line);
    assert_eq!(plaintext("binary-several", &host_key()), line);
}

#[test]
fn the_json_store_opens_under_every_rule() {
    let machine = age_key("machine");
    let expected = sealed("plain");
    for name in [
        "json-default",
        "json-encrypted-suffix",
        "json-unencrypted-suffix",
        "json-encrypted-regex",
        "json-unencrypted-regex",
        "json-mac-only",
    ] {
        let opened = plaintext(name, &machine);
        assert_eq!(
            String::from_utf8_lossy(&opened),
            String::from_utf8_lossy(&expected),
            "{name}"
        );
    }
}

#[test]
fn what_must_not_open_is_refused_with_its_own_reason() {
    let machine = age_key("machine");
    let recipient = |name| age_key(name).recipients()[0].recipient.clone();
    let value = |path: &str, problem| SopsError::Value {
        path: path.to_owned(),
        problem,
    };
    for (name, expected) in [
        (
            "binary-other-recipient",
            SopsError::NotEncryptedToThisMachine {
                recipients: vec![recipient("admin")],
            },
        ),
        ("bad-mac-of-another", SopsError::BadMac),
        ("bad-lastmodified", SopsError::BadMac),
        ("bad-no-mac", SopsError::NoMac),
        ("bad-mac-added-leaf", SopsError::BadMac),
        ("bad-cleartext-in-slot", value("data", ValueProblem::NotEncrypted)),
        ("bad-trailing-text", value("data", ValueProblem::TrailingText)),
        ("bad-moved-value", value("password", ValueProblem::Authentication)),
        (
            "bad-pgp-only",
            SopsError::NoAgeRecipient {
                kinds: vec![KeyKind::Pgp],
            },
        ),
        (
            "bad-data-key",
            SopsError::DataKey {
                recipient: recipient("machine"),
            },
        ),
        (
            "bad-duplicate-key",
            SopsError::DuplicateKey { key: "data".into() },
        ),
        ("bad-truncated", SopsError::Truncated),
        ("bad-no-metadata", SopsError::NoMetadata),
        (
            "groups-two",
            SopsError::KeyGroups {
                count: 2,
                opened: 1,
                needed: 2,
            },
        ),
    ] {
        let error = decrypt_file(&sealed(name), &machine).unwrap_err();
        assert_eq!(error, expected, "{name}");
        let text = format!("{error} {error:?}");
        assert!(!text.contains(CANARY) && !text.contains("ENC["), "{name}: {text}");
    }
    assert_eq!(decrypt_file(b" \n", &machine).unwrap_err(), SopsError::Empty);
    assert_eq!(decrypt_file(b"[]", &machine).unwrap_err(), SopsError::NotAnObject);
    let large = vec![b' '; reconciler_vars::sops::LARGEST_FILE + 1];
    assert!(matches!(
        decrypt_file(&large, &machine),
        Err(SopsError::TooLarge { .. })
    ));
}

#[test]
fn no_debug_output_shows_a_plaintext() {
    for name in ["binary", "json-default"] {
        let opened = decrypt_file(&sealed(name), &age_key("machine")).unwrap();
        let text = format!("{opened:?}");
        assert!(
            text.contains("redacted") && !text.contains("horse") && !text.contains("99, 111"),
            "{text}"
        );
    }
}

/// A file that was edited in one place either opens to the same plaintext or not at all.
#[test]
fn no_single_changed_byte_yields_another_plaintext() {
    let machine = age_key("machine");
    let original = sealed("binary");
    let expected = plaintext("binary", &machine);
    for index in 0..original.len() {
        let mut edited = original.clone();
        edited[index] = if edited[index] == b'A' { b'B' } else { b'A' };
        if let Ok(opened) = decrypt_file(&edited, &machine) {
            assert_eq!(opened.into_bytes().unwrap().as_slice(), expected, "byte {index}");
        }
    }
}

#[test]
fn no_prefix_of_a_file_opens() {
    let machine = age_key("machine");
    let original = sealed("binary");
    let whole = original.iter().rposition(|byte| *byte == b'}').unwrap();
    for length in 0..=whole {
        assert!(
            decrypt_file(&original[..length], &machine).is_err(),
            "{length} bytes"
        );
    }
}
