//! Files that are sealed here for every kind of recipient, opened by the real sops and age, and the other way round.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's own helpers may fail loudly"
)]

mod support;

use std::fs;

use reconciler_vars::sops::{Format, KeyGroups, SealOptions, encrypt, rekey, rotate};
use reconciler_vars::{
    Identities, InvalidRecipient, Recipient, Rekeyed, SealError, decrypt, decrypt_file, encrypt_binary,
};
use serde_json::Value;
use support::lab::Lab;
use support::{CANARY, fixture};

const TIME: &str = "2024-02-29T12:00:00Z";
/// The recipient of age's own test of hardware tokens (C2SP, age.md); nobody has its key here.
const TOKEN: &str = "age1tag1qt8lw0ual6avlwmwatk888yqnmdamm7xfd0wak53ut6elz5c4swx2yqdj4e";

fn parsed(text: &str) -> Recipient {
    text.parse().unwrap()
}

fn post_quantum(lab: &Lab, name: &str) -> String {
    let text = fs::read(fixture("keys/post-quantum.txt")).unwrap();
    lab.write(name, &text);
    lab.identities(&[name]).recipients()[0].recipient.clone()
}

fn open(bytes: &[u8], identities: &Identities) -> Vec<u8> {
    decrypt_file(bytes, identities)
        .unwrap()
        .into_bytes()
        .unwrap()
        .to_vec()
}

fn entries(bytes: &[u8]) -> Vec<Value> {
    let file: Value = serde_json::from_slice(bytes).unwrap();
    let groups = match &file["sops"]["key_groups"] {
        Value::Array(groups) => groups.clone(),
        _ => vec![file["sops"].clone()],
    };
    groups
        .iter()
        .flat_map(|group| group["age"].as_array().unwrap().clone())
        .collect()
}

#[test]
fn sops_and_age_open_what_is_sealed_for_any_kind_of_key() {
    let lab = Lab::new();
    let kinds = [
        (lab.age_key("x25519"), "x25519.txt"),
        (
            format!("{} me@host", lab.ssh_key("ed25519", &["-t", "ed25519"])),
            "ed25519",
        ),
        (
            lab.ssh_key("rsa", &["-t", "rsa", "-b", "2048"]) + " me@host",
            "rsa",
        ),
        (post_quantum(&lab, "post-quantum.txt"), "post-quantum.txt"),
    ];
    let everybody: Vec<Recipient> = kinds.iter().map(|(text, _)| parsed(text)).collect();
    let together = encrypt_binary(CANARY.as_bytes(), &everybody, TIME).unwrap();
    for (text, key) in &kinds {
        let to = [parsed(TOKEN), parsed(text)];
        assert_eq!(
            to[1].to_string(),
            text.split(' ').take(2).collect::<Vec<_>>().join(" ")
        );
        let alone = encrypt_binary(CANARY.as_bytes(), &to, TIME).unwrap();
        lab.age_key_in_force(key);
        for sealed in [&alone, &together] {
            assert_eq!(lab.open_as(sealed, "binary"), CANARY.as_bytes(), "{key}");
            assert_eq!(open(sealed, &lab.identities(&[key])), CANARY.as_bytes(), "{key}");
        }
        if *key != "post-quantum.txt" {
            let enc = entries(&alone)[1]["enc"].as_str().unwrap().to_owned();
            lab.write("key.age", enc.as_bytes());
            let data_key = lab.run("age", &["--decrypt", "-i", key, "key.age"]);
            assert_eq!(data_key.len(), 32, "{key}");
        }
    }
    assert!(decrypt_file(&together, &support::age_key("other")).is_err());
}

#[test]
fn sops_rotates_a_file_for_ssh_keys_and_a_key_keeps_its_spelling() {
    let lab = Lab::new();
    let host = lab.ssh_key("host", &["-t", "ed25519"]);
    let machine = lab.age_key("machine");
    let spelled = format!("{host} me@host");
    let sealed = lab.seal(b"secret", "binary", &format!("{spelled},{machine}"), &[]);
    assert_eq!(open(&sealed, &lab.identities(&["host"])), b"secret");
    // The same two, without a comment.
    let identities = lab.age_identity("machine");
    let same = KeyGroups::any_of(&[parsed(&host), parsed(&machine)]).unwrap();
    assert_eq!(
        rekey(&sealed, Format::Json, &identities, &same).unwrap(),
        Rekeyed::Unchanged
    );
    let other = parsed(&lab.age_key("other"));
    let more = KeyGroups::any_of(&[other, parsed(&host), parsed(&machine)]).unwrap();
    let Rekeyed::Changed(more) = rekey(&sealed, Format::Json, &identities, &more).unwrap() else {
        panic!("nobody came");
    };
    let (before, after) = (entries(&sealed), entries(&more));
    assert_eq!((after.len(), &after[1..]), (3, &before[..]));
    assert_eq!(after[1]["recipient"], Value::from(spelled));

    lab.write("file", &more);
    let types = ["--input-type", "json", "--output-type", "json"];
    let rotated = lab.run("sops", &[&["rotate"], &types[..], &["file"]].concat());
    for key in ["host", "other.txt", "machine.txt"] {
        assert_eq!(open(&rotated, &lab.identities(&[key])), b"secret", "{key}");
    }
}

