//! A journal that a power cut tore: whatever was the last byte to reach the disk, the agent finds the last step that
//! was written down whole, or one before it.

use crate::class::Class;
use crate::durable::{Lasting, replace};
use crate::journal::Journal;
use crate::transaction::fake::{FakeHost, OLD, ended, intent};
use crate::transaction::{Event, State, effect, step};
use camino::{Utf8Path, Utf8PathBuf};
use jiff::Timestamp;
use std::fs;

/// The write-ahead log after each step, with the state that it led to.
struct Steps {
    folder: tempfile::TempDir,
    /// The database, as it was before the first step.
    database: Vec<u8>,
    log: Vec<u8>,
    /// How long the log was, and what was the last state in it.
    ends: Vec<(usize, State)>,
}

impl Steps {
    fn write() -> Steps {
        // In memory, where there is such a folder: every byte is a start of its own.
        let memory = Some("/dev/shm").filter(|folder| fs::metadata(folder).is_ok());
        let folder = tempfile::tempdir_in(memory.unwrap_or("/tmp")).unwrap();
        let path = Utf8Path::from_path(folder.path()).unwrap().join("journal.db");
        // Closed in order, it is all in the database; what comes then is all in the log.
        drop(Journal::open(&path).unwrap());
        let database = fs::read(&path).unwrap();
        let journal = Journal::open(&path).unwrap();
        let intent = intent(Class::Nixos, Some(OLD));
        let mut host = FakeHost::new(None);
        let mut state = State::Intended;
        let log = || fs::read(format!("{path}-wal")).unwrap();
        let id = journal
            .begin_transaction(&intent, &state, "boot", Timestamp::UNIX_EPOCH)
            .unwrap();
        let mut ends = vec![(log().len(), state.clone())];
        while !ended(&state) {
            let event: Event = host.perform(effect(&state, &intent));
            state = step(state, event.clone(), &intent).unwrap();
            journal
                .step_transaction(id, &event, &state, Timestamp::UNIX_EPOCH)
                .unwrap();
            ends.push((log().len(), state.clone()));
        }
        let log = log();
        // Only a log that grows all the time can be cut.
        assert!(ends.is_sorted_by(|before, after| before.0 < after.0));
        drop(journal);
        Steps {
            folder,
            database,
            log,
            ends,
        }
    }

    /// What an agent finds that starts with so much of the log.
    fn found(&self, worker: usize, log: &[u8]) -> Option<State> {
        let path: Utf8PathBuf = Utf8Path::from_path(self.folder.path())
            .unwrap()
            .join(format!("torn-{worker}.db"));
        let write = |path: &Utf8Path, bytes: &[u8]| replace(path, bytes, 0o600, Lasting::Process).unwrap();
        write(&path, &self.database);
        write(&Utf8PathBuf::from(format!("{path}-wal")), log);
        let _ = fs::remove_file(format!("{path}-shm"));
        let journal = Journal::open_existing(&path).unwrap().unwrap();
        journal.open_transaction().unwrap().map(|record| record.state)
    }

    /// The last state that is whole in so much of the log.
    fn whole(&self, length: usize) -> Option<&State> {
        let whole = self.ends.iter().rev().find(|(end, _)| *end <= length);
        whole.map(|(_, state)| state)
    }
}

/// Each byte of the last two steps, and some of each page before them; all of them where many cases are asked for.
#[test]
fn a_journal_torn_at_any_byte_has_the_last_whole_step() {
    let steps = Steps::write();
    let all = std::env::var_os("PROPTEST_CASES").is_some();
    let last = steps.ends[steps.ends.len() - 3].0;
    let workers = 4;
    std::thread::scope(|scope| {
        for worker in 0..workers {
            let steps = &steps;
            scope.spawn(move || {
                for length in (worker..=steps.log.len()).step_by(workers) {
                    if !all && length < last && length % 131 >= workers {
                        continue;
                    }
                    let found = steps.found(worker, &steps.log[..length]);
                    assert_eq!(found.as_ref(), steps.whole(length), "cut at byte {length}");
                    // The rest of the sector came out as zeros, as some disks leave it.
                    if length % 61 == worker {
                        let mut zeros = steps.log[..length].to_vec();
                        zeros.resize(length.next_multiple_of(512), 0);
                        let found = steps.found(worker, &zeros);
                        assert_eq!(found.as_ref(), steps.whole(length), "zeros from byte {length}");
                    }
                }
            });
        }
    });
}
