//! `reconcile vars check` with keys: what only they can tell, and what can be told without. Everything is sealed by the
//! real sops and the real age.

use crate::check::{check, fleet, key_file, psk, token, told};
use reconciler_tests::{Fleet, Key, fixtures, reconcile, run, seal, tool, write};
use serde_json::Value;
use std::process::Command;
use std::time::Duration;

/// Seals a file of age's for these.
fn seal_age(fleet: &Fleet, path: &str, text: &str, readers: &[&str]) {
    let mut command = Command::new(tool("age"));
    command.arg("--armor");
    for reader in readers {
        command.args(["-r", &Key::of(reader).recipient]);
    }
    let plain = fleet.work().with_file_name("plain");
    write(&plain, text);
    command.arg(&plain);
    let sealed = run(&mut command, Duration::from_secs(60)).ended(0).stdout;
    fleet.write(path, &sealed);
}

/// The list of recipients that clan keeps beside it.
fn list(fleet: &Fleet, path: &str, readers: &[&str]) {
    let lines = readers
        .iter()
        .map(|reader| format!("{}\n", Key::of(reader).recipient));
    fleet.write(&format!("{path}.recipients"), &lines.collect::<String>());
}

#[test]
fn what_only_keys_can_tell() {
    let fleet = fleet();
    let admin = key_file(&fleet, "admin");
    let electrum = key_file(&fleet, "electrum");
    // The machine's own key, for the administrator, as clan keeps it.
    let own = |name: &str| {
        let key = Key::of(name).identity;
        let secret = "sops/secrets/cinnabar-age.key";
        seal(
            &fleet,
            &format!("{secret}/secret"),
            &key,
            &[Key::of("admin").recipient],
        );
        fleet.link(&format!("{secret}/users/admin"), "../../../users/admin");
        fleet.commit("a machine's key");
    };
    own("cinnabar");
    check(&fleet, None, &["--identity", &admin])
        .ended(0)
        .says("3 opened");
    // A machine's key opens what is the machine's, and says what it does not open.
    check(&fleet, None, &["--identity", &electrum])
        .ended(0)
        .says("1 opened")
        .says("2 of 3 secrets are for other keys");
    own("scheelite");
    let output = check(&fleet, None, &["--json", "--identity", &admin]).ended(14);
    assert_eq!(
        told(&output),
        ["machine-key sops/secrets/cinnabar-age.key/secret"]
    );
    own("cinnabar");

    let secret = token().secret();
    let spoil = |change: fn(&mut Value)| {
        let text = fleet.read(&secret);
        let mut document: Value = serde_json::from_str(&text).unwrap();
        change(&mut document);
        fleet.write(&secret, &document.to_string());
        fleet.commit("spoiled");
        let without = told(&check(&fleet, None, &["--json"]));
        let with = told(&check(&fleet, None, &["--json", "--identity", &admin]));
        fleet.write(&secret, &text);
        fleet.commit("mended");
        (without, with)
    };
    let path = |rule: &str| format!("{rule} {secret}");
    // Another time: nothing that can be seen without a key.
    let edited = spoil(|document| document["sops"]["lastmodified"] = "2020-01-01T00:00:00Z".into());
    assert_eq!(edited, (vec![], vec![path("bad-mac")]));
    // The names of two recipients swapped for those of others.
    let (without, with) = spoil(|document| {
        let key = Key::of("scheelite").recipient;
        for entry in document["sops"]["age"].as_array_mut().unwrap() {
            if entry["recipient"] == Key::of("admin").recipient.as_str() {
                entry["recipient"] = key.clone().into();
            }
        }
    });
    assert_eq!(without, [path("not-encrypted"), path("unknown-recipient")]);
    assert!(with.contains(&path("opens-unlisted")), "{with:?}");
    // What is sealed for one recipient stands under the name of another.
    let (without, with) = spoil(|document| {
        let entries = document["sops"]["age"].as_array_mut().unwrap();
        let other = entries[0]["enc"].clone();
        for entry in entries {
            entry["enc"] = other.clone();
        }
    });
    assert!(without.is_empty(), "{without:?}");
    assert!(with.contains(&path("does-not-open")), "{with:?}");
}

