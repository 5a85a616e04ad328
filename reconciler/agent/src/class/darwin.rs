//! nix-darwin: `activate` as root, what refuses it beforehand, and the files and jobs that it should have laid down.
//!
//! The contract is that of nix-darwin since every activation runs as root (2025-01-30). There is no dry run:
//! `darwin-rebuild check` activates. `/run/current-system` is linked at the very end.

use super::leaf::{Links, files_below};
use super::{Action, Amiss, Declared, Invocation, Judgement, Leaf, Obstacle, Site};
use crate::config::{NixSettings, Paths};
use crate::process::{Command, Exit, locate};
use crate::transaction::{Failure, Health};
use camino::{Utf8Path, Utf8PathBuf};
use std::fs;
use std::path::Path;
use std::time::Duration;

/// How long launchctl may take for one job.
const TOOL: Duration = Duration::from_secs(30);
/// The line by which an `activate-user` says that it does nothing any more.
const DEPRECATED: &str = "# nix-darwin: deprecated";
/// What Determinate's Nix installs.
const DETERMINATE: &str = "/usr/local/bin/determinate-nixd";
/// What the check in an activation says that will not share a Mac with it; absent with `nix.enable = false`.
const REFUSES_DETERMINATE: &str = "Determinate detected, aborting activation";

pub(super) fn profile(nix: &NixSettings) -> Utf8PathBuf {
    nix.state.join("profiles/system")
}

pub(super) fn invocation(toplevel: &Utf8Path, action: Action) -> Option<Invocation> {
    match action {
        Action::Test | Action::Return => Some(Invocation {
            program: toplevel.join("activate"),
            arguments: Vec::new(),
            // sudo keeps a person's home; an activation is root's.
            environment: vec![("HOME".to_owned(), "/var/root".to_owned())],
            unit: "reconciler-activate".to_owned(),
        }),
        Action::Boot => None,
    }
}

pub(super) fn judge(exit: Exit, log: &str) -> Judgement {
    let refusal = log.lines().find(|line| line.contains("aborting activation"));
    match (exit, refusal) {
        (Exit::Code(0), _) => Judgement::Live(Health::Healthy),
        // Other commands end with 2, too, and half-way: only a check's own words tell that nothing was begun.
        (Exit::Code(2), Some(said)) => Judgement::Untouched(Failure::Refused(
            said.trim().trim_start_matches("error: ").to_owned(),
        )),
        (other, _) => Judgement::Broken(Failure::Exit(other)),
    }
}

/// What runs: after a boot, until `activate-system` links it, what the profile leads to.
pub(super) fn current(paths: &Paths, profile: &Utf8Path) -> Option<Utf8PathBuf> {
    let link = paths.host("/run/current-system");
    match link.read_link_utf8() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => profile.canonicalize_utf8().ok(),
        found => found.ok(),
    }
}

/// What an activation would refuse or could not do, found before it is tried.
pub(super) fn obstacles(site: &Site<'_>, toplevel: &Utf8Path) -> Vec<Obstacle> {
    let mut obstacles = Vec::new();
    if let Ok(script) = fs::read_to_string(toplevel.join("activate-user"))
        && !script.lines().any(|line| line.trim() == DEPRECATED)
    {
        obstacles.push(Obstacle::UserActivation);
    }
    let refuses = || {
        fs::read_to_string(toplevel.join("activate")).is_ok_and(|script| script.contains(REFUSES_DETERMINATE))
    };
    if site.paths.host(DETERMINATE).exists() && refuses() {
        obstacles.push(Obstacle::Determinate);
    }
    obstacles
}

/// What is not as the toplevel declares it: links of `/etc`, the copies that launchd reads, the jobs themselves.
pub(super) async fn amiss(site: &Site<'_>, toplevel: &Utf8Path) -> Vec<Amiss> {
    let mut found = Vec::new();
    match links(site, toplevel) {
        Ok(leaves) => found.extend(leaves.iter().filter_map(Leaf::look)),
        Err(error) => found.push(Amiss::Undeclared {
            path: toplevel.join("etc"),
            why: error.to_string(),
        }),
    }
    let jobs: Vec<Leaf> = ["LaunchAgents", "LaunchDaemons"]
        .iter()
        .flat_map(|kind| jobs(site, toplevel, kind))
        .collect();
    found.extend(jobs.iter().filter_map(Leaf::look));
    found.extend(daemons(site, toplevel).await);
    found
}

fn links(site: &Site<'_>, toplevel: &Utf8Path) -> std::io::Result<Vec<Leaf>> {
    let (folder, etc) = (toplevel.join("etc"), site.paths.host("/etc"));
    let names = files_below(&folder.canonicalize_utf8()?, Links::Kept)?;
    // What an activation links is links; a folder's own files are the store's alone.
    let leaves = names.into_iter().map(|name| Leaf {
        target: etc.join(&name),
        declared: Declared::Link(folder.join(&name)),
    });
    Ok(leaves.collect())
}

