//! Owns an identity that a plugin holds the key of. It must never show its text.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use age_core::format::Stanza;
use age_core::primitives::bech32_decode;
use zeroize::Zeroizing;

use super::conversation;
use super::folders::Plugins;
use super::problem::PluginProblem;
use super::process::Process;

/// An identity of the form `AGE-PLUGIN-NAME-1…`.
pub(in crate::identity) struct PluginIdentity {
    name: String,
    text: Zeroizing<String>,
    program: PathBuf,
    plugins: Plugins,
    /// What every further file would only wait for again.
    hopeless: Mutex<Option<PluginProblem>>,
}

/// How these identities begin.
const PREFIX: &str = "age-plugin-";

/// The plugin's name in an identity, in lower case.
pub(in crate::identity) fn plugin_name(text: &str) -> Option<String> {
    bech32_decode(
        text,
        |_| (),
        |_| Ok(()),
        |prefix, _| {
            let prefix = prefix.as_str().to_ascii_lowercase();
            let name = prefix
                .strip_prefix(PREFIX)
                .and_then(|name| name.strip_suffix('-'));
            name.filter(|name| !name.is_empty()).map(str::to_owned).ok_or(())
        },
    )
    .ok()
}

impl PluginIdentity {
    /// Finds the program of an identity.
    pub(in crate::identity) fn new(
        name: String,
        text: &str,
        plugins: &Plugins,
    ) -> Result<Self, PluginProblem> {
        Ok(Self {
            program: plugins.locate(&name)?,
            name,
            text: Zeroizing::new(text.to_owned()),
            plugins: plugins.clone(),
            hopeless: Mutex::new(None),
        })
    }

    /// The plugin's name, such as `yubikey`.
    pub(in crate::identity) fn name(&self) -> &str {
        &self.name
    }

    pub(in crate::identity) fn is(&self, text: &str) -> bool {
        self.text.as_str() == text
    }

    /// The key of the file with these stanzas; `None` if it is sealed for somebody else.
    pub(in crate::identity) fn unwrap(
        &self,
        stanzas: &[Stanza],
    ) -> Result<Option<Zeroizing<Vec<u8>>>, PluginProblem> {
        let mut hopeless = self.hopeless.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(problem) = hopeless.as_ref() {
            return Err(problem.clone());
        }
        let limit = self.plugins.limit();
        let started = Process::start(&self.program, "identity-v1", &self.plugins.search_path(), limit);
        let answer = match started {
            Ok(mut process) => {
                let answer = conversation::unwrap(&mut process, &self.text, stanzas, limit);
                if answer.is_ok() {
                    process.farewell();
                }
                answer
            }
            Err(error) => Err(PluginProblem::Talk { kind: error.kind() }),
        };
        if let Err(
            problem @ (PluginProblem::TimedOut { .. }
            | PluginProblem::Interaction { .. }
            | PluginProblem::Talk { .. }
            | PluginProblem::Protocol),
        ) = &answer
        {
            *hopeless = Some(problem.clone());
        }
        answer
    }
}
