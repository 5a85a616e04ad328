//! What cannot be built, and what is no system.

use crate::refusal::Stage;
use reconciler_tests::{Entry, Fleet, Host, Store};

#[test]
fn a_build_that_fails() {
    let entry = Entry::nixos().built_by("echo compiling; echo undefined reference to main >&2; exit 1\n");
    Stage::new().refuses_entry(
        &entry,
        15,
        &["the build of cinnabar failed", "undefined reference to main"],
        None,
    );
}

#[test]
fn a_build_that_takes_too_long() {
    let mut stage = Stage::new();
    stage.host.set("policy.build_timeout", "\"1s\"");
    let entry = Entry::nixos().built_by("exec sleep 600\n");
    stage.refuses_entry(&entry, 15, &["did not end within 1"], None);
}

#[test]
fn a_package_instead_of_a_system() {
    let entry = Entry::nixos().built_by("mkdir -p $out/bin; echo hello >$out/bin/hello\n");
    Stage::new().refuses_entry(&entry, 15, &["is no nixos toplevel", "nixos-version"], None);
}

#[test]
fn a_system_for_another_machine() {
    let stage = Stage::new();
    stage
        .fleet
        .write("machines/cinnabar/root/system", "riscv64-linux");
    stage.refuses_commit(15, &["is for riscv64-linux"], None);
}

#[test]
fn a_build_is_told_while_it_runs() {
    let (store, fleet) = (Store::new(), Fleet::new());
    let entry = Entry::custom("").built_by(
        "mkdir -p $out/bin; printf '#!/bin/sh\\n' >$out/bin/activate; chmod +x $out/bin/activate\n\
         for i in $(seq 100); do echo line $i; done; sleep 0.3; echo linking\n",
    );
    fleet.declare("cinnabar", &entry);
    fleet.publish("the first commit");
    let host = Host::new(&store, &fleet, "cinnabar");
    host.run(&["now", "--verbose", "--dry-run"])
        .ended(0)
        .says("  building cinnabar\n")
        .says("  cinnabar> line 1\n")
        .says("  cinnabar> linking\n")
        .says("built       cinnabar, 1 built");
}
