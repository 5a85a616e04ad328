//! The configuration of one machine: what it must know before it trusts the fleet.
//!
//! Fragment (one file, as written) → merged fragments → [`Settings`] (validated). Nothing here talks to the
//! fleet or the host.

mod fragment;
mod keys;
mod load;
mod settings;

pub use fragment::Fragment;
pub use keys::{KEYS, Key, reference};
pub use load::{ConfigError, DEFAULT_FILE, UnusableConfig, load, parse, read, with_known_hosts};
pub use settings::{
    Evaluate, Fleet, HistoryRule, Identity, NixSettings, Paths, Settings, SettingsError, SshAgent,
    folder_of_flake, host_name_is_usable,
};
