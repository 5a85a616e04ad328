//! Which units are restarted for secrets that change, forth and back. Decides; it never restarts one.

use super::{PassError, World, secrets};
use crate::host;
use reconciler_vars::{Change, InstallError, Requirements, SecretsRoot};
use std::collections::BTreeSet;

/// The units of a transaction.
#[derive(Debug, Default)]
pub(super) struct Restarts {
    /// For the new secrets.
    pub(super) forth: Vec<String>,
    /// When they change back.
    pub(super) back: Vec<String>,
    /// What a person should know.
    pub(super) note: Option<String>,
}

/// Compares what lies there for a transaction with what is in force: bytes, owner, group and mode.
pub(super) fn find(
    world: &World,
    (number, requirements): (Option<u64>, &Requirements),
    (previous, previous_requirements): (Option<u64>, &Requirements),
) -> Result<Restarts, PassError> {
    let Some(number) = number else {
        return Ok(Restarts::default());
    };
    let paths = &world.settings.paths;
    let machine = &world.settings.machine;
    let root = secrets::root_of(paths, requirements);
    let previous_root = secrets::root_of(paths, previous_requirements);
    // What lay in another place is new in this one.
    let before = previous.filter(|_| root == previous_root);
    let forth = changes(&root, before, number, requirements, machine)?;
    let back = match previous {
        Some(previous) => {
            let from = Some(number).filter(|_| root == previous_root);
            changes(&previous_root, from, previous, previous_requirements, machine)?
        }
        None => Vec::new(),
    };
    let mut forth: BTreeSet<String> = units(forth);
    // What was restarted for a secret that goes away again, too.
    let mut back: BTreeSet<String> = units(back).union(&forth).cloned().collect();
    let mut note = None;
    let strange: Vec<_> = back.iter().filter(|unit| !is_unit_name(unit)).cloned().collect();
    if !strange.is_empty() {
        note = Some(format!(
            "not restarted, since they cannot be names of units: {}",
            strange.join(", ")
        ));
        forth.retain(|unit| is_unit_name(unit));
        back.retain(|unit| is_unit_name(unit));
    }
    if !forth.is_empty() && !host::supervisor(&paths.root).restarts_units() {
        note = Some(format!(
            "not restarted, since no systemd runs this host: {}",
            Vec::from_iter(std::mem::take(&mut forth)).join(", ")
        ));
        back.clear();
    }
    Ok(Restarts {
        forth: forth.into_iter().collect(),
        back: back.into_iter().collect(),
        note,
    })
}

/// What changes from one generation to another. Where one of them is gone, all do.
fn changes(
    root: &SecretsRoot,
    from: Option<u64>,
    to: u64,
    requirements: &Requirements,
    machine: &str,
) -> Result<Vec<Change>, PassError> {
    match root.changes(from, to, requirements, machine) {
        Err(InstallError::Gone { .. }) => Ok(Vec::new()),
        changes => Ok(changes?),
    }
}

fn units(changes: Vec<Change>) -> BTreeSet<String> {
    let units = changes.into_iter().flat_map(|change| change.restart_units);
    // As systemctl reads a name without a type.
    units
        .map(|unit| {
            if unit.contains('.') {
                unit
            } else {
                format!("{unit}.service")
            }
        })
        .collect()
}

/// The characters of systemd.unit(5); a pattern is no name.
fn is_unit_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b":-_.\\@".contains(&byte);
    (1..256).contains(&name.len()) && !name.starts_with(['-', '.']) && name.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_unit() {
        for name in [
            "web.service",
            "getty@tty1.service",
            "dev-disk\\x2d1.mount",
            "a_b:c.timer",
        ] {
            assert!(is_unit_name(name), "{name}");
        }
        for name in [
            "",
            "--all",
            "*.service",
            "a b.service",
            "../x.service",
            "web.service\n",
        ] {
            assert!(!is_unit_name(name), "{name}");
        }
    }

    #[test]
    fn a_name_without_a_type_is_a_service() {
        let change = |units: &[&str]| Change {
            path: "vars/shared/g/f".to_owned(),
            kind: reconciler_vars::ChangeKind::Content,
            restart_units: units.iter().map(|unit| (*unit).to_owned()).collect(),
        };
        let found = units(vec![change(&["web", "db.service"]), change(&["web.service"])]);
        assert_eq!(Vec::from_iter(found), ["db.service", "web.service"]);
    }
}
