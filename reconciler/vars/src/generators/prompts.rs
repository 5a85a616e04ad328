//! Owns what is true of an answer to a prompt, wherever it came from. It must never ask.

use std::fmt;
use std::str::FromStr;

use zeroize::Zeroizing;

use super::definition::Prompt;
use super::id::{GeneratorId, Placement};
use crate::requirements::{NameKind, check_name};

/// A prompt as a person names it on the command line: `[MACHINE/]GENERATOR/PROMPT`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PromptId {
    /// The machine; without, every generator of the name is meant.
    pub machine: Option<String>,
    /// The generator.
    pub generator: String,
    /// The prompt.
    pub prompt: String,
}

impl PromptId {
    /// The name of a prompt of `id`, whole.
    pub fn of(id: &GeneratorId, prompt: &str) -> Self {
        let machine = match &id.placement {
            Placement::Machine(machine) => Some(machine.clone()),
            Placement::Shared => None,
        };
        Self {
            machine,
            generator: id.name.clone(),
            prompt: prompt.to_owned(),
        }
    }

    /// Whether this names the prompt of that generator.
    pub fn names(&self, id: &GeneratorId, prompt: &str) -> bool {
        let whole = Self::of(id, prompt);
        self.generator == whole.generator
            && self.prompt == whole.prompt
            && (self.machine.is_none() || self.machine == whole.machine)
    }
}

impl fmt::Display for PromptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(machine) = &self.machine {
            write!(f, "{machine}/")?;
        }
        write!(f, "{}/{}", self.generator, self.prompt)
    }
}

impl FromStr for PromptId {
    type Err = PromptProblem;

    fn from_str(text: &str) -> Result<Self, PromptProblem> {
        let parts: Vec<_> = text.split('/').map(str::to_owned).collect();
        let plain = parts.iter().all(|part| check_name(NameKind::File, part).is_ok());
        match parts.as_slice() {
            [generator, prompt] if plain => Ok(Self {
                machine: None,
                generator: generator.clone(),
                prompt: prompt.clone(),
            }),
            [machine, generator, prompt] if plain => Ok(Self {
                machine: Some(machine.clone()),
                generator: generator.clone(),
                prompt: prompt.clone(),
            }),
            _ => Err(PromptProblem::Name(text.to_owned())),
        }
    }
}

/// What is wrong with an answer. It never holds the answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PromptProblem {
    /// The text names no prompt.
    #[error("{0:?} does not name a prompt as GENERATOR/PROMPT or MACHINE/GENERATOR/PROMPT")]
    Name(String),
    /// Nothing was answered, and something has to be.
    #[error("the answer is empty")]
    Empty,
    /// One line was asked for.
    #[error("the answer has several lines, and one is asked for")]
    SeveralLines,
}

/// An answer, overwritten when it is dropped.
pub type Answer = Zeroizing<Vec<u8>>;

impl Prompt {
    /// The answer as the generator gets it: one line without its end, or lines as they are.
    ///
    /// # Errors
    /// [`PromptProblem`] where it cannot be one.
    pub fn accept(&self, mut answer: Answer) -> Result<Answer, PromptProblem> {
        if !self.kind.is_multiline() {
            for end in [b'\n', b'\r'] {
                if answer.last() == Some(&end) {
                    answer.pop();
                }
            }
            if answer.contains(&b'\n') {
                return Err(PromptProblem::SeveralLines);
            }
        }
        if answer.is_empty() && self.display.required {
            return Err(PromptProblem::Empty);
        }
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::super::definition::{PromptDisplay, PromptKind};
    use super::*;

    #[test]
    fn answers_of_every_type() {
        use PromptKind::{Hidden, Line, Multiline, MultilineHidden};
        let table: [(PromptKind, bool, &str, Result<&str, PromptProblem>); 10] = [
            (Line, true, "a b\n", Ok("a b")),
            (Line, true, "a\r\n", Ok("a")),
            (Hidden, true, "a", Ok("a")),
            (Hidden, true, "\n", Err(PromptProblem::Empty)),
            (Hidden, false, "\n", Ok("")),
            (Line, true, "a\nb\n", Err(PromptProblem::SeveralLines)),
            (Line, true, "a\n\n", Err(PromptProblem::SeveralLines)),
            (Multiline, true, "a\nb\n", Ok("a\nb\n")),
            (MultilineHidden, true, "", Err(PromptProblem::Empty)),
            (Multiline, false, "", Ok("")),
        ];
        for (kind, required, typed, expected) in table {
            let prompt = Prompt {
                kind,
                display: PromptDisplay {
                    required,
                    ..PromptDisplay::default()
                },
                ..Prompt::default()
            };
            let answer = prompt.accept(Zeroizing::new(typed.as_bytes().to_vec()));
            let expected = expected.map(|text| Zeroizing::new(text.as_bytes().to_vec()));
            assert_eq!(answer, expected, "{kind:?} {typed:?}");
        }
    }

    #[test]
    fn names_with_and_without_a_machine() {
        let id = GeneratorId::of_machine("jon", "mail");
        for (text, names) in [
            ("mail/password", true),
            ("jon/mail/password", true),
            ("sara/mail/password", false),
            ("mail/user", false),
        ] {
            let prompt: PromptId = text.parse().unwrap();
            assert_eq!(
                (prompt.names(&id, "password"), prompt.to_string()),
                (names, text.to_owned())
            );
        }
        let of_all: PromptId = "jon/mail/password".parse().unwrap();
        assert!(!of_all.names(&GeneratorId::shared("mail"), "password"));
        for text in ["", "password", "a/b/c/d", "a//b", "../a"] {
            assert!(text.parse::<PromptId>().is_err(), "{text}");
        }
    }
}
