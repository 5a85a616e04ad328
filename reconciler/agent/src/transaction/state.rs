//! The transaction's states, and what may happen to it, as the journal keeps them. Decides nothing.

use super::{Failure, Health, RunningUnit};
use crate::class::{BootEntry, Judgement};
use camino::Utf8PathBuf;
use serde::{Deserialize, Serialize};

/// How far the way forth went: everything up to there has to be undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reach {
    /// At the most the secrets were swapped.
    Secrets,
    /// The new toplevel was activated, at least in part.
    Toplevel,
    /// The profile may point at it, and the boot default too.
    Profile,
    /// The profile and the boot default alone: what runs was never touched.
    BootDefault,
}

/// How far a toplevel that only a boot reaches was made the boot default, when the machine was started anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Staging {
    /// It was, and was seen to be.
    Complete,
    /// The machine went down in the middle of it.
    CutOff,
}

/// The way back: why, and how far the way forth had gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Way {
    /// Why it turned back.
    pub failure: Failure,
    /// How far the way forth had gone.
    pub reach: Reach,
    /// Why the old secrets could not be put in force again, if they could not: the old toplevel comes back all
    /// the same, and a person is told.
    #[serde(default)]
    pub secrets_lost: Option<Failure>,
    /// Why what ran before could not be activated again, where profile and boot default are set back all the same:
    /// a boot reaches it then.
    #[serde(default)]
    pub return_failed: Option<Failure>,
    /// The units to restart that ran when the old secrets were in force again.
    #[serde(default)]
    pub running: Vec<RunningUnit>,
}

impl Way {
    /// What the way forth made current, where that was something else than it was to be.
    #[must_use]
    pub fn left(&self) -> Option<Utf8PathBuf> {
        match &self.failure {
            Failure::NotCurrent { found } => found.clone().map(Utf8PathBuf::from),
            _ => None,
        }
    }
}

/// How far a transaction came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "at")]
pub enum State {
    /// The intent is journaled; nothing is touched.
    Intended,
    /// The new secrets are being put in force.
    SwappingSecrets,
    /// The new toplevel is being activated.
    Activating {
        /// The units to restart that ran when the new secrets came in force.
        #[serde(default)]
        running: Vec<RunningUnit>,
    },
    /// Whether it is the current system is being looked at.
    Verifying {
        /// How well it runs.
        health: Health,
        /// As above.
        #[serde(default)]
        running: Vec<RunningUnit>,
    },
    /// The units whose secrets changed are being restarted.
    RestartingUnits {
        /// How well it runs.
        health: Health,
        /// As above.
        running: Vec<RunningUnit>,
    },
    /// The probes run.
    Probing {
        /// How well it runs.
        health: Health,
    },
    /// The profile is being set.
    SettingProfile {
        /// How well it runs.
        health: Health,
    },
    /// The boot default is being set.
    SettingBoot {
        /// How well it runs.
        health: Health,
        /// The profile's new generation.
        profile: Option<u64>,
    },
    /// Whether the boot loader has its entry is being looked at.
    VerifyingBoot {
        /// How well it runs.
        health: Health,
        /// The profile's new generation.
        profile: Option<u64>,
    },
    /// Only a boot reaches it. The profile is being set; what runs is left alone.
    StagingProfile,
    /// The boot default is being set.
    StagingBoot {
        /// The profile's new generation.
        profile: Option<u64>,
    },
    /// Whether the boot loader has its entry is being looked at.
    VerifyingStaged {
        /// The profile's new generation.
        profile: Option<u64>,
    },
    /// It is what boots next, and a reboot is waited for.
    Staged {
        /// The profile's new generation.
        profile: Option<u64>,
        /// Whether the boot loader was seen to have it.
        boot: BootEntry,
    },
    /// The machine was started anew. What it booted is being looked at.
    Arriving {
        /// How far the boot default had been set.
        staging: Staging,
    },
    /// Done: this is the machine's generation.
    Committed {
        /// How well it runs.
        health: Health,
        /// The profile's new generation.
        profile: Option<u64>,
        /// Whether the boot loader was seen to have it.
        boot: BootEntry,
    },
    /// Turned back: the old secrets are being put in force.
    RestoringSecrets(Way),
    /// The old toplevel is being activated.
    Returning(Way),
    /// Whether the old toplevel is the current system is being looked at.
    VerifyingReturn(Way),
    /// The units whose secrets changed back are being restarted.
    RestartingUnitsBack(Way),
    /// The profile is being set back.
    RestoringProfile(Way),
    /// The boot default is being set back.
    RestoringBoot(Way),
    /// Done: the machine is back on what it ran before.
    Reverted(Way),
    /// The way back failed as well: a person is needed.
    RevertFailed {
        /// Why it turned back.
        way: Way,
        /// Why the way back failed.
        revert: Failure,
    },
}

