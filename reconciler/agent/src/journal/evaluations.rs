//! Answers of evaluations, by a digest of all that they depend on: what was evaluated once is not evaluated again.

use super::{Journal, JournalError};
use rusqlite::{OptionalExtension, params};

/// How many answers are kept. A pass has two; the rest is for reverts.
const KEPT: i64 = 64;

/// An answer that was given before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    /// It, as the expression gave it.
    pub answer: String,
    /// The commit at which it was given.
    pub revision: String,
}

impl Journal {
    /// The answer that was given under `key`.
    pub fn evaluation(&self, key: &str) -> Result<Option<Remembered>, JournalError> {
        self.connection
            .query_row(
                "SELECT answer, revision FROM evaluations WHERE key = ?1",
                [key],
                |row| {
                    Ok(Remembered {
                        answer: row.get(0)?,
                        revision: row.get(1)?,
                    })
                },
            )
            .optional()
            .map_err(JournalError::reading("an evaluation"))
    }

    /// Keeps an answer, and forgets the oldest.
    pub fn remember_evaluation(&self, key: &str, answer: &Remembered) -> Result<(), JournalError> {
        let writing = || JournalError::writing("an evaluation");
        self.connection
            .execute(
                "INSERT OR REPLACE INTO evaluations (key, answer, revision) VALUES (?1, ?2, ?3)",
                params![key, answer.answer, answer.revision],
            )
            .map_err(writing())?;
        self.connection
            .execute(
                "DELETE FROM evaluations WHERE id <= (SELECT max(id) FROM evaluations) - ?1",
                [KEPT],
            )
            .map(|_| ())
            .map_err(writing())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use camino::Utf8Path;

    #[test]
    fn the_newest_answers_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::open(&Utf8Path::from_path(folder.path()).unwrap().join("journal.db")).unwrap();
        let answer = |text: &str| Remembered {
            answer: text.to_owned(),
            revision: "r".to_owned(),
        };
        for number in 0..100 {
            journal
                .remember_evaluation(&number.to_string(), &answer(&number.to_string()))
                .unwrap();
        }
        journal.remember_evaluation("99", &answer("again")).unwrap();
        let kept = |key: i64| {
            journal
                .evaluation(&key.to_string())
                .unwrap()
                .map(|found| found.answer)
        };
        assert_eq!(kept(99).as_deref(), Some("again"));
        assert_eq!(kept(60).as_deref(), Some("60"));
        assert_eq!(kept(36), None);
        let rows: i64 = journal
            .connection
            .query_row("SELECT count(*) FROM evaluations", [], |row| row.get(0))
            .unwrap();
        assert!(rows <= KEPT, "{rows}");
    }
}
