//! What is run to tell whether an activated system works. It owns the declaration; running it is the
//! caller's.

use serde::{Deserialize, Serialize};

use super::duration::Timeout;
use super::error::ValueError;

/// A program and its arguments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Command {
    program: String,
    arguments: Vec<String>,
}

impl Command {
    /// The program: a path, or a name to be looked up.
    #[must_use]
    pub fn program(&self) -> &str {
        &self.program
    }

    /// The arguments after the program.
    #[must_use]
    pub fn arguments(&self) -> &[String] {
        &self.arguments
    }
}

impl TryFrom<Vec<String>> for Command {
    type Error = ValueError;

    fn try_from(words: Vec<String>) -> Result<Self, ValueError> {
        let mut words = words.into_iter();
        match words.next() {
            Some(program) if !program.is_empty() => Ok(Self {
                program,
                arguments: words.collect(),
            }),
            _ => Err(ValueError::Command),
        }
    }
}

impl From<Command> for Vec<String> {
    fn from(command: Command) -> Self {
        std::iter::once(command.program)
            .chain(command.arguments)
            .collect()
    }
}

/// A command that tells, by exit code 0, that an activated system does what it is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// What is run.
    pub command: Command,
    /// How long it may take; ten seconds unless said otherwise.
    #[serde(default = "probe_timeout")]
    pub timeout: Timeout,
}

const fn probe_timeout() -> Timeout {
    Timeout::PROBE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_starts_with_a_program() {
        assert_eq!(Command::try_from(vec![]), Err(ValueError::Command));
        assert_eq!(
            Command::try_from(vec![String::new(), "-f".to_owned()]),
            Err(ValueError::Command)
        );
        let command = Command::try_from(vec!["curl".to_owned(), "-f".to_owned()]).unwrap();
        assert_eq!(
            (command.program(), command.arguments()),
            ("curl", &["-f".to_owned()][..])
        );
    }
}
