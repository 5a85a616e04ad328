//! The host as a transaction sees it: performs each effect and says what came of it.

use super::approach::watch;
use super::{Phase, Reporter, World, deadman, in_force, probes, reserve, secrets};
use crate::activation::{End, Launcher, Restarter, step_name};
use crate::class::{Action, Amiss, Invocation, Judgement, Surface, Weight};
use crate::durable::DurableError;
use crate::host;
use crate::nix::{NixTools, Profile};
use crate::transaction::{
    Activation, Approach, BOOT, Carrier, Effect, Event, Failure, Health, Intent, RETURN_BOOT, RunningUnit,
    STAGE, Side,
};
use camino::Utf8Path;
use jiff::Timestamp;
use reconciler_policies::Policy;
use std::time::SystemTime;
use tokio::time::Instant;

pub(super) use crate::text::chain;

/// Performs effects on this host.
pub(super) struct HostCarrier<'a, 'r> {
    pub(super) world: &'a World,
    pub(super) tools: NixTools,
    pub(super) policy: Policy,
    pub(super) report: &'a mut Reporter<'r>,
}

impl Carrier for HostCarrier<'_, '_> {
    async fn perform(&mut self, id: i64, intent: &Intent, effect: Effect) -> Event {
        self.tell(&effect, intent);
        match effect {
            Effect::Begin => self.begin(id, intent).await,
            Effect::PutSecretsInForce(side) => self.put_secrets_in_force(intent, side).await,
            Effect::RestartUnits { side, running } => self.restart_units(side, &running).await,
            Effect::Activate {
                toplevel,
                action,
                step,
                left,
            } => {
                self.activate((id, intent), (&toplevel, action), step, left.as_deref())
                    .await
            }
            Effect::Observe(expected) => {
                let current = self.observe(intent, expected);
                match self.profile_is_theirs(intent) {
                    false => Event::Observed(current),
                    true => Event::Overwritten(current),
                }
            }
            Effect::Probe => {
                let policy = patience(&self.policy, intent);
                let regressed = probes::regressed(self.world, &policy, &intent.passing_before).await;
                if regressed.is_empty() {
                    self.report.done(passed(intent.passing_before.len()));
                }
                Event::Probed(regressed.iter().map(ToString::to_string).collect())
            }
            Effect::SetProfile(running) => {
                if let Err(failure) = self.is_still_ours(intent, running).await {
                    return Event::Failed(failure);
                }
                if self.profile_is_theirs(intent) {
                    return Event::Overwritten(self.current(intent));
                }
                match Profile::at(intent.profile.clone())
                    .set(&self.tools, &intent.toplevel)
                    .await
                {
                    Ok(number) => self.profile_set(intent, number, Some(&intent.toplevel)).await,
                    Err(error) => Event::Failed(Failure::Profile(chain(&error))),
                }
            }
            Effect::RestoreProfile { generation, target } => {
                if let Err(failure) = self.others_ended(surface(intent), Action::Return).await {
                    return Event::Failed(failure);
                }
                if self.profile_is_theirs(intent) {
                    return Event::Overwritten(self.current(intent));
                }
                let profile = Profile::at(intent.profile.clone());
                match profile.restore(&self.tools, generation, target.as_deref()).await {
                    Ok(number) => {
                        let previous = intent.previous.as_ref().map(|previous| previous.toplevel.clone());
                        self.profile_set(intent, number, previous.as_deref()).await
                    }
                    Err(error) => Event::Failed(Failure::Profile(chain(&error))),
                }
            }
            Effect::ObserveBoot(running) => {
                if let Err(failure) = self.is_still_ours(intent, running).await {
                    return Event::Failed(failure);
                }
                Event::BootObserved(surface(intent).boot_entry(&self.world.settings.paths, &intent.toplevel))
            }
            Effect::AwaitReboot | Effect::Finish => Event::Failed(Failure::NoPrevious),
        }
    }

    fn now(&self) -> Timestamp {
        self.world.now()
    }

    fn make_room(&self) {
        reserve::release(&self.world.settings.paths.state);
    }
}

