//! Owns the manifest as sops-nix's modules write it. It must never read a file that it names.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer};

use crate::identity::IdentitySource;

/// The largest manifest that is read, in bytes: far more than any fleet's.
pub(super) const LARGEST_MANIFEST: u64 = 64 << 20;

/// One manifest: what is to be installed, where, and with which keys it opens.
///
/// Nix writes an option that is not set as `null`; it reads as if it were absent. Unknown fields are passed over:
/// a newer sops-nix may write more.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
pub struct Manifest {
    /// The secrets.
    #[serde(deserialize_with = "or_default")]
    pub secrets: Vec<SecretEntry>,
    /// Files with the secrets' values in them.
    #[serde(deserialize_with = "or_default")]
    pub templates: Vec<TemplateEntry>,
    /// What stands in a template for a secret's value, by the secret's name.
    #[serde(deserialize_with = "or_default")]
    pub placeholder_by_secret_name: BTreeMap<String, String>,
    /// The folder of all generations; `%r` is the runtime directory where the manifest is a user's.
    #[serde(deserialize_with = "or_default")]
    pub secrets_mount_point: String,
    /// The link to the generation in force.
    #[serde(deserialize_with = "or_default")]
    pub symlink_path: String,
    /// How many generations are kept; 0 keeps all.
    #[serde(deserialize_with = "or_default")]
    pub keep_generations: u64,
    /// SSH keys that sops-nix makes PGP keys of.
    #[serde(deserialize_with = "or_default")]
    pub ssh_key_paths: Vec<PathBuf>,
    /// A folder of GnuPG.
    #[serde(deserialize_with = "or_default")]
    pub gnupg_home: String,
    /// An age key file.
    #[serde(deserialize_with = "or_default")]
    pub age_key_file: String,
    /// SSH keys that open what is encrypted to them, or to the age keys that they convert to.
    #[serde(deserialize_with = "or_default")]
    pub age_ssh_key_paths: Vec<PathBuf>,
    /// A tmpfs instead of a ramfs.
    #[serde(deserialize_with = "or_default")]
    pub use_tmpfs: bool,
    /// It is a user's: nothing is mounted and nothing changes its owner.
    #[serde(deserialize_with = "or_default")]
    pub user_mode: bool,
    /// What is told.
    #[serde(deserialize_with = "or_default")]
    pub logging: Logging,
}

/// What is told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Logging {
    /// The public half of each key that was read.
    #[serde(deserialize_with = "or_default")]
    pub key_import: bool,
    /// The names of what was added, modified and removed.
    #[serde(deserialize_with = "or_default")]
    pub secret_changes: bool,
}

/// One secret.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SecretEntry {
    /// Its path below the link.
    #[serde(deserialize_with = "or_default")]
    pub name: String,
    /// Its key in the sops file, nested keys between slashes; empty for the whole file.
    #[serde(deserialize_with = "or_default")]
    pub key: String,
    /// Where it is looked for; a link is made there if that is not below [`Manifest::symlink_path`].
    #[serde(deserialize_with = "or_default")]
    pub path: String,
    /// The user's name; `None` says that `uid` counts.
    pub owner: Option<String>,
    /// The user's number.
    #[serde(deserialize_with = "or_default")]
    pub uid: i64,
    /// The group's name; `None` says that `gid` counts.
    pub group: Option<String>,
    /// The group's number.
    #[serde(deserialize_with = "or_default")]
    pub gid: i64,
    /// The encrypted file.
    #[serde(deserialize_with = "or_default")]
    pub sops_file: PathBuf,
    /// `yaml`, `json`, `binary`, `dotenv`, `ini`; empty for `yaml`.
    #[serde(deserialize_with = "or_default")]
    pub format: String,
    /// Octal digits.
    #[serde(deserialize_with = "or_default")]
    pub mode: String,
    /// systemd units to restart when it changed.
    #[serde(deserialize_with = "or_default")]
    pub restart_units: Vec<String>,
    /// systemd units to reload when it changed.
    #[serde(deserialize_with = "or_default")]
    pub reload_units: Vec<String>,
}

/// One template.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TemplateEntry {
    /// Its path below `rendered` of the link.
    #[serde(deserialize_with = "or_default")]
    pub name: String,
    /// Its text; where it is empty, that of `file` counts.
    #[serde(deserialize_with = "or_default")]
    pub content: String,
    /// A file with its text.
    #[serde(deserialize_with = "or_default")]
    pub file: String,
    /// Where it is looked for.
    #[serde(deserialize_with = "or_default")]
    pub path: String,
    /// Octal digits.
    #[serde(deserialize_with = "or_default")]
    pub mode: String,
    /// The user's name; `None` says that `uid` counts.
    pub owner: Option<String>,
    /// The user's number.
    #[serde(deserialize_with = "or_default")]
    pub uid: i64,
    /// The group's name; `None` says that `gid` counts.
    pub group: Option<String>,
    /// The group's number.
    #[serde(deserialize_with = "or_default")]
    pub gid: i64,
    /// systemd units to restart when it changed.
    #[serde(deserialize_with = "or_default")]
    pub restart_units: Vec<String>,
    /// systemd units to reload when it changed.
    #[serde(deserialize_with = "or_default")]
    pub reload_units: Vec<String>,
}

fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(reader: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(reader)?.unwrap_or_default())
}

/// Why a manifest cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// It could not be read.
    #[error("cannot read the manifest {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// It is larger than any manifest.
    #[error("the manifest {} has more than {LARGEST_MANIFEST} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// It is not of a manifest's form.
    #[error("{} is no manifest of sops-nix", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: serde_json::Error,
    },
    /// A field that every manifest has is empty.
    #[error("the manifest {} has no {field}", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// The field.
        field: &'static str,
    },
}

impl Manifest {
    /// Reads a manifest's text.
    ///
    /// # Errors
    /// The parser's, which tells the line and the column.
    pub fn parse(text: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(text)
    }

    /// Reads a manifest's file.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn read(path: &Path) -> Result<Self, ManifestError> {
        let failed = |source| ManifestError::Read {
            path: path.to_owned(),
            source,
        };
        let text = super::source::read_bounded(path, LARGEST_MANIFEST).map_err(failed)?;
        let text = text.ok_or_else(|| ManifestError::TooLarge {
            path: path.to_owned(),
        })?;
        let manifest = Self::parse(&text).map_err(|source| ManifestError::Parse {
            path: path.to_owned(),
            source,
        })?;
        for (field, value) in [
            ("secretsMountPoint", &manifest.secrets_mount_point),
            ("symlinkPath", &manifest.symlink_path),
        ] {
            if value.is_empty() {
                return Err(ManifestError::Missing {
                    path: path.to_owned(),
                    field,
                });
            }
        }
        Ok(manifest)
    }

    /// With the runtime directory in the places that a user's manifest names by `%r`; `%%` is one `%`.
    #[must_use]
    pub fn below_runtime_dir(mut self, runtime_dir: &str) -> Self {
        let paths = self.secrets.iter_mut().map(|secret| &mut secret.path);
        let paths = paths.chain(self.templates.iter_mut().map(|template| &mut template.path));
        for path in paths.chain([&mut self.secrets_mount_point, &mut self.symlink_path]) {
            *path = expand(path, runtime_dir);
        }
        self
    }

    /// The keys that open it: SSH keys first, then the age key file, as sops-nix reads them.
    pub fn identities(&self) -> Vec<IdentitySource> {
        let ssh = self.age_ssh_key_paths.iter().cloned();
        let mut sources: Vec<_> = ssh.map(IdentitySource::SshHostKey).collect();
        if !self.age_key_file.is_empty() {
            sources.push(IdentitySource::AgeKeyFile(self.age_key_file.clone().into()));
        }
        sources
    }
}

fn expand(path: &str, runtime_dir: &str) -> String {
    let parts: Vec<_> = path
        .split("%%")
        .map(|part| part.replace("%r", runtime_dir))
        .collect();
    parts.join("%")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_is_absent_and_unknown_fields_are_passed_over() {
        let text = br#"{"secrets":[{"name":"a","owner":null,"uid":null,"sopsFileHash":"x","neededForUsers":false,
            "restartUnits":["a.service"]}],"templates":null,"gnupgHome":null,"ageKeyFile":null,"keepGenerations":1,
            "logging":{"keyImport":true},"futureField":{"a":[1]}}"#;
        let manifest = Manifest::parse(text).unwrap();
        assert_eq!(manifest.secrets[0].restart_units, ["a.service"]);
        assert_eq!((manifest.secrets[0].uid, &manifest.secrets[0].owner), (0, &None));
        assert!(manifest.logging.key_import && !manifest.logging.secret_changes);
        for text in [
            "",
            "x",
            "{\"secrets\":{}}",
            "{\"secrets\":[{\"mode\":400}]}",
            "{} x",
            "{\"secrets\":[]",
        ] {
            assert!(Manifest::parse(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn the_runtime_directory_takes_the_place_of_its_letter() {
        for (path, expected) in [
            ("%r/secrets.d", "/run/user/7/secrets.d"),
            ("/a/%%r/%r%%", "/a/%r//run/user/7%"),
            ("plain", "plain"),
        ] {
            assert_eq!(expand(path, "/run/user/7"), expected);
        }
    }
}
