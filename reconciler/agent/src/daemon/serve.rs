//! The agent's loop: it polls, has passes made, and answers what is asked.

use super::control::{self, Asked, ControlError};
use super::lock::{Lock, LockError};
use super::notify::{State, notify};
use super::renewal::Origin;
use super::station::Station;
use super::worker::{Worker, WorkerError, unheard};
use crate::config;
use crate::durable::DurableError;
use crate::exit::Outcome;
use crate::host;
use crate::journal::JournalError;
use crate::pass::{Cause, Depth, Ended, Phase, PhaseState, Progress, Request};
use crate::status::Presence;
use jiff::Timestamp;
use reconciler_policies::{gates::retry, phase};
use std::hash::{BuildHasher, RandomState};
use std::path::PathBuf;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

/// What is mixed into the machine's phase, so that it is no other agent's.
const SALT: &str = "reconciler-poll";

/// The agent could not run on.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Another one runs.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// Nobody could talk to it.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// Signals could not be heard.
    #[error("cannot listen for signals")]
    Signals(#[source] std::io::Error),
    /// The journal failed.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The run directory failed.
    #[error(transparent)]
    Presence(#[from] DurableError),
}

/// What the loop knows between two polls.
#[derive(Debug, Default)]
struct Memory {
    /// The head that the last pass dealt with.
    dealt_with: Option<String>,
    /// When it is dealt with again although it did not move.
    retry_at: Option<Timestamp>,
    /// Whether the last poll failed: told when it changes, not every minute.
    failing: bool,
    /// Before when no look for drift is taken again: one that failed left no time for the next.
    drift_not_before: Option<Timestamp>,
}

/// Runs the agent until it is told to stop.
pub async fn serve(station: &Station) -> Result<(), ServeError> {
    let _lock = Lock::take(&station.settings.paths.state)?;
    let mut stop = Stop::listen().map_err(ServeError::Signals)?;
    let mut asked = control::listen(&station.settings.paths.socket())?;
    station
        .journal
        .close_passes("the agent was stopped in the middle of it", station.now())?;
    let mut presence = Presence {
        pid: std::process::id(),
        ..Presence::default()
    };
    presence.write(&station.settings.paths.run)?;
    notify(station.environment.notify.as_deref(), State::Ready);
    tracing::info!(
        "reconcile {}: {} follows {} at {}",
        env!("CARGO_PKG_VERSION"),
        station.settings.machine,
        station.settings.fleet.branch,
        station
            .settings
            .fleet
            .urls
            .first()
            .map_or_else(String::new, |url| url_for_logs(url)),
    );

    let note = || Origin::note(&station.config, std::env::args_os().next().map(PathBuf::from));
    let mut origin = note();
    let mut memory = Memory::default();
    let mut waiting: Vec<Asked> = Vec::new();
    let mut cause = Cause::Start;
    loop {
        let request = match waiting.first().map(|asked| asked.request.clone()) {
            Some(request) => Some(request),
            None => tokio::select! {
                request = look(station, &mut memory, &mut presence, cause) => request?,
                () = stop.heard() => break,
            },
        };
        cause = Cause::Poll;
        if let Some(request) = request {
            let listener = (!waiting.is_empty()).then(|| waiting.remove(0).listener);
            let Some(ended) = make(station, &request, listener, &mut asked, &mut waiting, &mut stop).await
            else {
                break;
            };
            remember(station, &request, &mut memory, &mut presence, &ended)?;
            if !waiting.is_empty() {
                continue;
            }
        }
        // What this one began it ends, as far as it can: another one takes over only between two transactions.
        if origin.is_outdated() && station.journal.open_transaction()?.is_none() {
            if loads(station) {
                tracing::info!(
                    "the agent, its unit or its configuration is another now: ending, so that the new one starts"
                );
                break;
            }
            // Told once, and looked at again when it changes again.
            origin = note();
        }
        let next = next_poll(station, &memory);
        presence.next_pass_at = Some(next);
        presence.write(&station.settings.paths.run)?;
        let wait = Duration::try_from(next.duration_since(station.now())).unwrap_or_default();
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            Some(request) = asked.recv() => waiting.push(request),
            () = stop.heard() => break,
        }
    }
    notify(station.environment.notify.as_deref(), State::Stopping);
    station
        .journal
        .close_passes("the agent was stopped in the middle of it", station.now())?;
    let _ = std::fs::remove_file(station.settings.paths.socket());
    tracing::info!("stopped");
    Ok(())
}

