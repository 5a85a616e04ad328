//! From a verdict to a generation: the intent, the transaction, the record of what came of it.

use super::approach::{approach, critical};
use super::carrier::HostCarrier;
use super::restarts::{self, Restarts};
use super::staged::{staged, unstage};
use super::{PassError, Phase, Reporter, World, deadman, homes, observe, probes, ready, reserve, secrets};
use crate::activation::Launcher;
use crate::class::{BootEntry, Surface};
use crate::journal::{Generation, GenerationKind, Quarantined};
use crate::nix::{NixTools, Profile, Roots};
use crate::text;
use crate::transaction::{self, Ended, Failure, Health, Intent, Previous, Specialisation, State, carry};
use jiff::Timestamp;
use reconciler_policies::{Policy, Stage};
use reconciler_vars::Requirements;
use std::time::Instant;

/// The name of the root that protects what is being activated.
pub(super) const CANDIDATE: &str = "candidate";

/// The name of the root that protects what ran before.
pub(super) const PREVIOUS: &str = "previous";

/// How many lines of an activation's log are told.
const LOG_LINES: usize = 10;

/// What is to be activated: everything was built, opened and allowed.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) revision: String,
    pub(super) subject: String,
    pub(super) class: crate::class::Class,
    pub(super) surface: Surface,
    pub(super) system: String,
    pub(super) tags: Vec<String>,
    pub(super) toplevel: camino::Utf8PathBuf,
    pub(super) specialisation: Option<Specialisation>,
    pub(super) kind: GenerationKind,
    pub(super) requirements: Option<Requirements>,
    /// The secrets generation that was laid down for it.
    pub(super) secrets: Option<u64>,
}

/// Activates a candidate inside a transaction.
pub(super) async fn activate(
    world: &mut World,
    tools: NixTools,
    policy: &Policy,
    candidate: &Candidate,
    report: &mut Reporter<'_>,
) -> Result<Generation, PassError> {
    unstage(world, tools.clone(), policy, report).await?;
    let surface = candidate.surface;
    ready::check(world, surface, &candidate.toplevel).await?;
    let seen = observe(&world.settings, surface);
    let profile = surface.profile(&world.settings.nix, &world.settings.paths);
    let before = Profile::at(profile.clone());
    // One that points nowhere is nothing to go back to.
    let previous_profile = before.generation().filter(|_| profile.exists());
    let current = match surface {
        Surface::HomeManager => homes::current(world, &candidate.toplevel, seen.current.clone()).await?,
        _ => seen.current.clone(),
    };
    let previous = previous(world, surface, &candidate.toplevel, current)?;
    let (previous_secrets, previous_requirements) = own_secrets(world)?;
    let restarts = match &candidate.requirements {
        Some(requirements) => restarts::find(
            world,
            (candidate.secrets, requirements),
            (previous_secrets, &previous_requirements),
        )?,
        None => Restarts::default(),
    };
    if let Some(note) = restarts.note {
        report.note(note);
    }
    let approach = approach(
        world,
        policy,
        surface,
        (&candidate.toplevel, candidate.specialisation.as_ref()),
    );
    let keep: Vec<_> = [&seen.current, &seen.profile]
        .into_iter()
        .flatten()
        .cloned()
        .collect();
    let paths = &world.settings.paths;
    surface
        .boot_room(paths, &world.settings.nix.store, &candidate.toplevel, &keep)
        .map_err(PassError::BootRoom)?;
    let had = previous_profile.and_then(|number| before.target(number));
    let previous_profile_target = match (&had, &previous) {
        (None, Some(previous)) if surface.has_boot_step() => Some(previous.toplevel.clone()),
        _ => had,
    };
    reserve::keep(world)?;
    let intent = Intent {
        revision: candidate.revision.clone(),
        subject: candidate.subject.clone(),
        class: candidate.class,
        system: candidate.system.clone(),
        tags: candidate.tags.clone(),
        toplevel: candidate.toplevel.clone(),
        specialisation: candidate.specialisation.clone(),
        approach,
        kind: candidate.kind,
        secrets: candidate.secrets,
        requirements: candidate
            .requirements
            .as_ref()
            .map(secrets::to_json)
            .transpose()?,
        amiss_before: amiss(world, previous.as_ref()).await,
        previous,
        current_before: seen.current.clone(),
        previous_requirements: previous_secrets
            .map(|_| secrets::to_json(&previous_requirements))
            .transpose()?,
        previous_secrets,
        restart_units: restarts.forth,
        restart_units_back: restarts.back,
        previous_profile_target,
        previous_profile,
        passing_before: probes::passing(world, policy).await,
        critical_before: critical(world, policy).await,
        profile,
    };
    if let Some(previous) = &intent.previous {
        // A system that a person switched to has no root of ours, and loses the host's as soon as it is left.
        world
            .roots
            .keep_path(PREVIOUS, &previous.toplevel, &world.settings.nix.daemon)
            .await?;
    }
    let state = State::Intended;
    let id = world
        .journal
        .begin_transaction(&intent, &state, &world.boot_id, world.now())?;
    finish(world, tools, policy, id, &intent, state, report).await
}

