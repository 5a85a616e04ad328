//! `reconcile now`: asks the running agent for a pass and shows it; makes the pass itself where none runs.

use super::args::NowOptions;
use super::change;
use super::context::{Context, Detail, block_on};
use super::failure::{self, CliError};
use super::page;
use super::progress::Display;
use super::style::{Paint, Stream};
use crate::daemon::{Lock, ask};
use crate::exit::Outcome;
use crate::journal::Journal;
use crate::pass::{Cause, Depth, Ended, Insistence, Progress, Request, pass};
use crate::text;
use jiff::Timestamp;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// How long a pass of an agent that was just stopped is waited for.
const TURN: Duration = Duration::from_secs(10);

pub(super) fn run(context: &Context, options: &NowOptions) -> Result<Outcome, CliError> {
    let request = Request {
        revision: options.revision.clone(),
        depth: if options.dry_run {
            Depth::DryRun
        } else {
            Depth::Whole
        },
        insistence: if options.force {
            Insistence::Forced
        } else {
            Insistence::Asked
        },
        ..Request::of(Cause::Now)
    };
    let detail = if options.json {
        Detail::Quiet
    } else {
        context.detail
    };
    let ended = make(context, &request, detail)?;
    if options.json {
        page::json(&ended)?;
        return Ok(ended.outcome);
    }
    tell(context, &ended)?;
    if let (Outcome::Converged, Depth::Whole, Some(change)) = (ended.outcome, request.depth, &ended.change)
        && context.detail > Detail::Quiet
    {
        page::text(&change::summary(context.style, change))?;
    }
    Ok(ended.outcome)
}

/// Makes a pass, wherever it can be made.
pub(super) fn make(context: &Context, request: &Request, detail: Detail) -> Result<Ended, CliError> {
    let settings = context.settings()?;
    let mut display = Display::new(context.style, detail);
    let mut show = |event: Progress| display.show(&event);
    block_on(async {
        if let Some(ended) = ask(&settings.paths.socket(), request, &mut show).await? {
            return Ok(ended);
        }
        let mut world = context.world()?;
        let state = world.settings.paths.state.clone();
        let _lock = Lock::take(&state)?;
        let _turn = Lock::turn(&state, TURN).await?;
        world
            .journal
            .close_passes("it was stopped in the middle of it", world.now())?;
        let made = tokio::select! {
            ended = pass(&mut world, request, &mut show) => Some(ended),
            () = stopped() => None,
        };
        // What the pass had started ended with it, but for an activation: that goes on by itself.
        match made {
            Some(ended) => Ok(ended),
            None => {
                world
                    .journal
                    .close_passes("it was stopped in the middle of it", world.now())?;
                Err(CliError::Stopped)
            }
        }
    })?
}

/// Ends when a person or the system wants this command to.
async fn stopped() {
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}

/// Tells how a pass ended.
pub(super) fn tell(context: &Context, ended: &Ended) -> Result<(), CliError> {
    let style = context.style;
    if ended.outcome == Outcome::Converged {
        let took = text::duration(Duration::from_millis(ended.took_ms));
        let took = style.paint(Stream::Out, Paint::Dim, &took);
        return page::text(&format!("{}  {took}\n", ended.summary));
    }
    failure::print(
        style,
        &ended.summary,
        &ended.causes,
        &ended.details,
        ended.hint.as_deref(),
    );
    if let Some(still) = still(context)? {
        page::text(&format!("{still}\n"))?;
    }
    Ok(())
}

/// What the machine is on, after a pass that did not change that.
fn still(context: &Context) -> Result<Option<String>, CliError> {
    let settings = context.settings()?;
    let generation = match Journal::open_existing(&settings.paths.journal()) {
        Ok(Some(journal)) => journal.current_generation()?,
        Ok(None) | Err(_) => None,
    };
    Ok(generation.map(|generation| {
        format!(
            "still on {}, generation {}, activated {}",
            text::commit(&generation.record.revision),
            generation.number,
            text::moment(generation.activated_at, Timestamp::now())
        )
    }))
}
