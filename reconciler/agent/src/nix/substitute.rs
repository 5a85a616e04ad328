//! Fetching a toplevel that was published: from the caches of the nix-daemon, which checks its signatures.
//! Nothing is built.

use super::build::{BuildError, Built, Fresh};
use super::entry::Derivation;
use camino::Utf8Path;
use nix_daemon_client::{BuildMode, Client, DerivedPath, Event, Progress, StorePath};
use std::time::Duration;

/// How many lines of the daemon are told.
const LINES: usize = 10;

/// Fetches the output of `toplevel`, which need not have a derivation here; `on_event` sees every event of the
/// daemon, and the counts after it.
pub async fn substitute(
    client: &mut Client,
    store: &Utf8Path,
    toplevel: &Derivation,
    limit: Option<Duration>,
    on_event: &mut (dyn FnMut(&Event, &Progress) + Send),
) -> Result<Built, BuildError> {
    let out = StorePath::parse(store.as_str(), &toplevel.out)?;
    let name = || toplevel.name.clone();
    let failing = |source| BuildError::Daemon {
        toplevel: name(),
        source,
    };
    // Protected first, looked for then: a collection in between cannot take it.
    client.add_temp_root(&out).await.map_err(failing)?;
    let path = camino::Utf8PathBuf::from(out.to_string());
    if client.is_valid_path(&out).await.map_err(failing)? {
        return Ok(Built {
            path,
            fresh: Fresh::Present,
        });
    }
    let mut progress = Progress::new();
    let mut lines = Vec::new();
    let mut sink = |event: Event| {
        if let Event::Line(line) = &event {
            lines.extend(
                line.plain()
                    .lines()
                    .map(str::trim)
                    .filter(|line| !line.is_empty())
                    .map(str::to_owned),
            );
            lines.drain(..lines.len().saturating_sub(LINES));
        }
        progress.apply(&event);
        on_event(&event, &progress);
    };
    // A path and no derivation: the daemon has nothing to build it from.
    let targets = [DerivedPath::Opaque(out.clone())];
    let fetching = client.build_paths_with_results(&targets, BuildMode::Normal, &mut sink);
    let results = match limit {
        Some(limit) => tokio::time::timeout(limit, fetching)
            .await
            .map_err(|_| BuildError::TooSlow {
                toplevel: name(),
                limit,
            })?,
        None => fetching.await,
    };
    let results = results.map_err(failing)?;
    let failed = results.iter().find(|(_, result)| !result.is_success());
    if let Some((_, result)) = failed {
        let said = crate::text::plain(&result.message);
        let reason = said.lines().next().unwrap_or_default().trim();
        return Err(BuildError::NotFetched {
            toplevel: name(),
            reason: match reason {
                "" => format!("no cache of the nix-daemon gives {out}"),
                reason => reason.trim_end_matches([';', ':']).to_owned(),
            },
            log: lines,
        });
    }
    if !client.is_valid_path(&out).await.map_err(failing)? {
        return Err(BuildError::NoResult { toplevel: name() });
    }
    Ok(Built {
        path,
        fresh: Fresh::Made {
            built: 0,
            fetched: progress.copies().done.max(1),
        },
    })
}
