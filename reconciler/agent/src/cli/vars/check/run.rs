//! The check itself: which fleet, which keys, what was found, in which form it is told. Decides nothing about a secret.

use super::args::CheckOptions;
use super::error::CheckError;
use super::fleet::{FOLDERS, Fleet, Unevaluated, join};
use super::page::{Document, Scope, human};
use crate::cli::context::{Context, block_on};
use crate::cli::failure::CliError;
use crate::cli::page;
use crate::exit::Outcome;
use crate::secrets;
use reconciler_vars::audit::{Audit, Report, Rule, audit, sarif};
use reconciler_vars::{FleetKind, Identities};

pub(in crate::cli) fn run(context: &Context, options: &CheckOptions) -> Result<Outcome, CliError> {
    let identities = keys(context, options)?;
    let fleet = Fleet::find(options)?;
    let declarations = block_on(fleet.evaluate(context, options))??;
    let below = declarations
        .as_ref()
        .map_or("", |declarations| declarations.directory.as_str());
    let kind = match declarations
        .as_ref()
        .ok()
        .and_then(|declarations| declarations.kind)
    {
        Some(kind) => kind,
        None => fleet.with_tree("", |tree| Ok(FleetKind::detect(tree)?))?,
    };
    let report = fleet.with_tree(below, |tree| {
        let mut there = false;
        for folder in FOLDERS {
            there = there || !tree.list(folder)?.is_empty();
        }
        if !there
            && declarations
                .as_ref()
                .map_or(true, |declarations| declarations.entries.is_empty())
        {
            return Err(CheckError::NoVars {
                folder: fleet.folder().to_owned(),
            });
        }
        let entries = declarations
            .as_ref()
            .ok()
            .map(|declarations| declarations.entries.as_slice());
        Ok(audit(&Audit {
            tree,
            kind,
            entries,
            identities: &identities,
        })?)
    })?;
    let machines: Vec<String> = report
        .machines
        .iter()
        .map(|machine| machine.name.clone())
        .collect();
    if let Some(machine) = options.machine.iter().find(|machine| !machines.contains(machine)) {
        let machine = machine.clone();
        return Err(CheckError::NoMachine { machine, machines }.into());
    }
    let (report, scope) = match options.machine.as_slice() {
        [] => (report, Scope::Fleet),
        machines => (report.only(machines), Scope::Machines),
    };
    let directory = join(&fleet.directory, below);
    let notes = notes(
        &fleet,
        below,
        &report,
        declarations.as_ref().err().copied(),
        &identities,
    )?;
    let outcome = outcome(&report);
    let document = Document::new(
        &report,
        scope,
        &directory,
        fleet.revision(),
        declarations.is_ok(),
        notes,
    );
    if options.sarif {
        page::json(&sarif(&report, &directory, env!("CARGO_PKG_VERSION")))?;
    } else if options.json {
        page::json(&document)?;
    } else {
        page::text(&human(context, &document))?;
    }
    Ok(outcome)
}

/// The keys that were named: a check has no others, so that it says the same wherever it runs.
fn keys(context: &Context, options: &CheckOptions) -> Result<Identities, CheckError> {
    let plugins = secrets::plugins(&context.environment);
    let (identities, problems) = Identities::load_with(&secrets::named(&options.identity), &plugins);
    match problems.into_iter().next() {
        Some(problem) => Err(CheckError::Identity { problem }),
        None => Ok(identities),
    }
}

/// What could not be evaluated is no defect of a secret.
fn outcome(report: &Report) -> Outcome {
    let is_unevaluated = |finding: &&reconciler_vars::audit::Finding| finding.rule() == Rule::NotEvaluated;
    let unevaluated = report.findings.iter().filter(is_unevaluated).count();
    let wrong = report
        .findings
        .iter()
        .filter(|finding| finding.level() > reconciler_vars::audit::Level::Note)
        .count();
    match (unevaluated, wrong) {
        (_, 0) => Outcome::Converged,
        (unevaluated, wrong) if unevaluated == wrong => Outcome::EvaluationFailed,
        _ => Outcome::PreflightFailed,
    }
}

/// What was not looked at.
fn notes(
    fleet: &Fleet,
    below: &str,
    report: &Report,
    unevaluated: Option<Unevaluated>,
    identities: &Identities,
) -> Result<Vec<String>, CheckError> {
    let mut notes = Vec::new();
    match unevaluated {
        None => {}
        Some(Unevaluated::Unwanted) => notes.push("what the machines declare was not looked at".to_owned()),
        Some(Unevaluated::NoNix) => {
            notes.push("what the machines declare was not looked at: there is no nix here".to_owned());
        }
        Some(Unevaluated::NoFlake) => {
            notes.push("what the machines declare was not looked at: there is no flake.nix here".to_owned());
        }
    }
    let warnings = identities.warnings().iter();
    notes.extend(warnings.map(|warning| format!("{warning}: {}", warning.hint())));
    let openings = report.counts.openings;
    if identities.is_empty() {
        notes.push("nothing was opened: no key was given (`--identity FILE`)".to_owned());
    } else if openings.unopened > 0 {
        notes.push(format!(
            "{} of {} secrets are for other keys than those given, and were not opened",
            openings.unopened,
            openings.unopened + openings.opened
        ));
    }
    let untracked = fleet.untracked(below)?;
    if let Some(first) = untracked.first() {
        notes.push(match untracked.len() {
            1 => format!("git does not track {first}, so no machine gets it, and it was not looked at: git add it"),
            number => format!(
                "git does not track {number} files, so no machine gets them, and they were not looked at: git add \
                 {first} …"
            ),
        });
    }
    Ok(notes)
}
