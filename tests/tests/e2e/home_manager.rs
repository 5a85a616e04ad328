//! The class `home-manager`: homes of several users, by an agent that is root. Only root can try.

use reconciler_tests::{Agent, Entry, Fleet, Host, Store, eventually, is_root};
use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::PathBuf;

const USERS: [(&str, u32); 2] = [("kim", 41_001), ("lee", 41_002)];

/// A host of two users, each with a generation.
struct Stage {
    store: Store,
    fleet: Fleet,
    host: Host,
}

impl Stage {
    /// None where nobody can be made another user.
    fn new() -> Option<Stage> {
        if !is_root() {
            eprintln!("skipped: only root can activate other users' homes");
            return None;
        }
        let (store, fleet) = (Store::new(), Fleet::new());
        fleet.declare("galena", &Entry::home_manager());
        let host = Host::new(&store, &fleet, "galena");
        let mut passwd = String::from("root:x:0:0::/root:/bin/sh\n");
        for (user, id) in USERS {
            passwd.push_str(&format!("{user}:x:{id}:{id}::/home/{user}:/bin/sh\n"));
            for folder in [format!("home/{user}"), format!("run/user/{id}")] {
                fs::create_dir_all(host.path(&folder)).unwrap();
                chown(host.path(&folder), Some(id), Some(id)).unwrap();
            }
        }
        host.write("etc/passwd", &passwd, 0o644);
        host.install("systemctl");
        let stage = Stage { store, fleet, host };
        for (user, _) in USERS {
            stage.declare(user, "home/.profile", "first\n");
            stage.declare(user, "home/.config/app/settings", "settings\n");
            stage.declare(
                user,
                "fault/hook",
                "echo \"$PWD $USER $HOME ${XDG_RUNTIME_DIR-}\" >>\"$HOME/activations\"\n",
            );
        }
        Some(stage)
    }

    fn converged() -> Option<Stage> {
        let stage = Stage::new()?;
        stage.fleet.publish("the first commit");
        stage.host.now(0);
        Some(stage)
    }

    fn declare(&self, user: &str, path: &str, text: &str) {
        self.fleet
            .write(&format!("machines/galena/root/users/{user}/{path}"), text);
    }

    fn home(&self, user: &str, path: &str) -> PathBuf {
        self.host.path("home").join(user).join(path)
    }

    fn profile(&self, user: &str) -> Option<PathBuf> {
        fs::canonicalize(self.home(user, ".local/state/nix/profiles/home-manager")).ok()
    }

    fn current(&self, user: &str) -> Option<PathBuf> {
        fs::canonicalize(self.home(user, ".local/state/home-manager/gcroots/current-home")).ok()
    }

    fn says(&self, user: &str) -> String {
        fs::read_to_string(self.home(user, ".profile")).unwrap_or_default()
    }

    fn activations(&self, user: &str) -> Vec<String> {
        let log = fs::read_to_string(self.home(user, "activations")).unwrap_or_default();
        log.lines().map(str::to_owned).collect()
    }

    #[track_caller]
    fn all_on(&self, text: &str) {
        for (user, _) in USERS {
            assert_eq!(self.says(user), text, "{user}");
            assert_eq!(self.profile(user), self.current(user), "{user}");
            assert!(self.profile(user).is_some(), "{user}");
        }
    }

    /// Pushes a bad commit and sees both users back.
    fn reverts(&self, reason: &str, spoil: impl FnOnce(&Stage)) {
        let before: Vec<_> = USERS.iter().map(|(user, _)| self.current(user)).collect();
        for (user, _) in USERS {
            self.declare(user, "home/.profile", "bad\n");
            self.declare(user, "home/.new", "new\n");
        }
        spoil(self);
        self.fleet.publish("a bad commit");
        self.host.run(&["now"]).ended(16).says(reason);
        self.all_on("first\n");
        let after: Vec<_> = USERS.iter().map(|(user, _)| self.current(user)).collect();
        assert_eq!(after, before);
        assert!(!self.home("kim", ".new").is_symlink());
        assert_eq!(self.host.status()["sync"], "quarantined");
        self.fleet.revert();
        self.host.now(0);
        self.all_on("first\n");
    }
}

