//! The pages of the reference that are made from the types: `docs/` holds them, and a test compares.

use super::args::{Arguments, ReferencePage};
use super::failure::CliError;
use super::page;
use crate::config;
use crate::exit::Outcome;
use clap::CommandFactory;

pub(super) fn run(which: ReferencePage) -> Result<Outcome, CliError> {
    page::text(&match which {
        ReferencePage::Configuration => configuration(),
        ReferencePage::Commands => commands(),
        ReferencePage::ExitCodes => exit_codes(),
    })?;
    Ok(Outcome::Converged)
}

const MADE: &str = "<!-- Made by `reconcile reference`; a test compares. Change the types instead. -->\n";

fn configuration() -> String {
    format!(
        "{MADE}# Configuration\n\n\
         `/etc/reconciler/config.toml`, or the file named by `--config` or `RECONCILER_CONFIG`; then \
         `config.d/*.toml` beside it, in the order of their names, each laid over what came before, key by key. \
         An unknown key is an error. Below a `paths.root` other than `/`, every path of the host is looked up \
         there; the paths of `[nix]` are taken as they are.\n\n{}",
        config::reference()
    )
}

fn exit_codes() -> String {
    let mut text = format!("{MADE}# Exit codes\n\n| code | outcome | meaning |\n|---|---|---|\n");
    for outcome in Outcome::ALL {
        text.push_str(&format!(
            "| {} | `{}` | {} |\n",
            outcome.code(),
            outcome.name(),
            outcome.meaning()
        ));
    }
    text
}

fn commands() -> String {
    let mut text = format!("{MADE}# Commands\n");
    let mut root = Arguments::command();
    root.build();
    text.push_str(&format!("\n```\n{}```\n", help(&mut root)));
    for verb in root.get_subcommands_mut() {
        if verb.is_hide_set() || verb.get_name() == "help" {
            continue;
        }
        section(&mut text, 2, "reconcile", verb);
    }
    text
}

/// One command, then what it has below it.
fn section(text: &mut String, level: usize, parents: &str, command: &mut clap::Command) {
    let name = format!("{parents} {}", command.get_name());
    let mark = "#".repeat(level);
    text.push_str(&format!("\n{mark} {name}\n\n```\n{}```\n", help(command)));
    for verb in command.get_subcommands_mut() {
        if !verb.is_hide_set() && verb.get_name() != "help" {
            section(text, level + 1, &name, verb);
        }
    }
}

fn help(command: &mut clap::Command) -> String {
    let text = command.clone().term_width(100).render_long_help().to_string();
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    format!("{}\n", lines.join("\n").trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pages_in_docs_are_these() {
        let folder = camino::Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
        for (file, page) in [
            ("configuration.md", configuration()),
            ("commands.md", commands()),
            ("exit-codes.md", exit_codes()),
        ] {
            let found = std::fs::read_to_string(folder.join(file)).unwrap();
            assert!(
                found == page,
                "docs/{file} is not what the types say; run `reconcile reference {}`",
                file.trim_end_matches(".md")
            );
        }
    }
}
