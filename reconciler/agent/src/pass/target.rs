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

/// What a pass turned out to be about, told also where it fails.
#[derive(Debug, Default)]
pub(super) struct About {
    pub(super) revision: Option<String>,
    pub(super) subject: Option<String>,
}

impl About {
    pub(super) fn is(&mut self, revision: &str, subject: &str) {
        self.revision = Some(revision.to_owned());
        self.subject = Some(subject.to_owned());
    }
}

/// Finds the target, fetching as far as it has to.
pub(super) async fn find(
    world: &mut World,
    request: &Request,
    pin: Option<&Pin>,
    about: &mut About,
    report: &mut Reporter<'_>,
) -> Result<Target, PassError> {
    if let Some(pin) = pin
        && request.revision.is_none()
    {
        if let Some(number) = pin.generation
            && let Some(generation) = world.journal.generation(number)?
        {
            about.is(&generation.record.revision, &generation.record.subject);
            return Ok(Target::Generation(Box::new(generation)));
        }
        return named(world, &pin.revision, about, report).await;
    }
    match &request.revision {
        Some(name) => named(world, name, about, report).await,
        None => head(world, about, report).await,
    }
}

async fn head(world: &mut World, about: &mut About, report: &mut Reporter<'_>) -> Result<Target, PassError> {
    report.begin(Phase::Fetch);
    let advertised = world.source.poll().await?;
    world
        .source
        .fetch(&advertised, &mut |progress| report.doing(received(&progress)))
        .await?;
    let mirror = world.source.mirror()?;
    let commit = mirror.commit(advertised.head)?;
    about.is(&commit.oid().to_string(), &commit.subject);
    report.done(format!(
        "{}  {}",
        text::commit(&commit.oid().to_string()),
        commit.subject
    ));

    report.begin(Phase::Verify);
    // The anchor is what this machine converged on: what was only seen binds nobody.
    let runs =
        world.journal.converged(&world.settings.entry())?.as_deref() == Some(&commit.oid().to_string());
    let last = match world.journal.accepted()?.and_then(|id| id.parse().ok()) {
        // The machine is on it already, by a pin: that was a person's word.
        Some(_) if runs => Some((commit.oid(), Relation::Same)),
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

async fn named(
    world: &mut World,
    name: &str,
    about: &mut About,
    report: &mut Reporter<'_>,
) -> Result<Target, PassError> {
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
    about.is(&commit.oid().to_string(), &commit.subject);
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
