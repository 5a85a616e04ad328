//! Owns one needed var and the list of them, in the form that the agent keeps beside a generation. It
//! must never hold a value.

use serde::{Deserialize, Deserializer, Serialize};

use crate::declared::NeededFor;
use crate::mode::Mode;

/// One file that a machine needs.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Requirement {
    /// The generator that makes it.
    pub generator: String,
    /// Whether all machines have the same.
    pub share: bool,
    /// Its name.
    pub file: String,
    /// Whether it is encrypted; a public file must only exist.
    pub secret: bool,
    /// Whether it is meant for the machine.
    pub deploy: bool,
    /// Owner of the installed file: a name or a number.
    pub owner: String,
    /// Group of the installed file: a name or a number.
    pub group: String,
    /// Permission bits of the installed file.
    pub mode: Mode,
    /// When it is needed.
    pub needed_for: NeededFor,
    /// systemd units to restart when it changes.
    pub restart_units: Vec<String>,
}

impl Requirement {
    /// Path below the fleet's directory: `vars/per-machine/<m>/<g>/<f>/secret`, `vars/shared/<g>/<f>/value`.
    pub fn repository_path(&self, machine: &str) -> String {
        let leaf = if self.secret { "secret" } else { "value" };
        format!("{}/{leaf}", self.install_path(machine))
    }

    /// Path below the secrets' link: `vars/per-machine/<m>/<g>/<f>` or `vars/shared/<g>/<f>`.
    pub fn install_path(&self, machine: &str) -> String {
        let Self { generator, file, .. } = self;
        if self.share {
            format!("vars/shared/{generator}/{file}")
        } else {
            format!("vars/per-machine/{machine}/{generator}/{file}")
        }
    }

    /// Whether it is decrypted and installed: a secret, meant for the machine, after installation day.
    pub fn is_installed(&self) -> bool {
        self.secret && self.deploy && self.needed_for != NeededFor::Partitioning
    }

    /// Whether the tree must have it.
    pub(crate) fn must_exist(&self) -> bool {
        self.is_installed() || (!self.secret && self.deploy)
    }
}

/// The version of the stored form that this code writes.
const VERSION: u32 = 1;

/// Everything that a machine needs, ordered by path.
///
/// Serialises as `{ "version": 1, "files": [ … ] }`, so that a generation can be opened again from its
/// own revision without an evaluation. A newer version is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requirements {
    #[serde(deserialize_with = "known_version")]
    version: u32,
    files: Vec<Requirement>,
}

fn known_version<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let version = u32::deserialize(deserializer)?;
    if version == 0 || version > VERSION {
        return Err(serde::de::Error::custom(format_args!(
            "requirements have version {version}, and only {VERSION} is known"
        )));
    }
    Ok(version)
}

impl Requirements {
    /// The list in its order: per machine before shared, by generator, by file.
    pub(crate) fn from_files(mut files: Vec<Requirement>) -> Self {
        files.sort_by(|a, b| (a.share, &a.generator, &a.file).cmp(&(b.share, &b.generator, &b.file)));
        Self {
            version: VERSION,
            files,
        }
    }

    /// The files.
    pub fn files(&self) -> &[Requirement] {
        &self.files
    }

    /// The files that are decrypted and installed.
    pub fn installed(&self) -> impl Iterator<Item = &Requirement> {
        self.files.iter().filter(|file| file.is_installed())
    }

    /// Whether nothing at all is needed.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }
}
