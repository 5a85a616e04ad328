//! `reconcile history`: what was activated and what was reverted, newest first.

use super::args::HistoryOptions;
use super::context::Context;
use super::failure::CliError;
use super::page;
use super::style::{Paint, Stream};
use crate::exit::Outcome;
use crate::journal::{Generation, GenerationKind, TransactionRecord};
use crate::text;
use crate::transaction::{Approach, State};
use jiff::Timestamp;
use serde::Serialize;
use std::time::Duration;

/// One activation, as `history --json` prints it.
#[derive(Debug, Serialize)]
struct Row {
    generation: Option<u64>,
    current: bool,
    kind: Option<GenerationKind>,
    revision: String,
    subject: String,
    class: String,
    toplevel: String,
    secrets: Option<u64>,
    outcome: &'static str,
    reason: Option<String>,
    started_at: Timestamp,
    finished_at: Option<Timestamp>,
    took_ms: Option<u64>,
}

pub(super) fn run(context: &Context, options: &HistoryOptions) -> Result<Outcome, CliError> {
    let settings = context.settings()?;
    let Some(journal) = context.journal(&settings)? else {
        return Err(CliError::NeverRan {
            state: settings.paths.state,
        });
    };
    let generations = journal.generations()?;
    let rows = rows(&generations, journal.transactions(options.limit)?);
    if options.json {
        page::json(&rows)?;
        return Ok(Outcome::Converged);
    }
    let now = Timestamp::now();
    let mut table = vec![
        ["gen", "when", "commit", "subject", "outcome", "took"]
            .map(str::to_owned)
            .to_vec(),
    ];
    for row in &rows {
        let number = row
            .generation
            .map_or_else(|| "–".to_owned(), |number| number.to_string());
        let mark = if row.current { " ●" } else { "" };
        let paint = if row.reason.is_some() {
            Paint::Bad
        } else {
            Paint::Good
        };
        let took = row
            .took_ms
            .map(|ms| text::duration(Duration::from_millis(ms)))
            .unwrap_or_default();
        table.push(vec![
            format!("{number}{mark}"),
            text::moment(row.finished_at.unwrap_or(row.started_at), now),
            text::commit(&row.revision).to_owned(),
            page::fit(&row.subject, 40),
            context.style.paint(Stream::Out, paint, row.outcome),
            took,
        ]);
    }
    let lines = page::table(&table);
    let mut text = String::new();
    // The heading has no row of its own.
    let reasons = std::iter::once(None).chain(rows.iter().map(|row| row.reason.as_ref()));
    for (line, reason) in lines.lines().zip(reasons) {
        text.push_str(line);
        text.push('\n');
        if let Some(reason) = reason {
            text.push_str(&format!("     {reason}\n"));
        }
    }
    if generations.len() > 1 {
        text.push_str("● running · `reconcile rollback GEN` goes back to a generation\n");
    }
    page::text(&text)?;
    Ok(Outcome::Converged)
}

fn rows(generations: &[Generation], transactions: Vec<TransactionRecord>) -> Vec<Row> {
    let current = generations.first().map(|generation| generation.number);
    let mut rows: Vec<Row> = transactions
        .into_iter()
        .map(|record| {
            let known = record
                .generation
                .and_then(|number| generations.iter().find(|known| known.number == number));
            let waits = match (&record.state, &record.intent.approach) {
                (State::Staged { .. }, Approach::Reboot { reasons }) => Some(reasons.join(", ")),
                _ => None,
            };
            let took = record.finished_at.map(|at| at.duration_since(record.started_at));
            Row {
                generation: record.generation,
                current: record.generation.is_some() && record.generation == current,
                kind: known.map(|known| known.record.kind),
                revision: record.intent.revision,
                subject: record.intent.subject,
                class: record.intent.class.as_str().to_owned(),
                toplevel: record.intent.toplevel.to_string(),
                secrets: record.intent.secrets,
                outcome: match (record.outcome, known.map(|known| known.record.kind)) {
                    (Some(Outcome::Converged), Some(GenerationKind::RolledBack)) => "rolled-back",
                    (Some(Outcome::Converged), Some(GenerationKind::Corrected)) => "corrected",
                    (Some(outcome), _) => outcome.name(),
                    (None, _) if waits.is_some() => "staged",
                    (None, _) => "running",
                },
                reason: record
                    .reason
                    .or_else(|| Some(format!("it runs after the next reboot: {}", waits?))),
                started_at: record.started_at,
                finished_at: record.finished_at,
                took_ms: took.and_then(|took| u64::try_from(took.as_millis()).ok()),
            }
        })
        .collect();
    // What was adopted had no transaction.
    for generation in generations
        .iter()
        .filter(|generation| generation.record.kind == GenerationKind::Adopted)
    {
        rows.push(Row {
            generation: Some(generation.number),
            current: Some(generation.number) == current,
            kind: Some(GenerationKind::Adopted),
            revision: generation.record.revision.clone(),
            subject: generation.record.subject.clone(),
            class: generation.record.class.clone(),
            toplevel: generation.record.toplevel.clone(),
            secrets: generation.record.secrets,
            outcome: "adopted",
            reason: None,
            started_at: generation.activated_at,
            finished_at: Some(generation.activated_at),
            took_ms: Some(generation.took_ms),
        });
    }
    rows.sort_by_key(|row| std::cmp::Reverse(row.started_at));
    rows
}
