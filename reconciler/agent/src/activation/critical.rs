//! Critical units: which run before an activation, and which do not any more after it. Starts and stops nothing.

use super::unit::{Known, Systemd};
use crate::host::Supervisor;
use camino::Utf8Path;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How often units are looked at.
const PAUSE: Duration = Duration::from_millis(200);
/// How long a unit has to run without being started again to count as running.
const STEADY: Duration = Duration::from_secs(1);

/// Looks at units.
#[derive(Debug)]
pub struct Watch {
    systemd: Systemd,
    /// How long they may take to come back.
    grace: Duration,
}

impl Watch {
    /// One that finds systemd's tools in these folders; none where systemd does not run the host.
    #[must_use]
    pub fn of(supervisor: Supervisor, folders: &[PathBuf], grace: Duration) -> Option<Watch> {
        (supervisor == Supervisor::Systemd).then(|| Watch {
            systemd: Systemd::among(folders),
            grace,
        })
    }

    /// Those of `units` that run; none where systemd gives no answer, for what is not known to have run cannot fall.
    pub async fn active(&self, units: Vec<String>) -> Vec<String> {
        if units.is_empty() {
            return units;
        }
        let known = self.systemd.known(&units).await.unwrap_or_default();
        known
            .into_iter()
            .filter(|(_, known)| runs(known))
            .map(|(unit, _)| unit)
            .collect()
    }

    /// Those of `units`, which ran, that do not run any more when the grace is over, each with what it is instead.
    /// One that `toplevel` does not have any more was meant to go.
    pub async fn fallen(&self, units: &[String], toplevel: &Utf8Path) -> Vec<String> {
        if units.is_empty() {
            return Vec::new();
        }
        let deadline = Instant::now() + self.grace.max(STEADY + PAUSE);
        let mut since: BTreeMap<String, (String, Instant)> = BTreeMap::new();
        loop {
            let known = self.systemd.known(units).await.unwrap_or_default();
            let now = Instant::now();
            let mut fallen = Vec::new();
            for unit in units {
                match known.get(unit) {
                    None => fallen.push(format!("{unit} (systemd does not answer)")),
                    Some(known) if runs(known) => {
                        let run = (known.invocation.clone(), now);
                        let (invocation, at) = since.entry(unit.clone()).or_insert_with(|| run.clone());
                        if *invocation != known.invocation {
                            (*invocation, *at) = run;
                        }
                        if now.duration_since(*at) < STEADY {
                            fallen.push(format!("{unit} (it is started again and again)"));
                        }
                    }
                    Some(known) if known.active == "inactive" && !has(toplevel, unit) => {}
                    Some(known) => {
                        since.remove(unit);
                        fallen.push(format!("{unit} ({}, {})", known.active, known.sub));
                    }
                }
            }
            if fallen.is_empty() || now >= deadline {
                return fallen;
            }
            sleep(PAUSE).await;
        }
    }
}

fn runs(known: &Known) -> bool {
    matches!(known.active.as_str(), "active" | "reloading" | "refreshing")
}

/// Whether a toplevel has a unit, or the template that it is an instance of.
fn has(toplevel: &Utf8Path, unit: &str) -> bool {
    let units = toplevel.join("etc/systemd/system");
    let template = unit.split_once('@').and_then(|(name, instance)| {
        let (_, kind) = instance.rsplit_once('.')?;
        Some(format!("{name}@.{kind}"))
    });
    units.join(unit).exists() || template.is_some_and(|template| units.join(template).exists())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable::{Lasting, folder, replace};

    #[test]
    fn a_toplevel_has_a_unit_or_its_template() {
        let scratch = tempfile::tempdir().unwrap();
        let toplevel = Utf8Path::from_path(scratch.path()).unwrap();
        let units = toplevel.join("etc/systemd/system");
        folder(&units, 0o755).unwrap();
        for unit in ["sshd.service", "getty@.service"] {
            replace(&units.join(unit), b"", 0o644, Lasting::Process).unwrap();
        }
        for (unit, there) in [
            ("sshd.service", true),
            ("getty@tty1.service", true),
            ("getty@tty1.socket", false),
            ("nginx.service", false),
        ] {
            assert_eq!(has(toplevel, unit), there, "{unit}");
        }
    }
}
