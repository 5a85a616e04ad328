//! Secrets of every kind, on their way in, back, and through a boot; beside another installer, too.

use reconciler_tests::{Entry, Fleet, Host, Key, SYSTEM, Store, Var, run, tool};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// Where an activation secret of cinnabar's lies on the disk.
fn placed(host: &Host, file: &str) -> PathBuf {
    host.path("var/lib/sops-nix/activation/per-machine/cinnabar")
        .join(file)
}

fn read(path: PathBuf) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

/// What a reboot takes.
fn lose_memory(host: &Host) {
    for name in ["run/secrets", "run/secrets-for-users"] {
        std::fs::remove_file(host.path(name)).unwrap_or_default();
    }
    for name in ["run/secrets.d", "run/reconciler"] {
        std::fs::remove_dir_all(host.path(name)).unwrap_or_default();
    }
}

#[test]
fn what_an_activation_needs_is_on_the_disk_before_it() {
    let (store, fleet) = (Store::new(), Fleet::new());
    let declare = |files: &str| {
        let generators = format!("{{ disk.files = {{ {files} }}; }}");
        fleet.declare("cinnabar", &Entry::nixos().generators(&generators));
        let hook = "echo \"${0%/fault/hook}\" >>\"$RECONCILER_ROOT/activations\"\n\
                    cat \"$RECONCILER_ROOT/var/lib/sops-nix/activation/per-machine/cinnabar/disk/key\" \
                    >>\"$RECONCILER_ROOT/seen\"\n";
        fleet.fault("cinnabar", "hook", hook);
    };
    let (key, pin) = (
        Var::per_machine("cinnabar", "disk", "key"),
        Var::per_machine("cinnabar", "disk", "pin"),
    );
    declare(
        "key = { neededFor = \"activation\"; mode = \"0440\"; }; pin.neededFor = \"activation\"; \
         layout.neededFor = \"partitioning\";",
    );
    key.encrypt(&fleet, "value-one ", &["cinnabar"]);
    pin.encrypt(&fleet, "1234", &["cinnabar"]);
    // Declared, so it has to be there; for whoever installs machines, so this one need not read it.
    Var::per_machine("cinnabar", "disk", "layout").encrypt(&fleet, "gpt", &["electrum"]);
    fleet.motd("cinnabar", "first");
    fleet.publish("two secrets for activations");
    let host = Host::new(&store, &fleet, "cinnabar");
    let identity = read(host.path("var/lib/sops-nix/key.txt"));
    host.run(&["now"]).ended(0).says("disk/layout for partitioning");
    assert_eq!(read(placed(&host, "disk/key")).as_deref(), Some("value-one "));
    assert_eq!(read(placed(&host, "disk/pin")).as_deref(), Some("1234"));
    let mode = std::fs::metadata(placed(&host, "disk/key")).unwrap().mode();
    assert_eq!(mode & 0o7777, 0o440);
    assert_eq!(host.secret(key.installed()), None);

    // One changes, the other goes, and what a person put there stays.
    let mine = "var/lib/sops-nix/activation/per-machine/cinnabar/disk/mine";
    host.write(mine, "mine", 0o600);
    declare("key.neededFor = \"activation\";");
    key.encrypt(&fleet, "value-two ", &["cinnabar"]);
    fleet.motd("cinnabar", "second");
    fleet.publish("one secret for activations");
    host.now(0);
    assert_eq!(read(placed(&host, "disk/key")).as_deref(), Some("value-two "));
    assert_eq!(read(placed(&host, "disk/pin")), None);
    assert_eq!(read(host.path("seen")).as_deref(), Some("value-one value-two "));

    // A commit that fails leaves all as it was.
    key.encrypt(&fleet, "bad ", &["cinnabar"]);
    fleet.fault("cinnabar", "activate-exit", "134");
    fleet.motd("cinnabar", "third");
    fleet.publish("a bad commit");
    host.now(16);
    assert_eq!(read(placed(&host, "disk/key")).as_deref(), Some("value-two "));

    // A rollback brings them back, also when the key is another by now: they are kept.
    let other = Key::of("electrum").identity;
    host.write("var/lib/sops-nix/key.txt", &other, 0o600);
    host.run(&["rollback", "1"]).ended(0);
    assert_eq!(read(placed(&host, "disk/key")).as_deref(), Some("value-one "));
    assert_eq!(read(placed(&host, "disk/pin")).as_deref(), Some("1234"));
    assert_eq!(read(placed(&host, "disk/mine")).as_deref(), Some("mine"));
    assert_eq!(read(host.path("var/lib/sops-nix/key.txt")), Some(other));
    assert!(identity.is_some());
}

