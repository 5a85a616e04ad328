//! What a person would look at on the host.

use crate::host::Host;
use crate::store::Store;
use std::path::PathBuf;

impl Host {
    /// What `/run/current-system` leads to.
    #[must_use]
    pub fn current(&self) -> Option<PathBuf> {
        std::fs::read_link(self.path("run/current-system")).ok()
    }

    /// What `/etc/motd` says, through all its links; empty where there is none.
    #[must_use]
    pub fn motd(&self) -> String {
        std::fs::read_to_string(self.path("etc/motd")).unwrap_or_default()
    }

    /// The toplevel of every activation script that ran, in order.
    #[must_use]
    pub fn activations(&self) -> Vec<PathBuf> {
        let log = std::fs::read_to_string(self.path("activations")).unwrap_or_default();
        log.lines().map(PathBuf::from).collect()
    }

    /// The value of an installed secret.
    #[must_use]
    pub fn secret(&self, installed: &str) -> Option<String> {
        std::fs::read_to_string(self.path("run/secrets").join(installed)).ok()
    }

    /// The entry that the boot loader boots by default, and the toplevel it names.
    #[must_use]
    pub fn boot_default(&self) -> Option<(String, PathBuf)> {
        let loader = std::fs::read_to_string(self.path("boot/loader/loader.conf")).ok()?;
        let entry = loader
            .lines()
            .find_map(|line| line.strip_prefix("default "))?
            .to_owned();
        let text = std::fs::read_to_string(self.path("boot/loader/entries").join(&entry)).ok()?;
        let init = text
            .split_whitespace()
            .find_map(|word| word.strip_prefix("init="))?;
        Some((entry, PathBuf::from(init.strip_suffix("/init")?)))
    }

    /// What the machine is, in one value, to be compared before and after something that may change nothing.
    #[must_use]
    pub fn picture(&self, store: &Store) -> Picture {
        Picture {
            current: self.current(),
            profile: store.profile("system"),
            generations: store.profile_generations("system"),
            boot: self.boot_default(),
            secrets: std::fs::read_link(self.path("run/secrets")).ok(),
            motd: self.motd(),
            activations: self.activations(),
        }
    }
}

/// What a machine is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// What runs.
    pub current: Option<PathBuf>,
    /// Where the profile leads.
    pub profile: Option<PathBuf>,
    /// How many generations the profile has.
    pub generations: usize,
    /// What boots.
    pub boot: Option<(String, PathBuf)>,
    /// The secrets in force.
    pub secrets: Option<PathBuf>,
    /// A file of `/etc`.
    pub motd: String,
    /// The activations so far.
    pub activations: Vec<PathBuf>,
}

impl Picture {
    /// The same, but for the activations: what failed was activated, and what ran before was again.
    #[must_use]
    pub fn without_activations(mut self) -> Picture {
        self.activations.clear();
        self
    }
}

impl Store {
    /// The toplevel that a profile leads to.
    #[must_use]
    pub fn profile(&self, name: &str) -> Option<PathBuf> {
        std::fs::canonicalize(self.state().join("profiles").join(name)).ok()
    }

    /// How many generations a profile has.
    #[must_use]
    pub fn profile_generations(&self, name: &str) -> usize {
        let Ok(links) = std::fs::read_dir(self.state().join("profiles")) else {
            return 0;
        };
        let is_generation = |link: &str| link.starts_with(&format!("{name}-")) && link.ends_with("-link");
        links
            .flatten()
            .filter(|link| is_generation(&link.file_name().to_string_lossy()))
            .count()
    }
}
