//! Where the fleet is that is checked, and what its machines declare. Never writes anything.

use super::args::CheckOptions;
use super::error::CheckError;
use crate::cli::bounds::limits;
use crate::cli::context::{Context, Detail};
use crate::host;
use crate::nix::{Metadata, Survey};
use crate::secrets::FleetTree;
use crate::source::{Checkout, Moment};
use camino::{Utf8Path, Utf8PathBuf};
use reconciler_vars::audit::MachineEntry;
use reconciler_vars::{Backend, DirectoryTree, FleetKind, Tree};
use std::io::{self, IsTerminal, Write};

/// The folders of a fleet that the check looks at.
pub(super) const FOLDERS: [&str; 3] = ["vars", "sops", "secrets"];

/// A fleet's folder, in a repository or in none.
#[derive(Debug)]
pub(super) struct Fleet {
    checkout: Option<Checkout>,
    /// The folder that has flake.nix, or the one that was named.
    folder: Utf8PathBuf,
    /// The same, below the root of the repository.
    pub(super) directory: String,
}

/// What the machines declare.
#[derive(Debug)]
pub(super) struct Declarations {
    pub(super) entries: Vec<MachineEntry>,
    pub(super) kind: Option<FleetKind>,
    /// Where a clan keeps its vars, below the flake.
    pub(super) directory: String,
}

/// Why nothing was evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unevaluated {
    Unwanted,
    NoNix,
    NoFlake,
}

impl Fleet {
    pub(super) fn find(options: &CheckOptions) -> Result<Fleet, CheckError> {
        let named = match &options.fleet {
            Some(folder) => folder.clone(),
            None => {
                let here = std::env::current_dir().map_err(CheckError::Here)?;
                Utf8PathBuf::from_path_buf(here)
                    .map_err(|_| CheckError::Here(io::Error::from(io::ErrorKind::InvalidFilename)))?
            }
        };
        let folder = named.canonicalize_utf8().map_err(|source| CheckError::Folder {
            folder: named.clone(),
            source,
        })?;
        let moment = options.revision.as_deref().map_or(Moment::Now, Moment::At);
        let checkout = Checkout::open(&folder, moment)?;
        let Some(checkout) = checkout else {
            if let Some(revision) = &options.revision {
                let revision = revision.clone();
                return Err(CheckError::NoRepository { folder, revision });
            }
            let folder = with_flake(&folder, Utf8Path::new("/")).unwrap_or(folder);
            return Ok(Fleet {
                checkout: None,
                folder,
                directory: String::new(),
            });
        };
        let root = checkout
            .root()
            .canonicalize_utf8()
            .map_err(|source| CheckError::Folder {
                folder: checkout.root().to_owned(),
                source,
            })?;
        // A folder that was named is taken as it is; else the closest flake is looked for, as Nix does.
        let folder = match options.fleet {
            Some(_) => folder,
            None => with_flake(&folder, &root).unwrap_or(folder),
        };
        let directory = folder
            .strip_prefix(&root)
            .map(Utf8Path::to_string)
            .unwrap_or_default();
        Ok(Fleet {
            checkout: Some(checkout),
            folder,
            directory,
        })
    }

    /// The files of a folder below the flake's, with `use_tree`.
    pub(super) fn with_tree<T>(
        &self,
        below: &str,
        use_tree: impl FnOnce(&dyn Tree) -> Result<T, CheckError>,
    ) -> Result<T, CheckError> {
        let Some(checkout) = &self.checkout else {
            return use_tree(&DirectoryTree::new(self.folder.join(below)));
        };
        let path = join(&self.directory, below);
        let view = checkout.tree()?;
        match view.directory(&path) {
            Ok(view) => use_tree(&FleetTree(view)),
            Err(_) => Err(CheckError::NoVars {
                folder: self.folder.join(below),
            }),
        }
    }

    /// The commit that is looked at, where it is one.
    pub(super) fn revision(&self) -> Option<String> {
        Some(self.checkout.as_ref()?.commit()?.to_string())
    }

    /// The flake's folder.
    pub(super) fn folder(&self) -> &Utf8Path {
        &self.folder
    }

    /// Files of the fleet that git does not know.
    pub(super) fn untracked(&self, below: &str) -> Result<Vec<String>, CheckError> {
        let Some(checkout) = &self.checkout else {
            return Ok(Vec::new());
        };
        let folder = join(&self.directory, below);
        let folders: Vec<String> = FOLDERS.iter().map(|name| join(&folder, name)).collect();
        Ok(checkout.untracked(&folders)?)
    }