#[test]
fn what_somebody_deleted_of_it_comes_back() {
    let (store, fleet) = (Store::new(), Fleet::new());
    let key = Var::per_machine("cinnabar", "disk", "key");
    fleet.declare(
        "cinnabar",
        &Entry::nixos().generators("{ disk.files.key.neededFor = \"activation\"; }"),
    );
    fleet.motd("cinnabar", "first");
    key.encrypt(&fleet, "value-one", &["cinnabar"]);
    fleet.publish("a secret for activations");
    let host = Host::new(&store, &fleet, "cinnabar");
    host.now(0);
    std::fs::remove_dir_all(host.path("var/lib/sops-nix/activation")).unwrap();
    host.now(0);
    assert_eq!(read(placed(&host, "disk/key")).as_deref(), Some("value-one"));
    assert_eq!(host.history().len(), 1);
}

#[test]
fn a_key_that_is_another_by_now_does_not_keep_a_kept_generation_away() {
    let (store, fleet) = (Store::new(), Fleet::with_machine("cinnabar"));
    let token = Var::per_machine("cinnabar", "web", "token");
    let host = Host::new(&store, &fleet, "cinnabar");
    // The second changes the toplevel alone: it takes no place from the secrets that are kept.
    for (motd, value) in [
        ("first", "value-one"),
        ("second", "value-two"),
        ("third", "value-two"),
    ] {
        token.encrypt(&fleet, value, &["cinnabar"]);
        fleet.motd("cinnabar", motd);
        fleet.publish(motd);
        host.now(0);
    }
    host.write("var/lib/sops-nix/key.txt", &Key::of("electrum").identity, 0o600);
    host.run(&["rollback", "1"]).ended(0);
    assert_eq!(host.secret(token.installed()).as_deref(), Some("value-one"));
    assert_eq!(host.motd(), "first");
}

/// A clan whose machine has a sops-nix of its own; `vars/` lies in a folder of the repository.
fn clan(generators: &str) -> Fleet {
    let fleet = Fleet::new();
    fleet.declare("cinnabar", &Entry::nixos());
    fleet.motd("cinnabar", "first");
    fleet.write("generators.nix", generators);
    fleet.write(
        "flake.nix",
        &format!(
            "{{
  outputs = {{ self }}: {{
    nixosConfigurations.cinnabar = {{
      pkgs.stdenv.hostPlatform.system = \"{SYSTEM}\";
      config = {{
        clan.core.vars.settings.secretStore = \"sops\";
        clan.core.vars.sops.secretUploadDirectory = \"/var/lib/sops-nix\";
        clan.core.vars.generators = import ./generators.nix;
        sops.age.keyFile = \"/var/lib/sops-nix/key.txt\";
        sops.age.sshKeyPaths = [ ];
        system.build.toplevel = import ./toplevel.nix {{
          name = \"cinnabar\"; class = \"nixos\"; system = \"{SYSTEM}\"; folders = [ ./machines/cinnabar/root ];
        }};
      }};
    }};
    clanInternals = {{
      cliChecks = [ ];
      inventoryClass = {{
        relativeDirectory = \"minerals\";
        inventorySerialization = {{
          meta.name = \"minerals\"; instances = {{ }}; tags = {{ }};
          machines.cinnabar = {{ machineClass = \"nixos\"; tags = [ ]; }};
        }};
      }};
    }};
  }};
}}
"
        ),
    );
    fleet
}

