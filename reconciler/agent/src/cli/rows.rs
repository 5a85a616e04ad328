//! What a running build looks like: the rows of a terminal, and the lines elsewhere. Pure; it draws nothing.

use crate::pass::{Building, RunningBuild, RunningFetch};
use crate::text;
use std::collections::BTreeSet;

/// How many rows there are at most.
const ROWS: usize = 6;

/// One row below the running phase.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// What it says; one line.
    pub(super) words: String,
    /// For how long that goes on, in milliseconds.
    pub(super) ms: u64,
}

/// What is drawn below the running phase: builds, then what is fetched. Those that have run longest come first: they
/// are what is waited for.
pub(super) fn rows(building: &Building) -> Vec<Row> {
    let builds = building.running.iter().map(|build| Row {
        words: built(build),
        ms: build.ms,
    });
    let fetches = building.fetching.iter().map(|fetch| Row {
        words: fetched(fetch),
        ms: fetch.ms,
    });
    builds.chain(fetches).take(ROWS).collect()
}

/// `zerotierone-1.16.0 · compiling · cc -O2 …`
fn built(build: &RunningBuild) -> String {
    let mut parts = vec![match &build.machine {
        Some(machine) => format!("{} on {machine}", build.name),
        None => build.name.clone(),
    }];
    parts.extend(build.phase.clone());
    parts.extend(build.line.clone().filter(|line| !line.trim().is_empty()));
    one_line(&parts.join(" · "))
}

/// `copying zlib-1.3 · 1.0 MiB of 4.0 MiB · from https://cache.nixos.org`
fn fetched(fetch: &RunningFetch) -> String {
    let mut parts = vec![format!("copying {}", fetch.name)];
    let (done, expected) = fetch.bytes;
    if expected > 0 {
        parts.push(format!("{} of {}", text::size(done), text::size(expected)));
    }
    if !fetch.from.is_empty() {
        parts.push(format!("from {}", fetch.from));
    }
    one_line(&parts.join(" · "))
}

fn one_line(words: &str) -> String {
    text::plain(words).replace(['\n', '\t'], " ")
}

/// A store path that begins to be fetched, as Nix says it.
pub(super) fn copying(path: &str, from: &str) -> String {
    one_line(&match from {
        "" => format!("copying path '{path}'"),
        from => format!("copying path '{path}' from '{from}'"),
    })
}

/// What was told of a build where nothing can be drawn over.
#[derive(Debug, Default)]
pub(super) struct Told {
    running: BTreeSet<String>,
    fetched: u64,
}

impl Told {
    /// What is new: a line when there is more to fetch, and one for each build that begins.
    pub(super) fn lines(&mut self, building: &Building) -> Vec<String> {
        let mut lines = Vec::new();
        if building.fetched.1 > self.fetched {
            self.fetched = building.fetched.1;
            lines.push(building.counts());
        }
        let begun = |build: &&RunningBuild| !self.running.contains(&build.name);
        lines.extend(
            building
                .running
                .iter()
                .filter(begun)
                .map(|build| one_line(&format!("building {}", build.name))),
        );
        self.running = building.running.iter().map(|build| build.name.clone()).collect();
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(name: &str, machine: Option<&str>, phase: Option<&str>, line: Option<&str>) -> RunningBuild {
        RunningBuild {
            name: name.to_owned(),
            machine: machine.map(str::to_owned),
            phase: phase.map(str::to_owned),
            line: line.map(str::to_owned),
            ms: 1500,
        }
    }

    fn fetch(name: &str, from: &str, bytes: (u64, u64)) -> RunningFetch {
        RunningFetch {
            name: name.to_owned(),
            from: from.to_owned(),
            bytes,
            ms: 700,
        }
    }

    fn drawn(building: &Building) -> String {
        let rows = rows(building);
        let rows = rows.iter().map(|row| format!("{} ({} ms)", row.words, row.ms));
        rows.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_terminal_shows_what_is_built_and_fetched() {
        let building = Building {
            running: vec![
                build(
                    "zerotierone-1.16.0",
                    None,
                    Some("buildPhase"),
                    Some("cc -O2\tx.c"),
                ),
                build("linux-6.12", Some("ssh://builder"), None, Some("  ")),
                build("evil", None, None, Some("\u{1b}[2J\u{1b}]0;owned\u{7}a\nb")),
            ],
            fetching: vec![
                fetch("zlib-1.3", "https://cache.nixos.org", (1 << 20, 4 << 20)),
                fetch("bash-5.2", "", (0, 0)),
            ],
            ..Building::default()
        };
        insta::assert_snapshot!(drawn(&building), @r"
        zerotierone-1.16.0 · buildPhase · cc -O2 x.c (1500 ms)
        linux-6.12 on ssh://builder (1500 ms)
        evil · a b (1500 ms)
        copying zlib-1.3 · 1.0 MiB of 4.0 MiB · from https://cache.nixos.org (700 ms)
        copying bash-5.2 (700 ms)
        ");
    }

    #[test]
    fn a_terminal_has_room_for_a_few() {
        let building = Building {
            running: (0..4)
                .map(|number| build(&number.to_string(), None, None, None))
                .collect(),
            fetching: (0..9)
                .map(|number| fetch(&number.to_string(), "", (0, 0)))
                .collect(),
            ..Building::default()
        };
        let words: Vec<_> = rows(&building).into_iter().map(|row| row.words).collect();
        assert_eq!(words, ["0", "1", "2", "3", "copying 0", "copying 1"]);
        assert_eq!(rows(&Building::default()), []);
    }

    #[test]
    fn elsewhere_each_build_is_told_once_and_the_rest_when_it_grows() {
        let mut told = Told::default();
        let mut building = Building {
            running: vec![build("a", None, Some("buildPhase"), Some("cc"))],
            ..Building::default()
        };
        assert_eq!(told.lines(&building), ["building a"]);
        building.running.push(build("b", None, None, None));
        building.fetched = (0, 3);
        assert_eq!(told.lines(&building), ["0 of 3 fetched", "building b"]);
        // Counts that go on are no news; neither is another line of a log.
        building.fetched = (2, 3);
        building.running[0].line = Some("ld".to_owned());
        assert_eq!(told.lines(&building), Vec::<String>::new());
        building.running.clear();
        assert_eq!(told.lines(&building), Vec::<String>::new());
        // It was ended, and begins once more.
        building.running.push(build("a", None, None, None));
        assert_eq!(told.lines(&building), ["building a"]);
    }

    #[test]
    fn a_path_is_copied_in_the_words_of_nix() {
        assert_eq!(
            copying("/nix/store/x-y", "https://cache.nixos.org"),
            "copying path '/nix/store/x-y' from 'https://cache.nixos.org'"
        );
        assert_eq!(copying("/nix/store/x-y", ""), "copying path '/nix/store/x-y'");
        assert_eq!(
            copying("/nix/store/x-y", "a\u{1b}[2J\nb"),
            "copying path '/nix/store/x-y' from 'a b'"
        );
    }
}
