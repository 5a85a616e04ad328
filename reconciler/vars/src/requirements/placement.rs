//! Owns where a machine's secrets lie in the fleet and on the machine, and who installs them. It must never touch a
//! file.

use serde::{Deserialize, Serialize};

/// The upload directory of clan's sops store (`clan.core.vars.sops.secretUploadDirectory`), and of a fleet that
/// names none.
const UPLOAD_DIRECTORY: &str = "/var/lib/sops-nix";

/// Who installs a machine's secrets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Installer {
    /// The agent, all of them.
    #[default]
    Agent,
    /// The machine's own (sops-nix, or the activation scripts of clan's age store); the agent's are those that
    /// activation scripts need, which no such installer lays down.
    Own,
}

/// Where a machine's secrets lie, besides what the agent's configuration says: all that it takes to find and
/// install them again without an evaluation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Placement {
    /// Who installs them.
    pub installer: Installer,
    /// clan's upload directory, where it is not the usual one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upload_directory: Option<String>,
    /// The folder below the fleet's that holds `vars/`; empty where it is the fleet's own.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub directory: String,
}

impl Placement {
    /// Whether nothing has to be written down of it.
    pub(super) fn is_usual(&self) -> bool {
        *self == Self::default()
    }

    /// What activation scripts need lies in `activation/` below it.
    pub fn upload_directory(&self) -> &str {
        self.upload_directory.as_deref().unwrap_or(UPLOAD_DIRECTORY)
    }
}