#[test]
fn what_nothing_can_be_encrypted_to_is_refused_and_a_private_key_not_quoted() {
    let lab = Lab::new();
    let short = lab.ssh_key("short", &["-t", "rsa", "-b", "1024"]);
    let ecdsa = lab.ssh_key("ecdsa", &["-t", "ecdsa"]);
    let (good, hybrid) = (lab.age_key("good"), post_quantum(&lab, "post-quantum.txt"));
    let cut = |text: &str| text[..text.len() - 1].to_owned();
    for (text, why) in [
        (String::new(), "neither an age recipient"),
        ("bob".to_owned(), "neither an age recipient"),
        ("age1nonsense".to_owned(), "cut off or mistyped"),
        (cut(&good), "cut off or mistyped"),
        (cut(&hybrid), "cut off or mistyped"),
        (cut(TOKEN), "cut off or mistyped"),
        ("age1yubikey1qqq".to_owned(), "cut off or mistyped"),
        ("ssh-ed25519 AAAA".to_owned(), "not an OpenSSH key"),
        (short, "an RSA key of 1024 bits"),
        (ecdsa, "ecdsa-sha2-nistp256"),
    ] {
        let error = text.parse::<Recipient>().unwrap_err();
        assert!(error.to_string().contains(why), "{text}: {error}");
        assert!(error.to_string().len() < 300, "{error}");
    }
    for name in ["good.txt", "short"] {
        let text = fs::read_to_string(lab.path(name)).unwrap();
        let error = text.parse::<Recipient>().unwrap_err();
        assert!(matches!(error, InvalidRecipient::PrivateKey), "{error}");
    }
    // Bech32 is the same in upper case.
    assert_eq!(parsed(&good.to_uppercase()), parsed(&good));
    assert_eq!(parsed(&hybrid.to_uppercase()).to_string(), hybrid);
}

const DOCUMENTS: [(Format, &str, &str); 5] = [
    (Format::Json, "json", "{\n\t\"a\": \"secret\"\n}"),
    (Format::Yaml, "yaml", "a: secret\n"),
    (Format::Dotenv, "dotenv", "a=secret\n"),
    (Format::Ini, "ini", "[s]\na = secret\n"),
    (Format::Binary, "binary", "secret"),
];

/// A file of sops with the key groups [one, two], [three] and [four], of which two are needed.
fn grouped(lab: &Lab, plain: &str, format: &str) -> Vec<u8> {
    let key = |name: &str| lab.age_recipient(name);
    let groups = format!(
        "key_groups: [{{age: [{}, {}]}}, {{age: [{}]}}, {{age: [{}]}}]",
        key("one"),
        key("two"),
        key("three"),
        key("four")
    );
    lab.seal_as(plain.as_bytes(), format, &["shamir_threshold: 2", &groups])
}

