//! Owns the translation of owner and group names to numbers. It must never change an account.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Owner or group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AccountKind {
    /// A user.
    User,
    /// A group.
    Group,
}

impl fmt::Display for AccountKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::User => "user",
            Self::Group => "group",
        })
    }
}

/// Why accounts could not be looked up.
#[derive(Debug, thiserror::Error)]
pub enum AccountsError {
    /// The system's own database failed.
    #[error("could not look up {kind} {name}")]
    LookUp {
        /// User or group.
        kind: AccountKind,
        /// The name.
        name: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A database below another root could not be read.
    #[error("could not read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// What to do about a secret whose owner or group does not exist.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum UnknownAccounts {
    /// Install nothing.
    #[default]
    Refuse,
    /// Install it for root alone until [`SecretsRoot::settle`](crate::SecretsRoot::settle): the activation may be
    /// what makes the account.
    Defer,
}

/// Names of users and of groups.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccountNames {
    /// Users.
    pub users: BTreeSet<String>,
    /// Groups.
    pub groups: BTreeSet<String>,
}

impl AccountNames {
    /// Whether a name is among them.
    #[must_use]
    pub fn has(&self, kind: AccountKind, name: &str) -> bool {
        match kind {
            AccountKind::User => self.users.contains(name),
            AccountKind::Group => self.groups.contains(name),
        }
    }

    /// The accounts of the host's own files, `etc/passwd` and `etc/group`: not those of a directory service.
    ///
    /// # Errors
    /// [`AccountsError::Read`]; a missing file is an empty one.
    pub fn local(root: &Path) -> Result<Self, AccountsError> {
        let names = |file| Ok::<_, AccountsError>(read(&root.join(file))?.into_keys().collect());
        Ok(Self {
            users: names("etc/passwd")?,
            groups: names("etc/group")?,
        })
    }

    /// The accounts that the running NixOS declared, as it notes them for its next activation
    /// (nixpkgs, `update-users-groups.pl`). There are none where it is no NixOS.
    ///
    /// # Errors
    /// [`AccountsError::Read`]; a missing file is an empty one.
    pub fn noted(root: &Path) -> Result<Self, AccountsError> {
        let names = |file: &str| {
            let text = text(&root.join("var/lib/nixos").join(file))?;
            Ok::<_, AccountsError>(text.split_whitespace().map(str::to_owned).collect())
        };
        Ok(Self {
            users: names("declarative-users")?,
            groups: names("declarative-groups")?,
        })
    }
}

/// Where owner and group names are looked up.
#[derive(Debug, Clone)]
pub struct Accounts {
    directory: Directory,
    unknown: UnknownAccounts,
    /// Those that are there and will be gone.
    leaving: AccountNames,
}

#[derive(Debug, Clone)]
enum Directory {
    System,
    Files {
        users: HashMap<String, u32>,
        groups: HashMap<String, u32>,
    },
    Unprivileged,
}

impl Accounts {
    /// The system's accounts where `root` is `/`, and those of `etc/passwd` and `etc/group` below it elsewhere.
    ///
    /// # Errors
    /// [`AccountsError::Read`]; a missing file is an empty one.
    pub fn system(root: &Path) -> Result<Self, AccountsError> {
        let directory = if root == Path::new("/") {
            Directory::System
        } else {
            Directory::Files {
                users: read(&root.join("etc/passwd"))?,
                groups: read(&root.join("etc/group"))?,
            }
        };
        Ok(Self {
            directory,
            unknown: UnknownAccounts::Refuse,
            leaving: AccountNames::default(),
        })
    }

    /// For a process that cannot give files away: all stay with the account that runs it.
    pub fn unprivileged() -> Self {
        Self {
            directory: Directory::Unprivileged,
            unknown: UnknownAccounts::Refuse,
            leaving: AccountNames::default(),
        }
    }

    /// [`Self::system`] when this process runs as root, [`Self::unprivileged`] otherwise.
    ///
    /// # Errors
    /// As [`Self::system`].
    pub fn of_process(root: &Path) -> Result<Self, AccountsError> {
        if unix::unistd::geteuid().is_root() {
            Self::system(root)
        } else {
            Ok(Self::unprivileged())
        }
    }

    /// The same accounts with another answer to unknown ones.
    #[must_use]
    pub fn with_unknown(self, unknown: UnknownAccounts) -> Self {
        Self { unknown, ..self }
    }

    /// The same accounts, of which these will be gone by the time they are needed.
    #[must_use]
    pub fn without(self, leaving: AccountNames) -> Self {
        Self { leaving, ..self }
    }

    /// Whether an account of this name will be gone.
    pub(crate) fn leaves(&self, kind: AccountKind, name: &str) -> bool {
        number(name).is_none() && self.leaving.has(kind, name)
    }

    pub(super) fn unknown(&self) -> UnknownAccounts {
        self.unknown
    }

    pub(crate) fn is_unprivileged(&self) -> bool {
        matches!(self.directory, Directory::Unprivileged)
    }

    /// The number of an account given by name or number; `None` where there is none of that name.
    ///
    /// # Errors
    /// [`AccountsError::LookUp`] when the system's database fails.
    pub fn resolve(&self, kind: AccountKind, name: &str) -> Result<Option<u32>, AccountsError> {
        if let Some(number) = number(name) {
            return Ok(Some(number));
        }
        let failed = |source: unix::Error| AccountsError::LookUp {
            kind,
            name: name.to_owned(),
            source: source.into(),
        };
        match (&self.directory, kind) {
            (Directory::System, AccountKind::User) => unix::unistd::User::from_name(name)
                .map(|user| user.map(|user| user.uid.as_raw()))
                .map_err(failed),
            (Directory::System, AccountKind::Group) => unix::unistd::Group::from_name(name)
                .map(|group| group.map(|group| group.gid.as_raw()))
                .map_err(failed),
            (Directory::Files { users, .. }, AccountKind::User) => Ok(users.get(name).copied()),
            (Directory::Files { groups, .. }, AccountKind::Group) => Ok(groups.get(name).copied()),
            (Directory::Unprivileged, _) => Ok(None),
        }
    }
}

/// `u32::MAX` is the number that chown takes for "leave as it is".
fn number(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| digits && *number != u32::MAX)
}

/// A missing file is an empty one.
fn text(path: &Path) -> Result<String, AccountsError> {
    match std::fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        outcome => outcome.map_err(|source| AccountsError::Read {
            path: path.to_owned(),
            source,
        }),
    }
}

fn read(path: &Path) -> Result<HashMap<String, u32>, AccountsError> {
    Ok(numbers(&text(path)?))
}

/// Both files have the name first and the number third, between colons (passwd(5), group(5)).
pub(crate) fn numbers(text: &str) -> HashMap<String, u32> {
    let mut accounts = HashMap::new();
    for line in text.lines() {
        let mut fields = line.split(':');
        let (name, number) = (fields.next(), fields.nth(1).and_then(number));
        if let (Some(name), Some(number)) = (name, number) {
            // As for the system itself, the first line of a name counts.
            accounts.entry(name.to_owned()).or_insert(number);
        }
    }
    // Root is root wherever the databases are not there yet, as in an installer.
    accounts.entry("root".to_owned()).or_insert(0);
    accounts
}