/// Publishes the vars where the clan has them.
fn publish(fleet: &Fleet, subject: &str) {
    let (from, to) = (fleet.work().join("vars"), fleet.work().join("minerals/vars"));
    let _ = std::fs::remove_dir_all(&to);
    std::fs::create_dir_all(to.parent().unwrap()).unwrap();
    std::fs::rename(from, to).unwrap();
    fleet.publish(subject);
}

#[test]
fn a_machine_with_its_own_sops_nix_keeps_it() {
    let generators =
        "{ web.files.token.restartUnits = [ \"web.service\" ]; disk.files.key.neededFor = \"activation\"; }";
    let (store, fleet) = (Store::new(), clan(generators));
    let (token, key) = (
        Var::per_machine("cinnabar", "web", "token"),
        Var::per_machine("cinnabar", "disk", "key"),
    );
    let host = Host::new(&store, &fleet, "cinnabar");
    // What sops-nix has installed.
    let theirs = host.path("run/secrets.d/7");
    host.write("run/secrets.d/7/token", "theirs", 0o400);
    symlink(&theirs, host.path("run/secrets")).unwrap();

    for (number, value) in ["value-one", "value-two"].into_iter().enumerate() {
        token.encrypt(&fleet, value, &["cinnabar"]);
        key.encrypt(&fleet, value, &["cinnabar"]);
        publish(&fleet, "another value");
        host.run(&["now"])
            .ended(0)
            .says("2 secrets opened; sops-nix installs them")
            .never_says("web.service");
        assert_eq!(read(placed(&host, "disk/key")).as_deref(), Some(value));
        assert_eq!(host.secret("token").as_deref(), Some("theirs"));
        assert_eq!(std::fs::read_link(host.path("run/secrets")).unwrap(), theirs);
        assert_eq!(std::fs::read_dir(host.path("run/secrets.d")).unwrap().count(), 1);
        assert_eq!(host.history().len(), number + 1);
    }
    host.run(&["status", "--check"]).ended(0);

    // After a boot, and back: from the clan's own folder, without an evaluation.
    std::fs::remove_dir_all(host.path("run/reconciler")).unwrap();
    std::fs::remove_dir_all(host.path("var/lib/sops-nix/activation")).unwrap();
    host.run(&["secrets", "restore"])
        .ended(0)
        .says("1 secret of generation 2 is in force");
    assert_eq!(read(placed(&host, "disk/key")).as_deref(), Some("value-two"));
    host.run(&["rollback", "1"]).ended(0);
    assert_eq!(read(placed(&host, "disk/key")).as_deref(), Some("value-one"));
    assert_eq!(host.secret("token").as_deref(), Some("theirs"));

    // The preflight is made all the same.
    host.run(&["unpin"]).ended(0);
    token.encrypt(&fleet, "value-three", &["electrum"]);
    key.encrypt(&fleet, "value-three", &["cinnabar"]);
    publish(&fleet, "for somebody else");
    host.now(14);
    assert_eq!(read(placed(&host, "disk/key")).as_deref(), Some("value-two"));
}

/// A machine with two keys, and a secret for each.
struct TwoKeys {
    host: Host,
    vars: [Var; 2],
    second: PathBuf,
    _fleet: Fleet,
    _store: Store,
}

impl TwoKeys {
    fn new(generators: &str) -> TwoKeys {
        let (store, fleet) = (Store::new(), Fleet::new());
        fleet.declare("cinnabar", &Entry::nixos().generators(generators));
        fleet.motd("cinnabar", "first");
        let vars = ["first", "second"].map(|name| Var::per_machine("cinnabar", "web", name));
        vars[0].encrypt_to(&fleet, "value-one", &[Key::of("cinnabar").recipient]);
        vars[1].encrypt_to(&fleet, "value-two", &[Key::of("electrum").recipient]);
        fleet.publish("a secret for each key");
        let mut host = Host::new(&store, &fleet, "cinnabar");
        host.write("etc/second.txt", &Key::of("electrum").identity, 0o600);
        host.set(
            "identity.age_keys",
            "[\"/var/lib/sops-nix/key.txt\", \"/etc/second.txt\"]",
        );
        host.now(0);
        TwoKeys {
            second: host.path("etc/second.txt"),
            host,
            vars,
            _fleet: fleet,
            _store: store,
        }
    }

