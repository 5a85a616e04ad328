//! Owns the loaded identities of a machine. It must never print a private key, nor write one anywhere.

use std::fmt;
use std::path::Path;

use age::x25519;

use super::hybrid::{self, Hybrid};
use super::info::{IdentityInfo, IdentityKind, IdentitySource};
use super::keyfile::{self, Line};
use super::plugin::{PluginIdentity, Plugins, plugin_name};
use super::problem::{IdentityProblem, IdentityWarning};
use super::ssh::{self, SshConversionError, SshKey};
use super::ssh_ed25519::SshEd25519;
use super::ssh_rsa::SshRsa;

/// A key that is held here.
pub(super) enum Key {
    X25519(x25519::Identity),
    SshEd25519(SshEd25519),
    SshRsa(SshRsa),
    Hybrid(Box<Hybrid>),
}

/// The identities of a machine, in the order of their sources.
#[derive(Default)]
pub struct Identities {
    keys: Vec<Key>,
    plugins: Vec<PluginIdentity>,
    infos: Vec<IdentityInfo>,
    problems: Vec<IdentityProblem>,
    warnings: Vec<IdentityWarning>,
}

impl fmt::Debug for Identities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identities")
            .field("recipients", &self.infos)
            .field("problems", &self.problems)
            .field("warnings", &self.warnings)
            .finish_non_exhaustive()
    }
}

impl Identities {
    /// Reads all sources; what gives no identity is a problem and stops nothing. Plugins are looked for in their
    /// usual folders.
    pub fn load(sources: &[IdentitySource]) -> (Self, Vec<IdentityProblem>) {
        Self::load_with(sources, &Plugins::default())
    }

    /// The same, with plugins from elsewhere.
    pub fn load_with(sources: &[IdentitySource], plugins: &Plugins) -> (Self, Vec<IdentityProblem>) {
        let mut identities = Self::default();
        for source in sources {
            identities.add(source, plugins);
        }
        let problems = identities.problems.clone();
        (identities, problems)
    }

    /// The identities of an age key file that was read already; `path` is where from.
    pub(crate) fn of_age_keys(path: &Path, bytes: &[u8]) -> Self {
        let mut identities = Self::default();
        identities.add_age_keys(path, bytes, &Plugins::default());
        identities
    }

    /// What may be told of each identity. One SSH key is two: as ssh-to-age converts it, and as it is.
    pub fn recipients(&self) -> &[IdentityInfo] {
        &self.infos
    }

    /// What the sources had no identity for.
    pub fn problems(&self) -> &[IdentityProblem] {
        &self.problems
    }

    /// What is wrong with key files that are used all the same.
    pub fn warnings(&self) -> &[IdentityWarning] {
        &self.warnings
    }

    /// The names of the plugins that are asked, each as often as it has an identity.
    pub fn plugin_names(&self) -> impl Iterator<Item = &str> {
        self.plugins.iter().map(PluginIdentity::name)
    }

