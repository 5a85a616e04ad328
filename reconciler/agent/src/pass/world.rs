//! What a pass is given: settings, journal, source, host. Made once, at the start of the agent or of a command.

use super::{PassError, own_binary, reserve};
use crate::activation::Launcher;
use crate::class::Site;
use crate::config::{HistoryRule, Settings};
use crate::durable::{self, DurableError};
use crate::host::{self, Environment, HostError};
use crate::journal::{Journal, JournalError};
use crate::nix::{Nix, NixTools, Roots, ToolError};
use crate::process::Account;
use crate::source::{self, FleetUrl, FleetUrlError, Source, SourceError, SourceSettings};
use camino::Utf8PathBuf;
use jiff::Timestamp;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;
use unix::unistd::{User, geteuid};

/// The machine is not ready for any pass.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    /// A folder of the agent could not be made.
    #[error(transparent)]
    Folder(#[from] DurableError),
    /// The journal cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A URL of the fleet is none.
    #[error("`fleet.url` cannot be used")]
    Url(#[source] FleetUrlError),
    /// The source cannot be set up.
    #[error("cannot set up the fleet's source")]
    Source(#[source] SourceError),
    /// The host does not answer.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The evaluator's user does not exist.
    #[error("there is no user `{user}` to evaluate the fleet as")]
    EvaluatorUser {
        /// The user.
        user: String,
    },
    /// The evaluator's folder cannot be given to its user.
    #[error("cannot give {folder} to the evaluator's user")]
    EvaluatorFolder {
        /// The folder.
        folder: Utf8PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The agent's own binary cannot be found.
    #[error("cannot tell where the agent's own binary is")]
    Binary(#[source] std::io::Error),
}

/// Everything a pass works with.
#[derive(Debug)]
pub struct World {
    /// The configuration file.
    pub config: Utf8PathBuf,
    /// The settings.
    pub settings: Settings,
    /// The environment.
    pub environment: Environment,
    /// The journal.
    pub journal: Journal,
    /// The fleet's repository.
    pub source: Source,
    /// The agent's GC roots.
    pub roots: Roots,
    /// This boot.
    pub boot_id: String,
    /// The agent's own binary, also after an upgrade replaced or collected it.
    pub binary: PathBuf,
    /// The same by a path that other processes can start it from.
    binary_path: PathBuf,
    /// The path that the agent was started by: another start may find another program there.
    pub program: PathBuf,
    /// Whom the fleet is evaluated as.
    pub evaluator: Option<Account>,
    tools: Option<NixTools>,
    nix: Option<Nix>,
}

impl World {
    /// Makes the folders, opens the journal, sets up the source.
    pub fn open(
        config: Utf8PathBuf,
        settings: Settings,
        environment: Environment,
    ) -> Result<World, WorldError> {
        let paths = &settings.paths;
        // Others pass through to the evaluator's folder and see nothing else.
        durable::folder(&paths.state, 0o711)?;
        reserve::make_room(&paths.state);
        durable::folder(&paths.run, 0o755)?;
        durable::folder(&paths.state.join("transactions"), 0o700)?;
        let journal = Journal::open(&paths.journal())?;
        let source = Source::new(source_settings(&settings, &environment)?).map_err(WorldError::Source)?;
        let evaluator = evaluator(&settings)?;
        let home = paths.state.join("evaluator");
        durable::folder(&home, 0o700)?;
        if let Some(account) = evaluator {
            std::os::unix::fs::chown(&home, Some(account.uid), Some(account.gid))
                .map_err(|source| WorldError::EvaluatorFolder { folder: home, source })?;
        }
        let binary = match cfg!(target_os = "linux") {
            true => "/proc/self/exe".into(),
            false => std::env::current_exe().map_err(WorldError::Binary)?,
        };
        Ok(World {
            binary_path: own_binary::path(&binary, &paths.state),
            binary,
            roots: Roots::open(&settings.nix.state, &settings.paths.state)?,
            boot_id: host::boot_id().map_err(HostError::BootId)?,
            program: std::env::current_exe().map_err(WorldError::Binary)?,
            config,
            settings,
            environment,
            journal,
            source,
            evaluator,
            tools: None,
            nix: None,
        })
    }

    /// The host as a class sees it.
    #[must_use]
    pub fn site(&self) -> Site<'_> {
        Site {
            paths: &self.settings.paths,
            nix: &self.settings.nix,
            folders: &self.environment.folders,
            binary: &self.binary_path,
        }
    }

    /// What is followed: the first URL.
    #[must_use]
    pub fn fleet_url(&self) -> &str {
        self.settings.fleet.urls.first().map_or("", String::as_str)
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    /// The commands of Nix, looked for when they are first needed: a pass that changes nothing needs none.
    pub fn tools(&mut self) -> Result<NixTools, ToolError> {
        if let Some(tools) = &self.tools {
            return Ok(tools.clone());
        }
        let tools = NixTools::find(
            &self.environment.folders,
            &self.settings.nix,
            &self.settings.paths,
        )?;
        self.tools = Some(tools.clone());
        Ok(tools)
    }

    /// The evaluator, asked for its version where it is not the one that was asked last.
    pub async fn nix(&mut self) -> Result<Nix, PassError> {
        if let Some(nix) = &self.nix {
            return Ok(nix.clone());
        }
        let tools = self.tools()?;
        let known = self.journal.nix()?;
        let nix = Nix::find(&self.environment.folders, &tools, &self.boot_id, known.clone()).await?;
        if known.as_ref() != Some(&nix) {
            self.journal.set_nix(&nix)?;
        }
        self.nix = Some(nix.clone());
        Ok(nix)
    }

    /// The folder of the evaluator's home, which is made anew for each evaluation.
    #[must_use]
    pub fn evaluator_home(&self) -> Utf8PathBuf {
        self.settings.paths.run.join("evaluator")
    }

    /// What the evaluator keeps from one evaluation to the next: fetched inputs.
    #[must_use]
    pub fn evaluator_cache(&self) -> Utf8PathBuf {
        self.settings.paths.state.join("evaluator/cache")
    }

    /// Variables that every activation gets.
    #[must_use]
    pub fn activation_environment(&self) -> Vec<(String, String)> {
        let root = &self.settings.paths.root;
        let mut environment = vec![
            ("PATH".to_owned(), self.environment.search_path()),
            ("HOME".to_owned(), "/root".to_owned()),
            ("LANG".to_owned(), "C.UTF-8".to_owned()),
            ("TERM".to_owned(), "dumb".to_owned()),
        ];
        if root != "/" {
            environment.push(("RECONCILER_ROOT".to_owned(), root.to_string()));
            environment.push((
                "RECONCILER_PROFILE".to_owned(),
                self.settings.nix.state.join("profiles/system").to_string(),
            ));
        }
        environment
    }

    /// What starts activations here, each within `limit`.
    #[must_use]
    pub fn launcher(&self, limit: Duration) -> Launcher {
        Launcher {
            supervisor: host::supervisor(&self.settings.paths.root),
            folders: self.environment.folders.clone(),
            binary: self.binary.clone(),
            environment: self.activation_environment(),
            boot_id: self.boot_id.clone(),
            limit,
        }
    }

    /// The folder of one transaction.
    #[must_use]
    pub fn transaction_folder(&self, id: i64) -> Utf8PathBuf {
        self.settings
            .paths
            .state
            .join("transactions")
            .join(id.to_string())
    }

    /// The rule of history, as the source judges it.
    #[must_use]
    pub fn history(&self) -> source::History {
        match self.settings.history {
            HistoryRule::Forward => source::History::Forward,
            HistoryRule::Any => source::History::Any,
        }
    }
}

/// What the source is told of the configuration.
pub fn source_settings(settings: &Settings, environment: &Environment) -> Result<SourceSettings, WorldError> {
    let fleet = &settings.fleet;
    let urls = fleet
        .urls
        .iter()
        .map(|url| url.parse::<FleetUrl>())
        .collect::<Result<Vec<_>, _>>();
    Ok(SourceSettings {
        urls: urls.map_err(WorldError::Url)?,
        branch: fleet.branch.clone(),
        mirror: settings.paths.state.join("fleet.git"),
        home: settings.paths.state.join("transport"),
        ssh: source::SshSettings {
            keys: fleet.ssh_key.iter().cloned().collect(),
            agent: match fleet.ssh_agent {
                crate::config::SshAgent::Asked => environment.ssh_agent.clone(),
                crate::config::SshAgent::Ignored => None,
            },
            known_hosts: fleet.known_hosts.clone(),
        },
        https: source::HttpsSettings {
            token_file: fleet.token_file.clone(),
            user: None,
            netrc: fleet.netrc.clone(),
            ca_file: None,
        },
        timeouts: source::Timeouts {
            connect: fleet.timeout.min(std::time::Duration::from_secs(10)),
            poll: fleet.timeout,
            stall: fleet.timeout,
            ..source::Timeouts::default()
        },
    })
}

/// The user that evaluates: only root can become another, and only root has something to keep from a fleet.
fn evaluator(settings: &Settings) -> Result<Option<Account>, WorldError> {
    if !geteuid().is_root() {
        return Ok(None);
    }
    let find = |name: &str| User::from_name(name).ok().flatten();
    // Where the socket's folder is kept from others (Debian: `nix-users`), its group is what opens it.
    let gate = settings
        .nix
        .daemon
        .parent()
        .and_then(|folder| folder.metadata().ok());
    let group = gate
        .filter(|folder| folder.mode() & 0o001 == 0)
        .map(|folder| folder.gid());
    let account = |user: User| {
        Some(Account {
            uid: user.uid.as_raw(),
            gid: group.unwrap_or_else(|| user.gid.as_raw()),
        })
    };
    match &settings.nix.evaluator_user {
        Some(name) => match find(name) {
            Some(user) => Ok(account(user)),
            None => Err(WorldError::EvaluatorUser { user: name.clone() }),
        },
        None => match find("reconciler-eval").or_else(|| find("nobody")) {
            Some(user) => Ok(account(user)),
            None => Err(WorldError::EvaluatorUser {
                user: "nobody".to_owned(),
            }),
        },
    }
}
