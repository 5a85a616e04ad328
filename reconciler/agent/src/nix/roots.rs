//! The agent's own GC roots: what may not be collected while a machine could go back to it.
//!
//! Direct links below Nix's `gcroots`: unlike profile generations they outlive `nix-collect-garbage -d`, and
//! unlike indirect roots nothing drops them. Where that folder cannot be written (an agent that is not root),
//! the links lie in the state directory and the daemon is told of them.

use crate::durable::{self, DurableError, Lasting};
use camino::{Utf8Path, Utf8PathBuf};
use nix_daemon_client::{Client, ConnectError, ConnectOptions, StorePath, StorePathError};
use sha2::{Digest, Sha256};

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

/// The file that says whose folder it is: the agent's state directory.
const AGENT: &str = "agent";
/// The file of the accepted commit.
const ACCEPTED: &str = "accepted";

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
        let shared = nix_state.join("gcroots/reconciler");
        if durable::folder(&shared, 0o755).is_ok() {
            let folder = match is_of(&shared, agent_state) {
                true => shared,
                false => {
                    let folder = nix_state.join(format!("gcroots/reconciler-{}", mark(agent_state.as_str())));
                    durable::folder(&folder, 0o755)?;
                    folder
                }
            };
            return Ok(Roots {
                folder,
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

    /// The accepted commit of a fleet as it stands here, where a journal that is lost does not take it along.
    #[must_use]
    pub fn accepted(&self, fleet: &str) -> Option<String> {
        let text = std::fs::read_to_string(self.folder.join(ACCEPTED)).ok()?;
        let (revision, of) = text.trim_end().split_once(' ')?;
        (of == mark(fleet)).then(|| revision.to_owned())
    }

    /// Writes it down.
    pub fn set_accepted(&self, fleet: &str, revision: &str) -> Result<(), DurableError> {
        if self.accepted(fleet).as_deref() == Some(revision) {
            return Ok(());
        }
        let text = format!("{revision} {}\n", mark(fleet));
        durable::replace(
            &self.folder.join(ACCEPTED),
            text.as_bytes(),
            0o644,
            Lasting::Power,
        )
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
            let is_ours = [AGENT, ACCEPTED].contains(&entry.file_name());
            if !is_ours && !names.iter().any(|name| name == entry.file_name()) {
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

/// A short name for a text that may be a secret's, as a URL with a password.
fn mark(text: &str) -> String {
    let digest = Sha256::digest(text);
    digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

/// Whether a folder of roots is that of the agent with this state, or becomes it: another one on the host, as one for
/// the system and one for homes, has another.
fn is_of(folder: &Utf8Path, agent_state: &Utf8Path) -> bool {
    let file = folder.join(AGENT);
    match std::fs::read_to_string(&file) {
        Ok(of) => of.trim_end() == agent_state,
        Err(_) => {
            // Where it cannot be written, as on a full disk, no second agent has claimed it either.
            let text = format!("{agent_state}\n");
            if let Err(error) = durable::replace(&file, text.as_bytes(), 0o644, Lasting::Power) {
                tracing::warn!("{}", crate::text::chain(&error));
            }
            true
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_agents_of_a_host_have_roots_of_their_own() {
        let folder = tempfile::tempdir().unwrap();
        let at = Utf8Path::from_path(folder.path()).unwrap();
        let (first, second) = (at.join("first"), at.join("second"));
        for state in [&first, &second] {
            std::fs::create_dir(state).unwrap();
        }
        let open = |state: &Utf8Path| Roots::open(&at.join("nix"), state).unwrap();
        let (a, b) = (open(&first), open(&second));
        assert_ne!(a.folder, b.folder);
        a.link("generation-1", Utf8Path::new("/nix/store/a")).unwrap();
        a.set_accepted("fleet", "abc").unwrap();
        b.keep(&[]).unwrap();
        a.keep(&["generation-1".to_owned()]).unwrap();
        assert!(a.protects("generation-1", Utf8Path::new("/nix/store/a")));
        assert_eq!(
            (a.accepted("fleet").as_deref(), b.accepted("fleet").as_deref()),
            (Some("abc"), None)
        );
        assert_eq!(a.accepted("another fleet"), None);
        assert_eq!(
            (open(&first).folder, open(&second).folder),
            (a.folder.clone(), b.folder)
        );
    }
}
