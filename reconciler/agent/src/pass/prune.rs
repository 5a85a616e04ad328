//! The profile's links and the boot entries of generations that are kept no more.
//!
//! Only what the agent made is taken away: a link of a person's own `nixos-rebuild` is theirs.

use super::carrier::chain;
use super::{PassError, Reporter, World, observe};
use crate::activation::{End, Launcher};
use crate::class::{Action, BootEntry, Judgement, Surface};
use crate::journal::Generation;
use crate::nix::{NixTools, Profile};
use camino::{Utf8Path, Utf8PathBuf};
use reconciler_policies::{Policy, retention};
use std::collections::BTreeSet;

/// How many transactions are looked through for toplevels that the agent set a profile to.
const TRANSACTIONS: u32 = 1000;

/// The step of the boot loader's own pruning, in the last transaction's folder.
const STEP: &str = "prune";

/// The generations that are kept, newest first.
pub(super) fn kept<'a>(
    world: &World,
    policy: &Policy,
    surface: Option<Surface>,
    generations: &'a [Generation],
) -> Vec<&'a Generation> {
    let described: Vec<retention::Generation> = generations
        .iter()
        .map(|generation| retention::Generation {
            number: generation.number,
            mark: format!("{} {:?}", generation.record.toplevel, generation.record.secrets),
            toplevel: generation.record.toplevel.clone(),
            healthy: generation.record.health == crate::transaction::Health::Healthy.name(),
            activated_at: generation.activated_at,
        })
        .collect();
    let seen = surface.map(|surface| observe(&world.settings, surface));
    let runs = seen
        .iter()
        .filter_map(|seen| {
            generations
                .iter()
                .find(|generation| seen.toplevel_matches(generation))
        })
        .map(|generation| Utf8PathBuf::from(&generation.record.toplevel));
    let boots = seen.iter().filter_map(|seen| seen.profile.clone());
    let booted = world
        .settings
        .paths
        .host("/run/booted-system")
        .read_link_utf8()
        .ok();
    let in_use: Vec<Utf8PathBuf> = runs.chain(boots).chain(booted).collect();
    let in_use: Vec<&str> = in_use.iter().map(|path| path.as_str()).collect();
    let numbers = retention::kept(&described, &in_use, policy, world.now());
    generations
        .iter()
        .filter(|generation| numbers.contains(&generation.number))
        .collect()
}

/// Deletes links of the profile, and has the boot loader's entries follow.
pub(super) async fn prune(
    world: &World,
    tools: &NixTools,
    policy: &Policy,
    surface: Surface,
    kept: &[&Generation],
    report: &mut Reporter<'_>,
) -> Result<(), PassError> {
    let profile = Profile::at(surface.profile(&world.settings.nix, &world.settings.paths));
    let mut own: BTreeSet<String> = world
        .journal
        .generations()?
        .into_iter()
        .map(|generation| generation.record.toplevel)
        .collect();
    // Also what was reverted after the profile had been set.
    own.extend(
        world
            .journal
            .transactions(TRANSACTIONS)?
            .into_iter()
            .map(|record| record.intent.toplevel.into_string()),
    );
    let links = profile.generations();
    let needed: Vec<(Option<u64>, &str)> = kept
        .iter()
        .map(|generation| {
            let record = &generation.record;
            (record.profile_generation, record.toplevel.as_str())
        })
        .collect();
    let gone = superfluous(&links, profile.generation(), &own, &needed);
    if gone.is_empty() && !world.journal.boot_entries_are_to_follow()? {
        return Ok(());
    }
    // A power cut in between leaves entries of generations that are gone.
    world.journal.set_boot_entries_are_to_follow()?;
    if !gone.is_empty() {
        profile.delete(tools, &gone).await?;
    }
    if surface.has_boot_step()
        && let Some(toplevel) = profile.generation().and_then(|number| profile.target(number))
        && let Err(why) = follow(world, policy, surface, &toplevel).await
    {
        report.note(format!(
            "the boot entries of generations that are gone could not be taken away: {why}; \
             `{toplevel}/bin/switch-to-configuration boot` does it"
        ));
    }
    world.journal.clear_boot_entries_are_to_follow()?;
    Ok(())
}

