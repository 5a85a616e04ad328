//! What a pass tells while it runs: one stream of events for the terminal, the plain lines, the control socket.

use super::{Building, Ended};
use crate::journal::PhaseTime;
use serde::{Deserialize, Serialize};
use std::time::Instant;

/// The phases, in the order of the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// A transaction that was cut off is brought to its end.
    Recover,
    /// The remote is asked and what it has is fetched.
    Fetch,
    /// The commit is judged.
    Verify,
    /// The entry is evaluated.
    Evaluate,
    /// The secrets are opened.
    Preflight,
    /// The toplevel is built.
    Build,
    /// The gates are asked.
    Gates,
    /// The secrets are laid down.
    Stage,
    /// The toplevel is activated.
    Activate,
    /// What worked before is tried again.
    Probe,
    /// The profile and the boot default are set.
    Commit,
    /// What failed is undone.
    Revert,
}

impl Phase {
    /// The name in the journal and in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Phase::Recover => "recover",
            Phase::Fetch => "fetch",
            Phase::Verify => "verify",
            Phase::Evaluate => "evaluate",
            Phase::Preflight => "preflight",
            Phase::Build => "build",
            Phase::Gates => "gates",
            Phase::Stage => "stage",
            Phase::Activate => "activate",
            Phase::Probe => "probe",
            Phase::Commit => "commit",
            Phase::Revert => "revert",
        }
    }
}

/// How a phase stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PhaseState {
    /// It runs.
    Running,
    /// It is done.
    Done,
    /// It failed.
    Failed,
}

/// One event of a pass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "event")]
pub enum Progress {
    /// It begins.
    Began {
        /// The machine.
        machine: String,
        /// The branch.
        branch: String,
        /// The remote, without credentials.
        url: String,
    },
    /// A phase began or ended.
    Phase {
        /// Which.
        phase: Phase,
        /// How it stands.
        state: PhaseState,
        /// What came of it.
        detail: String,
        /// How long it took, in milliseconds.
        ms: u64,
    },
    /// What the running phase does just now.
    Activity {
        /// The phase.
        phase: Phase,
        /// A few words.
        doing: String,
    },
    /// How the build stands.
    Building(Building),
    /// A store path begins to be fetched.
    Fetching {
        /// The path.
        path: String,
        /// The cache it comes from, without credentials.
        from: String,
    },
    /// A line of a log.
    Log {
        /// The phase.
        phase: Phase,
        /// The line.
        line: String,
    },
    /// Something a person should know, that stops nothing.
    Note {
        /// A sentence.
        text: String,
    },
    /// It ended.
    Ended(Ended),
}

/// Sends events and keeps time.
pub struct Reporter<'a> {
    sink: &'a mut (dyn FnMut(Progress) + Send),
    running: Option<(Phase, Instant)>,
    times: Vec<PhaseTime>,
}

impl std::fmt::Debug for Reporter<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reporter")
            .field("running", &self.running)
            .finish_non_exhaustive()
    }
}

impl<'a> Reporter<'a> {
    /// A reporter that tells `sink`.
    pub fn new(sink: &'a mut (dyn FnMut(Progress) + Send)) -> Reporter<'a> {
        Reporter {
            sink,
            running: None,
            times: Vec::new(),
        }
    }

    /// A phase begins.
    pub fn begin(&mut self, phase: Phase) {
        self.running = Some((phase, Instant::now()));
        (self.sink)(Progress::Phase {
            phase,
            state: PhaseState::Running,
            detail: String::new(),
            ms: 0,
        });
    }

    /// The running phase is done.
    pub fn done(&mut self, detail: impl Into<String>) {
        self.end(PhaseState::Done, detail.into());
    }

    /// The running phase, if one runs, failed.
    pub fn failed(&mut self) {
        self.end(PhaseState::Failed, String::new());
    }

    /// Whether a phase is the one that runs.
    #[must_use]
    pub fn runs(&self, phase: Phase) -> bool {
        self.running.is_some_and(|(running, _)| running == phase)
    }

    /// What the running phase does.
    pub fn doing(&mut self, doing: impl Into<String>) {
        if let Some((phase, _)) = self.running {
            (self.sink)(Progress::Activity {
                phase,
                doing: doing.into(),
            });
        }
    }

    /// A line of the running phase's log.
    pub fn log(&mut self, line: &str) {
        if let Some((phase, _)) = self.running {
            (self.sink)(Progress::Log {
                phase,
                line: crate::text::plain(line),
            });
        }
    }

    /// Something a person should know.
    pub fn note(&mut self, text: impl Into<String>) {
        (self.sink)(Progress::Note { text: text.into() });
    }

    /// Any other event.
    pub fn send(&mut self, event: Progress) {
        (self.sink)(event);
    }

    /// How long each phase took so far.
    pub fn take_times(&mut self) -> Vec<PhaseTime> {
        std::mem::take(&mut self.times)
    }

    fn end(&mut self, state: PhaseState, detail: String) {
        let Some((phase, since)) = self.running.take() else {
            return;
        };
        let ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.times.push(PhaseTime {
            name: phase.name().to_owned(),
            ms,
        });
        (self.sink)(Progress::Phase {
            phase,
            state,
            detail,
            ms,
        });
    }
}
