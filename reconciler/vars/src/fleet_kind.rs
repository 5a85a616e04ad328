//! Owns the difference between a clan and a native fleet: the commands that mend their vars. It must never run one.

use serde::Deserialize;

use crate::tree::{Tree, TreeError};

/// Whose commands a fleet's vars are made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FleetKind {
    /// A clan: `clan vars …`.
    Clan,
    /// Any other fleet: `reconcile vars …`.
    Native,
}

/// The parts of a lock file that tell a clan: any input that is clan-core.
#[derive(Deserialize)]
struct Lock {
    #[serde(default)]
    nodes: std::collections::BTreeMap<String, LockNode>,
}

#[derive(Deserialize)]
struct LockNode {
    #[serde(default)]
    locked: Option<LockedInput>,
    #[serde(default)]
    original: Option<LockedInput>,
}

#[derive(Deserialize)]
struct LockedInput {
    #[serde(default)]
    repo: Option<String>,
    #[serde(default)]
    url: Option<String>,
    #[serde(default)]
    path: Option<String>,
}

impl LockedInput {
    fn is_clan_core(&self) -> bool {
        let names_it = |text: &String| text.contains("clan-core");
        self.repo.as_ref().is_some_and(|repo| repo == "clan-core")
            || self.url.as_ref().is_some_and(names_it)
            || self.path.as_ref().is_some_and(names_it)
    }
}

impl FleetKind {
    /// What can be told without an evaluation: a flake that locks clan-core is a clan.
    ///
    /// # Errors
    /// [`TreeError`] when `flake.lock` is there and cannot be read.
    pub fn detect(tree: &dyn Tree) -> Result<Self, TreeError> {
        let Some(bytes) = tree.read("flake.lock")? else {
            return Ok(Self::Native);
        };
        let Ok(lock) = serde_json::from_slice::<Lock>(&bytes) else {
            return Ok(Self::Native);
        };
        let is_clan = lock.nodes.values().any(|node| {
            [&node.locked, &node.original]
                .into_iter()
                .flatten()
                .any(LockedInput::is_clan_core)
        });
        Ok(if is_clan { Self::Clan } else { Self::Native })
    }

    /// The command that makes what is missing or stale of a machine's generator; without one, of all.
    #[must_use]
    pub fn generate(self, machine: &str, generator: Option<&str>) -> String {
        let generator = generator.map_or_else(String::new, |name| format!(" --generator {}", word(name)));
        format!("{} vars generate {}{generator}", self.program(), word(machine))
    }

    /// The command that makes the values of a generator anew although they are there.
    #[must_use]
    pub fn regenerate(self, machine: &str, generator: &str) -> String {
        format!("{} --regenerate", self.generate(machine, Some(generator)))
    }

    /// The command that encrypts the vars of a machine, shared ones included, to those who are linked.
    #[must_use]
    pub fn rekey(self, machine: &str) -> String {
        match self {
            Self::Clan => format!("clan vars fix {}", word(machine)),
            Self::Native => "reconcile vars rekey".to_owned(),
        }
    }

    /// The command that encrypts everything to those who are linked.
    #[must_use]
    pub fn rekey_all(self) -> &'static str {
        match self {
            Self::Clan => "clan secrets key update",
            Self::Native => "reconcile vars rekey",
        }
    }

    /// The name, for machines.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Clan => "clan",
            Self::Native => "native",
        }
    }

    fn program(self) -> &'static str {
        match self {
            Self::Clan => "clan",
            Self::Native => "reconcile",
        }
    }
}

/// A word of a command line that is pasted into a shell.
pub(crate) fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::memory::MemoryTree;

    #[test]
    fn a_lock_tells_a_clan() {
        for (lock, expected) in [
            (
                r#"{"nodes":{"clan-core":{"locked":{"type":"tarball","url":"https://git.clan.lol/clan/clan-core/archive/x.tar.gz"}}}}"#,
                FleetKind::Clan,
            ),
            (
                r#"{"nodes":{"c":{"original":{"owner":"clan-lol","repo":"clan-core"}}}}"#,
                FleetKind::Clan,
            ),
            (
                r#"{"nodes":{"nixpkgs":{"locked":{"repo":"nixpkgs"}},"root":{"inputs":{"clan-core":"x"}}}}"#,
                FleetKind::Native,
            ),
            ("no lock at all", FleetKind::Native),
        ] {
            let tree = MemoryTree::of(&[("flake.lock", lock)]);
            assert_eq!(FleetKind::detect(&tree).unwrap(), expected, "{lock}");
        }
        assert_eq!(
            FleetKind::detect(&MemoryTree::default()).unwrap(),
            FleetKind::Native
        );
    }

    #[test]
    fn commands_can_be_pasted() {
        assert_eq!(
            FleetKind::Clan.generate("jon", Some("ssh")),
            "clan vars generate jon --generator ssh"
        );
        assert_eq!(
            FleetKind::Native.regenerate("jon's", "a b"),
            "reconcile vars generate 'jon'\\''s' --generator 'a b' --regenerate"
        );
        assert_eq!(FleetKind::Clan.rekey("jon"), "clan vars fix jon");
    }
}
