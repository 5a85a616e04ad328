//! Owns the generators of a whole fleet as one graph: which depends on which, and what is wrong with that. It must
//! never look at what lies on the disk.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::definition::{FleetGenerators, Generator};
use super::id::{GeneratorId, Placement};
use crate::requirements::{InvalidName, NameKind, check_name};

/// One generator of the graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// What is declared; of a shared one, by the first of its machines.
    pub definition: Generator,
    /// The machines that declare it, sorted.
    pub machines: Vec<String>,
    /// The machines that may read each file.
    pub deploy: BTreeMap<String, BTreeSet<String>>,
    /// What it depends on.
    pub dependencies: BTreeSet<GeneratorId>,
}

/// All generators of a fleet: names are plain, dependencies exist, nothing depends on itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Graph {
    nodes: BTreeMap<GeneratorId, Node>,
}

/// Something that is wrong with the generators of a fleet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GraphProblem {
    /// A name would leave its folder.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// A dependency is not declared.
    #[error("generator {id} depends on `{dependency}`, which {machine} does not declare")]
    MissingDependency {
        /// Whose.
        id: GeneratorId,
        /// The missing one.
        dependency: String,
        /// The machine that would have to declare it.
        machine: String,
    },
    /// A shared generator would be made of one machine's values.
    #[error(
        "generator {id} depends on `{dependency}`, which is not shared: the values of one machine cannot make those of all"
    )]
    SharedOnMachine {
        /// Whose.
        id: GeneratorId,
        /// The one that is not shared.
        dependency: String,
    },
    /// Generators depend on each other.
    #[error("generators depend on each other: {}", path.iter().map(ToString::to_string).collect::<Vec<_>>().join(" → "))]
    Cycle {
        /// The way around; the first stands at the end again.
        path: Vec<GeneratorId>,
    },
    /// Two machines declare a shared generator differently.
    #[error("machines {first} and {second} declare the shared generator `{name}` differently: {what}")]
    Differs {
        /// The generator.
        name: String,
        /// One machine.
        first: String,
        /// The other.
        second: String,
        /// In what.
        what: &'static str,
    },
}

/// Everything that is wrong with the generators of a fleet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct GraphProblems(pub Vec<GraphProblem>);

impl fmt::Display for GraphProblems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("; "))
    }
}

impl Graph {
    /// The graph of what a fleet declares.
    ///
    /// # Errors
    /// [`GraphProblems`]: all of them.
    pub fn new(fleet: &FleetGenerators) -> Result<Self, GraphProblems> {
        let mut problems = Vec::new();
        let mut nodes: BTreeMap<GeneratorId, Node> = BTreeMap::new();
        for (machine, generators) in &fleet.machines {
            for (name, generator) in generators {
                let id = id_of(machine, name, generator);
                problems.extend(bad_names(&id, generator));
                let dependencies = dependencies(machine, &id, generator, generators, &mut problems);
                let node = nodes.entry(id).or_insert_with(|| Node {
                    definition: generator.clone(),
                    machines: Vec::new(),
                    deploy: BTreeMap::new(),
                    dependencies: BTreeSet::new(),
                });
                if let Some(first) = node.machines.first()
                    && let Some(what) = difference(&node.definition, generator)
                {
                    problems.push(GraphProblem::Differs {
                        name: name.clone(),
                        first: first.clone(),
                        second: machine.clone(),
                        what,
                    });
                }
                node.machines.push(machine.clone());
                node.dependencies.extend(dependencies);
                for (file, facts) in &generator.files {
                    let readers = node.deploy.entry(file.clone()).or_default();
                    if facts.deploy {
                        readers.insert(machine.clone());
                    }
                }
            }
        }
        let graph = Self { nodes };
        problems.extend(graph.cycle().map(|path| GraphProblem::Cycle { path }));
        problems.dedup();
        if problems.is_empty() {
            Ok(graph)
        } else {
            Err(GraphProblems(problems))
        }
    }

    /// One generator.
    pub fn get(&self, id: &GeneratorId) -> Option<&Node> {
        self.nodes.get(id)
    }

    /// All generators, ordered.
    pub fn iter(&self) -> impl Iterator<Item = (&GeneratorId, &Node)> {
        self.nodes.iter()
    }

