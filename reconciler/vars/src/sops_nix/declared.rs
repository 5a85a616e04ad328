//! Owns the accounts that a built system says it will have. It must never ask the host.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Deserialize;

use super::discover::{inside, store_paths};
use super::source::read_bounded;
use crate::install::{AccountKind, AccountNames};

/// The users and groups that a toplevel declares, as far as it says so in a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeclaredAccounts {
    names: AccountNames,
    removal: Removal,
    was_found: bool,
}

/// Which accounts the switch takes away (nixpkgs, `update-users-groups.pl`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Removal {
    /// None: userborn only locks them, systemd-sysusers and nix-darwin leave them.
    #[default]
    None,
    /// Those that were declared and are no more.
    Undeclared,
    /// All that are not declared (`users.mutableUsers = false`).
    Others,
}

/// What NixOS gives its two programs that make users: `update-users-groups.pl` and `userborn`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Document {
    #[serde(rename = "mutableUsers")]
    mutable_users: Option<bool>,
    users: Vec<Named>,
    groups: Vec<Named>,
}

/// The program that reads a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Maker {
    /// `update-users-groups.pl`.
    Script,
    /// userborn.
    Userborn,
}

#[derive(Debug, Deserialize)]
struct Named {
    name: String,
}

const LARGEST: u64 = 16 << 20;

impl DeclaredAccounts {
    /// Reads what there is: the documents `users-groups.json` and `userborn.json` that the activation script and
    /// the unit of userborn name, the fragments of sysusers.d, and the records that nix-darwin's script makes.
    pub fn of_toplevel(toplevel: &Path, store: &Path) -> Self {
        let mut accounts = Self::default();
        let Ok(store) = store.canonicalize() else {
            return accounts;
        };
        let read = |path: &Path| {
            let bytes = read_bounded(&inside(path, &store)?, LARGEST).ok()??;
            Some(String::from_utf8_lossy(&bytes).into_owned())
        };
        for text in ["activate", "etc/systemd/system/userborn.service"]
            .iter()
            .filter_map(|path| read(&toplevel.join(path)))
        {
            for (_, path) in store_paths(&text, &store) {
                let text = || read(Path::new(&path));
                if path.ends_with("users-groups.json") {
                    accounts.document(text().as_deref(), Maker::Script);
                } else if path.ends_with("userborn.json") {
                    accounts.document(text().as_deref(), Maker::Userborn);
                }
            }
            accounts.darwin(&text);
        }
        let fragments = inside(&toplevel.join("etc/sysusers.d"), &store);
        let entries = fragments.and_then(|folder| folder.read_dir().ok());
        for entry in entries.into_iter().flatten().flatten() {
            if let Some(text) = read(&entry.path()) {
                accounts.sysusers(&text);
            }
        }
        accounts
    }

