//! The arguments of `reconcile vars check`, as clap reads them and `docs/commands.md` shows them.

use camino::Utf8PathBuf;
use clap::Args;

#[derive(Debug, Args)]
pub(in crate::cli) struct CheckOptions {
    /// The folder with the fleet's flake.nix [default: this folder, or the closest above it that has one]
    #[arg(long, value_name = "FOLDER", visible_alias = "directory")]
    pub(in crate::cli) fleet: Option<Utf8PathBuf>,
    /// A commit of the repository instead of what lies there; any name that git knows
    #[arg(long, value_name = "REVISION")]
    pub(in crate::cli) revision: Option<String>,
    /// Only what is about this machine. May be given several times
    #[arg(long, value_name = "MACHINE")]
    pub(in crate::cli) machine: Vec<String>,
    /// A key to open secrets with: an age key file, or an OpenSSH private key. May be given several times. With an
    /// administrator's key, the machines' own keys are opened as well and tried
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) identity: Vec<Utf8PathBuf>,
    /// Look at what lies there alone, and not at what the machines declare: no Nix is run
    #[arg(long)]
    pub(in crate::cli) no_evaluate: bool,
    /// Print one JSON document
    #[arg(long, conflicts_with = "sarif")]
    pub(in crate::cli) json: bool,
    /// Print a SARIF 2.1.0 log, for code review
    #[arg(long)]
    pub(in crate::cli) sarif: bool,
}
