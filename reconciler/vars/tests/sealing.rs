//! Files that this crate makes, opened again by it. `interop.rs` has real sops open them.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's own helpers may fail loudly"
)]

mod support;

use proptest::prelude::{any, proptest};
use reconciler_vars::{
    Identities, Recipient, Rekeyed, SealError, SopsError, decrypt_file, encrypt_binary, rekey_file,
};
use support::{CANARY, age_key, sealed};

const TIME: &str = "2024-02-29T12:00:00Z";

fn recipient(name: &str) -> Recipient {
    age_key(name).recipients()[0].recipient.parse().unwrap()
}

fn open(bytes: &[u8], identities: &Identities) -> Vec<u8> {
    decrypt_file(bytes, identities)
        .unwrap()
        .into_bytes()
        .unwrap()
        .to_vec()
}

proptest! {
    #[test]
    fn what_is_sealed_opens_to_itself(plaintext in proptest::collection::vec(any::<u8>(), 0..200)) {
        let sealed = encrypt_binary(&plaintext, &[recipient("admin"), recipient("machine")], TIME).unwrap();
        assert_eq!(open(&sealed, &age_key("machine")), plaintext);
        assert_eq!(open(&sealed, &age_key("admin")), plaintext);
        assert!(decrypt_file(&sealed, &age_key("other")).is_err());
    }
}

#[test]
fn the_same_plaintext_is_never_sealed_twice_the_same() {
    let make = || encrypt_binary(b"secret", &[recipient("machine")], TIME).unwrap();
    let (one, two): (serde_json::Value, serde_json::Value) = (
        serde_json::from_slice(&make()).unwrap(),
        serde_json::from_slice(&make()).unwrap(),
    );
    for pointer in ["/data", "/sops/mac", "/sops/age/0/enc"] {
        assert!(one.pointer(pointer).is_some());
        assert_ne!(one.pointer(pointer), two.pointer(pointer), "{pointer}");
    }
}

#[test]
fn what_could_not_be_opened_or_checked_again_is_not_made() {
    let to = [recipient("machine")];
    assert!(matches!(
        encrypt_binary(b"x", &[], TIME),
        Err(SealError::NoRecipient)
    ));
    for time in [
        "",
        "yesterday",
        "2024-02-29T12:00:00+00:00",
        "2024-02-29T12:00:00.5Z",
        "2023-02-29T12:00:00Z",
    ] {
        assert!(
            matches!(encrypt_binary(b"x", &to, time), Err(SealError::Time { .. })),
            "{time}"
        );
    }
}

#[test]
fn sealing_for_others_gives_and_takes_access_and_nothing_else() {
    let (machine, admin, other) = (recipient("machine"), recipient("admin"), recipient("other"));
    for name in [
        "binary",
        "binary-several",
        "binary-empty",
        "groups-one",
        "json-default",
        "json-mac-only",
    ] {
        let before = sealed(name);
        let to = [other.clone(), machine.clone()];
        let Rekeyed::Changed(after) = rekey_file(&before, &age_key("machine"), &to).unwrap() else {
            panic!("{name} was not changed");
        };
        let expected = open(&before, &age_key("machine"));
        for reader in ["other", "machine"] {
            assert_eq!(open(&after, &age_key(reader)), expected, "{name}");
        }
        assert!(matches!(
            decrypt_file(&after, &age_key("admin")),
            Err(SopsError::NotEncryptedToThisMachine { .. })
        ));
        // In another order it is the same.
        let again = rekey_file(&after, &age_key("other"), &[machine.clone(), other.clone()]).unwrap();
        assert_eq!(again, Rekeyed::Unchanged);
    }
    for (name, expected) in [
        ("bad-mac-of-another", SopsError::BadMac),
        ("bad-no-metadata", SopsError::NoMetadata),
    ] {
        let error = rekey_file(&sealed(name), &age_key("machine"), std::slice::from_ref(&admin)).unwrap_err();
        assert!(
            matches!(&error, SealError::Open(found) if *found == expected),
            "{error:?}"
        );
        assert!(!format!("{error} {error:?}").contains(CANARY));
    }
}