    /// Whether the toplevel says anything of its accounts.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.was_found
    }

    /// Whether it declares an account.
    #[must_use]
    pub fn has(&self, kind: AccountKind, name: &str) -> bool {
        self.names.has(kind, name)
    }

    /// Which accounts the switch takes away: of those in the host's own files (`local`), and of those that its running
    /// system declared (`noted`).
    #[must_use]
    pub fn removes(&self, local: AccountNames, noted: &AccountNames) -> AccountNames {
        let AccountNames {
            mut users,
            mut groups,
        } = local;
        let goes = |declared: &BTreeSet<String>, noted: &BTreeSet<String>, name: &String| match self.removal {
            Removal::None => false,
            Removal::Others => !declared.contains(name),
            Removal::Undeclared => noted.contains(name) && !declared.contains(name),
        };
        users.retain(|name| goes(&self.names.users, &noted.users, name));
        groups.retain(|name| goes(&self.names.groups, &noted.groups, name));
        AccountNames { users, groups }
    }

    /// What a text declares, whichever it is.
    #[cfg(feature = "fuzzing")]
    pub(super) fn of_text(text: &str) -> AccountNames {
        let mut accounts = Self::default();
        accounts.document(Some(text), Maker::Script);
        accounts.document(Some(text), Maker::Userborn);
        accounts.darwin(text);
        accounts.sysusers(text);
        accounts.names
    }

    fn document(&mut self, text: Option<&str>, maker: Maker) {
        let Some(document) = text.and_then(|text| serde_json::from_str::<Document>(text).ok()) else {
            return;
        };
        self.was_found = true;
        self.removal = match (maker, document.mutable_users) {
            (Maker::Userborn, _) => Removal::None,
            (Maker::Script, Some(false)) => Removal::Others,
            (Maker::Script, _) => Removal::Undeclared,
        };
        let names = |named: Vec<Named>| named.into_iter().map(|named| named.name);
        self.names.users.extend(names(document.users));
        self.names.groups.extend(names(document.groups));
    }

    /// sysusers.d(5): `u name …` makes a user and a group of that name, `g name …` a group.
    fn sysusers(&mut self, text: &str) {
        for line in text.lines() {
            let mut words = line.split_whitespace();
            let (kind, Some(name)) = (words.next().unwrap_or_default(), words.next()) else {
                continue;
            };
            let name = name.trim_matches('"').to_owned();
            if name.is_empty() {
                continue;
            }
            match kind.trim_end_matches('!') {
                "u" => {
                    self.was_found = true;
                    self.names.groups.insert(name.clone());
                    self.names.users.insert(name);
                }
                "g" => {
                    self.was_found = true;
                    self.names.groups.insert(name);
                }
                _ => {}
            }
        }
    }

    /// nix-darwin makes records of the directory by `dscl . -create '/Users/NAME'` and `'/Groups/NAME'`.
    fn darwin(&mut self, text: &str) {
        for (prefix, names) in [
            ("/Users/", &mut self.names.users),
            ("/Groups/", &mut self.names.groups),
        ] {
            for (at, _) in text.match_indices(prefix) {
                let line = text.get(..at).and_then(|before| before.lines().last());
                if !line.is_some_and(|line| line.contains("dscl . -create")) {
                    continue;
                }
                let rest = text.get(at.saturating_add(prefix.len())..).unwrap_or_default();
                let end = rest.find(|c: char| !(c.is_alphanumeric() || "._-".contains(c)));
                let name = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
                if !name.is_empty() {
                    names.insert(name.to_owned());
                    self.was_found = true;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_declare_an_account() {
        let mut accounts = DeclaredAccounts::default();
        assert!(!accounts.is_known());
        accounts.document(Some("no document"), Maker::Script);
        assert!(!accounts.is_known());
        let text = r#"{"mutableUsers":true,"users":[{"name":"web","uid":null}],"groups":[{"name":"www","members":[]}]}"#;
        accounts.document(Some(text), Maker::Script);
        accounts.sysusers("# text\nu db - \"Database\" /var/db\ng! tape 7\nm db tape\n");
        accounts.darwin("dscl . -create '/Users/alice' UniqueID 501\ncp /Users/bob/x .\ndscl . -create '/Groups/staff2'\n");
        assert!(accounts.is_known());
        use AccountKind::{Group, User};
        for (kind, name, expected) in [
            (User, "web", true),
            (Group, "web", false),
            (Group, "www", true),
            (User, "db", true),
            (Group, "db", true),
            (User, "tape", false),
            (Group, "tape", true),
            (User, "alice", true),
            (User, "bob", false),
            (Group, "staff2", true),
        ] {
            assert_eq!(accounts.has(kind, name), expected, "{kind} {name}");
        }
    }

    #[test]
    fn what_the_switch_takes_away_is_gone() {
        let of = |names: &[&str]| AccountNames {
            users: names.iter().map(|name| (*name).to_owned()).collect(),
            groups: names.iter().map(|name| format!("{name}s")).collect(),
        };
        for (mutable, maker, expected) in [
            (r#""mutableUsers":true,"#, Maker::Script, of(&["old"])),
            ("", Maker::Script, of(&["old"])),
            (r#""mutableUsers":false,"#, Maker::Script, of(&["by-hand", "old"])),
            (r#""mutableUsers":false,"#, Maker::Userborn, of(&[])),
        ] {
            let mut accounts = DeclaredAccounts::default();
            let text = format!(r#"{{{mutable}"users":[{{"name":"kept"}}],"groups":[{{"name":"kepts"}}]}}"#);
            accounts.document(Some(&text), maker);
            let removed = accounts.removes(of(&["old", "kept", "by-hand"]), &of(&["old", "kept", "of-ldap"]));
            assert_eq!(removed, expected, "{mutable} {maker:?}");
        }
        let unknown = DeclaredAccounts::default();
        assert_eq!(unknown.removes(of(&["old"]), &of(&["old"])), of(&[]));
    }
}
