//! What was evaluated once is not evaluated again; and what it depends on, is.

use crate::refusal::Stage;
use reconciler_tests::{Entry, Fleet, Host, Store};

/// The evaluations and questions to `nix` so far.
fn nix(host: &Host) -> usize {
    let uses = host.nix_uses();
    uses.iter()
        .filter(|line| line.split(' ').nth(1) == Some("nix"))
        .count()
}

/// A pass that starts no `nix`, and says why.
#[track_caller]
fn without_nix(host: &Host) {
    let before = nix(host);
    host.run(&["now"])
        .ended(0)
        .says("nothing changed in the fleet's tree");
    assert_eq!(nix(host), before, "{:#?}", host.nix_uses());
}

/// A pass that evaluates both steps.
#[track_caller]
fn with_nix(host: &Host) {
    let before = nix(host);
    host.run(&["now"])
        .ended(0)
        .never_says("nothing changed in the fleet's tree");
    assert_eq!(nix(host), before + 2, "{:#?}", host.nix_uses());
}

#[test]
fn a_commit_that_leaves_the_tree_as_it_was() {
    let Stage {
        store: _store,
        fleet,
        host,
    } = Stage::new();
    fleet.publish("an empty commit");
    without_nix(&host);
    fleet.git(&["checkout", "--quiet", "-b", "side"]);
    fleet.commit("on the side");
    fleet.git(&["checkout", "--quiet", "main"]);
    fleet.git(&["merge", "--quiet", "--no-ff", "--no-edit", "side"]);
    fleet.push();
    without_nix(&host);

    fleet.motd("cinnabar", "second");
    fleet.publish("change the motd");
    with_nix(&host);
    assert_eq!(host.motd(), "second");
    fleet.revert();
    without_nix(&host);
    assert_eq!(host.motd(), "first");
}

#[test]
fn a_failed_pass_keeps_what_it_evaluated() {
    let Stage {
        store: _store,
        fleet,
        host,
    } = Stage::new();
    let never = "[policy.probes.never]\ncommand = [\"/bin/false\"]\n";
    let entry = Entry::nixos().built_by("exit 1\n");
    fleet.declare("cinnabar", &entry);
    fleet.write("reconciler.toml", never);
    fleet.publish("a build that fails");
    host.run(&["now"]).ended(15);
    let before = nix(&host);
    host.run(&["now"]).ended(15).says("as it was evaluated before");
    assert_eq!(nix(&host), before);
}

#[test]
fn a_fleet_that_reads_its_commit_is_evaluated_at_each() {
    let Stage {
        store: _store,
        fleet,
        host,
    } = Stage::new();
    let flake = fleet.read("flake.nix").replace(
        "import (./machines + \"/${name}/entry.nix\") { inherit name toplevel; }",
        "import (./machines + \"/${name}/entry.nix\") { name = \"${name}-${self.shortRev}\"; inherit toplevel; }",
    );
    fleet.write("flake.nix", &flake);
    let first = fleet.publish("name the toplevel after the commit");
    with_nix(&host);
    let runs = |commit: &str| {
        let current = host.current().unwrap().display().to_string();
        assert!(current.contains(&commit[..7]), "{current} is not of {commit}");
    };
    runs(&first);
    let second = fleet.publish("an empty commit");
    // The metadata reads no commit.
    let before = nix(&host);
    host.now(0);
    assert_eq!(nix(&host), before + 1, "{:#?}", host.nix_uses());
    runs(&second);
    let before = nix(&host);
    host.run(&["now", "--force"])
        .ended(0)
        .says("nothing changed in the fleet's tree");
    assert_eq!(nix(&host), before);
    for read in ["revCount", "lastModified", "sourceInfo.rev", "lastModifiedDate"] {
        let flake = flake.replace("self.shortRev", &format!("toString self.{read}"));
        fleet.write("flake.nix", &flake);
        fleet.publish(read);
        with_nix(&host);
        let before = host.current();
        fleet.publish("an empty commit");
        host.now(0);
        assert_ne!(host.current(), before, "{read}");
    }
}

