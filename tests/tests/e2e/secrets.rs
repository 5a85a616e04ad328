//! Secrets are where they belong, as they belong there, and nowhere else.

use reconciler_tests::{Entry, Fleet, Host, Key, Store, Var, is_root, run, tool};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A fleet with one NixOS machine and what it needs.
fn fleet(generators: &str) -> Fleet {
    let fleet = Fleet::new();
    fleet.declare("cinnabar", &Entry::nixos().generators(generators));
    fleet.motd("cinnabar", "first");
    fleet
}

/// Owner, group and mode of an installed secret.
fn access(host: &Host, installed: &str) -> (u32, u32, u32) {
    let file = std::fs::metadata(host.path("run/secrets").join(installed)).unwrap();
    (file.uid(), file.gid(), file.mode() & 0o7777)
}

#[test]
fn owner_group_and_mode_are_as_declared() {
    if !is_root() {
        eprintln!("only root can give files away");
        return;
    }
    let fleet = fleet(
        "{ web.files = { plain = { }; key = { owner = \"web\"; group = \"tls\"; mode = \"0440\"; }; }; }",
    );
    let (plain, key) = (
        Var::per_machine("cinnabar", "web", "plain"),
        Var::per_machine("cinnabar", "web", "key"),
    );
    plain.encrypt(&fleet, "value-one", &["cinnabar"]);
    key.encrypt(&fleet, "value-two", &["cinnabar"]);
    fleet.publish("the first commit");
    let store = Store::new();
    let host = Host::new(&store, &fleet, "cinnabar");
    host.write(
        "etc/passwd",
        "root:x:0:0::/root:/bin/sh\nweb:x:4321:4322::/:/bin/sh\n",
        0o644,
    );
    host.write("etc/group", "root:x:0:\nweb:x:4322:\ntls:x:4323:\n", 0o644);
    host.now(0);
    assert_eq!(access(&host, plain.installed()), (0, 0, 0o400));
    assert_eq!(access(&host, key.installed()), (4321, 4323, 0o440));
    // Nobody else can list what there is.
    let folder = std::fs::metadata(host.path("run/secrets/")).unwrap();
    assert_eq!(folder.mode() & 0o7007, 0o001, "{:o}", folder.mode());
}

#[test]
fn an_owner_that_only_the_new_system_makes() {
    if !is_root() {
        eprintln!("only root can give files away");
        return;
    }
    let fleet = fleet("{ web.files.key = { owner = \"web\"; }; }");
    let key = Var::per_machine("cinnabar", "web", "key");
    key.encrypt(&fleet, "value-one", &["cinnabar"]);
    let hook = "echo web:x:4321:4322::/:/bin/sh >>\"$RECONCILER_ROOT/etc/passwd\"\n";
    fleet.fault("cinnabar", "hook", hook);
    fleet.publish("the first commit");
    let store = Store::new();
    let host = Host::new(&store, &fleet, "cinnabar");
    host.write("etc/passwd", "root:x:0:0::/root:/bin/sh\n", 0o644);
    host.write("etc/group", "root:x:0:\n", 0o644);
    host.now(0);
    assert_eq!(access(&host, key.installed()), (4321, 0, 0o400));
}

#[test]
fn an_owner_that_nobody_makes() {
    if !is_root() {
        eprintln!("only root can give files away");
        return;
    }
    let (store, fleet) = (Store::new(), fleet("{ }"));
    fleet.publish("the first commit");
    let host = Host::new(&store, &fleet, "cinnabar");
    host.write("etc/passwd", "root:x:0:0::/root:/bin/sh\n", 0o644);
    host.write("etc/group", "root:x:0:\n", 0o644);
    host.now(0);
    let before = host.picture(&store).without_activations();
    fleet.declare(
        "cinnabar",
        &Entry::nixos().generators("{ web.files.key = { owner = \"web\"; }; }"),
    );
    Var::per_machine("cinnabar", "web", "key").encrypt(&fleet, "value-one", &["cinnabar"]);
    fleet.motd("cinnabar", "second");
    fleet.publish("for a user that is not declared");
    host.run(&["now"]).ended(16).says("web");
    let mut after = host.picture(&store).without_activations();
    after.secrets = before.secrets.clone();
    assert_eq!(after, before);
}

