//! Owns the rule that says which values of a file are encrypted. It must never see a value.

use regex::bytes::{Regex, RegexBuilder};

use super::error::SopsError;
use super::walk::{Leaf, Spot};

/// Which values of a new file are encrypted. A key or a comment decides for all below it; what is not named is the
/// other way round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// All but what is below a key with this ending. With `_unencrypted`, sops' own default.
    UnencryptedSuffix(String),
    /// What is below a key with this ending.
    EncryptedSuffix(String),
    /// All but what is below a key that fits this regular expression of Go's dialect.
    UnencryptedRegex(String),
    /// What is below a key that fits.
    EncryptedRegex(String),
    /// All but what is below a comment that fits, the comment included.
    UnencryptedCommentRegex(String),
    /// What is below a comment that fits; the comment itself stays readable.
    EncryptedCommentRegex(String),
}

impl Default for Selection {
    fn default() -> Self {
        Self::UnencryptedSuffix(DEFAULT_SUFFIX.to_owned())
    }
}

impl Selection {
    /// Its name and text in the `sops` section.
    pub(super) fn field(&self) -> (&'static str, &str) {
        match self {
            Self::UnencryptedSuffix(text) => ("unencrypted_suffix", text),
            Self::EncryptedSuffix(text) => ("encrypted_suffix", text),
            Self::UnencryptedRegex(text) => ("unencrypted_regex", text),
            Self::EncryptedRegex(text) => ("encrypted_regex", text),
            Self::UnencryptedCommentRegex(text) => ("unencrypted_comment_regex", text),
            Self::EncryptedCommentRegex(text) => ("encrypted_comment_regex", text),
        }
    }
}

/// sops.go, `DefaultUnencryptedSuffix`.
const DEFAULT_SUFFIX: &str = "_unencrypted";

/// Which values are encrypted, by the keys on their path or the comments above them. A key or comment that fits
/// decides for all below it.
#[derive(Debug)]
pub(super) enum Rule {
    UnencryptedSuffix(String),
    EncryptedSuffix(String),
    UnencryptedRegex(Regex),
    EncryptedRegex(Regex),
    UnencryptedCommentRegex(Regex),
    EncryptedCommentRegex(Regex),
}

impl Rule {
    /// Every rule, by its name in the `sops` section.
    pub(super) const NAMES: [&str; 6] = [
        "unencrypted_suffix",
        "encrypted_suffix",
        "unencrypted_regex",
        "encrypted_regex",
        "unencrypted_comment_regex",
        "encrypted_comment_regex",
    ];

    /// The rule of a name.
    pub(super) fn named(name: &'static str, text: &str) -> Result<Self, SopsError> {
        Ok(match name {
            "unencrypted_suffix" => Self::UnencryptedSuffix(text.to_owned()),
            "encrypted_suffix" => Self::EncryptedSuffix(text.to_owned()),
            "unencrypted_regex" => Self::UnencryptedRegex(compile(name, text)?),
            "encrypted_regex" => Self::EncryptedRegex(compile(name, text)?),
            "unencrypted_comment_regex" => Self::UnencryptedCommentRegex(compile(name, text)?),
            "encrypted_comment_regex" => Self::EncryptedCommentRegex(compile(name, text)?),
            _ => return Err(SopsError::UnsupportedRule { rule: name }),
        })
    }

    /// What applies where a file names no rule (stores/stores.go).
    pub(super) fn by_default() -> Self {
        Self::UnencryptedSuffix(DEFAULT_SUFFIX.to_owned())
    }

    /// Whether a leaf of this place is encrypted. The last comment of the place is the leaf itself, where that is
    /// a comment (sops.go, `shouldBeEncrypted`).
    pub(super) fn is_encrypted(&self, spot: &Spot<'_>, leaf: Leaf<'_>) -> bool {
        let mut keys = spot.path.iter();
        let mut comments = spot.comments.iter().flatten();
        match self {
            Self::UnencryptedSuffix(suffix) => !keys.any(|key| key.ends_with(suffix.as_str())),
            Self::EncryptedSuffix(suffix) => keys.any(|key| key.ends_with(suffix.as_str())),
            Self::UnencryptedRegex(regex) => !keys.any(|key| regex.is_match(key.as_bytes())),
            Self::EncryptedRegex(regex) => keys.any(|key| regex.is_match(key.as_bytes())),
            Self::UnencryptedCommentRegex(regex) => !comments.any(|comment| regex.is_match(comment)),
            Self::EncryptedCommentRegex(regex) => {
                // The comment that asks for encryption stays readable itself.
                let all = spot.comments.iter().map(Vec::len).sum::<usize>();
                let before = all.saturating_sub(usize::from(leaf.is_comment()));
                comments.take(before).any(|comment| regex.is_match(comment))
            }
        }
    }
}

/// A compiled expression may take this much memory, in bytes.
const LARGEST_REGEX: usize = 1 << 20;

/// Compiles an expression of Go's dialect.
fn compile(rule: &'static str, expression: &str) -> Result<Regex, SopsError> {
    RegexBuilder::new(&from_go(expression))
        .size_limit(LARGEST_REGEX)
        .build()
        .map_err(|_| SopsError::Regex { rule })
}

