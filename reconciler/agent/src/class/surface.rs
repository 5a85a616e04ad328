//! The one surface of every class that this agent activates.

use super::{
    Amiss, Class, NoRoom, NoSpecialisation, Obstacle, Site, Wanted, boot_loader, boot_room, custom, darwin,
    home_manager, nixos, reboot, system_manager,
};
use crate::config::{NixSettings, Paths};
use crate::durable::DurableError;
use crate::process::Exit;
use crate::transaction::{Failure, Health, Specialisation};
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

/// As a person would type it: variables, program, arguments; without what every shell has.
impl std::fmt::Display for Invocation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let own = |name: &str| matches!(name, "PATH" | "LANG");
        for (name, value) in self.environment.iter().filter(|(name, _)| !own(name)) {
            write!(f, "{name}={value} ")?;
        }
        write!(f, "{}", self.program)?;
        for argument in &self.arguments {
            write!(f, " {argument}")?;
        }
        Ok(())
    }
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
    /// A known loader has an entry that names it, and lacks its kernel or initrd.
    Incomplete,
}

/// A class, as the transaction knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Surface {
    /// NixOS.
    Nixos,
    /// nix-darwin.
    Darwin,
    /// home-manager, for one or several users.
    HomeManager,
    /// system-manager, on a Linux that is not NixOS.
    SystemManager,
    /// A toplevel with a `bin/activate`.
    Custom,
}

impl Surface {
    /// The surface of a class.
    #[must_use]
    pub fn of(class: Class) -> Surface {
        match class {
            Class::Nixos => Surface::Nixos,
            Class::Darwin => Surface::Darwin,
            Class::HomeManager => Surface::HomeManager,
            Class::SystemManager => Surface::SystemManager,
            Class::Custom => Surface::Custom,
        }
    }

    /// The class that this is the surface of.
    #[must_use]
    pub fn class(self) -> Class {
        match self {
            Surface::Nixos => Class::Nixos,
            Surface::Darwin => Class::Darwin,
            Surface::HomeManager => Class::HomeManager,
            Surface::SystemManager => Class::SystemManager,
            Surface::Custom => Class::Custom,
        }
    }

    /// The profile that records its generations, unless the configuration names another.
    #[must_use]
    pub fn profile(self, nix: &NixSettings, paths: &Paths) -> Utf8PathBuf {
        paths.profile.clone().unwrap_or_else(|| match self {
            Surface::Nixos => nixos::profile(nix),
            Surface::Darwin => darwin::profile(nix),
            Surface::HomeManager => home_manager::profile(nix, paths),
            Surface::SystemManager => system_manager::profile(nix),
            Surface::Custom => custom::profile(nix),
        })
    }

    /// The commands for one action, to be run one after the other; none where the class has no such step.
    #[must_use]
    pub fn invocations(self, site: &Site<'_>, toplevel: &Utf8Path, action: Action) -> Vec<Invocation> {
        let only = match self {
            Surface::Nixos => Some(nixos::invocation(toplevel, action)),
            Surface::Darwin => darwin::invocation(toplevel, action),
            Surface::HomeManager => return home_manager::invocations(site, toplevel, action),
            Surface::SystemManager => system_manager::invocation(toplevel, action),
            Surface::Custom => custom::invocation(toplevel, action),
        };
        only.into_iter().collect()
    }

    /// The command that tells what an activation would do, and does nothing; none where the class has no such
    /// step.
    #[must_use]
    pub fn dry_run(self, toplevel: &Utf8Path) -> Option<Invocation> {
        match self {
            Surface::Nixos => Some(nixos::dry_run(toplevel)),
            Surface::Darwin | Surface::HomeManager | Surface::SystemManager | Surface::Custom => None,
        }
    }

    /// The file that whoever switches holds a lock on, a person's own tools included; none where there is none.
    #[must_use]
    pub fn lock(self, paths: &Paths) -> Option<Utf8PathBuf> {
        match self {
            Surface::Nixos => Some(nixos::lock(paths)),
            Surface::Darwin | Surface::HomeManager | Surface::SystemManager | Surface::Custom => None,
        }
    }

