//! An activation that fails leaves the machine on what it ran before, and its commit in quarantine.

use reconciler_tests::{Entry, Fleet, Host, Store, Var};
use serde_json::Value;
use std::fs::File;

/// A machine on a good generation, with a secret.
struct Stage {
    store: Store,
    fleet: Fleet,
    host: Host,
    token: Var,
}

impl Stage {
    fn new() -> Stage {
        let (store, fleet) = (Store::new(), Fleet::with_machine("cinnabar"));
        let token = Var::per_machine("cinnabar", "web", "token");
        token.encrypt(&fleet, "value-one", &["cinnabar"]);
        fleet.write("reconciler.toml", PROBES);
        fleet.publish("a good commit");
        let host = Host::new(&store, &fleet, "cinnabar");
        host.now(0);
        Stage {
            store,
            fleet,
            host,
            token,
        }
    }

    /// Pushes a commit that changes the toplevel and the secret, and is bad in a way.
    fn push_bad(&self, spoil: impl FnOnce(&Fleet)) -> String {
        self.fleet.motd("cinnabar", "bad");
        self.token.encrypt(&self.fleet, "value-two", &["cinnabar"]);
        spoil(&self.fleet);
        self.fleet.publish("a bad commit")
    }

    /// Pushes a bad commit, sees the machine go back, and all that follows from it.
    fn reverts(&self, reason: &str, spoil: impl FnOnce(&Fleet)) {
        let before = self.host.picture(&self.store);
        let bad = self.push_bad(spoil);
        let ended = self.host.now(16);
        assert!(
            ended["summary"].as_str().unwrap().contains(reason),
            "it should say {reason:?}\n{ended:#}"
        );
        assert_eq!(
            (&ended["outcome"], &ended["generation"]),
            (&"reverted".into(), &1.into()),
            "{ended:#}"
        );
        let mut after = self.host.picture(&self.store).without_activations();
        // A profile's generation that was made stays, and nothing leads to it.
        after.generations = before.generations;
        assert_eq!(after, before.clone().without_activations());
        assert_eq!(
            self.host.secret(self.token.installed()).as_deref(),
            Some("value-one")
        );

        let status = self.host.status();
        assert_eq!(
            (&status["sync"], &status["generation"]["number"]),
            (&"quarantined".into(), &1.into()),
            "{status:#}"
        );
        assert_eq!(status["quarantine"][0]["revision"], bad, "{status:#}");
        let history = self.host.history();
        assert_eq!(
            (&history[0]["outcome"], &history[0]["revision"]),
            (&"reverted".into(), &bad.into()),
            "{history:#?}"
        );

        // It is not tried again by itself.
        let activations = self.host.activations().len();
        let held = self.host.run(&["now"]).ended(10).says(reason);
        assert_eq!(self.host.activations().len(), activations, "{held}");
        // It is, when somebody insists.
        self.host.run(&["now", "--force"]).ended(16);
        assert!(self.host.history().len() > history.len());

        // The next commit is another one.
        self.fleet.revert();
        self.host.now(0);
        assert_eq!(self.host.motd(), "first");
        assert_eq!(
            self.host.secret(self.token.installed()).as_deref(),
            Some("value-one")
        );
        assert_eq!(self.host.status()["quarantine"], Value::Array(Vec::new()));
        assert_eq!(self.host.status()["sync"], "synced");
    }

    /// Pushes a bad commit that is refused before anything is activated.
    fn is_untouched(&self, reason: &str, spoil: impl FnOnce(&Fleet)) {
        let before = self.host.picture(&self.store);
        self.push_bad(spoil);
        self.host.run(&["now"]).ended(16).says(reason);
        assert_eq!(self.host.picture(&self.store), before);
        assert_eq!(
            self.host.secret(self.token.installed()).as_deref(),
            Some("value-one")
        );
        self.host.run(&["now"]).ended(10);
        assert_eq!(self.host.picture(&self.store), before);
    }
}

