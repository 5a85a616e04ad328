//! Evaluating every machine of one system once, for those that only fetch: what `reconcile publish` writes.

use super::entry::{Derivation, Machines, Metadata, Publishable, Versioned};
use super::evaluate::{Answered, Evaluator, Question, Step, read_answer};
use super::evaluate_error::EvaluateError;
use super::evaluation_log::Seen;
use super::published::{Published, PublishedMachine, VERSION};
use super::scope::{Scope, reaches_out};
use super::source_tree::{AddSourceError, Given, SourceTree, add_source};
use crate::source::{Mirror, MirrorError, Revision, TreeError};
use camino::Utf8PathBuf;
use nix_daemon_client::Client;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

/// A fleet that cannot be published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The repository cannot be read.
    #[error("cannot read the fleet's repository")]
    Mirror(#[from] MirrorError),
    /// Its files cannot be read.
    #[error("cannot read the files of the fleet")]
    Tree(#[from] TreeError),
    /// Its tree did not get into the store.
    #[error(transparent)]
    Source(#[from] AddSourceError),
    /// Its machines cannot be told.
    #[error("cannot tell which machines the fleet has")]
    Machines(#[source] EvaluateError),
}

/// What is published of which commit.
#[derive(Debug)]
pub struct Publisher<'a> {
    /// What evaluates.
    pub evaluator: Evaluator<'a>,
    /// The repository.
    pub repository: Utf8PathBuf,
    /// The flake's folder in it.
    pub directory: &'a str,
    /// The commit.
    pub revision: Revision,
    /// The system, as Nix names it.
    pub system: &'a str,
}

/// What came of a machine.
#[derive(Debug)]
pub enum Outcome {
    /// It is in the map; this is its derivation.
    Published(Derivation),
    /// It is of another system.
    OtherSystem,
    /// It cannot be evaluated, and is not in the map.
    Failed(EvaluateError),
}

impl Publisher<'_> {
    /// The ids of what an evaluation may be given, by scope.
    pub fn trees(&self) -> Result<BTreeMap<Scope, String>, PublishError> {
        let mirror = Mirror::of(&self.repository)?;
        let view = mirror.tree(self.revision.oid())?;
        Scope::of(self.directory)
            .iter()
            .map(|scope| Ok((*scope, scope.tree(&view, self.directory)?.to_string())))
            .collect()
    }

    /// Evaluates them all; `tell` hears of each machine that is begun, what is done for it, and what came of it.
    pub async fn publish(
        &self,
        client: &mut Client,
        tell: &mut (dyn FnMut(&str, Told<'_>) + Send),
    ) -> Result<Published, PublishError> {
        let mut sources = Sources {
            scopes: self.scopes()?,
            added: BTreeMap::new(),
        };
        let mut heard = |doing: &str| tell("", Told::Doing(doing));
        let (_, machines) = self
            .ask::<Machines>(client, &mut sources, "", Step::Machines, &mut heard)
            .await?
            .map_err(PublishError::Machines)?;
        let mut map = Published {
            version: VERSION,
            system: self.system.to_owned(),
            trees: self.trees()?,
            machines: BTreeMap::new(),
        };
        for machine in machines.value.machines {
            let step = Step::Published { system: self.system };
            let mut heard = |doing: &str| tell(&machine, Told::Doing(doing));
            let answered = self
                .ask::<Publishable>(client, &mut sources, &machine, step, &mut heard)
                .await?;
            let read = answered.and_then(|(scope, answered)| self.read(&machine, scope, answered.value));
            let outcome = match read {
                Ok(Some((published, derivation))) => {
                    map.machines.insert(machine.clone(), published);
                    Outcome::Published(derivation)
                }
                Ok(None) => Outcome::OtherSystem,
                Err(error) => Outcome::Failed(error),
            };
            tell(&machine, Told::Done(&outcome));
        }
        Ok(map)
    }

    fn scopes(&self) -> Result<Vec<Scope>, PublishError> {
        let mirror = Mirror::of(&self.repository)?;
        let view = mirror.tree(self.revision.oid())?;
        let mut scopes = Scope::of(self.directory).to_vec();
        if scopes.len() > 1 && reaches_out(&view, self.directory)? {
            scopes.retain(|scope| *scope == Scope::Repository);
        }
        Ok(scopes)
    }

    /// Asks in the narrowest scope that has an answer, as a machine does that evaluates itself.
    async fn ask<T: DeserializeOwned + Versioned>(
        &self,
        client: &mut Client,
        sources: &mut Sources,
        machine: &str,
        step: Step<'_>,
        heard: &mut (dyn FnMut(&str) + Send),
    ) -> Result<Result<(Scope, Answered<T>), EvaluateError>, PublishError> {
        let question = Question {
            directory: self.directory,
            machine,
            step,
        };
        if sources.scopes.contains(&Scope::Directory) {
            let source = self.source(client, sources, Scope::Directory).await?;
            match self.evaluator.ask::<T>(&source, question, heard).await {
                Ok(answered) if answered.reads.repository == Seen::Yes => {}
                Err(EvaluateError::Nix { .. } | EvaluateError::Unusable(_)) => {}
                answered => return Ok(answered.map(|answered| (Scope::Directory, answered))),
            }
        }
        let source = self.source(client, sources, Scope::Repository).await?;
        let answered = self.evaluator.ask(&source, question, heard).await;
        Ok(answered.map(|answered| (Scope::Repository, answered)))
    }

    async fn source(
        &self,
        client: &mut Client,
        sources: &mut Sources,
        scope: Scope,
    ) -> Result<SourceTree, PublishError> {
        if let Some(source) = sources.added.get(&scope) {
            return Ok(source.clone());
        }
        let given = Given {
            revision: self.revision,
            directory: self.directory,
            scope,
        };
        let source = add_source(client, &self.repository, given).await?;
        sources.added.insert(scope, source.clone());
        Ok(source)
    }

    fn read(
        &self,
        machine: &str,
        scope: Scope,
        answer: Publishable,
    ) -> Result<Option<(PublishedMachine, Derivation)>, EvaluateError> {
        if answer.toplevel.is_null() {
            return Ok(None);
        }
        // Read as the machine will read it: what it could not use is not published.
        read_answer::<Metadata>(&answer.metadata.to_string(), self.directory, machine)?;
        let derivation: Derivation = read_answer(&answer.toplevel.to_string(), self.directory, machine)?;
        if derivation.system != self.system {
            return Ok(None);
        }
        Ok(Some((
            PublishedMachine {
                scope,
                metadata: answer.metadata,
                toplevel: answer.toplevel,
            },
            derivation,
        )))
    }
}

/// What is told of a machine.
#[derive(Debug)]
pub enum Told<'a> {
    /// What Nix does for it.
    Doing(&'a str),
    /// What came of it.
    Done(&'a Outcome),
}

#[derive(Debug)]
struct Sources {
    scopes: Vec<Scope>,
    added: BTreeMap<Scope, SourceTree>,
}
