//! The look itself: each part of the machine in turn, what could not be looked at named.

use super::error::LookError;
use super::identities::{Identities, Rebooted};
use super::item::{Item, Kind, Report, Unchecked};
use super::secrets;
use super::store::{self, Share};
use super::{declared, etc, systemd};
use crate::class::{BootEntry, Site, Surface};
use crate::config::Settings;
use crate::host;
use crate::journal::{Generation, Journal, JournalError};
use crate::nix::Profile;
use crate::pass::secrets_root;
use crate::text;
use camino::{Utf8Path, Utf8PathBuf};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::time::Duration;

/// How much is looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// Everything, and of the store what is due.
    #[default]
    Due,
    /// Everything, and the whole closure of the store.
    WholeStore,
}

/// The five identities alone: a handful of links.
pub fn identities(
    settings: &Settings,
    journal: &Journal,
    generation: &Generation,
    surface: Surface,
) -> Result<Vec<Item>, JournalError> {
    let declared = Utf8PathBuf::from(&generation.record.toplevel);
    let profile_link = surface.profile(&settings.nix, &settings.paths);
    let activated_in = journal.boot_of(generation.number)?;
    let rebooted = match (activated_in, host::boot_id()) {
        (Some(then), Ok(now)) if then != now => Rebooted::Since,
        _ => Rebooted::Not,
    };
    let specialisations = declared.join("specialisation").read_dir_utf8();
    let specialisations = specialisations
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.path().canonicalize_utf8().ok())
        .collect();
    let of_nixos = |path: &str| {
        (surface == Surface::Nixos)
            .then(|| settings.paths.host(path).read_link_utf8().ok())
            .flatten()
    };
    let seen = Identities {
        current: surface.current(&settings.paths, &profile_link),
        current_link: surface.shows_what_runs().then(|| "/run/current-system".into()),
        booted: of_nixos("/run/booted-system"),
        boot: surface.boot_entry(&settings.paths, &declared),
        recorded_number: generation.record.profile_generation,
        number: Profile::at(profile_link.clone()).generation(),
        profile: profile_link.canonicalize_utf8().ok(),
        profile_link,
        specialisations,
        reboot_due: surface.reboot_due(&settings.paths, &declared),
        declared,
        rebooted,
    };
    let mut items = seen.drift();
    if let Some(staged) = journal.staged_transaction()? {
        // What waits for a reboot has the profile and the boot default already.
        let next = &staged.intent.toplevel;
        let boots = surface.boot_entry(&settings.paths, next);
        items.retain(|item| match item.kind {
            Kind::Profile | Kind::ForeignGeneration => item.actual != next.as_str(),
            Kind::BootDefault => matches!(boots, BootEntry::Missing | BootEntry::Incomplete),
            _ => true,
        });
    }
    Ok(items)
}

/// Everything. The report is not yet in the journal.
pub async fn look(
    settings: &Settings,
    site: &Site<'_>,
    journal: &Journal,
    (generation, surface): (&Generation, Surface),
    (scope, interval, now): (Scope, Duration, Timestamp),
) -> Result<Report, JournalError> {
    let before = journal
        .drift()?
        .filter(|report| report.generation == generation.number);
    let mut report = Report {
        next_at: now.saturating_add(interval).unwrap_or(now),
        items: identities(settings, journal, generation, surface)?,
        resisted: before
            .as_ref()
            .map(|before| before.resisted.clone())
            .unwrap_or_default(),
        ..Report::due(generation.number, now)
    };
    let others = report.items.iter().any(|item| item.kind == Kind::CurrentSystem);
    let toplevel = Utf8Path::new(&generation.record.toplevel);
    if others {
        // Each of its files would be told as drift, and none of them is the point.
        for kind in [Kind::Etc, Kind::Unit, Kind::FailedUnit] {
            report.skip(kind, "another system runs");
        }
    } else {
        etc_of(settings, surface, toplevel, &mut report);
        let amiss = surface.amiss(site, toplevel).await;
        let declared = amiss.iter().map(|amiss| declared::item(surface.class(), amiss));
        report.items.extend(declared);
        units_of(settings, site, &mut report).await;
        report.once_each();
    }
    if let Some(number) = generation.record.secrets {
        let root = secrets_root(settings, generation);
        let recorded = journal.fingerprints()?;
        let found = secrets::drift(&root, number, recorded.as_ref(), &settings.identity);
        report.take(Kind::Secrets, found);
    }
    let suspects: BTreeSet<String> = before
        .iter()
        .flat_map(|report| &report.items)
        .filter(|item| item.kind == Kind::Store)
        .map(|item| item.subject.clone())
        .collect();
    let share = match (scope, &before) {
        (Scope::WholeStore, _) => Share::Whole,
        (Scope::Due, Some(before)) => {
            let since = now.duration_since(before.checked_at);
            Share::Due(Duration::try_from(since).unwrap_or(interval).min(interval))
        }
        (Scope::Due, None) => Share::Due(interval),
    };
    let cursor = journal.store_cursor()?;
    let (socket, store) = (&settings.nix.daemon, &settings.nix.store);
    match store::look(socket, store, toplevel.as_str(), (share, cursor), &suspects).await {
        Ok(looked) => {
            journal.set_store_cursor(looked.cursor.as_deref())?;
            report.items.extend(looked.items);
        }
        Err(error) => {
            // What was known to be damaged stays known.
            let known = before.iter().flat_map(|report| &report.items);
            report
                .items
                .extend(known.filter(|item| item.kind == Kind::Store).cloned());
            report.skip(Kind::Store, text::chain(&error));
        }
    }
    report.remember(before.as_ref(), now);
    Ok(report)
}

fn etc_of(settings: &Settings, surface: Surface, toplevel: &Utf8Path, report: &mut Report) {
    if surface != Surface::Nixos {
        return;
    }
    // `system.etc.overlay`: the files come from an image, not from links.
    if toplevel.join("etc-metadata-image").exists() {
        report.skip(Kind::Etc, "/etc is an overlay");
        return;
    }
    let paths = &settings.paths;
    let found = etc::drift(
        &paths.host("/etc"),
        &toplevel.join("etc"),
        &paths.host("/etc/static"),
    );
    report.items.extend(found);
}

async fn units_of(settings: &Settings, site: &Site<'_>, report: &mut Report) {
    if cfg!(target_os = "macos") {
        return;
    }
    report
        .items
        .extend(systemd::overrides(&settings.paths, &settings.nix.store));
    if host::supervisor(&settings.paths.root).restarts_units() {
        report.take(Kind::FailedUnit, systemd::units(site.folders).await);
    } else {
        report.skip(Kind::FailedUnit, "systemd does not run there");
    }
}

impl Report {
    /// A unit that failed is told by systemd and by the class.
    fn once_each(&mut self) {
        let mut seen = BTreeSet::new();
        self.items
            .retain(|item| seen.insert((item.kind, item.subject.clone())));
    }

    fn take(&mut self, kind: Kind, found: Result<Vec<Item>, LookError>) {
        match found {
            Ok(items) => self.items.extend(items),
            Err(error) => self.skip(kind, text::chain(&error)),
        }
    }

    fn skip(&mut self, kind: Kind, why: impl Into<String>) {
        self.unchecked.push(Unchecked {
            kind,
            why: why.into(),
        });
    }
}
