//! From a revision to its toplevel in the store: evaluate → preflight → build.
//!
//! Where the fleet publishes what was evaluated elsewhere and the configuration says so, nothing is evaluated or
//! built: the toplevel is fetched.

use super::evaluate::{Evaluation, Stepped};
use super::policy::{fleet_policy, policy};
use super::telling::BuildTeller;
use super::{PassError, Phase, Reporter, World, secrets};
use crate::class::{Class, Surface};
use crate::config::Evaluate;
use crate::host;
use crate::nix::published::{self, Found};
use crate::nix::{self, BuildError, Built, Derivation, Entry, Fresh, InStore, PublishedError};
use crate::source::Revision;
use crate::text;
use nix_daemon_client::{Client, DerivedPath, Outputs, StorePath};
use reconciler_policies::{FleetPolicy, Policy};
use reconciler_vars::{Installer, Opened, Requirements};

/// The name of the root that protects a derivation until it is built.
pub(super) const EVALUATION: &str = "evaluation";

/// How often a derivation is evaluated again because a collection took it.
const EVALUATIONS: u32 = 3;

/// What the fleet declares: an entry that this machine can be, and what it takes to activate it.
#[derive(Debug)]
pub(super) struct Declared {
    pub(super) class: Class,
    pub(super) surface: Surface,
    pub(super) policy: Policy,
    pub(super) tags: Vec<String>,
    /// All secrets that are declared, also those that another installs.
    pub(super) requirements: Requirements,
    /// The opened secrets that the agent installs.
    pub(super) opened: Opened,
    /// Its toplevel, which need not be there yet.
    pub(super) toplevel: Derivation,
    way: Evaluate,
}

/// An entry that was checked, before its toplevel is known.
#[derive(Debug)]
struct Checked {
    class: Class,
    surface: Surface,
    policy: Policy,
    tags: Vec<String>,
    requirements: Requirements,
    opened: Opened,
}

/// Learns what the fleet declares at `revision`, and opens the secrets for it.
pub(super) async fn declare(
    world: &mut World,
    client: &mut Client,
    revision: Revision,
    report: &mut Reporter<'_>,
) -> Result<Declared, PassError> {
    let fleet = fleet_policy(world, revision, report)?;
    report.begin(Phase::Evaluate);
    let way = world.settings.nix.evaluate;
    let (checked, toplevel) = match way {
        Evaluate::Here => evaluated(world, client, &fleet, revision, report).await?,
        Evaluate::Published | Evaluate::Noted => published(world, &fleet, revision, report).await?,
    };
    Ok(Declared {
        class: checked.class,
        surface: checked.surface,
        policy: checked.policy,
        tags: checked.tags,
        requirements: checked.requirements,
        opened: checked.opened,
        toplevel,
        way,
    })
}

impl Declared {
    /// What the daemon is asked for.
    pub(super) fn target(&self, world: &World) -> Result<DerivedPath, PassError> {
        let store = world.settings.nix.store.as_str();
        Ok(match self.way {
            Evaluate::Here => DerivedPath::Built {
                drv: StorePath::parse(store, &self.toplevel.drv)?,
                outputs: Outputs::All,
            },
            // A path and no derivation: there is nothing to build it from.
            Evaluate::Published | Evaluate::Noted => {
                DerivedPath::Opaque(StorePath::parse(store, &self.toplevel.out)?)
            }
        })
    }

    /// Brings the toplevel into the store.
    pub(super) async fn realise(
        &self,
        world: &World,
        client: &mut Client,
        report: &mut Reporter<'_>,
    ) -> Result<Built, PassError> {
        let limit = self.policy.build_timeout.map(|limit| limit.get());
        let store = &world.settings.nix.store;
        let mut teller = BuildTeller::default();
        let mut tell = |event: &_, progress: &_| teller.tell(event, progress, report);
        Ok(match self.way {
            Evaluate::Here => nix::build(client, store, &self.toplevel, limit, &mut tell).await?,
            Evaluate::Published | Evaluate::Noted => {
                nix::substitute(client, store, &self.toplevel, limit, &mut tell).await?
            }
        })
    }
}

/// What was done to have it, in a few words.
pub(super) fn realised(name: &str, fresh: Fresh) -> String {
    match fresh {
        Fresh::Present => format!("{name} was there already"),
        Fresh::Made { built: 0, fetched } => format!("{name}, {fetched} fetched"),
        Fresh::Made { built, fetched: 0 } => format!("{name}, {built} built"),
        Fresh::Made { built, fetched } => format!("{name}, {built} built, {fetched} fetched"),
    }
}

async fn evaluated(
    world: &mut World,
    client: &mut Client,
    fleet: &FleetPolicy,
    revision: Revision,
    report: &mut Reporter<'_>,
) -> Result<(Checked, Derivation), PassError> {
    let early = policy(world, fleet, &[])?;
    let mut evaluation = Evaluation::begin(world, revision).await?;
    loop {
        let entry = evaluation.entry(world, client, &early, report).await?;
        let note = match evaluation.as_at() {
            Some(before) if before == revision.to_string() => ", as it was evaluated before".to_owned(),
            Some(before) => format!(
                ", as at {}: nothing changed in the fleet's tree",
                text::commit(before)
            ),
            None => String::new(),
        };
        let checked = check(world, fleet, revision, &entry, &note, report)?;

        report.begin(Phase::Build);
        let derivation = match toplevel(world, client, &mut evaluation, &checked.policy, report).await? {
            Stepped::Is(derivation) => derivation,
            Stepped::ReachesOut => {
                report.note(
                    "the flake reads files outside its folder: it is evaluated with the whole repository",
                );
                report.begin(Phase::Evaluate);
                continue;
            }
        };
        return Ok((checked, derivation));
    }
}

