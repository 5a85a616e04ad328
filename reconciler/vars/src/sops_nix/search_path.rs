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
/// `<key>PATH</key><string>VALUE</string>`. `None` if it sets none, or has a variable in it, which only the
/// running script knows. What is set for one command of a script alone does not count.
pub(super) fn search_path(text: &str) -> Option<Vec<PathBuf>> {
    let assigned = text.rmatch_indices("PATH=").find(|(at, _)| {
        let before = at
            .checked_sub(1)
            .and_then(|before| text.as_bytes().get(before).copied());
        // GOPATH is another variable.
        !before.is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_') && is_statement(text, *at)
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
    let end = value.bytes().position(|byte| !is_of_list(byte));
    let (list, after) = value.split_at_checked(end.unwrap_or(value.len()))?;
    if after.starts_with(['$', '`']) {
        return None;
    }
    let folders = list.split(':').filter(|folder| Path::new(folder).is_absolute());
    Some(folders.map(PathBuf::from).collect())
}

/// Whether the assignment there is for all that comes after it: nothing stands behind it in its line where nothing stands
/// before it, as in `PATH=/opt/bin brew bundle`.
fn is_statement(text: &str, at: usize) -> bool {
    let (before, assignment) = text.split_at_checked(at).unwrap_or_default();
    if !before
        .rsplit('\n')
        .next()
        .is_none_or(|line| line.trim().is_empty())
    {
        return true;
    }
    let line = assignment.lines().next().unwrap_or_default();
    let value = line.strip_prefix("PATH=").unwrap_or_default();
    let after = match value.strip_prefix(['\'', '"']) {
        Some(quoted) => quoted.split_once(['\'', '"']).map(|(_, after)| after),
        None => value.split_once([' ', '\t']).map(|(_, after)| after),
    };
    let after = after.unwrap_or_default().trim_start();
    after.is_empty() || after.starts_with([';', '#', '&'])
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
            ("PATH=/whole\nPATH=/a:$PATH", None),
            // nix-darwin's modules/homebrew.nix
            (
                "export PATH=/s/a/bin\n  PATH=\"/opt/homebrew/bin:$PATH\" \\\n  brew bundle\n",
                Some("/s/a/bin"),
            ),
            ("PATH=/s/a/bin\nPATH=/opt/bin brew", Some("/s/a/bin")),
            ("PATH='/s/a/bin'; x", Some("/s/a/bin")),
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
