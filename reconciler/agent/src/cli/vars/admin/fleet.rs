//! The fleet that a person works in: its folder, its lock, what it declares. Changes nothing by itself.

use super::error::AdminError;
use crate::cli::bounds::limits;
use crate::cli::context::{Context, Detail};
use crate::host;
use crate::nix::Checkout;
use camino::{Utf8Path, Utf8PathBuf};
use reconciler_vars::generators::{Directory, FleetGenerators, Graph};
use reconciler_vars::{DirectoryTree, Tree};

/// The folder of a fleet.
#[derive(Debug)]
pub(super) struct Fleet {
    pub(super) root: Utf8PathBuf,
    pub(super) tree: DirectoryTree,
    pub(super) checkout: Checkout,
}

/// What it declares.
#[derive(Debug)]
pub(super) struct Declared {
    pub(super) fleet: FleetGenerators,
    pub(super) graph: Graph,
}

impl Declared {
    pub(super) fn machines(&self) -> Vec<String> {
        self.fleet.machines.keys().cloned().collect()
    }
}

impl Fleet {
    /// The fleet in `named`, or in the closest folder upwards that has a flake.nix.
    pub(super) fn open(context: &Context, named: Option<&Utf8Path>) -> Result<Fleet, AdminError> {
        let root = locate(named)?;
        let environment = host::of_a_person(&context.environment.search_path());
        let tree = DirectoryTree::new(root.as_std_path());
        let declared = tree.read("reconciler.toml").ok().flatten();
        let limits = limits(&declared.unwrap_or_default())?;
        Ok(Fleet {
            checkout: Checkout::new(&root, &context.environment.folders, environment, limits)?,
            tree,
            root,
        })
    }

    /// Its keys, with the plugins of whoever types for those that need one.
    pub(super) fn directory(&self, context: &Context) -> Directory<'_> {
        Directory::new(&self.tree).with_plugins(crate::secrets::plugins(&context.environment))
    }

    /// Evaluates what the fleet declares, without any script.
    pub(super) async fn declared(&self, context: &Context) -> Result<Declared, AdminError> {
        let fleet = self.checkout.generators(&mut listen(context)).await?;
        let graph = Graph::new(&fleet).map_err(AdminError::Graph)?;
        Ok(Declared { fleet, graph })
    }
}

/// What Nix says, passed on where somebody wants to hear it.
pub(super) fn listen(context: &Context) -> impl FnMut(&str) + Send {
    let wanted = context.detail == Detail::Verbose;
    move |line| {
        if wanted {
            say(line);
        }
    }
}

pub(super) use crate::cli::page::note as say;

fn locate(named: Option<&Utf8Path>) -> Result<Utf8PathBuf, AdminError> {
    let start = named.unwrap_or(Utf8Path::new("."));
    let start = start.canonicalize_utf8().map_err(AdminError::Folder)?;
    let has_flake = |folder: &&Utf8Path| folder.join("flake.nix").is_file();
    let found = match named {
        Some(_) => Some(start.as_path()).filter(has_flake),
        None => start.ancestors().find(has_flake),
    };
    found
        .map(Utf8Path::to_owned)
        .ok_or(AdminError::NoFlake { folder: start })
}
