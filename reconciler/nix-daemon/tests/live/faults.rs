//! A build whose conversation is cut, stalled or torn, or whose daemon is killed: it ends in a typed error, and nothing
//! half built is ever taken for whole.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix_daemon_client::{
    BuildMode, BuildResult, BuildStatus, Client, ConnectError, ConnectOptions, Connection, DerivedPath,
    Error, Outputs, StorePath, Verification,
};
use tokio::task::JoinSet;
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
    let target = [target(drv)];
    client.query_missing(&target).await?;
    let results = client
        .build_paths_with_results(&target, BuildMode::Normal, &mut ())
        .await?;
    Ok(results.into_iter().next().unwrap().1)
}

fn target(drv: &StorePath) -> DerivedPath {
    DerivedPath::Built {
        drv: drv.clone(),
        outputs: Outputs::All,
    }
}

/// Builds through a proxy with a fault; within a time in which everything has to have ended.
async fn build_through(
    daemon: &Daemon,
    drv: &StorePath,
    fault: Fault,
    options: &ConnectOptions,
) -> (Result<(bool, BuildResult), Failure>, (usize, usize)) {
    static PROXIES: AtomicUsize = AtomicUsize::new(0);
    let socket = format!("p{}.sock", PROXIES.fetch_add(1, Ordering::Relaxed));
    let proxy = Proxy::start(daemon.root().join(socket), &daemon.socket(), fault);
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

/// How many connections are under way at once.
const AT_ONCE: usize = 8;

/// Does something for each of these, some at a time.
async fn each<T: Send + 'static, F>(items: impl IntoIterator<Item = T>, mut work: impl FnMut(T) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut running = JoinSet::new();
    for item in items {
        if running.len() >= AT_ONCE {
            running.join_next().await.unwrap().unwrap();
        }
        running.spawn(work(item));
    }
    while let Some(ended) = running.join_next().await {
        ended.unwrap();
    }
}

/// A whole conversation about a derivation that is built already, which is much the same each time: how many bytes are
/// asked and told in it.
async fn known(daemon: &Daemon, drv: &StorePath) -> (usize, usize) {
    let options = ConnectOptions::default();
    build(&daemon.socket(), drv, &options).await.unwrap();
    let (whole, passed) = build_through(daemon, drv, Fault::None, &options).await;
    assert_eq!(whole.unwrap().1.status, BuildStatus::AlreadyValid);
    passed
}

/// With nothing left to build every cut is one of the conversation's own bytes.
#[tokio::test]
async fn a_conversation_cut_at_every_byte_is_a_lost_connection() {
    let daemon = Arc::new(Daemon::start());
    let drv = daemon.derivation("known", SCRIPT, "");
    let (asked, told) = known(&daemon, &drv).await;
    let faults = (0..told)
        .map(Fault::CutAnswer)
        .chain((0..asked).map(Fault::CutRequest));
    each(faults, |fault| {
        let (daemon, drv) = (Arc::clone(&daemon), drv.clone());
        async move {
            let ended = build_through(&daemon, &drv, fault, &ConnectOptions::default()).await;
            match ended.0 {
                Err(failure) => assert!(failure.is_loss(), "{fault:?}: {failure:?}"),
                // What the daemon says of its work differs by some bytes from one time to the next.
                Ok((_, result)) => {
                    let near_the_end = matches!(fault, Fault::CutAnswer(after) if after + 300 > told);
                    assert!(near_the_end && result.is_success(), "{fault:?}: {result:?}");
                }
            }
        }
    })
    .await;
    converges(&daemon, &[drv]).await;
}

