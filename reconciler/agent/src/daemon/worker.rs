//! A pass in a process of its own: the agent's side, and the process's.
//!
//! The request goes in on standard input, one JSON event a line comes out on standard output. The process ends
//! when its standard input does: a pass never outlives the agent that wants it, and gives back all its memory.

use super::lock::{Lock, LockError};
use crate::exit::Outcome;
use crate::pass::{Ended, Progress, Request, World, pass};
use crate::source::NO_CERTIFICATES;
use camino::Utf8Path;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// How long a process that was told to stop may take: killing what it started is all it has to do.
const STOP: Duration = Duration::from_secs(10);
/// How long a pass waits for one that is being stopped.
const TURN: Duration = Duration::from_secs(10);

/// A pass that gave no word of its end.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// Its process could not be started.
    #[error("cannot start the process of a pass")]
    Start(#[source] io::Error),
    /// It could not be told what to do.
    #[error("cannot talk to the process of a pass")]
    Talk(#[source] io::Error),
    /// It said something else.
    #[error("cannot read what the process of a pass says")]
    Answer(#[source] serde_json::Error),
    /// It ended without a word.
    #[error("the process of a pass ended without a word: {status}")]
    Silent {
        /// How it ended.
        status: std::process::ExitStatus,
    },
    /// Another pass did not end.
    #[error(transparent)]
    Lock(#[from] LockError),
}

/// A pass under way in its process.
#[derive(Debug)]
pub(super) struct Worker {
    child: Child,
    words: tokio::io::Lines<BufReader<ChildStdout>>,
    input: Option<ChildStdin>,
}

impl Worker {
    /// Starts a pass.
    pub(super) async fn start(
        config: &Utf8Path,
        urls: &[String],
        request: &Request,
    ) -> Result<Worker, WorkerError> {
        // This very binary, also after an upgrade replaced or collected it.
        let binary = if cfg!(target_os = "linux") {
            "/proc/self/exe".into()
        } else {
            std::env::current_exe().map_err(WorkerError::Start)?
        };
        let mut command = Command::new(binary);
        // Over http, too, a poll may be led on to https.
        if !urls.iter().any(|url| url.starts_with("http")) {
            command.envs(NO_CERTIFICATES);
        }
        let mut child = command
            .args(["--config", config.as_str(), "pass", "--program"])
            .arg(started_by().map_err(WorkerError::Start)?)
            // What is typed at a terminal is for the agent; it stops the pass itself.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(WorkerError::Start)?;
        let (Some(mut input), Some(words)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(WorkerError::Talk(io::ErrorKind::BrokenPipe.into()));
        };
        let mut line = serde_json::to_vec(request).map_err(WorkerError::Answer)?;
        line.push(b'\n');
        input.write_all(&line).await.map_err(WorkerError::Talk)?;
        Ok(Worker {
            child,
            words: BufReader::new(words).lines(),
            input: Some(input),
        })
    }

    /// The next event; `None` when there is none left. Cancel-safe.
    pub(super) async fn next(&mut self) -> Result<Option<Progress>, WorkerError> {
        match self.words.next_line().await.map_err(WorkerError::Talk)? {
            Some(line) => serde_json::from_str(&line).map(Some).map_err(WorkerError::Answer),
            None => Ok(None),
        }
    }

    /// Waits for the process to end by itself.
    pub(super) async fn status(mut self) -> Result<std::process::ExitStatus, WorkerError> {
        self.input = None;
        self.child.wait().await.map_err(WorkerError::Talk)
    }

    /// Has it stop: it ends what it started, and then itself.
    pub(super) async fn stop(mut self) {
        self.input = None;
        let _ = tokio::time::timeout(STOP, self.child.wait()).await;
    }
}

/// The path that the agent was started by.
fn started_by() -> io::Result<PathBuf> {
    match std::env::args_os().next().map(PathBuf::from) {
        Some(path) if path.is_absolute() => Ok(path),
        _ => std::env::current_exe(),
    }
}

/// What a pass that ended without a word is told as.
pub(super) fn unheard(error: &WorkerError, generation: Option<u64>) -> Ended {
    let mut causes = Vec::new();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        causes.push(error.to_string());
        cause = error.source();
    }
    Ended {
        outcome: Outcome::Failed,
        summary: error.to_string(),
        causes,
        details: Vec::new(),
        hint: None,
        revision: None,
        subject: None,
        head: None,
        generation,
        took_ms: 0,
        change: None,
    }
}

/// The process's side: makes one pass for the agent at the other end of the pipes.
pub async fn work(world: &mut World) -> Result<Outcome, WorkerError> {
    let mut input = BufReader::new(tokio::io::stdin());
    let mut line = String::new();
    input.read_line(&mut line).await.map_err(WorkerError::Talk)?;
    let request: Request = serde_json::from_str(&line).map_err(WorkerError::Answer)?;
    let _turn = Lock::turn(&world.settings.paths.state, TURN).await?;
    let mut say = |event: Progress| {
        let mut line = serde_json::to_vec(&event).unwrap_or_default();
        line.push(b'\n');
        // An agent that is gone closes the other pipe as well.
        let mut out = io::stdout().lock();
        let _ = out.write_all(&line).and_then(|()| out.flush());
    };
    let gone = async {
        let mut rest = [0; 64];
        while input.read(&mut rest).await.is_ok_and(|read| read > 0) {}
    };
    tokio::select! {
        ended = pass(world, &request, &mut say) => Ok(ended.outcome),
        // Whatever was started is killed with the future; an activation goes on, and is found again.
        () = gone => Ok(Outcome::Failed),
    }
}
