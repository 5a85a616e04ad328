//! Probes: what worked before an activation has to work after it. Only a regression is a reason to go back.
//!
//! A probe that fails has the policy's grace to come back, and is asked again at least as often as the policy
//! says. All of them have to pass on for as long as it says. What a single look is lies in `probe.rs`.

use super::World;
use super::probe::{self, ProbeError, Subject};
use crate::text;
use reconciler_policies::Policy;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long a failing probe waits before it is asked again, in the first place and at the most.
const PAUSE: Duration = Duration::from_millis(200);
const PAUSE_AT_MOST: Duration = Duration::from_secs(2);
/// How often it is looked at the most while all of them have to pass on.
const GLANCE: Duration = Duration::from_secs(1);
/// How many looks there are over that time, where it is long.
const GLANCES: u32 = 10;

/// A probe that does not pass.
#[derive(Debug)]
pub(super) struct Failing {
    /// Its name.
    pub(super) name: String,
    /// What is wrong.
    pub(super) why: ProbeError,
}

/// What is known of a probe since the activation.
#[derive(Debug, Default)]
struct Track {
    /// Since when it fails, and how often it has.
    failing: Option<(Instant, u32)>,
    /// How often its unit had been started again when it was first looked at.
    restarts: Option<u64>,
}

/// The names of all probes that pass now.
pub(super) async fn passing(world: &World, policy: &Policy) -> Vec<String> {
    let mut passing = Vec::new();
    for name in names(world, policy) {
        if let Some(subject) = subject(policy, &name)
            && probe::look(world, &subject).await.is_ok()
        {
            passing.push(name);
        }
    }
    passing
}

/// Those of `passed_before` that do not pass any more.
pub(super) async fn regressed(world: &World, policy: &Policy, passed_before: &[String]) -> Vec<Failing> {
    // What the policy does not know any more since the transaction was cut off is not asked, and cannot fail.
    let subjects: Vec<(&String, Subject<'_>)> = passed_before
        .iter()
        .filter_map(|name| Some((name, subject(policy, name)?)))
        .collect();
    let (grace, soak) = (policy.probe_grace.get(), policy.probe_soak.get());
    let glance = GLANCE.max(soak / GLANCES);
    let began = Instant::now();
    let mut tracks: BTreeMap<&String, Track> = BTreeMap::new();
    let mut pause = PAUSE;
    loop {
        let mut failing = Vec::new();
        let mut is_lost = false;
        for (name, subject) in &subjects {
            let track = tracks.entry(*name).or_default();
            let looked = match probe::look(world, subject).await {
                Ok(restarts) => steady(track, restarts),
                Err(why) => Err(why),
            };
            let now = Instant::now();
            match looked {
                Ok(()) => track.failing = None,
                Err(why) => {
                    let (since, times) = track.failing.unwrap_or((now, 0));
                    track.failing = Some((since, times + 1));
                    is_lost |= times >= policy.probe_retries.get() && now.duration_since(since) >= grace;
                    failing.push(Failing {
                        name: (*name).clone(),
                        why,
                    });
                }
            }
        }
        if is_lost || (failing.is_empty() && began.elapsed() >= soak) {
            return failing;
        }
        if failing.is_empty() {
            pause = PAUSE;
            sleep(glance.min(soak.saturating_sub(began.elapsed()))).await;
        } else {
            sleep(pause).await;
            pause = (pause * 2).min(PAUSE_AT_MOST);
        }
    }
}

/// Whether a unit is in the same run as at first: one that is started again and again runs at every look.
fn steady(track: &mut Track, restarts: Option<u64>) -> Result<(), ProbeError> {
    let Some(restarts) = restarts else { return Ok(()) };
    let first = *track.restarts.get_or_insert(restarts);
    match restarts.saturating_sub(first) {
        0 => Ok(()),
        times => Err(ProbeError::Restarted { times }),
    }
}

/// How long the probes may take altogether.
pub(super) fn longest(policy: &Policy) -> Duration {
    let own: Duration = policy.probes.values().map(|probe| probe.timeout.get()).sum();
    let look = own + probe::BUILT_IN * 4;
    // A look that begins within a time may end after it.
    policy.probe_grace.get() + policy.probe_soak.get() + look * (policy.probe_retries.get() + 2)
}

fn names(world: &World, policy: &Policy) -> Vec<String> {
    let keys = probe::recipients(world)
        .into_iter()
        .map(|key| format!("key {key}"));
    let own = policy.probes.keys().map(|name| format!("probe {name}"));
    ["remote", "nix-daemon", "agent"]
        .into_iter()
        .map(str::to_owned)
        .chain(keys)
        .chain(own)
        .collect()
}

/// What a probe of this name looks at; none where there is no such probe.
fn subject<'a>(policy: &'a Policy, name: &'a str) -> Option<Subject<'a>> {
    match name {
        "remote" => Some(Subject::Remote),
        "nix-daemon" => Some(Subject::NixDaemon),
        "agent" => Some(Subject::Agent),
        name => match name.strip_prefix("key ") {
            Some(recipient) => Some(Subject::Key { recipient }),
            None => policy
                .probes
                .get(name.strip_prefix("probe ")?)
                .map(Subject::Declared),
        },
    }
}

impl std::fmt::Display for Failing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} ({})",
            self.name,
            text::plain(&super::carrier::chain(&self.why))
        )
    }
}
