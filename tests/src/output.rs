//! Running a command to its end, and all that it printed.

use serde_json::Value;
use std::fmt;
use std::io::{Read, Seek, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

/// What a command left.
#[derive(Debug, Clone)]
pub struct Output {
    /// The command, as it was typed.
    pub command: String,
    /// Its exit code; none where a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
    /// How long it ran.
    pub took: Duration,
}

/// Runs a command with nothing on its standard input; it has to end within `limit`.
pub fn run(command: &mut Command, limit: Duration) -> Output {
    run_fed(command, &[], limit)
}

/// Runs a command with this on its standard input; it has to end within `limit`.
pub fn run_fed(command: &mut Command, input: &[u8], limit: Duration) -> Output {
    let mut stdin = tempfile::tempfile().unwrap();
    stdin.write_all(input).unwrap();
    stdin.rewind().unwrap();
    let mut stdout = tempfile::tempfile().unwrap();
    let mut stderr = tempfile::tempfile().unwrap();
    command
        .stdin(stdin)
        .stdout(stdout.try_clone().unwrap())
        .stderr(stderr.try_clone().unwrap());
    let began = Instant::now();
    let mut child = command
        .spawn()
        .unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    let (status, late) = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break (status, false);
        }
        if began.elapsed() > limit {
            child.kill().unwrap();
            break (child.wait().unwrap(), true);
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let read = |file: &mut std::fs::File| {
        let mut text = Vec::new();
        file.rewind().unwrap();
        file.read_to_end(&mut text).unwrap();
        String::from_utf8_lossy(&text).into_owned()
    };
    let output = Output::of(
        command,
        status,
        read(&mut stdout),
        read(&mut stderr),
        began.elapsed(),
    );
    assert!(!late, "it did not end within {limit:?}\n{output}");
    output
}

impl Output {
    fn of(command: &Command, status: ExitStatus, stdout: String, stderr: String, took: Duration) -> Output {
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        let command = words
            .map(|word| word.to_string_lossy().into_owned())
            .collect::<Vec<_>>()
            .join(" ");
        Output {
            command,
            code: status.code(),
            signal: status.signal(),
            stdout,
            stderr,
            took,
        }
    }

    /// It ended with this code.
    #[track_caller]
    pub fn ended(self, code: i32) -> Output {
        assert!(
            self.code == Some(code),
            "it should have ended with {code}\n{self}"
        );
        self
    }

    /// It printed this, to either stream.
    #[track_caller]
    pub fn says(self, text: &str) -> Output {
        assert!(
            self.stdout.contains(text) || self.stderr.contains(text),
            "it should say {text:?}\n{self}"
        );
        self
    }

    /// It printed this nowhere.
    #[track_caller]
    pub fn never_says(self, text: &str) -> Output {
        assert!(
            !self.stdout.contains(text) && !self.stderr.contains(text),
            "it should not say {text:?}\n{self}"
        );
        self
    }

    /// Its standard output is one JSON document.
    #[track_caller]
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("this is no JSON document: {error}\n{self}"))
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = match (self.code, self.signal) {
            (Some(code), _) => format!("exit code {code}"),
            (None, signal) => format!("signal {}", signal.unwrap_or_default()),
        };
        write!(
            f,
            "$ {}\n--- {end} after {:?}\n--- stdout\n{}\n--- stderr\n{}\n---",
            self.command, self.took, self.stdout, self.stderr
        )
    }
}
