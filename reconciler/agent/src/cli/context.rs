//! What every command starts from: the configuration, the environment, the verbosity.

use super::args::Arguments;
use super::failure::CliError;
use super::style::Style;
use crate::config::{self, ConfigError, DEFAULT_FILE, Identity, Settings, UnusableConfig};
use crate::daemon::Station;
use crate::host::{self, Environment};
use crate::journal::Journal;
use crate::pass::{World, WorldError, source_settings};
use crate::secrets;
use crate::source::Source;
use camino::Utf8PathBuf;
use reconciler_vars::Identities;
use std::future::Future;

/// The context of one command.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) config: Utf8PathBuf,
    pub(super) environment: Environment,
    pub(super) style: Style,
    pub(super) detail: Detail,
}

/// How much is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Detail {
    Quiet,
    Normal,
    Verbose,
}

impl Context {
    pub(super) fn new(arguments: &Arguments, style: Style) -> Context {
        let environment = Environment::read();
        let config = arguments.config.clone().or_else(|| environment.config.clone());
        let detail = match (arguments.quiet, arguments.verbose) {
            (true, _) => Detail::Quiet,
            (false, 0) => Detail::Normal,
            (false, _) => Detail::Verbose,
        };
        Context {
            config: config.unwrap_or_else(|| DEFAULT_FILE.into()),
            environment,
            style,
            detail,
        }
    }

    /// Reads the configuration.
    pub(super) fn settings(&self) -> Result<Settings, CliError> {
        let host = host::host_name().map_err(CliError::Host)?;
        Ok(config::read(&self.config, &host)?)
    }

    /// The keys of this machine: `first`, which a person names, those of its configuration, or where it has none
    /// yet, the usual ones, and those that the entry named in the newest evaluation.
    pub(super) fn identities(&self, first: &[Utf8PathBuf]) -> Result<Identities, CliError> {
        let settings = match self.settings() {
            Ok(settings) => settings,
            Err(CliError::Config(UnusableConfig::Read(ConfigError::Missing { .. })))
                if self.config == DEFAULT_FILE =>
            {
                return Ok(secrets::load(first, &Identity::default(), &[]));
            }
            Err(error) => return Err(error),
        };
        // Where the journal is root's, a person with keys of their own needs none of its names.
        let journal = self.journal(&settings).ok().flatten();
        let named = journal.and_then(|journal| secrets::recorded(&journal).ok());
        Ok(secrets::load(
            first,
            &settings.identity,
            &named.unwrap_or_default(),
        ))
    }

    /// Opens everything that a pass needs.
    pub(super) fn world(&self) -> Result<World, CliError> {
        install_crypto();
        Ok(World::open(
            self.config.clone(),
            self.settings()?,
            self.environment.clone(),
        )?)
    }

    /// Opens what the waiting agent needs.
    pub(super) fn station(&self) -> Result<Station, CliError> {
        install_crypto();
        Ok(Station::open(
            self.config.clone(),
            self.settings()?,
            self.environment.clone(),
        )?)
    }

    /// The fleet's source alone.
    pub(super) fn source(&self, settings: &Settings) -> Result<Source, CliError> {
        install_crypto();
        let source = Source::new(source_settings(settings, &self.environment)?);
        Ok(source.map_err(WorldError::Source)?)
    }

    /// Opens the journal to read it; none where no agent ever ran.
    pub(super) fn journal(&self, settings: &Settings) -> Result<Option<Journal>, CliError> {
        Ok(Journal::open_existing(&settings.paths.journal())?)
    }
}

/// The provider of TLS is chosen once per process.
pub(super) fn install_crypto() {
    // An error means that it was chosen already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Runs a future on this thread: the agent waits more than it computes.
pub(super) fn block_on<T>(future: impl Future<Output = T>) -> Result<T, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(CliError::Runtime)?;
    let result = runtime.block_on(future);
    // A blocking task may hang in a remote file system: nobody waits for it.
    runtime.shutdown_background();
    Ok(result)
}
