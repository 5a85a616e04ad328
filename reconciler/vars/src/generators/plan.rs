//! Owns the decision which generators run, and in which order. It must never run one, nor look at the disk: what
//! is there is an argument.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::graph::Graph;
use super::id::GeneratorId;
use super::survey::Present;

/// Whether values that are there are made anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Wanted {
    /// What is missing or stale, and what depends on it.
    #[default]
    Missing,
    /// Everything that was asked for, and what depends on it.
    Everything,
}

/// What a person asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// Machines; none means all.
    pub machines: BTreeSet<String>,
    /// Generators; none means all of those machines.
    pub generators: BTreeSet<String>,
    /// Whether values that are there are made anew.
    pub wanted: Wanted,
}

/// Why a generator runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// A person asked for new values.
    Requested,
    /// Files are missing.
    Missing(Vec<String>),
    /// What its values depend on changed since they were made.
    Stale,
    /// One that it depends on runs.
    Dependency(GeneratorId),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Requested => f.write_str("requested"),
            Self::Missing(files) => write!(f, "missing: {}", files.join(", ")),
            Self::Stale => f.write_str("stale: its validation changed"),
            Self::Dependency(id) => write!(f, "depends on {id}"),
        }
    }
}

/// One generator that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Which.
    pub id: GeneratorId,
    /// Why.
    pub reason: Reason,
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The fleet has no such machine.
    #[error("the fleet has no machine `{machine}`; it has {}", known(machines))]
    NoMachine {
        /// The name.
        machine: String,
        /// Those that there are.
        machines: Vec<String>,
    },
    /// None of the machines declares the generator.
    #[error("no generator `{generator}` is declared; there are {}", known(generators))]
    NoGenerator {
        /// The name.
        generator: String,
        /// Those that there are.
        generators: Vec<String>,
    },
    /// A generator that would have to run has no script.
    #[error("nothing makes {id}: it has no script, and a file that no prompt answers ({reason})")]
    CannotRun {
        /// Which.
        id: GeneratorId,
        /// Why it would have to.
        reason: Reason,
    },
}

fn known(names: &[String]) -> String {
    if names.is_empty() {
        "none at all".to_owned()
    } else {
        names.join(", ")
    }
}

/// What runs, each after what it depends on.
///
/// Runs are those that are asked for (and, unless everything is wanted anew, missing or stale), those of their
/// dependencies that are missing or stale, and everything on any machine that depends on one that runs.
///
/// # Errors
/// [`PlanError`] for a name that is none, and for a generator that cannot make its files.
pub fn plan(
    graph: &Graph,
    machines: &[String],
    present: &BTreeMap<GeneratorId, Present>,
    request: &Request,
) -> Result<Vec<Run>, PlanError> {
    let asked = scope(graph, machines, request)?;
    let mut reasons: BTreeMap<GeneratorId, Reason> = BTreeMap::new();
    for id in &asked {
        let reason = match request.wanted {
            Wanted::Everything => Some(Reason::Requested),
            Wanted::Missing => needed(present, id),
        };
        if let Some(reason) = reason {
            reasons.insert(id.clone(), reason);
        }
    }
    let mut queue: Vec<GeneratorId> = reasons.keys().cloned().collect();
    while let Some(id) = queue.pop() {
        let Some(node) = graph.get(&id) else { continue };
        for dependency in &node.dependencies {
            if !reasons.contains_key(dependency)
                && let Some(reason) = needed(present, dependency)
            {
                reasons.insert(dependency.clone(), reason);
                queue.push(dependency.clone());
            }
        }
        for dependent in graph.dependents(&id) {
            if !reasons.contains_key(dependent) {
                let reason = needed(present, dependent).unwrap_or_else(|| Reason::Dependency(id.clone()));
                reasons.insert(dependent.clone(), reason);
                queue.push(dependent.clone());
            }
        }
    }
    let chosen: BTreeSet<_> = reasons.keys().cloned().collect();
    let mut runs = Vec::new();
    for id in graph.ordered(&chosen) {
        let Some(reason) = reasons.remove(&id) else {
            continue;
        };
        if graph.get(&id).is_some_and(|node| !node.definition.can_run()) {
            return Err(PlanError::CannotRun { id, reason });
        }
        runs.push(Run { id, reason });
    }
    Ok(runs)
}

/// The generators that are asked for by name.
fn scope(graph: &Graph, machines: &[String], request: &Request) -> Result<Vec<GeneratorId>, PlanError> {
    if let Some(machine) = request
        .machines
        .iter()
        .find(|machine| !machines.contains(machine))
    {
        return Err(PlanError::NoMachine {
            machine: machine.clone(),
            machines: machines.to_vec(),
        });
    }
    let of_machines: Vec<_> = graph
        .iter()
        .filter(|(_, node)| {
            request.machines.is_empty()
                || node
                    .machines
                    .iter()
                    .any(|machine| request.machines.contains(machine))
        })
        .map(|(id, _)| id.clone())
        .collect();
    if request.generators.is_empty() {
        return Ok(of_machines);
    }
    if let Some(generator) = request
        .generators
        .iter()
        .find(|name| !of_machines.iter().any(|id| id.name == **name))
    {
        let names: BTreeSet<_> = of_machines.into_iter().map(|id| id.name).collect();
        return Err(PlanError::NoGenerator {
            generator: generator.clone(),
            generators: names.into_iter().collect(),
        });
    }
    let chosen = of_machines.into_iter();
    Ok(chosen
        .filter(|id| request.generators.contains(&id.name))
        .collect())
}

fn needed(present: &BTreeMap<GeneratorId, Present>, id: &GeneratorId) -> Option<Reason> {
    let present = present.get(id)?;
    if !present.missing.is_empty() {
        Some(Reason::Missing(present.missing.clone()))
    } else if present.stale {
        Some(Reason::Stale)
    } else {
        None
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
