//! Bringing back the secrets of the recorded generation, when a boot took their ramdisk: at the beginning of a
//! pass, and early in the boot itself. Nothing is activated, and neither the remote nor an evaluation is needed.

use super::carrier::chain;
use super::in_force::{place, put_in_force, settle};
use super::secrets::{self, Vault};
use super::world::{WorldError, source_settings};
use super::{PassError, Reporter, World};
use crate::config::Settings;
use crate::exit::Outcome;
use crate::host::Environment;
use crate::journal::Journal;
use crate::source::{Revision, Source};
use crate::text;
use crate::transaction::Approach;
use reconciler_vars::{Findings, InstallError, Requirements, SecretsRoot, UnknownAccount, stage};

/// Puts the secrets of the generation in force again. All of them, or it is told: a commit to come may mend it, so
/// the pass goes on.
pub(super) fn in_a_pass(world: &World, report: &mut Reporter<'_>) -> Result<(), PassError> {
    let Some(recorded) = Recorded::find(&world.journal, &world.settings)? else {
        return Ok(());
    };
    let Recorded {
        generation,
        number,
        requirements,
        root,
        ..
    } = &recorded;
    let restore = || -> Result<bool, PassError> {
        if recorded.in_force() == Some(*number) {
            place(world.vault(), *number, requirements)?;
            settle(world.vault(), *number, requirements)?;
            return Ok(false);
        }
        put_in_force(world.vault(), *number, requirements)?;
        settle(world.vault(), *number, requirements)?;
        Ok(root.current() == Some(*number))
    };
    match restore() {
        Ok(false) => {}
        Ok(true) => report.note(format!(
            "the secrets of generation {generation} are in force again"
        )),
        Err(error) => report.note(format!(
            "the secrets of generation {generation} could not be put in force again: {}",
            chain(&error)
        )),
    }
    Ok(())
}

/// At which point of a boot secrets are restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Before the accounts of the system are made: an owner that is not there yet is no failure.
    BeforeAccounts,
    /// Before the services.
    BeforeServices,
}

/// What was found or done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restored {
    /// No generation with secrets of the agent is recorded.
    Nothing,
    /// They are in force already, or those that a running transaction put there are.
    There,
    /// They are in force now.
    InForce {
        /// The generation that they belong to.
        generation: u64,
        /// How many there are.
        secrets: usize,
    },
}

/// Why secrets are not all in force.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// None is, or those that were.
    #[error("the secrets of the recorded generation could not be put in force")]
    Pass(#[from] PassError),
    /// The fleet's source cannot be set up.
    #[error("the secrets of the recorded generation could not be looked for")]
    World(#[from] WorldError),
    /// Some are, or none.
    #[error("{}", incomplete(*.generation, *.opened, .findings.0.len()))]
    Incomplete {
        /// The generation that they belong to.
        generation: u64,
        /// How many are in force.
        opened: usize,
        /// What is wrong with the others.
        findings: Findings,
    },
    /// All are, some of them for root alone.
    #[error("secrets of generation {generation} are root's alone: their owner or group does not exist")]
    Accounts {
        /// The generation that they belong to.
        generation: u64,
        /// The accounts.
        accounts: Vec<UnknownAccount>,
    },
}

fn incomplete(generation: u64, opened: usize, failed: usize) -> String {
    let all = text::count(failed.saturating_add(opened), "secret");
    if opened == 0 {
        format!("none of the {all} of generation {generation} could be put in force")
    } else {
        format!("{failed} of the {all} of generation {generation} could not be put in force; the others are")
    }
}

impl RestoreError {
    /// The outcome, and with it the exit code.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self {
            RestoreError::Pass(error) => error.outcome(),
            RestoreError::World(_) => Outcome::Failed,
            RestoreError::Incomplete { .. } | RestoreError::Accounts { .. } => Outcome::PreflightFailed,
        }
    }

    /// Lines below the sentence: each secret with what is wrong with it.
    #[must_use]
    pub fn details(&self) -> Vec<String> {
        match self {
            RestoreError::Pass(error) => error.details(),
            RestoreError::World(_) => Vec::new(),
            RestoreError::Incomplete { findings, .. } => findings.0.iter().map(ToString::to_string).collect(),
            RestoreError::Accounts { accounts, .. } => accounts.iter().map(ToString::to_string).collect(),
        }
    }

    /// What to do, where that is known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            RestoreError::Pass(error) => error.hint(),
            RestoreError::World(_) => None,
            RestoreError::Incomplete { findings, .. } => {
                findings.0.first().map(reconciler_vars::Finding::hint)
            }
            RestoreError::Accounts { .. } => {
                Some("declare the account, or correct owner and group in the var's declaration".to_owned())
            }
        }
    }
}

/// Puts in force what can be had of the recorded generation's secrets, as a machine needs it that boots: where one
/// does not open, the others are there all the same.
///
/// What a running transaction put in force is left alone: this may be called by its own activation.
pub fn at_boot(
    settings: &Settings,
    environment: &Environment,
    moment: Moment,
) -> Result<Restored, RestoreError> {
    let journal = Journal::open_existing(&settings.paths.journal()).map_err(PassError::from)?;
    let Some(journal) = journal else {
        return Ok(Restored::Nothing);
    };
    let recorded = match Recorded::booted(&journal, settings)? {
        Some(waited) => Some(waited),
        None => Recorded::find(&journal, settings)?,
    };
    let Some(recorded) = recorded else {
        return Ok(Restored::Nothing);
    };
    let open = journal.open_transaction().map_err(PassError::from)?;
    if recorded.in_force().is_some() && open.is_some() {
        return Ok(Restored::There);
    }
    let source = Source::new(source_settings(settings, environment)?).map_err(WorldError::Source)?;
    let vault = Vault {
        settings,
        journal: &journal,
        source: &source,
    };
    if recorded.in_force() == Some(recorded.number) {
        place(vault, recorded.number, &recorded.requirements)?;
        recorded.settle(vault, recorded.number, &recorded.requirements, moment)?;
        return Ok(Restored::There);
    }
    recorded.restore(vault, moment)
}

