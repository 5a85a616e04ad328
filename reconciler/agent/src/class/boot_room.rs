//! Whether /boot has room for a toplevel's kernel and initrd. Reads, and makes no room.

use super::boot_loader::MOUNTS;
use crate::config::Paths;
use crate::host;
use camino::{Utf8Path, Utf8PathBuf};
use std::os::unix::fs::MetadataExt;

/// Where the builders copy kernels and initrds to, below a mount, each as `<store path>-<file>`.
const COPIES: [&str; 3] = ["EFI/nixos", "kernels", "nixos"];
/// What a builder copies of a toplevel.
pub(super) const PARTS: [&str; 2] = ["kernel", "initrd"];

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
