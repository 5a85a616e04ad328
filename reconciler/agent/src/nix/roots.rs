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
            let folder = match is_of(&shared, agent_state)? {
                true => shared,
                false => {
                    let digest = Sha256::digest(agent_state.as_str());
                    let mark: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
                    let folder = nix_state.join(format!("gcroots/reconciler-{mark}"));
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

    /// The accepted commit as it stands here, where a journal that is lost does not take it along.
    #[must_use]
    pub fn accepted(&self) -> Option<String> {
        let text = std::fs::read_to_string(self.folder.join(ACCEPTED)).ok()?;
        Some(text.trim().to_owned()).filter(|text| !text.is_empty())
    }

    /// Writes it down.
    pub fn set_accepted(&self, revision: &str) -> Result<(), DurableError> {
        if self.accepted().as_deref() == Some(revision) {
            return Ok(());
        }
        let text = format!("{revision}\n");
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

/// Whether a folder of roots is that of the agent with this state, or becomes it: another one on the host, as one for
/// the system and one for homes, has another. One whose agent is gone is taken over.
fn is_of(folder: &Utf8Path, agent_state: &Utf8Path) -> Result<bool, DurableError> {
    let file = folder.join(AGENT);
    let of = std::fs::read_to_string(&file).unwrap_or_default();
    let of = Utf8Path::new(of.trim_end());
    if of == agent_state {
        return Ok(true);
    }
    if !of.as_str().is_empty() && of.exists() {
        return Ok(false);
    }
    durable::replace(
        &file,
        format!("{agent_state}\n").as_bytes(),
        0o644,
        Lasting::Power,
    )?;
    Ok(true)
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
        a.set_accepted("abc").unwrap();
        b.keep(&[]).unwrap();
        a.keep(&["generation-1".to_owned()]).unwrap();
        assert!(a.protects("generation-1", Utf8Path::new("/nix/store/a")));
        assert_eq!(
            (a.accepted().as_deref(), b.accepted().as_deref()),
            (Some("abc"), None)
        );
        assert_eq!(
            (open(&first).folder, open(&second).folder),
            (a.folder.clone(), b.folder)
        );
        // One that is gone leaves its place to the next.
        std::fs::remove_dir(&first).unwrap();
        let third = at.join("third");
        std::fs::create_dir(&third).unwrap();
        assert_eq!(open(&third).folder, a.folder);
    }
}
