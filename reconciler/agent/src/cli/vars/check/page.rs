//! What was found as a document for machines, and as a page for people: by machine, what is wrong in the same way told
//! once.

use crate::cli::context::{Context, Detail};
use crate::cli::style::{Paint, Stream};
use crate::text;
use reconciler_vars::audit::{Counts, FindingDocument, Level, MachineSummary, Report};
use serde::Serialize;
use std::collections::BTreeSet;

/// What was asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    Fleet,
    Machines,
}

/// What `vars check --json` prints.
#[derive(Debug, Serialize)]
pub(super) struct Document {
    version: u32,
    kind: &'static str,
    directory: String,
    revision: Option<String>,
    evaluated: bool,
    fine: bool,
    machines: Vec<MachineSummary>,
    #[serde(flatten)]
    counts: Counts,
    errors: usize,
    warnings: usize,
    notes: usize,
    findings: Vec<FindingDocument>,
    unchecked: Vec<String>,
    #[serde(skip)]
    scope: Scope,
}

impl Document {
    pub(super) fn new(
        report: &Report,
        scope: Scope,
        directory: &str,
        revision: Option<String>,
        evaluated: bool,
        unchecked: Vec<String>,
    ) -> Document {
        Document {
            version: 1,
            kind: report.kind.name(),
            directory: directory.to_owned(),
            revision,
            evaluated,
            fine: report.is_fine(),
            machines: report.machines.clone(),
            counts: report.counts,
            errors: report.count(Level::Error),
            warnings: report.count(Level::Warning),
            notes: report.count(Level::Note),
            findings: report.documents(directory),
            unchecked,
            scope,
        }
    }
}

/// A title names this many machines.
const FEW: usize = 4;

/// A line names this many paths; the JSON document has all of them.
const NAMED: usize = 12;

pub(super) fn human(context: &Context, document: &Document) -> String {
    let mut page = sentence(context, document);
    let findings: Vec<&FindingDocument> = document.findings.iter().collect();
    let shown = |level| level > Level::Note || context.detail == Detail::Verbose;
    let mut about: Option<&BTreeSet<String>> = None;
    let mut rest = findings.as_slice();
    while let Some(first) = rest.first() {
        let alike = rest
            .iter()
            .take_while(|other| is_alike(first, other))
            .count()
            .max(1);
        let (group, after) = rest.split_at(alike);
        rest = after;
        if !shown(first.level) {
            continue;
        }
        if about != Some(&first.machines) {
            let title = context
                .style
                .paint(Stream::Out, Paint::Strong, &title(&first.machines));
            page.push_str(&format!("\n{title}\n"));
            about = Some(&first.machines);
        }
        page.push_str(&told(context, first, group));
    }
    if document.notes > 0 && context.detail != Detail::Verbose {
        page.push_str(&format!(
            "\n{} not shown; `-v` shows them\n",
            text::count(document.notes, "note")
        ));
    }
    if !document.unchecked.is_empty() && context.detail != Detail::Quiet {
        page.push('\n');
        for note in &document.unchecked {
            page.push_str(&context.style.paint(Stream::Out, Paint::Dim, note));
            page.push('\n');
        }
    }
    page
}

/// The machines by name, unless they are many.
fn title(machines: &BTreeSet<String>) -> String {
    let mut names: Vec<&str> = machines.iter().map(String::as_str).collect();
    match names.len() {
        0 => "the fleet".to_owned(),
        1..=FEW => names.join(", "),
        number => {
            names.truncate(FEW - 1);
            format!("{} and {} more", names.join(", "), number - names.len())
        }
    }
}

fn sentence(context: &Context, document: &Document) -> String {
    let secrets = match document.scope {
        Scope::Fleet => document.counts.secrets + document.counts.legacy,
        Scope::Machines => document.machines.iter().map(|machine| machine.secrets).sum(),
    };
    let of = format!(
        "{} of {}",
        text::count(secrets, "secret"),
        text::count(document.machines.len(), "machine")
    );
    let wrong = document.errors + document.warnings;
    let (text, paint) = match wrong {
        0 => (format!("nothing is wrong with {of}"), Paint::Good),
        1 => (format!("1 thing is wrong with {of}"), Paint::Bad),
        wrong => (format!("{wrong} things are wrong with {of}"), Paint::Bad),
    };
    let text = match document.counts.openings.opened {
        0 => text,
        opened => format!("{text}; {opened} opened"),
    };
    format!("{}\n", context.style.paint(Stream::Out, paint, &text))
}

/// The sentence without its path.
fn predicate(finding: &FindingDocument) -> &str {
    let rest = finding.message.strip_prefix(finding.path.as_str());
    rest.unwrap_or(&finding.message).trim_start()
}

fn is_alike(one: &FindingDocument, other: &FindingDocument) -> bool {
    one.machines == other.machines
        && one.rule == other.rule
        && one.hint == other.hint
        && predicate(one) == predicate(other)
}

fn told(context: &Context, first: &FindingDocument, group: &[&FindingDocument]) -> String {
    let (mark, paint) = match first.level {
        Level::Error => ("✗", Paint::Bad),
        Level::Warning => ("!", Paint::Waiting),
        Level::Note => ("·", Paint::Dim),
    };
    let mark = context.style.paint(Stream::Out, paint, mark);
    let rule = context
        .style
        .paint(Stream::Out, Paint::Dim, &format!("[{}]", first.rule));
    let mut page = match group {
        [_] => format!("  {mark} {} {rule}\n", first.message),
        _ => {
            let mut text = format!(
                "  {mark} {} {} {rule}\n",
                text::count(group.len(), "file"),
                each(predicate(first))
            );
            for finding in group.iter().take(NAMED) {
                text.push_str(&format!("      {}\n", finding.path));
            }
            if group.len() > NAMED {
                text.push_str(&format!("      and {} more\n", group.len() - NAMED));
            }
            text
        }
    };
    if let Some(hint) = &first.hint {
        let label = context.style.paint(Stream::Out, Paint::Waiting, "hint:");
        page.push_str(&format!("    {label} {hint}\n"));
    }
    page
}

/// `is missing` of one file is `are missing` of several.
fn each(predicate: &str) -> String {
    for (one, many) in [
        ("is ", "are "),
        ("has ", "have "),
        ("lies ", "lie "),
        ("leads ", "lead "),
        ("opens ", "open "),
    ] {
        if let Some(rest) = predicate.strip_prefix(one) {
            return format!("{many}{rest}");
        }
    }
    predicate.to_owned()
}
