//! One file of the host as a toplevel declares it, and whether it is so. Only reads.

use super::Amiss;
use camino::{Utf8Path, Utf8PathBuf};
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt};

/// How a file is declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Declared {
    /// A link that leads, by however many links, to this file of the store.
    Link(Utf8PathBuf),
    /// Such a link, or a file that holds the same.
    LinkOrSame(Utf8PathBuf),
    /// A file that holds what this file of the store does.
    Copy {
        /// The file of the store.
        source: Utf8PathBuf,
        /// Its mode, where one is declared.
        mode: Option<u32>,
        /// Its user and group ids, where they are declared.
        owner: Option<(u32, u32)>,
    },
}

/// A file of the host that a toplevel declares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// The file.
    pub target: Utf8PathBuf,
    /// How it should be.
    pub declared: Declared,
}

impl Leaf {
    /// What is wrong with it; nothing where it is as it is declared.
    #[must_use]
    pub fn look(&self) -> Option<Amiss> {
        let path = || self.target.clone();
        let Ok(found) = self.target.symlink_metadata() else {
            return Some(Amiss::Missing { path: path() });
        };
        match &self.declared {
            Declared::Link(source) if found.is_symlink() => self.leads_to(source),
            Declared::Link(_) => Some(Amiss::NoLink { path: path() }),
            Declared::LinkOrSame(source) if found.is_symlink() => self.leads_to(source),
            Declared::LinkOrSame(source) => {
                (!holds_the_same(&self.target, source)).then(|| Amiss::NoLink { path: path() })
            }
            Declared::Copy { source, mode, owner } => self.is_copy(&found, source, *mode, *owner),
        }
    }

    fn leads_to(&self, source: &Utf8Path) -> Option<Amiss> {
        let path = || self.target.clone();
        let found = match self.target.read_link_utf8() {
            Ok(found) => found,
            Err(_) => return Some(Amiss::Missing { path: path() }),
        };
        // A declared link may lead out of the store to something that is not there yet.
        let leads = found == source
            || matches!(
                (self.target.canonicalize_utf8(), source.canonicalize_utf8()),
                (Ok(here), Ok(there)) if here == there
            );
        (!leads).then(|| Amiss::Elsewhere { path: path(), found })
    }

    fn is_copy(
        &self,
        found: &Metadata,
        source: &Utf8Path,
        mode: Option<u32>,
        owner: Option<(u32, u32)>,
    ) -> Option<Amiss> {
        let path = self.target.clone();
        if !found.is_file() || !holds_the_same(&self.target, source) {
            return Some(Amiss::Content { path });
        }
        let is = found.permissions().mode() & 0o7777;
        if let Some(declared) = mode
            && declared != is
        {
            return Some(Amiss::Mode {
                path,
                found: is,
                declared,
            });
        }
        let is = (found.uid(), found.gid());
        match owner {
            Some(declared) if declared != is => Some(Amiss::Owner {
                path,
                found: is,
                declared,
            }),
            _ => None,
        }
    }
}

/// What is done with a link that leads to a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Links {
    /// It is entered, as the store composes folders of such.
    Entered,
    /// It is a file like others.
    Kept,
}

/// Every file and link below a folder, by its path from there.
pub(super) fn files_below(folder: &Utf8Path, links: Links) -> io::Result<Vec<Utf8PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![Utf8PathBuf::new()];
    while let Some(below) = folders.pop() {
        for entry in folder.join(&below).read_dir_utf8()? {
            let entry = entry?;
            let name = below.join(entry.file_name());
            let enters = links == Links::Entered || entry.file_type()?.is_dir();
            if enters && folder.join(&name).is_dir() {
                folders.push(name);
            } else {
                files.push(name);
            }
        }
    }
    files.sort();
    Ok(files)
}

/// Whether two regular files hold the same.
pub(super) fn holds_the_same(one: &Utf8Path, other: &Utf8Path) -> bool {
    // Of a pipe or a device nothing is read.
    let size = |path: &Utf8Path| {
        fs::metadata(path)
            .ok()
            .filter(Metadata::is_file)
            .map(|found| found.len())
    };
    size(one).is_some() && size(one) == size(other) && same_bytes(one, other).unwrap_or(false)
}

