//! `reconcile vars`: the fleet's generated values, one file a subcommand. Only names them.

mod args;
mod decrypt;

pub(super) use args::VarsVerb;
pub(super) use decrypt::DecryptError;

use super::context::Context;
use super::failure::CliError;
use crate::exit::Outcome;

pub(super) fn run(context: &Context, verb: &VarsVerb) -> Result<Outcome, CliError> {
    match verb {
        VarsVerb::Decrypt(options) => decrypt::run(context, options),
    }
}
