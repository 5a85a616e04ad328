//! The table of states and faults as it stands in `docs/faults.md`.

use super::{FAULTS, STATES};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

const BEGIN: &str = "<!-- Written by the tests: RECONCILE_FAULTS=write -->\n";
const END: &str = "<!-- End -->\n";

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/faults.md")
}

pub(super) fn table(found: &BTreeMap<(usize, usize), &str>) -> String {
    let mut text = String::from("| at |");
    for (_, fault) in FAULTS {
        write!(text, " {fault} |").unwrap();
    }
    text.push_str("\n|---|");
    text.push_str(&"---|".repeat(FAULTS.len()));
    for (row, state) in STATES.iter().enumerate() {
        write!(text, "\n| `{state}` |").unwrap();
        for column in 0..FAULTS.len() {
            write!(text, " {} |", found[&(row, column)]).unwrap();
        }
    }
    text + "\n"
}

pub(super) fn write(table: &str) {
    let book = std::fs::read_to_string(path()).unwrap();
    let (before, rest) = book.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    reconciler_tests::write(&path(), &format!("{before}{BEGIN}{table}{END}{after}"));
}

/// The table as it stands in the book, by state and fault.
pub(super) fn read() -> BTreeMap<(String, String), String> {
    let book = std::fs::read_to_string(path()).unwrap();
    let Some((_, rest)) = book.split_once(BEGIN) else {
        return BTreeMap::new();
    };
    let (table, _) = rest.split_once(END).unwrap();
    let cells = |line: &str| -> Vec<String> {
        let cells = line.trim_matches('|').split('|');
        cells
            .map(|cell| cell.trim().trim_matches('`').to_owned())
            .collect()
    };
    let mut lines = table.lines();
    let faults = cells(lines.next().unwrap_or_default());
    let mut known = BTreeMap::new();
    for line in lines.skip(1) {
        let row = cells(line);
        for (fault, end) in faults.iter().zip(&row).skip(1) {
            known.insert((row[0].clone(), fault.clone()), end.clone());
        }
    }
    known
}
