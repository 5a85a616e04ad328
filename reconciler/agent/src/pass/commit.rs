//! A pass on a commit: evaluate → preflight → build → gates → stage → activate.
//!
//! Level-triggered: it looks at what is declared and at what is, and may be run at any time, twice, or after a
//! crash. Every value comes from the stage before it; nothing reaches back.

use super::approach::{approach, wanted};
use super::change::{self, Outlook};
use super::declare::{EVALUATION, declare, realised};
use super::observe::surface_of;
use super::policy::policy_at;
use super::staged::{staged, unstage};
use super::target::{About, Standing};
use super::tidy::tidy;
use super::transact::{CANDIDATE, Candidate, activate};
use super::{
    Depth, Insistence, PassError, Phase, Reporter, Request, World, drift, gates, manifests, observe, ready,
    secrets,
};
use crate::class::{Surface, Wanted, identify};
use crate::host;
use crate::journal::{Generation, GenerationKind};
use crate::nix::{self, Roots};
use crate::source::{CommitInfo, Revision};
use crate::text;
use crate::transaction::{Approach, Specialisation};
use camino::Utf8Path;
use nix_daemon_client::{Client, ConnectOptions};
use reconciler_vars::{Installer, Opened, Requirements};

/// A pass on a commit.
pub(super) async fn pass(
    world: &mut World,
    request: &Request,
    (revision, commit, standing): (Revision, &CommitInfo, Standing),
    about: &mut About,
    report: &mut Reporter<'_>,
) -> Result<String, PassError> {
    let id = revision.to_string();
    if standing == Standing::Head {
        // The commit changed: what an earlier one did wrong is no reason to hold this one.
        world.journal.lift_quarantine_of_others(&id)?;
    }
    let waits = world.journal.staged_transaction()?;
    if let Some(waits) = &waits
        && waits.intent.revision == id
        && request.insistence != Insistence::Forced
    {
        return Err(staged(&waits.intent));
    }
    let generation = world.journal.current_generation()?;
    if let Some(generation) = &generation
        && let Some(surface) = surface_of(generation)
        && request.insistence != Insistence::Forced
        && waits.is_none()
        && is_settled(world, surface, generation, report)?
        && !world.journal.is_broken()?
        && world.journal.converged(&world.settings.entry())?.as_deref() == Some(&id)
    {
        let seen = observe(&world.settings, surface);
        if seen.toplevel_matches(generation) {
            return Ok(format!(
                "{} is on {}",
                world.settings.machine,
                named(&id, generation)
            ));
        }
        report.note(drifted(&seen, generation));
        // A person's own switch is not fought: it stays until the fleet changes or somebody insists.
        return Ok(format!(
            "{} follows {}, and runs what somebody else activated",
            world.settings.machine,
            text::commit(&id)
        ));
    }
    // Somebody who only asks what would be is told, whatever holds it: the second look at the gates says so.
    if request.depth == Depth::Whole {
        gates::ask(world, request, &id, None)?;
    }

    let mut client = connect(world).await?;
    let declared = declare(world, &mut client, revision, report).await?;
    let machine = world.settings.machine.clone();
    let outlook = Outlook {
        running: observe(&world.settings, declared.surface).current,
        generation: generation.as_ref(),
        revision: &id,
        subject: &commit.subject,
        requirements: &declared.requirements,
    };
    if request.depth != Depth::Whole {
        let cost = change::cost(&mut client, &declared.target(world)?).await;
        about.change = Some(outlook.change(world, &declared.toplevel.out, cost.clone()));
        if request.depth == Depth::Unbuilt
            && let Some(cost) = cost.filter(|cost| !cost.is_empty())
        {
            report.done(format!(
                "{} to build, {} to fetch",
                cost.build.len(),
                cost.fetch.len()
            ));
            return Ok(format!(
                "{machine} would be switched to {}; nothing was built or touched",
                text::store_path(&declared.toplevel.out)
            ));
        }
    }
    let built = declared.realise(world, &mut client, report).await?;
    identify(built.path(), declared.class, host::system())?;
    // Protected before the connection that brought it lets go of it.
    world.roots.protect(CANDIDATE, built.path(), &mut client).await?;
    report.done(realised(&declared.toplevel.name, built.fresh));
    let known = about.change.take();
    let mut change = known.unwrap_or_else(|| outlook.change(world, built.path().as_str(), None));
    change::compare(&mut client, &world.settings.nix.store, &mut change).await;
    drop(client);
    let installed = declared.requirements.clone().for_agent();
    let place = (!declared.opened.is_empty() && installed.placement().installer == Installer::Agent)
        .then(|| world.settings.paths.secrets.clone());
    manifests::open(world, revision, built.path(), place.as_deref(), report)?;
    let surface = declared.surface;
    if request.depth != Depth::Whole {
        ready::check(world, surface, built.path()).await?;
        change.activation = change::dry_activation(world, surface, built.path()).await;
    }
    about.change = Some(change);
    let toplevel = built.path().to_owned();
    let wanted = wanted(world, &declared.policy, surface)?;
    let specialisation = surface.specialisation(&wanted, &toplevel)?;
    if let (Wanted::Running(name), None) = (&wanted, &specialisation) {
        report.note(format!(
            "the specialisation {name} runs, which is declared no more: the system itself takes its place"
        ));
    }

    report.begin(Phase::Gates);
    drift::guard(world, &declared.policy, generation.as_ref())?;
    gates::ask(world, request, &id, Some(&toplevel))?;
    report.done("nothing holds it");

    let unchanged = unchanged(
        world,
        request,
        generation.as_ref(),
        surface,
        (&toplevel, specialisation.as_ref()),
        (&declared.opened, &installed),
    )?;
    if request.depth != Depth::Whole {
        let name = text::store_path(toplevel.as_str());
        let by = approach(
            world,
            &declared.policy,
            surface,
            (&toplevel, specialisation.as_ref()),
        );
        return Ok(match (unchanged, by) {
            (true, _) => format!("{machine} is already what {} declares", text::commit(&id)),
            (false, Approach::Switch) => {
                format!("{machine} would be switched to {name}; nothing was touched")
            }
            (false, Approach::Reboot { reasons }) => format!(
                "{machine} would run {name} after its next reboot ({}); nothing was touched",
                reasons.join(", ")
            ),
        });
    }
    if let Some(waits) = &waits {
        let same = waits.intent.toplevel == toplevel
            && waits.intent.requirements == Some(secrets::to_json(&declared.requirements)?)
            && change::same_secrets(world, [&waits.intent.revision, &id], &declared.requirements);
        if same && !unchanged && request.insistence != Insistence::Forced {
            return Err(staged(&waits.intent));
        }
        let tools = world.tools()?;
        unstage(world, tools, &declared.policy, report).await?;
    }
    if unchanged && generation.is_some() {
        converged(world, &id, standing)?;
        world.roots.release(EVALUATION)?;
        let on = generation
            .as_ref()
            .map_or_else(String::new, |generation| named(&id, generation));
        return Ok(format!("{machine} is on {on}; nothing changed for it"));
    }
    let candidate = Candidate {
        revision: id.clone(),
        subject: commit.subject.clone(),
        class: declared.class,
        surface,
        system: host::system().to_owned(),
        tags: declared.tags,
        toplevel,
        specialisation,
        kind: if unchanged {
            GenerationKind::Adopted
        } else {
            GenerationKind::Activated
        },
        secrets: match installed.placement().installer {
            // What somebody else installs is no stage of ours, unless there is more to it.
            Installer::Own if declared.opened.is_empty() => {
                secrets::lay_down(world, &declared.opened, &installed)?
            }
            Installer::Agent | Installer::Own => stage(world, &declared.opened, &installed, report)?,
        },
        requirements: Some(declared.requirements),
    };
    drop(declared.opened);
    let generation = if unchanged {
        adopt(world, &candidate).await?
    } else {
        let tools = world.tools()?;
        activate(world, tools, &declared.policy, &candidate, report).await?
    };
    converged(world, &id, standing)?;
    tidy(world, &declared.policy, report).await;
    Ok(format!("{machine} is on {}", named(&id, &generation)))
}

