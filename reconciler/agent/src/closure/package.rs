//! What package a store path is, by its name alone: `zerotierone-1.16.0-man` is output `man` of version
//! `1.16.0`. Pure; a guess by convention, for people to read and never to act upon.

/// Outputs that nixpkgs' packages have (`pkgs/stdenv/generic/setup.sh`, and those that many add).
const OUTPUTS: [&str; 22] = [
    "bin", "data", "debug", "dev", "devdoc", "devman", "dist", "doc", "getent", "info", "lib", "lib32",
    "lib64", "man", "nscd", "out", "py", "static", "terminfo", "tex", "tools", "vim",
];

/// A store path's name, taken apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Package<'a> {
    /// The package's name.
    pub(super) name: &'a str,
    /// Its version; empty where the name has none.
    pub(super) version: &'a str,
}

impl<'a> Package<'a> {
    /// Takes apart the name of a store path, the part after its hash.
    ///
    /// The version begins at the first dash that no letter follows (Nix's `parseDrvName`); an output's name
    /// at its end does not belong to it.
    pub(super) fn of(name: &'a str) -> Package<'a> {
        let split = name.match_indices('-').find(|(at, _)| {
            name.get(at + 1..)
                .and_then(|rest| rest.chars().next())
                .is_some_and(|next| !next.is_ascii_alphabetic())
        });
        let Some((at, _)) = split else {
            return Package { name, version: "" };
        };
        let (name, version) = (
            name.get(..at).unwrap_or(name),
            name.get(at + 1..).unwrap_or_default(),
        );
        let version = match version.rsplit_once('-') {
            Some((version, output)) if OUTPUTS.contains(&output) => version,
            _ => version,
        };
        Package { name, version }
    }
}

/// The package's name alone.
#[must_use]
pub fn package_name(name: &str) -> &str {
    Package::of(name).name
}

#[cfg(test)]
mod tests {
    use super::Package;

    #[test]
    fn names_and_versions() {
        let table = [
            ("zerotierone-1.16.0", "zerotierone", "1.16.0"),
            ("zerotierone-1.16.0-man", "zerotierone", "1.16.0"),
            (
                "nixos-system-cinnabar-25.11.2025",
                "nixos-system-cinnabar",
                "25.11.2025",
            ),
            ("python3.13-requests-2.32.5-dist", "python3.13-requests", "2.32.5"),
            ("linux-6.12.57-modules", "linux", "6.12.57-modules"),
            ("etc", "etc", ""),
            ("unit-sshd.service", "unit-sshd.service", ""),
            ("gcc-14.3.0-libgcc", "gcc", "14.3.0-libgcc"),
            (
                "source-highlight-3.1.9-unstable-2024-01-01",
                "source-highlight",
                "3.1.9-unstable-2024-01-01",
            ),
            ("trailing-", "trailing-", ""),
        ];
        for (path, name, version) in table {
            assert_eq!(Package::of(path), Package { name, version }, "{path}");
        }
    }
}
