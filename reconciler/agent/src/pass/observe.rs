//! What is: the toplevel that runs, beside what the generation recorded; and the secrets in force.

use super::secrets;
use crate::class::{Class, Surface};
use crate::config::Settings;
use crate::journal::Generation;
use camino::{Utf8Path, Utf8PathBuf};
use reconciler_vars::SecretsRoot;

/// What was seen of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// The toplevel that runs, as far as it can be told.
    pub current: Option<Utf8PathBuf>,
    /// Where the profile points.
    pub profile: Option<Utf8PathBuf>,
}

/// Looks at the host, for one class.
#[must_use]
pub fn observe(settings: &Settings, surface: Surface) -> Observation {
    let profile = surface.profile(&settings.nix, &settings.paths);
    Observation {
        current: surface.current(&settings.paths, &profile),
        profile: profile.canonicalize_utf8().ok(),
    }
}

impl Observation {
    /// Whether the generation's toplevel runs, or one of its specialisations.
    #[must_use]
    pub fn toplevel_matches(&self, generation: &Generation) -> bool {
        let toplevel = Utf8Path::new(&generation.record.toplevel);
        self.current.as_ref().is_some_and(|current| {
            current == toplevel
                || surface_of(generation).is_some_and(|surface| {
                    let known = surface.specialisations(toplevel);
                    known.iter().any(|known| known.toplevel == *current)
                })
        })
    }
}

/// Where the secrets of a recorded generation lie.
#[must_use]
pub fn secrets_root(settings: &Settings, generation: &Generation) -> SecretsRoot {
    let known = secrets::from_json(generation.record.requirements.as_deref());
    // What cannot be read was written by a newer agent, for the usual place as far as anybody knows.
    secrets::root_of(&settings.paths, &known.ok().flatten().unwrap_or_default())
}

/// The surface of a recorded generation.
#[must_use]
pub fn surface_of(generation: &Generation) -> Option<Surface> {
    Class::from_name(&generation.record.class).map(Surface::of)
}
