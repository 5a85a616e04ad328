//! Files that are edited, shared, taken away and given another key, by real sops and here in turn: either reads what
//! the other made, in every store, under every rule, for one group of keys or several.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's own helpers may fail loudly"
)]

mod support;

use std::collections::BTreeSet;

use reconciler_vars::sops::{KeyGroups, Rekeyed, SealOptions, edit, encrypt, rekey, rotate};
use reconciler_vars::{Format, Identities, Recipient, SealError, SopsError, decrypt};
use support::documents::{DOTENV, INI, JSON, RULES, YAML};
use support::lab::Lab;

const TIME: &str = "2024-02-29T12:00:00Z";

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn open(bytes: &[u8], format: Format, identities: &Identities) -> String {
    let opened = decrypt(bytes, format, identities).unwrap_or_else(|error| panic!("{format} {error}"));
    text(&opened.into_bytes().unwrap())
}

fn changed(outcome: Result<Rekeyed, SealError>) -> Vec<u8> {
    match outcome.unwrap() {
        Rekeyed::Changed(bytes) => bytes,
        Rekeyed::Unchanged => panic!("nothing was changed"),
    }
}

/// The lines of the other that the one has not, as a diff shows them; comments aside, which sops prints above what they
/// stood behind.
fn differing(one: &[u8], other: &[u8]) -> BTreeSet<String> {
    let lines = |bytes| -> BTreeSet<String> {
        let text = text(bytes);
        let values = text
            .lines()
            .map(|line| line.split(" #ENC[").next().unwrap_or_default());
        let values = values
            .filter(|line| !line.trim_start().starts_with(['#', ';']) && !line.ends_with("type:comment]"));
        values.map(str::to_owned).collect()
    };
    &lines(other) - &lines(one)
}

/// A document of each store, and what is changed in its plaintext: one value.
const DOCUMENTS: [(Format, &str, &str, &str); 4] = [
    (Format::Yaml, YAML, "- nested", "- other"),
    (Format::Dotenv, DOTENV, "b=\"quoted\"", "b=other"),
    (Format::Ini, INI, "last  = x", "last  = other"),
    (Format::Json, JSON, "\"a\": \"x\"", "\"a\": \"other\""),
];

#[test]
fn under_every_rule_either_goes_on_with_what_the_other_made() {
    let lab = Lab::new();
    let (machine, newcomer) = (lab.age_key("machine"), lab.age_key("newcomer"));
    let age = format!("age: {machine}");
    let machine_only = KeyGroups::any_of(&[machine.parse().unwrap()]).unwrap();
    let both = KeyGroups::any_of(&[newcomer.parse().unwrap(), machine.parse().unwrap()]).unwrap();
    let (ours, theirs) = (lab.age_identity("machine"), lab.age_identity("newcomer"));
    for (format, plain, before, after) in DOCUMENTS {
        for rule in RULES {
            let of = format!("{format} {rule}");
            let sealed = lab.seal_as(plain.as_bytes(), format.name(), &[&age, rule]);
            let printed = text(&lab.open_as(&sealed, format.name()));
            assert!(printed.contains(before), "{of}: {printed}");
            let wanted = printed.replacen(before, after, 1);

            let edited = changed(edit(&sealed, format, &ours, wanted.as_bytes(), TIME));
            assert_eq!(text(&lab.open_as(&edited, format.name())), wanted, "{of}");
            // The value, the time, the code over all: a diff shows nothing else.
            let lines = differing(&sealed, &edited);
            assert!(lines.len() <= 3, "{of}: {lines:#?}");
            let same = edit(&edited, format, &ours, wanted.as_bytes(), TIME).unwrap();
            assert_eq!(same, Rekeyed::Unchanged, "{of}");

            let shared = changed(rekey(&edited, format, &ours, &both));
            assert_eq!(
                open(&shared, format, &theirs),
                open(&edited, format, &ours),
                "{of}"
            );
            let rotated = rotate(&shared, format, &theirs, &machine_only, TIME).unwrap();
            assert_eq!(text(&lab.open_as(&rotated, format.name())), wanted, "{of}");
            assert!(decrypt(&rotated, format, &theirs).is_err(), "{of}");

            // And sops goes on: with a data key and a reader of its own.
            lab.write("sealed", &rotated);
            let types = ["--input-type", format.name(), "--output-type", format.name()];
            let again = lab.run(
                "sops",
                &[&["rotate", "--add-age", &newcomer], &types[..], &["sealed"]].concat(),
            );
            assert_eq!(
                open(&again, format, &theirs),
                open(&edited, format, &ours),
                "{of}"
            );
        }
    }
}

