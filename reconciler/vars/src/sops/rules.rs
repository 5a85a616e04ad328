//! Owns the rule that says which values of a file are encrypted. It must never see a value.

use regex::bytes::{Regex, RegexBuilder};

use super::error::SopsError;

/// Which values are encrypted, by the keys on their path. A key that fits decides for all below it.
#[derive(Debug)]
pub(super) enum Rule {
    UnencryptedSuffix(String),
    EncryptedSuffix(String),
    UnencryptedRegex(Regex),
    EncryptedRegex(Regex),
}

impl Rule {
    /// What applies where a file names no rule (stores/stores.go).
    pub(super) fn by_default() -> Self {
        Self::UnencryptedSuffix("_unencrypted".to_owned())
    }

    pub(super) fn is_encrypted(&self, path: &[&str]) -> bool {
        match self {
            Self::UnencryptedSuffix(suffix) => !path.iter().any(|key| key.ends_with(suffix.as_str())),
            Self::EncryptedSuffix(suffix) => path.iter().any(|key| key.ends_with(suffix.as_str())),
            Self::UnencryptedRegex(regex) => !path.iter().any(|key| regex.is_match(key.as_bytes())),
            Self::EncryptedRegex(regex) => path.iter().any(|key| regex.is_match(key.as_bytes())),
        }
    }
}

/// A compiled expression may take this much memory, in bytes.
const LARGEST_REGEX: usize = 1 << 20;

/// Compiles an expression of Go's dialect.
pub(super) fn compile(rule: &'static str, expression: &str) -> Result<Regex, SopsError> {
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
    use super::*;

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
            assert_eq!(rule.is_encrypted(path), expected, "{rule:?} {path:?}");
        }
        assert_eq!(
            compile("encrypted_regex", "(").unwrap_err(),
            SopsError::Regex {
                rule: "encrypted_regex"
            }
        );
    }
}
