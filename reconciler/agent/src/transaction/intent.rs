//! What a transaction set out to do: all that a later start of the agent needs to finish or revert it.

use crate::class::{Class, Surface};
use crate::journal::{GenerationKind, NewGeneration};
use camino::Utf8PathBuf;
use serde::{Deserialize, Serialize};

/// What ran before, to go back to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Previous {
    /// The toplevel that ran.
    pub toplevel: Utf8PathBuf,
    /// The class it is of.
    pub class: Class,
}

/// A unit that ran when secrets came in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunningUnit {
    /// Its name.
    pub unit: String,
    /// systemd's id of that run: another one has read the new secrets. None where systemd gave no answer.
    pub invocation: Option<String>,
}

/// One side of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// What it goes to.
    New,
    /// What ran before.
    Previous,
}

/// How a toplevel comes to run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "by")]
pub enum Approach {
    /// It is switched to while the machine runs.
    #[default]
    Switch,
    /// It is made the boot default, and a boot reaches it.
    Reboot {
        /// Why nothing else does, as `status` names it.
        reasons: Vec<String>,
    },
}

/// A specialisation of a toplevel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Specialisation {
    /// Its name below `specialisation/`.
    pub name: String,
    /// The store path it leads to.
    pub toplevel: Utf8PathBuf,
}

/// The intent of a transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// The commit.
    pub revision: String,
    /// Its first line.
    pub subject: String,
    /// The class.
    pub class: Class,
    /// The Nix system.
    pub system: String,
    /// The machine's tags, which decide its policy.
    pub tags: Vec<String>,
    /// The store path that the profile and the boot loader are to have.
    pub toplevel: Utf8PathBuf,
    /// Which of its specialisations is to run; none: itself.
    #[serde(default)]
    pub specialisation: Option<Specialisation>,
    /// How it comes to run.
    #[serde(default)]
    pub approach: Approach,
    /// The profile that records it.
    pub profile: Utf8PathBuf,
    /// How the generation comes to be.
    pub kind: GenerationKind,
    /// The secrets generation that was staged for it; none when it needs no secrets.
    pub secrets: Option<u64>,
    /// What secrets it needs, as JSON.
    pub requirements: Option<String>,
    /// What ran before.
    pub previous: Option<Previous>,
    /// What was current when it was decided: not always what there is to go back to.
    #[serde(default)]
    pub current_before: Option<Utf8PathBuf>,
    /// The secrets generation that was in force before.
    pub previous_secrets: Option<u64>,
    /// What secrets it was of, as JSON.
    #[serde(default)]
    pub previous_requirements: Option<String>,
    /// The units that are restarted for secrets that change.
    #[serde(default)]
    pub restart_units: Vec<String>,
    /// The units that are restarted when those secrets change back.
    #[serde(default)]
    pub restart_units_back: Vec<String>,
    /// The profile's generation before.
    pub previous_profile: Option<u64>,
    /// What the profile's generation pointed at before.
    pub previous_profile_target: Option<Utf8PathBuf>,
    /// The probes that passed before anything was touched: only these can regress.
    pub passing_before: Vec<String>,
    /// What of the toplevel that ran before was not in place even then: no reason to call the way back failed.
    #[serde(default)]
    pub amiss_before: Vec<String>,
    /// The critical units that ran before anything was touched: only these can regress.
    #[serde(default)]
    pub critical_before: Vec<String>,
}

impl Intent {
    /// The store path that is to run.
    #[must_use]
    pub fn live(&self) -> &Utf8PathBuf {
        match &self.specialisation {
            Some(specialisation) => &specialisation.toplevel,
            None => &self.toplevel,
        }
    }

    /// Whether what is current is somebody else's: neither what was to run nor anything that ran before.
    #[must_use]
    pub fn is_theirs(&self, found: Option<&Utf8PathBuf>) -> bool {
        let before = self.previous.as_ref().map(|previous| &previous.toplevel);
        Surface::of(self.class).runs_as_one()
            && found.is_some_and(|found| {
                found != self.live()
                    && *found != self.toplevel
                    && Some(found) != before
                    && Some(found) != self.current_before.as_ref()
                    // What a boot in the middle booted.
                    && Some(found) != self.previous_profile_target.as_ref()
            })
    }

    /// The toplevel whose boot loader is to be set on the way back: what the profile had is what booted, whatever
    /// ran.
    #[must_use]
    pub fn booted_before(&self) -> Option<&Utf8PathBuf> {
        let ran = self.previous.as_ref().map(|previous| &previous.toplevel);
        self.previous_profile_target.as_ref().or(ran)
    }

    /// The secrets generation of one side, and what secrets it is of, as JSON.
    #[must_use]
    pub fn secrets_of(&self, side: Side) -> (Option<u64>, Option<&str>) {
        match side {
            Side::New => (self.secrets, self.requirements.as_deref()),
            Side::Previous => (self.previous_secrets, self.previous_requirements.as_deref()),
        }
    }

    /// The units that are restarted when the secrets of one side came in force.
    #[must_use]
    pub fn restarts(&self, side: Side) -> &[String] {
        match side {
            Side::New => &self.restart_units,
            Side::Previous => &self.restart_units_back,
        }
    }

    /// The generation this becomes when it commits.
    #[must_use]
    pub fn generation(&self, profile_generation: Option<u64>, health: super::Health) -> NewGeneration {
        NewGeneration {
            revision: self.revision.clone(),
            subject: self.subject.clone(),
            class: self.class.as_str().to_owned(),
            system: self.system.clone(),
            tags: self.tags.clone(),
            toplevel: self.toplevel.to_string(),
            profile_generation,
            secrets: self.secrets,
            requirements: self.requirements.clone(),
            kind: self.kind,
            health: health.name().to_owned(),
        }
    }
}
