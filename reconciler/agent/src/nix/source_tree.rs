//! Putting the fleet's tree into the store: straight from git's objects, without a checkout.
//!
//! Of a whole repository the store path is the one that Nix's own git fetcher would give.

use super::scope::Scope;
use crate::source::{Entry, EntryKind, Mirror, MirrorError, Revision, Step, TreeError, TreeView, WalkError};
use camino::{Utf8Path, Utf8PathBuf};
use nix_daemon_client::nar::{self, Encoder, FileMode};
use nix_daemon_client::{Client, Error};
use std::fs::File;
use std::io::{self, BufWriter, Seek};

/// The name under which Nix keeps every source tree.
const NAME: &str = "source";

/// The fleet's tree at one revision, or as much of it as is given, in the store.
#[derive(Debug, Clone)]
pub struct SourceTree {
    /// The store path.
    pub path: String,
    /// Its NAR hash in SRI form.
    pub nar_hash: String,
    /// The commit.
    pub revision: Revision,
    /// The commit's time, in seconds since 1970.
    pub last_modified: i64,
    /// The number of commits up to it.
    pub rev_count: u64,
}

/// What of the repository is added.
#[derive(Debug, Clone, Copy)]
pub struct Given<'a> {
    /// The commit.
    pub revision: Revision,
    /// The flake's folder.
    pub directory: &'a str,
    /// How much.
    pub scope: Scope,
}

/// A tree that did not get into the store.
#[derive(Debug, thiserror::Error)]
pub enum AddSourceError {
    /// The mirror could not give the commit.
    #[error("cannot read {revision} from the mirror")]
    Mirror {
        /// The commit.
        revision: Revision,
        /// Why.
        #[source]
        source: MirrorError,
    },
    /// Its tree could not be packed.
    #[error("cannot pack the tree of {revision}")]
    Pack {
        /// The commit.
        revision: Revision,
        /// Why.
        #[source]
        source: WalkError<PackError>,
    },
    /// The packed tree could not be kept for the daemon to read.
    #[error("cannot keep the packed tree in {folder}")]
    Keep {
        /// The folder.
        folder: Utf8PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The packing was cut short: a defect of the agent.
    #[error("the packing of the tree was cut short")]
    Cut(#[source] tokio::task::JoinError),
    /// The daemon did not take it.
    #[error("cannot add the tree of {revision} to the store")]
    Add {
        /// The commit.
        revision: Revision,
        /// Why.
        #[source]
        source: Error,
    },
}

/// An entry of a tree that could not be packed.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// Git could not give its content.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// It could not be written.
    #[error(transparent)]
    Nar(#[from] nar::Error),
}

/// Adds what is given of the repository at `repository` to the store. It is protected from collection while
/// `client` is connected.
pub async fn add_source(
    client: &mut Client,
    repository: &Utf8Path,
    given: Given<'_>,
) -> Result<SourceTree, AddSourceError> {
    let (folder, directory) = (repository.to_owned(), given.directory.to_owned());
    let Given { revision, scope, .. } = given;
    let packed = tokio::task::spawn_blocking(move || pack(&folder, revision, scope, &directory))
        .await
        .map_err(AddSourceError::Cut)??;
    let nar = tokio::fs::File::from_std(packed.nar);
    let info = client
        .add_to_store_recursive(NAME, nar, &mut ())
        .await
        .map_err(|source| AddSourceError::Add { revision, source })?;
    Ok(SourceTree {
        path: info.path.to_string(),
        nar_hash: info.nar_hash.to_sri(),
        revision,
        last_modified: packed.last_modified,
        rev_count: packed.rev_count,
    })
}

struct Packed {
    nar: File,
    last_modified: i64,
    rev_count: u64,
}

fn pack(
    folder: &Utf8Path,
    revision: Revision,
    scope: Scope,
    directory: &str,
) -> Result<Packed, AddSourceError> {
    let reading = |source| AddSourceError::Mirror { revision, source };
    let keeping = |source| AddSourceError::Keep {
        folder: folder.to_owned(),
        source,
    };
    let packing = |source| AddSourceError::Pack { revision, source };
    let mirror = Mirror::of(folder).map_err(reading)?;
    let commit = mirror.commit(revision.oid()).map_err(reading)?;
    let rev_count = mirror.rev_count(revision.oid()).map_err(reading)?;
    let tree = mirror.tree(revision.oid()).map_err(reading)?;
    // A file without a name: a tree may be large, and the agent is to stay small.
    let mut out = tempfile::tempfile_in(folder).map_err(keeping)?;
    let nar =
        Encoder::new(BufWriter::new(&mut out)).map_err(|error| packing(WalkError::Visitor(error.into())))?;
    let nar = write(&tree, nar, scope, directory).map_err(packing)?;
    nar.finish()
        .map_err(|error| packing(WalkError::Visitor(error.into())))?
        .into_inner()
        .map_err(|error| keeping(error.into_error()))?;
    out.rewind().map_err(keeping)?;
    Ok(Packed {
        nar: out,
        last_modified: commit.time.as_second(),
        rev_count: u64::try_from(rev_count).unwrap_or(u64::MAX),
    })
}

fn write<W: io::Write>(
    tree: &TreeView<'_>,
    mut nar: Encoder<W>,
    scope: Scope,
    directory: &str,
) -> Result<Encoder<W>, WalkError<PackError>> {
    let mut path = Vec::new();
    let mut skipped = 0_usize;
    tree.walk(|step| -> Result<(), PackError> {
        match step {
            Step::Enter(_) if skipped > 0 => skipped += 1,
            Step::Enter(entry) => {
                let length = path.len();
                join(&mut path, &entry.name);
                if scope.holds(&path, directory) {
                    nar.enter(&entry.name)?;
                } else {
                    path.truncate(length);
                    skipped = 1;
                }
            }
            Step::Leave if skipped > 0 => skipped -= 1,
            Step::Leave => {
                let parent = path.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
                path.truncate(parent);
                nar.leave()?;
            }
            Step::Leaf(_) if skipped > 0 => {}
            Step::Leaf(entry) => {
                let length = path.len();
                join(&mut path, &entry.name);
                if scope.holds(&path, directory) {
                    leaf(tree, &mut nar, entry)?;
                }
                path.truncate(length);
            }
        }
        Ok(())
    })?;
    Ok(nar)
}

fn join(path: &mut Vec<u8>, name: &[u8]) {
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name);
}

fn leaf<W: io::Write>(tree: &TreeView<'_>, nar: &mut Encoder<W>, entry: &Entry) -> Result<(), PackError> {
    match entry.kind {
        EntryKind::Symlink => nar.symlink(&entry.name, &tree.blob(entry.oid)?)?,
        // A submodule is an empty folder, as in git's own checkout without `--recurse-submodules`.
        EntryKind::Gitlink | EntryKind::Directory => {
            nar.enter(&entry.name)?;
            nar.leave()?;
        }
        EntryKind::Regular | EntryKind::Executable => {
            let mode = match entry.kind {
                EntryKind::Executable => FileMode::Executable,
                _ => FileMode::Regular,
            };
            tree.with_blob(entry.oid, |content| {
                nar.file(
                    &entry.name,
                    mode,
                    u64::try_from(content.len()).unwrap_or(u64::MAX),
                    content,
                )
            })??;
        }
    }
    Ok(())
}
