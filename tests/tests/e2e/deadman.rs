//! A transaction that nobody confirms is undone without the agent.

use reconciler_tests::{Fleet, Host, Store, eventually, is_stopped};
use std::path::{Path, PathBuf};

/// A hook that says that it runs, and never ends.
const ENDLESS: &str = "echo \"${0%/fault/hook}\" >>\"$RECONCILER_ROOT/activations\"
touch \"$RECONCILER_ROOT/waiting\"
exec sleep 600
";

/// A machine on a good generation, whose activations have little time.
fn stage() -> (Store, Fleet, Host) {
    let (store, fleet) = (Store::new(), Fleet::with_machine("cinnabar"));
    let mut host = Host::new(&store, &fleet, "cinnabar");
    host.set("policy.activation_timeout", "\"4s\"");
    host.now(0);
    (store, fleet, host)
}

#[track_caller]
fn is_back(host: &Host, store: &Store, first: Option<PathBuf>) {
    eventually("the deadman ends", || host.deadman(2).is_none());
    let picture = host.picture(store);
    assert_eq!((picture.current, picture.profile), (first.clone(), first.clone()));
    assert_eq!(picture.boot.map(|boot| boot.1), first);
    assert_eq!(host.motd(), "first");
    let (status, history) = (host.status(), host.history());
    assert_eq!(status["last_pass"]["outcome"], "reverted", "{status:#}");
    assert!(
        status["quarantine"][0]["reason"]
            .as_str()
            .unwrap()
            .contains("the agent did not confirm it within 4 s"),
        "{status:#}"
    );
    assert_eq!(history[0]["outcome"], "reverted", "{history:#?}");
}

#[test]
fn an_agent_that_never_comes_back() {
    let (store, fleet, host) = stage();
    let first = host.current();
    fleet.motd("cinnabar", "second");
    fleet.fault("cinnabar", "hook", ENDLESS);
    fleet.publish("its activation never ends");
    let agent = host.agent();
    agent.until("the activation runs", || host.path("waiting").exists());
    let deadman = host.deadman(2);
    assert!(deadman.is_some_and(|deadman| session(deadman) != session(agent.id())));
    agent.kill();
    eventually("the machine is back", || {
        host.motd() == "first" && !host.history().is_empty() && host.history()[0]["outcome"] == "reverted"
    });
    is_back(&host, &store, first);
    // The next commit is another one.
    fleet.revert();
    host.now(0);
}

#[test]
fn a_new_configuration_that_cannot_be_read_is_not_in_its_way() {
    let (store, fleet, host) = stage();
    let first = host.current();
    fleet.motd("cinnabar", "second");
    let spoil = format!("echo '[flet]' >>{}\n{ENDLESS}", host.config().display());
    fleet.fault("cinnabar", "hook", &spoil);
    fleet.publish("no agent starts with it");
    let config = std::fs::read_to_string(host.config()).unwrap();
    let agent = host.agent();
    agent.until("the activation runs", || host.path("waiting").exists());
    agent.kill();
    host.run(&["now"]).ended(2);
    eventually("the machine is back", || {
        host.motd() == "first" && host.deadman(2).is_none()
    });
    // What a person's system would have brought back with its /etc.
    host.write("etc/reconciler/config.toml", &config, 0o644);
    is_back(&host, &store, first);
}

#[test]
fn it_is_disarmed_when_the_transaction_ends() {
    let (_store, fleet, host) = stage();
    assert!(host.state().join("transactions/1/deadman.log").exists());
    eventually("the first one is gone", || host.deadman(1).is_none());
    fleet.motd("cinnabar", "bad");
    fleet.fault("cinnabar", "activate-exit", "1");
    fleet.publish("it fails");
    host.now(16);
    assert!(host.state().join("transactions/2/deadman.log").exists());
    eventually("the second one is gone", || host.deadman(2).is_none());
}

#[test]
fn its_program_is_the_previous_generations_where_that_can_be_it() {
    let (store, fleet, host) = stage();
    let log = host.path("asked");
    let program = "machines/cinnabar/root/sw/bin/reconcile";
    let wrapper = |real: &Path| {
        format!(
            "#!/bin/sh\necho \"$*\" >>{}\nexec {} \"$@\"\n",
            log.display(),
            real.display()
        )
    };
    let publish = |script: &str, motd: &str| {
        fleet.write(program, script);
        let path = fleet.work().join(program);
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        fleet.motd("cinnabar", motd);
        fleet.publish(motd);
    };
    publish(&wrapper(&reconciler_tests::reconcile()), "with an agent");
    host.now(0);
    assert!(!log.exists(), "what is activated is not what undoes it");
    publish("#!/bin/sh\nexit 2\n", "with an agent that is too old");
    host.now(0);
    let asked = std::fs::read_to_string(&log).unwrap();
    assert!(asked.contains("deadman --knows"), "{asked}");
    assert!(asked.contains("deadman --transaction=3"), "{asked}");
    std::fs::remove_file(&log).unwrap();
    // An old one is asked, and another one waits.
    let first = host.current();
    fleet.fault("cinnabar", "hook", ENDLESS);
    fleet.motd("cinnabar", "never");
    fleet.publish("its activation never ends");
    let agent = host.agent();
    agent.until("the activation runs", || host.path("waiting").exists());
    assert!(host.deadman(4).is_some());
    agent.kill();
    eventually("the machine is back", || {
        host.motd() == "with an agent that is too old" && host.deadman(4).is_none()
    });
    assert_eq!(host.current(), first);
    assert!(!log.exists());
    drop(store);
}

/// The session of a process.
fn session(pid: u32) -> String {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, rest) = stat.rsplit_once(')').unwrap();
    rest.split_whitespace().nth(3).unwrap().to_owned()
}

#[test]
fn an_agent_killed_right_after_the_end_leaves_none_behind() {
    let (store, fleet) = (Store::new(), Fleet::with_machine("cinnabar"));
    let host = Host::new(&store, &fleet, "cinnabar");
    let mut agent = host.start(&[("RECONCILER_HALT", "ended")], &["now"], &host.path("says"));
    eventually("the agent stops at the end", || is_stopped(agent.id()));
    agent.kill().unwrap();
    agent.wait().unwrap();
    assert_eq!(host.history()[0]["outcome"], "converged");
    assert!(host.deadman(1).is_some());
    host.now(0);
    eventually("the deadman is gone", || host.deadman(1).is_none());
}