/// Asks the remote, and says which pass is due, if one is.
async fn look(
    station: &Station,
    memory: &mut Memory,
    presence: &mut Presence,
    cause: Cause,
) -> Result<Option<Request>, ServeError> {
    if cause == Cause::Start {
        // What was cut off is finished, and lost secrets are restored, before the remote is asked anything.
        return Ok(Some(Request::of(Cause::Start)));
    }
    let polled = station.source.poll().await;
    let now = station.now();
    presence.checked_at = Some(now);
    let head = match polled {
        Ok(advertised) => {
            if std::mem::take(&mut memory.failing) {
                tracing::info!("the fleet's remote answers again");
            }
            presence.error = None;
            let head = advertised.head.to_string();
            presence.head = Some(head.clone());
            Some(head)
        }
        Err(error) => {
            if !std::mem::replace(&mut memory.failing, true) {
                tracing::warn!("{error}");
            }
            presence.error = Some(error.to_string());
            None
        }
    };
    let due = memory.retry_at.is_some_and(|at| at <= now);
    Ok(match head {
        Some(head) if memory.dealt_with.as_ref() != Some(&head) => Some(Request::of(Cause::Poll)),
        Some(_) if due => Some(Request::of(Cause::Retry)),
        _ => drift_due(station, memory)?
            .filter(|at| *at <= now)
            .map(|_| Request::of(Cause::Drift)),
    })
}

/// Has a pass made, collecting meanwhile what is asked; none where the agent was told to stop.
async fn make(
    station: &Station,
    request: &Request,
    listener: Option<mpsc::Sender<Progress>>,
    asked: &mut mpsc::UnboundedReceiver<Asked>,
    waiting: &mut Vec<Asked>,
    stop: &mut Stop,
) -> Option<Ended> {
    let tell = |event: Progress| {
        log(&event);
        if let Some(listener) = &listener {
            // Whoever asked may have gone, or not read for long: the pass goes on.
            let _ = listener.try_send(event);
        }
    };
    let failed = |error: &WorkerError| {
        let generation = station.journal.current_generation().ok().flatten();
        let ended = unheard(error, generation.map(|generation| generation.number));
        tell(Progress::Ended(ended.clone()));
        let _ = station.journal.close_passes(&ended.summary, station.now());
        Some(ended)
    };
    let mut worker = match Worker::start(&station.config, &station.settings.fleet.urls, request).await {
        Ok(worker) => worker,
        Err(error) => return failed(&error),
    };
    let mut last = None;
    loop {
        tokio::select! {
            event = worker.next() => match event {
                Ok(Some(event)) => {
                    if let Progress::Ended(ended) = &event {
                        last = Some(ended.clone());
                    }
                    tell(event);
                }
                Ok(None) => break,
                Err(error) => return failed(&error),
            },
            Some(another) = asked.recv() => {
                let text = "another pass is running; this one follows it".to_owned();
                let _ = another.listener.try_send(Progress::Note { text });
                waiting.push(another);
            }
            () = stop.heard() => {
                // What was begun is journaled, and an activation that runs goes on without the agent.
                worker.stop().await;
                return None;
            }
        }
    }
    match (last, worker.status().await) {
        (Some(ended), _) => Some(ended),
        (None, Ok(status)) => failed(&WorkerError::Silent { status }),
        (None, Err(error)) => failed(&error),
    }
}

/// Whether the configuration can be read: an agent that ended for one that cannot would not come back.
fn loads(station: &Station) -> bool {
    // Without a name the host is in a worse state than its configuration.
    let Ok(name) = host::host_name() else { return false };
    match config::read(&station.config, &name) {
        Ok(_) => true,
        Err(error) => {
            tracing::error!(
                "the configuration was changed and cannot be used, so the old one stays in force: {error}"
            );
            false
        }
    }
}

