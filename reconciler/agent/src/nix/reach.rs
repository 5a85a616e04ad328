//! Whether a flake's files plainly name something outside the flake's folder. Pure.
//!
//! A sieve and no proof: what it lets through is evaluated without the rest of the repository, where a read of
//! it fails. It is there for the one question that Nix answers without an error, `pathExists`.

use serde::Deserialize;
use std::collections::BTreeMap;

/// Words that lead to a parent folder without two dots.
const UPWARD: [&str; 2] = ["dirOf", "locateDominatingFile"];

/// A Nix file, `depth` folders below the flake's.
pub(super) fn nix(depth: usize, text: &[u8]) -> bool {
    let text = String::from_utf8_lossy(text);
    text.lines()
        .filter(|line| !is_comment(line))
        .any(|line| names_outside(depth, line))
}

/// A line that is a comment and nothing else, whatever surrounds it: one with an antiquotation may be code.
fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with('#') && !line.contains("${")
}

fn names_outside(depth: usize, line: &str) -> bool {
    if UPWARD.iter().any(|word| line.contains(word)) {
        return true;
    }
    let is_path = |c: char| c.is_ascii_alphanumeric() || "._+-/".contains(c);
    let mut before = ' ';
    let mut rest = line;
    while let Some(start) = rest.find(is_path) {
        let (skipped, from) = rest.split_at(start);
        before = skipped.chars().next_back().unwrap_or(before);
        let (run, after) = from.split_at(from.find(|c| !is_path(c)).unwrap_or(from.len()));
        if run.split('/').any(|part| part == "..") {
            // Only a path literal says from where it is meant; any other text may be joined to anything.
            let literal = (run.starts_with("./") || run.starts_with("../"))
                && !matches!(before, '"' | '\'' | '}' | ':')
                && !after.starts_with("${");
            if !literal || climbs(depth, run) {
                return true;
            }
        }
        before = run.chars().next_back().unwrap_or(before);
        rest = after;
    }
    false
}

/// A symbolic link, `depth` folders below the flake's.
pub(super) fn link(depth: usize, target: &[u8]) -> bool {
    let target = String::from_utf8_lossy(target);
    target.starts_with('/') || climbs(depth, &target)
}

/// Whether a relative path leads out of the folder `depth` folders up.
fn climbs(depth: usize, path: &str) -> bool {
    let mut level = depth;
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => match level.checked_sub(1) {
                Some(up) => level = up,
                None => return true,
            },
            _ => level += 1,
        }
    }
    false
}

#[derive(Debug, Deserialize)]
struct Lock {
    #[serde(default)]
    nodes: BTreeMap<String, Node>,
}

#[derive(Debug, Deserialize)]
struct Node {
    locked: Option<Locked>,
}

#[derive(Debug, Deserialize)]
struct Locked {
    path: Option<String>,
}

/// A `flake.lock`: an input that is a relative path with two dots in it. What is no lock fails elsewhere.
pub(super) fn lock(text: &[u8]) -> bool {
    let Ok(lock) = serde_json::from_slice::<Lock>(text) else {
        return true;
    };
    lock.nodes
        .values()
        .filter_map(|node| node.locked.as_ref()?.path.as_deref())
        .any(|path| path.split('/').any(|part| part == ".."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_lead_out_are_seen() {
        let table = [
            (0, "imports = [ ./a.nix ./b/../c.nix ];", false),
            (0, "imports = [ ../a.nix ];", true),
            (1, "imports = [ ../a.nix ];", false),
            (1, "imports = [ ../../a.nix ];", true),
            (2, "x = import ../../lib { };", false),
            (1, "x = ./${name}/../y;", true),
            (1, "x = ../${name};", true),
            (0, "{ pkgs, ... }: a.b", false),
            (0, "version = \"1..2\";", false),
            (0, "x = \"${self}/../flag\";", true),
            (0, "x = toString ./. + \"/..\";", true),
            (3, "url = \"path:../sub\";", true),
            (0, "  # see ../README.md", false),
            (0, "  # see ${../x}", true),
            (0, "up = builtins.dirOf ./.;", true),
            (0, "script = ''cd ..'';", true),
            (0, "a = ./b/..;", false),
            (0, "a = ./..;", true),
        ];
        for (depth, line, expected) in table {
            assert_eq!(nix(depth, line.as_bytes()), expected, "{depth} {line}");
        }
    }

    #[test]
    fn links_and_locks_that_lead_out_are_seen() {
        assert!(!link(1, b"../x"));
        assert!(link(1, b"../../x"));
        assert!(link(5, b"/etc/passwd"));
        assert!(!lock(
            br#"{"nodes":{"a":{"locked":{"type":"github"}},"root":{}},"root":"root"}"#
        ));
        assert!(!lock(
            br#"{"nodes":{"a":{"locked":{"type":"path","path":"./sub"}}}}"#
        ));
        assert!(lock(
            br#"{"nodes":{"a":{"locked":{"type":"path","path":"../sub"}}}}"#
        ));
        assert!(lock(b"nonsense"));
    }
}
