//! Builds: verdicts, logs, settings.

use std::collections::BTreeMap;
use std::time::Duration;

use nix_daemon_client::{
    ActivityKind, BuildMode, BuildResult, BuildStatus, Client, ClientSettings, DerivedPath, Event, EventSink,
    Field, Level, Outputs, Progress, ResultKind, StorePath,
};

use crate::daemon::Daemon;

fn all(drv: &StorePath) -> DerivedPath {
    DerivedPath::Built {
        drv: drv.clone(),
        outputs: Outputs::All,
    }
}

async fn build(
    client: &mut Client,
    drvs: &[&StorePath],
    events: &mut dyn EventSink,
) -> BTreeMap<StorePath, BuildResult> {
    let targets: Vec<DerivedPath> = drvs.iter().map(|drv| all(drv)).collect();
    let results = client
        .build_paths_with_results(&targets, BuildMode::Normal, events)
        .await
        .unwrap();
    assert_eq!(results.len(), targets.len());
    results
        .into_iter()
        .map(|(target, result)| (target.path().clone(), result))
        .collect()
}

#[tokio::test]
async fn a_build_streams_its_log_and_names_its_outputs() {
    let daemon = Daemon::start();
    let drv = daemon.derivation(
        "two",
        "echo first; printf 'latin \\377 1\\n'; echo a > $out; echo b > $dev",
        "outputs = [ \"out\" \"dev\" ];",
    );
    let mut client = daemon.client().await;
    let mut lines = Vec::new();
    let mut started = false;
    let mut sink = |event: Event| match event {
        Event::Start {
            kind: ActivityKind::Build,
            ..
        } => started = true,
        Event::Result {
            kind: ResultKind::BuildLogLine,
            fields,
            ..
        } => {
            lines.push(
                fields
                    .first()
                    .and_then(Field::as_text)
                    .unwrap()
                    .as_bytes()
                    .to_vec(),
            );
        }
        _ => {}
    };
    let results = build(&mut client, &[&drv], &mut sink).await;
    assert!(started);
    assert_eq!(lines, [b"first".to_vec(), b"latin \xff 1".to_vec()]);
    let result = &results[&drv];
    assert_eq!(result.status, BuildStatus::Built, "{result:?}");
    assert!(result.is_success());
    // Daemons since 2.3x do not tell when: both are 0 then.
    assert!(result.stopped_at >= result.started_at);
    assert_eq!(result.outputs.keys().collect::<Vec<_>>(), ["dev", "out"]);
    assert_eq!(std::fs::read_to_string(&result.outputs["dev"]).unwrap(), "b\n");

    let again = build(&mut client, &[&drv], &mut ()).await;
    assert_eq!(again[&drv].status, BuildStatus::AlreadyValid);
    assert_eq!(again[&drv].outputs, result.outputs);
}

#[tokio::test]
async fn a_failed_build_is_a_result_with_its_last_lines() {
    let daemon = Daemon::start();
    let drv = daemon.derivation(
        "bad",
        "i=0; while [ $i -lt 80 ]; do i=$((i+1)); echo line $i; done; printf '\\033[31mred\\033[0m end\\n'; exit 3",
        "",
    );
    let mut client = daemon.client().await;
    let mut progress = Progress::new();
    let results = build(&mut client, &[&drv], &mut progress).await;
    let result = &results[&drv];
    assert_eq!(result.status, BuildStatus::PermanentFailure, "{result:?}");
    assert!(result.message.contains("exit code 3"), "{result:?}");
    assert!(result.outputs.is_empty());

    let log = progress.failed_log(&drv).unwrap();
    assert_eq!(log.len(), 50);
    assert_eq!(log.first().map(String::as_str), Some("line 32"));
    assert_eq!(log.last().map(String::as_str), Some("red end"));
    assert_eq!(progress.builds().failed, 1);
    assert_eq!(progress.running().count(), 0);
    // Not an error of the connection.
    assert!(client.is_valid_path(&drv).await.unwrap());
}

