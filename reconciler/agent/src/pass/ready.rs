//! Whether this host can take a toplevel, before anything of it is touched.

use super::{PassError, World};
use crate::class::Surface;
use camino::Utf8Path;

/// Lets it through, or names everything that stands in its way.
pub(super) async fn check(world: &World, surface: Surface, toplevel: &Utf8Path) -> Result<(), PassError> {
    let site = world.site();
    let mut obstacles = surface.obstacles(&site, toplevel);
    if obstacles.is_empty() {
        obstacles = surface.rehearse(&site, toplevel).await;
    }
    if obstacles.is_empty() {
        return Ok(());
    }
    Err(PassError::Obstacles(obstacles))
}
