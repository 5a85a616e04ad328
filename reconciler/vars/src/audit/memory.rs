//! Owns a tree in memory for the tests of this crate: files and links by their paths.

use std::collections::BTreeMap;

use crate::tree::{EntryKind, Tree, TreeEntry, TreeError};

/// Files and links by their paths; folders are where something lies below them.
#[derive(Debug, Clone, Default)]
pub(crate) struct MemoryTree {
    files: BTreeMap<String, Vec<u8>>,
    links: BTreeMap<String, String>,
}

impl MemoryTree {
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        let mut tree = Self::default();
        for (path, content) in files {
            tree.write(path, content.as_bytes());
        }
        tree
    }

    pub(crate) fn write(&mut self, path: &str, content: &[u8]) {
        self.files.insert(path.to_owned(), content.to_vec());
    }

    pub(crate) fn point(&mut self, path: &str, target: &str) {
        self.links.insert(path.to_owned(), target.to_owned());
    }

    pub(crate) fn remove(&mut self, path: &str) {
        let below = format!("{path}/");
        self.files
            .retain(|name, _| name != path && !name.starts_with(&below));
        self.links
            .retain(|name, _| name != path && !name.starts_with(&below));
    }
}

impl Tree for MemoryTree {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, TreeError> {
        if self.links.contains_key(path) {
            return Err(TreeError::NotAFile {
                path: path.to_owned(),
            });
        }
        Ok(self.files.get(path).cloned())
    }

    fn list(&self, path: &str) -> Result<Vec<TreeEntry>, TreeError> {
        let below = format!("{path}/");
        let mut names = BTreeMap::new();
        let files = self.files.keys().map(|name| (name, EntryKind::File));
        let links = self.links.keys().map(|name| (name, EntryKind::Symlink));
        for (name, kind) in files.chain(links) {
            if let Some(rest) = name.strip_prefix(&below) {
                match rest.split_once('/') {
                    Some((folder, _)) => names.insert(folder.to_owned(), EntryKind::Directory),
                    None => names.insert(rest.to_owned(), kind),
                };
            }
        }
        let entries = names.into_iter().map(|(name, kind)| TreeEntry { name, kind });
        Ok(entries.collect())
    }

    fn link(&self, path: &str) -> Result<Option<String>, TreeError> {
        Ok(self.links.get(path).cloned())
    }
}
