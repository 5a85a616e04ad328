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
    /// A file of a home that is not home-manager's.
    #[error("{path} of {user} is there already and is not home-manager's")]
    Clobbered {
        /// The user.
        user: String,
        /// The file.
        path: Utf8PathBuf,
    },
    /// A dry run of home-manager failed for another reason.
    #[error("the dry run for {user} ended with {ended}: {said}")]
    DryRun {
        /// The user.
        user: String,
        /// How it ended.
        ended: String,
        /// The last line of what it said.
        said: String,
    },
    /// A toplevel does not say whose home it is for, and the agent is nobody's own.
    #[error("{toplevel} does not say whose home it is for, and the agent runs as root")]
    Whose {
        /// The store path.
        toplevel: Utf8PathBuf,
    },
    /// A home's user does not exist.
    #[error("there is no user {user} on this host")]
    NoUser {
        /// The user.
        user: String,
    },
    /// A user's home does not exist.
    #[error("there is no {home}, the home of {user}")]
    NoHome {
        /// The user.
        user: String,
        /// The folder.
        home: Utf8PathBuf,
    },
    /// A home is somebody else's, and the agent is not root.
    #[error("only root and {user} can activate the home of {user}")]
    AnothersHome {
        /// The user.
        user: String,
    },
    /// A configuration for nix-darwin from before every activation ran as root.
    #[error("it has an `activate-user` that wants to be run by a person who is logged in")]
    UserActivation,
    /// nix-darwin would manage a Nix that Determinate manages.
    #[error("it would manage Nix, and this Mac has Determinate's, which manages itself")]
    Determinate,
}

impl Obstacle {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Obstacle::Unmanaged { path } => format!(
                "move {path} away, or set `replaceExisting = true` on its entry of `environment.etc` in the fleet"
            ),
            Obstacle::Clobbered { path, .. } => {
                format!("move {path} away, or set `force = true` on its entry of `home.file` in the fleet")
            }
            Obstacle::DryRun { user, .. } => {
                format!("run the generation's `activate` as {user} with `DRY_RUN=1` to see all of it")
            }
            Obstacle::Whose { .. } => {
                "declare a toplevel with `users/<user>` for each user, or run the agent as the user"
                    .to_owned()
            }
            Obstacle::NoUser { user } => format!("make the user {user}, or take it out of the fleet's entry"),
            Obstacle::NoHome { home, .. } => format!("make or mount {home}"),
            Obstacle::AnothersHome { .. } => "run the agent as root, or declare only its own user".to_owned(),
            Obstacle::UserActivation => {
                "update nix-darwin to a release of 2025 or later, and set `system.primaryUser`".to_owned()
            }
            Obstacle::Determinate => "set `nix.enable = false` in the machine's configuration".to_owned(),
        }
    }
}
