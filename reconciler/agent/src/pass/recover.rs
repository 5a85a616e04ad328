//! A transaction that the agent did not live to see the end of: finished or undone before anything else.

use super::evaluate::{fleet_policy, policy};
use super::transact::{CANDIDATE, finish, restarted};
use super::{PassError, Phase, Reporter, World, secrets};
use crate::journal::Generation;
use crate::source::Revision;
use crate::text;
use crate::transaction::{Intent, step};
use reconciler_policies::{FleetPolicy, Policy};

/// Brings an open transaction to its end; none where there is none.
pub(super) async fn recover(
    world: &mut World,
    report: &mut Reporter<'_>,
) -> Result<Option<Generation>, PassError> {
    let Some(record) = world.journal.open_transaction()? else {
        return Ok(None);
    };
    report.begin(Phase::Recover);
    let intent = record.intent.clone();
    let event = restarted(world, &record);
    let state = step(record.state.clone(), event.clone(), &intent)
        .map_err(|illegal| PassError::Carry(Box::new(illegal).into()))?;
    world
        .journal
        .step_transaction(record.id, &event, &state, world.now())?;
    let tools = world.tools().await?;
    let policy = policy_of(world, &intent, report)?;
    report.done(format!(
        "{} was cut off at its activation",
        text::commit(&intent.revision)
    ));
    if !world.roots.protects(CANDIDATE, &intent.toplevel) {
        report.note(format!(
            "{} was not protected from the garbage collector",
            intent.toplevel
        ));
    }
    finish(world, tools, &policy, record.id, &intent, state, report)
        .await
        .map(Some)
}

/// The policy the transaction began with, as far as it can be had without an evaluation.
fn policy_of(world: &World, intent: &Intent, report: &mut Reporter<'_>) -> Result<Policy, PassError> {
    let commit = intent
        .revision
        .parse()
        .ok()
        .and_then(|oid| world.source.mirror().ok()?.commit(oid).ok());
    let fleet = match commit {
        Some(commit) => fleet_policy(world, Revision::pinned(&commit), report)?,
        None => FleetPolicy::parse("")?,
    };
    policy(world, &fleet, &[])
}

/// Puts the secrets of the generation in force again, when a reboot took their ramdisk. Nothing is activated.
pub(super) fn restore_secrets(
    world: &mut World,
    generation: &Generation,
    report: &mut Reporter<'_>,
) -> Result<(), PassError> {
    let Some(requirements) = secrets::from_json(generation.record.requirements.as_deref()) else {
        return Ok(());
    };
    let root = secrets::root(world);
    let number = match generation.record.secrets {
        Some(number) if root.exists(number) => number,
        _ => {
            let Ok(oid) = generation.record.revision.parse() else {
                return Ok(());
            };
            let commit = world.source.mirror()?.commit(oid)?;
            let opened = secrets::open(world, Revision::pinned(&commit), &requirements, None)?;
            let Some(number) = secrets::lay_down(world, &opened)? else {
                return Ok(());
            };
            number
        }
    };
    root.switch_to(number)?;
    world
        .journal
        .set_generation_secrets(generation.number, Some(number))?;
    report.note(format!(
        "the secrets of generation {} are in force again",
        generation.number
    ));
    Ok(())
}
