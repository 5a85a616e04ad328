//! Owns what is wrong at one place, as the rest of a sentence that begins with a path. It must never hold a value.

use super::keybook::Holder;
use super::public_key::{KeyFileError, PublicKey};
use super::rule::Rule;
use crate::requirements::RequirementsError;
use crate::sops::{Shares, SopsError, ValueProblem};
use crate::tree::TreeError;

/// What is wrong.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are what the messages show")]
pub enum Defect {
    /// A declared file is not there.
    #[error("is missing")]
    Missing,
    /// None of a generator's files is there.
    #[error("is missing: generator {generator} was never run")]
    NeverGenerated { generator: String },
    /// The hash of the declaration is another than that of the values.
    #[error("is stale: {}", hashes(.declared.as_deref(), .stored.as_deref()))]
    StaleHash {
        declared: Option<String>,
        stored: Option<String>,
    },
    /// Two machines declare a shared generator differently.
    #[error("is declared by {machine} in another way than by {other}")]
    Conflicting { machine: String, other: String },
    /// A declaration cannot be served.
    #[error("cannot be served: {0}")]
    Declaration(RequirementsError),
    /// The machine's secrets are elsewhere.
    #[error("has its secrets in {store}, which keeps none in the repository")]
    NotPullable { store: String },
    /// The machine's entry is not known.
    #[error("could not be evaluated: {why}")]
    NotEvaluated { why: String },
    /// A reader cannot open it.
    #[error("is not encrypted to {holder}{}{}", shown_key(.key.as_ref()), shown_link(.linked))]
    NotEncrypted {
        holder: Holder,
        /// The key that is missing, where the reader has one at all.
        key: Option<PublicKey>,
        linked: Linked,
    },
    /// A reader can open it only together with others.
    #[error("does not open for {holder} alone: it takes {} of {} key groups, and {holder} is in {}", .shares.needed, .shares.groups, .shares.held)]
    Shared { holder: Holder, shares: Shares },
    /// One whom the list of recipients names cannot open it.
    #[error("is not encrypted to {key}, which its list of recipients names")]
    NotSealed { key: PublicKey },
    /// A file of one machine alone that has more recipients.
    #[error("is for {machine} alone, and has {actual} recipients")]
    NotAlone { machine: Holder, actual: usize },
    /// Somebody who is not linked can open it.
    #[error("is encrypted to {holder} ({key}), and no link names it")]
    NotLinked { holder: Holder, key: PublicKey },
    /// Nobody knows whose key it is encrypted to.
    #[error("is encrypted to {key}, a key of nobody in the fleet")]
    UnknownRecipient { key: PublicKey },
    /// A machine can open what is declared for administrators.
    #[error("is for administrators alone, and is encrypted to {machine}")]
    NotDeployed { machine: Holder },
    /// A machine that is gone can open it.
    #[error("is encrypted to {machine}, which the fleet no longer has")]
    RemovedMachine { machine: Holder },
    /// No links.
    #[error("has no links beside it that say who may read it")]
    NoLinks,
    /// No list of recipients.
    #[error("has no list of recipients beside it")]
    NoList,
    /// An age file in the place of one of sops.
    #[error("is a plain age file, and sops keeps its secrets here: it does not say whom it is for")]
    PlainAge,
    /// A link leads to nothing.
    #[error("leads to no {name}{}", shown_target(.target))]
    Dangling { name: String, target: String },
    /// A link leads elsewhere.
    #[error("says {name} and leads to {target}")]
    Misdirected { name: String, target: String },
    /// Links lead to each other.
    #[error("says {name} and leads round and round")]
    Endless { name: String },
    /// No link.
    #[error("says {name} and is no symbolic link")]
    NotALink { name: String },
    /// No key file.
    #[error("is missing: {holder} has no key")]
    NoKey { holder: Holder },
    /// The key file is none.
    #[error("{0}")]
    KeyFile(KeyFileError),
    /// A secret that is not encrypted, or a public file in its place.
    #[error("lies in cleartext")]
    Cleartext,
    /// A declared secret that lies there as a public value.
    #[error("lies in cleartext: it is declared a secret")]
    PublishedSecret,
    /// Damaged.
    #[error("{0}")]
    File(SopsError),
    /// Not readable.
    #[error("{0}")]
    Tree(TreeError),
    /// It names a key that does not open it.
    #[error("does not open with the key of {who}: it {problem}")]
    DoesNotOpen { who: String, problem: SopsError },
    /// It is opened by a key that it does not name.
    #[error("opens with the key of {who} and does not name it among its recipients")]
    OpensUnlisted { who: String },
    /// A private key that is another's.
    #[error("holds another key than the public one of {machine}")]
    MachineKey { machine: String },
    /// A private key that is none.
    #[error("holds no age key")]
    NoMachineKey,
    /// A machine that is not declared.
    #[error("is of {name}, a machine that the fleet does not declare")]
    UnknownMachine { name: String },
    /// A value that is not declared.
    #[error("is declared by no machine")]
    Undeclared,
    /// What another store left.
    #[error("holds {count} secrets of the sops store, and the fleet's secrets are in the age store")]
    Superseded { count: usize },
    /// The recipients that the age store noted are not as many as the file has.
    #[error("names {named} recipients, and the file has {actual}")]
    Sidecar { named: usize, actual: usize },
}

