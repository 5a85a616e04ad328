//! A pass from outside: begun in the journal, made, ended in the journal, and told.

use super::target::{Target, find};
use super::tidy::tidy;
use super::{Depth, Ended, PassError, Progress, Reporter, Request, World, commit, gates, recover, rollback};
use crate::exit::Outcome;
use crate::journal::PassRecord;
use reconciler_policies::Policy;
use std::time::Instant;

/// How many passes the journal remembers.
const PASSES_KEPT: u32 = 1000;

/// Makes one pass and records it.
pub async fn pass(world: &mut World, request: &Request, sink: &mut (dyn FnMut(Progress) + Send)) -> Ended {
    let began = Instant::now();
    let mut report = Reporter::new(sink);
    let url = world
        .settings
        .fleet
        .urls
        .first()
        .and_then(|url| url.parse::<crate::source::FleetUrl>().ok());
    report.send(Progress::Began {
        machine: world.settings.machine.clone(),
        branch: world.settings.fleet.branch.clone(),
        url: url.map(|url| url.to_string()).unwrap_or_default(),
    });
    let mut about = About::default();
    let started_at = world.now();
    let id = match world.journal.begin_pass(request.cause.name(), started_at) {
        Ok(id) => id,
        Err(error) => return ended(Err(error.into()), &about, world, began, &mut report),
    };
    let result = converge(world, request, &mut about, &mut report).await;
    if result.is_err() {
        report.failed();
    }
    let phases = report.take_times();
    let mut result = ended(result, &about, world, began, &mut report);
    let record = PassRecord {
        id,
        cause: request.cause.name().to_owned(),
        started_at,
        finished_at: Some(world.now()),
        revision: about.revision,
        subject: about.subject,
        outcome: Some(result.outcome.name().to_owned()),
        reason: (result.outcome != Outcome::Converged).then(|| result.summary.clone()),
        phases,
    };
    let recorded = world
        .journal
        .end_pass(&record)
        .and_then(|()| world.journal.prune_passes(PASSES_KEPT));
    if let Err(error) = recorded {
        // The machine is where it is; that nobody could write it down is told.
        result.causes.push(error.to_string());
    }
    report.send(Progress::Ended(result.clone()));
    result
}

/// What a pass turned out to be about.
#[derive(Debug, Default)]
struct About {
    revision: Option<String>,
    subject: Option<String>,
}

fn ended(
    result: Result<String, PassError>,
    about: &About,
    world: &World,
    began: Instant,
    report: &mut Reporter<'_>,
) -> Ended {
    let generation = world.journal.current_generation().ok().flatten();
    let mut ended = Ended {
        outcome: Outcome::Converged,
        summary: String::new(),
        causes: Vec::new(),
        details: Vec::new(),
        hint: None,
        revision: about.revision.clone(),
        subject: about.subject.clone(),
        generation: generation.map(|generation| generation.number),
        took_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
    };
    match result {
        Ok(summary) => ended.summary = summary,
        Err(error) => {
            ended.outcome = error.outcome();
            ended.summary = error.to_string();
            let mut cause = std::error::Error::source(&error);
            while let Some(error) = cause {
                ended.causes.push(error.to_string());
                cause = error.source();
            }
            ended.causes.dedup();
            ended.details = error.details();
            ended.hint = error.hint();
        }
    }
    report.failed();
    ended
}

async fn converge(
    world: &mut World,
    request: &Request,
    about: &mut About,
    report: &mut Reporter<'_>,
) -> Result<String, PassError> {
    if let Some(generation) = recover::recover(world, report).await? {
        report.note(format!("generation {} was finished", generation.number));
        tidy(world, &Policy::merge(&world.settings.policy)?)?;
    }
    let pin = world.journal.pin()?;
    let target = find(world, request, pin.as_ref(), report).await?;
    match target {
        Target::Commit {
            revision,
            commit,
            standing,
        } => {
            about.revision = Some(revision.to_string());
            about.subject = Some(commit.subject.clone());
            let result = commit::pass(world, request, revision, &commit, standing, report).await;
            if let Err(error) = &result
                && let Some(stage) = gates::stage_of(error)
                && request.depth == Depth::Whole
            {
                let reason = error.to_string();
                gates::remember(world, &revision.to_string(), stage, &reason)?;
            }
            result
        }
        Target::Generation(generation) => {
            about.revision = Some(generation.record.revision.clone());
            about.subject = Some(generation.record.subject.clone());
            rollback::pass(world, request, *generation, report).await
        }
    }
}
