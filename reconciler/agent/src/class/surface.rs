//! The one surface of every class that this agent activates.

use super::{Class, custom, nixos};
use crate::config::{NixSettings, Paths};
use crate::process::Exit;
use crate::transaction::{Failure, Health};
use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

/// What an activation script is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Run the toplevel, leaving the boot default as it is.
    Test,
    /// Make the toplevel the boot default, leaving what runs as it is.
    Boot,
    /// Run a toplevel again that ran before: its own pre-switch checks may not stand in the way.
    Return,
}

/// A command that activates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    /// The program, inside the toplevel.
    pub program: Utf8PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Its whole environment but for the search path.
    pub environment: Vec<(String, String)>,
    /// The name of its transient unit, where systemd runs it.
    pub unit: String,
}

/// What the exit of an activation means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// The toplevel is live.
    Live(Health),
    /// Nothing was activated: there is nothing to go back from.
    Untouched(Failure),
    /// It failed on the way: the machine has to go back.
    Broken(Failure),
}

/// Whether the boot loader will boot a toplevel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BootEntry {
    /// An entry of a known loader names it.
    Verified,
    /// No known loader is installed below the root.
    Unverified,
    /// A known loader is installed and has no entry that names it.
    Missing,
}

/// A class that this agent activates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Surface {
    /// NixOS.
    Nixos,
    /// A toplevel with a `bin/activate`.
    Custom,
}

impl Surface {
    /// The surface of a class; none where this version does not activate it.
    #[must_use]
    pub fn of(class: Class) -> Option<Surface> {
        match class {
            Class::Nixos => Some(Surface::Nixos),
            Class::Custom => Some(Surface::Custom),
            Class::Darwin | Class::HomeManager | Class::SystemManager => None,
        }
    }

    /// The profile that records its generations, unless the configuration names another.
    #[must_use]
    pub fn profile(self, nix: &NixSettings, paths: &Paths) -> Utf8PathBuf {
        paths.profile.clone().unwrap_or_else(|| match self {
            Surface::Nixos => nixos::profile(nix),
            Surface::Custom => custom::profile(nix),
        })
    }

    /// The command for one action; none where the class has no such step.
    #[must_use]
    pub fn invocation(self, toplevel: &Utf8Path, action: Action) -> Option<Invocation> {
        match self {
            Surface::Nixos => Some(nixos::invocation(toplevel, action)),
            Surface::Custom => custom::invocation(toplevel, action),
        }
    }

    /// The command that tells what an activation would do, and does nothing; none where the class has no such
    /// step.
    #[must_use]
    pub fn dry_run(self, toplevel: &Utf8Path) -> Option<Invocation> {
        match self {
            Surface::Nixos => Some(nixos::dry_run(toplevel)),
            Surface::Custom => None,
        }
    }

    /// What an exit means; `log` is what the activation wrote.
    #[must_use]
    pub fn judge(self, exit: Exit, log: &str) -> Judgement {
        match self {
            Surface::Nixos => nixos::judge(exit, log),
            Surface::Custom => custom::judge(exit),
        }
    }

    /// The toplevel that runs now.
    #[must_use]
    pub fn current(self, paths: &Paths, profile: &Utf8Path) -> Option<Utf8PathBuf> {
        match self {
            Surface::Nixos => nixos::current(paths),
            Surface::Custom => custom::current(profile),
        }
    }

    /// Whether a running toplevel can be told by looking: a custom one is known by its profile alone,
    /// which is set only after its probes.
    #[must_use]
    pub fn shows_what_runs(self) -> bool {
        self == Surface::Nixos
    }

    /// Whether it is the boot loader that decides what runs after a reboot.
    #[must_use]
    pub fn has_boot_step(self) -> bool {
        self == Surface::Nixos
    }

    /// Whether the boot loader has an entry for a toplevel.
    #[must_use]
    pub fn boot_entry(self, paths: &Paths, toplevel: &Utf8Path) -> BootEntry {
        match self {
            Surface::Nixos => nixos::boot_entry(paths, toplevel),
            Surface::Custom => BootEntry::Unverified,
        }
    }
}
