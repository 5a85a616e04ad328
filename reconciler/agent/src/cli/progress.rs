//! A pass on the terminal: what is done, what runs, with its last words. Off a terminal, one line per phase.

use super::context::Detail;
use super::style::{Paint, Stream, Style};
use crate::pass::{Phase, PhaseState, Progress};
use crate::text;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{IsTerminal, Write};
use std::time::Duration;

/// Shows progress on standard error.
#[derive(Debug)]
pub(super) struct Display {
    style: Style,
    detail: Detail,
    bar: Option<ProgressBar>,
}

impl Display {
    pub(super) fn new(style: Style, detail: Detail) -> Display {
        let live = detail > Detail::Quiet && std::io::stderr().is_terminal();
        let bar = live.then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            let template = ProgressStyle::with_template("{spinner} {prefix:11} {wide_msg} {elapsed:>6}");
            bar.set_style(template.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            bar
        });
        Display { style, detail, bar }
    }

    /// Shows one event.
    pub(super) fn show(&mut self, event: &Progress) {
        match event {
            Progress::Began { machine, branch, url } => {
                let machine = self.style.paint(Stream::Err, Paint::Strong, machine);
                self.line(&format!("{machine}  following {branch} at {url}"));
            }
            Progress::Phase {
                phase,
                state: PhaseState::Running,
                ..
            } => self.begin(*phase),
            Progress::Phase {
                phase,
                state: PhaseState::Done,
                detail,
                ms,
            } => {
                self.clear();
                let mark = self.style.paint(Stream::Err, Paint::Good, "✓");
                let took = text::duration(Duration::from_millis(*ms));
                let took = self.style.paint(Stream::Err, Paint::Dim, &took);
                self.line(&format!("{mark} {:11} {detail}  {took}", done(*phase)));
            }
            Progress::Phase {
                phase,
                state: PhaseState::Failed,
                ..
            } => {
                self.clear();
                let mark = self.style.paint(Stream::Err, Paint::Bad, "✗");
                self.line(&format!("{mark} {}", running(*phase)));
            }
            Progress::Activity { doing, .. } => {
                if let Some(bar) = &self.bar {
                    bar.set_message(text::plain(doing));
                } else if self.detail == Detail::Verbose {
                    self.line(&format!("  {}", text::plain(doing)));
                }
            }
            Progress::Log { line, .. } => {
                if self.detail == Detail::Verbose {
                    self.line(&format!("  {line}"));
                }
            }
            Progress::Note { text } => {
                let mark = self.style.paint(Stream::Err, Paint::Waiting, "!");
                self.line(&format!("{mark} {text}"));
            }
            Progress::Ended(_) => self.clear(),
        }
    }

    fn begin(&mut self, phase: Phase) {
        if let Some(bar) = &self.bar {
            bar.reset();
            bar.set_prefix(running(phase));
            bar.set_message("");
            bar.enable_steady_tick(Duration::from_millis(100));
        }
    }

    fn clear(&mut self) {
        if let Some(bar) = &self.bar {
            bar.disable_steady_tick();
            bar.set_prefix("");
            bar.set_message("");
        }
    }

    fn line(&self, line: &str) {
        if self.detail == Detail::Quiet {
            return;
        }
        match &self.bar {
            Some(bar) => bar.suspend(|| write(line)),
            None => write(line),
        }
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn write(line: &str) {
    // With standard error gone the pass goes on all the same.
    let _ = writeln!(std::io::stderr(), "{line}");
}

fn done(phase: Phase) -> &'static str {
    match phase {
        Phase::Recover => "recovering",
        Phase::Fetch => "fetched",
        Phase::Verify => "verified",
        Phase::Evaluate => "evaluated",
        Phase::Preflight => "preflight",
        Phase::Build => "built",
        Phase::Gates => "gates",
        Phase::Stage => "staged",
        Phase::Activate => "activated",
        Phase::Probe => "probed",
        Phase::Commit => "committed",
        Phase::Revert => "reverted",
    }
}

fn running(phase: Phase) -> &'static str {
    match phase {
        Phase::Recover => "recovering",
        Phase::Fetch => "fetching",
        Phase::Verify => "verifying",
        Phase::Evaluate => "evaluating",
        Phase::Preflight => "preflight",
        Phase::Build => "building",
        Phase::Gates => "gates",
        Phase::Stage => "staging",
        Phase::Activate => "activating",
        Phase::Probe => "probing",
        Phase::Commit => "committing",
        Phase::Revert => "reverting",
    }
}
