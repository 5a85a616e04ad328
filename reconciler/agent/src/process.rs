//! The one runner of subprocesses: cleared environment, own process group, a time limit, bounded output.
//!
//! A process that is dropped, cancelled or out of time is killed with its whole group. What a tool is and
//! what its output means belongs to that tool's own module, never here.

use reconciler_vars::{Wiped, lossy};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use unix::sys::signal::{Signal, killpg};
use unix::unistd::Pid;
use zeroize::Zeroizing;

/// The most that is kept of what a process writes to either stream, in bytes.
const OUTPUT_LIMIT: usize = 64 << 20;
/// The longest line of standard error that is passed on whole, in bytes.
const LINE_LIMIT: usize = 16 << 10;

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exit {
    /// It exited with this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Exit::Code(code) => write!(f, "exit code {code}"),
            Exit::Signal(signal) => match Signal::try_from(*signal) {
                Ok(name) => write!(f, "{name}"),
                Err(_) => write!(f, "signal {signal}"),
            },
        }
    }
}

impl From<std::process::ExitStatus> for Exit {
    fn from(status: std::process::ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(code), _) => Exit::Code(code),
            (None, Some(signal)) => Exit::Signal(signal),
            (None, None) => Exit::Code(-1),
        }
    }
}

/// The user a process runs as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account {
    /// Numeric user id.
    pub uid: u32,
    /// Numeric group id; there are no supplementary groups.
    pub gid: u32,
}

/// A process to be run.
#[derive(Debug, Clone)]
pub struct Command {
    program: PathBuf,
    arguments: Vec<OsString>,
    environment: BTreeMap<OsString, OsString>,
    folder: PathBuf,
    input: Zeroizing<Vec<u8>>,
    account: Option<Account>,
    limit: Duration,
    heard: Heard,
}

/// What becomes of a process's standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Heard {
    /// It is passed on and kept.
    Kept,
    /// It is passed on.
    Passed,
}

/// What a process left.
#[derive(Debug)]
pub struct Finished {
    /// How it ended.
    pub exit: Exit,
    /// All of its standard output. A generator may say a secret: nothing of it stays in memory behind this.
    pub stdout: Zeroizing<Vec<u8>>,
    /// All of its standard error, lossily as text; the same holds for it.
    pub stderr: Zeroizing<String>,
}

