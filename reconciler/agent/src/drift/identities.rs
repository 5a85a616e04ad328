//! The five identities of a machine: what was declared, what the profile has, what runs, what was booted, what
//! would be booted. Pure: it compares what it is given.

use super::item::{Cause, Item, Kind};
use crate::class::BootEntry;
use camino::{Utf8Path, Utf8PathBuf};

/// Whether the machine was booted since the generation was activated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rebooted {
    /// It runs on in that boot.
    Not,
    /// It was booted since.
    Since,
}

/// What was seen of the five, beside what was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identities {
    /// The toplevel of the generation in force.
    pub declared: Utf8PathBuf,
    /// Its specialisations, which run in its place.
    pub specialisations: Vec<Utf8PathBuf>,
    /// The profile.
    pub profile_link: Utf8PathBuf,
    /// The number that the profile had when the generation was activated.
    pub recorded_number: Option<u64>,
    /// The number that it has.
    pub number: Option<u64>,
    /// The toplevel that it points at; none where it points nowhere.
    pub profile: Option<Utf8PathBuf>,
    /// Whether what runs can be told apart from what the profile has.
    pub current_link: Option<Utf8PathBuf>,
    /// The toplevel that runs.
    pub current: Option<Utf8PathBuf>,
    /// The toplevel that was booted, where the class knows.
    pub booted: Option<Utf8PathBuf>,
    /// Whether the boot loader would boot what is declared.
    pub boot: BootEntry,
    /// Whether there was a boot since the activation.
    pub rebooted: Rebooted,
    /// What of what is declared only another boot brings, as its kernel.
    pub reboot_due: Vec<String>,
}

impl Identities {
    /// Everything that is not as declared.
    #[must_use]
    pub fn drift(&self) -> Vec<Item> {
        [self.runs(), self.profile(), self.booted(), self.boot_default()]
            .into_iter()
            .flatten()
            .collect()
    }

    fn is_declared(&self, path: &Utf8Path) -> bool {
        path == self.declared || self.specialisations.iter().any(|known| known == path)
    }

    fn runs(&self) -> Option<Item> {
        let link = self.current_link.as_ref()?;
        let item =
            |cause| Item::new(Kind::CurrentSystem, cause, link.as_str()).expected(self.declared.as_str());
        let Some(current) = &self.current else {
            return Some(item(Cause::Displaced).actual("nothing"));
        };
        if self.is_declared(current) {
            return None;
        }
        let was_booted = self.rebooted == Rebooted::Since && self.booted.as_ref() == Some(current);
        Some(match (was_booted, self.boot) {
            (true, BootEntry::Missing | BootEntry::Incomplete) => {
                item(Cause::Displaced).actual(current.as_str()).evidence(
                    "the machine was booted into it: the boot loader has no entry for what is declared",
                )
            }
            (true, _) => item(Cause::Person)
                .actual(current.as_str())
                .evidence("it was chosen at the last boot"),
            (false, _) => item(Cause::Person)
                .actual(current.as_str())
                .evidence("it was switched to since the agent's last activation"),
        })
    }

    fn profile(&self) -> Option<Item> {
        let item =
            |kind, cause| Item::new(kind, cause, self.profile_link.as_str()).expected(self.declared.as_str());
        let Some(profile) = &self.profile else {
            return Some(item(Kind::Profile, Cause::Displaced).actual("nothing"));
        };
        if profile == &self.declared {
            return None;
        }
        let number =
            |number: Option<u64>| number.map_or_else(|| "none".to_owned(), |number| number.to_string());
        let evidence = format!(
            "the profile is on generation {}; the agent left it on {}",
            number(self.number),
            number(self.recorded_number)
        );
        // Numbers only grow: a higher one was made since.
        let kind = if self.number > self.recorded_number {
            Kind::ForeignGeneration
        } else {
            Kind::Profile
        };
        Some(
            item(kind, Cause::Person)
                .actual(profile.as_str())
                .evidence(evidence),
        )
    }

