//! `reconcile pin` and `unpin`: staying on a revision, and following the branch again.

use super::args::PinOptions;
use super::context::Context;
use super::failure::CliError;
use super::revision::resolve;
use super::{now, page};
use crate::exit::Outcome;
use crate::journal::{Journal, Pin};
use crate::pass::{Cause, Depth, Insistence, Request};
use crate::text;
use jiff::Timestamp;

pub(super) fn pin(context: &Context, options: &PinOptions) -> Result<Outcome, CliError> {
    let settings = context.settings()?;
    if !settings.paths.journal().exists() {
        return Err(CliError::NeverRan {
            state: settings.paths.state,
        });
    }
    let oid = resolve(context, &settings, &options.revision)?;
    let mut journal = Journal::open(&settings.paths.journal())?;
    let generation = journal
        .generation_of(&oid.to_string())?
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
    journal.set_pin(&Pin {
        revision,
        by,
        why,
        since: Timestamp::now(),
        generation,
    })?;
    pass(context, cause)
}

fn pass(context: &Context, cause: Cause) -> Result<Outcome, CliError> {
    let request = Request {
        cause,
        revision: None,
        depth: Depth::Whole,
        insistence: Insistence::Asked,
    };
    let ended = now::make(context, &request, false)?;
    now::tell(context, &ended)?;
    Ok(ended.outcome)
}
