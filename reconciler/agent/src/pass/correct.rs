//! Making a machine again what its generation says: the store's paths, the secrets, then an activation of the same
//! toplevel, inside a transaction like any other.

use super::approach::specialisation;
use super::commit::{connect, stage};
use super::telling::Telling;
use super::transact::{CANDIDATE, Candidate, activate};
use super::{PassError, Phase, Reporter, World, secrets};
use crate::class::{Class, Surface};
use crate::drift::{Item, Kind};
use crate::journal::{Generation, GenerationKind};
use crate::source::Revision;
use crate::text;
use camino::Utf8PathBuf;
use nix_daemon_client::{BuildMode, Client, DerivedPath, Outputs, StorePath};
use reconciler_policies::Policy;
use reconciler_vars::Requirements;

/// Puts `wanted` right and returns the generation that is in force then.
pub(super) async fn correct(
    world: &mut World,
    policy: &Policy,
    generation: &Generation,
    surface: Surface,
    wanted: &[Item],
    report: &mut Reporter<'_>,
) -> Result<Generation, PassError> {
    let damaged: Vec<&Item> = wanted.iter().filter(|item| item.kind == Kind::Store).collect();
    if !damaged.is_empty() {
        repair(world, &damaged, report).await?;
    }
    if wanted.iter().all(|item| item.kind == Kind::Store) {
        return Ok(generation.clone());
    }
    let requirements = secrets::from_json(generation.record.requirements.as_deref())?;
    let toplevel = Utf8PathBuf::from(&generation.record.toplevel);
    let gone = || PassError::GenerationGone {
        number: generation.number,
        toplevel: toplevel.clone(),
    };
    let installed = requirements.clone().map(Requirements::for_agent);
    let secrets = match &installed {
        Some(installed) if generation.record.secrets.is_some() => {
            report.begin(Phase::Preflight);
            let oid = generation.record.revision.parse().map_err(|_| gone())?;
            let commit = world.source.mirror()?.commit(oid)?;
            let opened = secrets::open(world.vault(), Revision::pinned(&commit), installed, None)?;
            report.done(format!(
                "{} open with this machine's key",
                text::count(opened.len(), "secret")
            ));
            // Those in force are taken where they are as they should be, and laid down anew where not.
            stage(world, &opened, installed, report)?
        }
        _ => generation.record.secrets,
    };
    let mut client = connect(world).await?;
    world.roots.protect(CANDIDATE, &toplevel, &mut client).await?;
    drop(client);
    let candidate = Candidate {
        revision: generation.record.revision.clone(),
        subject: generation.record.subject.clone(),
        class: Class::from_name(&generation.record.class).unwrap_or(Class::Custom),
        surface,
        system: generation.record.system.clone(),
        tags: generation.record.tags.clone(),
        specialisation: specialisation(world, policy, surface, &toplevel, report)?,
        toplevel,
        kind: GenerationKind::Corrected,
        requirements,
        secrets,
    };
    let tools = world.tools()?;
    activate(world, tools, policy, &candidate, report).await
}

/// Has the daemon fetch or build again what is damaged.
async fn repair(world: &World, damaged: &[&Item], report: &mut Reporter<'_>) -> Result<(), PassError> {
    report.begin(Phase::Build);
    let mut client = connect(world).await?;
    let mut left = Vec::new();
    for item in damaged {
        let path = StorePath::parse(world.settings.nix.store.as_str(), &item.subject)?;
        if again(&mut client, DerivedPath::Opaque(path.clone()), report).await? {
            continue;
        }
        // No cache has it: what built it builds it again.
        let info = client.query_path_info(&path).await.ok().flatten();
        let built = match info.and_then(|info| info.deriver) {
            Some(drv) => {
                let outputs = Outputs::All;
                again(&mut client, DerivedPath::Built { drv, outputs }, report).await?
            }
            None => false,
        };
        // What cannot be had again is told by the look that follows.
        if !built {
            left.push(item.subject.clone());
        }
    }
    report.done(match left.len() {
        0 => format!("{} repaired", text::count(damaged.len(), "store path")),
        number => format!("{} could not be repaired", text::count(number, "store path")),
    });
    Ok(())
}

/// Whether a target was fetched or built anew.
async fn again(
    client: &mut Client,
    target: DerivedPath,
    report: &mut Reporter<'_>,
) -> Result<bool, PassError> {
    let repaired = client
        .build_paths_with_results(&[target], BuildMode::Repair, &mut Telling::to(report))
        .await;
    if !client.is_open() {
        client.reconnect().await?;
    }
    Ok(repaired.is_ok_and(|results| results.iter().all(|(_, result)| result.is_success())))
}
