//! A user of the host, and becoming one. Looks accounts up and changes none.

use camino::{Utf8Path, Utf8PathBuf};
use std::fs;
use unix::unistd::{Uid, User, geteuid};

/// A user of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The name.
    pub name: String,
    /// Numeric user id.
    pub uid: u32,
    /// Numeric id of the primary group.
    pub gid: u32,
    /// The home directory, below the host's root.
    pub home: Utf8PathBuf,
}

impl Person {
    /// The user of a name: the system's own where `root` is `/`, one of `etc/passwd` below it elsewhere.
    #[must_use]
    pub fn named(name: &str, root: &Utf8Path) -> Option<Person> {
        if root == "/" {
            return User::from_name(name).ok().flatten().and_then(of_system);
        }
        listed(root).into_iter().find(|person| person.name == name)
    }

    /// The user that this process runs as.
    #[must_use]
    pub fn own(root: &Utf8Path) -> Option<Person> {
        let uid = geteuid();
        if root == "/" {
            return User::from_uid(Uid::from_raw(uid.as_raw()))
                .ok()
                .flatten()
                .and_then(of_system);
        }
        listed(root).into_iter().find(|person| person.uid == uid.as_raw())
    }

    /// Whether this process runs as that user.
    #[must_use]
    pub fn is_own(&self) -> bool {
        geteuid().as_raw() == self.uid
    }
}

fn of_system(user: User) -> Option<Person> {
    Some(Person {
        name: user.name,
        uid: user.uid.as_raw(),
        gid: user.gid.as_raw(),
        home: Utf8PathBuf::from_path_buf(user.dir).ok()?,
    })
}

/// passwd(5): name, password, user id, group id, comment, home, shell.
fn listed(root: &Utf8Path) -> Vec<Person> {
    let text = fs::read_to_string(root.join("etc/passwd")).unwrap_or_default();
    let person = |line: &str| {
        let mut fields = line.split(':');
        let (name, _, uid, gid, _, home) = (
            fields.next()?,
            fields.next()?,
            fields.next()?.parse().ok()?,
            fields.next()?.parse().ok()?,
            fields.next()?,
            fields.next()?,
        );
        Some(Person {
            name: name.to_owned(),
            uid,
            gid,
            home: root.join(home.trim_start_matches('/')),
        })
    };
    text.lines().filter_map(person).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable::{Lasting, folder, replace};

    #[test]
    fn the_users_of_another_root_are_its_own() {
        let scratch = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(scratch.path()).unwrap();
        assert_eq!(Person::named("kim", root), None);
        folder(&root.join("etc"), 0o755).unwrap();
        let passwd = "root:x:0:0:root:/root:/bin/sh\nnonsense\nkim:x:1234:100::/home/kim:/bin/sh\n";
        replace(
            &root.join("etc/passwd"),
            passwd.as_bytes(),
            0o644,
            Lasting::Process,
        )
        .unwrap();
        let kim = Person::named("kim", root).unwrap();
        assert_eq!((kim.uid, kim.gid, kim.home), (1234, 100, root.join("home/kim")));
        assert_eq!(Person::named("root", root).unwrap().home, root.join("root"));
    }
}
