//! The moving part of a pass on a terminal: the running phase, and below it what is being built and fetched. It is
//! drawn over again in place, and leaves nothing behind.

use super::rows::{Row, rows};
use crate::pass::Building;
use crate::text;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::time::Duration;

#[derive(Debug)]
pub(super) struct Live {
    all: MultiProgress,
    phase: ProgressBar,
    below: Vec<ProgressBar>,
}

impl Live {
    pub(super) fn new() -> Live {
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        let phase = all.add(ProgressBar::no_length());
        phase.set_style(style("{spinner} {prefix:11} {wide_msg} {elapsed:>6}"));
        Live {
            all,
            phase,
            below: Vec::new(),
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
        self.keep(0);
    }

    /// What the running phase does.
    pub(super) fn doing(&self, doing: &str) {
        self.phase.set_message(text::plain(doing).replace('\n', " "));
    }

    /// How the build stands.
    pub(super) fn building(&mut self, building: &Building) {
        self.doing(&building.counts());
        let rows = rows(building);
        self.keep(rows.len());
        while self.below.len() < rows.len() {
            let line = self.all.add(ProgressBar::no_length());
            line.set_style(style("  {wide_msg:.dim} {elapsed:>6}"));
            // A compiler may be silent for minutes: its time goes on.
            line.enable_steady_tick(Duration::from_secs(1));
            self.below.push(line);
        }
        for (line, Row { words, ms }) in self.below.iter_mut().zip(rows) {
            *line = line.clone().with_elapsed(Duration::from_millis(ms));
            line.set_message(words);
        }
    }

    /// Takes away all lines below the phase but so many.
    fn keep(&mut self, lines: usize) {
        while self.below.len() > lines {
            if let Some(line) = self.below.pop() {
                line.finish_and_clear();
                self.all.remove(&line);
            }
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

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}
