//! What a person can do about each way in which a pass ends. It must never promise what the pass does not do.

use super::PassError;
use crate::class::Obstacle;
use crate::drift::Item;
use crate::journal::JournalError;
use crate::nix::{BuildError, EvaluateError, UnusableEntry};
use crate::source::FetchError;
use crate::text;
use reconciler_vars::sops_nix::ManifestFinding;
use reconciler_vars::{IdentityProblem, PreflightError};

impl PassError {
    /// What to do, where that is known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let text = |text: &str| Some(text.to_owned());
        match self {
            PassError::Poll(error) => error.failures.0.iter().find_map(|failure| failure.error.hint()),
            PassError::Fetch(FetchError::Urls(failures)) => {
                failures.0.iter().find_map(|failure| failure.error.hint())
            }
            PassError::Trust(_) => text(
                "if the branch was rewritten on purpose, pin the commit with `reconcile pin`, or set `trust.history = \"any\"`",
            ),
            PassError::Tool(error) => text(error.hint()),
            PassError::Published { source, .. } => source.hint(),
            PassError::Build(BuildError::Failed { drv, log, .. }) if !log.is_empty() => {
                Some(format!("`nix log {drv}` shows all that its builder said"))
            }
            PassError::Build(BuildError::NotFetched { .. }) => text(
                "is it in a cache that the nix-daemon asks (`substituters`), signed by a key that it trusts (`trusted-public-keys`)?",
            ),
            PassError::Evaluate {
                source: EvaluateError::ImportForbidden { .. },
                ..
            } => text("set `nix.import_from_derivation = true` to let evaluations build"),
            PassError::Evaluate {
                source: EvaluateError::Home(_),
                ..
            } => text("see `nix.access_tokens_file`, `nix.netrc` and `nix.ssh_key` in the configuration"),
            PassError::Daemon(_) => text("is the nix-daemon running, and is `nix.daemon` its socket?"),
            PassError::Evaluate {
                source: EvaluateError::Unusable(unusable),
                ..
            } => match unusable {
                UnusableEntry::NoFlake { .. } => {
                    text("set `fleet.directory` to the folder that has flake.nix")
                }
                UnusableEntry::Unlocked { .. } => {
                    text("run `nix flake lock` in the fleet, commit flake.lock and push")
                }
                UnusableEntry::NoMachine { machines, .. } => machines.first().map(|closest| {
                    format!(
                        "set `machine = \"{closest}\"` if that is this machine, or declare it in the fleet"
                    )
                }),
                UnusableEntry::NoToplevel { .. } | UnusableEntry::NotADerivation { .. } => None,
            },
            PassError::Evaluate {
                source: EvaluateError::OutOfMemory { .. },
                ..
            } => text("raise `policy.evaluation_memory`, if the machine has that much"),
            PassError::Evaluate {
                source: EvaluateError::TooSlow { .. },
                ..
            } => text("raise `policy.evaluation_timeout`, if the fleet needs that long"),
            PassError::Preflight(PreflightError::Findings(findings)) => {
                findings.0.first().map(reconciler_vars::Finding::hint)
            }
            PassError::Preflight(PreflightError::NotPullable { .. }) => text(
                "set `clan.vars.settings.secretStore` to \"sops\" or \"age\" and migrate the values: what an agent \
                 pulls has to be in the repository",
            ),
            PassError::Preflight(PreflightError::NoIdentity { problems, .. }) => {
                let pressing = problems.0.iter().find(|problem| !problem.is_absence());
                match pressing {
                    Some(problem) => Some(problem.hint()),
                    None => text("`reconcile keys` shows where keys are looked for"),
                }
            }
            PassError::TwoInstallers { .. } => text(
                "set `paths.secrets` in the agent's configuration to a folder of its own, as /run/reconciler/secrets",
            ),
            PassError::Manifests { unusable, .. }
                if unusable
                    .iter()
                    .any(|problem| matches!(problem, IdentityProblem::Plugin { .. })) =>
            {
                text("add the plugin's package to `sops.age.plugins`: sops-nix looks for it there alone")
            }
            PassError::Manifests { findings, .. } => findings.iter().find_map(ManifestFinding::hint),
            PassError::Obstacles(obstacles) => obstacles.first().map(Obstacle::hint),
            PassError::Install(error) => text(error.hint()).filter(|hint| !hint.is_empty()),
            PassError::Journal(JournalError::Newer { .. }) => {
                text("a newer agent wrote it: run that one, or move the journal away to begin anew")
            }
            PassError::Journal(error) if error.is_full() => text("free some space in the state directory"),
            PassError::Durable(error) if error.is_full() => text("free some space in the state directory"),
            PassError::Held { gate, .. } if gate == "quarantine" => {
                text("push a fix, or `reconcile now --force` to try it again")
            }
            PassError::Held { gate, .. } if gate == "pin" => {
                text("`reconcile unpin` to follow the branch again")
            }
            PassError::Held { gate, .. } if gate == "drift" => {
                text("`reconcile drift` shows it all; `reconcile now --force` activates in spite of it")
            }
            PassError::Held { .. } => text("`reconcile now` to try it at once"),
            PassError::Drifted { items, .. } if items.iter().any(Item::is_foreign) => text(
                "`reconcile drift --correct --force` takes the place of what somebody activated; a new commit does, too",
            ),
            PassError::Drifted { items, .. } if items.iter().any(|item| item.kind.is_correctable()) => {
                text("`reconcile drift --correct` puts right what an activation can")
            }
            PassError::Staged { .. } => text(
                "`systemctl reboot` when it suits; what works then is confirmed, and what does not is taken back",
            ),
            PassError::BootRoom(_) => text(
                "remove what is not NixOS's from there, or keep fewer generations: `policy.keep_generations`",
            ),
            PassError::GenerationCollected { revision, .. } => Some(format!(
                "`reconcile pin {}` builds it again from its commit",
                text::commit(revision)
            )),
            PassError::SwitchBetween {
                again: Some(again), ..
            } => Some(format!(
                "it is tried again at {again}, or at once by `reconcile now`; `foreign_generation = \"hold\"` in the \
                 policy keeps what was switched to"
            )),
            PassError::SwitchRunning | PassError::SwitchBetween { .. } => {
                text("it is tried again at the next poll")
            }
            PassError::Reverted {
                again: Some(again), ..
            } => Some(format!(
                "it is tried once more at {again}, or at once by `reconcile now`"
            )),
            PassError::Reverted { .. } => {
                text("push a fix or a revert; this commit is not tried again by itself")
            }
            PassError::RevertFailed { command, .. } => command
                .as_ref()
                .map(|command| format!("run `{command}`, then push a fix")),
            _ => None,
        }
    }
}