/// The generation in force as it is recorded, with secrets of the agent.
struct Recorded {
    /// The generation's number.
    generation: u64,
    /// Its commit.
    revision: String,
    /// Its store path.
    toplevel: String,
    number: u64,
    requirements: Requirements,
    root: SecretsRoot,
}

impl Recorded {
    fn find(journal: &Journal, settings: &Settings) -> Result<Option<Recorded>, PassError> {
        let Some(generation) = journal.current_generation()? else {
            return Ok(None);
        };
        let Some(number) = generation.record.secrets else {
            return Ok(None);
        };
        let requirements = secrets::installed_of(generation.record.requirements.as_deref())?;
        Ok(Some(Recorded {
            root: secrets::root_of(&settings.paths, &requirements),
            generation: generation.number,
            revision: generation.record.revision,
            toplevel: generation.record.toplevel,
            number,
            requirements,
        }))
    }

    /// What waited for this boot, where it is what was booted: no generation yet, and its services start already.
    fn booted(journal: &Journal, settings: &Settings) -> Result<Option<Recorded>, PassError> {
        let Some(record) = journal.open_transaction()? else {
            return Ok(None);
        };
        let intent = record.intent;
        let booted = settings.paths.host("/run/booted-system").read_link_utf8().ok();
        let (true, Some(number)) = (booted.as_ref() == Some(&intent.toplevel), intent.secrets) else {
            return Ok(None);
        };
        if !matches!(intent.approach, Approach::Reboot { .. }) {
            return Ok(None);
        }
        let requirements = secrets::installed_of(intent.requirements.as_deref())?;
        Ok(Some(Recorded {
            root: secrets::root_of(&settings.paths, &requirements),
            generation: journal.next_generation()?,
            revision: intent.revision,
            toplevel: intent.toplevel.into_string(),
            number,
            requirements,
        }))
    }

    /// The number of what is in force.
    fn in_force(&self) -> Option<u64> {
        self.root.current().filter(|number| self.root.exists(*number))
    }

    fn restore(&self, vault: Vault<'_>, moment: Moment) -> Result<Restored, RestoreError> {
        let Recorded {
            requirements, root, ..
        } = self;
        let generation = self.generation;
        if root.exists(self.number) {
            root.switch_to(self.number).map_err(PassError::from)?;
            place(vault, self.number, requirements)?;
            self.settle(vault, self.number, requirements, moment)?;
            return Ok(Restored::There);
        }
        let revision = self.revision(vault)?;
        let salvaged = secrets::open_what_opens(vault, revision, requirements)?;
        let (opened, findings) = (salvaged.opened, salvaged.findings);
        let secrets = opened.len();
        root.ensure_ramfs().map_err(PassError::from)?;
        let accounts = secrets::accounts(vault.settings)?;
        if findings.0.is_empty() {
            stage(root, &opened, self.number, &accounts).map_err(PassError::from)?;
            put_in_force(vault, self.number, requirements)?;
            self.settle(vault, self.number, requirements, moment)?;
            return Ok(Restored::InForce { generation, secrets });
        }
        // Under a number of its own: it is not what was recorded, and every pass tries for that again.
        let already = self
            .in_force()
            .filter(|number| opened.same_as(root, *number, &accounts));
        if already.is_none() {
            let number = secrets::next_number(vault, root)?;
            stage(root, &opened, number, &accounts).map_err(PassError::from)?;
            root.switch_to(number).map_err(PassError::from)?;
            // What does not open today may lie on the disk since yesterday, and stays.
            let upload = vault
                .settings
                .paths
                .host(requirements.placement().upload_directory());
            root.place_activation(number, upload.as_std_path(), &[])
                .map_err(PassError::from)?;
            self.settle(vault, number, &opened.requirements(), moment)?;
        }
        Err(RestoreError::Incomplete {
            generation,
            opened: secrets,
            findings,
        })
    }

    fn revision(&self, vault: Vault<'_>) -> Result<Revision, PassError> {
        let mirror = vault.source.mirror()?;
        let oid = self.revision.parse().map_err(|_| PassError::GenerationGone {
            number: self.generation,
            toplevel: self.toplevel.clone().into(),
        })?;
        Ok(Revision::pinned(&mirror.commit(oid)?))
    }

    /// Gives what lies there to its owners; where some do not exist, that is told unless they are yet to be made.
    fn settle(
        &self,
        vault: Vault<'_>,
        number: u64,
        requirements: &Requirements,
        moment: Moment,
    ) -> Result<(), RestoreError> {
        match (settle(vault, number, requirements), moment) {
            (Ok(()), _)
            | (Err(PassError::Install(InstallError::UnknownAccounts(_))), Moment::BeforeAccounts) => Ok(()),
            (Err(PassError::Install(InstallError::UnknownAccounts(accounts))), Moment::BeforeServices) => {
                Err(RestoreError::Accounts {
                    generation: self.generation,
                    accounts,
                })
            }
            (Err(error), _) => Err(error.into()),
        }
    }
}
