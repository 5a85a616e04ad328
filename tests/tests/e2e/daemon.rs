//! A nix-daemon that goes away, stalls, or floods: the pass ends with a sentence, the machine stays as it is, and the
//! next pass converges.

use reconciler_tests::{Entry, Fault, Fleet, Host, Output, Proxy, Store, reconcile};
use std::path::{Path, PathBuf};

/// A machine whose agent reaches its daemon through a proxy, on a good generation.
struct Stage {
    store: Store,
    fleet: Fleet,
    host: Host,
    proxy: Proxy,
    commits: usize,
}

impl Stage {
    fn new() -> Stage {
        let (store, fleet) = (Store::new(), Fleet::with_machine("cinnabar"));
        let proxy = Proxy::start(&store.socket());
        let mut host = Host::new(&store, &fleet, "cinnabar");
        host.set(
            "nix.daemon",
            &format!("{:?}", proxy.socket().display().to_string()),
        );
        host.now(0);
        Stage {
            store,
            fleet,
            host,
            proxy,
            commits: 1,
        }
    }

    /// Pushes a commit that needs a build, and makes a pass through this fault.
    fn pass(&mut self, fault: Fault) -> Output {
        self.commits += 1;
        self.fleet.motd("cinnabar", &format!("commit {}", self.commits));
        self.fleet.publish("change the motd");
        self.proxy.set(fault);
        self.host.run(&["now"])
    }

    /// A pass through this fault converges, or ends in one sentence with the machine on what it ran before. Either way
    /// the next one converges.
    #[track_caller]
    fn survives(&mut self, fault: Fault) -> Option<i32> {
        let before = self.host.picture(&self.store);
        let output = self.pass(fault).never_says("panicked");
        let code = output.code;
        if code != Some(0) {
            let sentences = output.stderr.lines().filter(|line| line.starts_with("error: "));
            assert_eq!(sentences.count(), 1, "{fault:?}\n{output}");
        }
        match code {
            Some(0) => {}
            // It could not ask, not evaluate, or not build.
            Some(1 | 13 | 15) => assert_eq!(self.host.picture(&self.store), before, "{fault:?}\n{output}"),
            // It could not set the profile, and went back. Such a commit is not tried again.
            Some(16) => {
                let after = self.host.picture(&self.store);
                assert_eq!(
                    (after.current, after.profile),
                    (before.current, before.profile),
                    "{fault:?}\n{output}"
                );
                assert_eq!(
                    (after.boot, after.motd),
                    (before.boot, before.motd),
                    "{fault:?}\n{output}"
                );
                self.pass(Fault::None).ended(0);
            }
            other => panic!("{fault:?}: {other:?} is no way to end\n{output}"),
        }
        self.proxy.set(Fault::None);
        let ended = self.host.now(0);
        assert_eq!(ended["outcome"], "converged", "{fault:?}: {ended:#}");
        assert_eq!(self.host.motd(), format!("commit {}", self.commits), "{fault:?}");
        code
    }

    /// The connection that builds, and how much the daemon has said there when it begins to.
    fn building(&self) -> (usize, usize) {
        let told = self.proxy.told();
        let begins = |said: &Vec<u8>| said.windows(10).position(|some| some == b"building '");
        let mut builds = told.iter().enumerate();
        let found = builds.find_map(|(index, said)| Some((index, begins(said)?)));
        found.unwrap()
    }
}

#[test]
fn a_daemon_that_hangs_up_anywhere_costs_one_pass() {
    const PLACES: usize = 8;
    let mut stage = Stage::new();
    stage.pass(Fault::None).ended(0);
    let told: Vec<usize> = stage.proxy.told().iter().map(Vec::len).collect();
    let (builds, _) = stage.building();

    // Each connection at its beginning; the one that builds in many places.
    let beginnings = (0..told.len()).map(|index| (index, index % 2 * 12));
    let places = (1..=PLACES).map(|place| (builds, place * told[builds] / (PLACES + 1)));
    let mut codes = Vec::new();
    for (connection, after) in beginnings.chain(places) {
        codes.push(stage.survives(Fault::Cut { connection, after }));
    }
    let lost = codes.iter().filter(|code| **code == Some(15)).count();
    assert!(
        lost >= PLACES / 2,
        "hardly a cut was noticed: {codes:?} of {told:?}"
    );

    // Nothing half built was taken for whole.
    let verified = stage.store.nix("nix-store", &["--verify", "--check-contents"]);
    verified.ended(0).never_says("was modified");
}

