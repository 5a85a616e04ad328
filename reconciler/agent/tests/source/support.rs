//! Repositories made with git itself, and sources with short timeouts.

use std::{fs, path::Path, process::Command, time::Duration};

use camino::{Utf8Path, Utf8PathBuf};
use reconciler::source::{HttpsSettings, Oid, Source, SourceSettings, SshSettings, Timeouts};
use tempfile::TempDir;

/// A folder that vanishes with the test.
pub(crate) struct Scratch {
    _folder: TempDir,
    pub(crate) path: Utf8PathBuf,
}

impl Scratch {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(folder.path().canonicalize().unwrap()).unwrap();
        Self {
            _folder: folder,
            path,
        }
    }
}

/// Runs git without the machine's configuration, at a fixed date.
pub(crate) fn git(folder: &Utf8Path, arguments: &[&str]) -> String {
    let output = git_command(folder).args(arguments).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "git {arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

pub(crate) fn git_command(folder: &Utf8Path) -> Command {
    let mut command = Command::new("git");
    command
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null")
        .env("GIT_AUTHOR_NAME", "Alice")
        .env("GIT_AUTHOR_EMAIL", "alice@example.org")
        .env("GIT_AUTHOR_DATE", "2026-01-02T03:04:05Z")
        .env("GIT_COMMITTER_NAME", "Alice")
        .env("GIT_COMMITTER_EMAIL", "alice@example.org")
        .env("GIT_COMMITTER_DATE", "2026-01-02T03:04:05Z");
    command
}

/// A repository with a branch `main`.
pub(crate) struct Upstream {
    pub(crate) path: Utf8PathBuf,
}

impl Upstream {
    pub(crate) fn new(scratch: &Scratch) -> Self {
        let path = scratch.path.join("infra");
        fs::create_dir(&path).unwrap();
        git(&path, &["init", "--quiet", "--initial-branch=main"]);
        git(&path, &["config", "http.uploadpack", "true"]);
        let upstream = Self { path };
        upstream.commit("first");
        upstream
    }

    /// Adds a commit to the branch that is checked out.
    pub(crate) fn commit(&self, message: &str) -> Oid {
        fs::write(self.path.join("log"), message).unwrap();
        git(&self.path, &["add", "--all"]);
        git(
            &self.path,
            &["commit", "--quiet", "--allow-empty", "--message", message],
        );
        self.head()
    }

    pub(crate) fn head(&self) -> Oid {
        git(&self.path, &["rev-parse", "HEAD"]).parse().unwrap()
    }

    /// Gives the head `count` further names, outside the branches.
    pub(crate) fn add_refs(&self, count: usize) {
        let head = self.head();
        let lines: String = (0..count)
            .map(|n| format!("create refs/pull/{n}/head {head}\n"))
            .collect();
        let list = self.path.join(".git/list");
        fs::write(&list, lines).unwrap();
        let input = fs::File::open(&list).unwrap();
        let status = git_command(&self.path)
            .args(["update-ref", "--stdin"])
            .stdin(input)
            .status()
            .unwrap();
        assert!(status.success());
        git(&self.path, &["pack-refs", "--all"]);
    }
}

/// Settings for these urls, with the state below `scratch`.
pub(crate) fn settings(scratch: &Scratch, urls: &[&str]) -> SourceSettings {
    SourceSettings {
        urls: urls.iter().map(|url| url.parse().unwrap()).collect(),
        branch: "main".into(),
        mirror: scratch.path.join("state/fleet.git"),
        home: scratch.path.join("state/home"),
        ssh: SshSettings {
            known_hosts: vec![],
            ..SshSettings::default()
        },
        https: HttpsSettings::default(),
        timeouts: Timeouts {
            connect: Duration::from_secs(20),
            poll: Duration::from_secs(20),
            stall: Duration::from_secs(20),
            fetch: Duration::from_secs(40),
        },
    }
}

/// A source whose transport is the binary under test.
pub(crate) fn source(settings: SourceSettings) -> Source {
    // Fails where another test was first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Source::with_program(settings, Path::new(env!("CARGO_BIN_EXE_reconcile")).to_owned()).unwrap()
}
