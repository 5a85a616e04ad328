//! What somebody else does to the host in the middle of a transaction: their switch is waited for, and what they
//! switched to is seen. Looks, and changes nothing.

use super::carrier::{HostCarrier, surface};
use crate::class::{Action, Surface};
use crate::host;
use crate::nix::Profile;
use crate::transaction::{Failure, Intent, Side};
use camino::{Utf8Path, Utf8PathBuf};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How often it is looked whether somebody else's switch has ended.
const GLANCE: Duration = Duration::from_millis(200);

impl HostCarrier<'_, '_> {
    /// Whether somebody else is switching this host, as far as it can be seen.
    pub(super) async fn is_switched(&self, surface: Surface) -> bool {
        let world = self.world;
        match surface.lock(&world.settings.paths) {
            Some(lock) => host::is_locked(&lock),
            None if surface == Surface::Darwin => {
                host::runs_activation(&world.settings.nix.store, &world.environment.folders).await
            }
            None => false,
        }
    }

    /// Waits until nobody else is switching this host.
    ///
    /// Not on the way back where no lock tells: what is left of an activation of our own would keep it from going.
    pub(super) async fn others_ended(&mut self, surface: Surface, action: Action) -> Result<(), Failure> {
        if surface.lock(&self.world.settings.paths).is_none() && action != Action::Test {
            return Ok(());
        }
        let limit = self.policy.activation_timeout.get();
        let deadline = Instant::now() + limit;
        let mut told = false;
        while self.is_switched(surface).await {
            if Instant::now() >= deadline {
                return Err(Failure::SwitchNeverEnded(limit.as_secs()));
            }
            if !std::mem::replace(&mut told, true) {
                self.report.note(format!(
                    "another switch is running: waiting for its end, at most {}",
                    crate::text::duration(limit)
                ));
            }
            sleep(GLANCE).await;
        }
        Ok(())
    }

    /// The same, and sees whether what ran is what runs still: what was activated, or what is only to be after a boot.
    pub(super) async fn is_still_ours(&mut self, intent: &Intent, running: Side) -> Result<(), Failure> {
        let surface = surface(intent);
        self.others_ended(surface, Action::Boot).await?;
        let expected = match running {
            Side::New => Some(intent.live()),
            Side::Previous => intent.previous.as_ref().map(|previous| &previous.toplevel),
        };
        let Some(expected) = expected.filter(|_| surface.shows_what_runs()) else {
            return Ok(());
        };
        let found = self.observe(intent, expected.clone());
        if found.as_ref() != Some(expected) {
            let found = found.map(camino::Utf8PathBuf::into_string);
            return Err(Failure::Overtaken { found });
        }
        Ok(())
    }

    /// Sees whether what is current is something that somebody else switched to, and not what was `left`.
    pub(super) fn is_nobody_elses(&self, intent: &Intent, left: Option<&Utf8Path>) -> Result<(), Failure> {
        if !surface(intent).shows_what_runs() {
            return Ok(());
        }
        match self.current(intent) {
            found if intent.is_theirs(found.as_ref()) && found.as_deref() != left => {
                Err(Failure::Overtaken {
                    found: found.map(Utf8PathBuf::into_string),
                })
            }
            _ => Ok(()),
        }
    }

    /// Whether somebody else has set the profile: it leads neither where it did nor where it is to. One that leads
    /// nowhere is nobody's.
    pub(super) fn profile_is_theirs(&self, intent: &Intent) -> bool {
        let profile = Profile::at(intent.profile.clone());
        let target = profile.generation().and_then(|number| profile.target(number));
        surface(intent).runs_as_one()
            && target.filter(|target| target.exists()).is_some_and(|target| {
                target != intent.toplevel && Some(&target) != intent.previous_profile_target.as_ref()
            })
    }

    /// The expected toplevel where it is what runs, else what does.
    pub(super) fn observe(&self, intent: &Intent, expected: Utf8PathBuf) -> Option<Utf8PathBuf> {
        let (settings, mut surface) = (&self.world.settings, surface(intent));
        let mut profile = intent.profile.clone();
        // What ran before may be of another class.
        if let Some(previous) = &intent.previous
            && previous.toplevel == expected
            && previous.class != intent.class
        {
            surface = Surface::of(previous.class);
            profile = surface.profile(&settings.nix, &settings.paths);
        }
        if surface.runs(&settings.paths, &profile, &expected) {
            return Some(expected);
        }
        surface
            .current(&settings.paths, &profile)
            .filter(|found| *found != expected)
    }

    pub(super) fn current(&self, intent: &Intent) -> Option<Utf8PathBuf> {
        surface(intent).current(&self.world.settings.paths, &intent.profile)
    }
}
