//! The five classes and what is true of each as data.

use serde::{Deserialize, Serialize};

/// How a toplevel is activated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// A NixOS system.
    Nixos,
    /// A nix-darwin system.
    Darwin,
    /// A standalone home-manager generation.
    HomeManager,
    /// A system-manager configuration.
    SystemManager,
    /// Whatever has a `bin/activate`.
    Custom,
}

impl Class {
    /// The name in entries, JSON and messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Class::Nixos => "nixos",
            Class::Darwin => "darwin",
            Class::HomeManager => "home-manager",
            Class::SystemManager => "system-manager",
            Class::Custom => "custom",
        }
    }

    /// The class of a name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Class> {
        [
            Class::Nixos,
            Class::Darwin,
            Class::HomeManager,
            Class::SystemManager,
            Class::Custom,
        ]
        .into_iter()
        .find(|class| class.name() == name)
    }

    /// The group that owns secrets unless the entry says otherwise, as clan has it.
    #[must_use]
    pub fn secrets_group(self) -> &'static str {
        match self {
            Class::Darwin => "wheel",
            _ => "root",
        }
    }
}

impl std::fmt::Display for Class {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
