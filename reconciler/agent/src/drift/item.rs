//! What a look for drift finds, as data: kinds, evidence, whether a person meant it.

use crate::text;
use jiff::Timestamp;
use reconciler_policies::Drift;
use serde::{Deserialize, Serialize};

/// What can drift.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Another toplevel runs.
    CurrentSystem,
    /// The profile points at another toplevel.
    Profile,
    /// The profile has a generation that is not the agent's.
    ForeignGeneration,
    /// The machine was booted into another toplevel.
    BootedSystem,
    /// The boot loader would boot another toplevel.
    BootDefault,
    /// A file of `/etc` is not the toplevel's.
    Etc,
    /// A unit is overridden, or systemd has read another version of it.
    Unit,
    /// A unit failed.
    FailedUnit,
    /// An installed secret is not what was installed, or other secrets are in force.
    Secrets,
    /// A store path of the toplevel's closure is missing, or its content is not what was registered.
    Store,
    /// A job of launchd is not the toplevel's, or is not loaded.
    LaunchdJob,
    /// A file of a home is not the generation's.
    HomeFile,
}

impl Kind {
    /// Its name in JSON and in the policy's documentation.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Kind::CurrentSystem => "current-system",
            Kind::Profile => "profile",
            Kind::ForeignGeneration => "foreign-generation",
            Kind::BootedSystem => "booted-system",
            Kind::BootDefault => "boot-default",
            Kind::Etc => "etc",
            Kind::Unit => "unit",
            Kind::FailedUnit => "failed-unit",
            Kind::Secrets => "secrets",
            Kind::Store => "store",
            Kind::LaunchdJob => "launchd-job",
            Kind::HomeFile => "home-file",
        }
    }

    /// Whether it is told by a glance at a few links, so that `status` looks for itself.
    #[must_use]
    pub fn is_identity(self) -> bool {
        matches!(
            self,
            Kind::CurrentSystem
                | Kind::Profile
                | Kind::ForeignGeneration
                | Kind::BootedSystem
                | Kind::BootDefault
        )
    }

    /// Whether activating the generation again puts it right.
    #[must_use]
    pub fn is_correctable(self) -> bool {
        !matches!(self, Kind::Unit | Kind::FailedUnit | Kind::BootedSystem)
    }
}

/// How it came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// A person did it on purpose: another system was activated, a file or unit put in the place of the
    /// generation's.
    Person,
    /// It fell out of place: something is gone, failed or was damaged.
    Displaced,
}

/// One difference between the generation and the machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// What kind.
    pub kind: Kind,
    /// Of what: a path, a unit.
    pub subject: String,
    /// What the generation has.
    pub expected: String,
    /// What the machine has.
    pub actual: String,
    /// Whether somebody meant it.
    pub cause: Cause,
    /// What that is judged by, where there is more to say than the two values.
    pub evidence: Option<String>,
    /// When it was first seen.
    pub since: Option<Timestamp>,
}

impl Item {
    pub(super) fn new(kind: Kind, cause: Cause, subject: impl Into<String>) -> Item {
        Item {
            kind,
            subject: subject.into(),
            expected: String::new(),
            actual: String::new(),
            cause,
            evidence: None,
            since: None,
        }
    }

    pub(super) fn expected(mut self, expected: impl Into<String>) -> Item {
        self.expected = expected.into();
        self
    }

    pub(super) fn actual(mut self, actual: impl Into<String>) -> Item {
        self.actual = actual.into();
        self
    }

    pub(super) fn evidence(mut self, evidence: impl Into<String>) -> Item {
        self.evidence = Some(evidence.into());
        self
    }

    /// Whether another one is the same difference, seen again.
    #[must_use]
    pub fn is_same(&self, other: &Item) -> bool {
        self.kind == other.kind && self.subject == other.subject && self.actual == other.actual
    }

    /// What tells it from another.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{} {}: {}", self.kind.name(), self.subject, self.actual)
    }

    /// Whether it is a generation that a person activated, or set for the next boot.
    #[must_use]
    pub fn is_foreign(&self) -> bool {
        self.kind.is_identity() && self.cause == Cause::Person
    }
}

impl std::fmt::Display for Item {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}: {} instead of {}",
            self.subject,
            text::store_path(&self.actual),
            text::store_path(&self.expected)
        )?;
        match &self.evidence {
            Some(evidence) => write!(f, " ({evidence})"),
            None => Ok(()),
        }
    }
}

/// What was not looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unchecked {
    /// What.
    pub kind: Kind,
    /// Why.
    pub why: String,
}

/// One look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The generation the machine was held against.
    pub generation: u64,
    /// When.
    pub checked_at: Timestamp,
    /// When the next look is due.
    pub next_at: Timestamp,
    /// What was found.
    pub items: Vec<Item>,
    /// What was not looked at.
    pub unchecked: Vec<Unchecked>,
    /// What holds the machine, where the policy says so.
    pub hold: Option<Drift>,
    /// What was there still after it was corrected, by [`Item::name`].
    pub resisted: Vec<String>,
}

impl Report {
    /// A look at a generation that is due, and found nothing so far.
    #[must_use]
    pub fn due(generation: u64, at: Timestamp) -> Report {
        Report {
            generation,
            checked_at: at,
            next_at: at,
            items: Vec::new(),
            unchecked: Vec::new(),
            hold: None,
            resisted: Vec::new(),
        }
    }

    /// Gives what was seen before its first time, and what was not `now`.
    pub fn remember(&mut self, before: Option<&Report>, now: Timestamp) {
        for item in &mut self.items {
            let known = before
                .into_iter()
                .flat_map(|report| &report.items)
                .find(|known| known.is_same(item));
            item.since = known.and_then(|known| known.since).or(Some(now));
        }
    }
}
