//! What is to be done in each state of a transaction, and where each event leads. Pure.
//!
//! The state alone says what is to be done ([`effect`]), and every effect may be done twice: an agent that was
//! killed goes on from the journaled state as if nothing had been.

use super::{
    Activation, Approach, Event, Failure, Intent, Reach, Restart, RunningUnit, Side, Staging, State, Way,
};
use crate::class::{Action, BootEntry, Surface};
use camino::Utf8PathBuf;

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
        /// What the way forth made current instead of what it was to: nobody else did.
        left: Option<Utf8PathBuf>,
    },
    /// Look what the current system is; this is expected.
    Observe(Utf8PathBuf),
    /// Run the probes.
    Probe,
    /// Set the profile to the new toplevel, while one side runs.
    SetProfile(Side),
    /// Set the profile back to a generation, or to a path where that generation is gone.
    RestoreProfile {
        /// The generation before.
        generation: Option<u64>,
        /// What it pointed at.
        target: Option<Utf8PathBuf>,
    },
    /// Look whether the boot loader has an entry for the new toplevel, while one side runs.
    ObserveBoot(Side),
    /// Nothing until the machine is started anew.
    AwaitReboot,
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

/// The step that makes a toplevel the boot default while another one runs.
pub const STAGE: &str = "stage";
/// The step that makes it the boot default while it runs.
pub const BOOT: &str = "boot";
/// The step that gives the boot default back.
pub const RETURN_BOOT: &str = "return-boot";

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
        left: None,
    };
    match state {
        State::Intended => Effect::Begin,
        State::SwappingSecrets => Effect::PutSecretsInForce(Side::New),
        State::Activating { .. } => match intent.approach {
            Approach::Switch => activate(intent.live(), Action::Test, "activate"),
            // It runs already. What a boot does not tell, as how its units are, this does.
            Approach::Reboot { .. } => activate(intent.live(), Action::Test, "arrive"),
        },
        State::Verifying { .. } => Effect::Observe(intent.live().clone()),
        State::Arriving { .. } => Effect::Observe(intent.toplevel.clone()),
        State::VerifyingReturn(_) => match &intent.previous {
            Some(previous) => Effect::Observe(previous.toplevel.clone()),
            None => Effect::Finish,
        },
        State::RestartingUnits { running, .. } => Effect::RestartUnits {
            side: Side::New,
            running: running.clone(),
        },
        State::Probing { .. } => Effect::Probe,
        State::SettingProfile { .. } => Effect::SetProfile(Side::New),
        State::StagingProfile => Effect::SetProfile(Side::Previous),
        State::SettingBoot { .. } => activate(&intent.toplevel, Action::Boot, BOOT),
        State::StagingBoot { .. } => activate(&intent.toplevel, Action::Boot, STAGE),
        State::VerifyingBoot { .. } => Effect::ObserveBoot(Side::New),
        State::VerifyingStaged { .. } => Effect::ObserveBoot(Side::Previous),
        State::Staged { .. } => Effect::AwaitReboot,
        State::RestoringSecrets(_) => Effect::PutSecretsInForce(Side::Previous),
        State::RestartingUnitsBack(way) => Effect::RestartUnits {
            side: Side::Previous,
            running: way.running.clone(),
        },
        State::Returning(way) => match &intent.previous {
            Some(previous) => Effect::Activate {
                toplevel: previous.toplevel.clone(),
                action: Action::Return,
                step: "return",
                left: way.left(),
            },
            None => Effect::Finish,
        },
        State::RestoringProfile(_) => Effect::RestoreProfile {
            generation: intent.previous_profile,
            target: intent.previous_profile_target.clone(),
        },
        State::RestoringBoot(_) => match intent.booted_before() {
            Some(toplevel) => activate(toplevel, Action::Boot, RETURN_BOOT),
            None => Effect::Finish,
        },
        State::Committed { .. } | State::Reverted(_) | State::RevertFailed { .. } => Effect::Finish,
    }
}