#[test]
fn the_age_store_of_a_clan() {
    let fleet = Fleet::new();
    for machine in ["cinnabar", "electrum"] {
        let folder = format!("secrets/age-keys/machines/{machine}");
        let key = Key::of(machine);
        fleet.write(&format!("{folder}/pub"), &key.recipient);
        seal_age(&fleet, &format!("{folder}/key.age"), &key.identity, &["admin"]);
        list(&fleet, &format!("{folder}/key.age"), &["admin"]);
    }
    seal_age(
        &fleet,
        "secrets/clan-vars/per-machine/cinnabar/web/token/token.age",
        "hunter2",
        &["cinnabar"],
    );
    let psk = "secrets/clan-vars/shared/mesh/psk/psk.age";
    seal_age(&fleet, psk, "hunter2", &["cinnabar", "electrum"]);
    list(&fleet, psk, &["cinnabar", "electrum"]);
    fleet.commit("a fleet of the age store");
    check(&fleet, None, &[]).ended(0).says("2 secrets of 2 machines");
    let admin = key_file(&fleet, "admin");
    // By way of the machines' own keys, which the administrator's opens.
    check(&fleet, None, &["--identity", &admin])
        .ended(0)
        .says("2 opened");
    list(&fleet, psk, &["cinnabar"]);
    seal_age(
        &fleet,
        "secrets/age-keys/machines/electrum/key.age",
        &Key::of("scheelite").identity,
        &["admin"],
    );
    fleet.commit("spoiled");
    let output = check(&fleet, None, &["--json", "--identity", &admin]).ended(14);
    assert_eq!(
        told(&output),
        [
            "machine-key secrets/age-keys/machines/electrum/key.age",
            "malformed secrets/clan-vars/shared/mesh/psk/psk.age",
        ],
        "{output}"
    );
    seal_age(
        &fleet,
        "secrets/age-keys/machines/electrum/key.age",
        &Key::of("electrum").identity,
        &["admin"],
    );

    // As many keys of the same kind as the list has, and not the same: it takes a key to see it.
    list(&fleet, psk, &["cinnabar", "electrum"]);
    seal_age(&fleet, psk, "hunter2", &["cinnabar", "scheelite"]);
    let own = "secrets/clan-vars/per-machine/cinnabar/web/token/token.age";
    seal_age(&fleet, own, "hunter2", &["electrum"]);
    fleet.commit("for others than the list says");
    check(&fleet, None, &[]).ended(0);
    let output = check(&fleet, None, &["--json", "--identity", &admin]).ended(14);
    let expected = [
        format!("not-encrypted {own}"),
        format!("not-encrypted {psk}"),
        format!("opens-unlisted {own}"),
    ];
    assert_eq!(told(&output), expected, "{output}");
    // The machine's own key sees as much of what is for it.
    let cinnabar = key_file(&fleet, "cinnabar");
    let output = check(&fleet, None, &["--json", "--identity", &cinnabar]).ended(14);
    assert_eq!(told(&output), [format!("not-encrypted {own}")], "{output}");
}

#[test]
fn an_age_file_in_the_place_of_one_of_sops() {
    let fleet = fleet();
    let secret = token().secret();
    seal_age(&fleet, &secret, "hunter2", &["cinnabar", "admin"]);
    fleet.commit("not of sops");
    let cinnabar = key_file(&fleet, "cinnabar");
    for arguments in [&["--json"][..], &["--json", "--identity", &cinnabar]] {
        let output = check(&fleet, None, arguments).ended(0);
        assert_eq!(told(&output), [format!("plain-age {secret}")], "{output}");
    }
    check(&fleet, None, &["--identity", &cinnabar]).says("2 opened");
    seal_age(&fleet, &secret, "hunter2", &["electrum", "admin"]);
    fleet.commit("nor for the machine");
    let output = check(&fleet, None, &["--json", "--identity", &cinnabar]).ended(14);
    let expected = [format!("not-encrypted {secret}"), format!("plain-age {secret}")];
    assert_eq!(told(&output), expected, "{output}");
}

#[test]
fn a_share_of_the_key_is_not_the_key() {
    let fleet = fleet();
    let secret = psk().secret();
    let seal = |groups: &[&[&str]]| {
        let groups = groups.iter().map(|names| {
            let keys = names
                .iter()
                .map(|name| format!("\"{}\"", Key::of(name).recipient));
            format!("{{\"age\": [{}]}}", keys.collect::<Vec<_>>().join(", "))
        });
        let groups = groups.collect::<Vec<_>>().join(", ");
        let config = fleet.work().with_file_name("sops.yaml");
        write(
            &config,
            &format!("{{\"creation_rules\": [{{\"shamir_threshold\": 2, \"key_groups\": [{groups}]}}]}}"),
        );
        let plain = fleet.work().with_file_name("plain");
        write(&plain, "hunter2");
        let mut sops = Command::new(tool("sops"));
        sops.arg("--config")
            .arg(&config)
            .args(["encrypt", "--input-type", "binary", "--output-type", "json"])
            .arg(&plain)
            .env_clear();
        let sealed = run(&mut sops, Duration::from_secs(60)).ended(0).stdout;
        fleet.write(&secret, &sealed);
        fleet.commit("groups");
    };
    let admin = key_file(&fleet, "admin");
    seal(&[&["cinnabar", "electrum"], &["admin", "cinnabar"]]);
    for arguments in [&[][..], &["--identity", &admin]] {
        check(&fleet, None, arguments)
            .ended(14)
            .says("does not open for machine electrum alone: it takes 2 of 2 key groups, and machine electrum is in 1")
            .says("1 thing is wrong");
    }
    seal(&[&["cinnabar", "electrum"], &["admin", "cinnabar", "electrum"]]);
    check(&fleet, None, &["--identity", &admin]).ended(0);
}

#[test]
fn a_plugin_of_the_person_who_checks() {
    let fleet = fleet();
    let key = Key::of_plugin();
    let file = fleet.work().with_file_name("plugin.key");
    write(&file, &key.identity);
    let check = |path: &str| {
        let mut command = Command::new(reconcile());
        command
            .env_clear()
            .env("PATH", path)
            .args(["vars", "check", "--no-evaluate", "--identity"])
            .arg(&file)
            .current_dir(fleet.work());
        run(&mut command, Duration::from_secs(60))
    };
    check("/usr/bin:/bin")
        .ended(2)
        .says("age-plugin-marked is not installed in any of");
    let with = format!("{}:/usr/bin:/bin", fixtures().join("bin").display());
    check(&with).ended(0).says("2 of 2 secrets are for other keys");
}
