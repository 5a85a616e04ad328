//! The transaction's states, what may happen in each, and what is to be done in each. Pure.
//!
//! The state alone says what is to be done ([`effect`]), and every effect may be done twice: an agent that was
//! killed goes on from the journaled state as if nothing had been.

use super::{Failure, Health, Intent, RunningUnit, Side};
use crate::class::{Action, BootEntry, Judgement, Surface};
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
    /// The units to restart that ran when the old secrets were in force again.
    #[serde(default)]
    pub running: Vec<RunningUnit>,
    /// Whether it is gone a second time, since somebody else switched to something else in the middle of it.
    #[serde(default)]
    pub again: bool,
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

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Let the transaction begin.
    Begin,
    /// Put the secrets of one side in force, or none.
    PutSecretsInForce(Side),
    /// Restart the units whose secrets are now those of one side, but for those that were started since.
    RestartUnits {
        /// Which side's.
        side: Side,
        /// Those that ran when the secrets came in force.
        running: Vec<RunningUnit>,
    },
    /// Run an activation.
    Activate {
        /// What of.
        toplevel: Utf8PathBuf,
        /// Which.
        action: Action,
        /// The step's name, unique in the transaction: its log and result carry it.
        step: &'static str,
    },
    /// Look what the current system is; this is expected.
    Observe(Utf8PathBuf),
    /// Run the probes.
    Probe,
    /// Set the profile to a store path.
    SetProfile(Utf8PathBuf),
    /// Set the profile back to a generation, or to a path where that generation is gone.
    RestoreProfile {
        /// The generation before.
        generation: Option<u64>,
        /// What it pointed at.
        target: Option<Utf8PathBuf>,
    },
    /// Look whether the boot loader has an entry for the new toplevel.
    ObserveBoot,
    /// Nothing more.
    Finish,
}

/// An event that has no place in a state: a defect of the agent, or a journal somebody edited.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{event:?} has no place in a transaction that is at {state:?}")]
pub struct IllegalStep {
    /// The state.
    pub state: State,
    /// The event.
    pub event: Event,
}

fn surface(intent: &Intent) -> Surface {
    Surface::of(intent.class)
}

/// What is to be done in a state.
#[must_use]
pub fn effect(state: &State, intent: &Intent) -> Effect {
    let activate = |toplevel: &Utf8PathBuf, action, step| Effect::Activate {
        toplevel: toplevel.clone(),
        action,
        step,
    };
    let previous = |action, step| match &intent.previous {
        Some(previous) => activate(&previous.toplevel, action, step),
        None => Effect::Finish,
    };
    match state {
        State::Intended => Effect::Begin,
        State::SwappingSecrets => Effect::PutSecretsInForce(Side::New),
        State::Activating { .. } => activate(&intent.toplevel, Action::Test, "activate"),
        State::Verifying { .. } => Effect::Observe(intent.toplevel.clone()),
        State::VerifyingReturn(_) => match &intent.previous {
            Some(previous) => Effect::Observe(previous.toplevel.clone()),
            None => Effect::Finish,
        },
        State::RestartingUnits { running, .. } => Effect::RestartUnits {
            side: Side::New,
            running: running.clone(),
        },
        State::Probing { .. } => Effect::Probe,
        State::SettingProfile { .. } => Effect::SetProfile(intent.toplevel.clone()),
        State::SettingBoot { .. } => activate(&intent.toplevel, Action::Boot, "boot"),
        State::VerifyingBoot { .. } => Effect::ObserveBoot,
        State::RestoringSecrets(_) => Effect::PutSecretsInForce(Side::Previous),
        State::RestartingUnitsBack(way) => Effect::RestartUnits {
            side: Side::Previous,
            running: way.running.clone(),
        },
        State::Returning(way) => previous(Action::Return, if way.again { "return-again" } else { "return" }),
        State::RestoringProfile(_) => Effect::RestoreProfile {
            generation: intent.previous_profile,
            target: intent.previous_profile_target.clone(),
        },
        State::RestoringBoot(way) => previous(
            Action::Boot,
            if way.again {
                "return-boot-again"
            } else {
                "return-boot"
            },
        ),
        State::Committed { .. } | State::Reverted(_) | State::RevertFailed { .. } => Effect::Finish,
    }
}

