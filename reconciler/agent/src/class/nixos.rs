//! NixOS: `switch-to-configuration`, its exit codes, the current system, the boot loader.
//!
//! The contract is that of `switch-to-configuration-ng` in nixpkgs.

use super::{Action, BootEntry, Invocation, Judgement};
use crate::config::{NixSettings, Paths};
use crate::process::Exit;
use crate::transaction::{Failure, Health};
use camino::{Utf8Path, Utf8PathBuf};

/// `nixos-rebuild` runs its switch in a transient unit of this name: systemd then refuses a second one, so a
/// person's switch and the agent's exclude each other.
const UNIT: &str = "nixos-rebuild-switch-to-configuration";

/// `EWOULDBLOCK`, with which `switch-to-configuration` ends when another one holds its lock.
const LOCK_BUSY: i32 = 11;

pub(super) fn profile(nix: &NixSettings) -> Utf8PathBuf {
    nix.state.join("profiles/system")
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

pub(super) fn judge(exit: Exit, log: &str) -> Judgement {
    // A failing unit's 4 overwrites a failing script's 2: only the log tells.
    let script_failed =
        log.contains("Failed to run activate script") || log.contains("Activation script snippet '");
    match exit {
        Exit::Code(0) if !script_failed => Judgement::Live(Health::Healthy),
        Exit::Code(4) if !script_failed => Judgement::Live(Health::Degraded),
        Exit::Code(0 | 2 | 4) => Judgement::Broken(Failure::ActivationScript),
        Exit::Code(1) => Judgement::Untouched(Failure::PreSwitchCheck),
        Exit::Code(LOCK_BUSY) => Judgement::Untouched(Failure::SwitchLocked),
        Exit::Code(100) => Judgement::Untouched(Failure::NeedsReboot),
        other => Judgement::Broken(Failure::Exit(other)),
    }
}

pub(super) fn current(paths: &Paths) -> Option<Utf8PathBuf> {
    paths.host("/run/current-system").read_link_utf8().ok()
}

pub(super) fn boot_entry(paths: &Paths, toplevel: &Utf8Path) -> BootEntry {
    let wanted = format!("init={toplevel}/init");
    let names = |text: &str| {
        text.match_indices(&wanted).any(|(at, _)| {
            // The whole word, so that one toplevel is not found in a longer path.
            text.get(at + wanted.len()..)
                .is_none_or(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace))
        })
    };
    let mut files = Vec::new();
    for file in ["/boot/grub/grub.cfg", "/boot/extlinux/extlinux.conf"] {
        files.extend(Some(paths.host(file)).filter(|file| file.exists()));
    }
    if let Ok(entries) = paths.host("/boot/loader/entries").read_dir_utf8() {
        files.extend(entries.flatten().map(|entry| entry.path().to_owned()));
    }
    if files.is_empty() && !paths.host("/boot/loader").exists() {
        return BootEntry::Unverified;
    }
    if files
        .iter()
        .any(|file| std::fs::read_to_string(file).is_ok_and(|text| names(&text)))
    {
        BootEntry::Verified
    } else {
        BootEntry::Missing
    }
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
            (Exit::Code(1), quiet, Untouched(Failure::PreSwitchCheck)),
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
            (Exit::Code(11), quiet, Untouched(Failure::SwitchLocked)),
            (Exit::Code(100), quiet, Untouched(Failure::NeedsReboot)),
            (Exit::Code(101), quiet, Broken(Failure::Exit(Exit::Code(101)))),
            (Exit::Signal(9), quiet, Broken(Failure::Exit(Exit::Signal(9)))),
        ];
        for (exit, log, meaning) in table {
            assert_eq!(judge(exit, log), meaning, "{exit} {log}");
        }
    }
}
