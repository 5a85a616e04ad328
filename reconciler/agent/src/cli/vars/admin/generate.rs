//! `reconcile vars generate`: what is missing or stale is made, in the order of dependencies, each generator's files
//! laid down together. An interrupted run leaves every generator as it was or as it is to be.

use super::args::GenerateOptions;
use super::error::AdminError;
use super::execute::{Confinement, Executor, Given};
use super::fleet::{Declared, Fleet, listen, say};
use super::git::{self, Keep, Kept};
use super::memory::Memory;
use super::{identities, prompts};
use crate::cli::context::{Context, Detail, block_on};
use crate::cli::failure::CliError;
use crate::cli::page;
use crate::exit::Outcome;
use crate::nix::Script;
use crate::text;
use reconciler_vars::generators::{
    Answer, Directory, Edit, GeneratorId, LinkNames, Placement, Request, Run, SecretFolder, Value, Wanted,
    WriteError, Writer, Written, default_people, plan, recover, rekey_all, survey,
};
use reconciler_vars::{Decrypted, Identities, ReaderKind, ReadersError, Tree, decrypt_file};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use zeroize::Zeroizing;

type Fresh = BTreeMap<GeneratorId, BTreeMap<String, Value>>;

pub(in crate::cli) fn run(context: &Context, options: &GenerateOptions) -> Result<Outcome, CliError> {
    block_on(generate(context, options))?
}

async fn generate(context: &Context, options: &GenerateOptions) -> Result<Outcome, CliError> {
    let fleet = Fleet::open(context, options.fleet.fleet.as_deref())?;
    let _lock = recover(fleet.root.as_std_path()).map_err(AdminError::from)?;
    let declared = fleet.declared(context).await?;
    let wanted = if options.regenerate {
        Wanted::Everything
    } else {
        Wanted::Missing
    };
    let request = Request {
        machines: options.machines.iter().cloned().collect(),
        generators: options.generator.iter().cloned().collect(),
        wanted,
    };
    let present = survey(&fleet.tree, &declared.graph).map_err(AdminError::from)?;
    let runs = plan(&declared.graph, &declared.machines(), &present, &request).map_err(AdminError::from)?;
    let identities = identities::load(&options.fleet.identity, &context.environment);
    let directory = fleet.directory(context);
    let people = match default_people(&fleet.tree, &declared.fleet.readers) {
        Ok(people) => people,
        // Nobody need be there where nothing is secret, or all secrets have their readers.
        Err(_) if runs.is_empty() => LinkNames::default(),
        Err(error) => return Err(AdminError::from(error).into()),
    };
    check_keys(&declared, &directory, &runs)?;
    if options.dry_run {
        page::text(&told(&runs))?;
        return Ok(Outcome::Converged);
    }
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let writer = Writer {
        root: fleet.root.as_std_path(),
        tree: &fleet.tree,
        directory: &directory,
        people: &people,
        identities: &identities,
        now: &now,
    };
    let mut changed = BTreeSet::new();
    let result = if runs.is_empty() {
        Ok(())
    } else {
        let answers = prompts::gather(&fleet, &declared, &runs, &options.prompt, &identities, wanted)?;
        make(
            context,
            options,
            &fleet,
            &declared,
            &runs,
            &answers,
            &writer,
            &mut changed,
        )
        .await
    };
    let result = match result {
        Ok(()) => settle(&fleet, &declared, &request, &writer, &mut changed),
        error => error,
    };
    // What was made before an error is whole, and kept as such.
    let keep = if options.commit { Keep::Commit } else { Keep::Stage };
    let subject = subject(&runs, &changed);
    let kept = git::keep(&fleet.root, &context.environment, &changed, keep, &subject).await;
    result?;
    let kept = kept.map_err(AdminError::from)?;
    page::text(&ended(&runs, &changed, &kept))?;
    Ok(Outcome::Converged)
}