/// The derivation of the toplevel, protected until it is built; evaluated again where a collection took it.
async fn toplevel(
    world: &World,
    client: &mut Client,
    evaluation: &mut Evaluation,
    policy: &Policy,
    report: &mut Reporter<'_>,
) -> Result<Stepped<Derivation>, PassError> {
    let store = &world.settings.nix.store;
    let mut last = String::new();
    for _ in 0..=EVALUATIONS {
        let derivation = match evaluation.toplevel(world, client, policy, report).await? {
            Stepped::Is(derivation) => derivation,
            Stepped::ReachesOut => return Ok(Stepped::ReachesOut),
        };
        match nix::secure(client, store, &derivation).await? {
            InStore::Output => return Ok(Stepped::Is(derivation)),
            InStore::Derivation => {
                let drv = camino::Utf8Path::new(&derivation.drv);
                world.roots.protect(EVALUATION, drv, client).await?;
                return Ok(Stepped::Is(derivation));
            }
            InStore::Nothing => evaluation.distrust(),
        }
        last = derivation.drv;
    }
    Err(BuildError::Collected { drv: last }.into())
}

async fn published(
    world: &World,
    fleet: &FleetPolicy,
    revision: Revision,
    report: &mut Reporter<'_>,
) -> Result<(Checked, Derivation), PassError> {
    let (machine, host) = (&world.settings.machine, host::system());
    let directory = &world.settings.fleet.directory;
    let read = |found: Option<Found>| -> Result<_, PassError> {
        let mirror = world.source.mirror()?;
        let view = mirror.tree(revision.oid())?;
        Ok(match found {
            Some(found) => published::read(&found, &view, directory, machine, revision),
            None => published::in_file(&view, directory, host)
                .and_then(|found| published::read(&found, &view, directory, machine, revision)),
        })
    };
    let answer = match read(None)? {
        Err(error) if error.is_waiting() && world.settings.nix.evaluate == Evaluate::Noted => {
            match note(world, revision, report).await? {
                Some(note) => read(Some(note))?,
                None => Err(PublishedError::NoNote {
                    notes: published::notes(host),
                }),
            }
        }
        answer => answer,
    };
    let (entry, toplevel) = answer.map_err(|source| PassError::Published {
        machine: machine.clone(),
        revision: revision.to_string(),
        source,
    })?;
    let checked = check(world, fleet, revision, &entry, ", as it was published", report)?;
    report.begin(Phase::Build);
    Ok((checked, toplevel))
}

/// The map that a note on the commit holds. It may have been pushed long after the commit, so the remote is asked where
/// the mirror has none.
async fn note(
    world: &World,
    revision: Revision,
    report: &mut Reporter<'_>,
) -> Result<Option<Found>, PassError> {
    let notes = published::notes(host::system());
    let known = || -> Result<Option<Found>, PassError> {
        let note = world.source.mirror()?.note(&notes, revision.oid())?;
        Ok(note.map(|bytes| Found {
            path: format!("the note in {notes}"),
            bytes,
        }))
    };
    if let Some(found) = known()? {
        return Ok(Some(found));
    }
    let advertised = world.source.poll().await?;
    report.doing(format!("fetching {notes}"));
    world.source.fetch_notes(&advertised, &notes, &mut |_| ()).await?;
    known()
}

/// Whether this machine can be what the entry says, and has the secrets for it.
fn check(
    world: &World,
    fleet: &FleetPolicy,
    revision: Revision,
    entry: &Entry,
    note: &str,
    report: &mut Reporter<'_>,
) -> Result<Checked, PassError> {
    let (class, machine) = (entry.class(), world.settings.machine.clone());
    let surface = Surface::of(class);
    let host = host::system();
    if let Some(declared) = entry
        .metadata()
        .system
        .clone()
        .filter(|declared| declared != host)
    {
        return Err(PassError::System {
            machine,
            declared,
            host,
        });
    }
    let policy = policy(world, fleet, &entry.metadata().tags)?;
    report.done(match entry.role_count() {
        0 => format!("{class}{note}"),
        roles => format!("{class}, {}{note}", text::count(roles, "role")),
    });

    report.begin(Phase::Preflight);
    for warning in secrets::keys(world, entry.metadata())? {
        report.note(warning);
    }
    let requirements = secrets::requirements(world, revision, entry.metadata())?;
    let opened = secrets::open(
        world.vault(),
        revision,
        &requirements,
        Some(&entry.metadata().expected()),
    )?;
    report.done(match (opened.len(), requirements.placement().installer) {
        (0, _) => "no secrets are needed".to_owned(),
        (number, Installer::Own) => {
            let installer = entry.metadata().own_installer();
            format!(
                "{} opened; {installer} installs them",
                text::count(number, "secret")
            )
        }
        (1, Installer::Agent) => "1 secret opens with this machine's key".to_owned(),
        (number, Installer::Agent) => format!("{number} secrets open with this machine's key"),
    });
    if let Some(note) = secrets::set_aside(&requirements) {
        report.note(note);
    }
    // All are checked; laid down is only what nobody else lays down.
    let opened = opened.only(&requirements.clone().for_agent());
    Ok(Checked {
        class,
        surface,
        policy,
        tags: entry.metadata().tags.clone(),
        requirements,
        opened,
    })
}
