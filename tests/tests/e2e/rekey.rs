//! Who may read the values: machines and people that come and go, as real sops sees it.

use super::generate::tools;
use reconciler_tests::{Desk, Entry, Fleet, Key, Store};
use std::collections::BTreeMap;

const SHARED: &str = "vars/shared/ca/key/secret";
const OWN: &str = "vars/per-machine/cinnabar/token/token/secret";
const OTHER: &str = "vars/per-machine/electrum/token/token/secret";

fn fleet() -> Fleet {
    let generators = format!(
        "let runtimeInputs = [ {} ]; in {{
           ca = {{ share = true; inherit runtimeInputs; files.key = {{ }}; script = \"printf ca >$out/key\"; }};
           token = {{ inherit runtimeInputs; files.token = {{ }}; script = \"printf token >$out/token\"; }}; }}",
        tools()
    );
    let fleet = Fleet::new();
    for machine in ["cinnabar", "electrum"] {
        fleet.declare(machine, &Entry::nixos().generators(&generators));
    }
    fleet
}

fn files(fleet: &Fleet) -> BTreeMap<&'static str, String> {
    [SHARED, OWN, OTHER].map(|path| (path, fleet.read(path))).into()
}

fn changed(before: &BTreeMap<&'static str, String>, fleet: &Fleet) -> Vec<&'static str> {
    let after = files(fleet);
    let paths = before.iter();
    paths
        .filter(|(path, content)| after.get(*path) != Some(content))
        .map(|(path, _)| *path)
        .collect()
}

/// The encrypted value in a file.
fn data(fleet: &Fleet, path: &str) -> String {
    let file: serde_json::Value = serde_json::from_str(&fleet.read(path)).unwrap();
    file["data"].as_str().unwrap().to_owned()
}

fn opens(desk: &Desk<'_>, who: &str) -> Vec<&'static str> {
    [SHARED, OWN, OTHER]
        .into_iter()
        .filter(|path| desk.sops(path, who).code == Some(0))
        .collect()
}

#[test]
fn people_and_machines_come_and_go() {
    let store = Store::new();
    let fleet = fleet();
    let desk = Desk::new(&store, &fleet);
    desk.knows("machines", "cinnabar");
    desk.knows("machines", "electrum");
    fleet.commit("two machines");
    desk.vars(&["generate", "--commit"]).ended(0);
    desk.vars(&["rekey"])
        .ended(0)
        .says("3 secrets are encrypted to those who may read; nothing was changed");
    assert_eq!(fleet.git(&["status", "--porcelain"]).stdout, "");

    // A person comes: every value, with the key that its file has.
    let before = files(&fleet);
    let sealed = data(&fleet, OWN);
    let bob = format!("bob={}", Key::of("galena").recipient);
    desk.vars(&["rekey", "--add-user", &bob, "--dry-run"])
        .ended(0)
        .says("+ user bob");
    assert!(changed(&before, &fleet).is_empty() && !fleet.work().join("sops/users/bob").exists());
    desk.vars(&["rekey", "--add-user", &bob, "--commit"])
        .ended(0)
        .says("3 secrets encrypted anew; committed");
    assert_eq!(opens(&desk, "galena"), [SHARED, OWN, OTHER]);
    assert_eq!(
        data(&fleet, OWN),
        sealed,
        "the value is not encrypted anew for who only comes"
    );
    assert_eq!(
        fleet.git(&["log", "-1", "--format=%s"]).stdout.trim(),
        "vars: add bob"
    );
    assert_eq!(fleet.git(&["status", "--porcelain"]).stdout, "");
    // Once more changes nothing.
    desk.vars(&["rekey", "--add-user", &bob])
        .ended(0)
        .says("nothing was changed");

    // And goes: a new key for every value, and what has to be made anew is named.
    desk.vars(&["rekey", "--remove-user", "bob", "--commit"])
        .ended(0)
        .says("user bob could read these")
        .says("  vars/shared/ca/key\n")
        .says("  vars/per-machine/cinnabar/token/token\n")
        .says("reconcile vars generate --regenerate --generator token");
    assert!(opens(&desk, "galena").is_empty());
    assert_ne!(data(&fleet, OWN), sealed);
    assert_eq!(opens(&desk, "cinnabar"), [SHARED, OWN]);
    assert_eq!(opens(&desk, "admin"), [SHARED, OWN, OTHER]);
    assert!(!fleet.work().join("sops/users/bob").exists());
    assert!(!fleet.work().join("vars/shared/ca/key/users/bob").exists());
    desk.vars(&["rekey", "--remove-user", "bob"])
        .ended(2)
        .says("no user bob");
    // A key that goes has to go everywhere: not for one machine alone.
    let only = ["rekey", "cinnabar", "--remove-user", "admin"];
    desk.vars(&only).ended(2).says("cannot be used with");
    let only = ["rekey", "cinnabar", "--remove-machine", "electrum"];
    desk.vars(&only).ended(2).says("cannot be used with");

    // A machine gets another key: what it may read, and nothing else.
    let before = files(&fleet);
    let again = format!("electrum={}", Key::of("scheelite").recipient);
    desk.vars(&["rekey", "--add-machine", &again, "--commit"])
        .ended(0)
        .says("machine electrum could read these");
    assert_eq!(
        changed(&before, &fleet),
        [SHARED, OTHER].iter().rev().copied().collect::<Vec<_>>()
    );
    assert_eq!(opens(&desk, "scheelite"), [SHARED, OTHER]);
    assert!(opens(&desk, "electrum").is_empty());

    // A machine goes.
    let before = files(&fleet);
    desk.vars(&["rekey", "--remove-machine", "electrum"])
        .ended(0)
        .says("vars/per-machine/electrum is still there");
    assert_eq!(changed(&before, &fleet).len(), 2);
    assert!(opens(&desk, "scheelite").is_empty());
    assert_eq!(opens(&desk, "cinnabar"), [SHARED, OWN]);
    fleet.commit("a machine less");

    // By hand: links say who may read, and rekey follows them, for one machine where that is asked for.
    fleet.remove("vars/per-machine/cinnabar/token/token/machines/cinnabar");
    fleet.link(
        "vars/shared/ca/key/machines/galena",
        "../../../../../sops/machines/galena",
    );
    desk.vars(&["rekey"])
        .ended(14)
        .says("vars/shared/ca/key")
        .says("sops/machines/galena/key.json is missing");
    desk.knows("machines", "galena");
    let before = files(&fleet);
    desk.vars(&["rekey", "galena"]).ended(0).says("+ machine galena");
    assert_eq!(changed(&before, &fleet), [SHARED]);
    desk.vars(&["rekey"]).ended(0).says("- machine cinnabar");
    assert_eq!(opens(&desk, "cinnabar"), [SHARED]);
}

#[test]
fn groups_share_and_nothing_is_half_done() {
    let store = Store::new();
    let fleet = fleet();
    let desk = Desk::new(&store, &fleet);
    desk.knows("machines", "cinnabar");
    desk.knows("machines", "electrum");
    let flake = fleet.read("flake.nix").replace(
        "{ reconciler.machines",
        "{ reconciler.vars.groups = [ \"admins\" ]; reconciler.machines",
    );
    fleet.write("flake.nix", &flake);
    fleet.commit("a group");
    desk.vars(&["generate"]).ended(2).says("group `admins`");
    fleet.link("sops/groups/admins/users/admin", "../../../users/admin");
    desk.vars(&["generate"]).ended(0);
    assert!(
        fleet
            .work()
            .join("vars/shared/ca/key/groups/admins/users/admin")
            .exists()
    );
    assert_eq!(opens(&desk, "admin"), [SHARED, OWN, OTHER]);
    let bob = format!("bob={}", Key::of("galena").recipient);
    // Someone whom the fleet's groups do not name gets a key and reads nothing.
    let before = files(&fleet);
    desk.vars(&["rekey", "--add-user", &bob]).ended(0);
    assert!(changed(&before, &fleet).is_empty());
    desk.vars(&["rekey", "--add-user", &bob, "--group", "nobody"])
        .ended(2)
        .says("no group `nobody`");
    desk.vars(&["rekey", "--add-user", &bob, "--group", "admins"])
        .ended(0);
    assert_eq!(opens(&desk, "galena"), [SHARED, OWN, OTHER]);
    // The same command by somebody whose key opens only a part changes nothing at all.
    fleet.commit("bob");
    let before = files(&fleet);
    let keys = desk.home().join("cinnabar.txt").display().to_string();
    let _ = desk.sops(SHARED, "cinnabar");
    desk.vars(&["rekey", "--remove-user", "bob", "--identity", &keys])
        .ended(14)
        .says("1 secret cannot be encrypted anew; nothing was changed")
        .says(OTHER.trim_end_matches("/secret"));
    assert!(changed(&before, &fleet).is_empty() && fleet.work().join("sops/users/bob").exists());
    assert_eq!(fleet.git(&["status", "--porcelain"]).stdout, "");
    desk.vars(&["rekey", "--remove-user", "bob"])
        .ended(0)
        .says("user bob could read these");
    assert!(opens(&desk, "galena").is_empty());
    assert!(!fleet.work().join("sops/groups/admins/users/bob").exists());
    // The administrator is the last who reads what is no machine's: they cannot go.
    fleet.remove("vars/per-machine/cinnabar/token/token/machines");
    desk.vars(&["rekey", "--remove-user", "admin"])
        .ended(14)
        .says("nobody would be left");
    assert_eq!(opens(&desk, "admin"), [SHARED, OWN, OTHER]);
}

#[test]
fn a_host_key_is_a_machines_key() {
    let store = Store::new();
    let fleet = fleet();
    let desk = Desk::new(&store, &fleet);
    desk.knows("machines", "cinnabar");
    fleet.commit("one machine has a key");
    // The public half of an SSH host key, as ssh-keyscan prints it.
    let host =
        "host.example.org ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJmPgHRbMHAQBBKMGxV3VUzMbIzOLMcPXAH7FBEL0MhR";
    desk.vars(&["rekey", "--add-machine", &format!("electrum={host}")])
        .ended(0);
    assert!(fleet.read("sops/machines/electrum/key.json").contains("\"age1"));
    desk.vars(&["generate"]).ended(0);
    desk.vars(&["rekey", "--add-machine", "electrum=nonsense"])
        .ended(2)
        .says("cannot take the key of electrum");
    desk.vars(&["rekey", "--add-machine", "../electrum=age1"])
        .ended(2);
}
