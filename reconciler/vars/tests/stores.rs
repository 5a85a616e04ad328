//! Every store, sealed by real sops and opened here: what comes out is byte for byte what sops itself prints.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's own helpers may fail loudly"
)]

mod support;

use std::cell::Cell;

use proptest::prelude::{Strategy, prop_oneof};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use reconciler_vars::sops::{KeyGroups, MacScope, SealOptions, Selection, encrypt};
use reconciler_vars::{Format, Identities, decrypt};
use support::documents::{DOTENV, INI, JSON, RULES, YAML, dotenv, ini, yaml};
use support::lab::Lab;

/// The first line that differs is easier to read than all of both.
fn same(ours: &[u8], theirs: &[u8], of: &str) {
    let (ours, theirs) = (String::from_utf8_lossy(ours), String::from_utf8_lossy(theirs));
    for (number, (ours, theirs)) in ours.lines().zip(theirs.lines()).enumerate() {
        assert_eq!(ours, theirs, "{of}: line {}", number + 1);
    }
    assert_eq!(ours, theirs, "{of}");
}

/// All values are the same, and the comments as far as sops itself keeps them: below several maps that end at once it
/// takes one for another map's and cannot open it any more, and above a list's item it loses the second, or turns their
/// order.
fn alike(ours: &[u8], theirs: &[u8], of: &str) {
    let split = |text: &[u8]| -> (Vec<String>, Vec<String>) {
        let text = String::from_utf8_lossy(text).into_owned();
        let lines = text.lines().filter(|line| !line.is_empty()).map(str::to_owned);
        lines.partition(|line| line.trim_start().starts_with('#'))
    };
    let ((our_comments, ours), (their_comments, theirs)) = (split(ours), split(theirs));
    assert_eq!(ours, theirs, "{of}");
    let sorted = |comments: Vec<String>| {
        let mut texts: Vec<_> = comments.iter().map(|line| line.trim_start().to_owned()).collect();
        texts.sort();
        texts
    };
    let (ours, theirs) = (sorted(our_comments), sorted(their_comments));
    let lost = ours
        .iter()
        .chain(&theirs)
        .any(|comment| comment.starts_with("#ENC["));
    assert!(
        ours == theirs || ours.len() != theirs.len() || lost,
        "{of}\n{ours:?}\n{theirs:?}"
    );
}

#[test]
fn whatever_sops_seals_opens_to_what_sops_prints() {
    let lab = Lab::new();
    let age = format!("age: {}", lab.age_key("machine"));
    let identities = lab.age_identity("machine");
    for (format, plain) in [
        (Format::Yaml, YAML),
        (Format::Dotenv, DOTENV),
        (Format::Ini, INI),
        (Format::Json, JSON),
    ] {
        for rule in RULES {
            let sealed = lab.seal_as(plain.as_bytes(), format.name(), &[&age, rule]);
            let expected = lab.open_as(&sealed, format.name());
            let opened = decrypt(&sealed, format, &identities)
                .unwrap_or_else(|error| panic!("{format} {rule}: {error}"));
            same(
                &opened.into_bytes().unwrap(),
                &expected,
                &format!("{format} {rule}"),
            );
        }
    }
}

#[test]
fn as_json_it_is_what_sops_prints_as_json() {
    let lab = Lab::new();
    let age = format!("age: {}", lab.age_key("machine"));
    let identities = lab.age_identity("machine");
    let two = "# of sops\nfirst: {a: 1, b: [x, 2.5, true, null, {c: 1e3}]}\nat: 2001-12-14\nlong: |\n  a\n  b\n---\nsecond: two\n";
    for (format, plain, documents) in [
        (Format::Json, JSON, 1),
        (Format::Yaml, YAML, 3),
        (Format::Yaml, two, 2),
        (Format::Dotenv, DOTENV, 1),
        (Format::Ini, INI, 1),
    ] {
        let sealed = lab.seal_as(plain.as_bytes(), format.name(), &[&age]);
        lab.write("sealed", &sealed);
        let arguments = [
            "decrypt",
            "--input-type",
            format.name(),
            "--output-type",
            "json",
            "sealed",
        ];
        let opened = decrypt(&sealed, format, &identities).unwrap();
        assert_eq!(opened.documents(), documents, "{format}");
        // A number that is not finite neither can write.
        match (opened.to_json(), lab.try_run("sops", &arguments)) {
            (Ok(ours), Some(theirs)) => same(&ours, &theirs, &format!("{format}, {documents}")),
            (ours, theirs) => assert!(ours.is_err() && theirs.is_none() && documents == 3, "{format}"),
        }
    }
    // Bytes say how they are written down: sops takes what is no text for text.
    for (plain, expected) in [
        (
            &b"a text"[..],
            "{\n\t\"data\": \"a text\",\n\t\"encoding\": \"utf-8\"\n}\n",
        ),
        (
            b"\xff\x00",
            "{\n\t\"data\": \"/wA=\",\n\t\"encoding\": \"base64\"\n}\n",
        ),
    ] {
        let sealed = lab.seal(plain, "binary", age.trim_start_matches("age: "), &[]);
        let opened = decrypt(&sealed, Format::Binary, &identities).unwrap();
        assert_eq!(opened.documents(), 1);
        same(&opened.to_json().unwrap(), expected.as_bytes(), "bytes");
    }
}