/// How the agent came to see a transaction that it did not begin in this life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Restart {
    /// The machine kept running.
    SameBoot,
    /// The machine was started anew.
    OtherBoot,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// The host may be touched now.
    Begun,
    /// The secrets asked for are in force; these of the units to restart ran at that moment.
    SecretsInForce(Vec<RunningUnit>),
    /// The units were restarted; these do not run any more.
    UnitsRestarted(Vec<String>),
    /// An activation ended and was judged.
    Activated(Activation),
    /// What the current system is.
    Observed(Option<Utf8PathBuf>),
    /// The same, and somebody else has set the profile meanwhile: it is left alone.
    Overwritten(Option<Utf8PathBuf>),
    /// The probes ended; these regressed.
    Probed(Vec<String>),
    /// The profile was set.
    ProfileSet(Option<u64>),
    /// What the boot loader has.
    BootObserved(BootEntry),
    /// What was to be done could not be.
    Failed(Failure),
    /// The agent was started anew.
    Restarted(Restart),
    /// Nobody confirmed it in time; the limit in seconds.
    Unconfirmed(u64),
    /// Another toplevel is to take the place of one that waits for a reboot.
    Superseded,
}

/// An activation's end, journaled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Activation {
    /// It is live.
    Live(Health),
    /// Nothing was touched.
    Untouched(Failure),
    /// It broke half-way.
    Broken(Failure),
}

impl From<Judgement> for Activation {
    fn from(judgement: Judgement) -> Self {
        match judgement {
            Judgement::Live(health) => Activation::Live(health),
            Judgement::Untouched(failure) => Activation::Untouched(failure),
            Judgement::Broken(failure) => Activation::Broken(failure),
        }
    }
}

impl State {
    /// Its name in the journal.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            State::Intended => "intended",
            State::SwappingSecrets => "swapping-secrets",
            State::Activating { .. } => "activating",
            State::Verifying { .. } => "verifying",
            State::RestartingUnits { .. } => "restarting-units",
            State::Probing { .. } => "probing",
            State::SettingProfile { .. } => "setting-profile",
            State::SettingBoot { .. } => "setting-boot",
            State::VerifyingBoot { .. } => "verifying-boot",
            State::StagingProfile => "staging-profile",
            State::StagingBoot { .. } => "staging-boot",
            State::VerifyingStaged { .. } => "verifying-staged",
            State::Staged { .. } => "staged",
            State::Arriving { .. } => "arriving",
            State::Committed { .. } => "committed",
            State::RestoringSecrets(_) => "restoring-secrets",
            State::Returning(_) => "returning",
            State::VerifyingReturn(_) => "verifying-return",
            State::RestartingUnitsBack(_) => "restarting-units-back",
            State::RestoringProfile(_) => "restoring-profile",
            State::RestoringBoot(_) => "restoring-boot",
            State::Reverted(_) => "reverted",
            State::RevertFailed { .. } => "revert-failed",
        }
    }

    /// Whether nothing more is done.
    #[must_use]
    pub fn is_end(&self) -> bool {
        matches!(
            self,
            State::Committed { .. } | State::Reverted(_) | State::RevertFailed { .. }
        )
    }
}
