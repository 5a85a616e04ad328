//! The page about this crate, held against its code: what it says is tested is tested, and no operation is left out.

#![expect(clippy::unwrap_used, reason = "what is not as it has to be fails the test")]

use std::path::{Path, PathBuf};

use nix_daemon_client::Operation;

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn page() -> String {
    std::fs::read_to_string(project().join("docs/nix-daemon.md")).unwrap()
}

/// The rows of the table below a heading, each as its cells.
fn table(heading: &str) -> Vec<Vec<String>> {
    let page = page();
    let (_, below) = page.split_once(&format!("\n## {heading}\n")).unwrap();
    let lines = below.lines().skip_while(|line| !line.starts_with('|'));
    let rows = lines.take_while(|line| line.starts_with('|')).skip(2);
    rows.map(|row| {
        row.trim_matches('|')
            .split(" | ")
            .map(|cell| cell.trim().to_owned())
            .collect()
    })
    .collect()
}

/// The source that a test's module names.
fn source(module: &str) -> String {
    let krate = Path::new(env!("CARGO_MANIFEST_DIR"));
    let places = [
        krate.join(format!("src/tests/{module}.rs")),
        krate.join(format!("tests/live/{module}.rs")),
        krate.join(format!("tests/{module}/main.rs")),
        krate.join(format!("src/{module}.rs")),
    ];
    let mut text = String::new();
    for place in places {
        text.push_str(&std::fs::read_to_string(place).unwrap_or_default());
    }
    if module == "e2e" {
        text.push_str(&std::fs::read_to_string(project().join("tests/tests/e2e/daemon.rs")).unwrap());
    }
    text
}

#[test]
fn every_trap_has_its_test() {
    let traps = table("Traps");
    assert!(traps.len() > 40, "{}", traps.len());
    for row in traps {
        let tests: Vec<&str> = row.last().unwrap().split('`').skip(1).step_by(2).collect();
        assert!(!tests.is_empty(), "{row:?}");
        for test in tests {
            let (module, name) = test.split_once("::").unwrap();
            let there = source(module).contains(&format!("fn {name}("));
            assert!(there, "there is no test {test}");
        }
    }
}

#[test]
fn every_operation_is_described() {
    let rows = table("Operations");
    let described: Vec<(String, String)> = rows
        .iter()
        .filter_map(|row| {
            Some((
                row.first()?.clone(),
                row.get(1)?.trim_end_matches(" |").to_owned(),
            ))
        })
        .collect();
    let mut known: Vec<(String, String)> = Operation::ALL
        .iter()
        .map(|operation| (operation.code().to_string(), operation.to_string()))
        .collect();
    known.sort_by_key(|(code, _)| code.parse::<u64>().unwrap());
    assert_eq!(described, known);
}
