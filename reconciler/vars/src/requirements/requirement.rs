//! Owns one needed var and the list of them, in the form that the agent keeps beside a generation. It
//! must never hold a value.

use serde::{Deserialize, Deserializer, Serialize};

use super::placement::Placement;
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

    /// Path below `<upload directory>/activation`, where clan has what activation scripts need:
    /// `per-machine/<m>/<g>/<f>` or `shared/<g>/<f>`.
    pub fn activation_path(&self, machine: &str) -> String {
        let path = self.install_path(machine);
        path.strip_prefix("vars/").unwrap_or(&path).to_owned()
    }

    /// Whether it is decrypted and installed: a secret, meant for the machine, after installation day.
    pub fn is_installed(&self) -> bool {
        self.secret && self.deploy && self.needed_for != NeededFor::Partitioning
    }
}

/// The newest version of the stored form: 1 with the agent's own placement, 2 with another.
const VERSION: u32 = 2;

/// Everything that a machine needs, ordered by path, and where it lies.
///
/// Serialises as `{ "version": 1, "files": [ … ] }`, so that a generation can be opened again from its own
/// revision without an evaluation; with a placement that is not the usual one, as
/// `{ "version": 2, "files": [ … ], "placement": { … } }`. A newer version is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requirements {
    #[serde(deserialize_with = "known_version")]
    version: u32,
    files: Vec<Requirement>,
    #[serde(default, skip_serializing_if = "Placement::is_usual")]
    placement: Placement,
}

fn known_version<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let version = u32::deserialize(deserializer)?;
    if version == 0 || version > VERSION {
        return Err(serde::de::Error::custom(format_args!(
            "requirements have version {version}, and only those up to {VERSION} are known"
        )));
    }
    Ok(version)
}

impl Default for Requirements {
    fn default() -> Self {
        Self::from_files(Vec::new())
    }
}

impl Requirements {
    /// The list in its order: per machine before shared, by generator, by file.
    pub(crate) fn from_files(mut files: Vec<Requirement>) -> Self {
        files.sort_by(|a, b| (a.share, &a.generator, &a.file).cmp(&(b.share, &b.generator, &b.file)));
        Self {
            version: 1,
            files,
            placement: Placement::default(),
        }
    }

    /// The same, with a placement.
    #[must_use]
    pub fn with_placement(self, placement: Placement) -> Self {
        let version = if placement.is_usual() { 1 } else { VERSION };
        Self {
            version,
            placement,
            ..self
        }
    }

    /// What of them the agent installs: all, or what activation scripts need where another installer does the
    /// rest.
    #[must_use]
    pub fn for_agent(mut self) -> Self {
        if self.placement.installer == super::placement::Installer::Own {
            self.files
                .retain(|file| file.is_installed() && file.needed_for == NeededFor::Activation);
        }
        self
    }

    /// Where they lie.
    pub fn placement(&self) -> &Placement {
        &self.placement
    }

    /// The files.
    pub fn files(&self) -> &[Requirement] {
        &self.files
    }

    /// The files that are decrypted and installed.
    pub fn installed(&self) -> impl Iterator<Item = &Requirement> {
        self.files.iter().filter(|file| file.is_installed())
    }

    /// The secrets that are needed to partition disks, and are of no use to a machine that runs.
    pub fn for_partitioning(&self) -> impl Iterator<Item = &Requirement> {
        let partitioning =
            |file: &&Requirement| file.secret && file.deploy && file.needed_for == NeededFor::Partitioning;
        self.files.iter().filter(partitioning)
    }

    /// Paths below `<upload directory>/activation` of what activation scripts need.
    pub fn activation_paths(&self, machine: &str) -> impl Iterator<Item = String> {
        self.installed()
            .filter(|file| file.needed_for == NeededFor::Activation)
            .map(move |file| file.activation_path(machine))
    }

    /// Whether nothing at all is needed.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }
}
