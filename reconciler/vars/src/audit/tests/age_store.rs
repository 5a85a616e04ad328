//! Fleets of clan's age store with one defect each.

use super::super::memory::MemoryTree;
use super::super::*;
use super::fleet::*;
use crate::backend::Backend;

/// An SSH public key, and the start of its hash as age writes it.
const SSH: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIeytR9gbyum076HK7DIO0SZ1GK0YeTfyHnhyV/4hyeh";
const SSH_TAG: &str = "glPrMg";

fn age_fleet() -> (MemoryTree, Vec<MachineEntry>) {
    let mut tree = MemoryTree::default();
    for machine in ["jon", "sara"] {
        tree.write(
            &format!("secrets/age-keys/machines/{machine}/pub"),
            key(machine).as_bytes(),
        );
        tree.write(
            &format!("secrets/age-keys/machines/{machine}/key.age"),
            age_file(1).as_bytes(),
        );
        let admin = key("alice");
        tree.write(
            &format!("secrets/age-keys/machines/{machine}/key.age.recipients"),
            admin.as_bytes(),
        );
    }
    tree.write(
        "secrets/clan-vars/per-machine/jon/ssh/key/key.age",
        age_file(1).as_bytes(),
    );
    tree.write("vars/per-machine/jon/ssh/key.pub/value", b"public");
    let psk = "secrets/clan-vars/shared/wifi/psk/psk.age";
    tree.write(psk, age_file(2).as_bytes());
    let list = format!("{}\n{}\n", key("jon"), key("sara"));
    tree.write(&format!("{psk}.recipients"), list.as_bytes());
    let entries = [entry("jon", JON), entry("sara", SARA)].map(|mut entry| {
        entry.backend = Backend::Age;
        entry
    });
    (tree, entries.into())
}

#[test]
fn the_age_store_is_read_as_clan_lays_it_out() {
    let (tree, entries) = age_fleet();
    assert!(
        found(&tree, Some(&entries)).is_empty(),
        "{:?}",
        found(&tree, Some(&entries))
    );
    assert!(found(&tree, None).is_empty());
    let table: &[(&str, Spoil, &[&str])] = &[
        (
            "missing",
            |tree| tree.remove("secrets/clan-vars/per-machine/jon/ssh/key/key.age"),
            &["missing secrets/clan-vars/per-machine/jon/ssh/key/key.age is missing"],
        ),
        (
            "a machine is not on the list",
            |tree| {
                let list = format!("{}\n{}\n", key("jon"), key("eve"));
                tree.write(
                    "secrets/clan-vars/shared/wifi/psk/psk.age.recipients",
                    list.as_bytes(),
                );
            },
            &[
                "not-encrypted secrets/clan-vars/shared/wifi/psk/psk.age is not encrypted to machine sara",
                "unknown-recipient secrets/clan-vars/shared/wifi/psk/psk.age is encrypted to age1eve",
            ],
        ),
        (
            "no list",
            |tree| tree.remove("secrets/clan-vars/shared/wifi/psk/psk.age.recipients"),
            &["no-links secrets/clan-vars/shared/wifi/psk/psk.age has no list of recipients beside it"],
        ),
        (
            "a key of another kind than the machine has",
            |tree| {
                let text = age_file(1).replace("X25519 AAAA", "ssh-ed25519 AAAAAA CCCC");
                tree.write(
                    "secrets/clan-vars/per-machine/jon/ssh/key/key.age",
                    text.as_bytes(),
                );
            },
            &[
                "not-encrypted secrets/clan-vars/per-machine/jon/ssh/key/key.age is not encrypted to machine jon",
            ],
        ),
        (
            "a second reader of what is one machine's",
            |tree| {
                tree.write(
                    "secrets/clan-vars/per-machine/jon/ssh/key/key.age",
                    age_file(2).as_bytes(),
                );
            },
            &[
                "unknown-recipient secrets/clan-vars/per-machine/jon/ssh/key/key.age is for machine jon alone, and has 2",
            ],
        ),
        (
            "an SSH key on the list, and another one in the file",
            |tree| {
                let path = "secrets/age-keys/machines/sara/key.age";
                tree.write(&format!("{path}.recipients"), SSH.as_bytes());
                let text = age_file(1).replace("X25519 AAAA", "ssh-ed25519 AAAAAA CCCC");
                tree.write(path, text.as_bytes());
            },
            &["not-encrypted secrets/age-keys/machines/sara/key.age is not encrypted to ssh-ed25519 AAAA"],
        ),
        (
            "an SSH key on the list, by its tag in the file",
            |tree| {
                let path = "secrets/age-keys/machines/sara/key.age";
                tree.write(&format!("{path}.recipients"), SSH.as_bytes());
                let text = age_file(1).replace("X25519 AAAA", &format!("ssh-ed25519 {SSH_TAG} CCCC"));
                tree.write(path, text.as_bytes());
            },
            &[],
        ),
        (
            "the list is not that of the file",
            |tree| {
                tree.write(
                    "secrets/clan-vars/shared/wifi/psk/psk.age",
                    age_file(3).as_bytes(),
                );
            },
            &["malformed secrets/clan-vars/shared/wifi/psk/psk.age names 2 recipients, and the file has 3"],
        ),
        (
            "no public key",
            |tree| tree.remove("secrets/age-keys/machines/sara/pub"),
            &[
                "no-key secrets/age-keys/machines/sara/pub is missing: machine sara has no key",
                "unknown-recipient secrets/clan-vars/shared/wifi/psk/psk.age is encrypted to age1sara",
                "not-encrypted secrets/clan-vars/shared/wifi/psk/psk.age is not encrypted to machine sara",
            ],
        ),
        (
            "cleartext",
            |tree| tree.write("secrets/clan-vars/per-machine/jon/ssh/key/key.age", b"hunter2"),
            &["cleartext secrets/clan-vars/per-machine/jon/ssh/key/key.age lies in cleartext"],
        ),
        (
            "what the sops store left, with links to nobody",
            |tree| {
                tree.write(OWN, sealed(&[&key("eve")]).as_bytes());
                tree.point(
                    "vars/per-machine/jon/ssh/key/users/eve",
                    &format!("{UP}sops/users/eve"),
                );
            },
            &["superseded vars holds 1 secrets"],
        ),
    ];
    for (name, spoil, expected) in table {
        let (mut tree, entries) = age_fleet();
        spoil(&mut tree);
        agrees(name, &found(&tree, Some(&entries)), expected);
    }
}
