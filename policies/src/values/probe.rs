//! What is run to tell whether an activated system works. It owns the declaration; running it is the
//! caller's.

use serde::{Deserialize, Serialize};

use super::duration::Timeout;
use super::error::ValueError;

/// A program and its arguments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Command {
    program: String,
    arguments: Vec<String>,
}

impl Command {
    /// The program: a path, or a name to be looked up.
    #[must_use]
    pub fn program(&self) -> &str {
        &self.program
    }

    /// The arguments after the program.
    #[must_use]
    pub fn arguments(&self) -> &[String] {
        &self.arguments
    }
}

impl TryFrom<Vec<String>> for Command {
    type Error = ValueError;

    fn try_from(words: Vec<String>) -> Result<Self, ValueError> {
        let mut words = words.into_iter();
        match words.next() {
            Some(program) if !program.is_empty() => Ok(Self {
                program,
                arguments: words.collect(),
            }),
            _ => Err(ValueError::Command),
        }
    }
}

impl From<Command> for Vec<String> {
    fn from(command: Command) -> Self {
        std::iter::once(command.program)
            .chain(command.arguments)
            .collect()
    }
}

/// What is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Check {
    /// A program: exit code 0 is well.
    Command(Command),
    /// A URL of http or https: a status below 400 is well, or exactly the one that is named.
    Http {
        /// The URL.
        url: String,
        /// The status it has to answer with; any below 400 where none is named.
        status: Option<u16>,
    },
    /// A host and a port, `host:port`: that a connection is taken is well.
    Tcp(String),
    /// A unit of systemd, or a job of launchd: that it runs, and is not started again and again, is well.
    Unit(String),
}

/// Something that tells that an activated system does what it is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Probe {
    /// What is looked at.
    pub check: Check,
    /// How long one look may take; ten seconds unless said otherwise.
    pub timeout: Timeout,
}

/// A probe as it is written.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<Command>,
    #[serde(skip_serializing_if = "Option::is_none")]
    http: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tcp: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<String>,
    #[serde(default = "probe_timeout")]
    timeout: Timeout,
}

const fn probe_timeout() -> Timeout {
    Timeout::PROBE
}

impl TryFrom<Written> for Probe {
    type Error = ValueError;

    fn try_from(written: Written) -> Result<Self, ValueError> {
        let Written {
            command,
            http,
            status,
            tcp,
            unit,
            timeout,
        } = written;
        let check = match (command, http, tcp, unit) {
            (Some(command), None, None, None) => Check::Command(command),
            (None, Some(url), None, None) => http_check(url, status)?,
            (None, None, Some(address), None) => tcp_check(address)?,
            (None, None, None, Some(unit)) => unit_check(unit)?,
            _ => return Err(ValueError::Probe),
        };
        if status.is_some() && !matches!(check, Check::Http { .. }) {
            return Err(ValueError::ProbeStatus);
        }
        Ok(Self { check, timeout })
    }
}

impl From<Probe> for Written {
    fn from(probe: Probe) -> Self {
        let mut written = Self {
            command: None,
            http: None,
            status: None,
            tcp: None,
            unit: None,
            timeout: probe.timeout,
        };
        match probe.check {
            Check::Command(command) => written.command = Some(command),
            Check::Http { url, status } => (written.http, written.status) = (Some(url), status),
            Check::Tcp(address) => written.tcp = Some(address),
            Check::Unit(unit) => written.unit = Some(unit),
        }
        written
    }
}

fn http_check(url: String, status: Option<u16>) -> Result<Check, ValueError> {
    let rest = url
        .strip_prefix("http://")
        .or_else(|| url.strip_prefix("https://"));
    let named = rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'));
    let plain = !url.contains(|character: char| character.is_whitespace() || character.is_control());
    let known = status.is_none_or(|status| (100..600).contains(&status));
    if named && plain && known {
        Ok(Check::Http { url, status })
    } else {
        Err(ValueError::ProbeUrl { text: url })
    }
}

fn tcp_check(address: String) -> Result<Check, ValueError> {
    let sound = address.rsplit_once(':').is_some_and(|(host, port)| {
        // An IPv6 address stands in brackets, as in a URL.
        let sound =
            !host.is_empty() && (!host.contains(':') || (host.starts_with('[') && host.ends_with(']')));
        sound && port.parse::<u16>().is_ok_and(|port| port > 0)
    });
    if sound {
        Ok(Check::Tcp(address))
    } else {
        Err(ValueError::ProbeAddress { text: address })
    }
}

/// Names as systemd.unit(5) and launchd.plist(5) allow them; never an option of the command that is asked.
fn unit_check(unit: String) -> Result<Check, ValueError> {
    let plain = |character: char| character.is_ascii_alphanumeric() || ":-_.\\@".contains(character);
    if !unit.is_empty() && !unit.starts_with('-') && unit.chars().all(plain) {
        Ok(Check::Unit(unit))
    } else {
        Err(ValueError::ProbeUnit { text: unit })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_starts_with_a_program() {
        assert_eq!(Command::try_from(vec![]), Err(ValueError::Command));
        assert_eq!(
            Command::try_from(vec![String::new(), "-f".to_owned()]),
            Err(ValueError::Command)
        );
        let command = Command::try_from(vec!["curl".to_owned(), "-f".to_owned()]).unwrap();
        assert_eq!(
            (command.program(), command.arguments()),
            ("curl", &["-f".to_owned()][..])
        );
    }

    #[test]
    fn a_probe_looks_at_one_thing() {
        use crate::document::read;
        let cases = [
            ("command = ['true']", "command"),
            ("http = 'https://localhost:8443/health'\nstatus = 204", "http"),
            ("http = 'http://[::1]'", "http"),
            ("tcp = 'localhost:22'\ntimeout = '2s'", "tcp"),
            ("tcp = '[::1]:22'", "tcp"),
            ("unit = 'getty@tty1.service'", "unit"),
        ];
        for (text, kind) in cases {
            let probe: Probe = read(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            let found = match &probe.check {
                Check::Command(_) => "command",
                Check::Http { .. } => "http",
                Check::Tcp(_) => "tcp",
                Check::Unit(_) => "unit",
            };
            assert_eq!(found, kind, "{text}");
            // What is written down is read back.
            let json = serde_json::to_string(&probe).unwrap();
            assert_eq!(serde_json::from_str::<Probe>(&json).unwrap(), probe, "{json}");
        }
        for text in [
            "timeout = '1s'",
            "command = ['true']\ntcp = 'localhost:1'",
            "tcp = 'localhost:22'\nstatus = 200",
            "http = 'ftp://localhost'",
            "http = 'http:///x'",
            "http = 'http://a b'",
            "http = 'http://localhost'\nstatus = 20",
            "tcp = 'localhost'",
            "tcp = 'localhost:0'",
            "tcp = '::1:22'",
            "tcp = ':22'",
            "unit = '--user'",
            "unit = 'a b.service'",
            "unit = ''",
            "comand = ['true']",
        ] {
            assert!(read::<Probe>(text).is_err(), "{text}");
        }
    }
}
