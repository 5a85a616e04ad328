//! The moving part of a pass on a terminal: the running phase, and below it the builds that run. It is drawn
//! over again in place, and leaves nothing behind.

use crate::pass::{Building, RunningBuild};
use crate::text;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::time::Duration;

/// How many of the running builds are shown.
const BUILDS: usize = 6;

#[derive(Debug)]
pub(super) struct Live {
    all: MultiProgress,
    phase: ProgressBar,
    builds: Vec<ProgressBar>,
}

impl Live {
    pub(super) fn new() -> Live {
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        let phase = all.add(ProgressBar::no_length());
        phase.set_style(style("{spinner} {prefix:11} {wide_msg} {elapsed:>6}"));
        Live {
            all,
            phase,
            builds: Vec::new(),
        }
    }

    /// A phase begins.
    pub(super) fn begin(&mut self, name: &'static str) {
        self.phase.reset();
        self.phase.set_prefix(name);
        self.phase.set_message("");
        self.phase.enable_steady_tick(Duration::from_millis(100));
    }

    /// The running phase is over.
    pub(super) fn clear(&mut self) {
        self.phase.disable_steady_tick();
        self.phase.set_prefix("");
        self.phase.set_message("");
        for build in self.builds.drain(..) {
            build.finish_and_clear();
            self.all.remove(&build);
        }
    }

    /// What the running phase does.
    pub(super) fn doing(&self, doing: &str) {
        self.phase.set_message(text::plain(doing).replace('\n', " "));
    }

    /// How the build stands.
    pub(super) fn building(&mut self, building: &Building) {
        self.doing(&building.counts());
        // Those that have run longest are what is waited for.
        let shown = building.running.len().min(BUILDS);
        while self.builds.len() > shown {
            if let Some(build) = self.builds.pop() {
                build.finish_and_clear();
                self.all.remove(&build);
            }
        }
        while self.builds.len() < shown {
            let build = self.all.add(ProgressBar::no_length());
            build.set_style(style("  {wide_msg:.dim} {elapsed:>6}"));
            // A compiler may be silent for minutes: its time goes on.
            build.enable_steady_tick(Duration::from_secs(1));
            self.builds.push(build);
        }
        for (line, build) in self.builds.iter_mut().zip(&building.running) {
            *line = line.clone().with_elapsed(Duration::from_millis(build.ms));
            line.set_message(words(build));
        }
    }

    /// Writes something that stays, above what moves.
    pub(super) fn above(&self, write: impl FnOnce()) {
        self.all.suspend(write);
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.clear();
        self.phase.finish_and_clear();
    }
}

/// `zerotierone-1.16.0 · compiling · cc -O2 …`
fn words(build: &RunningBuild) -> String {
    let mut parts = vec![match &build.machine {
        Some(machine) => format!("{} on {machine}", build.name),
        None => build.name.clone(),
    }];
    parts.extend(build.phase.clone());
    parts.extend(build.line.clone().filter(|line| !line.trim().is_empty()));
    text::plain(&parts.join(" · ")).replace(['\n', '\t'], " ")
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}
