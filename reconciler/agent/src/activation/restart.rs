//! Restarting units whose secrets changed: those that run, and have not been started since. Knows nothing of
//! secrets.

use super::unit::{Known, Systemd};
use crate::host::Supervisor;
use crate::transaction::{RunningUnit, Side};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How often units are looked at.
const PAUSE: Duration = Duration::from_millis(200);
/// How long a unit has to run to count as running: what reads its secret when it starts ends at once where it
/// cannot use it.
const STEADY: Duration = Duration::from_secs(1);

/// Restarts units.
#[derive(Debug)]
pub struct Restarter {
    systemd: Systemd,
    /// How long their stops and starts may take altogether.
    limit: Duration,
    /// How long they are given to run afterwards.
    grace: Duration,
}

/// How a restarted unit is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    /// It did what it is for, and need not run.
    Done,
    /// It runs, in this invocation.
    Runs(String),
    /// It may yet.
    NotYet(String),
    /// systemd gave it up.
    Failed(String),
}

impl Restarter {
    /// One that finds systemd's tools in these folders; none where systemd does not run the host.
    #[must_use]
    pub fn of(
        supervisor: Supervisor,
        folders: &[PathBuf],
        limit: Duration,
        grace: Duration,
    ) -> Option<Restarter> {
        (supervisor == Supervisor::Systemd).then(|| Restarter {
            systemd: Systemd::among(folders),
            limit,
            grace,
        })
    }

    /// Those of `units` that run; on the way back also those that failed, as they may have for the secret that is
    /// taken back. Where systemd gives no answer, any of them may run.
    pub async fn running(&self, units: &[String], side: Side) -> Vec<RunningUnit> {
        if units.is_empty() {
            return Vec::new();
        }
        let Some(known) = self.systemd.known(units).await else {
            let unknown = |unit: &String| RunningUnit {
                unit: unit.clone(),
                invocation: None,
            };
            return units.iter().map(unknown).collect();
        };
        let run = known.into_iter().filter(|(_, known)| counts(known, side));
        run.map(|(unit, known)| RunningUnit {
            unit,
            invocation: Some(known.invocation),
        })
        .collect()
    }

    /// Restarts those of `running` that still are in the same run, and waits until they run again. Tells what
    /// was restarted, and those that do not run, each with what is wrong.
    pub async fn restart(&self, running: &[RunningUnit], side: Side) -> (Vec<String>, Vec<String>) {
        let names: Vec<_> = running.iter().map(|run| run.unit.clone()).collect();
        if names.is_empty() {
            return (Vec::new(), Vec::new());
        }
        let Some(known) = self.systemd.known(&names).await else {
            return (Vec::new(), vec!["systemd does not answer".to_owned()]);
        };
        let stale: Vec<_> = running
            .iter()
            .filter(|run| {
                known
                    .get(&run.unit)
                    .is_some_and(|known| is_stale(run, known, side))
            })
            .map(|run| run.unit.clone())
            .collect();
        if stale.is_empty() {
            return (stale, Vec::new());
        }
        // How they ended up is asked of each of them below.
        match side {
            Side::New => self.systemd.restart_running(&stale, self.limit).await,
            Side::Previous => self.systemd.restart(&stale, self.limit).await,
        }
        let failed = self.wait(&stale).await;
        (stale, failed)
    }

    /// Waits until all of them run steadily, one has failed, or the grace is over.
    async fn wait(&self, units: &[String]) -> Vec<String> {
        let deadline = Instant::now() + self.grace.max(STEADY + PAUSE);
        let mut since: BTreeMap<String, (String, Instant)> = BTreeMap::new();
        loop {
            let known = self.systemd.known(units).await.unwrap_or_default();
            let now = Instant::now();
            let mut waiting = Vec::new();
            let mut failed = Vec::new();
            for unit in units {
                match known.get(unit).map_or_else(unanswered, verdict) {
                    Verdict::Done => {}
                    Verdict::Runs(invocation) => {
                        let (seen, at) = since
                            .entry(unit.clone())
                            .or_insert_with(|| (invocation.clone(), now));
                        if *seen != invocation {
                            (*seen, *at) = (invocation, now);
                        }
                        if now.duration_since(*at) < STEADY {
                            waiting.push(format!("{unit} (it was started more than once)"));
                        }
                    }
                    Verdict::NotYet(why) => {
                        since.remove(unit);
                        waiting.push(format!("{unit} ({why})"));
                    }
                    Verdict::Failed(why) => failed.push(format!("{unit} ({why})")),
                }
            }
            if !failed.is_empty() || waiting.is_empty() {
                return failed;
            }
            if now >= deadline {
                return waiting;
            }
            sleep(PAUSE).await;
        }
    }
}

/// Whether a unit is one to be restarted.
fn counts(known: &Known, side: Side) -> bool {
    known.is_started() || (side == Side::Previous && known.active == "failed")
}

/// Whether a unit has run since before its secrets changed.
fn is_stale(run: &RunningUnit, known: &Known, side: Side) -> bool {
    counts(known, side)
        && run
            .invocation
            .as_ref()
            .is_none_or(|invocation| *invocation == known.invocation)
}

fn unanswered() -> Verdict {
    Verdict::NotYet("systemd does not answer".to_owned())
}

fn verdict(known: &Known) -> Verdict {
    match (known.active.as_str(), known.sub.as_str(), known.result.as_str()) {
        ("active" | "reloading" | "refreshing", _, _) => Verdict::Runs(known.invocation.clone()),
        ("inactive", _, "success" | "") => Verdict::Done,
        ("failed", _, result) => Verdict::Failed(result.to_owned()),
        (active, sub, _) => Verdict::NotYet(format!("{active}, {sub}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(active: &str, sub: &str, result: &str) -> Known {
        Known {
            active: active.to_owned(),
            sub: sub.to_owned(),
            result: result.to_owned(),
            invocation: "abc".to_owned(),
        }
    }

    #[test]
    fn a_unit_runs_or_did_its_work_or_is_waited_for() {
        let table = [
            (
                known("active", "running", "success"),
                Verdict::Runs("abc".to_owned()),
            ),
            (
                known("active", "exited", "success"),
                Verdict::Runs("abc".to_owned()),
            ),
            (known("inactive", "dead", "success"), Verdict::Done),
            (
                known("failed", "failed", "exit-code"),
                Verdict::Failed("exit-code".to_owned()),
            ),
            (
                known("activating", "auto-restart", "exit-code"),
                Verdict::NotYet("activating, auto-restart".to_owned()),
            ),
        ];
        for (known, meaning) in table {
            assert_eq!(verdict(&known), meaning, "{known:?}");
        }
    }

    #[test]
    fn what_was_started_since_is_left_alone() {
        let run = |invocation: Option<&str>| RunningUnit {
            unit: "web.service".to_owned(),
            invocation: invocation.map(str::to_owned),
        };
        let active = known("active", "running", "success");
        for side in [Side::New, Side::Previous] {
            assert!(is_stale(&run(Some("abc")), &active, side));
            assert!(is_stale(&run(None), &active, side));
            assert!(!is_stale(&run(Some("another")), &active, side));
            let ended = known("inactive", "dead", "success");
            assert!(!is_stale(&run(Some("abc")), &ended, side));
        }
        // What failed for the new secret runs again with the old one.
        let failed = known("failed", "failed", "exit-code");
        assert!(!is_stale(&run(Some("abc")), &failed, Side::New));
        assert!(is_stale(&run(Some("abc")), &failed, Side::Previous));
    }
}
