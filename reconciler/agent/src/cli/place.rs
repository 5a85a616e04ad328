//! Where `reconcile publish` leaves a map: a file of the checkout, or a git note on the commit, pushed with the
//! person's own git. It never touches a branch.

use super::publish::PublishFailure;
use crate::durable::{self, Lasting};
use crate::nix::{Published, Scope};
use crate::process::{Command, Exit, locate};
use crate::source::{Mirror, Oid};
use camino::{Utf8Path, Utf8PathBuf};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// How far back a note is looked for that says the same of this commit.
const HISTORY: usize = 200;
/// How often a note is written again because somebody else pushed in between.
const PUSHES: usize = 3;
/// How long the remote may take.
const LIMIT: Duration = Duration::from_secs(300);

/// Where a map goes.
#[derive(Debug)]
pub(super) enum Place {
    /// A file.
    File(Utf8PathBuf),
    /// A note on the commit.
    Note(Note),
}

/// A note on a commit.
#[derive(Debug)]
pub(super) struct Note {
    /// The ref of the notes.
    pub(super) reference: String,
    /// Git's own folder.
    pub(super) repository: Utf8PathBuf,
    /// The commit.
    pub(super) commit: Oid,
    /// Where it is pushed.
    pub(super) remote: Option<Remote>,
}

/// A remote, and what git needs to reach it.
#[derive(Debug)]
pub(super) struct Remote {
    pub(super) name: String,
    pub(super) folders: Vec<PathBuf>,
    pub(super) environment: Vec<(OsString, OsString)>,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Place::File(file) => write!(f, "{file}"),
            Place::Note(note) => write!(f, "the note in {}", note.reference),
        }
    }
}

impl Place {
    /// A map of these trees that is there already.
    pub(super) async fn known(
        &self,
        trees: &BTreeMap<Scope, String>,
    ) -> Result<Option<Published>, PublishFailure> {
        let parsed = |bytes: &[u8]| Published::parse(bytes).filter(|map| map.is_of(trees));
        match self {
            Place::File(file) => Ok(std::fs::read(file).ok().and_then(|bytes| parsed(&bytes))),
            Place::Note(note) => {
                // What is here and was not pushed yet goes first.
                if let Some(map) = note.known(&parsed)? {
                    return Ok(Some(map));
                }
                note.fetch().await?;
                note.known(&parsed)
            }
        }
    }

    /// Leaves a map there.
    pub(super) async fn leave(&self, map: &Published) -> Result<(), PublishFailure> {
        // Sorted and indented: what did not change makes no difference in git.
        let mut text = serde_json::to_string_pretty(map).map_err(PublishFailure::Map)?;
        text.push('\n');
        match self {
            Place::File(file) => write(file, &text),
            Place::Note(note) => note.leave(&text).await,
        }
    }
}

fn write(file: &Utf8Path, text: &str) -> Result<(), PublishFailure> {
    if std::fs::read(file).is_ok_and(|written| written == text.as_bytes()) {
        return Ok(());
    }
    if let Some(folder) = file
        .parent()
        .filter(|folder| !folder.as_str().is_empty() && !folder.exists())
    {
        durable::folder(folder, 0o755)?;
    }
    Ok(durable::replace(file, text.as_bytes(), 0o644, Lasting::Process)?)
}

impl Note {
    fn known(
        &self,
        parsed: &dyn Fn(&[u8]) -> Option<Published>,
    ) -> Result<Option<Published>, PublishFailure> {
        let mirror = Mirror::of(&self.repository).map_err(PublishFailure::Head)?;
        // A merge or a revert is of a tree that was evaluated before.
        for commit in mirror
            .before(self.commit, HISTORY)
            .map_err(PublishFailure::Head)?
        {
            let found = mirror.note(&self.reference, commit);
            if let Some(map) = found
                .map_err(PublishFailure::Head)?
                .and_then(|bytes| parsed(&bytes))
            {
                return Ok(Some(map));
            }
        }
        Ok(None)
    }

    async fn leave(&self, text: &str) -> Result<(), PublishFailure> {
        let mut tries = 1;
        loop {
            let mirror = Mirror::of(&self.repository).map_err(PublishFailure::Head)?;
            let written = mirror.note(&self.reference, self.commit);
            if written.map_err(PublishFailure::Head)?.as_deref() != Some(text.as_bytes()) {
                mirror
                    .annotate(&self.reference, self.commit, text)
                    .map_err(PublishFailure::Head)?;
            }
            drop(mirror);
            match self.push().await {
                // Somebody else's note came first: this one is put on top of it.
                Err(PublishFailure::Git { .. }) if tries < PUSHES => self.fetch().await?,
                pushed => return pushed,
            }
            tries += 1;
        }
    }

    /// Takes over what the remote has, so that a push adds to it.
    async fn fetch(&self) -> Result<(), PublishFailure> {
        // A pattern that matches nothing is no error, a name that does not exist is.
        let refspec = format!("+{}*:{}*", self.reference, self.reference);
        self.git("fetch", "cannot fetch notes from", &refspec).await
    }

    async fn push(&self) -> Result<(), PublishFailure> {
        let refspec = format!("{}:{}", self.reference, self.reference);
        self.git("push", "cannot push the note to", &refspec).await
    }

    async fn git(&self, verb: &str, doing: &'static str, refspec: &str) -> Result<(), PublishFailure> {
        let Some(remote) = &self.remote else { return Ok(()) };
        let git = locate("git", &remote.folders).ok_or(PublishFailure::NoGit)?;
        let command = Command::new(git, LIMIT)
            .args(["--git-dir", self.repository.as_str(), verb, "--quiet"])
            .args(["--", remote.name.as_str(), refspec])
            .folder(&self.repository);
        let command = remote
            .environment
            .iter()
            .fold(command, |command, (name, value)| command.env(name, value))
            .env("GIT_TERMINAL_PROMPT", "0");
        let finished = command.run(&mut |_| {}).await.map_err(PublishFailure::Run)?;
        match finished.exit {
            Exit::Code(0) => Ok(()),
            _ => Err(PublishFailure::Git {
                doing,
                remote: remote.name.clone(),
                said: crate::text::plain(&finished.stderr).trim().to_owned(),
            }),
        }
    }
}
