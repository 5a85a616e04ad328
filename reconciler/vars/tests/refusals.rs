//! What is refused in every store, where real sops takes it or not, and what is taken although it is untidy. Each file
//! is a good one with one thing changed by hand.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's own helpers may fail loudly"
)]

mod support;

use reconciler_vars::sops::{
    KeyGroups, MacScope, SealOptions, SealedKeys, Selection, ValueProblem, encrypt, inspect,
};
use reconciler_vars::{Format, SopsError, decrypt};
use support::lab::Lab;
use support::{CANARY, age_key};

/// The rules by their names in the section.
const RULES: [&str; 6] = [
    "unencrypted_suffix",
    "encrypted_suffix",
    "unencrypted_regex",
    "encrypted_regex",
    "unencrypted_comment_regex",
    "encrypted_comment_regex",
];

/// Each store with text, its document, and how it spells `a: value` in its section.
const STORES: [(Format, &str); 4] = [
    (
        Format::Yaml,
        "a: correct-horse-battery-staple\nb:\n    - c: correct-horse-battery-staple\nlast_clear: x\n",
    ),
    (
        Format::Json,
        r#"{"a": "correct-horse-battery-staple", "b": [{"c": "correct-horse-battery-staple"}], "last_clear": "x"}"#,
    ),
    (Format::Dotenv, "a=correct-horse-battery-staple\nlast_clear=x\n"),
    (
        Format::Ini,
        "[one]\na = correct-horse-battery-staple\nlast_clear = x\n",
    ),
];

fn sealed(format: Format, plain: &str, mac: MacScope) -> String {
    let reader = age_key("machine").recipients()[0].recipient.parse().unwrap();
    let options = SealOptions {
        readers: KeyGroups::any_of(&[reader]).unwrap(),
        selection: Selection::UnencryptedSuffix("_clear".to_owned()),
        mac,
    };
    let sealed = encrypt(plain.as_bytes(), format, &options, "2024-02-29T12:00:00Z").unwrap();
    String::from_utf8(sealed).unwrap()
}

/// The file with one more field in its section; `value` is of JSON.
fn with_field(file: &str, format: Format, name: &str, value: &str) -> String {
    let text = value.trim_matches('"');
    let (line, before) = match format {
        Format::Yaml => (format!("    {name}: {value}\n"), "    version:"),
        Format::Json => (format!("\t\t\"{name}\": {value},\n"), "\t\t\"version\":"),
        Format::Dotenv => (format!("sops_{name}={text}\n"), "sops_version="),
        Format::Ini => (format!("{name} = {text}\n"), "version"),
        Format::Binary => unreachable!(),
    };
    let at = file.rfind(before).unwrap();
    format!("{}{line}{}", &file[..at], &file[at..])
}

fn refused(file: &str, format: Format) -> SopsError {
    let error = decrypt(file.as_bytes(), format, &age_key("machine")).unwrap_err();
    let told = format!("{error} {error:?}");
    assert!(!told.contains(CANARY) && !told.contains("ENC["), "{told}");
    error
}

#[test]
fn a_second_rule_is_refused_and_an_empty_one_is_none() {
    for (format, plain) in STORES {
        let file = sealed(format, plain, MacScope::All);
        for rule in &RULES[1..] {
            let two = with_field(&file, format, rule, "\"^x\"");
            assert_eq!(
                refused(&two, format),
                SopsError::ConflictingRules,
                "{format} {rule}"
            );
            let keys = SealedKeys::read(two.as_bytes(), format).unwrap_err();
            assert_eq!(keys, SopsError::ConflictingRules, "{format} {rule}");
            let empty = with_field(&file, format, rule, "\"\"");
            assert!(
                decrypt(empty.as_bytes(), format, &age_key("machine")).is_ok(),
                "{format} {rule}"
            );
        }
        // The same rule twice is a key twice.
        let twice = with_field(&file, format, RULES[0], "\"_x\"");
        assert!(
            matches!(refused(&twice, format), SopsError::DuplicateKey { .. }),
            "{format}"
        );
    }
}

