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

/// The program that would be started as the agent, once what runs is confirmed: its unit's where systemd runs the
/// host, else its launchd job's, else the one that the running agent was started by.
///
/// The profile is set last. What is to be looked for there is where what runs has it.
#[must_use]
pub fn agent_program(root: &Utf8Path, profile: &Utf8Path, started_by: &Path) -> PathBuf {
    let program = service_program(root).unwrap_or_else(|| started_by.to_owned());
    let current = root.join("run/current-system");
    match program.strip_prefix(profile.as_std_path()) {
        Ok(inside) if current.exists() => current.as_std_path().join(inside),
        _ => program,
    }
}

fn service_program(root: &Utf8Path) -> Option<PathBuf> {
    let [unit, additions, job] = SERVICE_FILES.map(Utf8PathBuf::from);
    if super::supervisor(root) == Supervisor::Detached {
        let job = std::fs::read_to_string(root.join(job.as_str().trim_start_matches('/'))).ok()?;
        return program_of_job(&job);
    }
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
    program_of(&texts)
}

/// The program of a launchd job, launchd.plist(5): of its arguments the one that is called as the agent is, alone or in
/// a line for a shell, as nix-darwin has it wait for the store.
fn program_of_job(text: &str) -> Option<PathBuf> {
    let (_, arguments) = text.split_once("<key>ProgramArguments</key>")?;
    let (arguments, _) = arguments.split_once("</array>")?;
    arguments
        .split(|at: char| at.is_whitespace() || "<>&;\"'".contains(at))
        .map(Path::new)
        .find(|word| word.is_absolute() && word.ends_with("reconcile"))
        .map(Path::to_owned)
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
    fn a_job_of_launchd() {
        let ours = include_str!("../../../../launchd/org.nixos.reconciler.plist");
        assert_eq!(
            program_of_job(ours).as_deref(),
            Some(Path::new("/nix/var/nix/profiles/system/sw/bin/reconcile"))
        );
        let plain =
            "<key>ProgramArguments</key><array><string>/opt/reconcile</string><string>agent</string></array>";
        assert_eq!(
            program_of_job(plain).as_deref(),
            Some(Path::new("/opt/reconcile"))
        );
        assert_eq!(program_of_job("<key>ProgramArguments</key><array></array>"), None);
    }

    #[test]
    fn what_is_in_the_profile_is_looked_for_in_what_runs() {
        let folder = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(folder.path()).unwrap();
        let profile = root.join("nix/var/nix/profiles/system");
        let program = profile.join("sw/bin/reconcile");
        let found = || agent_program(root, &profile, program.as_std_path());
        assert_eq!(found(), program.as_std_path());
        std::fs::create_dir_all(root.join("run/current-system")).unwrap();
        assert_eq!(
            found(),
            root.join("run/current-system/sw/bin/reconcile").as_std_path()
        );
    }

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
