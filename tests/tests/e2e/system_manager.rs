//! The class `system-manager`: its engine ends with 0 whatever it did; every file and every unit is looked at.

use reconciler_tests::{Agent, Entry, Fleet, Host, Store, eventually};
use std::fs;
use std::path::PathBuf;

const UNIT: &str = "[Unit]\nDescription=web\n[Service]\nExecStart=/bin/true\n";

/// A machine whose toplevel has a file that is linked, one that is copied, and a unit.
struct Stage {
    store: Store,
    fleet: Fleet,
    host: Host,
}

impl Stage {
    fn new() -> Stage {
        let (store, fleet) = (Store::new(), Fleet::new());
        fleet.declare("galena", &Entry::system_manager());
        fleet.motd("galena", "first");
        let stage = Stage {
            host: Host::new(&store, &fleet, "galena"),
            store,
            fleet,
        };
        stage.declare("copies/web.key", "a key\n");
        stage.declare("etc/systemd/system/web.service", UNIT);
        stage.fleet.publish("the first commit");
        stage.host.with_systemd();
        stage
    }

    fn converged() -> Stage {
        let stage = Stage::new();
        stage.host.now(0);
        stage
    }

    fn declare(&self, path: &str, text: &str) {
        self.fleet.write(&format!("machines/galena/root/{path}"), text);
    }

    fn profile(&self) -> Option<PathBuf> {
        self.store.profile("system-manager-profiles/system-manager")
    }

    /// Everything that a failed activation has to leave as it was.
    fn picture(&self) -> (Option<PathBuf>, String, String, Vec<String>) {
        let etc = fs::read_dir(self.host.path("etc")).unwrap().flatten();
        let mut names: Vec<String> = etc
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        let key = fs::read_to_string(self.host.path("etc/web.key")).unwrap();
        (self.profile(), self.host.motd(), key, names)
    }

    /// Pushes a bad commit and sees the machine go back.
    fn reverts(&self, reason: &str, spoil: impl FnOnce(&Stage)) {
        let before = self.picture();
        self.fleet.motd("galena", "bad");
        self.declare("etc/zebra", "new\n");
        self.declare("copies/zebra.key", "new\n");
        spoil(self);
        self.fleet.publish("a bad commit");
        self.host.run(&["now"]).ended(16).says(reason);
        assert_eq!(self.picture(), before);
        assert_eq!(self.host.unit("web.service"), "active");
        assert_eq!(self.host.status()["sync"], "quarantined");
        self.fleet.revert();
        self.host.now(0);
        assert_eq!(self.picture(), before);
    }
}

#[test]
fn files_and_units_follow_the_fleet_and_go_back() {
    let stage = Stage::converged();
    let (host, first) = (&stage.host, stage.profile());
    assert_eq!(host.motd(), "first");
    let key = host.path("etc/web.key");
    assert!(!key.is_symlink());
    assert_eq!(fs::read_to_string(&key).unwrap(), "a key\n");
    assert_eq!(host.unit("web.service"), "active");
    assert_eq!(host.activations(), [first.clone().unwrap()]);
    // What the engine's own `register` would leave.
    let root = stage.store.state().join("gcroots/system-manager-current");
    assert_eq!(fs::read_link(&root).ok(), first);

    stage.fleet.motd("galena", "second");
    stage
        .fleet
        .remove("machines/galena/root/etc/systemd/system/web.service");
    stage.declare(
        "etc/systemd/system/job.service",
        "[Service]\nType=oneshot\nExecStart=/bin/true\n",
    );
    stage.declare("masked", "ssh.service\n");
    stage.fleet.publish("a service less, a job more, a unit masked");
    host.now(0);
    assert_eq!(host.motd(), "second");
    assert_eq!(host.unit("web.service"), "inactive");
    assert!(!host.path("etc/systemd/system/web.service").is_symlink());
    assert_eq!(host.status()["health"], "healthy");
    assert_ne!(stage.profile(), first);

    host.run(&["rollback"]).ended(0);
    assert_eq!(host.motd(), "first");
    assert_eq!(
        (stage.profile(), host.unit("web.service")),
        (first.clone(), "active".to_owned())
    );
    assert_eq!(fs::read_link(&root).ok(), first);
    assert!(!host.path("etc/systemd/system/job.service").is_symlink());
}

#[test]
fn a_file_in_the_way_is_told_before_anything_is_touched() {
    let stage = Stage::converged();
    let before = stage.picture();
    stage.host.write("etc/sudoers.d/web", "by hand\n", 0o644);
    stage.fleet.motd("galena", "second");
    stage.declare("etc/sudoers.d/web", "declared\n");
    stage.fleet.publish("a file that a person has, too");
    let said = stage.host.run(&["now"]).ended(14);
    let said = said.says("etc/sudoers.d/web is there already and is not system-manager's");
    said.says("replaceExisting");
    assert_eq!(stage.host.motd(), "first");
    stage.host.run(&["now", "--dry-run"]).ended(14);
    assert_eq!(stage.host.activations().len(), 1);

    // Declared to be replaced, it is kept beside.
    stage.declare("replaced", "sudoers.d/web\n");
    stage.fleet.publish("it is to be replaced");
    stage.host.now(0);
    assert_eq!(stage.host.motd(), "second");
    let kept = stage.host.path("etc/sudoers.d/web.system-manager-backup");
    assert_eq!(fs::read_to_string(kept).unwrap(), "by hand\n");
    assert_ne!(stage.picture(), before);
}

