//! The result file of an activation: what systemd tells `ExecStopPost=`, and our own runner writes alike.
//!
//! `SERVICE_RESULT EXIT_CODE EXIT_STATUS`, as in systemd.exec(5): `success exited 0`, `exit-code exited 4`,
//! `signal killed KILL`, `timeout killed TERM`.

use crate::process::Exit;
use std::str::FromStr;
use unix::sys::signal::Signal;

/// A result file that says nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the result `{content}` of an activation cannot be read")]
pub struct ResultError {
    /// What stands in it.
    pub content: String,
}

/// Reads a result.
pub fn parse(content: &str) -> Result<Exit, ResultError> {
    let unreadable = || ResultError {
        content: content.trim().to_owned(),
    };
    let mut words = content.split_whitespace();
    let (Some(_service), Some(kind), Some(status), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(unreadable());
    };
    match kind {
        "exited" => status.parse().map(Exit::Code).map_err(|_| unreadable()),
        "killed" | "dumped" => match Signal::from_str(&format!("SIG{status}")) {
            Ok(signal) => Ok(Exit::Signal(signal as i32)),
            Err(_) => Err(unreadable()),
        },
        _ => Err(unreadable()),
    }
}

/// Writes a result as systemd would.
pub(super) fn format(exit: Exit) -> String {
    match exit {
        Exit::Code(0) => "success exited 0\n".to_owned(),
        Exit::Code(code) => format!("exit-code exited {code}\n"),
        Exit::Signal(signal) => {
            let name = Signal::try_from(signal).map_or("UNKNOWN", Signal::as_str);
            format!("signal killed {}\n", name.trim_start_matches("SIG"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for exit in [
            Exit::Code(0),
            Exit::Code(4),
            Exit::Code(255),
            Exit::Signal(9),
            Exit::Signal(15),
        ] {
            assert_eq!(parse(&format(exit)), Ok(exit));
        }
        assert_eq!(parse("core-dump dumped ABRT\n"), Ok(Exit::Signal(6)));
        assert_eq!(parse("timeout killed TERM\n"), Ok(Exit::Signal(15)));
    }

    #[test]
    fn nonsense_is_no_result() {
        for content in [
            "",
            "success",
            "success exited",
            "success exited x",
            "signal killed NONE",
            "a exited 0 0",
        ] {
            assert!(parse(content).is_err(), "{content}");
        }
    }
}
