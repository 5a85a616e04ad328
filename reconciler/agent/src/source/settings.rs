//! What a source must know: where the fleet is, how to authenticate, how long to wait.

use std::time::Duration;

use camino::Utf8PathBuf;

use super::fleet_url::FleetUrl;

/// Everything about the fleet's repository that is configured on the machine.
#[derive(Debug, Clone)]
pub struct SourceSettings {
    /// Tried in order; the first that answers wins.
    pub urls: Vec<FleetUrl>,
    /// The branch's short name, as in `refs/heads/<branch>`.
    pub branch: String,
    /// The bare mirror's folder.
    pub mirror: Utf8PathBuf,
    /// The private folder that the transport sees as its HOME. Its content is ours and is rewritten.
    pub home: Utf8PathBuf,
    /// For `ssh://` and `user@host:path`.
    pub ssh: SshSettings,
    /// For `https://`, and for `http://` to the loopback.
    pub https: HttpsSettings,
    /// How long to wait.
    pub timeouts: Timeouts,
}

/// How to log in over ssh, and which host keys to believe.
#[derive(Debug, Clone)]
pub struct SshSettings {
    /// Private keys without a passphrase, in OpenSSH's or PEM form; those that exist are tried in order.
    pub keys: Vec<Utf8PathBuf>,
    /// The socket of an ssh-agent, tried after the keys.
    pub agent: Option<Utf8PathBuf>,
    /// Files of known host keys in OpenSSH's format; those that exist are read.
    pub known_hosts: Vec<Utf8PathBuf>,
}

impl Default for SshSettings {
    fn default() -> Self {
        Self {
            keys: Vec::new(),
            agent: None,
            known_hosts: vec!["/etc/ssh/ssh_known_hosts".into()],
        }
    }
}

/// How to authenticate over https. A token file wins over a netrc file, and user information in the url over both.
#[derive(Debug, Clone, Default)]
pub struct HttpsSettings {
    /// A file whose only line is a token, sent as the password of HTTP Basic.
    pub token_file: Option<Utf8PathBuf>,
    /// The user the token is sent with; unset: the url's user, or `x-access-token`, which GitHub asks of app
    /// tokens and which GitHub, GitLab and Forgejo accept with personal and project tokens.
    pub user: Option<String>,
    /// A netrc file, looked up by host.
    pub netrc: Option<Utf8PathBuf>,
    /// PEM certificates that replace the system's roots, like git's `http.sslCAInfo`. On macOS a fetch asks the
    /// keychain instead: the authority must be trusted there too.
    pub ca_file: Option<Utf8PathBuf>,
}

/// How long each step may take before it is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Until a connection stands, of a poll over http(s), or until one that was kept answers.
    pub connect: Duration,
    /// A whole poll of one url.
    pub poll: Duration,
    /// A fetch without any progress.
    pub stall: Duration,
    /// A whole fetch from one url.
    pub fetch: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            poll: Duration::from_secs(30),
            stall: Duration::from_secs(30),
            fetch: Duration::from_secs(15 * 60),
        }
    }
}
