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

pub(super) fn judge(exit: Exit, log: &str) -> Judgement {
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

pub(super) fn boot_entry(paths: &Paths, toplevel: &Utf8Path) -> BootEntry {
    let wanted = format!("init={toplevel}/init");
    let names = |text: &str| {
        text.match_indices(&wanted).any(|(at, _)| {
            // The whole word, so that one toplevel is not found in a longer path.
            text.get(at + wanted.len()..)
                .is_none_or(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace))
        })
    };
    let says = |file: &Utf8Path| std::fs::read_to_string(file).is_ok_and(|text| names(&text));
    let loader = paths.host("/boot/loader");
    let entries = loader.join("entries");
    // Other loaders leave this folder, too; only NixOS's own builder writes entries of this name.
    let listed = entries.read_dir_utf8().into_iter().flatten().flatten();
    let listed: Vec<_> = listed
        .filter(|entry| entry.file_name().starts_with("nixos-"))
        .collect();
    if !listed.is_empty() {
        let found = match default_entry(&loader) {
            Some(default) => says(&entries.join(default)),
            None => listed.iter().any(|entry| says(entry.path())),
        };
        return if found {
            BootEntry::Verified
        } else {
            BootEntry::Missing
        };
    }
    let files: Vec<Utf8PathBuf> = ["/boot/grub/grub.cfg", "/boot/extlinux/extlinux.conf"]
        .into_iter()
        .map(|file| paths.host(file))
        .filter(|file| file.exists())
        .collect();
    match (files.is_empty(), files.iter().any(|file| says(file))) {
        (true, _) => BootEntry::Unverified,
        (false, true) => BootEntry::Verified,
        (false, false) => BootEntry::Missing,
    }
}

/// The one entry that systemd-boot's loader.conf names as default; none where it names a pattern or `@saved`.
fn default_entry(loader: &Utf8Path) -> Option<String> {
    let text = std::fs::read_to_string(loader.join("loader.conf")).ok()?;
    let name = text
        .lines()
        .find_map(|line| {
            line.strip_prefix("default")
                .filter(|rest| rest.starts_with([' ', '\t']))
        })?
        .trim();
    let plain = !name.is_empty() && !name.contains(['*', '?', '[', '@', '/']);
    plain.then(|| {
        if name.ends_with(".conf") {
            name.to_owned()
        } else {
            format!("{name}.conf")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_default_entry_counts() {
        use crate::durable::{Lasting, folder, replace};
        let scratch = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(scratch.path()).unwrap();
        let text = format!("[fleet]\nurl = \"x\"\n[paths]\nroot = \"{root}\"\n");
        let fragment = crate::config::parse(root, &text).unwrap();
        let paths = crate::config::Settings::resolve(fragment, "a").unwrap().paths;
        let new = Utf8Path::new("/nix/store/new");
        assert_eq!(boot_entry(&paths, new), BootEntry::Unverified);

        folder(&root.join("boot/loader/entries"), 0o755).unwrap();
        assert_eq!(boot_entry(&paths, new), BootEntry::Unverified);
        let write = |file: &str, text: &str| {
            replace(
                &root.join("boot/loader").join(file),
                text.as_bytes(),
                0o644,
                Lasting::Process,
            )
            .unwrap();
        };
        write(
            "entries/nixos-generation-1.conf",
            "options init=/nix/store/old/init quiet\n",
        );
        write(
            "entries/nixos-generation-2.conf",
            "options init=/nix/store/new/init quiet\n",
        );
        assert_eq!(boot_entry(&paths, new), BootEntry::Verified);
        write("loader.conf", "timeout 5\ndefault nixos-generation-1.conf\n");
        assert_eq!(boot_entry(&paths, new), BootEntry::Missing);
        write("loader.conf", "default nixos-generation-2\n");
        assert_eq!(boot_entry(&paths, new), BootEntry::Verified);
        write("loader.conf", "default nixos-generation-*\n");
        assert_eq!(boot_entry(&paths, new), BootEntry::Verified);
        assert_eq!(
            boot_entry(&paths, Utf8Path::new("/nix/store/ne")),
            BootEntry::Missing
        );
    }

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
            assert_eq!(judge(exit, log), meaning, "{exit} {log}");
        }
    }
}
