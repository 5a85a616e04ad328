//! What the running agent leaves for others to read: when it last asked the remote, what it heard, when it
//! asks again. On the run directory's tmpfs, so that a poll writes nothing to a disk.

use crate::durable::{self, DurableError, Lasting};
use camino::{Utf8Path, Utf8PathBuf};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The agent's last words.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Presence {
    /// The agent's process.
    pub pid: u32,
    /// When the remote was last asked.
    pub checked_at: Option<Timestamp>,
    /// Where the branch was.
    pub head: Option<String>,
    /// Why the remote could not be asked.
    pub error: Option<String>,
    /// When it is asked next.
    pub next_pass_at: Option<Timestamp>,
}

impl Presence {
    fn file(run: &Utf8Path) -> Utf8PathBuf {
        run.join("agent.json")
    }

    /// Reads it; none where no agent ran since the boot.
    #[must_use]
    pub fn read(run: &Utf8Path) -> Option<Presence> {
        serde_json::from_slice(&std::fs::read(Presence::file(run)).ok()?).ok()
    }

    /// Writes it.
    pub fn write(&self, run: &Utf8Path) -> Result<(), DurableError> {
        let text = serde_json::to_vec(self).unwrap_or_default();
        durable::replace(&Presence::file(run), &text, 0o644, Lasting::Process)
    }
}
