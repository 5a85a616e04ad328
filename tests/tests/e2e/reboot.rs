//! What only a boot reaches: it is made the boot default and told, and confirmed or taken back by the first pass
//! after the boot.

use reconciler_tests::{Fleet, Host, Store, Var, is_root};
use serde_json::{Value, json};
use std::path::PathBuf;

const INHIBITORS: &str = "machines/cinnabar/root/switch-inhibitors";

/// A machine on a good generation, with a secret and a probe, and a commit that cannot be switched to.
struct Stage {
    store: Store,
    fleet: Fleet,
    host: Host,
    token: Var,
    old: PathBuf,
}

impl Stage {
    fn new() -> Stage {
        let (store, fleet) = (Store::new(), Fleet::with_machine("cinnabar"));
        let token = Var::per_machine("cinnabar", "web", "token");
        token.encrypt(&fleet, "value-one", &["cinnabar"]);
        fleet.write(
            "reconciler.toml",
            "[policy]\nboot_grace = \"1s\"\n[policy.probes.motd]\n\
             command = [\"/bin/sh\", \"-c\", \"! grep -q unfit $RECONCILER_ROOT/etc/motd\"]\n",
        );
        fleet.publish("a good commit");
        let host = Host::new(&store, &fleet, "cinnabar");
        host.now(0);
        let old = host.current().unwrap();
        Stage {
            store,
            fleet,
            host,
            token,
            old,
        }
    }

    /// Pushes a commit with another implementation of D-Bus, another motd and another secret.
    fn push(&self, motd: &str) -> String {
        self.fleet.motd("cinnabar", motd);
        self.token.encrypt(&self.fleet, "value-two", &["cinnabar"]);
        self.fleet
            .write(INHIBITORS, "{\n  \"dbus-implementation\": \"dbus\"\n}\n");
        self.fleet.publish("another D-Bus")
    }

    /// The same, staged by a pass; the toplevel that boots next.
    fn staged(&self, motd: &str) -> (String, PathBuf) {
        let commit = self.push(motd);
        let ended = self.host.now(10);
        assert_eq!(ended["outcome"], "held", "{ended:#}");
        let next = self.host.boot_default().unwrap().1;
        assert_ne!(next, self.old);
        (commit, next)
    }

    /// The machine is wholly on the old system.
    #[track_caller]
    fn is_on_old(&self) {
        let picture = self.host.picture(&self.store);
        assert_eq!(picture.current.as_ref(), Some(&self.old), "{picture:#?}");
        assert_eq!(picture.profile.as_ref(), Some(&self.old), "{picture:#?}");
        assert_eq!(picture.boot.map(|boot| boot.1).as_ref(), Some(&self.old));
        assert_eq!(self.host.motd(), "first");
        assert_eq!(
            self.host.secret(self.token.installed()).as_deref(),
            Some("value-one")
        );
    }
}

