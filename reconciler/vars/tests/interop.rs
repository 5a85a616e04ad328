//! Against the real tools: sops, age, age-keygen, ssh-keygen, ssh-to-age.
//!
//! They are looked for in the folder that `RECONCILE_TEST_TOOLS` names, then in `PATH`; a test whose tool is
//! missing fails and says so.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's own helpers may fail loudly"
)]

mod support;

use std::fs;

use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::test_runner::{Config, TestRunner};
use reconciler_vars::{
    Identities, IdentitySource, Rekeyed, SopsError, decrypt_file, encrypt_binary, rekey_file,
    ssh_public_key_to_recipient,
};
use serde_json::{Map, Value, json};
use support::lab::{Lab, find_tool};

fn host_key(lab: &Lab) -> Identities {
    lab.ssh_key("host", &["-t", "ed25519"]);
    let (identities, problems) = Identities::load(&[IdentitySource::SshHostKey(lab.path("host"))]);
    assert!(problems.is_empty(), "{problems:?}");
    identities
}

fn open(bytes: &[u8], identities: &Identities) -> Vec<u8> {
    decrypt_file(bytes, identities)
        .unwrap()
        .into_bytes()
        .unwrap()
        .to_vec()
}

#[test]
fn binary_files_of_sops_open() {
    let lab = Lab::new();
    let recipients = format!("{},{}", lab.age_key("admin"), lab.age_key("machine"));
    let every_byte: Vec<u8> = (0..=255).collect();
    let large = every_byte.repeat(4096);
    for plaintext in [
        &b""[..],
        b"a",
        b"line\n",
        &every_byte,
        &large,
        br#"{"data":"x","sops":{}}"#,
    ] {
        let sealed = lab.seal(plaintext, "binary", &recipients, &[]);
        for name in ["machine", "admin"] {
            assert_eq!(
                open(&sealed, &lab.age_identity(name)),
                plaintext,
                "{} bytes",
                plaintext.len()
            );
        }
    }
}

#[test]
fn recipients_that_sops_adds_and_removes_gain_and_lose_access() {
    let lab = Lab::new();
    let (machine, other) = (lab.age_key("machine"), lab.age_key("other"));
    let sealed = lab.seal(b"secret", "binary", &machine, &[]);
    lab.write("file", &sealed);
    let types = ["--input-type", "json", "--output-type", "json"];
    let added = lab.run(
        "sops",
        &[&["rotate", "--add-age", &other], &types[..], &["file"]].concat(),
    );
    assert_eq!(open(&added, &lab.age_identity("other")), b"secret");
    lab.write("file", &added);
    let removed = lab.run(
        "sops",
        &[&["rotate", "--rm-age", &other], &types[..], &["file"]].concat(),
    );
    assert_eq!(open(&removed, &lab.age_identity("machine")), b"secret");
    let error = decrypt_file(&removed, &lab.age_identity("other")).unwrap_err();
    assert_eq!(
        error,
        SopsError::NotEncryptedToThisMachine {
            recipients: vec![machine]
        }
    );
}

#[test]
fn sops_opens_and_edits_what_is_sealed_here() {
    let lab = Lab::new();
    let (machine, other) = (lab.age_key("machine"), lab.age_key("other"));
    let to = [machine.parse().unwrap()];
    let every_byte: Vec<u8> = (0..=255).collect();
    for plaintext in [&b""[..], b"secret\n", &every_byte] {
        lab.write(
            "file",
            &encrypt_binary(plaintext, &to, "2024-02-29T12:00:00Z").unwrap(),
        );
        let binary = [
            "decrypt",
            "--input-type",
            "binary",
            "--output-type",
            "binary",
            "file",
        ];
        assert_eq!(lab.run("sops", &binary), plaintext);
        let types = ["--input-type", "json", "--output-type", "json"];
        let rotated = lab.run(
            "sops",
            &[&["rotate", "--add-age", &other], &types[..], &["file"]].concat(),
        );
        assert_eq!(open(&rotated, &lab.age_identity("other")), plaintext);
        // And back: without the other, as `sops updatekeys` would.
        let Rekeyed::Changed(rekeyed) = rekey_file(&rotated, &lab.age_identity("other"), &to).unwrap() else {
            panic!("the recipients are others");
        };
        lab.write("file", &rekeyed);
        assert_eq!(lab.run("sops", &binary), plaintext);
        assert!(decrypt_file(&rekeyed, &lab.age_identity("other")).is_err());
    }
}

#[test]
fn an_ssh_host_key_opens_what_is_sealed_for_its_recipient() {
    let lab = Lab::new();
    lab.age_key("machine");
    let identities = host_key(&lab);
    let recipient = ssh_public_key_to_recipient(&fs::read_to_string(lab.path("host.pub")).unwrap()).unwrap();
    assert_eq!(identities.recipients()[0].recipient, recipient);
    assert_eq!(
        open(&lab.seal(b"secret", "binary", &recipient, &[]), &identities),
        b"secret"
    );
}

