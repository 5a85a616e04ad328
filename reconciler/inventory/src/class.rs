//! The class of a machine: how its closure is activated. It owns the spelling and nothing else.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How a machine's closure is activated. clan-core's `machineClass` knows `nixos` and `darwin`; the others
/// come from fleets that declare their machines without clan.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// A NixOS system.
    #[default]
    Nixos,
    /// A nix-darwin system.
    Darwin,
    /// A home-manager generation of one user.
    HomeManager,
    /// A system-manager configuration of another Linux distribution.
    SystemManager,
    /// A closure that brings its own activation.
    Custom,
}

impl Class {
    /// Every class.
    pub const ALL: [Self; 5] = [
        Self::Nixos,
        Self::Darwin,
        Self::HomeManager,
        Self::SystemManager,
        Self::Custom,
    ];

    /// The class of a spelling.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.as_str() == name)
    }

    /// The group that owns secrets unless the entry says otherwise, as clan-core has it.
    #[must_use]
    pub const fn secrets_group(self) -> &'static str {
        match self {
            Self::Darwin => "wheel",
            _ => "root",
        }
    }

    /// The spelling in Nix and in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Nixos => "nixos",
            Self::Darwin => "darwin",
            Self::HomeManager => "home-manager",
            Self::SystemManager => "system-manager",
            Self::Custom => "custom",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spelling_is_the_same_in_json_and_in_text() {
        for class in Class::ALL {
            let json = serde_json::to_value(class).unwrap();
            assert_eq!(json, serde_json::Value::from(class.as_str()));
            assert_eq!(serde_json::from_value::<Class>(json).unwrap(), class);
            assert_eq!(Class::from_name(class.as_str()), Some(class));
        }
        assert!(serde_json::from_str::<Class>(r#""windows""#).is_err());
    }
}
