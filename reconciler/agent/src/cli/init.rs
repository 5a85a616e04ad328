//! `reconcile init`: writes the configuration, asks the remote, shows the machine's recipient.

use super::args::InitOptions;
use super::context::{Context, block_on};
use super::failure::CliError;
use super::page;
use crate::config::{self, Settings, UnusableConfig};
use crate::durable::{self, Lasting};
use crate::exit::Outcome;
use crate::host;
use crate::secrets;
use crate::text;

pub(super) fn run(context: &Context, options: &InitOptions) -> Result<Outcome, CliError> {
    let file = &context.config;
    if file.exists() && !options.force {
        return Err(CliError::ConfigExists { file: file.clone() });
    }
    let page = toml(options);
    // Checked before it is written: a configuration that cannot be read back helps nobody.
    let name = host::host_name().map_err(CliError::Host)?;
    let fragment = config::parse(file, &page).map_err(UnusableConfig::Read)?;
    let settings = Settings::resolve(config::with_known_hosts(fragment), &name).map_err(|source| {
        UnusableConfig::Settings {
            file: file.clone(),
            source,
        }
    })?;
    if let Some(folder) = file.parent()
        && !folder.exists()
    {
        durable::folder(folder, 0o755)?;
    }
    // With a password in it, it is nobody else's to read.
    let mode = if options
        .url
        .rsplit_once('@')
        .is_some_and(|(login, _)| login.contains("://"))
    {
        0o600
    } else {
        0o644
    };
    durable::replace(file, page.as_bytes(), mode, Lasting::Power)?;
    page::text(&format!(
        "wrote {file}: {} follows {}\n",
        settings.machine, settings.fleet.branch
    ))?;

    let identities = secrets::load(&[], &settings.identity, &[]);
    match identities.recipients().first() {
        Some(info) => page::text(&format!("secrets for it are encrypted to {}\n", info.recipient))?,
        None => page::text("it has no key that opens secrets yet: `reconcile keys` says where it looks\n")?,
    }
    let source = context.source(&settings)?;
    let head = block_on(source.poll())?.map_err(CliError::Poll)?;
    page::text(&format!(
        "{} answers: {} is at {}\nnext: `reconcile now`, then start the agent's service\n",
        head.url,
        settings.fleet.branch,
        text::commit(&head.head.to_string())
    ))?;
    Ok(Outcome::Converged)
}

fn toml(options: &InitOptions) -> String {
    let mut root = toml::Table::new();
    let mut fleet = toml::Table::new();
    let value = |text: &str| toml::Value::String(text.to_owned());
    if let Some(machine) = &options.machine {
        root.insert("machine".to_owned(), value(machine));
    }
    fleet.insert("url".to_owned(), value(&options.url));
    fleet.insert("branch".to_owned(), value(&options.branch));
    if let Some(directory) = &options.directory {
        fleet.insert("directory".to_owned(), value(directory));
    }
    root.insert("fleet".to_owned(), toml::Value::Table(fleet));
    root.to_string()
}
