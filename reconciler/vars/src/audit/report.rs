//! Owns what an audit found, in order, and its JSON form. It must never hold a value.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::finding::Finding;
use super::opening::Openings;
use super::places::{Places, Scope};
use super::rule::{Level, Rule};
use crate::fleet_kind::FleetKind;

/// What was found.
#[derive(Debug)]
pub struct Report {
    /// Whose commands mend it.
    pub kind: FleetKind,
    /// The machines that were looked at, by name.
    pub machines: Vec<MachineSummary>,
    /// How much was looked at.
    pub counts: Counts,
    /// What is wrong, by machine, weight, path; each once.
    pub findings: Vec<Finding>,
}

/// One machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MachineSummary {
    /// Its name.
    pub name: String,
    /// How many secrets are its own or linked to it.
    pub secrets: usize,
}

/// How much was looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Secrets among the vars, of both stores.
    pub secrets: usize,
    /// Public values.
    pub values: usize,
    /// Secrets below `sops/secrets`, the private keys of machines among them.
    pub legacy: usize,
    /// What was opened.
    #[serde(flatten)]
    pub openings: Openings,
}

impl Counts {
    pub(super) fn of(places: &Places, openings: Openings) -> Self {
        let legacy = places
            .sops
            .iter()
            .filter(|secret| secret.scope == Scope::Legacy)
            .count();
        Self {
            secrets: places
                .sops
                .len()
                .saturating_add(places.age.len())
                .saturating_sub(legacy),
            values: places.values.len(),
            legacy,
            openings,
        }
    }
}

/// One finding, as machines read it.
#[derive(Debug, Serialize)]
pub struct FindingDocument {
    /// The rule's id.
    pub rule: Rule,
    /// How bad it is.
    pub level: Level,
    /// The machines that it is about.
    pub machines: BTreeSet<String>,
    /// The file, link or folder, below the root of the repository.
    pub path: String,
    /// The sentence, beginning with the path.
    pub message: String,
    /// What to type.
    pub hint: Option<String>,
}

impl Report {
    pub(super) fn new(
        kind: FleetKind,
        machines: Vec<MachineSummary>,
        counts: Counts,
        mut findings: Vec<Finding>,
    ) -> Self {
        // What is the same for several machines, as all is that they share, is told once.
        let mut merged: BTreeMap<(String, Rule, String), Finding> = BTreeMap::new();
        for mut finding in findings.drain(..) {
            let key = (finding.path.clone(), finding.rule(), finding.defect.to_string());
            match merged.entry(key) {
                Entry::Occupied(mut known) => known.get_mut().machines.append(&mut finding.machines),
                Entry::Vacant(place) => {
                    place.insert(finding);
                }
            }
        }
        findings.extend(merged.into_values());
        findings.sort_by_cached_key(order);
        Self {
            kind,
            machines,
            counts,
            findings,
        }
    }

    /// The same for some machines: what is about none of them is left out.
    #[must_use]
    pub fn only(mut self, machines: &[String]) -> Self {
        self.machines.retain(|machine| machines.contains(&machine.name));
        self.findings
            .retain(|finding| finding.machines.iter().any(|machine| machines.contains(machine)));
        self
    }

    /// How many findings of a weight there are.
    #[must_use]
    pub fn count(&self, level: Level) -> usize {
        self.findings
            .iter()
            .filter(|finding| finding.level() == level)
            .count()
    }

    /// Whether anything is wrong; notes are not.
    #[must_use]
    pub fn is_fine(&self) -> bool {
        self.findings.iter().all(|finding| finding.level() == Level::Note)
    }

    /// The findings, with their paths below `folder`, the fleet's directory in the repository.
    #[must_use]
    pub fn documents(&self, folder: &str) -> Vec<FindingDocument> {
        let documents = self.findings.iter().map(|finding| {
            let path = below(folder, &finding.path);
            FindingDocument {
                rule: finding.rule(),
                level: finding.level(),
                machines: finding.machines.clone(),
                message: format!("{path} {}", finding.defect),
                path,
                hint: finding.hint(self.kind),
            }
        });
        documents.collect()
    }
}

/// By machine, then the worst first; what is alike together, by path.
fn order(finding: &Finding) -> (BTreeSet<String>, std::cmp::Reverse<Level>, Rule, String, String) {
    (
        finding.machines.clone(),
        std::cmp::Reverse(finding.level()),
        finding.rule(),
        finding.defect.to_string(),
        finding.path.clone(),
    )
}

/// A path of the fleet's directory, below the root of the repository.
pub(super) fn below(folder: &str, path: &str) -> String {
    if folder.is_empty() {
        path.to_owned()
    } else {
        format!("{folder}/{path}")
    }
}