impl HostCarrier<'_, '_> {
    /// One phase per part of the way that a person would name.
    fn tell(&mut self, effect: &Effect, intent: &Intent) {
        match effect {
            Effect::Activate {
                action: Action::Test, ..
            } => self.report.begin(Phase::Activate),
            Effect::Probe => {
                self.report
                    .done(crate::text::store_path(intent.toplevel.as_str()));
                self.report.begin(Phase::Probe);
            }
            Effect::SetProfile(_) => self.report.begin(Phase::Commit),
            Effect::Activate {
                action: Action::Return,
                toplevel,
                ..
            } => {
                self.report.failed();
                self.report.begin(Phase::Revert);
                self.report.doing(format!(
                    "activating {} again",
                    crate::text::store_path(toplevel.as_str())
                ));
            }
            _ => {}
        }
    }

    /// Makes ready for the host to be touched: nobody else is at it, and what would undo it without this agent waits.
    async fn begin(&mut self, id: i64, intent: &Intent) -> Event {
        if self.is_switched(surface(intent)).await {
            return Event::Failed(Failure::SwitchLocked);
        }
        if let Err(failure) = self.is_nobody_elses(intent, None) {
            return Event::Failed(failure);
        }
        match deadman::arm(self.world, &self.policy, id, intent).await {
            Ok(()) => Event::Begun,
            Err(error) => Event::Failed(Failure::Deadman(chain(&error))),
        }
    }

    async fn put_secrets_in_force(&mut self, intent: &Intent, side: Side) -> Event {
        let (Some(number), requirements) = intent.secrets_of(side) else {
            // It needs none: what is in force stays readable for what still runs, until it is pruned.
            return Event::SecretsInForce(Vec::new());
        };
        let put = secrets::installed_of(requirements)
            .and_then(|known| in_force::put_in_force(self.world.vault(), number, &known));
        if let Err(error) = put {
            return Event::Failed(Failure::Secrets(chain(&error)));
        }
        // Asked only now: whatever starts from here on reads the new ones.
        let running = match self.restarter() {
            Some(restarter) => restarter.running(intent.restarts(side), side).await,
            None => Vec::new(),
        };
        Event::SecretsInForce(running)
    }

    async fn restart_units(&mut self, side: Side, running: &[RunningUnit]) -> Event {
        let Some(restarter) = self.restarter() else {
            return Event::UnitsRestarted(Vec::new());
        };
        self.report.doing("restarting units whose secrets changed");
        let (restarted, failed) = restarter.restart(running, side).await;
        if !restarted.is_empty() {
            let why = match side {
                Side::New => "their secrets changed",
                Side::Previous => "their secrets changed back",
            };
            self.report
                .note(format!("restarted {}: {why}", restarted.join(", ")));
        }
        if side == Side::Previous && !failed.is_empty() {
            self.report.note(format!(
                "not running with their old secrets: {}; `systemctl status` says why",
                failed.join("; ")
            ));
        }
        Event::UnitsRestarted(failed)
    }

    fn restarter(&self) -> Option<Restarter> {
        Restarter::of(
            host::supervisor(&self.world.settings.paths.root),
            &self.world.environment.folders,
            self.policy.activation_timeout.get(),
            self.policy.probe_grace.get(),
        )
    }

