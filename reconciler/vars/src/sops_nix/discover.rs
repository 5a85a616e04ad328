//! Owns where a built system calls `sops-install-secrets`, and with which manifests. It must never read outside
//! the store, nor run anything.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::call::Passwd;
use super::search_path::search_path;
use super::source::read_bounded;
use crate::identity::Plugins;

/// Which program a system calls by that name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Program {
    /// This one: only age keys open.
    Ours,
    /// sops-nix's own, which also asks GnuPG and the clouds' services, or any other.
    Other,
}

/// One call of the program in a built system.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Installation {
    /// The manifest, a path of the store.
    pub manifest: PathBuf,
    /// Whether it looks accounts up.
    pub passwd: Passwd,
    /// Whose program it is.
    pub program: Program,
    /// The folders of the `PATH` that it is called with; `None` where the system does not say.
    pub search_path: Option<Vec<PathBuf>>,
}

impl Installation {
    /// Where the program will look for age plugins: on its `PATH` alone if it is sops-nix's own.
    pub fn plugins(&self) -> Plugins {
        let usual = Plugins::default();
        match (&self.search_path, self.program) {
            (None, _) => usual,
            (Some(folders), Program::Ours) => usual.after(folders.clone()),
            (Some(folders), Program::Other) => usual.in_folders(folders.clone()),
        }
    }
}

/// The largest text that is read, in bytes: an activation script is far smaller.
const LARGEST_TEXT: u64 = 16 << 20;

/// How far the manifest may be behind the program's name, in bytes: flags lie between.
const FARTHEST: usize = 256;

/// The program's name.
const NAME: &str = "/bin/sops-install-secrets";

/// Folders of units and jobs, below a toplevel or a generation of home-manager.
const FOLDERS: [&str; 8] = [
    "etc/systemd/system",
    "etc/systemd/user",
    "Library/LaunchDaemons",
    "user/Library/LaunchAgents",
    "home-files/.config/systemd/user",
    "home-files/Library/LaunchAgents",
    "LaunchAgents",
    "services",
];

/// Every call of the program in a toplevel: in its activation script, its units and launchd jobs, and those of
/// the home-manager generations that it activates. A file outside the store is not looked at.
pub fn installations(toplevel: &Path, store: &Path) -> Vec<Installation> {
    let Ok(store) = store.canonicalize() else {
        return Vec::new();
    };
    let mut search = Search {
        store,
        found: BTreeSet::new(),
        seen: BTreeSet::new(),
    };
    search.toplevel(toplevel);
    search.found.into_iter().collect()
}

struct Search {
    store: PathBuf,
    found: BTreeSet<Installation>,
    seen: BTreeSet<PathBuf>,
}

impl Search {
    fn toplevel(&mut self, toplevel: &Path) {
        let Some(toplevel) = inside(toplevel, &self.store) else {
            return;
        };
        if !self.seen.insert(toplevel.clone()) {
            return;
        }
        for script in ["activate", "bin/activate"] {
            self.text(&toplevel.join(script), Follow::Homes, None);
        }
        for folder in FOLDERS {
            let Some(folder) = inside(&toplevel.join(folder), &self.store) else {
                continue;
            };
            let Ok(entries) = folder.read_dir() else {
                continue;
            };
            for entry in entries.flatten() {
                let name = entry.file_name();
                let name = name.to_string_lossy();
                if name.ends_with(".service") || name.ends_with(".plist") {
                    let follow = match name.contains("sops-nix") || name.contains("home-manager") {
                        true => Follow::Scripts,
                        false => Follow::Homes,
                    };
                    self.text(&entry.path(), follow, None);
                }
            }
        }
    }