/// A probe that a bad motd does not pass.
const PROBES: &str = "[policy.probes.motd]
command = [\"/bin/sh\", \"-c\", \"! grep -q unfit $RECONCILER_ROOT/etc/motd\"]
timeout = \"5s\"
";

#[test]
fn exit_code_1_after_all_was_done() {
    Stage::new().reverts("exit code 1", |fleet| fleet.fault("cinnabar", "test-exit", "1"));
}

#[test]
fn exit_code_1_of_a_check_touches_nothing() {
    Stage::new().is_untouched("a pre-switch check refused it", |fleet| {
        fleet.fault("cinnabar", "check", "the database is too old for it\n");
    });
}

#[test]
fn exit_code_2() {
    Stage::new().reverts("exit code 2", |fleet| {
        fleet.fault("cinnabar", "hook", "echo no such user >&2; exit 1\n");
    });
}

#[test]
fn exit_code_4_is_degraded_and_stays() {
    let stage = Stage::new();
    stage.push_bad(|fleet| fleet.fault("cinnabar", "test-exit", "4"));
    let ended = stage.host.now(0);
    assert_eq!(ended["generation"], 2, "{ended:#}");
    assert_eq!(stage.host.motd(), "bad");
    let status = stage.host.status();
    assert_eq!(
        (&status["health"], &status["sync"]),
        (&"degraded".into(), &"synced".into()),
        "{status:#}"
    );
    stage.host.run(&["status", "--check"]).ended(18);
}

#[test]
fn exit_code_4_after_a_failed_script_is_no_mere_degradation() {
    // A failing unit's code overwrites that of a failing script.
    Stage::new().reverts("exit code 2", |fleet| {
        fleet.fault("cinnabar", "hook", "exit 1\n");
        fleet.fault("cinnabar", "test-exit", "4");
    });
}

#[test]
fn exit_code_11_is_another_switch() {
    let stage = Stage::new();
    let before = stage.host.picture(&stage.store);
    stage.push_bad(|_| ());
    // Where the first activation left it.
    let lock = File::open(stage.host.path("run/nixos/switch-to-configuration.lock")).unwrap();
    lock.lock().unwrap();
    stage
        .host
        .run(&["now"])
        .ended(75)
        .says("another switch is running");
    assert_eq!(stage.host.picture(&stage.store), before);
    assert_eq!(stage.host.status()["quarantine"], Value::Array(Vec::new()));
    lock.unlock().unwrap();
    // It was nobody's fault.
    stage.host.now(0);
    assert_eq!(stage.host.motd(), "bad");
}

/// A person's own tool takes the lock as soon as the activation has let go of it.
const BETWEEN: &str = "lock=\"$RECONCILER_ROOT/run/nixos/switch-to-configuration.lock\"
setsid sh -c \"exec 9<\\\"$lock\\\"; flock 9; touch '$RECONCILER_ROOT/theirs'; while [ -e '$RECONCILER_ROOT/theirs' ]; do sleep 0.02; done\" \\
  9>&- </dev/null >/dev/null 2>&1 &
";

#[test]
fn a_switch_by_hand_in_the_middle_is_waited_for() {
    let stage = Stage::new();
    stage.push_bad(|fleet| fleet.fault("cinnabar", "hook", BETWEEN));
    let profile = stage.store.profile("system");
    let agent = stage.host.agent();
    agent.until("it says that it waits", || {
        agent
            .log()
            .contains("another switch is running: waiting for its end, at most 30 min")
    });
    assert!(stage.host.path("theirs").exists());
    assert_eq!(stage.store.profile("system"), profile);
    std::fs::remove_file(stage.host.path("theirs")).unwrap();
    agent.until("it is finished", || stage.host.status()["sync"] == "synced");
    assert_eq!(stage.host.motd(), "bad");
    assert_ne!(stage.store.profile("system"), profile);
    assert_eq!(agent.terminate(), Some(0));
}

#[test]
fn exit_code_134() {
    Stage::new().reverts("exit code 134", |fleet| {
        fleet.fault("cinnabar", "activate-exit", "134");
    });
}

#[test]
fn a_signal() {
    // The script that runs the hook, and switch-to-configuration above it.
    let kill = "kill -KILL $(cut -d ' ' -f 4 /proc/$PPID/stat) $PPID\n";
    Stage::new().reverts("SIGKILL", |fleet| fleet.fault("cinnabar", "hook", kill));
}

#[test]
fn success_without_a_system() {
    Stage::new().reverts("reported success", |fleet| {
        fleet.fault("cinnabar", "keep-current", "");
    });
}

#[test]
fn an_activation_without_an_end() {
    let mut stage = Stage::new();
    stage.host.set("policy.activation_timeout", "\"7s\"");
    stage.reverts("did not end within 7 s", |fleet| {
        fleet.fault("cinnabar", "sleep", "600");
    });
}

#[test]
fn a_probe_that_passed_before() {
    Stage::new().reverts("probe motd", |fleet| fleet.motd("cinnabar", "unfit"));
}

#[test]
fn a_probe_that_failed_before_is_no_reason() {
    let stage = Stage::new();
    let never = "[policy.probes.never]\ncommand = [\"/bin/false\"]\n";
    stage.push_bad(|fleet| fleet.write("reconciler.toml", never));
    stage.host.now(0);
    assert_eq!(stage.host.motd(), "bad");
}

#[test]
fn a_remote_that_cannot_be_reached_any_more() {
    // The activation takes the network away: here, the repository.
    let stage = Stage::new();
    let (from, to) = (stage.fleet.bare(), stage.fleet.bare().with_extension("away"));
    let before = stage.host.picture(&stage.store).without_activations();
    let hook = format!("mv {} {}\n", from.display(), to.display());
    stage.push_bad(|fleet| fleet.fault("cinnabar", "hook", &hook));
    stage.host.run(&["now"]).ended(16).says("remote");
    assert_eq!(stage.host.picture(&stage.store).without_activations(), before);
}

#[test]
fn a_configuration_that_cannot_be_read_any_more() {
    // With it in force the agent could never hear of the commit that mends it.
    let stage = Stage::new();
    let before = stage.host.picture(&stage.store).without_activations();
    let hook = format!("echo '[flet]' >>{}\n", stage.host.config().display());
    stage.push_bad(|fleet| fleet.fault("cinnabar", "hook", &hook));
    let ended = stage.host.run(&["now", "--json"]).ended(16).json();
    let summary = ended["summary"].as_str().unwrap();
    assert!(summary.contains("agent") && summary.contains("flet"), "{ended:#}");
    assert_eq!(stage.host.picture(&stage.store).without_activations(), before);
}

#[test]
fn a_boot_loader_that_lost_the_entry() {
    Stage::new().reverts("the boot loader has no entry", |fleet| {
        fleet.fault("cinnabar", "boot-lost", "");
    });
}

#[test]
fn a_boot_loader_that_fails() {
    Stage::new().reverts("boot default could not be set", |fleet| {
        fleet.fault("cinnabar", "boot-exit", "1");
    });
}

#[test]
fn the_end_of_the_log_is_shown() {
    let stage = Stage::new();
    stage.push_bad(|fleet| fleet.fault("cinnabar", "hook", "echo the database is locked >&2; exit 1\n"));
    stage
        .host
        .run(&["now"])
        .ended(16)
        .says("the database is locked")
        .says("hint:");
}

#[test]
fn nothing_to_go_back_to_needs_a_person() {
    let (store, fleet) = (Store::new(), Fleet::with_machine("cinnabar"));
    fleet.fault("cinnabar", "activate-exit", "134");
    fleet.publish("a bad commit");
    let host = Host::new(&store, &fleet, "cinnabar");
    host.run(&["now"]).ended(17).says("nothing ran here before");
    host.run(&["status", "--check"]).ended(17);
    fleet.revert();
    host.now(0);
    assert_eq!(host.motd(), "first");
    host.run(&["status", "--check"]).ended(0);
}

#[test]
fn a_way_back_that_fails_needs_a_person() {
    let (store, fleet) = (Store::new(), Fleet::with_machine("cinnabar"));
    fleet.fault("cinnabar", "hook", "[ ! -e \"$RECONCILER_ROOT/broken\" ]\n");
    fleet.publish("a commit that works as long as nothing is broken");
    let host = Host::new(&store, &fleet, "cinnabar");
    host.now(0);
    let first = host.current().unwrap();
    fleet.fault("cinnabar", "hook", "touch \"$RECONCILER_ROOT/broken\"; exit 1\n");
    fleet.publish("a commit that breaks it");
    let command = format!("{}/bin/switch-to-configuration test", first.display());
    host.run(&["now"]).ended(17).says(&command);
    host.run(&["status", "--check"]).ended(17);
    // A person repairs it, and the fleet goes on.
    std::fs::remove_file(host.path("broken")).unwrap();
    fleet.revert();
    host.now(0);
    assert_eq!(host.current(), Some(first));
    host.run(&["status", "--check"]).ended(0);
}

#[test]
fn a_custom_toplevel_that_fails() {
    let (store, fleet) = (Store::new(), Fleet::new());
    let script = |text: &str, end: &str| {
        Entry::custom(&format!(
            "#!/bin/sh\nmkdir -p \"$RECONCILER_ROOT/etc\"\nprintf {text} >\"$RECONCILER_ROOT/etc/motd\"\n{end}\n"
        ))
    };
    fleet.declare("galena", &script("first", "exit 0"));
    fleet.publish("a good commit");
    let host = Host::new(&store, &fleet, "galena");
    host.now(0);
    let profile = store.profile("reconciler");
    fleet.declare("galena", &script("bad", "exit 3"));
    fleet.publish("a bad commit");
    host.run(&["now"]).ended(16).says("exit code 3");
    assert_eq!(host.motd(), "first");
    assert_eq!(store.profile("reconciler"), profile);
    host.run(&["now"]).ended(10);
}
