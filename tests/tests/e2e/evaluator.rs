//! The evaluator: what it may do, what is told of it meanwhile, and that it leaves nothing behind.

use crate::refusal::{Stage, refusal};
use reconciler_tests::{Entry, eventually, is_root};
use std::net::TcpListener;

/// A toplevel named after what is imported from a derivation.
fn importing(script: &str) -> Entry {
    let toplevel = format!(
        "toplevel {{ name = import (derivation {{ name = \"imported\"; inherit system; builder = \"/bin/sh\"; \
         args = [ \"-c\" ''PATH=/usr/bin:/bin\n{script}'' ]; }}); class = \"nixos\"; inherit system; folders = [ ./root ]; }}"
    );
    Entry::nixos().toplevel(&toplevel)
}

/// The command lines of all processes that have this in them.
fn processes(mark: &str) -> Vec<String> {
    let Ok(folders) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    let lines = folders.flatten().filter_map(|folder| {
        let line = std::fs::read(folder.path().join("cmdline")).ok()?;
        Some(String::from_utf8_lossy(&line).replace('\0', " "))
    });
    lines.filter(|line| line.contains(mark)).collect()
}

#[test]
fn an_import_from_a_derivation_is_built_and_shown() {
    let Stage {
        store: _store,
        fleet,
        host,
    } = Stage::new();
    fleet.declare(
        "cinnabar",
        &importing("echo compiling the import; echo '\"imported-name\"' >$out"),
    );
    fleet.publish("import from a derivation");
    host.run(&["now", "--verbose"])
        .ended(0)
        .says("building imported")
        .says("compiling the import");
    let current = host.current().unwrap().display().to_string();
    assert!(current.contains("imported-name"), "{current}");
}

#[test]
fn an_import_from_a_derivation_that_is_forbidden() {
    let mut stage = Stage::new();
    stage.host.set("nix.import_from_derivation", "false");
    let entry = importing("echo '\"name\"' >$out");
    stage.refuses_entry(
        &entry,
        13,
        &["allow-import-from-derivation"],
        Some("nix.import_from_derivation = true"),
    );
}

#[test]
fn an_import_that_fails_to_build() {
    let entry = importing("echo undefined reference to main >&2; exit 1");
    Stage::new().refuses_entry(&entry, 13, &["imported", "undefined reference to main"], None);
}

#[test]
fn an_evaluation_that_hangs_leaves_nothing_behind() {
    let mut stage = Stage::new();
    stage.host.set("policy.evaluation_timeout", "\"3s\"");
    let mark = format!("86{:06}", std::process::id());
    let entry = importing(&format!("exec sleep {mark}"));
    stage.refuses_entry(&entry, 13, &["did not end within 3"], Some("evaluation_timeout"));
    eventually("the builder is gone", || {
        processes(&format!("sleep {mark}")).is_empty()
    });
}

#[test]
fn an_evaluation_ends_with_the_agent() {
    let stage = Stage::new();
    let mark = format!("87{:06}", std::process::id());
    stage
        .fleet
        .declare("cinnabar", &importing(&format!("exec sleep {mark}")));
    stage.fleet.publish("an evaluation that hangs");
    // As a lack of memory kills it: without a word before.
    let agent = stage.host.agent();
    let sleeps = || !processes(&format!("sleep {mark}")).is_empty();
    let evaluates = || !processes(&stage.store.store().display().to_string()).is_empty();
    agent.until("it builds what is imported", || sleeps() && evaluates());
    agent.kill();
    eventually("the evaluator and the builder are gone", || {
        !sleeps() && !evaluates()
    });
}

#[test]
fn a_fetch_that_hangs_leaves_nothing_behind() {
    let mut stage = Stage::new();
    stage.host.set("policy.evaluation_timeout", "\"3s\"");
    // It takes connections and says nothing.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!(
        "git+http://127.0.0.1:{}/silent.git",
        listener.local_addr().unwrap().port()
    );
    let flake = stage.fleet.read("flake.nix").replace(
        "{\n  outputs = { self }:",
        &format!("{{\n  inputs.silent = {{ url = \"{url}\"; flake = false; }};\n  outputs = {{ self, silent }}: builtins.seq silent.outPath (")
    );
    let flake = flake.replace(
        "(builtins.readDir ./machines); };\n}",
        "(builtins.readDir ./machines); });\n}",
    );
    stage.fleet.write("flake.nix", &flake);
    let plain = url.trim_start_matches("git+");
    let lock = format!(
        r#"{{"nodes":{{"root":{{"inputs":{{"silent":"silent"}}}},"silent":{{"flake":false,"locked":{{"lastModified":1,
        "narHash":"sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=","ref":"refs/heads/main",
        "rev":"0123456789012345678901234567890123456789","revCount":1,"type":"git","url":"{plain}"}},
        "original":{{"type":"git","url":"{plain}"}}}}}},"root":"root","version":7}}"#
    );
    stage.fleet.write("flake.lock", &lock);
    stage.refuses_commit(13, &["did not end within 3"], Some("evaluation_timeout"));
    eventually("git is gone", || processes(plain).is_empty());
    assert!(!stage.host.path("run/reconciler/evaluator").exists());
}

#[test]
fn flakes_that_the_host_did_not_enable() {
    let Stage {
        store: _store,
        fleet,
        host,
    } = Stage::new();
    host.write("etc/nix/nix.conf", "experimental-features =\n", 0o644);
    fleet.motd("cinnabar", "second");
    fleet.publish("change the motd");
    host.now(0);
    assert_eq!(host.motd(), "second");
}

#[test]
fn settings_that_the_fleet_wants_are_not_accepted() {
    let Stage {
        store: _store,
        fleet,
        host,
    } = Stage::new();
    let flake = fleet.read("flake.nix").replacen(
        '{',
        "{\n  nixConfig.allow-import-from-derivation = false;\n  nixConfig.extra-substituters = [ \"http://127.0.0.1:1/\" ];\n",
        1,
    );
    fleet.write("flake.nix", &flake);
    fleet.declare("cinnabar", &importing("echo '\"imported-name\"' >$out"));
    fleet.publish("want other settings");
    host.now(0);
}

#[test]
fn a_nix_that_is_too_old() {
    let stage = Stage::new();
    stage.host.stand_in("nix", "echo 'nix (Nix) 2.3.16'");
    stage.refuses_commit(
        13,
        &["Nix cannot be used", "nix is 2.3.16; 2.8 or newer is needed"],
        Some("upgrade Nix"),
    );
}

#[test]
fn a_nix_that_says_no_version() {
    let stage = Stage::new();
    stage.host.stand_in("nix", "echo hello");
    stage.refuses_commit(13, &["`nix --version` says `hello`"], Some("is it Nix?"));
}

#[test]
fn no_nix_at_all() {
    if !is_root() {
        eprintln!("only root can take a program away");
        return;
    }
    let stage = Stage::new();
    stage.fleet.motd("cinnabar", "second");
    stage.fleet.publish("change the motd");
    stage.host.stop_watching("nix");
    let hide =
        "for nix in /usr/local/bin/nix /usr/bin/nix; do [ ! -e $nix ] || mount --bind /dev/null $nix; done";
    let output = stage.host.run_unshared(hide, &["now"]);
    refusal(output, 13, &["there is no `nix` in"], Some("install Nix"));
    assert_eq!(stage.host.motd(), "first");
}
