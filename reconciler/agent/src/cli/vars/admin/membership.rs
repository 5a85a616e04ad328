//! Who comes and who goes, as a person says it: keys, groups, and what the newcomers may read. Writes nothing.

use super::args::RekeyOptions;
use super::error::AdminError;
use super::fleet::{Declared, Fleet};
use reconciler_vars::generators::{Directory, Edit, Membership, SecretFolder, key_file, link_target};
use reconciler_vars::{InvalidName, NameKind, ReaderKind, Tree};
use std::collections::BTreeSet;

/// The changes below `sops/`.
#[derive(Debug, Default)]
pub(super) struct Keys {
    /// Before any secret is sealed for the newcomers.
    pub(super) coming: Vec<Edit>,
    /// After no secret is sealed for those who go.
    pub(super) going: Vec<Edit>,
    pub(super) membership: Membership,
}

/// What the options say, checked against what is there.
pub(super) fn changes(
    options: &RekeyOptions,
    fleet: &Fleet,
    declared: Option<&Declared>,
    folders: &[SecretFolder],
    directory: &mut Directory<'_>,
) -> Result<Keys, AdminError> {
    let mut keys = Keys::default();
    let going = [
        (ReaderKind::Machine, &options.remove_machine),
        (ReaderKind::User, &options.remove_user),
    ];
    for (kind, names) in going {
        for name in names {
            check(name)?;
            keys.membership.removed.insert((kind, name.clone()));
        }
    }
    for (kind, pairs) in [
        (ReaderKind::Machine, &options.add_machine),
        (ReaderKind::User, &options.add_user),
    ] {
        for pair in pairs {
            check(&pair.name)?;
            if keys.membership.removed.contains(&(kind, pair.name.clone())) {
                return Err(AdminError::Contradiction {
                    name: pair.name.clone(),
                });
            }
            let (recipient, file) = key_file(kind, &pair.key).map_err(|source| AdminError::Key {
                name: pair.name.clone(),
                source,
            })?;
            directory.set(kind, &pair.name, Some(vec![recipient]));
            let mut edit = Edit::new(folder_of(kind, &pair.name));
            edit.file("key.json", file);
            keys.coming.push(edit);
            if let (ReaderKind::User, Some(group)) = (kind, &options.group) {
                keys.coming.push(join(fleet, group, &pair.name)?);
                directory.join(group, kind, &pair.name);
            }
            for folder in folders
                .iter()
                .filter(|folder| may_read(folder, kind, &pair.name, declared))
            {
                let added = keys.membership.added.entry(folder.path.clone()).or_default();
                added.insert((kind, pair.name.clone()));
            }
        }
    }
    for (kind, name) in keys.membership.removed.clone() {
        keys.going.extend(leave(fleet, kind, &name, folders)?);
        directory.set(kind, &name, None);
    }
    Ok(keys)
}

/// Whether a newcomer may read a secret: a machine what it declares, a person what goes to everyone or by name.
fn may_read(folder: &SecretFolder, kind: ReaderKind, name: &str, declared: Option<&Declared>) -> bool {
    let Some(declared) = declared else { return false };
    match kind {
        ReaderKind::Machine => declared.graph.iter().any(|(id, node)| {
            let file = folder.path.strip_prefix(&format!("{}/", id.folder()));
            file.and_then(|file| node.deploy.get(file))
                .is_some_and(|machines| machines.contains(name))
        }),
        ReaderKind::User => {
            let readers = &declared.fleet.readers;
            let wanted = match &readers.users {
                Some(users) => users.iter().any(|user| user == name),
                None => readers.groups.is_empty(),
            };
            wanted && folder.path.starts_with("vars/")
        }
    }
}

fn check(name: &str) -> Result<(), AdminError> {
    // A name becomes a folder's.
    let plain =
        !name.is_empty() && !name.starts_with('.') && !name.contains(|c: char| c == '/' || c.is_control());
    if plain && name.len() <= 255 {
        return Ok(());
    }
    Err(InvalidName {
        kind: NameKind::Machine,
        name: name.to_owned(),
    }
    .into())
}

fn folder(kind: ReaderKind) -> &'static str {
    match kind {
        ReaderKind::Machine => "machines",
        ReaderKind::User => "users",
    }
}

fn folder_of(kind: ReaderKind, name: &str) -> String {
    format!("sops/{}/{name}", folder(kind))
}

fn join(fleet: &Fleet, group: &str, name: &str) -> Result<Edit, AdminError> {
    let groups = fleet.tree.list("sops/groups")?;
    if !groups.iter().any(|entry| entry.name == group) {
        return Err(AdminError::NoGroup {
            group: group.to_owned(),
        });
    }
    let folder = format!("sops/groups/{group}");
    let mut edit = Edit::new(folder.clone());
    edit.link(format!("users/{name}"), link_target(&folder, "users", name));
    Ok(edit)
}

/// What is taken away below `sops/`; someone who is nowhere is an error, so that a wrong name is noticed.
fn leave(
    fleet: &Fleet,
    kind: ReaderKind,
    name: &str,
    folders: &[SecretFolder],
) -> Result<Vec<Edit>, AdminError> {
    let mut edits = Vec::new();
    let own = folder_of(kind, name);
    let mut edit = Edit::new(own.clone());
    for entry in fleet.tree.list(&own)? {
        edit.remove(entry.name);
    }
    edits.push(edit);
    for group in fleet.tree.list("sops/groups")? {
        let mut edit = Edit::new(format!("sops/groups/{}", group.name));
        edit.remove(format!("{}/{name}", folder(kind)));
        edits.push(edit);
    }
    edits.retain(|edit| !edit.is_idle(fleet.root.as_std_path()));
    let mut linked = false;
    for secret in folders {
        let names = fleet.tree.list(&format!("{}/{}", secret.path, folder(kind)))?;
        linked |= names.iter().any(|entry| entry.name == name);
    }
    if edits.is_empty() && !linked {
        let kind = match kind {
            ReaderKind::Machine => "machine",
            ReaderKind::User => "user",
        };
        return Err(AdminError::Unknown {
            kind,
            name: name.to_owned(),
        });
    }
    Ok(edits)
}

/// The names of those who come or go, for a commit's subject.
pub(super) fn subject(keys: &Keys, options: &RekeyOptions) -> String {
    let names = |pairs: &[super::args::NamedKey]| -> Vec<String> {
        pairs.iter().map(|pair| pair.name.clone()).collect()
    };
    let coming: BTreeSet<_> = [names(&options.add_machine), names(&options.add_user)]
        .concat()
        .into_iter()
        .collect();
    let going: BTreeSet<_> = keys
        .membership
        .removed
        .iter()
        .map(|(_, name)| name.clone())
        .collect();
    let join = |names: BTreeSet<String>| names.into_iter().collect::<Vec<_>>().join(", ");
    match (coming.is_empty(), going.is_empty()) {
        (true, true) => "vars: encrypt to those who may read".to_owned(),
        (false, true) => format!("vars: add {}", join(coming)),
        (true, false) => format!("vars: remove {}", join(going)),
        (false, false) => format!("vars: add {}, remove {}", join(coming), join(going)),
    }
}
