//! The program that sops-nix calls, under its name: `sops-install-secrets`, or `reconcile sops-install-secrets`.
//!
//! Its arguments, its output and its exit codes (0 or 1) are sops-nix's, and nothing of the agent's configuration
//! plays a part.

use super::context::block_on;
use super::page;
use crate::host::Environment;
use crate::process::{Command, Exit, locate};
use crate::secrets;
use reconciler_vars::sops_nix::{
    Action, Arguments, Call, CheckMode, Fatal, Host, Manifest, ManifestFinding, USAGE, UnitsError, UnitsVia,
    check, install, runtime_dir,
};
use reconciler_vars::{Accounts, Identities};
use std::error::Error;
use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// The name.
const NAME: &str = "sops-install-secrets";
/// Where NixOS keeps the lists of units for switch-to-configuration.
const LISTS: &str = "/run/nixos";
/// How long systemctl may take to put jobs into the queue: a call on D-Bus gives up after 25 s.
const LIMIT: Duration = Duration::from_secs(60);

/// A call by that name.
#[derive(Debug)]
pub(super) struct Named {
    /// How messages begin.
    program: String,
    arguments: Vec<OsString>,
}

/// Whether this process was called by that name, be it as its first word.
pub(super) fn called(words: impl IntoIterator<Item = OsString>) -> Option<Named> {
    let mut words = words.into_iter();
    let program = words.next()?;
    let is_named = Path::new(&program).file_name().is_some_and(|name| name == NAME);
    if is_named || words.next()? == NAME {
        return Some(Named {
            program: if is_named {
                program.to_string_lossy().into_owned()
            } else {
                NAME.to_owned()
            },
            arguments: words.collect(),
        });
    }
    None
}

/// Why nothing was installed.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Call(#[from] reconciler_vars::sops_nix::InvalidCall),
    #[error(transparent)]
    Manifest(#[from] reconciler_vars::sops_nix::ManifestError),
    #[error(transparent)]
    RuntimeDir(#[from] reconciler_vars::sops_nix::RuntimeDirError),
    #[error(transparent)]
    Accounts(#[from] reconciler_vars::AccountsError),
    #[error(transparent)]
    Install(#[from] Fatal),
}

/// systemctl could not do it.
#[derive(Debug, thiserror::Error)]
enum SystemctlError {
    #[error("there is no systemctl on the PATH")]
    Missing,
    #[error("{exit}: {said}")]
    Failed { exit: Exit, said: String },
}

/// Runs it.
pub(super) fn main(call: Named) -> ExitCode {
    let Named { program, arguments } = call;
    match run(&program, arguments) {
        Ok(code) => code,
        Err(failure) => {
            let mut text = failure.to_string();
            let mut cause = failure.source();
            while let Some(error) = cause {
                let said = error.to_string();
                // A transparent error repeats itself in its source.
                if !text.ends_with(&said) {
                    text.push_str(&format!(": {said}"));
                }
                cause = error.source();
            }
            say(&program, &text);
            if matches!(failure, Failure::Call(_)) {
                tell(USAGE);
            }
            ExitCode::FAILURE
        }
    }
}

fn run(program: &str, arguments: Vec<OsString>) -> Result<ExitCode, Failure> {
    let Arguments::Call(call) = Call::parse(arguments)? else {
        tell(USAGE);
        return Ok(ExitCode::SUCCESS);
    };
    let manifest = Manifest::read(&call.manifest)?;
    if call.check != CheckMode::Off {
        let findings = check(&manifest, call.check);
        name(program, &findings);
        return Ok(code(findings.is_empty()));
    }
    let manifest = match manifest.user_mode {
        true => {
            manifest.below_runtime_dir(&runtime_dir(std::env::var_os("XDG_RUNTIME_DIR").map(Into::into))?)
        }
        false => manifest,
    };
    let accounts = match manifest.user_mode {
        true => Accounts::unprivileged(),
        false => Accounts::system(Path::new("/"))?,
    };
    // sops-nix puts `sops.age.plugins` on the PATH.
    let plugins = secrets::plugins(&Environment::read());
    let (identities, _) = Identities::load_with(&manifest.identities(), &plugins);
    let is = |variable: &str, value: &str| std::env::var_os(variable).is_some_and(|found| found == value);
    let host = Host {
        is_dry: is("NIXOS_ACTION", "dry-activate"),
        // Set by sops-nix's units (modules/sops/default.nix).
        units: match is("SOPS_RESTART_UNITS_VIA_SYSTEMCTL", "1") {
            true => UnitsVia::Systemctl,
            false => UnitsVia::Lists,
        },
        lists: LISTS.into(),
    };
    let report = install(
        &manifest,
        &identities,
        &accounts,
        call.passwd,
        &host,
        &mut systemctl,
    )?;
    for note in &report.notes {
        say(program, note);
    }
    let lines: String = report.changes.iter().map(|line| format!("{line}\n")).collect();
    // Whoever reads the activation's output may be gone; the secrets are in force.
    let _ = page::text(&lines);
    name(program, &report.findings);
    for units in &report.units {
        let cause = units.source().map(ToString::to_string).unwrap_or_default();
        say(program, &format!("{units}: {cause}"));
    }
    Ok(code(report.is_complete()))
}

/// Puts the jobs into systemd's queue and waits for none of them: a unit that this runs before would wait for it.
fn systemctl(action: Action, units: &[String]) -> Result<(), UnitsError> {
    let environment = Environment::read();
    let program = locate("systemctl", &environment.folders).ok_or(SystemctlError::Missing)?;
    let command = Command::new(program, LIMIT)
        .args(["--no-block", action.verb(), "--"])
        .args(units)
        .env("PATH", environment.search_path());
    let finished = block_on(command.run(&mut |_| {}))??;
    match finished.exit {
        Exit::Code(0) => Ok(()),
        exit => Err(SystemctlError::Failed {
            exit,
            said: finished.stderr.trim().to_owned(),
        }
        .into()),
    }
}

fn code(is_complete: bool) -> ExitCode {
    if is_complete {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Names each finding; a hint that several have is told once.
fn name(program: &str, findings: &[ManifestFinding]) {
    let mut hints: Vec<String> = Vec::new();
    for finding in findings {
        say(program, &finding.to_string());
        hints.extend(finding.hint().filter(|hint| !hints.contains(hint)));
    }
    for hint in hints {
        say(program, &format!("hint: {hint}"));
    }
}

fn say(program: &str, text: &str) {
    tell(&format!("{program}: {text}\n"));
}

fn tell(text: &str) {
    // With standard error gone there is nobody left to tell.
    let _ = std::io::stderr().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_or_a_first_word() {
        let called = |line: &str| {
            let named = called(line.split(' ').map(OsString::from))?;
            Some((named.program, named.arguments.len()))
        };
        let name = || "sops-install-secrets".to_owned();
        assert_eq!(
            called("/s/bin/sops-install-secrets a b"),
            Some(("/s/bin/sops-install-secrets".to_owned(), 2))
        );
        assert_eq!(called("sops-install-secrets"), Some((name(), 0)));
        assert_eq!(called("reconcile sops-install-secrets -h"), Some((name(), 1)));
        assert_eq!(called("reconcile now sops-install-secrets"), None);
        assert_eq!(called("reconcile"), None);
    }
}
