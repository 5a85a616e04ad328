//! Arbitrary and half-right input: nothing panics, and nothing opens that was not sealed.

mod support;

use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};
use reconciler_vars::{Declared, Mode, Requirements, decrypt_file, ssh_public_key_to_recipient};
use serde_json::{Map, Value, json};
use support::{age_key, sealed};

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(|number| json!(number)),
        ".{0,12}".prop_map(Value::from),
        "ENC\\[AES256_GCM,data:[A-Za-z0-9+/=]{0,8},iv:[A-Za-z0-9+/=]{0,44},tag:[A-Za-z0-9+/=]{0,24},type:[a-z]{0,5}\\]?"
            .prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((key(), inner), 0..4)
                .prop_map(|entries| Value::from(entries.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// Keys that the format knows, so that the deeper code is reached.
fn key() -> impl Strategy<Value = String> {
    let known = [
        "data",
        "sops",
        "age",
        "recipient",
        "enc",
        "mac",
        "lastmodified",
        "key_groups",
        "pgp",
        "encrypted_regex",
        "unencrypted_suffix",
        "mac_only_encrypted",
        "shamir_threshold",
    ];
    prop_oneof![
        proptest::sample::select(known.to_vec()).prop_map(str::to_owned),
        ".{0,6}"
    ]
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_open(bytes: Vec<u8>) {
        assert!(decrypt_file(&bytes, &age_key("machine")).is_err());
    }

    #[test]
    fn arbitrary_documents_never_open(document in value()) {
        assert!(decrypt_file(document.to_string().as_bytes(), &age_key("machine")).is_err());
    }

    #[test]
    fn a_real_file_with_one_field_replaced_opens_only_to_its_own_plaintext(
        field in key(), replacement in value(), in_section: bool,
    ) {
        let machine = age_key("machine");
        let expected = decrypt_file(&sealed("binary"), &machine).unwrap().into_bytes().unwrap();
        let mut document: Value = serde_json::from_slice(&sealed("binary")).unwrap();
        let target = if in_section { &mut document["sops"] } else { &mut document };
        target[field] = replacement;
        if let Ok(opened) = decrypt_file(document.to_string().as_bytes(), &machine) {
            assert_eq!(opened.into_bytes().unwrap(), expected);
        }
    }

    #[test]
    fn lists_nested_to_any_depth_are_survived(depth in 0_usize..20_000) {
        let text = format!("{{\"data\":{}{}, \"sops\":{{}}}}", "[".repeat(depth), "]".repeat(depth));
        assert!(decrypt_file(text.as_bytes(), &age_key("machine")).is_err());
    }

    #[test]
    fn declarations_of_any_shape_are_survived(document in value(), machine in ".{0,8}") {
        if let Ok(declared) = serde_json::from_value::<Declared>(json!({"generators": document}))
            && let Ok(requirements) = Requirements::declared(&declared, &machine, "root")
        {
            for file in requirements.files() {
                let path = file.repository_path(&machine);
                assert!(!path.split('/').any(|part| part.is_empty() || part == ".." || part == "."), "{path}");
            }
        }
    }

    #[test]
    fn modes_and_public_keys_of_any_shape_are_survived(text in ".{0,40}") {
        if let Ok(mode) = text.parse::<Mode>() {
            assert_eq!(mode.to_string(), text);
        }
        let _ = ssh_public_key_to_recipient(&text);
        let _ = ssh_public_key_to_recipient(&format!("ssh-ed25519 {text}"));
    }
}
