//! The agent over time: what it tries again and what it does not, what it finishes and what it skips.

use reconciler_tests::{Agent, Entry, Fleet, Host, Store, Var, is_root, run, tool};
use std::fs::File;
use std::process::Command;
use std::time::Duration;

/// A machine on a good generation, and its agent.
struct Stage {
    store: Store,
    fleet: Fleet,
    host: Host,
    agent: Agent,
}

impl Stage {
    fn new() -> Stage {
        let (store, fleet) = (Store::new(), Fleet::with_machine("cinnabar"));
        let host = Host::new(&store, &fleet, "cinnabar");
        let agent = host.agent();
        let stage = Stage {
            store,
            fleet,
            host,
            agent,
        };
        stage.synced();
        stage
    }

    #[track_caller]
    fn synced(&self) {
        let head = self.fleet.head();
        self.agent.until("the host is synced", || {
            let status = self.host.run(&["status", "--json"]);
            status.code == Some(0) && {
                let status = status.json();
                status["fleet"]["head"] == head && status["sync"] == "synced"
            }
        });
    }

    /// Waits until the last pass ended so.
    #[track_caller]
    fn ends(&self, outcome: &str) {
        self.agent.until(&format!("a pass ends with {outcome}"), || {
            self.host.status()["last_pass"]["outcome"] == outcome
        });
    }

    /// Waits until the remote was asked so often from now on.
    #[track_caller]
    fn polls(&self, number: usize) {
        let checked = || self.host.status()["fleet"]["checked_at"].clone();
        let mut seen = vec![checked()];
        self.agent.until("it polls", || {
            let now = checked();
            if seen.last() != Some(&now) {
                seen.push(now);
            }
            seen.len() > number
        });
    }
}

#[test]
fn a_remote_that_is_away_for_a_while() {
    let stage = Stage::new();
    let before = stage.host.picture(&stage.store);
    let away = stage.fleet.bare().with_extension("away");
    std::fs::rename(stage.fleet.bare(), &away).unwrap();
    stage.agent.until("status tells", || {
        stage.host.status()["fleet"]["error"].is_string()
    });
    stage.polls(2);
    assert_eq!(stage.host.picture(&stage.store), before);
    // Told when it begins, not at every poll.
    assert_eq!(
        stage.agent.log().matches("there is no such repository").count(),
        1,
        "{}",
        stage.agent.log()
    );
    std::fs::rename(&away, stage.fleet.bare()).unwrap();
    stage.fleet.motd("cinnabar", "second");
    stage.fleet.publish("second");
    stage.synced();
    assert_eq!(stage.host.motd(), "second");
    assert!(stage.host.status()["fleet"]["error"].is_null());
}

#[test]
fn a_daemon_that_is_away_for_a_while() {
    let mut stage = Stage::new();
    stage.store.stop();
    stage.fleet.motd("cinnabar", "second");
    stage.fleet.publish("second");
    stage.ends("evaluation-failed");
    stage.store.start();
    // Somebody who asks need not wait for the next try.
    let gates = stage.host.status()["pending"]["gates"].to_string();
    assert!(gates.contains("retry"), "{gates}");
    stage.host.now(0);
    assert_eq!(stage.host.motd(), "second");
    stage.synced();
}

#[test]
fn a_commit_that_fails_is_not_tried_at_every_poll() {
    let stage = Stage::new();
    let entry = Entry::nixos().generators("{ web.files.token = { }; }");
    stage.fleet.declare("cinnabar", &entry);
    stage.fleet.publish("a secret that nobody made");
    stage.ends("preflight-failed");
    let uses = stage.host.nix_uses();
    stage.polls(3);
    assert_eq!(stage.host.nix_uses(), uses);
    // The next commit is not held back by it.
    Var::per_machine("cinnabar", "web", "token").encrypt(&stage.fleet, "value-one", &["cinnabar"]);
    stage.fleet.publish("make the secret");
    stage.synced();
}

#[test]
fn a_commit_that_was_reverted_is_not_tried_again() {
    let stage = Stage::new();
    stage.fleet.motd("cinnabar", "bad");
    stage.fleet.fault("cinnabar", "activate-exit", "134");
    stage.fleet.publish("a bad commit");
    stage
        .agent
        .until("it is reverted", || stage.host.status()["sync"] == "quarantined");
    let activations = stage.host.activations();
    stage.polls(3);
    assert_eq!(stage.host.activations(), activations);
    stage.fleet.revert();
    stage.synced();
    assert_eq!(stage.host.motd(), "first");
}