fn same_bytes(one: &Utf8Path, other: &Utf8Path) -> io::Result<bool> {
    let (mut one, mut other) = (File::open(one)?, File::open(other)?);
    let (mut left, mut right) = (vec![0; 64 << 10], vec![0; 64 << 10]);
    loop {
        let read = one.read(&mut left)?;
        let (Some(left), Some(right)) = (left.get(..read), right.get_mut(..read)) else {
            return Ok(false);
        };
        if other.read_exact(right).is_err() {
            return Ok(false);
        }
        if read == 0 {
            return Ok(other.read(&mut [0])? == 0);
        }
        if left != &*right {
            return Ok(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable::{Lasting, folder, replace, replace_link};

    #[test]
    fn a_leaf_is_as_declared_or_says_how_it_is_not() {
        let scratch = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(scratch.path()).unwrap();
        folder(&root.join("etc"), 0o755).unwrap();
        folder(&root.join("store/static"), 0o755).unwrap();
        let write = |path: &str, text: &str, mode| {
            replace(&root.join(path), text.as_bytes(), mode, Lasting::Process).unwrap();
            root.join(path)
        };
        let source = write("store/source", "declared", 0o444);
        let target = root.join("etc/x");
        let leaf = |declared| Leaf {
            target: target.clone(),
            declared,
        };
        let link = leaf(Declared::Link(source.clone()));
        let same = leaf(Declared::LinkOrSame(source.clone()));
        let copy = |mode, owner| {
            leaf(Declared::Copy {
                source: source.clone(),
                mode,
                owner,
            })
        };
        let found = |leaf: &Leaf| leaf.look().map(|amiss| amiss.to_string());
        let said = |text: &str| Some(format!("{target}{text}"));

        assert_eq!(found(&link), said(" is missing"));
        write("etc/x", "another", 0o644);
        assert_eq!(found(&link), said(" is no link to what is declared"));
        assert_eq!(found(&same), said(" is no link to what is declared"));
        assert_eq!(found(&copy(None, None)), said(" does not hold what is declared"));
        write("etc/x", "declared", 0o600);
        assert_eq!(found(&same), None);
        assert_eq!(found(&copy(None, None)), None);
        assert_eq!(found(&copy(Some(0o600), None)), None);
        assert_eq!(
            found(&copy(Some(0o640), None)),
            said(" has mode 0600 instead of 0640")
        );
        let mine = target.metadata().map(|file| (file.uid(), file.gid())).unwrap();
        assert_eq!(found(&copy(None, Some(mine))), None);
        assert!(found(&copy(None, Some((mine.0 + 1, mine.1)))).is_some());

        replace_link(&target, &root.join("nowhere")).unwrap();
        assert_eq!(found(&link), said(&format!(" leads to {root}/nowhere")));
        assert_eq!(found(&copy(None, None)), said(" does not hold what is declared"));
        // By another link, as nix-darwin's /etc/static is one.
        replace_link(&root.join("store/static/x"), &source).unwrap();
        replace_link(&target, &root.join("store/static/x")).unwrap();
        assert_eq!((found(&link), found(&same)), (None, None));
        let dangling = root.join("not there");
        replace_link(&target, &dangling).unwrap();
        assert_eq!(found(&leaf(Declared::Link(dangling))), None);
    }

    #[test]
    fn files_of_folders_that_are_links_are_found() {
        let scratch = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(scratch.path()).unwrap();
        for path in ["a/b", "elsewhere"] {
            folder(&root.join(path), 0o755).unwrap();
        }
        for file in ["a/b/one", "elsewhere/two"] {
            replace(&root.join(file), b"", 0o644, Lasting::Process).unwrap();
        }
        replace_link(&root.join("a/linked"), &root.join("elsewhere")).unwrap();
        replace_link(&root.join("a/dangling"), &root.join("nowhere")).unwrap();
        assert_eq!(
            files_below(&root.join("a"), Links::Entered).unwrap(),
            ["b/one", "dangling", "linked/two"]
        );
        assert_eq!(
            files_below(&root.join("a"), Links::Kept).unwrap(),
            ["b/one", "dangling", "linked"]
        );
    }
}
