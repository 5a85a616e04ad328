//! `reconcile diff`: what changed between two generations. It reads the journal, the mirror and the store, and
//! needs no running agent.

use super::args::DiffOptions;
use super::change;
use super::context::{Context, block_on};
use super::failure::CliError;
use super::generation::{Named, named, previous};
use super::page;
use crate::closure::{CHANGE_VERSION, Change, Differences};
use crate::config::Settings;
use crate::exit::Outcome;
use crate::journal::{Generation, Journal};
use crate::pass::{compare, secret_marks, side};
use nix_daemon_client::{Client, ConnectOptions};

pub(super) fn run(context: &Context, options: &DiffOptions) -> Result<Outcome, CliError> {
    let settings = context.settings()?;
    let Some(journal) = context.journal(&settings)? else {
        return Err(CliError::NeverRan {
            state: settings.paths.state,
        });
    };
    let (from, to) = sides(context, &settings, &journal, options)?;
    let source = context.source(&settings)?;
    let mirror = source.mirror().map_err(CliError::Mirror)?;
    let marks = |generation: &Generation| secret_marks(&mirror, &settings, generation).unwrap_or_default();
    let mut change = Change {
        version: CHANGE_VERSION,
        from: Some(side(&from)),
        to: side(&to),
        cost: None,
        packages: None,
        units: None,
        activation: None,
        secrets: Differences::between(&marks(&from), &marks(&to)),
    };
    block_on(async {
        let daemon = settings.nix.daemon.as_std_path();
        let mut client = Client::connect(daemon, &ConnectOptions::default())
            .await
            .map_err(CliError::Daemon)?;
        compare(&mut client, &settings.nix.store, &mut change).await;
        Ok::<_, CliError>(())
    })??;
    if options.json {
        page::json(&change)?;
    } else {
        page::text(&change::page(context, &change))?;
    }
    Ok(Outcome::Converged)
}

/// The two generations: those that were named, or the one before and the one in force.
fn sides(
    context: &Context,
    settings: &Settings,
    journal: &Journal,
    options: &DiffOptions,
) -> Result<(Generation, Generation), CliError> {
    let find = |name: &String| match named(context, settings, journal, name)? {
        Named::Generation(generation) => Ok(*generation),
        Named::Revision(_) => Err(CliError::NeverActive { name: name.clone() }),
    };
    let generations = journal.generations()?;
    let from = match &options.from {
        Some(name) => find(name)?,
        None => previous(&generations)?,
    };
    let to = match &options.to {
        Some(name) => find(name)?,
        None => generations.into_iter().next().ok_or(CliError::NoPrevious)?,
    };
    Ok((from, to))
}