/// How a reader is known to be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Linked {
    /// By a link beside the secret.
    ByLink,
    /// By a group that is linked.
    ByGroup,
    /// By the machine's own declaration alone.
    ByDeclaration,
    /// By the list of recipients that clan's age store keeps.
    ByStore,
}

impl Defect {
    /// The rule that it breaks.
    #[must_use]
    pub fn rule(&self) -> Rule {
        match self {
            Self::Missing => Rule::Missing,
            Self::NeverGenerated { .. } => Rule::NeverGenerated,
            Self::StaleHash { .. } => Rule::StaleHash,
            Self::Conflicting { .. } => Rule::ConflictingDeclarations,
            Self::Declaration(_) => Rule::Declaration,
            Self::NotPullable { .. } => Rule::NotPullable,
            Self::NotEvaluated { .. } => Rule::NotEvaluated,
            Self::NotEncrypted { .. } | Self::Shared { .. } | Self::NotSealed { .. } => Rule::NotEncrypted,
            Self::NotAlone { .. } => Rule::UnknownRecipient,
            Self::NotLinked { .. } => Rule::NotLinked,
            Self::UnknownRecipient { .. } => Rule::UnknownRecipient,
            Self::NotDeployed { .. } => Rule::NotDeployed,
            Self::RemovedMachine { .. } => Rule::RemovedMachine,
            Self::NoLinks | Self::NoList => Rule::NoLinks,
            Self::PlainAge => Rule::PlainAge,
            Self::Dangling { .. } => Rule::DanglingLink,
            Self::Misdirected { .. } | Self::Endless { .. } => Rule::MisdirectedLink,
            Self::NotALink { .. } => Rule::NotALink,
            Self::NoKey { .. } => Rule::NoKey,
            Self::KeyFile(_) => Rule::KeyFile,
            Self::Cleartext | Self::PublishedSecret => Rule::Cleartext,
            Self::File(error) => rule_of(error),
            Self::Tree(_) | Self::Sidecar { .. } => Rule::Malformed,
            Self::DoesNotOpen { problem, .. } => match problem {
                SopsError::BadMac => Rule::BadMac,
                _ => Rule::DoesNotOpen,
            },
            Self::OpensUnlisted { .. } => Rule::OpensUnlisted,
            Self::MachineKey { .. } | Self::NoMachineKey => Rule::MachineKey,
            Self::UnknownMachine { .. } => Rule::UnknownMachine,
            Self::Undeclared => Rule::Undeclared,
            Self::Superseded { .. } => Rule::Superseded,
        }
    }

    /// What is wrong with a file that cannot be inspected. What has nothing of sops in it was never encrypted.
    pub(super) fn of_file(error: SopsError, bytes: &[u8]) -> Self {
        let has = |sign: &[u8]| bytes.windows(sign.len()).any(|window| window == sign);
        let was_sops = has(b"ENC[AES256_GCM") || has(b"\"sops\"");
        match error {
            SopsError::NoMetadata if !was_sops => Self::Cleartext,
            SopsError::Value {
                problem: ValueProblem::NotEncrypted,
                ..
            }
            | SopsError::Empty => Self::File(error),
            SopsError::NotAnObject if !was_sops => Self::Cleartext,
            error if !was_sops && !is_age_damage(&error) => Self::Cleartext,
            error => Self::File(error),
        }
    }
}

fn is_age_damage(error: &SopsError) -> bool {
    matches!(error, SopsError::AgeFile | SopsError::TooLarge { .. })
}

fn rule_of(error: &SopsError) -> Rule {
    match error {
        SopsError::DuplicateKey { .. } => Rule::DuplicateKey,
        SopsError::NoMac | SopsError::BadMac => Rule::BadMac,
        SopsError::NoMetadata
        | SopsError::Value {
            problem: ValueProblem::NotEncrypted,
            ..
        } => Rule::Cleartext,
        _ => Rule::Malformed,
    }
}

fn shown_key(key: Option<&PublicKey>) -> String {
    key.map_or_else(String::new, |key| format!(" ({key})"))
}

fn shown_link(linked: &Linked) -> &'static str {
    match linked {
        Linked::ByLink => ", although a link names it",
        Linked::ByGroup => ", although a linked group has it",
        Linked::ByDeclaration => ", which declares it",
        Linked::ByStore => "",
    }
}

fn shown_target(target: &str) -> String {
    if target.is_empty() {
        String::new()
    } else {
        format!(": there is nothing at {target}")
    }
}

fn hashes(declared: Option<&str>, stored: Option<&str>) -> &'static str {
    match (declared, stored) {
        (Some(_), Some(_)) => "what it depends on changed since it was made",
        (Some(_), None) => "it was made before its generator had a validation",
        (None, _) => "its generator had a validation when it was made, and has none now",
    }
}
