//! `reconcile secrets`: the installed secrets of this machine. Never shows one.

use super::args::{RestoreOptions, SecretsVerb};
use super::context::{Context, block_on};
use super::failure::CliError;
use super::page;
use crate::daemon::{Lock, LockError};
use crate::exit::Outcome;
use crate::pass::{Moment, Restored, restore_at_boot};
use crate::text;
use std::time::Duration;

pub(super) fn run(context: &Context, verb: &SecretsVerb) -> Result<Outcome, CliError> {
    match verb {
        SecretsVerb::Restore(options) => restore(context, options),
    }
}

fn restore(context: &Context, options: &RestoreOptions) -> Result<Outcome, CliError> {
    let settings = context.settings()?;
    if !settings.paths.journal().exists() {
        page::text("no generation is recorded here: there are no secrets to restore\n")?;
        return Ok(Outcome::Converged);
    }
    let moment = if options.before_accounts {
        Moment::BeforeAccounts
    } else {
        Moment::BeforeServices
    };
    // A pass sees to the secrets itself, and this may be part of its activation.
    let _turn = match block_on(Lock::turn(&settings.paths.state, Duration::ZERO))? {
        Err(LockError::Held) => {
            page::text("a pass is running: it sees to the secrets\n")?;
            return Ok(Outcome::Converged);
        }
        turn => turn?,
    };
    let restored = restore_at_boot(&settings, &context.environment, moment)?;
    page::text(&match restored {
        Restored::Nothing => "no secrets of the agent are recorded\n".to_owned(),
        Restored::There => "the recorded secrets are in force\n".to_owned(),
        Restored::InForce { generation, secrets } => {
            let verb = if secrets == 1 { "is" } else { "are" };
            format!(
                "{} of generation {generation} {verb} in force\n",
                text::count(secrets, "secret")
            )
        }
    })?;
    Ok(Outcome::Converged)
}
