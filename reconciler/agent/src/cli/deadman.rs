//! `reconcile deadman`: waits until a transaction's time is over, and undoes it if it still is open by then.
//!
//! It takes a pass's turn before it touches anything: as long as somebody works on the transaction, and gets on,
//! it waits. What cannot be undone now (a full disk, a nix-daemon that is away) is tried again.

use super::args::DeadmanOptions;
use super::context::{Context, Detail, block_on};
use super::failure::CliError;
use super::now;
use super::progress::Display;
use crate::config::Settings;
use crate::daemon::{Lock, LockError};
use crate::exit::Outcome;
use crate::host;
use crate::journal::{self, Journal};
use crate::pass::{Cause, Request, World, make_room, pass};
use crate::transaction::{self, State};
use std::thread::sleep;
use std::time::Duration;
use tokio::time::Instant;
use unix::sys::signal::{Signal, kill};

/// How long it waits after a failure before it tries again.
const AGAIN: Duration = Duration::from_secs(10);
/// How often it is looked at what somebody else makes of the transaction.
const GLANCE: Duration = Duration::from_secs(1);

pub(super) fn run(context: &Context, options: &DeadmanOptions) -> Result<Outcome, CliError> {
    if let (Some(format), Some(journal)) = (options.knows, options.journal) {
        let knows = format <= transaction::FORMAT && journal <= journal::VERSION;
        return Ok(if knows { Outcome::Converged } else { Outcome::Usage });
    }
    let Some(transaction) = options.transaction else {
        return Ok(Outcome::Usage);
    };
    sleep(Duration::from_millis(options.until_ms).saturating_sub(host::monotonic()));
    loop {
        match undo(context, transaction, options) {
            Ok(()) => return Ok(Outcome::Converged),
            // The transaction's folder is gone, and the agent's state with it: there is nothing left to undo.
            Err(_) if !context.config.exists() => return Ok(Outcome::Converged),
            Err(error) => error.print(context.style),
        }
        sleep(AGAIN);
    }
}

fn undo(context: &Context, transaction: i64, options: &DeadmanOptions) -> Result<(), CliError> {
    let mut settings = context.settings()?;
    // Nothing is evaluated, and the new toplevel may have no such user.
    settings.nix.evaluator_user = None;
    make_room(&settings.paths.state);
    block_on(async {
        if !is_open(&settings, transaction)? {
            return Ok(());
        }
        let patience = Duration::from_millis(options.patience_ms);
        let _turn = turn(&settings, transaction, patience).await?;
        let mut world = World::open(context.config.clone(), settings, context.environment.clone())?;
        let request = Request::of(Cause::Deadman {
            transaction,
            limit: options.limit_s,
        });
        world
            .journal
            .close_passes("it was stopped in the middle of it", world.now())?;
        let mut display = Display::new(context.style, Detail::Normal);
        let ended = pass(&mut world, &request, &mut |event| display.show(&event)).await;
        now::tell(context, &ended)?;
        match is_open(&world.settings, transaction)? {
            false => Ok(()),
            true => Err(CliError::Undo {
                transaction,
                summary: ended.summary,
            }),
        }
    })?
}

fn is_open(settings: &Settings, transaction: i64) -> Result<bool, CliError> {
    Ok(step(settings, transaction)?.is_some())
}

/// Where a transaction is, in the journal's words; none where it has ended.
fn step(settings: &Settings, transaction: i64) -> Result<Option<String>, CliError> {
    let Some(journal) = Journal::open_existing(&settings.paths.journal())? else {
        return Ok(None);
    };
    // What waits for a reboot has been confirmed as far as it can be now.
    let open = journal
        .open_transaction()?
        .filter(|record| record.id == transaction && !matches!(record.state, State::Staged { .. }));
    Ok(open.map(|record| format!("{:?}", record.state)))
}

/// Takes a pass's turn. Whoever has it and gets nowhere, for longer than any step takes, is killed: it hangs.
async fn turn(settings: &Settings, transaction: i64, patience: Duration) -> Result<Lock, CliError> {
    let mut seen = None;
    let mut since = Instant::now();
    loop {
        match Lock::turn(&settings.paths.state, GLANCE).await {
            Err(LockError::Held) => {}
            turn => return Ok(turn?),
        }
        let now = step(settings, transaction)?;
        if now != seen {
            (seen, since) = (now, Instant::now());
        } else if since.elapsed() > patience
            && let Some(holder) = Lock::holder(&settings.paths.state)
        {
            let _ = kill(holder, Signal::SIGKILL);
        }
    }
}
