//! A transaction that the agent did not live to see the end of: finished or undone before anything else.

use super::policy::policy_at;
use super::target::About;
use super::transact::{CANDIDATE, finish, restarted};
use super::{PassError, Phase, Reporter, World};
use crate::journal::Generation;
use crate::text;
use crate::transaction::step;

/// Brings an open transaction to its end; none where there is none.
pub(super) async fn recover(
    world: &mut World,
    about: &mut About,
    report: &mut Reporter<'_>,
) -> Result<Option<Generation>, PassError> {
    let Some(record) = world.journal.open_transaction()? else {
        return Ok(None);
    };
    report.begin(Phase::Recover);
    let intent = record.intent.clone();
    about.is(&intent.revision, &intent.subject);
    let event = restarted(world, &record);
    let state = step(record.state.clone(), event.clone(), &intent)
        .map_err(|illegal| PassError::Carry(Box::new(illegal).into()))?;
    world
        .journal
        .step_transaction(record.id, &event, &state, world.now())?;
    world.journal.move_transaction(record.id, &world.boot_id)?;
    let tools = world.tools()?;
    let policy = policy_at(world, &intent.revision, &intent.tags, report)?;
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
