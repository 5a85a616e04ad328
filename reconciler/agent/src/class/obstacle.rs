//! What stands in the way of an activation before it is begun, and what a person does about it. Only words.

use camino::Utf8PathBuf;

/// Something that an activation would fail at, or would leave undone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Obstacle {
    /// A file of `/etc` that is not system-manager's.
    #[error("{path} is there already and is not system-manager's")]
    Unmanaged {
        /// The file.
        path: Utf8PathBuf,
    },
}

impl Obstacle {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Obstacle::Unmanaged { path } => format!(
                "move {path} away, or set `replaceExisting = true` on its entry of `environment.etc` in the fleet"
            ),
        }
    }
}