#[test]
fn what_accounts_need_lies_apart() {
    let fleet = fleet("{ login.files = { hash.neededFor = \"users\"; note.deploy = false; }; }");
    let (hash, note) = (
        Var::per_machine("cinnabar", "login", "hash"),
        Var::per_machine("cinnabar", "login", "note"),
    );
    hash.encrypt(&fleet, "value-one", &["cinnabar"]);
    // What is not deployed is not this machine's to open.
    note.encrypt(&fleet, "value-two", &["electrum"]);
    fleet.publish("the first commit");
    let store = Store::new();
    let host = Host::new(&store, &fleet, "cinnabar");
    host.now(0);
    let installed = host.path("run/secrets-for-users").join(hash.installed());
    assert_eq!(std::fs::read_to_string(installed).unwrap(), "value-one");
    assert_eq!(host.secret(hash.installed()), None);
    assert_eq!(host.secret(note.installed()), None);
}

#[test]
fn bytes_are_kept_as_they_are() {
    let values = [
        "",
        "\n",
        "a\n\nb\n\n",
        " ü \t",
        "{\"data\": 1}",
        &"x".repeat(300_000),
    ];
    let (store, fleet) = (Store::new(), Fleet::with_machine("cinnabar"));
    let vars: Vec<Var> = (0..values.len())
        .map(|n| Var::per_machine("cinnabar", "bytes", &format!("n{n}")))
        .collect();
    for (var, value) in vars.iter().zip(values) {
        var.encrypt(&fleet, value, &["cinnabar"]);
    }
    fleet.publish("every kind of value");
    let host = Host::new(&store, &fleet, "cinnabar");
    host.now(0);
    for (var, value) in vars.iter().zip(values) {
        assert_eq!(
            host.secret(var.installed()).as_deref(),
            Some(value),
            "{}",
            var.installed()
        );
    }
}

#[test]
fn an_entry_that_declares_nothing_gets_what_lies_there_for_it() {
    let (store, fleet) = (Store::new(), Fleet::with_machine("cinnabar"));
    let own = Var::per_machine("cinnabar", "web", "token");
    let others = Var::per_machine("electrum", "web", "token");
    let (ours, theirs) = (Var::shared("mesh", "psk"), Var::shared("backup", "key"));
    own.encrypt(&fleet, "own", &["cinnabar"]);
    others.encrypt(&fleet, "others", &["electrum"]);
    ours.encrypt(&fleet, "ours", &["cinnabar", "electrum"]);
    theirs.encrypt(&fleet, "theirs", &["electrum"]);
    fleet.publish("secrets for two machines");
    let host = Host::new(&store, &fleet, "cinnabar");
    host.now(0);
    assert_eq!(host.secret(own.installed()).as_deref(), Some("own"));
    assert_eq!(host.secret(ours.installed()).as_deref(), Some("ours"));
    assert_eq!(host.secret(others.installed()), None);
    assert_eq!(host.secret(theirs.installed()), None);
}

#[test]
fn what_is_taken_away_is_gone() {
    let (store, fleet) = (Store::new(), Fleet::with_machine("cinnabar"));
    let (token, key) = (
        Var::per_machine("cinnabar", "web", "token"),
        Var::per_machine("cinnabar", "tls", "key"),
    );
    token.encrypt(&fleet, "value-one", &["cinnabar"]);
    key.encrypt(&fleet, "value-two", &["cinnabar"]);
    fleet.publish("two secrets");
    let host = Host::new(&store, &fleet, "cinnabar");
    host.now(0);
    fleet.remove("vars/per-machine/cinnabar/tls");
    fleet.publish("one secret");
    host.now(0);
    assert_eq!(host.secret(token.installed()).as_deref(), Some("value-one"));
    assert_eq!(host.secret(key.installed()), None);
    fleet.remove("vars/per-machine/cinnabar/web");
    fleet.publish("no secret");
    host.now(0);
    assert_eq!(host.secret(token.installed()), None);
    // And what was taken away can be gone back to.
    host.run(&["rollback", "1"]).ended(0);
    assert_eq!(host.secret(key.installed()).as_deref(), Some("value-two"));
}

#[test]
fn they_are_in_force_before_anything_starts() {
    let (store, fleet) = (Store::new(), Fleet::with_machine("cinnabar"));
    let token = Var::per_machine("cinnabar", "web", "token");
    let hook = format!(
        "cat \"$RECONCILER_ROOT/run/secrets/{}\" >>\"$RECONCILER_ROOT/seen\"\n",
        token.installed()
    );
    fleet.fault("cinnabar", "hook", &hook);
    let host = Host::new(&store, &fleet, "cinnabar");
    for value in ["value-one ", "value-two "] {
        token.encrypt(&fleet, value, &["cinnabar"]);
        fleet.publish("another token");
        host.now(0);
    }
    assert_eq!(
        std::fs::read_to_string(host.path("seen")).unwrap(),
        "value-one value-two "
    );
}

