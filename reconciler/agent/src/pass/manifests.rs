//! The secrets that the system just built will install by itself: its manifests of sops-nix are opened in memory,
//! before anything is switched.
//!
//! sops-nix learns only at the activation that a secret does not open, and the machine comes up without it. Here
//! the keys that the manifests name are tried on this host, every owner, group and placeholder is looked up, and
//! nothing is written.

use super::{PassError, Phase, Reporter, World};
use crate::secrets::FleetTree;
use crate::source::Revision;
use crate::text;
use camino::Utf8Path;
use reconciler_vars::sops_nix::{
    DeclaredAccounts, Installation, Manifest, ManifestFinding, Program, Reason, installations, origin,
    prepare,
};
use reconciler_vars::{AccountNames, Accounts, Identities, IdentityProblem, IdentitySource};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Opens all of them, or names what would not be installed. `place` is where the agent installs secrets of its own, if it
/// does: two installers at one place would undo each other.
pub(super) fn open(
    world: &World,
    revision: Revision,
    toplevel: &Utf8Path,
    place: Option<&Utf8Path>,
    report: &mut Reporter<'_>,
) -> Result<(), PassError> {
    let store = world.settings.nix.store.as_std_path();
    let found = installations(toplevel.as_std_path(), store);
    if found.is_empty() {
        return Ok(());
    }
    report.begin(Phase::Preflight);
    let declared = DeclaredAccounts::of_toplevel(toplevel.as_std_path(), store);
    let root = world.settings.paths.root.as_std_path();
    let removed = declared.removes(AccountNames::local(root)?, &AccountNames::noted(root)?);
    let accounts = Accounts::system(root)?.without(removed);
    let (mut number, mut findings) = (0_usize, Vec::new());
    let mut unusable: Vec<IdentityProblem> = Vec::new();
    let (mut seen, mut told) = (BTreeSet::new(), BTreeSet::new());
    for installation in &found {
        let manifest = Manifest::read(&installation.manifest).map_err(PassError::Manifest)?;
        let theirs = world.settings.paths.host(&manifest.symlink_path);
        if place == Some(theirs.as_path()) {
            return Err(PassError::TwoInstallers { place: theirs });
        }
        let (identities, problems) = Identities::load_with(&keys(world, &manifest), &installation.plugins());
        let first = seen.insert((&installation.manifest, installation.passwd, installation.program));
        // The same call from another place differs in the plugins that it finds, and in nothing else.
        let of_plugin = |problem: &IdentityProblem| matches!(problem, IdentityProblem::Plugin { .. });
        if !first && !identities.has_plugins() && !problems.iter().any(of_plugin) {
            continue;
        }
        let prepared = prepare(&manifest, &identities, &accounts, installation.passwd);
        if first {
            number = number.saturating_add(prepared.len());
        }
        let refused = findings.len();
        for finding in prepared.into_findings() {
            if !told.insert(finding.to_string()) {
                continue;
            }
            match standing(&finding, installation, &manifest, &declared) {
                Standing::Refused => findings.push(finding),
                Standing::Unknown => report.note(format!("not known before the switch: {finding}")),
                Standing::Declared => {}
            }
        }
        if findings.len() > refused {
            unusable.extend(problems.into_iter().filter(|problem| !problem.is_absence()));
        }
    }
    if !findings.is_empty() {
        return Err(PassError::Manifests {
            findings: known_by(world, revision, findings),
            unusable,
        });
    }
    report.done(match number {
        1 => "1 secret of the new system opens".to_owned(),
        number => format!("{} of the new system open", text::count(number, "secret")),
    });
    Ok(())
}

/// The findings with the files of the fleet in the places of those in the store, as far as they are there.
fn known_by(world: &World, revision: Revision, findings: Vec<ManifestFinding>) -> Vec<ManifestFinding> {
    let Ok(mirror) = world.source.mirror() else {
        return findings;
    };
    let Ok(view) = mirror.tree(revision.oid()) else {
        return findings;
    };
    let (tree, store) = (FleetTree(view), world.settings.nix.store.as_std_path());
    let by_path =
        |finding: ManifestFinding| finding.by_path(|file| origin(&tree, store, file).map(PathBuf::from));
    findings.into_iter().map(by_path).collect()
}

/// What a finding means before the switch.
enum Standing {
    /// It will be so after the switch, too.
    Refused,
    /// Only the switch tells.
    Unknown,
    /// The new system itself sees to it.
    Declared,
}

fn standing(
    finding: &ManifestFinding,
    installation: &Installation,
    manifest: &Manifest,
    declared: &DeclaredAccounts,
) -> Standing {
    match &finding.reason {
        Reason::Account { kind, name } if declared.has(*kind, name) => Standing::Declared,
        // A class that says nothing of its accounts may still make them.
        Reason::Account { .. } if !declared.is_known() => Standing::Unknown,
        // GnuPG and the clouds' keys are the original program's; whether they open it is not known here.
        _ if installation.program == Program::Other && finding.may_open_with_other_keys(manifest) => {
            Standing::Unknown
        }
        _ => Standing::Refused,
    }
}

/// The keys that a manifest names, as they lie on this host now.
fn keys(world: &World, manifest: &Manifest) -> Vec<IdentitySource> {
    let here = |path: &Path| -> PathBuf {
        match path.to_str() {
            Some(path) => world.settings.paths.host(path).into(),
            None => path.to_owned(),
        }
    };
    let ssh = manifest
        .age_ssh_key_paths
        .iter()
        .map(|path| IdentitySource::SshHostKey(here(path)));
    let file = Path::new(&manifest.age_key_file);
    let age = (!manifest.age_key_file.is_empty()).then(|| IdentitySource::AgeKeyFile(here(file)));
    ssh.chain(age).collect()
}
