//! The transaction's state machine: its whole way forth, every way back, and no third end.

use super::fake::{FAULTS, FakeHost, Fault, NEW, OLD, by_reboot, ended, intent, rebooted, run};
use super::{Activation, Effect, Event, Failure, Health, Intent, Restart, State, effect, step};
use crate::class::{Action, BootEntry, Class};
use camino::Utf8PathBuf;
use proptest::prelude::*;

mod staging;
mod torn;

#[test]
fn without_a_fault_it_commits_and_the_boot_default_comes_last() {
    let intent = intent(Class::Nixos, Some(OLD));
    let mut host = FakeHost::new(None);
    let mut state = State::Intended;
    let mut order = Vec::new();
    while !ended(&state) {
        let next = effect(&state, &intent);
        order.push(
            format!("{next:?}")
                .split(['{', '('])
                .next()
                .unwrap()
                .trim()
                .to_owned(),
        );
        let event = host.perform(next);
        state = step(state, event, &intent).unwrap();
    }
    assert_eq!(
        order,
        [
            "Begin",
            "PutSecretsInForce",
            "Activate",
            "Observe",
            "RestartUnits",
            "Probe",
            "SetProfile",
            "Activate",
            "ObserveBoot"
        ]
    );
    assert!(matches!(
        state,
        State::Committed {
            boot: BootEntry::Verified,
            ..
        }
    ));
    assert!(host.is_wholly(NEW, 2, Class::Nixos), "{host:?}");
}

#[test]
fn every_fault_ends_on_the_whole_old_system() {
    for class in [Class::Nixos, Class::Custom] {
        for fault in FAULTS {
            let intent = intent(class, Some(OLD));
            let mut host = FakeHost::new(Some(fault));
            let state = run(&mut host, &intent, State::Intended);
            match (class, fault) {
                // A custom toplevel is not looked at and has no boot loader.
                (Class::Custom, Fault::Boot | Fault::NoEntry) => {
                    assert!(matches!(state, State::Committed { .. }), "{fault:?}: {state:?}");
                }
                (Class::Custom, Fault::NotCurrent) => assert!(matches!(state, State::Committed { .. })),
                _ => {
                    assert!(
                        matches!(state, State::Reverted(_)),
                        "{class} {fault:?}: {state:?}"
                    );
                    assert!(host.is_wholly(OLD, 1, class), "{class} {fault:?}: {host:?}");
                }
            }
        }
    }
}

#[test]
fn a_unit_is_restarted_once_whoever_does_it() {
    for (by_activation, restarts) in [(false, 1), (true, 0)] {
        let intent = intent(Class::Nixos, Some(OLD));
        let mut host = FakeHost::new(None);
        host.restarted_by_activation = by_activation;
        let state = run(&mut host, &intent, State::Intended);
        assert!(matches!(state, State::Committed { .. }), "{state:?}");
        assert_eq!((host.restarts, host.unit), (restarts, (Some(2), 2)));
    }
}

#[test]
fn without_units_to_restart_nothing_waits_for_them() {
    let mut intent = intent(Class::Nixos, Some(OLD));
    intent.restart_units.clear();
    intent.restart_units_back.clear();
    for fault in [None, Some(Fault::Unit)] {
        let mut host = FakeHost::new(fault);
        let state = run(&mut host, &intent, State::Intended);
        assert!(matches!(state, State::Committed { .. }), "{state:?}");
        assert_eq!(host.restarts, 0);
    }
}

#[test]
fn what_was_journaled_before_units_were_restarted_is_read() {
    for (text, state) in [
        (
            r#"{"at":"activating"}"#,
            State::Activating { running: Vec::new() },
        ),
        (
            r#"{"at":"verifying","health":"healthy"}"#,
            State::Verifying {
                health: Health::Healthy,
                running: Vec::new(),
            },
        ),
    ] {
        assert_eq!(serde_json::from_str::<State>(text).unwrap(), state);
    }
    let mut intent = intent(Class::Nixos, Some(OLD));
    let mut stored = serde_json::to_value(&intent).unwrap();
    for key in ["previous_requirements", "restart_units", "restart_units_back"] {
        stored.as_object_mut().unwrap().remove(key).unwrap();
    }
    intent.restart_units.clear();
    intent.restart_units_back.clear();
    assert_eq!(serde_json::from_value::<Intent>(stored).unwrap(), intent);
}

#[test]
fn a_failing_way_back_is_told_and_final() {
    let intent = intent(Class::Nixos, Some(OLD));
    let mut host = FakeHost::new(Some(Fault::Broken));
    let mut state = State::Intended;
    while !matches!(state, State::Returning(_)) {
        let event = host.perform(effect(&state, &intent));
        state = step(state, event, &intent).unwrap();
    }
    let event = Event::Activated(Activation::Broken(Failure::ActivationScript));
    let state = step(state, event, &intent).unwrap();
    assert!(
        matches!(
            state,
            State::RevertFailed {
                revert: Failure::ActivationScript,
                ..
            }
        ),
        "{state:?}"
    );
    assert_eq!(effect(&state, &intent), Effect::Finish);
}

