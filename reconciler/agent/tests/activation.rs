//! Activations under the detached runner: the real binary, real scripts, real processes.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "tests"
)]

use camino::{Utf8Path, Utf8PathBuf};
use reconciler::activation::{End, LaunchError, Launcher};
use reconciler::class::Invocation;
use reconciler::host::Supervisor;
use reconciler::process::Exit;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use unix::sys::signal::Signal;
use unix::unistd::{Pid, getpgid, getsid};

/// Long beside anything a test does; only one that fails waits for it.
const PATIENCE: Duration = Duration::from_secs(60);

struct Scene {
    _keep: tempfile::TempDir,
    folder: Utf8PathBuf,
    launcher: Launcher,
}

fn scene() -> Scene {
    let keep = tempfile::tempdir().unwrap();
    let folder = Utf8PathBuf::from_path_buf(keep.path().to_owned()).unwrap();
    Scene {
        _keep: keep,
        folder,
        launcher: Launcher {
            supervisor: Supervisor::Detached,
            folders: vec![PathBuf::from("/usr/bin"), PathBuf::from("/bin")],
            binary: PathBuf::from(env!("CARGO_BIN_EXE_reconcile")),
            boot_id: "this-boot".to_owned(),
            environment: vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())],
            limit: PATIENCE,
        },
    }
}

impl Scene {
    async fn run(&self, script: &str) -> Result<End, LaunchError> {
        let invocation = Invocation {
            program: "/bin/sh".into(),
            arguments: vec!["-c".to_owned(), script.to_owned()],
            environment: vec![("GREETING".to_owned(), "hello".to_owned())],
            unit: "unused.service".to_owned(),
        };
        self.launcher.run(&self.steps(), "activate", &invocation).await
    }

    fn steps(&self) -> Utf8PathBuf {
        self.folder.join("steps")
    }

    fn log(&self) -> String {
        Launcher::log(&self.steps(), "activate")
    }

    fn file(&self, name: &str) -> Utf8PathBuf {
        self.folder.join(name)
    }

    /// A script that leaves its process ids and waits for ever, with a child that does, too.
    fn waiting(&self) -> String {
        let pids = self.file("pids");
        format!("sleep 1000 & echo $$ $! >{pids}.new; mv {pids}.new {pids}; wait")
    }

    async fn pids(&self) -> Vec<i32> {
        let read = || fs::read_to_string(self.file("pids")).ok();
        until(|| read().is_some()).await;
        read()
            .unwrap()
            .split_whitespace()
            .map(|pid| pid.parse().unwrap())
            .collect()
    }
}

