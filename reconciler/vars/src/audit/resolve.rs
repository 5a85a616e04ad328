//! Owns the following of symbolic links inside a fleet's directory, as a kernel follows them. It must never leave
//! the directory, nor follow for ever.

use std::collections::VecDeque;

use crate::tree::{EntryKind, Tree, TreeError};

/// Where a path ends when its links are followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// At a file or folder of the fleet's directory: the path without any link.
    There(String),
    /// At nothing: the path that is not there.
    Nowhere(String),
    /// Outside the fleet's directory.
    Outside,
    /// Nowhere ever: links point to each other, or are too many.
    Endless,
}

/// Linux follows this many links on one path (`path_resolution(7)`).
const MOST_LINKS: usize = 40;

/// Follows `target`, as it stands in a link that lies in `folder`.
pub(super) fn resolve(tree: &dyn Tree, folder: &str, target: &str) -> Result<Place, TreeError> {
    let mut place: Vec<String> = folder
        .split('/')
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect();
    if target.starts_with('/') {
        return Ok(Place::Outside);
    }
    let mut left: VecDeque<String> = parts(target).collect();
    let mut followed: usize = 0;
    while let Some(part) = left.pop_front() {
        if part == ".." {
            if place.pop().is_none() {
                return Ok(Place::Outside);
            }
            continue;
        }
        place.push(part);
        let path = place.join("/");
        if let Some(target) = tree.link(&path)? {
            followed = followed.saturating_add(1);
            if followed > MOST_LINKS {
                return Ok(Place::Endless);
            }
            if target.starts_with('/') {
                return Ok(Place::Outside);
            }
            place.pop();
            for part in parts(&target).collect::<Vec<_>>().into_iter().rev() {
                left.push_front(part);
            }
            continue;
        }
        match kind(tree, &place)? {
            None => return Ok(Place::Nowhere(path)),
            Some(EntryKind::Directory) => {}
            // A file has nothing below it.
            Some(_) if left.is_empty() => {}
            Some(_) => {
                return Ok(Place::Nowhere(format!(
                    "{path}/{}",
                    left.make_contiguous().join("/")
                )));
            }
        }
    }
    Ok(Place::There(place.join("/")))
}

fn parts(target: &str) -> impl Iterator<Item = String> + use<'_> {
    let parts = target.split('/').filter(|part| !part.is_empty() && *part != ".");
    parts.map(str::to_owned)
}

/// What lies at a path. What lies at the top of the directory is not listed: folders are told by what is in them.
fn kind(tree: &dyn Tree, place: &[String]) -> Result<Option<EntryKind>, TreeError> {
    let Some((name, folder)) = place.split_last() else {
        return Ok(Some(EntryKind::Directory));
    };
    if folder.is_empty() {
        if !tree.list(name)?.is_empty() {
            return Ok(Some(EntryKind::Directory));
        }
        return Ok(tree.read(name)?.map(|_| EntryKind::File));
    }
    let entries = tree.list(&folder.join("/"))?;
    Ok(entries
        .into_iter()
        .find(|entry| entry.name == *name)
        .map(|entry| entry.kind))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use proptest::prelude::*;

    use super::*;
    use crate::audit::memory::MemoryTree;
    use crate::tree::DirectoryTree;

    #[test]
    fn links_end_where_a_kernel_ends() {
        let mut tree = MemoryTree::of(&[("sops/machines/jon/key.json", "{}"), ("vars/x", "")]);
        tree.point("sops/groups/all/machines/jon", "../../../machines/jon");
        tree.point("sops/alias", "machines");
        tree.point("sops/a", "b");
        tree.point("sops/b", "./a");
        tree.point("sops/out", "/etc");
        let table = [
            (
                "vars/shared/g/f/machines",
                "../../../../../sops/machines/jon",
                Place::There("sops/machines/jon".to_owned()),
            ),
            (
                "vars/shared",
                "../../sops/alias/jon",
                Place::There("sops/machines/jon".to_owned()),
            ),
            (
                "vars",
                "../sops/groups/all/machines/jon/key.json",
                Place::There("sops/machines/jon/key.json".to_owned()),
            ),
            (
                "vars",
                "../sops/machines/sara",
                Place::Nowhere("sops/machines/sara".to_owned()),
            ),
            ("vars", "x/y", Place::Nowhere("vars/x/y".to_owned())),
            ("vars", "../../x", Place::Outside),
            ("vars", "/etc/passwd", Place::Outside),
            ("sops", "out/passwd", Place::Outside),
            ("sops", "a", Place::Endless),
        ];
        for (folder, target, expected) in table {
            assert_eq!(
                resolve(&tree, folder, target).unwrap(),
                expected,
                "{folder} {target}"
            );
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Against the kernel itself, on folders full of links to each other.
        #[test]
        fn any_links_end_and_where_the_kernel_ends(
            links in proptest::collection::vec(("[abc]", "[abc]", "(\\.\\./){0,2}[abc](/[abc]){0,2}"), 1..8),
            target in "(\\.\\./){0,2}[abc](/[abc]){0,2}",
        ) {
            let folder = tempfile::tempdir().unwrap();
            let root = folder.path().canonicalize().unwrap();
            for name in ["a", "b"] {
                fs::create_dir_all(root.join(name).join("c")).unwrap();
                // No folder is empty in git.
                symlink("..", root.join(name).join("c/up")).unwrap();
            }
            for (folder, name, target) in &links {
                let _ = symlink(target, root.join(folder).join(name));
            }
            let found = resolve(&DirectoryTree::new(&root), "a", &target).unwrap();
            let expected = fs::canonicalize(root.join("a").join(&target));
            match (&found, &expected) {
                (Place::There(path), Ok(place)) => prop_assert_eq!(&root.join(path), place),
                (Place::Nowhere(_) | Place::Endless, Err(_)) => {}
                // The fleet's directory ends where the fleet does, which a kernel does not know.
                (Place::Outside, _) => {}
                other => prop_assert!(false, "{:?}", other),
            }
        }
    }
}
