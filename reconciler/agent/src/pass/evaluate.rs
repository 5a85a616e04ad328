//! One evaluation of this machine's entry: remembered if its answer is known, made if not.
//!
//! Two steps, so that secrets are checked before a toplevel is evaluated. Nothing is built here.

use super::{PassError, Reporter, World};
use crate::journal::Remembered;
use crate::nix::{
    self, Answered, Bound, Derivation, Entry, EvaluateError, Evaluator, EvaluatorHome, Given, Limits,
    Metadata, Nix, NixTools, Premises, Question, Scope, Seen, SourceTree, Step, UnusableEntry, read_answer,
};
use crate::source::{Oid, Revision};
use nix_daemon_client::Client;
use reconciler_policies::Policy;
use serde::de::DeserializeOwned;

/// An answer under this name says that a flake's folder is not enough for it.
const REACHES_OUT: &str = "reaches-out";

/// The evaluation of one revision.
#[derive(Debug)]
pub(super) struct Evaluation {
    revision: Revision,
    tools: NixTools,
    nix: Nix,
    configuration: String,
    /// Each scope that may be given, with the id of what it holds; the narrower first.
    scopes: Vec<(Scope, Oid)>,
    source: Option<SourceTree>,
    /// The folder alone, of which the evaluation failed.
    failed: Option<Oid>,
    trust: Trust,
    /// The commit at which both answers so far were given before.
    as_at: Option<String>,
}

/// Whether a remembered answer is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trust {
    Remembered,
    Anew,
}

/// What came of a step.
#[derive(Debug)]
pub(super) enum Stepped<T> {
    /// Its answer.
    Is(T),
    /// It cannot be had from the flake's folder alone: everything is asked again with the whole repository.
    ReachesOut,
}

impl Evaluation {
    /// Looks at what there is to evaluate, and by what.
    pub(super) async fn begin(world: &mut World, revision: Revision) -> Result<Evaluation, PassError> {
        let tools = world.tools()?;
        let nix = world.nix().await?;
        let mirror = world.source.mirror()?;
        let view = mirror.tree(revision.oid())?;
        let directory = &world.settings.fleet.directory;
        let mut scopes = Vec::new();
        for scope in Scope::of(directory) {
            match scope.tree(&view, directory) {
                Ok(tree) => scopes.push((*scope, tree)),
                // Without the folder there is no flake in it, which the evaluation says better.
                Err(_) if *scope == Scope::Directory => {}
                Err(source) => return Err(PassError::Tree(source)),
            }
        }
        let mut evaluation = Evaluation {
            revision,
            configuration: tools.configuration(),
            tools,
            nix,
            scopes,
            source: None,
            failed: None,
            trust: Trust::Remembered,
            as_at: None,
        };
        if evaluation.scopes.len() > 1 && evaluation.is_known_to_reach_out(world)? {
            evaluation.widen();
        }
        Ok(evaluation)
    }

    /// The commit at which this entry was evaluated, if that was another time.
    pub(super) fn as_at(&self) -> Option<&str> {
        self.as_at.as_deref()
    }

    /// Evaluates everything but the toplevel.
    pub(super) async fn entry(
        &mut self,
        world: &World,
        client: &mut Client,
        policy: &Policy,
        report: &mut Reporter<'_>,
    ) -> Result<Entry, PassError> {
        loop {
            match self
                .step::<Metadata>(world, client, policy, Step::Metadata, report)
                .await?
            {
                Stepped::Is(metadata) => return Ok(Entry::of(self.revision, metadata)),
                Stepped::ReachesOut => {}
            }
        }
    }

    /// Evaluates the toplevel, which writes its derivation to the store.
    pub(super) async fn toplevel(
        &mut self,
        world: &World,
        client: &mut Client,
        policy: &Policy,
        report: &mut Reporter<'_>,
    ) -> Result<Stepped<Derivation>, PassError> {
        self.step(world, client, policy, Step::Toplevel, report).await
    }

    /// From here on nothing that is remembered is taken: what it names is gone.
    pub(super) fn distrust(&mut self) {
        self.trust = Trust::Anew;
        self.as_at = None;
    }

