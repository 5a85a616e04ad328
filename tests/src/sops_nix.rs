//! What sops-nix leaves on a machine: sops files, manifests as its modules write them, and the program that it
//! calls, on a `/run` of its own.

use crate::binary::{fixtures, reconcile, tool};
use crate::key::Key;
use crate::output::{Output, run};
use crate::scratch::Scratch;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Begins every script: a `/run` in memory as a booted NixOS has it, and words to say what is to be.
const PRELUDE: &str = r#"set -u
mount -t tmpfs -o mode=755 none /run && mkdir /run/nixos || exit 98
is() { [ "$1" = "$2" ] || { echo "is: $1"; echo "should be: $2"; exit 99; } >&2; }
access() { stat -c '%a %u:%g' "$1"; }
lists() { for list in /run/nixos/*-list; do [ -e "$list" ] && echo "${list##*/}:" $(cat "$list"); done; rm -f /run/nixos/*-list; }
"#;

/// A folder with a key, sops files and manifests.
#[derive(Debug)]
pub struct SopsNix {
    scratch: Scratch,
}

impl SopsNix {
    /// With the age key of the example's machine `cinnabar` in `key.txt`.
    #[must_use]
    pub fn new() -> SopsNix {
        let sops_nix = SopsNix {
            scratch: Scratch::on_disk(),
        };
        sops_nix.write("key.txt", &Key::of("cinnabar").identity);
        sops_nix
    }

    /// A path in the folder.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// Writes a file.
    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// Reads a file.
    #[must_use]
    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// Writes a sops file of a format, sealed by the real sops for age recipients.
    pub fn seal(&self, name: &str, format: &str, plain: &str, recipients: &[&str]) {
        let text = seal(self.scratch.path(), format, plain, recipients);
        self.write(name, &text);
    }

    /// A secret as the modules write it: of a file in the folder, with the defaults of sops-nix.
    #[must_use]
    pub fn secret(&self, name: &str, key: &str, file: &str, format: &str) -> Value {
        secret(name, key, &self.path(file), format)
    }

    /// Writes `manifest.json` with these secrets; `with` are further fields.
    pub fn manifest(&self, secrets: &[Value], with: Value) {
        let mut manifest = manifest(secrets, &self.path("key.txt"));
        for (key, value) in with.as_object().unwrap() {
            manifest
                .as_object_mut()
                .unwrap()
                .insert(key.clone(), value.clone());
        }
        self.write("manifest.json", &manifest.to_string());
    }

    /// Runs a shell script as root with mounts of its own; `$install` is the program. Only root can.
    #[track_caller]
    pub fn run(&self, script: &str) -> Output {
        let mut command = Command::new(tool("unshare"));
        command
            .args(["--mount", "--", "/bin/sh", "-c"])
            .arg(format!("{PRELUDE}{script}"))
            .current_dir(self.scratch.path())
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
            .env("install", self.program());
        run(&mut command, Duration::from_secs(120))
    }

    /// The program under its name, as sops-nix calls it.
    fn program(&self) -> PathBuf {
        let program = self.path("sops-install-secrets");
        if !program.exists() {
            std::os::unix::fs::symlink(reconcile(), &program).unwrap();
        }
        program
    }
}

impl Default for SopsNix {
    fn default() -> Self {
        SopsNix::new()
    }
}

/// The text of a sops file.
fn seal(folder: &Path, format: &str, plain: &str, recipients: &[&str]) -> String {
    let source = folder.join("plain");
    std::fs::write(&source, plain).unwrap();
    let output = if format == "binary" { "json" } else { format };
    let mut command = Command::new(tool("sops"));
    command
        .args(["--encrypt", "--input-type", format, "--output-type", output])
        .args(["--age", &recipients.join(",")])
        .arg(&source)
        .env_clear()
        // Where its plugin is.
        .env("PATH", fixtures().join("bin"))
        .env("HOME", folder);
    let sealed = run(&mut command, Duration::from_secs(60)).ended(0).stdout;
    std::fs::remove_file(source).unwrap();
    sealed
}

fn secret(name: &str, key: &str, file: &Path, format: &str) -> Value {
    json!({
        "name": name, "key": key, "sopsFile": file, "sopsFileHash": "", "format": format, "mode": "0400",
        "path": format!("/run/secrets/{name}"), "owner": null, "uid": 0, "group": null, "gid": 0,
        "neededForUsers": false, "restartUnits": [], "reloadUnits": [],
    })
}

/// A manifest as `modules/sops/manifest-for.nix` writes it.
fn manifest(secrets: &[Value], key: &Path) -> Value {
    json!({
        "secrets": secrets, "templates": [], "placeholderBySecretName": {},
        "secretsMountPoint": "/run/secrets.d", "symlinkPath": "/run/secrets", "keepGenerations": 1,
        "gnupgHome": null, "sshKeyPaths": [], "ageKeyFile": key, "ageSshKeyPaths": [],
        "useTmpfs": false, "userMode": false, "logging": {"keyImport": false, "secretChanges": true},
    })
}