/// The links that nothing needs: of the agent's own toplevels, not the profile's current one, and neither the link
/// that a kept generation recorded nor the newest of its toplevel.
fn superfluous(
    links: &[(u64, Utf8PathBuf)],
    current: Option<u64>,
    own: &BTreeSet<String>,
    needed: &[(Option<u64>, &str)],
) -> Vec<u64> {
    let newest = |target: &Utf8Path| {
        let same = links.iter().filter(|(_, of)| of == target);
        same.map(|(number, _)| *number).max()
    };
    links
        .iter()
        .filter(|(number, target)| {
            let needed = needed.iter().any(|(recorded, toplevel)| {
                target == toplevel && (*recorded == Some(*number) || newest(target) == Some(*number))
            });
            Some(*number) != current && own.contains(target.as_str()) && !needed
        })
        .map(|(number, _)| *number)
        .collect()
}

/// Runs the boot loader's builder again: it has an entry for each link that is left.
async fn follow(world: &World, policy: &Policy, surface: Surface, toplevel: &Utf8Path) -> Result<(), String> {
    let last = world.journal.transactions(1).map_err(|error| chain(&error))?;
    let id = last.first().map_or(0, |record| record.id);
    let folder = world.transaction_folder(id);
    let launcher = world.launcher(policy.activation_timeout.get());
    for invocation in surface.invocations(&world.site(), toplevel, Action::Boot) {
        let ran = launcher.run(&folder, STEP, &invocation).await;
        match ran.map_err(|error| chain(&error))? {
            End::Exited(exit) => match surface.judge(Action::Boot, exit, &Launcher::log(&folder, STEP)) {
                Judgement::Live(_) => {}
                Judgement::Untouched(failure) | Judgement::Broken(failure) => {
                    return Err(failure.to_string());
                }
            },
            End::TimedOut(_) | End::Flooded(_) | End::Lost | End::Busy => {
                return Err("the boot loader's builder did not end".to_owned());
            }
        }
    }
    match surface.boot_entry(&world.settings.paths, toplevel) {
        BootEntry::Verified | BootEntry::Unverified => Ok(()),
        BootEntry::Missing | BootEntry::Incomplete => {
            Err("the boot loader does not name the system that is to boot any more".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_links_of_the_agent_that_nothing_needs_go() {
        let link = |number: u64, name: &str| (number, Utf8PathBuf::from(format!("/nix/store/{name}")));
        let own: BTreeSet<String> = ["a", "b", "c", "bad"]
            .map(|name| format!("/nix/store/{name}"))
            .into();
        let links = [
            link(1, "a"),
            link(2, "person"),
            link(3, "b"),
            link(4, "bad"),
            link(5, "a"),
            link(6, "c"),
            link(7, "b"),
        ];
        let (a, b, c) = ("/nix/store/a", "/nix/store/b", "/nix/store/c");
        type Needed<'a> = &'a [(Option<u64>, &'a str)];
        let table: [(Option<u64>, Needed<'_>, &[u64]); 5] = [
            // Kept are c, and b as the current one: of the agent's all others go.
            (Some(7), &[(Some(6), c), (Some(7), b)], &[1, 3, 4, 5]),
            // Of a toplevel with two links the recorded one and the newest stay.
            (Some(7), &[(Some(1), a), (Some(7), b)], &[3, 4, 6]),
            (Some(6), &[(Some(6), c)], &[1, 3, 4, 5, 7]),
            // A number that is another toplevel's by now stands for nothing.
            (Some(6), &[(Some(4), c), (None, b)], &[1, 3, 4, 5]),
            (None, &[], &[1, 3, 4, 5, 6, 7]),
        ];
        for (current, needed, gone) in table {
            assert_eq!(
                superfluous(&links, current, &own, needed),
                gone,
                "{current:?} {needed:?}"
            );
        }
    }
}
