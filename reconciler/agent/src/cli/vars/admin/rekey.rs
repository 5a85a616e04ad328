//! `reconcile vars rekey`: every secret is encrypted to those whom its links name, and to nobody else. All of it is
//! prepared in memory before anything is written; an interrupted run is finished by the same command.

use super::args::RekeyOptions;
use super::error::AdminError;
use super::fleet::{Fleet, say};
use super::generate::kept_as;
use super::git::{self, Keep};
use super::identities;
use super::membership::{self, Keys};
use crate::cli::context::{Context, Detail, block_on};
use crate::cli::failure::CliError;
use crate::cli::page;
use crate::exit::Outcome;
use crate::text;
use reconciler_vars::generators::{
    Directory, LinkNames, RekeyError, Rekeying, SecretFolder, recover, rekey_all, secret_folders,
};
use reconciler_vars::{ReaderKind, Tree};
use std::collections::{BTreeMap, BTreeSet};

pub(in crate::cli) fn run(context: &Context, options: &RekeyOptions) -> Result<Outcome, CliError> {
    block_on(rekey(context, options))?
}

async fn rekey(context: &Context, options: &RekeyOptions) -> Result<Outcome, CliError> {
    let fleet = Fleet::open(context, options.fleet.fleet.as_deref())?;
    let _lock = recover(fleet.root.as_std_path()).map_err(AdminError::from)?;
    let folders = secret_folders(&fleet.tree).map_err(AdminError::from)?;
    // Only newcomers need to know what the fleet declares; the links say the rest.
    let declared = if options.add_machine.is_empty() && options.add_user.is_empty() {
        None
    } else {
        Some(fleet.declared(context).await?)
    };
    let mut directory = fleet.directory(context);
    let owners = directory.owners().map_err(AdminError::from)?;
    let keys = membership::changes(options, &fleet, declared.as_ref(), &folders, &mut directory)?;
    let wanted = wanted(&fleet, &keys, &folders, &options.machines, &directory)?;
    let identities = identities::load(&options.fleet.identity, &context.environment);
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let root = fleet.root.as_std_path();
    let rekeying = rekey_all(root, &fleet.tree, &directory, &identities, &wanted, &now);
    let rekeying = rekeying.map_err(|errors| AdminError::Rekey { errors })?;

    let mut names = owners;
    for (kind, pairs) in [
        (ReaderKind::Machine, &options.add_machine),
        (ReaderKind::User, &options.add_user),
    ] {
        for pair in pairs {
            for key in directory.keys(kind, &pair.name).map_err(AdminError::from)? {
                names.insert(key.to_string(), format!("{kind} {}", pair.name));
            }
        }
    }
    let changed: BTreeSet<String> = keys
        .coming
        .iter()
        .chain(&rekeying.edits)
        .chain(&keys.going)
        .filter(|edit| !edit.is_idle(root))
        .map(|edit| edit.folder().to_owned())
        .collect();
    // Before anything is written: who is stopped in the middle knows it all the same.
    page::text(&told(&rekeying, &names, context.detail))?;
    if changed.is_empty() {
        page::text(&format!(
            "{} encrypted to those who may read; nothing was changed\n",
            are(wanted.len())
        ))?;
        return Ok(Outcome::Converged);
    }
    if options.dry_run {
        page::text("nothing was changed\n")?;
        return Ok(Outcome::Converged);
    }
    let edits = keys.coming.iter().chain(&rekeying.edits).chain(&keys.going);
    for edit in edits {
        edit.commit(root).map_err(AdminError::from)?;
    }
    let keep = if options.commit { Keep::Commit } else { Keep::Stage };
    let subject = membership::subject(&keys, options);
    let kept = git::keep(&fleet.root, &context.environment, &changed, keep, &subject).await;
    let kept = kept.map_err(AdminError::from)?;
    for (_, name) in &keys.membership.removed {
        let own = format!("vars/per-machine/{name}");
        if !fleet.tree.list(&own).map_err(AdminError::from)?.is_empty() {
            say(&format!(
                "note: {own} is still there: delete it if the machine is gone for good"
            ));
        }
    }
    let sealed = match rekeying.sealings.len() {
        0 => "no secret had to be encrypted anew".to_owned(),
        number => format!("{} encrypted anew", text::count(number, "secret")),
    };
    page::text(&format!("{sealed}; {}\n", kept_as(&kept)))?;
    Ok(Outcome::Converged)
}

fn are(number: usize) -> String {
    let verb = if number == 1 { "is" } else { "are" };
    format!("{} {verb}", text::count(number, "secret"))
}

/// The links that every secret is to have, of those that were asked for.
fn wanted(
    fleet: &Fleet,
    keys: &Keys,
    folders: &[SecretFolder],
    machines: &[String],
    directory: &Directory<'_>,
) -> Result<BTreeMap<SecretFolder, LinkNames>, AdminError> {
    let mut wanted = BTreeMap::new();
    for folder in folders {
        let links = keys.membership.wanted(&fleet.tree, folder)?;
        let asked = machines.is_empty()
            || machines.iter().any(|machine| {
                let linked = || {
                    directory
                        .named(&links)
                        .is_ok_and(|named| named.iter().any(|(_, name)| name == machine))
                };
                folder.machine() == Some(machine) || linked()
            });
        if asked {
            wanted.insert(folder.clone(), links);
        }
    }
    if wanted.values().any(|links| *links == LinkNames::default()) {
        let bare = wanted.iter().filter(|(_, links)| **links == LinkNames::default());
        let errors = bare.map(|(folder, _)| RekeyError::Nobody {
            path: folder.path.clone(),
        });
        return Err(AdminError::Rekey {
            errors: errors.collect(),
        });
    }
    Ok(wanted)
}

/// What is encrypted anew, and what has to be made anew because somebody knows it who may not any more.
fn told(rekeying: &Rekeying, names: &BTreeMap<String, String>, detail: Detail) -> String {
    let mut page = String::new();
    let name = |recipient: &String| names.get(recipient).unwrap_or(recipient).clone();
    if detail > Detail::Quiet {
        let rows: Vec<Vec<String>> = rekeying
            .sealings
            .iter()
            .map(|sealing| {
                let added = sealing.added.iter().map(|who| format!("+ {}", name(who)));
                let removed = sealing.removed.iter().map(|who| format!("- {}", name(who)));
                let who: BTreeSet<String> = added.chain(removed).collect();
                vec![
                    sealing.path.clone(),
                    who.into_iter().collect::<Vec<_>>().join(", "),
                ]
            })
            .collect();
        page.push_str(&page::table(&rows));
    }
    let known: Vec<_> = rekeying
        .sealings
        .iter()
        .filter(|sealing| !sealing.removed.is_empty())
        .collect();
    if known.is_empty() {
        return page;
    }
    let mut who: BTreeSet<String> = BTreeSet::new();
    let mut generators = BTreeSet::new();
    for sealing in &known {
        who.extend(sealing.removed.iter().map(name));
        let mut parts = sealing.path.rsplit('/');
        if sealing.path.starts_with("vars/") {
            generators.extend(parts.nth(1).map(str::to_owned));
        }
    }
    page.push_str(&format!(
        "{} could read these, and knows them still from git's history. They have to be made anew:\n",
        who.into_iter().collect::<Vec<_>>().join(", ")
    ));
    for sealing in known {
        page.push_str(&format!("  {}\n", sealing.path));
    }
    for generator in generators {
        page.push_str(&format!(
            "    reconcile vars generate --regenerate --generator {generator}\n"
        ));
    }
    page
}
