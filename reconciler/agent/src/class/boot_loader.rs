//! The boot loaders of NixOS by the files they leave: whether one would boot a toplevel. Reads, and installs nothing.
//!
//! The forms are those of nixpkgs' builders (systemd-boot, GRUB, extlinux, limine) and of lanzaboote's images.

use super::BootEntry;
use crate::config::Paths;
use camino::{Utf8Path, Utf8PathBuf};
use std::time::SystemTime;

/// Where the partition that the firmware reads is mounted, and the one beside it that holds the kernels.
pub(super) const MOUNTS: [&str; 3] = ["/boot", "/efi", "/boot/efi"];
/// The longest image that is searched for a command line, in bytes.
const IMAGE_LIMIT: u64 = 256 << 20;

/// Whether the default of a known loader is `toplevel`, whole. Files of a loader that the machine had before may lie
/// beside those of the one that it has: the newer ones count.
pub(super) fn entry(paths: &Paths, toplevel: &Utf8Path) -> BootEntry {
    let mounts = MOUNTS.map(|mount| paths.host(mount));
    let (specified, configured) = (specified(&mounts, toplevel), configured(&mounts, toplevel));
    if specified == BootEntry::Unverified
        || written(&mounts, &["loader/loader.conf"]) < written(&mounts, &FILES)
    {
        match configured {
            BootEntry::Unverified => specified,
            configured => configured,
        }
    } else {
        specified
    }
}

/// The configurations of loaders that have a file of their own.
const FILES: [&str; 4] = [
    "grub/grub.cfg",
    "extlinux/extlinux.conf",
    "limine/limine.conf",
    "limine.conf",
];

/// When the newest of these files was written.
fn written(mounts: &[Utf8PathBuf], files: &[&str]) -> Option<SystemTime> {
    let files = files
        .iter()
        .flat_map(|file| mounts.iter().map(move |mount| mount.join(file)));
    files
        .filter_map(|file| file.metadata().ok()?.modified().ok())
        .max()
}

/// By the entries of the Boot Loader Specification.
fn specified(mounts: &[Utf8PathBuf], toplevel: &Utf8Path) -> BootEntry {
    let found = entries(mounts);
    if found.is_empty() {
        return BootEntry::Unverified;
    }
    let default = mounts.iter().find_map(|mount| default_of(mount));
    let candidates: Vec<_> = found
        .iter()
        .filter(|entry| default.as_ref().is_none_or(|default| entry.id == *default))
        .filter(|entry| entry.names(toplevel))
        .collect();
    if candidates.is_empty() {
        BootEntry::Missing
    } else if candidates.iter().any(|entry| entry.is_whole(toplevel)) {
        BootEntry::Verified
    } else {
        BootEntry::Incomplete
    }
}

/// By the configurations of other loaders.
fn configured(mounts: &[Utf8PathBuf], toplevel: &Utf8Path) -> BootEntry {
    let mut found = BootEntry::Unverified;
    let chosen = [grub_default as fn(&str) -> &str, extlinux_default, whole, whole];
    for (file, chosen) in FILES.into_iter().zip(chosen) {
        for mount in mounts {
            let Ok(text) = std::fs::read_to_string(mount.join(file)) else {
                continue;
            };
            if names(chosen(&text).as_bytes(), toplevel) {
                return BootEntry::Verified;
            }
            found = BootEntry::Missing;
        }
    }
    found
}

/// An entry of the Boot Loader Specification: a text of type 1, or an image of type 2.
struct Entry {
    /// Its name without ending and without the tries that boot counting left it.
    id: String,
    mount: Utf8PathBuf,
    content: Vec<u8>,
}

impl Entry {
    fn names(&self, toplevel: &Utf8Path) -> bool {
        names(&self.content, toplevel)
    }

    /// Whether its kernel and its initrd are there, as large as they have to be.
    fn is_whole(&self, toplevel: &Utf8Path) -> bool {
        let Ok(text) = std::str::from_utf8(&self.content) else {
            // An image has both in it, or was refused by whoever made it.
            return true;
        };
        let size = |key: &str| {
            let mut lines = text.lines();
            let path = lines.find_map(|line| {
                let (word, rest) = line.trim().split_once(char::is_whitespace)?;
                (word == key).then(|| rest.trim())
            })?;
            let below = self.mount.join(path.trim_start_matches('/'));
            let found = below.metadata().or_else(|_| Utf8Path::new(path).metadata());
            Some(found.map_or(0, |found| found.len()))
        };
        let expected = |part: &str| toplevel.join(part).metadata().map_or(0, |found| found.len());
        // Secrets may be appended to an initrd.
        [("linux", "kernel"), ("initrd", "initrd")]
            .into_iter()
            .all(|(key, part)| size(key).is_none_or(|found| found >= expected(part)))
    }
}

