//! Every state of a transaction × every fault: the machine ends on the whole old or the whole new system, and
//! converges afterwards. The table of all of them stands in `docs/faults.md`.
//!
//! A debug build of the agent stops where `RECONCILER_HALT` says, exactly between two steps; then the fault
//! happens. Some of the cells are tried in every run, all of them with `RECONCILE_FAULTS=all`, one with
//! `=probing/killed`, a row or a column with a `*` for the other; `=write` puts the table into the
//! book. Only root can cut the power, fill the disk, or have it read-only.

mod book;
mod stage;

use reconciler_tests::is_root;
use stage::{Fault, Reach, Stage};
use std::collections::BTreeMap;
use unix::mount::{MsFlags, mount};
use unix::sched::{CloneFlags, unshare};

/// The states in which something is still to be done: the way forth, the way that a reboot ends, and the way back. Units
/// are restarted where a systemd runs: that state is a scene of `tests/systemd/run`.
const STATES: [&str; 17] = [
    "intended",
    "swapping-secrets",
    "activating",
    "verifying",
    "probing",
    "setting-profile",
    "setting-boot",
    "verifying-boot",
    "staging-profile",
    "staging-boot",
    "verifying-staged",
    "arriving",
    "restoring-secrets",
    "returning",
    "verifying-return",
    "restoring-profile",
    "restoring-boot",
];

/// The faults, as the table names them.
const FAULTS: [(Fault, &str); 13] = [
    (Fault::Killed, "killed"),
    (Fault::KilledUnwritten, "killed, the step done"),
    (Fault::KilledForEver, "killed for ever"),
    (Fault::PowerCut, "power cut"),
    (Fault::DiskFull, "disk full"),
    (Fault::DiskFullAndKilled, "disk full, and killed"),
    (Fault::ReadOnly, "read-only"),
    (Fault::TornJournal, "journal torn"),
    (Fault::ClockBack, "clock at 1970"),
    (Fault::ClockAhead, "clock a year ahead"),
    (Fault::NoRemote, "remote gone"),
    (Fault::TwoAgents, "two agents"),
    (Fault::TheirSwitch, "a person's switch"),
];

#[test]
fn every_state_and_every_fault_end_on_the_old_or_the_new_system() {
    if !is_root() {
        println!("skipped: only root can cut the power of a host in a folder");
        return;
    }
    let wanted = std::env::var("RECONCILE_FAULTS").unwrap_or_default();
    let (all, book) = (matches!(wanted.as_str(), "all" | "write"), book::read());
    // Two machines share the work, and a third has what only a reboot reaches.
    let found: BTreeMap<(usize, usize), &str> = std::thread::scope(|scope| {
        let machines = [0, 1, 2].map(|machine| {
            let wanted = &wanted;
            scope.spawn(move || {
                // The mounts are this thread's and its children's alone.
                unshare(CloneFlags::CLONE_NEWNS).unwrap();
                mount::<str, str, str, str>(None, "/", None, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None)
                    .unwrap();
                let reach = if machine == 2 {
                    Reach::Reboot
                } else {
                    Reach::Switch
                };
                let stage = Stage::new(reach);
                let mut found = BTreeMap::new();
                for (row, state) in STATES.iter().enumerate() {
                    for (column, (fault, name)) in FAULTS.iter().enumerate() {
                        let is_turn = match wanted.split_once('/') {
                            Some((at, of)) => [*state, "*"].contains(&at) && [*name, "*"].contains(&of),
                            None => all || (row * 5 + column) % FAULTS.len() == 0,
                        };
                        let by = match Reach::of(state) {
                            Reach::Reboot => 2,
                            Reach::Switch => (row + column / 5) % 2,
                        };
                        if is_turn && by == machine {
                            println!("{state}: {name}");
                            found.insert((row, column), stage.cell(state, *fault));
                        }
                    }
                }
                stage.leave();
                found
            })
        });
        machines
            .into_iter()
            .flat_map(|machine| machine.join().unwrap())
            .collect()
    });
    if all {
        let table = book::table(&found);
        println!("{table}");
        if wanted == "write" {
            return book::write(&table);
        }
    }
    for ((row, column), end) in found {
        let (state, (_, fault)) = (STATES[row], FAULTS[column]);
        let written = book.get(&(state.to_owned(), fault.to_owned()));
        assert_eq!(
            written.map(String::as_str),
            Some(end),
            "docs/faults.md on `{state}` and `{fault}`"
        );
    }
}