    async fn activate(
        &mut self,
        (id, intent): (i64, &Intent),
        (toplevel, action): (&Utf8Path, Action),
        step: &'static str,
        left: Option<&Utf8Path>,
    ) -> Event {
        let surface = match action {
            Action::Return => intent
                .previous
                .as_ref()
                .map_or_else(|| surface(intent), |previous| Surface::of(previous.class)),
            Action::Test | Action::Boot => surface(intent),
        };
        let invocations = surface.invocations(&self.world.site(), toplevel, action);
        if invocations.is_empty() {
            return Event::Activated(Activation::Live(Health::Healthy));
        }
        let folder = self.world.transaction_folder(id);
        if action != Action::Test && reserve::is_full(self.world) {
            // The way back writes down what it does, whatever the way forth left of the disk.
            reserve::release(&self.world.settings.paths.state);
        }
        let mut judgement = Judgement::Live(Health::Healthy);
        for (number, invocation) in invocations.iter().enumerate() {
            let name = step_name(step, number);
            let what = (surface, action, left);
            let ended = match self
                .command(intent, what, &folder, (&name, number), invocation)
                .await
            {
                Ok(ended) => ended,
                Err(event) => return event,
            };
            judgement = match (judgement, ended) {
                (Judgement::Live(Health::Degraded), Judgement::Live(_)) => Judgement::Live(Health::Degraded),
                // What came before it was activated.
                (_, Judgement::Untouched(failure)) if number > 0 => Judgement::Broken(failure),
                (_, ended) => ended,
            };
            if !matches!(judgement, Judgement::Live(_)) {
                break;
            }
        }
        let judgement = match (judgement, action) {
            (Judgement::Live(health), Action::Test | Action::Return) => {
                let known: &[String] = match action {
                    Action::Return => &intent.amiss_before,
                    Action::Test | Action::Boot => &[],
                };
                self.look(surface, toplevel, health, known).await
            }
            (judgement, _) => judgement,
        };
        if action != Action::Test {
            return Event::Activated(judgement.into());
        }
        if !matches!(judgement, Judgement::Untouched(_)) && reserve::is_full(self.world) {
            // There was room when it began.
            return Event::Activated(Activation::Broken(Failure::DiskFull));
        }
        Event::Activated(match judgement {
            // It says that nothing was touched. The host is asked, too.
            Judgement::Untouched(failure)
                if surface.shows_what_runs()
                    && surface.runs(&self.world.settings.paths, &intent.profile, intent.live())
                    && intent
                        .previous
                        .as_ref()
                        .is_none_or(|previous| previous.toplevel != *intent.live()) =>
            {
                Activation::Broken(failure)
            }
            Judgement::Live(health) => {
                let fallen = match health {
                    Health::Healthy => Vec::new(),
                    Health::Degraded => self.fallen(intent).await,
                };
                match self.settle_secrets(intent) {
                    Err(failure) => Activation::Broken(failure),
                    Ok(()) if fallen.is_empty() => Activation::Live(health),
                    Ok(()) => Activation::Broken(Failure::CriticalUnits(fallen)),
                }
            }
            judgement => judgement.into(),
        })
    }

    /// Runs one command of a step, when nobody else switches this host, and says what its end means.
    async fn command(
        &mut self,
        intent: &Intent,
        (surface, action, left): (Surface, Action, Option<&Utf8Path>),
        folder: &Utf8Path,
        (step, number): (&str, usize),
        invocation: &Invocation,
    ) -> Result<Judgement, Event> {
        let launcher = self.launcher();
        let deadline = Instant::now() + launcher.limit;
        loop {
            if number == 0 && !launcher.is_begun(folder, step) {
                // Everything but the beginning has to be done: it waits for its turn.
                let turn = match action {
                    // What was booted runs already.
                    Action::Test if intent.approach != Approach::Switch => Ok(()),
                    Action::Test | Action::Return => self
                        .others_ended(surface, action)
                        .await
                        .and_then(|()| self.is_nobody_elses(intent, left)),
                    Action::Boot if step == STAGE => self.is_still_ours(intent, Side::Previous).await,
                    Action::Boot if step == BOOT => self.is_still_ours(intent, Side::New).await,
                    Action::Boot => self.others_ended(surface, action).await,
                };
                turn.map_err(|failure| match action {
                    // Nothing of it was begun.
                    Action::Test => Event::Activated(Activation::Untouched(failure)),
                    Action::Boot | Action::Return => Event::Failed(failure),
                })?;
                if step == RETURN_BOOT && self.profile_is_theirs(intent) {
                    return Err(Event::Overwritten(self.current(intent)));
                }
                self.prepare(surface, intent, action, launcher.began(folder, "activate"))
                    .map_err(|error| {
                        Event::Activated(Activation::Untouched(Failure::Start(chain(&error))))
                    })?;
            }
            let ran = launcher.run(folder, step, invocation).await;
            let end = ran.map_err(|error| {
                let failure = Failure::Start(chain(&error));
                Event::Activated(match number {
                    0 => Activation::Untouched(failure),
                    _ => Activation::Broken(failure),
                })
            })?;
            let judgement = match end {
                End::Exited(exit) => surface.judge(action, exit, &Launcher::log(folder, step)),
                End::Flooded(limit) => Judgement::Broken(Failure::Flooded(limit >> 20)),
                End::TimedOut(limit) => Judgement::Broken(Failure::TimedOut(limit.as_secs())),
                End::Lost => Judgement::Broken(Failure::Lost),
                End::Busy => Judgement::Untouched(Failure::SwitchLocked),
            };
            if judgement != Judgement::Untouched(Failure::SwitchLocked) || action == Action::Test {
                return Ok(judgement);
            }
            // Somebody else was faster; nothing was done.
            if Instant::now() >= deadline {
                return Err(Event::Failed(Failure::SwitchNeverEnded(launcher.limit.as_secs())));
            }
            launcher.forget(folder, step);
        }
    }

