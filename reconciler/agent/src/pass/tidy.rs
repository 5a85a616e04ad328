//! Giving up what no rollback needs any more.

use super::{PassError, World, secrets};
use crate::journal::Generation;
use crate::nix::Roots;
use reconciler_policies::Policy;

/// How many transactions keep their logs.
const TRANSACTIONS_KEPT: u32 = 50;

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
    let recent = world.journal.transactions(TRANSACTIONS_KEPT)?;
    let oldest = recent.iter().map(|record| record.id).min().unwrap_or_default();
    let folders = world.settings.paths.state.join("transactions");
    // A folder that cannot be removed now is removed the next time.
    for entry in folders.read_dir_utf8().into_iter().flatten().flatten() {
        if entry.file_name().parse::<i64>().is_ok_and(|id| id < oldest) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
    let mirror = world.source.mirror()?;
    for (number, _) in mirror.pins()? {
        if !kept.iter().any(|generation| generation.number == number) {
            mirror.unpin(number)?;
        }
    }
    Ok(())
}
