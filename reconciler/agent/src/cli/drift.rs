//! `reconcile drift`: where the machine is not what its generation says, and on request, putting it right.

use super::args::DriftOptions;
use super::context::{Context, Detail};
use super::failure::{self, CliError};
use super::now::make;
use super::page;
use super::style::{Paint, Stream};
use crate::drift::{Cause as Origin, Item, Report, Scope, Unchecked};
use crate::exit::Outcome;
use crate::journal::Journal;
use crate::pass::{Cause, Depth, Insistence, Request};
use crate::text;
use jiff::Timestamp;
use reconciler_policies::Drift;
use serde::Serialize;

/// The version of the document.
const VERSION: u32 = 1;

/// What `drift --json` prints.
#[derive(Debug, Serialize)]
struct Document<'a> {
    version: u32,
    machine: &'a str,
    generation: u64,
    checked_at: Timestamp,
    next_at: Timestamp,
    drift: &'a [Item],
    unchecked: &'a [Unchecked],
    hold: Option<&'a Drift>,
}

pub(super) fn run(context: &Context, options: &DriftOptions) -> Result<Outcome, CliError> {
    let settings = context.settings()?;
    let request = Request {
        depth: if options.correct {
            Depth::Whole
        } else {
            Depth::DryRun
        },
        insistence: match (options.correct, options.force) {
            (false, _) => Insistence::None,
            (true, false) => Insistence::Asked,
            (true, true) => Insistence::Forced,
        },
        scope: if options.verify_store {
            Scope::WholeStore
        } else {
            Scope::Due
        },
        ..Request::of(Cause::Drift)
    };
    let detail = if options.json || !options.correct {
        Detail::Quiet
    } else {
        context.detail
    };
    let ended = make(context, &request, detail)?;
    let journal = Journal::open_existing(&settings.paths.journal())?;
    let report = match &journal {
        Some(journal) => journal.drift()?,
        None => None,
    };
    let looked = matches!(ended.outcome, Outcome::Converged | Outcome::Drift);
    let Some(report) = report.filter(|_| looked) else {
        // Nothing was looked at: what the pass says is all there is to say.
        if ended.outcome == Outcome::Converged {
            page::text(&format!("{}\n", ended.summary))?;
        } else {
            failure::print(
                context.style,
                &ended.summary,
                &ended.causes,
                &ended.details,
                ended.hint.as_deref(),
            );
        }
        return Ok(ended.outcome);
    };
    if options.json {
        page::json(&Document {
            version: VERSION,
            machine: &settings.machine,
            generation: report.generation,
            checked_at: report.checked_at,
            next_at: report.next_at,
            drift: &report.items,
            unchecked: &report.unchecked,
            hold: report.hold.as_ref(),
        })?;
    } else {
        page::text(&human(context, &settings.machine, &report, ended.hint.as_deref()))?;
    }
    Ok(ended.outcome)
}

fn human(context: &Context, machine: &str, report: &Report, hint: Option<&str>) -> String {
    let style = context.style;
    let now = Timestamp::now();
    let name = style.paint(Stream::Out, Paint::Strong, machine);
    let mut page = match report.items.len() {
        0 => format!(
            "{name} {}\n",
            style.paint(
                Stream::Out,
                Paint::Good,
                &format!("is what generation {} says", report.generation)
            )
        ),
        number => format!(
            "{name} {}\n",
            style.paint(
                Stream::Out,
                Paint::Waiting,
                &format!(
                    "drifted from generation {}: {}",
                    report.generation,
                    text::count(number, "difference")
                )
            )
        ),
    };
    for item in &report.items {
        let cause = match item.cause {
            Origin::Person => "by hand",
            Origin::Displaced => "out of place",
        };
        let since = item
            .since
            .map(|since| format!(", {}", text::moment(since, now)))
            .unwrap_or_default();
        page.push_str(&format!("  {:<18} {item}\n", item.kind.name()));
        let line = style.paint(Stream::Out, Paint::Dim, &format!("{cause}{since}"));
        page.push_str(&format!("  {:<18} {line}\n", ""));
    }
    for unchecked in &report.unchecked {
        page.push_str(&format!(
            "  {:<18} not looked at: {}\n",
            unchecked.kind.name(),
            unchecked.why
        ));
    }
    if let Some(hold) = &report.hold {
        page.push_str(&format!(
            "  {:<18} nothing new is activated: {}\n",
            "hold", hold.what
        ));
    }
    if let Some(hint) = hint {
        page.push_str(&format!("{hint}\n"));
    }
    page
}
