//! A fleet that lies on this machine: reads the one ref, without looking at the others.

use camino::Utf8Path;
use git2::{BranchType, ErrorCode, Repository};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;

use super::{
    branches::{self, HEADS},
    failure::RemoteError,
    object_id::{InvalidObjectId, ObjectId},
};

/// What a look into the repository gave.
#[derive(Debug)]
pub(super) enum Local {
    Head(ObjectId),
    /// libgit2 refuses repositories of other users, unless the user's configuration names them.
    NotOwned,
}

/// Where the branch is. What is plain is read as it lies there; everything else is libgit2's.
pub(super) fn head(path: &Utf8Path, branch: &str) -> Result<Local, RemoteError> {
    if let Some(head) = plain(path, branch) {
        return Ok(Local::Head(head));
    }
    ask(path, branch)
}

/// The branch of a repository of this user's, whose ref is a file or in `packed-refs` (gitrepository-layout(5)).
fn plain(path: &Utf8Path, branch: &str) -> Option<ObjectId> {
    let inner = path.join(".git");
    let git = if inner.is_dir() { inner.as_path() } else { path };
    let owned = git.metadata().ok()?.uid() == unix::unistd::geteuid().as_raw();
    // A repository whose refs are a table has this folder too; its `heads` is a file.
    if !owned || !git.join("objects").is_dir() || !git.join("refs/heads").is_dir() {
        return None;
    }
    match std::fs::read_to_string(git.join(HEADS).join(branch)) {
        Ok(text) => text.trim_end().parse().ok(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => packed(git, branch),
        Err(_) => None,
    }
}

fn packed(git: &Utf8Path, branch: &str) -> Option<ObjectId> {
    let wanted = format!(" {HEADS}{branch}");
    let file = std::fs::File::open(git.join("packed-refs")).ok()?;
    let line = BufReader::new(file)
        .lines()
        .map_while(Result::ok)
        .find(|line| line.ends_with(&wanted))?;
    let id: Result<ObjectId, InvalidObjectId> = line.strip_suffix(&wanted)?.parse();
    id.ok()
}

fn ask(path: &Utf8Path, branch: &str) -> Result<Local, RemoteError> {
    let failed = |source| RemoteError::Local {
        path: path.to_owned(),
        source,
    };
    let repository = match Repository::open(path) {
        Ok(repository) => repository,
        Err(error) if error.code() == ErrorCode::Owner => return Ok(Local::NotOwned),
        Err(error) if error.code() == ErrorCode::NotFound => return Err(RemoteError::NotFound),
        Err(error) => return Err(failed(error)),
    };
    match repository.refname_to_id(&format!("{HEADS}{branch}")) {
        Ok(oid) => match oid.to_string().parse() {
            Ok(head) => Ok(Local::Head(head)),
            // A repository of SHA-256 objects: its ids are longer than any that is fetched.
            Err(InvalidObjectId) => Err(RemoteError::NotFound),
        },
        Err(error) if error.code() == ErrorCode::NotFound => {
            let found = repository.branches(Some(BranchType::Local)).map_err(failed)?;
            let names = found
                .flatten()
                .filter_map(|(branch, _)| branch.name().ok().flatten().map(str::to_owned));
            let branches = branches::closest(branch, names);
            Err(RemoteError::BranchMissing {
                branch: branch.to_owned(),
                branches,
            })
        }
        Err(error) => Err(failed(error)),
    }
}
