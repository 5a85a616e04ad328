//! Owns a folder in which the real tools are run: sops, age, age-keygen, ssh-keygen.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use reconciler_vars::{Identities, IdentitySource};

/// A tool from the folder that `RECONCILE_TEST_TOOLS` names, or else from `PATH`.
pub(crate) fn find_tool(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::var_os("RECONCILE_TEST_TOOLS")
        .map(PathBuf::from)
        .into_iter();
    let mut places = folders
        .chain(std::env::split_paths(&path))
        .map(|folder| folder.join(name));
    places.find(|place| place.is_file())
}

pub(crate) struct Lab {
    folder: tempfile::TempDir,
}

impl Lab {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    #[expect(clippy::disallowed_methods, reason = "a test lays out its own files")]
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        fs::write(self.path(name), bytes).unwrap();
        self.path(name)
    }

    /// Runs a tool in the folder; what it printed.
    pub(crate) fn run(&self, name: &str, arguments: &[&str]) -> Vec<u8> {
        let output = self.output(name, arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "{name} {arguments:?}: {} {said}",
            output.status
        );
        output.stdout
    }

    /// The same of a tool that may well fail; what it printed, if it did not.
    pub(crate) fn try_run(&self, name: &str, arguments: &[&str]) -> Option<Vec<u8>> {
        let output = self.output(name, arguments);
        output.status.success().then_some(output.stdout)
    }

    fn output(&self, name: &str, arguments: &[&str]) -> Output {
        let program = find_tool(name).unwrap_or_else(|| {
            panic!("{name} is neither in the folder that RECONCILE_TEST_TOOLS names nor in PATH; this test needs the real one")
        });
        Command::new(program)
            .args(arguments)
            .current_dir(self.folder())
            .stdin(Stdio::null())
            // The keys of whoever runs the tests are none of theirs; plugins are looked for in the folder.
            .env_clear()
            .env("PATH", format!("{}:/usr/bin:/bin", self.folder().display()))
            .env("HOME", self.folder())
            .env("SOPS_AGE_KEY_FILE", self.path("machine.txt"))
            .env("SOPS_AGE_SSH_PRIVATE_KEY_FILE", self.path("host"))
            .output()
            .unwrap()
    }

    pub(crate) fn line(&self, name: &str, arguments: &[&str]) -> String {
        String::from_utf8(self.run(name, arguments))
            .unwrap()
            .trim()
            .to_owned()
    }

    /// Makes an SSH host key; its public line without the comment.
    pub(crate) fn ssh_key(&self, name: &str, options: &[&str]) -> String {
        let fixed = ["-q", "-N", "", "-C", "root@host", "-f", name];
        self.run("ssh-keygen", &[&fixed[..], options].concat());
        let line = fs::read_to_string(self.path(&format!("{name}.pub"))).unwrap();
        line.split(' ').take(2).collect::<Vec<_>>().join(" ")
    }

    /// The identities of key files of the folder; none of them may have a problem.
    pub(crate) fn identities(&self, names: &[&str]) -> Identities {
        let sources: Vec<_> = names
            .iter()
            .map(|name| IdentitySource::KeyFile(self.path(name)))
            .collect();
        let (identities, problems) = Identities::load(&sources);
        assert!(problems.is_empty(), "{problems:?}");
        identities
    }

    /// Makes an age key; its recipient.
    pub(crate) fn age_key(&self, name: &str) -> String {
        let file = format!("{name}.txt");
        self.run("age-keygen", &["-o", &file]);
        self.line("age-keygen", &["-y", &file])
    }

    /// The recipient of an age key that was made here.
    pub(crate) fn age_recipient(&self, name: &str) -> String {
        self.line("age-keygen", &["-y", &format!("{name}.txt")])
    }

    /// Has real sops open with this key alone, an age key file or an SSH key.
    pub(crate) fn age_key_in_force(&self, name: &str) {
        let bytes = fs::read(self.path(name)).unwrap();
        let is_ssh = bytes.starts_with(b"-----BEGIN");
        for (place, is_it) in [("machine.txt", !is_ssh), ("host", is_ssh)] {
            if is_it {
                self.write(place, &bytes);
            } else if self.path(place).exists() {
                fs::remove_file(self.path(place)).unwrap();
            }
        }
    }

    /// The identity of an age key that was made here.
    pub(crate) fn age_identity(&self, name: &str) -> Identities {
        self.identities(&[&format!("{name}.txt")])
    }

    /// Seals with real sops, into JSON.
    pub(crate) fn seal(&self, bytes: &[u8], kind: &str, recipients: &str, options: &[&str]) -> Vec<u8> {
        self.write("plain", bytes);
        let types = ["encrypt", "--input-type", kind, "--output-type", "json"];
        let all = [
            &["--config", "/dev/null"],
            &types[..],
            &["--age", recipients],
            options,
            &["plain"],
        ];
        self.run("sops", &all.concat())
    }

    /// Seals with real sops, in the store's own syntax, by a creation rule of these lines; where sops can.
    pub(crate) fn try_seal_as(&self, bytes: &[u8], format: &str, rule: &[&str]) -> Option<Vec<u8>> {
        self.write("plain", bytes);
        let lines: String = rule.iter().map(|line| format!("    {line}\n")).collect();
        let config = format!("creation_rules:\n  - path_regex: .\n{lines}");
        self.write("config.yaml", config.as_bytes());
        let types = [
            "encrypt",
            "--input-type",
            format,
            "--output-type",
            format,
            "plain",
        ];
        self.try_run("sops", &[&["--config", "config.yaml"], &types[..]].concat())
    }

    pub(crate) fn seal_as(&self, bytes: &[u8], format: &str, rule: &[&str]) -> Vec<u8> {
        self.try_seal_as(bytes, format, rule)
            .unwrap_or_else(|| panic!("sops does not seal this {format} by {rule:?}"))
    }

    /// Opens with real sops, into the store's own syntax; where sops can.
    pub(crate) fn try_open_as(&self, sealed: &[u8], format: &str) -> Option<Vec<u8>> {
        self.write("sealed", sealed);
        let types = [
            "decrypt",
            "--input-type",
            format,
            "--output-type",
            format,
            "sealed",
        ];
        self.try_run("sops", &types)
    }

    pub(crate) fn open_as(&self, sealed: &[u8], format: &str) -> Vec<u8> {
        self.try_open_as(sealed, format)
            .unwrap_or_else(|| panic!("sops does not open this {format}"))
    }
}
