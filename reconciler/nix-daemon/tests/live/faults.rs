//! A build whose conversation is cut, stalled or torn, or whose daemon is killed: it ends in a typed error, and nothing
//! half built is ever taken for whole.

use std::path::{Path, PathBuf};
use std::time::Duration;

use nix_daemon_client::{
    BuildMode, BuildResult, BuildStatus, Client, ConnectError, ConnectOptions, Connection, DerivedPath,
    Error, Outputs, StorePath, Verification,
};
use unix::sys::signal::{Signal, kill};
use unix::unistd::Pid;

use crate::daemon::{Daemon, LIMIT};
use crate::proxy::{Fault, Proxy};

/// Why a conversation did not end well.
#[derive(Debug)]
enum Failure {
    Connect(ConnectError),
    Operation(Error),
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Failure {
        Failure::Connect(error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Operation(error)
    }
}

impl Failure {
    /// Whether it says that the connection is gone.
    fn is_loss(&self) -> bool {
        matches!(
            self,
            Failure::Connect(ConnectError::Denied { .. } | ConnectError::Transport { .. })
                | Failure::Operation(
                    Error::Transport { .. }
                        | Error::Closed { .. }
                        | Error::Daemon {
                            connection: Connection::Closed,
                            ..
                        }
                )
        )
    }
}

/// What the builders here do: more than one step, and some words meanwhile.
const SCRIPT: &str =
    "echo begin; mkdir $out; echo one > $out/one; echo middle; echo two > $out/two; echo end";

/// A whole build, as the agent makes one.
async fn build(
    socket: &Path,
    drv: &StorePath,
    options: &ConnectOptions,
) -> Result<(bool, BuildResult), Failure> {
    let mut client = Client::connect(socket, options).await?;
    let ended = build_on(&mut client, drv).await;
    Ok((client.is_open(), ended?))
}

async fn build_on(client: &mut Client, drv: &StorePath) -> Result<BuildResult, Error> {
    client.add_temp_root(drv).await?;
    let target = [DerivedPath::Built {
        drv: drv.clone(),
        outputs: Outputs::All,
    }];
    client.query_missing(&target).await?;
    let results = client
        .build_paths_with_results(&target, BuildMode::Normal, &mut ())
        .await?;
    Ok(results.into_iter().next().unwrap().1)
}

/// Builds through a proxy with a fault; within a time in which everything has to have ended.
async fn build_through(
    daemon: &Daemon,
    drv: &StorePath,
    fault: Fault,
    options: &ConnectOptions,
) -> (Result<(bool, BuildResult), Failure>, (usize, usize)) {
    let proxy = Proxy::start(daemon.root().join("p.sock"), &daemon.socket(), fault);
    let ended = tokio::time::timeout(LIMIT, build(proxy.socket(), drv, options)).await;
    let ended = ended.unwrap_or_else(|_| panic!("{fault:?}: it hangs"));
    (ended, proxy.passed())
}

async fn output(client: &mut Client, drv: &StorePath) -> StorePath {
    let outputs = client.query_derivation_output_map(drv).await.unwrap();
    outputs.get("out").cloned().flatten().unwrap()
}

fn is_whole(out: &StorePath) -> bool {
    let read = |name: &str| std::fs::read_to_string(out.as_ref().join(name)).ok();
    (read("one").as_deref(), read("two").as_deref()) == (Some("one\n"), Some("two\n"))
}

/// What counts as valid is whole, what is not can be built, and the store has nothing to complain of.
async fn converges(daemon: &Daemon, drvs: &[StorePath]) {
    let mut client = daemon.client().await;
    for drv in drvs {
        let out = output(&mut client, drv).await;
        if client.is_valid_path(&out).await.unwrap() {
            assert!(is_whole(&out), "{out} is valid, and not whole");
        }
    }
    for drv in drvs {
        let result = build_on(&mut client, drv).await.unwrap();
        assert!(result.is_success(), "{result:?}");
        assert!(is_whole(&output(&mut client, drv).await));
    }
    let errors = client
        .verify_store(Verification::Contents, &mut ())
        .await
        .unwrap();
    assert!(!errors);
}

/// With nothing left to build the conversation is much the same each time.
#[tokio::test]
async fn a_conversation_cut_anywhere_is_a_lost_connection() {
    let daemon = Daemon::start();
    let options = ConnectOptions::default();
    let drv = daemon.derivation("known", SCRIPT, "");
    build(&daemon.socket(), &drv, &options).await.unwrap();
    let (whole, (asked, told)) = build_through(&daemon, &drv, Fault::None, &options).await;
    assert_eq!(whole.unwrap().1.status, BuildStatus::AlreadyValid);

    // Transcripts are cut after every byte; here there are a greeting's every byte and some of the others.
    let answers = (0..told).filter(|place| *place < 120 || place % 7 == 0);
    let requests = (0..asked).step_by(3).map(Fault::CutRequest);
    let answers = answers.map(Fault::CutAnswer);
    for fault in answers.chain(requests) {
        match build_through(&daemon, &drv, fault, &options).await.0 {
            Err(failure) => assert!(failure.is_loss(), "{fault:?}: {failure:?}"),
            // What the daemon says of its work differs by some bytes from one time to the next.
            Ok((_, result)) => {
                let near_the_end = matches!(fault, Fault::CutAnswer(after) if after + 300 > told);
                assert!(near_the_end && result.is_success(), "{fault:?}: {result:?}");
            }
        }
    }
    converges(&daemon, &[drv]).await;
}

#[tokio::test]
async fn a_build_cut_anywhere_leaves_nothing_half_built() {
    const PLACES: usize = 40;
    let daemon = Daemon::start();
    let options = ConnectOptions::default();
    let names: Vec<String> = (100..100 + 2 * PLACES + 2)
        .map(|number| format!("cut-{number}"))
        .collect();
    let drvs = daemon.derivations(&names, SCRIPT);
    let (whole, (asked, told)) = build_through(&daemon, &drvs[0], Fault::None, &options).await;
    assert_eq!(whole.unwrap().1.status, BuildStatus::Built);
    let (trickled, _) = build_through(&daemon, &drvs[1], Fault::Trickle, &options).await;
    let (open, result) = trickled.unwrap();
    assert!(open);
    assert_eq!(result.status, BuildStatus::Built);

    // A build of its own for each place.
    let answers = (0..PLACES).map(|place| Fault::CutAnswer(place * told / PLACES));
    let requests = (0..PLACES).map(|place| Fault::CutRequest(place * asked / PLACES));
    for (fault, drv) in answers.chain(requests).zip(&drvs[2..]) {
        let (ended, _) = build_through(&daemon, drv, fault, &options).await;
        match ended {
            Err(failure) => assert!(failure.is_loss(), "{fault:?}: {failure:?}"),
            Ok((_, result)) => assert!(result.is_success(), "{fault:?}: {result:?}"),
        }
    }
    converges(&daemon, &drvs).await;
}

/// A daemon that stops in the middle is given up, wherever it is not at work.
#[tokio::test]
async fn a_conversation_that_stalls_is_given_up() {
    let daemon = Daemon::start();
    let drv = daemon.derivation("stalled", SCRIPT, "");
    build(&daemon.socket(), &drv, &ConnectOptions::default())
        .await
        .unwrap();
    let impatient = ConnectOptions {
        connect_timeout: Duration::from_millis(150),
        idle_timeout: Duration::from_millis(150),
        ..ConnectOptions::default()
    };
    // Within the greeting, and within the answer about the root.
    for after in [0, 5, 16, 20, 40, 55, 60] {
        let (ended, _) = build_through(&daemon, &drv, Fault::Stall(after), &impatient).await;
        let failure = ended.unwrap_err();
        assert!(
            matches!(
                failure,
                Failure::Connect(ConnectError::Timeout { .. }) | Failure::Operation(Error::Timeout { .. })
            ),
            "{after}: {failure:?}"
        );
    }
}

/// The first time a builder leaves half of its output and waits for ever; the second time it goes through.
fn waits_once(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "mkdir $out; echo one > $out/one; if [ ! -e {folder}/began ]; then echo $$ > {folder}/pid; echo > {folder}/began; \
         exec sleep 1000; fi; echo two > $out/two"
    )
}

