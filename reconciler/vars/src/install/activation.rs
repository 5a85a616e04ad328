//! Owns what activation scripts need, in clan's upload directory on the disk: `<upload>/activation/<path>`. It
//! must never touch anything there that is not named to it: the machine's own key lies beside.

use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use unix::fcntl::{OFlag, renameat};
use unix::unistd::{UnlinkatFlags, geteuid, unlinkat};
use zeroize::Zeroizing;

use super::change::{self, Facts};
use super::error::{InstallError, Operation};
use super::folder::Folder;
use super::plan::ACTIVATION_FOLDER;
use super::root::SecretsRoot;

/// Name of the folder in the upload directory.
const FOLDER: &str = "activation";

/// Ending of a file that is still being written; no var's name has it together with the dot in front.
const TEMPORARY: &str = ".reconcile-new";

/// A file that is written beside the one it replaces.
struct Written {
    folder: Folder,
    name: String,
}

impl SecretsRoot {
    /// Brings `<upload>/activation` in step with what generation `number` holds for activation scripts: bytes,
    /// owner, group and mode. All is written beside what is there before the first file is replaced, each by one
    /// rename. Of `known`, paths below `activation/` that were the agent's at some time, those that the generation
    /// has not are removed; whatever else lies there stays. Tells the paths that were replaced or removed.
    ///
    /// # Errors
    /// [`InstallError::Gone`] where the generation is; any other leaves what was there as it was, unless a rename
    /// failed half-way: doing it again, with this generation or another, brings all in step.
    pub fn place_activation(
        &self,
        number: u64,
        upload: &Path,
        known: &[String],
    ) -> Result<Vec<String>, InstallError> {
        if !self.exists(number) {
            return Err(InstallError::Gone { number });
        }
        let source = self.generation_folder(number)?.join(ACTIVATION_FOLDER);
        let wanted = if source.is_dir() {
            change::of_folder(&source).map_err(InstallError::during(Operation::Inspect, &source))?
        } else {
            change::Snapshot::new()
        };
        let target = upload.join(FOLDER);
        let stale: Vec<_> = known.iter().filter(|path| !wanted.contains_key(*path)).collect();
        if wanted.is_empty() && stale.iter().all(|path| !is_there(&target.join(path))) {
            return Ok(Vec::new());
        }
        let upload = upload_folder(upload)?;
        let open = || upload.reach(FOLDER);
        // What a kill left half-written, of this generation or any other.
        for path in wanted.keys().chain(known) {
            let leftover = temporary_path(path);
            if is_there(&target.join(&leftover)) {
                remove_stale(&open()?, &leftover)?;
            }
        }
        let mut changed = Vec::new();
        let mut written = Vec::new();
        for (path, facts) in &wanted {
            if change::of_file(&target.join(path)).is_ok_and(|found| found.same_as(facts)) {
                continue;
            }
            match write(open()?, path, &source.join(path), facts) {
                Ok(file) => written.push(file),
                Err(error) => {
                    // The first failure is the one to tell.
                    let _ = written
                        .iter()
                        .try_for_each(|file: &Written| remove(&file.folder, &file.temporary()));
                    return Err(error);
                }
            }
            changed.push(path.clone());
        }
        for file in &written {
            let path = file.folder.path().join(&file.name);
            renameat(
                file.folder.fd(),
                file.temporary().as_str(),
                file.folder.fd(),
                file.name.as_str(),
            )
            .map_err(InstallError::during(Operation::Rename, &path))?;
            file.folder.sync()?;
        }
        for path in stale {
            if is_there(&target.join(path)) {
                remove_stale(&open()?, path)?;
                changed.push(path.clone());
            }
        }
        Ok(changed)
    }
}

impl Written {
    fn temporary(&self) -> String {
        temporary(&self.name)
    }
}

fn temporary(name: &str) -> String {
    format!(".{name}{TEMPORARY}")
}

/// The temporary file beside a path.
fn temporary_path(path: &str) -> String {
    match path.rsplit_once('/') {
        None => temporary(path),
        Some((folder, name)) => format!("{folder}/{}", temporary(name)),
    }
}

fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// Opens the upload directory, making it for root alone where it is not there.
fn upload_folder(upload: &Path) -> Result<Folder, InstallError> {
    if let Some(parent) = upload.parent() {
        let mut builder = std::fs::DirBuilder::new();
        builder
            .recursive(true)
            .mode(0o755)
            .create(parent)
            .map_err(InstallError::during(Operation::MakeFolder, parent))?;
    }
    match std::fs::DirBuilder::new().mode(0o700).create(upload) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(InstallError::during(Operation::MakeFolder, upload)(error))
        }
        _ => Folder::open_trusted(upload),
    }
}

/// Writes a file beside the one that it is to replace, and all of it to the disk.
fn write(folder: Folder, path: &str, source: &Path, facts: &Facts) -> Result<Written, InstallError> {
    let (folder, name) = descend(folder, path)?;
    let temporary = temporary(name);
    remove(&folder, &temporary)?;
    let bytes = read(source).map_err(InstallError::during(Operation::Inspect, source))?;
    // Only root gives files away.
    let ownership = facts.ownership().filter(|_| geteuid().is_root());
    let written = folder
        .write(&temporary, &bytes, ownership, facts.mode())
        .and_then(|file| {
            file.sync_all().map_err(InstallError::during(
                Operation::Write,
                &folder.path().join(&temporary),
            ))
        });
    if let Err(error) = written {
        // As above.
        let _ = remove(&folder, &temporary);
        return Err(error);
    }
    let name = name.to_owned();
    Ok(Written { folder, name })
}

/// The folder of a path below `folder`, with those on its way made; and the path's last part.
fn descend(folder: Folder, path: &str) -> Result<(Folder, &str), InstallError> {
    match path.split_once('/') {
        None => Ok((folder, path)),
        Some((first, rest)) => descend(folder.reach(first)?, rest),
    }
}

fn read(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut file = std::fs::OpenOptions::new()
        .read(true)
        .custom_flags(OFlag::O_NOFOLLOW.bits())
        .open(path)?;
    let length = usize::try_from(file.metadata()?.size()).unwrap_or_default();
    // Room for all of it and the end at once: growing would leave copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(length + 1));
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Removes a file, if it is there.
fn remove(folder: &Folder, name: &str) -> Result<(), InstallError> {
    match unlinkat(folder.fd(), name, UnlinkatFlags::NoRemoveDir) {
        Ok(()) | Err(unix::Error::ENOENT) => Ok(()),
        Err(error) => Err(InstallError::during(Operation::Remove, &folder.path().join(name))(error)),
    }
}

/// Removes a file and the folders on its way that are empty then.
fn remove_stale(folder: &Folder, path: &str) -> Result<(), InstallError> {
    match path.split_once('/') {
        None => {
            remove(folder, path)?;
            folder.sync()
        }
        Some((first, rest)) => {
            remove_stale(&folder.enter(first)?, rest)?;
            // One that is not empty stays, and so does one that cannot be removed.
            let _ = unlinkat(folder.fd(), first, UnlinkatFlags::RemoveDir);
            Ok(())
        }
    }
}
