//! Opening the journal: its format, its version, its durability.

use super::JournalError;
use camino::Utf8Path;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};
use std::os::unix::fs::OpenOptionsExt;
use std::time::{Duration, Instant};

/// The format this version writes. A new one reads every older one; an older agent refuses a newer one.
pub const VERSION: i64 = 2;

/// How long another one's work on the journal is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(10);

const SCHEMA: &str = "
    CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
    CREATE TABLE passes (
        id INTEGER PRIMARY KEY AUTOINCREMENT, cause TEXT NOT NULL, started_at TEXT NOT NULL, finished_at TEXT,
        revision TEXT, subject TEXT, outcome TEXT, reason TEXT, phases TEXT NOT NULL DEFAULT '[]') STRICT;
    CREATE TABLE generations (
        number INTEGER PRIMARY KEY, revision TEXT NOT NULL, subject TEXT NOT NULL, class TEXT NOT NULL,
        system TEXT NOT NULL, toplevel TEXT NOT NULL, profile_generation INTEGER, secrets INTEGER,
        requirements TEXT, kind TEXT NOT NULL, health TEXT NOT NULL, activated_at TEXT NOT NULL,
        took_ms INTEGER NOT NULL, tags TEXT NOT NULL DEFAULT '[]') STRICT;
    CREATE TABLE transactions (
        id INTEGER PRIMARY KEY AUTOINCREMENT, revision TEXT NOT NULL, subject TEXT NOT NULL, toplevel TEXT NOT NULL,
        intent TEXT NOT NULL, state TEXT NOT NULL, boot_id TEXT NOT NULL, started_at TEXT NOT NULL,
        finished_at TEXT, outcome TEXT, reason TEXT, generation INTEGER) STRICT;
    CREATE TABLE transaction_events (
        transaction_id INTEGER NOT NULL REFERENCES transactions (id), at TEXT NOT NULL, event TEXT NOT NULL,
        state TEXT NOT NULL) STRICT;
    CREATE TABLE quarantine (
        revision TEXT NOT NULL, toplevel TEXT NOT NULL, reason TEXT NOT NULL, since TEXT NOT NULL, until TEXT,
        cause TEXT NOT NULL, PRIMARY KEY (revision, toplevel)) STRICT;
    CREATE TABLE pins (
        id INTEGER PRIMARY KEY AUTOINCREMENT, revision TEXT NOT NULL, by TEXT NOT NULL, why TEXT,
        since TEXT NOT NULL, generation INTEGER, ended_at TEXT) STRICT;
";

/// What each version added to the one before it, from the second on. Nothing that older ones stumble over: while a
/// transaction is open the file keeps their version, since it is an older agent, or its deadman, that may have to undo it.
const ADDED: [&str; 1] = ["CREATE TABLE IF NOT EXISTS evaluations (
        id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, answer TEXT NOT NULL,
        revision TEXT NOT NULL) STRICT;"];

/// Whether a transaction has not ended.
const OPEN: &str = "SELECT EXISTS (SELECT 1 FROM transactions WHERE finished_at IS NULL)";

/// The journal of one machine.
#[derive(Debug)]
pub struct Journal {
    pub(super) connection: Connection,
}