/// Every machine that is to read a secret needs a key; all that have none are named before anything is made.
fn check_keys(declared: &Declared, directory: &Directory<'_>, runs: &[Run]) -> Result<(), AdminError> {
    let mut machines = BTreeSet::new();
    for node in runs.iter().filter_map(|run| declared.graph.get(&run.id)) {
        let secrets = node.definition.files.iter().filter(|(_, file)| file.secret);
        for machine in secrets.filter_map(|(name, _)| node.deploy.get(name)).flatten() {
            match directory.keys(ReaderKind::Machine, machine) {
                Ok(keys) if !keys.is_empty() => {}
                Ok(_) | Err(ReadersError::NoKey { .. }) => {
                    machines.insert(machine.clone());
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
    if machines.is_empty() {
        return Ok(());
    }
    Err(AdminError::NoMachineKey {
        machines: machines.into_iter().collect(),
    })
}

#[expect(clippy::too_many_arguments, reason = "all of a run that was prepared")]
async fn make(
    context: &Context,
    options: &GenerateOptions,
    fleet: &Fleet,
    declared: &Declared,
    runs: &[Run],
    answers: &prompts::Answers,
    writer: &Writer<'_>,
    changed: &mut BTreeSet<String>,
) -> Result<(), AdminError> {
    let memory = Memory::new(&context.environment).await?;
    let made = async {
        let scripts = scripts(context, fleet, declared, runs, &memory).await?;
        if options.no_sandbox {
            say(
                "warning: the scripts run without a sandbox: they can read your files and keys, and use the network",
            );
        }
        let executor = Executor {
            memory: &memory,
            store: declared.fleet.store_dir.clone().into(),
            folders: &context.environment.folders,
            confinement: if options.no_sandbox {
                Confinement::None
            } else {
                Confinement::Sandbox
            },
            limit: Duration::from_secs(options.time_limit),
            verbose: context.detail == Detail::Verbose,
        };
        let mut fresh = Fresh::new();
        for (run, script) in runs.iter().zip(&scripts) {
            let values = one(fleet, declared, run, script, answers, &fresh, writer, &executor).await?;
            let node = declared.graph.get(&run.id);
            let Some(node) = node else { continue };
            let hash = node.definition.validation_hash.as_deref();
            let written = writer.write(&run.id, node, &values, hash)?;
            let names: Vec<_> = values.keys().map(String::as_str).collect();
            let what = match written {
                Written::Changed => {
                    changed.insert(run.id.folder());
                    names.join(", ")
                }
                Written::Unchanged => "made the same values".to_owned(),
            };
            if context.detail > Detail::Quiet {
                say(&format!("✓ {}  {what}", run.id));
            }
            fresh.insert(run.id.clone(), values);
        }
        Ok(())
    };
    let ended = tokio::select! {
        made = made => made,
        stopped = stopped() => Err(stopped),
    };
    memory.close().await;
    ended
}

/// Ends when the person has enough of it, or the terminal is gone.
async fn stopped() -> AdminError {
    let kinds = [
        SignalKind::interrupt(),
        SignalKind::terminate(),
        SignalKind::hangup(),
    ];
    let [Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)] = kinds.map(signal) else {
        // Without handlers the signals end the process; the next command clears the memory.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
    AdminError::Stopped
}

/// The scripts of the runs, in their order, with everything that they need in the store.
async fn scripts(
    context: &Context,
    fleet: &Fleet,
    declared: &Declared,
    runs: &[Run],
    memory: &Memory,
) -> Result<Vec<Script>, AdminError> {
    let wanted: Vec<(String, String)> = runs
        .iter()
        .filter_map(|run| {
            let machine = declared.graph.get(&run.id)?.machines.first()?;
            Some((machine.clone(), run.id.name.clone()))
        })
        .collect();
    let scripts = fleet.checkout.scripts(&wanted, &mut listen(context)).await?;
    let needs: BTreeSet<String> = scripts.iter().flat_map(|script| script.needs.clone()).collect();
    let needs: Vec<String> = needs.into_iter().collect();
    let roots = memory.path().join("root");
    fleet
        .checkout
        .realise(&needs, &roots, &mut listen(context))
        .await?;
    Ok(scripts)
}

#[expect(clippy::too_many_arguments, reason = "all of one run")]
async fn one(
    fleet: &Fleet,
    declared: &Declared,
    run: &Run,
    script: &Script,
    answers: &prompts::Answers,
    fresh: &Fresh,
    writer: &Writer<'_>,
    executor: &Executor<'_>,
) -> Result<BTreeMap<String, Value>, AdminError> {
    let none = BTreeMap::<String, Answer>::new();
    let Some(node) = declared.graph.get(&run.id) else {
        return Ok(BTreeMap::new());
    };
    let mut inputs = BTreeMap::new();
    for dependency in &node.dependencies {
        let files = match fresh.get(dependency) {
            Some(files) => files.clone(),
            None => stored(fleet, declared, &run.id, dependency, writer.identities)?,
        };
        inputs.insert(dependency.name.clone(), files);
    }
    let given = Given {
        id: &run.id,
        node,
        script,
        answers: answers.get(&run.id).unwrap_or(&none),
        inputs,
    };
    let collected = executor.run(&given).await?;
    if !collected.unexpected.is_empty() {
        say(&format!(
            "warning: {} made {}, which it does not declare: not kept",
            run.id,
            collected.unexpected.join(", ")
        ));
    }
    Ok(collected.values)
}

/// The values of a generator that does not run, for one that does.
fn stored(
    fleet: &Fleet,
    declared: &Declared,
    id: &GeneratorId,
    dependency: &GeneratorId,
    identities: &Identities,
) -> Result<BTreeMap<String, Value>, AdminError> {
    let mut values = BTreeMap::new();
    let Some(node) = declared.graph.get(dependency) else {
        return Ok(values);
    };
    for (name, file) in &node.definition.files {
        let folder = format!("{}/{name}", dependency.folder());
        let path = format!("{folder}/{}", if file.secret { "secret" } else { "value" });
        let bytes = fleet.tree.read(&path)?.unwrap_or_default();
        let value = if file.secret {
            let opened = decrypt_file(&bytes, identities).and_then(Decrypted::into_bytes);
            opened.map_err(|source| AdminError::Open {
                id: id.clone(),
                path,
                source,
            })?
        } else {
            Zeroizing::new(bytes)
        };
        values.insert(name.clone(), value);
    }
    Ok(values)
}

/// What remains when all values are there: shared secrets get the machines that came to declare them, and the files of
/// a generator that became shared, or is it no more, leave their old place.
fn settle(
    fleet: &Fleet,
    declared: &Declared,
    request: &Request,
    writer: &Writer<'_>,
    changed: &mut BTreeSet<String>,
) -> Result<(), AdminError> {
    let present = survey(&fleet.tree, &declared.graph)?;
    let complete = |id: &GeneratorId| present.get(id).is_some_and(|present| present.missing.is_empty());
    let mut wanted = BTreeMap::new();
    for (id, node) in declared.graph.iter() {
        let asked = request.machines.is_empty()
            || node
                .machines
                .iter()
                .any(|machine| request.machines.contains(machine));
        let chosen = request.generators.is_empty() || request.generators.contains(&id.name);
        if id.placement != Placement::Shared || !complete(id) || !asked || !chosen {
            continue;
        }
        for (name, _) in node.definition.files.iter().filter(|(_, file)| file.secret) {
            let path = format!("{}/{name}", id.folder());
            let links = writer.wanted(id, node, name)?;
            let found = LinkNames::read(&fleet.tree, &path).map_err(|source| WriteError::Readers {
                path: path.clone(),
                source,
            })?;
            if links != found {
                wanted.insert(SecretFolder { path }, links);
            }
        }
    }
    let rekeying = rekey_all(
        writer.root,
        &fleet.tree,
        writer.directory,
        writer.identities,
        &wanted,
        writer.now,
    );
    let rekeying = rekeying.map_err(|errors| AdminError::Rekey { errors })?;
    let owners = writer.directory.owners()?;
    for sealing in &rekeying.sealings {
        let names = |recipients: &[String]| -> Vec<String> {
            let names = recipients.iter();
            names
                .map(|recipient| owners.get(recipient).unwrap_or(recipient).clone())
                .collect()
        };
        for who in names(&sealing.added) {
            say(&format!("✓ {}  now for {who} as well", sealing.path));
        }
        for who in names(&sealing.removed) {
            say(&format!(
                "warning: {who} could read {} until now: make it anew",
                sealing.path
            ));
        }
    }
    for edit in &rekeying.edits {
        edit.commit(writer.root)?;
        changed.insert(edit.folder().to_owned());
    }
    for folder in moved(fleet, declared, &complete)? {
        let mut edit = Edit::new(folder.clone());
        for entry in fleet.tree.list(&folder)? {
            edit.remove(entry.name);
        }
        if edit.commit(writer.root)? {
            say(&format!(
                "✓ {folder}  moved away: its generator has another place now"
            ));
            changed.insert(folder);
        }
    }
    Ok(())
}

/// Folders of generators that are kept in the other place now, and are whole there.
fn moved(
    fleet: &Fleet,
    declared: &Declared,
    complete: &dyn Fn(&GeneratorId) -> bool,
) -> Result<Vec<String>, AdminError> {
    let mut folders = Vec::new();
    for entry in fleet.tree.list("vars/shared")? {
        let shared = GeneratorId::shared(&entry.name);
        let others = || declared.graph.iter().filter(|(id, _)| id.name == entry.name);
        if declared.graph.get(&shared).is_none()
            && others().next().is_some()
            && others().all(|(id, _)| complete(id))
        {
            folders.push(shared.folder());
        }
    }
    for (id, node) in declared.graph.iter() {
        if id.placement != Placement::Shared || !complete(id) {
            continue;
        }
        for machine in &node.machines {
            let own = GeneratorId::of_machine(machine, &id.name).folder();
            if !fleet.tree.list(&own)?.is_empty() {
                folders.push(own);
            }
        }
    }
    Ok(folders)
}

fn told(runs: &[Run]) -> String {
    if runs.is_empty() {
        return "nothing would run: all values are there\n".to_owned();
    }
    let rows: Vec<Vec<String>> = runs
        .iter()
        .map(|run| vec![run.id.to_string(), run.reason.to_string()])
        .collect();
    format!(
        "{} would run, in this order\n{}",
        text::count(runs.len(), "generator"),
        page::table(&rows)
    )
}

fn ended(runs: &[Run], changed: &BTreeSet<String>, kept: &Kept) -> String {
    if changed.is_empty() {
        return "all values are there; nothing was changed\n".to_owned();
    }
    let ran = match runs.len() {
        0 => text::count(changed.len(), "folder") + " changed",
        number => text::count(number, "generator") + " ran",
    };
    format!("{ran}; {}\n", kept_as(kept))
}

/// What a person has to do with what was changed.
pub(super) fn kept_as(kept: &Kept) -> &'static str {
    match kept {
        Kept::Staged => "staged in git: commit and push it",
        Kept::Committed => "committed: push it",
        Kept::OnDisk => "not in git: there is no repository here",
    }
}

fn subject(runs: &[Run], changed: &BTreeSet<String>) -> String {
    let made: Vec<_> = runs
        .iter()
        .filter(|run| changed.contains(&run.id.folder()))
        .map(|run| run.id.to_string())
        .collect();
    match made.as_slice() {
        [] => "vars: share what machines declare".to_owned(),
        made if made.len() <= 3 => format!("vars: generate {}", made.join(", ")),
        made => format!("vars: generate {}", text::count(made.len(), "generator")),
    }
}
