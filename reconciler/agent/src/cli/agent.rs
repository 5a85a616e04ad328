//! `reconcile agent`, and the runner that the agent starts for an activation.

use super::context::{Context, Detail, block_on};
use super::failure::CliError;
use crate::activation::serve_runner;
use crate::daemon::{serve, work};
use crate::exit::Outcome;
use camino::Utf8Path;
use std::path::PathBuf;
use tracing_subscriber::EnvFilter;

pub(super) fn run(context: &Context) -> Result<Outcome, CliError> {
    let level = match context.detail {
        Detail::Quiet => "warn",
        Detail::Normal => "info",
        Detail::Verbose => "debug",
    };
    // The journal stamps and colours lines itself.
    let under_systemd = std::env::var_os("JOURNAL_STREAM").is_some();
    let builder = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(format!(
            "{level},hyper=warn,reqwest=warn,rustls=warn"
        )))
        .with_target(false)
        .with_writer(std::io::stderr)
        .with_ansi(!under_systemd && std::io::IsTerminal::is_terminal(&std::io::stderr()));
    if under_systemd {
        builder.without_time().init();
    } else {
        builder.init();
    }
    block_on(async {
        serve(&context.station()?).await?;
        Ok(Outcome::Converged)
    })?
}

pub(super) fn runner(
    started: &Utf8Path,
    log: &Utf8Path,
    result: &Utf8Path,
    command: &[String],
) -> Result<Outcome, CliError> {
    let Some((program, arguments)) = command.split_first() else {
        return Ok(Outcome::Usage);
    };
    serve_runner(started, log, result, Utf8Path::new(program), arguments)?;
    Ok(Outcome::Converged)
}

/// Returns only where the program could not be started.
pub(super) fn turn_into(user: &str, uid: u32, gid: u32, command: &[String]) -> Result<Outcome, CliError> {
    let Some((program, arguments)) = command.split_first() else {
        return Ok(Outcome::Usage);
    };
    Err(CliError::Become {
        user: user.to_owned(),
        program: program.clone(),
        source: crate::host::become_person(user, uid, gid, program, arguments),
    })
}

pub(super) fn pass(context: &Context, program: Option<PathBuf>) -> Result<Outcome, CliError> {
    block_on(async {
        let mut world = context.world()?;
        if let Some(program) = program {
            world.program = program;
        }
        Ok(work(&mut world).await?)
    })?
}
