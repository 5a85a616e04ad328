//! What a class itself finds amiss with its files and its units or jobs, as drift.

use super::item::{Cause, Item, Kind};
use crate::class::{Amiss, Class};
use camino::Utf8Path;

/// Where launchd's jobs lie.
const JOBS: [&str; 2] = ["LaunchDaemons", "LaunchAgents"];

/// One finding as an item.
pub(super) fn item(class: Class, amiss: &Amiss) -> Item {
    let file = |path: &Utf8Path| match class {
        _ if path.components().any(|part| JOBS.contains(&part.as_str())) => Kind::LaunchdJob,
        Class::HomeManager => Kind::HomeFile,
        Class::Nixos | Class::Darwin | Class::SystemManager | Class::Custom => Kind::Etc,
    };
    let unit = |kind| {
        if class == Class::Darwin {
            Kind::LaunchdJob
        } else {
            kind
        }
    };
    let owner = |(user, group): (u32, u32)| format!("owner {user}:{group}");
    match amiss {
        Amiss::Missing { path } => Item::new(file(path), Cause::Displaced, path.as_str())
            .expected("what is declared")
            .actual("nothing"),
        Amiss::NoLink { path } => Item::new(file(path), Cause::Person, path.as_str())
            .expected("a link to what is declared")
            .actual("something else"),
        Amiss::Elsewhere { path, found } => Item::new(file(path), Cause::Person, path.as_str())
            .expected("a link to what is declared")
            .actual(format!("a link to {found}")),
        Amiss::Content { path } => Item::new(file(path), Cause::Person, path.as_str())
            .expected("what is declared")
            .actual("other content"),
        Amiss::Mode {
            path,
            found,
            declared,
        } => Item::new(file(path), Cause::Person, path.as_str())
            .expected(format!("mode {declared:04o}"))
            .actual(format!("mode {found:04o}")),
        Amiss::Owner {
            path,
            found,
            declared,
        } => Item::new(file(path), Cause::Person, path.as_str())
            .expected(owner(*declared))
            .actual(owner(*found)),
        Amiss::Account { path, account } => Item::new(file(path), Cause::Displaced, path.as_str())
            .expected(format!("owned by {account}"))
            .actual("an account that does not exist"),
        Amiss::NotLoaded { unit: name, found } => Item::new(unit(Kind::Unit), Cause::Displaced, name)
            .expected("loaded")
            .actual(found.as_str()),
        Amiss::NotReloaded { unit: name } => Item::new(unit(Kind::Unit), Cause::Person, name)
            .expected("the generation's unit")
            .actual("an older version of its file"),
        Amiss::NotMasked { unit: name } => Item::new(unit(Kind::Unit), Cause::Person, name)
            .expected("masked")
            .actual("not masked"),
        Amiss::NotRunning { unit: name, found } => Item::new(unit(Kind::FailedUnit), Cause::Displaced, name)
            .expected("running")
            .actual(found.as_str()),
        Amiss::Undeclared { path, why } => Item::new(Kind::Store, Cause::Displaced, path.as_str())
            .expected("a file that can be read")
            .actual(why.as_str()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_class_has_its_kinds() {
        let missing = |path: &str| Amiss::Missing { path: path.into() };
        let stopped = Amiss::NotRunning {
            unit: "a".to_owned(),
            found: "failed".to_owned(),
        };
        let table = [
            (Class::SystemManager, missing("/etc/a"), Kind::Etc),
            (Class::SystemManager, stopped.clone(), Kind::FailedUnit),
            (Class::HomeManager, missing("/home/a/.profile"), Kind::HomeFile),
            (
                Class::HomeManager,
                missing("/Users/a/Library/LaunchAgents/b.plist"),
                Kind::LaunchdJob,
            ),
            (
                Class::Darwin,
                missing("/Library/LaunchDaemons/b.plist"),
                Kind::LaunchdJob,
            ),
            (Class::Darwin, missing("/etc/zshrc"), Kind::Etc),
            (Class::Darwin, stopped, Kind::LaunchdJob),
        ];
        for (class, amiss, kind) in table {
            let item = item(class, &amiss);
            assert_eq!((item.kind, item.cause), (kind, Cause::Displaced), "{amiss}");
        }
    }
}
