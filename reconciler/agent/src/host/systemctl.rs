//! Asking systemd how units are, by `systemctl show`. Changes none of them.

use crate::process::{Command, Exit, RunError, locate};
use std::path::PathBuf;
use std::time::Duration;

/// How long systemctl may take: a call on D-Bus gives up after 25 s.
const LIMIT: Duration = Duration::from_secs(60);
/// How many units are asked about at once: their names are arguments.
const AT_ONCE: usize = 200;
/// The properties that are asked for.
const PROPERTIES: &str =
    "Id,Names,LoadState,ActiveState,SubState,Type,Result,ConditionResult,NeedDaemonReload";

/// systemd could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum SystemctlError {
    /// It could not be run.
    #[error("cannot ask systemd about units")]
    Run(#[source] RunError),
    /// It failed.
    #[error("systemctl does not say how units are: {said}")]
    Refused {
        /// What it said.
        said: String,
    },
}

/// How a unit is, in systemd's words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnitState {
    /// The name it was asked by.
    pub name: String,
    /// `loaded`, `not-found`, `masked`, `error`, `bad-setting`.
    pub load: String,
    /// `active`, `inactive`, `failed`, `activating`, ….
    pub active: String,
    /// Finer than `active`: `running`, `exited`, `auto-restart`, ….
    pub sub: String,
    /// A service's type; empty for what is no service.
    pub kind: String,
    /// How it ended the last time: `success` or why not.
    pub result: String,
    /// Whether its conditions held the last time it was started.
    pub condition: String,
    /// Whether its file is newer than what systemd read.
    pub stale: bool,
}

impl UnitState {
    /// How it is instead of running; none where it runs, or ran to its end as it should.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        match (self.active.as_str(), self.sub.as_str()) {
            ("failed", _) => Some(match self.result.as_str() {
                "" | "success" => "failed".to_owned(),
                result => format!("failed ({result})"),
            }),
            (_, "auto-restart" | "auto-restart-queued") => Some("restarted again and again".to_owned()),
            _ => None,
        }
    }

    /// As [`UnitState::trouble`], for one that is declared to be started: ended is not running, unless it is one
    /// that does its work once, or one whose conditions do not hold here.
    #[must_use]
    pub fn trouble_of_wanted(&self) -> Option<String> {
        self.trouble().or_else(|| {
            let may_rest = self.kind == "oneshot" || self.condition == "no";
            (self.active == "inactive" && !may_rest).then(|| "not running".to_owned())
        })
    }
}

/// `systemctl` of the system's own systemd, as [`unit_states`] takes it.
#[must_use]
pub fn systemctl(folders: &[PathBuf], environment: &[(String, String)]) -> Command {
    // One that is missing fails to start, by its name.
    let program = locate("systemctl", folders).unwrap_or_else(|| "systemctl".into());
    let command = Command::new(program, LIMIT);
    environment
        .iter()
        .fold(command, |command, (name, value)| command.env(name, value))
}

/// Asks how units are, in the order of their names; `systemctl` says whom, with everything before its verb.
pub async fn unit_states(systemctl: &Command, names: &[String]) -> Result<Vec<UnitState>, SystemctlError> {
    let mut states = Vec::with_capacity(names.len());
    for names in names.chunks(AT_ONCE) {
        let command = systemctl
            .clone()
            .arg("show")
            .arg(format!("--property={PROPERTIES}"))
            .arg("--")
            .args(names);
        let finished = command.run(&mut |_| {}).await.map_err(SystemctlError::Run)?;
        if finished.exit != Exit::Code(0) {
            return Err(SystemctlError::Refused {
                said: crate::text::plain(finished.stderr.trim()),
            });
        }
        states.extend(read(&String::from_utf8_lossy(&finished.stdout), names));
    }
    Ok(states)
}

/// Reads what `systemctl show` prints: `Name=value` lines, an empty line between two units, in the order in which
/// they were asked for.
fn read(shown: &str, names: &[String]) -> Vec<UnitState> {
    let blocks: Vec<&str> = shown.split("\n\n").collect();
    let states = names.iter().enumerate().map(|(at, name)| {
        let value = |key: &str| {
            blocks
                .get(at)
                .and_then(|block| {
                    block
                        .lines()
                        .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
                })
                .unwrap_or_default()
                .trim()
                .to_owned()
        };
        UnitState {
            name: name.clone(),
            load: value("LoadState"),
            active: value("ActiveState"),
            sub: value("SubState"),
            kind: value("Type"),
            result: value("Result"),
            condition: value("ConditionResult"),
            stale: value("NeedDaemonReload") == "yes",
        }
    });
    states.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_is_read_in_order() {
        let shown = "Type=simple\nResult=success\nId=web.service\nNames=web.service\nLoadState=loaded\nActiveState=active\n\
                     SubState=running\nConditionResult=yes\nNeedDaemonReload=yes\n\n\
                     Id=gone.service\nNames=gone.service\nLoadState=not-found\nActiveState=inactive\nSubState=dead\n\
                     ConditionResult=no\nNeedDaemonReload=no\n";
        let names = ["web.service".to_owned(), "gone.service".to_owned()];
        let states = read(shown, &names);
        assert_eq!(states.len(), 2);
        assert_eq!(
            (states[0].load.as_str(), states[0].stale, states[0].trouble()),
            ("loaded", true, None)
        );
        assert_eq!(
            (states[1].name.as_str(), states[1].load.as_str()),
            ("gone.service", "not-found")
        );
    }

    #[test]
    fn what_rests_is_no_trouble_and_what_failed_is() {
        let state = |active: &str, sub: &str, kind: &str, condition: &str| UnitState {
            active: active.to_owned(),
            sub: sub.to_owned(),
            kind: kind.to_owned(),
            condition: condition.to_owned(),
            result: "exit-code".to_owned(),
            ..UnitState::default()
        };
        let table = [
            (state("active", "running", "simple", "yes"), None, None),
            (
                state("failed", "failed", "oneshot", "yes"),
                Some("failed (exit-code)"),
                Some("failed (exit-code)"),
            ),
            (
                state("activating", "auto-restart", "simple", "yes"),
                Some("restarted again and again"),
                Some("restarted again and again"),
            ),
            (state("inactive", "dead", "oneshot", "yes"), None, None),
            (state("inactive", "dead", "simple", "no"), None, None),
            (
                state("inactive", "dead", "simple", "yes"),
                None,
                Some("not running"),
            ),
        ];
        for (state, any, wanted) in table {
            assert_eq!(state.trouble().as_deref(), any, "{state:?}");
            assert_eq!(state.trouble_of_wanted().as_deref(), wanted, "{state:?}");
        }
    }
}