    /// What a class sees to before an activation is started; `began` is when the way forth did.
    fn prepare(
        &self,
        surface: Surface,
        intent: &Intent,
        action: Action,
        began: Option<SystemTime>,
    ) -> Result<(), DurableError> {
        let site = self.world.site();
        surface.before(&site)?;
        match (action, began) {
            (Action::Return, Some(since)) => surface.before_return(&site, &intent.toplevel, since),
            (Action::Test | Action::Boot | Action::Return, _) => Ok(()),
        }
    }

    /// Looks whether what an activation says it did is so. `known` was amiss before it.
    async fn look(
        &mut self,
        surface: Surface,
        toplevel: &Utf8Path,
        health: Health,
        known: &[String],
    ) -> Judgement {
        surface.mend(&self.world.site(), toplevel).await;
        let mut amiss = surface.amiss(&self.world.site(), toplevel).await;
        amiss.retain(|amiss| !known.contains(&amiss.to_string()));
        let (broken, degraded): (Vec<Amiss>, Vec<Amiss>) = amiss
            .into_iter()
            .partition(|amiss| amiss.weight() == Weight::Broken);
        if !broken.is_empty() {
            return Judgement::Broken(Failure::NotInPlace(
                broken.iter().map(ToString::to_string).collect(),
            ));
        }
        for amiss in &degraded {
            self.report.note(amiss.to_string());
        }
        if degraded.is_empty() {
            Judgement::Live(health)
        } else {
            Judgement::Live(Health::Degraded)
        }
    }

    /// The profile is set: whatever has to lead where it does follows.
    async fn profile_set(
        &mut self,
        intent: &Intent,
        number: Option<u64>,
        toplevel: Option<&Utf8Path>,
    ) -> Event {
        if let Some(toplevel) = toplevel
            && let Err(said) = surface(intent).follow_profile(&self.world.site(), toplevel).await
        {
            return Event::Failed(Failure::Profile(said));
        }
        Event::ProfileSet(number)
    }

    /// The critical units that ran before and do not run any more.
    async fn fallen(&mut self, intent: &Intent) -> Vec<String> {
        let Some(watch) = watch(self.world, &self.policy) else {
            return Vec::new();
        };
        self.report.doing("waiting for critical units");
        watch.fallen(&intent.critical_before, intent.live()).await
    }

    /// Gives secrets to users that the activation has just made.
    fn settle_secrets(&self, intent: &Intent) -> Result<(), Failure> {
        let Some(number) = intent.secrets else {
            return Ok(());
        };
        let settled = secrets::installed_of(intent.requirements.as_deref())
            .and_then(|known| in_force::settle(self.world.vault(), number, &known));
        settled.map_err(|error| Failure::Secrets(chain(&error)))
    }

    fn launcher(&self) -> Launcher {
        self.world.launcher(self.policy.activation_timeout.get())
    }
}

/// The policy, with the patience of a machine that has only just booted where it has.
fn patience(policy: &Policy, intent: &Intent) -> Policy {
    let mut policy = policy.clone();
    if intent.approach != Approach::Switch {
        policy.probe_grace = policy.probe_grace.max(policy.boot_grace);
    }
    policy
}

pub(super) fn surface(intent: &Intent) -> Surface {
    Surface::of(intent.class)
}

fn passed(number: usize) -> String {
    match number {
        0 => "nothing worked before that could be asked".to_owned(),
        number => format!("{} as before", crate::text::count(number, "probe")),
    }
}