#[test]
fn an_inhibitor_stages_it_and_touches_nothing_that_runs() {
    let stage = Stage::new();
    let before = stage.host.picture(&stage.store);
    let commit = stage.push("second");
    stage
        .host
        .run(&["plan"])
        .ended(0)
        .says("after its next reboot")
        .says("inhibitor:dbus-implementation");
    stage
        .host
        .run(&["now"])
        .ended(10)
        .says("is staged and runs after the next reboot: inhibitor:dbus-implementation")
        .says("hint: `systemctl reboot`");
    let after = stage.host.picture(&stage.store);
    assert_eq!(
        (
            after.current,
            after.secrets,
            after.motd.as_str(),
            after.activations
        ),
        (before.current, before.secrets, "first", before.activations)
    );
    let next = stage.host.boot_default().unwrap().1;
    assert_eq!(stage.store.profile("system"), Some(next.clone()));
    assert_ne!(next, stage.old);

    let status = stage.host.status();
    assert_eq!(
        (
            &status["sync"],
            &status["health"],
            &status["generation"]["number"]
        ),
        (&"held".into(), &"healthy".into(), &1.into()),
        "{status:#}"
    );
    assert_eq!(
        (&status["staged"]["revision"], &status["staged"]["toplevel"]),
        (&commit.clone().into(), &next.to_string_lossy().into()),
        "{status:#}"
    );
    let reasons = json!(["inhibitor:dbus-implementation"]);
    assert_eq!(
        (&status["reboot"]["required"], &status["reboot"]["reasons"]),
        (&true.into(), &reasons),
        "{status:#}"
    );
    assert_eq!(
        (&status["drift"], &status["quarantine"]),
        (&json!([]), &json!([])),
        "{status:#}"
    );
    stage.host.run(&["status", "--check"]).ended(10);
    stage
        .host
        .run(&["status"])
        .ended(0)
        .says("waits for a reboot to run");
    let history = stage.host.history();
    assert_eq!(
        (&history[0]["outcome"], &history[0]["generation"]),
        (&"staged".into(), &Value::Null),
        "{history:#?}"
    );
    // Nothing is done twice while it waits.
    let picture = stage.host.picture(&stage.store);
    stage.host.now(10);
    assert_eq!(stage.host.picture(&stage.store), picture);
    assert_eq!(stage.host.history().len(), history.len());
}

#[test]
fn another_init_interface_stages_it() {
    let stage = Stage::new();
    let interface = "machines/cinnabar/root/init-interface-version";
    stage.fleet.write(interface, "systemd 3");
    stage.fleet.publish("another init");
    stage.host.run(&["now"]).ended(10).says("init-interface");
    assert_eq!(stage.host.current(), Some(stage.old));
}

#[test]
fn another_kernel_is_switched_to_unless_the_policy_says_otherwise() {
    if !is_root() {
        eprintln!("only root can start a host anew");
        return;
    }
    let mut stage = Stage::new();
    stage.host.reboot();
    let kernel = "machines/cinnabar/root/kernel";
    stage.fleet.write(kernel, "linux 6.13");
    stage.fleet.publish("another kernel");
    stage.host.now(0);
    // Nothing was booted with it: that is told.
    assert_eq!(stage.host.status()["reboot"]["reasons"], json!(["kernel"]));
    let policy = stage.fleet.read("reconciler.toml");
    let policy = policy.replace("[policy]\n", "[policy]\nkernel_change = \"reboot\"\n");
    stage.fleet.write("reconciler.toml", &policy);
    stage.fleet.write(kernel, "linux 6.14");
    stage.fleet.publish("yet another kernel");
    stage
        .host
        .run(&["now"])
        .ended(10)
        .says("after the next reboot: kernel");
}

#[test]
fn the_first_pass_after_the_boot_confirms_it() {
    if !is_root() {
        eprintln!("only root can start a host anew");
        return;
    }
    let mut stage = Stage::new();
    let (commit, next) = stage.staged("second");
    stage.host.reboot();
    assert_eq!(stage.host.booted(), Some(next.clone()));
    stage.host.now(0);
    let picture = stage.host.picture(&stage.store);
    assert_eq!(picture.current.as_ref(), Some(&next), "{picture:#?}");
    assert_eq!(picture.profile.as_ref(), Some(&next), "{picture:#?}");
    assert_eq!(picture.boot.map(|boot| boot.1).as_ref(), Some(&next));
    assert_eq!(
        stage.host.secret(stage.token.installed()).as_deref(),
        Some("value-two")
    );
    let status = stage.host.status();
    assert_eq!(
        (&status["sync"], &status["generation"]["revision"]),
        (&"synced".into(), &commit.into()),
        "{status:#}"
    );
    assert_eq!(
        (&status["staged"], &status["generation"]["number"]),
        (&Value::Null, &2.into())
    );
    assert_eq!(status["reboot"]["required"], false, "{status:#}");
    stage.host.run(&["status", "--check"]).ended(0);
}

