//! The agent: the pass, the activation, the journal, the command line. The binary is `reconcile`.

pub mod activation;
pub mod class;
pub mod cli;
pub mod closure;
pub mod config;
pub mod daemon;
pub mod drift;
pub mod durable;
pub mod exit;
pub mod host;
pub mod journal;
pub mod nix;
pub mod pass;
pub mod process;
pub mod secrets;
pub mod source;
pub mod status;
pub mod text;
pub mod transaction;
