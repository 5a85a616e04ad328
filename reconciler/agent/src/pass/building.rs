//! How a build stands while it runs: what is built and fetched, how many of how many, and the last words of what
//! runs. Data and its words; what makes it of the daemon's events is `telling.rs`.

use crate::text;
use serde::{Deserialize, Serialize};

/// How a build stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Building {
    /// Derivations: how many are built, of how many.
    pub built: (u64, u64),
    /// Store paths: how many are fetched, of how many.
    pub fetched: (u64, u64),
    /// Bytes: how many are downloaded, of how many.
    pub bytes: (u64, u64),
    /// What is being built, in the order it began.
    pub running: Vec<RunningBuild>,
    /// What is being fetched, in the order it began.
    #[serde(default)]
    pub fetching: Vec<RunningFetch>,
}

/// One derivation that is being built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunningBuild {
    /// Its name.
    pub name: String,
    /// The machine it is built on, where that is not this one.
    pub machine: Option<String>,
    /// The phase it is in, as its builder says.
    pub phase: Option<String>,
    /// The last line of its log.
    pub line: Option<String>,
    /// For how long it has been seen, in milliseconds.
    pub ms: u64,
}

/// One store path that is being fetched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunningFetch {
    /// Its name.
    pub name: String,
    /// The cache it comes from.
    pub from: String,
    /// Bytes of its archive: how many are here, of how many.
    pub bytes: (u64, u64),
    /// For how long it has been seen, in milliseconds.
    pub ms: u64,
}

impl Building {
    /// The counts in a few words: `4 of 6 built · 3 of 7 fetched, 118 of 130 MiB`.
    #[must_use]
    pub fn counts(&self) -> String {
        let mut parts = Vec::new();
        if self.built.1 > 0 {
            parts.push(format!("{} of {} built", self.built.0, self.built.1));
        }
        if self.fetched.1 > 0 {
            let mut part = format!("{} of {} fetched", self.fetched.0, self.fetched.1);
            if self.bytes.1 > 0 {
                part.push_str(&format!(
                    ", {} of {}",
                    text::size(self.bytes.0),
                    text::size(self.bytes.1)
                ));
            }
            parts.push(part);
        }
        parts.join(" · ")
    }
}

#[cfg(test)]
mod tests {
    use super::Building;

    #[test]
    fn counts_say_only_what_there_is() {
        let of = |built, fetched, bytes| {
            Building {
                built,
                fetched,
                bytes,
                ..Building::default()
            }
            .counts()
        };
        assert_eq!(of((0, 0), (0, 0), (0, 0)), "");
        assert_eq!(of((4, 6), (0, 0), (0, 0)), "4 of 6 built");
        assert_eq!(
            of((0, 1), (3, 7), (123_731_968, 136_314_880)),
            "0 of 1 built · 3 of 7 fetched, 118 MiB of 130 MiB"
        );
    }
}