    /// Whether there is no identity.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.plugins.is_empty()
    }

    /// Whether a recipient, as a file or a key list spells it, is one of these: an SSH key may carry a comment.
    pub fn is_recipient(&self, recipient: &str) -> bool {
        let mut words = recipient.split_whitespace();
        let (kind, key) = (words.next(), words.next());
        self.infos.iter().any(|info| {
            let mut own = info.recipient.split_whitespace();
            (own.next(), own.next()) == (kind, key)
        })
    }

    pub(super) fn keys(&self) -> &[Key] {
        &self.keys
    }

    pub(super) fn plugins(&self) -> &[PluginIdentity] {
        &self.plugins
    }

    /// Whether some of them are a plugin's.
    #[must_use]
    pub fn has_plugins(&self) -> bool {
        !self.plugins.is_empty()
    }

    fn add(&mut self, source: &IdentitySource, plugins: &Plugins) {
        let path = source.path();
        let file = match keyfile::read(path) {
            Ok(file) => file,
            Err(problem) => return self.problems.push(problem),
        };
        let before = (self.keys.len(), self.plugins.len());
        self.add_bytes(source, path, &file.bytes, plugins);
        if before != (self.keys.len(), self.plugins.len()) {
            self.warnings.extend(file.warning);
        }
    }

    /// What a source holds, without looking there: `path` is where from.
    pub(crate) fn add_bytes(
        &mut self,
        source: &IdentitySource,
        path: &Path,
        bytes: &[u8],
        plugins: &Plugins,
    ) {
        let is_ssh = matches!(source, IdentitySource::SshHostKey(_)) || ssh::is_private_key(bytes);
        if ssh::is_public_key(bytes) {
            self.problems.push(IdentityProblem::PublicKey {
                path: path.to_owned(),
            });
        } else if is_ssh {
            let problem = self.add_ssh_key(path, bytes).err();
            self.problems.extend(problem);
        } else {
            self.add_age_keys(path, bytes, plugins);
        }
    }

    fn add_age_keys(&mut self, path: &Path, bytes: &[u8], plugins: &Plugins) {
        let path_buf = || path.to_owned();
        if crate::sops::is_age(bytes) {
            return self
                .problems
                .push(IdentityProblem::EncryptedKeyFile { path: path_buf() });
        }
        let Ok(text) = std::str::from_utf8(bytes) else {
            let (path, line) = (path_buf(), 1);
            return self.problems.push(IdentityProblem::AgeKey { path, line });
        };
        let mut empty = true;
        for line in keyfile::lines(text) {
            empty = false;
            let problem = self.add_line(path, &line, plugins).err();
            self.problems.extend(problem);
        }
        if empty {
            self.problems.push(IdentityProblem::Empty { path: path_buf() });
        }
    }

    fn add_line(&mut self, path: &Path, line: &Line<'_>, plugins: &Plugins) -> Result<(), IdentityProblem> {
        let malformed = || IdentityProblem::AgeKey {
            path: path.to_owned(),
            line: line.number,
        };
        // In this form both are public.
        if line.text.starts_with("age1") {
            return Err(IdentityProblem::PublicKey {
                path: path.to_owned(),
            });
        }
        if line.text.starts_with(hybrid::PREFIX) {
            let key = Hybrid::parse(line.text).ok_or_else(malformed)?;
            let recipient = key.recipient().to_owned();
            self.push(
                Key::Hybrid(Box::new(key)),
                recipient,
                path,
                IdentityKind::HybridKey,
            );
            return Ok(());
        }
        if let Some(name) = plugin_name(line.text) {
            let problem = |problem| IdentityProblem::Plugin {
                path: path.to_owned(),
                line: line.number,
                name: name.clone(),
                problem,
            };
            let plugin = PluginIdentity::new(name.clone(), line.text, plugins).map_err(problem)?;
            if !self.plugins.iter().any(|known| known.is(line.text)) {
                self.plugins.push(plugin);
                self.infos.extend(line.comment.map(|recipient| IdentityInfo {
                    recipient: recipient.to_owned(),
                    source: path.to_owned(),
                    kind: IdentityKind::PluginKey,
                }));
            }
            return Ok(());
        }
        let key: x25519::Identity = line.text.parse().map_err(|_| malformed())?;
        let recipient = key.to_public().to_string();
        self.push(Key::X25519(key), recipient, path, IdentityKind::AgeKey);
        Ok(())
    }

    fn add_ssh_key(&mut self, path: &Path, bytes: &[u8]) -> Result<(), IdentityProblem> {
        let problem = |source| match source {
            SshConversionError::PassphraseProtected => IdentityProblem::PassphraseProtected {
                path: path.to_owned(),
            },
            SshConversionError::Unsupported { algorithm } => IdentityProblem::UnsupportedSshKey {
                path: path.to_owned(),
                algorithm,
            },
            source => IdentityProblem::SshKey {
                path: path.to_owned(),
                source,
            },
        };
        match ssh::read_private_key(bytes).map_err(problem)? {
            SshKey::Ed25519(key, converted) => {
                let age: x25519::Identity = converted
                    .parse()
                    .map_err(|_| problem(SshConversionError::Encoding))?;
                let (recipient, line) = (age.to_public().to_string(), key.line().to_owned());
                self.push(Key::X25519(age), recipient, path, IdentityKind::SshHostKey);
                self.push(Key::SshEd25519(key), line, path, IdentityKind::NativeSshKey);
            }
            SshKey::Rsa(key) => {
                let line = key.line().to_owned();
                self.push(Key::SshRsa(key), line, path, IdentityKind::NativeSshKey);
            }
        }
        Ok(())
    }

    fn push(&mut self, key: Key, recipient: String, source: &Path, kind: IdentityKind) {
        // The same key in two files would only double the tries.
        if self.infos.iter().any(|info| info.recipient == recipient) {
            return;
        }
        self.infos.push(IdentityInfo {
            recipient,
            source: source.to_owned(),
            kind,
        });
        self.keys.push(key);
    }
}