#[test]
fn another_configuration_of_nix_or_of_the_agent_is_another_evaluation() {
    let Stage {
        store: _store,
        fleet,
        mut host,
    } = Stage::new();
    host.write("etc/nix/nix.conf", "cores = 1\n", 0o644);
    fleet.publish("an empty commit");
    with_nix(&host);
    host.set("nix.import_from_derivation", "false");
    fleet.publish("an empty commit");
    with_nix(&host);
    host.set("machine", "\"electrum\"");
    with_nix(&host);
    host.set("machine", "\"cinnabar\"");
    fleet.publish("an empty commit");
    without_nix(&host);
}

#[test]
fn a_remembered_derivation_that_was_collected_is_evaluated_again() {
    let Stage { store, fleet, host } = Stage::new();
    fleet.motd("cinnabar", "second");
    fleet.publish("change the motd");
    host.run(&["now", "--dry-run"]).ended(0);
    // What a person might delete, and a collection after it.
    std::fs::remove_dir_all(store.state().join("gcroots/reconciler")).unwrap();
    store.nix("nix-store", &["--gc"]).ended(0);
    let before = nix(&host);
    host.now(0);
    assert_eq!(nix(&host), before + 1, "{:#?}", host.nix_uses());
    assert_eq!(host.motd(), "second");
}

/// A fleet whose flake lies in `infra`, and a machine of it.
fn in_a_folder() -> (Store, Fleet, Host) {
    let (store, fleet) = (Store::new(), Fleet::with_machine("cinnabar"));
    std::fs::create_dir(fleet.work().join("infra")).unwrap();
    fleet.git(&[
        "mv",
        "flake.nix",
        "toplevel.nix",
        "toplevels",
        "machines",
        "infra",
    ]);
    fleet.write("README.md", "About.\n");
    fleet.publish("move into a folder");
    let mut host = Host::new(&store, &fleet, "cinnabar");
    host.set("fleet.directory", "\"infra\"");
    (store, fleet, host)
}

#[test]
fn a_commit_outside_the_flakes_folder() {
    let (_store, fleet, host) = in_a_folder();
    host.now(0);
    fleet.write("README.md", "More about.\n");
    fleet.publish("docs");
    without_nix(&host);
    fleet.write("infra/machines/cinnabar/root/etc/motd", "second");
    fleet.publish("change the motd");
    with_nix(&host);
    assert_eq!(host.motd(), "second");
}

#[test]
fn a_flake_that_reads_outside_its_folder_gets_the_whole_repository() {
    let (_store, fleet, host) = in_a_folder();
    host.now(0);
    let flake = fleet.read("infra/flake.nix");
    // Plainly, where nothing would fail without the rest; and in a way that only failing tells.
    let plainly = "if builtins.pathExists ../flag then \"cinnabar-flag\" else name";
    let hidden =
        "if builtins.readFile (./. + \"/.${\".\"}/README.md\") == \"flag\" then \"cinnabar-flag\" else name";
    for (name, outside) in [(plainly, "flag"), (hidden, "README.md")] {
        fleet.write("README.md", "About.\n");
        let named = flake.replace(
            "{ inherit name toplevel; }",
            &format!("{{ name = {name}; inherit toplevel; }}"),
        );
        assert_ne!(named, flake);
        fleet.write("infra/flake.nix", &named);
        fleet.publish("read outside");
        host.now(0);
        let without = host.current().unwrap();
        assert!(!without.display().to_string().contains("flag"), "{without:?}");
        fleet.write(outside, "flag");
        fleet.publish("change what lies outside");
        host.run(&["now"]).ended(0).never_says("nothing changed");
        let with = host.current().unwrap();
        assert!(with.display().to_string().contains("cinnabar-flag"), "{with:?}");
        fleet.publish("an empty commit");
        without_nix(&host);
    }
}

#[test]
fn a_collector_beside_passes_takes_nothing_that_is_needed() {
    let Stage { store, fleet, host } = Stage::new();
    store.collect_beside(|| {
        for number in 2..=6 {
            let text = format!("number {number}");
            fleet.motd("cinnabar", &text);
            fleet.publish(&text);
            host.now(0);
            assert_eq!(host.motd(), text);
        }
        host.run(&["rollback"]).ended(0);
        assert_eq!(host.motd(), "number 5");
        host.run(&["rollback", "1"]).ended(0);
        assert_eq!(host.motd(), "first");
    });
}
