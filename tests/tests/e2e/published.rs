//! From a cache alone: what was evaluated and built elsewhere is fetched, with a signature that counts.

use crate::refusal::refusal;
use reconciler_tests::{Entry, Fleet, Host, Output, SYSTEM, Scratch, Store, is_root, reconcile, run};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// A fleet, the cache that its build server fills, and a machine that only fetches. The server has a store of its own
/// at the same path as the machine's.
struct Stage {
    fleet: Fleet,
    store: Store,
    cache: Scratch,
    host: Host,
    /// What the cache keeps its archives in.
    compression: &'static str,
}

const LIMIT: Duration = Duration::from_secs(120);

impl Stage {
    fn new() -> Stage {
        let (mut store, fleet) = (Store::new(), Fleet::with_machine("cinnabar"));
        fleet.declare("electrum", &Entry::nixos());
        fleet.declare("stibnite", &Entry::darwin());
        fleet.publish("declare more machines");
        let cache = Scratch::on_disk();
        let key = key(&store, &cache, "secret");
        store.configure(&format!(
            "require-sigs = true\nsubstituters = file://{}\ntrusted-public-keys = {key}\n",
            cache.path().join("cache").display(),
        ));
        let mut host = Host::new(&store, &fleet, "cinnabar");
        host.set("nix.evaluate", "\"published\"");
        // Whoever calls it fails, and is seen.
        host.stand_in("nix", "echo \"nix was called: $*\" >&2; exit 99");
        Stage {
            fleet,
            store,
            cache,
            host,
            compression: "none",
        }
    }

    /// `reconcile publish` as a build server runs it: no configuration, no agent, not even a PATH of its own.
    fn publish(&mut self, arguments: &[&str]) -> Output {
        self.store.swap();
        let mut command = Command::new(reconcile());
        self.store
            .environment(&mut command)
            .args(["publish"])
            .args(arguments)
            .current_dir(self.fleet.work());
        let output = run(&mut command, LIMIT);
        self.store.swap();
        output
    }

    /// Builds what `publish` names and copies it to the cache, signed with `key` if there is one.
    fn fill_cache(&mut self, derivations: &str, key: Option<&str>) {
        self.store.swap();
        let mut realise = vec!["--realise"];
        realise.extend(derivations.lines());
        let built = self.store.nix("nix-store", &realise).ended(0).stdout;
        let mut to = format!(
            "file://{}?compression={}",
            self.cache.path().join("cache").display(),
            self.compression
        );
        if let Some(key) = key {
            to.push_str(&format!("&secret-key={}", self.cache.path().join(key).display()));
        }
        let mut copy = vec![
            "--extra-experimental-features",
            "nix-command",
            "copy",
            "--to",
            &to,
        ];
        copy.extend(built.lines());
        self.store.nix("nix", &copy).ended(0);
        self.store.swap();
    }

    fn map(&self) -> PathBuf {
        self.fleet
            .work()
            .join(format!(".reconciler/published/{SYSTEM}.json"))
    }
}

/// Makes a key that signs what is in a cache; its public part.
fn key(store: &Store, cache: &Scratch, name: &str) -> String {
    let secret = cache.path().join(name).display().to_string();
    let public = format!("{secret}.public");
    store
        .nix(
            "nix-store",
            &["--generate-binary-cache-key", "cache-1", &secret, &public],
        )
        .ended(0);
    std::fs::read_to_string(public).unwrap().trim().to_owned()
}

