//! What changes between two toplevels, for people: as nvd prints it, then units, then secrets by name.

use super::context::{Context, Detail};
use super::page;
use super::style::{Paint, Stream, Style};
use crate::closure::{Change, Cost, Differences, Direction, PackageChange, Packages, Side, UnitPlan};
use crate::text;

/// How many packages the summary after a pass names.
const NAMED: usize = 10;

/// All of it.
pub(super) fn page(context: &Context, change: &Change) -> String {
    let style = context.style;
    let whole = context.detail == Detail::Verbose;
    let from = change
        .from
        .as_ref()
        .map_or_else(|| "nothing".to_owned(), |from| side(from, whole));
    let mut page = format!("{from} → {}\n", side(&change.to, whole));
    match &change.packages {
        Some(packages) if packages.is_empty() => page.push_str("the same packages\n"),
        Some(packages) => page.push_str(&list(style, packages)),
        None if change.from.is_none() => {}
        None => page.push_str("the packages cannot be compared: one of the two is not in the store\n"),
    }
    if let Some(cost) = change.cost.as_ref().filter(|cost| !cost.is_empty()) {
        page.push_str(&costs(style, cost, whole));
    }
    page.push_str(&units(style, change));
    for (verb, names) in kinds(&change.secrets) {
        page.push_str(&named(style, "secrets", verb, names));
    }
    page
}

/// A few lines for the end of a pass; none where no package changed.
pub(super) fn summary(style: Style, change: &Change) -> String {
    let Some(packages) = change.packages.as_ref().filter(|packages| !packages.is_empty()) else {
        return String::new();
    };
    let changed = packages
        .changed
        .iter()
        .filter(|package| package.name != root(change));
    let rows: Vec<_> = changed
        .clone()
        .take(NAMED)
        .map(|package| row(style, package))
        .collect();
    let mut page = page::table(&rows);
    let more = changed.count().saturating_sub(rows.len());
    if more > 0 {
        page.push_str(&format!("  … and {more} more: `reconcile diff`\n"));
    }
    page.push_str(&format!("  {}\n", totals(packages)));
    page
}

fn side(side: &Side, whole: bool) -> String {
    let toplevel = if whole {
        side.toplevel.clone()
    } else {
        text::store_path(&side.toplevel)
    };
    let revision = side.revision.as_deref().map(text::commit);
    match (side.generation, revision) {
        (Some(number), Some(revision)) => format!("generation {number} · {revision} · {toplevel}"),
        (None, Some(revision)) => format!("{revision} · {toplevel}"),
        (_, None) => toplevel,
    }
}

fn list(style: Style, packages: &Packages) -> String {
    let mut page = String::new();
    for (heading, list) in [
        ("changed", &packages.changed),
        ("added", &packages.added),
        ("removed", &packages.removed),
    ] {
        if !list.is_empty() {
            page.push_str(&format!("{}\n", style.paint(Stream::Out, Paint::Strong, heading)));
            let rows: Vec<_> = list.iter().map(|package| row(style, package)).collect();
            page.push_str(&page::table(&rows));
        }
    }
    let (before, after) = (packages.before, packages.after);
    page.push_str(&format!(
        "closure  {} → {} paths ({} added, {} removed), {} → {} ({})\n",
        before.paths,
        after.paths,
        packages.paths_added,
        packages.paths_removed,
        text::size(before.bytes),
        text::size(after.bytes),
        growth(packages.bytes())
    ));
    if packages.rebuilt > 0 {
        page.push_str(&format!(
            "rebuilt  {} of the same version\n",
            text::count(packages.rebuilt, "package")
        ));
    }
    page
}

