//! What the waiting agent holds: enough to poll, to read the journal and to start a pass, and no more.
//!
//! Nothing of git's library or of Nix is touched here: the agent waits for months, and what a pass needs is
//! brought in and given back by the pass's own process.

use crate::config::Settings;
use crate::durable;
use crate::host::Environment;
use crate::journal::Journal;
use crate::pass::{WorldError, make_room, source_settings};
use crate::source::Source;
use camino::Utf8PathBuf;
use jiff::Timestamp;

/// The waiting agent's belongings.
#[derive(Debug)]
pub struct Station {
    /// The configuration file.
    pub config: Utf8PathBuf,
    /// The settings.
    pub settings: Settings,
    /// The environment.
    pub environment: Environment,
    /// The journal.
    pub journal: Journal,
    /// Where to poll.
    pub source: Source,
}

impl Station {
    /// Makes the folders, opens the journal, sets up the source.
    pub fn open(
        config: Utf8PathBuf,
        settings: Settings,
        environment: Environment,
    ) -> Result<Station, WorldError> {
        durable::folder(&settings.paths.state, 0o711)?;
        make_room(&settings.paths.state);
        durable::folder(&settings.paths.run, 0o755)?;
        let journal = Journal::open(&settings.paths.journal())?;
        let source = Source::new(source_settings(&settings, &environment)?).map_err(WorldError::Source)?;
        Ok(Station {
            config,
            settings,
            environment,
            journal,
            source,
        })
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}
