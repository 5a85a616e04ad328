//! Ages: durations that people count in days.

use std::time::Duration;

use jiff::{SignedDuration, Span, SpanRelativeTo};
use serde::{Deserialize, Serialize};

use super::error::ValueError;

/// An age. Written `"30 days"`, `"2w"`, `"36h"`; a day is 24 hours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Age {
    text: String,
    age: Duration,
}

impl Age {
    /// The age.
    #[must_use]
    pub fn get(&self) -> Duration {
        self.age
    }
}

impl TryFrom<String> for Age {
    type Error = ValueError;

    fn try_from(text: String) -> Result<Self, ValueError> {
        let parsed = text.parse::<Span>().ok().and_then(|span| {
            let days = SpanRelativeTo::days_are_24_hours();
            let signed: SignedDuration = span.to_duration(days).ok()?;
            Duration::try_from(signed).ok()
        });
        match parsed {
            Some(age) => Ok(Self { text, age }),
            None => Err(ValueError::Age { text }),
        }
    }
}

impl From<Age> for String {
    fn from(age: Age) -> Self {
        age.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_as_people_write_them() {
        for (text, hours) in [
            ("30 days", Some(720)),
            ("30d", Some(720)),
            ("2w", Some(336)),
            ("36h", Some(36)),
            ("P1D", Some(24)),
            ("1 month", None),
            ("-1d", None),
            ("30", None),
            ("", None),
        ] {
            let age = Age::try_from(text.to_owned()).ok();
            assert_eq!(age.map(|age| age.get().as_secs() / 3600), hours, "{text}");
        }
    }
}