impl Journal {
    /// Opens the journal for the agent, making it if there is none.
    pub fn open(path: &Utf8Path) -> Result<Journal, JournalError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut journal = Journal::connect(path, flags)?;
        journal.migrate(path)?;
        Ok(journal)
    }

    /// Opens an existing journal for reading; `None` when no agent ever ran here.
    pub fn open_existing(path: &Utf8Path) -> Result<Option<Journal>, JournalError> {
        if !path.exists() {
            return Ok(None);
        }
        // Read-write, since reading a WAL may need to recover it; nothing is written by the readers.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let journal = Journal::connect(path, flags)?;
        if journal.version(path)? == 0 {
            return Ok(None);
        }
        Ok(Some(journal))
    }

    fn connect(path: &Utf8Path, flags: OpenFlags) -> Result<Journal, JournalError> {
        let opening = |source| JournalError::Open {
            path: path.to_owned(),
            source,
        };
        if flags.contains(OpenFlags::SQLITE_OPEN_CREATE) {
            // Made here, so that its mode is ours; what SQLite puts beside it takes the same.
            let _ = std::fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(path);
        }
        let connection = Connection::open_with_flags(path, flags).map_err(opening)?;
        connection.busy_timeout(PATIENCE).map_err(opening)?;
        connection
            .execute_batch(
                // A small page cache: the journal is a few hundred rows, and the agent idles for months.
                "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA cache_size = -256;",
            )
            .map_err(opening)?;
        Ok(Journal { connection })
    }

    fn version(&self, path: &Utf8Path) -> Result<i64, JournalError> {
        let found: i64 = self
            .connection
            .query_row("PRAGMA user_version", [], |row| row.get(0))
            .map_err(|source| JournalError::Open {
                path: path.to_owned(),
                source,
            })?;
        if found > VERSION {
            return Err(JournalError::Newer {
                path: path.to_owned(),
                found,
                known: VERSION,
            });
        }
        Ok(found)
    }

    /// Brings the tables to this version, making them where there are none.
    ///
    /// Several may come first at once. The way to a write-ahead log is refused at once, and not after the usual
    /// wait, to one of two that are on it, since each would wait for the other: who is refused tries again.
    fn migrate(&mut self, path: &Utf8Path) -> Result<(), JournalError> {
        let opening = |source| JournalError::Open {
            path: path.to_owned(),
            source,
        };
        let since = Instant::now();
        loop {
            match self.connection.execute_batch("PRAGMA journal_mode = WAL") {
                Err(error)
                    if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                        && since.elapsed() < PATIENCE =>
                {
                    std::thread::sleep(PAUSE);
                }
                done => break done.map_err(opening)?,
            }
        }
        if self.version(path)? == VERSION {
            return Ok(());
        }
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(opening)?;
        // Somebody else may have been faster.
        let found: i64 = transaction
            .query_row("PRAGMA user_version", [], |row| row.get(0))
            .map_err(opening)?;
        if found < VERSION {
            let first = if found == 0 { SCHEMA } else { "" };
            let known = usize::try_from(found.saturating_sub(1)).unwrap_or(0);
            let added: String = ADDED.iter().skip(known).copied().collect();
            transaction
                .execute_batch(&format!("{first} {added}"))
                .map_err(opening)?;
            let is_open: bool = transaction
                .query_row(OPEN, [], |row| row.get(0))
                .map_err(opening)?;
            if !is_open {
                transaction
                    .execute_batch(&format!("PRAGMA user_version = {VERSION};"))
                    .map_err(opening)?;
            }
        }
        transaction.commit().map_err(opening)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_format_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(folder.path()).unwrap().join("journal.db");
        drop(Journal::open(&path).unwrap());
        let raw = Connection::open(&path).unwrap();
        raw.execute_batch("PRAGMA user_version = 99").unwrap();
        drop(raw);
        let error = Journal::open(&path).unwrap_err();
        assert!(
            error.to_string().ends_with(&format!(
                "has format 99, and this version knows formats up to {VERSION}"
            )),
            "{error}"
        );
        assert!(matches!(
            Journal::open_existing(&path),
            Err(JournalError::Newer { .. })
        ));
    }

    #[test]
    fn many_may_be_the_first() {
        for _ in 0..50 {
            let folder = tempfile::tempdir().unwrap();
            let path = Utf8Path::from_path(folder.path()).unwrap().join("journal.db");
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| Journal::open(&path).unwrap());
                    scope.spawn(|| Journal::open_existing(&path).unwrap());
                }
            });
        }
    }

    /// A journal of the first format, with this in it.
    fn of_version_1(path: &Utf8Path, content: &str) -> Connection {
        let raw = Connection::open(path).unwrap();
        raw.execute_batch(&format!("{SCHEMA} {content}; PRAGMA user_version = 1;"))
            .unwrap();
        raw
    }

    #[test]
    fn an_older_format_is_brought_up_to_date_and_keeps_what_it_holds() {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(folder.path()).unwrap().join("journal.db");
        drop(of_version_1(
            &path,
            "INSERT INTO facts VALUES ('accepted', 'abc')",
        ));
        let journal = Journal::open(&path).unwrap();
        assert_eq!(journal.accepted().unwrap().as_deref(), Some("abc"));
        assert_eq!(journal.evaluation("k").unwrap(), None);
        assert_eq!(journal.version(&path).unwrap(), VERSION);
    }

    #[test]
    fn an_open_transaction_keeps_the_version_that_its_deadman_knows() {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(folder.path()).unwrap().join("journal.db");
        let raw = of_version_1(
            &path,
            "INSERT INTO transactions (revision, subject, toplevel, intent, state, boot_id, started_at)
                VALUES ('r', 's', 't', '{}', '{}', 'b', '2026-01-01T00:00:00Z')",
        );
        for _ in 0..2 {
            let journal = Journal::open(&path).unwrap();
            assert_eq!(journal.version(&path).unwrap(), 1);
            assert_eq!(journal.evaluation("k").unwrap(), None);
        }
        raw.execute_batch("UPDATE transactions SET finished_at = '2026-01-01T00:00:01Z'")
            .unwrap();
        let journal = Journal::open(&path).unwrap();
        assert_eq!(journal.version(&path).unwrap(), VERSION);
    }

    #[test]
    fn readers_make_no_journal() {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(folder.path()).unwrap().join("journal.db");
        assert!(Journal::open_existing(&path).unwrap().is_none());
        assert!(!path.exists());
    }
}
