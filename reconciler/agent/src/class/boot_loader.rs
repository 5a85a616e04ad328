//! The boot loaders of NixOS by the files they leave: whether one would boot a toplevel, and whether /boot has room
//! for it. Reads, and installs nothing.
//!
//! The forms are those of nixpkgs' builders (systemd-boot, GRUB, extlinux, limine) and of lanzaboote's images.

use super::BootEntry;
use crate::config::Paths;
use crate::host;
use camino::{Utf8Path, Utf8PathBuf};
use std::os::unix::fs::MetadataExt;

/// Where the partition that the firmware reads is mounted, and the one beside it that holds the kernels.
const MOUNTS: [&str; 3] = ["/boot", "/efi", "/boot/efi"];
/// Where the builders copy kernels and initrds to, below a mount, each as `<store path>-<file>`.
const COPIES: [&str; 3] = ["EFI/nixos", "kernels", "nixos"];
/// What a builder copies of a toplevel.
const PARTS: [&str; 2] = ["kernel", "initrd"];
/// The longest image that is searched for a command line, in bytes.
const IMAGE_LIMIT: u64 = 256 << 20;

/// /boot has no room for a kernel and an initrd.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{mount} has no room for its kernel and initrd: they take {}, and {} are free", crate::text::size(*needed), crate::text::size(*free))]
pub struct NoRoom {
    /// The mount.
    pub mount: Utf8PathBuf,
    /// Bytes that are yet to be copied.
    pub needed: u64,
    /// Bytes that are free, or would be if everything went that neither runs nor boots.
    pub free: u64,
}

/// Whether the default of a known loader is `toplevel`, whole. Files of a loader that the machine had before may lie
/// beside those of the one that it has: they name nothing new.
pub(super) fn entry(paths: &Paths, toplevel: &Utf8Path) -> BootEntry {
    let mounts = MOUNTS.map(|mount| paths.host(mount));
    match (specified(&mounts, toplevel), configured(&mounts, toplevel)) {
        (BootEntry::Verified, _) | (_, BootEntry::Verified) => BootEntry::Verified,
        (BootEntry::Unverified, configured) => configured,
        (specified, _) => specified,
    }
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
    for (file, chosen) in [
        ("grub/grub.cfg", grub_default as fn(&str) -> &str),
        ("extlinux/extlinux.conf", extlinux_default),
        ("limine/limine.conf", whole),
        ("limine.conf", whole),
    ] {
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

/// Whether the kernel and the initrd of `toplevel` can be copied to where the loader has those of others.
///
/// Only what is certain is an error: a builder may make room first, by what it removes of older generations.
pub(super) fn room(
    paths: &Paths,
    store: &Utf8Path,
    toplevel: &Utf8Path,
    keep: &[Utf8PathBuf],
) -> Result<(), NoRoom> {
    let copies = MOUNTS
        .map(|mount| paths.host(mount))
        .into_iter()
        .flat_map(|mount| COPIES.map(|folder| (mount.clone(), mount.join(folder))))
        .find(|(_, folder)| folder.is_dir());
    let Some((mount, folder)) = copies else {
        return Ok(());
    };
    let device = |path: &Utf8Path| path.metadata().map(|found| found.dev()).ok();
    // A loader that can read the store's own file system copies nothing.
    if !folder.ends_with("EFI/nixos") && device(&folder) == device(store) {
        return Ok(());
    }
    // The images of lanzaboote have names of their own: what is there already cannot be told.
    if mount.join("EFI/Linux").is_dir() {
        return Ok(());
    }
    let Some(left) = host::free(&folder) else {
        return Ok(());
    };
    let wanted = parts(toplevel);
    let kept: Vec<String> = keep
        .iter()
        .flat_map(|system| parts(system))
        .map(|part| part.name)
        .collect();
    let mut reclaimable = 0;
    let mut present = Vec::new();
    for file in folder.read_dir_utf8().into_iter().flatten().flatten() {
        let name = file.file_name().trim_end_matches(".efi").to_owned();
        let size = file.metadata().map_or(0, |found| found.len());
        if !kept.contains(&name) && !wanted.iter().any(|part| part.name == name) {
            reclaimable += size;
        }
        present.push((name, size));
    }
    let needed = wanted
        .iter()
        .filter(|part| {
            !present
                .iter()
                .any(|(name, size)| *name == part.name && *size >= part.size)
        })
        .map(|part| part.size)
        .sum();
    let free = left.saturating_add(reclaimable);
    if needed > free {
        return Err(NoRoom { mount, needed, free });
    }
    Ok(())
}

/// A kernel or an initrd.
struct Part {
    /// What its copy is called, without an ending.
    name: String,
    size: u64,
}

fn parts(toplevel: &Utf8Path) -> Vec<Part> {
    let part = |file: &&str| {
        let path = toplevel.join(file).canonicalize_utf8().ok()?;
        Some(Part {
            name: format!("{}-{}", path.parent()?.file_name()?, path.file_name()?),
            size: path.metadata().ok()?.len(),
        })
    };
    PARTS.iter().filter_map(part).collect()
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
        assert_eq!(boot.entry(NEW), BootEntry::Verified);
        boot.write("boot/grub/grub.cfg", grub("/nix/store/older"));
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
