//! Owns the way from a fleet's directory to requirements, for machines that declare no generators. It
//! must never read a file's content.

use super::error::{NameKind, RequirementsError, check_name};
use super::requirement::{Requirement, Requirements};
use crate::declared::{Declared, DeclaredFile};
use crate::mode::Mode;
use crate::tree::{EntryKind, Tree, TreeError};

impl Requirements {
    /// What `declared` says or, where it declares no generators, what the tree has for the machine.
    ///
    /// # Errors
    /// As [`Self::declared`] and [`Self::discovered`].
    pub fn find(
        declared: &Declared,
        tree: &dyn Tree,
        machine: &str,
        class_group: &str,
    ) -> Result<Self, RequirementsError> {
        if declared.is_empty() {
            Self::discovered(tree, machine, class_group)
        } else {
            Self::declared(declared, machine, class_group)
        }
    }

    /// Everything under `vars/per-machine/<m>/`, and the shared secrets that have a `machines/<m>` entry.
    ///
    /// # Errors
    /// [`RequirementsError::Discover`] when the tree cannot be listed.
    pub fn discovered(tree: &dyn Tree, machine: &str, class_group: &str) -> Result<Self, RequirementsError> {
        check_name(NameKind::Machine, machine)?;
        let found = |source| RequirementsError::Discover {
            machine: machine.to_owned(),
            source,
        };
        let mut files = Vec::new();
        let own = Search {
            tree,
            class_group,
            share: false,
        };
        own.collect(&format!("vars/per-machine/{machine}"), &mut files, |_| Ok(true))
            .map_err(found)?;
        let shared = Search {
            tree,
            class_group,
            share: true,
        };
        let is_linked = |path: &str| -> Result<bool, TreeError> {
            Ok(tree
                .list(&format!("{path}/machines"))?
                .iter()
                .any(|entry| entry.name == machine))
        };
        shared
            .collect("vars/shared", &mut files, is_linked)
            .map_err(found)?;
        Ok(Self::from_files(files))
    }
}

struct Search<'a> {
    tree: &'a dyn Tree,
    class_group: &'a str,
    share: bool,
}

impl Search<'_> {
    fn collect(
        &self,
        folder: &str,
        files: &mut Vec<Requirement>,
        is_meant: impl Fn(&str) -> Result<bool, TreeError>,
    ) -> Result<(), TreeError> {
        for generator in self.directories(folder)? {
            let within = format!("{folder}/{generator}");
            for file in self.directories(&within)? {
                let path = format!("{within}/{file}");
                let leaves = self.tree.list(&path)?;
                let has = |name: &str| {
                    leaves
                        .iter()
                        .any(|leaf| leaf.name == name && leaf.kind != EntryKind::Directory)
                };
                let secret = has("secret");
                // A shared public value says nothing of who needs it; its presence is the evaluation's affair.
                if !(secret || (has("value") && !self.share)) || !is_meant(&path)? {
                    continue;
                }
                files.push(self.requirement(&generator, &file, secret));
            }
        }
        Ok(())
    }

    fn directories(&self, folder: &str) -> Result<Vec<String>, TreeError> {
        let entries = self.tree.list(folder)?.into_iter();
        let directories = entries
            .filter(|entry| entry.kind == EntryKind::Directory)
            .map(|entry| entry.name);
        Ok(directories
            .filter(|name| check_name(NameKind::File, name).is_ok())
            .collect())
    }

    fn requirement(&self, generator: &str, file: &str, secret: bool) -> Requirement {
        let DeclaredFile {
            deploy,
            owner,
            needed_for,
            restart_units,
            ..
        } = DeclaredFile::default();
        Requirement {
            generator: generator.to_owned(),
            share: self.share,
            file: file.to_owned(),
            secret,
            deploy,
            owner,
            group: self.class_group.to_owned(),
            mode: Mode::default(),
            needed_for,
            restart_units,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::tree::DirectoryTree;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test lays out its own tree")]
    fn own_files_and_linked_shared_secrets() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for (path, links) in [
            ("vars/per-machine/jon/ssh/key/secret", &["jon"][..]),
            ("vars/per-machine/jon/ssh/key.pub/value", &[]),
            ("vars/per-machine/jon/secret/secret/secret", &["jon"]),
            ("vars/per-machine/sara/ssh/key/secret", &["sara"]),
            ("vars/shared/wifi/psk/secret", &["jon", "sara"]),
            ("vars/shared/wifi/ssid/value", &[]),
            ("vars/shared/vpn/key/secret", &["sara"]),
        ] {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap().join("machines")).unwrap();
            fs::write(&path, "x").unwrap();
            for machine in links {
                let target = format!("../../../../../../sops/machines/{machine}");
                symlink(target, path.parent().unwrap().join("machines").join(machine)).unwrap();
            }
        }
        fs::write(root.join("vars/per-machine/jon/ssh/.validation-hash"), "00").unwrap();
        let tree = DirectoryTree::new(root);
        let declared = Declared::default();
        let requirements = Requirements::find(&declared, &tree, "jon", "root").unwrap();
        let paths: Vec<_> = requirements
            .files()
            .iter()
            .map(|file| file.repository_path("jon"))
            .collect();
        assert_eq!(
            paths,
            [
                "vars/per-machine/jon/secret/secret/secret",
                "vars/per-machine/jon/ssh/key/secret",
                "vars/per-machine/jon/ssh/key.pub/value",
                "vars/shared/wifi/psk/secret"
            ]
        );
        assert!(
            Requirements::discovered(&tree, "nobody", "root")
                .unwrap()
                .is_empty()
        );
    }
}
