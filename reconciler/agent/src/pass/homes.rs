//! What the homes of a host run now, as one toplevel that can be gone back to.

use super::commit::connect;
use super::{PassError, World};
use crate::class::{Surface, current_of, homes};
use camino::{Utf8Path, Utf8PathBuf};
use nix_daemon_client::nar::Encoder;
use nix_daemon_client::{AddMethod, StorePath};
use std::collections::{BTreeMap, BTreeSet};

/// The name of such a toplevel in the store.
const NAME: &str = "home-manager-users";

/// What the homes of `candidate`'s users run. Where that is no toplevel of the agent's, one is made of it: each user
/// gets back what was theirs, be it their own.
pub(super) async fn current(
    world: &World,
    candidate: &Utf8Path,
    seen: Option<Utf8PathBuf>,
) -> Result<Option<Utf8PathBuf>, PassError> {
    let paths = &world.settings.paths;
    let profile = Surface::HomeManager.profile(&world.settings.nix, paths);
    let recorded = profile.canonicalize_utf8().ok();
    let users: BTreeSet<String> = [Some(candidate), recorded.as_deref()]
        .into_iter()
        .flatten()
        .flat_map(|toplevel| homes(paths, toplevel))
        .map(|home| home.user)
        .collect();
    if let Some(recorded) = &recorded
        && seen.as_ref() == Some(recorded)
        && homes(paths, recorded).len() == users.len()
    {
        return Ok(seen);
    }
    let generations: BTreeMap<String, Utf8PathBuf> = users
        .into_iter()
        .filter_map(|user| current_of(paths, &user).map(|generation| (user, generation)))
        .collect();
    if generations.is_empty() {
        return Ok(None);
    }
    compose(world, &generations).await.map(Some)
}

/// The object of the store that a path lies in.
fn object(store: &str, path: &Utf8Path) -> Utf8PathBuf {
    let below = path.strip_prefix(store).unwrap_or(path);
    Utf8Path::new(store).join(below.components().next().map_or("", |name| name.as_str()))
}

/// Adds a folder to the store whose `users/<user>` lead to generations.
async fn compose(
    world: &World,
    generations: &BTreeMap<String, Utf8PathBuf>,
) -> Result<Utf8PathBuf, PassError> {
    let store = world.settings.nix.store.as_str();
    let mut references = BTreeSet::new();
    for generation in generations.values() {
        references.insert(StorePath::parse(store, object(store, generation).as_str())?);
    }
    let pack = || -> Result<Vec<u8>, nix_daemon_client::nar::Error> {
        let mut nar = Encoder::new(Vec::new())?;
        nar.enter(b"users")?;
        for (user, generation) in generations {
            nar.symlink(user.as_bytes(), generation.as_str().as_bytes())?;
        }
        nar.leave()?;
        nar.finish()
    };
    let nar = pack().map_err(PassError::Homes)?;
    let mut client = connect(world).await?;
    let added = client
        .add_to_store(NAME, AddMethod::Archive, &references, &nar[..], &mut ())
        .await;
    let added = added.map_err(|source| PassError::Ask {
        path: NAME.into(),
        source,
    })?;
    let path = Utf8PathBuf::from(added.path.to_string());
    // Protected before the connection that added it lets go of it.
    world
        .roots
        .protect(super::transact::PREVIOUS, &path, &mut client)
        .await?;
    Ok(path)
}