/// Where an event leads from a state.
pub fn step(state: State, event: Event, intent: &Intent) -> Result<State, IllegalStep> {
    let surface = surface(intent);
    let back = |failure, reach| {
        Ok(State::RestoringSecrets(Way {
            failure,
            reach,
            secrets_lost: None,
            running: Vec::new(),
            again: false,
        }))
    };
    // Neither what ran before nor what was to run: somebody else's.
    let is_theirs = |found: &Option<Utf8PathBuf>| {
        found.as_ref().is_some_and(|found| {
            *found != intent.toplevel
                && intent
                    .previous
                    .as_ref()
                    .is_none_or(|previous| previous.toplevel != *found)
        })
    };
    let after_activation = |health, running| {
        if intent.restart_units.is_empty() {
            State::Probing { health }
        } else {
            State::RestartingUnits { health, running }
        }
    };
    // Once the profile is set, a custom toplevel is committed: it has no boot loader.
    let after_profile = |health, profile| {
        if surface.has_boot_step() {
            State::SettingBoot { health, profile }
        } else {
            State::Committed {
                health,
                profile,
                boot: BootEntry::Unverified,
            }
        }
    };
    let back_again = |way: Way| match way.secrets_lost.clone() {
        None => State::Reverted(way),
        Some(revert) => State::RevertFailed { way, revert },
    };
    let after_return = |way: Way| {
        if way.reach == Reach::Profile {
            State::RestoringProfile(way)
        } else {
            back_again(way)
        }
    };
    let after_reactivation = |way: Way| {
        if intent.restart_units_back.is_empty() {
            after_return(way)
        } else {
            State::RestartingUnitsBack(way)
        }
    };
    let after_secrets = |way: Way| match (&intent.previous, way.reach) {
        (_, Reach::Secrets) => after_return(way),
        (Some(_), _) => State::Returning(way),
        (None, _) => State::RevertFailed {
            way,
            revert: Failure::NoPrevious,
        },
    };
    match (state, event) {
        (State::Intended, Event::Begun) => Ok(State::SwappingSecrets),
        (State::Intended, Event::Failed(failure)) => back(failure, Reach::Secrets),
        (State::SwappingSecrets, Event::SecretsInForce(running)) => Ok(State::Activating { running }),
        (State::SwappingSecrets, Event::Failed(failure)) => back(failure, Reach::Secrets),
        (State::Activating { running }, Event::Activated(Activation::Live(health))) => {
            Ok(if surface.shows_what_runs() {
                State::Verifying { health, running }
            } else {
                after_activation(health, running)
            })
        }
        (State::Activating { .. }, Event::Activated(Activation::Untouched(failure))) => {
            back(failure, Reach::Secrets)
        }
        (
            State::Activating { .. },
            Event::Activated(Activation::Broken(failure)) | Event::Failed(failure),
        ) => back(failure, Reach::Toplevel),
        (State::Verifying { health, running }, Event::Observed(found)) => {
            if found.as_ref() == Some(&intent.toplevel) {
                Ok(after_activation(health, running))
            } else {
                let theirs = is_theirs(&found);
                let found = found.map(Utf8PathBuf::into_string);
                let failure = match theirs {
                    true => Failure::Overtaken { found },
                    false => Failure::NotCurrent { found },
                };
                back(failure, Reach::Toplevel)
            }
        }
        (State::RestartingUnits { health, .. }, Event::UnitsRestarted(failed)) => {
            if failed.is_empty() {
                Ok(State::Probing { health })
            } else {
                back(Failure::Units(failed), Reach::Toplevel)
            }
        }
        (State::Probing { health }, Event::Probed(regressed)) => {
            if regressed.is_empty() {
                Ok(State::SettingProfile { health })
            } else {
                back(Failure::Probes(regressed), Reach::Toplevel)
            }
        }
        (State::SettingProfile { health }, Event::ProfileSet(profile)) => Ok(after_profile(health, profile)),
        (State::SettingProfile { .. }, Event::Failed(failure)) => back(failure, Reach::Profile),
        (State::SettingBoot { health, profile }, Event::Activated(Activation::Live(_))) => {
            Ok(State::VerifyingBoot { health, profile })
        }
        (
            State::SettingBoot { .. } | State::VerifyingBoot { .. },
            Event::Failed(failure @ (Failure::SwitchNeverEnded(_) | Failure::Overtaken { .. })),
        ) => back(failure, Reach::Profile),
        (
            State::SettingBoot { .. },
            Event::Activated(Activation::Untouched(failure) | Activation::Broken(failure))
            | Event::Failed(failure),
        ) => back(Failure::Boot(failure.to_string()), Reach::Profile),
        (State::VerifyingBoot { health, profile }, Event::BootObserved(boot)) => match boot {
            BootEntry::Verified | BootEntry::Unverified => Ok(State::Committed {
                health,
                profile,
                boot,
            }),
            BootEntry::Missing => back(Failure::NoBootEntry, Reach::Profile),
        },

        (State::RestoringSecrets(way), Event::SecretsInForce(running)) => {
            Ok(after_secrets(Way { running, ..way }))
        }
        (State::RestoringSecrets(way), Event::Failed(lost)) => Ok(after_secrets(Way {
            secrets_lost: Some(lost),
            ..way
        })),
        (State::Returning(way), Event::Activated(Activation::Live(_))) => Ok(if surface.shows_what_runs() {
            State::VerifyingReturn(way)
        } else {
            after_reactivation(way)
        }),
        (State::VerifyingReturn(way), Event::Observed(found)) => {
            if found.as_ref() == intent.previous.as_ref().map(|previous| &previous.toplevel) {
                Ok(after_reactivation(way))
            } else if is_theirs(&found) && !way.again {
                // Their switch may have set everything.
                Ok(State::Returning(Way {
                    reach: Reach::Profile,
                    again: true,
                    ..way
                }))
            } else {
                let revert = Failure::NotCurrent {
                    found: found.map(Utf8PathBuf::into_string),
                };
                Ok(State::RevertFailed { way, revert })
            }
        }
        // The machine is back. A unit that does not come back with it is told, and keeps nothing else from it.
        (State::RestartingUnitsBack(way), Event::UnitsRestarted(_)) => Ok(after_return(way)),
        (State::RestoringProfile(way), Event::ProfileSet(_)) => Ok(match &intent.previous {
            Some(_) if surface.has_boot_step() => State::RestoringBoot(way),
            _ => back_again(way),
        }),
        // The last look: what was set back is what runs.
        (State::RestoringBoot(way), Event::Activated(Activation::Live(_))) => {
            Ok(State::VerifyingReturn(Way {
                reach: Reach::Toplevel,
                ..way
            }))
        }
        (
            State::Returning(way) | State::RestoringProfile(way) | State::RestoringBoot(way),
            Event::Failed(revert)
            | Event::Activated(Activation::Untouched(revert) | Activation::Broken(revert)),
        ) => Ok(State::RevertFailed { way, revert }),

        // Nothing had been touched, or everything has been said.
        (State::Intended, Event::Restarted(_)) => back(Failure::Lost, Reach::Secrets),
        (
            state @ (State::Committed { .. } | State::Reverted(_) | State::RevertFailed { .. }),
            Event::Restarted(_),
        ) => Ok(state),
        // The machine kept running: whatever was being done is done again or waited for.
        (state, Event::Restarted(Restart::SameBoot)) => Ok(state),
        // A new boot during the trial: on NixOS the boot default was still the old system.
        (
            State::SwappingSecrets
            | State::Activating { .. }
            | State::Verifying { .. }
            | State::RestartingUnits { .. }
            | State::Probing { .. },
            Event::Restarted(Restart::OtherBoot),
        ) => back(Failure::Rebooted, Reach::Toplevel),
        // The boot gave the machine the secrets of the generation that was confirmed: there is no going on.
        (
            State::SettingProfile { .. } | State::SettingBoot { .. } | State::VerifyingBoot { .. },
            Event::Restarted(Restart::OtherBoot),
        ) => back(Failure::Rebooted, Reach::Profile),
        // The boot may have undone any part of the way back: it is gone again from its beginning.
        (
            State::RestoringSecrets(way)
            | State::Returning(way)
            | State::VerifyingReturn(way)
            | State::RestartingUnitsBack(way)
            | State::RestoringProfile(way)
            | State::RestoringBoot(way),
            Event::Restarted(Restart::OtherBoot),
        ) => Ok(State::RestoringSecrets(Way {
            reach: way.reach.max(Reach::Toplevel),
            ..way
        })),
        // The agent that began it is gone: it is undone as far as it went. What is on its way back goes on.
        (State::Intended | State::SwappingSecrets, Event::Unconfirmed(limit)) => {
            back(Failure::Unconfirmed(limit), Reach::Secrets)
        }
        (
            State::Activating { .. }
            | State::Verifying { .. }
            | State::RestartingUnits { .. }
            | State::Probing { .. },
            Event::Unconfirmed(limit),
        ) => back(Failure::Unconfirmed(limit), Reach::Toplevel),
        (
            State::SettingProfile { .. } | State::SettingBoot { .. } | State::VerifyingBoot { .. },
            Event::Unconfirmed(limit),
        ) => back(Failure::Unconfirmed(limit), Reach::Profile),
        (state, Event::Unconfirmed(_)) => Ok(state),
        (state, event) => Err(IllegalStep { state, event }),
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
