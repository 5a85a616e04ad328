//! The arguments, as clap reads them and `docs/commands.md` shows them.

use super::vars::VarsVerb;
use camino::Utf8PathBuf;
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Keep this machine on what its fleet's git repository declares.
#[derive(Debug, Parser)]
#[command(name = "reconcile", version, max_term_width = 100)]
pub(super) struct Arguments {
    /// The configuration file [default: /etc/reconciler/config.toml]
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) config: Option<Utf8PathBuf>,
    /// Whether to use colours
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    pub(super) color: ColorChoice,
    /// Say more: builders' logs, whole store paths
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(super) verbose: u8,
    /// Say nothing but the result
    #[arg(short, long, global = true)]
    pub(super) quiet: bool,
    #[command(subcommand)]
    pub(super) verb: Option<Verb>,
}

/// When colours are used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum ColorChoice {
    /// On a terminal, unless NO_COLOR is set
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Run the agent: poll the fleet, listen on the control socket
    Agent,
    /// Make a pass now: by the running agent, or by this command where none runs
    Now(NowOptions),
    /// Show how this machine stands
    Status(StatusOptions),
    /// Show what was activated, and what was reverted
    History(HistoryOptions),
    /// Show where this machine is not what its generation says
    Drift(DriftOptions),
    /// Show what a pass would do: what is built and fetched, which packages, units and secrets change, what
    /// holds it
    Plan(PlanOptions),
    /// Show what changed between two generations [default: the one before, and the one in force]
    Diff(DiffOptions),
    /// Go back to the previous generation, or to the one named, and stay there until `unpin`
    Rollback(RollbackOptions),
    /// Stay on a revision until `unpin`
    Pin(PinOptions),
    /// Follow the branch again
    Unpin,
    /// Show the age recipients of this machine: what its secrets are encrypted to
    Keys(KeysOptions),
    /// Look after the installed secrets of this machine
    Secrets {
        #[command(subcommand)]
        verb: SecretsVerb,
    },
    /// Work with the fleet's generated values and secrets
    Vars {
        #[command(subcommand)]
        verb: VarsVerb,
    },
    /// Write the configuration of this machine and check that it works
    Init(InitOptions),
    /// Evaluate all machines of one system in a checkout, for those that only fetch
    Publish(PublishOptions),
    /// Print a page of the reference, as it stands in docs/
    #[command(hide = true)]
    Reference {
        /// Which page
        page: ReferencePage,
    },
    /// Make one pass for the agent
    #[command(hide = true)]
    Pass {
        /// The path that the agent was started by
        #[arg(long)]
        program: Option<PathBuf>,
    },
    /// Undo a transaction that nobody confirms in time
    #[command(hide = true)]
    Deadman(DeadmanOptions),
    /// Ask a URL, as a probe does
    #[command(hide = true)]
    ProbeHttp {
        url: String,
        /// The status that it has to answer with [default: any below 400]
        #[arg(long)]
        status: Option<u16>,
    },
    /// Fetch in a process of its own
    #[command(hide = true)]
    GitTransport,
    /// Run a program as another user
    #[command(hide = true)]
    Become {
        #[arg(long)]
        user: String,
        #[arg(long)]
        uid: u32,
        #[arg(long)]
        gid: u32,
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
    /// Run one activation in a session of its own
    #[command(hide = true)]
    ActivationRunner {
        #[arg(long)]
        started: Utf8PathBuf,
        #[arg(long)]
        log: Utf8PathBuf,
        #[arg(long)]
        result: Utf8PathBuf,
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum SecretsVerb {
    /// Put the recorded generation's secrets in force after a boot: all that open, and name the rest
    Restore(RestoreOptions),
}

#[derive(Debug, Args)]
pub(super) struct RestoreOptions {
    /// The system's accounts are yet to be made: owners that do not exist are no failure
    #[arg(long)]
    pub(super) before_accounts: bool,
}

#[derive(Debug, Args)]
pub(super) struct DeadmanOptions {
    /// Only tell whether this program can undo what is journaled in this format of transactions…
    #[arg(long, requires = "journal", conflicts_with = "transaction")]
    pub(super) knows: Option<u32>,
    /// …in a journal of this format
    #[arg(long)]
    pub(super) journal: Option<i64>,
    /// The transaction
    #[arg(long, requires = "until_ms")]
    pub(super) transaction: Option<i64>,
    /// When its time is over, in milliseconds of the monotonic clock
    #[arg(long, default_value_t)]
    pub(super) until_ms: u64,
    /// How long that was from its beginning, in seconds
    #[arg(long, default_value_t)]
    pub(super) limit_s: u64,
    /// How long it may stay at one step while somebody works on it, in milliseconds
    #[arg(long, default_value_t)]
    pub(super) patience_ms: u64,
}

/// A page of the reference.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum ReferencePage {
    /// docs/configuration.md
    Configuration,
    /// docs/commands.md
    Commands,
    /// docs/exit-codes.md
    ExitCodes,
}

#[derive(Debug, Default, Args)]
pub(super) struct StatusOptions {
    /// Print one JSON document
    #[arg(long)]
    pub(super) json: bool,
    /// Exit with the code of what is told
    #[arg(long)]
    pub(super) check: bool,
}

#[derive(Debug, Args)]
pub(super) struct HistoryOptions {
    /// Print one JSON document
    #[arg(long)]
    pub(super) json: bool,
    /// How many activations
    #[arg(short = 'n', long, default_value_t = 20, value_name = "NUMBER")]
    pub(super) limit: u32,
}

#[derive(Debug, Args)]
pub(super) struct DriftOptions {
    /// Put right what activating the generation again can
    #[arg(long)]
    pub(super) correct: bool,
    /// Take the place of a generation that somebody else activated, too
    #[arg(long, requires = "correct")]
    pub(super) force: bool,
    /// Read and hash every store path of the generation instead of a part of them
    #[arg(long)]
    pub(super) verify_store: bool,
    /// Print one JSON document
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct KeysOptions {
    /// Print one JSON document
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct NowOptions {
    /// A commit of the fleet instead of the branch's head
    #[arg(long, value_name = "REVISION")]
    pub(super) revision: Option<String>,
    /// Do everything up to the gates, and touch nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Try again what is in quarantine, and activate again what runs already
    #[arg(long)]
    pub(super) force: bool,
    /// Print one JSON document at the end
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct PlanOptions {
    /// A commit of the fleet instead of the branch's head
    #[arg(long, value_name = "REVISION")]
    pub(super) revision: Option<String>,
    /// Stop before the build where there is anything to build or fetch
    #[arg(long)]
    pub(super) no_build: bool,
    /// Print one JSON document
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct DiffOptions {
    /// A generation's number or a revision that was active here; alone, it is compared with the one in force
    pub(super) from: Option<String>,
    /// The one to compare it with
    pub(super) to: Option<String>,
    /// Print one JSON document
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct RollbackOptions {
    /// A generation's number or a revision [default: the generation before the one in force]
    pub(super) target: Option<String>,
    /// Why, for those who ask later
    #[arg(long, value_name = "TEXT")]
    pub(super) why: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct PinOptions {
    /// A commit of the fleet; may be abbreviated
    pub(super) revision: String,
    /// Why, for those who ask later
    #[arg(long, value_name = "TEXT")]
    pub(super) why: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct PublishOptions {
    /// The checkout of the fleet; what is committed there is published
    #[arg(default_value = ".", value_name = "FOLDER")]
    pub(super) checkout: Utf8PathBuf,
    /// The system whose machines are published [default: this machine's]
    #[arg(long, value_name = "SYSTEM")]
    pub(super) system: Option<String>,
    /// Where flake.nix lies in the repository
    #[arg(long, default_value = "", hide_default_value = true, value_name = "FOLDER")]
    pub(super) directory: String,
    /// Write the map there instead of to .reconciler/published/SYSTEM.json of the checkout
    #[arg(long, value_name = "FILE")]
    pub(super) out: Option<Utf8PathBuf>,
    /// Write the map as a git note on the commit, below refs/notes/reconciler/SYSTEM
    #[arg(long, conflicts_with = "out")]
    pub(super) note: bool,
    /// Push the note
    #[arg(long, value_name = "REMOTE", num_args = 0..=1, default_missing_value = "origin", requires = "note")]
    pub(super) push: Option<String>,
    /// Evaluate also what the map says already
    #[arg(long)]
    pub(super) force: bool,
}

#[derive(Debug, Args)]
pub(super) struct InitOptions {
    /// Where the fleet's repository is
    pub(super) url: String,
    /// This machine's name in the fleet [default: the host name]
    #[arg(long, value_name = "NAME")]
    pub(super) machine: Option<String>,
    /// The branch to follow
    #[arg(long, default_value = "main", value_name = "NAME")]
    pub(super) branch: String,
    /// Where flake.nix lies in the repository
    #[arg(long, value_name = "FOLDER")]
    pub(super) directory: Option<String>,
    /// Replace a configuration that is there
    #[arg(long)]
    pub(super) force: bool,
}
