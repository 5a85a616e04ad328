//! Generations that are kept no more: their roots, the profile's links, the boot entries.

use reconciler_tests::{Fleet, Host, Store};
use std::path::PathBuf;

struct Stage {
    store: Store,
    fleet: Fleet,
    host: Host,
}

impl Stage {
    fn new() -> Stage {
        let (store, fleet) = (Store::new(), Fleet::with_machine("cinnabar"));
        let mut host = Host::new(&store, &fleet, "cinnabar");
        host.set("policy.keep_generations", "2");
        host.now(0);
        Stage { store, fleet, host }
    }

    fn push(&self, motd: &str) -> PathBuf {
        self.fleet.motd("cinnabar", motd);
        self.fleet.publish(motd);
        self.host.now(0);
        self.host.current().unwrap()
    }

    fn listed(&self, folder: PathBuf, keep: impl Fn(&str) -> bool) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| keep(name))
            .collect();
        names.sort();
        names
    }

    fn links(&self) -> Vec<String> {
        self.listed(self.store.state().join("profiles"), |name| {
            name.ends_with("-link")
        })
    }

    fn entries(&self) -> Vec<String> {
        self.listed(self.host.path("boot/loader/entries"), |_| true)
    }

    fn roots(&self) -> Vec<String> {
        self.listed(self.store.state().join("gcroots/reconciler"), |name| {
            name.starts_with("generation-")
        })
    }
}

#[test]
fn links_roots_and_boot_entries_go_together() {
    let stage = Stage::new();
    let second = stage.push("second");
    assert_eq!(stage.links(), ["system-1-link", "system-2-link"]);
    stage.push("third");
    assert_eq!(stage.links(), ["system-2-link", "system-3-link"]);
    assert_eq!(
        stage.entries(),
        ["nixos-generation-2.conf", "nixos-generation-3.conf"]
    );
    assert_eq!(stage.roots(), ["generation-2", "generation-3"]);
    let boot = stage.host.boot_default().unwrap();
    assert_eq!(
        (boot.0.as_str(), Some(boot.1)),
        ("nixos-generation-3.conf", stage.host.current())
    );
    // What is left can be gone back to.
    stage.host.run(&["rollback"]).ended(0);
    assert_eq!(stage.host.current(), Some(second));
    assert_eq!(stage.host.boot_default().map(|boot| boot.1), stage.host.current());
}

#[test]
fn a_persons_own_generation_is_theirs() {
    let stage = Stage::new();
    let first = stage.host.current().unwrap();
    // A person's nixos-rebuild: its link is not the agent's.
    let profile = stage.store.state().join("profiles/system");
    let own = stage
        .store
        .nix("nix-store", &["--add-fixed", "sha256", "/etc/hostname"])
        .ended(0);
    let set = [
        "--profile",
        &profile.to_string_lossy(),
        "--set",
        own.stdout.trim(),
    ];
    stage.store.nix("nix-env", &set).ended(0);
    let set = [
        "--profile",
        &profile.to_string_lossy(),
        "--set",
        &first.to_string_lossy(),
    ];
    stage.store.nix("nix-env", &set).ended(0);
    assert_eq!(stage.links(), ["system-1-link", "system-2-link", "system-3-link"]);
    stage.push("second");
    stage.push("third");
    assert_eq!(stage.links(), ["system-2-link", "system-4-link", "system-5-link"]);
}

#[test]
fn what_was_reverted_leaves_no_link() {
    let stage = Stage::new();
    stage.fleet.fault("cinnabar", "boot-lost", "");
    stage.fleet.motd("cinnabar", "bad");
    stage.fleet.publish("a boot loader that fails");
    stage.host.run(&["now"]).ended(16);
    assert_eq!(stage.links(), ["system-1-link", "system-2-link"]);
    stage.fleet.remove("machines/cinnabar/root/fault/boot-lost");
    stage.push("second");
    assert_eq!(stage.links(), ["system-1-link", "system-3-link"]);
}

#[test]
fn a_boot_loader_that_fails_is_told_and_no_failure() {
    let stage = Stage::new();
    stage.push("second");
    // It works for the transaction, and not for the pruning after it.
    stage.fleet.fault(
        "cinnabar",
        "boot-hook",
        "[ ! -e \"$RECONCILER_ROOT/once\" ] || exit 1; : >\"$RECONCILER_ROOT/once\"\n",
    );
    stage.fleet.motd("cinnabar", "third");
    stage.fleet.publish("third");
    stage
        .host
        .run(&["now"])
        .ended(0)
        .says("the boot entries of generations that are gone could not be taken away");
    assert_eq!(stage.links(), ["system-2-link", "system-3-link"]);
    stage.host.run(&["status", "--check"]).ended(0);
}

#[test]
fn a_generation_that_was_collected_is_refused_with_what_to_type() {
    let stage = Stage::new();
    stage.push("second");
    stage.push("third");
    stage.store.nix("nix-collect-garbage", &[]).ended(0);
    let first = stage.host.history().last().unwrap()["revision"]
        .as_str()
        .unwrap()
        .to_owned();
    let hint = format!("reconcile pin {}", &first[..8]);
    stage
        .host
        .run(&["rollback", "1"])
        .ended(1)
        .says("generation 1 cannot be gone back to")
        .says("was collected, and no substituter has it")
        .says(&hint);
    // What it says does it.
    stage.host.run(&["pin", &first]).ended(0);
    assert_eq!(stage.host.motd(), "first");
}
