//! Probes: what worked before an activation has to work after it. Only a regression is a reason to go back.

use super::World;
use crate::config;
use crate::host;
use crate::process::{Command, Exit};
use crate::text;
use nix_daemon_client::{Client, ConnectOptions};
use reconciler_policies::Policy;
use std::time::Duration;

/// How long a failing probe waits before it is tried again within the grace, in the first place.
const PAUSE: Duration = Duration::from_millis(200);

/// A probe that does not pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failing {
    /// Its name.
    pub(super) name: String,
    /// What is wrong.
    pub(super) why: String,
}

/// The names of all probes that pass now.
pub(super) async fn passing(world: &World, policy: &Policy) -> Vec<String> {
    let mut passing = Vec::new();
    for name in names(policy) {
        if run(world, policy, &name).await.is_ok() {
            passing.push(name);
        }
    }
    passing
}

/// Those of `passed_before` that do not pass any more, each given the policy's grace to come back.
pub(super) async fn regressed(world: &World, policy: &Policy, passed_before: &[String]) -> Vec<Failing> {
    let deadline = tokio::time::Instant::now() + policy.probe_grace.get();
    let mut waiting: Vec<String> = passed_before.to_vec();
    let mut pause = PAUSE;
    loop {
        let mut failing = Vec::new();
        for name in waiting {
            if let Err(why) = run(world, policy, &name).await {
                failing.push(Failing { name, why });
            }
        }
        if failing.is_empty() || tokio::time::Instant::now() + pause > deadline {
            return failing;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(2));
        waiting = failing.into_iter().map(|failing| failing.name).collect();
    }
}

fn names(policy: &Policy) -> Vec<String> {
    let own = policy.probes.keys().map(|name| format!("probe {name}"));
    ["remote", "nix-daemon", "configuration"]
        .into_iter()
        .map(str::to_owned)
        .chain(own)
        .collect()
}

async fn run(world: &World, policy: &Policy, name: &str) -> Result<(), String> {
    match name {
        "remote" => world
            .source
            .poll()
            .await
            .map(|_| ())
            .map_err(|error| error.to_string()),
        "nix-daemon" => Client::connect(
            world.settings.nix.daemon.as_std_path(),
            &ConnectOptions::default(),
        )
        .await
        .map(|_| ())
        .map_err(|error| error.to_string()),
        // An agent that cannot read its configuration never hears of the commit that mends it.
        "configuration" => {
            let name = host::host_name().map_err(|error| error.to_string())?;
            config::read(&world.config, &name)
                .map(|_| ())
                .map_err(|error| error.to_string())
        }
        name => {
            let Some(probe) = name
                .strip_prefix("probe ")
                .and_then(|name| policy.probes.get(name))
            else {
                // The policy was changed while the transaction was cut off: what is not asked cannot fail.
                return Ok(());
            };
            let finished = Command::new(probe.command.program(), probe.timeout.get())
                .args(probe.command.arguments())
                .env("PATH", world.environment.search_path())
                .env("RECONCILER_ROOT", world.settings.paths.root.as_str())
                .run(&mut |_| {})
                .await
                .map_err(|error| error.to_string())?;
            match finished.exit {
                Exit::Code(0) => Ok(()),
                exit => {
                    let said = text::plain(finished.stderr.lines().last().unwrap_or_default());
                    Err(if said.is_empty() {
                        exit.to_string()
                    } else {
                        format!("{exit}: {said}")
                    })
                }
            }
        }
    }
}

impl std::fmt::Display for Failing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.name, self.why)
    }
}
