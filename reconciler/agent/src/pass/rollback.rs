//! A pass that goes back to a recorded generation: neither the remote nor an evaluation is needed.

use super::approach;
use super::commit::{connect, named, stage};
use super::observe::surface_of;
use super::policy::policy_at;
use super::staged::{staged, unstage};
use super::telling::Telling;
use super::tidy::tidy;
use super::transact::{CANDIDATE, Candidate, activate};
use super::{Depth, Insistence, PassError, Phase, Reporter, Request, World, observe, secrets};
use crate::journal::{Generation, GenerationKind};
use crate::source::Revision;
use crate::text;
use nix_daemon_client::StorePath;
use reconciler_vars::Requirements;

/// Goes back to `generation`.
pub(super) async fn pass(
    world: &mut World,
    request: &Request,
    generation: Generation,
    report: &mut Reporter<'_>,
) -> Result<String, PassError> {
    let machine = world.settings.machine.clone();
    let id = generation.record.revision.clone();
    let number = generation.number;
    let toplevel = camino::Utf8PathBuf::from(&generation.record.toplevel);
    let Some(surface) = surface_of(&generation) else {
        let class = generation.record.class.clone();
        return Err(PassError::Class { machine, class });
    };
    let waits = world.journal.staged_transaction()?;
    if let Some(waits) = &waits
        && waits.intent.revision == id
        && waits.intent.toplevel == toplevel
        && request.insistence != Insistence::Forced
    {
        return Err(staged(&waits.intent));
    }
    let current = world.journal.current_generation()?;
    if let Some(current) = &current
        && current.record.toplevel == generation.record.toplevel
        && current.record.revision == id
        && request.insistence != Insistence::Forced
        && !world.journal.is_broken()?
        && observe(&world.settings, surface).toplevel_matches(current)
    {
        if waits.is_some() && request.depth == Depth::Whole {
            let policy = policy_at(world, &id, &generation.record.tags, report)?;
            let tools = world.tools()?;
            unstage(world, tools, &policy, report).await?;
        }
        return Ok(format!("{machine} is pinned to {}", named(&id, current)));
    }
    let policy = policy_at(world, &id, &generation.record.tags, report)?;

    report.begin(Phase::Verify);
    let mut client = connect(world).await?;
    let path = StorePath::parse(world.settings.nix.store.as_str(), toplevel.as_str())?;
    let asking = |source| PassError::Ask {
        path: toplevel.clone(),
        source,
    };
    client.add_temp_root(&path).await.map_err(asking)?;
    let gone = || PassError::GenerationGone {
        number,
        toplevel: toplevel.clone(),
    };
    let valid = client
        .is_valid_path(&path)
        .await
        .map_err(|source| PassError::Ask {
            path: toplevel.clone(),
            source,
        })?;
    if !valid {
        report.doing("it was collected; asking the substituters for it");
        client
            .ensure_path(&path, &mut Telling::to(report))
            .await
            .map_err(|source| PassError::GenerationCollected {
                number,
                revision: id.clone(),
                toplevel: toplevel.clone(),
                source,
            })?;
    }
    world.roots.protect(CANDIDATE, &toplevel, &mut client).await?;
    drop(client);
    report.done(format!(
        "generation {number} {}: {}",
        if valid { "is kept" } else { "was fetched again" },
        text::store_path(toplevel.as_str())
    ));
    let specialisation = approach::specialisation(world, &policy, surface, &toplevel, report)?;

    let requirements = secrets::from_json(generation.record.requirements.as_deref())?;
    let installed = requirements.clone().map(Requirements::for_agent);
    let kept = generation
        .record
        .secrets
        .zip(installed.as_ref())
        .filter(|(number, known)| secrets::root_of(&world.settings.paths, known).exists(*number))
        .map(|(number, _)| number);
    let laid_down = match (&installed, kept) {
        (_, Some(number)) => Some(number),
        (Some(installed), None)
            if installed.installed().next().is_some() || secrets::has_laid_down(world, installed)? =>
        {
            report.begin(Phase::Preflight);
            let oid = id.parse().map_err(|_| gone())?;
            let commit = world.source.mirror()?.commit(oid)?;
            let opened = secrets::open(world.vault(), Revision::pinned(&commit), installed, None)?;
            report.done(format!(
                "{} open with this machine's key",
                text::count(opened.len(), "secret")
            ));
            stage(world, &opened, installed, report)?
        }
        _ => None,
    };
    if request.depth != Depth::Whole {
        return Ok(format!(
            "{machine} would go back to {}; nothing was touched",
            named(&id, &generation)
        ));
    }
    let candidate = Candidate {
        revision: id.clone(),
        subject: generation.record.subject.clone(),
        class: crate::class::Class::from_name(&generation.record.class)
            .unwrap_or(crate::class::Class::Custom),
        surface,
        system: generation.record.system.clone(),
        tags: generation.record.tags.clone(),
        toplevel: toplevel.clone(),
        specialisation,
        kind: GenerationKind::RolledBack,
        requirements,
        secrets: laid_down,
    };
    let tools = world.tools()?;
    let new = activate(world, tools, &policy, &candidate, report).await?;
    world.journal.set_converged(&id, &world.settings.entry())?;
    tidy(world, &policy, report).await;
    Ok(format!(
        "{machine} is back on {}, as it was in generation {number}",
        named(&id, &new)
    ))
}
