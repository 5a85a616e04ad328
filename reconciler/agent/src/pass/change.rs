//! What a pass changes, found out while both toplevels are at hand. It never fails a pass: what cannot be told
//! is left out.

use super::{World, secrets};
use crate::class::Surface;
use crate::closure::{
    CHANGE_VERSION, Change, Cost, Differences, Side, UnitPlan, packages, planned_units, unit_files,
};
use crate::config::Settings;
use crate::journal::Generation;
use crate::nix;
use crate::process::Command;
use crate::secrets::marks;
use crate::source::Mirror;
use camino::{Utf8Path, Utf8PathBuf};
use nix_daemon_client::{Client, DerivedPath};
use reconciler_vars::Requirements;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a dry run of an activation may take.
const DRY_RUN: Duration = Duration::from_secs(120);

/// What is there before a pass, and what it is about.
#[derive(Debug)]
pub(super) struct Outlook<'a> {
    /// The generation in force.
    pub(super) generation: Option<&'a Generation>,
    /// The toplevel that runs.
    pub(super) running: Option<Utf8PathBuf>,
    /// The commit.
    pub(super) revision: &'a str,
    /// Its first line.
    pub(super) subject: &'a str,
    /// The secrets that are needed at it.
    pub(super) requirements: &'a Requirements,
}

impl Outlook<'_> {
    /// What changes as far as it can be told before anything is built.
    pub(super) fn change(&self, world: &World, toplevel: &str, cost: Option<Cost>) -> Change {
        Change {
            version: CHANGE_VERSION,
            from: self.from(),
            to: Side {
                generation: None,
                revision: Some(self.revision.to_owned()),
                subject: Some(self.subject.to_owned()),
                toplevel: toplevel.to_owned(),
            },
            cost,
            packages: None,
            units: None,
            activation: None,
            secrets: self.secrets(world),
        }
    }

    /// What runs: the generation in force, unless somebody activated something else.
    fn from(&self) -> Option<Side> {
        let running = self.running.as_ref().map(|path| path.as_str());
        match (self.generation, running) {
            (Some(generation), running) if running.is_none_or(|path| path == generation.record.toplevel) => {
                Some(side(generation))
            }
            (_, Some(path)) => Some(Side {
                generation: None,
                revision: None,
                subject: None,
                toplevel: path.to_owned(),
            }),
            (_, None) => None,
        }
    }

    fn secrets(&self, world: &World) -> Differences {
        let Ok(mirror) = world.source.mirror() else {
            return Differences::default();
        };
        let before = self
            .generation
            .and_then(|generation| secret_marks(&mirror, &world.settings, generation));
        let after = marks_at(&mirror, &world.settings, self.revision, self.requirements);
        Differences::between(&before.unwrap_or_default(), &after.unwrap_or_default())
    }
}

/// What tells a generation's secrets from those of another, none opened; none where its commit is gone.
pub fn secret_marks(
    mirror: &Mirror,
    settings: &Settings,
    generation: &Generation,
) -> Option<BTreeMap<String, String>> {
    let record = &generation.record;
    let requirements = secrets::from_json(record.requirements.as_deref()).ok()??;
    marks_at(mirror, settings, &record.revision, &requirements)
}

/// Whether two commits have the same secrets for this machine, none opened.
pub(super) fn same_secrets(world: &World, commits: [&str; 2], requirements: &Requirements) -> bool {
    let Ok(mirror) = world.source.mirror() else {
        return false;
    };
    let [one, other] = commits.map(|commit| marks_at(&mirror, &world.settings, commit, requirements));
    one.is_some() && one == other
}

fn marks_at(
    mirror: &Mirror,
    settings: &Settings,
    revision: &str,
    requirements: &Requirements,
) -> Option<BTreeMap<String, String>> {
    let view = mirror.tree(revision.parse().ok()?).ok()?;
    let view = view
        .directory(&secrets::folder(settings, requirements.placement()))
        .unwrap_or(view);
    Some(marks(&view, requirements, &settings.machine))
}

/// A generation as one side of a comparison.
pub fn side(generation: &Generation) -> Side {
    Side {
        generation: Some(generation.number),
        revision: Some(generation.record.revision.clone()),
        subject: Some(generation.record.subject.clone()),
        toplevel: generation.record.toplevel.clone(),
    }
}

/// What it costs to have a toplevel in the store.
pub(super) async fn cost(client: &mut Client, target: &DerivedPath) -> Option<Cost> {
    let missing = client.query_missing(std::slice::from_ref(target)).await.ok()?;
    Some(Cost::from(&missing))
}

/// Compares two toplevels that are in the store.
pub async fn compare(client: &mut Client, store: &Utf8Path, change: &mut Change) {
    let Some(from) = &change.from else { return };
    let before = nix::closure(client, store, &from.toplevel).await.ok().flatten();
    let after = nix::closure(client, store, &change.to.toplevel)
        .await
        .ok()
        .flatten();
    if let (Some(before), Some(after)) = (before, after) {
        change.packages = Some(packages(&before, &after));
        let units = |toplevel: &str| unit_files(Utf8Path::new(toplevel));
        change.units = Some(Differences::between(
            &units(&from.toplevel),
            &units(&change.to.toplevel),
        ));
    }
}

/// What the activation would do with units, where the class can tell without doing it.
pub(super) async fn dry_activation(world: &World, surface: Surface, toplevel: &Utf8Path) -> Option<UnitPlan> {
    let invocation = surface.dry_run(toplevel)?;
    let mut command = Command::new(&invocation.program, DRY_RUN).args(&invocation.arguments);
    for (name, value) in world
        .activation_environment()
        .iter()
        .chain(&invocation.environment)
    {
        command = command.env(name, value);
    }
    let finished = command.run(&mut |_| {}).await.ok()?;
    let mut said = String::from_utf8_lossy(&finished.stdout).into_owned();
    said.push_str(&finished.stderr);
    (finished.exit == crate::process::Exit::Code(0)).then(|| planned_units(&crate::text::plain(&said)))
}
