//! Owns the memory disk on macOS. It must never detach one.

use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::process::Command;

use super::backing::{Filesystem, Wanted};

/// Says that a mount is a memory disk, which its file system does not tell. The second name is sops-nix's.
const MARKS: [&str; 2] = [".reconcile-ramdisk", "sops-nix-secretfs"];

/// 64 MiB in the 512-byte sectors that hdiutil counts.
const DISK: &str = "ram://131072";

/// The file system in memory that `folder` is on, if it is on one.
pub(super) fn in_memory(folder: &Path) -> io::Result<Option<Filesystem>> {
    let own = folder.symlink_metadata()?.dev();
    let above = folder.parent().unwrap_or(folder).metadata()?.dev();
    let marked = MARKS.iter().any(|mark| {
        folder
            .join(mark)
            .symlink_metadata()
            .is_ok_and(|facts| facts.is_file())
    });
    Ok((own != above && marked).then_some(Filesystem::RamDisk))
}

/// Mounts one on `folder`.
pub(super) fn mount(folder: &Path, _wanted: Wanted) -> io::Result<Filesystem> {
    let attached = run(Command::new("/usr/bin/hdiutil").args(["attach", "-nomount", DISK]))?;
    let device = attached.trim();
    run(Command::new("/sbin/newfs_hfs").args(["-s", device]))?;
    let options = "nobrowse,nodev,nosuid,noexec,-m=0751";
    run(Command::new("/sbin/mount")
        .args(["-t", "hfs", "-o", options, device])
        .arg(folder))?;
    let mark = MARKS
        .iter()
        .take(1)
        .map(|mark| folder.join(mark))
        .next()
        .unwrap_or_default();
    std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o444)
        .open(mark)?;
    Ok(Filesystem::RamDisk)
}

fn run(command: &mut Command) -> io::Result<String> {
    let output = command.env_clear().output()?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let program = command.get_program().to_string_lossy().into_owned();
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(io::Error::other(format!("{program}: {}: {said}", output.status)))
}
