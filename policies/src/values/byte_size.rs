//! Amounts of memory and disk.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::error::ValueError;

/// A number of bytes above zero. Written with a binary or decimal unit: `"8 GiB"`, `"500MB"`, `"4096 B"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ByteSize(u64);

/// The units, the larger first, so that the text form finds the largest that divides.
const UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("TB", 1_000_000_000_000),
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("kB", 1_000),
    ("B", 1),
];

impl ByteSize {
    /// The number of bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0
    }

    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let digits = text.find(|character: char| !character.is_ascii_digit())?;
        let (number, unit) = text.split_at_checked(digits)?;
        let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit.trim_start())?;
        let bytes = number.parse::<u64>().ok()?.checked_mul(*factor)?;
        (bytes > 0).then_some(Self(bytes))
    }
}

impl TryFrom<String> for ByteSize {
    type Error = ValueError;

    fn try_from(text: String) -> Result<Self, ValueError> {
        Self::parse(&text).ok_or(ValueError::ByteSize { text })
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, factor) = UNITS
            .iter()
            .find(|(_, factor)| self.0.is_multiple_of(*factor))
            .copied()
            .unwrap_or(("B", 1));
        write!(formatter, "{} {unit}", self.0 / factor)
    }
}

impl From<ByteSize> for String {
    fn from(size: ByteSize) -> Self {
        size.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes_as_people_write_them() {
        let cases = [
            ("8 GiB", Some(8 << 30)),
            ("8GiB", Some(8 << 30)),
            ("500 MB", Some(500_000_000)),
            ("4096 B", Some(4_096)),
            ("0 GiB", None),
            ("8", None),
            ("8 gib", None),
            ("-8 GiB", None),
            ("1.5 GiB", None),
            ("99999999999 TiB", None),
            ("GiB", None),
        ];
        for (text, expected) in cases {
            assert_eq!(
                ByteSize::try_from(text.to_owned()).ok().map(ByteSize::bytes),
                expected,
                "{text}"
            );
        }
    }

    proptest! {
        #[test]
        fn sizes_are_read_back_as_written(bytes in 1_u64..) {
            prop_assert_eq!(ByteSize::try_from(ByteSize(bytes).to_string()), Ok(ByteSize(bytes)));
        }
    }
}
