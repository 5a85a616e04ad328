//! Starting an activation outside the agent, and waiting for its result; or finding one that was started
//! before this agent was, and waiting for that.
//!
//! Each step of a transaction has three files in its folder: `<step>.started` (before anything runs),
//! `<step>.log`, `<step>.result`. Nothing is ever started twice in one boot.

use super::result::{self, ResultError};
use crate::class::Invocation;
use crate::durable::{self, DurableError, Lasting};
use crate::host::Supervisor;
use crate::process::{Command, Exit, RunError, locate};
use camino::{Utf8Path, Utf8PathBuf};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use tokio::time::Instant;
use unix::fcntl::{Flock, FlockArg};
use unix::sys::signal::{Signal, killpg};
use unix::unistd::Pid;

/// How often the result is looked for: small beside any activation, and a stat each.
const GLANCE: Duration = Duration::from_millis(20);
/// How long a finished activation may take to leave its result.
const SETTLE: Duration = Duration::from_secs(5);
/// How much of a log is read to judge an activation, from its end, in bytes.
const LOG_TAIL: u64 = 1 << 20;

/// How an activation ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// It ran to its end.
    Exited(Exit),
    /// It was ended after this long.
    TimedOut(Duration),
    /// It is gone and left no result.
    Lost,
    /// Another one of the same name runs; this one was not started.
    Busy,
}

/// An activation that could not be started or followed.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// Its folder or marker could not be written.
    #[error("cannot prepare the activation")]
    Prepare(#[source] DurableError),
    /// systemd-run is missing.
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
    /// The result is unreadable.
    #[error(transparent)]
    Result(#[from] ResultError),
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
    pub async fn run(
        &self,
        folder: &Utf8Path,
        step: &str,
        invocation: &Invocation,
    ) -> Result<End, LaunchError> {
        let files = Files::of(folder, step);
        let mut runner = None;
        if files.boot().as_deref() == Some(&self.boot_id) {
            if let Some(exit) = files.exit()? {
                return Ok(End::Exited(exit));
            }
        } else {
            // Of an earlier boot, if there are any: they say nothing of this one.
            let _ = std::fs::remove_file(&files.result);
            durable::folder(folder, 0o700).map_err(LaunchError::Prepare)?;
            let marker = |text: &str| {
                let text = format!("boot {}\n{text}", self.boot_id);
                durable::replace(&files.started, text.as_bytes(), 0o600, Lasting::Power)
                    .map_err(LaunchError::Prepare)
            };
            match self.supervisor {
                Supervisor::Detached => {
                    marker("")?;
                    let mut child = self.start_detached(&files, invocation)?;
                    runner = Some(std::thread::spawn(move || child.wait().is_ok()));
                }
                #[cfg(target_os = "linux")]
                Supervisor::Systemd => {
                    marker(&format!("unit {}\n", invocation.unit))?;
                    if let Some(end) = self.start_unit(&files, invocation).await? {
                        return Ok(end);
                    }
                }
            }
        }
        let end = self.wait(&files, invocation).await;
        if let Some(runner) = runner
            && !matches!(end, Ok(End::Lost))
        {
            // Ended or killed by now: nothing is waited for but the kernel.
            let _ = tokio::task::spawn_blocking(move || runner.join()).await;
        }
        end
    }

    /// The end of what an activation wrote.
    #[must_use]
    pub fn log(folder: &Utf8Path, step: &str) -> String {
        use std::io::{Read, Seek, SeekFrom};
        let mut tail = Vec::new();
        let _ = std::fs::File::open(Files::of(folder, step).log).and_then(|mut file| {
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL)))?;
            file.take(LOG_TAIL).read_to_end(&mut tail)
        });
        crate::text::plain(&String::from_utf8_lossy(&tail))
    }

    async fn wait(&self, files: &Files, invocation: &Invocation) -> Result<End, LaunchError> {
        let deadline = Instant::now() + self.limit;
        let mut gone_since = None;
        loop {
            if let Some(exit) = files.exit()? {
                return Ok(End::Exited(exit));
            }
            if Instant::now() >= deadline {
                self.end(files, invocation).await;
                return Ok(End::TimedOut(self.limit));
            }
            if self.is_alive(files, invocation).await {
                gone_since = None;
            } else if *gone_since.get_or_insert_with(Instant::now) + SETTLE < Instant::now() {
                return Ok(End::Lost);
            }
            tokio::time::sleep(GLANCE).await;
        }
    }

    fn start_detached(
        &self,
        files: &Files,
        invocation: &Invocation,
    ) -> Result<std::process::Child, LaunchError> {
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
            .process_group(0)
            .spawn()
            .map_err(LaunchError::Runner)
    }

    #[cfg(target_os = "linux")]
    async fn start_unit(&self, files: &Files, invocation: &Invocation) -> Result<Option<End>, LaunchError> {
        let tool = self.tool("systemd-run")?;
        let shell = locate("sh", &self.folders).unwrap_or_else(|| PathBuf::from("/bin/sh"));
        // Written by systemd when the unit ends, however it ends; not by the script, which may be killed.
        // No `$` in it: a daemon-reload in the activation has systemd 252 read the unit again with the escaping of
        // it kept. The three values come one a line.
        let record = format!(
            "ExecStopPost={} -c 'printenv SERVICE_RESULT EXIT_CODE EXIT_STATUS > {result}.tmp && mv {result}.tmp {result}'",
            shell.display(),
            result = files.result,
        );
        let mut command = Command::new(tool, Duration::from_secs(60))
            .args(["--collect", "--no-ask-password", "--quiet", "--service-type=exec"])
            .arg(format!("--unit={}", invocation.unit))
            .arg("-p")
            .arg(format!("StandardOutput=append:{}", files.log))
            .args(["-p", "StandardError=inherit", "-p", "WorkingDirectory=/", "-p"])
            .arg(record)
            .arg("-p")
            // The agent ends it at its limit; this ends it when the agent is dead.
            .arg(format!("RuntimeMaxSec={}", self.limit.as_secs() + 60));
        for (name, value) in self.environment.iter().chain(&invocation.environment) {
            command = command.arg("-E").arg(format!("{name}={value}"));
        }
        let finished = command
            .arg("--")
            .arg(&invocation.program)
            .args(&invocation.arguments)
            .env("PATH", "/usr/bin:/bin")
            .run(&mut |_| {})
            .await
            .map_err(LaunchError::Systemd)?;
        match finished.exit {
            Exit::Code(0) => Ok(None),
            _ if finished.stderr.contains("already loaded") || finished.stderr.contains("already exists") => {
                Ok(Some(End::Busy))
            }
            // The unit was started and failed at once: its result says how.
            _ if files.result.exists() => Ok(None),
            _ => Err(LaunchError::Refused {
                unit: invocation.unit.clone(),
                said: finished.stderr.lines().next().unwrap_or_default().to_owned(),
            }),
        }
    }

    async fn is_alive(&self, files: &Files, invocation: &Invocation) -> bool {
        match self.supervisor {
            Supervisor::Detached => files.is_held(),
            #[cfg(target_os = "linux")]
            Supervisor::Systemd => match self.tool("systemctl") {
                Ok(tool) => Command::new(tool, Duration::from_secs(60))
                    .args(["is-active", "--quiet", &invocation.unit])
                    .run(&mut |_| {})
                    .await
                    // While systemd does not answer, nothing is known, and the deadline stands.
                    .map_or(true, |finished| finished.exit == Exit::Code(0)),
                Err(_) => true,
            },
        }
    }

    async fn end(&self, files: &Files, invocation: &Invocation) {
        match self.supervisor {
            Supervisor::Detached => {
                // Held, the process id in it is the runner's and nobody else's.
                if let Some(pid) = files.pid().filter(|_| files.is_held()) {
                    let _ = killpg(pid, Signal::SIGKILL);
                }
            }
            #[cfg(target_os = "linux")]
            Supervisor::Systemd => {
                if let Ok(tool) = self.tool("systemctl") {
                    let kill = ["kill", "--signal=SIGKILL", &invocation.unit];
                    let _ = Command::new(tool, Duration::from_secs(60))
                        .args(kill)
                        .run(&mut |_| {})
                        .await;
                }
            }
        }
    }

    #[cfg(target_os = "linux")]
    fn tool(&self, program: &'static str) -> Result<PathBuf, LaunchError> {
        locate(program, &self.folders).ok_or(LaunchError::NoTool { program })
    }
}

