//! The shapes that others build on: documents, codes, commands without a pass.

use reconciler_tests::{Entry, Fleet, Host, Store, Var};
use serde_json::Value;

/// The keys of an object, sorted.
fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

#[test]
fn status_has_its_shape_before_and_after_the_first_pass() {
    let (store, fleet) = (Store::new(), Fleet::with_machine("cinnabar"));
    let host = Host::new(&store, &fleet, "cinnabar");
    let shape = [
        "class",
        "drift",
        "failed_revert",
        "fleet",
        "generation",
        "health",
        "hold",
        "last_pass",
        "machine",
        "next_pass_at",
        "pending",
        "pin",
        "quarantine",
        "reboot",
        "staged",
        "sync",
        "version",
    ];
    let before = host.status();
    assert_eq!(keys(&before), shape);
    assert_eq!(
        (&before["version"], &before["sync"]),
        (&1.into(), &"unknown".into()),
        "{before:#}"
    );
    assert_eq!(
        (&before["generation"], &before["last_pass"]),
        (&Value::Null, &Value::Null),
        "{before:#}"
    );
    assert!(!host.state().join("journal.db").exists(), "looking makes nothing");
    host.run(&["status", "--check"]).ended(1);
    host.run(&["status"])
        .ended(0)
        .says("knows nothing of its fleet yet");

    host.now(0);
    let after = host.status();
    assert_eq!(keys(&after), shape);
    let shape = [
        "activated_at",
        "number",
        "revision",
        "secrets",
        "subject",
        "toplevel",
    ];
    assert_eq!(keys(&after["generation"]), shape);
    let shape = ["finished_at", "outcome", "phases", "reason", "started_at"];
    assert_eq!(keys(&after["last_pass"]), shape);
    assert_eq!(after["last_pass"]["outcome"], "converged");
    let time = after["generation"]["activated_at"].as_str().unwrap();
    assert!(
        time.len() >= 20 && time.ends_with('Z') && time.contains('T'),
        "{time} is no RFC 3339 time in UTC"
    );
}

#[test]
fn now_has_its_shape() {
    let (store, fleet) = (Store::new(), Fleet::with_machine("cinnabar"));
    let host = Host::new(&store, &fleet, "cinnabar");
    let shape = [
        "causes",
        "change",
        "details",
        "generation",
        "head",
        "hint",
        "outcome",
        "revision",
        "subject",
        "summary",
        "took_ms",
    ];
    assert_eq!(keys(&host.now(0)), shape);
    fleet.declare("cinnabar", &Entry::nixos().toplevel("throw \"no\""));
    fleet.publish("a bad commit");
    assert_eq!(keys(&host.now(13)), shape);
}

#[test]
fn the_whole_way_is_told_in_order() {
    let (store, fleet) = (Store::new(), Fleet::with_machine("cinnabar"));
    Var::per_machine("cinnabar", "web", "token").encrypt(&fleet, "value-one", &["cinnabar"]);
    fleet.publish("add the token");
    let host = Host::new(&store, &fleet, "cinnabar");
    host.now(0);
    let phases = host.status()["last_pass"]["phases"].clone();
    let names: Vec<&str> = phases
        .as_array()
        .unwrap()
        .iter()
        .map(|phase| phase["name"].as_str().unwrap())
        .collect();
    let way = [
        "fetch",
        "verify",
        "evaluate",
        "preflight",
        "build",
        "gates",
        "stage",
        "activate",
        "probe",
        "commit",
    ];
    assert_eq!(names, way);
}

#[test]
fn history_before_the_first_pass() {
    let (store, fleet) = (Store::new(), Fleet::with_machine("cinnabar"));
    let host = Host::new(&store, &fleet, "cinnabar");
    host.run(&["history"]).ended(2).says("hint:");
    host.run(&["unpin"]).ended(2);
}

#[test]
fn a_fleet_in_a_folder_of_its_repository() {
    let (store, fleet) = (Store::new(), Fleet::new());
    fleet.declare("cinnabar", &Entry::nixos());
    fleet.motd("cinnabar", "from below");
    Var::per_machine("cinnabar", "web", "token").encrypt(&fleet, "value-one", &["cinnabar"]);
    fleet.commit("at the root");
    std::fs::create_dir(fleet.work().join("infra")).unwrap();
    fleet.git(&[
        "mv",
        "flake.nix",
        "toplevel.nix",
        "toplevels",
        "machines",
        "vars",
        "sops",
        "infra/",
    ]);
    fleet.publish("below");
    let mut host = Host::new(&store, &fleet, "cinnabar");
    host.set("fleet.directory", "\"infra\"");
    host.now(0);
    assert_eq!(host.motd(), "from below");
    assert_eq!(
        host.secret("vars/per-machine/cinnabar/web/token").as_deref(),
        Some("value-one")
    );
}

#[test]
fn init_writes_what_now_reads() {
    let fleet = Fleet::with_machine("cinnabar");
    let (store, file) = (Store::new(), "etc/reconciler/fresh.toml");
    let host = Host::new(&store, &fleet, "cinnabar");
    let path = host.path(file);
    let path = path.to_str().unwrap();
    let head = fleet.head();
    let init = ["--config", path, "init", &fleet.url(), "--machine", "cinnabar"];
    host.run(&init)
        .ended(0)
        .says("cinnabar follows main")
        .says(&head[..8]);
    let written = std::fs::read_to_string(path).unwrap();
    host.run(&init).ended(2).says("is there already").says("--force");
    assert_eq!(std::fs::read_to_string(path).unwrap(), written);
    assert!(
        written.contains("machine = \"cinnabar\"") && written.contains(&fleet.url()),
        "{written}"
    );
    let nowhere = ["--config", path, "init", "file:///nowhere/infra.git", "--force"];
    host.run(&nowhere).ended(12);
}

#[test]
fn the_wrong_words() {
    let (store, fleet) = (Store::new(), Fleet::with_machine("cinnabar"));
    let host = Host::new(&store, &fleet, "cinnabar");
    host.run(&["rolback"]).ended(2).says("'rollback'");
    host.run(&["now", "--revison", "x"]).ended(2).says("--revision");
    host.run(&["--help"]).ended(0).says("rollback");
}