#[test]
fn a_daemon_that_is_slow_is_waited_for_and_one_that_stalls_is_given_up() {
    let mut stage = Stage::new();
    stage.pass(Fault::Trickle).ended(0);
    assert_eq!(stage.host.motd(), "commit 2");

    let (connection, after) = stage.building();
    stage.host.set("policy.build_timeout", "\"3s\"");
    let before = stage.host.picture(&stage.store);
    let output = stage.pass(Fault::Stall { connection, after });
    output
        .ended(15)
        .says("did not end within 3")
        .never_says("panicked");
    assert_eq!(stage.host.picture(&stage.store), before);
    stage.proxy.set(Fault::None);
    stage.host.set("policy.build_timeout", "\"10m\"");
    stage.host.now(0);
    assert_eq!(stage.host.motd(), "commit 3");
}

#[test]
fn a_daemon_that_was_not_there_is_one_that_comes_back() {
    let (mut store, fleet) = (Store::new(), Fleet::with_machine("cinnabar"));
    let host = Host::new(&store, &fleet, "cinnabar");
    host.now(0);
    fleet.motd("cinnabar", "second");
    fleet.publish("change the motd");
    store.stop();
    let output = host.run(&["now"]);
    assert!(matches!(output.code, Some(1 | 13 | 15)), "{output}");
    output.says("d.sock").never_says("panicked");
    assert_eq!(host.motd(), "first");
    store.start();
    host.now(0);
    assert_eq!(host.motd(), "second");
}

/// The memory of a process at its most, in bytes.
fn peak(process: &Path) -> Option<u64> {
    let status = std::fs::read_to_string(process.join("status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kilobytes * 1024)
}

/// The processes of the agent on this host: the agent itself, and the pass that it has made.
fn processes(host: &Host) -> Vec<PathBuf> {
    let binary = reconcile().canonicalize().unwrap();
    let config = host.config();
    let ours = |process: &PathBuf| {
        let command = std::fs::read(process.join("cmdline")).unwrap_or_default();
        let environment = std::fs::read(process.join("environ")).unwrap_or_default();
        let mut words = command
            .split(|byte| *byte == 0)
            .chain(environment.split(|byte| *byte == 0));
        let config = config.as_os_str().as_encoded_bytes();
        std::fs::read_link(process.join("exe")).is_ok_and(|exe| exe == binary)
            && words.any(|word| word.ends_with(config))
    };
    let entries = std::fs::read_dir("/proc").unwrap();
    entries.map(|entry| entry.unwrap().path()).filter(ours).collect()
}

/// A pass whose builder prints so many bytes, and waits then until its agent was looked at: the most memory that any of
/// the agent's processes had taken by then.
fn peak_after(printed: usize) -> u64 {
    let (mut store, fleet) = (Store::new(), Fleet::new());
    // Writing it is the daemon's business, and takes its time.
    store.configure("keep-build-log = false");
    let (printing, go) = (store.folder().join("printed"), store.folder().join("go"));
    let line = "x".repeat(499);
    let entry = Entry::custom("").built_by(&format!(
        "mkdir -p $out/bin; printf '#!/bin/sh\\n' >$out/bin/activate; chmod +x $out/bin/activate\n\
         yes {line} | head -c {printed}; echo >{}\nwhile [ ! -e {} ]; do sleep 0.02; done",
        printing.display(),
        go.display()
    ));
    fleet.declare("cinnabar", &entry);
    fleet.publish("the first commit");
    let host = Host::new(&store, &fleet, "cinnabar");
    let agent = host.agent();
    agent.until("the builder has printed", || printing.exists());
    let peaks: Vec<u64> = processes(&host)
        .iter()
        .filter_map(|process| peak(process))
        .collect();
    reconciler_tests::write(&go, "");
    agent.until("the pass has ended", || host.status()["sync"] == "synced");
    assert_eq!(agent.terminate(), Some(0));
    assert_eq!(peaks.len(), 2, "the agent, and the pass: {peaks:?}");
    peaks.into_iter().max().unwrap()
}

#[test]
fn a_log_of_100_megabytes_costs_little_memory() {
    let quiet = peak_after(1000);
    let flooded = peak_after(100_000_000);
    println!("quiet {quiet} bytes, flooded {flooded} bytes");
    assert!(
        flooded < quiet + 30_000_000,
        "a quiet build takes {quiet} bytes, one with a log of 100 MB {flooded}"
    );
}