fn remember(
    station: &Station,
    request: &Request,
    memory: &mut Memory,
    presence: &mut Presence,
    ended: &Ended,
) -> Result<(), ServeError> {
    let now = station.now();
    let later = || now.saturating_add(station.settings.fleet.poll).ok();
    if request.cause == Cause::Drift {
        memory.drift_not_before = later();
        return Ok(());
    }
    if request.depth != Depth::Whole {
        // It looked and did nothing.
        return Ok(());
    }
    memory.retry_at = match ended.outcome {
        Outcome::Converged => None,
        Outcome::Held
        | Outcome::EvaluationFailed
        | Outcome::PreflightFailed
        | Outcome::BuildFailed
        | Outcome::Reverted
        | Outcome::Refused => station
            .journal
            .failure()?
            .map(|failure| retry::next_try(&failure.of).max(now)),
        Outcome::RevertFailed => None,
        _ => later(),
    };
    if ended.outcome == Outcome::FetchFailed {
        memory.dealt_with = None;
    } else {
        memory.dealt_with = presence.head.clone();
        // A pass that fetched knows the head better than the poll before it; a pinned one fetches nothing.
        if let Some(head) = &ended.head {
            memory.dealt_with = Some(head.clone());
            presence.head = Some(head.clone());
            presence.checked_at = Some(now);
            presence.error = None;
        }
    }
    Ok(())
}

/// When the next look for drift is due; none before there is a generation to drift from.
fn drift_due(station: &Station, memory: &Memory) -> Result<Option<Timestamp>, ServeError> {
    let Some(generation) = station.journal.current_generation()? else {
        return Ok(None);
    };
    let last = station
        .journal
        .drift()?
        .filter(|last| last.generation == generation.number);
    let due = match last {
        // The clock was set back: the time of the next look may be years away.
        Some(last) if last.checked_at > station.now() => station.now(),
        Some(last) => last.next_at,
        // What was just activated is given the time between two polls to come up.
        None => generation
            .activated_at
            .saturating_add(station.settings.fleet.poll)
            .unwrap_or(generation.activated_at),
    };
    Ok(Some(
        memory
            .drift_not_before
            .map_or(due, |not_before| due.max(not_before)),
    ))
}

fn next_poll(station: &Station, memory: &Memory) -> Timestamp {
    let now = station.now();
    let period = station.settings.fleet.poll;
    let offset = phase::offset(&station.settings.machine, SALT, period);
    // Fresh at every poll; nobody needs to be unable to guess it.
    let jitter = RandomState::new().hash_one(now.as_nanosecond());
    let next = phase::next_poll(now, period, offset, jitter);
    memory
        .retry_at
        .filter(|at| *at > now)
        .map_or(next, |at| at.min(next))
}

fn log(event: &Progress) {
    match event {
        Progress::Phase {
            phase,
            state: PhaseState::Done,
            detail,
            ..
        } => {
            tracing::info!("{}: {detail}", phase.name());
        }
        Progress::Phase {
            phase: Phase::Revert,
            state: PhaseState::Running,
            ..
        } => {
            tracing::warn!("the activation failed; going back");
        }
        Progress::Log { line, .. } => tracing::debug!("{line}"),
        Progress::Fetching { path, from } => tracing::debug!("copying {path} from {from}"),
        Progress::Note { text } => tracing::warn!("{text}"),
        Progress::Ended(ended) if ended.outcome == Outcome::Converged => tracing::info!("{}", ended.summary),
        Progress::Ended(ended) => {
            let causes = ended
                .causes
                .iter()
                .map(|cause| format!(": {}", cause.lines().collect::<Vec<_>>().join(" ")))
                .collect::<String>();
            tracing::error!("{}: {}{causes}", ended.outcome.name(), ended.summary);
            for line in &ended.details {
                tracing::error!("  {line}");
            }
            if let Some(hint) = &ended.hint {
                tracing::error!("hint: {hint}");
            }
        }
        Progress::Began { .. }
        | Progress::Phase { .. }
        | Progress::Activity { .. }
        | Progress::Building(_) => {}
    }
}

fn url_for_logs(url: &str) -> String {
    url.parse::<crate::source::FleetUrl>()
        .map_or_else(|_| String::new(), |url| url.to_string())
}

/// The signals that end the agent.
#[derive(Debug)]
struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    fn listen() -> std::io::Result<Stop> {
        Ok(Stop {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn heard(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
