//! Owns the look at what of the declared values lies in the fleet's directory. It must never open a secret.

use std::collections::BTreeMap;

use super::graph::Graph;
use super::id::GeneratorId;
use crate::tree::{Tree, TreeError};
use crate::validation;

/// What is there of one generator.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Present {
    /// Declared files that are not there.
    pub missing: Vec<String>,
    /// The validation hash that lies beside the values.
    pub stored_hash: Option<String>,
    /// Whether that is another than the declared one. Neither there nor declared is none.
    pub stale: bool,
}

/// What is there of every generator.
///
/// # Errors
/// [`TreeError`] where the directory cannot be read.
pub fn survey(tree: &dyn Tree, graph: &Graph) -> Result<BTreeMap<GeneratorId, Present>, TreeError> {
    let mut found = BTreeMap::new();
    for (id, node) in graph.iter() {
        let folder = id.folder();
        let mut missing = Vec::new();
        for (name, file) in &node.definition.files {
            let kept = if file.secret { "secret" } else { "value" };
            let there = tree.list(&format!("{folder}/{name}"))?;
            if !there.iter().any(|entry| entry.name == kept) {
                missing.push(name.clone());
            }
        }
        let stored = tree.read(&format!("{folder}/{}", validation::FILE))?;
        let stored_hash = stored.map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned());
        found.insert(
            id.clone(),
            Present {
                missing,
                stale: stored_hash != node.definition.validation_hash,
                stored_hash,
            },
        );
    }
    Ok(found)
}
