//! What only a boot reaches: staged, booted, probed; or taken back.

use crate::class::Class;
use crate::transaction::fake::{FakeHost, Fault, NEW, OLD, by_reboot, ended, intent, rebooted, run};
use crate::transaction::{
    Activation, Effect, Event, Failure, Intent, Restart, Specialisation, State, effect, step,
};
use camino::Utf8PathBuf;

/// Goes on until the end, or until only a reboot leads on.
fn run_to_staged(host: &mut FakeHost, intent: &Intent) -> State {
    let mut state = State::Intended;
    while !ended(&state) && !matches!(state, State::Staged { .. }) {
        let event = host.perform(effect(&state, intent));
        state = step(state, event, intent).unwrap();
    }
    state
}

#[test]
fn what_only_a_boot_reaches_touches_nothing_that_runs_and_is_probed_after_it() {
    let intent = by_reboot();
    let mut host = FakeHost::new(None);
    let state = run_to_staged(&mut host, &intent);
    assert!(matches!(state, State::Staged { .. }), "{state:?}");
    let (old, new) = (Utf8PathBuf::from(OLD), Utf8PathBuf::from(NEW));
    assert_eq!(
        (host.current.as_ref(), host.secrets, &host.profile, &host.boot),
        (Some(&old), Some(1), &new, &new)
    );
    // An agent that is only started anew waits on.
    let state = step(state, Event::Restarted(Restart::SameBoot), &intent).unwrap();
    assert_eq!(effect(&state, &intent), Effect::AwaitReboot);
    host.reboot(Class::Nixos);
    let state = run(&mut host, &intent, rebooted(state, &intent));
    assert!(matches!(state, State::Committed { .. }), "{state:?}");
    assert!(host.is_wholly(NEW, 2, Class::Nixos), "{host:?}");
}

#[test]
fn what_a_boot_reached_is_left_again_if_it_does_not_work() {
    for fault in [Fault::Secrets, Fault::Broken, Fault::Untouched, Fault::Probe] {
        let intent = by_reboot();
        let mut host = FakeHost::new(Some(fault));
        let state = run_to_staged(&mut host, &intent);
        host.reboot(Class::Nixos);
        let state = run(&mut host, &intent, rebooted(state, &intent));
        assert!(matches!(state, State::Reverted(_)), "{fault:?}: {state:?}");
        assert!(host.is_wholly(OLD, 1, Class::Nixos), "{fault:?}: {host:?}");
    }
}

#[test]
fn what_was_not_booted_is_taken_back_and_what_was_is_left_alone() {
    let intent = by_reboot();
    let mut host = FakeHost::new(None);
    let state = run_to_staged(&mut host, &intent);
    host.reboot(Class::Nixos);
    host.current = Some("/nix/store/third".into());
    let state = run(&mut host, &intent, rebooted(state, &intent));
    assert!(
        matches!(&state, State::Reverted(way) if matches!(way.failure, Failure::NotBooted { .. })),
        "{state:?}"
    );
    assert_eq!(host.current, Some("/nix/store/third".into()));
    assert_eq!((host.profile.as_str(), host.boot.as_str()), (OLD, OLD));
}

#[test]
fn what_waits_for_a_reboot_makes_room_for_another() {
    let intent = by_reboot();
    let mut host = FakeHost::new(None);
    let state = run_to_staged(&mut host, &intent);
    let state = step(state, Event::Superseded, &intent).unwrap();
    let state = run(&mut host, &intent, state);
    assert!(
        matches!(&state, State::Reverted(way) if way.failure == Failure::Superseded),
        "{state:?}"
    );
    assert!(host.is_wholly(OLD, 1, Class::Nixos), "{host:?}");
}

#[test]
fn a_way_back_that_only_a_reboot_ends_has_set_the_boot_default() {
    // As after another init interface: nothing leads back while the machine runs.
    let intent = by_reboot();
    let mut host = FakeHost::new(Some(Fault::Probe));
    let state = run_to_staged(&mut host, &intent);
    host.reboot(Class::Nixos);
    let mut state = rebooted(state, &intent);
    while !ended(&state) {
        let event = match &state {
            State::Returning(_) => Event::Activated(Activation::Untouched(Failure::NeedsReboot)),
            _ => host.perform(effect(&state, &intent)),
        };
        state = step(state, event, &intent).unwrap();
    }
    assert!(
        matches!(
            &state,
            State::RevertFailed {
                revert: Failure::NeedsReboot,
                ..
            }
        ),
        "{state:?}"
    );
    assert_eq!((host.profile.as_str(), host.boot.as_str()), (OLD, OLD));
}

#[test]
fn the_specialisation_runs_and_the_toplevel_boots() {
    let child = Utf8PathBuf::from("/nix/store/child");
    let intent = Intent {
        specialisation: Some(Specialisation {
            name: "gaming".to_owned(),
            toplevel: child.clone(),
        }),
        ..intent(Class::Nixos, Some(OLD))
    };
    let mut host = FakeHost::new(None);
    let state = run(&mut host, &intent, State::Intended);
    assert!(matches!(state, State::Committed { .. }), "{state:?}");
    assert_eq!(host.current, Some(child));
    assert_eq!((host.profile.as_str(), host.boot.as_str()), (NEW, NEW));
}
