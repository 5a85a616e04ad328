//! Two closures compared package by package, as nvd does: versions that changed, what came, what went, and
//! what it weighs. Pure.

use super::package::Package;
use super::version;
use nix_daemon_client::PathInfo;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

/// The packages of two closures that differ.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Packages {
    /// In both, with other versions.
    pub changed: Vec<PackageChange>,
    /// Only in the second.
    pub added: Vec<PackageChange>,
    /// Only in the first.
    pub removed: Vec<PackageChange>,
    /// Packages whose versions are the same and whose store paths are not.
    pub rebuilt: usize,
    /// The first closure.
    pub before: Weight,
    /// The second.
    pub after: Weight,
    /// Store paths only in the second.
    pub paths_added: usize,
    /// Store paths only in the first.
    pub paths_removed: usize,
}

/// One package that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageChange {
    /// Its name.
    pub name: String,
    /// Its versions in the first closure, ascending; an empty text is a store path without a version.
    pub before: Vec<String>,
    /// Its versions in the second.
    pub after: Vec<String>,
    /// Which way it went.
    pub direction: Direction,
    /// By how many bytes its archives grew; negative where they shrank.
    pub bytes: i64,
}

/// Which way a package's versions went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// To newer ones.
    Upgrade,
    /// To older ones.
    Downgrade,
    /// Neither: some of several came or went.
    Mixed,
    /// It was not there before.
    Added,
    /// It is not there any more.
    Removed,
}

/// What a closure weighs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Weight {
    /// Store paths.
    pub paths: usize,
    /// Bytes of their archives (`narSize`).
    pub bytes: u64,
}

#[derive(Debug, Default)]
struct Found<'a> {
    versions: BTreeSet<&'a str>,
    paths: BTreeSet<&'a str>,
    bytes: u64,
}

/// Compares two closures.
#[must_use]
pub fn packages(before: &[PathInfo], after: &[PathInfo]) -> Packages {
    let (old, new) = (found(before), found(after));
    let mut packages = Packages {
        before: weight(before),
        after: weight(after),
        paths_added: apart(after, before),
        paths_removed: apart(before, after),
        ..Packages::default()
    };
    let names: BTreeSet<_> = old.keys().chain(new.keys()).copied().collect();
    let none = Found::default();
    for name in names {
        let (a, b) = (old.get(name).unwrap_or(&none), new.get(name).unwrap_or(&none));
        let change = |direction| PackageChange {
            name: name.to_owned(),
            before: sorted(&a.versions),
            after: sorted(&b.versions),
            direction,
            bytes: grown(a.bytes, b.bytes),
        };
        if a.paths.is_empty() {
            packages.added.push(change(Direction::Added));
        } else if b.paths.is_empty() {
            packages.removed.push(change(Direction::Removed));
        } else if a.versions != b.versions {
            packages.changed.push(change(direction(&a.versions, &b.versions)));
        } else if a.paths != b.paths {
            packages.rebuilt += 1;
        }
    }
    packages
}

impl Packages {
    /// Whether the closures are the same.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.paths_added == 0 && self.paths_removed == 0
    }

    /// By how many bytes the closure grew; negative where it shrank.
    #[must_use]
    pub fn bytes(&self) -> i64 {
        grown(self.before.bytes, self.after.bytes)
    }
}

fn found(closure: &[PathInfo]) -> BTreeMap<&str, Found<'_>> {
    let mut packages: BTreeMap<&str, Found<'_>> = BTreeMap::new();
    for info in closure {
        let package = Package::of(info.path.name());
        let found = packages.entry(package.name).or_default();
        found.versions.insert(package.version);
        found.paths.insert(info.path.base_name());
        found.bytes = found.bytes.saturating_add(info.nar_size);
    }
    packages
}

fn weight(closure: &[PathInfo]) -> Weight {
    Weight {
        paths: closure.len(),
        bytes: closure
            .iter()
            .fold(0, |sum, info| sum.saturating_add(info.nar_size)),
    }
}

/// How many paths of `these` are not among `those`.
fn apart(these: &[PathInfo], those: &[PathInfo]) -> usize {
    let those: BTreeSet<_> = those.iter().map(|info| &info.path).collect();
    these.iter().filter(|info| !those.contains(&info.path)).count()
}

fn grown(before: u64, after: u64) -> i64 {
    i64::try_from(i128::from(after) - i128::from(before)).unwrap_or(i64::MAX)
}

fn sorted(versions: &BTreeSet<&str>) -> Vec<String> {
    let mut versions: Vec<_> = versions.iter().copied().collect();
    versions.sort_by(|a, b| version::compare(a, b).then_with(|| a.cmp(b)));
    versions.into_iter().map(str::to_owned).collect()
}

