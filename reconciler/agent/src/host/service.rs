//! The agent as a service of this host: the files that say how it is started, and the program they name. Starts
//! nothing.

use super::Supervisor;
use camino::{Utf8Path, Utf8PathBuf};
use std::path::{Path, PathBuf};

/// What says how the agent is started: its unit, with what is added to it, or its launchd job.
pub const SERVICE_FILES: [&str; 3] = [
    "/etc/systemd/system/reconciler.service",
    "/etc/systemd/system/reconciler.service.d",
    "/Library/LaunchDaemons/org.nixos.reconciler.plist",
];

/// The program that would be started as the agent now: its unit's where systemd runs the host, else the one that the
/// running agent was started by.
#[must_use]
pub fn agent_program(root: &Utf8Path, started_by: &Path) -> PathBuf {
    if super::supervisor(root) == Supervisor::Detached {
        return started_by.to_owned();
    }
    let [unit, additions, _] = SERVICE_FILES.map(Utf8PathBuf::from);
    let mut files: Vec<Utf8PathBuf> = additions
        .read_dir_utf8()
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().to_owned())
        .filter(|file| file.extension() == Some("conf"))
        .collect();
    files.sort();
    files.insert(0, unit);
    let texts: Vec<String> = files
        .iter()
        .map(|file| std::fs::read_to_string(file).unwrap_or_default())
        .collect();
    program_of(&texts).unwrap_or_else(|| started_by.to_owned())
}

/// The program of a service, as systemd.service(5) reads its unit and the drop-ins in their order: the last
/// `ExecStart=`; an empty one takes back those before it.
fn program_of(texts: &[String]) -> Option<PathBuf> {
    let mut program = None;
    let lines = texts.iter().flat_map(|text| text.lines());
    for value in lines.filter_map(|line| line.trim().strip_prefix("ExecStart=")) {
        let word = value.split_whitespace().next().unwrap_or_default();
        let word = word
            .trim_start_matches(['@', '-', ':', '+', '!', '|'])
            .trim_matches('"');
        program = Some(PathBuf::from(word)).filter(|path| path.is_absolute());
    }
    program
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_the_one_that_systemd_would_start() {
        let unit = "[Service]\nExecStart=/usr/bin/reconcile agent\n";
        for (additions, program) in [
            ("", Some("/usr/bin/reconcile")),
            (
                "[Service]\nExecStart=\nExecStart=-/opt/reconcile agent\n",
                Some("/opt/reconcile"),
            ),
            ("[Service]\nExecStart=\n", None),
            ("[Service]\nEnvironment=A=b\n", Some("/usr/bin/reconcile")),
        ] {
            let found = program_of(&[unit.to_owned(), additions.to_owned()]);
            assert_eq!(found.as_deref(), program.map(Path::new), "{additions}");
        }
    }
}