fn row(style: Style, package: &PackageChange) -> Vec<String> {
    let versions = |list: &[String]| {
        let named: Vec<_> = list
            .iter()
            .map(|version| {
                if version.is_empty() {
                    "–"
                } else {
                    version.as_str()
                }
            })
            .collect();
        named.join(", ")
    };
    let (mark, paint) = match package.direction {
        Direction::Upgrade => ("↑", Paint::Good),
        Direction::Downgrade => ("↓", Paint::Waiting),
        Direction::Mixed => ("~", Paint::Dim),
        Direction::Added => ("+", Paint::Good),
        Direction::Removed => ("−", Paint::Waiting),
    };
    let change = match package.direction {
        Direction::Added => versions(&package.after),
        Direction::Removed => versions(&package.before),
        _ => format!("{} → {}", versions(&package.before), versions(&package.after)),
    };
    let grown = match package.bytes {
        0 => String::new(),
        bytes => style.paint(Stream::Out, Paint::Dim, &growth(bytes)),
    };
    vec![
        format!("  {} {}", style.paint(Stream::Out, paint, mark), package.name),
        change,
        grown,
    ]
}

/// `3 packages changed, 1 added, +2.1 MiB`
fn totals(packages: &Packages) -> String {
    let mut parts = Vec::new();
    if !packages.changed.is_empty() {
        parts.push(format!(
            "{} changed",
            text::count(packages.changed.len(), "package")
        ));
    }
    for (number, verb) in [
        (packages.added.len(), "added"),
        (packages.removed.len(), "removed"),
        (packages.rebuilt, "rebuilt"),
    ] {
        if number > 0 {
            parts.push(format!("{number} {verb}"));
        }
    }
    parts.push(growth(packages.bytes()));
    parts.join(", ")
}

fn costs(style: Style, cost: &Cost, whole: bool) -> String {
    let mut page = String::new();
    if !cost.fetch.is_empty() {
        page.push_str(&format!(
            "fetch    {}, {} to download, {} unpacked\n",
            text::count(cost.fetch.len(), "path"),
            text::size(cost.download),
            text::size(cost.unpack)
        ));
    }
    if !cost.build.is_empty() {
        page.push_str(&format!(
            "build    {}\n",
            text::count(cost.build.len(), "derivation")
        ));
    }
    if !cost.unknown.is_empty() {
        let unknown = text::count(cost.unknown.len(), "path");
        let line = format!("unknown  {unknown} that no substituter has and nothing builds");
        page.push_str(&format!("{}\n", style.paint(Stream::Out, Paint::Bad, &line)));
    }
    if whole {
        for name in cost.fetch.iter().chain(&cost.build).chain(&cost.unknown) {
            page.push_str(&format!("  {name}\n"));
        }
    }
    page
}

fn units(style: Style, change: &Change) -> String {
    let mut page = String::new();
    match (&change.activation, &change.units) {
        (Some(plan), _) => {
            let UnitPlan {
                stop,
                start,
                restart,
                reload,
                skip,
            } = plan;
            for (verb, names) in [
                ("stop", stop),
                ("start", start),
                ("restart", restart),
                ("reload", reload),
                ("left as they are", skip),
            ] {
                page.push_str(&named(style, "units", verb, names));
            }
        }
        (None, Some(units)) => {
            for (verb, names) in kinds(units) {
                page.push_str(&named(style, "units", verb, names));
            }
        }
        (None, None) => {}
    }
    page
}

fn kinds(differences: &Differences) -> [(&'static str, &Vec<String>); 3] {
    [
        ("changed", &differences.changed),
        ("added", &differences.added),
        ("removed", &differences.removed),
    ]
}

fn named(style: Style, what: &str, verb: &str, names: &[String]) -> String {
    if names.is_empty() {
        return String::new();
    }
    let heading = style.paint(Stream::Out, Paint::Strong, &format!("{what} {verb}"));
    format!(
        "{heading}\n{}",
        names.iter().map(|name| format!("  {name}\n")).collect::<String>()
    )
}

/// The toplevel's own package, which changes with every commit.
fn root(change: &Change) -> &str {
    let base = change.to.toplevel.rsplit('/').next().unwrap_or_default();
    base.split_once('-')
        .map_or("", |(_, name)| crate::closure::package_name(name))
}

fn growth(bytes: i64) -> String {
    let size = text::size(bytes.unsigned_abs());
    match bytes {
        0 => "the same size".to_owned(),
        1.. => format!("+{size}"),
        _ => format!("−{size}"),
    }
}
