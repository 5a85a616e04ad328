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
        Some("`nix log "),
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

/// A toplevel that needs `name`, a derivation with these attributes.
fn needing(name: &str, attributes: &str) -> Entry {
    Entry::nixos().toplevel(&format!(
        "let needed = derivation {{ name = \"{name}\"; inherit system; builder = \"/bin/sh\"; PATH = \"/usr/bin:/bin\"; \
         {attributes} }}; in\n\
         derivation {{ inherit name system needed; builder = \"/bin/sh\"; args = [ \"-c\" \"echo >$out\" ]; }}"
    ))
}

#[test]
fn a_dependency_that_fails_is_named_with_its_last_words() {
    let script = "for i in $(seq 100); do echo step $i; done; echo undefined reference to main >&2; exit 3";
    Stage::new().refuses_entry(
        &needing("helper-2.1", &format!("args = [ \"-c\" \"{script}\" ];")),
        15,
        &[
            "error: the build of helper-2.1 failed: builder failed with exit code 3\n",
            "-helper-2.1.drv\n",
            "  step 100\n  undefined reference to main\n",
        ],
        Some("-helper-2.1.drv` shows all that its builder said"),
    );
}

#[test]
fn a_download_that_is_not_what_was_declared() {
    let hash = "0".repeat(52);
    Stage::new().refuses_entry(
        &needing(
            "source-1.0",
            &format!(
                "args = [ \"-c\" \"echo other >$out\" ]; outputHashMode = \"flat\"; outputHashAlgo = \"sha256\"; \
                 outputHash = \"{hash}\";"
            ),
        ),
        15,
        &[
            "error: the build of source-1.0 failed: hash mismatch in fixed-output derivation\n",
            "-source-1.0.drv\n",
            "  specified: ",
            "  got: ",
        ],
        None,
    );
}

#[test]
fn a_dependency_that_is_killed_or_never_ends() {
    let mut stage = Stage::new();
    stage.refuses_entry(
        &needing("victim-1", "args = [ \"-c\" \"echo half way; kill -KILL $$\" ];"),
        15,
        &[
            "error: the build of victim-1 failed: builder failed due to signal 9",
            "  half way\n",
        ],
        Some("`nix log "),
    );
    stage.store.configure("timeout = 1");
    stage.refuses_entry(
        &needing("endless-1", "args = [ \"-c\" \"exec sleep 600\" ];"),
        15,
        &[
            "error: the build of endless-1 failed: ",
            "timed out after 1 second",
        ],
        None,
    );
}
