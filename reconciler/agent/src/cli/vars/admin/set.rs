//! `reconcile vars set`: one value, given by a person. A value that is there already is not written again.

use super::args::SetOptions;
use super::error::AdminError;
use super::fleet::{Fleet, say};
use super::generate::kept_as;
use super::git::{self, Keep};
use super::{get, identities, prompts};
use crate::cli::context::{Context, block_on};
use crate::cli::failure::CliError;
use crate::cli::page;
use crate::exit::Outcome;
use reconciler_vars::generators::{
    GeneratorId, LinkNames, Node, Present, PromptKind, Writer, Written, default_people, recover, survey,
};
use std::collections::{BTreeMap, BTreeSet};

pub(in crate::cli) fn run(context: &Context, options: &SetOptions) -> Result<Outcome, CliError> {
    block_on(set(context, options))?
}

async fn set(context: &Context, options: &SetOptions) -> Result<Outcome, CliError> {
    let fleet = Fleet::open(context, options.fleet.fleet.as_deref())?;
    let _lock = recover(fleet.root.as_std_path()).map_err(AdminError::from)?;
    let declared = fleet.declared(context).await?;
    let (machine, file) = (&options.machine, &options.file);
    let found = declared.graph.of(machine, &file.generator);
    let found = found.filter(|(_, node)| node.definition.files.contains_key(&file.file));
    let Some((id, node)) = found else {
        let of_machine = declared
            .graph
            .iter()
            .filter(|(_, node)| node.machines.contains(machine));
        let known: Vec<String> = of_machine
            .flat_map(|(id, node)| {
                let files = node.definition.files.keys();
                files
                    .map(|file| format!("{}/{file}", id.name))
                    .collect::<Vec<_>>()
            })
            .collect();
        return Err(AdminError::NoValue {
            machine: machine.clone(),
            file: file.to_string(),
            near: get::near(file, &known),
        }
        .into());
    };
    let secret = node
        .definition
        .files
        .get(&file.file)
        .is_some_and(|file| file.secret);
    let value = prompts::value(machine, file, kind(node, &file.file, secret))?;
    if value.is_empty() {
        return Err(AdminError::EmptyValue.into());
    }
    let directory = fleet.directory(context);
    let identities = identities::load(&options.fleet.identity, &context.environment);
    let people = if secret {
        default_people(&fleet.tree, &declared.fleet.readers).map_err(AdminError::from)?
    } else {
        LinkNames::default()
    };
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let writer = Writer {
        root: fleet.root.as_std_path(),
        tree: &fleet.tree,
        directory: &directory,
        people: &people,
        identities: &identities,
        now: &now,
    };
    let present = survey(&fleet.tree, &declared.graph).map_err(AdminError::from)?;
    let present = present.get(id).cloned().unwrap_or_default();
    let values = BTreeMap::from([(file.file.clone(), value)]);
    let hash = hash(node, &present, &file.file);
    let written = writer
        .write(id, node, &values, hash.as_deref())
        .map_err(AdminError::from)?;
    if written == Written::Unchanged {
        page::text("it is there already; nothing was changed\n")?;
        return Ok(Outcome::Converged);
    }
    tell(&declared.graph, id, node, hash.as_deref());
    let changed = BTreeSet::from([id.folder()]);
    let keep = if options.commit { Keep::Commit } else { Keep::Stage };
    let subject = format!("vars: set {} of {id}", file.file);
    let kept = git::keep(&fleet.root, &context.environment, &changed, keep, &subject).await;
    let kept = kept.map_err(AdminError::from)?;
    page::text(&format!(
        "{}/{} is set; {}\n",
        id.folder(),
        file.file,
        kept_as(&kept)
    ))?;
    Ok(Outcome::Converged)
}

/// How the value is typed: as the prompt of the same name says, else a line that is hidden where it is a secret.
fn kind(node: &Node, file: &str, secret: bool) -> PromptKind {
    match node.definition.prompts.get(file) {
        Some(prompt) => prompt.kind,
        None if secret => PromptKind::Hidden,
        None => PromptKind::Line,
    }
}

/// The hash to keep: the one that is there; or, where values were never made and this was the last that was missing,
/// the declared one, as a person stands for all of them. Where nothing else can make them, they always do.
fn hash(node: &Node, present: &Present, file: &str) -> Option<String> {
    let last = present.missing.iter().all(|missing| missing == file);
    match &present.stored_hash {
        Some(stored) if node.definition.can_run() => Some(stored.clone()),
        _ if last => node.definition.validation_hash.clone(),
        stored => stored.clone(),
    }
}

/// What the person may not expect.
fn tell(graph: &reconciler_vars::generators::Graph, id: &GeneratorId, node: &Node, hash: Option<&str>) {
    if hash != node.definition.validation_hash.as_deref() {
        let what = if node.definition.can_run() {
            "`reconcile vars generate` would make its values anew"
        } else {
            "no script makes its other values, so set them, too"
        };
        say(&format!("note: {id} is stale or not whole yet: {what}"));
    }
    let dependents: Vec<_> = graph
        .iter()
        .filter(|(_, node)| node.dependencies.contains(id))
        .map(|(id, _)| id.to_string())
        .collect();
    if !dependents.is_empty() {
        say(&format!(
            "note: made of the old value: {}; `reconcile vars generate --regenerate --generator NAME` makes them anew",
            dependents.join(", ")
        ));
    }
}
