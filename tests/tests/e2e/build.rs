//! What cannot be built, and what is no system.

use crate::refusal::Stage;
use reconciler_tests::Entry;

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
