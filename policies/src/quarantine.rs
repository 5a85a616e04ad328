//! What was activated and failed, so that it is not activated again. It owns the list's rules; where the
//! list is kept is the caller's.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Why something went into quarantine. In JSON the kebab-case word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// Its activation failed.
    ActivationFailed,
    /// It was active and a probe failed.
    ProbeFailed,
    /// The agent did not come back to confirm it, and the deadman reverted it.
    Unconfirmed,
    /// The machine lost power or was reset while it was being activated.
    Interrupted,
}

impl fmt::Display for Cause {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::ActivationFailed => "its activation failed",
            Self::ProbeFailed => "a probe failed after its activation",
            Self::Unconfirmed => "it was never confirmed and was reverted",
            Self::Interrupted => "its activation was interrupted",
        })
    }
}

/// One thing in quarantine: this toplevel, as it came from this revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The commit, in full.
    pub revision: String,
    /// The store path that was activated.
    pub toplevel: String,
    /// What happened.
    pub reason: Cause,
    /// When it happened.
    pub since: Timestamp,
    /// When it may be tried again without anything having changed; `None`: never.
    pub until: Option<Timestamp>,
}

impl Entry {
    /// Whether the quarantine has not ended yet.
    #[must_use]
    pub fn is_in_force(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }

    /// Whether this is about the revision and, where it is already known, the toplevel.
    #[must_use]
    pub fn covers(&self, revision: &str, toplevel: Option<&str>) -> bool {
        self.revision == revision && toplevel.is_none_or(|toplevel| self.toplevel == toplevel)
    }
}

/// The entry in force that covers the candidate; of several, the one that lasts longest.
#[must_use]
pub fn find<'a>(
    entries: &'a [Entry],
    revision: &str,
    toplevel: Option<&str>,
    now: Timestamp,
) -> Option<&'a Entry> {
    entries
        .iter()
        .filter(|entry| entry.covers(revision, toplevel) && entry.is_in_force(now))
        .max_by_key(|entry| entry.until.unwrap_or(Timestamp::MAX))
}

/// The list with `entry` in it: it replaces what stood there for the same revision and toplevel.
#[must_use]
pub fn insert(mut entries: Vec<Entry>, entry: Entry) -> Vec<Entry> {
    entries.retain(|old| !old.covers(&entry.revision, Some(&entry.toplevel)));
    entries.push(entry);
    entries
}

/// The list without the entries whose time is over.
#[must_use]
pub fn in_force(mut entries: Vec<Entry>, now: Timestamp) -> Vec<Entry> {
    entries.retain(|entry| entry.is_in_force(now));
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn entry(revision: &str, toplevel: &str, until: Option<i64>) -> Entry {
        Entry {
            revision: revision.into(),
            toplevel: toplevel.into(),
            reason: Cause::ProbeFailed,
            since: at(0),
            until: until.map(at),
        }
    }

    #[test]
    fn what_is_found() {
        let list = [entry("r1", "t1", None), entry("r2", "t2", Some(100))];
        let cases = [
            ("r1", Some("t1"), 1_000, true),
            ("r1", None, 1_000, true),
            ("r1", Some("t2"), 0, false),
            ("r3", Some("t1"), 0, false),
            ("r2", Some("t2"), 99, true),
            ("r2", Some("t2"), 100, false),
        ];
        for (revision, toplevel, now, expected) in cases {
            let found = find(&list, revision, toplevel, at(now)).is_some();
            assert_eq!(found, expected, "{revision} {toplevel:?} {now}");
        }
    }

    #[test]
    fn of_several_the_longest_counts() {
        let list = [
            entry("r", "t1", Some(10)),
            entry("r", "t2", None),
            entry("r", "t3", Some(20)),
        ];
        assert_eq!(find(&list, "r", None, at(0)).unwrap().toplevel, "t2");
    }

    #[test]
    fn a_new_entry_replaces_its_like_and_nothing_else() {
        let list = vec![entry("r", "t", Some(10)), entry("r", "u", None)];
        let list = insert(list, entry("r", "t", None));
        assert_eq!(list, [entry("r", "u", None), entry("r", "t", None)]);
    }

    #[test]
    fn what_is_over_is_dropped() {
        let list = vec![
            entry("a", "t", Some(10)),
            entry("b", "t", None),
            entry("c", "t", Some(11)),
        ];
        let left: Vec<String> = in_force(list, at(10))
            .into_iter()
            .map(|entry| entry.revision)
            .collect();
        assert_eq!(left, ["b", "c"]);
    }

    #[test]
    fn the_json_shape() {
        let json = serde_json::to_string(&entry("r", "t", Some(0))).unwrap();
        assert_eq!(
            json,
            r#"{"revision":"r","toplevel":"t","reason":"probe-failed","since":"1970-01-01T00:00:00Z","until":"1970-01-01T00:00:00Z"}"#
        );
    }
}
