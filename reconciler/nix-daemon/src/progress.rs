//! What a build looks like while it runs: events folded into counts, running builds and log tails.
//!
//! Pure: no clock, no output; who wants to know for how long something runs tells the time. For display and for the words of an error only; whether a build succeeded is
//! told by its result, never by what its builder printed.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use crate::event::{ActivityId, ActivityKind, Event, EventSink, Field, ResultKind};
use crate::store_path::StorePath;
use crate::text::Text;

/// Log lines kept of each build.
const LOG_LINES: usize = 50;
/// Characters kept of a line.
const LINE_LENGTH: usize = 4096;
/// Bytes kept of the logs of builds that ended; the oldest go first.
const ENDED_LOGS: usize = 16 << 20;
/// Activities followed at once. A builder can start as many as it likes.
const ACTIVITIES: usize = 1 << 16;

/// Counts of one kind of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// How many are done.
    pub done: u64,
    /// How many there will be, as far as is known.
    pub expected: u64,
    /// How many run.
    pub running: u64,
    /// How many failed.
    pub failed: u64,
}

/// Bytes moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Transfer {
    /// How many arrived.
    pub done: u64,
    /// How many there will be, as far as is known.
    pub expected: u64,
}

/// A build under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningBuild {
    /// The derivation.
    pub drv: StorePath,
    /// The machine it runs on; `None` for this one.
    pub machine: Option<String>,
    /// The phase it is in, as the builder says.
    pub phase: Option<String>,
    /// When it began, as the time was told; see [`Progress::set_elapsed`].
    pub since: Duration,
    /// The last lines of its log, oldest first.
    log: Vec<String>,
}

impl RunningBuild {
    /// The last line of its log.
    #[must_use]
    pub fn last_line(&self) -> Option<&str> {
        self.log.last().map(String::as_str)
    }
}

/// A path on its way into the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningFetch {
    /// The path.
    pub path: StorePath,
    /// Where it comes from: the store's URL.
    pub from: String,
    /// Bytes of its archive.
    pub bytes: Transfer,
    /// When it began, as the time was told; see [`Progress::set_elapsed`].
    pub since: Duration,
}

/// What is followed of an activity that is not a build.
#[derive(Debug)]
struct Activity {
    kind: ActivityKind,
    tally: Tally,
    /// What it says to expect, by kind of work.
    expected: HashMap<u64, u64>,
    /// Of a copy or substitution: the path, and where it comes from.
    subject: Option<(StorePath, String)>,
    since: Duration,
}

/// Events of one operation, folded.
#[derive(Debug, Default)]
pub struct Progress {
    activities: HashMap<ActivityId, Activity>,
    builds: BTreeMap<ActivityId, RunningBuild>,
    /// Bytes of transfers and copies that ended.
    ended_bytes: HashMap<u64, u64>,
    ended_tallies: HashMap<u64, Tally>,
    logs: HashMap<StorePath, Vec<String>>,
    log_order: VecDeque<StorePath>,
    log_bytes: usize,
    elapsed: Duration,
}

impl Progress {
    /// Nothing seen yet.
    #[must_use]
    pub fn new() -> Progress {
        Progress::default()
    }

    /// Tells how long the operation runs: what begins from now on began then. Without it all began at zero.
    pub fn set_elapsed(&mut self, elapsed: Duration) {
        self.elapsed = elapsed;
    }

    /// How long the operation runs, as it was told last.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// Derivations to build.
    #[must_use]
    pub fn builds(&self) -> Tally {
        self.tally(ActivityKind::Builds)
    }

    /// Paths to copy or substitute.
    #[must_use]
    pub fn copies(&self) -> Tally {
        self.tally(ActivityKind::CopyPaths)
    }

    /// Bytes downloaded, as they are on the network.
    #[must_use]
    pub fn downloads(&self) -> Transfer {
        self.transfer(ActivityKind::FileTransfer)
    }

    /// Bytes of the archives copied, unpacked.
    #[must_use]
    pub fn unpacked(&self) -> Transfer {
        self.transfer(ActivityKind::CopyPath)
    }

    /// The builds under way, in the order they began.
    pub fn running(&self) -> impl Iterator<Item = &RunningBuild> {
        self.builds.values()
    }

