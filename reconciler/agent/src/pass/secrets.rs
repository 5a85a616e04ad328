//! From what an entry declares to secrets that are opened and laid down, ready to be put in force.

use super::policy::join;
use super::{PassError, World};
use crate::config::{Paths, Settings};
use crate::journal::Journal;
use crate::nix::Metadata;
use crate::secrets::FleetTree;
use crate::source::{Revision, Source};
use reconciler_vars::{
    Accounts, Expected, Identities, Installer, Opened, Placement, PreflightError, Requirements, Salvaged,
    SecretsRoot, UnknownAccounts, preflight, preflight_of, salvage, stage,
};

/// What the secrets of a machine are made of: also a machine that boots has it, before anything else runs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Vault<'a> {
    pub(super) settings: &'a Settings,
    pub(super) journal: &'a Journal,
    pub(super) source: &'a Source,
}

impl World {
    /// What its secrets are made of.
    pub(super) fn vault(&self) -> Vault<'_> {
        Vault {
            settings: &self.settings,
            journal: &self.journal,
            source: &self.source,
        }
    }
}

/// Where the secrets of an installer's machine are laid down by the agent: apart, where another one has the usual
/// place.
pub(super) fn root(paths: &Paths, installer: Installer) -> SecretsRoot {
    match installer {
        Installer::Agent => SecretsRoot::new(paths.secrets.as_std_path()),
        Installer::Own => SecretsRoot::new(paths.run.join("secrets").as_std_path()),
    }
}

/// Where these are laid down.
pub(super) fn root_of(paths: &Paths, requirements: &Requirements) -> SecretsRoot {
    root(paths, requirements.placement().installer)
}

/// The users and groups that own secrets. Those that only the new toplevel creates are settled after it runs.
pub(super) fn accounts(settings: &Settings) -> Result<Accounts, PassError> {
    let accounts = Accounts::of_process(settings.paths.root.as_std_path())?;
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
    let placement = metadata.placement();
    let found = match metadata.vars.as_ref().filter(|declared| !declared.is_empty()) {
        Some(declared) => Requirements::declared(declared, machine, group),
        None => {
            let mirror = world.source.mirror()?;
            let view = mirror.tree(revision.oid())?;
            match view.directory(&folder(&world.settings, &placement)) {
                Ok(view) => Requirements::discovered(&FleetTree(view), machine, group),
                // The entry was evaluated from there, so the folder is there.
                Err(_) => Requirements::discovered(&FleetTree(view), machine, group),
            }
        }
    };
    let found = found.map_err(|source| PassError::Requirements {
        machine: machine.clone(),
        source,
    })?;
    Ok(found.with_placement(placement))
}

/// What a person should know of secrets that are declared and not installed.
pub(super) fn set_aside(requirements: &Requirements) -> Option<String> {
    let names: Vec<_> = requirements
        .for_partitioning()
        .map(|file| format!("{}/{}", file.generator, file.file))
        .collect();
    (!names.is_empty()).then(|| {
        format!(
            "{} for partitioning: of use at an installation alone, and left where it is",
            names.join(", ")
        )
    })
}

/// Remembers which keys an entry names, as a machine that boots needs them before anything is evaluated. What is
/// wrong with the machine's key files, whether they are used all the same or not.
pub(super) fn keys(world: &World, metadata: &Metadata) -> Result<Vec<String>, PassError> {
    let host = |path: &String| world.settings.paths.host(path).into_string();
    let named: Vec<_> = metadata.identity_paths.iter().map(host).collect();
    world.journal.set_identities(&named)?;
    let identities = identities(world.vault())?;
    let warnings = identities.warnings().iter();
    let warnings = warnings.map(|warning| format!("{warning}; {}", warning.hint()));
    // One of several places where a key may lie is no matter; a key that is there and opens nothing is.
    let problems = identities
        .problems()
        .iter()
        .filter(|problem| !problem.is_absence());
    let problems = problems.map(|problem| format!("{problem}; {}", problem.hint()));
    Ok(warnings.chain(problems).collect())
}

/// The keys of this machine: those of its configuration, then those that the newest entry names.
fn identities(vault: Vault<'_>) -> Result<Identities, PassError> {
    let named = crate::secrets::recorded(vault.journal)?;
    Ok(crate::secrets::load(&[], &vault.settings.identity, &named))
}

