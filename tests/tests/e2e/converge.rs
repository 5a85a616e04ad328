//! A push is a deployment, and what is no change changes nothing.

use reconciler_tests::{Agent, Entry, Fleet, Host, Store, Var};
use serde_json::Value;
use std::path::PathBuf;

#[test]
fn the_first_pass_takes_a_machine_to_its_toplevel() {
    let (store, fleet) = (Store::new(), Fleet::with_machine("cinnabar"));
    let host = Host::new(&store, &fleet, "cinnabar");
    let ended = host.now(0);
    assert_eq!(ended["outcome"], "converged", "{ended:#}");
    assert_eq!(ended["revision"], fleet.head(), "{ended:#}");
    assert_eq!(ended["subject"], "the first commit", "{ended:#}");
    assert_eq!(ended["generation"], 1, "{ended:#}");

    let status = host.status();
    let toplevel = PathBuf::from(status["generation"]["toplevel"].as_str().unwrap());
    assert_eq!(host.motd(), "first");
    assert_eq!(host.current(), Some(toplevel.clone()));
    assert_eq!(store.profile("system"), Some(toplevel.clone()));
    assert_eq!(
        host.boot_default(),
        Some(("nixos-generation-1.conf".to_owned(), toplevel.clone()))
    );
    assert_eq!(host.activations(), [toplevel]);
    assert_eq!(
        (&status["sync"], &status["health"]),
        (&"synced".into(), &"healthy".into()),
        "{status:#}"
    );
    assert_eq!(status["drift"], Value::Array(Vec::new()), "{status:#}");
    assert_eq!(host.history().len(), 1);
}

#[test]
fn a_push_is_a_deployment() {
    let (store, fleet) = (Store::new(), Fleet::with_machine("cinnabar"));
    let host = Host::new(&store, &fleet, "cinnabar");
    let agent = host.agent();
    synced(&agent, &host, &fleet.head());
    let first = host.current();

    fleet.motd("cinnabar", "second");
    let second = fleet.publish("change the motd");
    synced(&agent, &host, &second);
    assert_eq!(host.motd(), "second");
    assert_ne!(host.current(), first);
    assert_eq!(host.activations().len(), 2);
    assert_eq!(store.profile_generations("system"), 2);
    let history = host.history();
    assert_eq!(history[0]["revision"], second, "{history:#?}");
    assert_eq!(
        (&history[0]["generation"], &history[0]["current"]),
        (&2.into(), &true.into()),
        "{history:#?}"
    );
    assert_eq!(history[1]["generation"], 1, "{history:#?}");
    assert_eq!(agent.terminate(), Some(0));
}

#[test]
fn another_machines_change_is_none() {
    let (store, fleet) = (Store::new(), Fleet::with_machine("cinnabar"));
    fleet.declare("electrum", &Entry::nixos());
    fleet.motd("electrum", "first");
    fleet.publish("declare electrum");
    let host = Host::new(&store, &fleet, "cinnabar");
    host.now(0);
    let before = host.picture(&store);
    fleet.motd("electrum", "second");
    let commit = fleet.publish("change electrum");
    let ended = host.now(0);
    assert_eq!(ended["generation"], 1, "{ended:#}");
    assert_eq!(host.picture(&store), before);
    assert_eq!(host.status()["fleet"]["head"], commit);
    assert_eq!(host.status()["sync"], "synced");
}

#[test]
fn a_commit_without_a_change_is_noted_and_not_activated() {
    let (store, fleet) = (Store::new(), Fleet::with_machine("cinnabar"));
    let host = Host::new(&store, &fleet, "cinnabar");
    host.now(0);
    let before = host.picture(&store);

    let empty = fleet.publish("an empty commit");
    let ended = host.now(0);
    assert_eq!(
        (&ended["revision"], &ended["generation"]),
        (&empty.as_str().into(), &1.into()),
        "{ended:#}"
    );
    assert_eq!(host.status()["fleet"]["head"], empty);

    fleet.write("README.md", "What this fleet is.\n");
    let docs = fleet.publish("say what this fleet is");
    let ended = host.now(0);
    assert_eq!(
        (&ended["revision"], &ended["generation"]),
        (&docs.as_str().into(), &1.into()),
        "{ended:#}"
    );

    let status = host.status();
    assert_eq!(
        (&status["fleet"]["head"], &status["sync"]),
        (&docs.as_str().into(), &"synced".into()),
        "{status:#}"
    );
    assert_eq!(host.picture(&store), before);
    assert_eq!(host.history().len(), 1);
}

