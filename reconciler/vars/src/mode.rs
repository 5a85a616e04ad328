//! Owns the permission bits of an installed file as the fleet writes them: four octal digits. It must
//! never touch a file.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Permission bits, `0o0000` to `0o7777`.
///
/// Written as four octal digits (`"0400"`), the form that clan's vars options accept (`^[0-7]{4}$`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mode(u32);

impl Mode {
    /// Readable by its owner alone: what a secret has unless the fleet says otherwise.
    pub const OWNER_READ: Self = Self(0o400);

    /// The bits.
    pub fn bits(self) -> u32 {
        self.0
    }

    /// The permission bits of a file's mode, without those of its type.
    pub(crate) fn of_bits(bits: u32) -> Self {
        Self(bits & 0o7777)
    }

    /// Octal digits of any number, as sops-nix takes them (`400`, `0400`).
    ///
    /// # Errors
    /// [`InvalidMode`] for anything else, and above `7777`.
    pub(crate) fn from_octal(text: &str) -> Result<Self, InvalidMode> {
        let digits = !text.is_empty() && text.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
        let bits = u32::from_str_radix(text, 8)
            .ok()
            .filter(|bits| digits && *bits <= 0o7777);
        bits.map(Self).ok_or_else(|| InvalidMode(text.to_owned()))
    }

    /// The same mode with nothing left for group and others.
    pub(crate) fn for_owner_alone(self) -> Self {
        Self(self.0 & 0o700)
    }
}

impl Default for Mode {
    fn default() -> Self {
        Self::OWNER_READ
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

impl fmt::Debug for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mode({self})")
    }
}

/// A mode that is not four octal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("mode {0:?} is not four octal digits")]
pub struct InvalidMode(pub String);

impl FromStr for Mode {
    type Err = InvalidMode;

    fn from_str(text: &str) -> Result<Self, InvalidMode> {
        // `from_str_radix` would take a sign, so the digits are looked at first.
        if text.len() != 4 || !text.bytes().all(|byte| (b'0'..=b'7').contains(&byte)) {
            return Err(InvalidMode(text.to_owned()));
        }
        u32::from_str_radix(text, 8)
            .map(Self)
            .map_err(|_| InvalidMode(text.to_owned()))
    }
}

impl TryFrom<String> for Mode {
    type Error = InvalidMode;

    fn try_from(text: String) -> Result<Self, InvalidMode> {
        text.parse()
    }
}

impl From<Mode> for String {
    fn from(mode: Mode) -> Self {
        mode.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_octal_digits_and_nothing_else() {
        for (text, bits) in [("0400", 0o400), ("0000", 0), ("7777", 0o7777), ("0644", 0o644)] {
            let mode: Mode = text.parse().unwrap();
            assert_eq!((mode.bits(), mode.to_string().as_str()), (bits, text));
        }
        for text in [
            "", "400", "00400", "0800", "+400", "-400", "u=r", "0x40", " 040", "04٠0",
        ] {
            assert_eq!(text.parse::<Mode>(), Err(InvalidMode(text.to_owned())));
        }
    }
}