    async fn step<T: DeserializeOwned + nix::Versioned>(
        &mut self,
        world: &World,
        client: &mut Client,
        policy: &Policy,
        step: Step<'static>,
        report: &mut Reporter<'_>,
    ) -> Result<Stepped<T>, PassError> {
        if let Some(known) = self.remembered(world, step)? {
            return Ok(Stepped::Is(known));
        }
        self.as_at = None;
        let settings = &world.settings;
        let (machine, revision) = (settings.machine.clone(), self.revision.to_string());
        let failing = |source| PassError::Evaluate {
            machine,
            revision,
            source,
        };
        let Some((scope, tree)) = self.scopes.first().copied() else {
            let directory = settings.fleet.directory.clone();
            return Err(failing(UnusableEntry::NoFlake { directory }.into()));
        };
        if scope == Scope::Directory && self.plainly_reaches_out(world)? {
            self.leave_folder(world, tree)?;
            return Ok(Stepped::ReachesOut);
        }
        let source = match &self.source {
            Some(source) => source.clone(),
            None => {
                let given = Given {
                    revision: self.revision,
                    directory: &settings.fleet.directory,
                    scope,
                };
                let source = nix::add_source(client, &world.source.settings().mirror, given).await?;
                self.source.insert(source).clone()
            }
        };
        let answered = self.ask::<T>(world, &source, policy, step, report).await;
        match answered {
            Ok(answered) if scope == Scope::Directory && answered.reads.repository == Seen::Yes => {
                self.leave_folder(world, tree)?;
                Ok(Stepped::ReachesOut)
            }
            Ok(answered) => {
                let bound = match answered.reads.commit {
                    Seen::No => Bound::Tree,
                    Seen::Yes => Bound::Commit(self.revision),
                };
                let key = self.premises(world).key(step, scope, tree, bound);
                let answer = Remembered {
                    answer: answered.json,
                    revision: self.revision.to_string(),
                };
                world.journal.remember_evaluation(&key, &answer)?;
                if let Some(tree) = self.failed.take() {
                    // The rest of the repository was what it lacked.
                    self.leave_folder(world, tree)?;
                }
                Ok(Stepped::Is(answered.value))
            }
            // What cannot be evaluated without the rest of the repository may be with it.
            Err(EvaluateError::Nix { .. } | EvaluateError::Unusable(_)) if scope == Scope::Directory => {
                self.failed = Some(tree);
                self.widen();
                Ok(Stepped::ReachesOut)
            }
            Err(source) => Err(failing(source)),
        }
    }

    async fn ask<T: DeserializeOwned + nix::Versioned>(
        &self,
        world: &World,
        source: &SourceTree,
        policy: &Policy,
        step: Step<'static>,
        report: &mut Reporter<'_>,
    ) -> Result<Answered<T>, EvaluateError> {
        let settings = &world.settings;
        // Gone with the evaluation, and the credentials with it.
        let home = EvaluatorHome::make(
            &world.evaluator_home(),
            &world.evaluator_cache(),
            world.evaluator,
            &settings.nix.credentials,
        )?;
        let evaluator = Evaluator {
            tools: &self.tools,
            nix: &self.nix,
            account: world.evaluator,
            home: &home,
            limits: Limits {
                time: policy.evaluation_timeout.get(),
                memory: policy.evaluation_memory.bytes(),
            },
            import_from_derivation: settings.nix.import_from_derivation,
        };
        let question = Question {
            directory: &settings.fleet.directory,
            machine: &settings.machine,
            step,
        };
        evaluator
            .ask(source, question, &mut |doing| report.doing(doing))
            .await
    }

    /// The answer to a step, where one was given that is as good as a new one.
    fn remembered<T: DeserializeOwned + nix::Versioned>(
        &mut self,
        world: &World,
        step: Step<'static>,
    ) -> Result<Option<T>, PassError> {
        if self.trust == Trust::Anew {
            return Ok(None);
        }
        let (directory, machine) = (&world.settings.fleet.directory, &world.settings.machine);
        for (index, (scope, tree)) in self.scopes.iter().enumerate() {
            for bound in [Bound::Tree, Bound::Commit(self.revision)] {
                let key = self.premises(world).key(step, *scope, *tree, bound);
                let Some(found) = world.journal.evaluation(&key)? else {
                    continue;
                };
                // One that cannot be read is given anew.
                if let Ok(answer) = read_answer(&found.answer, directory, machine) {
                    // Both steps are of one scope.
                    self.scopes.drain(..index);
                    self.as_at = Some(found.revision);
                    return Ok(Some(answer));
                }
            }
        }
        Ok(None)
    }

    fn premises<'a>(&'a self, world: &'a World) -> Premises<'a> {
        let settings = &world.settings;
        Premises {
            nix: self.nix.version(),
            configuration: &self.configuration,
            store: settings.nix.store.as_str(),
            import_from_derivation: settings.nix.import_from_derivation,
            directory: &settings.fleet.directory,
            machine: &settings.machine,
        }
    }

    fn is_known_to_reach_out(&self, world: &World) -> Result<bool, PassError> {
        let Some((Scope::Directory, tree)) = self.scopes.first() else {
            return Ok(false);
        };
        Ok(world.journal.evaluation(&self.outward(world, *tree))?.is_some())
    }

    fn plainly_reaches_out(&self, world: &World) -> Result<bool, PassError> {
        let mirror = world.source.mirror()?;
        let view = mirror.tree(self.revision.oid())?;
        nix::reaches_out(&view, &world.settings.fleet.directory).map_err(PassError::Tree)
    }

    /// The whole repository is given, and that it has to be is remembered.
    fn leave_folder(&mut self, world: &World, tree: Oid) -> Result<(), PassError> {
        let answer = Remembered {
            answer: REACHES_OUT.to_owned(),
            revision: self.revision.to_string(),
        };
        world
            .journal
            .remember_evaluation(&self.outward(world, tree), &answer)?;
        self.widen();
        Ok(())
    }

    /// The key under which it is remembered that a folder is not enough.
    fn outward(&self, world: &World, tree: Oid) -> String {
        let key = self
            .premises(world)
            .key(Step::Machines, Scope::Directory, tree, Bound::Tree);
        format!("{REACHES_OUT} {key}")
    }

    fn widen(&mut self) {
        if self.scopes.len() > 1 {
            self.source = None;
        }
        self.scopes.retain(|(scope, _)| *scope == Scope::Repository);
    }
}
