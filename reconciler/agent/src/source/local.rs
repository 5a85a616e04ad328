//! A fleet that lies on this machine: reads the one ref, without looking at the others.

use camino::Utf8Path;
use git2::{BranchType, ErrorCode, Oid, Repository};

use super::{
    branches::{self, HEADS},
    failure::RemoteError,
};

/// What a look into the repository gave.
#[derive(Debug)]
pub(super) enum Local {
    Head(Oid),
    /// libgit2 refuses repositories of other users, unless the user's configuration names them.
    NotOwned,
}

/// Where the branch is.
pub(super) fn head(path: &Utf8Path, branch: &str) -> Result<Local, RemoteError> {
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
        Ok(oid) => Ok(Local::Head(oid)),
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
