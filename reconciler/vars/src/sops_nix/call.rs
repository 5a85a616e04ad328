//! Owns the command line of `sops-install-secrets`, in the syntax of Go's `flag` package. It must never
//! read a file.

use std::ffi::OsString;
use std::path::PathBuf;

/// What a caller without arguments, or one who asks, is shown.
pub const USAGE: &str = "\
Usage: sops-install-secrets [OPTION] manifest.json
  -check-mode string
        validate without installing: \"manifest\", \"sopsfile\" or \"off\" (default \"off\")
  -ignore-passwd
        look no account up; everything belongs to root, or to the user who runs this
";

/// How much is validated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CheckMode {
    /// The manifest alone.
    Manifest,
    /// The manifest, and that each sops file has its keys; without opening one.
    SopsFile,
    /// Nothing is validated apart: secrets are installed.
    #[default]
    Off,
}

/// Whether accounts are looked up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Passwd {
    /// They are.
    #[default]
    LookUp,
    /// They are not, as before users exist.
    Ignore,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// How much is validated.
    pub check: CheckMode,
    /// Whether accounts are looked up.
    pub passwd: Passwd,
    /// The manifest.
    pub manifest: PathBuf,
}

/// What the arguments ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arguments {
    /// To validate or to install.
    Call(Call),
    /// To be told how it is called; there is no one manifest. The original ends with 0 then, and so does this.
    Usage,
}

/// Arguments that are not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCall {
    /// Dashes without a name.
    #[error("bad flag syntax: {argument}")]
    Syntax {
        /// The argument.
        argument: String,
    },
    /// There is no such flag.
    #[error("flag provided but not defined: -{flag}")]
    Unknown {
        /// Its name.
        flag: String,
    },
    /// It stands at the end, without its value.
    #[error("flag needs an argument: -{flag}")]
    NoValue {
        /// Its name.
        flag: &'static str,
    },
    /// Its value is none.
    #[error("invalid value {value:?} for flag -{flag}: it is one of {expected}")]
    Value {
        /// Its name.
        flag: &'static str,
        /// What was given.
        value: String,
        /// What it may be.
        expected: &'static str,
    },
}

impl Call {
    /// Reads the arguments that follow the program's name: `-x v`, `-x=v` and `--x=v`; flags end at the first
    /// argument that is none, or at `--` (Go's `flag.FlagSet.Parse`).
    ///
    /// # Errors
    /// [`InvalidCall`].
    pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Arguments, InvalidCall> {
        let mut arguments = arguments.into_iter().peekable();
        let (mut check, mut passwd) = (CheckMode::default(), Passwd::default());
        while let Some(argument) = arguments.next_if(is_flag) {
            let text = argument.to_string_lossy().into_owned();
            if text == "--" {
                break;
            }
            let stripped = text.strip_prefix("--").or_else(|| text.strip_prefix('-'));
            let name = stripped.unwrap_or_default();
            if name.is_empty() || name.starts_with(['-', '=']) {
                return Err(InvalidCall::Syntax { argument: text });
            }
            let (name, value) = match name.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (name, None),
            };
            match name {
                "check-mode" => {
                    let next = || Some(arguments.next()?.to_string_lossy().into_owned());
                    let value = value
                        .or_else(next)
                        .ok_or(InvalidCall::NoValue { flag: "check-mode" })?;
                    check = check_mode(value)?;
                }
                "ignore-passwd" => passwd = ignored(value)?,
                "h" | "help" => return Ok(Arguments::Usage),
                _ => {
                    return Err(InvalidCall::Unknown {
                        flag: name.to_owned(),
                    });
                }
            }
        }
        Ok(match (arguments.next(), arguments.next()) {
            (Some(manifest), None) => Arguments::Call(Call {
                check,
                passwd,
                manifest: manifest.into(),
            }),
            _ => Arguments::Usage,
        })
    }
}

fn is_flag(argument: &OsString) -> bool {
    let bytes = argument.as_encoded_bytes();
    bytes.starts_with(b"-") && bytes.len() > 1
}

fn check_mode(value: String) -> Result<CheckMode, InvalidCall> {
    match value.as_str() {
        "manifest" => Ok(CheckMode::Manifest),
        "sopsfile" => Ok(CheckMode::SopsFile),
        "off" => Ok(CheckMode::Off),
        _ => Err(InvalidCall::Value {
            flag: "check-mode",
            value,
            expected: "manifest, sopsfile, off",
        }),
    }
}

/// Go's `strconv.ParseBool`.
fn ignored(value: Option<String>) -> Result<Passwd, InvalidCall> {
    match value.as_deref() {
        None | Some("1" | "t" | "T" | "true" | "TRUE" | "True") => Ok(Passwd::Ignore),
        Some("0" | "f" | "F" | "false" | "FALSE" | "False") => Ok(Passwd::LookUp),
        Some(other) => Err(InvalidCall::Value {
            flag: "ignore-passwd",
            value: other.to_owned(),
            expected: "true, false",
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Arguments, InvalidCall> {
        Call::parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn the_flags_of_go() {
        let call = |check, passwd| {
            Ok(Arguments::Call(Call {
                check,
                passwd,
                manifest: "m.json".into(),
            }))
        };
        use CheckMode::{Manifest, Off, SopsFile};
        use Passwd::{Ignore, LookUp};
        for (line, expected) in [
            ("m.json", call(Off, LookUp)),
            ("-ignore-passwd m.json", call(Off, Ignore)),
            ("--ignore-passwd=false m.json", call(Off, LookUp)),
            ("-ignore-passwd=T m.json", call(Off, Ignore)),
            ("-check-mode=manifest m.json", call(Manifest, LookUp)),
            ("-check-mode sopsfile m.json", call(SopsFile, LookUp)),
            ("--check-mode off -- m.json", call(Off, LookUp)),
            (
                "-check-mode=manifest -check-mode sopsfile -ignore-passwd m.json",
                call(SopsFile, Ignore),
            ),
            ("", Ok(Arguments::Usage)),
            ("-h", Ok(Arguments::Usage)),
            ("--help", Ok(Arguments::Usage)),
            ("a b", Ok(Arguments::Usage)),
            ("m.json -ignore-passwd", Ok(Arguments::Usage)),
            ("- -h", Ok(Arguments::Usage)),
            (
                "---x m.json",
                Err(InvalidCall::Syntax {
                    argument: "---x".into(),
                }),
            ),
            (
                "-=x m.json",
                Err(InvalidCall::Syntax {
                    argument: "-=x".into(),
                }),
            ),
            (
                "-check m.json",
                Err(InvalidCall::Unknown { flag: "check".into() }),
            ),
            ("-check-mode", Err(InvalidCall::NoValue { flag: "check-mode" })),
        ] {
            assert_eq!(parse(line), expected, "{line}");
        }
        assert!(matches!(
            parse("-check-mode=all m"),
            Err(InvalidCall::Value { .. })
        ));
        assert!(matches!(
            parse("-ignore-passwd=yes m"),
            Err(InvalidCall::Value { .. })
        ));
    }
}
