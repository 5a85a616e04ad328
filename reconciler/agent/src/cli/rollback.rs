//! `reconcile rollback`: back to a generation, pinned there.

use super::args::RollbackOptions;
use super::context::Context;
use super::failure::CliError;
use super::generation::{Named, named, previous};
use super::pin;
use crate::exit::Outcome;
use crate::journal::Journal;
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
        Some(name) => match named(context, &settings, &journal, name)? {
            Named::Generation(generation) => *generation,
            // Never active here: it is built first, like any pinned revision.
            Named::Revision(oid) => {
                let why = options.why.clone();
                return pin::set(context, &mut journal, oid.to_string(), None, why, Cause::Rollback);
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
