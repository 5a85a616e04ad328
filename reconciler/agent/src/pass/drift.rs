//! A pass that looks for drift, and does about it what the policy says: report it, correct it, or hold.
//!
//! It asks no remote and evaluates nothing: what is compared, and made again, is the recorded generation.

use super::correct::correct;
use super::observe::{secrets_root, surface_of};
use super::policy::policy_at;
use super::{Depth, Insistence, PassError, Reporter, Request, World};
use crate::drift::{Item, Kind, Recorded, Report, identities, look};
use crate::journal::Generation;
use crate::text;
use reconciler_policies::{Drift, DriftResponse, Policy};

/// Looks, and acts on what was found.
pub(super) async fn pass(
    world: &mut World,
    request: &Request,
    report: &mut Reporter<'_>,
) -> Result<String, PassError> {
    let machine = world.settings.machine.clone();
    let Some(generation) = world.journal.current_generation()? else {
        return Ok(format!(
            "{machine} has no generation yet that it could drift from"
        ));
    };
    let Some(surface) = surface_of(&generation) else {
        let class = generation.record.class.clone();
        return Err(PassError::Class { machine, class });
    };
    let policy = policy_at(
        world,
        &generation.record.revision,
        &generation.record.tags,
        report,
    )?;
    let before = world.journal.drift()?;
    let mut seen = once(world, request, &policy, &generation).await?;
    let wanted = wanted(request, &policy, &seen, before.as_ref());
    // What is activated again would take the place of what waits for a reboot.
    let waits = world.journal.staged_transaction()?.is_some();
    if request.depth == Depth::Whole && !wanted.is_empty() && !waits && !world.journal.is_broken()? {
        report.note(format!(
            "{} of generation {} put right again",
            text::count(wanted.len(), "difference"),
            generation.number
        ));
        let generation = correct(world, &policy, &generation, surface, &wanted, report).await?;
        seen = once(world, request, &policy, &generation).await?;
        // What is still there is not tried at every look.
        seen.resisted = seen
            .items
            .iter()
            .filter(|item| wanted.iter().any(|wanted| wanted.is_same(item)))
            .map(Item::name)
            .collect();
        world.journal.set_drift(&seen)?;
    }
    if seen.items.is_empty() {
        return Ok(format!("{machine} is what generation {} says", seen.generation));
    }
    Err(PassError::Drifted {
        machine,
        generation: seen.generation,
        items: seen.items,
    })
}

/// One look, kept in the journal.
async fn once(
    world: &World,
    request: &Request,
    policy: &Policy,
    generation: &Generation,
) -> Result<Report, PassError> {
    let Some(surface) = surface_of(generation) else {
        let class = generation.record.class.clone();
        return Err(PassError::Class {
            machine: world.settings.machine.clone(),
            class,
        });
    };
    let mut seen = look(
        &world.settings,
        &world.site(),
        &world.journal,
        (generation, surface),
        (request.scope, policy.drift_interval.get(), world.now()),
    )
    .await?;
    seen.hold = hold(policy, &seen.items);
    world.journal.set_drift(&seen)?;
    Ok(seen)
}

/// What is to be put right: what the policy, or the person who asks, wants corrected.
///
/// A generation that a person activated is left alone unless the policy says otherwise of just that, and nothing
/// else is corrected then: whatever is activated would take its place.
fn wanted(request: &Request, policy: &Policy, seen: &Report, before: Option<&Report>) -> Vec<Item> {
    let foreign = seen.items.iter().any(Item::is_foreign);
    let insists = request.insistence == Insistence::Forced;
    if foreign && policy.foreign_generation != DriftResponse::Correct && !insists {
        return Vec::new();
    }
    let asked = request.insistence != Insistence::None;
    let resisted = before
        .filter(|before| before.generation == seen.generation && !asked)
        .map(|before| before.resisted.clone())
        .unwrap_or_default();
    seen.items
        .iter()
        .filter(|item| item.kind.is_correctable())
        .filter(|item| asked || item.is_foreign() || policy.drift == DriftResponse::Correct)
        .filter(|item| !resisted.contains(&item.name()))
        .cloned()
        .collect()
}

/// What the machine is held for.
fn hold(policy: &Policy, items: &[Item]) -> Option<Drift> {
    let held: Vec<&Item> = items
        .iter()
        // A unit that failed is ill, not changed.
        .filter(|item| item.kind != Kind::FailedUnit)
        .filter(|item| match item.is_foreign() {
            true => policy.foreign_generation == DriftResponse::Hold,
            false => policy.drift == DriftResponse::Hold,
        })
        .collect();
    let first = held.first()?;
    let more = match held.len() {
        1 => String::new(),
        number => format!(", and {} more", number - 1),
    };
    Some(Drift {
        what: format!("{}: {}{more}", first.subject, text::store_path(&first.actual)),
        since: held
            .iter()
            .filter_map(|item| item.since)
            .min()
            .unwrap_or_default(),
    })
}

/// Before something new is activated: whether the machine drifted just now in a way that the policy holds it for.
pub(super) fn guard(
    world: &World,
    policy: &Policy,
    generation: Option<&Generation>,
) -> Result<(), PassError> {
    let Some(generation) = generation else {
        return Ok(());
    };
    let Some(surface) = surface_of(generation) else {
        return Ok(());
    };
    let holds = [policy.drift, policy.foreign_generation].contains(&DriftResponse::Hold);
    let known = world
        .journal
        .drift()?
        .filter(|known| known.generation == generation.number);
    if !holds && known.as_ref().is_none_or(|known| known.hold.is_none()) {
        return Ok(());
    }
    let now = world.now();
    let mut seen = known.clone().unwrap_or(Report::due(generation.number, now));
    seen.items.retain(|item| !item.kind.is_identity());
    seen.items
        .extend(identities(&world.settings, &world.journal, generation, surface)?);
    seen.remember(known.as_ref(), now);
    seen.hold = hold(policy, &seen.items);
    Ok(world.journal.set_drift(&seen)?)
}

/// Takes the fingerprints of secrets that were put in force since.
pub(super) fn take_fingerprints(world: &World) -> Result<(), PassError> {
    let Some(generation) = world.journal.current_generation()? else {
        return Ok(());
    };
    let Some(number) = generation.record.secrets else {
        return Ok(());
    };
    let root = secrets_root(&world.settings, &generation);
    let known = world.journal.fingerprints()?;
    if root.current() != Some(number) || known.is_some_and(|known| known.secrets == number) {
        return Ok(());
    }
    if let Some(taken) = Recorded::take(&root, number, &world.settings.identity) {
        world.journal.set_fingerprints(&taken)?;
    }
    Ok(())
}