/// The entries that NixOS made: other systems leave theirs beside them.
fn entries(mounts: &[Utf8PathBuf]) -> Vec<Entry> {
    let mut found = Vec::new();
    for mount in mounts {
        for (folder, ending) in [("loader/entries", ".conf"), ("EFI/Linux", ".efi")] {
            for file in mount.join(folder).read_dir_utf8().into_iter().flatten().flatten() {
                let name = file.file_name();
                let small = file.metadata().is_ok_and(|found| found.len() <= IMAGE_LIMIT);
                if let Some(id) = name.strip_suffix(ending)
                    && name.starts_with("nixos-")
                    && small
                    && let Ok(content) = std::fs::read(file.path())
                {
                    let id = id.split_once('+').map_or(id, |(id, _)| id).to_owned();
                    let mount = mount.clone();
                    found.push(Entry { id, mount, content });
                }
            }
        }
    }
    found
}

/// The one entry that loader.conf names as default; none where it names a pattern or `@saved`.
fn default_of(mount: &Utf8Path) -> Option<String> {
    let text = std::fs::read_to_string(mount.join("loader/loader.conf")).ok()?;
    let name = text
        .lines()
        .find_map(|line| {
            line.strip_prefix("default")
                .filter(|rest| rest.starts_with([' ', '\t']))
        })?
        .trim();
    let plain = !name.is_empty() && !name.contains(['*', '?', '[', '@', '/']);
    let id = name.strip_suffix(".conf").or_else(|| name.strip_suffix(".efi"));
    plain.then(|| id.unwrap_or(name).to_owned())
}

/// The part of a grub.cfg that decides: up to the second entry, where the first is the default.
fn grub_default(text: &str) -> &str {
    let first = ["set default=0", "set default=\"0\""]
        .iter()
        .any(|line| text.contains(line));
    if !first {
        return text;
    }
    let mut entries = text.match_indices("menuentry ");
    match (entries.next(), entries.next()) {
        (Some(_), Some((second, _))) => text.get(..second).unwrap_or(text),
        _ => text,
    }
}

/// The label of an extlinux.conf that `DEFAULT` names.
fn extlinux_default(text: &str) -> &str {
    let Some(default) = text.lines().find_map(|line| line.trim().strip_prefix("DEFAULT ")) else {
        return text;
    };
    let label = format!("LABEL {}\n", default.trim());
    let Some((_, after)) = text.split_once(label.as_str()) else {
        return text;
    };
    after.split_once("LABEL ").map_or(after, |(own, _)| own)
}

fn whole(text: &str) -> &str {
    text
}

/// Whether a command line in `content` starts the init of `toplevel`, as a whole word.
fn names(content: &[u8], toplevel: &Utf8Path) -> bool {
    let wanted = format!("init={toplevel}/init");
    let wanted = wanted.as_bytes();
    content.windows(wanted.len()).enumerate().any(|(at, window)| {
        window == wanted
            && content
                .get(at + wanted.len())
                .is_none_or(|next| next.is_ascii_whitespace() || matches!(next, 0 | b'"' | b'\''))
    })
}

#[cfg(test)]
mod tests {
    use super::super::boot_room::{PARTS, room};
    use super::*;
    use crate::durable::{Lasting, folder, replace};

    struct Boot {
        scratch: tempfile::TempDir,
        paths: Paths,
    }

    impl Boot {
        fn new() -> Boot {
            let scratch = tempfile::tempdir().unwrap();
            let root = Utf8Path::from_path(scratch.path()).unwrap();
            let text = format!("[fleet]\nurl = \"x\"\n[paths]\nroot = \"{root}\"\n");
            let fragment = crate::config::parse(root, &text).unwrap();
            let paths = crate::config::Settings::resolve(fragment, "a").unwrap().paths;
            Boot { scratch, paths }
        }

        fn at(&self, path: &str) -> Utf8PathBuf {
            Utf8Path::from_path(self.scratch.path()).unwrap().join(path)
        }