#[test]
fn a_collection_before_the_boot_takes_neither_side() {
    if !is_root() {
        eprintln!("only root can start a host anew");
        return;
    }
    let mut stage = Stage::new();
    let (_, next) = stage.staged("second");
    stage.store.nix("nix-store", &["--gc"]).ended(0);
    stage.host.reboot();
    stage.store.nix("nix-store", &["--gc"]).ended(0);
    stage.host.now(0);
    assert_eq!(stage.host.current(), Some(next));
    stage.store.nix("nix-store", &["--gc"]).ended(0);
    stage.host.run(&["rollback"]).ended(10);
    stage.host.reboot();
    stage.host.now(0);
    stage.is_on_old();
}

#[test]
fn what_does_not_work_after_the_boot_is_taken_back() {
    if !is_root() {
        eprintln!("only root can start a host anew");
        return;
    }
    let mut stage = Stage::new();
    let (bad, next) = stage.staged("unfit");
    stage.host.reboot();
    assert_eq!(stage.host.current(), Some(next));
    stage.host.run(&["now"]).ended(16).says("probe motd");
    stage.is_on_old();
    let status = stage.host.status();
    assert_eq!(status["quarantine"][0]["revision"], bad, "{status:#}");
    // What runs is not what was booted.
    assert_eq!(status["generation"]["number"], 1, "{status:#}");
    stage.host.run(&["now"]).ended(10).says("quarantine");
}

#[test]
fn what_was_not_booted_is_taken_back() {
    if !is_root() {
        eprintln!("only root can start a host anew");
        return;
    }
    let mut stage = Stage::new();
    stage.staged("second");
    let activations = stage.host.activations().len();
    // As where it does not boot at all and a person, or the loader's own counting, takes the entry before.
    let old = stage.old.clone();
    stage.host.reboot_into(&old);
    stage.host.run(&["now"]).ended(16).says("did not boot it");
    stage.is_on_old();
    assert_eq!(
        stage.host.activations().len(),
        activations + 1,
        "the boot's own is the only one"
    );
    assert_eq!(stage.host.status()["staged"], Value::Null);
}

#[test]
fn a_newer_commit_takes_its_place() {
    let stage = Stage::new();
    stage.staged("second");
    // The same system by another commit goes on waiting.
    stage.fleet.write("README", "nothing of the machine's\n");
    stage.fleet.publish("a remark");
    let picture = stage.host.picture(&stage.store);
    stage.host.run(&["now"]).ended(10).says("is staged");
    assert_eq!(stage.host.picture(&stage.store), picture);
    // Another one that can be switched to does not wait for it.
    stage.fleet.remove(INHIBITORS);
    stage.fleet.motd("cinnabar", "third");
    stage.fleet.publish("the old D-Bus");
    stage.host.now(0);
    let picture = stage.host.picture(&stage.store);
    assert_eq!(stage.host.motd(), "third");
    assert_eq!(picture.profile, picture.current);
    assert_eq!(picture.boot.map(|boot| boot.1), picture.current);
    let history = stage.host.history();
    assert_eq!(
        (&history[0]["outcome"], &history[1]["outcome"]),
        (&"converged".into(), &"reverted".into()),
        "{history:#?}"
    );
    assert_eq!(stage.host.status()["quarantine"], json!([]));
}

#[test]
fn a_commit_that_takes_it_back_leaves_the_old_one_to_boot() {
    let stage = Stage::new();
    stage.staged("second");
    stage.fleet.revert();
    stage.host.now(0);
    stage.is_on_old();
    let status = stage.host.status();
    assert_eq!(
        (&status["staged"], &status["sync"]),
        (&Value::Null, &"synced".into()),
        "{status:#}"
    );
    assert_eq!(status["reboot"]["required"], false, "{status:#}");
}

#[test]
fn a_boot_loader_that_fails_leaves_the_old_one_to_boot() {
    for (fault, content) in [("boot-exit", "1"), ("boot-lost", "")] {
        let stage = Stage::new();
        stage.fleet.fault("cinnabar", fault, content);
        stage.push("second");
        stage.host.now(16);
        stage.is_on_old();
        assert_eq!(stage.host.status()["staged"], Value::Null, "{fault}");
    }
}
