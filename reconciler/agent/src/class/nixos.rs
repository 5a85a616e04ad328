//! NixOS: `switch-to-configuration`, its exit codes, the current system, its specialisations.
//!
//! The contract is that of `switch-to-configuration-ng` in nixpkgs.

use super::{Action, Invocation, Judgement};
use crate::config::{NixSettings, Paths};
use crate::process::Exit;
use crate::transaction::{Failure, Health, Specialisation};
use camino::{Utf8Path, Utf8PathBuf};

/// `nixos-rebuild` runs its switch in a transient unit of this name: systemd then refuses a second one, so a
/// person's switch and the agent's exclude each other.
const UNIT: &str = "nixos-rebuild-switch-to-configuration";

/// `EWOULDBLOCK`, with which `switch-to-configuration` ends when another one holds its lock.
const LOCK_BUSY: i32 = 11;

pub(super) fn profile(nix: &NixSettings) -> Utf8PathBuf {
    nix.state.join("profiles/system")
}

/// What every switch-to-configuration holds a lock of flock(2) on.
pub(super) fn lock(paths: &Paths) -> Utf8PathBuf {
    paths.host("/run/nixos/switch-to-configuration.lock")
}

pub(super) fn invocation(toplevel: &Utf8Path, action: Action) -> Invocation {
    let mut environment = vec![("NIXOS_INSTALL_BOOTLOADER".to_owned(), "0".to_owned())];
    if action == Action::Return {
        environment.push(("NIXOS_NO_CHECK".to_owned(), "1".to_owned()));
    }
    Invocation {
        program: toplevel.join("bin/switch-to-configuration"),
        arguments: vec![
            match action {
                Action::Test | Action::Return => "test",
                Action::Boot => "boot",
            }
            .to_owned(),
        ],
        environment,
        unit: UNIT.to_owned(),
    }
}

pub(super) fn dry_run(toplevel: &Utf8Path) -> Invocation {
    Invocation {
        program: toplevel.join("bin/switch-to-configuration"),
        arguments: vec!["dry-activate".to_owned()],
        environment: Vec::new(),
        unit: UNIT.to_owned(),
    }
}

pub(super) fn judge(action: Action, exit: Exit, log: &str) -> Judgement {
    // A builder of boot loaders may go on without what it could not copy, and report success.
    if action == Action::Boot && log.contains("No space left on device") {
        return Judgement::Broken(Failure::BootFull);
    }
    // A failing unit's 4 overwrites a failing script's 2: only the log tells.
    let script_failed =
        log.contains("Failed to run activate script") || log.contains("Activation script snippet '");
    match exit {
        Exit::Code(0) if !script_failed => Judgement::Live(Health::Healthy),
        Exit::Code(4) if !script_failed => Judgement::Live(Health::Degraded),
        Exit::Code(0 | 2 | 4) => Judgement::Broken(Failure::ActivationScript),
        // Both codes are also how any other error ends it, half-way: only its own words tell that it never began.
        Exit::Code(1) if log.contains("re-switch check") => Judgement::Untouched(Failure::PreSwitchCheck),
        Exit::Code(LOCK_BUSY) if log.contains("Could not acquire lock") => {
            Judgement::Untouched(Failure::SwitchLocked)
        }
        Exit::Code(100) => Judgement::Untouched(Failure::NeedsReboot),
        other => Judgement::Broken(Failure::Exit(other)),
    }
}

pub(super) fn current(paths: &Paths) -> Option<Utf8PathBuf> {
    paths.host("/run/current-system").read_link_utf8().ok()
}

/// The specialisation of `parent` that `current` is.
pub(super) fn specialisation_of(parent: &Utf8Path, current: &Utf8Path) -> Option<String> {
    specialisations(parent)
        .into_iter()
        .find(|known| known.toplevel == current)
        .map(|known| known.name)
}

/// The specialisations of a toplevel, by name.
pub(super) fn specialisations(toplevel: &Utf8Path) -> Vec<Specialisation> {
    let folder = toplevel.join("specialisation");
    let listed = folder.read_dir_utf8().into_iter().flatten().flatten();
    let mut found: Vec<_> = listed
        .filter_map(|entry| {
            Some(Specialisation {
                name: entry.file_name().to_owned(),
                toplevel: entry.path().canonicalize_utf8().ok()?,
            })
        })
        .collect();
    found.sort_by(|one, other| one.name.cmp(&other.name));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_exit_code_has_its_meaning() {
        use Judgement::{Broken, Live, Untouched};
        let quiet = "activating the configuration...\n";
        let table = [
            (Exit::Code(0), quiet, Live(Health::Healthy)),
            (
                Exit::Code(1),
                "Pre-switch check 'x' failed\n",
                Untouched(Failure::PreSwitchCheck),
            ),
            (
                Exit::Code(1),
                "Pre-switch checks failed\n",
                Untouched(Failure::PreSwitchCheck),
            ),
            (Exit::Code(1), quiet, Broken(Failure::Exit(Exit::Code(1)))),
            (Exit::Code(2), quiet, Broken(Failure::ActivationScript)),
            (Exit::Code(4), quiet, Live(Health::Degraded)),
            (
                Exit::Code(4),
                "Failed to run activate script\n",
                Broken(Failure::ActivationScript),
            ),
            (
                Exit::Code(0),
                "Activation script snippet 'etc' failed (1)\n",
                Broken(Failure::ActivationScript),
            ),
            (
                Exit::Code(11),
                "Could not acquire lock\n",
                Untouched(Failure::SwitchLocked),
            ),
            (Exit::Code(11), quiet, Broken(Failure::Exit(Exit::Code(11)))),
            (Exit::Code(100), quiet, Untouched(Failure::NeedsReboot)),
            (Exit::Code(101), quiet, Broken(Failure::Exit(Exit::Code(101)))),
            (Exit::Signal(9), quiet, Broken(Failure::Exit(Exit::Signal(9)))),
        ];
        for (exit, log, meaning) in table {
            assert_eq!(judge(Action::Test, exit, log), meaning, "{exit} {log}");
        }
        let full = "cp: error writing '/boot/EFI/nixos/k.efi': No space left on device\n";
        for exit in [Exit::Code(0), Exit::Code(1)] {
            assert_eq!(
                judge(Action::Boot, exit, full),
                Broken(Failure::BootFull),
                "{exit}"
            );
        }
        assert_eq!(
            judge(Action::Boot, Exit::Code(1), "Failed to install bootloader\n"),
            Broken(Failure::Exit(Exit::Code(1)))
        );
    }

    #[test]
    fn a_specialisation_is_known_by_what_it_leads_to() {
        let scratch = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(scratch.path())
            .unwrap()
            .canonicalize_utf8()
            .unwrap();
        let (parent, child) = (root.join("parent"), root.join("child"));
        crate::durable::folder(&child, 0o755).unwrap();
        assert_eq!(specialisations(&parent), []);
        crate::durable::folder(&parent.join("specialisation"), 0o755).unwrap();
        crate::durable::replace_link(&parent.join("specialisation/gaming"), &child).unwrap();
        crate::durable::replace_link(&parent.join("specialisation/gone"), &root.join("gone")).unwrap();
        assert_eq!(specialisation_of(&parent, &child).as_deref(), Some("gaming"));
        assert_eq!(specialisation_of(&parent, &parent), None);
        assert_eq!(specialisations(&parent).len(), 1);
    }
}