        fn write(&self, path: &str, content: impl AsRef<[u8]>) {
            let path = self.at(path);
            folder(path.parent().unwrap(), 0o755).unwrap();
            replace(&path, content.as_ref(), 0o644, Lasting::Process).unwrap();
        }

        fn entry(&self, toplevel: &str) -> BootEntry {
            entry(&self.paths, Utf8Path::new(toplevel))
        }
    }

    const NEW: &str = "/nix/store/new";

    #[test]
    fn only_the_default_entry_of_systemd_boot_counts() {
        let boot = Boot::new();
        assert_eq!(boot.entry(NEW), BootEntry::Unverified);
        folder(&boot.at("boot/loader/entries"), 0o755).unwrap();
        assert_eq!(boot.entry(NEW), BootEntry::Unverified);
        let entries = "boot/loader/entries/nixos-generation";
        boot.write(
            &format!("{entries}-1.conf"),
            "options init=/nix/store/old/init quiet\n",
        );
        boot.write(
            &format!("{entries}-2.conf"),
            "options init=/nix/store/new/init quiet\n",
        );
        assert_eq!(boot.entry(NEW), BootEntry::Verified);
        for (default, found) in [
            ("nixos-generation-1.conf", BootEntry::Missing),
            ("nixos-generation-2", BootEntry::Verified),
            ("nixos-generation-*", BootEntry::Verified),
            ("@saved", BootEntry::Verified),
        ] {
            boot.write(
                "boot/loader/loader.conf",
                format!("timeout 5\ndefault {default}\n"),
            );
            assert_eq!(boot.entry(NEW), found, "{default}");
        }
        assert_eq!(boot.entry("/nix/store/ne"), BootEntry::Missing);
    }

    #[test]
    fn what_another_loader_left_does_not_count() {
        let boot = Boot::new();
        boot.write(
            "boot/loader/entries/nixos-generation-1.conf",
            "options init=/nix/store/old/init quiet\n",
        );
        boot.write("boot/loader/loader.conf", "default nixos-generation-1.conf\n");
        let grub = |toplevel| {
            format!("set default=0\nmenuentry \"NixOS\" {{\n linux /k init={toplevel}/init x\n}}\n")
        };
        boot.write("boot/grub/grub.cfg", grub(NEW));
        // By as much as a file system for the firmware tells apart.
        let age = |path: &str| {
            let past = SystemTime::now() - std::time::Duration::from_secs(2);
            let file = std::fs::File::options().write(true).open(boot.at(path)).unwrap();
            file.set_modified(past).unwrap();
        };
        age("boot/loader/loader.conf");
        assert_eq!(boot.entry(NEW), BootEntry::Verified);
        assert_eq!(boot.entry("/nix/store/old"), BootEntry::Missing);
        boot.write("boot/loader/loader.conf", "default nixos-generation-1.conf\n");
        age("boot/grub/grub.cfg");
        assert_eq!(boot.entry(NEW), BootEntry::Missing);
        assert_eq!(boot.entry("/nix/store/old"), BootEntry::Verified);
    }

    #[test]
    fn tries_that_boot_counting_left_are_no_part_of_a_name() {
        let boot = Boot::new();
        boot.write("efi/loader/loader.conf", "default nixos-generation-2.conf\n");
        for name in ["1+3", "2+2-1"] {
            let init = if name == "1+3" { "old" } else { "new" };
            boot.write(
                &format!("boot/loader/entries/nixos-generation-{name}.conf"),
                format!("options init=/nix/store/{init}/init\n"),
            );
        }
        assert_eq!(boot.entry(NEW), BootEntry::Verified);
        assert_eq!(boot.entry("/nix/store/old"), BootEntry::Missing);
    }

    #[test]
    fn a_kernel_that_was_cut_short_is_no_boot_entry() {
        let boot = Boot::new();
        boot.write("new/kernel", "0123456789");
        boot.write("new/initrd", "0123456789");
        let new = boot.at("new");
        boot.write(
            "boot/loader/entries/nixos-generation-2.conf",
            format!("linux /EFI/nixos/k.efi\ninitrd /EFI/nixos/i.efi\noptions init={new}/init\n"),
        );
        boot.write("boot/EFI/nixos/k.efi", "0123456789");
        assert_eq!(boot.entry(new.as_str()), BootEntry::Incomplete);
        boot.write("boot/EFI/nixos/i.efi", "01234");
        assert_eq!(boot.entry(new.as_str()), BootEntry::Incomplete);
        boot.write("boot/EFI/nixos/i.efi", "0123456789 and its secrets");
        assert_eq!(boot.entry(new.as_str()), BootEntry::Verified);
    }

