//! Gathering the status.

use super::document::{
    DriftItem, FailedRevert, FleetStatus, GenerationStatus, Health, PendingStatus, RebootStatus, Status,
    Sync, VERSION,
};
use super::presence::Presence;
use super::reboot::reboot;
use crate::class::Surface;
use crate::config::Settings;
use crate::exit::Outcome;
use crate::journal::{Generation, Journal, JournalError, PassRecord, Pin, Quarantined};
use crate::pass::{Insistence, judge, observe, secrets_seen, surface_of};
use crate::source::{FleetUrl, Mirror};
use jiff::Timestamp;
use std::os::unix::net::UnixStream;

/// Puts the status together; `journal` is none where no agent ever ran.
pub fn gather(
    settings: &Settings,
    journal: Option<&Journal>,
    now: Timestamp,
) -> Result<Status, JournalError> {
    // What an agent that is gone last saw is older than what the mirror has.
    let listens = UnixStream::connect(settings.paths.socket()).is_ok();
    let presence = Presence::read(&settings.paths.run)
        .filter(|_| listens)
        .unwrap_or_default();
    let fleet = fleet(settings, &presence);
    let mut status = Status {
        version: VERSION,
        machine: settings.machine.clone(),
        class: None,
        fleet,
        sync: Sync::Unknown,
        health: Health::Unknown,
        generation: None,
        pending: None,
        drift: Vec::new(),
        reboot: RebootStatus::default(),
        pin: None,
        hold: None,
        failed_revert: None,
        quarantine: Vec::new(),
        last_pass: None,
        next_pass_at: presence.next_pass_at,
    };
    let Some(journal) = journal else { return Ok(status) };
    let generation = journal.current_generation()?;
    let last = journal.last_pass()?;
    status.quarantine = journal.quarantine()?;
    status.pin = journal.pin()?;
    status.failed_revert = failed_revert(journal)?;
    let converged = journal.converged(&settings.entry())?;
    if let Some(head) = status.fleet.head.clone() {
        let on_head = converged.as_ref() == Some(&head);
        status.sync = sync(
            &head,
            converged.as_deref(),
            status.pin.as_ref(),
            &status.quarantine,
            last.as_ref(),
        );
        if !on_head && status.pin.is_none() {
            let decision = judge(journal, Insistence::None, &head, None, now)?;
            status.pending = Some(PendingStatus {
                revision: head,
                gates: decision.reports,
            });
        }
    }
    if let Some(generation) = generation {
        describe(&mut status, settings, &generation);
    }
    status.last_pass = last.map(Into::into);
    Ok(status)
}

/// Only a transaction after it ends it.
fn failed_revert(journal: &Journal) -> Result<Option<FailedRevert>, JournalError> {
    let last = journal.transactions(1)?.into_iter().next();
    Ok(last
        .filter(|record| record.outcome == Some(Outcome::RevertFailed))
        .map(|record| FailedRevert {
            revision: record.intent.revision,
            reason: record.reason.unwrap_or_default(),
            since: record.finished_at.unwrap_or(record.started_at),
        }))
}

fn fleet(settings: &Settings, presence: &Presence) -> FleetStatus {
    let url = settings
        .fleet
        .urls
        .first()
        .and_then(|url| url.parse::<FleetUrl>().ok());
    // Without an agent the mirror knows where the branch was when it was fetched.
    let fetched = || {
        let path = settings.paths.state.join("fleet.git");
        path.exists()
            .then(|| Mirror::open_or_create(&path).ok()?.head(&settings.fleet.branch))
            .flatten()
    };
    FleetStatus {
        url: url.map(|url| url.to_string()).unwrap_or_default(),
        branch: settings.fleet.branch.clone(),
        head: presence
            .head
            .clone()
            .or_else(|| fetched().map(|head| head.to_string())),
        checked_at: presence.checked_at,
        error: presence.error.clone(),
    }
}

fn sync(
    head: &str,
    converged: Option<&str>,
    pin: Option<&Pin>,
    quarantine: &[Quarantined],
    last: Option<&PassRecord>,
) -> Sync {
    let outcome = last
        .filter(|pass| pass.revision.as_deref() == Some(head) || pass.revision.is_none())
        .and_then(|pass| pass.outcome.as_deref())
        .and_then(Outcome::from_name);
    match (pin, converged == Some(head)) {
        (Some(_), _) => Sync::Pinned,
        (None, true) => Sync::Synced,
        (None, false) if quarantine.iter().any(|entry| entry.revision == head) => Sync::Quarantined,
        (None, false) => match outcome {
            Some(Outcome::Refused) => Sync::Refused,
            Some(Outcome::Held) => Sync::Held,
            _ => Sync::Behind,
        },
    }
}

fn describe(status: &mut Status, settings: &Settings, generation: &Generation) {
    let record = &generation.record;
    status.class = Some(record.class.clone());
    status.health = if record.health == "healthy" {
        Health::Healthy
    } else {
        Health::Degraded
    };
    if let Some(surface) = surface_of(generation) {
        let seen = observe(settings, surface);
        let nothing = || "nothing".to_owned();
        if !seen.toplevel_matches(generation) {
            status.drift.push(DriftItem {
                kind: "current-system",
                subject: "/run/current-system".to_owned(),
                expected: record.toplevel.clone(),
                actual: seen.current.map_or_else(nothing, |path| path.to_string()),
            });
        }
        if surface.shows_what_runs()
            && seen
                .profile
                .as_ref()
                .is_none_or(|profile| profile != &record.toplevel)
        {
            status.drift.push(DriftItem {
                kind: "profile",
                subject: surface.profile(&settings.nix, &settings.paths).to_string(),
                expected: record.toplevel.clone(),
                actual: seen.profile.map_or_else(nothing, |path| path.to_string()),
            });
        }
        let (link, in_force) = secrets_seen(settings, generation);
        if record.secrets.is_some() && in_force != record.secrets {
            status.drift.push(DriftItem {
                kind: "secrets",
                subject: link.to_string(),
                expected: record
                    .secrets
                    .map_or_else(nothing, |number| format!("generation {number}")),
                actual: in_force.map_or_else(nothing, |number| format!("generation {number}")),
            });
        }
        if surface == Surface::Nixos {
            status.reboot = reboot(&settings.paths, record.toplevel.as_str().into());
        }
    }
    status.generation = Some(GenerationStatus {
        number: generation.number,
        revision: record.revision.clone(),
        subject: record.subject.clone(),
        toplevel: record.toplevel.clone(),
        secrets: record.secrets,
        activated_at: generation.activated_at,
    });
}