/// Carries a transaction to its end and records what came of it.
pub(super) async fn finish(
    world: &mut World,
    tools: NixTools,
    policy: &Policy,
    id: i64,
    intent: &Intent,
    state: State,
    report: &mut Reporter<'_>,
) -> Result<Generation, PassError> {
    let began = Instant::now();
    let world = &*world;
    let mut carrier = HostCarrier {
        world,
        tools,
        policy: policy.clone(),
        report,
    };
    let ended = carry(&world.journal, &mut carrier, id, intent, state)
        .await
        .map_err(PassError::Carry)?;
    let took = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let recorded = match ended {
        Ended::Committed {
            health,
            profile,
            boot,
        } => {
            let generation = commit(world, id, intent, (health, profile), took).await?;
            report.done(committed(intent, profile, boot));
            Ok(generation)
        }
        Ended::Staged { boot } => {
            report.done(match boot {
                BootEntry::Unverified => "boots next; boot entry unverified: no known boot loader",
                _ => "boots next, boot entry verified",
            });
            Err(staged(intent))
        }
        Ended::Reverted(failure) => Err(reverted(world, id, intent, failure, report)?),
        Ended::RevertFailed { failure, revert } => Err(revert_failed(world, id, intent, failure, revert)?),
    };
    // Only what is written down has ended.
    transaction::halt_at("ended");
    deadman::disarm(world, id).await;
    recorded
}

async fn commit(
    world: &World,
    id: i64,
    intent: &Intent,
    (health, profile): (Health, Option<u64>),
    took_ms: u64,
) -> Result<Generation, PassError> {
    // The root first: a generation is never recorded that could be collected.
    let name = Roots::generation(world.journal.next_generation()?);
    world
        .roots
        .keep_path(&name, &intent.toplevel, &world.settings.nix.daemon)
        .await?;
    let new = intent.generation(profile, health);
    let number = world.journal.commit_transaction(id, &new, world.now(), took_ms)?;
    match world.journal.generation(number)? {
        Some(generation) => Ok(generation),
        None => Err(PassError::GenerationGone {
            number,
            toplevel: intent.toplevel.clone(),
        }),
    }
}

fn reverted(
    world: &World,
    id: i64,
    intent: &Intent,
    failure: Failure,
    report: &mut Reporter<'_>,
) -> Result<PassError, PassError> {
    match &intent.previous {
        Some(previous) if report.runs(Phase::Revert) => {
            report.done(format!(
                "back on {}",
                text::store_path(previous.toplevel.as_str())
            ));
        }
        // It failed before anything was changed.
        _ => report.failed(),
    }
    let at = world.now();
    let reason = failure.to_string();
    world
        .journal
        .end_transaction(id, crate::exit::Outcome::Reverted, Some(&reason), None, at)?;
    let tried_before = world
        .journal
        .failure()?
        .filter(|before| before.of.revision == intent.revision && before.of.stage == Stage::Activate)
        .map_or(0, |before| before.of.attempts);
    match failure {
        Failure::SwitchLocked => return Ok(PassError::SwitchRunning),
        Failure::SwitchNeverEnded(_) => {
            return Ok(PassError::SwitchBetween { failure, again: None });
        }
        // The fleet still wants it. Who switched has a while to say that it shall not.
        Failure::Overtaken { .. } => {
            let again = super::gates::remember(world, &intent.revision, Stage::Activate, &reason)?;
            return Ok(PassError::SwitchBetween {
                failure,
                again: Some(again),
            });
        }
        _ => {}
    }
    // What may pass by itself is tried once more after a while; the second time it counts.
    let mut again = None;
    if failure.is_passing() && tried_before == 0 {
        again = Some(super::gates::remember(
            world,
            &intent.revision,
            Stage::Activate,
            &reason,
        )?);
    } else {
        quarantine(world, intent, &failure, reason, at)?;
    }
    let boot = [Failure::NoBootEntry, Failure::BootFiles, Failure::BootFull].contains(&failure)
        || matches!(failure, Failure::Boot(_));
    let steps: &[&str] = if boot {
        &["boot", "stage"]
    } else {
        &["activate", "arrive"]
    };
    Ok(PassError::Reverted {
        revision: intent.revision.clone(),
        failure,
        log: log(world, id, steps),
        again,
        back_on: intent
            .previous
            .as_ref()
            .map(|previous| previous.toplevel.to_string()),
    })
}

/// Remembers that this commit's toplevel failed, until the commit changes.
fn quarantine(
    world: &World,
    intent: &Intent,
    failure: &Failure,
    reason: String,
    since: Timestamp,
) -> Result<(), PassError> {
    Ok(world.journal.add_quarantine(&Quarantined {
        revision: intent.revision.clone(),
        toplevel: intent.toplevel.to_string(),
        reason,
        cause: failure.cause(),
        since,
        until: None,
    })?)
}

