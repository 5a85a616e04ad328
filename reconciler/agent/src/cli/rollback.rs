//! `reconcile rollback`: back to a generation, pinned there.

use super::args::RollbackOptions;
use super::context::Context;
use super::failure::CliError;
use super::pin;
use super::revision::resolve;
use crate::exit::Outcome;
use crate::journal::{Generation, Journal};
use crate::pass::Cause;

pub(super) fn run(context: &Context, options: &RollbackOptions) -> Result<Outcome, CliError> {
    let settings = context.settings()?;
    if context.journal(&settings)?.is_none() {
        return Err(CliError::NeverRan {
            state: settings.paths.state,
        });
    }
    let mut journal = Journal::open(&settings.paths.journal())?;
    let target = match &options.target {
        None => previous(&journal.generations()?)?,
        Some(name) => match name.parse::<u64>().ok().filter(|_| name.len() < 7) {
            Some(number) => journal
                .generation(number)?
                .ok_or(CliError::NoGeneration { number })?,
            None => {
                let oid = resolve(context, &settings, name)?;
                match journal.generation_of(&oid.to_string())? {
                    Some(generation) => generation,
                    // Never active here: it is built first, like any pinned revision.
                    None => {
                        let why = options.why.clone();
                        return pin::set(context, &mut journal, oid.to_string(), None, why, Cause::Rollback);
                    }
                }
            }
        },
    };
    let (revision, number) = (target.record.revision, target.number);
    pin::set(
        context,
        &mut journal,
        revision,
        Some(number),
        options.why.clone(),
        Cause::Rollback,
    )
}

/// The newest generation that ran something else than the one in force.
fn previous(generations: &[Generation]) -> Result<Generation, CliError> {
    let Some((current, earlier)) = generations.split_first() else {
        return Err(CliError::NoPrevious);
    };
    earlier
        .iter()
        .find(|generation| {
            generation.record.toplevel != current.record.toplevel
                || generation.record.secrets != current.record.secrets
        })
        .cloned()
        .ok_or(CliError::NoPrevious)
}