    /// What all machines declare, or why that was not looked at.
    pub(super) async fn evaluate(
        &self,
        context: &Context,
        options: &CheckOptions,
    ) -> Result<Result<Declarations, Unevaluated>, CheckError> {
        if options.no_evaluate {
            return Ok(Err(Unevaluated::Unwanted));
        }
        let has_flake = self.with_tree("", |tree| Ok(tree.read("flake.nix")?.is_some()))?;
        if !has_flake {
            return Ok(Err(Unevaluated::NoFlake));
        }
        let Some(nix) = Survey::find_nix(&context.environment.folders) else {
            return Ok(Err(Unevaluated::NoNix));
        };
        let failed = |source| CheckError::Survey {
            folder: self.folder.clone(),
            source,
        };
        let path = std::env::join_paths(&context.environment.folders).unwrap_or_default();
        let environment = host::of_a_person(&path.to_string_lossy());
        let declared = self.with_tree("", |tree| Ok(tree.read("reconciler.toml").ok().flatten()))?;
        let limits = limits(&declared.unwrap_or_default())?;
        let survey = Survey::begin(&nix, environment, &self.flake(), &self.directory, limits).await;
        let survey = survey.map_err(failed)?;
        let mut progress = Progress::new(context);
        progress.tell("evaluating the fleet");
        let machines = survey.machines().await.map_err(failed)?;
        let mut declarations = Declarations {
            entries: Vec::with_capacity(machines.len()),
            kind: None,
            directory: String::new(),
        };
        for (index, machine) in machines.iter().enumerate() {
            progress.tell(&format!(
                "evaluating {machine} ({} of {})",
                index + 1,
                machines.len()
            ));
            let entry = survey.entry(machine).await;
            declarations.add(machine, entry.map_err(|error| error.to_string()));
        }
        progress.end();
        Ok(Ok(declarations))
    }

    /// The flake, as Nix names it.
    fn flake(&self) -> String {
        let Some(checkout) = &self.checkout else {
            return format!("path:{}", self.folder);
        };
        let Some(commit) = checkout.commit() else {
            return self.folder.to_string();
        };
        let root = checkout.root().as_str().trim_end_matches('/');
        let directory = if self.directory.is_empty() {
            String::new()
        } else {
            format!("&dir={}", self.directory)
        };
        let shallow = if checkout.root().join(".git/shallow").exists() {
            "&shallow=1"
        } else {
            ""
        };
        format!("git+file://{root}?rev={commit}&allRefs=1{shallow}{directory}")
    }
}

impl Declarations {
    fn add(&mut self, machine: &str, entry: Result<Metadata, String>) {
        let (declared, store) = match entry {
            Err(why) => (Err(why), None),
            Ok(metadata) => {
                let store = match metadata.clan {
                    Some(clan) => {
                        self.kind = Some(FleetKind::Clan);
                        self.directory = clan.directory;
                        clan.secret_store
                    }
                    None => None,
                };
                (Ok(metadata.vars.filter(|declared| !declared.is_empty())), store)
            }
        };
        self.entries.push(MachineEntry {
            name: machine.to_owned(),
            declared,
            backend: Backend::of(store.as_deref()),
        });
    }
}

/// One line that is written over, where somebody looks.
struct Progress {
    shown: bool,
}

impl Progress {
    fn new(context: &Context) -> Progress {
        Progress {
            shown: context.detail != Detail::Quiet && io::stderr().is_terminal(),
        }
    }

    fn tell(&mut self, text: &str) {
        if self.shown {
            // With standard error gone there is nobody left to tell.
            let _ = write!(io::stderr(), "\r\u{1b}[K{text}");
        }
    }

    fn end(&mut self) {
        self.tell("");
    }
}

/// The closest folder with a flake, up to `root`.
fn with_flake(folder: &Utf8Path, root: &Utf8Path) -> Option<Utf8PathBuf> {
    let within = folder.ancestors().take_while(|folder| folder.starts_with(root));
    within
        .into_iter()
        .find(|folder| folder.join("flake.nix").exists())
        .map(Utf8Path::to_owned)
}

pub(super) fn join(folder: &str, path: &str) -> String {
    match (folder.is_empty(), path.is_empty()) {
        (true, _) => path.to_owned(),
        (_, true) => folder.to_owned(),
        (false, false) => format!("{folder}/{path}"),
    }
}
