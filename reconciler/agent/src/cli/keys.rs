//! `reconcile keys`: what the secrets of this machine are encrypted to, and where the keys were looked for.

use super::args::KeysOptions;
use super::context::Context;
use super::failure::CliError;
use super::page;
use crate::exit::Outcome;
use reconciler_vars::{Identities, IdentityInfo, IdentityKind};
use serde::Serialize;

/// What `keys --json` prints.
#[derive(Debug, Serialize)]
struct Keys {
    recipients: Vec<Recipient>,
    plugins: Vec<String>,
    warnings: Vec<Trouble>,
    problems: Vec<Trouble>,
}

#[derive(Debug, Serialize)]
struct Recipient {
    recipient: String,
    kind: &'static str,
    path: String,
}

/// What is wrong, and what to do about it.
#[derive(Debug, Serialize)]
struct Trouble {
    text: String,
    hint: String,
}

pub(super) fn run(context: &Context, options: &KeysOptions) -> Result<Outcome, CliError> {
    let identities = context.identities(&[])?;
    if options.json {
        page::json(&document(&identities))?;
    } else {
        page::text(&text(&identities))?;
    }
    Ok(if identities.is_empty() {
        Outcome::PreflightFailed
    } else {
        Outcome::Converged
    })
}

fn document(identities: &Identities) -> Keys {
    Keys {
        recipients: identities
            .recipients()
            .iter()
            .map(|info| Recipient {
                recipient: info.recipient.clone(),
                kind: name(info.kind),
                path: info.source.display().to_string(),
            })
            .collect(),
        plugins: identities.plugin_names().map(str::to_owned).collect(),
        warnings: identities
            .warnings()
            .iter()
            .map(|warning| Trouble {
                text: warning.to_string(),
                hint: warning.hint(),
            })
            .collect(),
        problems: identities
            .problems()
            .iter()
            .map(|problem| Trouble {
                text: problem.to_string(),
                hint: problem.hint(),
            })
            .collect(),
    }
}

fn text(identities: &Identities) -> String {
    let mut text = String::new();
    for info in identities.recipients() {
        text.push_str(&format!("{}\n  {}\n", info.recipient, origin(info)));
    }
    let named = identities.recipients().iter();
    let named = named.filter(|info| info.kind == IdentityKind::PluginKey).count();
    if identities.plugin_names().count() > named {
        text.push_str("keys of age plugins whose recipients the key files do not name:");
        for name in identities.plugin_names() {
            text.push_str(&format!(" {name}"));
        }
        text.push('\n');
    }
    for warning in identities.warnings() {
        text.push_str(&format!("warning: {warning}\n  hint: {}\n", warning.hint()));
    }
    let found = !identities.is_empty();
    if !found {
        text.push_str("this machine has no key that opens secrets\n");
    }
    let mut hints: Vec<String> = Vec::new();
    for problem in identities.problems() {
        // One of several places where a key may lie.
        if found && problem.is_absence() {
            continue;
        }
        text.push_str(&format!("  {problem}\n"));
        if !hints.contains(&problem.hint()) {
            hints.push(problem.hint());
        }
    }
    if !found {
        hints.insert(
            0,
            "`age-keygen -o /var/lib/sops-nix/key.txt` makes an age key, `ssh-keygen -A` the SSH host keys"
                .to_owned(),
        );
    }
    for hint in hints {
        text.push_str(&format!("hint: {hint}\n"));
    }
    text
}

/// Where a recipient comes from.
fn origin(info: &IdentityInfo) -> String {
    let path = info.source.display();
    match info.kind {
        IdentityKind::AgeKey => format!("age key {path}"),
        IdentityKind::HybridKey => format!("post-quantum age key {path}"),
        IdentityKind::SshHostKey => {
            format!("SSH host key {path}, as ssh-to-age converts it (sops-nix, clan)")
        }
        IdentityKind::NativeSshKey => format!("SSH host key {path}, as it is (agenix, age -R)"),
        IdentityKind::PluginKey => format!("age plugin, named in {path}"),
    }
}

/// A kind's name in JSON.
fn name(kind: IdentityKind) -> &'static str {
    match kind {
        IdentityKind::AgeKey => "age",
        IdentityKind::HybridKey => "age-post-quantum",
        IdentityKind::SshHostKey => "ssh-to-age",
        IdentityKind::NativeSshKey => "ssh",
        IdentityKind::PluginKey => "age-plugin",
    }
}
