//! Why a transaction turned back.

use crate::class::BootEntry;
use crate::process::Exit;
use camino::Utf8PathBuf;
use reconciler_policies::quarantine::Cause;
use serde::{Deserialize, Serialize};

/// How well a live toplevel runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Health {
    /// Everything it declares runs.
    Healthy,
    /// It runs, and a unit of it does not.
    Degraded,
}

impl Health {
    /// The name in JSON and in the journal.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Health::Healthy => "healthy",
            Health::Degraded => "degraded",
        }
    }
}

/// Why a transaction turned back. Journaled: old variants are never renamed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum Failure {
    /// The new secrets could not be put in force.
    #[error("the secrets could not be put in force: {0}")]
    Secrets(String),
    /// The activation could not be started.
    #[error("the activation could not be started: {0}")]
    Start(String),
    /// `switch-to-configuration` ended with 1.
    #[error("a pre-switch check refused it (exit code 1)")]
    PreSwitchCheck,
    /// `switch-to-configuration` ended with 2.
    #[error("a part of the activation script failed (exit code 2)")]
    ActivationScript,
    /// `switch-to-configuration` ended with 11: another one runs.
    #[error("another switch-to-configuration holds the lock (exit code 11)")]
    SwitchLocked,
    /// `switch-to-configuration` ended with 100.
    #[error("it changes the init interface and can only be reached by a reboot (exit code 100)")]
    NeedsReboot,
    /// A check of its own refused it, before it changed anything.
    #[error("it was refused: {0}")]
    Refused(String),
    /// It said that it was done, and what it declares is not in place.
    #[error("the activation reported success, but {}", not_in_place(.0))]
    NotInPlace(Vec<String>),
    /// Any other end.
    #[error("the activation ended with {0}")]
    Exit(Exit),
    /// It took too long and was ended.
    #[error("the activation did not end within {0} s")]
    TimedOut(u64),
    /// It was ended from outside, and left no result.
    #[error("the activation was cut off before it left a result")]
    Lost,
    /// The machine was started anew in the middle.
    #[error("the machine went down during the activation")]
    Rebooted,
    /// It said it was done, and something else runs.
    #[error("the activation reported success, but {}", found.as_deref().map_or_else(|| "nothing is linked as the current system".to_owned(), |found| format!("{found} is the current system")))]
    NotCurrent {
        /// What runs instead.
        found: Option<String>,
    },
    /// Something that worked before does not work any more.
    #[error("worked before and fails now: {}", .0.join("; "))]
    Probes(Vec<String>),
    /// Units that ran do not run with their new secrets.
    #[error("ran before and do not run with their new secrets: {}", .0.join("; "))]
    Units(Vec<String>),
    /// The profile could not be set.
    #[error("the profile could not be set: {0}")]
    Profile(String),
    /// The boot default could not be set.
    #[error("the boot default could not be set: {0}")]
    Boot(String),
    /// The loader has no entry for it.
    #[error("the boot loader has no entry for it; is /boot full?")]
    NoBootEntry,
    /// Nobody confirmed it in time: the agent that began it is gone, or hangs. In seconds.
    #[error("the agent did not confirm it within {0} s of its beginning: it is gone, or it hangs")]
    Unconfirmed(u64),
    /// What would undo it without the agent could not be set up.
    #[error("no deadman could be armed, and nothing is activated without one: {0}")]
    Deadman(String),
    /// Somebody else switched to something else in the middle.
    #[error("somebody else switched to {} in the middle of it", found.as_deref().unwrap_or("nothing"))]
    Overtaken {
        /// What runs now.
        found: Option<String>,
    },
    /// Another switch went on for longer than is waited for. In seconds.
    #[error("another switch did not end within {0} s")]
    SwitchNeverEnded(u64),
    /// The loader has an entry for it whose kernel or initrd is not whole.
    #[error("the boot loader's entry names a kernel or an initrd that is not whole; is /boot full?")]
    BootFiles,
    /// The loader ran out of space.
    #[error("there was no space left for it on /boot")]
    BootFull,
    /// A unit that the policy calls critical does not run any more.
    #[error("ran before and does not run any more: {}", .0.join("; "))]
    CriticalUnits(Vec<String>),
    /// It was staged, and the machine booted something else.
    #[error("the machine was started anew and did not boot it: {}", found.as_deref().map_or_else(|| "nothing is linked as the current system".to_owned(), |found| format!("{found} is the current system")))]
    NotBooted {
        /// What runs instead.
        found: Option<String>,
    },
    /// It was staged, and another toplevel takes its place.
    #[error("another toplevel took its place before the machine was rebooted")]
    Superseded,
    /// It left no room on the disk.
    #[error("the activation filled the disk of the agent's state")]
    DiskFull,
    /// It wrote more than is kept.
    #[error("the activation wrote more than {0} MiB and was ended")]
    Flooded(u64),
    /// There is nothing to go back to.
    #[error("nothing ran here before that the agent could go back to")]
    NoPrevious,
}

/// The first of what is not in place, and how much more there is.
fn not_in_place(what: &[String]) -> String {
    const TOLD: usize = 3;
    let mut text = what.iter().take(TOLD).cloned().collect::<Vec<_>>().join("; ");
    if what.len() > TOLD {
        text.push_str(&format!("; and {} more", what.len() - TOLD));
    }
    text
}

impl Failure {
    /// Somebody else switched to what was found.
    #[must_use]
    pub fn overtaken(found: Option<Utf8PathBuf>) -> Failure {
        Failure::Overtaken {
            found: found.map(Utf8PathBuf::into_string),
        }
    }

    /// Why a boot loader's step failed.
    #[must_use]
    pub fn of_boot_step(self) -> Failure {
        match self {
            Failure::BootFull
            | Failure::SwitchNeverEnded(_)
            | Failure::Overtaken { .. }
            | Failure::Lost
            | Failure::Start(_) => self,
            other => Failure::Boot(other.to_string()),
        }
    }

    /// What the boot loader lacks.
    #[must_use]
    pub fn of_boot_entry(boot: BootEntry) -> Option<Failure> {
        match boot {
            BootEntry::Verified | BootEntry::Unverified => None,
            BootEntry::Missing => Some(Failure::NoBootEntry),
            BootEntry::Incomplete => Some(Failure::BootFiles),
        }
    }

    /// The cause as the quarantine gate knows it.
    #[must_use]
    pub fn cause(&self) -> Cause {
        match self {
            Failure::Probes(_) | Failure::Units(_) => Cause::ProbeFailed,
            Failure::Rebooted | Failure::Lost | Failure::Unconfirmed(_) => Cause::Interrupted,
            _ => Cause::ActivationFailed,
        }
    }

    /// Whether trying the same toplevel again may simply work: then it is no reason for a quarantine.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(
            self,
            Failure::SwitchLocked
                | Failure::SwitchNeverEnded(_)
                | Failure::Overtaken { .. }
                | Failure::Deadman(_)
                | Failure::Secrets(_)
                | Failure::Start(_)
                | Failure::Rebooted
                | Failure::Superseded
                | Failure::BootFull
                | Failure::Lost
        )
    }
}
