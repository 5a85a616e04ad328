//! The host as a class sees it: where its files lie and where its tools are. Owns nothing.

use crate::config::{NixSettings, Paths};
use std::path::{Path, PathBuf};

/// Where a class looks and works.
#[derive(Debug, Clone, Copy)]
pub struct Site<'a> {
    /// The paths of the host.
    pub paths: &'a Paths,
    /// Where Nix is.
    pub nix: &'a NixSettings,
    /// Where commands are looked for.
    pub folders: &'a [PathBuf],
    /// The agent's own binary, by a path that whatever starts activations can find it at.
    pub binary: &'a Path,
}

impl Site<'_> {
    /// The environment of a tool that is asked about this host.
    #[must_use]
    pub fn environment(&self) -> Vec<(String, String)> {
        let path: Vec<String> = self
            .folders
            .iter()
            .map(|folder| folder.display().to_string())
            .collect();
        let mut environment = vec![
            ("PATH".to_owned(), path.join(":")),
            ("LANG".to_owned(), "C.UTF-8".to_owned()),
        ];
        if self.paths.root != "/" {
            environment.push(("RECONCILER_ROOT".to_owned(), self.paths.root.to_string()));
        }
        environment
    }
}
