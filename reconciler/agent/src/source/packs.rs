//! Keeps the number of packs in the mirror small: every fetch adds one, and every look-up searches them all.
//!
//! Joins the small ones into one, so that the cost follows what was fetched lately and not the whole history.
//! Loses no object, reachable or not. Runs in the transport child, under the fetch's lock.

use std::{
    fs::{self, File},
    io,
};

use camino::{Utf8Path, Utf8PathBuf};
use git2::{Odb, Oid, Repository};

/// As many small packs may lie there.
const MOST: usize = 24;
/// A larger pack is left alone.
const SMALL: u64 = 16 << 20;
/// Where the small packs are set apart, inside the mirror.
const APART: &str = "reconciler-packs";

/// Why packs were not joined. The mirror is whole all the same.
#[derive(Debug, thiserror::Error)]
pub(super) enum PacksError {
    #[error("cannot join packs: {0}")]
    Io(#[from] io::Error),
    #[error("cannot join packs: {0}")]
    Git(#[from] git2::Error),
}

/// Joins the small packs, if there are too many. Tells `alive` now and then that it works.
pub(super) fn join(mirror: &Utf8Path, alive: impl FnMut()) -> Result<(), PacksError> {
    let folder = mirror.join("objects/pack");
    let small = small_packs(&folder)?;
    if small.len() <= MOST {
        return Ok(());
    }
    let joined = write_joined(mirror, &folder, &small, alive)?;
    for pack in small.iter().filter(|pack| **pack != joined) {
        // The index first: a pack without one is not looked at.
        for ending in ["idx", "rev", "pack"] {
            match fs::remove_file(pack.with_extension(ending)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
                Ok(()) | Err(_) => {}
            }
        }
    }
    Ok(())
}

/// Packs that have an index, are small, and are not marked to be kept; without their ending.
fn small_packs(folder: &Utf8Path) -> io::Result<Vec<Utf8PathBuf>> {
    let mut packs = Vec::new();
    for entry in folder.read_dir_utf8()? {
        let path = entry?.into_path();
        let is_small = path.extension() == Some("pack")
            && path.with_extension("idx").exists()
            && !path.with_extension("keep").exists()
            && path.metadata()?.len() < SMALL;
        if is_small {
            packs.push(path.with_extension(""));
        }
    }
    Ok(packs)
}

/// Writes one pack of all that the small ones hold, to the disk's platters. Returns it without its ending.
fn write_joined(
    mirror: &Utf8Path,
    folder: &Utf8Path,
    small: &[Utf8PathBuf],
    mut alive: impl FnMut(),
) -> Result<Utf8PathBuf, PacksError> {
    let objects = objects_of(mirror, small)?;
    let repository = Repository::open_bare(mirror)?;
    let mut builder = repository.packbuilder()?;
    builder.set_threads(1);
    for oid in objects {
        builder.insert_object(oid, None)?;
        alive();
    }
    builder.set_progress_callback(move |_, _, _| {
        alive();
        true
    })?;
    builder.write(folder.as_std_path(), 0)?;
    let name = builder
        .name()?
        .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
    let joined = folder.join(format!("pack-{name}"));
    for path in [
        joined.with_extension("pack"),
        joined.with_extension("idx"),
        folder.to_owned(),
    ] {
        File::open(path)?.sync_all()?;
    }
    Ok(joined)
}

/// What the small packs hold. libgit2 lists the objects of a whole database only, so they get one of their own.
fn objects_of(mirror: &Utf8Path, small: &[Utf8PathBuf]) -> Result<Vec<Oid>, PacksError> {
    let apart = mirror.join(APART);
    remove(&apart)?;
    fs::create_dir_all(apart.join("pack"))?;
    for pack in small {
        for ending in ["pack", "idx"] {
            let file = pack.with_extension(ending);
            fs::hard_link(
                &file,
                apart.join("pack").join(file.file_name().unwrap_or_default()),
            )?;
        }
    }
    let database = Odb::new()?;
    database.add_disk_alternate(apart.as_str())?;
    let mut objects = Vec::new();
    database.foreach(|oid| {
        objects.push(*oid);
        true
    })?;
    remove(&apart)?;
    Ok(objects)
}

fn remove(folder: &Utf8Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}
