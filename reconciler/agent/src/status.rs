//! What is: the status document, put together from the journal, the host and the agent's last words.
//!
//! It needs no running agent and changes nothing. Its shape is a contract (`docs/status.md`).

mod document;
mod gather;
mod presence;

pub use document::{
    FailedRevert, FleetStatus, GenerationStatus, Health, PendingStatus, RebootStatus, StagedStatus, Status,
    Sync,
};
pub use gather::gather;
pub use presence::Presence;