#[test]
fn an_engine_that_gives_up_and_says_it_is_done_is_not_believed() {
    Stage::converged().reverts("the activation reported success, but", |stage| {
        stage.fleet.fault("galena", "etc", "1");
    });
}

#[test]
fn an_engine_that_fails_goes_back() {
    Stage::converged().reverts("exit code 3", |stage| {
        stage.fleet.fault("galena", "activate-exit", "3");
    });
}

#[test]
fn an_assertion_that_refuses_touches_nothing() {
    let stage = Stage::converged();
    let before = stage.picture();
    stage.fleet.motd("galena", "second");
    stage.fleet.fault("galena", "assertion", "");
    stage.fleet.publish("for another distribution");
    stage
        .host
        .run(&["now"])
        .ended(16)
        .says("a pre-activation assertion failed");
    assert_eq!(stage.picture(), before);
    assert_eq!(stage.host.activations().len(), 1);
}

#[test]
fn a_unit_that_fails_is_degraded_and_stays() {
    let stage = Stage::converged();
    stage.fleet.motd("galena", "second");
    stage.declare(
        "etc/systemd/system/broken.service",
        "[Service]\nExecStart=/bin/false\n",
    );
    stage.fleet.publish("a unit that fails");
    stage.host.run(&["now"]).ended(0).says("broken.service is failed");
    assert_eq!(stage.host.motd(), "second");
    assert_eq!(stage.host.status()["health"], "degraded");
    stage.host.run(&["status", "--check"]).ended(18);
}

#[test]
fn a_state_that_a_power_cut_tore_is_given_back() {
    let stage = Stage::converged();
    let state = "var/lib/system-manager/state/system-manager-state.json";
    stage.host.write(state, "", 0o644);
    stage.fleet.motd("galena", "second");
    stage.fleet.publish("after the cut");
    stage.host.now(0);
    assert_eq!(stage.host.motd(), "second");
    let stage = Stage::converged();
    stage.fleet.motd("galena", "second");
    stage.fleet.publish("the second commit");
    stage.host.now(0);
    stage.host.write(state, "{\"fileTree\": {\"fi", 0o644);
    stage.fleet.motd("galena", "third");
    stage.fleet.publish("after the cut");
    stage.host.now(0);
    assert_eq!(stage.host.motd(), "third");
}

/// Before its first run the engine had no state; what a power cut left of that run's is none either.
#[test]
fn a_state_torn_at_the_first_run_is_as_none() {
    let stage = Stage::new();
    stage.host.write(
        "var/lib/system-manager/state/system-manager-state.json",
        "{\"fi",
        0o644,
    );
    stage
        .host
        .write("var/lib/reconciler/system-manager-state.json", "", 0o600);
    stage.host.now(0);
    assert_eq!(stage.host.motd(), "first");
}

#[test]
fn a_kill_in_the_middle_converges() {
    let stage = Stage::converged();
    stage.fleet.motd("galena", "second");
    stage.fleet.fault(
        "galena",
        "hook",
        "echo \"${0%/fault/hook}\" >>\"$RECONCILER_ROOT/activations\"
touch \"$RECONCILER_ROOT/waiting\"
while [ -e \"$RECONCILER_ROOT/waiting\" ] && [ ! -e \"$RECONCILER_ROOT/go\" ]; do sleep 0.02; done
",
    );
    stage.fleet.publish("it takes its time");
    let agent: Agent = stage.host.agent();
    agent.until("the activation runs", || stage.host.path("waiting").exists());
    agent.kill();
    stage.host.write("go", "", 0o644);
    eventually("the engine ends without the agent", || {
        stage.host.motd() == "second"
    });
    stage.host.now(0);
    assert_eq!(stage.host.activations().len(), 2);
    assert_eq!(stage.host.activations().last(), stage.profile().as_ref());
    assert_eq!(stage.host.history().len(), 2);
    assert_eq!(stage.host.status()["sync"], "synced");
}

#[test]
fn what_is_not_as_declared_is_drift_and_put_right() {
    let stage = Stage::converged();
    let host = &stage.host;
    host.run(&["drift"]).ended(0);
    fs::remove_file(host.path("etc/motd")).unwrap();
    reconciler_tests::write(&host.path("etc/web.key"), "another key\n");
    let document = host.run(&["drift", "--json"]).ended(18).json();
    let mut found: Vec<_> = document["drift"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| ["kind", "actual", "cause"].map(|key| item[key].as_str().unwrap()))
        .collect();
    found.sort_unstable();
    assert_eq!(
        found,
        [
            ["etc", "nothing", "displaced"],
            ["etc", "other content", "person"]
        ],
        "{document:#}"
    );
    host.run(&["drift", "--correct"]).ended(0);
    assert_eq!(host.motd(), "first");
    assert_eq!(fs::read_to_string(host.path("etc/web.key")).unwrap(), "a key\n");
}
