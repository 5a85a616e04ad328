//! `reconcile vars get`: one value, as it is. Evaluates nothing and changes nothing.

use super::args::GetOptions;
use super::error::AdminError;
use super::fleet::Fleet;
use super::identities;
use crate::cli::context::Context;
use crate::cli::failure::CliError;
use crate::cli::page;
use crate::exit::Outcome;
use reconciler_vars::generators::{FileId, GeneratorId};
use reconciler_vars::{Decrypted, Identities, Tree, decrypt_file};
use zeroize::Zeroizing;

pub(in crate::cli) fn run(context: &Context, options: &GetOptions) -> Result<Outcome, CliError> {
    let fleet = Fleet::open(context, options.fleet.fleet.as_deref())?;
    let (machine, file) = (&options.machine, &options.file);
    let identities = identities::load(&options.fleet.identity, &context.environment);
    for id in [
        GeneratorId::of_machine(machine, &file.generator),
        GeneratorId::shared(&file.generator),
    ] {
        id.check().map_err(AdminError::from)?;
        if let Some(value) = read(&fleet, &id, &file.file, &identities)? {
            page::secret(&value)?;
            return Ok(Outcome::Converged);
        }
    }
    Err(AdminError::NoValue {
        machine: machine.clone(),
        file: file.to_string(),
        near: near(file, &known(&fleet, machine)?),
    }
    .into())
}

/// The value of a file, if it is there.
pub(super) fn read(
    fleet: &Fleet,
    id: &GeneratorId,
    file: &str,
    identities: &Identities,
) -> Result<Option<Zeroizing<Vec<u8>>>, AdminError> {
    let folder = format!("{}/{file}", id.folder());
    if let Some(value) = fleet.tree.read(&format!("{folder}/value"))? {
        return Ok(Some(Zeroizing::new(value)));
    }
    let path = format!("{folder}/secret");
    let Some(sealed) = fleet.tree.read(&path)? else {
        return Ok(None);
    };
    match decrypt_file(&sealed, identities).and_then(Decrypted::into_bytes) {
        Ok(value) => Ok(Some(value)),
        Err(_) if identities.is_empty() => Err(AdminError::NoIdentity {
            path,
            problems: identities.problems().to_vec(),
        }),
        Err(source) => Err(AdminError::Decrypt { path, source }),
    }
}

/// The values that a machine has on the disk.
fn known(fleet: &Fleet, machine: &str) -> Result<Vec<String>, AdminError> {
    let mut known = Vec::new();
    for place in [format!("vars/per-machine/{machine}"), "vars/shared".to_owned()] {
        for generator in fleet.tree.list(&place)? {
            for file in fleet.tree.list(&format!("{place}/{}", generator.name))? {
                if !file.name.starts_with('.') {
                    known.push(format!("{}/{}", generator.name, file.name));
                }
            }
        }
    }
    Ok(known)
}

/// Those that were probably meant, the closest first.
pub(super) fn near(file: &FileId, known: &[String]) -> Vec<String> {
    reconciler_inventory::closest(&file.to_string(), known)
        .into_iter()
        .map(str::to_owned)
        .collect()
}
