//! The gates, one a file, each with one `check(&Facts) -> Verdict`. A gate judges by the facts alone and
//! knows no other gate; their order is in `chain`.

pub mod drift;
pub mod hold;
pub mod pin;
pub mod quarantine;
pub mod retry;
