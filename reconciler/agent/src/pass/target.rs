//! Which commit a pass is about: the pin, the one a person named, or the branch's head.

use super::{PassError, Phase, Reporter, Request, World};
use crate::journal::{Generation, Pin};
use crate::source::{CommitInfo, FetchProgress, Relation, Revision};
use crate::text;

/// What a pass is about.
#[derive(Debug)]
pub(super) enum Target {
    /// A commit, which is to be evaluated.
    Commit {
        /// It, trusted.
        revision: Revision,
        /// What is told of it.
        commit: CommitInfo,
        /// Whether it is the branch's own head, so that converging on it moves the accepted commit.
        standing: Standing,
    },
    /// A recorded generation: nothing is fetched, evaluated or built.
    Generation(Box<Generation>),
}

/// How a commit came to be the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is where the branch is.
    Head,
    /// A person named it.
    Named,
}

/// Finds the target, fetching as far as it has to.
pub(super) async fn find(
    world: &mut World,
    request: &Request,
    pin: Option<&Pin>,
    report: &mut Reporter<'_>,
) -> Result<Target, PassError> {
    if let Some(pin) = pin
        && request.revision.is_none()
    {
        if let Some(number) = pin.generation
            && let Some(generation) = world.journal.generation(number)?
        {
            return Ok(Target::Generation(Box::new(generation)));
        }
        return named(world, &pin.revision, report).await;
    }
    match &request.revision {
        Some(name) => named(world, name, report).await,
        None => head(world, report).await,
    }
}

async fn head(world: &mut World, report: &mut Reporter<'_>) -> Result<Target, PassError> {
    report.begin(Phase::Fetch);
    let advertised = world.source.poll().await?;
    world
        .source
        .fetch(&advertised, &mut |progress| report.doing(received(&progress)))
        .await?;
    let mirror = world.source.mirror()?;
    let commit = mirror.commit(advertised.head)?;
    report.done(format!(
        "{}  {}",
        text::commit(&commit.oid().to_string()),
        commit.subject
    ));

    report.begin(Phase::Verify);
    // The anchor is what this machine converged on: what was only seen binds nobody.
    let last = match world.journal.accepted()?.and_then(|id| id.parse().ok()) {
        Some(accepted) if mirror.contains(accepted) => {
            Some((accepted, mirror.relation(commit.oid(), accepted)?))
        }
        // Accepted and no longer to be had: the branch does not contain it.
        Some(accepted) => Some((accepted, Relation::Diverged)),
        None => None,
    };
    let revision = Revision::accept(commit.oid(), last, world.history())?;
    report.done(match last {
        None => "first commit seen here; signatures are not required",
        Some((_, Relation::Same)) => "the accepted commit; signatures are not required",
        Some((_, Relation::Descendant)) => "descends from the accepted commit; signatures are not required",
        Some(_) => "the branch was rewritten, which the configuration allows",
    });
    Ok(Target::Commit {
        revision,
        commit,
        standing: Standing::Head,
    })
}

async fn named(world: &mut World, name: &str, report: &mut Reporter<'_>) -> Result<Target, PassError> {
    report.begin(Phase::Fetch);
    let found = match world.source.mirror()?.resolve(name) {
        Ok(found) => found,
        Err(_) => {
            // It may have been pushed just now.
            let advertised = world.source.poll().await?;
            world
                .source
                .fetch(&advertised, &mut |progress| report.doing(received(&progress)))
                .await?;
            let mirror = world.source.mirror()?;
            mirror.resolve(name).map_err(|source| PassError::Revision {
                name: name.to_owned(),
                source,
            })?
        }
    };
    let commit = world.source.mirror()?.commit(found)?;
    report.done(format!(
        "{}  {}",
        text::commit(&commit.oid().to_string()),
        commit.subject
    ));
    Ok(Target::Commit {
        revision: Revision::pinned(&commit),
        commit,
        standing: Standing::Named,
    })
}

fn received(progress: &FetchProgress) -> String {
    format!(
        "{} of {} objects, {}",
        progress.received_objects,
        progress.total_objects,
        text::size(progress.received_bytes)
    )
}
