//! Giving up what no rollback needs any more.

use super::{PassError, World, secrets};
use crate::journal::Generation;
use crate::nix::Roots;
use reconciler_policies::Policy;

/// Gives up what no rollback needs any more: roots, secrets, pins of the mirror.
pub(super) fn tidy(world: &World, policy: &Policy) -> Result<(), PassError> {
    let generations = world.journal.generations()?;
    let keep = usize::try_from(policy.keep_generations.get()).unwrap_or(usize::MAX);
    let kept: Vec<&Generation> = generations.iter().take(keep).collect();
    world.roots.keep(
        &kept
            .iter()
            .map(|generation| Roots::generation(generation.number))
            .collect::<Vec<_>>(),
    )?;
    let root = secrets::root(world);
    // The running generation's and the one before: older ones are opened again when they are gone back to.
    let secrets: Vec<u64> = kept
        .iter()
        .filter_map(|generation| generation.record.secrets)
        .take(2)
        .collect();
    root.prune(&secrets)?;
    let mirror = world.source.mirror()?;
    for (number, _) in mirror.pins()? {
        if !kept.iter().any(|generation| generation.number == number) {
            mirror.unpin(number)?;
        }
    }
    Ok(())
}
