//! Vars as clan lays them out, the secret ones encrypted by sops.

use crate::binary::tool;
use crate::fleet::Fleet;
use crate::key::Key;
use crate::output::run;
use std::process::Command;
use std::time::Duration;

/// One file of one generator.
#[derive(Debug, Clone)]
pub struct Var {
    folder: String,
}

impl Var {
    /// Of one machine.
    #[must_use]
    pub fn per_machine(machine: &str, generator: &str, file: &str) -> Var {
        Var {
            folder: format!("vars/per-machine/{machine}/{generator}/{file}"),
        }
    }

    /// Of everyone.
    #[must_use]
    pub fn shared(generator: &str, file: &str) -> Var {
        Var {
            folder: format!("vars/shared/{generator}/{file}"),
        }
    }

    /// The encrypted file, in the work tree.
    #[must_use]
    pub fn secret(&self) -> String {
        format!("{}/secret", self.folder)
    }

    /// Where it is installed, below the secrets' folder.
    #[must_use]
    pub fn installed(&self) -> &str {
        &self.folder
    }

    /// Writes a value, encrypted to the machines and the administrator of the example.
    pub fn encrypt(&self, fleet: &Fleet, value: &str, machines: &[&str]) {
        let recipients = machines.iter().map(|machine| {
            fleet.link(
                &format!("{}/machines/{machine}", self.folder),
                &format!("{}/sops/machines/{machine}", up(&self.folder)),
            );
            let key = Key::of(machine);
            fleet.write(
                &format!("sops/machines/{machine}/key.json"),
                &format!("[{{\"publickey\": \"{}\", \"type\": \"age\"}}]\n", key.recipient),
            );
            key.recipient
        });
        let recipients: Vec<String> = recipients.chain([Key::of("admin").recipient]).collect();
        self.encrypt_to(fleet, value, &recipients);
    }

    /// Writes a value, encrypted to age recipients.
    pub fn encrypt_to(&self, fleet: &Fleet, value: &str, recipients: &[String]) {
        seal(fleet, &self.secret(), value, recipients);
    }

    /// Writes a value that is no secret.
    pub fn publish(&self, fleet: &Fleet, value: &str) {
        fleet.write(&format!("{}/value", self.folder), value);
    }
}

/// The way from a link's folder back to the root of the repository.
fn up(folder: &str) -> String {
    let depth = folder.split('/').count() + 1;
    vec![".."; depth].join("/")
}

/// Writes a file of a fleet that sops encrypts to age recipients.
pub fn seal(fleet: &Fleet, path: &str, value: &str, recipients: &[String]) {
    fleet.keeps_secret(value);
    let plain = fleet.work().with_file_name("plain");
    std::fs::write(&plain, value).unwrap();
    let mut command = Command::new(tool("sops"));
    command
        .args(["--encrypt", "--input-type", "binary", "--output-type", "json"])
        .args(["--age", &recipients.join(",")])
        .arg(&plain)
        .env_clear()
        .env("HOME", fleet.work().parent().unwrap());
    let encrypted = run(&mut command, Duration::from_secs(60)).ended(0).stdout;
    std::fs::remove_file(plain).unwrap();
    fleet.write(path, &encrypted);
}
