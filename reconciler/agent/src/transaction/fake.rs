//! A host that does what it is told, but for one kind of effect: what the tests carry a transaction out on.

use super::{
    Activation, Approach, Effect, Event, Failure, Health, Intent, Previous, Restart, RunningUnit, Side,
    State, effect, step,
};
use crate::class::{Action, BootEntry, Class};
use crate::journal::GenerationKind;
use camino::Utf8PathBuf;

pub(super) const NEW: &str = "/nix/store/new";
pub(super) const OLD: &str = "/nix/store/old";
pub(super) const UNIT: &str = "web.service";

pub(super) fn intent(class: Class, previous: Option<&str>) -> Intent {
    Intent {
        revision: "a".repeat(40),
        subject: "a subject".to_owned(),
        class,
        system: "x86_64-linux".to_owned(),
        tags: Vec::new(),
        toplevel: NEW.into(),
        specialisation: None,
        approach: Approach::Switch,
        profile: "/nix/var/nix/profiles/system".into(),
        kind: GenerationKind::Activated,
        secrets: Some(2),
        requirements: None,
        previous: previous.map(|toplevel| Previous {
            toplevel: toplevel.into(),
            class,
        }),
        current_before: previous.map(Utf8PathBuf::from),
        previous_secrets: Some(1),
        previous_requirements: None,
        restart_units: vec![UNIT.to_owned()],
        restart_units_back: vec![UNIT.to_owned()],
        previous_profile: Some(1),
        previous_profile_target: Some(OLD.into()),
        passing_before: Vec::new(),
        amiss_before: Vec::new(),
        critical_before: Vec::new(),
    }
}

/// One that only a boot reaches.
pub(super) fn by_reboot() -> Intent {
    Intent {
        approach: Approach::Reboot {
            reasons: vec!["inhibitor:dbus-implementation".to_owned()],
        },
        ..intent(Class::Nixos, Some(OLD))
    }
}

pub(super) fn rebooted(state: State, intent: &Intent) -> State {
    step(state, Event::Restarted(Restart::OtherBoot), intent).unwrap()
}

/// A host that does what it is told, but for one kind of effect.
#[derive(Debug, Clone)]
pub(super) struct FakeHost {
    pub(super) current: Option<Utf8PathBuf>,
    pub(super) secrets: Option<u64>,
    pub(super) profile: Utf8PathBuf,
    pub(super) boot: Utf8PathBuf,
    /// The secrets that the unit has read, and how often it was started.
    pub(super) unit: (Option<u64>, u32),
    /// How often the agent restarted it.
    pub(super) restarts: u32,
    /// Whether an activation restarts it.
    pub(super) restarted_by_activation: bool,
    pub(super) fault: Option<Fault>,
}

/// What goes wrong, once each time it is met on the way forth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    Secrets,
    Untouched,
    Broken,
    NotCurrent,
    Probe,
    Unit,
    Profile,
    Boot,
    NoEntry,
}

pub(super) const FAULTS: [Fault; 9] = [
    Fault::Secrets,
    Fault::Untouched,
    Fault::Broken,
    Fault::NotCurrent,
    Fault::Probe,
    Fault::Unit,
    Fault::Profile,
    Fault::Boot,
    Fault::NoEntry,
];

impl FakeHost {
    pub(super) fn new(fault: Option<Fault>) -> FakeHost {
        FakeHost {
            current: Some(OLD.into()),
            secrets: Some(1),
            profile: OLD.into(),
            boot: OLD.into(),
            unit: (Some(1), 1),
            restarts: 0,
            restarted_by_activation: false,
            fault,
        }
    }