    /// What an exit means; `log` is what the activation wrote.
    #[must_use]
    pub fn judge(self, action: Action, exit: Exit, log: &str) -> Judgement {
        match self {
            Surface::Nixos => nixos::judge(action, exit, log),
            Surface::Darwin => darwin::judge(exit, log),
            Surface::HomeManager => home_manager::judge(exit),
            Surface::SystemManager => system_manager::judge(exit, log),
            Surface::Custom => custom::judge(exit),
        }
    }

    /// The toplevel that runs now.
    #[must_use]
    pub fn current(self, paths: &Paths, profile: &Utf8Path) -> Option<Utf8PathBuf> {
        match self {
            Surface::Nixos => nixos::current(paths),
            Surface::Darwin => darwin::current(paths, profile),
            Surface::HomeManager => home_manager::current(paths, profile),
            // Its profile is set only after everything of it was seen to be in place.
            Surface::SystemManager | Surface::Custom => custom::current(profile),
        }
    }

    /// What stands in the way of activating a toplevel: asked before anything is touched.
    #[must_use]
    pub fn obstacles(self, site: &Site<'_>, toplevel: &Utf8Path) -> Vec<Obstacle> {
        match self {
            Surface::Darwin => darwin::obstacles(site, toplevel),
            Surface::HomeManager => home_manager::obstacles(site, toplevel),
            Surface::SystemManager => system_manager::obstacles(site, toplevel),
            Surface::Nixos | Surface::Custom => Vec::new(),
        }
    }

    /// What an activation that changes nothing says against a toplevel; asked where nothing plainly stands in its
    /// way.
    pub async fn rehearse(self, site: &Site<'_>, toplevel: &Utf8Path) -> Vec<Obstacle> {
        match self {
            Surface::HomeManager => home_manager::dry_run(site, toplevel).await,
            Surface::Nixos | Surface::Darwin | Surface::SystemManager | Surface::Custom => Vec::new(),
        }
    }

    /// What has to be seen to before an activation is started.
    pub fn before(self, site: &Site<'_>) -> Result<(), DurableError> {
        match self {
            Surface::SystemManager => system_manager::keep_state(site),
            Surface::Nixos | Surface::Darwin | Surface::HomeManager | Surface::Custom => Ok(()),
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
            Surface::Nixos | Surface::Darwin | Surface::HomeManager | Surface::Custom => Ok(()),
        }
    }

    /// What an activation leaves undone and the agent does after it.
    pub async fn mend(self, site: &Site<'_>, toplevel: &Utf8Path) {
        match self {
            Surface::Darwin => darwin::mend(site, toplevel).await,
            Surface::SystemManager => {
                // The next run keeps it, too.
                if let Err(error) = system_manager::keep_state(site) {
                    tracing::debug!("{}", crate::text::chain(&error));
                }
            }
            Surface::Nixos | Surface::HomeManager | Surface::Custom => {}
        }
    }

    /// What of a toplevel is not in place, or does not run: asked of the host, whatever the activation says of
    /// itself. Classes whose activation can be believed have nothing to add.
    pub async fn amiss(self, site: &Site<'_>, toplevel: &Utf8Path) -> Vec<Amiss> {
        match self {
            Surface::Darwin => darwin::amiss(site, toplevel).await,
            Surface::HomeManager => home_manager::amiss(site, toplevel).await,
            Surface::SystemManager => system_manager::amiss(site, toplevel).await,
            Surface::Nixos | Surface::Custom => Vec::new(),
        }
    }

    /// Lets whatever else others expect to lead where the profile does follow it. An error says what did not.
    pub async fn follow_profile(self, site: &Site<'_>, toplevel: &Utf8Path) -> Result<(), String> {
        match self {
            Surface::HomeManager => home_manager::follow_profile(site, toplevel).await,
            Surface::SystemManager => {
                system_manager::follow_profile(site.nix, toplevel);
                Ok(())
            }
            Surface::Nixos | Surface::Darwin | Surface::Custom => Ok(()),
        }
    }

