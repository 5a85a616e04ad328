//! Going back by hand: to a generation or a commit, and staying there until `unpin`.

use reconciler_tests::{Entry, Fleet, Host, Store, Var};
use serde_json::Value;
use std::path::PathBuf;

/// A machine with two generations, that differ in toplevel and secret.
struct Stage {
    store: Store,
    fleet: Fleet,
    host: Host,
    token: Var,
    /// The commits of generations 1 and 2.
    commits: [String; 2],
    /// Their toplevels.
    toplevels: [PathBuf; 2],
}

impl Stage {
    fn new() -> Stage {
        let (store, fleet) = (Store::new(), Fleet::new());
        let token = Var::per_machine("cinnabar", "web", "token");
        fleet.declare("cinnabar", &Entry::nixos());
        let host = Host::new(&store, &fleet, "cinnabar");
        let step = |motd: &str, value: &str| {
            fleet.motd("cinnabar", motd);
            token.encrypt(&fleet, value, &["cinnabar"]);
            let commit = fleet.publish(motd);
            host.now(0);
            (commit, host.current().unwrap())
        };
        let (first, second) = (step("first", "value-one"), step("second", "value-two"));
        Stage {
            store,
            fleet,
            host,
            token,
            commits: [first.0, second.0],
            toplevels: [first.1, second.1],
        }
    }

    /// The machine is on the first generation's toplevel and secret, pinned there.
    #[track_caller]
    fn is_back(&self) {
        let host = &self.host;
        assert_eq!(host.current().as_ref(), Some(&self.toplevels[0]));
        assert_eq!(self.store.profile("system").as_ref(), Some(&self.toplevels[0]));
        assert_eq!(
            host.boot_default().map(|boot| boot.1).as_ref(),
            Some(&self.toplevels[0])
        );
        assert_eq!(host.motd(), "first");
        assert_eq!(host.secret(self.token.installed()).as_deref(), Some("value-one"));
        let status = host.status();
        assert_eq!(status["sync"], "pinned", "{status:#}");
        assert_eq!(status["generation"]["number"], 3, "{status:#}");
        assert_eq!(status["pin"]["revision"], self.commits[0], "{status:#}");
        assert_eq!(host.history()[0]["outcome"], "rolled-back");
    }

    /// Takes the remote away, and with it everything that only it could give.
    fn cut_off(&self) {
        std::fs::rename(self.fleet.bare(), self.fleet.bare().with_extension("away")).unwrap();
    }

    /// What a reboot takes.
    fn lose_memory(&self) {
        let run = self.host.path("run");
        for entry in std::fs::read_dir(&run).unwrap() {
            let path = entry.unwrap().path();
            // The boot links what it booted.
            if !path.ends_with("current-system") {
                if path.is_dir() && !path.is_symlink() {
                    std::fs::remove_dir_all(path).unwrap();
                } else {
                    std::fs::remove_file(path).unwrap();
                }
            }
        }
        assert_eq!(self.host.secret(self.token.installed()), None);
    }
}

#[test]
fn to_the_previous_generation() {
    let stage = Stage::new();
    stage
        .host
        .run(&["rollback", "--why", "the second is slow"])
        .ended(0);
    stage.is_back();
    assert_eq!(stage.host.status()["pin"]["why"], "the second is slow");
    // Once more is the other way.
    stage.host.run(&["rollback"]).ended(0);
    assert_eq!(stage.host.motd(), "second");
    assert_eq!(
        stage.host.secret(stage.token.installed()).as_deref(),
        Some("value-two")
    );
}

#[test]
fn to_a_generation_by_its_number() {
    let stage = Stage::new();
    stage.host.run(&["rollback", "1"]).ended(0);
    stage.is_back();
}

#[test]
fn to_a_generation_by_its_commit() {
    let stage = Stage::new();
    stage.host.run(&["rollback", &stage.commits[0][..10]]).ended(0);
    stage.is_back();
}

#[test]
fn by_a_pin() {
    let stage = Stage::new();
    stage.host.run(&["pin", &stage.commits[0][..10]]).ended(0);
    assert_eq!(stage.host.motd(), "first");
    assert_eq!(
        stage.host.secret(stage.token.installed()).as_deref(),
        Some("value-one")
    );
    assert_eq!(stage.host.status()["pin"]["revision"], stage.commits[0]);
}

#[test]
fn a_pin_holds_until_it_is_taken_away() {
    let stage = Stage::new();
    stage.host.run(&["rollback"]).ended(0);
    stage.fleet.motd("cinnabar", "third");
    let third = stage.fleet.publish("third");
    stage.host.run(&["now"]).ended(0).says("pinned");
    stage.is_back();
    // By an agent, too.
    let agent = stage.host.agent();
    agent.until("the agent sees the new head", || {
        stage.host.status()["fleet"]["head"] == third
    });
    stage.is_back();

    stage.host.run(&["unpin"]).ended(0);
    assert_eq!(stage.host.motd(), "third");
    assert_eq!(
        stage.host.secret(stage.token.installed()).as_deref(),
        Some("value-two")
    );
    let status = stage.host.status();
    assert_eq!(
        (&status["sync"], &status["pin"]),
        (&"synced".into(), &Value::Null),
        "{status:#}"
    );
    stage.host.run(&["unpin"]).ended(0).says("nothing was pinned");
    assert_eq!(agent.terminate(), Some(0));
}