    #[test]
    fn images_have_their_command_line_in_them() {
        let boot = Boot::new();
        let image = |init: &str| {
            [
                b"MZ\xff\xfe",
                format!("init=/nix/store/{init}/init quiet\0").as_bytes(),
            ]
            .concat()
        };
        boot.write("boot/EFI/Linux/nixos-generation-1-abc.efi", image("old"));
        boot.write("boot/EFI/Linux/nixos-generation-2-def.efi", image("new"));
        boot.write("boot/EFI/Linux/debian.efi", image("other"));
        assert_eq!(boot.entry(NEW), BootEntry::Verified);
        assert_eq!(boot.entry("/nix/store/other"), BootEntry::Missing);
    }

    #[test]
    fn other_loaders_by_what_they_boot_first() {
        let grub = "set default=\"0\"\nmenuentry \"NixOS\" {\n linux /k init=/nix/store/a/init x\n}\n\
                    menuentry \"NixOS - 1\" {\n linux /k init=/nix/store/b/init x\n}\n";
        let saved = grub.replace("set default=\"0\"", "set default=\"${saved_entry}\"");
        let extlinux = "DEFAULT nixos-default\nLABEL nixos-default\n  APPEND init=/nix/store/a/init x\n\
                        LABEL nixos-1-default\n  APPEND init=/nix/store/b/init x\n";
        let table = [
            ("grub/grub.cfg", grub, BootEntry::Missing),
            ("grub/grub.cfg", saved.as_str(), BootEntry::Verified),
            ("extlinux/extlinux.conf", extlinux, BootEntry::Missing),
            (
                "limine/limine.conf",
                "cmdline: init=/nix/store/a/init\ncmdline: init=/nix/store/b/init\n",
                BootEntry::Verified,
            ),
        ];
        for (file, text, second) in table {
            let boot = Boot::new();
            boot.write(&format!("boot/{file}"), text);
            assert_eq!(boot.entry("/nix/store/a"), BootEntry::Verified, "{file}");
            assert_eq!(boot.entry("/nix/store/b"), second, "{file}");
            assert_eq!(boot.entry("/nix/store/c"), BootEntry::Missing, "{file}");
        }
    }

    #[test]
    fn there_is_room_unless_it_is_certain_that_there_is_none() {
        let boot = Boot::new();
        let store = boot.at("store");
        // Sparse: their sizes alone count.
        let system = |name: &str, size: u64| {
            for part in PARTS {
                boot.write(&format!("store/{name}/{part}"), "");
                let file = std::fs::File::options()
                    .write(true)
                    .open(boot.at(&format!("store/{name}/{part}")));
                file.unwrap().set_len(size).unwrap();
            }
            boot.at("store").join(name)
        };
        let (large, small) = (system("large", 1 << 42), system("small", 10));
        // No loader: nothing is copied anywhere.
        assert_eq!(room(&boot.paths, &store, &large, &[]), Ok(()));
        boot.write("boot/EFI/nixos/old-kernel.efi", "0");
        assert_eq!(room(&boot.paths, &store, &small, &[]), Ok(()));
        let refused = room(&boot.paths, &store, &large, &[]).unwrap_err();
        assert_eq!(refused.needed, 2 << 42);
        assert!(
            refused
                .to_string()
                .contains("has no room for its kernel and initrd"),
            "{refused}"
        );
        // What is there already is not copied again.
        for part in PARTS {
            let name = format!("boot/EFI/nixos/large-{part}.efi");
            boot.write(&name, "");
            std::fs::File::options()
                .write(true)
                .open(boot.at(&name))
                .unwrap()
                .set_len(1 << 42)
                .unwrap();
        }
        assert_eq!(room(&boot.paths, &store, &large, &[]), Ok(()));
        // What neither runs nor boots may go first.
        let (other, another) = (system("other", 1 << 41), boot.at("store/large"));
        assert_eq!(room(&boot.paths, &store, &other, &[]), Ok(()));
        assert!(room(&boot.paths, &store, &other, &[another]).is_err());
    }
}
