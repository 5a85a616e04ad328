//! Owns the shape in which a fleet declares its generators to whoever makes the values. It must never run one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What the fleet declares for all its machines: the answer of `generators.nix`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FleetGenerators {
    /// Where the store of the evaluating Nix is, usually `/nix/store`.
    pub store_dir: String,
    /// The people to whom new secrets are encrypted.
    #[serde(default)]
    pub readers: DefaultReaders,
    /// Generators by machine, then by name.
    pub machines: BTreeMap<String, BTreeMap<String, Generator>>,
}

/// The fleet's `reconciler.vars`: the people to whom new secrets are encrypted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct DefaultReaders {
    /// Names of `sops/users`; all of them where neither users nor groups are named.
    #[serde(default)]
    pub users: Option<Vec<String>>,
    /// Names of `sops/groups`.
    #[serde(default)]
    pub groups: Vec<String>,
}

/// One generator of one machine, without its script: that is evaluated for those that run.
///
/// The words are those of clan's `clan.core.vars.generators.<g>`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Generator {
    /// Whether its files are the same for all machines.
    pub share: bool,
    /// Generators of the same machine whose files its script reads below `$in`.
    pub dependencies: Vec<String>,
    /// What a person is asked, by name.
    pub prompts: BTreeMap<String, Prompt>,
    /// What it makes, by name; those of persisted prompts included.
    pub files: BTreeMap<String, GeneratedFile>,
    /// SHA-256 in hexadecimal of what the values depend on.
    pub validation_hash: Option<String>,
    /// Whether there is a script.
    pub scripted: bool,
}

impl Generator {
    /// Whether it can make its files: it has a script, or every file is the answer to a prompt.
    pub fn can_run(&self) -> bool {
        self.scripted
            || self
                .files
                .keys()
                .all(|file| self.prompts.get(file).is_some_and(|prompt| prompt.persist))
    }
}

/// What matters of a file to whoever makes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GeneratedFile {
    /// Whether it is encrypted.
    pub secret: bool,
    /// Whether the machine may read it; without, it is for people alone.
    pub deploy: bool,
}

impl Default for GeneratedFile {
    fn default() -> Self {
        Self {
            secret: true,
            deploy: true,
        }
    }
}

/// A question to a person.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Prompt {
    /// How the answer is typed.
    #[serde(rename = "type")]
    pub kind: PromptKind,
    /// What is asked for; the prompt's name where it is empty.
    pub description: String,
    /// Whether the answer becomes the file of the same name.
    pub persist: bool,
    /// How it is shown.
    pub display: PromptDisplay,
}

/// How an answer is typed: clan's four types.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PromptKind {
    /// One line, shown while it is typed.
    #[default]
    Line,
    /// One line, not shown.
    Hidden,
    /// Lines up to the end of the input, shown.
    Multiline,
    /// Lines up to the end of the input, not shown.
    MultilineHidden,
}

impl PromptKind {
    /// Whether what is typed must not be shown.
    pub fn is_hidden(self) -> bool {
        matches!(self, Self::Hidden | Self::MultilineHidden)
    }

    /// Whether the answer may have several lines.
    pub fn is_multiline(self) -> bool {
        matches!(self, Self::Multiline | Self::MultilineHidden)
    }
}

/// How a prompt is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PromptDisplay {
    /// The heading under which prompts stand together.
    pub group: Option<String>,
    /// A short name in place of the prompt's own.
    pub label: Option<String>,
    /// Whether an empty answer is refused.
    pub required: bool,
    /// A line of help.
    pub helper_text: Option<String>,
}

impl Default for PromptDisplay {
    fn default() -> Self {
        Self {
            group: None,
            label: None,
            required: true,
            helper_text: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clans_words_and_defaults() {
        let text = r#"{"storeDir":"/nix/store","machines":{"jon":{"g":{"share":true,"dependencies":["a"],
            "prompts":{"p":{"type":"multiline-hidden","persist":true},"q":{"display":{"required":false,"helperText":"h"}}},
            "files":{"p":{},"f":{"secret":false,"deploy":true}},"validationHash":null,"scripted":false}}}}"#;
        let fleet: FleetGenerators = serde_json::from_str(text).unwrap();
        let generator = &fleet.machines["jon"]["g"];
        assert_eq!(fleet.readers, DefaultReaders::default());
        assert!(generator.files["p"].secret && !generator.files["f"].secret);
        let (p, q) = (&generator.prompts["p"], &generator.prompts["q"]);
        assert!(p.kind.is_hidden() && p.kind.is_multiline() && p.display.required);
        assert!(q.kind == PromptKind::Line && !q.display.required && !q.persist);
        assert!(!generator.can_run(), "nothing makes the file f");
        assert!(serde_json::from_str::<Prompt>(r#"{"type":"secret"}"#).is_err());
    }
}