/// Go's `\d`, `\w`, `\s` and `\b` know ASCII only, and its classes neither nest nor have set operators;
/// otherwise the two dialects of RE2 agree.
fn from_go(expression: &str) -> String {
    let mut translated = String::with_capacity(expression.len());
    let mut characters = expression.chars().peekable();
    let mut in_class = false;
    while let Some(character) = characters.next() {
        match character {
            '\\' => {
                let Some(escaped) = characters.next() else {
                    translated.push('\\');
                    break;
                };
                match escaped {
                    'd' => translated.push_str("[0-9]"),
                    'D' => translated.push_str("[^0-9]"),
                    'w' => translated.push_str("[0-9A-Za-z_]"),
                    'W' => translated.push_str("[^0-9A-Za-z_]"),
                    's' => translated.push_str("[\\t\\n\\f\\r ]"),
                    'S' => translated.push_str("[^\\t\\n\\f\\r ]"),
                    'b' if !in_class => translated.push_str("(?-u:\\b)"),
                    'B' if !in_class => translated.push_str("(?-u:\\B)"),
                    other => translated.extend(['\\', other]),
                }
            }
            '[' if in_class && characters.peek() != Some(&':') => translated.push_str("\\["),
            '[' if in_class => {
                // A named class, [:alpha:], is the same in both.
                translated.push('[');
                for inner in characters.by_ref() {
                    translated.push(inner);
                    if inner == ']' {
                        break;
                    }
                }
            }
            '[' => {
                in_class = true;
                translated.push('[');
                if characters.next_if_eq(&'^').is_some() {
                    translated.push('^');
                }
                if characters.next_if_eq(&']').is_some() {
                    translated.push_str("\\]");
                }
            }
            ']' if in_class => {
                in_class = false;
                translated.push(']');
            }
            '&' | '~' if in_class => translated.extend(['\\', character]),
            other => translated.push(other),
        }
    }
    translated
}

#[cfg(test)]
mod tests {
    use super::super::node::{Comment, Node};
    use super::*;

    #[test]
    fn a_comment_decides_for_what_stands_below_it() {
        let regex = || compile("encrypted_comment_regex", "^ *sops:").unwrap();
        let (encrypted, unencrypted) = (
            Rule::EncryptedCommentRegex(regex()),
            Rule::UnencryptedCommentRegex(regex()),
        );
        let value = Node::Bool(true);
        let comment = Comment::above(" sops: x");
        for (comments, leaf, expected) in [
            (vec![vec![]], Leaf::Value(&value), false),
            (vec![vec![&b" sops: x"[..]]], Leaf::Value(&value), true),
            (vec![vec![b" sops: x"], vec![b"other"]], Leaf::Item(&value), true),
            (vec![vec![b"other"], vec![]], Leaf::Item(&value), false),
        ] {
            let spot = Spot {
                path: vec!["a"],
                comments,
            };
            assert_eq!(encrypted.is_encrypted(&spot, leaf), expected, "{spot:?}");
            assert_eq!(unencrypted.is_encrypted(&spot, leaf), !expected, "{spot:?}");
        }
        let itself = Spot {
            path: vec![],
            comments: vec![vec![&b" sops: x"[..]]],
        };
        assert!(!encrypted.is_encrypted(&itself, Leaf::Comment(&comment)));
        assert!(!unencrypted.is_encrypted(&itself, Leaf::Comment(&comment)));
        let second = Spot {
            path: vec![],
            comments: vec![vec![b" sops: x", b"other"]],
        };
        assert!(encrypted.is_encrypted(&second, Leaf::Comment(&comment)));
    }

    #[test]
    fn a_rule_decides_for_everything_below_a_key() {
        let regex = |text| compile("encrypted_regex", text).unwrap();
        for (rule, path, expected) in [
            (Rule::by_default(), &["a", "b"][..], true),
            (Rule::by_default(), &["a_unencrypted", "b"], false),
            (Rule::EncryptedSuffix("_enc".into()), &["a", "b_enc"], true),
            (Rule::EncryptedSuffix("_enc".into()), &["a", "b"], false),
            (
                Rule::EncryptedRegex(regex("^(data|stringData)$")),
                &["data", "x"],
                true,
            ),
            (
                Rule::EncryptedRegex(regex("^(data|stringData)$")),
                &["metadata", "x"],
                false,
            ),
            (Rule::UnencryptedRegex(regex("^kind$")), &["kind"], false),
            (Rule::EncryptedRegex(regex(r"^\w+$")), &["é"], false),
            (Rule::EncryptedRegex(regex(r"^[\d_]+$")), &["1_2"], true),
            (Rule::EncryptedRegex(regex(r"^[[a]+$")), &["[a"], true),
            (Rule::EncryptedRegex(regex(r"^[]&&]+$")), &["]&"], true),
            (Rule::EncryptedRegex(regex(r"^[[:alpha:]]+$")), &["ab"], true),
            (Rule::EncryptedRegex(regex(r"\bkey\b")), &["a key b"], true),
        ] {
            let spot = Spot {
                path: path.to_vec(),
                comments: vec![Vec::new(); path.len()],
            };
            let leaf = Leaf::Value(&Node::Bool(true));
            assert_eq!(rule.is_encrypted(&spot, leaf), expected, "{rule:?} {path:?}");
        }
        assert_eq!(
            compile("encrypted_regex", "(").unwrap_err(),
            SopsError::Regex {
                rule: "encrypted_regex"
            }
        );
    }
}
