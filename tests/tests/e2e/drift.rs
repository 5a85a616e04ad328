//! A machine that is not what its generation says is told so, and made so again where that is wanted.

use reconciler_tests::{Agent, Entry, Fleet, Host, Store, Var, is_root};
use serde_json::Value;
use std::path::{Path, PathBuf};

struct Stage {
    store: Store,
    fleet: Fleet,
    host: Host,
}

impl Stage {
    /// A host on its second generation; what the first was is returned with it.
    fn settled(policy: &str) -> (Stage, PathBuf) {
        let (store, fleet) = (Store::new(), Fleet::with_machine("cinnabar"));
        fleet.write("reconciler.toml", &format!("[policy]\n{policy}"));
        fleet.publish("the policy");
        let host = Host::new(&store, &fleet, "cinnabar");
        host.now(0);
        let first = host.current().unwrap();
        fleet.motd("cinnabar", "second");
        fleet.publish("change the motd");
        host.now(0);
        (Stage { store, fleet, host }, first)
    }

    /// What `drift --json` tells, after it ended with `code`: kind, subject, actual, cause.
    #[track_caller]
    fn drift(&self, more: &[&str], code: i32) -> Vec<[String; 4]> {
        drift(&self.host, more, code)
    }

    /// As a person would with `nixos-rebuild test`.
    fn switch_by_hand(&self, toplevel: &Path) {
        let current = self.host.path("run/current-system");
        std::fs::remove_file(&current).unwrap();
        std::os::unix::fs::symlink(toplevel, current).unwrap();
    }
}

#[track_caller]
fn drift(host: &Host, more: &[&str], code: i32) -> Vec<[String; 4]> {
    let output = host.run(&[&["drift", "--json"], more].concat()).ended(code);
    let document = output.json();
    let text = |item: &Value, key: &str| item[key].as_str().unwrap().to_owned();
    let items = document["drift"].as_array().unwrap().iter();
    let found = items
        .map(|item| {
            assert!(item["since"].is_string(), "{document:#}");
            ["kind", "subject", "actual", "cause"].map(|key| text(item, key))
        })
        .collect();
    let status = host.status();
    assert_eq!(status["drift"], document["drift"], "{status:#}");
    found
}

#[test]
fn a_machine_as_declared_has_none() {
    let (stage, _) = Stage::settled("");
    assert_eq!(stage.drift(&[], 0), Vec::<[String; 4]>::new());
    assert_eq!(stage.drift(&["--verify-store"], 0), Vec::<[String; 4]>::new());
    stage
        .host
        .run(&["drift"])
        .ended(0)
        .says("cinnabar is what generation 2 says");
}

#[test]
fn a_generation_that_a_person_activated_is_not_fought_unless_told_to() {
    let (stage, first) = Stage::settled("drift = \"correct\"\n");
    let host = &stage.host;
    let second = host.current().unwrap();
    stage.switch_by_hand(&first);
    let found = stage.drift(&[], 18);
    let expected = [
        "current-system",
        "/run/current-system",
        first.to_str().unwrap(),
        "person",
    ];
    assert_eq!(found, [expected.map(str::to_owned)]);
    host.run(&["drift"])
        .ended(18)
        .says("by hand")
        .says("reconcile drift --correct --force");
    stage.drift(&["--correct"], 18);
    assert_eq!(host.current(), Some(first));
    assert_eq!(
        stage.drift(&["--correct", "--force"], 0),
        Vec::<[String; 4]>::new()
    );
    assert_eq!(host.current(), Some(second));
    let history = host.history();
    assert_eq!(
        (&history[0]["outcome"], &history[0]["generation"]),
        (&"corrected".into(), &3.into()),
        "{history:#?}"
    );
}

#[test]
fn where_the_policy_says_so_it_is() {
    let (stage, first) = Stage::settled("foreign_generation = \"correct\"\ndrift_interval = \"1s\"\n");
    let second = stage.host.current().unwrap();
    let agent = stage.host.agent();
    stage.switch_by_hand(&first);
    agent.until("the generation is in force again", || {
        stage.host.current() == Some(second.clone())
    });
    assert_eq!(agent.terminate(), Some(0));
}

#[test]
fn held_until_the_person_is_done() {
    let (stage, first) = Stage::settled("foreign_generation = \"hold\"\n");
    let (host, fleet) = (&stage.host, &stage.fleet);
    stage.switch_by_hand(&first);
    fleet.motd("cinnabar", "third");
    fleet.publish("a third motd");
    host.run(&["now"])
        .ended(10)
        .says("drifted")
        .says("/run/current-system");
    let status = host.status();
    assert_eq!(status["pending"]["gates"][3]["gate"], "drift", "{status:#}");
    assert_eq!(status["pending"]["gates"][3]["verdict"], "hold", "{status:#}");
    assert_eq!(host.current(), Some(first.clone()));
    // The person goes back: nothing is left to be held for.
    let second = PathBuf::from(status["generation"]["toplevel"].as_str().unwrap());
    stage.switch_by_hand(&second);
    assert_eq!(stage.drift(&[], 0), Vec::<[String; 4]>::new());
    host.now(0);
    assert_eq!(host.motd(), "third");
    // Whoever insists is not held.
    stage.switch_by_hand(&first);
    fleet.motd("cinnabar", "fourth");
    fleet.publish("a fourth motd");
    host.now(10);
    host.run(&["now", "--force"]).ended(0);
    assert_eq!(host.motd(), "fourth");
}