#[test]
fn a_switch_by_hand_is_waited_for() {
    let stage = Stage::new();
    let lock = File::open(stage.host.path("run/nixos/switch-to-configuration.lock")).unwrap();
    lock.lock().unwrap();
    stage.fleet.motd("cinnabar", "second");
    stage.fleet.publish("second");
    stage.ends("busy");
    lock.unlock().unwrap();
    stage.synced();
    assert_eq!(stage.host.motd(), "second");
}

#[test]
fn an_activation_is_not_interrupted_and_only_the_newest_commit_follows() {
    let stage = Stage::new();
    let waiting = "echo \"${0%/fault/hook}\" >>\"$RECONCILER_ROOT/activations\"
touch \"$RECONCILER_ROOT/waiting\"
while [ -e \"$RECONCILER_ROOT/waiting\" ] && [ ! -e \"$RECONCILER_ROOT/go\" ]; do sleep 0.02; done
";
    stage.fleet.motd("cinnabar", "second");
    stage.fleet.fault("cinnabar", "hook", waiting);
    stage.fleet.publish("second");
    stage
        .agent
        .until("the activation runs", || stage.host.path("waiting").exists());
    stage.fleet.motd("cinnabar", "third");
    stage.fleet.publish("third");
    stage.fleet.motd("cinnabar", "fourth");
    let fourth = stage.fleet.publish("fourth");
    File::create_new(stage.host.path("go")).unwrap();
    stage.synced();
    assert_eq!(stage.host.motd(), "fourth");
    assert_eq!(stage.host.activations().len(), 3);
    let history = stage.host.history();
    assert_eq!(history[0]["revision"], fourth, "{history:#?}");
    assert_eq!(history[1]["subject"], "second", "{history:#?}");
}

#[test]
fn a_restart_activates_nothing() {
    let stage = Stage::new();
    let before = stage.host.picture(&stage.store);
    for _ in 0..3 {
        let agent = stage.host.agent();
        // The first one is still there: this one leaves at once.
        drop(agent);
    }
    let Stage {
        store,
        fleet,
        host,
        agent,
    } = stage;
    assert_eq!(agent.terminate(), Some(0));
    for _ in 0..3 {
        let passes = || agent_passes(&host);
        let before = passes();
        let agent = host.agent();
        agent.until("it makes its first pass", || passes() != before);
        assert_eq!(agent.terminate(), Some(0));
    }
    assert_eq!(host.picture(&store), before);
    drop(fleet);
}

/// When the last pass began.
fn agent_passes(host: &Host) -> String {
    host.status()["last_pass"]["started_at"].to_string()
}

#[test]
fn nobody_else_asks_the_agent() {
    if !is_root() {
        eprintln!("only root can become another user");
        return;
    }
    let stage = Stage::new();
    let mut command = Command::new(tool("setpriv"));
    command
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"])
        .arg(reconciler_tests::reconcile())
        .args(["now"])
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("RECONCILER_CONFIG", stage.host.config());
    let passes = stage.host.status()["last_pass"].clone();
    run(&mut command, Duration::from_secs(30)).ended(1).says("root");
    assert_eq!(stage.host.status()["last_pass"], passes);
}

#[test]
fn a_changed_configuration_is_taken_up_and_a_broken_one_is_not() {
    let mut stage = Stage::new();
    let good = std::fs::read_to_string(stage.host.config()).unwrap();
    let write = |host: &Host, text: &str| host.write("etc/reconciler/config.toml", text, 0o644);
    write(&stage.host, &format!("{good}[flet]\n"));
    stage.agent.until("it says that it cannot be used", || {
        stage
            .agent
            .log()
            .contains("cannot be used, so the old one stays in force")
    });
    write(&stage.host, &good);
    stage.agent.until("it ends for the one that can", || {
        stage.agent.log().contains("ending, so that the new one starts")
    });
    stage
        .agent
        .until("it is gone", || stage.agent.log().contains("stopped"));
    stage.host.set("fleet.poll", "\"2s\"");
    stage.agent = stage.host.agent();
    stage.fleet.motd("cinnabar", "after");
    stage.fleet.publish("for the agent that follows");
    stage.synced();
}
