//! What can go wrong with the journal.

use camino::Utf8PathBuf;

/// A journal that cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// It could not be opened.
    #[error("cannot open the journal {path}")]
    Open {
        /// The file.
        path: Utf8PathBuf,
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
    /// A newer agent wrote it; this one would misread it.
    #[error("the journal {path} has format {found}, and this version knows formats up to {known}")]
    Newer {
        /// The file.
        path: Utf8PathBuf,
        /// Its format.
        found: i64,
        /// The newest this version knows.
        known: i64,
    },
    /// A record could not be read.
    #[error("cannot read {what} from the journal")]
    Read {
        /// The records.
        what: &'static str,
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
    /// A record could not be written; what depended on it was not done.
    #[error("cannot write {what} to the journal")]
    Write {
        /// The record.
        what: &'static str,
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
}

/// `SQLITE_IOERR_SHMSIZE` of sqlite3.h.
const IOERR_SHMSIZE: i32 = 4874;

impl JournalError {
    pub(super) fn reading(what: &'static str) -> impl FnOnce(rusqlite::Error) -> JournalError {
        move |source| JournalError::Read { what, source }
    }

    pub(super) fn writing(what: &'static str) -> impl FnOnce(rusqlite::Error) -> JournalError {
        move |source| JournalError::Write { what, source }
    }

    /// Whether the disk is full.
    #[must_use]
    pub fn is_full(&self) -> bool {
        let (JournalError::Open { source, .. }
        | JournalError::Read { source, .. }
        | JournalError::Write { source, .. }) = self
        else {
            return false;
        };
        // On a disk without a single block left it is the index of the WAL that fails first.
        source.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull)
            || source
                .sqlite_error()
                .is_some_and(|error| error.extended_code == IOERR_SHMSIZE)
    }
}

/// A column whose text is not what this agent writes there.
pub(super) fn malformed<E: std::error::Error + Send + Sync + 'static>(
    column: usize,
    error: E,
) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error))
}
