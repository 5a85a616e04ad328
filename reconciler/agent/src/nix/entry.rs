//! What the entry expression answers, parsed strictly.

use crate::class::Class;
use crate::source::Revision;
use reconciler_vars::{Backend, Declared, Expected, FleetKind, Installer, Placement};
use serde::Deserialize;

/// The version of the answers that `entry.nix` gives.
pub(super) const VERSION: u64 = 1;

/// Any answer of `entry.nix`, by its `status`.
#[derive(Debug, Deserialize)]
#[serde(tag = "status", rename_all = "kebab-case")]
pub(super) enum Answer<T> {
    /// The step's own answer.
    Ok(T),
    /// There is no `flake.nix`.
    NoFlake { version: u64 },
    /// Inputs that `flake.lock` does not name.
    Unlocked { version: u64, inputs: Vec<String> },
    /// The fleet does not declare the machine.
    NoMachine { version: u64, machines: Vec<String> },
    /// The machine has no toplevel.
    NoToplevel { version: u64 },
    /// The toplevel is something else.
    NotADerivation {
        version: u64,
        #[serde(rename = "type")]
        kind: String,
    },
}

/// What the fleet declares for one machine, without its toplevel.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Metadata {
    pub(super) version: u64,
    /// Which output declares it: `native`, `nixos`, `darwin`, `clan-darwin`, `home-manager`, `system-manager`.
    pub kind: String,
    /// How its toplevel is activated.
    pub class: Class,
    /// The Nix system, where the configuration names one.
    pub system: Option<String>,
    /// Tags.
    pub tags: Vec<String>,
    /// The instances it takes part in, each with its roles; free-form in a native fleet.
    pub roles: serde_json::Value,
    /// The secrets it declares; none where it declares nothing.
    pub vars: Option<Declared>,
    /// What clan knows of it, in a clan fleet.
    pub clan: Option<Clan>,
    /// Key files of the machine with which its own tools open secrets: age keys or SSH keys, in order.
    #[serde(default)]
    pub identity_paths: Vec<String>,
}

impl Metadata {
    /// What the preflight expects of the fleet's directory.
    #[must_use]
    pub fn expected(&self) -> Expected {
        let kind = match self.clan {
            Some(_) => FleetKind::Clan,
            None => FleetKind::Native,
        };
        let store = self.clan.as_ref().and_then(|clan| clan.secret_store.as_deref());
        Expected::of_entry(kind, Backend::of(store), self.vars.as_ref())
    }

    /// Where its secrets lie, what opens them, and who installs them.
    #[must_use]
    pub fn placement(&self) -> Placement {
        let clan = self.clan.as_ref();
        // The activation scripts of clan's age store decrypt for themselves, into the same place.
        let has_age_store = clan.is_some_and(|clan| clan.secret_store.as_deref() == Some("age"));
        Placement {
            installer: if self.has_sops_nix() || has_age_store {
                Installer::Own
            } else {
                Installer::Agent
            },
            upload_directory: clan.and_then(|clan| clan.upload_directory.clone()),
            directory: clan.map(|clan| clan.directory.clone()).unwrap_or_default(),
        }
    }

    /// What the machine's own installer is called.
    #[must_use]
    pub fn own_installer(&self) -> &'static str {
        if self.has_sops_nix() {
            "sops-nix"
        } else {
            "the machine's own activation"
        }
    }

    /// Whether the machine's own sops-nix installs its secrets, as it does for every machine of a clan whose
    /// secrets are sops files: two installers at one place would undo each other.
    #[must_use]
    pub fn has_sops_nix(&self) -> bool {
        self.clan
            .as_ref()
            .is_some_and(|clan| clan.age_key_file.is_some() || !clan.ssh_key_paths.is_empty())
    }
}

/// What clan-core says of a machine.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Clan {
    /// The clan's name.
    pub name: Option<String>,
    /// Where `vars/` and `sops/` lie below the flake.
    pub directory: String,
    /// `sops`, `age`, `password-store` or `custom`.
    pub secret_store: Option<String>,
    /// The folder of the machine in which that store wants its key (`key.txt`) and, below `activation/`, what an
    /// activation needs.
    pub upload_directory: Option<String>,
    /// The age key that the machine's sops-nix uses.
    pub age_key_file: Option<String>,
    /// The SSH host keys that the machine's sops-nix uses.
    pub ssh_key_paths: Vec<String>,
    /// What clan finds wrong with the inventory.
    pub checks: Option<serde_json::Value>,
}

/// The derivation of a toplevel.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Derivation {
    pub(super) version: u64,
    /// The `.drv`'s store path.
    pub drv: String,
    /// The output's store path.
    pub out: String,
    /// The derivation's name.
    pub name: String,
    /// The system it is built on.
    pub system: String,
}

/// All that a published map says of a machine.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Publishable {
    pub(super) version: u64,
    /// Everything but the toplevel, as the expression gives it.
    pub metadata: serde_json::Value,
    /// The toplevel, as the expression gives it; null of a machine of another system.
    pub toplevel: serde_json::Value,
}

/// The machines of a fleet.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machines {
    pub(super) version: u64,
    /// Their names, sorted.
    pub machines: Vec<String>,
}

/// The entry of one machine at one revision. Only what was declared at a [`Revision`] makes one: evaluated here,
/// remembered, or published by the fleet.
#[derive(Debug, Clone)]
pub struct Entry {
    pub(super) revision: Revision,
    pub(super) metadata: Metadata,
}

impl Entry {
    /// What `metadata` says of the machine at `revision`.
    #[must_use]
    pub fn of(revision: Revision, metadata: Metadata) -> Entry {
        Entry { revision, metadata }
    }

    /// The revision it was evaluated at.
    #[must_use]
    pub fn revision(&self) -> &Revision {
        &self.revision
    }

    /// How its toplevel is activated.
    #[must_use]
    pub fn class(&self) -> Class {
        self.metadata.class
    }

    /// Everything but the toplevel.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The number of roles, for the progress line.
    #[must_use]
    pub fn role_count(&self) -> usize {
        let count = |value: &serde_json::Value| match value {
            serde_json::Value::Array(roles) => roles.len(),
            serde_json::Value::Object(roles) => roles.len(),
            _ => 1,
        };
        self.metadata
            .roles
            .as_object()
            .map_or(0, |roles| roles.values().map(count).sum())
    }
}

/// Checks the version that an answer carries.
pub(super) fn versions<T: Versioned>(answer: &Answer<T>) -> u64 {
    match answer {
        Answer::Ok(answer) => answer.version(),
        Answer::NoFlake { version }
        | Answer::Unlocked { version, .. }
        | Answer::NoMachine { version, .. }
        | Answer::NoToplevel { version }
        | Answer::NotADerivation { version, .. } => *version,
    }
}

/// An answer that carries its version.
pub trait Versioned {
    /// The version.
    fn version(&self) -> u64;
}

impl Versioned for Metadata {
    fn version(&self) -> u64 {
        self.version
    }
}

impl Versioned for Publishable {
    fn version(&self) -> u64 {
        self.version
    }
}

impl Versioned for Machines {
    fn version(&self) -> u64 {
        self.version
    }
}

impl Versioned for Derivation {
    fn version(&self) -> u64 {
        self.version
    }
}
