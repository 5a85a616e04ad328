//! `reconcile vars`: the fleet's generated values, one file a subcommand. Only names them.

mod admin;
mod args;
mod check;
mod decrypt;

pub(super) use admin::AdminError;
pub(super) use args::VarsVerb;
pub(super) use check::CheckError;
pub(super) use decrypt::DecryptError;

use super::context::Context;
use super::failure::CliError;
use crate::exit::Outcome;

pub(super) fn run(context: &Context, verb: &VarsVerb) -> Result<Outcome, CliError> {
    match verb {
        VarsVerb::Check(options) => check::run(context, options),
        VarsVerb::Decrypt(options) => decrypt::run(context, options),
        VarsVerb::List(options) => admin::list(context, options),
        VarsVerb::Get(options) => admin::get(context, options),
        VarsVerb::Set(options) => admin::set(context, options),
        VarsVerb::Generate(options) => admin::generate(context, options),
        VarsVerb::Rekey(options) => admin::rekey(context, options),
    }
}