    fn values(&self) -> [Option<String>; 2] {
        [0, 1].map(|index| self.host.secret(self.vars[index].installed()))
    }
}

#[test]
fn a_boot_brings_all_back_before_the_agent() {
    let stage = TwoKeys::new("{ web.files = { first = { }; second.neededFor = \"users\"; }; }");
    let host = &stage.host;
    host.run(&["secrets", "restore"])
        .ended(0)
        .says("the recorded secrets are in force");
    for arguments in [
        &["secrets", "restore"][..],
        &["secrets", "restore", "--before-accounts"],
    ] {
        lose_memory(host);
        // Neither the remote nor Nix is there yet.
        let uses = host.nix_uses().len();
        host.run(arguments)
            .ended(0)
            .says("2 secrets of generation 1 are in force");
        assert_eq!(host.nix_uses().len(), uses);
        assert_eq!(
            host.secret(stage.vars[0].installed()).as_deref(),
            Some("value-one")
        );
        let hash = host.path("run/secrets-for-users").join(stage.vars[1].installed());
        assert_eq!(read(hash).as_deref(), Some("value-two"));
    }
    // The agent has nothing to add.
    host.now(0);
    assert_eq!(host.history().len(), 1);
    host.run(&["status", "--check"]).ended(0);
}

#[test]
fn at_a_boot_what_opens_is_there_and_the_rest_is_named() {
    let stage = TwoKeys::new("{ web.files = { first = { }; second = { }; }; }");
    let host = &stage.host;
    lose_memory(host);
    let away = stage.second.with_extension("away");
    std::fs::rename(&stage.second, &away).unwrap();
    for _ in 0..2 {
        host.run(&["secrets", "restore"])
            .ended(14)
            .says("1 of the 2 secrets of generation 1 could not be put in force; the others are")
            .says(&stage.vars[1].secret())
            .never_says("value-one")
            .never_says(&stage.vars[0].secret());
        assert_eq!(stage.values(), [Some("value-one".to_owned()), None]);
    }
    // Doing it twice has laid down one generation.
    assert_eq!(std::fs::read_dir(host.path("run/secrets.d")).unwrap().count(), 1);
    host.run(&["status", "--check"]).ended(18).says("secrets");
    host.run(&["now"])
        .ended(0)
        .says("could not be put in force again");
    assert_eq!(stage.values(), [Some("value-one".to_owned()), None]);
    // As soon as it opens, all are there, under their old number.
    std::fs::rename(&away, &stage.second).unwrap();
    host.run(&["now"]).ended(0).says("are in force again");
    assert_eq!(
        stage.values(),
        ["value-one", "value-two"].map(|value| Some(value.to_owned()))
    );
    host.run(&["status", "--check"]).ended(0);
}

#[test]
fn at_a_boot_an_activation_secret_that_does_not_open_stays_where_it_was() {
    let stage = TwoKeys::new("{ web.files = { first = { }; second.neededFor = \"activation\"; }; }");
    let host = &stage.host;
    lose_memory(host);
    std::fs::remove_file(&stage.second).unwrap();
    host.run(&["secrets", "restore"])
        .ended(14)
        .says(&stage.vars[1].secret());
    assert_eq!(read(placed(host, "web/second")).as_deref(), Some("value-two"));
}

#[test]
fn a_boot_where_there_is_nothing_to_bring_back() {
    let (store, fleet) = (Store::new(), Fleet::with_machine("cinnabar"));
    let host = Host::new(&store, &fleet, "cinnabar");
    host.run(&["secrets", "restore"])
        .ended(0)
        .says("no generation is recorded here");
    host.now(0);
    host.run(&["secrets", "restore"])
        .ended(0)
        .says("no secrets of the agent are recorded");
    assert!(!host.path("run/secrets").exists());
}

