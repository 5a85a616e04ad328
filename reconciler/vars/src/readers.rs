//! Owns the fleet's own word on who may read a secret: the links beside it, and the keys that they name. It must
//! never read a secret.

use std::fmt;

use crate::requirements::{InvalidName, NameKind, check_name};
use crate::sops::{InvalidRecipient, Recipient};
use crate::tree::{Tree, TreeError};

/// Whose key it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ReaderKind {
    /// A machine: `sops/machines/<name>/key.json`.
    Machine,
    /// A person: `sops/users/<name>/key.json`.
    User,
}

impl ReaderKind {
    /// Where the key of one of them is, below the fleet's directory.
    pub fn key_file(self, name: &str) -> String {
        format!("sops/{}/{name}/key.json", self.folder())
    }

    /// The folder's name, both beside a secret and below `sops/`.
    pub(crate) fn folder(self) -> &'static str {
        match self {
            Self::Machine => "machines",
            Self::User => "users",
        }
    }
}

impl fmt::Display for ReaderKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Machine => "machine",
            Self::User => "user",
        })
    }
}

/// One who may read a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reader {
    /// Machine or person.
    pub kind: ReaderKind,
    /// The name.
    pub name: String,
    /// The age keys; those of other kinds (`pgp`) are left out.
    pub recipients: Vec<Recipient>,
}

/// Why it could not be told who may read a secret.
#[derive(Debug, thiserror::Error)]
pub enum ReadersError {
    /// The tree could not be read.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// A name would leave its folder.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// A link names someone who has no key.
    #[error("{path} is missing, and {kind} {name} is to read a secret")]
    NoKey {
        /// Whose.
        kind: ReaderKind,
        /// The name.
        name: String,
        /// Where the key is to be.
        path: String,
    },
    /// The key file is not of clan's form. What stands there is not quoted: it may be a private key.
    #[error("{path} is not a key file: not what clan writes, at line {line}, column {column}")]
    KeyFile {
        /// The file.
        path: String,
        /// From 1; 0 where only the whole is wrong.
        line: usize,
        /// From 1; 0 likewise.
        column: usize,
    },
    /// The key is none.
    #[error("{path} holds no age key")]
    Key {
        /// The file.
        path: String,
        /// What is wrong with it.
        #[source]
        source: InvalidRecipient,
    },
}

#[derive(serde::Deserialize)]
struct KeyEntry {
    publickey: String,
    #[serde(rename = "type")]
    kind: String,
}

/// Who may read the secret in `folder` (`vars/…/<generator>/<file>`): its links `machines/<m>`, `users/<u>` and
/// `groups/<g>`, where a group is what `sops/groups/<g>/{machines,users}` names. Ordered, each once.
///
/// # Errors
/// [`ReadersError`] when one of them has no key.
pub fn readers(tree: &dyn Tree, folder: &str) -> Result<Vec<Reader>, ReadersError> {
    let mut names = Vec::new();
    let kinds = [ReaderKind::Machine, ReaderKind::User];
    for kind in kinds {
        names.extend(listed(tree, &format!("{folder}/{}", kind.folder()), kind)?);
    }
    for group in tree.list(&format!("{folder}/groups"))? {
        check_name(NameKind::File, &group.name)?;
        for kind in kinds {
            names.extend(listed(
                tree,
                &format!("sops/groups/{}/{}", group.name, kind.folder()),
                kind,
            )?);
        }
    }
    names.sort();
    names.dedup();
    names
        .into_iter()
        .map(|(kind, name)| key(tree, kind, name))
        .collect()
}

fn listed(
    tree: &dyn Tree,
    folder: &str,
    kind: ReaderKind,
) -> Result<Vec<(ReaderKind, String)>, ReadersError> {
    let mut names = Vec::new();
    for entry in tree.list(folder)? {
        check_name(NameKind::File, &entry.name)?;
        names.push((kind, entry.name));
    }
    Ok(names)
}

/// The keys of one machine or person.
pub(crate) fn key(tree: &dyn Tree, kind: ReaderKind, name: String) -> Result<Reader, ReadersError> {
    let path = kind.key_file(&name);
    let Some(bytes) = tree.read(&path)? else {
        return Err(ReadersError::NoKey { kind, name, path });
    };
    // One key or a list of them: both are in use.
    let keys = serde_json::from_slice::<Vec<KeyEntry>>(&bytes)
        .or_else(|_| serde_json::from_slice::<KeyEntry>(&bytes).map(|key| vec![key]));
    let keys = keys.map_err(|error| ReadersError::KeyFile {
        path: path.clone(),
        line: error.line(),
        column: error.column(),
    })?;
    let recipients = keys
        .into_iter()
        .filter(|key| key.kind == "age")
        .map(|key| key.publickey.parse());
    let recipients = recipients
        .collect::<Result<_, _>>()
        .map_err(|source| ReadersError::Key { path, source })?;
    Ok(Reader {
        kind,
        name,
        recipients,
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::tree::DirectoryTree;

    const ONE: &str = "age1u7snfagg0d2vq6lqdz6vxjyd43w4naecg5w0zfaq8tqsa07nxc6qzku6d2";
    const TWO: &str = "age1uzzztfn0vtzp2a7zjzfwjn42zgylzlyah0tah6h0696sf4wrhdms2yll8k";

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test lays out its own tree")]
    fn links_and_groups_name_machines_and_people() {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write(
            "sops/machines/jon/key.json",
            &format!(r#"{{"publickey":"{ONE}","type":"age"}}"#),
        );
        let list = format!(r#"[{{"publickey":"{TWO}","type":"age"}},{{"publickey":"AB12","type":"pgp"}}]"#);
        write("sops/users/ann/key.json", &list);
        write("sops/groups/admins/users/ann", "");
        write("vars/shared/g/f/machines/jon", "");
        write("vars/shared/g/f/users/ann", "");
        write("vars/shared/g/f/groups/admins", "");
        write("vars/shared/g/lost/machines/gone", "");
        write("vars/shared/g/bad/users/bob", "");
        write(
            "sops/users/bob/key.json",
            r#"{"publickey":"age1nonsense","type":"age"}"#,
        );
        let tree = DirectoryTree::new(folder.path());
        let found = readers(&tree, "vars/shared/g/f").unwrap();
        let told: Vec<_> = found
            .iter()
            .map(|reader| (reader.name.as_str(), reader.recipients[0].to_string()))
            .collect();
        assert_eq!(told, [("jon", ONE.to_owned()), ("ann", TWO.to_owned())]);
        assert_eq!(found[1].recipients.len(), 1);
        assert!(readers(&tree, "vars/shared/g/none").unwrap().is_empty());
        assert!(matches!(
            readers(&tree, "vars/shared/g/lost"),
            Err(ReadersError::NoKey { .. })
        ));
        assert!(matches!(
            readers(&tree, "vars/shared/g/bad"),
            Err(ReadersError::Key { .. })
        ));
    }
}