/// sops decodes its section weakly typed, and its old releases wrote such: the real one opens all of these, too.
#[test]
fn numbers_and_flags_may_be_texts_and_the_other_way_round() {
    let lab = Lab::new();
    lab.write(
        "machine.txt",
        &std::fs::read(support::fixture("keys/machine.txt")).unwrap(),
    );
    for (format, plain) in STORES {
        for (name, value) in [
            ("shamir_threshold", "\"0\""),
            ("shamir_threshold", "0"),
            ("kms", "[]"),
            ("kms", "null"),
            ("pgp", "null"),
            ("key_groups", "null"),
            ("unknown_field", "{\"x\": 1}"),
        ] {
            let flat = matches!(format, Format::Dotenv | Format::Ini);
            if flat && (value.starts_with(['[', '{']) || value == "null") {
                // A flat store has no such thing.
                continue;
            }
            let file = with_field(&sealed(format, plain, MacScope::All), format, name, value);
            let opened = decrypt(file.as_bytes(), format, &age_key("machine"));
            let opened = opened.unwrap_or_else(|error| panic!("{format} {name}: {value}: {error}"));
            if format == Format::Json {
                // What opens has the form of what opens for whoever has no key, too.
                let inspection = inspect(file.as_bytes()).unwrap();
                assert_eq!(inspection.age.len(), 1, "{name}: {value}");
            }
            let theirs = lab.open_as(file.as_bytes(), format.name());
            assert_eq!(
                opened.into_bytes().unwrap().as_slice(),
                theirs,
                "{format} {name}: {value}"
            );
        }
        // A rule's flag, in every spelling of Go's ParseBool.
        let file = sealed(format, plain, MacScope::Encrypted);
        for (spelling, is_set) in [
            ("1", true),
            ("t", true),
            ("TRUE", true),
            ("0", false),
            ("False", false),
        ] {
            let (old, new) = match format {
                Format::Yaml => (
                    "mac_only_encrypted: true",
                    format!("mac_only_encrypted: \"{spelling}\""),
                ),
                Format::Json => (
                    "\"mac_only_encrypted\": true",
                    format!("\"mac_only_encrypted\": \"{spelling}\""),
                ),
                Format::Dotenv => (
                    "mac_only_encrypted=true",
                    format!("mac_only_encrypted={spelling}"),
                ),
                Format::Ini => ("= true", format!("= {spelling}")),
                Format::Binary => unreachable!(),
            };
            assert!(file.contains(old), "{file}");
            let file = file.replace(old, &new);
            let ours = decrypt(file.as_bytes(), format, &age_key("machine"));
            assert_eq!(ours.is_ok(), is_set, "{format} {spelling}: {ours:?}");
            let theirs = lab.try_open_as(file.as_bytes(), format.name());
            assert_eq!(theirs.is_some(), is_set, "{format} {spelling}");
        }
        let nonsense = with_field(
            &sealed(format, plain, MacScope::All),
            format,
            "mac_only_encrypted",
            "\"yes\"",
        );
        let field = "mac_only_encrypted";
        assert_eq!(
            refused(&nonsense, format),
            SopsError::Metadata { field },
            "{format}"
        );
        assert!(
            lab.try_open_as(nonsense.as_bytes(), format.name()).is_none(),
            "{format}"
        );
    }
}

#[test]
fn a_key_twice_is_refused_wherever_it_stands() {
    for (format, plain) in STORES {
        let file = sealed(format, plain, MacScope::All);
        let (first, nested) = match format {
            Format::Yaml => (
                file.replacen("a: ", "a: \"\"\na: ", 1),
                Some(file.replacen("- c: ", "- c: \"\"\n      c: ", 1)),
            ),
            Format::Json => (
                // The same key in another spelling.
                file.replacen("\"a\": ", "\"\\u0061\": \"\", \"a\": ", 1),
                Some(file.replacen("\"c\": ", "\"c\": \"\", \"c\": ", 1)),
            ),
            Format::Dotenv => (file.replacen("a=", "a=\na=", 1), None),
            Format::Ini => (
                file.replacen("a ", "a =\na ", 1),
                Some(format!("{file}\n[one]\nx = \n")),
            ),
            Format::Binary => unreachable!(),
        };
        for (file, key) in [(Some(first), "a"), (nested, "c")] {
            let Some(file) = file else { continue };
            let SopsError::DuplicateKey { key: found } = refused(&file, format) else {
                panic!("{format}: {:?}", refused(&file, format));
            };
            assert!(found == key || found == "one", "{format}: {found}");
        }
    }
}

#[test]
fn text_after_a_bracket_is_refused_wherever_it_stands() {
    for (format, plain) in STORES {
        let file = sealed(format, plain, MacScope::All);
        for (number, path) in [(0, "a"), (1, "b:c")] {
            let Some((at, _)) = file.match_indices("type:str]").nth(number) else {
                continue;
            };
            let end = at + "type:str]".len();
            // Of the flat stores the second is the file's own code.
            if file[..at].lines().last().unwrap().contains("mac") {
                continue;
            }
            let file = format!("{}x{}", &file[..end], &file[end..]);
            let SopsError::Value { path: found, problem } = refused(&file, format) else {
                panic!("{format}: {:?}", refused(&file, format));
            };
            assert_eq!(problem, ValueProblem::TrailingText, "{format}");
            assert!(found.ends_with(path), "{format}: {found}");
        }
        let clear = match format {
            Format::Yaml | Format::Json => file.replacen("last_clear", "last", 1),
            _ => file.replacen("last_clear", "lost", 1),
        };
        // By its new name it has to be encrypted, and its value is not told.
        let SopsError::Value { problem, .. } = refused(&clear, format) else {
            panic!("{format}: {:?}", refused(&clear, format));
        };
        assert_eq!(problem, ValueProblem::NotEncrypted, "{format}");
    }
    let file = sealed(Format::Json, STORES[1].1, MacScope::All);
    for tail in ["{}", "x", "\"correct-horse-battery-staple\""] {
        let error = refused(&format!("{file}{tail}"), Format::Json);
        assert!(matches!(error, SopsError::Syntax { .. }), "{error:?}");
    }
}
