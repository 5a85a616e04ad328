//! Giving up what no rollback needs any more: roots, secrets, logs, pins of the mirror.
//!
//! The machine has converged by then: what cannot be tidied is told, and is no failure.

use super::carrier::chain;
use super::observe::surface_of;
use super::transact::CANDIDATE;
use super::{PassError, Reporter, World, prune, secrets};
use crate::journal::Generation;
use crate::nix::Roots;
use reconciler_policies::Policy;
use reconciler_vars::Installer;

/// How many transactions keep their logs.
const TRANSACTIONS_KEPT: u32 = 50;

/// How many secrets generations stay laid down: those in force and those before.
const SECRETS_KEPT: usize = 2;

/// Keeps what the policy keeps.
pub(super) async fn tidy(world: &mut World, policy: &Policy, report: &mut Reporter<'_>) {
    if let Err(error) = give_up(world, policy, report).await {
        report.note(format!("could not tidy up: {}", chain(&error)));
    }
}

async fn give_up(world: &mut World, policy: &Policy, report: &mut Reporter<'_>) -> Result<(), PassError> {
    let generations = world.journal.generations()?;
    let surface = generations.first().and_then(surface_of);
    let kept = prune::kept(world, policy, surface, &generations);
    if let Some(surface) = surface {
        // The links first: a root that is gone leaves a link that keeps what it leads to.
        let tools = world.tools()?;
        prune::prune(world, &tools, policy, surface, &kept, report).await?;
    }
    let mut names: Vec<String> = kept
        .iter()
        .map(|generation| Roots::generation(generation.number))
        .collect();
    // It protects the same as the newest of them, and goes on to: a collection that read the roots before there
    // was that one's must not find this one gone.
    names.push(CANDIDATE.to_owned());
    world.roots.keep(&names)?;
    prune_secrets(world, &kept)?;
    logs(world)?;
    pins(world, &kept)
}

/// Keeps the secrets in force and those before them, wherever they lie: older ones are opened again when they are
/// gone back to.
fn prune_secrets(world: &World, kept: &[&Generation]) -> Result<(), PassError> {
    let current = kept
        .first()
        .and_then(|generation| generation.record.requirements.as_deref());
    let serves = secrets::from_json(current)?
        .unwrap_or_default()
        .placement()
        .installer;
    for installer in [Installer::Agent, Installer::Own] {
        let mut own: Vec<u64> = Vec::new();
        for generation in kept {
            let known = secrets::from_json(generation.record.requirements.as_deref())?.unwrap_or_default();
            if let Some(number) = generation.record.secrets
                && known.placement().installer == installer
                && !own.contains(&number)
            {
                own.push(number);
            }
        }
        // Where the agent never laid any down, or does no more, what is there is somebody else's.
        let apart = installer == Installer::Own || serves == installer;
        if !own.is_empty() && apart {
            own.truncate(SECRETS_KEPT);
            secrets::root(&world.settings.paths, installer).prune(&own)?;
        }
    }
    Ok(())
}

fn logs(world: &World) -> Result<(), PassError> {
    let recent = world.journal.transactions(TRANSACTIONS_KEPT)?;
    let oldest = recent.iter().map(|record| record.id).min().unwrap_or_default();
    let folders = world.settings.paths.state.join("transactions");
    // A folder that cannot be removed now is removed the next time.
    for entry in folders.read_dir_utf8().into_iter().flatten().flatten() {
        if entry.file_name().parse::<i64>().is_ok_and(|id| id < oldest) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
    Ok(())
}

/// The commits of kept generations stay in the mirror, whatever becomes of the branch.
fn pins(world: &World, kept: &[&Generation]) -> Result<(), PassError> {
    let mirror = world.source.mirror()?;
    let pinned = mirror.pins()?;
    for (number, _) in &pinned {
        if !kept.iter().any(|generation| generation.number == *number) {
            mirror.unpin(*number)?;
        }
    }
    for generation in kept {
        if let Ok(oid) = generation.record.revision.parse()
            && !pinned.iter().any(|(number, _)| *number == generation.number)
            && mirror.contains(oid)
        {
            mirror.pin(generation.number, oid)?;
        }
    }
    Ok(())
}
