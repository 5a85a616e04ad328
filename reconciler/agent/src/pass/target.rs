//! Which commit a pass is about: the pin, the one a person named, or the branch's head.

use super::{PassError, Phase, Reporter, Request, World};
use crate::closure::Change;
use crate::journal::{Generation, Pin};
use crate::source::{
    Advertised, CommitInfo, FetchError, FetchProgress, Mirror, MirrorError, Relation, RemoteError, Revision,
};
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
    /// Where the branch is, once it was looked at.
    pub(super) head: Option<String>,
    /// What it changes, once that is known.
    pub(super) change: Option<Change>,
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
    let advertised = fetch(world, report).await?;
    let mirror = world.source.mirror()?;
    about.head = Some(advertised.head.to_string());
    let commit = mirror.commit(advertised.head.oid())?;
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
    let accepted = world
        .journal
        .accepted()?
        .or_else(|| world.roots.accepted(world.fleet_url()));
    let last = match accepted.and_then(|id| id.parse().ok()) {
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
    let found = match whole_mirror(world, report)?.resolve(name) {
        Ok(found) => found,
        Err(_) => {
            // It may have been pushed just now.
            fetch(world, report).await?;
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

/// Asks where the branch is and brings it here.
async fn fetch(world: &World, report: &mut Reporter<'_>) -> Result<Advertised, PassError> {
    let advertised = world.source.poll().await?;
    whole_mirror(world, report)?;
    let fetched = world
        .source
        .fetch(&advertised, &mut |progress| report.doing(received(&progress)))
        .await;
    match fetched {
        Err(error) if is_damage(&error) => {
            renew(world, report)?;
            world
                .source
                .fetch(&advertised, &mut |progress| report.doing(received(&progress)))
                .await?;
        }
        fetched => fetched?,
    }
    Ok(advertised)
}

/// The mirror; a damaged one is made anew, since it holds nothing that the remote does not.
fn whole_mirror(world: &World, report: &mut Reporter<'_>) -> Result<Mirror, PassError> {
    match world.source.mirror() {
        Err(MirrorError::Corrupt { .. }) => renew(world, report),
        mirror => Ok(mirror?),
    }
}

fn renew(world: &World, report: &mut Reporter<'_>) -> Result<Mirror, PassError> {
    report.note("the mirror of the fleet was damaged and is fetched anew");
    Ok(Mirror::recreate(&world.source.settings().mirror)?)
}

fn is_damage(error: &FetchError) -> bool {
    match error {
        FetchError::Mirror(MirrorError::Corrupt { .. }) => true,
        FetchError::Urls(failures) => failures
            .0
            .iter()
            .any(|failure| matches!(failure.error, RemoteError::Mirror(_))),
        _ => false,
    }
}

fn received(progress: &FetchProgress) -> String {
    format!(
        "{} of {} objects, {}",
        progress.received_objects,
        progress.total_objects,
        text::size(progress.received_bytes)
    )
}