pub(super) fn revert_failed(
    world: &World,
    id: i64,
    intent: &Intent,
    failure: Failure,
    revert: Failure,
) -> Result<PassError, PassError> {
    let at = world.now();
    let reason = format!("{failure}; the way back failed: {revert}");
    world
        .journal
        .end_transaction(id, crate::exit::Outcome::RevertFailed, Some(&reason), None, at)?;
    quarantine(world, intent, &failure, reason, at)?;
    let command = match revert {
        // The boot default is what it was.
        Failure::NeedsReboot => Some("systemctl reboot".to_owned()),
        _ => command(world, intent),
    };
    Ok(PassError::RevertFailed {
        revision: intent.revision.clone(),
        failure,
        revert,
        command,
        log: log(world, id, &["return", "return-boot", "activate", "arrive"]),
    })
}

/// What activates again what ran before.
fn command(world: &World, intent: &Intent) -> Option<String> {
    let previous = intent.previous.as_ref()?;
    let surface = Surface::of(previous.class);
    let commands = surface.invocations(&world.site(), &previous.toplevel, crate::class::Action::Return);
    let typed: Vec<String> = commands.iter().map(ToString::to_string).collect();
    (!typed.is_empty()).then(|| typed.join(" && "))
}

/// What of it is not in place, before anything is touched.
async fn amiss(world: &World, previous: Option<&Previous>) -> Vec<String> {
    let Some(previous) = previous else {
        return Vec::new();
    };
    let surface = Surface::of(previous.class);
    let amiss = surface.amiss(&world.site(), &previous.toplevel).await;
    amiss.iter().map(ToString::to_string).collect()
}

/// What to go back to: what runs, or what the last generation recorded where that cannot be told.
fn previous(
    world: &World,
    surface: Surface,
    candidate: &camino::Utf8Path,
    current: Option<camino::Utf8PathBuf>,
) -> Result<Option<Previous>, PassError> {
    let recorded = world.journal.current_generation()?;
    let recorded = recorded.and_then(|generation| {
        Some(Previous {
            toplevel: generation.record.toplevel.clone().into(),
            class: crate::class::Class::from_name(&generation.record.class)?,
        })
    });
    let class = surface.class();
    let unconfirmed = match &current {
        // Never confirmed: what a failed way back left, or what was reverted before.
        Some(current) => {
            world.journal.is_broken()?
                || candidate == current
                || world
                    .journal
                    .quarantine()?
                    .iter()
                    .any(|entry| entry.toplevel == current.as_str())
        }
        None => false,
    };
    Ok(match (current, recorded) {
        (_, Some(recorded)) if unconfirmed => Some(recorded),
        // A person's own switch is what they would want back.
        (Some(toplevel), _) if surface.shows_what_runs() => Some(Previous { toplevel, class }),
        (_, Some(recorded)) => Some(recorded),
        (Some(toplevel), None) => Some(Previous { toplevel, class }),
        (None, None) => None,
    })
}

/// The secrets in force, if they are the agent's own, and what secrets they are: another installer's are not its
/// to go back to.
fn own_secrets(world: &World) -> Result<(Option<u64>, Requirements), PassError> {
    let Some(generation) = world.journal.current_generation()? else {
        return Ok(<_>::default());
    };
    let requirements = secrets::from_json(generation.record.requirements.as_deref())?.unwrap_or_default();
    if generation.record.secrets.is_none() {
        return Ok((None, requirements));
    }
    // Not always those that were recorded: after a boot that could open a part of them only, it is that part.
    let root = secrets::root_of(&world.settings.paths, &requirements);
    let current = root.current().filter(|number| root.exists(*number));
    Ok((current, requirements))
}

fn committed(intent: &Intent, profile: Option<u64>, boot: BootEntry) -> String {
    let profile = profile.map_or_else(
        || "profile set".to_owned(),
        |number| format!("profile generation {number}"),
    );
    let boots = Surface::of(intent.class).has_boot_step();
    match boot {
        BootEntry::Verified => format!("{profile}, boot entry verified"),
        BootEntry::Unverified if boots => format!("{profile}, boot entry unverified: no known boot loader"),
        _ => profile,
    }
}

/// The end of what the first of these steps wrote that wrote anything.
fn log(world: &World, id: i64, steps: &[&str]) -> Vec<String> {
    let folder = world.transaction_folder(id);
    let tail = |step: &&str| -> Vec<String> {
        // Of several commands of a step the last one is what failed.
        let log = (2..)
            .map(|number| format!("{step}-{number}"))
            .map_while(|step| Some(Launcher::log(&folder, &step)).filter(|log| !log.is_empty()))
            .last()
            .unwrap_or_else(|| Launcher::log(&folder, step));
        let lines: Vec<&str> = log.lines().filter(|line| !line.trim().is_empty()).collect();
        let from = lines.len().saturating_sub(LOG_LINES);
        lines.into_iter().skip(from).map(str::to_owned).collect()
    };
    steps
        .iter()
        .map(tail)
        .find(|lines| !lines.is_empty())
        .unwrap_or_default()
}

/// Brings what the journal says of transactions in step with a restart of the agent.
pub(super) fn restarted(world: &World, record: &crate::journal::TransactionRecord) -> transaction::Event {
    let restart = if record.boot_id == world.boot_id {
        transaction::Restart::SameBoot
    } else {
        transaction::Restart::OtherBoot
    };
    transaction::Event::Restarted(restart)
}
