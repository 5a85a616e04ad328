//! Secrets that are not there or do not open: nothing is built.

use crate::refusal::Stage;
use reconciler_tests::{Entry, Key, Var};
use serde_json::Value;

#[test]
fn a_secret_that_is_missing() {
    let stage = Stage::new();
    let entry = Entry::nixos().generators("{ web.files.token = { }; }");
    let path = Var::per_machine("cinnabar", "web", "token").secret();
    let uses = stage.host.nix_uses().len();
    stage.refuses_entry(
        &entry,
        14,
        &["1 secret is missing", &format!("{path} is missing")],
        Some("vars generate"),
    );
    // Two passes on one tree: the entry was evaluated once, and the toplevel not at all.
    let uses = stage.host.nix_uses().split_off(uses);
    let evaluations = uses.iter().filter(|line| line.contains(" eval ")).count();
    assert_eq!(evaluations, 1, "{uses:#?}");
}

#[test]
fn a_secret_for_somebody_else() {
    let stage = Stage::new();
    let (token, psk) = (
        Var::per_machine("cinnabar", "web", "token"),
        Var::shared("mesh", "psk"),
    );
    token.encrypt(&stage.fleet, "value-one", &["electrum"]);
    psk.encrypt(&stage.fleet, "value-two", &["electrum"]);
    let entry =
        Entry::nixos().generators("{ web.files.token = { }; mesh = { share = true; files.psk = { }; }; }");
    let key = Key::of("cinnabar").recipient;
    let says = [
        "2 secrets are missing or cannot be opened",
        &token.secret(),
        &psk.secret(),
        "is not encrypted to this machine",
        &key,
    ];
    stage.refuses_entry(&entry, 14, &says, Some("sops/machines/cinnabar/key.json"));
}

#[test]
fn a_secret_that_was_cut_off() {
    spoiled("is truncated", "earlier revision", |text| {
        text[..text.len() / 2].to_owned()
    });
}

#[test]
fn a_secret_with_a_conflict_in_it() {
    spoiled("not JSON", "merge conflict", |text| {
        format!("<<<<<<< HEAD\n{text}=======\n{text}>>>>>>> other\n")
    });
}

#[test]
fn a_secret_that_was_edited() {
    let edit = |text: &str| {
        let mut document: Value = serde_json::from_str(text).unwrap();
        document["sops"]["lastmodified"] = "2020-01-01T00:00:00Z".into();
        document.to_string()
    };
    spoiled("message authentication code", "before it was edited", edit);
}

#[test]
fn a_secret_that_is_none() {
    spoiled("is not a sops file", "merge conflict", |_| "hunter2".to_owned());
    spoiled("is not encrypted", "change that secret", |_| {
        "{\"data\": \"hunter2\"}".to_owned()
    });
}

#[test]
fn a_machine_without_a_key() {
    let stage = Stage::new();
    Var::per_machine("cinnabar", "web", "token").encrypt(&stage.fleet, "value-one", &["cinnabar"]);
    let key = stage.host.path("var/lib/sops-nix/key.txt");
    std::fs::remove_file(&key).unwrap();
    stage.refuses_commit(
        14,
        &["no key of this machine can be read", key.to_str().unwrap()],
        Some("reconcile keys"),
    );
}

/// Encrypts a secret, spoils its file, and sees it refused.
#[track_caller]
fn spoiled(says: &str, hint: &str, spoil: impl FnOnce(&str) -> String) {
    let stage = Stage::new();
    let token = Var::per_machine("cinnabar", "web", "token");
    token.encrypt(&stage.fleet, "value-one", &["cinnabar"]);
    let text = stage.fleet.read(&token.secret());
    stage.fleet.write(&token.secret(), &spoil(&text));
    stage.refuses_commit(14, &[&token.secret(), says], Some(hint));
}

#[test]
fn a_value_that_is_older_than_what_it_is_declared_for() {
    let stage = Stage::new();
    let token = Var::per_machine("cinnabar", "web", "token");
    token.encrypt(&stage.fleet, "hunter2", &["cinnabar"]);
    stage
        .fleet
        .write("vars/per-machine/cinnabar/web/.validation-hash", "00");
    let entry = Entry::nixos().generators("{ web = { validationHash = \"11\"; files.token = { }; }; }");
    let says = [
        "1 value is missing, stale",
        "vars/per-machine/cinnabar/web/.validation-hash is stale",
    ];
    stage.refuses_entry(
        &entry,
        14,
        &says,
        Some("reconcile vars generate cinnabar --generator web"),
    );
}

#[test]
fn a_secret_that_opens_and_does_not_say_so() {
    let stage = Stage::new();
    let token = Var::per_machine("cinnabar", "web", "token");
    token.encrypt(&stage.fleet, "hunter2", &["cinnabar"]);
    let text = stage.fleet.read(&token.secret());
    let (own, other) = (Key::of("cinnabar").recipient, Key::of("electrum").recipient);
    stage.fleet.write(&token.secret(), &text.replace(&own, &other));
    let entry = Entry::nixos().generators("{ web.files.token = { }; }");
    let says = [
        token.secret().as_str(),
        "does not name it among its recipients",
        &other,
    ]
    .map(str::to_owned);
    stage.refuses_entry(
        &entry,
        14,
        &says.each_ref().map(String::as_str),
        Some("reconcile vars rekey"),
    );
}

#[test]
fn what_administrators_alone_read_has_to_be_there_too() {
    let stage = Stage::new();
    let entry = Entry::nixos()
        .generators("{ web.files = { password.deploy = false; luks.neededFor = \"partitioning\"; }; }");
    let (password, luks) = (
        Var::per_machine("cinnabar", "web", "password"),
        Var::per_machine("cinnabar", "web", "luks"),
    );
    let says = [
        format!("{} is missing", password.secret()),
        format!("{} is missing", luks.secret()),
    ];
    stage.refuses_entry(
        &entry,
        14,
        &says.each_ref().map(String::as_str),
        Some("vars generate cinnabar --generator web"),
    );
}
