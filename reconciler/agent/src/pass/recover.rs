//! A transaction that the agent did not live to see the end of: finished or undone before anything else.

use super::carrier::chain;
use super::policy::policy_at;
use super::target::About;
use super::transact::{CANDIDATE, finish, restarted};
use super::{PassError, Phase, Reporter, World, deadman};
use crate::activation::step_name;
use crate::class::Surface;
use crate::journal::{Generation, TransactionRecord};
use crate::text;
use crate::transaction::{Effect, Event, State, effect, step};

/// Brings an open transaction to its end; none where there is none.
pub(super) async fn recover(
    world: &mut World,
    about: &mut About,
    report: &mut Reporter<'_>,
) -> Result<Option<Generation>, PassError> {
    let Some(record) = world.journal.open_transaction()? else {
        // Its end was written down, and the agent killed before its deadman was told.
        if let Some(last) = world.journal.transactions(1)?.first() {
            deadman::disarm(world, last.id).await;
        }
        return Ok(None);
    };
    let waited = matches!(record.state, State::Staged { .. });
    if waited && record.boot_id == world.boot_id {
        deadman::disarm(world, record.id).await;
        return Ok(None);
    }
    report.begin(Phase::Recover);
    let intent = record.intent.clone();
    about.is(&intent.revision, &intent.subject);
    let state = take(world, &record, restarted(world, &record))?;
    world.journal.move_transaction(record.id, &world.boot_id)?;
    let tools = world.tools()?;
    let policy = policy_at(world, &intent.revision, &intent.tags, report)?;
    // A reboot took the deadman with it.
    if !state.is_end()
        && let Err(error) = deadman::arm(world, &policy, record.id, &intent).await
    {
        report.note(format!("no deadman could be armed again: {}", chain(&error)));
    }
    report.done(if waited {
        format!("{} waited for this boot", text::commit(&intent.revision))
    } else {
        format!("{} was cut off at its activation", text::commit(&intent.revision))
    });
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

/// Undoes a transaction that nobody confirmed in time: the deadman's own pass. What has ended by now is left alone.
pub(super) async fn undo(
    world: &mut World,
    (id, limit): (i64, u64),
    about: &mut About,
    report: &mut Reporter<'_>,
) -> Result<String, PassError> {
    let nothing = Ok("there is nothing to undo".to_owned());
    let Some(record) = world.journal.open_transaction()? else {
        return nothing;
    };
    if record.id != id {
        return nothing;
    }
    report.begin(Phase::Recover);
    let intent = record.intent.clone();
    about.is(&intent.revision, &intent.subject);
    let tools = world.tools()?;
    let policy = policy_at(world, &intent.revision, &intent.tags, report)?;
    let mut state = take(world, &record, Event::Unconfirmed(limit))?;
    if record.boot_id != world.boot_id && !state.is_end() {
        // It was armed for after a boot, which may have undone any part of the way back.
        let undone = TransactionRecord {
            state,
            ..record.clone()
        };
        state = take(world, &undone, restarted(world, &record))?;
        world.journal.move_transaction(id, &world.boot_id)?;
    }
    // On the way forth it may still run; what runs on the way back is waited for.
    if state != record.state
        && let Effect::Activate {
            step,
            action,
            toplevel,
            ..
        } = effect(&record.state, &intent)
    {
        let folder = world.transaction_folder(id);
        let launcher = world.launcher(policy.activation_timeout.get());
        let invocations = Surface::of(intent.class).invocations(&world.site(), &toplevel, action);
        for (number, invocation) in invocations.iter().enumerate() {
            launcher
                .cut_off(&folder, &step_name(step, number), &invocation.unit)
                .await;
        }
    }
    report.done(format!(
        "{} was not confirmed within {limit} s",
        text::commit(&intent.revision)
    ));
    finish(world, tools, &policy, id, &intent, state, report)
        .await
        .map(|generation| format!("generation {} was confirmed already", generation.number))
}

/// Takes an event from outside in: decides and journals.
fn take(world: &World, record: &TransactionRecord, event: Event) -> Result<State, PassError> {
    let state = step(record.state.clone(), event.clone(), &record.intent)
        .map_err(|illegal| PassError::Carry(Box::new(illegal).into()))?;
    world
        .journal
        .step_transaction(record.id, &event, &state, world.now())?;
    Ok(state)
}
