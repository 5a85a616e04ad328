//! age files of every kind of recipient, made by the real tools, and broken ones.
//!
//! A test whose tool is missing fails and says so; what needs an age newer than the distributions' is ignored, and run
//! by the lane that could build one.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's own helpers may fail loudly"
)]

mod support;

use std::fs;
use std::time::{Duration, Instant};

use age_core::primitives::bech32_encode;
use reconciler_vars::{Identities, IdentityKind, IdentitySource, SopsError, decrypt_file};
use support::lab::Lab;
use support::{CANARY, fixture};

fn open(bytes: &[u8], identities: &Identities) -> Result<Vec<u8>, SopsError> {
    decrypt_file(bytes, identities).map(|opened| opened.into_bytes().unwrap().to_vec())
}

/// The kinds of SSH keys that hosts have.
const SSH_KEYS: [(&str, &[&str]); 4] = [
    ("ed25519", &["-t", "ed25519"]),
    ("rsa", &["-t", "rsa", "-b", "3072"]),
    ("old_rsa", &["-t", "rsa", "-b", "2048"]),
    ("pem_rsa", &["-t", "rsa", "-b", "2048", "-m", "PEM"]),
];

#[test]
fn files_for_native_ssh_keys_open_as_agenix_makes_them() {
    let lab = Lab::new();
    lab.write("plain", CANARY.as_bytes());
    let other = lab.ssh_key("user", &["-t", "ed25519"]);
    for (name, options) in SSH_KEYS {
        let line = lab.ssh_key(name, options);
        let identities = lab.identities(&[name]);
        assert!(
            identities.is_recipient(&format!("{line} root@host")),
            "{identities:?}"
        );
        lab.write("recipients", format!("{other}\n{line} somebody\n").as_bytes());
        for armor in [&[][..], &["-a"]] {
            let sealed = lab.run("age", &[armor, &["-R", "recipients", "plain"]].concat());
            assert_eq!(open(&sealed, &identities).unwrap(), CANARY.as_bytes(), "{name}");
            // Whitespace around the armor is not of the file.
            if !armor.is_empty() {
                let spaced = [b"\n \n", sealed.as_slice(), b"\n\n"].concat();
                assert_eq!(open(&spaced, &identities).unwrap(), CANARY.as_bytes());
            }
            let mut cut = sealed.clone();
            let last = cut.len() - if armor.is_empty() { 1 } else { 50 };
            cut[last] ^= 1;
            assert_eq!(open(&cut, &identities).unwrap_err(), SopsError::AgeFile);
        }
        let elsewhere = lab.run("age", &["-R", "user.pub", "plain"]);
        let Err(SopsError::NotEncryptedToThisMachine { recipients }) = open(&elsewhere, &identities) else {
            panic!("{name} opens what is another's");
        };
        assert!(
            matches!(recipients.as_slice(), [one] if one.starts_with("ssh-ed25519 with the tag ")),
            "{recipients:?}"
        );
    }
}

#[test]
fn one_host_key_opens_what_is_sealed_for_it_in_either_way() {
    let lab = Lab::new();
    lab.write("plain", CANARY.as_bytes());
    let native = lab.ssh_key("host", &["-t", "ed25519"]);
    let identities = lab.identities(&["host"]);
    let kinds: Vec<_> = identities.recipients().iter().map(|info| info.kind).collect();
    assert_eq!(kinds, [IdentityKind::SshHostKey, IdentityKind::NativeSshKey]);
    let converted = identities.recipients()[0].recipient.clone();
    for recipient in [&converted, &native] {
        let sealed = lab.run("age", &["-r", recipient, "plain"]);
        assert_eq!(open(&sealed, &identities).unwrap(), CANARY.as_bytes());
    }
}

#[test]
fn sops_files_for_native_ssh_keys_open() {
    let lab = Lab::new();
    lab.write("plain", CANARY.as_bytes());
    lab.run("age-keygen", &["-o", "machine.txt"]);
    let admin = lab.line("age-keygen", &["-y", "machine.txt"]);
    for (name, options) in &SSH_KEYS[..2] {
        let native = lab.ssh_key(name, options);
        let both = format!("{admin},{native}");
        let sealed = lab.run(
            "sops",
            &[
                "--config",
                "/dev/null",
                "encrypt",
                "--input-type",
                "binary",
                "--age",
                &both,
                "plain",
            ],
        );
        for key in [*name, "machine.txt"] {
            assert_eq!(
                open(&sealed, &lab.identities(&[key])).unwrap(),
                CANARY.as_bytes(),
                "{name}"
            );
        }
        lab.ssh_key(&format!("other_{name}"), options);
        assert_eq!(
            open(&sealed, &lab.identities(&[&format!("other_{name}")])).unwrap_err(),
            SopsError::NotEncryptedToThisMachine {
                recipients: vec![admin.clone(), native]
            }
        );
    }
}