#[test]
#[ignore = "needs ssh-to-age, which not every place that runs the tests can install"]
fn ssh_to_age_converts_both_halves_of_a_key_to_the_same() {
    let lab = Lab::new();
    for _ in 0..16 {
        for name in ["host", "host.pub"] {
            let _ = fs::remove_file(lab.path(name));
        }
        let identities = host_key(&lab);
        let recipient = lab.line("ssh-to-age", &["-i", "host.pub"]);
        assert_eq!(identities.recipients()[0].recipient, recipient);
        let identity = lab.line("ssh-to-age", &["-private-key", "-i", "host"]);
        let file = lab.write("converted.txt", identity.as_bytes());
        let (converted, _) = Identities::load(&[IdentitySource::AgeKeyFile(file)]);
        assert_eq!(converted.recipients()[0].recipient, recipient);
    }
}

#[test]
fn plain_age_files_open() {
    let lab = Lab::new();
    let (machine, _) = (lab.age_key("machine"), lab.age_key("other"));
    let plaintext = b"secret\n".repeat(20_000);
    lab.write("plain", &plaintext);
    for options in [&["-r", &machine][..], &["-a", "-r", &machine]] {
        let sealed = lab.run("age", &[options, &["plain"]].concat());
        assert_eq!(open(&sealed, &lab.age_identity("machine")), plaintext);
        let error = decrypt_file(&sealed, &lab.age_identity("other")).unwrap_err();
        let recipients = vec!["an X25519 key".to_owned()];
        assert_eq!(error, SopsError::NotEncryptedToThisMachine { recipients });
        let cut = &sealed[..sealed.len() - 100];
        assert_eq!(
            decrypt_file(cut, &lab.age_identity("machine")).unwrap_err(),
            SopsError::AgeFile
        );
    }
}

fn document() -> impl Strategy<Value = Value> {
    let text = prop_oneof![any::<String>(), "[ -~]{0,20}", Just(String::new())];
    let leaf = prop_oneof![
        2 => text.prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        // Plus zero, as of -0.0 sops makes a file that it then refuses itself.
        1 => any::<f64>().prop_map(|number| json!(number + 0.0)),
        1 => (-1_000_000_i64..1_000_000).prop_map(|number| json!(number as f64 / 8192.0)),
        1 => any::<bool>().prop_map(Value::from),
        1 => Just(Value::Null),
    ];
    let tree = leaf.prop_recursive(3, 32, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            object(inner).prop_map(Value::from),
        ]
    });
    object(tree).prop_map(|mut entries| {
        // An empty document is no sops file, and `sops` is the section's own name.
        entries.remove("sops");
        entries.insert("last".to_owned(), Value::from("always"));
        Value::from(entries)
    })
}

fn object(inner: impl Strategy<Value = Value>) -> impl Strategy<Value = Map<String, Value>> {
    let key = prop_oneof![
        "[a-z]{1,4}(_enc|_unencrypted)?",
        "[^\u{0}]{1,6}",
        Just("a:b".to_owned())
    ];
    proptest::collection::vec((key, inner), 0..5).prop_map(|entries| entries.into_iter().collect())
}

#[test]
fn random_documents_open_to_what_sops_itself_prints() {
    let lab = Lab::new();
    let recipient = lab.age_key("machine");
    let identities = lab.age_identity("machine");
    let rules: [&[&str]; 4] = [
        &[],
        &["--encrypted-suffix", "_enc"],
        &["--unencrypted-regex", "^[a-m]"],
        &["--encrypted-regex", r"\w\w"],
    ];
    // The seed is fixed: a failure is the same for everyone.
    let mut runner = TestRunner::new_with_rng(
        Config {
            cases: 64,
            failure_persistence: None,
            max_shrink_iters: 64,
            ..Config::default()
        },
        proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha),
    );
    let outcome = runner.run(&(document(), 0..rules.len()), |(document, rule)| {
        let sealed = lab.seal(document.to_string().as_bytes(), "json", &recipient, rules[rule]);
        lab.write("sealed", &sealed);
        let expected = lab.run(
            "sops",
            &[
                "decrypt",
                "--input-type",
                "json",
                "--output-type",
                "json",
                "sealed",
            ],
        );
        assert_eq!(
            String::from_utf8_lossy(&open(&sealed, &identities)),
            String::from_utf8_lossy(&expected)
        );
        Ok(())
    });
    outcome.unwrap();
}

#[test]
fn a_missing_tool_would_be_told() {
    assert!(find_tool("no-such-tool-anywhere").is_none());
    assert!(find_tool("sh").is_some_and(|path| path.is_file()));
}