/// Three groups of which two are needed.
#[test]
fn groups_of_keys_are_shared_out_in_every_store() {
    let lab = Lab::new();
    let recipients: Vec<Recipient> = ["one", "two", "three", "four"]
        .map(|name| lab.age_key(name).parse().unwrap())
        .into();
    let [one, two, three, four] = recipients.as_slice() else {
        unreachable!();
    };
    let groups = vec![
        vec![one.clone(), four.clone()],
        vec![two.clone()],
        vec![three.clone()],
    ];
    let shares = KeyGroups::shares(groups, 2).unwrap();
    let rule = format!(
        "shamir_threshold: 2\n    key_groups: [{{age: [{one}, {four}]}}, {{age: [{two}]}}, {{age: [{three}]}}]"
    );
    // What sops looks for keys in.
    let keys_of_sops = |names: &[&str]| {
        let keys: Vec<_> = names
            .iter()
            .map(|name| std::fs::read(lab.path(&format!("{name}.txt"))).unwrap())
            .collect();
        lab.write("machine.txt", &keys.concat());
    };
    let documents = DOCUMENTS.map(|(format, plain, ..)| (format, plain));
    for (format, plain) in documents.into_iter().chain([(Format::Binary, "any bytes\n")]) {
        let (first, enough) = (
            lab.identities(&["four.txt"]),
            lab.identities(&["four.txt", "three.txt"]),
        );
        keys_of_sops(&["one", "three"]);
        let theirs = lab.seal_as(plain.as_bytes(), format.name(), &[&rule]);
        let printed = text(&lab.open_as(&theirs, format.name()));
        assert_eq!(open(&theirs, format, &enough), printed, "{format}");

        let ours = encrypt(plain.as_bytes(), format, &SealOptions::new(shares.clone()), TIME).unwrap();
        // In other hands and with another key, it is still shared out.
        let rotated = rotate(&theirs, format, &enough, &shares, TIME).unwrap();
        let single = KeyGroups::any_of(std::slice::from_ref(two)).unwrap();
        let alone = changed(rekey(&ours, format, &enough, &single));
        let again = changed(rekey(&alone, format, &lab.identities(&["two.txt"]), &shares));
        for sealed in [&ours, &rotated, &again] {
            assert_eq!(text(&lab.open_as(sealed, format.name())), printed, "{format}");
            let error = decrypt(sealed, format, &first).unwrap_err();
            let expected = SopsError::KeyGroups {
                count: 3,
                opened: 1,
                needed: 2,
            };
            assert_eq!(error, expected, "{format}");
            let other_order = KeyGroups::shares(
                vec![
                    vec![four.clone(), one.clone()],
                    vec![two.clone()],
                    vec![three.clone()],
                ],
                2,
            );
            let same = rekey(sealed, format, &enough, &other_order.unwrap()).unwrap();
            assert_eq!(same, Rekeyed::Unchanged, "{format}");
        }
        keys_of_sops(&["one", "four"]);
        assert!(
            lab.try_open_as(&ours, format.name()).is_none(),
            "{format}: one group opens it"
        );
        keys_of_sops(&["two"]);
        assert_eq!(text(&lab.open_as(&alone, format.name())), printed, "{format}");
    }
}