    pub(super) fn perform(&mut self, effect: Effect) -> Event {
        let fault = self.fault;
        match effect {
            Effect::Begin => Event::Begun,
            Effect::PutSecretsInForce(Side::New) if fault == Some(Fault::Secrets) => {
                Event::Failed(Failure::Secrets("gone".to_owned()))
            }
            Effect::PutSecretsInForce(side) => {
                self.secrets = Some(match side {
                    Side::New => 2,
                    Side::Previous => 1,
                });
                Event::SecretsInForce(vec![RunningUnit {
                    unit: UNIT.to_owned(),
                    invocation: Some(self.unit.1.to_string()),
                }])
            }
            Effect::RestartUnits { side, running } => {
                if running
                    .iter()
                    .any(|run| run.invocation == Some(self.unit.1.to_string()))
                {
                    self.start_unit();
                    self.restarts += 1;
                }
                match (fault, side) {
                    (Some(Fault::Unit), Side::New) => Event::UnitsRestarted(vec![UNIT.to_owned()]),
                    _ => Event::UnitsRestarted(Vec::new()),
                }
            }
            Effect::Activate {
                toplevel,
                action: Action::Test,
                ..
            } => match fault {
                Some(Fault::Untouched) => Event::Activated(Activation::Untouched(Failure::PreSwitchCheck)),
                Some(Fault::Broken) => {
                    self.current = Some(toplevel);
                    Event::Activated(Activation::Broken(Failure::ActivationScript))
                }
                Some(Fault::NotCurrent) => {
                    self.current = Some("/nix/store/third".into());
                    Event::Activated(Activation::Live(Health::Healthy))
                }
                _ => self.activate(toplevel),
            },
            Effect::Activate {
                toplevel,
                action: Action::Return,
                ..
            } => self.activate(toplevel),
            Effect::Activate {
                toplevel,
                action: Action::Boot,
                ..
            } => {
                if fault == Some(Fault::Boot) && toplevel == NEW {
                    return Event::Activated(Activation::Untouched(Failure::PreSwitchCheck));
                }
                self.boot = toplevel;
                Event::Activated(Activation::Live(Health::Healthy))
            }
            Effect::Observe(_) if self.profile != OLD && self.profile != NEW => {
                Event::Overwritten(self.current.clone())
            }
            Effect::Observe(_) => Event::Observed(self.current.clone()),
            Effect::Probe if fault == Some(Fault::Probe) => Event::Probed(vec!["remote".to_owned()]),
            Effect::Probe => Event::Probed(Vec::new()),
            Effect::SetProfile(_) if fault == Some(Fault::Profile) => {
                Event::Failed(Failure::Profile("read-only".to_owned()))
            }
            Effect::SetProfile(_) => {
                self.profile = NEW.into();
                Event::ProfileSet(Some(2))
            }
            Effect::RestoreProfile { .. } if self.profile != OLD && self.profile != NEW => {
                Event::Overwritten(self.current.clone())
            }
            Effect::RestoreProfile { target, .. } => {
                self.profile = target.unwrap_or_else(|| self.profile.clone());
                Event::ProfileSet(Some(1))
            }
            Effect::ObserveBoot(_) if fault == Some(Fault::NoEntry) => {
                Event::BootObserved(BootEntry::Missing)
            }
            Effect::ObserveBoot(_) => Event::BootObserved(BootEntry::Verified),
            Effect::AwaitReboot => Event::Superseded,
            Effect::Finish => panic!("nothing is performed after the end"),
        }
    }

    pub(super) fn activate(&mut self, toplevel: Utf8PathBuf) -> Event {
        self.current = Some(toplevel);
        if self.restarted_by_activation {
            self.start_unit();
        }
        Event::Activated(Activation::Live(Health::Healthy))
    }

    pub(super) fn start_unit(&mut self) {
        self.unit = (self.secrets, self.unit.1 + 1);
    }

    /// The machine goes down: what runs is what the boot default says, and the secrets are those of the generation
    /// that was confirmed.
    pub(super) fn reboot(&mut self, class: Class) {
        if class == Class::Nixos {
            self.current = Some(self.boot.clone());
        }
        self.secrets = Some(1);
        self.start_unit();
    }

    pub(super) fn is_wholly(&self, toplevel: &str, secrets: u64, class: Class) -> bool {
        self.current.as_ref().is_some_and(|current| current == toplevel)
            && self.secrets == Some(secrets)
            && self.unit.0 == Some(secrets)
            && self.profile == toplevel
            && (class == Class::Custom || self.boot == toplevel)
    }
}

pub(super) fn ended(state: &State) -> bool {
    // The name is the one that is journaled.
    let journaled = serde_json::to_value(state).unwrap();
    assert_eq!(journaled["at"], state.name());
    state.is_end()
}

pub(super) fn run(host: &mut FakeHost, intent: &Intent, mut state: State) -> State {
    for _ in 0..64 {
        if ended(&state) {
            return state;
        }
        let event = host.perform(effect(&state, intent));
        state = step(state, event, intent).unwrap();
    }
    panic!("no end: {state:?}");
}
