//! A build told as it goes on. It thins out what the daemon says, which may be a message for every 8 KiB, and lets
//! nobody's builder flood who listens.

use super::{Building, Progress, Reporter, RunningBuild, RunningFetch};
use crate::text;
use nix_daemon_client::{ActivityKind, Event, EventSink, ResultKind};
use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

/// How often counts and last lines are told; a build that begins or ends is told at once.
const PERIOD: Duration = Duration::from_millis(100);

/// How many lines of builders' logs are told in a period. The whole log is in the store: `nix log`.
const LINES: usize = 40;

/// How many paths on their way are told of at once.
const FETCHES: usize = 16;

/// How many warnings of the daemon are told in a build. A builder can have it say as many as it likes.
const WARNINGS: usize = 20;

/// How many characters of one.
const WARNING_LENGTH: usize = 1000;

/// Tells a build as it goes on.
#[derive(Debug, Default)]
pub(super) struct BuildTeller {
    told: Building,
    told_at: Option<Instant>,
    began: HashMap<String, Instant>,
    /// Lines of logs told since, and those that were too many.
    lines: usize,
    left_out: usize,
    /// Warnings told, each once.
    warnings: BTreeSet<String>,
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
        match event {
            Event::Result {
                id,
                kind: ResultKind::BuildLogLine,
                ..
            } => {
                if let Some(build) = progress.build(*id) {
                    let name = build.drv.name().trim_end_matches(".drv");
                    self.line(
                        || format!("{name}> {}", build.last_line().unwrap_or_default()),
                        report,
                    );
                }
            }
            Event::Start {
                id,
                kind: ActivityKind::CopyPath,
                ..
            } => {
                if let Some((path, from)) = progress.copy(*id) {
                    report.send(Progress::Fetching {
                        path: path.to_string(),
                        from: text::without_password(&text::plain(from)),
                    });
                }
            }
            Event::Line(said) => self.said(&said.plain(), report),
            _ => {}
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

    fn line(&mut self, line: impl FnOnce() -> String, report: &mut Reporter<'_>) {
        if self.lines >= LINES {
            self.left_out += 1;
            return;
        }
        self.lines += 1;
        report.log(&line());
    }

    /// What the daemon says of no build. Only its words tell a warning from the rest: no level goes with them.
    fn said(&mut self, said: &str, report: &mut Reporter<'_>) {
        let said = text::without_password(&text::plain(said));
        let Some(warning) = said.strip_prefix("warning:") else {
            for line in said.lines().filter(|line| !line.trim().is_empty()) {
                self.line(|| line.to_owned(), report);
            }
            return;
        };
        if self.warnings.len() > WARNINGS {
            return;
        }
        let words = warning.split_whitespace().collect::<Vec<_>>().join(" ");
        let words: String = words.chars().take(WARNING_LENGTH).collect();
        let told = self.warnings.len();
        if self.warnings.insert(words.clone()) {
            report.note(match told {
                WARNINGS => "the nix-daemon warns of more than is told here".to_owned(),
                _ => format!("the nix-daemon warns: {words}"),
            });
        }
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
        let fetching: Vec<_> = progress
            .fetching()
            .into_iter()
            .take(FETCHES)
            .map(|fetch| {
                let began = *self.began.entry(fetch.path.to_string()).or_insert(now);
                RunningFetch {
                    name: fetch.path.name().to_owned(),
                    from: text::without_password(&text::plain(&fetch.from)),
                    bytes: (fetch.bytes.done, fetch.bytes.expected),
                    ms: u64::try_from(now.duration_since(began).as_millis()).unwrap_or(u64::MAX),
                }
            })
            .collect();
        if running.is_empty() && fetching.is_empty() {
            self.began.clear();
        }
        Building {
            built: (builds.done, builds.expected),
            fetched: (copies.done, copies.expected),
            bytes: (bytes.done, bytes.expected),
            running,
            fetching,
        }
    }
}

/// An operation of the daemon, told as it goes on.
#[derive(Debug)]
pub(super) struct Telling<'t, 'r> {
    teller: BuildTeller,
    progress: nix_daemon_client::Progress,
    report: &'t mut Reporter<'r>,
}

impl<'t, 'r> Telling<'t, 'r> {
    pub(super) fn to(report: &'t mut Reporter<'r>) -> Telling<'t, 'r> {
        Telling {
            teller: BuildTeller::default(),
            progress: nix_daemon_client::Progress::new(),
            report,
        }
    }
}

impl EventSink for Telling<'_, '_> {
    fn event(&mut self, event: Event) {
        self.progress.apply(&event);
        self.teller.tell(&event, &self.progress, self.report);
    }
}

#[cfg(test)]
mod tests {
    use super::Telling;
    use crate::pass::{Phase, Progress, Reporter};
    use nix_daemon_client::{ActivityId, ActivityKind, Event, EventSink, Field, Level};

    /// What is told of these events, but for the counts.
    fn told(events: &[Event]) -> Vec<String> {
        let mut told = Vec::new();
        let mut sink = |event: Progress| match event {
            Progress::Note { text } => told.push(format!("! {text}")),
            Progress::Log { line, .. } => told.push(line),
            Progress::Fetching { path, from } => told.push(format!("{path} from {from}")),
            _ => {}
        };
        let mut report = Reporter::new(&mut sink);
        report.begin(Phase::Build);
        let mut telling = Telling::to(&mut report);
        for event in events {
            telling.event(event.clone());
        }
        told
    }

    fn line(text: &str) -> Event {
        Event::Line(text.into())
    }

    fn start(id: u64, parent: u64, kind: ActivityKind, fields: &[&str]) -> Event {
        Event::Start {
            id: ActivityId(id),
            parent: ActivityId(parent),
            level: Level::Info,
            kind,
            text: "".into(),
            fields: fields.iter().map(|&text| Field::Text(text.into())).collect(),
        }
    }

    #[test]
    fn warnings_are_told_once_each_and_other_words_as_a_log() {
        let warning = "\u{1b}[35;1mwarning:\u{1b}[0m 'https://me:hunter2@example.org/x'\n  does not answer\n";
        assert_eq!(
            told(&[line(warning), line("error: no\n\n"), line(warning)]),
            [
                "! the nix-daemon warns: 'https://…@example.org/x' does not answer",
                "error: no",
            ]
        );
    }

    #[test]
    fn warnings_without_end_are_cut() {
        let flood: Vec<_> = (0..10_000)
            .map(|number| line(&format!("warning: {number}")))
            .collect();
        let told = told(&flood);
        assert_eq!(told.len(), 21);
        assert_eq!(told[20], "! the nix-daemon warns of more than is told here");
        let long = told_of_one(&"x".repeat(1 << 20));
        assert!(long.len() < 1100, "{}", long.len());
    }

    fn told_of_one(warning: &str) -> String {
        told(&[line(&format!("warning: {warning}"))]).concat()
    }

    #[test]
    fn every_path_that_is_copied_is_named_and_no_builder_names_one() {
        const PATH: &str = "/nix/store/0123456789abcdfghijklmnpqrsvwxyz-a";
        const DRV: &str = "/nix/store/0123456789abcdfghijklmnpqrsvwxyz-a.drv";
        let from = [PATH, "https://cache.example.org", "daemon"];
        assert_eq!(
            told(&[
                start(1, 0, ActivityKind::Substitute, &from[..2]),
                start(2, 1, ActivityKind::CopyPath, &from),
                start(3, 0, ActivityKind::Build, &[DRV, ""]),
                start(4, 3, ActivityKind::CopyPath, &from),
            ]),
            [format!("{PATH} from https://cache.example.org")]
        );
    }
}