/// The files of one step.
#[derive(Debug)]
struct Files {
    started: Utf8PathBuf,
    log: Utf8PathBuf,
    result: Utf8PathBuf,
}

impl Files {
    fn of(folder: &Utf8Path, step: &str) -> Files {
        let file = |extension: &str| folder.join(format!("{step}.{extension}"));
        Files {
            started: file("started"),
            log: file("log"),
            result: file("result"),
        }
    }

    fn exit(&self) -> Result<Option<Exit>, ResultError> {
        match std::fs::read_to_string(&self.result) {
            Ok(content) => result::parse(&content).map(Some),
            Err(_) => Ok(None),
        }
    }

    /// The boot that started it.
    fn boot(&self) -> Option<String> {
        self.marked("boot ")
    }

    /// Whether the detached runner lives: it holds a lock on the marker for as long.
    fn is_held(&self) -> bool {
        match std::fs::File::open(&self.started).map(|file| Flock::lock(file, FlockArg::LockSharedNonblock)) {
            Ok(Err((_, unix::Error::EWOULDBLOCK))) => true,
            Ok(_) | Err(_) => false,
        }
    }

    fn marked(&self, name: &str) -> Option<String> {
        let text = std::fs::read_to_string(&self.started).ok()?;
        text.lines()
            .find_map(|line| line.strip_prefix(name))
            .map(str::to_owned)
    }

    fn pid(&self) -> Option<Pid> {
        self.marked("pid ")?.parse().ok().map(Pid::from_raw)
    }
}
