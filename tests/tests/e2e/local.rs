//! What is wrong on the machine itself: configuration, journal, disk, lock.

use crate::refusal::{Stage, refusal};
use reconciler_tests::{eventually, is_root};
use std::io::{Seek, SeekFrom, Write};

#[test]
fn a_configuration_with_a_key_that_nobody_knows() {
    let mut stage = Stage::new();
    stage.host.set("fleet.brnach", "\"main\"");
    let before = stage.host.picture(&stage.store);
    let file = stage.host.config();
    for command in ["now", "status", "agent"] {
        let says = [
            file.to_str().unwrap(),
            "line 1",
            "fleet.brnach",
            "did you mean `branch`?",
        ];
        refusal(stage.host.run(&[command]), 2, &says, None);
    }
    assert_eq!(stage.host.picture(&stage.store), before);
}

#[test]
fn no_configuration() {
    let stage = Stage::new();
    let output = stage.host.run(&["--config", "/nowhere/config.toml", "now"]);
    refusal(output, 2, &["/nowhere/config.toml"], Some("reconcile init"));
}

#[test]
fn a_journal_of_a_newer_agent() {
    let stage = Stage::new();
    let mut file = std::fs::File::options()
        .write(true)
        .open(stage.host.state().join("journal.db"))
        .unwrap();
    // The user version in SQLite's header: https://www.sqlite.org/fileformat.html#user_version_number
    file.seek(SeekFrom::Start(60)).unwrap();
    file.write_all(&99_u32.to_be_bytes()).unwrap();
    let before = stage.host.picture(&stage.store);
    for command in ["now", "status", "history", "rollback", "agent"] {
        refusal(
            stage.host.run(&[command]),
            2,
            &["has format 99"],
            Some("a newer agent wrote it"),
        );
    }
    assert_eq!(stage.host.picture(&stage.store), before);
}

#[test]
fn a_full_disk() {
    if !is_root() {
        eprintln!("only root can mount a small file system");
        return;
    }
    let stage = Stage::new();
    stage.fleet.motd("cinnabar", "second");
    stage.fleet.publish("change the motd");
    let before = stage.host.picture(&stage.store);
    let mount = "mkdir \"$1/small\" && mount -t tmpfs -o size=8m small \"$1/small\" && \
                 cp -a \"$1/var/lib/reconciler/.\" \"$1/small\" && { cat /dev/zero >\"$1/small/fill\" 2>/dev/null; true; } && \
                 mount --bind \"$1/small\" \"$1/var/lib/reconciler\"";
    let output = stage.host.run_unshared(mount, &["now"]);
    refusal(output, 1, &["No space left on device"], Some("free some space"));
    assert_eq!(stage.host.picture(&stage.store), before);
    // With space again all is well.
    stage.host.now(0);
    assert_eq!(stage.host.motd(), "second");
}

#[test]
fn a_second_agent() {
    let stage = Stage::new();
    let agent = stage.host.agent();
    agent.until("the first one answers", || {
        stage.host.path("run/reconciler/control.sock").exists()
    });
    refusal(
        stage.host.run(&["agent"]),
        75,
        &["another agent or pass is running here"],
        Some("reconcile status"),
    );
    stage.host.now(0);
    assert_eq!(agent.terminate(), Some(0));
}

#[test]
fn a_second_pass() {
    let stage = Stage::new();
    let waiting = "touch \"$RECONCILER_ROOT/waiting\"; while [ -e \"$RECONCILER_ROOT/waiting\" ] && [ ! -e \"$RECONCILER_ROOT/go\" ]; do sleep 0.02; done\n";
    stage.fleet.motd("cinnabar", "second");
    stage.fleet.fault("cinnabar", "hook", waiting);
    stage.fleet.publish("a commit that takes its time");
    std::thread::scope(|scope| {
        let first = scope.spawn(|| stage.host.run(&["now"]));
        eventually("the first one activates", || stage.host.path("waiting").exists());
        let second = stage.host.run(&["now"]);
        std::fs::File::create_new(stage.host.path("go")).unwrap();
        first.join().unwrap().ended(0);
        refusal(
            second,
            75,
            &["another agent or pass is running here"],
            Some("reconcile status"),
        );
    });
    assert_eq!(stage.host.motd(), "second");
    assert_eq!(stage.host.history().len(), 2);
}

#[test]
fn a_journal_that_is_none() {
    let stage = Stage::new();
    let journal = stage.host.state().join("journal.db");
    let mut file = std::fs::File::options()
        .write(true)
        .truncate(true)
        .open(&journal)
        .unwrap();
    file.write_all(&b"this is no database, and never was one\n".repeat(1000))
        .unwrap();
    let before = stage.host.picture(&stage.store);
    for command in ["now", "rollback", "agent"] {
        let output = stage.host.run(&[command]).ended(1).never_says("panicked");
        output.says(journal.to_str().unwrap()).says("not a database");
    }
    assert_eq!(stage.host.picture(&stage.store), before);
}