    /// The paths being substituted or copied, in the order they began, each once.
    #[must_use]
    pub fn fetching(&self) -> Vec<RunningFetch> {
        let mut fetches: BTreeMap<&StorePath, (ActivityId, RunningFetch)> = BTreeMap::new();
        for (id, activity) in &self.activities {
            let Some((path, from)) = &activity.subject else {
                continue;
            };
            let bytes = match activity.kind {
                ActivityKind::CopyPath => Transfer {
                    done: activity.tally.done,
                    expected: activity.tally.expected,
                },
                _ => Transfer::default(),
            };
            let fetch = RunningFetch {
                path: path.clone(),
                from: from.clone(),
                bytes,
                since: activity.since,
            };
            // A substitution and the copy that it makes are one: the copy knows the bytes.
            let (first, known) = fetches.entry(path).or_insert_with(|| (*id, fetch));
            known.bytes.done = known.bytes.done.max(bytes.done);
            known.bytes.expected = known.bytes.expected.max(bytes.expected);
            if id < first {
                *first = *id;
                known.from.clone_from(from);
                known.since = activity.since;
            }
        }
        let mut fetches: Vec<_> = fetches.into_values().collect();
        fetches.sort_by_key(|(id, _)| *id);
        fetches.into_iter().map(|(_, fetch)| fetch).collect()
    }

    /// The build that an activity is, while it runs.
    #[must_use]
    pub fn build(&self, id: ActivityId) -> Option<&RunningBuild> {
        self.builds.get(&id)
    }

    /// What an activity copies into the store, and from where, while it runs; `None` for any other activity.
    #[must_use]
    pub fn copy(&self, id: ActivityId) -> Option<(&StorePath, &str)> {
        let activity = self.activities.get(&id)?;
        let (path, from) = activity.subject.as_ref()?;
        (activity.kind == ActivityKind::CopyPath).then_some((path, from))
    }

    /// The last lines of a derivation's log, oldest first, at most 50: of a build that ended, or still runs.
    /// `None` when it was not built here, or long ago.
    #[must_use]
    pub fn failed_log(&self, drv: &StorePath) -> Option<&[String]> {
        let running = || {
            self.builds
                .values()
                .find(|build| build.drv == *drv)
                .map(|build| build.log.as_slice())
        };
        self.logs.get(drv).map(Vec::as_slice).or_else(running)
    }

    /// Folds one event in.
    pub fn apply(&mut self, event: &Event) {
        match event {
            Event::Line(_) => {}
            Event::Start {
                id,
                parent,
                kind,
                fields,
                ..
            } => self.start(*id, *parent, *kind, fields),
            Event::Stop { id } => self.stop(*id),
            Event::Result { id, kind, fields } => self.result(*id, *kind, fields),
        }
    }

    fn start(&mut self, id: ActivityId, parent: ActivityId, kind: ActivityKind, fields: &[Field]) {
        // What a builder injects has its build as parent, and counts for nothing.
        let injected = self.builds.contains_key(&parent);
        if injected || self.activities.len() + self.builds.len() >= ACTIVITIES {
            return;
        }
        let text = |index: usize| fields.get(index).and_then(Field::as_text).map(line);
        let path = || text(0).and_then(|path| StorePath::from_absolute(&path).ok());
        if kind == ActivityKind::Build {
            let Some(drv) = path() else {
                return;
            };
            let machine = text(1).filter(|machine| !machine.is_empty());
            self.builds.insert(
                id,
                RunningBuild {
                    drv,
                    machine,
                    phase: None,
                    since: self.elapsed,
                    log: Vec::new(),
                },
            );
        } else {
            let subject = match kind {
                ActivityKind::CopyPath | ActivityKind::Substitute => {
                    path().map(|path| (path, text(1).unwrap_or_default()))
                }
                _ => None,
            };
            let activity = Activity {
                kind,
                tally: Tally::default(),
                expected: HashMap::new(),
                subject,
                since: self.elapsed,
            };
            self.activities.insert(id, activity);
        }
    }

