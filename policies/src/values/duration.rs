//! Durations of a policy: time limits, which are longer than zero, and waits, which may be zero.

use std::time::Duration;

use jiff::SignedDuration;
use jiff::fmt::friendly::{Designator, SpanPrinter};
use serde::{Deserialize, Serialize};

use super::error::ValueError;

/// A time limit, longer than zero. Written `"90s"`, `"5min"`, `"1h 30min"` or in ISO 8601 (`"PT5M"`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Timeout(Duration);

impl Timeout {
    /// Ten seconds: what a probe may take unless it says otherwise.
    pub(crate) const PROBE: Self = Self(Duration::from_secs(10));

    /// The limit.
    #[must_use]
    pub const fn get(self) -> Duration {
        self.0
    }
}

impl TryFrom<String> for Timeout {
    type Error = ValueError;

    fn try_from(text: String) -> Result<Self, ValueError> {
        match Grace::try_from(text.clone())?.get() {
            Duration::ZERO => Err(ValueError::Timeout { text }),
            limit => Ok(Self(limit)),
        }
    }
}

impl From<Timeout> for String {
    fn from(timeout: Timeout) -> Self {
        friendly(timeout.0)
    }
}

/// A wait, which may be zero. Written as a [`Timeout`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Grace(Duration);

impl Grace {
    /// The wait.
    #[must_use]
    pub const fn get(self) -> Duration {
        self.0
    }
}

impl TryFrom<String> for Grace {
    type Error = ValueError;

    fn try_from(text: String) -> Result<Self, ValueError> {
        text.parse::<SignedDuration>()
            .ok()
            .and_then(|signed| Duration::try_from(signed).ok())
            .map(Self)
            .ok_or(ValueError::Duration { text })
    }
}

impl From<Grace> for String {
    fn from(grace: Grace) -> Self {
        friendly(grace.0)
    }
}

/// `5m`, `1h 30m`: a form that is also read.
fn friendly(duration: Duration) -> String {
    SpanPrinter::new()
        .designator(Designator::Compact)
        .unsigned_duration_to_string(&duration)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_as_people_write_them() {
        let cases = [
            ("60s", Some(60)),
            ("5min", Some(300)),
            ("5 minutes", Some(300)),
            ("2h", Some(7_200)),
            ("1h 30min", Some(5_400)),
            ("PT5M", Some(300)),
            ("0s", None),
            ("-5s", None),
            ("5", None),
            ("soon", None),
            ("", None),
        ];
        for (text, expected) in cases {
            let seconds = Timeout::try_from(text.to_owned())
                .ok()
                .map(|timeout| timeout.get().as_secs());
            assert_eq!(seconds, expected, "{text}");
        }
        assert_eq!(Grace::try_from("0s".to_owned()).unwrap().get(), Duration::ZERO);
        assert!(Grace::try_from("-1s".to_owned()).is_err());
    }

    proptest! {
        #[test]
        fn timeouts_are_read_back_as_written(milliseconds in 1_u64..1_000_000_000_000) {
            let timeout = Timeout(Duration::from_millis(milliseconds));
            prop_assert_eq!(Timeout::try_from(String::from(timeout)), Ok(timeout));
        }
    }
}
