//! Owns the names of generators and of their files, and the folders those stand for. It must never touch one.

use std::fmt;

use crate::requirements::{InvalidName, NameKind, check_name};

/// For whom a generator's files are.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Placement {
    /// One machine: `vars/per-machine/<machine>`.
    Machine(String),
    /// All machines: `vars/shared`.
    Shared,
}

/// A generator of the fleet. Ordered by placement, then by name, as clan orders them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GeneratorId {
    /// For whom.
    pub placement: Placement,
    /// The name.
    pub name: String,
}

impl GeneratorId {
    /// A generator of one machine.
    pub fn of_machine(machine: &str, name: &str) -> Self {
        Self {
            placement: Placement::Machine(machine.to_owned()),
            name: name.to_owned(),
        }
    }

    /// A generator of all machines.
    pub fn shared(name: &str) -> Self {
        Self {
            placement: Placement::Shared,
            name: name.to_owned(),
        }
    }

    /// Its folder below the fleet's.
    pub fn folder(&self) -> String {
        match &self.placement {
            Placement::Machine(machine) => format!("vars/per-machine/{machine}/{}", self.name),
            Placement::Shared => format!("vars/shared/{}", self.name),
        }
    }

    /// Whether all its parts are plain components of a path.
    ///
    /// # Errors
    /// [`InvalidName`] for the first that is not.
    pub fn check(&self) -> Result<(), InvalidName> {
        if let Placement::Machine(machine) = &self.placement {
            check_name(NameKind::Machine, machine)?;
        }
        check_name(NameKind::Generator, &self.name)
    }
}

impl fmt::Display for GeneratorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.placement {
            Placement::Machine(machine) => write!(f, "{} ({machine})", self.name),
            Placement::Shared => write!(f, "{} (shared)", self.name),
        }
    }
}

/// A file as a person names it: `GENERATOR/FILE`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileId {
    /// The generator.
    pub generator: String,
    /// The file.
    pub file: String,
}

/// A text that names no file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} does not name a file as GENERATOR/FILE")]
pub struct InvalidFileId(pub String);

impl std::str::FromStr for FileId {
    type Err = InvalidFileId;

    fn from_str(text: &str) -> Result<Self, InvalidFileId> {
        let invalid = || InvalidFileId(text.to_owned());
        let (generator, file) = text.split_once('/').ok_or_else(invalid)?;
        check_name(NameKind::Generator, generator).map_err(|_| invalid())?;
        check_name(NameKind::File, file).map_err(|_| invalid())?;
        Ok(Self {
            generator: generator.to_owned(),
            file: file.to_owned(),
        })
    }
}

impl fmt::Display for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.generator, self.file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_clans() {
        assert_eq!(
            GeneratorId::of_machine("jon", "ssh").folder(),
            "vars/per-machine/jon/ssh"
        );
        assert_eq!(GeneratorId::shared("ca").folder(), "vars/shared/ca");
        assert!(GeneratorId::of_machine("..", "ssh").check().is_err());
        assert!(GeneratorId::shared("a/b").check().is_err());
        let mut ids = [
            GeneratorId::shared("a"),
            GeneratorId::of_machine("b", "a"),
            GeneratorId::of_machine("a", "z"),
        ];
        ids.sort();
        assert_eq!(ids.map(|id| id.to_string()), ["z (a)", "a (b)", "a (shared)"]);
    }

    #[test]
    fn files_are_named_by_two_parts() {
        let id: FileId = "ssh/key.pub".parse().unwrap();
        assert_eq!((id.generator.as_str(), id.file.as_str()), ("ssh", "key.pub"));
        for text in ["ssh", "ssh/", "/key", "a/b/c", "../key", "a/..", ""] {
            assert_eq!(text.parse::<FileId>(), Err(InvalidFileId(text.to_owned())));
        }
    }
}
