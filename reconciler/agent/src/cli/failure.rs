//! What a command fails with, how it is printed, and the exit code it has.

use super::publish::PublishFailure;
use super::style::{Paint, Stream, Style};
use super::vars::{AdminError, CheckError, DecryptError};
use crate::activation::RunnerError;
use crate::config::{ConfigError, SettingsError, UnusableConfig};
use crate::daemon::{AskError, LockError, ServeError, WorkerError};
use crate::durable::DurableError;
use crate::exit::Outcome;
use crate::host::HostError;
use crate::journal::JournalError;
use crate::pass::{RestoreError, WorldError};
use crate::source::{FetchError, MirrorError, PollError};
use camino::Utf8PathBuf;
use std::error::Error;
use std::io::{self, Write};

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum CliError {
    #[error(transparent)]
    Config(#[from] UnusableConfig),
    #[error(transparent)]
    Host(HostError),
    #[error("cannot start the runtime")]
    Runtime(#[source] io::Error),
    #[error(transparent)]
    World(#[from] WorldError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error(transparent)]
    Serve(#[from] ServeError),
    #[error(transparent)]
    Ask(#[from] AskError),
    #[error(transparent)]
    Worker(#[from] WorkerError),
    #[error("stopped; what was begun goes on at the next pass")]
    Stopped,
    #[error(transparent)]
    Runner(#[from] RunnerError),
    #[error("cannot publish the fleet")]
    Publish(#[from] PublishFailure),
    #[error("cannot run {program} as {user}")]
    Become {
        user: String,
        program: String,
        #[source]
        source: io::Error,
    },
    #[error("there is no generation {number}; `reconcile history` lists those that are")]
    NoGeneration { number: u64 },
    #[error("there is no earlier generation to go back to")]
    NoPrevious,
    #[error("cannot find {name} in the fleet")]
    Revision {
        name: String,
        #[source]
        source: MirrorError,
    },
    #[error("cannot open the mirror of the fleet")]
    Mirror(#[source] MirrorError),
    #[error("the agent has not run here yet: there is no journal in {state}")]
    NeverRan { state: Utf8PathBuf },
    #[error("{file} is there already")]
    ConfigExists { file: Utf8PathBuf },
    #[error(transparent)]
    Durable(#[from] DurableError),
    #[error(transparent)]
    Poll(PollError),
    #[error(transparent)]
    Fetch(FetchError),
    #[error(transparent)]
    Decrypt(#[from] DecryptError),
    #[error(transparent)]
    Check(#[from] CheckError),
    #[error(transparent)]
    Admin(#[from] AdminError),
    #[error("{name} was never active on this machine")]
    NeverActive { name: String },
    #[error("cannot ask the nix-daemon what is in the store")]
    Daemon(#[source] nix_daemon_client::ConnectError),
    #[error(transparent)]
    Restore(#[from] RestoreError),
    #[error("no answer over http")]
    Probe(#[source] reqwest::Error),
    #[error("{url} answers with status {status}")]
    ProbeStatus { url: String, status: u16 },
    #[error("transaction {transaction} could not be undone: {summary}")]
    Undo { transaction: i64, summary: String },
    #[error("cannot print the result")]
    Print(#[source] io::Error),
    #[error("cannot write the result as JSON")]
    Json(#[source] serde_json::Error),
}

impl CliError {
    /// The outcome, and with it the exit code.
    pub(super) fn outcome(&self) -> Outcome {
        match self {
            CliError::Config(_)
            | CliError::NoGeneration { .. }
            | CliError::NoPrevious
            | CliError::NeverActive { .. }
            | CliError::Revision { .. }
            | CliError::NeverRan { .. }
            | CliError::ConfigExists { .. }
            | CliError::Journal(JournalError::Newer { .. })
            | CliError::World(
                WorldError::Url(_)
                | WorldError::Source(_)
                | WorldError::EvaluatorUser { .. }
                | WorldError::Journal(JournalError::Newer { .. }),
            ) => Outcome::Usage,
            CliError::Lock(LockError::Held) | CliError::Serve(ServeError::Lock(LockError::Held)) => {
                Outcome::Busy
            }
            CliError::Publish(
                PublishFailure::Map(_)
                | PublishFailure::Write(_)
                | PublishFailure::NoGit
                | PublishFailure::Run(_)
                | PublishFailure::Git { .. },
            ) => Outcome::Failed,
            CliError::Publish(
                PublishFailure::Directory(_)
                | PublishFailure::Folder { .. }
                | PublishFailure::NoCheckout { .. }
                | PublishFailure::Checkout(_),
            ) => Outcome::Usage,
            CliError::Publish(_) => Outcome::EvaluationFailed,
            CliError::Poll(_) | CliError::Fetch(_) => Outcome::FetchFailed,
            CliError::Decrypt(error) => error.outcome(),
            CliError::Check(error) => error.outcome(),
            CliError::Admin(error) => error.outcome(),
            CliError::Restore(error) => error.outcome(),
            CliError::Host(_)
            | CliError::Runtime(_)
            | CliError::World(_)
            | CliError::Journal(_)
            | CliError::Lock(_)
            | CliError::Serve(_)
            | CliError::Ask(_)
            | CliError::Worker(_)
            | CliError::Stopped
            | CliError::Runner(_)
            | CliError::Become { .. }
            | CliError::Mirror(_)
            | CliError::Daemon(_)
            | CliError::Durable(_)
            | CliError::Probe(_)
            | CliError::ProbeStatus { .. }
            | CliError::Undo { .. }
            | CliError::Print(_)
            | CliError::Json(_) => Outcome::Failed,
        }
    }

    fn hint(&self) -> Option<String> {
        let text = |text: &str| Some(text.to_owned());
        match self {
            CliError::NeverActive { name } => Some(format!(
                "`reconcile plan --revision {name}` shows what it would change"
            )),
            CliError::Config(UnusableConfig::Read(ConfigError::Missing { .. })) => {
                text("`reconcile init URL` writes one; `--config FILE` names another")
            }
            CliError::Config(UnusableConfig::Settings {
                source: SettingsError::NoUrl,
                ..
            }) => text("add `url = \"https://…\"` below `[fleet]`"),
            CliError::Journal(JournalError::Newer { .. })
            | CliError::World(WorldError::Journal(JournalError::Newer { .. })) => {
                text("a newer agent wrote it: run that one, or move the journal away to begin anew")
            }
            CliError::World(WorldError::Journal(error)) | CliError::Journal(error) if error.is_full() => {
                text("free some space in the state directory")
            }
            CliError::Lock(LockError::Held) | CliError::Serve(ServeError::Lock(LockError::Held)) => {
                text("`reconcile status` shows what it does")
            }
            CliError::Publish(PublishFailure::Daemon(_)) => text(
                "is the nix-daemon running? In a container that has none, root starts it with `nix-daemon &`; \
                     `NIX_DAEMON_SOCKET_PATH` names another socket",
            ),
            CliError::Publish(PublishFailure::Folder { .. } | PublishFailure::NoCheckout { .. }) => {
                text("name the folder of the checkout: `reconcile publish FOLDER`")
            }
            CliError::Publish(PublishFailure::Tool(error)) => text(error.hint()),
            CliError::Publish(PublishFailure::Git { .. }) => {
                text("may this user push there? the note is written, and the same command pushes it")
            }
            CliError::ConfigExists { .. } => text("`--force` replaces it"),
            CliError::NeverRan { .. } => text("`reconcile now` makes the first pass"),
            CliError::Poll(error) => error.failures.0.iter().find_map(|failure| failure.error.hint()),
            CliError::Decrypt(error) => error.hint(),
            CliError::Check(error) => error.hint(),
            CliError::Admin(error) => error.hint(),
            CliError::Restore(error) => error.hint(),
            error if denied(error) => text("the agent's files are root's: try it with sudo"),
            _ => None,
        }
    }

    /// Prints it to standard error.
    pub(super) fn print(&self, style: Style) {
        let mut causes = Vec::new();
        let mut cause = Error::source(self);
        while let Some(error) = cause {
            causes.push(error.to_string());
            cause = error.source();
        }
        let details = match self {
            CliError::Decrypt(error) => error.details(),
            CliError::Check(error) => error.details(),
            CliError::Admin(error) => error.details(),
            CliError::Restore(error) => error.details(),
            _ => Vec::new(),
        };
        print(
            style,
            &self.to_string(),
            &causes,
            &details,
            self.hint().as_deref(),
        );
    }
}

/// The one shape of an error: what, why, evidence, what to type.
pub(super) fn print(style: Style, summary: &str, causes: &[String], details: &[String], hint: Option<&str>) {
    let mut text = format!("{} {summary}", style.paint(Stream::Err, Paint::Bad, "error:"));
    let mut said = summary.to_owned();
    for cause in causes {
        // A transparent error repeats itself in its source.
        if !said.ends_with(cause.as_str()) && !cause.ends_with(said.as_str()) {
            // What the nix-daemon did meanwhile stands below what it says.
            text.push_str(&format!("\n  because: {}", cause.replace('\n', "\n    ")));
            said.clone_from(cause);
        }
    }
    for line in details {
        text.push_str("\n  ");
        text.push_str(line);
    }
    if let Some(hint) = hint {
        text.push_str(&format!(
            "\n{} {hint}",
            style.paint(Stream::Err, Paint::Waiting, "hint:")
        ));
    }
    text.push('\n');
    // With standard error gone there is nobody left to tell.
    let _ = io::stderr().write_all(text.as_bytes());
}

fn denied(error: &CliError) -> bool {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        let io = error
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::PermissionDenied);
        let sqlite = error
            .downcast_ref::<rusqlite::Error>()
            .and_then(rusqlite::Error::sqlite_error_code);
        let refused = matches!(
            sqlite,
            Some(
                rusqlite::ErrorCode::CannotOpen
                    | rusqlite::ErrorCode::PermissionDenied
                    | rusqlite::ErrorCode::ReadOnly
            )
        );
        if io || (refused && !unix::unistd::geteuid().is_root()) {
            return true;
        }
        cause = error.source();
    }
    false
}
