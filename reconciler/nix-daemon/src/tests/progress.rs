//! Folding events into what a person sees.

use std::time::Duration;

use super::scripted::{A, DRV, path};
use crate::event::{ActivityId, ActivityKind, Event, Field, Level, ResultKind};
use crate::progress::{Progress, Tally, Transfer};

const OTHER: &str = "/nix/store/33333333333333333333333333333333-d.drv";

fn text(text: &str) -> Field {
    Field::Text(text.into())
}

fn start_in(parent: u64, id: u64, kind: ActivityKind, fields: Vec<Field>) -> Event {
    let (id, parent) = (ActivityId(id), ActivityId(parent));
    Event::Start {
        id,
        parent,
        level: Level::Info,
        kind,
        text: "".into(),
        fields,
    }
}

fn start(id: u64, kind: ActivityKind, fields: Vec<Field>) -> Event {
    start_in(0, id, kind, fields)
}

fn build(id: u64, drv: &str) -> Event {
    start(
        id,
        ActivityKind::Build,
        vec![text(drv), text(""), Field::Int(1), Field::Int(1)],
    )
}

fn news(id: u64, kind: ResultKind, fields: Vec<Field>) -> Event {
    Event::Result {
        id: ActivityId(id),
        kind,
        fields,
    }
}

fn numbers(id: u64, kind: ResultKind, numbers: &[u64]) -> Event {
    news(
        id,
        kind,
        numbers.iter().map(|number| Field::Int(*number)).collect(),
    )
}

fn line(id: u64, line: &str) -> Event {
    news(id, ResultKind::BuildLogLine, vec![text(line)])
}

fn stop(id: u64) -> Event {
    Event::Stop { id: ActivityId(id) }
}

fn fold(events: &[Event]) -> Progress {
    let mut progress = Progress::new();
    events.iter().for_each(|event| progress.apply(event));
    progress
}

#[test]
fn builds_are_counted_and_shown() {
    let events = [
        start(1, ActivityKind::Builds, vec![]),
        numbers(1, ResultKind::Progress, &[0, 2, 1, 0]),
        build(2, DRV),
        news(2, ResultKind::SetPhase, vec![text("buildPhase")]),
        line(2, "compiling \u{1b}[32mx\u{1b}[0m"),
    ];
    let mut progress = fold(&events);
    assert_eq!(
        progress.builds(),
        Tally {
            done: 0,
            expected: 2,
            running: 1,
            failed: 0
        }
    );
    let running: Vec<_> = progress.running().collect();
    assert_eq!(running.len(), 1);
    assert_eq!(
        (&running[0].drv, running[0].machine.as_deref()),
        (&path(DRV), None)
    );
    assert_eq!(
        (running[0].phase.as_deref(), running[0].last_line()),
        (Some("buildPhase"), Some("compiling x"))
    );
    assert_eq!(progress.failed_log(&path(DRV)).unwrap(), ["compiling x"]);

    for event in [stop(2), numbers(1, ResultKind::Progress, &[1, 2, 0, 1]), stop(1)] {
        progress.apply(&event);
    }
    assert_eq!(
        progress.builds(),
        Tally {
            done: 1,
            expected: 2,
            running: 0,
            failed: 1
        }
    );
    assert_eq!(progress.running().count(), 0);
    assert_eq!(progress.failed_log(&path(DRV)).unwrap(), ["compiling x"]);
    assert_eq!(progress.failed_log(&path(OTHER)), None);
}

#[test]
fn bytes_are_summed_over_running_and_ended_transfers() {
    let events = [
        start(1, ActivityKind::Realise, vec![]),
        numbers(1, ResultKind::SetExpected, &[101, 1000]),
        numbers(1, ResultKind::SetExpected, &[100, 5000]),
        start(2, ActivityKind::FileTransfer, vec![text("http://x")]),
        numbers(2, ResultKind::Progress, &[100, 100, 0, 0]),
        stop(2),
        start(3, ActivityKind::FileTransfer, vec![text("http://y")]),
        numbers(3, ResultKind::Progress, &[50, 900, 0, 0]),
        start(4, ActivityKind::CopyPath, vec![text(A)]),
        numbers(4, ResultKind::Progress, &[400, 4000, 0, 0]),
        start(5, ActivityKind::CopyPaths, vec![]),
        numbers(5, ResultKind::Progress, &[1, 7, 1, 0]),
    ];
    let progress = fold(&events);
    assert_eq!(
        progress.downloads(),
        Transfer {
            done: 150,
            expected: 1000
        }
    );
    assert_eq!(
        progress.unpacked(),
        Transfer {
            done: 400,
            expected: 5000
        }
    );
    assert_eq!(
        progress.copies(),
        Tally {
            done: 1,
            expected: 7,
            running: 1,
            failed: 0
        }
    );
}

#[test]
fn logs_keep_their_end_and_are_bounded() {
    let mut progress = fold(&[build(1, DRV)]);
    for number in 0..1000 {
        progress.apply(&line(1, &format!("{number}")));
    }
    progress.apply(&line(1, &"x".repeat(1 << 20)));
    progress.apply(&line(1, "a\nb\r\0c"));
    let log = progress.failed_log(&path(DRV)).unwrap();
    assert_eq!(
        (log.len(), log[0].as_str(), log[49].as_str()),
        (50, "952", "a bc")
    );
    assert_eq!(log[48].len(), 4096);
}

