//! A door for the fuzz targets, behind the feature `fuzzing`: a plugin that says what it was given, and hears nothing. Owns
//! no judgement.

use std::time::Duration;

use age_core::format::{FileKey, Stanza};
use zeroize::Zeroizing;

use super::conversation;
use super::problem::PluginProblem;
use super::process::{Peer, Silence};

const LIMIT: Duration = Duration::from_secs(1);

struct Script<'a>(&'a [u8]);

impl Peer for Script<'_> {
    fn line(&mut self) -> Result<Zeroizing<Vec<u8>>, Silence> {
        let end = self
            .0
            .iter()
            .position(|byte| *byte == b'\n')
            .ok_or(Silence::Ended)?;
        let (line, rest) = self.0.split_at(end);
        self.0 = rest.get(1..).unwrap_or_default();
        Ok(Zeroizing::new(line.to_vec()))
    }

    fn say(&mut self, _: Zeroizing<Vec<u8>>) -> Result<(), Silence> {
        Ok(())
    }
}

/// What a plugin that says this makes of a file's stanzas.
///
/// # Errors
/// Those of any plugin.
pub fn plugin_key(said: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>, PluginProblem> {
    conversation::unwrap(&mut Script(said), "AGE-PLUGIN-SCRIPT-1", &[], LIMIT)
}

/// The stanzas and labels with which it would seal a file.
///
/// # Errors
/// Those of any plugin.
pub fn plugin_stanzas(said: &[u8]) -> Result<(Vec<Stanza>, Vec<String>), PluginProblem> {
    let key = FileKey::new(Box::new([7; 16]));
    conversation::wrap(&mut Script(said), "age1script1", &key, LIMIT)
}
