//! A fleet: a repository that is worked in, and the bare one that it is pushed to.

use crate::binary::{example, fixtures, tool};
use crate::entry::Entry;
use crate::output::{Output, run};
use crate::plaintexts::Plaintexts;
use crate::scratch::Scratch;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Every machine is a folder of `machines/` with an `entry.nix`.
const FLAKE: &str = "{
  outputs = { self }:
    let
      toplevel = import ./toplevel.nix;
      entry = name: _: import (./machines + \"/${name}/entry.nix\") { inherit name toplevel; };
    in
    { reconciler.machines = builtins.mapAttrs entry (builtins.readDir ./machines); };
}
";

/// A fleet's repository and its remote.
#[derive(Debug)]
pub struct Fleet {
    scratch: Scratch,
    commits: AtomicU32,
    plaintexts: Plaintexts,
}

impl Fleet {
    /// A fleet with no machine, not committed and not pushed.
    #[must_use]
    pub fn new() -> Fleet {
        let fleet = Fleet {
            scratch: Scratch::on_disk(),
            commits: AtomicU32::new(0),
            plaintexts: Plaintexts::default(),
        };
        std::fs::create_dir_all(fleet.work().join("machines")).unwrap();
        fleet.git(&["init", "--quiet", "--initial-branch=main"]);
        let bare = fleet.bare();
        fleet.git(&[
            "init",
            "--quiet",
            "--bare",
            "--initial-branch=main",
            &bare.to_string_lossy(),
        ]);
        fleet.git(&["remote", "add", "origin", &bare.to_string_lossy()]);
        fleet.write("flake.nix", FLAKE);
        copy(
            &example().join("toplevel.nix"),
            &fleet.work().join("toplevel.nix"),
        );
        copy(&example().join("toplevels"), &fleet.work().join("toplevels"));
        copy(&fixtures().join("toplevels"), &fleet.work().join("classes"));
        // Flushing every disk of the machine that tests is not what is tested.
        let script = "toplevels/nixos/bin/switch-to-configuration";
        fleet.write(script, &fleet.read(script).replace("|| sync\n", "|| :\n"));
        fleet
    }

    /// A fleet with one NixOS machine, pushed.
    #[must_use]
    pub fn with_machine(name: &str) -> Fleet {
        let fleet = Fleet::new();
        fleet.declare(name, &Entry::nixos());
        fleet.motd(name, "first");
        fleet.publish("the first commit");
        fleet
    }

    /// A value that a secret is made of: no host may show it, nor keep it outside its secrets.
    pub fn keeps_secret(&self, value: &str) {
        self.plaintexts.add(value);
    }

    pub(crate) fn plaintexts(&self) -> Plaintexts {
        self.plaintexts.clone()
    }

    /// The address that machines follow.
    #[must_use]
    pub fn url(&self) -> String {
        format!("file://{}", self.bare().display())
    }

    /// The repository that is pushed to.
    #[must_use]
    pub fn bare(&self) -> PathBuf {
        self.scratch.path().join("fleet.git")
    }

    /// The folder that is worked in.
    #[must_use]
    pub fn work(&self) -> PathBuf {
        self.scratch.path().join("work")
    }

    /// Declares a machine anew.
    pub fn declare(&self, name: &str, entry: &Entry) {
        self.write(&format!("machines/{name}/entry.nix"), &entry.to_nix());
        // Git keeps no empty folder.
        self.write(&format!("machines/{name}/root/system"), crate::SYSTEM);
        // What counts activations: each one leaves a line with its toplevel below the host's root.
        self.fault(
            name,
            "hook",
            "echo \"${0%/fault/hook}\" >>\"$RECONCILER_ROOT/activations\"\n",
        );
    }

    /// Changes what a machine's toplevel holds, and with it the toplevel.
    pub fn motd(&self, machine: &str, text: &str) {
        self.write(&format!("machines/{machine}/root/etc/motd"), text);
    }

    /// Makes the activation of a machine's toplevel fail in a way that `toplevels/nixos` knows.
    pub fn fault(&self, machine: &str, fault: &str, content: &str) {
        self.write(&format!("machines/{machine}/root/fault/{fault}"), content);
    }

    /// Writes a file of the work tree.
    pub fn write(&self, path: &str, text: &str) {
        let path = self.work().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Reads a file of the work tree.
    #[must_use]
    pub fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.work().join(path)).unwrap()
    }

    /// Makes a symbolic link in the work tree.
    pub fn link(&self, path: &str, target: &str) {
        let path = self.work().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let _ = std::fs::remove_file(&path);
        symlink(target, path).unwrap();
    }

    /// Deletes a file or a folder of the work tree.
    pub fn remove(&self, path: &str) {
        let path = self.work().join(path);
        if path.is_dir() {
            std::fs::remove_dir_all(path).unwrap();
        } else {
            std::fs::remove_file(path).unwrap();
        }
    }

    /// Commits the work tree, be it as it was, and returns the commit.
    pub fn commit(&self, subject: &str) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", subject]);
        self.head()
    }

    /// Commits and pushes.
    pub fn publish(&self, subject: &str) -> String {
        let commit = self.commit(subject);
        self.push();
        commit
    }

    /// Pushes; the remote has to take it.
    pub fn push(&self) {
        self.git(&["push", "--quiet", "origin", "main"]);
    }

    /// Pushes over whatever is there.
    pub fn push_force(&self) {
        self.git(&["push", "--quiet", "--force", "origin", "main"]);
    }

    /// Commits the opposite of the last commit and pushes it.
    pub fn revert(&self) -> String {
        self.git(&["revert", "--no-edit", "HEAD"]);
        self.push();
        self.head()
    }

    /// Sets the branch back to a commit, in the work tree alone.
    pub fn reset(&self, commit: &str) {
        self.git(&["reset", "--quiet", "--hard", commit]);
    }

    /// The commit that is checked out.
    #[must_use]
    pub fn head(&self) -> String {
        self.git(&["rev-parse", "HEAD"]).stdout.trim().to_owned()
    }

    /// Runs git in the work tree; it has to succeed.
    #[track_caller]
    pub fn git(&self, arguments: &[&str]) -> Output {
        // Every commit has a time of its own, and the same in every run.
        let second = self.commits.fetch_add(1, Ordering::Relaxed);
        let date = format!(
            "2026-01-01T{:02}:{:02}:{:02}Z",
            second / 3600,
            second / 60 % 60,
            second % 60
        );
        let mut command = Command::new(tool("git"));
        command
            .args(arguments)
            .current_dir(self.work())
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("HOME", self.scratch.path())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .envs(["GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"].map(|name| (name, "admin")))
            .envs(["GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"].map(|name| (name, "admin@example.org")))
            .envs(["GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE"].map(|name| (name, &date)));
        run(&mut command, Duration::from_secs(60)).ended(0)
    }
}

impl Default for Fleet {
    fn default() -> Self {
        Fleet::new()
    }
}

/// Copies a file or a folder, with its links as links and its modes.
fn copy(from: &Path, to: &Path) {
    let kind = std::fs::symlink_metadata(from).unwrap().file_type();
    if kind.is_dir() {
        std::fs::create_dir_all(to).unwrap();
        for entry in std::fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            copy(&entry.path(), &to.join(entry.file_name()));
        }
    } else if kind.is_symlink() {
        symlink(std::fs::read_link(from).unwrap(), to).unwrap();
    } else {
        std::fs::copy(from, to).unwrap();
    }
}
