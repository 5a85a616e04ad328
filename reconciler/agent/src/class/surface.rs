//! The one surface of every class that this agent activates.

use super::{Amiss, Class, Obstacle, Site, custom, nixos, system_manager};
use crate::config::{NixSettings, Paths};
use crate::durable::DurableError;
use crate::process::Exit;
use crate::transaction::{Failure, Health};
use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};
use std::time::SystemTime;

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
    /// system-manager, on a Linux that is not NixOS.
    SystemManager,
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
            Class::SystemManager => Some(Surface::SystemManager),
            Class::Darwin | Class::HomeManager => None,
        }
    }

    /// The class that this is the surface of.
    #[must_use]
    pub fn class(self) -> Class {
        match self {
            Surface::Nixos => Class::Nixos,
            Surface::SystemManager => Class::SystemManager,
            Surface::Custom => Class::Custom,
        }
    }

    /// The profile that records its generations, unless the configuration names another.
    #[must_use]
    pub fn profile(self, nix: &NixSettings, paths: &Paths) -> Utf8PathBuf {
        paths.profile.clone().unwrap_or_else(|| match self {
            Surface::Nixos => nixos::profile(nix),
            Surface::SystemManager => system_manager::profile(nix),
            Surface::Custom => custom::profile(nix),
        })
    }

    /// The command for one action; none where the class has no such step.
    #[must_use]
    pub fn invocation(self, toplevel: &Utf8Path, action: Action) -> Option<Invocation> {
        match self {
            Surface::Nixos => Some(nixos::invocation(toplevel, action)),
            Surface::SystemManager => system_manager::invocation(toplevel, action),
            Surface::Custom => custom::invocation(toplevel, action),
        }
    }

    /// The command that tells what an activation would do, and does nothing; none where the class has no such
    /// step.
    #[must_use]
    pub fn dry_run(self, toplevel: &Utf8Path) -> Option<Invocation> {
        match self {
            Surface::Nixos => Some(nixos::dry_run(toplevel)),
            Surface::SystemManager | Surface::Custom => None,
        }
    }

    /// What an exit means; `log` is what the activation wrote.
    #[must_use]
    pub fn judge(self, exit: Exit, log: &str) -> Judgement {
        match self {
            Surface::Nixos => nixos::judge(exit, log),
            Surface::SystemManager => system_manager::judge(exit, log),
            Surface::Custom => custom::judge(exit),
        }
    }

    /// The toplevel that runs now.
    #[must_use]
    pub fn current(self, paths: &Paths, profile: &Utf8Path) -> Option<Utf8PathBuf> {
        match self {
            Surface::Nixos => nixos::current(paths),
            // Its profile is set only after everything of it was seen to be in place.
            Surface::SystemManager | Surface::Custom => custom::current(profile),
        }
    }

    /// What stands in the way of activating a toplevel: asked before anything is touched.
    #[must_use]
    pub fn obstacles(self, site: &Site<'_>, toplevel: &Utf8Path) -> Vec<Obstacle> {
        match self {
            Surface::SystemManager => system_manager::obstacles(site, toplevel),
            Surface::Nixos | Surface::Custom => Vec::new(),
        }
    }

    /// What has to be seen to before an activation is started.
    pub fn before(self, site: &Site<'_>) -> Result<(), DurableError> {
        match self {
            Surface::SystemManager => system_manager::before(site),
            Surface::Nixos | Surface::Custom => Ok(()),
        }
    }

    /// What has to be seen to before what ran is activated again, of a `toplevel` that was activated `since`.
    pub fn before_return(
        self,
        site: &Site<'_>,
        toplevel: &Utf8Path,
        since: SystemTime,
    ) -> Result<(), DurableError> {
        match self {
            Surface::SystemManager => system_manager::own_up(site, toplevel, since),
            Surface::Nixos | Surface::Custom => Ok(()),
        }
    }

    /// What of a toplevel is not in place, or does not run: asked of the host, whatever the activation says of
    /// itself. Classes whose activation can be believed have nothing to add.
    pub async fn amiss(self, site: &Site<'_>, toplevel: &Utf8Path) -> Vec<Amiss> {
        match self {
            Surface::SystemManager => system_manager::amiss(site, toplevel).await,
            Surface::Nixos | Surface::Custom => Vec::new(),
        }
    }

    /// A root of the garbage collector that others expect to lead where the profile does.
    #[must_use]
    pub fn companion_root(self, nix: &NixSettings) -> Option<Utf8PathBuf> {
        match self {
            Surface::SystemManager => Some(system_manager::root(nix)),
            Surface::Nixos | Surface::Custom => None,
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
            Surface::SystemManager | Surface::Custom => BootEntry::Unverified,
        }
    }
}