const TIME: &str = "2024-02-29T12:00:00Z";

/// The same choice as a creation rule's lines.
fn options(rule: &str, recipient: &str) -> SealOptions {
    let mut options = SealOptions::new(KeyGroups::any_of(&[recipient.parse().unwrap()]).unwrap());
    for line in rule.lines() {
        let (name, text) = line.trim().split_once(": ").unwrap();
        let text = text.trim_matches('\'').to_owned();
        match name {
            "unencrypted_suffix" => options.selection = Selection::UnencryptedSuffix(text),
            "encrypted_suffix" => options.selection = Selection::EncryptedSuffix(text),
            "unencrypted_regex" => options.selection = Selection::UnencryptedRegex(text),
            "encrypted_regex" => options.selection = Selection::EncryptedRegex(text),
            "unencrypted_comment_regex" => options.selection = Selection::UnencryptedCommentRegex(text),
            "encrypted_comment_regex" => options.selection = Selection::EncryptedCommentRegex(text),
            "mac_only_encrypted" => options.mac = MacScope::Encrypted,
            other => panic!("{other}"),
        }
    }
    options
}

fn opened(sealed: &[u8], format: Format, identities: &Identities) -> Vec<u8> {
    let opened = decrypt(sealed, format, identities).unwrap_or_else(|error| panic!("{format} {error}"));
    let text = opened.into_bytes().unwrap().to_vec();
    assert!(
        !String::from_utf8_lossy(&text).contains("ENC["),
        "{}",
        String::from_utf8_lossy(sealed)
    );
    text
}

#[test]
fn whatever_is_sealed_here_opens_to_what_sops_prints_of_its_own() {
    let lab = Lab::new();
    let recipient = lab.age_key("machine");
    let age = format!("age: {recipient}");
    for (format, plain) in [
        (Format::Yaml, YAML),
        (Format::Dotenv, DOTENV),
        (Format::Ini, INI),
        (Format::Json, JSON),
    ] {
        for rule in RULES {
            let theirs = lab.seal_as(plain.as_bytes(), format.name(), &[&age, rule]);
            let expected = lab.open_as(&theirs, format.name());
            let ours = encrypt(plain.as_bytes(), format, &options(rule, &recipient), TIME)
                .unwrap_or_else(|error| panic!("{format} {rule}: {error}"));
            same(
                &lab.open_as(&ours, format.name()),
                &expected,
                &format!("{format} {rule}"),
            );
        }
    }
}

/// Random documents and rules, sealed by either and opened by the other; `PROPTEST_CASES` makes it more of them.
#[test]
fn random_documents_go_both_ways() {
    let lab = Lab::new();
    let recipient = lab.age_key("machine");
    let identities = lab.age_identity("machine");
    let age = format!("age: {recipient}");
    let cases = std::env::var("PROPTEST_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok());
    let config = Config {
        cases: cases.unwrap_or(40),
        failure_persistence: None,
        max_shrink_iters: 200,
        ..Config::default()
    };
    let document = prop_oneof![
        2 => yaml().prop_map(|text| (Format::Yaml, text)),
        1 => dotenv().prop_map(|text| (Format::Dotenv, text)),
        1 => ini().prop_map(|text| (Format::Ini, text)),
    ];
    // The seed is fixed: a failure is the same for everyone.
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let (all, compared) = (Cell::new(0), Cell::new(0));
    let outcome = runner.run(&(document, 0..RULES.len()), |((format, plain), rule)| {
        all.set(all.get() + 1);
        let rule = RULES[rule];
        // sops makes some files that it then refuses itself.
        let theirs = lab.try_seal_as(plain.as_bytes(), format.name(), &[&age, rule]);
        let Some((theirs, expected)) =
            theirs.and_then(|theirs| Some((theirs.clone(), lab.try_open_as(&theirs, format.name())?)))
        else {
            return Ok(());
        };
        compared.set(compared.get() + 1);
        let of = format!("{format} {rule}\n{plain}");
        alike(&opened(&theirs, format, &identities), &expected, &of);
        let ours = encrypt(plain.as_bytes(), format, &options(rule, &recipient), TIME)
            .unwrap_or_else(|error| panic!("{of}: {error}"));
        alike(&opened(&ours, format, &identities), &expected, &of);
        alike(&lab.open_as(&ours, format.name()), &expected, &of);
        Ok(())
    });
    outcome.unwrap();
    assert!(
        compared.get() * 4 > all.get() * 3,
        "{} of {} compared",
        compared.get(),
        all.get()
    );
}
