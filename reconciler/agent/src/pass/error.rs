//! Everything a pass can end with besides success, each with its outcome, its findings and its hint.
//!
//! The one exhaustive match from errors to exit codes is here.

use crate::class::{IdentifyError, NoRoom, NoSpecialisation, Obstacle};
use crate::drift::Item;
use crate::durable::DurableError;
use crate::exit::Outcome;
use crate::journal::JournalError;
use crate::nix::{
    AddSourceError, BuildError, EvaluateError, ProfileError, PublishedError, RootError, ToolError,
};
use crate::source::{FetchError, MirrorError, PollError, TreeError, TrustError};
use crate::text;
use crate::transaction::{CarryError, Failure};
use camino::Utf8PathBuf;
use jiff::Timestamp;
use nix_daemon_client::{ConnectError, StorePathError};
use reconciler_policies::{DocumentError, PolicyError};
use reconciler_vars::sops_nix::{ManifestError, ManifestFinding};
use reconciler_vars::{
    AccountsError, BackingError, IdentityProblem, InstallError, PreflightError, RequirementsError,
};

/// Why a pass did not converge.
#[derive(Debug, thiserror::Error)]
pub enum PassError {
    /// The remote did not answer.
    #[error(transparent)]
    Poll(#[from] PollError),
    /// The commits did not come.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The mirror cannot be read.
    #[error("cannot read the mirror of the fleet")]
    Mirror(#[from] MirrorError),
    /// A revision that a person named is not in the fleet.
    #[error("cannot find {name} in the fleet")]
    Revision {
        /// What was named.
        name: String,
        /// Why.
        #[source]
        source: MirrorError,
    },
    /// The branch is not trusted.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// Nix is not there.
    #[error("Nix cannot be used")]
    Tool(#[from] ToolError),
    /// The nix-daemon does not answer.
    #[error("cannot reach the nix-daemon")]
    Daemon(#[from] ConnectError),
    /// The fleet's tree did not get into the store.
    #[error(transparent)]
    Source(#[from] AddSourceError),
    /// The entry cannot be evaluated.
    #[error("cannot evaluate {machine} at {}", text::commit(revision))]
    Evaluate {
        /// The machine.
        machine: String,
        /// The commit.
        revision: String,
        /// Why.
        #[source]
        source: EvaluateError,
    },
    /// The fleet's files cannot be read.
    #[error("cannot read the files of the fleet")]
    Tree(#[source] TreeError),
    /// The fleet publishes nothing for this machine at this commit.
    #[error("{} is not published for {machine}", text::commit(revision))]
    Published {
        /// The machine.
        machine: String,
        /// The commit.
        revision: String,
        /// Why.
        #[source]
        source: PublishedError,
    },
    /// A generation was recorded with a class that this version does not know.
    #[error("{machine} was of class {class}, which this version does not know")]
    Class {
        /// The machine.
        machine: String,
        /// The class.
        class: String,
    },
    /// The machine is not what its generation says.
    #[error("{machine} drifted from generation {generation}: {}", text::count(items.len(), "difference"))]
    Drifted {
        /// The machine.
        machine: String,
        /// The generation.
        generation: u64,
        /// What is not as it says.
        items: Vec<Item>,
    },
    /// The entry is for another system.
    #[error("{machine} is declared for {declared}, and this machine is {host}")]
    System {
        /// The machine.
        machine: String,
        /// What the entry says.
        declared: String,
        /// What this is.
        host: &'static str,
    },
    /// The policies contradict each other.
    #[error("the policy cannot be used")]
    Policy(#[from] PolicyError),
    /// The first policy that this machine ever saw cannot be read.
    #[error("cannot read reconciler.toml, and there is no earlier policy to stay with")]
    PolicyDocument(#[from] DocumentError),
    /// The first policy that this machine ever saw is no file.
    #[error("cannot read reconciler.toml, and there is no earlier policy to stay with")]
    PolicyFile(#[source] TreeError),
    /// What was recorded of a generation's secrets cannot be read.
    #[error("cannot read which secrets were recorded; a newer agent may have written it")]
    Recorded(#[source] serde_json::Error),
    /// What the entry says of its secrets makes no sense.
    #[error("cannot tell which secrets {machine} needs")]
    Requirements {
        /// The machine.
        machine: String,
        /// Why.
        #[source]
        source: RequirementsError,
    },
    /// Secrets are missing or do not open.
    #[error("{}; nothing was built or changed", preflight_summary(.0))]
    Preflight(PreflightError),
    /// What the system just built would install does not open.
    #[error("{} of the system just built would not be installed; nothing was changed", text::count(findings.len(), "secret"))]
    Manifests {
        /// What would not.
        findings: Vec<ManifestFinding>,
        /// The keys that could not be used for it.
        unusable: Vec<IdentityProblem>,
    },
    /// A manifest of the system just built cannot be read.
    #[error("the system just built installs no secrets at all; nothing was changed")]
    Manifest(#[source] ManifestError),
    /// The system's own sops-nix and the agent would install at one place.
    #[error(
        "the system just built has sops-nix install its secrets in {place}, where the agent installs those of the fleet; nothing was changed"
    )]
    TwoInstallers {
        /// The place.
        place: Utf8PathBuf,
    },
    /// The build failed.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The toplevel is none.
    #[error(transparent)]
    Identify(#[from] IdentifyError),
    /// Something on this host stands in the way of the toplevel.
    #[error("{} in the way of what was built; nothing was changed", things(.0.len()))]
    Obstacles(Vec<Obstacle>),
    /// It has no such specialisation.
    #[error(transparent)]
    Specialisation(#[from] NoSpecialisation),
    /// The boot loader could not have it.
    #[error("{0}; nothing was changed")]
    BootRoom(NoRoom),
    /// It is the boot default and waits for a reboot.
    #[error("{} is staged and runs after the next reboot: {}", text::commit(revision), reasons.join(", "))]
    Staged {
        /// The commit.
        revision: String,
        /// Why nothing else reaches it.
        reasons: Vec<String>,
    },
    /// The toplevel could not be protected.
    #[error(transparent)]
    Root(#[from] RootError),
    /// A gate holds it.
    #[error("{reason}")]
    Held {
        /// The gate.
        gate: String,
        /// Why.
        reason: String,
        /// Until when, if it ends by itself.
        until: Option<Timestamp>,
    },
    /// There is no ramdisk for the secrets.
    #[error("there is no place to keep secrets that does not outlive a power cut")]
    Backing(#[from] BackingError),
    /// Users and groups cannot be looked up.
    #[error(transparent)]
    Accounts(#[from] AccountsError),
    /// The secrets could not be laid down.
    #[error("cannot lay down the secrets; the old ones stay in force")]
    Install(#[from] InstallError),
    /// The generation to go back to is gone.
    #[error("generation {number} cannot be gone back to: {} is no longer in the store", text::store_path(toplevel.as_str()))]
    GenerationGone {
        /// Its number.
        number: u64,
        /// Its store path.
        toplevel: Utf8PathBuf,
    },
    /// The profile's old links could not be taken away.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// The generation to go back to is gone, and nobody has it.
    #[error("generation {number} cannot be gone back to: {} was collected, and no substituter has it", text::store_path(toplevel.as_str()))]
    GenerationCollected {
        /// Its number.
        number: u64,
        /// Its commit.
        revision: String,
        /// Its store path.
        toplevel: Utf8PathBuf,
        /// What the daemon said.
        #[source]
        source: nix_daemon_client::Error,
    },
    /// A recorded generation's store path is none.
    #[error("the recorded toplevel is no path of the store")]
    StorePath(#[from] StorePathError),
    /// The daemon could not be asked about it.
    #[error("cannot ask the nix-daemon about {path}")]
    Ask {
        /// The path.
        path: Utf8PathBuf,
        /// Why.
        #[source]
        source: nix_daemon_client::Error,
    },
    /// What the homes run could not be packed.
    #[error("cannot record what the homes run")]
    Homes(#[source] nix_daemon_client::nar::Error),
    /// The journal failed.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A file of the agent could not be written.
    #[error(transparent)]
    Durable(#[from] DurableError),
    /// The transaction could not be carried on.
    #[error("the transaction stopped where it was, and goes on at the next pass")]
    Carry(#[source] CarryError),
    /// The activation failed and the machine is back.
    #[error("{} was reverted: {failure}", text::commit(revision))]
    Reverted {
        /// The commit.
        revision: String,
        /// Why.
        failure: Failure,
        /// The end of what the activation wrote.
        log: Vec<String>,
        /// When it is tried again by itself.
        again: Option<Timestamp>,
        /// What the machine is back on.
        back_on: Option<String>,
    },
    /// Another switch runs.
    #[error("another switch is running; nothing was changed")]
    SwitchRunning,
    /// Another switch came in between.
    #[error("the activation was given up, and {}: {failure}", match failure {
        Failure::Overtaken { .. } => "what runs now stays",
        _ => "the machine is back on what it ran",
    })]
    SwitchBetween {
        /// What happened.
        failure: Failure,
        /// When it is tried again by itself, if not at the next poll.
        again: Option<Timestamp>,
    },
    /// The machine is not back.
    #[error(
        "{} failed ({failure}), and so did the way back: {revert}",
        text::commit(revision)
    )]
    RevertFailed {
        /// The commit.
        revision: String,
        /// Why it turned back.
        failure: Failure,
        /// Why the way back failed.
        revert: Failure,
        /// What a person has to run.
        command: Option<String>,
        /// The end of what the activation wrote.
        log: Vec<String>,
    },
}

impl PassError {
    /// The outcome, and with it the exit code.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self {
            PassError::Poll(_) | PassError::Fetch(_) => Outcome::FetchFailed,
            PassError::Revision { .. } => Outcome::Usage,
            PassError::Trust(_) => Outcome::Refused,
            PassError::Tool(_)
            | PassError::Daemon(_)
            | PassError::Source(_)
            | PassError::Evaluate { .. }
            | PassError::Tree(_)
            | PassError::Class { .. }
            | PassError::System { .. }
            | PassError::Policy(_)
            | PassError::PolicyDocument(_)
            | PassError::PolicyFile(_) => Outcome::EvaluationFailed,
            PassError::Published { source, .. } if source.is_waiting() => Outcome::Held,
            PassError::Published { .. } => Outcome::EvaluationFailed,
            PassError::Requirements { .. }
            | PassError::Preflight(_)
            | PassError::Manifests { .. }
            | PassError::Manifest(_)
            | PassError::TwoInstallers { .. }
            | PassError::Obstacles(_) => Outcome::PreflightFailed,
            PassError::Build(_)
            | PassError::Identify(_)
            | PassError::Specialisation(_)
            | PassError::Root(_) => Outcome::BuildFailed,
            PassError::Held { .. } | PassError::Staged { .. } => Outcome::Held,
            PassError::Drifted { .. } => Outcome::Drift,
            PassError::Reverted { .. } => Outcome::Reverted,
            PassError::RevertFailed { .. } => Outcome::RevertFailed,
            PassError::SwitchRunning | PassError::SwitchBetween { .. } => Outcome::Busy,
            PassError::Mirror(_)
            | PassError::Backing(_)
            | PassError::Accounts(_)
            | PassError::Install(_)
            | PassError::Recorded(_)
            | PassError::BootRoom(_)
            | PassError::Profile(_)
            | PassError::GenerationGone { .. }
            | PassError::GenerationCollected { .. }
            | PassError::StorePath(_)
            | PassError::Ask { .. }
            | PassError::Homes(_)
            | PassError::Journal(_)
            | PassError::Durable(_)
            | PassError::Carry(_) => Outcome::Failed,
        }
    }

    /// Lines below the sentence: findings, the end of a log, Nix's trace.
    #[must_use]
    pub fn details(&self) -> Vec<String> {
        match self {
            PassError::Evaluate { source, .. } => source
                .trace()
                .map(|trace| trace.trim_end().lines().map(str::to_owned).collect())
                .unwrap_or_default(),
            PassError::Preflight(PreflightError::Findings(findings)) => {
                findings.0.iter().map(ToString::to_string).collect()
            }
            PassError::Preflight(PreflightError::NoIdentity { problems, .. }) => {
                problems.0.iter().map(ToString::to_string).collect()
            }
            PassError::Manifests { findings, unusable } => {
                let mut lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
                for problem in unusable.iter().map(ToString::to_string) {
                    if !lines.contains(&problem) {
                        lines.push(problem);
                    }
                }
                lines
            }
            PassError::Obstacles(obstacles) => obstacles.iter().map(ToString::to_string).collect(),
            PassError::Drifted { items, .. } => items.iter().map(ToString::to_string).collect(),
            PassError::Build(BuildError::Failed {
                drv, evidence, log, ..
            }) => std::iter::once(drv).chain(evidence).chain(log).cloned().collect(),
            PassError::Build(BuildError::NotFetched { log, .. })
            | PassError::Reverted { log, .. }
            | PassError::RevertFailed { log, .. } => log.clone(),
            _ => Vec::new(),
        }
    }
}

fn things(number: usize) -> String {
    let verb = if number == 1 { "is" } else { "are" };
    format!("{} {verb}", text::count(number, "thing"))
}

fn preflight_summary(error: &PreflightError) -> String {
    match error {
        PreflightError::Findings(findings) => {
            let number = findings.0.len();
            let verb = if number == 1 { "is" } else { "are" };
            let is_stale = |finding: &reconciler_vars::Finding| {
                matches!(finding.reason, reconciler_vars::FindingReason::Stale { .. })
            };
            if findings.0.iter().any(is_stale) {
                return format!(
                    "{} {verb} missing, stale, or cannot be opened by this machine",
                    text::count(number, "value")
                );
            }
            format!(
                "{} {verb} missing or cannot be opened by this machine",
                text::count(number, "secret")
            )
        }
        PreflightError::NoIdentity { needed, .. } => {
            format!(
                "no key of this machine can be read, and it needs {}",
                text::count(*needed, "secret")
            )
        }
        PreflightError::NotPullable { needed, store, .. } => {
            format!(
                "this machine needs {}, and its secret store `{store}` keeps none in the repository",
                text::count(*needed, "secret")
            )
        }
        PreflightError::Name(_) | PreflightError::Tree(_) => error.to_string(),
    }
}
