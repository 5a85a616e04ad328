//! Owns the list of what can be wrong: the id of each rule, its weight, and what it means. It must never look at a
//! fleet.

use serde::{Serialize, Serializer};

/// How bad a finding is (SARIF 2.1.0, `level`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Worth to know; nothing is wrong.
    Note,
    /// Wrong, and no machine fails by it.
    Warning,
    /// A machine fails by it, or somebody can read what is not meant for them.
    Error,
}

impl Level {
    /// The name, as SARIF has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

macro_rules! rules {
    ($($variant:ident, $id:literal, $level:ident, $title:literal, $meaning:literal;)*) => {
        /// One kind of finding. Its id is a contract.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Rule { $(#[doc = $title] $variant,)* }

        impl Rule {
            /// Every rule, in the order of the documentation.
            pub const ALL: &'static [Rule] = &[$(Rule::$variant,)*];

            /// The id.
            #[must_use]
            pub fn id(self) -> &'static str {
                match self { $(Rule::$variant => $id,)* }
            }

            /// How bad it is.
            #[must_use]
            pub fn level(self) -> Level {
                match self { $(Rule::$variant => Level::$level,)* }
            }

            /// What it finds, in a few words.
            #[must_use]
            pub fn title(self) -> &'static str {
                match self { $(Rule::$variant => $title,)* }
            }

            /// Why that is wrong, in a sentence or two.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self { $(Rule::$variant => $meaning,)* }
            }
        }
    };
}

rules! {
    Missing, "missing", Error, "A declared value is not there",
        "A machine declares the file and the repository does not have it. Nix evaluates and builds all the same, and the machine comes up without it.";
    NeverGenerated, "never-generated", Error, "A generator was never run",
        "A machine declares the generator and none of its files is there.";
    StaleHash, "stale-hash", Error, "A value is older than what it was made for",
        "The generator's validation changed since its values were made: the file .validation-hash has another hash than the one declared.";
    ConflictingDeclarations, "conflicting-declarations", Error, "Machines declare a shared generator differently",
        "There is one value for all of them, so they have to agree on its files, on which are secret, and on its validation.";
    Declaration, "declaration", Error, "Vars are declared wrongly",
        "A name would leave its folder, or a mode is none.";
    NotPullable, "not-pullable", Error, "The secrets are not in the repository",
        "The machine's secret store keeps nothing in the repository, so an agent that pulls has nothing to open.";
    NotEvaluated, "not-evaluated", Error, "A machine could not be evaluated",
        "What it declares is not known, so only what lies in the repository was checked for it.";
    NotEncrypted, "not-encrypted", Error, "A secret is not encrypted to one of its readers",
        "A link beside the secret names a machine or a person, or a machine declares it, and the file is not encrypted to their key: they cannot open it. Of a file whose key is shared out among groups, a machine has to be in as many as open it.";
    NotLinked, "not-linked", Error, "A secret is encrypted to somebody who is not linked",
        "A machine or a person can open the file, and no link beside it says that they may. The next re-encryption would take it from them, or nobody ever took it from them.";
    UnknownRecipient, "unknown-recipient", Error, "A secret is encrypted to a key of nobody",
        "The file can be opened with a key that no machine and no person of the fleet has: an earlier key, a removed reader's, or a stranger's.";
    NotDeployed, "not-deployed", Error, "A machine can open what is not meant for it",
        "The file is declared with deploy = false, for administrators alone, and is encrypted to a machine.";
    RemovedMachine, "removed-machine", Warning, "A secret is encrypted to a machine that the fleet no longer has",
        "Whoever has the disk of that machine can open it. Take the machine out, then change the value.";
    NoLinks, "no-links", Warning, "Nothing says who may read a secret",
        "There are no links beside the file, or no list of recipients in clan's age store, so that its recipients cannot be checked, nor a re-encryption made.";
    PlainAge, "plain-age", Note, "A plain age file lies where sops keeps its secrets",
        "It does not say whom it is encrypted to, so that this cannot be checked without a key, and neither sops nor clan reads it.";
    DanglingLink, "dangling-link", Warning, "A link leads to nobody",
        "The machine, person or group that the link names is gone. clan passes over it in silence.";
    MisdirectedLink, "misdirected-link", Error, "A link leads to somebody else than it says",
        "clan encrypts to the key that a link leads to, whatever the link's name: the secret would be encrypted to another key than people read there.";
    NotALink, "not-a-link", Warning, "Something that is no link stands among the links",
        "clan looks at links alone and passes over it.";
    NoKey, "no-key", Error, "A machine or a person has no key",
        "Their folder is there without a key file, so nothing can be encrypted to them.";
    KeyFile, "key-file", Error, "A key file cannot be used",
        "It is not JSON of clan's form, or holds something that is no public key.";
    Cleartext, "cleartext", Error, "A secret lies in cleartext",
        "It stands where a secret has to be, and is not encrypted. It is in the history: change the value.";
    Malformed, "malformed", Error, "An encrypted file is damaged",
        "It has no form in which it could ever be opened: cut off, merged badly, or edited by hand.";
    DuplicateKey, "duplicate-key", Error, "An encrypted file has a key twice",
        "Readers differ in which of the two they take; with it, a secret can be blanked without any key. sops itself accepts it.";
    BadMac, "bad-mac", Error, "An encrypted file has no valid message authentication code",
        "Somebody edited it without its key, or took the code away.";
    DoesNotOpen, "does-not-open", Error, "A secret does not open with a key that it names",
        "The key is there and the file says that it is encrypted to it, and yet it does not open.";
    OpensUnlisted, "opens-unlisted", Error, "A secret opens with a key that it does not name",
        "The list of recipients in the file was edited: the next re-encryption goes by that list.";
    MachineKey, "machine-key", Error, "A machine's private key is not the one of its public key",
        "The key that is kept for the machine (sops/secrets/<machine>-age.key, secrets/age-keys/machines/<machine>/key.age) does not belong to the public key that secrets are encrypted to.";
    UnknownMachine, "unknown-machine", Note, "The fleet does not declare a machine that has vars or keys",
        "What lies there is of no use to any machine. It may be of one that was removed.";
    Undeclared, "undeclared", Note, "No machine declares a value that is there",
        "Its generator was removed or renamed.";
    Superseded, "superseded", Note, "Secrets of another store lie beside those that are used",
        "The fleet changed its secret store, and what the old one kept is still there, as readable as it was.";
}

impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.id())
    }
}

impl std::fmt::Display for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.id())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::Rule;

    #[test]
    fn ids_are_words_and_each_its_own() {
        let ids: BTreeSet<_> = Rule::ALL.iter().map(|rule| rule.id()).collect();
        assert_eq!(ids.len(), Rule::ALL.len());
        assert!(
            ids.iter()
                .all(|id| id.chars().all(|c| c.is_ascii_lowercase() || c == '-'))
        );
    }

    #[test]
    fn the_documentation_has_every_rule() {
        let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/vars-check.md");
        let page = std::fs::read_to_string(page).unwrap();
        for rule in Rule::ALL {
            let row = format!(
                "| `{rule}` | {} | {}. {} |",
                rule.level().name(),
                rule.title(),
                rule.meaning()
            );
            assert!(page.contains(&row), "docs/vars-check.md lacks the row\n{row}");
        }
    }
}
