//! The fleet's files at one revision as the vars crate reads them: git's objects, never a checkout.

use crate::source::{self, TreeView};
use reconciler_vars::{EntryKind, Tree, TreeEntry, TreeError};

/// The largest file that is read, in bytes: far more than any secret, far less than memory.
const LARGEST_FILE: usize = 64 << 20;

/// One folder of the fleet at one revision.
#[derive(Debug)]
pub struct FleetTree<'a>(pub TreeView<'a>);

impl Tree for FleetTree<'_> {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, TreeError> {
        let store = |source: source::TreeError| TreeError::Store {
            path: path.to_owned(),
            source: Box::new(source),
        };
        let Some(entry) = self.0.entry(path).map_err(store)? else {
            return Ok(None);
        };
        match entry.kind {
            source::EntryKind::Regular | source::EntryKind::Executable => {
                let size = self.0.with_blob(entry.oid, <[u8]>::len).map_err(store)?;
                if size > LARGEST_FILE {
                    let (size, limit) = (size as u64, LARGEST_FILE as u64);
                    return Err(TreeError::TooLarge {
                        path: path.to_owned(),
                        size,
                        limit,
                    });
                }
                self.0.blob(entry.oid).map(Some).map_err(store)
            }
            _ => Err(TreeError::NotAFile {
                path: path.to_owned(),
            }),
        }
    }

    fn list(&self, path: &str) -> Result<Vec<TreeEntry>, TreeError> {
        let store = |source: source::TreeError| TreeError::Store {
            path: path.to_owned(),
            source: Box::new(source),
        };
        let folder = match self.0.directory(path) {
            Ok(folder) => folder,
            Err(source::TreeError::NotFound { .. } | source::TreeError::Kind { .. }) => return Ok(Vec::new()),
            Err(error) => return Err(store(error)),
        };
        let entries = folder.entries().map_err(store)?;
        Ok(entries
            .into_iter()
            // A name that is no text names no var.
            .filter_map(|entry| Some((String::from_utf8(entry.name).ok()?, entry.kind)))
            .filter_map(|(name, kind)| {
                let kind = match kind {
                    source::EntryKind::Directory => EntryKind::Directory,
                    source::EntryKind::Regular | source::EntryKind::Executable => EntryKind::File,
                    source::EntryKind::Symlink => EntryKind::Symlink,
                    source::EntryKind::Gitlink => return None,
                };
                Some(TreeEntry { name, kind })
            })
            .collect())
    }

    fn link(&self, path: &str) -> Result<Option<String>, TreeError> {
        let store = |source: source::TreeError| TreeError::Store {
            path: path.to_owned(),
            source: Box::new(source),
        };
        let entry = self.0.entry(path).map_err(store)?;
        let Some(entry) = entry.filter(|entry| entry.kind == source::EntryKind::Symlink) else {
            return Ok(None);
        };
        self.0
            .with_blob(entry.oid, |target| {
                Some(String::from_utf8_lossy(target).into_owned())
            })
            .map_err(store)
    }
}
