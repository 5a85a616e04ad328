//! The command line: arguments in, sentences and exit codes out. Decides nothing about a machine.

mod agent;
mod args;
mod bounds;
mod change;
mod context;
mod deadman;
mod diff;
mod drift;
mod failure;
mod generation;
mod history;
mod init;
mod keys;
mod live;
mod now;
mod page;
mod pin;
mod place;
mod plan;
mod probe_http;
mod progress;
mod publish;
mod reference;
mod revision;
mod rollback;
mod rows;
mod secrets;
mod sops_install_secrets;
mod status;
mod style;
mod vars;

use args::{Arguments, StatusOptions, Verb};
use clap::Parser;
use context::Context;
use failure::CliError;
use std::process::ExitCode;

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    crate::host::keep_to_itself();
    // Another program's command line: sops-nix calls this binary by that name.
    if let Some(call) = sops_install_secrets::called(std::env::args_os()) {
        return sops_install_secrets::main(call);
    }
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are answers, everything else is a usage error; clap tells which.
            let _ = error.print();
            return match error.exit_code() {
                0 => ExitCode::SUCCESS,
                _ => crate::exit::Outcome::Usage.into(),
            };
        }
    };
    // Before anything else: the transport is a stranger's data and gets nothing of the agent's.
    if let Some(Verb::GitTransport) = arguments.verb {
        return crate::source::serve_transport();
    }
    let style = style::Style::of(arguments.color);
    match run(arguments, style) {
        Ok(outcome) => outcome.into(),
        Err(error) => {
            error.print(style);
            error.outcome().into()
        }
    }
}

fn run(arguments: Arguments, style: style::Style) -> Result<crate::exit::Outcome, CliError> {
    let context = Context::new(&arguments, style);
    match arguments
        .verb
        .unwrap_or_else(|| Verb::Status(StatusOptions::default()))
    {
        Verb::Agent => agent::run(&context),
        Verb::Now(options) => now::run(&context, &options),
        Verb::Status(options) => status::run(&context, &options),
        Verb::History(options) => history::run(&context, &options),
        Verb::Pin(options) => pin::pin(&context, &options),
        Verb::Unpin => pin::unpin(&context),
        Verb::Plan(options) => plan::run(&context, &options),
        Verb::Diff(options) => diff::run(&context, &options),
        Verb::Drift(options) => drift::run(&context, &options),
        Verb::Rollback(options) => rollback::run(&context, &options),
        Verb::Keys(options) => keys::run(&context, &options),
        Verb::Secrets { verb } => secrets::run(&context, &verb),
        Verb::Vars { verb } => vars::run(&context, &verb),
        Verb::Init(options) => init::run(&context, &options),
        Verb::Publish(options) => publish::run(&context, &options),
        Verb::Reference { page } => reference::run(page),
        Verb::Become {
            user,
            uid,
            gid,
            command,
        } => agent::turn_into(&user, uid, gid, &command),
        Verb::ActivationRunner {
            started,
            log,
            result,
            command,
        } => agent::runner(&started, &log, &result, &command),
        Verb::Pass { program } => agent::pass(&context, program),
        Verb::Deadman(options) => deadman::run(&context, &options),
        Verb::ProbeHttp { url, status } => probe_http::run(&url, status),
        Verb::GitTransport => Ok(crate::exit::Outcome::Usage),
    }
}
