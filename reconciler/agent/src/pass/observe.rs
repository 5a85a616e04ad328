//! What is: the toplevel that runs and the secrets in force, beside what the generation recorded.

use crate::class::{Class, Surface};
use crate::config::Settings;
use crate::journal::Generation;
use camino::Utf8PathBuf;
use reconciler_vars::SecretsRoot;

/// What was seen of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// The toplevel that runs, as far as it can be told.
    pub current: Option<Utf8PathBuf>,
    /// Where the profile points.
    pub profile: Option<Utf8PathBuf>,
    /// The number of the secrets generation in force.
    pub secrets: Option<u64>,
}

/// Looks at the host, for one class.
#[must_use]
pub fn observe(settings: &Settings, surface: Surface, secrets: &SecretsRoot) -> Observation {
    let profile = surface.profile(&settings.nix, &settings.paths);
    Observation {
        current: surface.current(&settings.paths, &profile),
        profile: profile.canonicalize_utf8().ok(),
        secrets: secrets.current(),
    }
}

impl Observation {
    /// Whether the generation's toplevel runs.
    #[must_use]
    pub fn toplevel_matches(&self, generation: &Generation) -> bool {
        self.current
            .as_ref()
            .is_some_and(|current| current.as_str() == generation.record.toplevel)
    }
}

/// The surface of a recorded generation.
#[must_use]
pub fn surface_of(generation: &Generation) -> Option<Surface> {
    Class::from_name(&generation.record.class).and_then(Surface::of)
}
