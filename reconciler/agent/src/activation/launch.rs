//! Starting an activation outside the agent, and waiting for its result; or finding one that was started
//! before this agent was, and waiting for that.
//!
//! A step is marked before anything runs, and nothing that was marked is started twice in one boot. An error
//! means that nothing was started; where that is not certain, the step's end is waited for.

use super::files::{Files, PrepareError};
use super::handle::{Handle, Presence};
#[cfg(target_os = "linux")]
use super::unit::{Endurance, Start};
use crate::class::Invocation;
use crate::host::Supervisor;
use crate::process::{Exit, RunError};
use camino::{Utf8Path, Utf8PathBuf};
use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};
use tokio::time::{Instant, sleep, timeout};

/// How often the result is looked for at first, and at the most: small beside any activation, and a read of a
/// missing file each.
const GLANCE: Duration = Duration::from_millis(1);
const GLANCE_AT_MOST: Duration = Duration::from_millis(20);
/// How long a finished activation may take to leave its result.
const SETTLE: Duration = Duration::from_secs(5);
/// How long an ended activation may take to be gone, so that the next one can have its name.
const LEAVE: Duration = Duration::from_secs(30);
/// How long to wait before a name that is taken is asked for again.
#[cfg(target_os = "linux")]
const PAUSE: Duration = Duration::from_secs(1);
/// How much an activation may write, and how much of a log is read to judge it, in bytes.
const LOG_LIMIT: u64 = 16 << 20;
/// How often the length of a log is looked at.
const LOG_GLANCE: Duration = Duration::from_millis(200);
/// The step that begins a transaction. Nothing was touched before it: another activation at that moment is a
/// reason to leave the host alone. Every later step has to be done, and waits for its turn.
#[cfg(target_os = "linux")]
const FIRST_STEP: &str = "activate";

/// The name under which the files of a deadman lie beside those of the steps.
const DEADMAN: &str = "deadman";

/// How an activation ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// It ran to its end.
    Exited(Exit),
    /// It was ended after this long.
    TimedOut(Duration),
    /// It is gone and left no result that can be read.
    Lost,
    /// It was ended because it wrote more than this many bytes.
    Flooded(u64),
    /// Another one of the same name runs; this one was not started.
    Busy,
}