#[test]
fn a_broken_key_costs_no_other() {
    let lab = Lab::new();
    lab.write("plain", CANARY.as_bytes());
    lab.run("age-keygen", &["-o", "machine.txt"]);
    let recipient = lab.line("age-keygen", &["-y", "machine.txt"]);
    let sealed = lab.run("age", &["-r", &recipient, "plain"]);
    lab.ssh_key("asks", &["-t", "ed25519"]);
    lab.run(
        "ssh-keygen",
        &["-q", "-p", "-P", "", "-N", "secret", "-f", "asks"],
    );
    lab.ssh_key("asks_pem", &["-t", "rsa", "-b", "2048", "-m", "PEM"]);
    lab.run(
        "ssh-keygen",
        &[
            "-q", "-p", "-m", "PEM", "-P", "", "-N", "secret", "-f", "asks_pem",
        ],
    );
    lab.ssh_key("ecdsa", &["-t", "ecdsa"]);
    let whole = fs::read(lab.path("asks")).unwrap();
    lab.write("cut", &whole[..whole.len() / 2]);
    lab.write("garbage", &[0xff; 300]);
    fs::create_dir(lab.path("folder")).unwrap();
    let broken = [
        ("asks", "the key in {} is protected by a passphrase"),
        ("asks_pem", "the key in {} is protected by a passphrase"),
        (
            "ecdsa",
            "the key in {} is of the kind ecdsa-sha2-nistp256, which opens no age file",
        ),
        ("cut", "could not read an SSH private key from {}"),
        ("garbage", "line 1 of {} is not an age identity"),
        (
            "folder",
            "{} is not a key file: it is no regular file, or larger than 262144 bytes",
        ),
        ("absent", "{} does not exist"),
        ("asks.pub", "{} holds a public key"),
    ];
    let sources = broken.iter().map(|(name, _)| *name).chain(["machine.txt"]);
    let sources: Vec<_> = sources
        .map(|name| IdentitySource::KeyFile(lab.path(name)))
        .collect();
    let (identities, problems) = Identities::load(&sources);
    let said: Vec<_> = problems.iter().map(ToString::to_string).collect();
    let expected = broken.map(|(name, text)| text.replace("{}", &lab.path(name).display().to_string()));
    assert_eq!(said, expected);
    assert_eq!(open(&sealed, &identities).unwrap(), CANARY.as_bytes());
}

#[test]
fn post_quantum_files_open() {
    // Both made by age 1.3.2: `age-keygen -pq`, `age -r`.
    let identities = Identities::load(&[IdentitySource::AgeKeyFile(fixture("keys/post-quantum.txt"))]).0;
    let info = &identities.recipients()[0];
    let text = fs::read_to_string(fixture("keys/post-quantum.txt")).unwrap();
    let named = text.lines().find_map(|line| line.strip_prefix("# public key: "));
    assert_eq!(
        (info.kind, Some(info.recipient.as_str())),
        (IdentityKind::HybridKey, named)
    );
    let sealed = fs::read(fixture("age/post-quantum.age")).unwrap();
    assert_eq!(open(&sealed, &identities).unwrap(), CANARY.as_bytes());
    let other = support::age_key("machine");
    assert_eq!(
        open(&sealed, &other).unwrap_err(),
        SopsError::NotEncryptedToThisMachine {
            recipients: vec!["a post-quantum key".to_owned()]
        }
    );
    assert!(!format!("{identities:?}").contains("SECRET"));
}

#[test]
fn sops_files_for_post_quantum_recipients_open() {
    let lab = Lab::new();
    lab.write("plain", CANARY.as_bytes());
    let identities = Identities::load(&[IdentitySource::AgeKeyFile(fixture("keys/post-quantum.txt"))]).0;
    let recipient = &identities.recipients()[0].recipient;
    let sealed = lab.run(
        "sops",
        &[
            "--config",
            "/dev/null",
            "encrypt",
            "--input-type",
            "binary",
            "--age",
            recipient,
            "plain",
        ],
    );
    assert_eq!(open(&sealed, &identities).unwrap(), CANARY.as_bytes());
}

#[test]
#[ignore = "needs age 1.3, which not every place that runs the tests can build"]
fn post_quantum_keys_are_those_of_a_newer_age() {
    let lab = Lab::new();
    lab.write("plain", CANARY.as_bytes());
    for number in 0..8 {
        let file = format!("key{number}.txt");
        lab.run("age-1.3/age-keygen", &["-pq", "-o", &file]);
        let recipient = lab.line("age-1.3/age-keygen", &["-y", &file]);
        let identities = lab.identities(&[&file]);
        assert_eq!(identities.recipients()[0].recipient, recipient);
        let other = if number == 0 {
            &recipient
        } else {
            &lab.line("age-1.3/age-keygen", &["-y", "key0.txt"])
        };
        let sealed = lab.run("age-1.3/age", &["-r", &recipient, "-r", other, "plain"]);
        assert_eq!(open(&sealed, &identities).unwrap(), CANARY.as_bytes());
    }
}