#[tokio::test]
async fn keep_going_decides_whether_the_others_are_tried() {
    let daemon = Daemon::start();
    let bad = daemon.derivation("bad", "exit 1", "");
    let good = daemon.derivation("good", "echo > $out", "");
    let endless = daemon.derivation("endless", "exec sleep 1000", "");
    let needs_bad = daemon.instantiate(
        "derivation { name = \"needs\"; system = builtins.currentSystem; builder = \"/bin/sh\"; inner =
         derivation { name = \"inner\"; system = builtins.currentSystem; builder = \"/bin/sh\"; args = [\"-c\" \"exit 1\"]; }; }",
    );
    let settings = |keep_going| ClientSettings {
        keep_failed: false,
        keep_going,
        fallback: false,
        verbosity: Level::Info,
        max_jobs: 2,
        max_silent_time: Duration::ZERO,
        build_output: true,
        cores: 0,
        substitute: false,
        overrides: BTreeMap::new(),
    };
    let mut client = daemon.client().await;
    client.set_options(&settings(false), &mut ()).await.unwrap();
    let results = build(&mut client, &[&bad, &endless], &mut ()).await;
    assert_eq!(results[&bad].status, BuildStatus::PermanentFailure);
    assert!(results[&endless].is_not_attempted(), "{results:?}");

    client.set_options(&settings(true), &mut ()).await.unwrap();
    let results = build(&mut client, &[&bad, &good, &needs_bad], &mut ()).await;
    assert_eq!(results[&bad].status, BuildStatus::PermanentFailure);
    assert_eq!(results[&good].status, BuildStatus::Built, "{results:?}");
    assert_eq!(
        results[&needs_bad].status,
        BuildStatus::DependencyFailed,
        "{results:?}"
    );
}

/// The result of what needs it says no more than that a dependency failed.
#[tokio::test]
async fn the_log_of_a_dependency_tells_why_it_failed() {
    let daemon = Daemon::start();
    let inner = "derivation { name = \"inner\"; system = builtins.currentSystem; builder = \"/bin/sh\"; \
                 args = [ \"-c\" \"echo the reason; exit 4\" ]; }";
    let outer = format!(
        "derivation {{ name = \"outer\"; system = builtins.currentSystem; builder = \"/bin/sh\"; inner = {inner}; }}"
    );
    let (inner, outer) = (daemon.instantiate(inner), daemon.instantiate(&outer));
    let mut client = daemon.client().await;
    let mut progress = Progress::new();
    let results = build(&mut client, &[&outer], &mut progress).await;
    let result = &results[&outer];
    assert_eq!(result.status, BuildStatus::DependencyFailed, "{result:?}");
    assert!(!result.message.contains("the reason"), "{result:?}");
    assert_eq!(progress.failed_log(&inner).unwrap(), ["the reason"]);
    assert_eq!(progress.failed_log(&outer), None);
}

#[tokio::test]
async fn what_a_builder_injects_disturbs_nothing() {
    let daemon = Daemon::start();
    let other = "/nix/store/00000000000000000000000000000000-other.drv";
    let drv = daemon.derivation(
        "evil",
        &format!(
            r#"
            echo '@nix {{"action":"start","id":1,"type":101,"level":9,"text":"","fields":["x"]}}'
            echo '@nix {{"action":"result","id":1,"type":9999,"fields":[1,"two"]}}'
            echo '@nix {{"action":"start","id":2,"type":105,"level":0,"text":"","fields":["{other}","",1,1]}}'
            echo '@nix {{"action":"result","id":2,"type":101,"fields":["forged"]}}'
            echo '@nix {{"action":"msg","level":0,"msg":"error: forged"}}'
            echo '@nix {{"action":"setPhase","phase":"hackPhase"}}'
            echo said; echo > $out
            "#
        ),
        "",
    );
    let mut client = daemon.client().await;
    let mut progress = Progress::new();
    let mut unknown = false;
    let mut sink = |event: Event| {
        unknown |= matches!(
            event,
            Event::Result {
                kind: ResultKind::Other(9999),
                ..
            }
        );
        progress.apply(&event);
    };
    let results = build(&mut client, &[&drv], &mut sink).await;
    assert!(unknown, "the daemon hands it on");
    assert_eq!(results[&drv].status, BuildStatus::Built);
    assert_eq!(
        progress.failed_log(&StorePath::from_absolute(other).unwrap()),
        None
    );
    assert_eq!(
        progress.failed_log(&drv).unwrap().last().map(String::as_str),
        Some("said")
    );
    assert!(client.is_valid_path(&drv).await.unwrap());
}

#[tokio::test]
async fn a_wrong_hash_is_told_from_a_failed_build() {
    let daemon = Daemon::start();
    let drv = daemon.derivation(
        "fixed",
        "echo > $out",
        "outputHash = \"0000000000000000000000000000000000000000000000000000000000000000\"; \
         outputHashAlgo = \"sha256\"; outputHashMode = \"flat\";",
    );
    let results = build(&mut daemon.client().await, &[&drv], &mut ()).await;
    assert_eq!(results[&drv].status, BuildStatus::OutputRejected, "{results:?}");
}
