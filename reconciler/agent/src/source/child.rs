//! The agent's side of the transport child: starts it, hears it, and kills it with its whole process group when
//! it stalls, when its time is up, or when nobody waits for it any more.

use std::{path::PathBuf, process::Stdio, time::Duration};

use camino::Utf8Path;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    process::{Child, ChildStdout, Command},
    time::timeout,
};
use unix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use zeroize::Zeroizing;

use super::object_id::ObjectId;
use super::{
    failure::RemoteError,
    progress::FetchProgress,
    protocol::{Event, Failure, Request},
    settings::SourceSettings,
};

/// The hidden subcommand of our binary.
const SUBCOMMAND: &str = "git-transport";
/// The longest event: a few branch names and a message.
const LONGEST_EVENT: u64 = 1 << 20;
/// Where no certificate is: libgit2 reads all of the system's when it is set up, which takes most of a short
/// fetch's time, although only `https://` needs them.
pub const NO_CERTIFICATES: [(&str, &str); 2] = [
    ("SSL_CERT_FILE", "/dev/null"),
    ("SSL_CERT_DIR", "/var/empty/certificates"),
];

/// What the child's environment is built from, besides HOME: how to leave the network, and whom to trust there.
const PASSED_ON: [&str; 10] = [
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "ALL_PROXY",
    "all_proxy",
    "NO_PROXY",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];

/// How long the child may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Between two events.
    pub(super) stall: Duration,
    /// In all.
    pub(super) total: Duration,
}

/// How an exchange ended that was not a failure of the machinery.
pub(super) type Outcome = Result<ObjectId, Failure>;

/// The program that serves `git-transport`.
#[derive(Debug, Clone)]
pub(super) struct Program(pub(super) PathBuf);

impl Program {
    /// Lets a child serve `request`.
    pub(super) async fn run(
        &self,
        settings: &SourceSettings,
        request: &Request,
        limits: Limits,
        progress: &mut (dyn FnMut(FetchProgress) + Send),
    ) -> Result<Outcome, RemoteError> {
        let mut group = Group(
            self.command(settings, &request.url)
                .spawn()
                .map_err(RemoteError::Spawn)?,
        );
        let exchange = group.exchange(request, limits.stall, progress);
        match timeout(limits.total, exchange).await {
            Ok(outcome) => outcome,
            Err(_) => Err(RemoteError::TimedOut { after: limits.total }),
        }
    }

    fn command(&self, settings: &SourceSettings, url: &str) -> Command {
        let mut command = Command::new(&self.0);
        command
            .arg0("reconcile")
            .arg(SUBCOMMAND)
            .env_clear()
            .env("HOME", settings.home.as_str())
            .envs(
                PASSED_ON
                    .iter()
                    .filter_map(|name| std::env::var_os(name).map(|value| (name, value))),
            )
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        if !url.starts_with("https://") {
            command.envs(NO_CERTIFICATES);
        } else if let Some(path) = &settings.https.ca_file {
            command
                .env("SSL_CERT_FILE", absolute(path))
                .env_remove("SSL_CERT_DIR");
        }
        if let Some(socket) = &settings.ssh.agent {
            command.env("SSH_AUTH_SOCK", absolute(socket));
        }
        command
    }
}

/// The child runs in `/`.
fn absolute(path: &Utf8Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.as_std_path().to_owned())
}

/// The child and whatever it may start. Gone when this is.
#[derive(Debug)]
struct Group(Child);

impl Group {
    async fn exchange(
        &mut self,
        request: &Request,
        stall: Duration,
        progress: &mut (dyn FnMut(FetchProgress) + Send),
    ) -> Result<Outcome, RemoteError> {
        let mut line = Zeroizing::new(serde_json::to_vec(request).map_err(RemoteError::Protocol)?);
        line.push(b'\n');
        // Held open until the end: its closing is the child's order to go.
        let mut stdin = self.0.stdin.take();
        let stdout = self.0.stdout.take();
        if let Some(stdin) = &mut stdin {
            // A child that is gone already says more by how it ended.
            let _ = stdin.write_all(&line).await;
        }
        if let Some(stdout) = stdout {
            let mut events = Events(BufReader::new(stdout));
            while let Some(event) = timeout(stall, events.next())
                .await
                .map_err(|_| RemoteError::Stalled { after: stall })??
            {
                match event {
                    Event::Progress(counters) => progress(counters),
                    Event::Alive => {}
                    Event::PacksNotJoined { reason } => {
                        tracing::warn!(reason, "cannot join the small packs of the fleet's mirror");
                    }
                    Event::Head { oid } => {
                        let oid = oid
                            .parse::<ObjectId>()
                            .map_err(|error| RemoteError::Protocol(serde::de::Error::custom(error)))?;
                        return Ok(Ok(oid));
                    }
                    Event::Failed { failure } => return Ok(Err(failure)),
                }
            }
        }
        let status = self.0.wait().await.map_err(RemoteError::Spawn)?;
        Err(RemoteError::Died { status })
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // No id once it is reaped, so this never hits another's group.
        if let Some(id) = self.0.id().and_then(|id| i32::try_from(id).ok()) {
            let _ = killpg(Pid::from_raw(id), Signal::SIGKILL);
        }
    }
}

struct Events(BufReader<ChildStdout>);

impl Events {
    async fn next(&mut self) -> Result<Option<Event>, RemoteError> {
        let mut line = Vec::new();
        (&mut self.0)
            .take(LONGEST_EVENT)
            .read_until(b'\n', &mut line)
            .await
            .map_err(RemoteError::Spawn)?;
        if line.is_empty() {
            return Ok(None);
        }
        serde_json::from_slice(&line)
            .map(Some)
            .map_err(RemoteError::Protocol)
    }
}
