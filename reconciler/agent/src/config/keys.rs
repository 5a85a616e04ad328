//! Every configuration key, its default and its meaning: the source of `docs/configuration.md`.

/// One configuration key.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Dotted path.
    pub path: &'static str,
    /// The TOML type.
    pub kind: &'static str,
    /// The default as it would be written, or what happens without it.
    pub default: &'static str,
    /// What it does.
    pub meaning: &'static str,
}

const fn key(path: &'static str, kind: &'static str, default: &'static str, meaning: &'static str) -> Key {
    Key {
        path,
        kind,
        default,
        meaning,
    }
}

/// All keys, in the order of the documentation.
pub const KEYS: &[Key] = &[
    key(
        "machine",
        "string",
        "the host name",
        "The machine's name in the fleet.",
    ),
    key(
        "fleet.url",
        "string or list",
        "required",
        "Where the fleet's repository is: `https://`, `http://`, `ssh://`, `user@host:path`, `file://` or an absolute path. Several are tried in order.",
    ),
    key(
        "fleet.branch",
        "string",
        "\"main\"",
        "The branch that is followed.",
    ),
    key(
        "fleet.directory",
        "string",
        "\"\"",
        "Where `flake.nix` lies in the repository, if not at its root.",
    ),
    key(
        "fleet.poll",
        "duration",
        "\"60s\"",
        "How often the remote is asked; spread by the machine's own fixed phase, plus jitter.",
    ),
    key(
        "fleet.timeout",
        "duration",
        "\"30s\"",
        "How long the remote may stay silent before a network step is given up.",
    ),
    key(
        "fleet.token_file",
        "path",
        "none",
        "File with an access token for `https://`, sent as the password.",
    ),
    key(
        "fleet.netrc",
        "path",
        "none",
        "A netrc file with credentials for `https://`.",
    ),
    key("fleet.ssh_key", "path", "none", "Private key for `ssh://`."),
    key(
        "fleet.ssh_agent",
        "boolean",
        "false",
        "Whether the SSH agent at `SSH_AUTH_SOCK` is asked.",
    ),
    key(
        "fleet.known_hosts",
        "list of paths",
        "`/etc/ssh/ssh_known_hosts`, and `.ssh/known_hosts` of the user that the agent runs as",
        "Host keys that `ssh://` accepts; those files that exist are read. There is no way to accept an unknown host.",
    ),
    key(
        "trust.commits",
        "\"any\" or \"signed\"",
        "\"any\"",
        "Which commits are trusted. `signed` is refused until signatures are verified.",
    ),
    key(
        "trust.allowed_signers",
        "path",
        "none",
        "Keys that may sign, in the format of ssh-keygen(1).",
    ),
    key(
        "trust.history",
        "\"forward\" or \"any\"",
        "\"forward\"",
        "Whether a branch that was rewritten is followed.",
    ),
    key(
        "identity.ssh_host_keys",
        "list of paths",
        "[\"/etc/ssh/ssh_host_ed25519_key\"]",
        "SSH host keys that open secrets: ed25519 as ssh-to-age converts them and as they are, RSA as they are.",
    ),
    key(
        "identity.age_keys",
        "list of paths",
        "[\"/var/lib/sops-nix/key.txt\"]",
        "age key files that open secrets. Those that exist are tried before the SSH host keys, in order.",
    ),
    key(
        "identity.plugin_folders",
        "list of paths",
        "/run/current-system/sw/bin and the system's own",
        "Where the programs of age plugins are looked for. Whoever may write to one may not be anybody but root.",
    ),
    key(
        "paths.root",
        "path",
        "\"/\"",
        "Everything of the host is looked up below it.",
    ),
    key(
        "paths.state",
        "path",
        "\"/var/lib/reconciler\"",
        "Journal, mirror and transactions.",
    ),
    key(
        "paths.run",
        "path",
        "\"/run/reconciler\"",
        "Control socket and what may be lost at a reboot.",
    ),
    key(
        "paths.secrets",
        "path",
        "\"/run/secrets\"",
        "The link to the secrets in force; generations lie in `<secrets>.d` on a tmpfs.",
    ),
    key(
        "paths.profile",
        "path",
        "the class's canonical profile",
        "The Nix profile that records generations.",
    ),
    key(
        "nix.daemon",
        "path",
        "\"/nix/var/nix/daemon-socket/socket\"",
        "The socket of the nix-daemon.",
    ),
    key(
        "nix.store",
        "path",
        "\"/nix/store\"",
        "The store's folder; a relocated store is served too.",
    ),
    key(
        "nix.state",
        "path",
        "\"/nix/var/nix\"",
        "Nix's own state: profiles and GC roots.",
    ),
    key(
        "nix.evaluator_user",
        "string",
        "\"reconciler-eval\" where it exists, else \"nobody\"",
        "The user that evaluates the fleet when the agent is root, so that a fleet cannot read what root can.",
    ),
    key(
        "nix.evaluate",
        "\"here\", \"published\" or \"noted\"",
        "\"here\"",
        "Where the fleet is evaluated. With `published` this machine takes its toplevel from the map that `reconcile publish` wrote, and from the caches of its nix-daemon: it evaluates and builds nothing. With `noted` the map may also be a git note on the commit.",
    ),
    key(
        "nix.import_from_derivation",
        "boolean",
        "true",
        "Whether an evaluation may build what it then reads.",
    ),
    key(
        "nix.access_tokens_file",
        "path",
        "none",
        "File with `access-tokens` for private inputs, as in nix.conf(5), or one `github.com=…` a line.",
    ),
    key(
        "nix.netrc",
        "path",
        "`fleet.netrc`",
        "A netrc file with credentials for private inputs over `https://`.",
    ),
    key(
        "nix.ssh_key",
        "path",
        "`fleet.ssh_key`",
        "Private key for inputs over `git+ssh://`; host keys are those of `fleet.known_hosts`.",
    ),
    key(
        "policy",
        "table",
        "none",
        "Overrides of what the fleet declares in `reconciler.toml`; see the policy page.",
    ),
];

/// The reference page of all keys, in Markdown.
#[must_use]
pub fn reference() -> String {
    let mut page = String::from("| key | type | default | meaning |\n|---|---|---|---|\n");
    for key in KEYS {
        page.push_str(&format!(
            "| `{}` | {} | {} | {} |\n",
            key.path, key.kind, key.default, key.meaning
        ));
    }
    page
}
