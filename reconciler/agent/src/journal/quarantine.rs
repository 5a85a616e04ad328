//! What was activated and had to be reverted, remembered until the commit changes.

use super::error::malformed;
use super::{Journal, JournalError};
use jiff::Timestamp;
use reconciler_policies::quarantine::{Cause, Entry};
use rusqlite::params;
use serde::Serialize;

/// A toplevel in quarantine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Quarantined {
    /// The commit it came with.
    pub revision: String,
    /// Its store path.
    pub toplevel: String,
    /// Why it was reverted.
    pub reason: String,
    /// The same as the quarantine gate knows it.
    #[serde(skip)]
    pub cause: Cause,
    /// Since when.
    #[serde(skip)]
    pub since: Timestamp,
    /// Until when; none means until the commit changes.
    pub until: Option<Timestamp>,
}

impl Quarantined {
    /// As the quarantine gate reads it.
    #[must_use]
    pub fn into_entry(self) -> Entry {
        Entry {
            revision: self.revision,
            toplevel: self.toplevel,
            reason: self.cause,
            since: self.since,
            until: self.until,
        }
    }
}

fn cause(text: &str) -> rusqlite::Result<Cause> {
    serde_json::from_str(text).map_err(|error| malformed(5, error))
}

impl Journal {
    /// Everything in quarantine, newest first.
    pub fn quarantine(&self) -> Result<Vec<Quarantined>, JournalError> {
        let reading = || JournalError::reading("the quarantine");
        let mut statement = self
            .connection
            .prepare(
                "SELECT revision, toplevel, reason, since, until, cause FROM quarantine ORDER BY since DESC",
            )
            .map_err(reading())?;
        let rows = statement
            .query_map([], |row| {
                let time = |column: usize, text: String| {
                    text.parse::<Timestamp>()
                        .map_err(|error| malformed(column, error))
                };
                let until: Option<String> = row.get(4)?;
                Ok(Quarantined {
                    revision: row.get(0)?,
                    toplevel: row.get(1)?,
                    reason: row.get(2)?,
                    since: time(3, row.get(3)?)?,
                    until: until.map(|text| time(4, text)).transpose()?,
                    cause: cause(&row.get::<_, String>(5)?)?,
                })
            })
            .map_err(reading())?;
        rows.collect::<Result<_, _>>().map_err(reading())
    }

    /// Puts a toplevel in quarantine.
    pub fn add_quarantine(&self, entry: &Quarantined) -> Result<(), JournalError> {
        self.connection
            .execute(
                "INSERT OR REPLACE INTO quarantine (revision, toplevel, reason, since, until, cause)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![
                    entry.revision,
                    entry.toplevel,
                    entry.reason,
                    entry.since.to_string(),
                    entry.until.map(|until| until.to_string()),
                    serde_json::to_string(&entry.cause).unwrap_or_default()
                ],
            )
            .map(|_| ())
            .map_err(JournalError::writing("the quarantine"))
    }

    /// Lifts the quarantine of every revision but `revision`: the commit changed.
    pub fn lift_quarantine_of_others(&self, revision: &str) -> Result<(), JournalError> {
        self.connection
            .execute("DELETE FROM quarantine WHERE revision <> ?1", [revision])
            .map(|_| ())
            .map_err(JournalError::writing("the quarantine"))
    }

    /// Lifts the quarantine of one revision: it was activated after all.
    pub fn lift_quarantine(&self, revision: &str) -> Result<(), JournalError> {
        self.connection
            .execute("DELETE FROM quarantine WHERE revision = ?1", [revision])
            .map(|_| ())
            .map_err(JournalError::writing("the quarantine"))
    }
}
