//! A generation that a person named: by its number, or by a revision that was active here.

use super::context::Context;
use super::failure::CliError;
use super::revision::resolve;
use crate::config::Settings;
use crate::journal::{Generation, Journal};
use crate::source::Oid;

/// What a name turned out to mean.
#[derive(Debug)]
pub(super) enum Named {
    /// A recorded generation.
    Generation(Box<Generation>),
    /// A commit of the fleet that was never active here.
    Revision(Oid),
}

/// Finds what `name` means. Up to six digits are a number; more, or letters among them, are a revision.
pub(super) fn named(
    context: &Context,
    settings: &Settings,
    journal: &Journal,
    name: &str,
) -> Result<Named, CliError> {
    if let Some(number) = name.parse::<u64>().ok().filter(|_| name.len() < 7) {
        let generation = journal.generation(number)?;
        return generation
            .map(|generation| Named::Generation(Box::new(generation)))
            .ok_or(CliError::NoGeneration { number });
    }
    let oid = resolve(context, settings, name)?;
    Ok(match journal.generation_of(&oid.to_string())? {
        Some(generation) => Named::Generation(Box::new(generation)),
        None => Named::Revision(oid),
    })
}

/// The newest generation that ran something else than the one in force.
pub(super) fn previous(generations: &[Generation]) -> Result<Generation, CliError> {
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
