//! Files that old releases of sops wrote, from 3.7 on: each opens here to what the newest sops prints, and what is made
//! of it here the newest sops opens. `fixtures/make-releases.sh` says where they come from.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's own helpers may fail loudly"
)]

mod support;

use std::collections::BTreeSet;
use std::fs;

use reconciler_vars::sops::{KeyGroups, Rekeyed, edit, inspect, rekey, rotate};
use reconciler_vars::{Format, Identities, IdentitySource, decrypt};
use support::lab::Lab;
use support::{age_key, fixture};

const TIME: &str = "2024-02-29T12:00:00Z";

struct Old {
    name: String,
    format: Format,
    sealed: Vec<u8>,
    /// What the newest sops prints of it.
    plain: Vec<u8>,
}

fn old_files() -> Vec<Old> {
    let mut files: Vec<_> = fs::read_dir(fixture("releases"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.ends_with(".plain"))
        .map(|name| {
            let read = |name: &str| fs::read(fixture(&format!("releases/{name}"))).unwrap();
            Old {
                format: Format::of_path(&name),
                sealed: read(&name),
                plain: read(&format!("{name}.plain")),
                name,
            }
        })
        .collect();
    files.sort_by(|one, other| one.name.cmp(&other.name));
    files
}

/// Of two key groups, so that a threshold of two is met.
fn identities() -> Identities {
    let sources =
        ["machine", "other"].map(|name| IdentitySource::AgeKeyFile(fixture(&format!("keys/{name}.txt"))));
    Identities::load(&sources).0
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn whatever_old_releases_wrote_opens_to_what_the_newest_prints() {
    let identities = identities();
    let mut seen = BTreeSet::new();
    for old in old_files() {
        let opened = decrypt(&old.sealed, old.format, &identities)
            .unwrap_or_else(|error| panic!("{}: {error}", old.name));
        assert_eq!(
            text(&opened.into_bytes().unwrap()),
            text(&old.plain),
            "{}",
            old.name
        );
        let release = old.name.split('-').next().unwrap().to_owned();
        seen.insert((release, old.format));
    }
    for release in ["3.7.1", "3.7.3", "3.8.1", "3.9.4", "3.10.2", "3.11.0", "3.12.1"] {
        for format in Format::ALL {
            assert!(seen.contains(&(release.to_owned(), format)), "{release} {format}");
        }
    }
}

#[test]
fn whom_old_files_are_for_is_told_without_a_key() {
    let machine = age_key("machine").recipients()[0].recipient.clone();
    for old in old_files() {
        if matches!(old.format, Format::Json | Format::Binary) {
            let inspection = inspect(&old.sealed).unwrap_or_else(|error| panic!("{}: {error}", old.name));
            assert!(inspection.age.contains(&machine), "{}", old.name);
            assert_eq!((inspection.others, inspection.pgp.len()), (0, 0), "{}", old.name);
        }
    }
}

/// An edit, other readers and another key: the old form goes on, and the newest sops opens what came of it.
#[test]
fn what_becomes_of_old_files_here_the_newest_sops_opens() {
    let lab = Lab::new();
    let newcomer = lab.age_key("machine").parse().unwrap();
    let kept = age_key("machine").recipients()[0].recipient.parse().unwrap();
    let readers = KeyGroups::any_of(&[kept, newcomer]).unwrap();
    for old in old_files() {
        if !(old.name.contains("default") || old.name.contains("groups")) {
            continue;
        }
        let of = &old.name;
        let changed = match old.format {
            Format::Binary => b"other bytes \xff\x00\n".to_vec(),
            _ => text(&old.plain)
                .replacen("correct-horse-battery-staple", "changed", 1)
                .into_bytes(),
        };
        let Rekeyed::Changed(edited) = edit(&old.sealed, old.format, &identities(), &changed, TIME).unwrap()
        else {
            panic!("{of} was not changed");
        };
        let Rekeyed::Changed(shared) = rekey(&edited, old.format, &identities(), &readers).unwrap() else {
            panic!("{of} has the readers already");
        };
        assert_eq!(
            text(&lab.open_as(&shared, old.format.name())),
            text(&changed),
            "{of}"
        );
        let rotated = rotate(&shared, old.format, &identities(), &readers, TIME).unwrap();
        assert_eq!(
            text(&lab.open_as(&rotated, old.format.name())),
            text(&changed),
            "{of}"
        );
    }
}