/// Ends the builder that `waits_once` left, if its daemon did not: a service manager ends all of a unit's processes.
struct Builder(PathBuf);

impl Drop for Builder {
    fn drop(&mut self) {
        if let Ok(pid) = std::fs::read_to_string(&self.0) {
            let _ = kill(Pid::from_raw(pid.trim().parse().unwrap()), Signal::SIGKILL);
        }
    }
}

async fn until(what: &str, mut so: impl FnMut() -> bool) {
    let wait = async {
        while !so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LIMIT, wait)
        .await
        .unwrap_or_else(|_| panic!("not {what}"));
}

#[tokio::test]
async fn a_daemon_killed_amid_a_build_leaves_nothing_half_built() {
    let daemon = Daemon::start();
    let script = waits_once(daemon.root());
    let drv = daemon.derivation("killed", &script, "");
    let builder = Builder(daemon.root().join("pid"));
    let began = daemon.root().join("began");
    let mut client = daemon.client().await;
    let (ended, ()) = tokio::join!(build_on(&mut client, &drv), async {
        until("building", || began.exists()).await;
        for worker in daemon.workers() {
            kill(worker, Signal::SIGKILL).unwrap();
        }
    });
    let error = ended.unwrap_err();
    assert!(matches!(error, Error::Transport { .. }), "{error:?}");
    assert!(!client.is_open());
    drop(builder);

    client.reconnect().await.unwrap();
    let out = output(&mut client, &drv).await;
    assert!(!client.is_valid_path(&out).await.unwrap());
    let result = build_on(&mut client, &drv).await.unwrap();
    assert_eq!(result.status, BuildStatus::Built, "{result:?}");
    converges(&daemon, &[drv]).await;
}

#[tokio::test]
async fn a_build_given_up_midway_is_built_anew() {
    let daemon = Daemon::start();
    let script = waits_once(daemon.root());
    let drv = daemon.derivation("dropped", &script, "");
    let _builder = Builder(daemon.root().join("pid"));
    let (began, pid) = (daemon.root().join("began"), daemon.root().join("pid"));
    let mut client = daemon.client().await;
    tokio::select! {
        ended = build_on(&mut client, &drv) => panic!("it ended: {ended:?}"),
        () = until("building", || began.exists()) => {}
    }
    assert!(!client.is_open());
    let pid = Pid::from_raw(std::fs::read_to_string(pid).unwrap().trim().parse().unwrap());
    until("ended", || kill(pid, None).is_err()).await;

    client.reconnect().await.unwrap();
    let result = build_on(&mut client, &drv).await.unwrap();
    assert_eq!(result.status, BuildStatus::Built, "{result:?}");
    converges(&daemon, &[drv]).await;
}
