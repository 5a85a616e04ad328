//! A build as it is told while it runs: what is built and fetched, how many of how many, and the last words of
//! what runs. It thins out what the daemon says, which may be a message for every 8 KiB.

use super::{Progress, Reporter};
use crate::text;
use nix_daemon_client::{Event, ResultKind};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How often counts and last lines are told; a build that begins or ends is told at once.
const PERIOD: Duration = Duration::from_millis(100);

/// How many lines of builders' logs are told in a period. The whole log is in the store: `nix log`.
const LINES: usize = 40;

/// How a build stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Building {
    /// Derivations: how many are built, of how many.
    pub built: (u64, u64),
    /// Store paths: how many are fetched, of how many.
    pub fetched: (u64, u64),
    /// Bytes: how many are downloaded, of how many.
    pub bytes: (u64, u64),
    /// What is being built, in the order it began.
    pub running: Vec<RunningBuild>,
}

/// One derivation that is being built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunningBuild {
    /// Its name.
    pub name: String,
    /// The machine it is built on, where that is not this one.
    pub machine: Option<String>,
    /// The phase it is in, as its builder says.
    pub phase: Option<String>,
    /// The last line of its log.
    pub line: Option<String>,
    /// For how long it has been seen, in milliseconds.
    pub ms: u64,
}

impl Building {
    /// The counts in a few words: `4 of 6 built · 3 of 7 fetched, 118 of 130 MiB`.
    #[must_use]
    pub fn counts(&self) -> String {
        let mut parts = Vec::new();
        if self.built.1 > 0 {
            parts.push(format!("{} of {} built", self.built.0, self.built.1));
        }
        if self.fetched.1 > 0 {
            let mut part = format!("{} of {} fetched", self.fetched.0, self.fetched.1);
            if self.bytes.1 > 0 {
                part.push_str(&format!(
                    ", {} of {}",
                    text::size(self.bytes.0),
                    text::size(self.bytes.1)
                ));
            }
            parts.push(part);
        }
        parts.join(" · ")
    }
}

/// Tells a build as it goes on.
#[derive(Debug, Default)]
pub(super) struct BuildTeller {
    told: Building,
    told_at: Option<Instant>,
    began: HashMap<String, Instant>,
    /// Lines of logs told since, and those that were too many.
    lines: usize,
    left_out: usize,
}

impl BuildTeller {
    pub(super) fn tell(
        &mut self,
        event: &Event,
        progress: &nix_daemon_client::Progress,
        report: &mut Reporter<'_>,
    ) {
        let now = Instant::now();
        let due = self.told_at.is_none_or(|at| now.duration_since(at) >= PERIOD);
        if due {
            self.forgive(report);
        }
        if let Event::Result {
            id,
            kind: ResultKind::BuildLogLine,
            ..
        } = event
            && let Some(build) = progress.build(*id)
        {
            self.line(build, report);
        }
        let running = progress.running().count();
        if !due && running == self.told.running.len() {
            return;
        }
        let building = self.look(progress, now);
        if building != self.told {
            report.send(Progress::Building(building.clone()));
            self.told = building;
        }
        self.told_at = Some(now);
    }

    /// A new period: lines may be told again.
    fn forgive(&mut self, report: &mut Reporter<'_>) {
        if self.left_out > 0 {
            report.log(&format!("… {} left out", text::count(self.left_out, "line")));
        }
        (self.lines, self.left_out) = (0, 0);
    }

    fn line(&mut self, build: &nix_daemon_client::RunningBuild, report: &mut Reporter<'_>) {
        if self.lines >= LINES {
            self.left_out += 1;
            return;
        }
        self.lines += 1;
        let name = build.drv.name().trim_end_matches(".drv");
        report.log(&format!("{name}> {}", build.last_line().unwrap_or_default()));
    }

    fn look(&mut self, progress: &nix_daemon_client::Progress, now: Instant) -> Building {
        let (builds, copies, bytes) = (progress.builds(), progress.copies(), progress.downloads());
        let running: Vec<_> = progress
            .running()
            .map(|build| {
                let began = *self.began.entry(build.drv.to_string()).or_insert(now);
                RunningBuild {
                    name: build.drv.name().trim_end_matches(".drv").to_owned(),
                    machine: build.machine.clone(),
                    phase: build.phase.clone(),
                    line: build.last_line().map(str::to_owned),
                    ms: u64::try_from(now.duration_since(began).as_millis()).unwrap_or(u64::MAX),
                }
            })
            .collect();
        if running.is_empty() {
            self.began.clear();
        }
        Building {
            built: (builds.done, builds.expected),
            fetched: (copies.done, copies.expected),
            bytes: (bytes.done, bytes.expected),
            running,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Building;

    #[test]
    fn counts_say_only_what_there_is() {
        let of = |built, fetched, bytes| {
            let running = Vec::new();
            Building {
                built,
                fetched,
                bytes,
                running,
            }
            .counts()
        };
        assert_eq!(of((0, 0), (0, 0), (0, 0)), "");
        assert_eq!(of((4, 6), (0, 0), (0, 0)), "4 of 6 built");
        assert_eq!(
            of((0, 1), (3, 7), (123_731_968, 136_314_880)),
            "0 of 1 built · 3 of 7 fetched, 118 MiB of 130 MiB"
        );
    }
}
