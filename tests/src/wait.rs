//! Waiting for what has to happen, with a deadline and a reason.

use std::time::{Duration, Instant};

/// How often it is looked.
const GLANCE: Duration = Duration::from_millis(20);

/// Waits until `look` finds something; fails with `what` and what `explain` says when it does not in time.
#[track_caller]
pub fn wait_for<T>(
    what: &str,
    limit: Duration,
    mut look: impl FnMut() -> Option<T>,
    explain: impl FnOnce() -> String,
) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(
            Instant::now() < deadline,
            "within {limit:?} it did not happen that {what}\n{}",
            explain()
        );
        std::thread::sleep(GLANCE);
    }
}

/// Waits until something is so, with a deadline that no machine should need.
#[track_caller]
pub fn eventually(what: &str, mut look: impl FnMut() -> bool) {
    wait_for(
        what,
        Duration::from_secs(120),
        || look().then_some(()),
        String::new,
    );
}

/// Whether a process was stopped, as SIGSTOP does.
#[must_use]
pub fn is_stopped(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')')
        .is_some_and(|(_, rest)| rest.trim_start().starts_with('T'))
}
