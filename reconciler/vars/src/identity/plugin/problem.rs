//! Owns the reasons for which a plugin does not do its part. It must never quote an identity.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Why a plugin gave no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PluginProblem {
    /// No folder of plugins has it.
    #[error("{program} is not installed {}", Places(folders))]
    NotInstalled {
        /// `age-plugin-…`.
        program: String,
        /// Where it was looked for.
        folders: Vec<String>,
    },
    /// Others could put something else in its place.
    #[error("{} is not used: {} can be changed by others than root", program.display(), part.display())]
    Untrusted {
        /// The program.
        program: PathBuf,
        /// The program itself, or the folder above it that others may write to.
        part: PathBuf,
    },
    /// It could not be started, or its pipes broke.
    #[error("cannot talk to it: {kind}")]
    Talk {
        /// What the system said.
        kind: io::ErrorKind,
    },
    /// It ended before it was done.
    #[error("it ended without an answer")]
    Ended,
    /// What it said is not of the protocol.
    #[error("it does not speak the protocol of age plugins")]
    Protocol,
    /// It wants something of a person.
    #[error("it asks a person ({asked}), and nobody is there")]
    Interaction {
        /// What it asks, in its own words.
        asked: String,
    },
    /// It did not answer in time.
    #[error("it gave no answer within {} s{}", limit.as_secs(), Said(said))]
    TimedOut {
        /// How long it had.
        limit: Duration,
        /// The last that it said; empty if nothing.
        said: String,
    },
    /// It says itself what is wrong.
    #[error("it says: {message}")]
    Failed {
        /// Its own words.
        message: String,
    },
}

struct Places<'a>(&'a [String]);

impl std::fmt::Display for Places<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            [] => f.write_str("where it is looked for: the PATH has no folder"),
            folders => write!(f, "in any of {}", folders.join(", ")),
        }
    }
}

struct Said<'a>(&'a str);

impl std::fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            "" => Ok(()),
            said => write!(f, "; the last it said: {said}"),
        }
    }
}

/// More of what a plugin says is not passed on, in characters.
const LONGEST: usize = 200;

/// A plugin's own words for a message: one line, no control characters, and nothing that looks like an identity.
pub(super) fn words(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut words = Vec::new();
    for word in text.split_whitespace() {
        let word: String = word.chars().filter(|character| !character.is_control()).collect();
        let upper = word.to_ascii_uppercase();
        if upper.contains("AGE-SECRET-KEY-") || (upper.contains("AGE-PLUGIN-") && upper.contains("-1")) {
            words.push("[redacted]".to_owned());
        } else {
            words.push(word);
        }
    }
    words.join(" ").chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_one_short_line_without_an_identity() {
        for (said, told) in [
            (&b"touch  the\nkey\x1b[31m"[..], "touch the key[31m"),
            (b"bad AGE-SECRET-KEY-1QQQ.", "bad [redacted]"),
            (b"bad AGE-SECRET-\x01KEY-1QQQ.", "bad [redacted]"),
            (
                b"no age-plugin-tpm-1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq here",
                "no [redacted] here",
            ),
            (b"is age-plugin-tpm there?", "is age-plugin-tpm there?"),
            (b"\xff", "\u{fffd}"),
        ] {
            assert_eq!(words(said), told);
        }
        assert_eq!(words(&b"a".repeat(5000)).len(), LONGEST);
    }
}
