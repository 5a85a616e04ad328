//! The agent ends at the worst moments: what was begun is brought to its end, once.

use reconciler_tests::{Agent, Entry, Fleet, Host, Store, eventually, is_stopped};
use std::time::Duration;

/// A hook that says that it runs, and goes on when it is let go; it counts as any other.
const WAITING: &str = "echo \"${0%/fault/hook}\" >>\"$RECONCILER_ROOT/activations\"
touch \"$RECONCILER_ROOT/waiting\"
while [ -e \"$RECONCILER_ROOT/waiting\" ] && [ ! -e \"$RECONCILER_ROOT/go\" ]; do sleep 0.02; done
";

/// A machine on a good generation, and a commit pushed whose activation waits.
struct Stage {
    store: Store,
    fleet: Fleet,
    host: Host,
}

impl Stage {
    fn new() -> Stage {
        let (store, fleet) = (Store::new(), Fleet::with_machine("cinnabar"));
        let host = Host::new(&store, &fleet, "cinnabar");
        host.now(0);
        fleet.motd("cinnabar", "second");
        fleet.fault("cinnabar", "hook", WAITING);
        fleet.publish("a commit that takes its time");
        Stage { store, fleet, host }
    }

    /// An agent in the middle of the activation.
    fn activating(&self) -> Agent {
        let agent = self.host.agent();
        agent.until("the activation runs", || self.host.path("waiting").exists());
        agent
    }

    fn let_go(&self) {
        std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.host.path("go"))
            .unwrap();
    }

    fn is_on_second(&self) -> bool {
        let (host, status) = (&self.host, self.host.run(&["status", "--json"]));
        status.code == Some(0) && status.json()["sync"] == "synced" && host.motd() == "second"
    }

    /// The machine is on the second generation, activated once, and everything agrees on it.
    #[track_caller]
    fn ended_well(&self) {
        let picture = self.host.picture(&self.store);
        assert_eq!(picture.motd, "second");
        assert_eq!(picture.activations.len(), 2, "{picture:#?}");
        assert_eq!(
            picture.activations.last(),
            picture.current.as_ref(),
            "{picture:#?}"
        );
        assert_eq!(picture.profile, picture.current, "{picture:#?}");
        assert_eq!(picture.boot.map(|boot| boot.1), picture.current);
        let (status, history) = (self.host.status(), self.host.history());
        assert_eq!(status["generation"]["number"], 2, "{status:#}");
        assert_eq!(status["quarantine"].as_array().unwrap().len(), 0, "{status:#}");
        assert_eq!(history.len(), 2, "{history:#?}");
        assert_eq!(history[0]["outcome"], "converged", "{history:#?}");
        self.host.run(&["status", "--check"]).ended(0);
    }
}

#[test]
fn a_polite_end_while_nothing_happens() {
    let (store, fleet) = (Store::new(), Fleet::with_machine("cinnabar"));
    let host = Host::new(&store, &fleet, "cinnabar");
    let agent = host.agent();
    agent.until("it is synced", || host.status()["sync"] == "synced");
    assert_eq!(agent.terminate(), Some(0));
    assert!(!host.path("run/reconciler/control.sock").exists());
}

#[test]
fn a_polite_end_during_a_build() {
    let (store, fleet) = (Store::new(), Fleet::with_machine("cinnabar"));
    let host = Host::new(&store, &fleet, "cinnabar");
    host.now(0);
    let before = host.picture(&store);
    let waiting = host.path("building");
    let script = format!("touch {}; exec sleep 600\n", waiting.display());
    fleet.declare("cinnabar", &Entry::nixos().built_by(&script));
    fleet.publish("a long build");
    let agent = host.agent();
    agent.until("the build runs", || waiting.exists());
    assert_eq!(agent.terminate(), Some(0));
    assert_eq!(host.picture(&store), before);
    let last = host.status()["last_pass"].clone();
    assert!(
        last["reason"].as_str().unwrap_or_default().contains("stopped"),
        "{last:#}"
    );
    // The next one is not in its way.
    fleet.revert();
    host.now(0);
}

#[test]
fn a_polite_end_during_an_activation() {
    let stage = Stage::new();
    assert_eq!(stage.activating().terminate(), Some(0));
    stage.let_go();
    eventually("the activation ends without the agent", || {
        stage.host.motd() == "second" && is_current(&stage.host)
    });
    stage.host.now(0);
    stage.ended_well();
}

#[test]
fn a_kill_during_an_activation_that_ends_without_the_agent() {
    let stage = Stage::new();
    stage.activating().kill();
    stage.let_go();
    eventually("the activation ends without the agent", || {
        is_current(&stage.host)
    });
    let agent = stage.host.agent();
    agent.until("the transaction is finished", || stage.is_on_second());
    stage.ended_well();
    assert_eq!(agent.terminate(), Some(0));
}