pub(super) fn stage(
    world: &World,
    opened: &Opened,
    requirements: &Requirements,
    report: &mut Reporter<'_>,
) -> Result<Option<u64>, PassError> {
    report.begin(Phase::Stage);
    let number = secrets::lay_down(world, opened, requirements)?;
    let current = secrets::root_of(&world.settings.paths, requirements).current();
    report.done(match number {
        Some(number) if current == Some(number) => "as they are in force".to_owned(),
        Some(number) => format!("generation {number} of the secrets"),
        None => "none are needed".to_owned(),
    });
    Ok(number)
}

/// Whether what the policy says of specialisations is so.
fn is_settled(
    world: &World,
    surface: Surface,
    generation: &Generation,
    report: &mut Reporter<'_>,
) -> Result<bool, PassError> {
    let seen = observe(&world.settings, surface);
    let record = &generation.record;
    let known = surface.specialisations(Utf8Path::new(&record.toplevel));
    // Somebody else's system is nothing of a generation.
    if known.is_empty() || !seen.toplevel_matches(generation) {
        return Ok(true);
    }
    let policy = policy_at(world, &record.revision, &record.tags, report)?;
    Ok(policy.specialisation.is_none_or(|declared| {
        let mut named = known.iter().filter(|known| known.name == declared);
        named.all(|known| seen.current.as_ref() == Some(&known.toplevel))
    }))
}

