//! Owns how a text that starts programs says where they find others: a script's `PATH=`, a unit's `Environment=`, a
//! launchd job's `PATH`. It must never read a file.

use std::path::{Path, PathBuf};

/// A folder in a `PATH`, and what parts one from the next.
fn is_of_list(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+-._=/@~%:".contains(&byte)
}

/// What may stand before a value: the quotes of a shell's word and of a unit's line, and the same in XML.
const QUOTES: [&str; 6] = ["'", "\"", "\\", "&apos;", "&quot;", "&#39;"];

/// The folders of the last `PATH` that a text sets, by `PATH=VALUE` or, in a property list,
/// `<key>PATH</key><string>VALUE</string>`. `None` if it sets none, or begins with a variable, which only the
/// running script knows.
pub(super) fn search_path(text: &str) -> Option<Vec<PathBuf>> {
    let assigned = text.rmatch_indices("PATH=").find(|(at, _)| {
        let before = at
            .checked_sub(1)
            .and_then(|before| text.as_bytes().get(before).copied());
        // GOPATH is another variable.
        !before.is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    });
    let listed = text.rmatch_indices("<key>PATH</key>").next();
    let (at, begin) = assigned.into_iter().chain(listed).max_by_key(|(at, _)| *at)?;
    let mut value = text.get(at.saturating_add(begin.len())..)?;
    if begin.starts_with('<') {
        value = value.trim_start().strip_prefix("<string>")?;
    }
    while let Some(rest) = QUOTES.iter().find_map(|quote| value.strip_prefix(quote)) {
        value = rest;
    }
    if value.starts_with(['$', '`']) {
        return None;
    }
    let end = value.bytes().position(|byte| !is_of_list(byte));
    let list = value.get(..end.unwrap_or(value.len())).unwrap_or_default();
    let folders = list.split(':').filter(|folder| Path::new(folder).is_absolute());
    Some(folders.map(PathBuf::from).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_writing_of_the_modules_is_read() {
        for (text, expected) in [
            // modules/sops/with-environment.nix
            (
                "(\n  export HOME='/var/empty'\n  export PATH='/s/a/bin:/s/b/bin'\n  /s/p",
                Some("/s/a/bin /s/b/bin"),
            ),
            ("  export PATH=''\n  /s/p", Some("")),
            // nixpkgs' units
            (
                "[Service]\nEnvironment=\"LANG=C\"\nEnvironment=\"PATH=/s/a/bin:/s/b/sbin\"\nExecStart=/s/p",
                Some("/s/a/bin /s/b/sbin"),
            ),
            // modules/home-manager/sops.nix
            ("Environment='HOME=/x' 'PATH=/s/a/bin' 'Z=1'", Some("/s/a/bin")),
            (
                "<key>PATH</key>\n\t\t<string>/s/a/bin:/usr/bin</string>",
                Some("/s/a/bin /usr/bin"),
            ),
            // nix-darwin's launchd jobs: a shell's word within a shell's word, in XML
            (
                "sh -c &apos;export PATH=&apos;\\&apos;&apos;/s/a/bin&apos;\\&apos;&apos;\n",
                Some("/s/a/bin"),
            ),
            // The last counts, and only of the variable itself.
            ("PATH=/first\nPATH=/last\nMANPATH=/not", Some("/last")),
            ("export PATH=\"/a/bin\";", Some("/a/bin")),
            ("PATH=relative:/b", Some("/b")),
            ("PATH=\"$PATH:/a\"", None),
            ("PATH=/whole\nPATH=$out/bin", None),
            ("<key>PATH</key><integer>1</integer>", None),
            ("GOPATH=/a", None),
            ("", None),
        ] {
            let found = search_path(text).map(|folders| {
                let folders: Vec<_> = folders
                    .iter()
                    .map(|folder| folder.display().to_string())
                    .collect();
                folders.join(" ")
            });
            assert_eq!(found.as_deref(), expected, "{text}");
        }
    }
}