#[test]
fn homes_follow_the_fleet_as_their_users_and_go_back() {
    let Some(stage) = Stage::converged() else { return };
    stage.all_on("first\n");
    let (kim, host) = (stage.home("kim", ""), &stage.host);
    let home = kim.to_string_lossy().trim_end_matches('/').to_owned();
    let runtime = host.path("run/user/41001").display().to_string();
    assert_eq!(stage.activations("kim"), [format!("{home} kim {home} {runtime}")]);
    for (user, id) in USERS {
        for path in [
            ".profile",
            ".config/app",
            ".local/state/nix/profiles/home-manager",
        ] {
            let found = fs::symlink_metadata(stage.home(user, path)).unwrap();
            assert_eq!((found.uid(), found.gid()), (id, id), "{user} {path}");
        }
    }
    let first = stage.current("kim");

    stage.declare("kim", "home/.profile", "second\n");
    stage
        .fleet
        .remove("machines/galena/root/users/kim/home/.config/app/settings");
    stage.fleet.publish("something else for kim");
    host.now(0);
    assert_eq!(
        (stage.says("kim").as_str(), stage.says("lee").as_str()),
        ("second\n", "first\n")
    );
    assert!(!stage.home("kim", ".config/app/settings").is_symlink());
    assert_ne!(stage.current("kim"), first);
    host.run(&["rollback"]).ended(0);
    stage.all_on("first\n");
    assert_eq!(stage.current("kim"), first);
    assert!(stage.home("kim", ".config/app/settings").exists());
    assert_eq!(host.status()["health"], "healthy");
}

#[test]
fn a_file_in_the_way_is_told_before_any_home_is_touched() {
    let Some(stage) = Stage::converged() else { return };
    let by_hand = stage.home("lee", ".vimrc");
    stage.host.write("home/lee/.vimrc", "by hand\n", 0o644);
    for (user, _) in USERS {
        stage.declare(user, "home/.profile", "second\n");
        stage.declare(user, "home/.vimrc", "declared\n");
    }
    stage.fleet.publish("a file that lee has, too");
    let said = stage.host.run(&["now"]).ended(14);
    said.says(&format!("{} of lee is there already", by_hand.display()))
        .says("force = true");
    stage.all_on("first\n");
    assert_eq!(fs::read_to_string(&by_hand).unwrap(), "by hand\n");
    // Once it is gone, the same commit is taken.
    fs::remove_file(&by_hand).unwrap();
    stage.host.now(0);
    stage.all_on("second\n");
}

#[test]
fn a_home_that_fails_takes_the_others_back() {
    let Some(stage) = Stage::converged() else { return };
    stage.reverts("exit code 3", |stage| {
        stage.declare("lee", "fault/activate-exit", "3");
    });
}

#[test]
fn success_without_links_is_not_believed() {
    let Some(stage) = Stage::converged() else { return };
    stage.reverts("the activation reported success, but", |stage| {
        stage.declare("lee", "fault/no-links", "");
    });
}

#[test]
fn success_on_the_old_generation_is_not_believed() {
    let Some(stage) = Stage::converged() else { return };
    stage.reverts("reported success", |stage| {
        stage.declare("lee", "fault/keep-current", "");
    });
}

#[test]
fn a_generation_that_a_person_made_is_what_is_gone_back_to() {
    let Some(stage) = Stage::converged() else { return };
    // Another generation, built by the same fleet and activated by hand as kim would.
    stage.declare("kim", "home/.profile", "by hand\n");
    stage.fleet.publish("kim's own");
    let other = Host::new(&stage.store, &stage.fleet, "galena");
    let passwd = fs::read_to_string(stage.host.path("etc/passwd")).unwrap();
    other.write("etc/passwd", &passwd, 0o644);
    for (user, id) in USERS {
        fs::create_dir_all(other.path("home").join(user)).unwrap();
        chown(other.path("home").join(user), Some(id), Some(id)).unwrap();
    }
    other.install("systemctl");
    other.now(0);
    let own = other.path("home/kim/.local/state/home-manager/gcroots/current-home");
    let own = fs::canonicalize(own).unwrap();
    let root = stage.home("kim", ".local/state/home-manager/gcroots/current-home");
    fs::remove_file(&root).unwrap();
    std::os::unix::fs::symlink(&own, &root).unwrap();

    stage.declare("kim", "home/.profile", "bad\n");
    stage.declare("kim", "fault/activate-exit", "3");
    stage.fleet.publish("a bad commit");
    stage.host.run(&["now"]).ended(16).says("exit code 3");
    assert_eq!(
        (stage.current("kim"), stage.says("kim").as_str()),
        (Some(own), "by hand\n")
    );
    assert_eq!(stage.says("lee"), "first\n");
}

