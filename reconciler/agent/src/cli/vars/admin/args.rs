//! The arguments of the admin's commands, as clap reads them and `docs/commands.md` shows them.

use camino::Utf8PathBuf;
use clap::Args;
use reconciler_vars::generators::{FileId, PromptId};
use std::str::FromStr;

/// Where the fleet is, and which keys open it.
#[derive(Debug, Args)]
pub(in crate::cli) struct FleetOptions {
    /// The folder with the fleet's flake.nix [default: this folder, or the closest above it that has one]
    #[arg(long, value_name = "FOLDER")]
    pub(in crate::cli) fleet: Option<Utf8PathBuf>,
    /// A key to open secrets with: an age key file, or an OpenSSH private key. May be given several times; without,
    /// the keys are those of sops: SOPS_AGE_KEY_FILE, sops/age/keys.txt, ~/.ssh/id_ed25519
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) identity: Vec<Utf8PathBuf>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct GenerateOptions {
    /// Machines whose values are made [default: all]
    #[arg(value_name = "MACHINE")]
    pub(in crate::cli) machines: Vec<String>,
    /// Only this generator, with what depends on it. May be given several times
    #[arg(short, long, value_name = "GENERATOR")]
    pub(in crate::cli) generator: Vec<String>,
    /// Make values anew that are there, and everything that depends on them
    #[arg(long)]
    pub(in crate::cli) regenerate: bool,
    /// Say what would run, and change nothing
    #[arg(long)]
    pub(in crate::cli) dry_run: bool,
    /// Run scripts without a sandbox: they may then read your keys and use the network
    #[arg(long)]
    pub(in crate::cli) no_sandbox: bool,
    /// Answer a prompt, named GENERATOR/PROMPT or MACHINE/GENERATOR/PROMPT, with the content of a file; `-` is
    /// standard input. May be given several times
    #[arg(long, value_name = "PROMPT=FILE")]
    pub(in crate::cli) prompt: Vec<PromptFile>,
    /// How long one script may run, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..))]
    pub(in crate::cli) time_limit: u64,
    /// Commit what was made, in one commit [default: only `git add` it]
    #[arg(long)]
    pub(in crate::cli) commit: bool,
    #[command(flatten)]
    pub(in crate::cli) fleet: FleetOptions,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct SetOptions {
    /// The machine whose value it is; of a shared one, any machine that declares it
    pub(in crate::cli) machine: String,
    /// The value, as GENERATOR/FILE
    #[arg(value_name = "GENERATOR/FILE")]
    pub(in crate::cli) file: FileId,
    /// Commit it [default: only `git add` it]
    #[arg(long)]
    pub(in crate::cli) commit: bool,
    #[command(flatten)]
    pub(in crate::cli) fleet: FleetOptions,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct GetOptions {
    /// The machine whose value it is; of a shared one, any machine
    pub(in crate::cli) machine: String,
    /// The value, as GENERATOR/FILE
    #[arg(value_name = "GENERATOR/FILE")]
    pub(in crate::cli) file: FileId,
    #[command(flatten)]
    pub(in crate::cli) fleet: FleetOptions,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ListOptions {
    /// Machines whose values are listed [default: all]
    #[arg(value_name = "MACHINE")]
    pub(in crate::cli) machines: Vec<String>,
    /// Print one JSON document
    #[arg(long)]
    pub(in crate::cli) json: bool,
    /// The folder with the fleet's flake.nix [default: this folder, or the closest above it that has one]
    #[arg(long, value_name = "FOLDER")]
    pub(in crate::cli) fleet: Option<Utf8PathBuf>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct RekeyOptions {
    /// Machines whose secrets are looked at [default: all secrets of the fleet]
    #[arg(value_name = "MACHINE")]
    pub(in crate::cli) machines: Vec<String>,
    /// Give a machine a key, or another one: an age recipient or an SSH host key, as `reconcile keys` prints it. It may
    /// then read what it declares
    #[arg(long, value_name = "MACHINE=KEY")]
    pub(in crate::cli) add_machine: Vec<NamedKey>,
    /// Take a machine's key away; it may then read nothing any more
    #[arg(long, value_name = "MACHINE", conflicts_with = "machines")]
    pub(in crate::cli) remove_machine: Vec<String>,
    /// Give a person a key, or another one: an age recipient
    #[arg(long, value_name = "USER=KEY")]
    pub(in crate::cli) add_user: Vec<NamedKey>,
    /// Take a person's key away; they may then read nothing any more
    #[arg(long, value_name = "USER", conflicts_with = "machines")]
    pub(in crate::cli) remove_user: Vec<String>,
    /// The group that the people of --add-user join
    #[arg(long, value_name = "GROUP", requires = "add_user")]
    pub(in crate::cli) group: Option<String>,
    /// Say what would be encrypted anew, and change nothing
    #[arg(long)]
    pub(in crate::cli) dry_run: bool,
    /// Commit what changed, in one commit [default: only `git add` it]
    #[arg(long)]
    pub(in crate::cli) commit: bool,
    #[command(flatten)]
    pub(in crate::cli) fleet: FleetOptions,
}

/// `PROMPT=FILE`
#[derive(Debug, Clone)]
pub(in crate::cli) struct PromptFile {
    pub(in crate::cli) prompt: PromptId,
    pub(in crate::cli) file: Utf8PathBuf,
}

/// `NAME=KEY`
#[derive(Debug, Clone)]
pub(in crate::cli) struct NamedKey {
    pub(in crate::cli) name: String,
    pub(in crate::cli) key: String,
}

/// A pair that is none.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum NotAPair {
    #[error("there is no `=` between the name and the rest")]
    NoSign,
    #[error(transparent)]
    Prompt(#[from] reconciler_vars::generators::PromptProblem),
}

impl FromStr for PromptFile {
    type Err = NotAPair;

    fn from_str(text: &str) -> Result<Self, NotAPair> {
        let (prompt, file) = text.split_once('=').ok_or(NotAPair::NoSign)?;
        Ok(PromptFile {
            prompt: prompt.parse()?,
            file: file.into(),
        })
    }
}

impl FromStr for NamedKey {
    type Err = NotAPair;

    fn from_str(text: &str) -> Result<Self, NotAPair> {
        let (name, key) = text.split_once('=').ok_or(NotAPair::NoSign)?;
        Ok(NamedKey {
            name: name.trim().to_owned(),
            key: key.trim().to_owned(),
        })
    }
}