#[test]
fn a_machine_takes_what_was_published_and_evaluates_nothing() {
    let mut stage = Stage::new();
    let published = stage
        .publish(&[])
        .ended(0)
        .says("cinnabar")
        .says("electrum")
        .never_says("stibnite");
    assert_eq!(published.stdout.lines().count(), 2, "{published}");
    assert!(stage.map().exists());
    stage.fill_cache(&published.stdout, Some("secret"));
    stage.fleet.publish("publish");
    stage
        .host
        .run(&["plan", "--no-build"])
        .ended(0)
        .says("0 to build, 5 to fetch")
        .says("nothing was built or touched");
    // A machine of 1 GiB, as far as a bound on address space makes one.
    let output = if is_root() {
        stage.host.run_unshared("ulimit -v 1048576", &["now"])
    } else {
        stage.host.run(&["now"])
    };
    let output = output.ended(0).says("as it was published").says("fetched");
    assert_eq!(stage.host.motd(), "first", "{output}");
    assert_eq!(stage.store.profile("system"), stage.host.current());
    // No derivation came to this store: there is nothing that was evaluated, or could be built.
    let derivations = std::fs::read_dir(stage.store.store()).unwrap();
    let derivations: Vec<_> = derivations
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".drv"))
        .collect();
    assert_eq!(derivations, [""; 0]);

    // A commit of nothing else needs no new map; the one that needs it waits for it.
    stage.fleet.publish("an empty commit");
    stage.host.now(0);
    stage.fleet.motd("cinnabar", "second");
    stage.fleet.publish("change the motd");
    let output = stage.host.run(&["now"]);
    refusal(
        output,
        10,
        &["is not published for cinnabar", "was made of another tree"],
        Some("reconcile publish"),
    );
    assert_eq!(stage.host.motd(), "first");
    let published = stage.publish(&[]).ended(0);
    stage.fill_cache(&published.stdout, Some("secret"));
    stage.fleet.publish("publish");
    stage.host.now(0);
    assert_eq!(stage.host.motd(), "second");
    // The map changes no evaluation, so publishing it does not ask for another one.
    let again = stage.publish(&[]).ended(0).says("is of this tree already");
    assert_eq!(again.stdout, "");
    assert_eq!(stage.host.run(&["rollback"]).ended(0).code, Some(0));
    assert_eq!(stage.host.motd(), "first");
}

#[test]
fn a_note_on_the_commit_is_as_good_as_a_file() {
    let mut stage = Stage::new();
    let notes = format!("refs/notes/reconciler/{SYSTEM}");
    stage.host.set("nix.evaluate", "\"noted\"");
    let waits = |stage: &Stage| {
        refusal(
            stage.host.run(&["now"]),
            10,
            &["is not published for cinnabar", &format!("no note in {notes}")],
            Some("reconcile publish --note --push"),
        );
    };
    waits(&stage);
    let published = stage
        .publish(&["--note"])
        .ended(0)
        .says(&format!("the note in {notes} names 2 machines"));
    assert!(!stage.map().exists());
    stage.fill_cache(&published.stdout, Some("secret"));
    waits(&stage);
    let pushed = stage
        .publish(&["--note", "--push"])
        .ended(0)
        .says("is of this tree already");
    assert_eq!(pushed.stdout, "");
    stage.host.run(&["now"]).ended(0).says("as it was published");
    assert_eq!(stage.host.motd(), "first");

    // A commit of a tree that was evaluated gets its own note without an evaluation, also where somebody else pushed
    // notes in between.
    let other = stage.cache.path().join("other");
    let other_folder = other.display().to_string();
    stage
        .fleet
        .git(&["clone", "--quiet", &stage.fleet.url(), &other_folder]);
    let in_other = |arguments: &[&str]| {
        let mut all = vec!["-C", &other_folder];
        all.extend(arguments);
        stage.fleet.git(&all);
    };
    let both = format!("{notes}:{notes}");
    in_other(&["fetch", "--quiet", "origin", &both]);
    in_other(&["notes", "--ref", &notes, "add", "-m", "another's", "HEAD~1"]);
    in_other(&["push", "--quiet", "origin", &both]);
    stage.fleet.publish("an empty commit");
    waits(&stage);
    let pushed = stage.publish(&["--note", "--push"]).ended(0);
    assert_eq!(pushed.stdout, "");
    stage.host.now(0);
    let kept = stage.fleet.git(&["notes", "--ref", &notes, "list"]).stdout;
    assert_eq!(kept.lines().count(), 3, "{kept}");

    // Without the machine's consent a note says nothing.
    stage.fleet.motd("cinnabar", "second");
    stage.fleet.publish("change the motd");
    stage.publish(&["--note", "--push"]).ended(0);
    stage.host.set("nix.evaluate", "\"published\"");
    refusal(
        stage.host.run(&["now"]),
        10,
        &["there is no .reconciler/published/"],
        Some("reconcile publish"),
    );
}

#[test]
fn a_remote_that_takes_no_notes() {
    let mut stage = Stage::new();
    stage
        .publish(&["--note", "--push", "nowhere"])
        .ended(1)
        .says("nowhere");
    stage.publish(&["--push"]).ended(2).says("--note");
}

