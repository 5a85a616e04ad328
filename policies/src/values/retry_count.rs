//! How often something that failed is tried again at the least.

use serde::{Deserialize, Serialize};

use super::error::ValueError;

/// How many further tries there are after a first that failed: 0 to 10.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct RetryCount(u32);

impl RetryCount {
    /// The count.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl TryFrom<u32> for RetryCount {
    type Error = ValueError;

    fn try_from(count: u32) -> Result<Self, ValueError> {
        if count <= 10 {
            Ok(Self(count))
        } else {
            Err(ValueError::RetryCount { count })
        }
    }
}

impl From<RetryCount> for u32 {
    fn from(count: RetryCount) -> Self {
        count.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_have_an_end() {
        assert_eq!(RetryCount::try_from(0).map(RetryCount::get), Ok(0));
        assert_eq!(
            RetryCount::try_from(11),
            Err(ValueError::RetryCount { count: 11 })
        );
    }
}
