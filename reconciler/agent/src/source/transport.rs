//! The hidden subcommand `git-transport`: reads one request, serves it, tells how it went.
//!
//! Lives as long as its stdin: when the agent is gone, so is the child.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::fd::AsFd,
    process::ExitCode,
    thread,
    time::Instant,
};

use camino::Utf8Path;
use reconciler_vars::Wiped;
use unix::sys::signal::{Signal, raise};

use super::{
    failure::LibgitError,
    leftovers, packs,
    protocol::{Event, Failure, Operation, Request},
    remote,
};

/// A request is a url, a few paths and a password.
const LARGEST_REQUEST: usize = 1 << 20;
/// The file whose lock says that a fetch is running.
const LOCK: &str = "reconciler-fetch.lock";
/// Serves the request on stdin; answers on stdout. Exits 0 if it could answer, whatever the answer.
pub fn serve_transport() -> ExitCode {
    let Some(request) = read_request() else {
        return ExitCode::FAILURE;
    };
    thread::spawn(end_with_parent);
    let emit = |event: &Event| -> io::Result<()> {
        let mut line = serde_json::to_vec(event)?;
        line.push(b'\n');
        let mut stdout = io::stdout().lock();
        stdout.write_all(&line)?;
        stdout.flush()
    };
    let outcome = match &request.operation {
        Operation::List => remote::serve(&request, &emit),
        Operation::Fetch { mirror, .. } => lock(mirror).and_then(|_held| {
            leftovers::of_fetch(mirror);
            let head = remote::serve(&request, &emit)?;
            join_packs(mirror, &emit);
            Ok(head)
        }),
    };
    let last = match outcome {
        Ok(oid) => Event::Head { oid: oid.to_string() },
        Err(failure) => Event::Failed { failure },
    };
    if emit(&last).is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Past the standard library's buffer, which nobody wipes: the request has the credentials in it.
fn read_request() -> Option<Request> {
    let mut input = File::from(io::stdin().as_fd().try_clone_to_owned().ok()?);
    let mut line = Wiped::new();
    let mut piece = Wiped::piece();
    while !line.contains(&b'\n') && line.len() < LARGEST_REQUEST {
        match input.read(&mut piece) {
            Ok(0) => break,
            Ok(length) => line.extend(piece.get(..length)?),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
    serde_json::from_slice(&line).ok()
}

/// Nothing follows the request: the end of stdin is the end of the agent.
fn end_with_parent() {
    let mut rest = io::stdin().lock().take(u64::MAX);
    let _ = io::copy(&mut rest, &mut io::sink());
    let _ = raise(Signal::SIGKILL);
}

/// A mirror of many packs is slow, not wrong: the fetch has succeeded all the same.
fn join_packs(mirror: &Utf8Path, emit: &remote::Emit<'_>) {
    let mut last: Option<Instant> = None;
    let alive = || {
        if last.is_none_or(|last| last.elapsed() >= remote::PROGRESS_EVERY) {
            last = Some(Instant::now());
            // A parent that is gone shows at stdin.
            let _ = emit(&Event::Alive);
        }
    };
    if let Err(error) = packs::join(mirror, alive) {
        let _ = emit(&Event::PacksNotJoined {
            reason: error.to_string(),
        });
    }
}

fn lock(mirror: &Utf8Path) -> Result<File, Failure> {
    let broken = |error: &dyn std::error::Error| {
        Failure::Mirror(LibgitError {
            class: 0,
            code: 0,
            message: format!("cannot lock {mirror}/{LOCK}: {error}"),
        })
    };
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(mirror.join(LOCK));
    let file = file.map_err(|error| broken(&error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(Failure::Busy),
        Err(fs::TryLockError::Error(error)) => Err(broken(&error)),
    }
}