/// A derivation that a cut left unbuilt serves for the next cut as well: it is tried again and again until it is built,
/// and then another takes its place.
#[tokio::test]
async fn a_build_cut_anywhere_leaves_nothing_half_built() {
    let daemon = Arc::new(Daemon::start());
    let options = ConnectOptions::default();
    let first = daemon.derivations(&["whole".to_owned(), "trickled".to_owned()], SCRIPT);
    let (whole, (asked, told)) = build_through(&daemon, &first[0], Fault::None, &options).await;
    assert_eq!(whole.unwrap().1.status, BuildStatus::Built);
    let (trickled, _) = build_through(&daemon, &first[1], Fault::Trickle, &options).await;
    let (open, result) = trickled.unwrap();
    assert!(open);
    assert_eq!(result.status, BuildStatus::Built);

    // The same conversation about what is known is cut at every byte above. Where each cut costs a build, it is one in
    // every eight bytes, at each place of a word in turn, and with NIX_DAEMON_FAULTS=all every one.
    let every = std::env::var_os("NIX_DAEMON_FAULTS").is_some_and(|value| value == "all");
    let chosen = |place: &usize| every || place % 8 == place / 8 % 8;
    let faults: Vec<Fault> = (0..told)
        .filter(chosen)
        .map(Fault::CutAnswer)
        .chain((0..asked).filter(chosen).map(Fault::CutRequest))
        .collect();
    // Each of some at once has derivations of its own, one more than it could have built.
    let share = faults.len().div_ceil(AT_ONCE);
    let names: Vec<String> = (0..(share + 1) * AT_ONCE)
        .map(|number| format!("cut-{number:04}"))
        .collect();
    let drvs = daemon.derivations(&names, SCRIPT);
    let shares = faults.chunks(share).zip(drvs.chunks(share + 1));
    let shares: Vec<_> = shares
        .map(|(faults, drvs)| (faults.to_vec(), drvs.to_vec()))
        .collect();
    let used = Arc::new(Mutex::new(first));
    each(shares, |(faults, drvs)| {
        let (daemon, used) = (Arc::clone(&daemon), Arc::clone(&used));
        async move {
            let mut looking = daemon.client().await;
            let mut drvs = drvs.into_iter();
            let mut drv = drvs.next().unwrap();
            for fault in faults {
                let ended = build_through(&daemon, &drv, fault, &ConnectOptions::default()).await;
                match ended.0 {
                    Err(failure) => assert!(failure.is_loss(), "{fault:?}: {failure:?}"),
                    Ok((_, result)) => assert!(result.is_success(), "{fault:?}: {result:?}"),
                }
                let out = output(&mut looking, &drv).await;
                if looking.is_valid_path(&out).await.unwrap() {
                    assert!(is_whole(&out), "{fault:?}: {out} is valid, and not whole");
                    let built = std::mem::replace(&mut drv, drvs.next().unwrap());
                    used.lock().unwrap().push(built);
                }
            }
            used.lock().unwrap().push(drv);
        }
    })
    .await;
    let used = used.lock().unwrap().clone();
    println!("{told} bytes told, {asked} asked, {} derivations", used.len());
    assert!(used.len() > 20, "hardly a build got anywhere: {}", used.len());
    converges(&daemon, &used).await;
}

/// A daemon that rests wherever a message may end is waited for.
#[tokio::test]
async fn a_conversation_that_pauses_anywhere_goes_on() {
    let daemon = Arc::new(Daemon::start());
    let drv = daemon.derivation("paused", SCRIPT, "");
    let (_, told) = known(&daemon, &drv).await;
    // Every message has a multiple of eight bytes.
    each((0..told).step_by(8), |after| {
        let (daemon, drv) = (Arc::clone(&daemon), drv.clone());
        async move {
            let pause = Fault::Pause(after, Duration::from_millis(40));
            let ended = build_through(&daemon, &drv, pause, &ConnectOptions::default()).await;
            let (_, result) = ended.0.unwrap_or_else(|failure| panic!("{pause:?}: {failure:?}"));
            assert_eq!(result.status, BuildStatus::AlreadyValid, "{pause:?}");
        }
    })
    .await;
}

/// A daemon that stops is given up wherever it is not at work: anywhere before it was asked what there is to do, for which
/// it may ask caches for half an hour, and within every message of the build.
#[tokio::test]
async fn a_conversation_that_stalls_anywhere_is_given_up() {
    let daemon = Arc::new(Daemon::start());
    let drv = daemon.derivation("stalled", SCRIPT, "");
    let (_, told) = known(&daemon, &drv).await;
    let (rooted, before) = before_the_build(&daemon, &drv).await;
    assert!(
        0 < rooted && rooted < before && before < told,
        "{rooted}, {before} of {told}"
    );
    let impatient = ConnectOptions {
        connect_timeout: Duration::from_millis(150),
        idle_timeout: Duration::from_millis(150),
        ..ConnectOptions::default()
    };
    // Near its end what the daemon says of its work differs by some bytes from one time to the next.
    let within = (before..told.saturating_sub(300)).filter(|after| after % 8 == 1 + after / 8 % 7);
    each((0..rooted).chain(within), |after| {
        let (daemon, drv, impatient) = (Arc::clone(&daemon), drv.clone(), impatient.clone());
        async move {
            let (ended, _) = build_through(&daemon, &drv, Fault::Stall(after), &impatient).await;
            let failure = ended.unwrap_err();
            assert!(
                matches!(
                    failure,
                    Failure::Connect(ConnectError::Timeout { .. })
                        | Failure::Operation(Error::Timeout { .. })
                ),
                "{after}: {failure:?}"
            );
        }
    })
    .await;
    converges(&daemon, &[drv]).await;
}

/// How much the daemon has said when the derivation is rooted, and when it is asked to build.
async fn before_the_build(daemon: &Daemon, drv: &StorePath) -> (usize, usize) {
    let proxy = Proxy::start(daemon.root().join("before.sock"), &daemon.socket(), Fault::None);
    let mut client = Client::connect(proxy.socket(), &ConnectOptions::default())
        .await
        .unwrap();
    client.add_temp_root(drv).await.unwrap();
    let rooted = proxy.passed().1;
    client.query_missing(&[target(drv)]).await.unwrap();
    (rooted, proxy.passed().1)
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