#[test]
fn a_newcomer_joins_as_many_groups_as_are_needed_and_nothing_else_changes() {
    let lab = Lab::new();
    for name in ["one", "two", "three", "four", "new"] {
        lab.age_key(name);
    }
    let recipient = |name: &str| parsed(&lab.age_recipient(name));
    let readers = ["new", "four", "two", "one", "three"].map(recipient);
    for (format, name, plain) in DOCUMENTS {
        let before = grouped(&lab, plain, name);
        let groups = KeyGroups::regrouped(&before, format, &readers, |_| Vec::new()).unwrap();
        let two = lab.identities(&["one.txt", "three.txt"]);
        let Rekeyed::Changed(after) = rekey(&before, format, &two, &groups).unwrap() else {
            panic!("nobody came to the {name}");
        };
        lab.age_key_in_force("new.txt");
        let opened = lab.open_as(&after, name);
        assert_eq!(String::from_utf8(opened).unwrap().trim(), plain.trim(), "{name}");
        decrypt(&after, format, &lab.age_identity("new")).unwrap();
        // One group is not enough, as before; two of the old are.
        assert!(decrypt(&after, format, &lab.age_identity("four")).is_err());
        lab.write("both.txt", &both(&lab, "two", "four"));
        lab.age_key_in_force("both.txt");
        lab.open_as(&after, name);
        // Of the file itself only the newcomer is new.
        let (old, new) = (
            String::from_utf8(before).unwrap(),
            String::from_utf8(after).unwrap(),
        );
        if format == Format::Json || format == Format::Binary {
            let (old, new) = (entries(old.as_bytes()), entries(new.as_bytes()));
            let kept: Vec<_> = new.iter().filter(|entry| old.contains(entry)).collect();
            assert_eq!((new.len(), kept.len()), (6, 4));
        }
        let same = KeyGroups::regrouped(new.as_bytes(), format, &readers, |_| Vec::new()).unwrap();
        let again = rekey(new.as_bytes(), format, &two, &same).unwrap();
        assert_eq!(again, Rekeyed::Unchanged, "{name}");
    }
}

fn both(lab: &Lab, one: &str, other: &str) -> Vec<u8> {
    let read = |name: &str| fs::read(lab.path(&format!("{name}.txt"))).unwrap();
    [read(one), read(other)].concat()
}

#[test]
fn groups_outlive_those_who_go_and_a_new_key_takes_the_place_of_the_old() {
    let lab = Lab::new();
    for name in ["one", "two", "three", "four", "new"] {
        lab.age_key(name);
    }
    let recipient = |name: &str| parsed(&lab.age_recipient(name));
    let identities = lab.identities(&["one.txt", "three.txt"]);
    for (format, name, plain) in DOCUMENTS {
        let before = grouped(&lab, plain, name);
        // `two` goes, and `three` has another key now.
        let readers = ["one", "new", "four"].map(recipient);
        let groups = KeyGroups::regrouped(&before, format, &readers, |reader| {
            let is_new = *reader == recipient("new");
            is_new.then(|| lab.age_recipient("three")).into_iter().collect()
        });
        let after = rotate(&before, format, &identities, &groups.unwrap(), TIME).unwrap();
        for (keys, opens) in [
            (["one.txt", "new.txt"], true),
            (["four.txt", "new.txt"], true),
            (["two.txt", "new.txt"], false),
            (["three.txt", "one.txt"], false),
        ] {
            let opened = decrypt(&after, format, &lab.identities(&keys));
            assert_eq!(opened.is_ok(), opens, "{name} {keys:?}");
        }
        lab.write("both.txt", &both(&lab, "one", "new"));
        lab.age_key_in_force("both.txt");
        lab.open_as(&after, name);
        let text = String::from_utf8(after).unwrap();
        assert!(text.contains("shamir_threshold"), "{text}");
        // A group without anybody would make the threshold another one.
        let error = KeyGroups::regrouped(&before, format, &["one", "three"].map(recipient), |_| Vec::new());
        assert!(
            matches!(error, Err(SealError::EmptyGroup { group: 3, groups: 3 })),
            "{name}: {error:?}"
        );
    }
}

#[test]
fn groups_that_do_not_open_are_sealed_anew_with_the_others() {
    let lab = Lab::new();
    for name in ["one", "two", "three", "four", "new"] {
        lab.age_key(name);
    }
    let recipient = |name: &str| parsed(&lab.age_recipient(name));
    let before = grouped(&lab, "secret", "binary");
    let readers = ["one", "two", "three", "four", "new"].map(recipient);
    // The newcomer joins the second group, whose share these two cannot open.
    let two = lab.identities(&["one.txt", "four.txt"]);
    let groups = KeyGroups::regrouped(&before, Format::Binary, &readers, |_| Vec::new()).unwrap();
    let Rekeyed::Changed(after) = rekey(&before, Format::Binary, &two, &groups).unwrap() else {
        panic!("nobody came");
    };
    for keys in [&["new.txt"][..], &["three.txt", "four.txt"]] {
        assert_eq!(open(&after, &lab.identities(keys)), b"secret");
    }
    // What has one group gets all that are named, in one.
    let flat = encrypt(
        b"secret",
        Format::Binary,
        &SealOptions::new(KeyGroups::any_of(&[recipient("one")]).unwrap()),
        TIME,
    );
    let groups = KeyGroups::regrouped(&flat.unwrap(), Format::Binary, &readers, |_| Vec::new());
    assert_eq!(groups.unwrap(), KeyGroups::any_of(&readers).unwrap());
}