#[test]
fn a_passphrase_is_never_asked_for_whatever_work_it_would_take() {
    let identities = support::age_key("machine");
    let began = Instant::now();
    for factor in [1, 10, 22, 30, 63, 99] {
        let body = "c29tZXRoaW5nIHRoYXQgaXMgbm8gZmlsZSBrZXkgYXQgYWxs";
        let mac = "A".repeat(43);
        let file = format!(
            "age-encryption.org/v1\n-> scrypt rF0/NwblUHHTpgQgRpe5CQ {factor}\n{body}\n--- {mac}\n0123456789abcdef"
        );
        assert_eq!(
            open(file.as_bytes(), &identities).unwrap_err(),
            SopsError::Passphrase
        );
    }
    // A work factor of 30 alone takes an hour.
    assert!(began.elapsed() < Duration::from_secs(60));
}

#[test]
fn thousands_of_stanzas_are_bounded() {
    let identities = support::age_key("machine");
    let file = |count: usize| {
        let key = "CJM36AHmTbdHSuOQL+NESqyVQE75f2e610iRdLPEN20";
        let stanza = format!("-> X25519 {key}\nC3ZAeY64NXS4QFrksLm3EGz+uPRyI0eQsWw7LWbbYig\n");
        let mac = "A".repeat(43);
        format!(
            "age-encryption.org/v1\n{}--- {mac}\n0123456789abcdef",
            stanza.repeat(count)
        )
    };
    assert_eq!(
        open(file(1000).as_bytes(), &identities).unwrap_err(),
        SopsError::NotEncryptedToThisMachine {
            recipients: vec!["an X25519 key".to_owned()]
        }
    );
    let limit = 1024;
    for count in [1025, 40_000] {
        assert_eq!(
            open(file(count).as_bytes(), &identities).unwrap_err(),
            SopsError::TooManyRecipients { count, limit }
        );
    }
    // A header without an end.
    let endless = format!("age-encryption.org/v1\n{}", "-> a\n\n".repeat(1_000_000));
    assert_eq!(
        open(endless.as_bytes(), &identities).unwrap_err(),
        SopsError::AgeFile
    );
}

#[test]
fn damaged_files_are_told_from_those_of_others() {
    let lab = Lab::new();
    lab.write("plain", CANARY.as_bytes());
    lab.run("age-keygen", &["-o", "machine.txt"]);
    let recipient = lab.line("age-keygen", &["-y", "machine.txt"]);
    let identities = lab.identities(&["machine.txt"]);
    let sealed = lab.run("age", &["-r", &recipient, "plain"]);
    for length in 0..sealed.len() {
        let error = open(&sealed[..length], &identities).unwrap_err();
        // Shorter than the first line, it is no age file at all.
        let foreign = length < b"age-encryption.org/v1\n".len();
        assert!(foreign || error == SopsError::AgeFile, "{length}: {error}");
    }
    let header = sealed.windows(3).position(|window| window == b"---").unwrap();
    for place in [header + 5, header + 60, sealed.len() - 1] {
        let mut changed = sealed.clone();
        changed[place] ^= 1;
        assert_eq!(open(&changed, &identities).unwrap_err(), SopsError::AgeFile);
    }
}

#[test]
fn a_share_of_low_order_opens_nothing() {
    // With it, the key would be known without any secret.
    let identities = support::host_key();
    let line = fs::read_to_string(fixture("keys/ssh_host_ed25519_key.pub")).unwrap();
    let key = ssh_key::PublicKey::from_openssh(&line).unwrap();
    let hash = key.fingerprint(ssh_key::HashAlg::Sha256);
    let encode = |bytes: &[u8]| base64::Engine::encode(&base64::prelude::BASE64_STANDARD_NO_PAD, bytes);
    let tag = encode(&hash.as_bytes()[..4]);
    let file = format!(
        "age-encryption.org/v1\n-> ssh-ed25519 {tag} {}\n{}\n--- {}\n0123456789abcdef",
        encode(&[0; 32]),
        encode(&[7; 32]),
        "A".repeat(43)
    );
    assert_eq!(
        open(file.as_bytes(), &identities).unwrap_err(),
        SopsError::AgeFile
    );
}

#[test]
fn an_identity_of_another_length_is_none() {
    let lab = Lab::new();
    for length in [0, 31, 33] {
        let prefix = bech32::Hrp::parse("age-secret-key-pq-").unwrap();
        let text = bech32_encode(prefix, &vec![1; length]).to_uppercase();
        let path = lab.write("key.txt", text.as_bytes());
        let (identities, problems) = Identities::load(&[IdentitySource::AgeKeyFile(path)]);
        assert!(
            identities.is_empty() && problems.len() == 1,
            "{length}: {problems:?}"
        );
    }
}
