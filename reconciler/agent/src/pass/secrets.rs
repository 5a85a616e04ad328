//! From what an entry declares to secrets that are opened, laid down and ready to be put in force.

use super::policy::join;
use super::{PassError, World};
use crate::nix::Metadata;
use crate::secrets::FleetTree;
use crate::source::Revision;
use reconciler_vars::{
    Accounts, Identities, Opened, Requirements, SecretsRoot, UnknownAccounts, preflight, preflight_of, stage,
};

/// Where the secrets of this machine are installed.
pub(super) fn root(world: &World) -> SecretsRoot {
    SecretsRoot::new(world.settings.paths.secrets.as_std_path())
}

/// The users and groups that own secrets. Those that only the new toplevel creates are settled after it runs.
pub(super) fn accounts(world: &World) -> Result<Accounts, PassError> {
    let accounts = Accounts::of_process(world.settings.paths.root.as_std_path())?;
    Ok(accounts.with_unknown(UnknownAccounts::Defer))
}

/// What secrets an entry needs: what it declares, or else what lies there for it.
pub(super) fn requirements(
    world: &World,
    revision: Revision,
    metadata: &Metadata,
) -> Result<Requirements, PassError> {
    let machine = &world.settings.machine;
    let group = metadata.class.secrets_group();
    let found = match metadata.vars.as_ref().filter(|declared| !declared.is_empty()) {
        Some(declared) => Requirements::declared(declared, machine, group),
        None => {
            let mirror = world.source.mirror()?;
            let view = mirror.tree(revision.oid())?;
            match view.directory(&folder(world, Some(metadata))) {
                Ok(view) => Requirements::discovered(&FleetTree(view), machine, group),
                // The entry was evaluated from there, so the folder is there.
                Err(_) => Requirements::discovered(&FleetTree(view), machine, group),
            }
        }
    };
    found.map_err(|source| PassError::Requirements {
        machine: machine.clone(),
        source,
    })
}

/// Remembers which keys an entry names, as a machine that boots needs them before anything is evaluated. What is
/// wrong with the machine's key files that are used all the same.
pub(super) fn keys(world: &World, metadata: &Metadata) -> Result<Vec<String>, PassError> {
    let host = |path: &String| world.settings.paths.host(path).into_string();
    let named: Vec<_> = metadata.identity_paths.iter().map(host).collect();
    world.journal.set_identities(&named)?;
    let identities = identities(world)?;
    let warnings = identities.warnings().iter();
    Ok(warnings
        .map(|warning| format!("{warning}; {}", warning.hint()))
        .collect())
}

/// The keys of this machine: those of its configuration, then those that the newest entry names.
fn identities(world: &World) -> Result<Identities, PassError> {
    let named = crate::secrets::recorded(&world.journal)?;
    Ok(crate::secrets::load(&[], &world.settings.identity, &named))
}

/// Opens every secret that is required at a revision, or names each one that does not open.
pub(super) fn open(
    world: &World,
    revision: Revision,
    requirements: &Requirements,
    metadata: Option<&Metadata>,
) -> Result<Opened, PassError> {
    let identities = identities(world)?;
    let mirror = world.source.mirror()?;
    let view = mirror.tree(revision.oid())?;
    let view = match view.directory(&folder(world, metadata)) {
        Ok(folder) => folder,
        Err(_) => view,
    };
    let (tree, machine) = (FleetTree(view), &world.settings.machine);
    let opened = match metadata {
        Some(metadata) => preflight_of(&tree, machine, &metadata.expected(), requirements, &identities),
        None => preflight(&tree, machine, requirements, &identities),
    };
    opened.map_err(PassError::Preflight)
}

/// Lays opened secrets down beside those in force, unless they lie there already; the number to be put in force.
pub(super) fn lay_down(world: &World, opened: &Opened) -> Result<Option<u64>, PassError> {
    if opened.is_empty() && !has_laid_down(world)? {
        return Ok(None);
    }
    let (root, accounts) = (root(world), accounts(world)?);
    root.ensure_ramfs()?;
    // Those in force first, then those that are kept for a way back.
    let kept = root.generations()?;
    let same = root.current().into_iter().chain(kept.iter().rev().copied());
    if let Some(number) = same
        .into_iter()
        .find(|number| opened.same_as(&root, *number, &accounts))
    {
        return Ok(Some(number));
    }
    let recorded = world
        .journal
        .generations()?
        .iter()
        .filter_map(|generation| generation.record.secrets)
        .max();
    let number = kept.last().copied().max(recorded).map_or(1, |last| last + 1);
    Ok(Some(stage(&root, opened, number, &accounts)?.number()))
}

/// Opens the secrets of a recorded generation once more and lays them down under their old number.
pub(super) fn open_again(world: &World, number: u64) -> Result<(), PassError> {
    let generations = world.journal.generations()?;
    let known = generations.iter().find(|generation| {
        generation.record.secrets == Some(number) && generation.record.requirements.is_some()
    });
    let Some(generation) = known else {
        // Nobody knows what was in it: whoever asked for it is told that it is gone.
        return Ok(());
    };
    let Some(requirements) = from_json(generation.record.requirements.as_deref())? else {
        return Ok(());
    };
    let Ok(oid) = generation.record.revision.parse() else {
        return Ok(());
    };
    let commit = world.source.mirror()?.commit(oid)?;
    let opened = open(world, Revision::pinned(&commit), &requirements, None)?;
    let root = root(world);
    root.ensure_ramfs()?;
    stage(&root, &opened, number, &accounts(world)?)?;
    Ok(())
}

/// Whether the secrets in force are exactly these.
pub(super) fn in_force(world: &World, opened: &Opened) -> Result<bool, PassError> {
    let (root, accounts) = (root(world), accounts(world)?);
    Ok(match root.current() {
        // None are needed, and what may be there is somebody else's.
        _ if opened.is_empty() && !has_laid_down(world)? => true,
        Some(current) => opened.same_as(&root, current, &accounts),
        None => false,
    })
}

/// Whether the generation in force has secrets of the agent: when the last of them is taken away, an empty
/// generation of secrets takes their place.
fn has_laid_down(world: &World) -> Result<bool, PassError> {
    Ok(world
        .journal
        .current_generation()?
        .is_some_and(|generation| generation.record.secrets.is_some()))
}

/// Requirements as the journal keeps them.
pub(super) fn to_json(requirements: &Requirements) -> Result<String, PassError> {
    serde_json::to_string(requirements).map_err(PassError::Recorded)
}

/// Requirements that the journal kept.
pub(super) fn from_json(text: Option<&str>) -> Result<Option<Requirements>, PassError> {
    text.map(serde_json::from_str)
        .transpose()
        .map_err(PassError::Recorded)
}

/// The folder of `vars/` in the repository.
pub(super) fn folder(world: &World, metadata: Option<&Metadata>) -> String {
    let clan = metadata
        .and_then(|metadata| metadata.clan.as_ref())
        .map_or("", |clan| clan.directory.as_str());
    let directory = world.settings.fleet.directory.as_str();
    if clan.is_empty() {
        directory.to_owned()
    } else {
        join(directory, clan)
    }
}