#[test]
fn a_revert_in_git_is_a_rollback() {
    let (store, fleet) = (Store::new(), Fleet::with_machine("cinnabar"));
    let host = Host::new(&store, &fleet, "cinnabar");
    host.now(0);
    let first = host.current();
    fleet.motd("cinnabar", "second");
    fleet.publish("change the motd");
    host.now(0);
    assert_eq!(host.motd(), "second");
    fleet.revert();
    let ended = host.now(0);
    assert_eq!(ended["generation"], 3, "{ended:#}");
    assert_eq!(host.motd(), "first");
    assert_eq!(host.current(), first);
    assert_eq!(store.profile("system"), first);
    assert_eq!(host.boot_default().unwrap().1, first.unwrap());
}

#[test]
fn another_value_of_a_secret_is_another_generation() {
    let (store, fleet) = (Store::new(), Fleet::with_machine("cinnabar"));
    let token = Var::per_machine("cinnabar", "web", "token");
    token.encrypt(&fleet, "value-one", &["cinnabar"]);
    fleet.publish("add the token");
    let host = Host::new(&store, &fleet, "cinnabar");
    host.now(0);
    assert_eq!(host.secret(token.installed()).as_deref(), Some("value-one"));
    let first = host.current();

    token.encrypt(&fleet, "value-two", &["cinnabar"]);
    fleet.publish("change the token");
    let ended = host.now(0);
    assert_eq!(ended["generation"], 2, "{ended:#}");
    assert_eq!(host.secret(token.installed()).as_deref(), Some("value-two"));
    assert_eq!(host.current(), first);
    assert_eq!(host.status()["generation"]["secrets"], 2);
}

#[test]
fn the_same_value_sealed_anew_is_no_change() {
    let (store, fleet) = (Store::new(), Fleet::with_machine("cinnabar"));
    let token = Var::per_machine("cinnabar", "web", "token");
    token.encrypt(&fleet, "value-one", &["cinnabar"]);
    fleet.publish("add the token");
    let host = Host::new(&store, &fleet, "cinnabar");
    host.now(0);
    let before = host.picture(&store);
    token.encrypt(&fleet, "value-one", &["cinnabar", "electrum"]);
    fleet.publish("let electrum read it, too");
    let ended = host.now(0);
    assert_eq!(ended["generation"], 1, "{ended:#}");
    assert_eq!(host.picture(&store), before);
}

#[test]
fn what_runs_already_is_adopted() {
    let (store, fleet) = (Store::new(), Fleet::with_machine("cinnabar"));
    let host = Host::new(&store, &fleet, "cinnabar");
    host.now(0);
    // A new agent on a host that somebody installed before.
    std::fs::remove_dir_all(host.state()).unwrap();
    let before = host.picture(&store);
    let ended = host.now(0);
    assert_eq!(ended["generation"], 1, "{ended:#}");
    assert_eq!(host.picture(&store), before);
    let history = host.history();
    assert_eq!(history[0]["outcome"], "adopted", "{history:#?}");

    // It is a generation like any other.
    fleet.motd("cinnabar", "second");
    fleet.publish("change the motd");
    host.now(0);
    host.run(&["rollback"]).ended(0);
    assert_eq!(host.motd(), "first");
}

#[test]
fn a_custom_toplevel_is_activated_by_its_own_script() {
    let (store, fleet) = (Store::new(), Fleet::new());
    let script = |text: &str| {
        Entry::custom(&format!(
            "#!/bin/sh\nset -eu\necho \"$PROFILE\" >>\"$RECONCILER_ROOT/activations\"\nmkdir -p \"$RECONCILER_ROOT/etc\"\n\
             printf {text} >\"$RECONCILER_ROOT/etc/motd\"\n"
        ))
    };
    fleet.declare("galena", &script("first"));
    fleet.publish("the first commit");
    let host = Host::new(&store, &fleet, "galena");
    host.now(0);
    assert_eq!(host.motd(), "first");
    fleet.declare("galena", &script("second"));
    fleet.publish("the second commit");
    host.now(0);
    assert_eq!(host.motd(), "second");
    assert_eq!(store.profile("reconciler").as_ref(), host.activations().last());
    host.run(&["rollback"]).ended(0);
    assert_eq!(host.motd(), "first");
    assert_eq!(store.profile("reconciler").as_ref(), host.activations().last());
}