/// An activation that was certainly not started.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// Its files could not be made ready.
    #[error("cannot prepare the activation")]
    Prepare(#[source] PrepareError),
    /// A tool of systemd is missing.
    #[error("there is no `{program}` on this host")]
    NoTool {
        /// The command.
        program: &'static str,
    },
    /// systemd-run could not be run.
    #[error("cannot run systemd-run")]
    Systemd(#[source] RunError),
    /// systemd refused the unit.
    #[error("systemd does not start {unit}: {said}")]
    Refused {
        /// The unit.
        unit: String,
        /// What systemd-run said.
        said: String,
    },
    /// The runner could not be started.
    #[error("cannot start the activation's runner")]
    Runner(#[source] io::Error),
    /// The runner ended at once.
    #[error("the runner ended before it ran anything")]
    Vanished,
}

/// Starts activations.
#[derive(Debug, Clone)]
pub struct Launcher {
    /// What they run under.
    pub supervisor: Supervisor,
    /// Where commands are looked for.
    pub folders: Vec<PathBuf>,
    /// The agent's own binary, for the detached runner.
    pub binary: PathBuf,
    /// This boot: what an earlier one started is over, whatever it left.
    pub boot_id: String,
    /// Variables that every activation gets.
    pub environment: Vec<(String, String)>,
    /// How long an activation may take.
    pub limit: Duration,
}

impl Launcher {
    /// Runs one step of a transaction, or waits for it where it runs or ran already.
    ///
    /// An error means that it was certainly not started, now or before.
    pub async fn run(
        &self,
        folder: &Utf8Path,
        step: &str,
        invocation: &Invocation,
    ) -> Result<End, LaunchError> {
        let files = Files::of(folder, step);
        let found = Handle::of(self.supervisor, &self.folders, &invocation.unit);
        let flood = Flood::of(step);
        if files.is_begun(&self.boot_id) {
            match self.wait(&files, &found, flood).await {
                // Whatever starts it opens the log first: who marked it was killed before anybody was asked.
                End::Lost if !files.log.exists() => files.unmark(),
                end => return Ok(end),
            }
        }
        match self.start(&files, step, invocation, found).await {
            Ok(Some(started)) => Ok(self.wait(&files, &started, flood).await),
            Ok(None) => {
                files.unmark();
                Ok(End::Busy)
            }
            Err(error) => {
                files.unmark();
                Err(error)
            }
        }
    }

    /// Has what undoes a transaction without the agent wait for its time, outside the agent; where it does so
    /// already, that is all.
    ///
    /// An error means that there is none.
    pub async fn arm(&self, folder: &Utf8Path, deadman: &Invocation) -> Result<(), LaunchError> {
        let files = Files::of(folder, DEADMAN);
        let found = Handle::of(self.supervisor, &self.folders, &deadman.unit);
        if files.is_begun(&self.boot_id) {
            match found.presence(&files).await {
                Presence::Alive | Presence::Unknown => return Ok(()),
                Presence::Ended | Presence::Gone => {}
            }
        }
        let started = self.start(&files, DEADMAN, deadman, found).await;
        match started {
            Ok(Some(Handle::Detached(runner))) => {
                // Until it holds the marker, nobody could tell that it is there.
                let deadline = Instant::now() + SETTLE;
                while files.runner().is_none() {
                    if Instant::now() > deadline || runner.as_ref().is_none_or(JoinHandle::is_finished) {
                        files.unmark();
                        return Err(LaunchError::Vanished);
                    }
                    sleep(GLANCE).await;
                }
                Ok(())
            }
            // Taken: systemd knows the name only from this transaction.
            Ok(_) => Ok(()),
            Err(error) => {
                files.unmark();
                Err(error)
            }
        }
    }

    /// Where a deadman's words go.
    #[must_use]
    pub fn deadman_log(folder: &Utf8Path) -> Utf8PathBuf {
        Files::of(folder, DEADMAN).log
    }

    /// Has it stop: the transaction came to its end.
    pub async fn disarm(&self, folder: &Utf8Path, unit: &str) {
        let files = Files::of(folder, DEADMAN);
        if files.is_begun(&self.boot_id) {
            Handle::of(self.supervisor, &self.folders, unit)
                .stop(&files)
                .await;
            files.unmark();
        }
    }

    /// Kills a step that runs, with all its processes, and waits until it is gone.
    pub async fn cut_off(&self, folder: &Utf8Path, step: &str, unit: &str) {
        let files = Files::of(folder, step);
        if !files.is_begun(&self.boot_id) || matches!(files.exit(), Ok(Some(_))) {
            return;
        }
        let handle = Handle::of(self.supervisor, &self.folders, unit);
        handle.end(&files).await;
        let _ = timeout(LEAVE, left(&files, &handle)).await;
    }

    /// Forgets that a step was begun: it did nothing, and is begun again.
    pub fn forget(&self, folder: &Utf8Path, step: &str) {
        Files::of(folder, step).unmark();
    }

    /// Whether a step was begun in this boot.
    #[must_use]
    pub fn is_begun(&self, folder: &Utf8Path, step: &str) -> bool {
        Files::of(folder, step).is_begun(&self.boot_id)
    }

    /// When a step was begun, be it in this boot or before it.
    #[must_use]
    pub fn began(&self, folder: &Utf8Path, step: &str) -> Option<SystemTime> {
        Files::of(folder, step).started.metadata().ok()?.modified().ok()
    }

    /// The end of what an activation wrote.
    #[must_use]
    pub fn log(folder: &Utf8Path, step: &str) -> String {
        use std::io::{Read, Seek, SeekFrom};
        let mut tail = Vec::new();
        let _ = std::fs::File::open(Files::of(folder, step).log).and_then(|mut file| {
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(LOG_LIMIT)))?;
            file.take(LOG_LIMIT).read_to_end(&mut tail)
        });
        crate::text::plain(&String::from_utf8_lossy(&tail))
    }

    /// Starts a step; none where its name stays taken.
    #[cfg_attr(
        not(target_os = "linux"),
        expect(unused_variables, reason = "only systemd has names that can be taken")
    )]
    async fn start(
        &self,
        files: &Files,
        step: &str,
        invocation: &Invocation,
        found: Handle,
    ) -> Result<Option<Handle>, LaunchError> {
        match found {
            Handle::Detached(_) => {
                files.begin(&self.boot_id, None).map_err(LaunchError::Prepare)?;
                let mut child = self.start_detached(files, invocation)?;
                let runner = std::thread::spawn(move || {
                    // Reaped here; how it ended says nothing that its result does not.
                    let _ = child.wait();
                });
                Ok(Some(Handle::Detached(Some(runner))))
            }
            #[cfg(target_os = "linux")]
            Handle::Unit(systemd, name) => {
                if let Some(program) = systemd.missing_tool() {
                    return Err(LaunchError::NoTool { program });
                }
                files
                    .begin(&self.boot_id, Some(&name))
                    .map_err(LaunchError::Prepare)?;
                let deadline = Instant::now() + self.limit;
                loop {
                    let endurance = match step {
                        DEADMAN => Endurance::UntilDone,
                        _ => Endurance::Bounded(self.limit),
                    };
                    let started = systemd
                        .start(files, invocation, &self.environment, endurance)
                        .await
                        .map_err(LaunchError::Systemd)?;
                    match started {
                        Start::Asked => return Ok(Some(Handle::Unit(systemd, name))),
                        Start::Refused(said) => return Err(LaunchError::Refused { unit: name, said }),
                        Start::Taken
                            if matches!(step, FIRST_STEP | DEADMAN) || Instant::now() >= deadline =>
                        {
                            return Ok(None);
                        }
                        Start::Taken => sleep(PAUSE).await,
                    }
                }
            }
        }
    }

    fn start_detached(
        &self,
        files: &Files,
        invocation: &Invocation,
    ) -> Result<std::process::Child, LaunchError> {
        // Not in a process group of its own: the leader of one cannot make a session.
        std::process::Command::new(&self.binary)
            .args([
                "activation-runner",
                "--started",
                files.started.as_str(),
                "--log",
                files.log.as_str(),
                "--result",
                files.result.as_str(),
                "--",
            ])
            .arg(&invocation.program)
            .args(&invocation.arguments)
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .envs(invocation.environment.iter().map(|(name, value)| (name, value)))
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(LaunchError::Runner)
    }

    /// Waits until a step has ended and is gone, whoever started it.
    async fn wait(&self, files: &Files, handle: &Handle, flood: Flood) -> End {
        let ended = async {
            let mut pause = GLANCE;
            loop {
                if let Ok(Some(exit)) = files.exit() {
                    return exit;
                }
                sleep(pause).await;
                pause = (pause * 2).min(GLANCE_AT_MOST);
            }
        };
        let end = tokio::select! {
            biased;
            exit = ended => End::Exited(exit),
            () = lost(files, handle) => match files.exit() {
                Ok(Some(exit)) => End::Exited(exit),
                Ok(None) => End::Lost,
                Err(error) => {
                    tracing::warn!("{}: {error}", files.result);
                    End::Lost
                }
            },
            () = flooded(files, flood) => {
                handle.end(files).await;
                End::Flooded(LOG_LIMIT)
            }
            () = sleep(self.limit) => {
                handle.end(files).await;
                End::TimedOut(self.limit)
            }
        };
        // The next step runs under the same name. What does not leave, that step waits for.
        let _ = timeout(LEAVE, left(files, handle)).await;
        end
    }
}

