//! Units that are not the toplevel's: overrides that only hand or `systemctl` makes, and units that failed.

use super::error::LookError;
use super::item::{Cause, Item, Kind};
use crate::config::Paths;
use crate::process::{Command, Exit, locate};
use camino::Utf8Path;
use std::path::PathBuf;
use std::time::Duration;

/// How long systemctl may take: a call on D-Bus gives up after 25 s.
const LIMIT: Duration = Duration::from_secs(30);

/// Where `systemctl edit --runtime`, `mask --runtime` and `set-property` write (systemd.unit(5), "Unit File Load
/// Path"). Generators and transient units have folders of their own.
const OVERRIDES: [&str; 3] = [
    "/run/systemd/system.control",
    "/etc/systemd/system.control",
    "/run/systemd/system",
];

/// Where `systemctl edit` writes, beside the units of the host's own distribution.
const UNITS: &str = "/etc/systemd/system";

/// Overrides, by looking for their files.
pub(super) fn overrides(paths: &Paths, store: &Utf8Path) -> Vec<Item> {
    let mut found = edited(&paths.host(UNITS), store);
    for folder in OVERRIDES {
        let Ok(entries) = paths.host(folder).read_dir_utf8() else {
            continue;
        };
        let mut names: Vec<_> = entries.flatten().map(|entry| entry.path().to_owned()).collect();
        names.sort();
        for path in names {
            let Some(name) = path.file_name() else { continue };
            let (unit, what) = match name.strip_suffix(".d") {
                Some(unit) if has_files(&path) => (unit, "a drop-in"),
                // An emptied folder overrides nothing.
                Some(_) => continue,
                None if is_mask(&path) => (name, "a mask"),
                // `.wants`, `.requires`: what systemd itself enables at run time.
                None if path.is_dir() => continue,
                None => (name, "a unit file"),
            };
            found.push(overridden(unit, what, folder));
        }
    }
    found
}

fn overridden(unit: &str, what: &str, folder: &str) -> Item {
    Item::new(Kind::Unit, Cause::Person, unit)
        .expected("the generation's unit")
        .actual(format!("{what} in {folder}"))
        .evidence(format!("`systemctl revert {unit}` takes it away"))
}

/// Units that lead into the store, with a drop-in beside them that does not.
fn edited(folder: &Utf8Path, store: &Utf8Path) -> Vec<Item> {
    let from_store = |path: &Utf8Path| path.canonicalize_utf8().is_ok_and(|path| path.starts_with(store));
    let mut found: Vec<Item> = Vec::new();
    for entry in folder.read_dir_utf8().into_iter().flatten().flatten() {
        let Some(unit) = entry.file_name().strip_suffix(".d") else {
            continue;
        };
        let mut files = entry.path().read_dir_utf8().into_iter().flatten().flatten();
        if from_store(&folder.join(unit)) && files.any(|file| !from_store(file.path())) {
            found.push(overridden(unit, "a drop-in", UNITS));
        }
    }
    found.sort_by(|a, b| a.subject.cmp(&b.subject));
    found
}

fn has_files(folder: &Utf8Path) -> bool {
    folder
        .read_dir_utf8()
        .is_ok_and(|mut entries| entries.next().is_some())
}

fn is_mask(path: &Utf8Path) -> bool {
    path.read_link_utf8().is_ok_and(|target| target == "/dev/null")
}

/// Failed units, and those of which systemd has read an older file; or why systemd did not tell.
pub(super) async fn units(folders: &[PathBuf]) -> Result<Vec<Item>, LookError> {
    let systemctl = locate("systemctl", folders).ok_or(LookError::NoSystemctl)?;
    let finished = Command::new(&systemctl, LIMIT)
        .args(["show", "--property=Id,ActiveState,NeedDaemonReload", "*"])
        .env("PATH", "/usr/bin:/bin")
        .run(&mut |_| {})
        .await
        .map_err(LookError::Systemctl)?;
    match finished.exit {
        Exit::Code(0) => Ok(understand(&String::from_utf8_lossy(&finished.stdout))),
        exit => Err(LookError::Units {
            exit,
            said: finished.stderr.trim().to_owned(),
        }),
    }
}

/// Reads what `systemctl show` prints: blocks of `Name=value`, with an empty line between them.
fn understand(shown: &str) -> Vec<Item> {
    let mut found = Vec::new();
    for block in shown.split("\n\n") {
        let value = |name: &str| {
            block
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
                .unwrap_or_default()
        };
        let unit = value("Id");
        if unit.is_empty() {
            continue;
        }
        if value("ActiveState") == "failed" {
            found.push(
                Item::new(Kind::FailedUnit, Cause::Displaced, unit)
                    .expected("active")
                    .actual("failed")
                    .evidence(format!("`journalctl -u {unit}` says why")),
            );
        }
        if value("NeedDaemonReload") == "yes" {
            found.push(
                Item::new(Kind::Unit, Cause::Person, unit)
                    .expected("the generation's unit")
                    .actual("an older version of its file")
                    .evidence("`systemctl daemon-reload` has systemd read it again"),
            );
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable::{Lasting, replace};

    #[test]
    fn a_drop_in_of_a_unit_that_is_the_generations() {
        let scratch = tempfile::tempdir().unwrap();
        let at = Utf8Path::from_path(scratch.path()).unwrap();
        let at = &at.canonicalize_utf8().unwrap();
        let (store, units) = (at.join("store"), at.join("units"));
        for unit in ["ours.service", "theirs.service", "both.service"] {
            std::fs::create_dir_all(units.join(format!("{unit}.d"))).unwrap();
        }
        std::fs::create_dir_all(&store).unwrap();
        let write = |path: &Utf8Path| replace(path, b"", 0o644, Lasting::Power).unwrap();
        write(&store.join("unit"));
        let link = |path: &str| std::os::unix::fs::symlink(store.join("unit"), units.join(path)).unwrap();
        link("ours.service");
        link("both.service");
        link("both.service.d/declared.conf");
        write(&units.join("theirs.service"));
        for unit in ["ours.service", "theirs.service"] {
            write(&units.join(format!("{unit}.d/override.conf")));
        }
        let subjects: Vec<_> = edited(&units, &store)
            .into_iter()
            .map(|item| item.subject)
            .collect();
        assert_eq!(subjects, ["ours.service"]);
    }

    #[test]
    fn blocks_of_systemctl_show() {
        let shown = "Id=a.service\nActiveState=failed\nNeedDaemonReload=no\n\n\
                     Id=b.service\nActiveState=active\nNeedDaemonReload=yes\n\n\
                     Id=c.service\nActiveState=active\nNeedDaemonReload=no\n";
        let found: Vec<_> = understand(shown)
            .into_iter()
            .map(|item| (item.kind, item.subject))
            .collect();
        assert_eq!(
            found,
            [
                (Kind::FailedUnit, "a.service".to_owned()),
                (Kind::Unit, "b.service".to_owned())
            ]
        );
        assert_eq!(understand(""), []);
    }
}