#[test]
fn nothing_is_published() {
    let stage = Stage::new();
    let output = stage.host.run(&["now"]);
    refusal(
        output,
        10,
        &[
            "is not published for cinnabar",
            "there is no .reconciler/published/",
        ],
        Some("reconcile publish"),
    );
    let status = stage.host.status();
    assert_eq!(status["last_pass"]["outcome"], "held", "{status:#}");
}

#[test]
fn a_machine_that_was_not_published() {
    let mut stage = Stage::new();
    stage.publish(&[]).ended(0);
    stage.fleet.publish("publish");
    stage.host.set("machine", "\"electron\"");
    let output = stage.host.run(&["now"]);
    refusal(
        output,
        13,
        &["no machine `electron`; it has electrum, cinnabar"],
        Some("reconcile publish"),
    );
}

#[test]
fn a_path_that_no_cache_has() {
    let mut stage = Stage::new();
    stage.publish(&[]).ended(0);
    stage.fleet.publish("publish");
    let output = stage.host.run(&["now"]);
    refusal(
        output,
        15,
        &["cannot fetch nixos-system-cinnabar"],
        Some("substituters"),
    );
    assert_eq!(stage.host.current(), None);
    // It is there later.
    let published = stage.publish(&["--force"]).ended(0);
    stage.fill_cache(&published.stdout, Some("secret"));
    stage.host.now(0);
    assert_eq!(stage.host.motd(), "first");
}

#[test]
fn a_signature_that_is_missing_or_somebody_elses() {
    for key in [None, Some("another")] {
        let mut stage = Stage::new();
        self::key(&stage.store, &stage.cache, "another");
        let published = stage.publish(&[]).ended(0);
        stage.fill_cache(&published.stdout, key);
        stage.fleet.publish("publish");
        let output = stage.host.run(&["now"]);
        refusal(
            output,
            15,
            &[
                "cannot fetch nixos-system-cinnabar",
                "signature",
                "! the nix-daemon warns: ",
            ],
            Some("trusted-public-keys"),
        );
        assert_eq!(stage.host.current(), None);
        assert_eq!(stage.store.profile("system"), None);
    }
}

#[test]
fn a_machine_that_cannot_be_evaluated_is_left_out_and_named() {
    let mut stage = Stage::new();
    stage.fleet.declare(
        "electrum",
        &Entry::nixos().toplevel("throw \"the option is gone\""),
    );
    stage.fleet.publish("a bad machine");
    let output = stage
        .publish(&["--out", "map.json"])
        .ended(13)
        .says("cannot evaluate electrum")
        .says("the option is gone");
    assert_eq!(output.stdout.lines().count(), 1, "{output}");
    let map = stage.fleet.read("map.json");
    assert!(
        map.contains("\"cinnabar\"") && !map.contains("\"electrum\""),
        "{map}"
    );
}

#[test]
fn what_cannot_be_published() {
    let mut stage = Stage::new();
    let folder = stage.cache.path().display().to_string();
    stage
        .publish(&[&folder])
        .ended(2)
        .says("lies in no git repository");
    stage
        .publish(&["--directory", "../x"])
        .ended(2)
        .says("has to be a folder inside the repository");
    stage
        .publish(&["--directory", "nowhere"])
        .ended(13)
        .says("nowhere");
}

#[test]
fn a_generation_that_was_collected_is_fetched_again_with_every_path_named() {
    let mut stage = Stage::new();
    stage.host.set("policy.keep_generations", "2");
    for motd in ["first", "second", "third"] {
        stage.fleet.motd("cinnabar", motd);
        stage.fleet.publish(motd);
        let published = stage.publish(&["--force"]).ended(0);
        stage.fill_cache(&published.stdout, Some("secret"));
        stage.fleet.publish("publish");
        let output = stage.host.run(&["now"]).ended(0);
        // As Nix says it, a line each.
        output
            .says(&format!("  copying path '{}/", stage.store.store().display()))
            .says(&format!(
                "from 'file://{}'",
                stage.cache.path().join("cache").display()
            ));
        assert_eq!(stage.host.motd(), motd);
    }
    let first = stage.host.history().last().unwrap()["toplevel"].clone();
    let first = first.as_str().unwrap();
    stage.store.nix("nix-collect-garbage", &["--delete-old"]).ended(0);
    assert!(!std::path::Path::new(first).exists(), "it was not collected");
    stage
        .host
        .run(&["rollback", "1"])
        .ended(0)
        .says(&format!("  copying path '{first}' from 'file://"))
        .says("was fetched again");
    assert_eq!(stage.host.motd(), "first");
}

