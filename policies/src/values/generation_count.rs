//! How many rollback points are kept.

use serde::{Deserialize, Serialize};

use super::error::ValueError;

/// How many generations are kept: 2 or more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct GenerationCount(u32);

impl GenerationCount {
    /// The count.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl TryFrom<u32> for GenerationCount {
    type Error = ValueError;

    fn try_from(count: u32) -> Result<Self, ValueError> {
        if count >= 2 {
            Ok(Self(count))
        } else {
            Err(ValueError::GenerationCount { count })
        }
    }
}

impl From<GenerationCount> for u32 {
    fn from(count: GenerationCount) -> Self {
        count.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_always_one_to_go_back_to() {
        assert_eq!(
            GenerationCount::try_from(0),
            Err(ValueError::GenerationCount { count: 0 })
        );
        assert_eq!(
            GenerationCount::try_from(1),
            Err(ValueError::GenerationCount { count: 1 })
        );
        assert_eq!(GenerationCount::try_from(2).map(GenerationCount::get), Ok(2));
    }
}
