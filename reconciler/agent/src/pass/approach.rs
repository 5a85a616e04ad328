//! How a candidate comes to run: by a switch or by a boot, as itself or as one of its specialisations.

use super::{PassError, Reporter, World, observe};
use crate::activation::Watch;
use crate::class::{Surface, Wanted};
use crate::host;
use crate::transaction::{Approach, Specialisation};
use camino::{Utf8Path, Utf8PathBuf};
use reconciler_policies::{KernelChange, Policy};

/// How a candidate comes to run: what forbids a switch, or what the policy would rather boot, leaves a boot.
pub(super) fn approach(
    world: &World,
    policy: &Policy,
    surface: Surface,
    (toplevel, specialisation): (&Utf8Path, Option<&Specialisation>),
) -> Approach {
    let live = specialisation.map_or(toplevel, |specialisation| &specialisation.toplevel);
    let current = observe(&world.settings, surface).current;
    // What runs already is not switched to.
    let Some(current) = current.filter(|current| current != live) else {
        return Approach::Switch;
    };
    let mut reasons = surface.forbids_switch(&current, live);
    if policy.kernel_change == KernelChange::Reboot {
        reasons.extend(surface.kernel_differs(&world.settings.paths, toplevel));
    }
    if reasons.is_empty() {
        Approach::Switch
    } else {
        Approach::Reboot { reasons }
    }
}

/// The critical units that run.
pub(super) async fn critical(world: &World, policy: &Policy) -> Vec<String> {
    let units: Vec<String> = policy
        .critical_units
        .iter()
        .map(|unit| unit.as_str().to_owned())
        .collect();
    match watch(world, policy) {
        Some(watch) => watch.active(units).await,
        None => Vec::new(),
    }
}

/// Which specialisation of `toplevel` is to run: the policy's, or the one that runs.
pub(super) fn wanted(world: &World, policy: &Policy, surface: Surface) -> Result<Wanted, PassError> {
    if surface != Surface::Nixos {
        return Ok(Wanted::Itself);
    }
    let seen = observe(&world.settings, surface);
    let recorded = world.journal.current_generation()?;
    let parents: Vec<Utf8PathBuf> = seen
        .profile
        .into_iter()
        .chain(recorded.map(|generation| generation.record.toplevel.into()))
        .collect();
    Ok(Wanted::of(
        policy.specialisation.as_deref(),
        seen.current.as_deref(),
        &parents,
    ))
}

/// What looks at units, where there are any.
pub(super) fn watch(world: &World, policy: &Policy) -> Option<Watch> {
    Watch::of(
        host::supervisor(&world.settings.paths.root),
        &world.environment.folders,
        policy.probe_grace.get(),
    )
}

/// Which specialisation is to run; what the policy names today may be none of an older system's.
pub(super) fn specialisation(
    world: &World,
    policy: &Policy,
    surface: Surface,
    toplevel: &Utf8Path,
    report: &mut Reporter<'_>,
) -> Result<Option<Specialisation>, PassError> {
    match surface.specialisation(&wanted(world, policy, surface)?, toplevel) {
        Ok(chosen) => Ok(chosen),
        Err(missing) => {
            report.note(format!("{missing}; the system itself runs"));
            Ok(None)
        }
    }
}
