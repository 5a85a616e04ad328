//! The last look for drift, the fingerprints of the secrets in force, and where the next look into the store
//! goes on.

use super::{Journal, JournalError};
use crate::drift::{Recorded, Report};
use rusqlite::OptionalExtension;
use serde::Serialize;
use serde::de::DeserializeOwned;

impl Journal {
    /// The last look.
    pub fn drift(&self) -> Result<Option<Report>, JournalError> {
        self.document("drift")
    }

    /// Keeps a look.
    pub fn set_drift(&self, report: &Report) -> Result<(), JournalError> {
        self.set_document("drift", report)
    }

    /// The fingerprints that were taken last.
    pub fn fingerprints(&self) -> Result<Option<Recorded>, JournalError> {
        self.document("secret-fingerprints")
    }

    /// Keeps fingerprints.
    pub fn set_fingerprints(&self, recorded: &Recorded) -> Result<(), JournalError> {
        self.set_document("secret-fingerprints", recorded)
    }

    /// The store path up to which a round of looks has come.
    pub fn store_cursor(&self) -> Result<Option<String>, JournalError> {
        self.fact("store-cursor")
    }

    /// Moves it; none begins a new round.
    pub fn set_store_cursor(&self, path: Option<&str>) -> Result<(), JournalError> {
        match path {
            Some(path) => self.set_fact("store-cursor", path),
            None => self.clear_fact("store-cursor"),
        }
    }

    /// The boot in which a generation was activated; none where it was only taken over.
    pub fn boot_of(&self, generation: u64) -> Result<Option<String>, JournalError> {
        self.connection
            .query_row(
                "SELECT boot_id FROM transactions WHERE generation = ?1 ORDER BY id DESC LIMIT 1",
                [generation],
                |row| row.get(0),
            )
            .optional()
            .map_err(JournalError::reading("the boot of a generation"))
    }

    /// What another version wrote is no knowledge: the next look tells it anew.
    fn document<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, JournalError> {
        Ok(self.fact(name)?.and_then(|text| serde_json::from_str(&text).ok()))
    }

    fn set_document<T: Serialize>(&self, name: &str, document: &T) -> Result<(), JournalError> {
        match serde_json::to_string(document) {
            Ok(text) => self.set_fact(name, &text),
            Err(_) => self.clear_fact(name),
        }
    }
}
