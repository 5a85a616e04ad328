//! Owns a recipient that only a plugin can seal for. It must never keep the key of a file.

use std::collections::HashSet;
use std::io;

use age::EncryptError;
use age_core::format::{FileKey, Stanza};
use age_core::primitives::bech32_decode;

use super::conversation;
use super::folders::Plugins;
use super::problem::PluginProblem;
use super::process::Process;

/// A recipient of the form `age1NAME1…`.
#[derive(Clone)]
pub(crate) struct PluginRecipient {
    name: String,
    text: String,
    plugins: Plugins,
}

impl PluginRecipient {
    /// Reads a recipient; which plugin it is of stands before its last `1`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let name = bech32_decode(
            text,
            |_| (),
            |_| Ok(()),
            |prefix, _| {
                let prefix = prefix.to_lowercase();
                let name = prefix.strip_prefix("age1").filter(|name| !name.is_empty());
                name.map(str::to_owned).ok_or(())
            },
        );
        Some(Self {
            name: name.ok()?,
            text: text.to_owned(),
            plugins: Plugins::default(),
        })
    }

    pub(crate) fn with_plugins(self, plugins: &Plugins) -> Self {
        Self {
            plugins: plugins.clone(),
            ..self
        }
    }

    fn wrap(&self, key: &FileKey) -> Result<(Vec<Stanza>, Vec<String>), PluginProblem> {
        let program = self.plugins.locate(&self.name)?;
        let limit = self.plugins.limit();
        let mut process = Process::start(&program, "recipient-v1", &self.plugins.search_path(), limit)
            .map_err(|error| PluginProblem::Talk { kind: error.kind() })?;
        let answer = conversation::wrap(&mut process, &self.text, key, limit)?;
        process.farewell();
        Ok(answer)
    }
}

impl age::Recipient for PluginRecipient {
    fn wrap_file_key(&self, key: &FileKey) -> Result<(Vec<Stanza>, HashSet<String>), EncryptError> {
        let (stanzas, labels) = self.wrap(key).map_err(io::Error::other)?;
        Ok((stanzas, labels.into_iter().collect()))
    }
}