    /// `inherited` is the `PATH` of the unit or job that runs the text.
    fn text(&mut self, path: &Path, follow: Follow, inherited: Option<&[PathBuf]>) {
        let Some(path) = inside(path, &self.store) else {
            return;
        };
        if !path.is_file() || !self.seen.insert(path.clone()) {
            return;
        }
        let Ok(Some(bytes)) = read_bounded(&path, LARGEST_TEXT) else {
            return;
        };
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let paths = store_paths(&text, &self.store);
        // The lines of a unit stand in any order; a script is read from its beginning.
        let whole = path
            .extension()
            .is_some_and(|kind| kind == "service" || kind == "plist");
        let around = whole.then(|| search_path(&text)).flatten();
        let around = around.as_deref().or(inherited);
        for (index, (start, found)) in paths.iter().enumerate() {
            let path = Path::new(found);
            if found.ends_with(NAME) {
                let manifest = paths.get(index.saturating_add(1));
                let before = text.get(..*start).and_then(search_path);
                let search_path = before.or_else(|| around.map(<[PathBuf]>::to_vec));
                self.call(&text, (*start, found), manifest, search_path);
            } else if let Some(home) = self.home(path) {
                self.toplevel(&home);
            } else if follow == Follow::Scripts {
                self.text(path, Follow::Homes, around);
            }
        }
    }

    fn call(
        &mut self,
        text: &str,
        (start, program): (usize, &str),
        manifest: Option<&(usize, String)>,
        search_path: Option<Vec<PathBuf>>,
    ) {
        let Some((at, manifest)) = manifest else {
            return;
        };
        let end = start.saturating_add(program.len());
        let between = text.get(end..*at).unwrap_or_default();
        if between.len() > FARTHEST || between.contains("check-mode") {
            return;
        }
        let Some(manifest) = inside(Path::new(manifest), &self.store) else {
            return;
        };
        let passwd = match between.contains("-ignore-passwd") && !between.contains("-ignore-passwd=f") {
            true => Passwd::Ignore,
            false => Passwd::LookUp,
        };
        let ours = Path::new(program)
            .canonicalize()
            .is_ok_and(|program| program.file_name().is_some_and(|name| name == "reconcile"));
        let program = if ours { Program::Ours } else { Program::Other };
        self.found.insert(Installation {
            manifest,
            passwd,
            program,
            search_path,
        });
    }

    /// The generation of home-manager that a path is in.
    fn home(&self, path: &Path) -> Option<PathBuf> {
        let name = path.strip_prefix(&self.store).ok()?.components().next()?;
        let object = self.store.join(name);
        object.join("home-files").is_dir().then_some(object)
    }
}

/// Whether the files that a text names are texts to be read as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Follow {
    /// Only generations of home-manager.
    Homes,
    /// Scripts, too.
    Scripts,
}

/// A path with all its links resolved, if it is of the store then.
pub(super) fn inside(path: &Path, store: &Path) -> Option<PathBuf> {
    path.canonicalize().ok().filter(|path| path.starts_with(store))
}

/// The paths of the store that a text names, each with where it begins.
pub(super) fn store_paths(text: &str, store: &Path) -> Vec<(usize, String)> {
    let prefix = format!("{}/", store.display());
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"+-._?=/@".contains(&byte);
    let mut paths: Vec<(usize, String)> = Vec::new();
    for (start, _) in text.match_indices(&prefix) {
        // Inside of the one before.
        if paths
            .last()
            .is_some_and(|(before, path)| start < before.saturating_add(path.len()))
        {
            continue;
        }
        let rest = text.as_bytes().get(start..).unwrap_or_default();
        let length = rest.iter().position(|byte| !is_part(*byte)).unwrap_or(rest.len());
        let path = text.get(start..start.saturating_add(length)).unwrap_or_default();
        paths.push((start, path.to_owned()));
    }
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_end_where_no_path_goes_on() {
        let text =
            "(\n  /s/a-x/bin/sops-install-secrets -ignore-passwd /s/b-m.json\n)'/s/c-d'&quot;/s/e&quot;";
        let found: Vec<_> = store_paths(text, Path::new("/s"))
            .into_iter()
            .map(|(_, path)| path)
            .collect();
        assert_eq!(
            found,
            ["/s/a-x/bin/sops-install-secrets", "/s/b-m.json", "/s/c-d", "/s/e"]
        );
        // One run of them is one path: what is read stays as long as the text.
        assert_eq!(store_paths(&"/s/a".repeat(1000), Path::new("/s")).len(), 1);
    }
}
