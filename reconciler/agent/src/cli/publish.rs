//! `reconcile publish`: evaluates every machine of one system once, and writes the map for those that only
//! fetch. It needs a checkout, Nix and no configuration: a build server runs it.

use super::args::PublishOptions;
use super::bounds::limits;
use super::context::{Context, Detail, block_on};
use super::failure::CliError;
use super::place::{Note, Place, Remote};
use super::style::{Paint, Stream};
use super::{failure, page};
use crate::config::{Evaluate, NixSettings, Paths, SettingsError, folder_of_flake};
use crate::durable::DurableError;
use crate::exit::Outcome;
use crate::host;
use crate::nix::publish::{self, PublishError, Publisher, Told};
use crate::nix::{
    EvaluateError, Evaluator, EvaluatorHome, ImportFromDerivation, InputCredentials, Nix, NixTools,
    ToolError, published,
};
use crate::process::RunError;
use crate::source::{Checkout, CheckoutError, Mirror, MirrorError, Moment, Revision};
use crate::text;
use camino::{Utf8Path, Utf8PathBuf};
use nix_daemon_client::{Client, ConnectError, ConnectOptions};
use reconciler_policies::PolicyError;
use std::ffi::OsString;

/// Why nothing was published.
#[derive(Debug, thiserror::Error)]
pub(super) enum PublishFailure {
    #[error(transparent)]
    Directory(SettingsError),
    #[error(transparent)]
    Checkout(CheckoutError),
    #[error("{folder} lies in no git repository")]
    NoCheckout { folder: Utf8PathBuf },
    #[error("cannot look at {folder}")]
    Folder {
        folder: Utf8PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("cannot read the commit that is checked out")]
    Head(#[source] MirrorError),
    #[error("Nix cannot be used")]
    Tool(#[from] ToolError),
    #[error("cannot reach the nix-daemon")]
    Daemon(#[from] ConnectError),
    #[error("there is no usable policy for an evaluation")]
    Policy(#[from] PolicyError),
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error("there is no `git` to push with")]
    NoGit,
    #[error("cannot run git")]
    Run(#[source] RunError),
    #[error("{doing} {remote}: {said}")]
    Git {
        doing: &'static str,
        remote: String,
        said: String,
    },
    #[error("cannot write the map")]
    Map(#[source] serde_json::Error),
    #[error(transparent)]
    Write(#[from] DurableError),
}

pub(super) fn run(context: &Context, options: &PublishOptions) -> Result<Outcome, CliError> {
    block_on(publish(context, options))?
}

async fn publish(context: &Context, options: &PublishOptions) -> Result<Outcome, CliError> {
    let person = host::of_a_person(&context.environment.search_path());
    let directory = folder_of_flake(options.directory.clone()).map_err(PublishFailure::Directory)?;
    let checkout = checkout(&options.checkout)?;
    let head = head(&checkout)?;
    let system = options
        .system
        .clone()
        .unwrap_or_else(|| host::system().to_owned());
    let place = match (&options.out, options.note) {
        (Some(file), _) => Place::File(file.clone()),
        (None, false) => Place::File(checkout.root().join(&directory).join(published::file(&system))),
        (None, true) => Place::Note(Note {
            reference: published::notes(&system),
            repository: checkout.repository().to_owned(),
            commit: head.oid(),
            remote: options.push.clone().map(|name| Remote {
                name,
                folders: context.environment.folders.clone(),
                environment: person.clone(),
            }),
        }),
    };
    let settings = settings(&person);
    let tools =
        NixTools::find(&context.environment.folders, &settings, &paths()).map_err(PublishFailure::Tool)?;
    let nix = Nix::find(&context.environment.folders, &tools, "", None)
        .await
        .map_err(PublishFailure::Tool)?;
    let limits = limits(&declared(&checkout, &directory)).map_err(PublishFailure::Policy)?;
    let home = home(person);
    let publisher = Publisher {
        evaluator: Evaluator {
            tools: &tools,
            nix: &nix,
            account: None,
            home: &home,
            limits,
            import_from_derivation: settings.import_from_derivation,
        },
        repository: checkout.repository().to_owned(),
        directory: &directory,
        revision: head,
        system: &system,
    };
    let trees = publisher.trees().map_err(PublishFailure::Publish)?;
    if !options.force
        && let Some(map) = place.known(&trees).await?
    {
        place.leave(&map).await?;
        tell(context, &format!("{place} is of this tree already"));
        return Ok(Outcome::Converged);
    }
    let options = ConnectOptions::default();
    let mut client = Client::connect(settings.daemon.as_std_path(), &options)
        .await
        .map_err(PublishFailure::Daemon)?;
    let (mut derivations, mut failed) = (String::new(), 0_usize);
    let mut told = |machine: &str, said: Told<'_>| match said {
        Told::Doing(doing) if context.detail == Detail::Verbose => tell(context, &format!("  {doing}")),
        Told::Doing(_) | Told::Done(publish::Outcome::OtherSystem) => {}
        Told::Done(publish::Outcome::Published(derivation)) => {
            let mark = context.style.paint(Stream::Err, Paint::Good, "✓");
            tell(
                context,
                &format!("{mark} {machine}  {}", text::store_path(&derivation.out)),
            );
            derivations.push_str(&derivation.drv);
            derivations.push('\n');
        }
        Told::Done(publish::Outcome::Failed(error)) => {
            failed += 1;
            complain(context, machine, error);
        }
    };
    let map = publisher
        .publish(&mut client, &mut told)
        .await
        .map_err(PublishFailure::Publish)?;
    place.leave(&map).await?;
    let number = text::count(map.machines.len(), "machine");
    tell(context, &format!("{place} names {number} of {system}"));
    page::text(&derivations)?;
    Ok(match failed {
        0 => Outcome::Converged,
        _ => Outcome::EvaluationFailed,
    })
}

fn complain(context: &Context, machine: &str, error: &EvaluateError) {
    let trace = error.trace().unwrap_or_default().trim_end();
    let lines: Vec<String> = trace.lines().map(str::to_owned).collect();
    let summary = format!("cannot evaluate {machine}, which is not published");
    failure::print(context.style, &summary, &[error.to_string()], &lines, None);
}

fn tell(context: &Context, line: &str) {
    if context.detail > Detail::Quiet {
        // With standard error gone nobody reads it; the map is written all the same.
        let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("{line}\n").as_bytes());
    }
}

/// The checkout that a folder lies in, at the commit that is checked out.
fn checkout(folder: &Utf8Path) -> Result<Checkout, PublishFailure> {
    let absolute = folder
        .canonicalize_utf8()
        .map_err(|source| PublishFailure::Folder {
            folder: folder.to_owned(),
            source,
        })?;
    Checkout::open(&absolute, Moment::At("HEAD"))
        .map_err(PublishFailure::Checkout)?
        .ok_or(PublishFailure::NoCheckout { folder: absolute })
}

/// What the fleet's policy is there; empty where it has none.
fn declared(checkout: &Checkout, directory: &str) -> Vec<u8> {
    let path = Utf8Path::new(directory).join("reconciler.toml");
    let tree = checkout.tree().ok();
    tree.and_then(|tree| tree.read(path.as_str()).ok())
        .unwrap_or_default()
}

/// What is committed there; what is not is no part of it.
fn head(checkout: &Checkout) -> Result<Revision, PublishFailure> {
    let head = checkout.commit().ok_or_else(|| PublishFailure::NoCheckout {
        folder: checkout.root().to_owned(),
    })?;
    let commit = Mirror::of(checkout.repository()).and_then(|repository| repository.commit(head));
    Ok(Revision::pinned(&commit.map_err(PublishFailure::Head)?))
}

type Variables = [(OsString, OsString)];

fn variable(person: &Variables, name: &str) -> Option<Utf8PathBuf> {
    let found = person.iter().find(|(known, _)| known == name);
    found.and_then(|(_, value)| Some(value.to_str()?.into()))
}

/// Where Nix is, by Nix's own variables.
fn settings(person: &Variables) -> NixSettings {
    let path = |name, default: &str| variable(person, name).unwrap_or_else(|| default.into());
    NixSettings {
        daemon: path("NIX_DAEMON_SOCKET_PATH", "/nix/var/nix/daemon-socket/socket"),
        store: path("NIX_STORE_DIR", "/nix/store"),
        state: path("NIX_STATE_DIR", "/nix/var/nix"),
        evaluator_user: None,
        evaluate: Evaluate::Here,
        import_from_derivation: ImportFromDerivation::Allowed,
        credentials: InputCredentials::default(),
    }
}

fn paths() -> Paths {
    let root = Utf8PathBuf::from("/");
    Paths {
        state: root.clone(),
        run: root.clone(),
        secrets: root.clone(),
        profile: None,
        root,
    }
}

/// The person's own: their caches, their settings, their credentials.
fn home(mut person: Vec<(OsString, OsString)>) -> EvaluatorHome {
    let home = variable(&person, "HOME").unwrap_or_else(|| "/".into());
    if variable(&person, "NIX_USER_CONF_FILES").is_none() {
        let folder = variable(&person, "XDG_CONFIG_HOME").unwrap_or_else(|| home.join(".config"));
        let file = folder.join("nix/nix.conf");
        person.push(("NIX_USER_CONF_FILES".into(), file.as_str().into()));
    }
    EvaluatorHome::of_person(home, person)
}