/// Upgraded where each version that came is newer than each that went.
fn direction(before: &BTreeSet<&str>, after: &BTreeSet<&str>) -> Direction {
    let (gone, come) = (before.difference(after), after.difference(before));
    let mut orders = gone.flat_map(|gone| come.clone().map(|come| version::compare(gone, come)));
    match orders.next() {
        Some(first) if first != Ordering::Equal && orders.all(|order| order == first) => match first {
            Ordering::Less => Direction::Upgrade,
            _ => Direction::Downgrade,
        },
        _ => Direction::Mixed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix_daemon_client::{NarHash, StorePath};
    use proptest::prelude::*;

    /// A path of a closure: a digit of its hash, its name, its size.
    fn path(hash: char, name: &str, size: u64) -> PathInfo {
        let hash: String = std::iter::repeat_n(hash, 32).collect();
        PathInfo {
            path: StorePath::from_absolute(&format!("/nix/store/{hash}-{name}")).unwrap(),
            deriver: None,
            nar_hash: NarHash::from_digest([0; 32]),
            references: BTreeSet::new(),
            registered_at: 0,
            nar_size: size,
            ultimate: false,
            signatures: BTreeSet::new(),
            content_address: None,
        }
    }

    #[test]
    fn each_kind_of_change() {
        let before = [
            path('1', "zerotierone-1.14.2", 100),
            path('2', "zerotierone-1.14.2-man", 10),
            path('3', "old-1", 7),
            path('4', "etc", 5),
            path('5', "same-1", 1),
            path('6', "down-2", 1),
            path('7', "python3-3.12.1", 1),
        ];
        let after = [
            path('a', "zerotierone-1.16.0", 120),
            path('b', "zerotierone-1.16.0-man", 10),
            path('c', "new-0.1", 3),
            path('d', "etc", 5),
            path('5', "same-1", 1),
            path('f', "down-1", 1),
            path('7', "python3-3.12.1", 1),
            path('g', "python3-3.13.0", 2),
        ];
        let found = packages(&before, &after);
        let of = |list: &[PackageChange]| -> Vec<_> {
            let line = |p: &PackageChange| {
                let (before, after) = (p.before.join(","), p.after.join(","));
                format!("{} {before}>{after} {:?} {}", p.name, p.direction, p.bytes)
            };
            list.iter().map(line).collect()
        };
        assert_eq!(
            of(&found.changed),
            [
                "down 2>1 Downgrade 0",
                "python3 3.12.1>3.12.1,3.13.0 Mixed 2",
                "zerotierone 1.14.2>1.16.0 Upgrade 20",
            ]
        );
        assert_eq!(of(&found.added), ["new >0.1 Added 3"]);
        assert_eq!(of(&found.removed), ["old 1> Removed -7"]);
        assert_eq!((found.rebuilt, found.paths_added, found.paths_removed), (1, 6, 5));
        assert_eq!(
            (found.before.paths, found.after.bytes, found.bytes()),
            (7, 143, 18)
        );
        assert!(packages(&before, &before).is_empty());
    }

    proptest! {
        /// Looked at the other way round, what came went.
        #[test]
        fn it_reads_the_same_backwards(
            before in prop::collection::btree_map("[0-9a-d]", "[ab](-[0-2])?", 0..6),
            after in prop::collection::btree_map("[0-9a-d]", "[ab](-[0-2])?", 0..6),
        ) {
            // A path weighs the same in every closure.
            let closure = |map: &BTreeMap<String, String>| -> Vec<PathInfo> {
                map.iter()
                    .map(|(hash, name)| {
                        let hash = hash.chars().next().unwrap();
                        path(hash, name, u64::from(hash) + name.len() as u64)
                    })
                    .collect()
            };
            let (before, after) = (closure(&before), closure(&after));
            let (there, back) = (packages(&before, &after), packages(&after, &before));
            prop_assert_eq!(there.paths_added, back.paths_removed);
            prop_assert_eq!(there.bytes(), -back.bytes());
            prop_assert_eq!(there.rebuilt, back.rebuilt);
            let names = |list: &[PackageChange]| list.iter().map(|p| p.name.clone()).collect::<Vec<_>>();
            prop_assert_eq!(names(&there.added), names(&back.removed));
            prop_assert_eq!(names(&there.changed), names(&back.changed));
            let sum: i64 = there.added.iter().chain(&there.removed).chain(&there.changed).map(|p| p.bytes).sum();
            // What was only rebuilt may weigh something else, too.
            prop_assert!(there.rebuilt > 0 || sum == there.bytes());
        }
    }
}