#[test]
fn polls_without_a_change_cost_nothing() {
    let (store, fleet) = (Store::new(), Fleet::with_machine("cinnabar"));
    let host = Host::new(&store, &fleet, "cinnabar");
    let agent = host.agent();
    synced(&agent, &host, &fleet.head());
    // The first look for drift is due now, and leaves what it saw; the next one is in an hour.
    host.run(&["drift"]).ended(0);
    let picture = host.picture(&store);
    let uses = host.nix_uses();
    let last_pass = host.status()["last_pass"].clone();
    let size = journal_size(&host);
    let mut polls = vec![host.status()["fleet"]["checked_at"].clone()];
    agent.until("it polls three times", || {
        let checked = host.status()["fleet"]["checked_at"].clone();
        if polls.last() != Some(&checked) {
            polls.push(checked);
        }
        polls.len() > 3
    });
    assert_eq!(host.nix_uses(), uses);
    assert_eq!(host.picture(&store), picture);
    assert_eq!(host.status()["last_pass"], last_pass);
    assert_eq!(journal_size(&host), size);
    assert_eq!(agent.terminate(), Some(0));
}

#[test]
fn now_is_made_by_the_running_agent() {
    let (store, fleet) = (Store::new(), Fleet::with_machine("cinnabar"));
    let mut host = Host::new(&store, &fleet, "cinnabar");
    // It would not look by itself within this test.
    host.set("fleet.poll", "\"1h\"");
    let agent = host.agent();
    synced(&agent, &host, &fleet.head());
    fleet.motd("cinnabar", "second");
    let second = fleet.publish("change the motd");
    let ended = host.now(0);
    assert_eq!(ended["revision"], second, "{ended:#}");
    assert_eq!(host.motd(), "second");
    assert_eq!(agent.terminate(), Some(0));
}

#[test]
fn status_tells_the_truth_after_the_agent_is_gone() {
    let (store, fleet) = (Store::new(), Fleet::with_machine("cinnabar"));
    let host = Host::new(&store, &fleet, "cinnabar");
    let agent = host.agent();
    synced(&agent, &host, &fleet.head());
    agent.kill();
    fleet.motd("cinnabar", "second");
    let second = fleet.publish("change the motd");
    host.now(0);
    let status = host.status();
    assert_eq!(
        (&status["fleet"]["head"], &status["sync"]),
        (&second.into(), &"synced".into()),
        "{status:#}"
    );
    assert_eq!(status["next_pass_at"], Value::Null, "nobody polls\n{status:#}");
}

#[test]
fn a_dry_run_touches_nothing() {
    let (store, fleet) = (Store::new(), Fleet::with_machine("cinnabar"));
    let token = Var::per_machine("cinnabar", "web", "token");
    let host = Host::new(&store, &fleet, "cinnabar");
    host.now(0);
    let before = host.picture(&store);
    fleet.motd("cinnabar", "second");
    token.encrypt(&fleet, "value-one", &["cinnabar"]);
    fleet.publish("change the motd");
    host.run(&["now", "--dry-run", "--json"])
        .ended(0)
        .says("nothing was touched");
    assert_eq!(host.picture(&store), before);
    assert_eq!(host.secret(token.installed()), None);
    assert_eq!(host.status()["sync"], "behind");
}

#[test]
fn somebody_elses_switch_is_seen_and_not_fought() {
    let (store, fleet) = (Store::new(), Fleet::with_machine("cinnabar"));
    let host = Host::new(&store, &fleet, "cinnabar");
    host.now(0);
    let first = host.current().unwrap();
    fleet.motd("cinnabar", "second");
    fleet.publish("change the motd");
    host.now(0);
    let second = host.current().unwrap();
    // As a person would with `nixos-rebuild test`.
    std::fs::remove_file(host.path("run/current-system")).unwrap();
    std::os::unix::fs::symlink(&first, host.path("run/current-system")).unwrap();
    let status = host.status();
    assert_eq!(
        status["drift"][0]["expected"],
        second.to_str().unwrap(),
        "{status:#}"
    );
    assert_eq!(
        status["drift"][0]["actual"],
        first.to_str().unwrap(),
        "{status:#}"
    );
    host.run(&["status", "--check"]).ended(18);
    host.now(0);
    assert_eq!(host.current(), Some(first));
    host.run(&["now", "--force"]).ended(0);
    assert_eq!(host.current(), Some(second));
    host.run(&["status", "--check"]).ended(0);
}

/// Waits until the agent has taken the host to a commit.
#[track_caller]
fn synced(agent: &Agent, host: &Host, commit: &str) {
    agent.until("the host is synced", || {
        let output = host.run(&["status", "--json"]);
        output.code == Some(0) && {
            let status = output.json();
            status["fleet"]["head"] == commit && status["sync"] == "synced"
        }
    });
}

fn journal_size(host: &Host) -> u64 {
    ["journal.db", "journal.db-wal"]
        .iter()
        .filter_map(|file| std::fs::metadata(host.state().join(file)).ok())
        .map(|file| file.len())
        .sum()
}
