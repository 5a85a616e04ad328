//! The arguments of `reconcile vars`, as clap reads them and `docs/commands.md` shows them.

use super::admin::{GenerateOptions, GetOptions, ListOptions, RekeyOptions, SetOptions};
use super::check::CheckOptions;
use camino::Utf8PathBuf;
use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum VarsVerb {
    /// Check every secret of the fleet: who can open it, who should, and what the machines declare
    Check(CheckOptions),
    /// Print what a sops or age file holds, opened with this machine's keys
    Decrypt(DecryptOptions),
    /// List the values that the fleet declares, and who may read them
    List(ListOptions),
    /// Print one value
    Get(GetOptions),
    /// Set one value: standard input, or what is typed
    Set(SetOptions),
    /// Make the values that are missing or stale
    Generate(GenerateOptions),
    /// Encrypt every secret to those who may read it: its links say who
    Rekey(RekeyOptions),
}

#[derive(Debug, Args)]
pub(in crate::cli) struct DecryptOptions {
    /// The file; `-` is standard input
    #[arg(value_name = "FILE")]
    pub(in crate::cli) file: Utf8PathBuf,
    /// Another key to try first: an age key file, or an OpenSSH private key. May be given several times
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) identity: Vec<Utf8PathBuf>,
    /// Print one JSON document: of several in a YAML file the first, as sops does, and for a file that holds bytes
    /// {"data", "encoding"}, where the encoding is `utf-8`, or `base64` for bytes that are no text
    #[arg(long)]
    pub(in crate::cli) json: bool,
}
