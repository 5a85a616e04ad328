//! The agent's own GC roots: what may not be collected while a machine could go back to it.
//!
//! Direct links below Nix's `gcroots`: unlike profile generations they outlive `nix-collect-garbage -d`, and
//! unlike indirect roots nothing drops them. Where that folder cannot be written (an agent that is not root),
//! the links lie in the state directory and the daemon is told of them.

use crate::durable::{self, DurableError};
use camino::{Utf8Path, Utf8PathBuf};
use nix_daemon_client::{Client, ConnectError, ConnectOptions, StorePath, StorePathError};

/// A root that could not be made or removed.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// The link could not be written.
    #[error("cannot protect {target} from the garbage collector")]
    Link {
        /// What is to be protected.
        target: Utf8PathBuf,
        /// Why.
        #[source]
        source: DurableError,
    },
    /// The daemon did not take note of it.
    #[error("the nix-daemon does not take {link} as a root")]
    Register {
        /// The link.
        link: Utf8PathBuf,
        /// Why.
        #[source]
        source: nix_daemon_client::Error,
    },
    /// A collection that may be running could not be told.
    #[error("cannot protect {target} from a running garbage collector")]
    Running {
        /// What is to be protected.
        target: Utf8PathBuf,
        /// Why.
        #[source]
        source: nix_daemon_client::Error,
    },
    /// What is to be protected is no path of the store.
    #[error("cannot protect {target} from the garbage collector")]
    Path {
        /// What is to be protected.
        target: Utf8PathBuf,
        /// Why.
        #[source]
        source: StorePathError,
    },
    /// The daemon could not be told of it.
    #[error("cannot tell the nix-daemon to keep {target}")]
    Daemon {
        /// What is to be protected.
        target: Utf8PathBuf,
        /// Why.
        #[source]
        source: ConnectError,
    },
    /// The folder could not be listed or cleaned.
    #[error("cannot clean the roots in {folder}")]
    Clean {
        /// The folder.
        folder: Utf8PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// How the links take effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    Direct,
    Indirect,
}

/// The folder of roots.
#[derive(Debug, Clone)]
pub struct Roots {
    folder: Utf8PathBuf,
    reach: Reach,
}

impl Roots {
    /// Chooses and makes the folder.
    pub fn open(nix_state: &Utf8Path, agent_state: &Utf8Path) -> Result<Roots, DurableError> {
        let direct = nix_state.join("gcroots/reconciler");
        if durable::folder(&direct, 0o755).is_ok() {
            return Ok(Roots {
                folder: direct,
                reach: Reach::Direct,
            });
        }
        let folder = agent_state.join("gcroots");
        durable::folder(&folder, 0o755)?;
        Ok(Roots {
            folder,
            reach: Reach::Indirect,
        })
    }

    /// The name of a generation's root.
    #[must_use]
    pub fn generation(number: u64) -> String {
        format!("generation-{number}")
    }

    /// Protects `target` under `name`, replacing what was protected under it. Afterwards neither a collection that
    /// runs nor one that begins takes it, whatever becomes of the connection.
    pub async fn protect(&self, name: &str, target: &Utf8Path, client: &mut Client) -> Result<(), RootError> {
        let link = self.link(name, target)?;
        if self.reach == Reach::Indirect {
            client
                .add_indirect_root(link.as_std_path())
                .await
                .map_err(|source| RootError::Register { link, source })?;
        }
        // A collection that began before there was the link has read the links, and may not yet have read what open
        // connections protect. It is told now; one that begins later finds the link.
        let failing = |source| RootError::Running {
            target: target.to_owned(),
            source,
        };
        let path = StorePath::from_absolute(target.as_str()).map_err(|source| RootError::Path {
            target: target.to_owned(),
            source,
        })?;
        client.add_temp_root(&path).await.map_err(failing)
    }

    /// Protects `target` under `name` where no connection is open.
    pub async fn keep_path(&self, name: &str, target: &Utf8Path, daemon: &Utf8Path) -> Result<(), RootError> {
        match self.reach {
            Reach::Direct => self.link(name, target).map(|_| ()),
            Reach::Indirect => {
                let client = Client::connect(daemon.as_std_path(), &ConnectOptions::default()).await;
                let mut client = client.map_err(|source| RootError::Daemon {
                    target: target.to_owned(),
                    source,
                })?;
                self.protect(name, target, &mut client).await
            }
        }
    }

    /// Gives up what is protected under `name`, if anything is.
    pub fn release(&self, name: &str) -> Result<(), RootError> {
        match std::fs::remove_file(self.folder.join(name)) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(RootError::Clean {
                folder: self.folder.clone(),
                source,
            }),
            _ => Ok(()),
        }
    }

    /// Whether a name protects exactly `target`.
    #[must_use]
    pub fn protects(&self, name: &str, target: &Utf8Path) -> bool {
        self.folder
            .join(name)
            .read_link_utf8()
            .is_ok_and(|found| found == target)
    }

    /// Gives up every root but those named.
    pub fn keep(&self, names: &[String]) -> Result<(), RootError> {
        let cleaning = |source| RootError::Clean {
            folder: self.folder.clone(),
            source,
        };
        for entry in self.folder.read_dir_utf8().map_err(cleaning)? {
            let entry = entry.map_err(cleaning)?;
            if !names.iter().any(|name| name == entry.file_name()) {
                std::fs::remove_file(entry.path()).map_err(cleaning)?;
            }
        }
        durable::sync_folder(&self.folder).map_err(|source| RootError::Link {
            target: self.folder.clone(),
            source,
        })
    }

    fn link(&self, name: &str, target: &Utf8Path) -> Result<Utf8PathBuf, RootError> {
        let link = self.folder.join(name);
        durable::replace_link(&link, target).map_err(|source| RootError::Link {
            target: target.to_owned(),
            source,
        })?;
        Ok(link)
    }
}
