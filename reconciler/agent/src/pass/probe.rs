//! One look of one probe, with its limit. Remembers nothing and decides nothing.

use super::World;
use crate::host;
use crate::process::{Command, Exit, Finished, RunError};
use crate::secrets::sources;
use crate::source::PollError;
use crate::text;
use nix_daemon_client::{Client, ConnectError, ConnectOptions};
use reconciler_policies::{Check, Probe};
use reconciler_vars::Identities;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long a look of a probe that is built in may take.
pub(super) const BUILT_IN: Duration = Duration::from_secs(30);

/// What is looked at.
#[derive(Debug, Clone, Copy)]
pub(super) enum Subject<'a> {
    /// The fleet's remote, with the credentials that the agent has.
    Remote,
    /// The nix-daemon.
    NixDaemon,
    /// The agent that would be started now: an agent that does not start, or cannot read its configuration, never
    /// hears of the commit that mends it.
    Agent,
    /// A key of this machine.
    Key {
        /// What is encrypted to it.
        recipient: &'a str,
    },
    /// One of the policy's.
    Declared(&'a Probe),
}

/// Why a probe does not pass.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProbeError {
    /// The remote.
    #[error(transparent)]
    Remote(#[from] PollError),
    /// The nix-daemon.
    #[error(transparent)]
    NixDaemon(#[from] ConnectError),
    /// There was no answer.
    #[error("no answer within {}", text::duration(*limit))]
    Silent {
        /// The limit.
        limit: Duration,
    },
    /// A program could not be run to its end.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A program failed.
    #[error("{exit}{}", said(output))]
    Exit {
        /// How it ended.
        exit: Exit,
        /// What it said.
        output: String,
    },
    /// A key is not there any more.
    #[error("no key of this machine opens what is encrypted to it")]
    NoKey,
    /// No connection was taken.
    #[error("cannot connect to {address}")]
    Connect {
        /// Where.
        address: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A unit does not run.
    #[error("it is {state}")]
    Unit {
        /// What it is instead.
        state: String,
    },
    /// Nothing here could tell of units.
    #[error("no service manager runs this host")]
    NoManager,
    /// A unit is started again and again.
    #[error("it was started again, {times} time(s) since the activation")]
    Restarted {
        /// How often.
        times: u64,
    },
}

/// Looks once. For a unit, how often it was started again since somebody started it.
pub(super) async fn look(world: &World, subject: &Subject<'_>) -> Result<Option<u64>, ProbeError> {
    let built_in = |limit| ProbeError::Silent { limit };
    match subject {
        // Its own limits are the configuration's.
        Subject::Remote => world.source.poll().await.map(|_| None).map_err(ProbeError::from),
        Subject::NixDaemon => {
            let options = ConnectOptions::default();
            let asked = Client::connect(world.settings.nix.daemon.as_std_path(), &options);
            let answer = timeout(BUILT_IN, asked).await.map_err(|_| built_in(BUILT_IN))?;
            answer.map(|_| None).map_err(ProbeError::from)
        }
        Subject::Agent => {
            let settings = &world.settings;
            let profile = settings.nix.state.join("profiles/system");
            let program = host::agent_program(&settings.paths.root, &profile, &world.program);
            let status = Command::new(program, BUILT_IN)
                .args(["--config", world.config.as_str(), "status", "--json"])
                .env("PATH", world.environment.search_path());
            passes(status, Said::First).await
        }
        Subject::Key { recipient } => match recipients(world).iter().any(|found| found == recipient) {
            true => Ok(None),
            false => Err(ProbeError::NoKey),
        },
        Subject::Declared(probe) => declared(world, &probe.check, probe.timeout.get()).await,
    }
}

/// What is encrypted to this machine's keys.
pub(super) fn recipients(world: &World) -> Vec<String> {
    let (identities, _) = Identities::load(&sources(&world.settings.identity, &[]));
    let recipients = identities.recipients().iter();
    recipients.map(|info| info.recipient.clone()).collect()
}

async fn declared(world: &World, check: &Check, limit: Duration) -> Result<Option<u64>, ProbeError> {
    match check {
        Check::Command(command) => {
            let command = Command::new(command.program(), limit)
                .args(command.arguments())
                .env("PATH", world.environment.search_path())
                .env("RECONCILER_ROOT", world.settings.paths.root.as_str());
            passes(command, Said::Last).await
        }
        Check::Http { url, status } => {
            // In a process of its own: the certificates of the host are read as they are now, and a server that
            // sends for ever is cut off with it.
            let mut command = Command::new(&world.binary, limit).args(["probe-http", url]);
            if let Some(status) = status {
                command = command.arg(format!("--status={status}"));
            }
            passes(command, Said::First).await
        }
        Check::Tcp(address) => {
            let connected = timeout(limit, TcpStream::connect(address.as_str())).await;
            let connected = connected.map_err(|_| ProbeError::Silent { limit })?;
            connected.map(|_| None).map_err(|source| ProbeError::Connect {
                address: address.clone(),
                source,
            })
        }
        Check::Unit(unit) => {
            let folders = &world.environment.folders;
            let Some(asked) = host::unit_query(&world.settings.paths.root, folders, unit, limit) else {
                return Err(ProbeError::NoManager);
            };
            let Finished { exit, stdout, stderr } = asked.run(&mut |_| {}).await?;
            match host::unit_state(&String::from_utf8_lossy(&stdout)) {
                Ok(restarts) if exit == Exit::Code(0) => Ok(restarts),
                Ok(_) => Err(ProbeError::Exit {
                    exit,
                    output: stderr.to_string(),
                }),
                Err(state) => Err(ProbeError::Unit { state }),
            }
        }
    }
}

/// Which line of its standard error is told of a program that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    First,
    Last,
}

async fn passes(command: Command, said: Said) -> Result<Option<u64>, ProbeError> {
    let finished = command.run(&mut |_| {}).await?;
    if finished.exit == Exit::Code(0) {
        return Ok(None);
    }
    let mut lines = finished.stderr.lines().filter(|line| !line.trim().is_empty());
    let line = match said {
        Said::First => lines.next(),
        Said::Last => lines.next_back(),
    };
    Err(ProbeError::Exit {
        exit: finished.exit,
        output: text::plain(line.unwrap_or_default()),
    })
}

fn said(output: &str) -> String {
    match output.trim() {
        "" => String::new(),
        output => format!(": {output}"),
    }
}