#[test]
fn a_kill_during_an_activation_that_the_next_agent_sees_end() {
    let stage = Stage::new();
    stage.activating().kill();
    let agent = stage.host.agent();
    agent.until("the next agent waits for it", || {
        agent.log().contains("was cut off at its activation")
    });
    assert!(!stage.is_on_second());
    stage.let_go();
    agent.until("the transaction is finished", || stage.is_on_second());
    stage.ended_well();
    assert_eq!(agent.terminate(), Some(0));
}

#[test]
fn a_command_finishes_what_a_killed_agent_began() {
    let stage = Stage::new();
    stage.activating().kill();
    stage.let_go();
    stage.host.now(0);
    stage.ended_well();
}

#[test]
fn a_kill_and_another_commit_meanwhile() {
    let stage = Stage::new();
    stage.activating().kill();
    stage.fleet.motd("cinnabar", "third");
    stage.fleet.fault(
        "cinnabar",
        "hook",
        "echo \"${0%/fault/hook}\" >>\"$RECONCILER_ROOT/activations\"\n",
    );
    stage.fleet.publish("a third commit");
    stage.let_go();
    stage.host.now(0);
    assert_eq!(stage.host.motd(), "third");
    assert_eq!(stage.host.activations().len(), 3);
    assert_eq!(stage.host.status()["generation"]["number"], 3);
}

#[test]
fn a_kill_during_an_activation_that_fails_without_the_agent() {
    let stage = Stage::new();
    let before = stage.host.picture(&stage.store).without_activations();
    stage.fleet.fault("cinnabar", "activate-exit", "134");
    stage.fleet.publish("it fails in the end");
    stage.activating().kill();
    stage.let_go();
    stage.host.run(&["now"]).ended(16).says("exit code 134");
    assert_eq!(stage.host.picture(&stage.store).without_activations(), before);
    assert_eq!(stage.host.status()["sync"], "quarantined");
}

#[test]
fn a_kill_before_the_activation() {
    let (store, fleet) = (Store::new(), Fleet::with_machine("cinnabar"));
    let host = Host::new(&store, &fleet, "cinnabar");
    host.now(0);
    let (waiting, go) = (host.path("building"), host.path("go"));
    fleet.motd("cinnabar", "second");
    // The example's toplevel, composed by a shell that waits.
    let script = format!(
        "touch {0}; while [ -e {0} ] && [ ! -e {1} ]; do sleep 0.02; done
         for folder in ${{../../toplevels/nixos}} ${{../../toplevels/linux-6.12}} ${{./root}}; do
           mkdir -p $out; cp -r $folder/. $out; chmod -R u+w $out
         done\n",
        waiting.display(),
        go.display()
    );
    fleet.declare("cinnabar", &Entry::nixos().built_by(&script));
    fleet.publish("a long build");
    let before = host.picture(&store);
    let agent = host.agent();
    agent.until("the build runs", || waiting.exists());
    agent.kill();
    assert_eq!(host.picture(&store), before);
    std::fs::File::create_new(&go).unwrap();
    host.now(0);
    assert_eq!(host.motd(), "second");
    assert_eq!(host.activations().len(), 2);
    assert_eq!(host.history().len(), 2);
}

#[test]
fn a_kill_at_any_moment() {
    let (store, fleet) = (Store::new(), Fleet::with_machine("cinnabar"));
    let host = Host::new(&store, &fleet, "cinnabar");
    host.now(0);
    // From before the fetch to after the commit of the transaction, and everything in between.
    for (round, moment) in (0..16).map(|step| Duration::from_millis(40 * step)).enumerate() {
        let motd = format!("round {round}");
        fleet.motd("cinnabar", &motd);
        let commit = fleet.publish(&motd);
        let agent = host.agent();
        let started = std::time::Instant::now();
        while started.elapsed() < moment {
            std::thread::yield_now();
        }
        agent.kill();
        let ended = host.now(0);
        assert_eq!(host.motd(), motd, "after {moment:?}\n{ended:#}");
        let picture = host.picture(&store);
        assert_eq!(picture.profile, picture.current, "after {moment:?}\n{picture:#?}");
        assert_eq!(
            picture.boot.as_ref().map(|boot| &boot.1),
            picture.current.as_ref(),
            "after {moment:?}\n{picture:#?}"
        );
        let same = picture
            .activations
            .iter()
            .filter(|toplevel| Some(*toplevel) == picture.current.as_ref())
            .count();
        assert_eq!(same, 1, "after {moment:?} it was activated once\n{picture:#?}");
        assert_eq!(
            host.status()["generation"]["revision"],
            commit,
            "after {moment:?}"
        );
        assert_eq!(
            host.status()["quarantine"].as_array().unwrap().len(),
            0,
            "after {moment:?}"
        );
    }
    assert_eq!(host.status()["generation"]["number"], 17);
}

