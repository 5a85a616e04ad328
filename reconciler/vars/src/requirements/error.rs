//! Owns the reasons for which requirements cannot be told, and the rule for names. It must never read
//! the tree.

use std::fmt;

use crate::mode::InvalidMode;
use crate::tree::TreeError;

/// What a refused name names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameKind {
    /// A machine.
    Machine,
    /// A generator.
    Generator,
    /// A generator's file.
    File,
}

impl fmt::Display for NameKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Machine => "machine",
            Self::Generator => "generator",
            Self::File => "file",
        })
    }
}

/// A name that is not one plain component of a path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} name {name:?} is not one plain component of a path")]
pub struct InvalidName {
    /// What it names.
    pub kind: NameKind,
    /// The name.
    pub name: String,
}

/// Names become components of paths that root writes to, so nothing in them may climb or end early.
pub(crate) fn check_name(kind: NameKind, name: &str) -> Result<(), InvalidName> {
    // 255 bytes is NAME_MAX on Linux and on macOS.
    let plain = !name.is_empty() && name.len() <= 255 && name != "." && name != "..";
    if plain && !name.contains(|c: char| c == '/' || c.is_control()) {
        return Ok(());
    }
    Err(InvalidName {
        kind,
        name: name.to_owned(),
    })
}

/// One thing in a declaration that cannot be served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequirementProblem {
    /// A name would not stay inside its folder.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// A file's mode is not one.
    #[error("var {generator}/{file}: {source}")]
    Mode {
        /// The generator.
        generator: String,
        /// The file.
        file: String,
        /// What is wrong with it.
        source: InvalidMode,
    },
}

/// Every problem of a declaration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequirementProblems(pub Vec<RequirementProblem>);

impl fmt::Display for RequirementProblems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{problem}")?;
        }
        Ok(())
    }
}

/// Why it cannot be told what a machine needs.
#[derive(Debug, thiserror::Error)]
pub enum RequirementsError {
    /// The declaration has problems.
    #[error("vars are declared wrongly: {0}")]
    Declaration(RequirementProblems),
    /// The machine's name is no path component.
    #[error(transparent)]
    Machine(#[from] InvalidName),
    /// The tree could not be looked through.
    #[error("could not look through the vars of machine {machine}")]
    Discover {
        /// The machine.
        machine: String,
        /// What failed.
        #[source]
        source: TreeError,
    },
}