#[test]
fn old_logs_make_room() {
    let mut progress = Progress::new();
    let long = "x".repeat(4096);
    let drv = |number: u64| format!("/nix/store/{number:032}-n.drv");
    for number in 0..90 {
        progress.apply(&build(number, &drv(number)));
        (0..50).for_each(|_| progress.apply(&line(number, &long)));
        progress.apply(&stop(number));
    }
    assert_eq!(progress.failed_log(&path(&drv(0))), None);
    assert_eq!(
        progress.failed_log(&path(&drv(89))).map(<[String]>::len),
        Some(50)
    );
    // Building again replaces.
    progress.apply(&build(999, &drv(89)));
    progress.apply(&line(999, "new"));
    progress.apply(&stop(999));
    assert_eq!(progress.failed_log(&path(&drv(89))).unwrap(), ["new"]);
}

#[test]
fn what_a_builder_injects_counts_for_nothing() {
    let injected = vec![text(OTHER), text(""), Field::Int(1), Field::Int(1)];
    let progress = fold(&[
        build(1, DRV),
        start_in(1, 2, ActivityKind::Build, injected),
        line(2, "forged"),
        start_in(1, 3, ActivityKind::FileTransfer, vec![text("http://x")]),
        numbers(3, ResultKind::Progress, &[u64::MAX, u64::MAX, 0, 0]),
        start_in(1, 4, ActivityKind::Builds, vec![]),
        numbers(4, ResultKind::Progress, &[9, 9, 9, 9]),
        stop(2),
    ]);
    assert_eq!(progress.failed_log(&path(OTHER)), None);
    assert_eq!(progress.running().count(), 1);
    assert_eq!(progress.downloads(), Transfer::default());
    assert_eq!(progress.builds(), Tally::default());
}

/// A closure of 3 GB is some 370 000 messages.
#[test]
fn progress_for_every_8_kib_is_folded_into_one_number() {
    let mut progress = fold(&[start(
        1,
        ActivityKind::CopyPath,
        vec![text(A), text("https://cache.example")],
    )]);
    let total = 370_000 * 8192;
    for arrived in 1..=370_000 {
        progress.apply(&numbers(1, ResultKind::Progress, &[arrived * 8192, total, 0, 0]));
    }
    let all = Transfer {
        done: total,
        expected: total,
    };
    assert_eq!((progress.unpacked(), progress.fetching().len()), (all, 1));
    progress.apply(&stop(1));
    assert_eq!((progress.unpacked(), progress.fetching().len()), (all, 0));
}

#[test]
fn odd_events_are_passed_over() {
    let mut progress = fold(&[
        Event::Line("error: builder failed".into()),
        start(1, ActivityKind::Build, vec![]),
        start(2, ActivityKind::Build, vec![Field::Int(7)]),
        start(3, ActivityKind::Build, vec![text("no path")]),
        start(4, ActivityKind::Other(4711), vec![text("x")]),
        news(4, ResultKind::Progress, vec![text("x")]),
        news(99, ResultKind::BuildLogLine, vec![text("nobody's")]),
        stop(99),
        build(5, DRV),
        news(5, ResultKind::BuildLogLine, vec![]),
        news(5, ResultKind::SetPhase, vec![Field::Int(1)]),
        stop(5),
    ]);
    assert_eq!(progress.failed_log(&path(DRV)), None);
    // Numbers that would overflow a sum.
    for id in [10, 11] {
        progress.apply(&start(id, ActivityKind::CopyPath, vec![]));
        progress.apply(&numbers(id, ResultKind::Progress, &[u64::MAX; 4]));
        progress.apply(&start(id + 10, ActivityKind::Builds, vec![]));
        progress.apply(&numbers(id + 10, ResultKind::Progress, &[u64::MAX; 4]));
    }
    assert_eq!(
        progress.unpacked(),
        Transfer {
            done: u64::MAX,
            expected: u64::MAX
        }
    );
    assert_eq!(progress.builds().done, u64::MAX);
}

#[test]
fn fetches_are_named_once_with_their_bytes() {
    let mut progress = Progress::new();
    progress.set_elapsed(Duration::from_secs(3));
    for event in [
        start(
            1,
            ActivityKind::Substitute,
            vec![text(A), text("https://cache.example")],
        ),
        start(
            2,
            ActivityKind::CopyPath,
            vec![text(A), text("https://cache.example"), text("daemon")],
        ),
        numbers(2, ResultKind::Progress, &[7, 10, 0, 0]),
        start(
            3,
            ActivityKind::Substitute,
            vec![text(DRV), text("https://other.example")],
        ),
        start(4, ActivityKind::CopyPath, vec![text("no path")]),
    ] {
        progress.apply(&event);
    }
    let copy = |id| progress.copy(ActivityId(id));
    assert_eq!(copy(2), Some((&path(A), "https://cache.example")));
    // What is about to be copied is not, and what names no path is none.
    assert_eq!((copy(1), copy(3), copy(4)), (None, None, None));
    let fetching = progress.fetching();
    let shown: Vec<_> = fetching
        .iter()
        .map(|fetch| {
            (
                fetch.path.as_str(),
                fetch.from.as_str(),
                fetch.bytes.done,
                fetch.bytes.expected,
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            (A, "https://cache.example", 7, 10),
            (DRV, "https://other.example", 0, 0)
        ]
    );
    assert_eq!(fetching[0].since, Duration::from_secs(3));
    assert_eq!(progress.elapsed(), Duration::from_secs(3));

    progress.set_elapsed(Duration::from_secs(5));
    progress.apply(&build(9, DRV));
    assert_eq!(
        progress.running().map(|build| build.since).collect::<Vec<_>>(),
        [Duration::from_secs(5)]
    );
    for event in [stop(2), stop(1), stop(3)] {
        progress.apply(&event);
    }
    assert_eq!(progress.fetching(), []);
}
