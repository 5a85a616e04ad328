//! The policy in force at a revision.

use super::{PassError, Reporter, World};
use crate::source::{Revision, TreeError};
use reconciler_policies::{FleetPolicy, Policy};

/// The policies of the fleet at one revision, as its `reconciler.toml` declares them.
///
/// A policy that cannot be read is no reason to have none: the last that could stays in force.
pub(super) fn fleet_policy(
    world: &World,
    revision: Revision,
    report: &mut Reporter<'_>,
) -> Result<FleetPolicy, PassError> {
    let mirror = world.source.mirror()?;
    let path = join(&world.settings.fleet.directory, "reconciler.toml");
    let text = match mirror.tree(revision.oid())?.read(&path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(TreeError::NotFound { .. }) => String::new(),
        Err(error) => {
            let Some(kept) = world.journal.policy()? else {
                return Err(PassError::PolicyFile(error));
            };
            report.note(format!(
                "reconciler.toml cannot be read ({error}); the last good policy stays in force"
            ));
            return Ok(FleetPolicy::parse(&kept)?);
        }
    };
    match FleetPolicy::parse(&text) {
        Ok(policy) => {
            world.journal.set_policy(&text)?;
            Ok(policy)
        }
        Err(error) => {
            let Some(kept) = world.journal.policy()? else {
                return Err(error.into());
            };
            report.note(format!(
                "reconciler.toml cannot be read ({error}); the last good policy stays in force"
            ));
            Ok(FleetPolicy::parse(&kept)?)
        }
    }
}

/// The policy of this machine: the fleet's, its tags', its own, then the local one.
pub(super) fn policy(world: &World, fleet: &FleetPolicy, tags: &[String]) -> Result<Policy, PassError> {
    let mut order = fleet.fragments(&world.settings.machine, tags);
    order.extend(world.settings.policy.iter().cloned());
    Ok(Policy::merge(&order)?)
}

/// The policy of a commit that was evaluated before: its tags are known, and nothing is evaluated again.
pub(super) fn policy_at(
    world: &World,
    revision: &str,
    tags: &[String],
    report: &mut Reporter<'_>,
) -> Result<Policy, PassError> {
    let known = revision
        .parse()
        .ok()
        .and_then(|oid| world.source.mirror().ok()?.commit(oid).ok());
    let fleet = match known {
        Some(commit) => fleet_policy(world, Revision::pinned(&commit), report)?,
        // The mirror lost it: the last policy that was read is closer to it than none.
        None => FleetPolicy::parse(&world.journal.policy()?.unwrap_or_default())?,
    };
    policy(world, &fleet, tags)
}

/// A path in the repository below a folder of it.
pub(super) fn join(folder: &str, path: &str) -> String {
    if folder.is_empty() {
        path.to_owned()
    } else {
        format!("{folder}/{path}")
    }
}