/// Where an event leads from a state.
pub fn step(state: State, event: Event, intent: &Intent) -> Result<State, IllegalStep> {
    let surface = surface(intent);
    // What ran before may be of another class.
    let returned = intent
        .previous
        .as_ref()
        .map_or(surface, |previous| Surface::of(previous.class));
    let turned = |failure, reach| Way {
        failure,
        reach,
        secrets_lost: None,
        return_failed: None,
        running: Vec::new(),
    };
    let back = |failure, reach| {
        let reach = match intent.approach {
            Approach::Switch => reach,
            // The boot default led to it before anything else did.
            Approach::Reboot { .. } => Reach::Profile,
        };
        Ok(State::RestoringSecrets(turned(failure, reach)))
    };
    // Nothing at all was touched.
    let give_up = |failure| Ok(State::RestoringSecrets(turned(failure, Reach::Secrets)));
    // Neither secrets nor what runs were touched.
    let unstage = |failure| Ok(State::RestoringProfile(turned(failure, Reach::BootDefault)));
    // Somebody else switched to something else. What they run, boot, and have in the profile stays.
    let leave = |failure| Ok(State::RestoringSecrets(turned(failure, Reach::BootDefault)));
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
    let back_again = |way: Way| match way.return_failed.clone().or_else(|| way.secrets_lost.clone()) {
        None => State::Reverted(way),
        Some(revert) => State::RevertFailed { way, revert },
    };
    let after_return = |way: Way| match way.reach {
        Reach::Profile | Reach::BootDefault => State::RestoringProfile(way),
        Reach::Secrets | Reach::Toplevel => back_again(way),
    };
    // What boots next is set right in any case: where nothing else helps, a reboot does.
    let not_returned = |way: Way, revert| match way.reach {
        Reach::Profile => State::RestoringProfile(Way {
            return_failed: Some(revert),
            ..way
        }),
        _ => State::RevertFailed { way, revert },
    };
    let after_reactivation = |way: Way| {
        if intent.restart_units_back.is_empty() {
            after_return(way)
        } else {
            State::RestartingUnitsBack(way)
        }
    };
    // On the way back, too. Whatever it turned back for may have been their doing.
    let left = |way: Way, found| {
        after_reactivation(Way {
            failure: Failure::overtaken(found),
            reach: match way.reach {
                Reach::Profile | Reach::BootDefault => Reach::BootDefault,
                Reach::Secrets | Reach::Toplevel => way.reach,
            },
            ..way
        })
    };
    let after_secrets = |way: Way| match (&intent.previous, way.reach) {
        (_, Reach::Secrets) => after_return(way),
        (_, Reach::BootDefault) => after_reactivation(way),
        (Some(_), _) => State::Returning(way),
        (None, _) => State::RevertFailed {
            way,
            revert: Failure::NoPrevious,
        },
    };
    match (state, event) {
        (State::Intended, Event::Begun) => Ok(match intent.approach {
            Approach::Switch => State::SwappingSecrets,
            Approach::Reboot { .. } => State::StagingProfile,
        }),
        (State::Intended, Event::Failed(failure)) => give_up(failure),
        (State::StagingProfile, Event::Overwritten(found)) => unstage(Failure::overtaken(found)),
        // They will switch to it, or boot it: what runs is not what they want.
        (State::SettingProfile { .. }, Event::Overwritten(found)) => {
            back(Failure::overtaken(found), Reach::Toplevel)
        }
        (State::StagingProfile, Event::ProfileSet(profile)) => Ok(State::StagingBoot { profile }),
        (State::StagingProfile, Event::Failed(failure)) => unstage(failure),
        (State::StagingBoot { profile }, Event::Activated(Activation::Live(_))) => {
            Ok(State::VerifyingStaged { profile })
        }
        (
            State::StagingBoot { .. } | State::VerifyingStaged { .. },
            Event::Activated(Activation::Untouched(failure) | Activation::Broken(failure))
            | Event::Failed(failure),
        ) => unstage(failure.of_boot_step()),
        (State::VerifyingStaged { profile }, Event::BootObserved(boot)) => match Failure::of_boot_entry(boot)
        {
            None => Ok(State::Staged { profile, boot }),
            Some(failure) => unstage(failure),
        },
        (State::Staged { .. }, Event::Superseded) => unstage(Failure::Superseded),
        // The boot loader knows nothing of a specialisation that is to run: it boots what has it.
        (State::Arriving { .. }, Event::Observed(found) | Event::Overwritten(found))
            if found.as_ref() == Some(&intent.toplevel) || found.as_ref() == Some(intent.live()) =>
        {
            Ok(State::SwappingSecrets)
        }
        // What runs is what somebody, or the loader's own fallback, chose to boot: it is left alone.
        (State::Arriving { staging }, Event::Observed(found) | Event::Overwritten(found)) => {
            unstage(match staging {
                Staging::Complete => Failure::NotBooted {
                    found: found.map(Utf8PathBuf::into_string),
                },
                Staging::CutOff => Failure::Rebooted,
            })
        }
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
        (State::Verifying { health, running }, event @ (Event::Observed(_) | Event::Overwritten(_))) => {
            let (found, reach) = match event {
                Event::Overwritten(found) => (found, Reach::Profile),
                Event::Observed(found) => (found, Reach::Toplevel),
                _ => (None, Reach::Toplevel),
            };
            if found.as_ref() == Some(intent.live()) {
                return Ok(after_activation(health, running));
            }
            let is_theirs = reach == Reach::Profile && intent.is_theirs(found.as_ref());
            let found = found.map(Utf8PathBuf::into_string);
            match is_theirs {
                true => leave(Failure::Overtaken { found }),
                // Whatever it is: the activation may have made it that itself.
                false => back(Failure::NotCurrent { found }, reach),
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
        (
            State::SettingProfile { .. } | State::SettingBoot { .. } | State::VerifyingBoot { .. },
            Event::Failed(failure @ Failure::Overtaken { .. }),
        ) => leave(failure),
        (State::SettingProfile { .. }, Event::Failed(failure)) => back(failure, Reach::Profile),
        (State::SettingBoot { health, profile }, Event::Activated(Activation::Live(_))) => {
            Ok(State::VerifyingBoot { health, profile })
        }
        (
            State::SettingBoot { .. } | State::VerifyingBoot { .. },
            Event::Failed(failure @ Failure::SwitchNeverEnded(_)),
        ) => back(failure, Reach::Profile),
        (
            State::SettingBoot { .. },
            Event::Activated(Activation::Untouched(failure) | Activation::Broken(failure))
            | Event::Failed(failure),
        ) => back(failure.of_boot_step(), Reach::Profile),
        (State::VerifyingBoot { health, profile }, Event::BootObserved(boot)) => {
            match Failure::of_boot_entry(boot) {
                None => Ok(State::Committed {
                    health,
                    profile,
                    boot,
                }),
                Some(failure) => back(failure, Reach::Profile),
            }
        }

        (State::RestoringSecrets(way), Event::SecretsInForce(running)) => {
            Ok(after_secrets(Way { running, ..way }))
        }
        (State::RestoringSecrets(way), Event::Failed(lost)) => Ok(after_secrets(Way {
            secrets_lost: Some(lost),
            ..way
        })),
        (State::Returning(way), Event::Activated(Activation::Live(_))) => Ok(if returned.shows_what_runs() {
            State::VerifyingReturn(way)
        } else {
            after_reactivation(way)
        }),
        (State::Returning(way), Event::Failed(Failure::Overtaken { found })) => {
            Ok(left(way, found.map(Utf8PathBuf::from)))
        }
        (State::VerifyingReturn(way), Event::Observed(found) | Event::Overwritten(found))
            if intent.is_theirs(found.as_ref()) && found != way.left() =>
        {
            Ok(left(way, found))
        }
        (State::VerifyingReturn(way), Event::Observed(found) | Event::Overwritten(found))
            if found.as_ref() == intent.previous.as_ref().map(|previous| &previous.toplevel) =>
        {
            Ok(after_reactivation(way))
        }
        (State::VerifyingReturn(way), Event::Observed(found) | Event::Overwritten(found)) => {
            let revert = Failure::NotCurrent {
                found: found.map(Utf8PathBuf::into_string),
            };
            Ok(not_returned(way, revert))
        }
        // The machine is back. A unit that does not come back with it is told, and keeps nothing else from it.
        (State::RestartingUnitsBack(way), Event::UnitsRestarted(_)) => Ok(after_return(way)),
        // Somebody else's profile has somebody else's boot default with it.
        (State::RestoringProfile(way) | State::RestoringBoot(way), Event::Overwritten(found)) => {
            let failure = match intent.is_theirs(found.as_ref()) && way.reach == Reach::Profile {
                true => Failure::overtaken(found),
                false => way.failure,
            };
            Ok(back_again(Way { failure, ..way }))
        }
        (State::RestoringProfile(way), Event::ProfileSet(_)) => Ok(match intent.booted_before() {
            Some(_) if surface.has_boot_step() => State::RestoringBoot(way),
            _ => back_again(way),
        }),
        // What runs was never touched, or could not be returned to: there is nothing to look at.
        (State::RestoringBoot(way), Event::Activated(Activation::Live(_)))
            if way.reach == Reach::BootDefault || way.return_failed.is_some() =>
        {
            Ok(back_again(way))
        }
        // The last look: what was set back is what runs.
        (State::RestoringBoot(way), Event::Activated(Activation::Live(_))) => {
            Ok(State::VerifyingReturn(Way {
                reach: Reach::Toplevel,
                ..way
            }))
        }
        (
            State::Returning(way),
            Event::Failed(revert)
            | Event::Activated(Activation::Untouched(revert) | Activation::Broken(revert)),
        ) => Ok(not_returned(way, revert)),
        (
            State::RestoringProfile(way) | State::RestoringBoot(way),
            Event::Failed(revert)
            | Event::Activated(Activation::Untouched(revert) | Activation::Broken(revert)),
        ) => Ok(State::RevertFailed { way, revert }),

        // Nothing had been touched, or everything has been said.
        (State::Intended, Event::Restarted(Restart::OtherBoot)) => give_up(Failure::Lost),
        (
            state @ (State::Committed { .. } | State::Reverted(_) | State::RevertFailed { .. }),
            Event::Restarted(_),
        ) => Ok(state),
        // The machine kept running: whatever was being done is done again or waited for.
        (state, Event::Restarted(Restart::SameBoot)) => Ok(state),
        // What it waited for. Where it was cut off, the boot tells how far it had come.
        (State::Staged { .. }, Event::Restarted(Restart::OtherBoot)) => Ok(State::Arriving {
            staging: Staging::Complete,
        }),
        (
            State::StagingProfile | State::StagingBoot { .. } | State::VerifyingStaged { .. },
            Event::Restarted(Restart::OtherBoot),
        ) => Ok(State::Arriving {
            staging: Staging::CutOff,
        }),
        (state @ State::Arriving { .. }, Event::Restarted(Restart::OtherBoot)) => Ok(state),
        // A new boot during the trial: on NixOS the boot default was still the old system, unless only a boot
        // reaches the new one; then one is enough.
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
            reach: match way.reach {
                Reach::Secrets | Reach::Toplevel => Reach::Toplevel,
                Reach::Profile | Reach::BootDefault => Reach::Profile,
            },
            return_failed: None,
            ..way
        })),
        // The agent that began it is gone: it is undone as far as it went. What is on its way back goes on.
        (State::Intended, Event::Unconfirmed(limit)) => give_up(Failure::Unconfirmed(limit)),
        (State::SwappingSecrets, Event::Unconfirmed(limit)) => {
            back(Failure::Unconfirmed(limit), Reach::Secrets)
        }
        (
            State::StagingProfile | State::StagingBoot { .. } | State::VerifyingStaged { .. },
            Event::Unconfirmed(limit),
        ) => unstage(Failure::Unconfirmed(limit)),
        (State::Arriving { .. }, Event::Unconfirmed(limit)) => {
            back(Failure::Unconfirmed(limit), Reach::Profile)
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
