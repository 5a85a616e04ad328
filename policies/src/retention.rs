//! Which generations are kept: how many, how old, and those that are never given up. It deletes nothing.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::policy::Policy;

/// A recorded generation, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generation {
    /// Its number; the larger, the newer.
    pub number: u64,
    /// What was activated, with everything that belongs to it: two of the same mark are the same to go back to.
    pub mark: String,
    /// Its store path.
    pub toplevel: String,
    /// Whether everything of it ran when it was confirmed.
    pub healthy: bool,
    /// When it was confirmed.
    pub activated_at: Timestamp,
}

/// The numbers of the generations that are kept.
///
/// Those are the newest, as many as the policy says; those younger than it says; and always the newest that was
/// healthy, the one that a rollback goes to, and the newest of each toplevel in `in_use`: what runs, what was
/// booted, what boots next.
#[must_use]
pub fn kept(generations: &[Generation], in_use: &[&str], policy: &Policy, now: Timestamp) -> BTreeSet<u64> {
    let mut newest: Vec<&Generation> = generations.iter().collect();
    newest.sort_unstable_by_key(|generation| std::cmp::Reverse(generation.number));
    let count = usize::try_from(policy.keep_generations.get()).unwrap_or(usize::MAX);
    let young = |generation: &&&Generation| {
        policy.keep_within.as_ref().is_some_and(|within| {
            // A clock that was set back makes nothing old.
            let age = now.duration_since(generation.activated_at);
            std::time::Duration::try_from(age).unwrap_or_default() <= within.get()
        })
    };
    let rollback = newest
        .first()
        .and_then(|current| newest.iter().find(|earlier| earlier.mark != current.mark));
    let good = newest.iter().find(|generation| generation.healthy);
    let used = in_use
        .iter()
        .filter_map(|toplevel| newest.iter().find(|generation| generation.toplevel == **toplevel));
    newest
        .iter()
        .take(count)
        .chain(newest.iter().filter(young))
        .chain(rollback)
        .chain(good)
        .chain(used)
        .map(|generation| generation.number)
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fragment::Fragment;

    fn policy(text: &str) -> Policy {
        let fragment: Fragment = crate::document::read(text).unwrap();
        Policy::merge(&[fragment]).unwrap()
    }

    fn generation(number: u64, toplevel: &str, healthy: bool, day: i64) -> Generation {
        Generation {
            number,
            mark: toplevel.to_owned(),
            toplevel: toplevel.to_owned(),
            healthy,
            activated_at: Timestamp::from_second(day * 86_400).unwrap(),
        }
    }

    #[test]
    fn how_many_how_old_and_never_what_is_needed() {
        // One a day, on days 1 to 6; 6 is in force.
        let list = |toplevels: [&str; 6], healthy: [bool; 6]| -> Vec<Generation> {
            (1..=6)
                .zip(toplevels.into_iter().zip(healthy))
                .map(|(number, (toplevel, healthy))| {
                    generation(number, toplevel, healthy, i64::try_from(number).unwrap())
                })
                .collect()
        };
        let all = list(["a", "b", "c", "d", "e", "f"], [true; 6]);
        type Case<'a> = (&'a str, &'a [Generation], &'a [&'a str], &'a [u64]);
        let table: [Case<'_>; 7] = [
            ("keep_generations = 2", &all, &[], &[5, 6]),
            ("keep_generations = 4", &all, &["f"], &[3, 4, 5, 6]),
            ("keep_generations = 9", &all, &[], &[1, 2, 3, 4, 5, 6]),
            // Day 7: four days back is day 3.
            (
                "keep_generations = 2\nkeep_within = '4 days'",
                &all,
                &[],
                &[3, 4, 5, 6],
            ),
            // It runs, it was booted.
            ("keep_generations = 2", &all, &["b", "d"], &[2, 4, 5, 6]),
            // The last that was healthy.
            (
                "keep_generations = 2",
                &list(
                    ["a", "b", "c", "d", "e", "f"],
                    [true, true, true, false, false, false],
                ),
                &[],
                &[3, 5, 6],
            ),
            // What a rollback goes to is what ran before, however often the one in force was recorded.
            (
                "keep_generations = 2",
                &list(["a", "b", "c", "f", "f", "f"], [true; 6]),
                &[],
                &[3, 5, 6],
            ),
        ];
        let now = Timestamp::from_second(7 * 86_400).unwrap();
        for (text, generations, in_use, expected) in table {
            let kept: Vec<u64> = kept(generations, in_use, &policy(text), now)
                .into_iter()
                .collect();
            assert_eq!(kept, expected, "{text} {in_use:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_needed_is_kept(
            generations in prop::collection::vec((0_u8..4, any::<bool>(), 0_i64..30), 1..20),
            used in 0_u8..4, now in -5_i64..40,
        ) {
            let generations: Vec<Generation> = (1..)
                .zip(generations)
                .map(|(number, (toplevel, healthy, day))| generation(number, &toplevel.to_string(), healthy, day))
                .collect();
            let policy = policy("keep_generations = 2\nkeep_within = '3 days'");
            let used = used.to_string();
            let now = Timestamp::from_second(now * 86_400).unwrap();
            let kept = kept(&generations, &[&used], &policy, now);
            let newest = generations.last().unwrap();
            prop_assert!(kept.contains(&newest.number));
            let needed = |found: Option<&Generation>| found.is_none_or(|found| kept.contains(&found.number));
            prop_assert!(needed(generations.iter().rev().find(|one| one.healthy)));
            prop_assert!(needed(generations.iter().rev().find(|one| one.toplevel == used)));
            prop_assert!(needed(generations.iter().rev().find(|one| one.mark != newest.mark)));
        }
    }
}