#[test]
fn the_previous_generation_is_kept_and_older_ones_are_not() {
    let (store, fleet) = (Store::new(), Fleet::with_machine("cinnabar"));
    let token = Var::per_machine("cinnabar", "web", "token");
    let host = Host::new(&store, &fleet, "cinnabar");
    for value in ["value-one", "value-two", "value-three"] {
        token.encrypt(&fleet, value, &["cinnabar"]);
        fleet.publish("another token");
        host.now(0);
    }
    let mut kept: Vec<_> = std::fs::read_dir(host.path("run/secrets.d"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    kept.sort();
    assert_eq!(kept, ["2", "3"]);
    assert_eq!(
        std::fs::read_link(host.path("run/secrets"))
            .unwrap()
            .file_name()
            .unwrap(),
        "3"
    );
    // What is older is opened again from its commit.
    host.run(&["rollback", "1"]).ended(0);
    assert_eq!(host.secret(token.installed()).as_deref(), Some("value-one"));
}

#[test]
fn they_are_never_on_a_disk() {
    if !is_root() {
        eprintln!("only root can mount anything");
        return;
    }
    let (store, fleet) = (Store::new(), Fleet::with_machine("cinnabar"));
    let token = Var::per_machine("cinnabar", "web", "token");
    token.encrypt(&fleet, "value-one", &["cinnabar"]);
    // The host's /run is on the disk; what the activation sees is told by itself.
    let hook = "stat -f -c %T \"$RECONCILER_ROOT/run/\" \"$RECONCILER_ROOT/run/secrets/\" >\"$RECONCILER_ROOT/seen\"\n";
    fleet.fault("cinnabar", "hook", hook);
    fleet.publish("add the token");
    let host = Host::new(&store, &fleet, "cinnabar");
    let disk = store.folder().join("run");
    std::fs::create_dir(&disk).unwrap();
    let mount = format!(
        "mkdir -p \"$1/run\" && mount --bind {} \"$1/run\"",
        disk.display()
    );
    host.run_unshared(&mount, &["now"]).ended(0);
    let seen = std::fs::read_to_string(host.path("seen")).unwrap();
    let seen: Vec<&str> = seen.lines().collect();
    assert!(
        !matches!(seen[0], "tmpfs" | "ramfs"),
        "the test is about a disk: {seen:?}"
    );
    assert!(matches!(seen[1], "tmpfs" | "ramfs"), "{seen:?}");
    // Without the mount nothing is left.
    assert_eq!(std::fs::read_dir(disk.join("secrets.d")).unwrap().count(), 0);
}

#[test]
fn no_value_is_left_anywhere_else() {
    let canaries = [
        "canary-4f1c0e-installed",
        "canary-4f1c0e-for-users",
        "canary-4f1c0e-reverted",
    ];
    let (store, fleet) = (
        Store::new(),
        fleet("{ web.files = { token = { }; hash.neededFor = \"users\"; }; }"),
    );
    let (token, hash) = (
        Var::per_machine("cinnabar", "web", "token"),
        Var::per_machine("cinnabar", "web", "hash"),
    );
    token.encrypt(&fleet, canaries[0], &["cinnabar"]);
    hash.encrypt(&fleet, canaries[1], &["cinnabar"]);
    fleet.publish("add the secrets");
    let host = Host::new(&store, &fleet, "cinnabar");
    let agent = host.agent();
    agent.until("the secrets are there", || {
        host.secret(token.installed()).as_deref() == Some(canaries[0])
    });
    agent.until("it is synced", || host.status()["sync"] == "synced");
    // One that fails, and one that does not open, say much.
    token.encrypt(&fleet, canaries[2], &["cinnabar"]);
    fleet.fault("cinnabar", "activate-exit", "134");
    fleet.publish("a bad commit");
    agent.until("it is reverted", || host.status()["sync"] == "quarantined");
    fleet.write(
        &hash.secret(),
        &fleet.read(&hash.secret()).replace("\"data\"", "\"date\""),
    );
    let refused = fleet.publish("a damaged secret");
    agent.until("it is refused", || {
        let last = host.status();
        last["fleet"]["head"] == refused && last["last_pass"]["outcome"] == "preflight-failed"
    });
    let log = agent.log();
    let said = [
        host.run(&["-v", "now"]),
        host.run(&["-v", "status"]),
        host.run(&["status", "--json"]),
        host.run(&["history", "--json"]),
        host.run(&["keys"]),
    ];
    assert_eq!(agent.terminate(), Some(0));

    let key = Key::of("cinnabar").identity;
    let private = key
        .lines()
        .find(|line| line.starts_with("AGE-SECRET-KEY-"))
        .unwrap();
    for secret in canaries.iter().chain([&private]) {
        assert!(!log.contains(secret), "{log}");
        for output in &said {
            assert!(!output.to_string().contains(secret), "{output}");
        }
        for folder in [host.root(), store.folder()] {
            let mut found = files_with(folder, secret.as_bytes());
            // Where they belong.
            found.retain(|file| !file.starts_with(host.path("run/secrets.d")));
            found.retain(|file| *file != host.path("var/lib/sops-nix/key.txt"));
            assert!(found.is_empty(), "{secret} is in {found:?}");
        }
    }
    // The search finds what is there.
    assert_eq!(
        files_with(&host.path("run/secrets.d"), canaries[0].as_bytes()).len(),
        1
    );
}

#[test]
fn the_evaluator_is_another_user() {
    if !is_root() {
        eprintln!("only root can become another user");
        return;
    }
    let (store, fleet) = (Store::new(), Fleet::with_machine("cinnabar"));
    let host = Host::new(&store, &fleet, "cinnabar");
    host.now(0);
    let uses = host.nix_uses();
    let evaluations: Vec<_> = uses.iter().filter(|line| line.contains(" eval ")).collect();
    assert_eq!(evaluations.len(), 2, "{uses:#?}");
    assert!(
        evaluations.iter().all(|line| !line.starts_with("0 ")),
        "{evaluations:#?}"
    );

    let key = host.path("var/lib/sops-nix/key.txt");
    let read = format!("builtins.readFile {}", key.display());
    fleet.declare("cinnabar", &Entry::nixos().toplevel(&read));
    fleet.publish("a curious commit");
    host.run(&["now"]).ended(13).never_says("AGE-SECRET-KEY");
}

#[test]
fn an_ssh_host_key_opens_them_too() {
    let (store, fleet) = (Store::new(), Fleet::with_machine("cinnabar"));
    let host = Host::new(&store, &fleet, "cinnabar");
    std::fs::remove_file(host.path("var/lib/sops-nix/key.txt")).unwrap();
    let key = host.path("etc/ssh/ssh_host_ed25519_key");
    std::fs::create_dir_all(key.parent().unwrap()).unwrap();
    let mut command = Command::new(tool("ssh-keygen"));
    command.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key);
    run(&mut command, Duration::from_secs(30)).ended(0);
    let keys = host.run(&["keys", "--json"]).ended(0).json();
    let recipient = keys["recipients"][0]["recipient"].as_str().unwrap().to_owned();
    assert!(recipient.starts_with("age1"), "{keys:#}");
    let token = Var::per_machine("cinnabar", "web", "token");
    token.encrypt_to(&fleet, "value-one", &[recipient]);
    fleet.publish("for the host key");
    host.now(0);
    assert_eq!(host.secret(token.installed()).as_deref(), Some("value-one"));
}

#[test]
fn a_link_in_the_repository_leads_nowhere() {
    let (store, fleet) = (Store::new(), Fleet::with_machine("cinnabar"));
    let host = Host::new(&store, &fleet, "cinnabar");
    host.now(0);
    let before = host.picture(&store);
    let token = Var::per_machine("cinnabar", "web", "token");
    fleet.link(&token.secret(), "/etc/shadow");
    fleet.publish("a link");
    host.run(&["now"])
        .ended(14)
        .says(&token.secret())
        .says("is not a regular file");
    assert_eq!(host.picture(&store), before);
}

/// Every file below a folder that holds these bytes.
fn files_with(folder: &Path, bytes: &[u8]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        // What is deleted meanwhile holds nothing.
        let Ok(kind) = std::fs::symlink_metadata(&path).map(|entry| entry.file_type()) else {
            continue;
        };
        if kind.is_dir() {
            found.extend(files_with(&path, bytes));
        } else if kind.is_file() && !kind.is_socket() {
            let content = std::fs::read(&path).unwrap_or_default();
            if content.windows(bytes.len()).any(|window| window == bytes) {
                found.push(path);
            }
        }
    }
    found
}
