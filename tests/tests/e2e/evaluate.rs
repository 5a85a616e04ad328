//! What cannot be evaluated, and a policy that cannot be followed.

use crate::refusal::{Stage, refusal};
use reconciler_tests::{Entry, Fleet, Host, SYSTEM, Store};
use serde_json::Value;

#[test]
fn a_fleet_without_a_flake() {
    let stage = Stage::new();
    stage.fleet.remove("flake.nix");
    stage.refuses_commit(
        13,
        &["there is no flake.nix in the repository"],
        Some("fleet.directory"),
    );
}

#[test]
fn inputs_that_are_not_locked() {
    let stage = Stage::new();
    let flake = stage.fleet.read("flake.nix");
    let flake = flake.replacen('{', "{\n  inputs.nixpkgs.url = \"github:NixOS/nixpkgs\";\n", 1);
    stage.fleet.write("flake.nix", &flake);
    stage.refuses_commit(13, &["flake.lock does not lock nixpkgs"], Some("nix flake lock"));
}

#[test]
fn a_machine_that_is_not_in_the_fleet() {
    let (store, fleet) = (Store::new(), Fleet::with_machine("cinnabar"));
    for machine in ["scheelite", "electrum"] {
        fleet.declare(machine, &Entry::nixos());
    }
    fleet.publish("declare more machines");
    let mut host = Host::new(&store, &fleet, "cinnabar");
    host.set("machine", "\"electron\"");
    let output = host.run(&["now"]);
    refusal(
        output,
        13,
        &["no machine `electron`; it has electrum, "],
        Some("machine = \"electrum\""),
    );
    assert_eq!(host.current(), None);
    assert_eq!(host.status()["generation"], Value::Null);
}

#[test]
fn another_name_is_another_machine() {
    let mut stage = Stage::new();
    stage.fleet.motd("electrum", "I am electrum");
    stage.fleet.publish("change electrum");
    stage.host.now(0);
    stage.host.set("machine", "\"electrum\"");
    stage.host.now(0);
    assert_eq!(stage.host.motd(), "I am electrum");
}

#[test]
fn a_throw() {
    let stage = Stage::new();
    let entry = Entry::nixos().toplevel("throw \"the option services.web is gone\"");
    stage.refuses_entry(
        &entry,
        13,
        &[
            "cannot evaluate cinnabar",
            "the option services.web is gone",
            "entry.nix",
        ],
        None,
    );
}

#[test]
fn nonsense_instead_of_nix() {
    let stage = Stage::new();
    stage.fleet.write("flake.nix", "{ outputs = ");
    stage.refuses_commit(
        13,
        &["cannot evaluate cinnabar", "syntax error", "flake.nix:"],
        None,
    );
}

#[test]
fn an_infinite_recursion() {
    let entry = Entry::nixos().toplevel("let x = x; in x");
    Stage::new().refuses_entry(&entry, 13, &["infinite recursion encountered"], None);
}

#[test]
fn an_evaluation_that_needs_too_much_memory() {
    let mut stage = Stage::new();
    stage.host.set("policy.evaluation_memory", "\"1 GiB\"");
    let entry = Entry::nixos().toplevel("toString (builtins.genList (x: x) 300000000)");
    stage.refuses_entry(
        &entry,
        13,
        &["needs more than the 1.0 GiB"],
        Some("evaluation_memory"),
    );
}

#[test]
fn an_evaluation_that_takes_too_long() {
    let mut stage = Stage::new();
    stage.host.set("policy.evaluation_timeout", "\"3s\"");
    let entry =
        Entry::nixos().toplevel("let f = n: if n < 2 then n else f (n - 1) + f (n - 2); in toString (f 60)");
    stage.refuses_entry(&entry, 13, &["did not end within 3"], Some("evaluation_timeout"));
}

#[test]
fn a_toplevel_that_cannot_be_built() {
    let stage = Stage::new();
    stage.refuses_entry(
        &Entry::nixos().toplevel("\"/run/current-system\""),
        13,
        &["is a string and not a derivation"],
        None,
    );
}

#[test]
fn an_entry_for_another_system() {
    let entry = Entry::nixos().system("riscv64-linux");
    Stage::new().refuses_entry(&entry, 13, &["declared for riscv64-linux", SYSTEM], None);
}

#[test]
fn no_nix_daemon() {
    let mut stage = Stage::new();
    stage.store.stop();
    stage.refuses_commit(13, &["cannot reach the nix-daemon", "d.sock"], Some("nix.daemon"));
    stage.store.start();
    stage.host.now(0);
    assert_eq!(stage.host.motd(), "bad");
}

#[test]
fn a_policy_that_cannot_be_read_is_not_followed() {
    let stage = Stage::new();
    stage
        .fleet
        .write("reconciler.toml", "[policy]\nkeep_generation = 3\n");
    stage.fleet.motd("cinnabar", "second");
    stage.fleet.publish("a bad policy");
    stage
        .host
        .run(&["now"])
        .ended(0)
        .says("did you mean `keep_generations`")
        .says("stays in force");
    assert_eq!(stage.host.motd(), "second");
}

#[test]
fn a_policy_that_is_no_file_is_not_followed() {
    let stage = Stage::new();
    let never = "[policy.probes.never]\ncommand = [\"/bin/false\"]\n";
    stage.fleet.write("reconciler.toml", never);
    stage.fleet.publish("a policy");
    stage.host.now(0);
    stage.fleet.remove("reconciler.toml");
    stage.fleet.link("reconciler.toml", "elsewhere.toml");
    stage.fleet.motd("cinnabar", "second");
    stage.fleet.publish("a link where the policy was");
    stage.host.run(&["now"]).ended(0).says("stays in force");
    assert_eq!(stage.host.motd(), "second");
}

#[test]
fn policies_that_contradict_each_other() {
    let stage = Stage::new();
    let probe = "[policy.probes.slow]\ncommand = [\"/bin/true\"]\ntimeout = \"2h\"\n";
    stage.fleet.write("reconciler.toml", probe);
    stage.refuses_commit(13, &["the policy cannot be used", "probe `slow`"], None);
}