#[test]
fn a_boot_in_the_middle_of_a_pass_leaves_it_alone() {
    let (store, fleet) = (Store::new(), Fleet::with_machine("cinnabar"));
    let token = Var::per_machine("cinnabar", "web", "token");
    let host = Host::new(&store, &fleet, "cinnabar");
    token.encrypt(&fleet, "value-one", &["cinnabar"]);
    fleet.publish("a secret");
    host.now(0);
    // As the snippet of a NixOS activation does it.
    let binary = reconciler_tests::reconcile();
    let hook = format!(
        "RECONCILER_CONFIG={} {} secrets restore --before-accounts >\"$RECONCILER_ROOT/said\" 2>&1 || exit 1\n",
        host.config().display(),
        binary.display()
    );
    fleet.fault("cinnabar", "hook", &hook);
    token.encrypt(&fleet, "value-two", &["cinnabar"]);
    fleet.publish("an activation that restores secrets");
    host.now(0);
    assert_eq!(host.secret(token.installed()).as_deref(), Some("value-two"));
    assert_eq!(
        read(host.path("said")).as_deref(),
        Some("a pass is running: it sees to the secrets\n")
    );
}

#[test]
fn units_that_nobody_runs_are_named() {
    let (store, fleet) = (Store::new(), Fleet::new());
    fleet.declare(
        "cinnabar",
        &Entry::nixos().generators("{ web.files.token.restartUnits = [ \"web\" ]; }"),
    );
    fleet.motd("cinnabar", "first");
    let token = Var::per_machine("cinnabar", "web", "token");
    token.encrypt(&fleet, "value-one", &["cinnabar"]);
    fleet.publish("a secret with a unit");
    let host = Host::new(&store, &fleet, "cinnabar");
    host.run(&["now"])
        .ended(0)
        .says("not restarted, since no systemd runs this host: web.service");
}

#[test]
fn a_full_disk_keeps_the_old_ones_in_force() {
    if !reconciler_tests::is_root() {
        eprintln!("only root can mount anything");
        return;
    }
    let (store, fleet) = (Store::new(), Fleet::new());
    fleet.declare(
        "cinnabar",
        &Entry::nixos().generators("{ disk.files.key.neededFor = \"activation\"; web.files.token = { }; }"),
    );
    fleet.motd("cinnabar", "first");
    let (key, token) = (
        Var::per_machine("cinnabar", "disk", "key"),
        Var::per_machine("cinnabar", "web", "token"),
    );
    let host = Host::new(&store, &fleet, "cinnabar");
    let disk = host.path("var/lib/sops-nix");
    // The machine's own key stays where it is read from.
    let own = std::fs::read_to_string(disk.join("key.txt")).unwrap();
    let mut mount = Command::new(tool("mount"));
    mount
        .args(["-t", "tmpfs", "-o", "mode=700,size=64k", "tmpfs"])
        .arg(&disk);
    run(&mut mount, Duration::from_secs(30)).ended(0);
    let _mounted = Mounted(disk.clone());
    host.write("var/lib/sops-nix/key.txt", &own, 0o600);
    let publish = |value: &str| {
        key.encrypt(&fleet, value, &["cinnabar"]);
        token.encrypt(&fleet, &value[..3], &["cinnabar"]);
        fleet.motd("cinnabar", &value[..3]);
        fleet.publish(&value[..3]);
    };
    publish("one");
    host.now(0);
    publish(&format!("two{}", "x".repeat(100_000)));
    host.run(&["now"]).ended(16).says("no space left");
    assert_eq!(read(placed(&host, "disk/key")).as_deref(), Some("one"));
    assert_eq!(host.secret(token.installed()).as_deref(), Some("one"));
    assert_eq!(host.motd(), "one");
    let names: Vec<_> = std::fs::read_dir(placed(&host, "disk")).unwrap().collect();
    assert_eq!(names.len(), 1, "{names:?}");
    assert_eq!(std::fs::read_to_string(disk.join("key.txt")).unwrap(), own);
}

/// A mount that ends with its test.
struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let mut command = Command::new(tool("umount"));
        command.arg("--lazy").arg(&self.0);
        let _ = run(&mut command, Duration::from_secs(30));
    }
}
