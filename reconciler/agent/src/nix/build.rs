//! Building a toplevel through the nix-daemon, on a connection that keeps the result from the collector.

use super::culprit::{Culprit, Culprits};
use super::entry::Derivation;
use camino::{Utf8Path, Utf8PathBuf};
use nix_daemon_client::{
    BuildMode, BuildResult, Client, DerivedPath, Error, Event, Outputs, Progress, StorePath, StorePathError,
};
use std::time::Duration;

/// How many lines of a failed build's log are told.
const LOG_LINES: usize = 10;

/// A toplevel that is in the store, and cannot be collected while the connection that brought it is open.
#[derive(Debug, Clone)]
pub struct Built {
    pub(super) path: Utf8PathBuf,
    /// Whether anything was built or fetched for it.
    pub fresh: Fresh,
}

/// Whether a build had anything to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fresh {
    /// It was in the store.
    Present,
    /// So many derivations were built and paths fetched.
    Made {
        /// Derivations built.
        built: u64,
        /// Paths fetched.
        fetched: u64,
    },
}

impl Built {
    /// The store path.
    #[must_use]
    pub fn path(&self) -> &Utf8Path {
        &self.path
    }
}

/// A build without a result.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The evaluator named something that is no path of this store.
    #[error("the entry's toplevel is no path of the store")]
    Path(#[from] StorePathError),
    /// The daemon failed, or its connection did.
    #[error("cannot build {toplevel}")]
    Daemon {
        /// The toplevel.
        toplevel: String,
        /// Why.
        #[source]
        source: Error,
    },
    /// The derivation was collected between evaluation and build.
    #[error("{drv} was collected before it could be built")]
    Collected {
        /// The derivation.
        drv: String,
    },
    /// A builder failed.
    #[error("the build of {} failed: {message}", name(.drv))]
    Failed {
        /// The derivation that failed: the toplevel's, or one it needs.
        drv: String,
        /// What the daemon says of it.
        message: String,
        /// What it says besides: the hashes that differ.
        evidence: Vec<String>,
        /// The last lines of its log.
        log: Vec<String>,
    },
    /// It is to be had from a cache alone, and cannot be.
    #[error("cannot fetch {toplevel}, which may not be built here: {}", reason.as_str())]
    NotFetched {
        /// The toplevel.
        toplevel: String,
        /// What the daemon says.
        reason: String,
        /// What it said of the caches that it asked.
        log: Vec<String>,
    },
    /// It took longer than the policy allows.
    #[error("the build of {toplevel} did not end within {}", crate::text::duration(*limit))]
    TooSlow {
        /// The toplevel.
        toplevel: String,
        /// The limit.
        limit: Duration,
    },
    /// The daemon said it was done and named no result.
    #[error("the nix-daemon built {toplevel} and it is not there")]
    NoResult {
        /// The toplevel.
        toplevel: String,
    },
}

/// What is in the store of a toplevel, protected while the connection is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InStore {
    /// The toplevel itself.
    Output,
    /// The derivation to build it.
    Derivation,
    /// Neither.
    Nothing,
}

/// Protects a toplevel and its derivation, and tells which of them is there.
pub async fn secure(
    client: &mut Client,
    store: &Utf8Path,
    derivation: &Derivation,
) -> Result<InStore, BuildError> {
    let drv = StorePath::parse(store.as_str(), &derivation.drv)?;
    let out = StorePath::parse(store.as_str(), &derivation.out)?;
    let failing = |source| BuildError::Daemon {
        toplevel: derivation.name.clone(),
        source,
    };
    // Protected first, looked for then: a collection in between cannot take it.
    client.add_temp_root(&drv).await.map_err(failing)?;
    client.add_temp_root(&out).await.map_err(failing)?;
    if client.is_valid_path(&out).await.map_err(failing)? {
        return Ok(InStore::Output);
    }
    match client.is_valid_path(&drv).await.map_err(failing)? {
        true => Ok(InStore::Derivation),
        false => Ok(InStore::Nothing),
    }
}

/// Builds a derivation that was secured; `on_event` sees every event of the daemon, and the counts after it.
pub async fn build(
    client: &mut Client,
    store: &Utf8Path,
    derivation: &Derivation,
    limit: Option<Duration>,
    on_event: &mut (dyn FnMut(&Event, &Progress) + Send),
) -> Result<Built, BuildError> {
    let drv = StorePath::parse(store.as_str(), &derivation.drv)?;
    let out = StorePath::parse(store.as_str(), &derivation.out)?;
    let toplevel = || derivation.name.clone();
    let failing = |source| BuildError::Daemon {
        toplevel: toplevel(),
        source,
    };
    match secure(client, store, derivation).await? {
        InStore::Derivation => {}
        InStore::Output => {
            return Ok(Built {
                path: out.to_string().into(),
                fresh: Fresh::Present,
            });
        }
        InStore::Nothing => {
            return Err(BuildError::Collected {
                drv: derivation.drv.clone(),
            });
        }
    }
    let mut progress = Progress::new();
    let mut culprits = Culprits::default();
    let mut sink = |event: Event| {
        culprits.hear(&event, &progress);
        progress.apply(&event);
        on_event(&event, &progress);
    };
    let targets = [DerivedPath::Built {
        drv: drv.clone(),
        outputs: Outputs::All,
    }];
    let building = client.build_paths_with_results(&targets, BuildMode::Normal, &mut sink);
    let results = match limit {
        // A build given up is dropped: the connection closes, and the daemon ends its builders.
        Some(limit) => tokio::time::timeout(limit, building)
            .await
            .map_err(|_| BuildError::TooSlow {
                toplevel: toplevel(),
                limit,
            })?,
        None => building.await,
    };
    let results = results.map_err(failing)?;
    if let Some((_, result)) = results.iter().find(|(_, result)| !result.is_success()) {
        return Err(failed(&drv, result, culprits, &progress));
    }
    if !client.is_valid_path(&out).await.map_err(failing)? {
        return Err(BuildError::NoResult { toplevel: toplevel() });
    }
    let fresh = Fresh::Made {
        built: progress.builds().done.max(1),
        fetched: progress.copies().done,
    };
    Ok(Built {
        path: out.to_string().into(),
        fresh,
    })
}

fn failed(drv: &StorePath, result: &BuildResult, culprits: Culprits, progress: &Progress) -> BuildError {
    // Of a failed dependency the result only says that there is one; what was heard meanwhile names it.
    let culprit = Culprit::read(&result.message)
        .or_else(|| culprits.first(drv))
        .unwrap_or_else(|| Culprit::unnamed(drv.clone(), &result.message));
    let log = progress.failed_log(&culprit.drv).unwrap_or_default();
    let log = log.get(log.len().saturating_sub(LOG_LINES)..).unwrap_or_default();
    BuildError::Failed {
        drv: culprit.drv.to_string(),
        message: culprit.message,
        evidence: culprit.evidence,
        log: log.to_vec(),
    }
}

fn name(drv: &str) -> String {
    StorePath::from_absolute(drv).map_or_else(
        |_| drv.to_owned(),
        |path| path.name().trim_end_matches(".drv").to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derivations_are_called_by_their_names() {
        assert_eq!(name("/nix/store/0123456789abcdfghijklmnpqrsvwxyz-a.drv"), "a");
        assert_eq!(name("nonsense"), "nonsense");
    }
}