    /// Whether a toplevel is what runs now.
    #[must_use]
    pub fn runs(self, paths: &Paths, profile: &Utf8Path, toplevel: &Utf8Path) -> bool {
        match self {
            Surface::HomeManager => home_manager::runs(paths, toplevel),
            Surface::Nixos | Surface::Darwin | Surface::SystemManager | Surface::Custom => {
                self.current(paths, profile).as_deref() == Some(toplevel)
            }
        }
    }

    /// Whether a running toplevel can be told by looking: a custom one is known by its profile alone,
    /// which is set only after its probes.
    #[must_use]
    pub fn shows_what_runs(self) -> bool {
        matches!(self, Surface::Nixos | Surface::Darwin | Surface::HomeManager)
    }

    /// Whether what runs is one toplevel, the old one, the new one or somebody else's, and not in parts.
    #[must_use]
    pub fn runs_as_one(self) -> bool {
        self != Surface::HomeManager
    }

    /// Whether it is the boot loader that decides what runs after a reboot.
    #[must_use]
    pub fn has_boot_step(self) -> bool {
        self == Surface::Nixos
    }

    /// Whether a boot brings up what an activation left, half-done or not, and the agent with it: there is no boot loader
    /// that would boot what ran before.
    #[must_use]
    pub fn boots_what_it_left(self) -> bool {
        matches!(self, Surface::SystemManager | Surface::Custom)
    }

    /// Whether the boot loader has an entry for a toplevel.
    #[must_use]
    pub fn boot_entry(self, paths: &Paths, toplevel: &Utf8Path) -> BootEntry {
        match self {
            Surface::Nixos => boot_loader::entry(paths, toplevel),
            Surface::Darwin | Surface::HomeManager | Surface::SystemManager | Surface::Custom => {
                BootEntry::Unverified
            }
        }
    }

    /// Whether the boot loader's files have room for a toplevel; `keep` is what they have to keep having.
    pub fn boot_room(
        self,
        paths: &Paths,
        store: &Utf8Path,
        toplevel: &Utf8Path,
        keep: &[Utf8PathBuf],
    ) -> Result<(), NoRoom> {
        if self == Surface::Nixos {
            boot_room::room(paths, store, toplevel, keep)
        } else {
            Ok(())
        }
    }

    /// Why `new` cannot be switched to while `current` runs, if it cannot.
    #[must_use]
    pub fn forbids_switch(self, current: &Utf8Path, new: &Utf8Path) -> Vec<String> {
        if self == Surface::Nixos {
            reboot::forbids_switch(current, new)
        } else {
            Vec::new()
        }
    }

    /// What of the kernel and its initrd that were booted is not a toplevel's.
    #[must_use]
    pub fn kernel_differs(self, paths: &Paths, toplevel: &Utf8Path) -> Vec<String> {
        if self == Surface::Nixos {
            reboot::kernel_differs(paths, toplevel)
        } else {
            Vec::new()
        }
    }

    /// Every reason to start the machine anew, with a toplevel as what is to run.
    #[must_use]
    pub fn reboot_due(self, paths: &Paths, toplevel: &Utf8Path) -> Vec<String> {
        if self == Surface::Nixos {
            reboot::due(paths, toplevel)
        } else {
            Vec::new()
        }
    }

    /// Which specialisation of a toplevel is to run.
    pub fn specialisation(
        self,
        wanted: &Wanted,
        toplevel: &Utf8Path,
    ) -> Result<Option<Specialisation>, NoSpecialisation> {
        if self == Surface::Nixos {
            wanted.choose(toplevel)
        } else {
            Ok(None)
        }
    }

    /// The specialisations of a toplevel.
    #[must_use]
    pub fn specialisations(self, toplevel: &Utf8Path) -> Vec<Specialisation> {
        if self == Surface::Nixos {
            nixos::specialisations(toplevel)
        } else {
            Vec::new()
        }
    }
}
