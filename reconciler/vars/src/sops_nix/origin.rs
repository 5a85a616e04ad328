//! Owns the way back from a file of the store to the one of the fleet that it was made of. It must never judge either.

use std::path::{Component, Path};

use super::source;
use crate::tree::{EntryKind, Tree};

/// How many names of the fleet are looked at: more than any fleet has.
const MOST_NAMES: usize = 100_000;

/// The path in the fleet's tree of a file of the store with the same bytes: a manifest names it as a part of the
/// fleet's source (`<store>/<hash>-source/secrets/web.yaml`), or as a copy of its own (`<store>/<hash>-web.yaml`).
pub fn origin(tree: &dyn Tree, store: &Path, file: &Path) -> Option<String> {
    let below = file.strip_prefix(store).ok()?;
    let parts: Vec<&str> = below
        .components()
        .map(|part| match part {
            Component::Normal(part) => part.to_str(),
            _ => None,
        })
        .collect::<Option<_>>()?;
    let (object, inside) = parts.split_first()?;
    let bytes = source::read(file).ok()?;
    let is_it = |path: &str| {
        tree.read(path)
            .is_ok_and(|found| found.as_deref() == Some(&bytes))
    };
    // The tree may be a folder of the source.
    for start in 0..inside.len() {
        let path = inside.get(start..)?.join("/");
        if is_it(&path) {
            return Some(path);
        }
    }
    // 32 letters of a hash and a dash.
    let name = match inside.last() {
        Some(name) => name,
        None => object.get(33..)?,
    };
    let (mut folders, mut seen) = (vec![String::new()], 0_usize);
    while let Some(folder) = folders.pop() {
        for entry in tree.list(&folder).ok()? {
            seen = seen.saturating_add(1);
            if seen > MOST_NAMES {
                return None;
            }
            let path = match folder.as_str() {
                "" => entry.name.clone(),
                folder => format!("{folder}/{}", entry.name),
            };
            match entry.kind {
                EntryKind::Directory => folders.push(path),
                EntryKind::File if entry.name == name && is_it(&path) => return Some(path),
                EntryKind::File | EntryKind::Symlink => {}
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::tree::DirectoryTree;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test lays out its own files")]
    fn a_file_of_the_store_is_found_in_the_fleet() {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let hash = "a".repeat(32);
        write("fleet/secrets/web.yaml", "web");
        write("fleet/machines/one/web.yaml", "another");
        write(&format!("store/{hash}-source/secrets/web.yaml"), "web");
        write(
            &format!("store/{hash}-source/infra/machines/one/web.yaml"),
            "another",
        );
        write(&format!("store/{hash}-web.yaml"), "web");
        write(&format!("store/{hash}-other/web.yaml"), "made by a build");
        let (tree, store) = (
            DirectoryTree::new(folder.path().join("fleet")),
            folder.path().join("store"),
        );
        let found = |path: String| origin(&tree, &store, &store.join(path));
        for (path, expected) in [
            (
                format!("{hash}-source/secrets/web.yaml"),
                Some("secrets/web.yaml"),
            ),
            // The fleet is the folder `infra` of its repository.
            (
                format!("{hash}-source/infra/machines/one/web.yaml"),
                Some("machines/one/web.yaml"),
            ),
            (format!("{hash}-web.yaml"), Some("secrets/web.yaml")),
            (format!("{hash}-other/web.yaml"), None),
            (format!("{hash}-missing.yaml"), None),
            ("short".to_owned(), None),
        ] {
            assert_eq!(found(path.clone()).as_deref(), expected, "{path}");
        }
        assert_eq!(origin(&tree, &store, Path::new("/elsewhere/web.yaml")), None);
    }
}
