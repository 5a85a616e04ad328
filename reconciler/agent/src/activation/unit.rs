//! A transient unit of systemd: starting it with systemd-run, asking what became of it, ending it. Knows
//! nothing of transactions.

use super::files::Files;
use super::handle::Presence;
use crate::class::Invocation;
use crate::process::{Command, Exit, Finished, RunError, locate};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// How long systemd-run may take: with `--service-type=exec` it waits until the program runs.
const START_LIMIT: Duration = Duration::from_secs(60);
/// How long systemctl may take: a call on D-Bus gives up after 25 s.
const ASK_LIMIT: Duration = Duration::from_secs(30);
/// How long beyond the agent's limit systemd lets a unit run that no agent ended.
const GRACE: Duration = Duration::from_secs(60);

/// What systemd-run says when it has asked systemd for nothing yet.
const BEFORE_ASKING: [&str; 3] = [
    "Failed to connect to",
    "Failed to create bus connection",
    "Failed to find executable",
];
/// What systemd-run says when systemd was asked and answered, or the connection broke.
const ASKED: &str = "Failed to start transient service unit:";
/// systemd's answers that are a refusal. Whatever else follows [`ASKED`] may have come after the unit was made.
const REFUSALS: [&str; 7] = [
    "Access denied",
    "Permission denied",
    "Interactive authentication required",
    "Cannot set property",
    "Unknown assignment",
    "is destructive",
    "is masked",
];
/// systemd's answers when a unit has the name: before and since systemd 246.
const TAKEN: [&str; 2] = ["already exists", "already loaded"];

/// How long a unit may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Endurance {
    /// It ends by itself; where it does not, systemd ends it this long, and a minute, after its start.
    Bounded(Duration),
    /// Until it is done or told to stop: whatever else ends it, systemd starts it again.
    UntilDone,
}

/// What came of asking systemd to start a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Start {
    /// It was started, or may have been.
    Asked,
    /// Another unit has its name; this one was not started.
    Taken,
    /// It was not started; what systemd-run said.
    Refused(String),
}

/// systemd by its two tools, wherever they are at the moment of asking: an activation may move them.
#[derive(Debug)]
pub(super) struct Systemd {
    folders: Vec<PathBuf>,
    instance: Instance,
}

/// Whose systemd it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Instance {
    System,
    User,
}

impl Systemd {
    /// The one whose tools are in these folders.
    pub(super) fn among(folders: &[PathBuf]) -> Systemd {
        Systemd {
            folders: folders.to_vec(),
            instance: Instance::System,
        }
    }

    /// The one of the user that this process runs as.
    pub(super) fn of_user(folders: &[PathBuf]) -> Systemd {
        Systemd {
            folders: folders.to_vec(),
            instance: Instance::User,
        }
    }