async fn until(mut held: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !held() {
        assert!(Instant::now() < deadline, "waited in vain");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The process group and the session of a process.
fn group_and_session(pid: i32) -> (i32, i32) {
    let pid = Some(Pid::from_raw(pid));
    (getpgid(pid).unwrap().as_raw(), getsid(pid).unwrap().as_raw())
}

/// Whether a process runs. One that is dead may stay in the table, if nobody waits for it.
fn runs(pid: i32) -> bool {
    let shown = std::process::Command::new("ps")
        .args(["-o", "stat=", "-p", &pid.to_string()])
        .output()
        .unwrap();
    let state = String::from_utf8(shown.stdout).unwrap();
    !matches!(state.trim().chars().next(), None | Some('Z'))
}

fn runner_of(marker: &Utf8Path) -> i32 {
    let text = fs::read_to_string(marker).unwrap();
    let pid = text.lines().find_map(|line| line.strip_prefix("pid ")).unwrap();
    pid.parse().unwrap()
}

fn kill(pid: i32) {
    unix::sys::signal::kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
}

#[tokio::test]
async fn it_runs_to_its_end_and_says_how_it_ended() {
    for (script, exit) in [
        ("exit 0", Exit::Code(0)),
        ("exit 4", Exit::Code(4)),
        ("kill -TERM $$", Exit::Signal(15)),
    ] {
        let scene = scene();
        let script = format!("echo $GREETING; echo oops >&2; {script}");
        assert_eq!(scene.run(&script).await.unwrap(), End::Exited(exit));
        assert_eq!(scene.log(), "hello\noops\n");
    }
}

#[tokio::test]
async fn a_step_that_ran_in_this_boot_is_not_run_again() {
    let scene = scene();
    let script = format!("echo once; echo x >>{}; exit 3", scene.file("runs"));
    for _ in 0..2 {
        assert_eq!(scene.run(&script).await.unwrap(), End::Exited(Exit::Code(3)));
    }
    assert_eq!(fs::read_to_string(scene.file("runs")).unwrap(), "x\n");
    assert_eq!(scene.log(), "once\n");
}

#[tokio::test]
async fn what_another_boot_left_says_nothing() {
    let mut scene = scene();
    scene
        .run("echo Failed to run activate script; exit 2")
        .await
        .unwrap();
    scene.launcher.boot_id = "the-next-boot".to_owned();
    assert_eq!(scene.run("echo fine").await.unwrap(), End::Exited(Exit::Code(0)));
    assert_eq!(scene.log(), "fine\n");
}

#[tokio::test]
async fn it_leads_a_session_of_its_own() {
    let scene = scene();
    let script = scene.waiting();
    let (end, ()) = tokio::join!(scene.run(&script), async {
        let pids = scene.pids().await;
        let runner = runner_of(&scene.steps().join("activate.started"));
        for pid in [runner, pids[0], pids[1]] {
            assert_eq!(group_and_session(pid), (runner, runner));
        }
        kill(pids[1]);
    });
    assert_eq!(end.unwrap(), End::Exited(Exit::Code(0)));
}

#[tokio::test]
async fn a_runner_that_was_killed_is_lost() {
    let scene = scene();
    let script = scene.waiting();
    let (end, pids) = tokio::join!(scene.run(&script), async {
        let pids = scene.pids().await;
        kill(runner_of(&scene.steps().join("activate.started")));
        pids
    });
    assert_eq!(end.unwrap(), End::Lost);
    assert_eq!(
        scene.run(&script).await.unwrap(),
        End::Lost,
        "it is not run again"
    );
    for pid in pids {
        kill(pid);
    }
}

#[tokio::test]
async fn at_its_limit_it_is_killed_whole() {
    let mut scene = scene();
    scene.launcher.limit = Duration::from_secs(2);
    let script = scene.waiting();
    assert_eq!(
        scene.run(&script).await.unwrap(),
        End::TimedOut(Duration::from_secs(2))
    );
    for pid in scene.pids().await {
        until(|| !runs(pid)).await;
    }
}

#[tokio::test]
async fn another_agent_finds_it_and_waits_for_it() {
    let scene = scene();
    let gate = scene.file("gate");
    let entered = scene.file("entered");
    let script = format!("echo x >>{entered}; until [ -e {gate} ]; do sleep 0.05; done; exit 7");
    tokio::select! {
        end = scene.run(&script) => panic!("{end:?}"),
        () = until(|| entered.exists()) => {}
    }
    let (end, ()) = tokio::join!(scene.run(&script), async {
        fs::write(&gate, "").unwrap();
    });
    assert_eq!(end.unwrap(), End::Exited(Exit::Code(7)));
    assert_eq!(fs::read_to_string(entered).unwrap(), "x\n");
}

#[tokio::test]
async fn what_cannot_be_started_leaves_no_marker() {
    let mut scene = scene();
    let binary = std::mem::replace(&mut scene.launcher.binary, "/nonexistent/reconcile".into());
    assert!(matches!(scene.run("exit 0").await, Err(LaunchError::Runner(_))));
    scene.launcher.binary = binary;
    assert_eq!(scene.run("exit 0").await.unwrap(), End::Exited(Exit::Code(0)));
}

#[tokio::test]
async fn an_unreadable_result_is_no_result() {
    let scene = scene();
    let result = scene.steps().join("activate.result");
    // As a full disk may leave it, with nobody there that would write another.
    let script = format!("echo x >{result}; kill -KILL $PPID");
    assert_eq!(scene.run(&script).await.unwrap(), End::Lost);
}