/// launchd takes no links: its files are copies.
fn jobs(site: &Site<'_>, toplevel: &Utf8Path, kind: &str) -> Vec<Leaf> {
    let files = toplevel
        .join("Library")
        .join(kind)
        .read_dir_utf8()
        .into_iter()
        .flatten();
    let folder = site.paths.host("/Library").join(kind);
    let leaves = files.flatten().map(|file| Leaf {
        target: folder.join(file.file_name()),
        declared: Declared::Copy {
            source: file.path().to_owned(),
            mode: None,
            owner: None,
        },
    });
    leaves.collect()
}

/// Hands to launchd the daemons that it does not know. An activation loads only those whose file changed, so one that
/// somebody took out would stay out.
pub(super) async fn mend(site: &Site<'_>, toplevel: &Utf8Path) {
    let Some(launchctl) = locate("launchctl", site.folders) else {
        return;
    };
    for (_, file) in unknown_daemons(site, toplevel, &launchctl).await {
        // Whether it took it, it is asked again.
        let load = ["bootstrap".to_owned(), "system".to_owned(), file.to_string()];
        let _ = said_yes(site, &launchctl, &load).await;
    }
}

/// Daemons that launchd does not know.
async fn daemons(site: &Site<'_>, toplevel: &Utf8Path) -> Vec<Amiss> {
    let Some(launchctl) = locate("launchctl", site.folders) else {
        return Vec::new();
    };
    let unknown = unknown_daemons(site, toplevel, &launchctl).await;
    let amiss = unknown.into_iter().map(|(label, _)| Amiss::NotRunning {
        unit: label,
        found: "not loaded".to_owned(),
    });
    amiss.collect()
}

/// Their labels and files.
async fn unknown_daemons(
    site: &Site<'_>,
    toplevel: &Utf8Path,
    launchctl: &Path,
) -> Vec<(String, Utf8PathBuf)> {
    let mut unknown = Vec::new();
    for job in jobs(site, toplevel, "LaunchDaemons") {
        let Some(label) = label(&job.target) else { continue };
        let known = ["print".to_owned(), format!("system/{label}")];
        if !said_yes(site, launchctl, &known).await {
            unknown.push((label, job.target));
        }
    }
    unknown
}

async fn said_yes(site: &Site<'_>, launchctl: &Path, arguments: &[String]) -> bool {
    let command = Command::new(launchctl, TOOL).args(arguments);
    let command = site
        .environment()
        .into_iter()
        .fold(command, |command, (name, value)| command.env(name, value));
    command
        .run(&mut |_| {})
        .await
        .is_ok_and(|finished| finished.exit == Exit::Code(0))
}

/// The label of a job's property list, in XML as nix-darwin writes it.
fn label(file: &Utf8Path) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let (_, after) = text.split_once("<key>Label</key>")?;
    let (label, _) = after
        .trim_start()
        .strip_prefix("<string>")?
        .split_once("</string>")?;
    Some(label.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable::{Lasting, replace};

    #[test]
    fn only_a_check_leaves_the_mac_untouched() {
        let refused = "error: Unexpected files in /etc, aborting activation\n  /etc/zshrc\n";
        let table = [
            (Exit::Code(0), "", Judgement::Live(Health::Healthy)),
            (
                Exit::Code(2),
                refused,
                Judgement::Untouched(Failure::Refused(
                    "Unexpected files in /etc, aborting activation".to_owned(),
                )),
            ),
            (
                Exit::Code(2),
                "grep: no such file\n",
                Judgement::Broken(Failure::Exit(Exit::Code(2))),
            ),
            // createRun says so as well, after it has begun.
            (
                Exit::Code(1),
                "error: apfs.util failed to symlink /run, aborting activation\n",
                Judgement::Broken(Failure::Exit(Exit::Code(1))),
            ),
            (
                Exit::Signal(9),
                "",
                Judgement::Broken(Failure::Exit(Exit::Signal(9))),
            ),
        ];
        for (exit, log, meaning) in table {
            assert_eq!(judge(exit, log), meaning, "{exit} {log}");
        }
    }

    #[test]
    fn a_label_is_read_from_its_file() {
        let scratch = tempfile::tempdir().unwrap();
        let file = Utf8Path::from_path(scratch.path()).unwrap().join("job.plist");
        let write = |text: &str| replace(&file, text.as_bytes(), 0o644, Lasting::Process).unwrap();
        write("<dict>\n  <key>Label</key>\n  <string>org.nixos.reconciler</string>\n</dict>");
        assert_eq!(label(&file).as_deref(), Some("org.nixos.reconciler"));
        write("<dict><key>Label</key><integer>1</integer></dict>");
        assert_eq!(label(&file), None);
    }
}