    /// Which system was booted says something only where that happened after the activation, and something of it is
    /// left: a power cut in the middle of a transaction may boot what is then taken back.
    fn booted(&self) -> Option<Item> {
        let booted = self.booted.as_ref()?;
        let runs = self
            .current
            .as_ref()
            .is_some_and(|current| self.is_declared(current));
        if self.rebooted == Rebooted::Not || self.is_declared(booted) || (runs && self.reboot_due.is_empty())
        {
            return None;
        }
        let (cause, evidence) = match self.boot {
            BootEntry::Missing | BootEntry::Incomplete => (
                Cause::Displaced,
                "the boot loader has no entry for what is declared",
            ),
            BootEntry::Verified | BootEntry::Unverified => (
                Cause::Person,
                "another entry was chosen, or the loader fell back to it",
            ),
        };
        Some(
            Item::new(Kind::BootedSystem, cause, "/run/booted-system")
                .expected(self.declared.as_str())
                .actual(booted.as_str())
                .evidence(evidence),
        )
    }

    fn boot_default(&self) -> Option<Item> {
        matches!(self.boot, BootEntry::Missing | BootEntry::Incomplete).then(|| {
            Item::new(Kind::BootDefault, Cause::Displaced, "the boot loader")
                .expected(self.declared.as_str())
                .actual("an entry that does not name it")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn synced() -> Identities {
        Identities {
            declared: "/s/d".into(),
            specialisations: vec!["/s/special".into()],
            profile_link: "/p/system".into(),
            recorded_number: Some(4),
            number: Some(4),
            profile: Some("/s/d".into()),
            current_link: Some("/run/current-system".into()),
            current: Some("/s/d".into()),
            booted: Some("/s/old".into()),
            boot: BootEntry::Verified,
            rebooted: Rebooted::Not,
            reboot_due: Vec::new(),
        }
    }

    fn found(identities: &Identities) -> Vec<(Kind, Cause)> {
        identities
            .drift()
            .iter()
            .map(|item| (item.kind, item.cause))
            .collect()
    }

    #[test]
    fn each_identity_has_its_kind_and_cause() {
        use Cause::{Displaced, Person};
        use Kind::{BootDefault, BootedSystem, CurrentSystem, ForeignGeneration, Profile};
        type Case = (&'static str, fn(&mut Identities), &'static [(Kind, Cause)]);
        let table: [Case; 13] = [
            ("as declared", |_| {}, &[]),
            (
                "a specialisation",
                |of| of.current = Some("/s/special".into()),
                &[],
            ),
            ("the same once more", |of| of.number = Some(9), &[]),
            (
                "nixos-rebuild test",
                |of| of.current = Some("/s/x".into()),
                &[(CurrentSystem, Person)],
            ),
            (
                "nixos-rebuild switch",
                |of| {
                    of.current = Some("/s/x".into());
                    of.profile = Some("/s/x".into());
                    of.number = Some(5);
                },
                &[(CurrentSystem, Person), (ForeignGeneration, Person)],
            ),
            (
                "nixos-rebuild boot",
                |of| {
                    of.profile = Some("/s/x".into());
                    of.number = Some(5);
                },
                &[(ForeignGeneration, Person)],
            ),
            (
                "nix-env --rollback",
                |of| {
                    of.profile = Some("/s/x".into());
                    of.number = Some(3);
                },
                &[(Profile, Person)],
            ),
            (
                "a dangling profile",
                |of| of.profile = None,
                &[(Profile, Displaced)],
            ),
            (
                "nothing runs",
                |of| of.current = None,
                &[(CurrentSystem, Displaced)],
            ),
            (
                "chosen in the boot menu",
                |of| {
                    of.rebooted = Rebooted::Since;
                    of.current = Some("/s/old".into());
                },
                &[(CurrentSystem, Person), (BootedSystem, Person)],
            ),
            (
                "booted into what was taken back since",
                |of| of.rebooted = Rebooted::Since,
                &[],
            ),
            (
                "and its kernel still runs",
                |of| {
                    of.rebooted = Rebooted::Since;
                    of.reboot_due = vec!["kernel".to_owned()];
                },
                &[(BootedSystem, Person)],
            ),
            (
                "the boot entry is gone",
                |of| {
                    of.rebooted = Rebooted::Since;
                    of.current = Some("/s/old".into());
                    of.boot = BootEntry::Missing;
                },
                &[
                    (CurrentSystem, Displaced),
                    (BootedSystem, Displaced),
                    (BootDefault, Displaced),
                ],
            ),
        ];
        for (name, change, expected) in table {
            let mut identities = synced();
            change(&mut identities);
            assert_eq!(found(&identities), expected, "{name}");
        }
    }
}
