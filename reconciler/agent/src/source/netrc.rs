//! The netrc format: who logs in where. Pure.
//!
//! Format: curl's and GNU inetutils' `netrc(5)`: `machine`, `default`, `login`, `password`, `account`,
//! `macdef` up to an empty line; `#` starts a comment at the start of a word.

use super::secret::Secret;

/// Why a netrc cannot be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NetrcError {
    /// A word that starts nothing.
    #[error("line {line}: unknown word")]
    Word {
        /// Counted from 1.
        line: usize,
    },
    /// The file ends after a keyword.
    #[error("line {line}: a value is missing")]
    Value {
        /// Counted from 1.
        line: usize,
    },
}

#[derive(Debug, Default)]
struct Login {
    user: Option<String>,
    password: Option<Secret>,
}

/// The login for `host`: its own entry, or `default`.
pub(super) fn lookup(text: &str, host: &str) -> Result<Option<(String, Secret)>, NetrcError> {
    let mut current = Login::default();
    let mut wanted = false;
    let mut words = words(text).into_iter();
    while let Some((line, word)) = words.next() {
        let mut value = || {
            words
                .next()
                .map(|(_, value)| value)
                .ok_or(NetrcError::Value { line })
        };
        match word {
            "machine" | "default" => {
                if let Some(found) = complete(&mut current, wanted) {
                    return Ok(Some(found));
                }
                wanted = word == "default" || value()?.eq_ignore_ascii_case(host);
            }
            "login" => current.user = Some(value()?.to_owned()),
            "password" => current.password = Some(Secret::new(value()?.to_owned())),
            "account" => drop(value()?),
            _ => return Err(NetrcError::Word { line }),
        }
    }
    Ok(complete(&mut current, wanted))
}

fn complete(login: &mut Login, wanted: bool) -> Option<(String, Secret)> {
    let Login { user, password } = std::mem::take(login);
    if wanted { user.zip(password) } else { None }
}

/// The words and their lines, without comments and macros.
fn words(text: &str) -> Vec<(usize, &str)> {
    let mut words = Vec::new();
    let mut in_macro = false;
    for (index, line) in text.lines().enumerate() {
        if in_macro {
            in_macro = !line.trim().is_empty();
            continue;
        }
        for word in line.split_whitespace() {
            if word == "macdef" {
                in_macro = true;
            }
            // A password may start with `#`; a comment does not follow a keyword that wants a value.
            let wants_value = words
                .last()
                .is_some_and(|(_, last)| matches!(*last, "login" | "password" | "account"));
            if in_macro || (word.starts_with('#') && !wants_value) {
                break;
            }
            words.push((index + 1, word));
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::{NetrcError, lookup};

    const TEXT: &str = "# comment\nmachine a.example login alice password #1\nmachine b.example\n  login bob # why\n  account x\n  password two\nmacdef init\n machine evil login e password e\n\ndefault login anyone password three\n";

    #[test]
    fn the_hosts_own_entry_wins_over_the_default() {
        for (host, user, password) in [
            ("a.example", "alice", "#1"),
            ("B.example", "bob", "two"),
            ("evil", "anyone", "three"),
        ] {
            let (found, secret) = lookup(TEXT, host).unwrap().expect(host);
            assert_eq!((found.as_str(), secret.expose()), (user, password), "{host}");
        }
    }

    #[test]
    fn no_entry_is_no_login() {
        assert_eq!(lookup("machine a login b password c", "d"), Ok(None));
        assert_eq!(lookup("machine a login b", "a"), Ok(None));
    }

    #[test]
    fn broken_files_are_typed() {
        assert_eq!(
            lookup("machine a\nlogin", "a"),
            Err(NetrcError::Value { line: 2 })
        );
        assert_eq!(
            lookup("machine a\nuser b", "a"),
            Err(NetrcError::Word { line: 2 })
        );
    }
}
