//! Owns the installation of a manifest: what can be is installed, the rest is named. It must never leave
//! anything but the old generation or the new one in force.

use std::collections::BTreeSet;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use unix::fcntl::OFlag;
use unix::unistd::{Gid, Uid, fchown};
use zeroize::Zeroizing;

use super::call::Passwd;
use super::changes::{self, Tense};
use super::finding::{Consequence, Kind, ManifestFinding, Reason};
use super::link::{self, LinkError};
use super::manifest::Manifest;
use super::prepare::{File, Prepared, prepare};
use super::report::{Report, Systemctl, UnitsNotTold};
use super::restart::{self, Action, ListError, Units, UnitsVia};
use crate::identity::Identities;
use crate::install::{
    AccountKind, Accounts, Backing, BackingError, Change, ChangeKind, Filesystem, Folder, InstallError,
    InvalidLink, Operation, Ownership, Planned, SecretsRoot, Snapshot, Wanted, between, of_folder, of_plan,
    write_generation,
};

/// What the installation is told of its surroundings.
#[derive(Debug, Clone)]
pub struct Host {
    /// `NIXOS_ACTION` is `dry-activate`: nothing is installed, and what would change is told.
    pub is_dry: bool,
    /// How units hear of a change.
    pub units: UnitsVia,
    /// The folder of NixOS's lists, `/run/nixos`.
    pub lists: PathBuf,
}