#[test]
fn lost_secrets_do_not_keep_the_old_toplevel_away() {
    let intent = intent(Class::Nixos, Some(OLD));
    let mut host = FakeHost::new(Some(Fault::Probe));
    let mut state = State::Intended;
    while !matches!(state, State::RestoringSecrets(_)) {
        let event = host.perform(effect(&state, &intent));
        state = step(state, event, &intent).unwrap();
    }
    let lost = Failure::Secrets("gone".to_owned());
    let state = step(state, Event::Failed(lost.clone()), &intent).unwrap();
    let state = run(&mut host, &intent, state);
    assert!(
        matches!(&state, State::RevertFailed { revert, .. } if *revert == lost),
        "{state:?}"
    );
    assert_eq!(host.current.as_deref().map(|path| path.as_str()), Some(OLD));
}

#[test]
fn with_nothing_to_go_back_to_a_person_is_called_only_if_something_was_touched() {
    let intent = intent(Class::Nixos, None);
    let broken = run(&mut FakeHost::new(Some(Fault::Broken)), &intent, State::Intended);
    assert!(
        matches!(
            broken,
            State::RevertFailed {
                revert: Failure::NoPrevious,
                ..
            }
        ),
        "{broken:?}"
    );
    let untouched = run(
        &mut FakeHost::new(Some(Fault::Untouched)),
        &intent,
        State::Intended,
    );
    assert!(matches!(untouched, State::Reverted(_)), "{untouched:?}");
}

#[test]
fn what_nobody_confirms_is_undone_from_wherever_it_is() {
    let intent = intent(Class::Nixos, Some(OLD));
    for fault in [None, Some(Fault::Probe), Some(Fault::NoEntry)] {
        for steps in 0..12 {
            let mut host = FakeHost::new(fault);
            let mut state = State::Intended;
            for _ in 0..steps {
                if ended(&state) {
                    break;
                }
                let event = host.perform(effect(&state, &intent));
                state = step(state, event, &intent).unwrap();
            }
            let was_committed = matches!(state, State::Committed { .. });
            let state = step(state, Event::Unconfirmed(9), &intent).unwrap();
            let state = run(&mut host, &intent, state);
            let toplevel = if was_committed { (NEW, 2) } else { (OLD, 1) };
            assert!(
                host.is_wholly(toplevel.0, toplevel.1, Class::Nixos),
                "{state:?} {host:?}"
            );
        }
    }
}

/// As the carrier looks before it does something: what somebody else switched to meanwhile is not touched.
fn guarded(host: &mut FakeHost, intent: &Intent, next: Effect) -> Event {
    let theirs = intent.is_theirs(host.current.as_ref());
    let overtaken = Failure::Overtaken { found: None };
    match next {
        Effect::Begin if theirs => Event::Failed(overtaken),
        Effect::Activate {
            action: Action::Test, ..
        } if theirs => Event::Activated(Activation::Untouched(overtaken)),
        Effect::Activate {
            action: Action::Return,
            left,
            ..
        } if theirs && host.current != left => Event::Failed(overtaken),
        Effect::SetProfile(_) | Effect::ObserveBoot(_) if theirs => Event::Failed(overtaken),
        Effect::Activate {
            action: Action::Boot,
            step: "boot",
            ..
        } if theirs => Event::Failed(overtaken),
        Effect::Activate {
            action: Action::Boot, ..
        } if host.profile == "/theirs" => Event::Overwritten(host.current.clone()),
        next => host.perform(next),
    }
}

#[test]
fn what_is_somebody_elses() {
    let special = Utf8PathBuf::from("/nix/store/special");
    let intent = Intent {
        // A specialisation ran; a boot in the middle boots what has it.
        previous_profile_target: Some("/nix/store/base".into()),
        current_before: Some("/nix/store/broken".into()),
        ..intent(Class::Nixos, Some(special.as_str()))
    };
    for (found, expected) in [
        (Some(NEW), false),
        (Some(special.as_str()), false),
        (Some("/nix/store/base"), false),
        (Some("/nix/store/broken"), false),
        (Some("/nix/store/theirs"), true),
        (None, false),
    ] {
        let found = found.map(Utf8PathBuf::from);
        assert_eq!(intent.is_theirs(found.as_ref()), expected, "{found:?}");
    }
}