    /// The tool that is not there, if one is not.
    pub(super) fn missing_tool(&self) -> Option<&'static str> {
        ["systemd-run", "systemctl"]
            .into_iter()
            .find(|program| locate(program, &self.folders).is_none())
    }

    /// Starts a unit. An error says that systemd-run itself could not be started.
    pub(super) async fn start(
        &self,
        files: &Files,
        invocation: &Invocation,
        environment: &[(String, String)],
        endurance: Endurance,
    ) -> Result<Start, RunError> {
        let shell = locate("sh", &self.folders).unwrap_or_else(|| PathBuf::from("/bin/sh"));
        // Written by systemd when the unit ends, however it ends; not by the script, which may be killed.
        // No `$` in it: a daemon-reload in the activation has systemd 252 read the unit again with the escaping of
        // it kept. The three values come one a line.
        let record = format!(
            "ExecStopPost={} -c 'printenv SERVICE_RESULT EXIT_CODE EXIT_STATUS > {result}.tmp && mv {result}.tmp {result}'",
            shell.display(),
            result = files.result,
        );
        let mut command = self
            .command("systemd-run", START_LIMIT)
            .args(["--collect", "--no-ask-password", "--quiet", "--service-type=exec"])
            .arg(format!("--unit={}", invocation.unit))
            .arg("-p")
            .arg(format!("StandardOutput=append:{}", files.log))
            .args(["-p", "StandardError=inherit", "-p", "WorkingDirectory=/", "-p"])
            .arg(record);
        command = match endurance {
            Endurance::Bounded(limit) => command
                .arg("-p")
                // The agent ends it at its limit; this ends it when the agent is dead.
                .arg(format!("RuntimeMaxSec={}", (limit + GRACE).as_secs())),
            Endurance::UntilDone => command.args([
                "-p",
                "Restart=on-failure",
                "-p",
                "RestartSec=5",
                "-p",
                "StartLimitIntervalSec=0",
                "-p",
                "OOMScoreAdjust=-900",
            ]),
        };
        for (name, value) in environment.iter().chain(&invocation.environment) {
            command = command.arg("-E").arg(format!("{name}={value}"));
        }
        let ran = command
            .arg("--")
            .arg(&invocation.program)
            .args(&invocation.arguments)
            .env("PATH", "/usr/bin:/bin")
            .run(&mut |_| {})
            .await;
        match ran {
            Ok(finished) => Ok(understand(finished.exit, &finished.stderr)),
            Err(error @ RunError::Start { .. }) => Err(error),
            // It was cut off: whether systemd had heard it by then, the unit tells.
            Err(_) => Ok(Start::Asked),
        }
    }

    /// Asks what became of a unit.
    pub(super) async fn presence(&self, unit: &str) -> Presence {
        let asked = self
            .command("systemctl", ASK_LIMIT)
            .args(["show", "--property=LoadState,ActiveState,Job", unit])
            .run(&mut |_| {})
            .await;
        match asked {
            Ok(Finished {
                exit: Exit::Code(0),
                stdout,
                ..
            }) => presence(&String::from_utf8_lossy(&stdout)),
            Ok(_) | Err(_) => Presence::Unknown,
        }
    }

    /// Has a unit stop, and does not wait for it.
    pub(super) async fn stop(&self, unit: &str) {
        // One that does not stop finds nothing to do when its time comes.
        let _ = self
            .command("systemctl", ASK_LIMIT)
            .args(["stop", "--no-block", unit])
            .run(&mut |_| {})
            .await;
    }

    /// Kills a unit with all its processes, and takes it out of systemd's queue if it waits there.
    pub(super) async fn end(&self, unit: &str) {
        for arguments in [["kill", "--signal=SIGKILL"], ["stop", "--no-block"]] {
            // Where systemd does not answer, `RuntimeMaxSec=` ends it.
            let _ = self
                .command("systemctl", ASK_LIMIT)
                .args(arguments)
                .arg(unit)
                .run(&mut |_| {})
                .await;
        }
    }

    /// What is known of each of some units, by the names they were asked by; none where systemd gives no answer.
    pub(super) async fn known(&self, units: &[String]) -> Option<BTreeMap<String, Known>> {
        let asked = self
            .command("systemctl", ASK_LIMIT)
            .args([
                "show",
                "--property=ActiveState,SubState,Result,InvocationID",
                "--",
            ])
            .args(units)
            .run(&mut |_| {})
            .await;
        match asked {
            Ok(Finished {
                exit: Exit::Code(0),
                stdout,
                ..
            }) => known(units, &String::from_utf8_lossy(&stdout)),
            Ok(_) | Err(_) => None,
        }
    }

    /// Restarts those of some units that run, in the order that their dependencies ask for, and waits for it at
    /// most this long. What became of each, the unit tells.
    pub(super) async fn restart_running(&self, units: &[String], limit: Duration) {
        self.ask_for("try-restart", units, limit).await;
    }

    /// As above, and starts those that do not run: how often they failed by now counts for nothing.
    pub(super) async fn restart(&self, units: &[String], limit: Duration) {
        self.ask_for("reset-failed", units, ASK_LIMIT).await;
        self.ask_for("restart", units, limit).await;
    }

    async fn ask_for(&self, verb: &str, units: &[String], limit: Duration) {
        let asked = self
            .command("systemctl", limit)
            .args([verb, "--no-ask-password", "--"])
            .args(units)
            .run(&mut |_| {})
            .await;
        if let Err(error) = asked {
            tracing::warn!("systemctl {verb}: {error}");
        }
    }

    fn command(&self, tool: &'static str, limit: Duration) -> Command {
        // One that is missing fails to start, by its name.
        let command = Command::new(locate(tool, &self.folders).unwrap_or_else(|| tool.into()), limit);
        match self.instance {
            Instance::System => command,
            Instance::User => command
                .arg("--user")
                .env("XDG_RUNTIME_DIR", crate::host::users_runtime()),
        }
    }
}

/// What systemd knows of a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    /// `ActiveState`.
    pub(super) active: String,
    /// `SubState`.
    pub(super) sub: String,
    /// `Result`: how its last run ended; only units that run something have one.
    pub(super) result: String,
    /// `InvocationID`: another for each run.
    pub(super) invocation: String,
}

impl Known {
    /// Whether it is in a run.
    pub(super) fn is_started(&self) -> bool {
        !matches!(self.active.as_str(), "inactive" | "failed")
    }
}

/// Reads what `systemctl show` prints of several units: a paragraph for each, in the order they were asked for.
fn known(units: &[String], shown: &str) -> Option<BTreeMap<String, Known>> {
    let paragraphs: Vec<_> = shown.trim().split("\n\n").collect();
    // A pattern or an alias would shift them.
    if paragraphs.len() != units.len() {
        return None;
    }
    let known = |paragraph: &str| {
        let value = |name: &str| {
            let mut lines = paragraph.lines();
            lines.find_map(|line| Some(line.strip_prefix(name)?.strip_prefix('=')?.to_owned()))
        };
        Some(Known {
            active: value("ActiveState")?,
            sub: value("SubState").unwrap_or_default(),
            result: value("Result").unwrap_or_default(),
            invocation: value("InvocationID").unwrap_or_default(),
        })
    };
    let pairs = units.iter().zip(paragraphs);
    pairs
        .map(|(unit, paragraph)| Some((unit.clone(), known(paragraph)?)))
        .collect()
}

