//! A pass on the terminal: what is done, what runs, with its last words. Off a terminal, one line per phase.

use super::context::Detail;
use super::live::Live;
use super::rows::{Told, copying};
use super::style::{Paint, Stream, Style};
use crate::pass::{Building, Phase, PhaseState, Progress};
use crate::text;
use std::io::{IsTerminal, Write};
use std::time::Duration;

/// Shows progress on standard error.
#[derive(Debug)]
pub(super) struct Display {
    style: Style,
    detail: Detail,
    live: Option<Live>,
    /// Off a terminal: what was told of the build.
    told: Told,
}

impl Display {
    pub(super) fn new(style: Style, detail: Detail) -> Display {
        let live = detail > Detail::Quiet && std::io::stderr().is_terminal();
        Display {
            style,
            detail,
            live: live.then(Live::new),
            told: Told::default(),
        }
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
                if let Some(live) = &self.live {
                    live.doing(doing);
                } else if self.detail == Detail::Verbose {
                    self.line(&format!("  {}", text::plain(doing)));
                }
            }
            Progress::Building(building) => self.building(building),
            // A terminal shows it while it goes on.
            Progress::Fetching { path, from } => {
                if self.live.is_none() || self.detail == Detail::Verbose {
                    self.line(&format!("  {}", copying(path, from)));
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
        if let Some(live) = &mut self.live {
            live.begin(running(phase));
        }
    }

    /// In place on a terminal; elsewhere what is new, in lines.
    fn building(&mut self, building: &Building) {
        if let Some(live) = &mut self.live {
            live.building(building);
            return;
        }
        for line in self.told.lines(building) {
            self.line(&format!("  {line}"));
        }
    }

    fn clear(&mut self) {
        if let Some(live) = &mut self.live {
            live.clear();
        }
    }

    fn line(&self, line: &str) {
        if self.detail == Detail::Quiet {
            return;
        }
        match &self.live {
            Some(live) => live.above(|| write(line)),
            None => write(line),
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