#[test]
fn who_asked_is_told_that_the_agent_is_gone() {
    let stage = Stage::new();
    let mut held = Host::new(&stage.store, &stage.fleet, "cinnabar");
    // Another host of the same name, whose agent only moves when it is asked.
    held.set("fleet.poll", "\"1h\"");
    let agent = held.agent();
    agent.until("the activation runs", || held.path("waiting").exists());
    let asking = std::thread::scope(|scope| {
        let asking = scope.spawn(|| held.run(&["now"]));
        agent.until("somebody asks", || has_listener(&held));
        agent.kill();
        asking.join().unwrap()
    });
    asking.ended(1).says("the agent stopped");
    std::fs::File::create_new(held.path("go")).unwrap();
    held.now(0);
    assert_eq!(held.motd(), "second");
}

#[test]
fn a_mirror_that_is_lost_or_damaged_is_fetched_anew() {
    let (store, fleet) = (Store::new(), Fleet::with_machine("cinnabar"));
    let host = Host::new(&store, &fleet, "cinnabar");
    host.now(0);
    let mirror = host.state().join("fleet.git");
    let push = |motd: &str| {
        fleet.motd("cinnabar", motd);
        fleet.publish(motd);
        host.now(0);
        assert_eq!(host.motd(), motd);
    };
    std::fs::remove_dir_all(&mirror).unwrap();
    push("without a mirror");
    std::fs::remove_dir_all(mirror.join("objects")).unwrap();
    push("without objects");
    std::fs::File::options()
        .write(true)
        .truncate(true)
        .open(mirror.join("HEAD"))
        .unwrap();
    push("without a head");
}

/// A machine on the second commit, whose branch was set back behind it since.
fn set_back() -> (Store, Fleet, Host) {
    let (store, fleet) = (Store::new(), Fleet::with_machine("cinnabar"));
    fleet.motd("cinnabar", "second");
    fleet.publish("second");
    let host = Host::new(&store, &fleet, "cinnabar");
    host.now(0);
    fleet.reset("HEAD~1");
    fleet.push_force();
    (store, fleet, host)
}

#[test]
fn a_lost_mirror_does_not_lose_the_accepted_commit() {
    let (_store, _fleet, host) = set_back();
    std::fs::remove_dir_all(host.state().join("fleet.git")).unwrap();
    host.run(&["now"]).ended(11);
    assert_eq!(host.motd(), "second");
}

#[test]
fn an_activation_that_was_marked_and_never_started_is_started() {
    let (store, fleet) = (Store::new(), Fleet::with_machine("cinnabar"));
    let host = Host::new(&store, &fleet, "cinnabar");
    let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    for (number, (step, state)) in [("activate", "activating"), ("boot", "setting-boot")]
        .iter()
        .enumerate()
    {
        let (transaction, motd) = (number + 1, format!("number {number}"));
        fleet.motd("cinnabar", &motd);
        fleet.publish(&motd);
        let mut agent = host.start(&[("RECONCILER_HALT", state)], &["now"], &host.path("says"));
        eventually("the agent stops", || is_stopped(agent.id()));
        agent.kill().unwrap();
        agent.wait().unwrap();
        let marker = format!("var/lib/reconciler/transactions/{transaction}/{step}.started");
        host.write(&marker, &format!("boot {boot_id}"), 0o600);
        host.now(0);
        assert_eq!(host.motd(), motd);
        assert_eq!(host.activations().len(), transaction);
    }
    assert_eq!(host.status()["quarantine"].as_array().map(Vec::len), Some(0));
}

#[test]
fn a_collection_in_the_middle_takes_neither_side() {
    let stage = Stage::new();
    let old = stage.host.current().unwrap();
    let agent = stage.activating();
    // Nothing of it but its roots is left.
    agent.kill();
    stage.store.nix("nix-store", &["--gc"]).ended(0);
    let new = stage.host.activations().last().unwrap().clone();
    assert_ne!(new, old);
    for toplevel in [&new, &old] {
        let toplevel = toplevel.display().to_string();
        stage
            .store
            .nix("nix-store", &["--check-validity", &toplevel])
            .ended(0);
    }
    stage.let_go();
    stage.host.now(0);
    stage.ended_well();
    stage.store.nix("nix-store", &["--gc"]).ended(0);
    stage.host.run(&["rollback"]).ended(0);
    assert_eq!(stage.host.current(), Some(old));
}

#[test]
fn a_state_that_was_deleted_is_no_way_back_behind_the_accepted_commit() {
    let (_store, fleet, host) = set_back();
    std::fs::remove_dir_all(host.state()).unwrap();
    host.run(&["now"]).ended(11).says("was accepted before");
    assert_eq!(host.motd(), "second");
    fleet.motd("cinnabar", "third");
    fleet.publish("another branch");
    host.run(&["now"]).ended(11);
    assert_eq!(host.motd(), "second");
}

/// Whether the system of the last activation is the current one.
fn is_current(host: &Host) -> bool {
    host.activations().last() == host.current().as_ref()
}

/// Whether anybody is connected to the control socket.
fn has_listener(host: &Host) -> bool {
    let socket = host.path("run/reconciler/control.sock");
    let sockets = std::fs::read_to_string("/proc/net/unix").unwrap();
    // The listening one, and one for each connection.
    sockets
        .lines()
        .filter(|line| line.ends_with(socket.to_str().unwrap()))
        .count()
        > 1
}
