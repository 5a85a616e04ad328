//! The local record: passes, transactions, generations, quarantine, pins. One SQLite file.
//!
//! The journal is told what happened; it decides nothing and knows no clock.

mod drift;
mod error;
mod evaluations;
mod facts;
mod generations;
mod passes;
mod pins;
mod quarantine;
mod schema;
mod transactions;

pub use error::JournalError;
pub use evaluations::Remembered;
pub use facts::Failure;
pub use generations::{Generation, GenerationKind, NewGeneration};
pub use passes::{PassRecord, PhaseTime};
pub use pins::Pin;
pub use quarantine::Quarantined;
pub use schema::{Journal, VERSION};
pub use transactions::TransactionRecord;
