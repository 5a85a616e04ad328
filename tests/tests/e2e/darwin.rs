//! The class `darwin`, on a host in a folder: nix-darwin's contract, and a launchd that kills whole process groups.

use reconciler_tests::{Agent, Entry, Fleet, Host, SYSTEM, Store, eventually, reconcile};
use std::fs;
use unix::sys::signal::{Signal, killpg};
use unix::unistd::Pid;

/// A Mac on its first generation, with a job.
struct Stage {
    store: Store,
    fleet: Fleet,
    host: Host,
}

impl Stage {
    fn new() -> Stage {
        let (store, fleet) = (Store::new(), Fleet::new());
        fleet.declare("stibnite", &Entry::darwin().system(SYSTEM));
        fleet.motd("stibnite", "first");
        let mut host = Host::new(&store, &fleet, "stibnite");
        host.set("fleet.poll", "\"1h\"");
        host.install("launchctl");
        let stage = Stage { store, fleet, host };
        stage.job("org.example.web", "/bin/sleep", "600");
        stage.fleet.publish("the first commit");
        stage.host.now(0);
        stage
    }

    /// Declares a job of launchd.
    fn job(&self, label: &str, program: &str, argument: &str) {
        let argument = argument.replace('&', "&amp;").replace('>', "&gt;");
        let text = format!(
            "<plist version=\"1.0\">\n<dict>\n  <key>Label</key>\n  <string>{label}</string>\n  \
             <key>ProgramArguments</key>\n  <array>\n    <string>{program}</string>\n    <string>{argument}</string>\n  \
             </array>\n</dict>\n</plist>\n"
        );
        let file = format!("machines/stibnite/root/Library/LaunchDaemons/{label}.plist");
        self.fleet.write(&file, &text);
    }

    /// The process group of a job.
    fn group(&self, label: &str) -> Option<i32> {
        let file = self.host.path("run/launchd").join(label).join("group");
        fs::read_to_string(file).ok()?.trim().parse().ok()
    }

    /// Declares the agent itself as a job, as the module does.
    fn agent_job(&self, extra: &str) {
        let program = self.host.path("agent-job");
        let script = format!(
            "#!/bin/sh\n# {extra}\nexport RECONCILER_CONFIG={}\nexport PATH={}:/usr/local/bin:/usr/bin:/bin\nexec {} agent\n",
            self.host.config().display(),
            self.host.tools().display(),
            reconcile().display(),
        );
        self.host.write("agent-job", &script, 0o755);
        self.job("org.nixos.reconciler", program.to_str().unwrap(), extra);
    }

    /// Pushes a bad commit and sees the Mac go back.
    fn reverts(&self, reason: &str, spoil: impl FnOnce(&Stage)) {
        let before = self.host.picture(&self.store).without_activations();
        let web = self.group("org.example.web");
        self.fleet.motd("stibnite", "bad");
        self.job("org.example.web", "/bin/sleep", "700");
        self.job("org.example.new", "/bin/sleep", "600");
        spoil(self);
        self.fleet.publish("a bad commit");
        self.host.run(&["now"]).ended(16).says(reason);
        assert_eq!(self.host.picture(&self.store).without_activations(), before);
        let plist = fs::read_to_string(self.host.path("Library/LaunchDaemons/org.example.web.plist"));
        assert!(plist.unwrap().contains("600"));
        assert!(self.group("org.example.web").is_some() && web.is_some());
        assert_eq!(self.host.status()["sync"], "quarantined");
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        for job in fs::read_dir(self.host.path("run/launchd"))
            .into_iter()
            .flatten()
            .flatten()
        {
            if let Some(group) = self.group(&job.file_name().to_string_lossy()) {
                let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
            }
        }
    }
}

