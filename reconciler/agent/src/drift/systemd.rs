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

/// Overrides, by looking for their files.
pub(super) fn overrides(paths: &Paths) -> Vec<Item> {
    let mut found = Vec::new();
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
            found.push(
                Item::new(Kind::Unit, Cause::Person, unit)
                    .expected("the generation's unit")
                    .actual(format!("{what} in {folder}"))
                    .evidence(format!("`systemctl revert {unit}` takes it away")),
            );
        }
    }
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
