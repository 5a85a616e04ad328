//! A Nix profile: its generations, and setting it through `nix-env`.
//!
//! Never `--rollback`: that is the highest number below the current one, not what ran before.

use super::tools::NixTools;
use crate::process::{Exit, RunError};
use camino::{Utf8Path, Utf8PathBuf};
use std::time::Duration;

/// A profile that could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// `nix-env` could not be run.
    #[error("cannot run nix-env")]
    Run(#[source] RunError),
    /// `nix-env` failed.
    #[error("nix-env does not change {profile}: {said}")]
    Refused {
        /// The profile.
        profile: Utf8PathBuf,
        /// What it said.
        said: String,
    },
    /// Its folder could not be made.
    #[error(transparent)]
    Folder(#[from] crate::durable::DurableError),
}

/// A Nix profile.
#[derive(Debug, Clone)]
pub struct Profile {
    path: Utf8PathBuf,
}

impl Profile {
    /// The profile whose link is at `path`.
    #[must_use]
    pub fn at(path: Utf8PathBuf) -> Profile {
        Profile { path }
    }

    /// The number of the generation it is on.
    #[must_use]
    pub fn generation(&self) -> Option<u64> {
        let link = self.path.read_link_utf8().ok()?;
        link.file_name()?
            .strip_prefix(self.path.file_name()?)?
            .strip_prefix('-')?
            .strip_suffix("-link")?
            .parse()
            .ok()
    }

    /// What a generation points at.
    #[must_use]
    pub fn target(&self, generation: u64) -> Option<Utf8PathBuf> {
        let name = self.path.file_name()?;
        self.path
            .with_file_name(format!("{name}-{generation}-link"))
            .read_link_utf8()
            .ok()
    }

    /// The newest generation that points at `toplevel`.
    #[must_use]
    pub fn number_of(&self, toplevel: &Utf8Path) -> Option<u64> {
        let prefix = format!("{}-", self.path.file_name()?);
        let links = self.path.parent()?.read_dir_utf8().ok()?.flatten();
        links
            .filter(|link| {
                link.path()
                    .canonicalize_utf8()
                    .is_ok_and(|target| target == toplevel)
            })
            .filter_map(|link| {
                let number = link.file_name().strip_prefix(&prefix)?.strip_suffix("-link")?;
                number.parse().ok()
            })
            .max()
    }

    /// All its generations, with what each points at, the oldest first.
    #[must_use]
    pub fn generations(&self) -> Vec<(u64, Utf8PathBuf)> {
        let (Some(folder), Some(name)) = (self.path.parent(), self.path.file_name()) else {
            return Vec::new();
        };
        let number = |link: &str| -> Option<u64> {
            let number = link
                .strip_prefix(name)?
                .strip_prefix('-')?
                .strip_suffix("-link")?;
            number.parse().ok()
        };
        let mut found: Vec<_> = folder
            .read_dir_utf8()
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| Some((number(entry.file_name())?, entry.path().read_link_utf8().ok()?)))
            .collect();
        found.sort();
        found
    }

    /// Deletes generations; the one it is on never is.
    pub async fn delete(&self, tools: &NixTools, generations: &[u64]) -> Result<(), ProfileError> {
        let numbers: Vec<String> = generations.iter().map(ToString::to_string).collect();
        let mut arguments = vec!["--delete-generations"];
        arguments.extend(numbers.iter().map(String::as_str));
        self.nix_env(tools, &arguments).await?;
        self.lasting()
    }

    /// Makes it point at `toplevel` and returns the generation.
    pub async fn set(&self, tools: &NixTools, toplevel: &Utf8Path) -> Result<Option<u64>, ProfileError> {
        if let Some(folder) = self.path.parent()
            && !folder.exists()
        {
            crate::durable::folder(folder, 0o755)?;
        }
        self.nix_env(tools, &["--set", toplevel.as_str()]).await?;
        self.lasting()?;
        Ok(self.generation())
    }

    /// Goes back to `generation` if it still points at `target`, and else to `target` as a new one.
    pub async fn restore(
        &self,
        tools: &NixTools,
        generation: Option<u64>,
        target: Option<&Utf8Path>,
    ) -> Result<Option<u64>, ProfileError> {
        match (generation, target) {
            (Some(number), target)
                if self.target(number).is_some() && self.target(number).as_deref() == target =>
            {
                self.nix_env(tools, &["--switch-generation", &number.to_string()])
                    .await?;
            }
            (_, Some(target)) => self.nix_env(tools, &["--set", target.as_str()]).await?,
            // There was no profile before: what it points at now is harmless, since nothing booted from it.
            (_, None) => {}
        }
        self.lasting()?;
        Ok(self.generation())
    }

    /// `nix-env` syncs nothing: after a power cut its renames may be gone.
    fn lasting(&self) -> Result<(), ProfileError> {
        if let Some(folder) = self.path.parent() {
            crate::durable::sync_folder(folder)?;
        }
        Ok(())
    }

    async fn nix_env(&self, tools: &NixTools, arguments: &[&str]) -> Result<(), ProfileError> {
        let finished = tools
            .nix_env(Duration::from_secs(120))
            .args(["--profile", self.path.as_str()])
            .args(arguments)
            .env("HOME", "/")
            .run(&mut |_| {})
            .await
            .map_err(ProfileError::Run)?;
        match finished.exit {
            Exit::Code(0) => Ok(()),
            _ => Err(ProfileError::Refused {
                profile: self.path.clone(),
                said: crate::text::plain(finished.stderr.trim()),
            }),
        }
    }
}