#[test]
fn a_collector_beside_passes_that_fetch_takes_nothing_that_is_needed() {
    let mut stage = Stage::new();
    stage.host.set("policy.keep_generations", "2");
    // All is published before: the build server's store is not the one that is collected.
    let commits: Vec<(&str, String)> = ["first", "second", "third", "fourth"]
        .map(|motd| {
            stage.fleet.motd("cinnabar", motd);
            stage.fleet.commit(motd);
            let published = stage.publish(&["--force"]).ended(0);
            stage.fill_cache(&published.stdout, Some("secret"));
            (motd, stage.fleet.commit("publish"))
        })
        .into();
    let Stage {
        store, fleet, host, ..
    } = &stage;
    store.collect_beside(|| {
        for (motd, commit) in &commits {
            fleet.git(&["push", "--quiet", "origin", &format!("{commit}:main")]);
            host.now(0);
            assert_eq!(host.motd(), *motd);
        }
        host.run(&["rollback"]).ended(0);
        assert_eq!(host.motd(), "third");
        // The first was collected: it is fetched while the collector runs.
        host.run(&["rollback", "1"]).ended(0);
        assert_eq!(host.motd(), "first");
    });
}

/// A value of a cache's description of a path.
fn value<'a>(narinfo: &'a str, key: &str) -> &'a str {
    let line = narinfo.lines().find_map(|line| line.strip_prefix(key));
    line.and_then(|rest| rest.strip_prefix(": ")).unwrap_or_default()
}

/// As people read it, below a MiB.
fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        _ if bytes * 10 / 1024 < 100 => format!("{}.{} KiB", bytes / 1024, bytes * 10 / 1024 % 10),
        _ => format!("{} KiB", bytes / 1024),
    }
}

#[test]
fn a_plan_tells_what_is_downloaded_and_what_it_is_unpacked() {
    let mut stage = Stage::new();
    stage.compression = "xz";
    // Something that gets smaller on its way.
    stage.fleet.write(
        "machines/cinnabar/root/etc/hosts",
        &"127.0.0.1 localhost\n".repeat(20_000),
    );
    stage.fleet.commit("many lines");
    let published = stage.publish(&[]).ended(0);
    stage.fill_cache(&published.stdout, Some("secret"));
    stage.fleet.publish("publish");

    let plan = stage.host.run(&["plan", "--no-build", "--json"]).ended(0).json();
    let cost = &plan["change"]["cost"];
    // The same from what the cache says of the closure.
    let toplevel = plan["change"]["to"]["toplevel"].as_str().unwrap();
    let mut open = vec![toplevel.rsplit('/').next().unwrap().to_owned()];
    let mut seen = std::collections::BTreeSet::new();
    let (mut download, mut unpack) = (0, 0);
    while let Some(path) = open.pop() {
        if !seen.insert(path.clone()) {
            continue;
        }
        let file = stage.cache.path().join(format!("cache/{}.narinfo", &path[..32]));
        let narinfo = std::fs::read_to_string(file).unwrap();
        download += value(&narinfo, "FileSize").parse::<u64>().unwrap();
        unpack += value(&narinfo, "NarSize").parse::<u64>().unwrap();
        open.extend(
            value(&narinfo, "References")
                .split_whitespace()
                .map(str::to_owned),
        );
    }
    assert!(
        download < unpack / 2 && unpack > 400_000,
        "{download} of {unpack}"
    );
    assert_eq!(
        (
            &cost["download"],
            &cost["unpack"],
            cost["fetch"].as_array().map(Vec::len)
        ),
        (&download.into(), &unpack.into(), Some(seen.len())),
        "{plan:#}"
    );
    let told = format!(
        "fetch    {} paths, {} to download, {} unpacked\n",
        seen.len(),
        size(download),
        size(unpack)
    );
    stage.host.run(&["plan", "--no-build"]).ended(0).says(&told);

    // Once it is there, there is nothing left to fetch.
    stage.host.now(0);
    let plan = stage.host.run(&["plan", "--json"]).ended(0).json();
    let cost = &plan["change"]["cost"];
    assert!(cost.is_null() || cost["download"] == 0, "{plan:#}");
}
