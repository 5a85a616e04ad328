//! `reconcile vars list`: what the fleet declares, what of it is there, and who may read it. Opens no secret.

use super::args::ListOptions;
use super::error::AdminError;
use super::fleet::Fleet;
use crate::cli::context::{Context, block_on};
use crate::cli::failure::CliError;
use crate::cli::page;
use crate::exit::Outcome;
use crate::text;
use reconciler_vars::Tree;
use reconciler_vars::generators::{LinkNames, Placement, PlanError, survey};
use serde::Serialize;

/// How wide a public value may be in the table.
const WIDTH: usize = 40;

/// One file of one generator.
#[derive(Debug, Serialize)]
struct Row {
    machines: Vec<String>,
    generator: String,
    file: String,
    path: String,
    shared: bool,
    secret: bool,
    exists: bool,
    stale: bool,
    /// Names as in the links: `machines/…`, `users/…`, `groups/…`.
    readers: Vec<String>,
    /// The value of a public file; bytes that are no text are shown as such.
    value: Option<String>,
}

pub(in crate::cli) fn run(context: &Context, options: &ListOptions) -> Result<Outcome, CliError> {
    let rows = block_on(rows(context, options))??;
    if options.json {
        page::json(&rows)?;
        return Ok(Outcome::Converged);
    }
    if rows.is_empty() {
        page::text("no values are declared\n")?;
        return Ok(Outcome::Converged);
    }
    let header = ["MACHINE", "VALUE", "", "READERS"].map(str::to_owned).to_vec();
    let table = std::iter::once(header).chain(rows.iter().map(|row| {
        vec![
            if row.shared {
                "(shared)".to_owned()
            } else {
                row.machines.join(", ")
            },
            format!("{}/{}", row.generator, row.file),
            state(row),
            row.readers.join(", "),
        ]
    }));
    page::text(&page::table(&table.collect::<Vec<_>>()))?;
    Ok(Outcome::Converged)
}

fn state(row: &Row) -> String {
    let state = match &row.value {
        _ if !row.exists => "missing".to_owned(),
        Some(value) => page::fit(value.lines().next().unwrap_or_default(), WIDTH),
        None => "********".to_owned(),
    };
    if row.stale && row.exists {
        format!("{state} (stale)")
    } else {
        state
    }
}

async fn rows(context: &Context, options: &ListOptions) -> Result<Vec<Row>, AdminError> {
    let fleet = Fleet::open(context, options.fleet.as_deref())?;
    let declared = fleet.declared(context).await?;
    let known = declared.machines();
    if let Some(machine) = options.machines.iter().find(|machine| !known.contains(machine)) {
        return Err(AdminError::Plan(PlanError::NoMachine {
            machine: machine.clone(),
            machines: known,
        }));
    }
    let present = survey(&fleet.tree, &declared.graph)?;
    let mut rows = Vec::new();
    for (id, node) in declared.graph.iter() {
        let asked =
            options.machines.is_empty() || node.machines.iter().any(|name| options.machines.contains(name));
        if !asked {
            continue;
        }
        let there = present.get(id).cloned().unwrap_or_default();
        for (name, file) in &node.definition.files {
            let path = format!("{}/{name}", id.folder());
            let value = if file.secret {
                None
            } else {
                fleet.tree.read(&format!("{path}/value"))?
            };
            let links = LinkNames::read(&fleet.tree, &path)?;
            let of = |kind: &str, names: &std::collections::BTreeSet<String>| -> Vec<String> {
                names.iter().map(|name| format!("{kind}/{name}")).collect()
            };
            rows.push(Row {
                machines: node.machines.clone(),
                generator: id.name.clone(),
                file: name.clone(),
                path,
                shared: id.placement == Placement::Shared,
                secret: file.secret,
                exists: !there.missing.contains(name),
                stale: there.stale,
                readers: [
                    of("machines", &links.machines),
                    of("users", &links.users),
                    of("groups", &links.groups),
                ]
                .concat(),
                value: value.map(|value| match String::from_utf8(value) {
                    Ok(value) => text::plain(&value),
                    Err(error) => text::count(error.as_bytes().len(), "byte"),
                }),
            });
        }
    }
    Ok(rows)
}
