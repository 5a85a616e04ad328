//! `reconcile keys`: what the secrets of this machine are encrypted to, and where the keys were looked for.

use super::args::KeysOptions;
use super::context::Context;
use super::failure::CliError;
use super::page;
use crate::exit::Outcome;
use crate::secrets::sources;
use reconciler_vars::Identities;
use serde::Serialize;

/// What `keys --json` prints.
#[derive(Debug, Serialize)]
struct Keys {
    recipients: Vec<Recipient>,
    problems: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Recipient {
    recipient: String,
    kind: String,
    path: String,
}

pub(super) fn run(context: &Context, options: &KeysOptions) -> Result<Outcome, CliError> {
    let settings = context.settings()?;
    let (identities, problems) = Identities::load(&sources(&settings.identity, &[]));
    let keys = Keys {
        recipients: identities
            .recipients()
            .iter()
            .map(|info| Recipient {
                recipient: info.recipient.clone(),
                kind: info.kind.to_string(),
                path: info.source.display().to_string(),
            })
            .collect(),
        problems: problems.iter().map(ToString::to_string).collect(),
    };
    let found = !keys.recipients.is_empty();
    if options.json {
        page::json(&keys)?;
    } else {
        let mut text = String::new();
        for key in &keys.recipients {
            text.push_str(&format!("{}\n  {} {}\n", key.recipient, key.kind, key.path));
        }
        if !found {
            text.push_str("this machine has no key that opens secrets\n");
        }
        for problem in problems.iter().filter(|problem| !found || !problem.is_absence()) {
            text.push_str(&format!("  {problem}\n"));
        }
        page::text(&text)?;
    }
    Ok(if found {
        Outcome::Converged
    } else {
        Outcome::PreflightFailed
    })
}