#[test]
fn a_commit_that_never_ran_here_is_built_first() {
    let stage = Stage::new();
    // Two at once: the machine only sees the second.
    stage.fleet.motd("cinnabar", "skipped");
    let skipped = stage.fleet.commit("skipped");
    stage.fleet.motd("cinnabar", "third");
    stage.fleet.publish("third");
    stage.host.now(0);
    stage.host.run(&["rollback", &skipped]).ended(0);
    assert_eq!(stage.host.motd(), "skipped");
    assert_eq!(stage.host.status()["pin"]["revision"], skipped);
}

#[test]
fn a_pin_on_a_commit_that_was_pushed_just_now() {
    let stage = Stage::new();
    stage.fleet.motd("cinnabar", "third");
    let third = stage.fleet.publish("third");
    stage.host.run(&["pin", &third]).ended(0);
    assert_eq!(stage.host.motd(), "third");
}

#[test]
fn without_the_remote_and_without_an_evaluation() {
    let stage = Stage::new();
    stage.cut_off();
    let uses = stage.host.nix_uses().len();
    stage.host.run(&["rollback"]).ended(0);
    stage.is_back();
    let uses = stage.host.nix_uses().split_off(uses);
    assert!(!uses.iter().any(|line| line.contains(" eval ")), "{uses:#?}");
}

#[test]
fn after_a_reboot_that_took_the_secrets() {
    let stage = Stage::new();
    stage.lose_memory();
    stage.cut_off();
    stage.host.run(&["rollback"]).ended(0);
    stage.is_back();
}

#[test]
fn a_reboot_gives_the_secrets_back_and_activates_nothing() {
    let stage = Stage::new();
    stage.lose_memory();
    let activations = stage.host.activations();
    stage.host.now(0);
    assert_eq!(
        stage.host.secret(stage.token.installed()).as_deref(),
        Some("value-two")
    );
    assert_eq!(stage.host.activations(), activations);
}

#[test]
fn a_reboot_without_the_remote_gives_the_secrets_back() {
    let stage = Stage::new();
    stage.lose_memory();
    stage.cut_off();
    let agent = stage.host.agent();
    agent.until("the secrets are there", || {
        stage.host.secret(stage.token.installed()).as_deref() == Some("value-two")
    });
    assert_eq!(agent.terminate(), Some(0));
}

#[test]
fn after_the_garbage_collector() {
    let stage = Stage::new();
    stage.store.nix("nix-collect-garbage", &["--delete-old"]).ended(0);
    assert_eq!(stage.store.profile_generations("system"), 1);
    stage.host.run(&["rollback"]).ended(0);
    stage.is_back();
}

#[test]
fn to_a_generation_that_is_not_kept_any_more() {
    let mut stage = Stage::new();
    stage.host.set("policy.keep_generations", "2");
    stage.fleet.motd("cinnabar", "third");
    stage.fleet.publish("third");
    stage.host.now(0);
    stage.store.nix("nix-collect-garbage", &["--delete-old"]).ended(0);
    let before = stage.host.picture(&stage.store);
    stage
        .host
        .run(&["rollback", "1"])
        .ended(1)
        .says("generation 1 cannot be gone back to");
    assert_eq!(stage.host.picture(&stage.store), before);
    // What failed pins nothing.
    let status = stage.host.status();
    assert_eq!(status["pin"], Value::Null, "{status:#}");
    stage.host.now(0);
    // The one before it is kept.
    stage.host.run(&["rollback", "2"]).ended(0);
    assert_eq!(stage.host.motd(), "second");
}

#[test]
fn to_nothing() {
    let (store, fleet) = (Store::new(), Fleet::with_machine("cinnabar"));
    let host = Host::new(&store, &fleet, "cinnabar");
    host.run(&["rollback"]).ended(2).says("has not run here yet");
    host.now(0);
    let before = host.picture(&store);
    host.run(&["rollback"]).ended(2).says("no earlier generation");
    host.run(&["rollback", "7"])
        .ended(2)
        .says("there is no generation 7");
    host.run(&["rollback", "deadbeef"])
        .ended(2)
        .says("cannot find deadbeef");
    host.run(&["pin", "deadbeef"])
        .ended(2)
        .says("cannot find deadbeef");
    assert_eq!(host.picture(&store), before);
    assert_eq!(host.status()["pin"], Value::Null);
}

#[test]
fn to_a_generation_that_does_not_work_any_more() {
    let (store, fleet) = (Store::new(), Fleet::with_machine("cinnabar"));
    fleet.fault("cinnabar", "hook", "[ ! -e \"$RECONCILER_ROOT/new-format\" ]\n");
    fleet.publish("it reads the old format");
    let host = Host::new(&store, &fleet, "cinnabar");
    host.now(0);
    fleet.fault("cinnabar", "hook", "touch \"$RECONCILER_ROOT/new-format\"\n");
    fleet.publish("it writes the new format");
    host.now(0);
    let before = host.picture(&store);
    host.run(&["rollback"]).ended(16);
    let mut after = host.picture(&store);
    after.generations = before.generations;
    assert_eq!(after, before);
}
