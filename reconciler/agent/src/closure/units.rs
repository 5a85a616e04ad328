//! The units that a toplevel defines, so that two can be compared. It reads the store path and nothing else.

use camino::{Utf8Path, Utf8PathBuf};
use std::collections::BTreeMap;

/// Where units lie below a toplevel: NixOS, nix-darwin, home-manager.
const FOLDERS: [&str; 4] = [
    "etc/systemd/system",
    "Library/LaunchDaemons",
    "home-files/.config/systemd/user",
    "LaunchAgents",
];

/// What counts as a unit; folders of links (`….wants`) and drop-ins (`….d`) do not.
const SUFFIXES: [&str; 11] = [
    "service",
    "socket",
    "timer",
    "target",
    "path",
    "mount",
    "automount",
    "swap",
    "slice",
    "scope",
    "plist",
];

/// A toplevel's units by name, each with the files that define it: its own, then its drop-ins by name.
pub type UnitFiles = BTreeMap<String, Vec<(String, Vec<u8>)>>;

/// The units of a toplevel. What cannot be read is as if it were not there.
#[must_use]
pub fn unit_files(toplevel: &Utf8Path) -> UnitFiles {
    let mut units = UnitFiles::new();
    for folder in FOLDERS.map(|folder| toplevel.join(folder)) {
        for entry in folder.read_dir_utf8().into_iter().flatten().flatten() {
            let name = entry.file_name();
            let is_unit = Utf8Path::new(name)
                .extension()
                .is_some_and(|extension| SUFFIXES.contains(&extension));
            if is_unit && let Some(files) = definition(entry.path(), &folder) {
                units.insert(name.to_owned(), files);
            }
        }
    }
    units
}

/// A unit's file and its drop-ins.
fn definition(file: &Utf8Path, folder: &Utf8Path) -> Option<Vec<(String, Vec<u8>)>> {
    let name = file.file_name()?;
    let mut files = vec![(name.to_owned(), std::fs::read(file).ok()?)];
    let drop_ins = folder.join(format!("{name}.d"));
    let mut paths: Vec<Utf8PathBuf> = drop_ins
        .read_dir_utf8()
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().to_owned())
        .collect();
    paths.sort();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_owned();
        files.push((name, std::fs::read(&path).unwrap_or_default()));
    }
    Some(files)
}

#[cfg(test)]
mod tests {
    use super::super::Differences;
    use super::*;
    use crate::durable::{Lasting, folder, replace};

    #[test]
    fn definitions_are_compared_with_their_drop_ins() {
        let scratch = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(scratch.path()).unwrap();
        let write = |toplevel: &str, name: &str, text: &str| {
            let file = root.join(toplevel).join("etc/systemd/system").join(name);
            folder(file.parent().unwrap(), 0o755).unwrap();
            replace(&file, text.as_bytes(), 0o644, Lasting::Process).unwrap();
        };
        for (name, old, new) in [
            ("same.service", "x", "x"),
            ("changed.service", "x", "y"),
            ("dropped.service", "x", "x"),
            ("dropped.service.d/overrides.conf", "x", "y"),
            ("multi-user.target.wants/same.service", "x", "x"),
            ("README", "x", "y"),
        ] {
            write("a", name, old);
            write("b", name, new);
        }
        write("a", "gone.socket", "x");
        write("b", "new.timer", "x");
        let changes = Differences::between(&unit_files(&root.join("a")), &unit_files(&root.join("b")));
        assert_eq!(changes.added, ["new.timer"]);
        assert_eq!(changes.removed, ["gone.socket"]);
        assert_eq!(changes.changed, ["changed.service", "dropped.service"]);
        assert!(Differences::between(&unit_files(root), &UnitFiles::new()).is_empty());
    }
}
