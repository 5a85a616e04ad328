//! The deadman: a process outside the agent that undoes a transaction which nobody confirms in time. Here it is
//! armed and disarmed; what it does then is a pass of its own (`recover.rs`).
//!
//! It must need nothing that the new toplevel could take away: its program is the previous generation's or a kept
//! copy of the running one, its configuration a copy, its deadline a time of the monotonic clock.

use super::carrier::chain;
use super::own_binary::{self, OwnBinaryError};
use super::{World, probes};
use crate::activation::{AtBoot, LaunchError, Launcher};
use crate::class::{Invocation, Surface};
use crate::durable::{self, DurableError, Lasting};
use crate::host::{self, Supervisor};
use crate::journal;
use crate::process::{Command, Exit};
use crate::transaction::{self, Intent};
use camino::{Utf8Path, Utf8PathBuf};
use reconciler_policies::Policy;
use std::time::Duration;

/// How long a program may take to say whether it can be a deadman.
const ASK_LIMIT: Duration = Duration::from_secs(10);
/// The name of the root that protects its program.
const ROOT: &str = "deadman";
/// The last of the configuration's fragments: what the host may be called otherwise by then.
const MACHINE: &str = "config.d/~machine.toml";

/// There is no deadman.
#[derive(Debug, thiserror::Error)]
pub(super) enum DeadmanError {
    /// The agent's own binary is nowhere.
    #[error(transparent)]
    Binary(#[from] OwnBinaryError),
    /// A file of its could not be written.
    #[error(transparent)]
    Durable(#[from] DurableError),
    /// The configuration could not be copied.
    #[error("cannot read {file}")]
    Configuration {
        /// The file.
        file: Utf8PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Its program could not be protected from the garbage collector.
    #[error(transparent)]
    Root(#[from] crate::nix::RootError),
    /// None of the programs that could be it answers.
    #[error("no program that could be it answers: {}", tried.join(", "))]
    NoProgram {
        /// Those that were tried.
        tried: Vec<String>,
    },
    /// It could not be started.
    #[error(transparent)]
    Launch(#[from] LaunchError),
}

/// Arms the deadman of a transaction, unless it is.
pub(super) async fn arm(
    world: &World,
    policy: &Policy,
    id: i64,
    intent: &Intent,
) -> Result<(), DeadmanError> {
    let folder = world.transaction_folder(id);
    let config = keep_configuration(world, &folder)?;
    let limit = policy.activation_timeout.get();
    let arguments = |until: Duration| {
        vec![
            "--config".to_owned(),
            config.to_string(),
            "deadman".to_owned(),
            format!("--transaction={id}"),
            format!("--until-ms={}", until.as_millis()),
            format!("--limit-s={}", limit.as_secs()),
            format!("--patience-ms={}", patience(policy).as_millis()),
        ]
    };
    // What ran before has what the way back needs, whatever the new toplevel has.
    let previous = intent
        .previous
        .as_ref()
        .map(|previous| format!("{}/sw/bin:", previous.toplevel));
    let path = format!(
        "{}{}",
        previous.unwrap_or_default(),
        world.environment.search_path()
    );
    let deadman = Invocation {
        program: program(world, intent).await?,
        arguments: arguments(host::monotonic().saturating_add(limit)),
        environment: vec![("PATH".to_owned(), path)],
        unit: unit(id),
    };
    if let Some(at_boot) = at_boot(world, id).filter(|_| Surface::of(intent.class).boots_what_it_left()) {
        let after_a_boot = Invocation {
            // That clock begins with the boot.
            arguments: arguments(limit),
            environment: [world.activation_environment(), deadman.environment.clone()].concat(),
            ..deadman.clone()
        };
        let what = format!("Undoes transaction {id} of the agent, if nobody confirms it after this boot");
        // An agent that works has as long as ever.
        let log = Launcher::deadman_log(&folder);
        if let Err(error) = at_boot.write(&what, &after_a_boot, limit, (&config, &log)) {
            tracing::warn!("no deadman would outlive a power cut: {}", chain(&error));
        }
    }
    Ok(world.launcher(limit).arm(&folder, &deadman).await?)
}

/// What does the same after a power cut, where no boot loader boots what ran before. One for each transaction of each
/// agent of a host, since a timer that was loaded goes on when its files are gone; none where systemd does not run the host,
/// or has its units from the store alone.
fn at_boot(world: &World, id: i64) -> Option<AtBoot> {
    let paths = &world.settings.paths;
    let state = paths.state.as_str().replace('/', "-");
    let name = format!("reconciler-deadman{state}-{id}");
    host::supervisor(&paths.root)
        .restarts_units()
        .then(|| AtBoot::named(&paths.root, &name))
        .filter(|unit| !unit.is_below(&world.settings.nix.store))
}

/// Disarms it: the transaction has ended.
pub(super) async fn disarm(world: &World, id: i64) {
    let folder = world.transaction_folder(id);
    if let Some(Err(error)) = at_boot(world, id).map(|unit| unit.remove()) {
        // When its time comes it finds nothing to undo.
        tracing::warn!("{}", chain(&error));
    }
    if is_itself(world, &folder) {
        return;
    }
    world.launcher(Duration::ZERO).disarm(&folder, &unit(id)).await;
}

/// Whether it is the deadman that is at work.
fn is_itself(world: &World, folder: &Utf8Path) -> bool {
    world.config.starts_with(folder)
}

fn unit(id: i64) -> String {
    format!("reconciler-deadman-{id}")
}

/// How long a transaction may stay at one step while somebody works on it: more than any step takes.
fn patience(policy: &Policy) -> Duration {
    // Waiting for somebody else's switch, then the activation, then its being gone.
    policy.activation_timeout.get() * 3 + probes::longest(policy)
}

/// A copy of the configuration: the new toplevel may bring one that cannot be read.
fn keep_configuration(world: &World, folder: &Utf8Path) -> Result<Utf8PathBuf, DeadmanError> {
    let read = |file: &Utf8Path| {
        std::fs::read(file).map_err(|source| DeadmanError::Configuration {
            file: file.to_owned(),
            source,
        })
    };
    let kept = folder.join("config.toml");
    durable::folder(folder, 0o700)?;
    durable::folder(&folder.join("config.d"), 0o700)?;
    durable::replace(&kept, &read(&world.config)?, 0o600, Lasting::Power)?;
    let fragments = world.config.with_file_name("config.d");
    for entry in fragments.read_dir_utf8().into_iter().flatten().flatten() {
        if entry.path().extension() == Some("toml") {
            let copy = folder.join("config.d").join(entry.file_name());
            durable::replace(&copy, &read(entry.path())?, 0o600, Lasting::Power)?;
        }
    }
    let machine = toml::Value::String(world.settings.machine.clone());
    let text = format!("machine = {machine}\n");
    durable::replace(&folder.join(MACHINE), text.as_bytes(), 0o600, Lasting::Power)?;
    Ok(kept)
}

/// The program it runs.
async fn program(world: &World, intent: &Intent) -> Result<Utf8PathBuf, DeadmanError> {
    let mut tried = Vec::new();
    // Protected from the garbage collector with what ran before.
    let previous = intent.previous.as_ref().and_then(|previous| {
        previous
            .toplevel
            .join("sw/bin/reconcile")
            .canonicalize_utf8()
            .ok()
    });
    if let Some(program) = previous {
        if can(&program).await {
            return Ok(program);
        }
        tried.push(program.to_string());
    }
    if host::supervisor(&world.settings.paths.root) == Supervisor::Detached {
        // It runs from now on: whatever becomes of its file, it is there.
        return Ok(own_binary::utf8(&world.binary)?.to_owned());
    }
    let running = own_binary::utf8(&world.binary)?;
    let kept = match running.canonicalize_utf8() {
        Ok(path) if path.starts_with(&world.settings.nix.store) => {
            if let Some(name) = path
                .strip_prefix(&world.settings.nix.store)
                .ok()
                .and_then(|inside| inside.components().next())
            {
                let path = world.settings.nix.store.join(name.as_str());
                world
                    .roots
                    .keep_path(ROOT, &path, &world.settings.nix.daemon)
                    .await?;
            }
            path
        }
        // Where it came from it may be replaced at any time.
        Ok(_) | Err(_) => own_binary::copy(running, &world.settings.paths.state)?,
    };
    if can(&kept).await {
        return Ok(kept);
    }
    tried.push(kept.to_string());
    // A file system that nothing may be run from: the file in its place is better than none.
    match running.canonicalize_utf8() {
        Ok(path) if can(&path).await => Ok(path),
        _ => Err(DeadmanError::NoProgram { tried }),
    }
}

/// Whether a program can undo what this agent journals.
async fn can(program: &Utf8Path) -> bool {
    let asked = Command::new(program.as_std_path(), ASK_LIMIT)
        .args(["deadman", "--knows"])
        .arg(transaction::FORMAT.to_string())
        .arg("--journal")
        .arg(journal::VERSION.to_string())
        .run(&mut |_| {})
        .await;
    match asked {
        Ok(finished) => finished.exit == Exit::Code(0),
        Err(error) => {
            tracing::debug!("{program}: {}", chain(&error));
            false
        }
    }
}
