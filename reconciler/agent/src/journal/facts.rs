//! Single facts that outlive a pass: the accepted commit, and what failed and how often.

use super::{Journal, JournalError};
use rusqlite::{OptionalExtension, params};
use serde::{Deserialize, Serialize};

/// A revision that failed and is not in quarantine: it is tried again after a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Which, at what, how often and when, as the retry gate reads it.
    pub of: reconciler_policies::Failure,
    /// Why.
    pub reason: String,
}

impl Journal {
    /// The newest commit that this machine converged on: what the branch may not leave behind.
    pub fn accepted(&self) -> Result<Option<String>, JournalError> {
        self.fact("accepted")
    }

    /// Moves the accepted commit.
    pub fn set_accepted(&self, revision: &str) -> Result<(), JournalError> {
        self.set_fact("accepted", revision)
    }

    /// The revision that the machine is known to be on: its generation's, or a later one that changed nothing.
    ///
    /// Only as the entry it was evaluated as: another name or folder in the configuration is another entry.
    pub fn converged(&self, entry: &str) -> Result<Option<String>, JournalError> {
        Ok(self
            .fact("converged")?
            .filter(|_| self.fact("entry").is_ok_and(|of| of.as_deref() == Some(entry))))
    }

    /// Records what the machine is known to be on.
    pub fn set_converged(&self, revision: &str, entry: &str) -> Result<(), JournalError> {
        self.set_fact("entry", entry)?;
        self.set_fact("converged", revision)
    }

    /// The text of the last policy of the fleet that could be read.
    pub fn policy(&self) -> Result<Option<String>, JournalError> {
        self.fact("policy")
    }

    /// Keeps the text of a policy that could be read.
    pub fn set_policy(&self, text: &str) -> Result<(), JournalError> {
        if self.policy()?.as_deref() == Some(text) {
            return Ok(());
        }
        self.set_fact("policy", text)
    }

    /// The key files that the entry of the newest evaluation named.
    pub fn identities(&self) -> Result<Vec<String>, JournalError> {
        // What cannot be read names nothing; the next evaluation writes it anew.
        Ok(self
            .fact("identities")?
            .and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_default())
    }

    /// Keeps the key files that an entry names.
    pub fn set_identities(&self, paths: &[String]) -> Result<(), JournalError> {
        if self.identities()? == paths {
            return Ok(());
        }
        self.set_fact("identities", &serde_json::Value::from(paths).to_string())
    }

    /// The failure of the revision that was tried last, if it failed.
    pub fn failure(&self) -> Result<Option<Failure>, JournalError> {
        // A record of an unknown shape is no failure to remember: trying again is always safe.
        Ok(self
            .fact("failure")?
            .and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// Remembers a failure, or forgets it.
    pub fn set_failure(&self, failure: Option<&Failure>) -> Result<(), JournalError> {
        match failure.map(serde_json::to_string).transpose() {
            Ok(Some(text)) => self.set_fact("failure", &text),
            _ => self.clear_fact("failure"),
        }
    }

    /// Whether links of the profile were deleted, and the boot loader's entries have yet to follow.
    pub fn boot_entries_are_to_follow(&self) -> Result<bool, JournalError> {
        Ok(self.fact("boot-entries")?.is_some())
    }

    /// Remembers that they have to.
    pub fn set_boot_entries_are_to_follow(&self) -> Result<(), JournalError> {
        self.set_fact("boot-entries", "follow")
    }

    /// They did, or a person was told.
    pub fn clear_boot_entries_are_to_follow(&self) -> Result<(), JournalError> {
        self.clear_fact("boot-entries")
    }

    /// The `nix` that was last asked for its version.
    pub fn nix(&self) -> Result<Option<crate::nix::Nix>, JournalError> {
        // A record of an unknown shape is asked for again.
        Ok(self
            .fact("nix")?
            .and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// Keeps which `nix` it was and what it said.
    pub fn set_nix(&self, nix: &crate::nix::Nix) -> Result<(), JournalError> {
        match serde_json::to_string(nix) {
            Ok(text) => self.set_fact("nix", &text),
            Err(_) => self.clear_fact("nix"),
        }
    }

    pub(super) fn fact(&self, name: &str) -> Result<Option<String>, JournalError> {
        self.connection
            .query_row("SELECT value FROM facts WHERE name = ?1", [name], |row| {
                row.get(0)
            })
            .optional()
            .map_err(JournalError::reading("a fact"))
    }

    pub(super) fn set_fact(&self, name: &str, value: &str) -> Result<(), JournalError> {
        self.connection
            .execute(
                "INSERT OR REPLACE INTO facts (name, value) VALUES (?1, ?2)",
                params![name, value],
            )
            .map(|_| ())
            .map_err(JournalError::writing("a fact"))
    }

    pub(super) fn clear_fact(&self, name: &str) -> Result<(), JournalError> {
        self.connection
            .execute("DELETE FROM facts WHERE name = ?1", [name])
            .map(|_| ())
            .map_err(JournalError::writing("a fact"))
    }
}
