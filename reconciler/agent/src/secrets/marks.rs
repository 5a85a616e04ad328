//! What tells one state of a secret from another without opening it: git's name of its encrypted file, and to
//! whom it is given.

use crate::source::TreeView;
use reconciler_vars::Requirements;
use std::collections::BTreeMap;

/// For each secret that is installed, by its path below the secrets' link, a text that is another one when the
/// secret changed. `folder` is where `vars/` lies.
#[must_use]
pub fn marks(folder: &TreeView<'_>, requirements: &Requirements, machine: &str) -> BTreeMap<String, String> {
    let mark = |file: &reconciler_vars::Requirement| {
        let path = file.repository_path(machine);
        let entry = folder.entry(&path).ok().flatten();
        let encrypted = entry.map(|entry| entry.oid.to_string()).unwrap_or_default();
        format!("{encrypted} {}:{} {}", file.owner, file.group, file.mode)
    };
    requirements
        .installed()
        .map(|file| (file.install_path(machine), mark(file)))
        .collect()
}
