//! Owns the difference between what is in force and what is prepared: the units that hear of it, the lines that
//! tell it. It must never write.

use std::collections::{BTreeMap, BTreeSet};

use super::finding::Kind;
use super::name::RENDERED;
use super::prepare::File;
use super::restart::{Action, Units};
use crate::install::{Change, ChangeKind};

/// Whether it is done, or would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tense {
    Does,
    Would,
}

/// The units of everything that is new or changed, be it only in its owner or mode.
pub(super) fn units(changes: &[Change], files: &[File]) -> Units {
    let files: BTreeMap<_, _> = files.iter().map(|file| (file.place.as_str(), file)).collect();
    let mut units = Units::default();
    for change in changes.iter().filter(|change| change.kind != ChangeKind::Removed) {
        if let Some(file) = files.get(change.path.as_str()) {
            units.add(Action::Restart, &file.restart);
            units.add(Action::Reload, &file.reload);
        }
    }
    units
}

/// What is told of it, in sops-nix's words and order.
pub(super) fn lines(changes: &[Change], files: &[File], tense: Tense) -> Vec<String> {
    let names: BTreeMap<_, _> = files
        .iter()
        .map(|file| (file.place.as_str(), (file.kind, file.name.as_str())))
        .collect();
    let mut told: BTreeMap<(bool, u8), BTreeSet<&str>> = BTreeMap::new();
    for change in changes {
        let path = change.path.as_str();
        let rendered = path
            .strip_prefix(RENDERED)
            .and_then(|path| path.strip_prefix('/'));
        let (kind, name) = names.get(path).copied().unwrap_or(match rendered {
            Some(name) => (Kind::Template, name),
            None => (Kind::Secret, path),
        });
        let order = match change.kind {
            ChangeKind::Added => 0,
            ChangeKind::Content | ChangeKind::Ownership => 1,
            ChangeKind::Removed => 2,
        };
        told.entry((kind == Kind::Template, order))
            .or_default()
            .insert(name);
    }
    told.into_iter()
        .map(|((is_template, order), names)| {
            let verb = match (order, tense) {
                (0, Tense::Does) => "adding",
                (0, Tense::Would) => "would add",
                (1, Tense::Does) => "modifying",
                (1, Tense::Would) => "would modify",
                (_, Tense::Does) => "removing",
                (_, Tense::Would) => "would remove",
            };
            let noun = if is_template { "rendered secret" } else { "secret" };
            let plural = if names.len() == 1 { "" } else { "s" };
            let names: Vec<_> = names.into_iter().collect();
            format!("{verb} {noun}{plural}: {}", names.join(", "))
        })
        .collect()
}
