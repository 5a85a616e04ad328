//! The name of a systemd unit.

use serde::{Deserialize, Serialize};

use super::error::ValueError;

/// The name of a unit with its type, `sshd.service`. Of systemd.unit(5): letters, digits and `:-_.\\@`, at most 255
/// of them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UnitName(String);

impl UnitName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for UnitName {
    type Error = ValueError;

    fn try_from(text: String) -> Result<Self, ValueError> {
        let sound = |part: &str| {
            !part.is_empty()
                && part
                    .chars()
                    .all(|character| character.is_ascii_alphanumeric() || ":-_.\\@".contains(character))
        };
        match text.rsplit_once('.') {
            Some((name, kind))
                if text.len() <= 255
                    && !name.starts_with('-')
                    && sound(name)
                    && kind.chars().all(|character| character.is_ascii_lowercase())
                    && !kind.is_empty() =>
            {
                Ok(Self(text))
            }
            _ => Err(ValueError::UnitName { text }),
        }
    }
}

impl From<UnitName> for String {
    fn from(name: UnitName) -> Self {
        name.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_as_systemd_names_them() {
        for (text, sound) in [
            ("sshd.service", true),
            ("getty@tty1.service", true),
            ("dev-disk-by\\x2dlabel.device", true),
            ("sshd", false),
            (".service", false),
            ("sshd.", false),
            ("--now.service", false),
            ("a b.service", false),
            ("*.service", false),
        ] {
            assert_eq!(UnitName::try_from(text.to_owned()).is_ok(), sound, "{text}");
        }
    }
}