#[test]
fn files_and_jobs_follow_the_fleet_and_go_back() {
    let stage = Stage::new();
    let (host, store) = (&stage.host, &stage.store);
    let first = host.current();
    assert_eq!(
        (host.motd().as_str(), &store.profile("system")),
        ("first", &first)
    );
    let group = stage.group("org.example.web");
    assert!(group.is_some());

    stage.fleet.motd("stibnite", "second");
    stage.job("org.example.web", "/bin/sleep", "700");
    stage.fleet.publish("the second commit");
    host.now(0);
    assert_eq!(host.motd(), "second");
    assert_eq!(store.profile("system"), host.current());
    assert_ne!(stage.group("org.example.web"), group);
    assert_eq!(host.status()["health"], "healthy");

    host.run(&["rollback"]).ended(0);
    assert_eq!((host.motd().as_str(), host.current()), ("first", first.clone()));
    assert_eq!(store.profile("system"), first);
    assert_eq!(host.activations().len(), 3);
}

#[test]
fn the_job_of_the_agent_itself_is_reloaded_in_the_middle() {
    let stage = Stage::new();
    let host = &stage.host;
    let synced = |motd: &str| {
        let status = host.run(&["status", "--json"]);
        status.code == Some(0) && status.json()["sync"] == "synced" && host.motd() == motd
    };
    stage.agent_job("one");
    stage.fleet.publish("the agent becomes a job");
    host.now(0);
    eventually("launchd runs the agent", || {
        host.path("run/reconciler/control.sock").exists()
    });
    let group = stage.group("org.nixos.reconciler").unwrap();

    // Its own file changes: the activation that it started unloads it, and launchd kills its whole group.
    stage.agent_job("two");
    stage.fleet.motd("stibnite", "second");
    let commit = stage.fleet.publish("the agent's job changes");
    // Who asked is told that the agent is gone.
    host.run(&["now"]);
    eventually("the next agent finds the result and commits", || synced("second"));
    assert_ne!(stage.group("org.nixos.reconciler"), Some(group));
    assert_eq!(host.status()["generation"]["revision"], commit);
    assert_eq!(host.status()["generation"]["number"], 3);
    assert_eq!(host.activations().len(), 3, "each was activated once");
    assert_eq!(stage.store.profile("system"), host.current());
    let uses = fs::read_to_string(host.path("run/launchd/uses")).unwrap();
    let unloaded = uses
        .lines()
        .filter(|line| line.starts_with("unload") && line.contains("org.nixos.reconciler"))
        .count();
    assert_eq!(unloaded, 1, "{uses}");
}

#[test]
fn an_activation_that_fails_half_way_goes_back() {
    Stage::new().reverts("exit code 134", |stage| {
        stage.fleet.fault("stibnite", "activate-exit", "134");
    });
}

#[test]
fn a_check_that_refuses_touches_nothing() {
    let stage = Stage::new();
    let before = stage.host.picture(&stage.store);
    stage.fleet.motd("stibnite", "second");
    stage.fleet.fault("stibnite", "check-exit", "2");
    stage.fleet.publish("a check refuses");
    stage
        .host
        .run(&["now"])
        .ended(16)
        .says("Unexpected files in /etc, aborting activation");
    // The profile as well: nix-darwin's own tool would have left it on the new one.
    assert_eq!(stage.host.picture(&stage.store), before);
}

#[test]
fn a_configuration_that_wants_a_person_is_refused() {
    let stage = Stage::new();
    let before = stage.host.picture(&stage.store);
    stage
        .fleet
        .write("machines/stibnite/root/activate-user", "#!/bin/sh\nexit 0\n");
    stage.fleet.publish("before 2025");
    let said = stage.host.run(&["now"]).ended(14);
    said.says("activate-user").says("system.primaryUser");
    assert_eq!(stage.host.picture(&stage.store), before);
    // The stub of later releases does nothing, and is not run.
    stage.fleet.write(
        "machines/stibnite/root/activate-user",
        "#!/bin/sh\n# nix-darwin: deprecated\nexit 1\n",
    );
    stage.fleet.publish("since 2025");
    stage.host.now(0);
}

