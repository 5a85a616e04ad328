//! Git, as the person who types: what changed is staged, and committed where they want it. Nothing else of the
//! index is touched.

use crate::host;
use crate::process::{Command, Exit, Finished, RunError, locate};
use camino::{Utf8Path, Utf8PathBuf};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

/// Commit hooks may take long; a person can stop them.
const LIMIT: Duration = Duration::from_secs(600);

/// Git did not take the change. It lies in the folder all the same.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum GitError {
    #[error("the values are written, and cannot be handed to git")]
    Run(#[source] RunError),
    #[error("the values are written, and `git {verb}` ended with {exit}: {said}")]
    Refused {
        verb: &'static str,
        exit: Exit,
        said: String,
    },
    #[error("the values are written, and there is no `git` to commit them with")]
    NoGit,
    #[error("the values are written, and {folder} is not in a git repository that could keep them")]
    NoRepository { folder: Utf8PathBuf },
}

/// What git was asked to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kept {
    /// It is staged.
    Staged,
    /// It is committed.
    Committed,
    /// There is no repository.
    OnDisk,
}

/// The repository around a folder.
#[derive(Debug)]
pub(super) struct Git {
    program: PathBuf,
    folder: Utf8PathBuf,
    path: String,
}

impl Git {
    /// None where there is no git, or no repository around the folder.
    pub(super) async fn around(
        folder: &Utf8Path,
        folders: &[PathBuf],
        path: &str,
    ) -> Result<Option<Git>, GitError> {
        let Some(program) = locate("git", folders) else {
            return Ok(None);
        };
        let git = Git {
            program,
            folder: folder.to_owned(),
            path: path.to_owned(),
        };
        let asked = git.run(&["rev-parse", "--is-inside-work-tree"]).await?;
        Ok((asked.exit == Exit::Code(0) && asked.stdout.starts_with(b"true")).then_some(git))
    }

    /// Stages everything in these folders, gone files as well: a flake has only what git knows.
    pub(super) async fn stage(&self, folders: &BTreeSet<String>) -> Result<(), GitError> {
        let (there, gone): (Vec<_>, Vec<_>) = folders
            .iter()
            .map(String::as_str)
            .partition(|folder| self.folder.join(folder).symlink_metadata().is_ok());
        if !there.is_empty() {
            let words = [&["add", "--all", "--"], there.as_slice()].concat();
            expect("add", self.run(&words).await?)?;
        }
        if !gone.is_empty() {
            let words = [
                &["rm", "-r", "--cached", "--quiet", "--ignore-unmatch", "--"],
                gone.as_slice(),
            ]
            .concat();
            expect("rm", self.run(&words).await?)?;
        }
        Ok(())
    }

    /// Commits what is staged in these folders, and nothing else.
    pub(super) async fn commit(&self, folders: &BTreeSet<String>, subject: &str) -> Result<(), GitError> {
        let folders: Vec<_> = folders.iter().map(String::as_str).collect();
        let differs = [&["diff", "--cached", "--quiet", "--"], folders.as_slice()].concat();
        if self.run(&differs).await?.exit == Exit::Code(0) {
            return Ok(());
        }
        // A path that git never knew would be refused.
        let names = [
            &["diff", "--cached", "--name-only", "--relative", "-z", "--"],
            folders.as_slice(),
        ]
        .concat();
        let names = expect("diff", self.run(&names).await?)?.stdout;
        let command = self
            .command()
            .args(["commit", "--quiet", "--message", subject])
            .args(["--pathspec-from-file=-", "--pathspec-file-nul"])
            .input(names);
        expect("commit", finish(command).await?)?;
        Ok(())
    }

    async fn run(&self, words: &[&str]) -> Result<Finished, GitError> {
        finish(self.command().args(words)).await
    }

    fn command(&self) -> Command {
        let command = Command::new(&self.program, LIMIT)
            .folder(&self.folder)
            .env("GIT_LITERAL_PATHSPECS", "1");
        let environment = host::of_a_person(&self.path).into_iter();
        environment.fold(command, |command, (name, value)| command.env(name, value))
    }
}

async fn finish(command: Command) -> Result<Finished, GitError> {
    command.run(&mut |_| {}).await.map_err(GitError::Run)
}

fn expect(verb: &'static str, finished: Finished) -> Result<Finished, GitError> {
    if finished.exit == Exit::Code(0) {
        return Ok(finished);
    }
    let said = crate::text::plain(&finished.stderr);
    Err(GitError::Refused {
        verb,
        exit: finished.exit,
        said: said.trim().replace('\n', "; "),
    })
}

/// Whether the change is to be committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    Stage,
    Commit,
}

/// Hands changed folders to git.
pub(super) async fn keep(
    root: &Utf8Path,
    environment: &host::Environment,
    changed: &BTreeSet<String>,
    keep: Keep,
    subject: &str,
) -> Result<Kept, GitError> {
    if changed.is_empty() {
        return Ok(Kept::OnDisk);
    }
    let git = Git::around(root, &environment.folders, &environment.search_path()).await?;
    let Some(git) = git else {
        return match keep {
            Keep::Stage => Ok(Kept::OnDisk),
            Keep::Commit if locate("git", &environment.folders).is_none() => Err(GitError::NoGit),
            Keep::Commit => Err(GitError::NoRepository {
                folder: root.to_owned(),
            }),
        };
    };
    git.stage(changed).await?;
    if keep == Keep::Stage {
        return Ok(Kept::Staged);
    }
    git.commit(changed, subject).await?;
    Ok(Kept::Committed)
}
