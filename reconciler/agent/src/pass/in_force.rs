//! Putting secrets that are laid down in force, and opening again what a reboot or the retention took.

use super::PassError;
use super::secrets::{Vault, accounts, from_json, installed_of, open, root_of};
use crate::source::Revision;
use reconciler_vars::{Requirements, UnknownAccounts, stage};

/// Puts a secrets generation in force: the link, and what activation scripts need. One that is gone is opened
/// again, from its own revision.
pub(super) fn put_in_force(
    vault: Vault<'_>,
    number: u64,
    requirements: &Requirements,
) -> Result<(), PassError> {
    let root = root_of(&vault.settings.paths, requirements);
    if !root.exists(number) {
        // A reboot took the ramdisk with it.
        open_again(vault, number)?;
    }
    root.switch_to(number)?;
    place(vault, number, requirements)
}

/// Brings the upload directory in step with a generation.
pub(super) fn place(vault: Vault<'_>, number: u64, requirements: &Requirements) -> Result<(), PassError> {
    let paths = &vault.settings.paths;
    let upload = paths.host(requirements.placement().upload_directory());
    let known = known_activation_paths(vault, requirements)?;
    root_of(paths, requirements).place_activation(number, upload.as_std_path(), &known)?;
    Ok(())
}

/// Gives secrets to users that exist by now.
pub(super) fn settle(vault: Vault<'_>, number: u64, requirements: &Requirements) -> Result<(), PassError> {
    let accounts = accounts(vault.settings)?.with_unknown(UnknownAccounts::Refuse);
    let root = root_of(&vault.settings.paths, requirements);
    let settled = root.settle(number, requirements, &vault.settings.machine, &accounts)?;
    if settled.is_empty() {
        Ok(())
    } else {
        place(vault, number, requirements)
    }
}

/// Every path below `activation/` that the agent may ever have made for this machine: those of all that it set
/// out to, so that nothing else is ever removed.
fn known_activation_paths(vault: Vault<'_>, requirements: &Requirements) -> Result<Vec<String>, PassError> {
    let machine = &vault.settings.machine;
    let mut known: Vec<String> = requirements.activation_paths(machine).collect();
    let generations = vault.journal.generations()?;
    let recorded = generations
        .iter()
        .map(|generation| generation.record.requirements.as_deref());
    let intended = vault.journal.open_transaction()?;
    let intended = intended.iter().flat_map(|record| {
        [&record.intent.requirements, &record.intent.previous_requirements].map(Option::as_deref)
    });
    for text in recorded.chain(intended).flatten() {
        // Most have none, and there may be a thousand of them.
        if text.contains("\"activation\"") {
            let recorded = from_json(Some(text))?.unwrap_or_default();
            known.extend(recorded.activation_paths(machine));
        }
    }
    known.sort();
    known.dedup();
    Ok(known)
}

/// Opens the secrets of a recorded generation once more and lays them down under their old number.
fn open_again(vault: Vault<'_>, number: u64) -> Result<(), PassError> {
    let generations = vault.journal.generations()?;
    let recorded = generations
        .iter()
        .map(|generation| &generation.record)
        .find(|record| record.secrets == Some(number) && record.requirements.is_some())
        .map(|record| (record.requirements.clone(), record.revision.clone()));
    // What waited for this boot is no generation yet.
    let intended = || -> Result<_, PassError> {
        let open = vault.journal.open_transaction()?;
        Ok(open
            .filter(|record| record.intent.secrets == Some(number))
            .map(|record| (record.intent.requirements, record.intent.revision)))
    };
    let Some((requirements, revision)) = recorded.map_or_else(intended, |known| Ok(Some(known)))? else {
        // Nobody knows what was in it: whoever asked for it is told that it is gone.
        return Ok(());
    };
    let requirements = installed_of(requirements.as_deref())?;
    let Ok(oid) = revision.parse() else {
        return Ok(());
    };
    let commit = vault.source.mirror()?.commit(oid)?;
    let opened = open(vault, Revision::pinned(&commit), &requirements, None)?;
    let root = root_of(&vault.settings.paths, &requirements);
    root.ensure_ramfs()?;
    stage(&root, &opened, number, &accounts(vault.settings)?)?;
    Ok(())
}