/// Opens every secret that is required at a revision, or names each one that does not open. What the entry says
/// besides is looked at where it is at hand.
pub(super) fn open(
    vault: Vault<'_>,
    revision: Revision,
    requirements: &Requirements,
    expected: Option<&Expected>,
) -> Result<Opened, PassError> {
    let machine = &vault.settings.machine;
    look_into(
        vault,
        revision,
        requirements.placement(),
        |tree, identities| match expected {
            Some(expected) => preflight_of(tree, machine, expected, requirements, identities),
            None => preflight(tree, machine, requirements, identities),
        },
    )
}

/// Opens what can be opened, and says what is wrong with the rest.
pub(super) fn open_what_opens(
    vault: Vault<'_>,
    revision: Revision,
    requirements: &Requirements,
) -> Result<Salvaged, PassError> {
    look_into(vault, revision, requirements.placement(), |tree, identities| {
        salvage(tree, &vault.settings.machine, requirements, identities)
    })
}

/// Looks into the fleet's tree with the machine's keys.
fn look_into<T>(
    vault: Vault<'_>,
    revision: Revision,
    placement: &Placement,
    look: impl FnOnce(&FleetTree<'_>, &Identities) -> Result<T, PreflightError>,
) -> Result<T, PassError> {
    let identities = identities(vault)?;
    let mirror = vault.source.mirror()?;
    let view = mirror.tree(revision.oid())?;
    let view = match view.directory(&folder(vault.settings, placement)) {
        Ok(folder) => folder,
        Err(_) => view,
    };
    look(&FleetTree(view), &identities).map_err(PassError::Preflight)
}

/// Lays opened secrets down beside those in force, unless they lie there already; the number to be put in force.
pub(super) fn lay_down(
    world: &World,
    opened: &Opened,
    requirements: &Requirements,
) -> Result<Option<u64>, PassError> {
    if opened.is_empty() && !has_laid_down(world, requirements)? {
        return Ok(None);
    }
    let root = root_of(&world.settings.paths, requirements);
    let accounts = accounts(&world.settings)?;
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
    let number = next_number(world.vault(), &root)?;
    Ok(Some(stage(&root, opened, number, &accounts)?.number()))
}

/// A number that no secrets generation has or had.
pub(super) fn next_number(vault: Vault<'_>, root: &SecretsRoot) -> Result<u64, PassError> {
    let recorded = vault
        .journal
        .generations()?
        .iter()
        .filter_map(|generation| generation.record.secrets)
        .max();
    let there = root.generations()?.last().copied();
    Ok(there.max(recorded).map_or(1, |last| last + 1))
}

/// Whether the secrets in force are exactly these.
pub(super) fn in_force(
    world: &World,
    opened: &Opened,
    requirements: &Requirements,
) -> Result<bool, PassError> {
    let root = root_of(&world.settings.paths, requirements);
    let accounts = accounts(&world.settings)?;
    Ok(match root.current() {
        // None are needed, and what may be there is somebody else's.
        _ if opened.is_empty() && !has_laid_down(world, requirements)? => true,
        Some(current) => opened.same_as(&root, current, &accounts),
        None => false,
    })
}

/// Whether the generation in force has secrets of the agent in the same place: when the last of them is taken
/// away, an empty generation of secrets takes their place.
pub(super) fn has_laid_down(world: &World, requirements: &Requirements) -> Result<bool, PassError> {
    let Some(generation) = world.journal.current_generation()? else {
        return Ok(false);
    };
    let recorded = from_json(generation.record.requirements.as_deref())?.unwrap_or_default();
    Ok(generation.record.secrets.is_some()
        && recorded.placement().installer == requirements.placement().installer)
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

/// What the agent installs of requirements that the journal kept.
pub(super) fn installed_of(text: Option<&str>) -> Result<Requirements, PassError> {
    Ok(from_json(text)?.unwrap_or_default().for_agent())
}

/// The folder of `vars/` in the repository.
pub(super) fn folder(settings: &Settings, placement: &Placement) -> String {
    let directory = settings.fleet.directory.as_str();
    if placement.directory.is_empty() {
        directory.to_owned()
    } else {
        join(directory, &placement.directory)
    }
}
