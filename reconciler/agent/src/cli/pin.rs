//! `reconcile pin` and `unpin`: staying on a revision, and following the branch again.

use super::args::PinOptions;
use super::context::Context;
use super::failure::CliError;
use super::revision::resolve;
use super::{now, page};
use crate::daemon::AskError;
use crate::exit::Outcome;
use crate::journal::{Journal, Pin};
use crate::pass::{Cause, Ended, Insistence, Request};
use crate::text;
use jiff::Timestamp;
use std::path::Path;

pub(super) fn pin(context: &Context, options: &PinOptions) -> Result<Outcome, CliError> {
    let settings = context.settings()?;
    if !settings.paths.journal().exists() {
        return Err(CliError::NeverRan {
            state: settings.paths.state,
        });
    }
    let oid = resolve(context, &settings, &options.revision)?;
    let mut journal = Journal::open(&settings.paths.journal())?;
    // One whose toplevel was collected is built again from its commit.
    let generation = journal
        .generation_of(&oid.to_string())?
        .filter(|generation| Path::new(&generation.record.toplevel).exists())
        .map(|generation| generation.number);
    set(
        context,
        &mut journal,
        oid.to_string(),
        generation,
        options.why.clone(),
        Cause::Now,
    )
}

pub(super) fn unpin(context: &Context) -> Result<Outcome, CliError> {
    let settings = context.settings()?;
    let Some(journal) = context.journal(&settings)? else {
        return Err(CliError::NeverRan {
            state: settings.paths.state,
        });
    };
    match journal.end_pin(Timestamp::now())? {
        Some(pin) => page::text(&format!("no longer pinned to {}\n", text::commit(&pin.revision)))?,
        None => {
            page::text("nothing was pinned\n")?;
            return Ok(Outcome::Converged);
        }
    }
    drop(journal);
    pass(context, Cause::Now)
}

/// Puts a pin in force and makes the pass that follows from it.
pub(super) fn set(
    context: &Context,
    journal: &mut Journal,
    revision: String,
    generation: Option<u64>,
    why: Option<String>,
    cause: Cause,
) -> Result<Outcome, CliError> {
    let by = context
        .environment
        .user
        .clone()
        .unwrap_or_else(|| "root".to_owned());
    let before = journal.pin()?;
    let pin = Pin {
        revision,
        by,
        why,
        since: Timestamp::now(),
        generation,
    };
    journal.set_pin(&pin)?;
    let result = make(context, cause);
    let reached = match &result {
        // What waits for a reboot waits at the pin.
        Ok(ended) => ended.outcome == Outcome::Converged || waits(journal, &pin)?,
        // The agent was stopped in the middle and goes on with it when it starts again.
        Err(CliError::Ask(AskError::Cut)) => true,
        Err(_) => false,
    };
    if !reached && journal.pin()?.is_some_and(|now| now.revision == pin.revision) {
        // A pin that was not reached would keep the machine from everything that comes after.
        match &before {
            Some(before) => journal.set_pin(before)?,
            None => {
                journal.end_pin(Timestamp::now())?;
            }
        }
    }
    let ended = result?;
    now::tell(context, &ended)?;
    if !reached {
        page::text(match before {
            Some(_) => "the pin that was in force before stays\n",
            None => "nothing is pinned\n",
        })?;
    }
    Ok(ended.outcome)
}

fn make(context: &Context, cause: Cause) -> Result<Ended, CliError> {
    let request = Request {
        insistence: Insistence::Asked,
        ..Request::of(cause)
    };
    now::make(context, &request, context.detail)
}

fn pass(context: &Context, cause: Cause) -> Result<Outcome, CliError> {
    let ended = make(context, cause)?;
    now::tell(context, &ended)?;
    Ok(ended.outcome)
}

/// Whether what a pin leads to is the boot default already.
fn waits(journal: &Journal, pin: &Pin) -> Result<bool, CliError> {
    let staged = journal.staged_transaction()?;
    Ok(staged.is_some_and(|staged| staged.intent.revision == pin.revision))
}
