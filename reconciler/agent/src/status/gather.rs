//! Gathering the status.

use super::document::{
    FailedRevert, FleetStatus, GenerationStatus, Health, PendingStatus, RebootStatus, StagedStatus, Status,
    Sync, VERSION,
};
use super::presence::Presence;
use crate::config::Settings;
use crate::drift::{Kind, identities, in_force};
use crate::exit::Outcome;
use crate::journal::{Generation, Journal, JournalError, PassRecord, Pin, Quarantined};
use crate::pass::{Insistence, judge, secrets_root, surface_of};
use crate::source::{FleetUrl, Mirror};
use crate::transaction::Approach;
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
        staged: None,
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
    status.staged = staged(journal)?;
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
        describe(&mut status, settings, journal, &generation)?;
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

/// What waits for a reboot.
fn staged(journal: &Journal) -> Result<Option<StagedStatus>, JournalError> {
    Ok(journal.staged_transaction()?.map(|record| StagedStatus {
        revision: record.intent.revision,
        subject: record.intent.subject,
        toplevel: record.intent.toplevel.into_string(),
        reasons: match record.intent.approach {
            Approach::Reboot { reasons } => reasons,
            Approach::Switch => Vec::new(),
        },
        since: record.started_at,
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

fn describe(
    status: &mut Status,
    settings: &Settings,
    journal: &Journal,
    generation: &Generation,
) -> Result<(), JournalError> {
    let record = &generation.record;
    status.class = Some(record.class.clone());
    status.health = if record.health == "healthy" {
        Health::Healthy
    } else {
        Health::Degraded
    };
    if let Some(surface) = surface_of(generation) {
        status.drift = identities(settings, journal, generation, surface)?;
        let known = journal
            .drift()?
            .filter(|known| known.generation == generation.number);
        for item in &mut status.drift {
            let before = known.iter().flat_map(|known| &known.items);
            item.since = before
                .filter(|known| known.is_same(item))
                .find_map(|known| known.since);
        }
        // What takes more than a glance is told as it was found last.
        let parts = known.into_iter().flat_map(|known| known.items);
        status.drift.extend(parts.filter(|item| !item.kind.is_identity()));
        secrets(status, settings, generation);
        if status.drift.iter().any(|item| item.kind == Kind::FailedUnit) {
            status.health = Health::Degraded;
        }
        let (boots, waits_for) = match &status.staged {
            Some(staged) => (staged.toplevel.clone(), staged.reasons.clone()),
            None => (record.toplevel.clone(), Vec::new()),
        };
        let mut reasons = waits_for;
        for reason in surface.reboot_due(&settings.paths, boots.as_str().into()) {
            if !reasons.contains(&reason) {
                reasons.push(reason);
            }
        }
        status.reboot = RebootStatus {
            required: !reasons.is_empty(),
            reasons,
        };
    }
    status.generation = Some(GenerationStatus {
        number: generation.number,
        revision: record.revision.clone(),
        subject: record.subject.clone(),
        toplevel: record.toplevel.clone(),
        secrets: record.secrets,
        activated_at: generation.activated_at,
    });
    Ok(())
}

/// Whether the generation's secrets are in force: a link, so that it is looked at here.
fn secrets(status: &mut Status, settings: &Settings, generation: &Generation) {
    let Some(number) = generation.record.secrets else {
        return;
    };
    if let Some(item) = in_force(&secrets_root(settings, generation), number) {
        status.drift.retain(|item| item.kind != Kind::Secrets);
        status.drift.push(item);
    }
}