    fn stop(&mut self, id: ActivityId) {
        if let Some(build) = self.builds.remove(&id) {
            self.keep_log(build);
        }
        if let Some(activity) = self.activities.remove(&id) {
            let kind = activity.kind.code();
            match activity.kind {
                ActivityKind::FileTransfer | ActivityKind::CopyPath => {
                    let bytes = self.ended_bytes.entry(kind).or_default();
                    *bytes = bytes.saturating_add(activity.tally.done);
                }
                ActivityKind::Builds | ActivityKind::CopyPaths => {
                    let ended = self.ended_tallies.entry(kind).or_default();
                    *ended = sum(
                        *ended,
                        Tally {
                            running: 0,
                            ..activity.tally
                        },
                    );
                }
                _ => {}
            }
        }
    }

    fn result(&mut self, id: ActivityId, kind: ResultKind, fields: &[Field]) {
        let text = || fields.first().and_then(Field::as_text).map(line);
        let number = |index: usize| fields.get(index).and_then(Field::as_int).unwrap_or_default();
        if let Some(build) = self.builds.get_mut(&id) {
            match kind {
                ResultKind::BuildLogLine | ResultKind::PostBuildLogLine => {
                    let Some(line) = text() else { return };
                    if build.log.len() >= LOG_LINES {
                        build.log.remove(0);
                    }
                    build.log.push(line);
                }
                ResultKind::SetPhase => build.phase = text(),
                _ => {}
            }
        } else if let Some(activity) = self.activities.get_mut(&id) {
            match kind {
                ResultKind::Progress => {
                    activity.tally = Tally {
                        done: number(0),
                        expected: number(1),
                        running: number(2),
                        failed: number(3),
                    };
                }
                // Only what is shown is kept, so that nobody can fill the map.
                ResultKind::SetExpected
                    if matches!(
                        ActivityKind::from(number(0)),
                        ActivityKind::FileTransfer | ActivityKind::CopyPath
                    ) =>
                {
                    activity.expected.insert(number(0), number(1));
                }
                _ => {}
            }
        }
    }

    fn keep_log(&mut self, build: RunningBuild) {
        if build.log.is_empty() {
            return;
        }
        self.log_bytes += size(&build.log);
        self.log_order.push_back(build.drv.clone());
        if let Some(previous) = self.logs.insert(build.drv.clone(), build.log) {
            self.log_bytes -= size(&previous);
            if let Some(index) = self.log_order.iter().position(|drv| *drv == build.drv) {
                self.log_order.remove(index);
            }
        }
        while self.log_bytes > ENDED_LOGS
            && let Some(oldest) = self.log_order.pop_front()
        {
            if let Some(log) = self.logs.remove(&oldest) {
                self.log_bytes -= size(&log);
            }
        }
    }

    fn tally(&self, kind: ActivityKind) -> Tally {
        let ended = self.ended_tallies.get(&kind.code()).copied().unwrap_or_default();
        self.activities
            .values()
            .filter(|activity| activity.kind == kind)
            .fold(ended, |total, activity| sum(total, activity.tally))
    }

    fn transfer(&self, kind: ActivityKind) -> Transfer {
        let ended = self.ended_bytes.get(&kind.code()).copied().unwrap_or_default();
        let mut total = Transfer {
            done: ended,
            expected: ended,
        };
        let mut announced = 0_u64;
        for activity in self.activities.values() {
            if activity.kind == kind {
                total.done = total.done.saturating_add(activity.tally.done);
                total.expected = total.expected.saturating_add(activity.tally.expected);
            }
            let expected = activity.expected.get(&kind.code()).copied().unwrap_or_default();
            announced = announced.saturating_add(expected);
        }
        total.expected = total.expected.max(announced);
        total
    }
}

impl EventSink for Progress {
    fn event(&mut self, event: Event) {
        self.apply(&event);
    }
}

fn sum(a: Tally, b: Tally) -> Tally {
    Tally {
        done: a.done.saturating_add(b.done),
        expected: a.expected.saturating_add(b.expected),
        running: a.running.saturating_add(b.running),
        failed: a.failed.saturating_add(b.failed),
    }
}

/// A line for a person: one line, no escapes, not too long.
fn line(text: &Text) -> String {
    text.plain()
        .chars()
        .map(|c| if c == '\n' { ' ' } else { c })
        .take(LINE_LENGTH)
        .collect()
}

fn size(log: &[String]) -> usize {
    log.iter().map(|line| line.len() + size_of::<String>()).sum()
}