#[test]
fn determinate_wants_nix_enable_off() {
    let stage = Stage::new();
    let before = stage.host.picture(&stage.store);
    stage.host.write("usr/local/bin/determinate-nixd", "", 0o755);
    let activate = stage.fleet.read("toplevels/darwin/activate");
    let checks = format!("{activate}\n# error: Determinate detected, aborting activation\n");
    stage.fleet.write("machines/stibnite/root/activate", &checks);
    let file = stage.fleet.work().join("machines/stibnite/root/activate");
    fs::set_permissions(file, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    stage.fleet.publish("nix.enable is on");
    let said = stage.host.run(&["now"]).ended(14);
    said.says("Determinate").says("nix.enable = false");
    assert_eq!(stage.host.picture(&stage.store), before);
    stage.fleet.remove("machines/stibnite/root/activate");
    stage.fleet.motd("stibnite", "second");
    stage.fleet.publish("nix.enable is off");
    stage.host.now(0);
    assert_eq!(stage.host.motd(), "second");
}

#[test]
fn a_job_that_somebody_took_out_is_handed_to_launchd_again() {
    let stage = Stage::new();
    let host = &stage.host;
    let group = stage.group("org.example.web").unwrap();
    killpg(Pid::from_raw(group), Signal::SIGKILL).unwrap();
    fs::remove_dir_all(host.path("run/launchd/org.example.web")).unwrap();
    stage.fleet.motd("stibnite", "second");
    stage.fleet.publish("the job's file stays as it is");
    host.now(0);
    assert!(stage.group("org.example.web").is_some());
    assert_eq!(host.status()["health"], "healthy");
}

#[test]
fn a_kill_in_the_middle_converges() {
    let stage = Stage::new();
    stage.fleet.motd("stibnite", "second");
    stage.fleet.fault(
        "stibnite",
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
    stage.host.now(0);
    assert_eq!(stage.host.motd(), "second");
    assert_eq!(stage.host.activations().len(), 2);
    assert_eq!(stage.store.profile("system"), stage.host.current());
}

#[test]
fn drift_of_a_job_is_told_and_corrected() {
    let stage = Stage::new();
    let label = "org.example.web";
    let file = format!("Library/LaunchDaemons/{label}.plist");
    let read = || fs::read_to_string(stage.host.path(&file)).unwrap();
    let declared = read();
    stage.host.run(&["drift"]).ended(0);
    stage.host.write(&file, &declared.replace("600", "601"), 0o644);
    let told = stage.host.run(&["drift", "--json"]).ended(18).json();
    let item = &told["drift"][0];
    assert_eq!(item["kind"], "launchd-job", "{told:#}");
    assert!(item["subject"].as_str().unwrap().ends_with(&file), "{told:#}");
    assert_eq!(item["cause"], "person", "{told:#}");
    stage.host.run(&["drift", "--correct"]).ended(0);
    assert_eq!(read(), declared);
    stage.host.run(&["drift"]).ended(0);
    // One that launchd was told to forget.
    let asked = std::process::Command::new(stage.host.tools().join("launchctl"))
        .args(["bootout", &format!("system/{label}")])
        .env("RECONCILER_ROOT", stage.host.root())
        .status();
    assert!(asked.unwrap().success());
    let told = stage.host.run(&["drift", "--json"]).ended(18).json();
    assert_eq!(told["drift"][0]["kind"], "launchd-job", "{told:#}");
    assert_eq!(told["drift"][0]["subject"], label, "{told:#}");
    stage.host.run(&["drift", "--correct"]).ended(0);
    eventually("the job runs again", || stage.group(label).is_some());
}

#[test]
fn a_switch_by_hand_is_waited_for() {
    let stage = Stage::new();
    let (host, first) = (&stage.host, stage.host.current());
    stage.fleet.motd("stibnite", "second");
    stage.fleet.publish("the second commit");
    // As ps shows darwin-rebuild's last step.
    let theirs = first.as_ref().unwrap().join("activate");
    let mut theirs = std::process::Command::new("/bin/sh")
        .args(["-c", "sleep 600; :"])
        .arg(theirs)
        .spawn()
        .unwrap();
    host.run(&["now"]).ended(75).says("another switch is running");
    assert_eq!((host.motd().as_str(), host.current()), ("first", first));
    theirs.kill().unwrap();
    theirs.wait().unwrap();
    host.now(0);
    assert_eq!(host.motd(), "second");
}