/// Whether the machine already is what is declared, secrets included.
fn unchanged(
    world: &World,
    request: &Request,
    generation: Option<&Generation>,
    surface: Surface,
    (toplevel, specialisation): (&Utf8Path, Option<&Specialisation>),
    (opened, requirements): (&Opened, &Requirements),
) -> Result<bool, PassError> {
    // What runs after a failed way back is nobody's guess: it is activated again, whatever it looks like.
    if request.insistence == Insistence::Forced || world.journal.is_broken()? {
        return Ok(false);
    }
    let seen = observe(&world.settings, surface);
    let live = specialisation.map_or(toplevel, |specialisation| &specialisation.toplevel);
    let runs = match generation {
        Some(generation) => generation.record.toplevel == toplevel.as_str(),
        // Seen for the first time: a running system that is what the fleet declares is taken as it is.
        None => seen.profile.as_deref() == Some(toplevel),
    };
    Ok(runs && seen.current.as_deref() == Some(live) && secrets::in_force(world, opened, requirements)?)
}

/// Takes what runs already as the first generation.
async fn adopt(world: &World, candidate: &Candidate) -> Result<Generation, PassError> {
    let number = world.journal.next_generation()?;
    let name = Roots::generation(number);
    world
        .roots
        .keep_path(&name, &candidate.toplevel, &world.settings.nix.daemon)
        .await?;
    let profile = nix::Profile::at(
        candidate
            .surface
            .profile(&world.settings.nix, &world.settings.paths),
    );
    let record = crate::journal::NewGeneration {
        revision: candidate.revision.clone(),
        subject: candidate.subject.clone(),
        class: candidate.class.as_str().to_owned(),
        system: candidate.system.clone(),
        tags: candidate.tags.clone(),
        toplevel: candidate.toplevel.to_string(),
        profile_generation: profile.generation(),
        secrets: candidate.secrets,
        requirements: candidate
            .requirements
            .as_ref()
            .map(secrets::to_json)
            .transpose()?,
        kind: GenerationKind::Adopted,
        health: crate::transaction::Health::Healthy.name().to_owned(),
    };
    let number = world.journal.add_generation(&record, world.now(), 0)?;
    if let Ok(oid) = candidate.revision.parse() {
        world.source.mirror()?.pin(number, oid)?;
    }
    world
        .journal
        .generation(number)?
        .ok_or_else(|| PassError::GenerationGone {
            number,
            toplevel: candidate.toplevel.clone(),
        })
}

fn converged(world: &World, id: &str, standing: Standing) -> Result<(), PassError> {
    world.journal.set_converged(id, &world.settings.entry())?;
    world.journal.set_failure(None)?;
    if standing == Standing::Head {
        world.journal.set_accepted(id)?;
        // The journal has it; this is for the day when that is lost.
        if let Err(error) = world.roots.set_accepted(world.fleet_url(), id) {
            tracing::warn!("{}", text::chain(&error));
        }
    }
    Ok(())
}

pub(super) async fn connect(world: &World) -> Result<Client, PassError> {
    Ok(Client::connect(
        world.settings.nix.daemon.as_std_path(),
        &ConnectOptions::default(),
    )
    .await?)
}

/// How a commit and its generation are named in a sentence.
pub(super) fn named(id: &str, generation: &Generation) -> String {
    format!("{}, generation {}", text::commit(id), generation.number)
}

fn drifted(seen: &super::Observation, generation: &Generation) -> String {
    let found = seen.current.as_ref().map_or("nothing", |path| path.as_str());
    format!(
        "drift: generation {} is {}, and {} runs; `reconcile now --force` activates the generation again",
        generation.number,
        text::store_path(&generation.record.toplevel),
        text::store_path(found)
    )
}
