//! Activation scripts that do not behave, and a profile that leads nowhere: each has its limit, its sentence and its
//! code, and the machine is on a whole system afterwards.

use reconciler_tests::{Fleet, Host, Store, eventually, is_root};

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
        Stage { store, fleet, host }
    }

    fn push(&self, hook: &str) {
        self.fleet.motd("cinnabar", "second");
        self.fleet.fault("cinnabar", "hook", hook);
        self.fleet.publish("a script that does not behave");
    }

    /// A pass reverts it and says why.
    #[track_caller]
    fn reverts(&self, says: &str) {
        let before = self.host.picture(&self.store).without_activations();
        self.host.run(&["now"]).ended(16).says(says);
        assert_eq!(self.host.picture(&self.store).without_activations(), before);
        assert_eq!(self.host.motd(), "first");
    }

    fn is_alive(&self, file: &str) -> bool {
        let pid = std::fs::read_to_string(self.host.path(file)).unwrap_or_default();
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
        !stat.is_empty() && !stat.contains(") Z ")
    }
}

#[test]
fn one_that_forks_away_and_hangs_is_ended_whole() {
    let mut stage = Stage::new();
    stage.host.set("policy.activation_timeout", "\"7s\"");
    // A session of its own, and no parent.
    stage.push(
        "setsid -f sh -c 'echo $$ >\"$RECONCILER_ROOT/away\"; exec sleep 1000'\n\
         while [ ! -s \"$RECONCILER_ROOT/away\" ]; do sleep 0.02; done\nexec sleep 1000\n",
    );
    stage.reverts("did not end within 7 s");
    assert!(stage.host.path("away").exists());
    eventually("what forked away is gone", || !stage.is_alive("away"));
}

#[test]
fn one_that_leaves_something_behind_is_not_waited_for() {
    let stage = Stage::new();
    stage.push(
        "setsid -f sh -c 'echo $$ >\"$RECONCILER_ROOT/away\"; exec sleep 30'\n\
         while [ ! -s \"$RECONCILER_ROOT/away\" ]; do sleep 0.02; done\n",
    );
    stage.host.now(0);
    assert_eq!(stage.host.motd(), "second");
}

#[test]
fn one_that_says_it_is_done_and_goes_on_in_the_background_is_reverted() {
    let stage = Stage::new();
    stage.fleet.fault("cinnabar", "keep-current", "");
    stage.push("setsid -f sleep 5\n");
    stage.reverts("reported success, but");
}

#[test]
fn one_that_floods_its_output() {
    let stage = Stage::new();
    stage.push("exec yes 'all work and no play'\n");
    stage.reverts("the activation wrote more than 16 MiB and was ended");
    let log = stage.host.state().join("transactions/2/activate.log");
    let length = log.metadata().unwrap().len();
    assert!(length < 1 << 30, "{length} bytes of it were kept");
}

#[test]
fn one_that_fills_the_disk() {
    if !is_root() {
        eprintln!("only root can mount a small file system");
        return;
    }
    let stage = Stage::new();
    stage.push("cat /dev/zero >\"$RECONCILER_ROOT/var/lib/reconciler/fill\" 2>/dev/null; exit 0\n");
    let before = stage.host.picture(&stage.store).without_activations();
    // What is there has to come along, and to be there afterwards.
    let mount = "mkdir \"$1/small\" && mount -t tmpfs -o size=24m small \"$1/small\" && \
                 cp -a \"$1/var/lib/reconciler/.\" \"$1/small\" && \
                 mount --bind \"$1/small\" \"$1/var/lib/reconciler\"";
    stage
        .host
        .run_unshared(mount, &["now"])
        .ended(16)
        .says("the activation filled the disk of the agent's state");
    assert_eq!(stage.host.picture(&stage.store).without_activations(), before);
    assert_eq!(stage.host.motd(), "first");
}

#[test]
fn a_profile_that_leads_nowhere() {
    let stage = Stage::new();
    let profile = stage.store.state().join("profiles/system");
    let lead_nowhere = || {
        std::fs::remove_file(&profile).unwrap();
        let link = profile.with_file_name("system-90-link");
        let _ = std::fs::remove_file(&link);
        std::os::unix::fs::symlink(stage.host.store().join("gone"), &link).unwrap();
        std::os::unix::fs::symlink("system-90-link", &profile).unwrap();
    };
    let current = stage.host.current();
    // What fails leaves it at what runs.
    lead_nowhere();
    assert_eq!(stage.store.profile("system"), None);
    stage.fleet.fault("cinnabar", "test-exit", "1");
    stage.push("exit 0\n");
    stage.host.run(&["now"]).ended(16);
    stage.fleet.revert();
    stage.host.now(0);
    assert_eq!(stage.host.current(), current);
    // And where nothing else is to be done, it is told, and put right by who says so.
    lead_nowhere();
    stage.host.run(&["status", "--check"]).ended(18);
    stage.host.run(&["drift", "--correct"]).ended(0);
    assert_eq!(stage.store.profile("system"), current);
    assert_eq!(stage.host.boot_default().map(|boot| boot.1), current);
    stage.host.run(&["status", "--check"]).ended(0);
}

#[test]
fn a_profile_that_is_no_link() {
    let stage = Stage::new();
    let profile = stage.store.state().join("profiles/system");
    std::fs::remove_file(&profile).unwrap();
    std::fs::create_dir(&profile).unwrap();
    stage.push("exit 0\n");
    let current = stage.host.current();
    let ended = stage.host.run(&["now", "--json"]);
    assert!([Some(16), Some(17)].contains(&ended.code), "{ended}");
    let summary = ended.json()["summary"].as_str().unwrap().to_owned();
    assert!(summary.contains("profile"), "{summary}");
    assert_eq!(stage.host.current(), current);
    assert_eq!(stage.host.motd(), "first");
}