/// A process that gave no result.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// It could not be started.
    #[error("cannot start {program}")]
    Start {
        /// The program.
        program: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It did not end in time and was killed with its process group.
    #[error("{program} did not end within {}", crate::text::duration(*limit))]
    TimedOut {
        /// The program.
        program: String,
        /// The limit it was given.
        limit: Duration,
        /// What it had written to standard error by then.
        stderr: Zeroizing<String>,
    },
    /// It wrote more than is kept of any process.
    #[error("{program} wrote more than {} MiB", OUTPUT_LIMIT >> 20)]
    TooMuchOutput {
        /// The program.
        program: String,
    },
    /// Its streams could not be read or written.
    #[error("cannot talk to {program}")]
    Talk {
        /// The program.
        program: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl Command {
    /// A command with an empty environment, in `/`, with nothing on its standard input.
    pub fn new(program: impl Into<PathBuf>, limit: Duration) -> Self {
        Command {
            program: program.into(),
            arguments: Vec::new(),
            environment: BTreeMap::new(),
            folder: PathBuf::from("/"),
            input: Zeroizing::default(),
            account: None,
            limit,
            heard: Heard::Kept,
        }
    }

    /// Adds one argument. Arguments are seen by every user of the machine: never a secret.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// Adds several arguments.
    #[must_use]
    pub fn args<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(mut self, arguments: I) -> Self {
        self.arguments
            .extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    /// Sets one variable of its environment.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.environment
            .insert(name.as_ref().to_owned(), value.as_ref().to_owned());
        self
    }

    /// What it reads on its standard input.
    #[must_use]
    pub fn input(mut self, input: impl Into<Zeroizing<Vec<u8>>>) -> Self {
        self.input = input.into();
        self
    }

    /// The folder it starts in.
    #[must_use]
    pub fn folder(mut self, folder: impl AsRef<Path>) -> Self {
        self.folder = folder.as_ref().to_owned();
        self
    }

    /// Runs it as another user; needs root.
    #[must_use]
    pub fn account(mut self, account: Option<Account>) -> Self {
        self.account = account;
        self
    }

    /// Does not keep its standard error: whoever hears its lines keeps what matters, however many they are.
    #[must_use]
    pub fn unkept(mut self) -> Self {
        self.heard = Heard::Passed;
        self
    }

    /// The program's name, for messages.
    #[must_use]
    pub fn name(&self) -> String {
        self.program
            .file_name()
            .unwrap_or(self.program.as_os_str())
            .to_string_lossy()
            .into_owned()
    }

    /// Runs it to its end, handing each line of its standard error to `on_line` as it comes.
    pub async fn run(self, on_line: &mut (dyn FnMut(&str) + Send)) -> Result<Finished, RunError> {
        let name = self.name();
        let mut command = tokio::process::Command::new(&self.program);
        command
            .args(&self.arguments)
            .env_clear()
            .envs(&self.environment)
            .current_dir(&self.folder)
            .process_group(0)
            .kill_on_drop(true)
            .stdin(if self.input.is_empty() {
                Stdio::null()
            } else {
                Stdio::piped()
            })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(account) = self.account {
            // With a user set and root as the caller, std drops the supplementary groups as well.
            command.uid(account.uid).gid(account.gid);
        }
        let mut child = command.spawn().map_err(|source| RunError::Start {
            program: name.clone(),
            source,
        })?;
        let mut group = Group(child.id());
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let mut heard = Wiped::new();
        let talk = |source| RunError::Talk {
            program: name.clone(),
            source,
        };

        let ended = tokio::time::timeout(self.limit, async {
            let feed = async {
                if let Some(mut stdin) = stdin {
                    // A process that does not read its input closes the pipe; its exit tells the rest.
                    let _ = stdin.write_all(&self.input).await;
                }
                Ok::<_, RunError>(())
            };
            let read = async {
                let mut kept = Wiped::new();
                let mut piece = Wiped::piece();
                let Some(mut stdout) = stdout else {
                    return Ok(kept);
                };
                loop {
                    let length = stdout.read(&mut piece).await.map_err(talk)?;
                    kept.extend(piece.get(..length).unwrap_or_default());
                    if kept.len() > OUTPUT_LIMIT {
                        return Err(RunError::TooMuchOutput {
                            program: name.clone(),
                        });
                    }
                    if length == 0 {
                        return Ok(kept);
                    }
                }
            };
            let listen = async {
                let Some(mut stderr) = stderr else {
                    return Ok(());
                };
                let mut piece = Wiped::piece();
                let mut line = Wiped::new();
                loop {
                    let length = stderr.read(&mut piece).await.map_err(talk)?;
                    let piece = piece.get(..length).unwrap_or_default();
                    if self.heard == Heard::Kept {
                        if heard.len().saturating_add(length) > OUTPUT_LIMIT {
                            return Err(RunError::TooMuchOutput {
                                program: name.clone(),
                            });
                        }
                        heard.extend(piece);
                    }
                    for mut part in piece.split_inclusive(|byte| *byte == b'\n') {
                        while !part.is_empty() {
                            let room = LINE_LIMIT.saturating_sub(line.len());
                            let (fits, rest) = part.split_at_checked(room).unwrap_or((part, &[]));
                            line.extend(fits);
                            // A line that does not end is passed on in pieces, so that the bound holds for it, too.
                            if line.ends_with(b"\n") || line.len() >= LINE_LIMIT {
                                on_line(lossy(&line).trim_end());
                                line.clear();
                            }
                            part = rest;
                        }
                    }
                    if length == 0 {
                        if !line.is_empty() {
                            on_line(lossy(&line).trim_end());
                        }
                        return Ok(());
                    }
                }
            };
            let ((), stdout, ()) = tokio::try_join!(feed, read, listen)?;
            let status = child.wait().await.map_err(talk)?;
            Ok::<_, RunError>((status, stdout))
        })
        .await;
        match ended {
            Ok(Ok((status, stdout))) => {
                group.0 = None;
                Ok(Finished {
                    exit: status.into(),
                    stdout: stdout.into_bytes(),
                    stderr: lossy(&heard),
                })
            }
            Ok(Err(error)) => Err(error),
            Err(_) => Err(RunError::TimedOut {
                program: name,
                limit: self.limit,
                stderr: lossy(&heard),
            }),
        }
    }
}

/// The process group of a running child: killed whole unless the child was reaped.
#[derive(Debug)]
struct Group(Option<u32>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(id) = self.0.and_then(|id| i32::try_from(id).ok()) {
            let _ = killpg(Pid::from_raw(id), Signal::SIGKILL);
        }
    }
}

/// Finds a program in a list of folders, as a shell finds it in `PATH`.
#[must_use]
pub fn locate(program: &str, folders: &[PathBuf]) -> Option<PathBuf> {
    folders.iter().map(|folder| folder.join(program)).find(|path| {
        use std::os::unix::fs::PermissionsExt;
        path.metadata()
            .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, limit: Duration) -> Command {
        Command::new("/bin/sh", limit).arg("-c").arg(script)
    }

    #[tokio::test]
    async fn keeps_streams_apart_and_reports_the_exit() {
        let mut lines = Vec::new();
        let finished = shell("cat; echo err >&2; exit 7", Duration::from_secs(20))
            .input(b"in".to_vec())
            .run(&mut |line| lines.push(line.to_owned()))
            .await
            .unwrap();
        assert_eq!(
            (finished.exit, finished.stdout.as_slice()),
            (Exit::Code(7), b"in".as_slice())
        );
        assert_eq!(lines, ["err"]);
    }

    #[tokio::test]
    async fn the_environment_is_what_was_set_and_nothing_else() {
        let finished = Command::new("/usr/bin/env", Duration::from_secs(20))
            .env("A", "1")
            .run(&mut |_| {})
            .await
            .unwrap();
        assert_eq!(finished.stdout.as_slice(), b"A=1\n");
    }

    #[tokio::test]
    async fn a_late_process_is_killed_with_its_children() {
        let folder = tempfile::tempdir().unwrap();
        let pid_file = folder.path().join("pid");
        let script = format!(
            "sleep 1000 & echo $! > {}; echo waiting >&2; wait",
            pid_file.display()
        );
        let error = shell(&script, Duration::from_millis(500))
            .run(&mut |_| {})
            .await
            .unwrap_err();
        let RunError::TimedOut { stderr, .. } = &error else {
            panic!("{error}")
        };
        assert_eq!(stderr.as_str(), "waiting\n");
        let pid: i32 = std::fs::read_to_string(&pid_file)
            .unwrap()
            .trim()
            .parse()
            .unwrap();
        // The kill is asynchronous: the child is a zombie of init's at the most, soon gone.
        let gone = || {
            let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            state.is_empty() || state.contains(") Z ")
        };
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        while !gone() {
            assert!(
                std::time::Instant::now() < deadline,
                "the grandchild outlived its group"
            );
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_line_without_an_end_comes_in_pieces() {
        let longest = LINE_LIMIT;
        let mut lengths = Vec::new();
        let script = format!(
            "head -c {} /dev/zero | tr '\\0' x >&2; echo end >&2",
            2 * longest + 5
        );
        let finished = shell(&script, Duration::from_secs(20))
            .run(&mut |line| lengths.push(line.len()))
            .await
            .unwrap();
        assert_eq!(lengths, [longest, longest, 5 + "end".len()]);
        assert_eq!(finished.stderr.len(), 2 * longest + 5 + "end\n".len());
    }

    #[tokio::test]
    async fn a_line_without_an_end_stops_at_the_bound() {
        let error = shell("cat /dev/zero >&2", Duration::from_secs(60))
            .run(&mut |_| {})
            .await
            .unwrap_err();
        assert!(matches!(error, RunError::TooMuchOutput { .. }), "{error}");
    }

    #[tokio::test]
    async fn what_is_not_kept_may_be_any_number_of_lines() {
        let mut heard = 0;
        let script = "yes \"$(head -c 8000 /dev/zero | tr '\\0' x)\" | head -c 70000000 >&2";
        let finished = shell(script, Duration::from_secs(300))
            .unkept()
            .run(&mut |line| heard += line.len())
            .await
            .unwrap();
        assert!(heard > OUTPUT_LIMIT, "{heard}");
        assert_eq!(finished.stderr.as_str(), "");
    }

    #[tokio::test]
    async fn a_missing_program_is_named() {
        let error = Command::new("/nonexistent/tool", Duration::from_secs(1))
            .run(&mut |_| {})
            .await
            .unwrap_err();
        assert_eq!(error.to_string(), "cannot start tool");
    }
}