#[test]
fn somebody_elses_switch_in_between_is_left_alone() {
    let intent = intent(Class::Nixos, Some(OLD));
    let theirs = || Utf8PathBuf::from("/theirs");
    // `nixos-rebuild switch`, and `nixos-rebuild test`.
    for whole in [true, false] {
        for fault in [None, Some(Fault::Probe), Some(Fault::NoEntry)] {
            for moment in 0..24 {
                let mut host = FakeHost::new(fault);
                let mut state = State::Intended;
                let mut turn = 0;
                while !ended(&state) {
                    if turn == moment {
                        host.current = Some(theirs());
                        if whole {
                            (host.profile, host.boot) = (theirs(), theirs());
                        }
                    }
                    turn += 1;
                    let event = guarded(&mut host, &intent, effect(&state, &intent));
                    state = step(state, event, &intent).unwrap();
                }
                let seen = format!("{fault:?} {moment} {state:?} {host:?}");
                match state {
                    // An activation may have made it that itself.
                    State::Reverted(way) if !whole && way.left().is_some() => {
                        assert!(host.is_wholly(OLD, 1, Class::Nixos), "{seen}");
                    }
                    _ if turn > moment => {
                        let State::Reverted(way) = &state else {
                            panic!("{seen}")
                        };
                        // Where it turned back before, that they came may not be looked at any more.
                        let overtaken = matches!(way.failure, Failure::Overtaken { .. });
                        assert!(overtaken || fault.is_some(), "{seen}");
                        let kept = if whole { theirs() } else { OLD.into() };
                        assert_eq!(
                            (&host.current, host.secrets, &host.profile, &host.boot),
                            (&Some(theirs()), Some(1), &kept, &kept),
                            "{seen}"
                        );
                    }
                    State::Committed { .. } => assert!(host.is_wholly(NEW, 2, Class::Nixos), "{seen}"),
                    State::Reverted(_) => assert!(host.is_wholly(OLD, 1, Class::Nixos), "{seen}"),
                    _ => panic!("{seen}"),
                }
            }
        }
    }
}

#[test]
fn an_event_out_of_place_is_an_error_and_no_panic() {
    let intent = intent(Class::Nixos, Some(OLD));
    let error = step(State::Intended, Event::SecretsInForce(Vec::new()), &intent).unwrap_err();
    assert!(error.to_string().contains("has no place"), "{error}");
}

proptest! {
    /// The agent is killed before or after any effect, as often as it likes, with or without a reboot; the
    /// effect that was under way may have happened without having been journaled. However it goes, the machine
    /// ends wholly on the new system or wholly on the old one.
    #[test]
    fn no_crash_leaves_a_third_state(
        fault in prop::option::of(prop::sample::select(FAULTS.to_vec())),
        class in prop::sample::select(vec![Class::Nixos, Class::Custom]),
        crashes in prop::collection::vec((0_u8..14, any::<bool>(), any::<bool>()), 0..4),
        deadman in prop::option::of((0_u8..14, any::<bool>())),
        restarted_by_activation in any::<bool>(),
        reboots in any::<bool>(),
    ) {
        let intent = if reboots && class == Class::Nixos {
            by_reboot()
        } else {
            intent(class, Some(OLD))
        };
        let mut host = FakeHost::new(fault);
        host.restarted_by_activation = restarted_by_activation;
        let mut state = State::Intended;
        let mut crashes = crashes.into_iter();
        let mut next = crashes.next();
        let mut since = 0;
        for turn in 0..256 {
            if ended(&state) {
                break;
            }
            if let Some((_, after_a_boot)) = deadman.filter(|(at, _)| u32::from(*at) == turn) {
                // Where no boot loader goes back, it is armed for after a boot as well.
                let after_a_boot = after_a_boot && class == Class::Custom;
                if after_a_boot {
                    host.reboot(class);
                }
                state = step(state, Event::Unconfirmed(9), &intent).unwrap();
                if after_a_boot && !ended(&state) {
                    state = step(state, Event::Restarted(Restart::OtherBoot), &intent).unwrap();
                }
                prop_assert!(!matches!(effect(&state, &intent), Effect::Begin | Effect::Probe), "{:?}", state);
                continue;
            }
            if let Some((after, happened, reboot)) = next
                && since >= after
            {
                if happened {
                    let _unheard = host.perform(effect(&state, &intent));
                }
                let restart = if reboot { Restart::OtherBoot } else { Restart::SameBoot };
                if reboot {
                    host.reboot(class);
                }
                state = step(state, Event::Restarted(restart), &intent).unwrap();
                next = crashes.next();
                since = 0;
                continue;
            }
            if matches!(state, State::Staged { .. }) {
                host.reboot(class);
                state = rebooted(state, &intent);
                continue;
            }
            let event = host.perform(effect(&state, &intent));
            state = step(state, event, &intent).unwrap();
            since += 1;
        }
        prop_assert!(ended(&state), "no end: {:?}", state);
        match state {
            State::Committed { .. } if class == Class::Custom && fault == Some(Fault::NotCurrent) => {}
            State::Committed { .. } => prop_assert!(host.is_wholly(NEW, 2, class), "{:?}", host),
            _ => prop_assert!(host.is_wholly(OLD, 1, class), "{:?} {:?}", state, host),
        }
    }
}
