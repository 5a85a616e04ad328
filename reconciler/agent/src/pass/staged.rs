//! What waits for a reboot: told, and taken back where something else is to boot next.

use super::carrier::HostCarrier;
use super::transact::revert_failed;
use super::{PassError, Reporter, World};
use crate::exit::Outcome;
use crate::nix::NixTools;
use crate::text;
use crate::transaction::{Approach, Ended, Event, Failure, Intent, advance, carry};
use reconciler_policies::Policy;

/// What is told of a commit that waits for a reboot.
pub(super) fn staged(intent: &Intent) -> PassError {
    PassError::Staged {
        revision: intent.revision.clone(),
        reasons: match &intent.approach {
            Approach::Reboot { reasons } => reasons.clone(),
            Approach::Switch => Vec::new(),
        },
    }
}

/// Takes back what waits for a reboot: something else is to boot next.
pub(super) async fn unstage(
    world: &mut World,
    tools: NixTools,
    policy: &Policy,
    report: &mut Reporter<'_>,
) -> Result<(), PassError> {
    let Some(record) = world.journal.staged_transaction()? else {
        return Ok(());
    };
    let (id, intent) = (record.id, record.intent);
    let world = &*world;
    let mut carrier = HostCarrier {
        world,
        tools,
        policy: policy.clone(),
        report,
    };
    let state = advance(
        &world.journal,
        &carrier,
        id,
        &intent,
        record.state,
        Event::Superseded,
    )
    .map_err(PassError::Carry)?;
    let ended = carry(&world.journal, &mut carrier, id, &intent, state)
        .await
        .map_err(PassError::Carry)?;
    match ended {
        Ended::RevertFailed { failure, revert } => Err(revert_failed(world, id, &intent, failure, revert)?),
        Ended::Committed { .. } | Ended::Staged { .. } | Ended::Reverted(_) => {
            let reason = Failure::Superseded.to_string();
            let outcome = Outcome::Reverted;
            world
                .journal
                .end_transaction(id, outcome, Some(&reason), None, world.now())?;
            report.note(format!(
                "{} waits for a reboot no more: it has made room",
                text::commit(&intent.revision)
            ));
            Ok(())
        }
    }
}
