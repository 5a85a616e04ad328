//! `reconcile vars decrypt`: what a sops or age file holds, for a person or a script. Never writes a file.

use super::args::DecryptOptions;
use crate::cli::context::{Context, Detail};
use crate::cli::failure::CliError;
use crate::cli::page;
use crate::exit::Outcome;
use camino::Utf8Path;
use reconciler_vars::sops::LARGEST_FILE;
use reconciler_vars::{Format, IdentityProblem, SopsError, decrypt, decrypt_file};
use std::fs::File;
use std::io::{self, Read};

/// A file that gave no plaintext.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum DecryptError {
    /// It could not be read.
    #[error("cannot read {file}")]
    Read {
        file: String,
        #[source]
        source: io::Error,
    },
    /// There is nothing to open it with.
    #[error("cannot open {file}: this machine has no key that opens secrets")]
    NoIdentity {
        file: String,
        problems: Vec<IdentityProblem>,
    },
    /// It does not open, or is no such file.
    #[error("cannot open {file}: it {source}")]
    Open {
        file: String,
        /// What this machine could have opened.
        own: Vec<String>,
        source: SopsError,
    },
}

impl DecryptError {
    pub(in crate::cli) fn outcome(&self) -> Outcome {
        match self {
            DecryptError::Read { .. } => Outcome::Usage,
            DecryptError::NoIdentity { .. } | DecryptError::Open { .. } => Outcome::PreflightFailed,
        }
    }

    /// Lines below the sentence.
    pub(in crate::cli) fn details(&self) -> Vec<String> {
        match self {
            DecryptError::Read { .. } => Vec::new(),
            DecryptError::NoIdentity { problems, .. } => problems.iter().map(ToString::to_string).collect(),
            DecryptError::Open {
                own,
                source: SopsError::NotEncryptedToThisMachine { recipients },
                ..
            } => {
                let ours = own.iter().map(|recipient| format!("opened here: {recipient}"));
                let theirs = recipients
                    .iter()
                    .map(|recipient| format!("encrypted to: {recipient}"));
                ours.chain(theirs).collect()
            }
            DecryptError::Open { .. } => Vec::new(),
        }
    }

    pub(in crate::cli) fn hint(&self) -> Option<String> {
        let text = match self {
            DecryptError::Read { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Some("try it with sudo")
            }
            DecryptError::Read { .. } => None,
            DecryptError::NoIdentity { problems, .. } => {
                let pressing = problems.iter().find(|problem| !problem.is_absence());
                if let Some(problem) = pressing {
                    return Some(problem.hint());
                }
                Some("`--identity FILE` names a key; `reconcile keys` shows where keys are looked for")
            }
            DecryptError::Open {
                source: SopsError::NotEncryptedToThisMachine { .. },
                ..
            } => Some("have it encrypted to one of those, or name another key with `--identity FILE`"),
            DecryptError::Open { .. } => None,
        };
        text.map(str::to_owned)
    }
}

pub(super) fn run(context: &Context, options: &DecryptOptions) -> Result<Outcome, CliError> {
    let (file, bytes) = read(&options.file)?;
    let identities = context.identities(&options.identity)?;
    if identities.is_empty() {
        let problems = identities.problems().to_vec();
        return Err(DecryptError::NoIdentity { file, problems }.into());
    }
    let opened = match Format::of_path(options.file.as_str()) {
        // A name that says nothing is no promise.
        Format::Binary => decrypt_file(&bytes, &identities),
        format => decrypt(&bytes, format, &identities),
    }
    .map_err(|source| DecryptError::Open {
        file: file.clone(),
        own: identities
            .recipients()
            .iter()
            .map(|info| info.recipient.clone())
            .collect(),
        source,
    })?;
    let documents = opened.documents();
    if options.json && documents > 1 && context.detail != Detail::Quiet {
        page::note(&format!(
            "{file} holds {documents} documents: this is the first, as sops prints it; without --json it is all of them"
        ));
    }
    let text = if options.json {
        opened.to_json()
    } else {
        opened.into_bytes()
    };
    let text = text.map_err(|source| DecryptError::Open {
        file,
        own: Vec::new(),
        source,
    })?;
    page::secret(&text)?;
    Ok(Outcome::Converged)
}

/// The file's name for messages, and its bytes: one more than is opened, so that a larger one is told as such.
fn read(file: &Utf8Path) -> Result<(String, Vec<u8>), DecryptError> {
    let limit = u64::try_from(LARGEST_FILE).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    let (name, read) = if file == "-" {
        let read = io::stdin().lock().take(limit).read_to_end(&mut bytes);
        ("standard input".to_owned(), read)
    } else {
        let read = File::open(file).and_then(|file| file.take(limit).read_to_end(&mut bytes));
        (file.to_string(), read)
    };
    match read {
        Ok(_) => Ok((name, bytes)),
        Err(source) => Err(DecryptError::Read { file: name, source }),
    }
}
