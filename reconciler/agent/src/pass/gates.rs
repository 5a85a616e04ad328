//! Asking the gates, and remembering for them what failed.

use super::{Insistence, PassError, Request, World};
use crate::journal::{Failure, Journal, JournalError, Pin, Quarantined};
use crate::nix::BuildError;
use crate::text;
use camino::Utf8Path;
use jiff::Timestamp;
use reconciler_policies::gates::retry;
use reconciler_policies::{Decision, Facts, Force, GateLine, GateName, Stage, chain, quarantine};

/// Lets a candidate through, or names the first gate that does not.
pub(super) fn ask(
    world: &World,
    request: &Request,
    revision: &str,
    toplevel: Option<&Utf8Path>,
) -> Result<(), PassError> {
    let decision = judge(
        &world.journal,
        request.insistence,
        revision,
        toplevel,
        world.now(),
    )?;
    let Some(report) = decision.block() else {
        return Ok(());
    };
    let line = GateLine::from(report);
    let mut reason = line.reason.unwrap_or_default();
    if let Some(pin) = world.journal.pin()? {
        reason = reason.replace(&pin.revision, text::commit(&pin.revision));
    }
    // The gate knows that it failed; the journal knows how.
    if line.gate == GateName::Quarantine
        && let Some(known) = world
            .journal
            .quarantine()?
            .into_iter()
            .find(|known| known.revision == revision)
    {
        reason = format!(
            "{} is in quarantine until the commit changes: {}",
            text::commit(revision),
            known.reason
        );
    }
    Err(PassError::Held {
        gate: line.gate.to_string(),
        reason,
        until: line.until,
    })
}

/// What every gate says of a candidate now.
pub fn judge(
    journal: &Journal,
    insistence: Insistence,
    revision: &str,
    toplevel: Option<&Utf8Path>,
    now: Timestamp,
) -> Result<Decision, JournalError> {
    let quarantine: Vec<quarantine::Entry> = journal
        .quarantine()?
        .into_iter()
        .map(Quarantined::into_entry)
        .collect();
    let failure = journal.failure()?.map(|failure| failure.of);
    let pin = journal.pin()?.map(Pin::into_gate);
    let generation = journal.current_generation()?.map(|generation| generation.number);
    let drift = journal
        .drift()?
        .filter(|report| Some(report.generation) == generation)
        .and_then(|report| report.hold);
    let candidate = reconciler_policies::Candidate {
        revision,
        toplevel: toplevel.map(Utf8Path::as_str),
    };
    Ok(chain::evaluate(&Facts {
        quarantine: &quarantine,
        failure: failure.as_ref(),
        pin: pin.as_ref(),
        drift: drift.as_ref(),
        force: match insistence {
            Insistence::None => Force::None,
            Insistence::Asked => Force::Retry,
            Insistence::Forced => Force::Quarantine,
        },
        ..Facts::new(now, candidate)
    }))
}

/// Remembers that a revision failed at a stage, and how often; when it is tried again.
pub(super) fn remember(
    world: &World,
    revision: &str,
    stage: Stage,
    reason: &str,
) -> Result<Timestamp, PassError> {
    let before = world
        .journal
        .failure()?
        .filter(|before| before.of.revision == revision && before.of.stage == stage);
    let attempts = before.map_or(0, |before| before.of.attempts).saturating_add(1);
    let of = reconciler_policies::Failure {
        revision: revision.to_owned(),
        stage,
        attempts,
        failed_at: world.now(),
    };
    let next = retry::next_try(&of);
    world.journal.set_failure(Some(&Failure {
        of,
        reason: reason.to_owned(),
    }))?;
    Ok(next)
}

/// Which failures are remembered, so that they are not repeated at every poll.
pub(super) fn stage_of(error: &PassError) -> Option<Stage> {
    match error {
        // It comes without the commit's doing.
        PassError::Published { source, .. } if source.is_waiting() => Some(Stage::Fetch),
        PassError::Evaluate { .. }
        | PassError::Tree(_)
        | PassError::Published { .. }
        | PassError::Class { .. }
        | PassError::System { .. }
        | PassError::Tool(_)
        | PassError::Daemon(_)
        | PassError::Source(_)
        | PassError::Policy(_)
        | PassError::PolicyDocument(_)
        | PassError::PolicyFile(_) => Some(Stage::Evaluate),
        PassError::Requirements { .. } | PassError::Preflight(_) | PassError::Obstacles(_) => {
            Some(Stage::Preflight)
        }
        PassError::Build(BuildError::Daemon { .. } | BuildError::Collected { .. }) => None,
        PassError::Build(_) | PassError::Identify(_) | PassError::Specialisation(_) | PassError::Root(_) => {
            Some(Stage::Build)
        }
        PassError::BootRoom(_) => Some(Stage::Activate),
        PassError::Backing(_) | PassError::Install(_) | PassError::Accounts(_) => Some(Stage::Activate),
        _ => None,
    }
}