/// Why nothing at all was installed. What was in force stays so.
#[derive(Debug, thiserror::Error)]
pub enum Fatal {
    /// There is no memory to keep secrets in.
    #[error(transparent)]
    Backing(#[from] BackingError),
    /// The generation could not be written.
    #[error("cannot install the secrets; those in force stay so")]
    Install(#[from] InstallError),
    /// The link to the generation could not be set.
    #[error("cannot put the secrets in force; those in force stay so")]
    Link(#[from] LinkError),
    /// NixOS could not be told which units to restart.
    #[error("cannot install the secrets; those in force stay so")]
    Lists(#[from] ListError),
    /// A folder of the manifest is none.
    #[error(transparent)]
    Path(#[from] InvalidLink),
}

/// Installs a manifest's secrets and templates as the next generation, and puts it in force.
///
/// `systemctl` is called only after that. A manifest of a user has its runtime directory filled in already.
///
/// # Errors
/// [`Fatal`] where nothing was installed; single secrets that could not be are findings of the report.
pub fn install(
    manifest: &Manifest,
    identities: &Identities,
    accounts: &Accounts,
    passwd: Passwd,
    host: &Host,
    systemctl: &mut Systemctl<'_>,
) -> Result<Report, Fatal> {
    let mut prepared = prepare(manifest, identities, accounts, passwd);
    let mut report = Report {
        notes: notes(manifest, identities),
        ..Report::default()
    };
    let root = SecretsRoot::at(&manifest.symlink_path, &manifest.secrets_mount_point);
    let in_force = in_force(&root);
    if let Some(folder) = &in_force {
        keep(&mut prepared, folder);
    }
    if host.is_dry {
        return dry(manifest, prepared, in_force.as_deref(), host, report);
    }

    let folder = place(manifest, &root, accounts, passwd, &mut report)?;
    let number = root.current().or(root.generations()?.last().copied());
    let number = number.map_or(1, |last| last.saturating_add(1));
    let mut findings = std::mem::take(&mut prepared.findings);
    let mut files = prepared.files;
    write_generation(&root, &folder, number, |folder| {
        write(folder, &mut files, &mut findings, in_force.is_some())
    })?;
    let changes = changes_of(in_force.as_deref(), &files)?;
    let mut units = Units::default();
    // At boot nothing runs yet that could have read anything else.
    if in_force.is_some() && !manifest.user_mode {
        units = changes::units(&changes, &files);
    }
    let place = root.folder()?;
    match host.units {
        _ if manifest.user_mode => {}
        // They are read after the activation script, so that a list without its swap only costs a restart.
        UnitsVia::Lists => units.append(&host.lists, "activation")?,
        UnitsVia::Systemctl => {
            for (action, owed) in Units::owed(&place).each() {
                units.add(action, owed);
            }
            if !units.is_empty() {
                units.owe(&folder, &place)?;
            }
        }
    }

    link::put(&root.link, &root.generation_folder(number)?, None)?;

    findings.extend(links(&root.link, &files));
    if host.units == UnitsVia::Systemctl && !manifest.user_mode {
        report.units = tell(&units, systemctl);
        if report.units.is_empty() {
            restart::forget(&place)?;
        }
    }
    if manifest.logging.secret_changes && in_force.is_some() {
        report.changes = changes::lines(&changes, &files, Tense::Does);
    }
    prune(manifest, &root, number, &mut report);
    report.findings = concluded(findings, &files);
    Ok(report)
}

/// What would be done.
fn dry(
    manifest: &Manifest,
    prepared: Prepared,
    in_force: Option<&Path>,
    host: &Host,
    mut report: Report,
) -> Result<Report, Fatal> {
    let Prepared { files, findings } = prepared;
    // The activation makes the accounts that are missing now.
    let (accounts, findings): (Vec<_>, Vec<_>) = findings
        .into_iter()
        .partition(|finding| matches!(finding.reason, Reason::Account { .. }));
    if in_force.is_some() {
        let waiting: BTreeSet<_> = accounts
            .iter()
            .map(|finding| (finding.kind, &finding.name))
            .collect();
        let places: BTreeSet<_> = files
            .iter()
            .filter(|file| waiting.contains(&(file.kind, &file.name)))
            .map(|file| file.place.as_str())
            .collect();
        let mut changes = changes_of(in_force, &files)?;
        changes
            .retain(|change| change.kind != ChangeKind::Ownership || !places.contains(change.path.as_str()));
        let units = changes::units(&changes, &files);
        if !manifest.user_mode {
            match host.units {
                UnitsVia::Lists => units.append(&host.lists, "dry-activation")?,
                UnitsVia::Systemctl => {
                    for (action, units) in units.each() {
                        let verb = match action {
                            Action::Restart => "restart",
                            Action::Reload => "reload",
                        };
                        report
                            .notes
                            .extend(units.iter().map(|unit| format!("would {verb} {unit}")));
                    }
                }
            }
        }
        if manifest.logging.secret_changes {
            report.changes = changes::lines(&changes, &files, Tense::Would);
        }
    }
    report.findings = findings;
    Ok(report)
}

fn notes(manifest: &Manifest, identities: &Identities) -> Vec<String> {
    let mut notes = Vec::new();
    for problem in identities.problems() {
        notes.push(problem.to_string());
    }
    if manifest.logging.key_import {
        for info in identities.recipients() {
            notes.push(format!(
                "Imported {} as age key with fingerprint {}",
                info.source.display(),
                info.recipient
            ));
        }
    }
    notes
}

/// The folder that readers of the link see.
fn in_force(root: &SecretsRoot) -> Option<PathBuf> {
    std::fs::canonicalize(&root.link)
        .ok()
        .filter(|folder| folder.is_dir())
}

/// Takes the bytes in force for what has no value now: a service that ran with them goes on with them.
fn keep(prepared: &mut Prepared, folder: &Path) {
    for kind in [Kind::Secret, Kind::Template] {
        for file in prepared.files.iter_mut() {
            if file.kind == kind && file.value.is_none() {
                file.value = kept(&folder.join(&file.place)).map(Rc::new);
            }
        }
        prepared.fill_templates();
    }
}

fn kept(path: &Path) -> Option<Zeroizing<Vec<u8>>> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let mut file = std::fs::OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits())
        .open(path)
        .ok()?;
    let facts = file.metadata().ok().filter(std::fs::Metadata::is_file)?;
    // The whole size at once: a growing vector would leave copies behind.
    let size = usize::try_from(facts.len()).ok()?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(size.saturating_add(1)));
    std::io::Read::read_to_end(&mut file, &mut bytes).ok()?;
    Some(bytes)
}

/// The folder of all generations: in memory, root's and the group `keys`', as in sops-nix.
fn place(
    manifest: &Manifest,
    root: &SecretsRoot,
    accounts: &Accounts,
    passwd: Passwd,
    report: &mut Report,
) -> Result<Folder, Fatal> {
    let wanted = if manifest.use_tmpfs {
        Wanted::Tmpfs
    } else {
        Wanted::Ramfs
    };
    if manifest.user_mode && cfg!(target_os = "linux") {
        // A user cannot mount; the runtime directory is in memory.
        root.ensure_folder()?;
    } else if let Backing::Found(Filesystem::Tmpfs) = root.ensure_own_mount(wanted)?
        && wanted == Wanted::Ramfs
    {
        report.notes.push(format!(
            "{} stays a tmpfs until the next boot; useTmpfs is no longer set",
            manifest.secrets_mount_point
        ));
    }
    let path = root.folder()?;
    let folder = Folder::open_trusted(&path)?;
    if manifest.user_mode || accounts.is_unprivileged() {
        return Ok(folder);
    }
    let gid = match passwd {
        Passwd::Ignore => 0,
        Passwd::LookUp => ["keys", "nogroup"]
            .into_iter()
            .find_map(|group| accounts.resolve(AccountKind::Group, group).ok().flatten())
            .unwrap_or(0),
    };
    fchown(folder.fd(), Some(Uid::from_raw(0)), Some(Gid::from_raw(gid)))
        .map_err(InstallError::during(Operation::SetOwner, &path))?;
    Ok(folder.with_folders_of(Some(Ownership { uid: 0, gid })))
}

/// Writes what has a value; what cannot be written loses it.
fn write(
    folder: &Folder,
    files: &mut [File],
    findings: &mut Vec<ManifestFinding>,
    has_other: bool,
) -> Result<(), InstallError> {
    for file in files {
        let Some(bytes) = file.bytes() else {
            continue;
        };
        match folder.write_below(&file.place, bytes, file.ownership, file.mode) {
            Ok(()) => {}
            // What is in force is whole, and better than half of this.
            Err(error @ InstallError::NoSpace { .. }) if has_other => return Err(error),
            Err(error) => {
                findings.push(ManifestFinding::new(file.kind, &file.name, error));
                file.value = None;
            }
        }
    }
    Ok(())
}

fn changes_of(in_force: Option<&Path>, files: &[File]) -> Result<Vec<Change>, InstallError> {
    let old = match in_force {
        Some(folder) => of_folder(folder).map_err(InstallError::during(Operation::Inspect, folder))?,
        None => Snapshot::new(),
    };
    let planned: Vec<_> = files
        .iter()
        .filter_map(|file| {
            let planned = Planned {
                path: file.place.clone(),
                ownership: file.ownership,
                mode: file.mode,
            };
            Some((planned, file.bytes()?))
        })
        .collect();
    let new = of_plan(planned.iter().map(|(planned, bytes)| (planned, *bytes)));
    Ok(between(&old, &new, &std::collections::BTreeMap::new()))
}

/// The links at the places where programs look.
fn links(link: &Path, files: &[File]) -> Vec<ManifestFinding> {
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| file.value.is_some()) {
        let target = link.join(&file.place);
        // A path that is not given is the default one.
        if file.path.as_os_str().is_empty() || file.path == target {
            continue;
        }
        if let Err(error) = link::put(&file.path, &target, file.ownership) {
            findings.push(ManifestFinding {
                consequence: Consequence::Installed,
                ..ManifestFinding::new(file.kind, &file.name, error)
            });
        }
    }
    findings
}

fn tell(units: &Units, systemctl: &mut Systemctl<'_>) -> Vec<UnitsNotTold> {
    units
        .each()
        .filter_map(|(action, units)| {
            let source = systemctl(action, units).err()?;
            let units = units.to_vec();
            Some(UnitsNotTold {
                action,
                units,
                source,
            })
        })
        .collect()
}

/// Removes what is older than the generations to keep; one that cannot be removed is only told.
fn prune(manifest: &Manifest, root: &SecretsRoot, number: u64, report: &mut Report) {
    if manifest.keep_generations == 0 {
        return;
    }
    let oldest = number.saturating_sub(manifest.keep_generations);
    let pruned = root.generations().and_then(|all| {
        let keep: Vec<_> = all.into_iter().filter(|other| *other > oldest).collect();
        root.prune(&keep)
    });
    if let Err(error) = pruned {
        report
            .notes
            .push(format!("cannot remove old generations: {error}"));
    }
}

/// What became of each entry that something is wrong with.
fn concluded(findings: Vec<ManifestFinding>, files: &[File]) -> Vec<ManifestFinding> {
    findings
        .into_iter()
        .map(|finding| {
            let file = files
                .iter()
                .find(|file| (file.kind, &file.name) == (finding.kind, &finding.name));
            let consequence = match (finding.consequence, file.map(|file| file.value.is_some())) {
                (_, None | Some(false)) => Consequence::Missing,
                (Consequence::Open, Some(true)) => Consequence::Kept,
                (other, Some(true)) => other,
            };
            ManifestFinding {
                consequence,
                ..finding
            }
        })
        .collect()
}