/// What systemd-run's end means. Only a clear refusal is one: whatever is unclear is left to the unit itself.
fn understand(exit: Exit, said: &str) -> Start {
    let says = |words: &[&str]| words.iter().any(|word| said.contains(word));
    if exit == Exit::Code(0) {
        Start::Asked
    } else if says(&TAKEN) {
        Start::Taken
    } else if says(&BEFORE_ASKING) || (said.contains(ASKED) && says(&REFUSALS)) {
        Start::Refused(said.lines().next().unwrap_or_default().to_owned())
    } else {
        Start::Asked
    }
}

/// Reads what `systemctl show` prints: `Name=value`, one a line, a `Job` only where one is queued.
fn presence(shown: &str) -> Presence {
    let value = |name: &str| {
        shown
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
            .unwrap_or_default()
    };
    let queued = !matches!(value("Job"), "" | "0");
    match (value("LoadState"), value("ActiveState")) {
        ("", _) | (_, "") => Presence::Unknown,
        _ if queued => Presence::Alive,
        // A file that systemd remembers and no longer finds is an error to it, once it has reloaded.
        ("not-found" | "error", "inactive" | "failed") => Presence::Gone,
        (_, "inactive" | "failed") => Presence::Ended,
        (_, _) => Presence::Alive,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_unit_has_its_paragraph() {
        let units = ["a.service", "b.service"].map(str::to_owned);
        let shown = "Result=success\nInvocationID=1f\nActiveState=active\nSubState=running\n\n\
                     ActiveState=inactive\nSubState=dead\n";
        let found = known(&units, shown).unwrap();
        assert_eq!(found["a.service"].invocation, "1f");
        assert!(found["a.service"].is_started() && !found["b.service"].is_started());
        assert_eq!(known(&units, "ActiveState=active\n"), None);
        assert_eq!(known(&units, "Result=success\n\nResult=success\n"), None);
    }

    #[test]
    fn only_a_clear_refusal_is_one() {
        let refused = |said: &str| Start::Refused(said.to_owned());
        let unit = "nixos-rebuild-switch-to-configuration.service";
        let table = [
            (Exit::Code(0), String::new(), Start::Asked),
            (
                Exit::Code(1),
                format!("{ASKED} Unit {unit} was already loaded or has a fragment file."),
                Start::Taken,
            ),
            (
                Exit::Code(1),
                format!("{ASKED} Unit {unit} already exists."),
                Start::Taken,
            ),
            (
                Exit::Code(1),
                format!("{ASKED} Connection timed out"),
                Start::Asked,
            ),
            (
                Exit::Code(1),
                format!("{ASKED} Connection reset by peer"),
                Start::Asked,
            ),
            (
                Exit::Code(1),
                format!("Job for {unit} failed because the control process exited with error code."),
                Start::Asked,
            ),
            (Exit::Code(1), String::new(), Start::Asked),
            (Exit::Signal(9), String::new(), Start::Asked),
        ];
        for (exit, said, meaning) in table {
            assert_eq!(understand(exit, &said), meaning, "{exit}: {said}");
        }
        for said in [
            "Failed to connect to bus: No such file or directory".to_owned(),
            format!("{ASKED} Access denied"),
            format!(
                "{ASKED} Transaction for {unit}/start is destructive (reboot.target has 'start' job queued)."
            ),
        ] {
            assert_eq!(understand(Exit::Code(1), &said), refused(&said));
        }
    }

    #[test]
    fn a_unit_is_gone_only_when_systemd_says_so() {
        for (shown, meaning) in [
            ("LoadState=loaded\nActiveState=active\n", Presence::Alive),
            (
                "LoadState=loaded\nActiveState=activating\nJob=17\n",
                Presence::Alive,
            ),
            (
                "LoadState=loaded\nActiveState=deactivating\nJob=\n",
                Presence::Alive,
            ),
            (
                "Job=17\nLoadState=loaded\nActiveState=inactive\n",
                Presence::Alive,
            ),
            ("LoadState=loaded\nActiveState=failed\n", Presence::Ended),
            ("Job=0\nLoadState=loaded\nActiveState=inactive\n", Presence::Ended),
            ("LoadState=not-found\nActiveState=inactive\n", Presence::Gone),
            ("LoadState=error\nActiveState=inactive\n", Presence::Gone),
            ("LoadState=not-found\n", Presence::Unknown),
            ("", Presence::Unknown),
        ] {
            assert_eq!(presence(shown), meaning, "{shown}");
        }
    }
}
