//! A pass from outside: begun in the journal, made, ended in the journal, and told.

use super::policy::policy_at;
use super::target::{About, Target, find};
use super::tidy::tidy;
use super::{
    Cause, Depth, Ended, PassError, Progress, Reporter, Request, World, commit, drift, gates, recover,
    restore, rollback,
};
use crate::exit::Outcome;
use crate::journal::PassRecord;
use crate::text;
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
    if request.cause == Cause::Drift {
        // A look is no pass: it has its own record, and the last pass stays the last.
        let result = drifted(world, request, &mut about, &mut report).await;
        let ended = ended(result, &about, world, began, &mut report);
        report.send(Progress::Ended(ended.clone()));
        return ended;
    }
    let id = match world.journal.begin_pass(request.cause.name(), started_at) {
        Ok(id) => id,
        Err(error) => return ended(Err(error.into()), &about, world, began, &mut report),
    };
    let result = converge(world, request, &mut about, &mut report).await;
    if result.is_err() {
        report.failed();
    }
    if let Err(error) = drift::take_fingerprints(world) {
        report.note(format!(
            "no fingerprints of the secrets could be taken: {}",
            text::chain(&error)
        ));
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
        head: about.head.clone(),
        generation: generation.map(|generation| generation.number),
        took_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        change: about.change.clone().map(Box::new),
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
            // What the evidence says in its own words is not said twice.
            let details = &ended.details;
            ended
                .causes
                .retain(|cause| !details.iter().any(|line| line.ends_with(cause.as_str())));
            ended.hint = error.hint();
        }
    }
    report.failed();
    ended
}

async fn drifted(
    world: &mut World,
    request: &Request,
    about: &mut About,
    report: &mut Reporter<'_>,
) -> Result<String, PassError> {
    recover::recover(world, about, report).await?;
    drift::take_fingerprints(world)?;
    drift::pass(world, request, report).await
}

async fn converge(
    world: &mut World,
    request: &Request,
    about: &mut About,
    report: &mut Reporter<'_>,
) -> Result<String, PassError> {
    if let Cause::Deadman { transaction, limit } = request.cause {
        return recover::undo(world, (transaction, limit), about, report).await;
    }
    let recovered = recover::recover(world, about, report).await;
    if matches!(
        recovered,
        Err(PassError::Reverted { .. } | PassError::SwitchBetween { .. })
    ) {
        // Where nothing that runs had to be touched, nothing of the way back brought them.
        restore::in_a_pass(world, report)?;
    }
    if let Some(generation) = recovered? {
        report.note(format!("generation {} was finished", generation.number));
        let policy = policy_at(
            world,
            &generation.record.revision,
            &generation.record.tags,
            report,
        )?;
        tidy(world, &policy, report).await;
    }
    restore::in_a_pass(world, report)?;
    let pin = world.journal.pin()?;
    let target = find(world, request, pin.as_ref(), about, report).await?;
    match target {
        Target::Commit {
            revision,
            commit,
            standing,
        } => {
            let result = commit::pass(world, request, (revision, &commit, standing), about, report).await;
            if let Err(error) = &result
                && let Some(stage) = gates::stage_of(error)
                && request.depth == Depth::Whole
            {
                let reason = error.to_string();
                gates::remember(world, &revision.to_string(), stage, &reason)?;
            }
            result
        }
        Target::Generation(generation) => rollback::pass(world, request, *generation, report).await,
    }
}