#[test]
fn units_of_a_user_are_reloaded_where_that_user_is_logged_in() {
    let Some(stage) = Stage::new() else { return };
    let systemd = stage.host.path("run/user/41001/systemd");
    fs::create_dir(&systemd).unwrap();
    chown(&systemd, Some(41_001), Some(41_001)).unwrap();
    for (user, _) in USERS {
        stage.declare(
            user,
            "home/.config/systemd/user/sync.service",
            "[Service]\nExecStart=/bin/true\n",
        );
    }
    stage.fleet.publish("the first commit");
    stage.host.now(0);
    let state = systemd.join("memory/state/sync.service");
    assert_eq!(fs::read_to_string(&state).unwrap(), "active\n");
    assert_eq!(stage.host.status()["health"], "healthy");
    assert!(stage.home("lee", ".config/systemd/user/sync.service").exists());

    stage.declare(
        "kim",
        "home/.config/systemd/user/sync.service",
        "[Service]\nExecStart=/bin/false\n",
    );
    stage.fleet.publish("it fails");
    stage
        .host
        .run(&["now"])
        .ended(0)
        .says("sync.service of kim is failed");
    assert_eq!(stage.host.status()["health"], "degraded");
}

#[test]
fn a_home_of_nobody_is_refused() {
    let Some(stage) = Stage::converged() else { return };
    stage.declare("ada", "home/.profile", "first\n");
    stage.fleet.publish("a user that this host has not");
    stage
        .host
        .run(&["now"])
        .ended(14)
        .says("there is no user ada on this host");
    stage.all_on("first\n");
}

#[test]
fn a_kill_in_the_middle_converges() {
    let Some(stage) = Stage::converged() else { return };
    for (user, _) in USERS {
        stage.declare(user, "home/.profile", "second\n");
    }
    stage.declare(
        "lee",
        "fault/hook",
        "echo again >>\"$HOME/activations\"\ntouch \"$HOME/waiting\"
while [ -e \"$HOME/waiting\" ] && [ ! -e \"$HOME/go\" ]; do sleep 0.02; done\n",
    );
    stage.fleet.publish("lee's takes its time");
    let agent: Agent = stage.host.agent();
    agent.until("the second home is being activated", || {
        stage.home("lee", "waiting").exists()
    });
    agent.kill();
    stage.host.write("home/lee/go", "", 0o644);
    eventually("it ends without the agent", || {
        stage.says("lee") == "second\n" && stage.current("lee") != stage.profile("lee")
    });
    stage.host.now(0);
    stage.all_on("second\n");
    assert_eq!(
        (stage.activations("kim").len(), stage.activations("lee").len()),
        (2, 2)
    );
    assert_eq!(stage.host.history().len(), 2);
}

#[test]
fn a_user_s_own_agent_keeps_a_home_without_root() {
    let Some(stage) = Stage::new() else { return };
    let (user, id) = USERS[0];
    let own = "let script = ''
      PATH=/usr/bin:/bin user=kim script=${../../classes/home-manager} declared=${./root/users/kim}
      . $script/build
    ''; in derivation {
      name = \"home-manager-generation\"; inherit system; builder = \"/bin/sh\"; args = [ \"-c\" script ];
    }";
    stage
        .fleet
        .declare("galena", &Entry::home_manager().toplevel(own));
    stage.fleet.publish("one generation, of the agent's own user");
    // Root's agent cannot tell whose it is.
    stage
        .host
        .run(&["now"])
        .ended(14)
        .says("does not say whose home it is");
    // A journal of root's stays root's.
    fs::remove_dir_all(stage.host.state()).unwrap();
    stage.host.run_as(id, &["now"]).ended(0);
    assert_eq!(stage.says(user), "first\n");
    assert_eq!(
        (stage.profile(user), stage.profile("lee")),
        (stage.current(user), None)
    );
    stage.declare(user, "home/.profile", "second\n");
    stage.fleet.publish("the second commit");
    stage.host.run_as(id, &["now"]).ended(0);
    assert_eq!(stage.says(user), "second\n");
    stage.host.run_as(id, &["rollback"]).ended(0);
    assert_eq!(stage.says(user), "first\n");
    assert_eq!(stage.activations(user).len(), 3);
}

#[test]
fn drift_of_a_home_is_told_and_corrected() {
    let Some(stage) = Stage::converged() else { return };
    stage.host.run(&["drift"]).ended(0);
    let file = stage.home("kim", ".profile");
    let declared = fs::read_link(&file).unwrap();
    fs::remove_file(&file).unwrap();
    let told = stage.host.run(&["drift", "--json"]).ended(18).json();
    let item = &told["drift"][0];
    assert_eq!(item["kind"], "home-file", "{told:#}");
    assert_eq!(item["cause"], "displaced", "{told:#}");
    stage.host.run(&["drift", "--correct"]).ended(0);
    assert_eq!(fs::read_link(&file).unwrap(), declared);
    assert_eq!(fs::symlink_metadata(&file).unwrap().uid(), USERS[0].1);
    stage.host.run(&["drift"]).ended(0);
}