/// What is done about an activation that writes without end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flood {
    /// It is ended.
    Ends,
    /// Its log begins anew: what leads back goes on, whatever it says.
    Forgotten,
}

impl Flood {
    fn of(step: &str) -> Flood {
        if step.starts_with("return") {
            Flood::Forgotten
        } else {
            Flood::Ends
        }
    }
}

/// Returns when a step has written too much.
async fn flooded(files: &Files, flood: Flood) {
    loop {
        if files.log.metadata().is_ok_and(|found| found.len() > LOG_LIMIT) {
            match flood {
                Flood::Ends => return,
                // Whoever writes appends: the next line is the first one.
                Flood::Forgotten => files.forget_log(),
            }
        }
        sleep(LOG_GLANCE).await;
    }
}

/// Returns when a step is known to have been gone for longer than its result may take.
async fn lost(files: &Files, handle: &Handle) {
    let mut gone_since = None;
    loop {
        match handle.presence(files).await {
            Presence::Ended | Presence::Gone => {
                if *gone_since.get_or_insert_with(Instant::now) + SETTLE < Instant::now() {
                    return;
                }
            }
            // Where nothing is known, the limit decides.
            Presence::Alive | Presence::Unknown => gone_since = None,
        }
        sleep(handle.pause()).await;
    }
}

/// Returns when nothing is left of a step.
async fn left(files: &Files, handle: &Handle) {
    let mut pause = GLANCE;
    while handle.presence(files).await != Presence::Gone {
        sleep(pause).await;
        pause = (pause * 2).min(handle.pause());
    }
}
/// The name of one of several commands of a step: the first has the step's own.
#[must_use]
pub fn step_name(step: &str, number: usize) -> String {
    match number {
        0 => step.to_owned(),
        number => format!("{step}-{}", number.saturating_add(1)),
    }
}