    /// The generator that `machine` declares under `name`.
    pub fn of(&self, machine: &str, name: &str) -> Option<(&GeneratorId, &Node)> {
        [GeneratorId::of_machine(machine, name), GeneratorId::shared(name)]
            .iter()
            .filter_map(|id| self.nodes.get_key_value(id))
            .find(|(_, node)| node.machines.iter().any(|known| known == machine))
    }

    /// Those that depend on `id` directly.
    pub(super) fn dependents<'a>(&'a self, id: &'a GeneratorId) -> impl Iterator<Item = &'a GeneratorId> {
        self.nodes
            .iter()
            .filter(move |(_, node)| node.dependencies.contains(id))
            .map(|(dependent, _)| dependent)
    }

    /// `chosen` in an order in which each comes after what it depends on; the smallest first where several could.
    pub(super) fn ordered(&self, chosen: &BTreeSet<GeneratorId>) -> Vec<GeneratorId> {
        let mut left = chosen.clone();
        let mut order = Vec::new();
        while let Some(next) = left
            .iter()
            .find(|id| {
                self.nodes
                    .get(*id)
                    .is_none_or(|node| node.dependencies.is_disjoint(&left))
            })
            .cloned()
        {
            left.remove(&next);
            order.push(next);
        }
        order
    }

    /// One way around, if there is any.
    fn cycle(&self) -> Option<Vec<GeneratorId>> {
        let mut left: BTreeSet<_> = self.nodes.keys().cloned().collect();
        for id in self.ordered(&left) {
            left.remove(&id);
        }
        // Each of those that are left depends on another of them: following leads around.
        let mut path = vec![left.first()?.clone()];
        loop {
            let last = path.last()?;
            let next = self
                .nodes
                .get(last)?
                .dependencies
                .intersection(&left)
                .next()?
                .clone();
            if let Some(start) = path.iter().position(|id| *id == next) {
                path.push(next);
                return Some(path.split_off(start));
            }
            path.push(next);
        }
    }
}

fn id_of(machine: &str, name: &str, generator: &Generator) -> GeneratorId {
    if generator.share {
        GeneratorId::shared(name)
    } else {
        GeneratorId::of_machine(machine, name)
    }
}

fn bad_names(id: &GeneratorId, generator: &Generator) -> Vec<GraphProblem> {
    let files = generator.files.keys().chain(generator.prompts.keys());
    std::iter::once(id.check())
        .chain(files.map(|name| check_name(NameKind::File, name)))
        .filter_map(|checked| checked.err().map(GraphProblem::Name))
        .collect()
}

fn dependencies(
    machine: &str,
    id: &GeneratorId,
    generator: &Generator,
    generators: &BTreeMap<String, Generator>,
    problems: &mut Vec<GraphProblem>,
) -> BTreeSet<GeneratorId> {
    let mut found = BTreeSet::new();
    for dependency in &generator.dependencies {
        let Some(declared) = generators.get(dependency) else {
            problems.push(GraphProblem::MissingDependency {
                id: id.clone(),
                dependency: dependency.clone(),
                machine: machine.to_owned(),
            });
            continue;
        };
        let target = id_of(machine, dependency, declared);
        if id.placement == Placement::Shared && target.placement != Placement::Shared {
            problems.push(GraphProblem::SharedOnMachine {
                id: id.clone(),
                dependency: dependency.clone(),
            });
            continue;
        }
        found.insert(target);
    }
    found
}

/// In what two definitions of a shared generator differ, who may read aside.
fn difference(one: &Generator, other: &Generator) -> Option<&'static str> {
    let files = |generator: &Generator| -> Vec<(String, bool)> {
        let files = generator.files.iter();
        files.map(|(name, file)| (name.clone(), file.secret)).collect()
    };
    let sorted =
        |generator: &Generator| -> BTreeSet<String> { generator.dependencies.iter().cloned().collect() };
    if files(one) != files(other) {
        Some("files")
    } else if one.prompts != other.prompts {
        Some("prompts")
    } else if sorted(one) != sorted(other) {
        Some("dependencies")
    } else if one.validation_hash != other.validation_hash {
        Some("validation")
    } else {
        None
    }
}