#[test]
fn a_leaf_of_etc_that_is_gone_comes_back() {
    let (stage, _) = Stage::settled("");
    let motd = stage.host.path("etc/motd");
    std::fs::remove_file(&motd).unwrap();
    let expected = ["etc", "/etc/motd", "nothing", "displaced"].map(str::to_owned);
    assert_eq!(stage.drift(&[], 18), [expected]);
    assert!(!motd.exists());
    assert_eq!(stage.drift(&["--correct"], 0), Vec::<[String; 4]>::new());
    assert_eq!(stage.host.motd(), "second");
}

#[test]
fn the_agent_puts_right_what_its_policy_says() {
    let (stage, _) = Stage::settled("drift = \"correct\"\ndrift_interval = \"1s\"\n");
    let agent = stage.host.agent();
    std::fs::remove_file(stage.host.path("etc/motd")).unwrap();
    agent.until("the leaf is back", || stage.host.path("etc/motd").exists());
    agent.until("that is recorded", || {
        stage.host.history()[0]["outcome"] == "corrected"
    });
    // What resists is not tried for ever: a file that the activation leaves alone.
    std::fs::remove_file(stage.host.path("etc/motd")).unwrap();
    reconciler_tests::write(&stage.host.path("etc/motd"), "mine");
    looked_again(&agent, &stage.host);
    looked_again(&agent, &stage.host);
    let before = stage.host.activations().len();
    looked_again(&agent, &stage.host);
    looked_again(&agent, &stage.host);
    assert_eq!(stage.host.activations().len(), before);
    assert_eq!(
        std::fs::read_to_string(stage.host.path("etc/motd")).unwrap(),
        "mine"
    );
    assert_eq!(agent.terminate(), Some(0));
}

/// Waits until the agent has looked at the drifted host once more.
fn looked_again(agent: &Agent, host: &Host) {
    let looks =
        |host: &Host| agent.log().matches("drifted from generation").count() + host.activations().len();
    let before = looks(host);
    agent.until("the agent looks again", || looks(host) > before);
}

#[test]
fn an_override_of_a_unit_is_named_with_what_takes_it_away() {
    let (stage, _) = Stage::settled("");
    stage.host.write(
        "run/systemd/system/sshd.service.d/override.conf",
        "[Service]\nRestart=no\n",
        0o644,
    );
    let expected = [
        "unit",
        "sshd.service",
        "a drop-in in /run/systemd/system",
        "person",
    ];
    assert_eq!(stage.drift(&[], 18), [expected.map(str::to_owned)]);
    stage
        .host
        .run(&["drift"])
        .ended(18)
        .says("systemctl revert sshd.service");
}

#[test]
fn a_secret_that_was_edited_is_seen_and_installed_anew() {
    if !is_root() {
        eprintln!("only root can write what only root may read");
        return;
    }
    let (store, fleet) = (Store::new(), Fleet::new());
    fleet.declare(
        "cinnabar",
        &Entry::nixos().generators("{ web.files = { token = { }; other = { }; }; }"),
    );
    let token = Var::per_machine("cinnabar", "web", "token");
    let other = Var::per_machine("cinnabar", "web", "other");
    token.encrypt(&fleet, "a token of forty letters", &["cinnabar"]);
    other.encrypt(&fleet, "another", &["cinnabar"]);
    fleet.publish("the first commit");
    let host = Host::new(&store, &fleet, "cinnabar");
    host.now(0);
    assert_eq!(drift(&host, &[], 0), Vec::<[String; 4]>::new());
    let file = host.path("run/secrets").join(token.installed());
    reconciler_tests::write(&file, "a token of somebody else");
    std::fs::remove_file(host.path("run/secrets").join(other.installed())).unwrap();
    let found = drift(&host, &[], 18);
    let told: Vec<_> = found
        .iter()
        .map(|item| (item[2].as_str(), item[3].as_str()))
        .collect();
    assert_eq!(
        told,
        [("nothing", "displaced"), ("other content", "person")],
        "{found:?}"
    );
    assert!(found[1][1].ends_with(token.installed()), "{found:?}");
    host.run(&["drift"]).ended(18).never_says("a token of");
    assert_eq!(drift(&host, &["--correct"], 0), Vec::<[String; 4]>::new());
    assert_eq!(
        host.secret(token.installed()).as_deref(),
        Some("a token of forty letters")
    );
    assert_eq!(host.secret(other.installed()).as_deref(), Some("another"));
    // Neither a value nor a plain hash of one is in the journal.
    for file in ["journal.db", "journal.db-wal"] {
        let journal = std::fs::read(host.state().join(file)).unwrap_or_default();
        let text = String::from_utf8_lossy(&journal);
        assert!(!text.contains("forty letters"));
        // The SHA-256 of the token.
        assert!(!text.contains("1c13e953573e0fbc"), "{file}");
    }
}

#[test]
fn a_store_path_that_was_tampered_with_is_found_and_repaired() {
    let (stage, _) = Stage::settled("");
    let toplevel = stage.host.current().unwrap();
    let permit = |mode| {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&toplevel, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    permit(0o755);
    reconciler_tests::write(&toplevel.join("intruder"), "here");
    permit(0o555);
    let found = stage.drift(&["--verify-store"], 18);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(
        [&found[0][0], &found[0][1], &found[0][3]],
        ["store", toplevel.to_str().unwrap(), "displaced"]
    );
    assert!(found[0][2].starts_with("sha256-"), "{found:?}");
    // What is known to be damaged is looked at each time.
    assert_eq!(stage.drift(&[], 18), found);
    assert_eq!(stage.drift(&["--correct"], 0), Vec::<[String; 4]>::new());
    assert!(!toplevel.join("intruder").exists());
    // No activation was needed for it.
    assert_eq!(stage.host.history().len(), 2);
    drop(stage.store);
}
