//! What other processes of the host do, by what ps(1) prints of them. Looks only.

use crate::process::{Command, Exit, locate};
use camino::Utf8Path;
use std::path::PathBuf;
use std::time::Duration;

/// How long ps may take.
const LIMIT: Duration = Duration::from_secs(10);

/// Whether root runs the script `activate` of a path of the store: `darwin-rebuild` takes no lock that could be seen.
/// Where ps does not answer, nobody is seen.
pub async fn runs_activation(store: &Utf8Path, folders: &[PathBuf]) -> bool {
    let Some(ps) = locate("ps", folders) else {
        return false;
    };
    let asked = Command::new(ps, LIMIT)
        .args(["-axww", "-o", "uid=,command="])
        .env("PATH", "/usr/bin:/bin")
        .run(&mut |_| {})
        .await;
    asked.is_ok_and(|finished| {
        finished.exit == Exit::Code(0)
            && String::from_utf8_lossy(&finished.stdout)
                .lines()
                .any(|line| is_activation(line, store))
    })
}

fn is_activation(command: &str, store: &Utf8Path) -> bool {
    let mut words = command.split_whitespace();
    // Only root activates a system.
    if words.next() != Some("0") {
        return false;
    }
    words
        .map(Utf8Path::new)
        .any(|word| word.starts_with(store) && word.file_name() == Some("activate"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_activation_by_its_command() {
        let store = Utf8Path::new("/nix/store");
        for (command, expected) in [
            (
                "    0 /nix/store/b-bash/bin/bash /nix/store/a-darwin-system-26.05/activate",
                true,
            ),
            ("    0 /nix/store/a-darwin-system-26.05/activate", true),
            (
                "bash /run/current-system/sw/bin/darwin-rebuild switch --flake .",
                false,
            ),
            ("    0 vi /home/kim/activate", false),
            ("    0 /nix/storehouse/activate", false),
            ("  501 less /nix/store/a-darwin-system-26.05/activate", false),
            ("", false),
        ] {
            assert_eq!(is_activation(command, store), expected, "{command}");
        }
    }
}
