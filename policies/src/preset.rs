//! The presets: complete sets of values for a kind of machine, built into the crate from `presets/`.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A kind of machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// Always on, nobody in front of it.
    #[default]
    Server,
    /// Always on or nearly so, someone in front of it.
    Workstation,
    /// On battery, often off or out of reach, little memory to spare.
    Laptop,
}

impl Preset {
    /// Every preset.
    pub const ALL: [Self; 3] = [Self::Server, Self::Workstation, Self::Laptop];

    /// The values, as TOML with every key that has no default of its own.
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Server => include_str!("../presets/server.toml"),
            Self::Workstation => include_str!("../presets/workstation.toml"),
            Self::Laptop => include_str!("../presets/laptop.toml"),
        }
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Server => "server",
            Self::Workstation => "workstation",
            Self::Laptop => "laptop",
        })
    }
}
