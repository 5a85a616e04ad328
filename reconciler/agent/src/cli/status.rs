//! `reconcile status`: how the machine stands, the sentence first.

use super::args::StatusOptions;
use super::context::{Context, Detail};
use super::failure::CliError;
use super::page;
use super::style::{Paint, Stream};
use crate::exit::Outcome;
use crate::status::{Health, Status, Sync, gather};
use crate::text;
use jiff::Timestamp;

pub(super) fn run(context: &Context, options: &StatusOptions) -> Result<Outcome, CliError> {
    let settings = context.settings()?;
    let journal = context.journal(&settings)?;
    let now = Timestamp::now();
    let status = gather(&settings, journal.as_ref(), now)?;
    if options.json {
        page::json(&status)?;
    } else {
        page::text(&human(context, &status, now))?;
    }
    Ok(if options.check {
        status.outcome()
    } else {
        Outcome::Converged
    })
}

fn human(context: &Context, status: &Status, now: Timestamp) -> String {
    let (sentence, paint) = sentence(status, now);
    let machine = context.style.paint(Stream::Out, Paint::Strong, &status.machine);
    let mut page = format!(
        "{machine} {}\n",
        context.style.paint(Stream::Out, paint, &sentence)
    );
    let mut line = |label: &str, text: String| page.push_str(&format!("  {label:<11} {text}\n"));
    if let Some(generation) = &status.generation {
        let health = match status.health {
            Health::Healthy => "healthy",
            Health::Degraded => "degraded",
            Health::Unknown => "unknown",
        };
        let mut text = format!(
            "generation {} · {} \"{}\" · {} · {health}",
            generation.number,
            text::commit(&generation.revision),
            generation.subject,
            text::moment(generation.activated_at, now)
        );
        if context.detail == Detail::Verbose {
            text.push_str(&format!(" · {}", generation.toplevel));
        }
        line("running", text);
    }
    if let Some(pin) = &status.pin {
        let why = pin.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        let since = text::moment(pin.since, now);
        line(
            "pinned",
            format!("{} by {}, {since}{why}", text::commit(&pin.revision), pin.by),
        );
    }
    if let Some(failed) = &status.failed_revert {
        line(
            "failed",
            format!("{} · {}", text::commit(&failed.revision), failed.reason),
        );
    }
    for entry in &status.quarantine {
        line(
            "quarantine",
            format!("{} · {}", text::commit(&entry.revision), entry.reason),
        );
    }
    for item in &status.drift {
        line(
            "drift",
            match item.since {
                Some(since) => format!("{item} · {}", text::moment(since, now)),
                None => item.to_string(),
            },
        );
    }
    if let Some(staged) = &status.staged {
        let since = text::moment(staged.since, now);
        line(
            "staged",
            format!(
                "{} \"{}\" · {since} · runs after the next reboot",
                text::commit(&staged.revision),
                staged.subject
            ),
        );
    }
    if status.reboot.required {
        line(
            "reboot",
            format!("needed for {}", status.reboot.reasons.join(", ")),
        );
    }
    if let Some(error) = &status.fleet.error {
        line("remote", error.clone());
    }
    if let Some(pass) = &status.last_pass {
        let ended = pass.finished_at.unwrap_or(pass.started_at);
        let outcome = pass.outcome.as_deref().unwrap_or("unknown");
        let next = status
            .next_pass_at
            .map(|at| format!(", next poll {}", text::moment(at, now)))
            .unwrap_or_default();
        line(
            "last pass",
            format!("{outcome} {}{next}", text::moment(ended, now)),
        );
        if let Some(reason) = pass.reason.as_ref().filter(|_| outcome != "converged") {
            line("", reason.clone());
        }
    }
    page
}

fn sentence(status: &Status, now: Timestamp) -> (String, Paint) {
    let head = status.fleet.head.as_deref().map(text::commit).unwrap_or_default();
    let on = |text: &str| format!("{text} {head}");
    if status.failed_revert.is_some() {
        return (
            "is on neither its old nor its new system: a person is needed".to_owned(),
            Paint::Bad,
        );
    }
    if let Some(staged) = &status.staged {
        let commit = text::commit(&staged.revision);
        return (format!("waits for a reboot to run {commit}"), Paint::Waiting);
    }
    match status.sync {
        Sync::Synced if status.drift.is_empty() => (on("is on what the fleet declares:"), Paint::Good),
        Sync::Synced => (
            "follows the fleet, and drifted from it".to_owned(),
            Paint::Waiting,
        ),
        Sync::Pinned => ("is pinned".to_owned(), Paint::Waiting),
        Sync::Behind => (format!("is behind: {head} is not active yet"), Paint::Waiting),
        Sync::Refused => (format!("refuses {head}: it is not trusted"), Paint::Bad),
        Sync::Quarantined => (
            format!("was reverted from {head}; a new commit is awaited"),
            Paint::Bad,
        ),
        Sync::Held => {
            let until = status.pending.as_ref().and_then(|pending| {
                pending
                    .gates
                    .iter()
                    .map(reconciler_policies::GateLine::from)
                    .find_map(|line| line.until)
            });
            let until = until
                .map(|until| format!(", {}", text::moment(until, now)))
                .unwrap_or_default();
            (format!("holds {head} back{until}"), Paint::Waiting)
        }
        Sync::Unknown => ("knows nothing of its fleet yet".to_owned(), Paint::Waiting),
    }
}
