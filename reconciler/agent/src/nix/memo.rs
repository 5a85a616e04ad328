//! By what an evaluation is remembered: a digest of everything that its answer depends on. Pure.
//!
//! What is left out must not change an answer: bounds of time and memory, credentials, the user.

use super::evaluate::{ENTRY, ImportFromDerivation, Step};
use super::scope::Scope;
use crate::source::{Oid, Revision};
use sha2::{Digest, Sha256};

/// The version of the keys: another one forgets everything.
const VERSION: &str = "1";

/// What an answer depends on besides the fleet.
#[derive(Debug, Clone, Copy)]
pub struct Premises<'a> {
    /// The evaluator, as it says its version.
    pub nix: &'a str,
    /// All of the host's nix.conf(5).
    pub configuration: &'a str,
    /// The store's folder: part of every path.
    pub store: &'a str,
    /// Whether it may build.
    pub import_from_derivation: ImportFromDerivation,
    /// The flake's folder.
    pub directory: &'a str,
    /// The machine.
    pub machine: &'a str,
}

/// What of the fleet an answer depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// The files that it was given.
    Tree,
    /// And the commit: the fleet looked at its id, its time or its number.
    Commit(Revision),
}

impl Premises<'_> {
    /// The key of a step's answer, given the tree `tree` of `scope`.
    #[must_use]
    pub fn key(&self, step: Step<'_>, scope: Scope, tree: Oid, bound: Bound) -> String {
        let commit = match bound {
            Bound::Tree => String::new(),
            Bound::Commit(revision) => revision.to_string(),
        };
        let tree = tree.to_string();
        let parts = [
            VERSION,
            ENTRY,
            self.nix,
            self.configuration,
            self.store,
            self.import_from_derivation.setting(),
            self.directory,
            self.machine,
            step.name(),
            scope.name(),
            &tree,
            &commit,
        ];
        let mut digest = Sha256::new();
        for part in parts {
            // With its length before it, no part can pass for two.
            digest.update(part.len().to_le_bytes());
            digest.update(part.as_bytes());
        }
        digest
            .finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn whatever_an_answer_depends_on_makes_another_key() {
        let premises = Premises {
            nix: "nix (Nix) 2.8.0",
            configuration: "",
            store: "/nix/store",
            import_from_derivation: ImportFromDerivation::Allowed,
            directory: "a",
            machine: "b",
        };
        let (one, two) = (
            Oid::from_bytes(&[1; 20]).unwrap(),
            Oid::from_bytes(&[2; 20]).unwrap(),
        );
        let head = Revision::accept(one, None, crate::source::History::Any).unwrap();
        let key = |premises: Premises<'_>| premises.key(Step::Metadata, Scope::Directory, one, Bound::Tree);
        let keys = [
            key(premises),
            key(Premises {
                nix: "nix (Nix) 2.9.0",
                ..premises
            }),
            key(Premises {
                configuration: "cores = 1",
                ..premises
            }),
            key(Premises {
                store: "/other",
                ..premises
            }),
            key(Premises {
                import_from_derivation: ImportFromDerivation::Forbidden,
                ..premises
            }),
            key(Premises {
                directory: "",
                ..premises
            }),
            key(Premises {
                directory: "ab",
                machine: "",
                ..premises
            }),
            key(Premises {
                directory: "",
                machine: "ab",
                ..premises
            }),
            premises.key(Step::Toplevel, Scope::Directory, one, Bound::Tree),
            premises.key(Step::Metadata, Scope::Repository, one, Bound::Tree),
            premises.key(Step::Metadata, Scope::Directory, two, Bound::Tree),
            premises.key(Step::Metadata, Scope::Directory, one, Bound::Commit(head)),
        ];
        assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), keys.len());
        assert_eq!(key(premises), keys[0]);
    }
}
