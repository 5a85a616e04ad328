//! How durations, moments, commits, sizes and store paths are written for people.
//!
//! Pure: `now` is an argument. JSON never goes through here.

use jiff::Timestamp;
use std::time::Duration;

/// A duration in one unit: `0.3 s`, `42 s`, `14 min`, `3 h`, `5 days`.
#[must_use]
pub fn duration(length: Duration) -> String {
    let seconds = length.as_secs();
    match seconds {
        0..10 => format!("{:.1} s", length.as_secs_f64()),
        10..90 => format!("{seconds} s"),
        90..5400 => format!("{} min", (seconds + 30) / 60),
        5400..172_800 => format!("{} h", (seconds + 1800) / 3600),
        _ => format!("{} days", (seconds + 43_200) / 86_400),
    }
}

/// A whole-second duration, for ages and waits, where tenths say nothing.
fn rough(length: Duration) -> String {
    if length.as_secs() < 10 {
        format!("{} s", length.as_secs())
    } else {
        duration(length)
    }
}

/// A past moment: `just now`, `3 min ago`; a coming one: `in 5 h`.
#[must_use]
pub fn moment(at: Timestamp, now: Timestamp) -> String {
    match Duration::try_from(now.duration_since(at)) {
        Ok(ago) if ago.as_secs() == 0 => "just now".to_owned(),
        Ok(ago) => format!("{} ago", rough(ago)),
        Err(_) => match Duration::try_from(at.duration_since(now)) {
            Ok(ahead) => format!("in {}", rough(ahead)),
            Err(_) => at.to_string(),
        },
    }
}

/// The first eight hexadecimal digits of a commit.
#[must_use]
pub fn commit(revision: &str) -> &str {
    revision.get(..8).unwrap_or(revision)
}

/// A store path as its name and eight characters of its hash: `nixos-system-cinnabar (3f2a91c0)`.
#[must_use]
pub fn store_path(path: &str) -> String {
    let base = path.rsplit('/').next().unwrap_or(path);
    match base.split_once('-') {
        Some((hash, name)) if hash.len() == 32 => format!("{name} ({})", hash.get(..8).unwrap_or(hash)),
        _ => path.to_owned(),
    }
}

/// A size in binary units: `118 MiB`.
#[must_use]
pub fn size(bytes: u64) -> String {
    const UNITS: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    for (unit, scale) in UNITS {
        if bytes >= scale {
            let tenths = bytes.saturating_mul(10) / scale;
            return if tenths < 100 {
                format!("{}.{} {unit}", tenths / 10, tenths % 10)
            } else {
                format!("{} {unit}", tenths / 10)
            };
        }
    }
    format!("{bytes} B")
}

/// `1 secret`, `2 secrets`.
#[must_use]
pub fn count(number: usize, noun: &str) -> String {
    if number == 1 {
        format!("1 {noun}")
    } else {
        format!("{number} {noun}s")
    }
}

/// An error with its causes, in one line, as the journal keeps it.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let message = error.to_string();
        if !text.ends_with(&message) {
            text.push_str(": ");
            text.push_str(&message);
        }
        cause = error.source();
    }
    text.lines().collect::<Vec<_>>().join(" ")
}

/// Text without terminal escapes and control characters, so that no log can steer a terminal.
#[must_use]
pub fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => match chars.next() {
                Some('[') => {
                    // CSI: parameters and intermediates, then one final byte.
                    while chars.next().is_some_and(|c| !('\u{40}'..='\u{7e}').contains(&c)) {}
                }
                Some(']') => {
                    // OSC: up to BEL or ST.
                    while let Some(c) = chars.next() {
                        if c == '\u{7}' || (c == '\u{1b}' && chars.next_if_eq(&'\\').is_some()) {
                            break;
                        }
                    }
                }
                _ => {}
            },
            '\n' | '\t' => out.push(c),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

/// A text whose URLs have lost their passwords.
#[must_use]
pub fn without_password(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("://") {
        kept.push_str(before);
        kept.push_str("://");
        let end = after
            .find(|c: char| c == '/' || c.is_whitespace() || matches!(c, '\'' | '"' | '`' | '<' | '>'))
            .unwrap_or(after.len());
        let (authority, tail) = after.split_at(end);
        // A name alone is a token where it is the web's: nobody is greeted by name there.
        let web = before.ends_with("http") || before.ends_with("https");
        match authority.rsplit_once('@') {
            Some((user, host)) if user.contains(':') || web || tail.starts_with('/') && user != "git" => {
                kept.push_str("…@");
                kept.push_str(host);
            }
            _ => kept.push_str(authority),
        }
        rest = tail;
    }
    kept.push_str(rest);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_one_unit() {
        let of = |ms| duration(Duration::from_millis(ms));
        assert_eq!(
            [
                of(40),
                of(300),
                of(9_960),
                of(42_000),
                of(600_000),
                of(7_200_000),
                of(432_000_000)
            ],
            ["0.0 s", "0.3 s", "10.0 s", "42 s", "10 min", "2 h", "5 days"]
        );
    }

    #[test]
    fn moments_are_relative() {
        let now: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
        let of = |text: &str| moment(text.parse().unwrap(), now);
        assert_eq!(of("2026-11-21T12:00:00Z"), "just now");
        assert_eq!(of("2026-11-21T11:57:00Z"), "3 min ago");
        assert_eq!(of("2026-11-21T17:00:00Z"), "in 5 h");
        assert_eq!(of("2026-11-19T12:00:00Z"), "2 days ago");
    }

    #[test]
    fn paths_commits_sizes() {
        assert_eq!(
            store_path("/nix/store/0123456789abcdfghijklmnpqrsvwxyz-nixos-system-a"),
            "nixos-system-a (01234567)"
        );
        assert_eq!(store_path("/etc/x"), "/etc/x");
        assert_eq!(commit("3f2a91c0aa"), "3f2a91c0");
        assert_eq!(
            [size(12), size(2_202_009), size(123_731_968)],
            ["12 B", "2.0 MiB", "118 MiB"]
        );
    }

    #[test]
    fn no_escape_survives() {
        assert_eq!(
            plain("\u{1b}[31;1merror:\u{1b}[0m a\r\u{8}b\u{1b}]0;title\u{7}!"),
            "error: ab!"
        );
    }

    #[test]
    fn urls_lose_passwords_and_nothing_else() {
        let table = [
            ("ssh://git@example.org/a.git", "ssh://git@example.org/a.git"),
            (
                "a https://tok:x@h/p b http://u:p@k:1/ c",
                "a https://…@h/p b http://…@k:1/ c",
            ),
            ("https://ghp_x@h/p", "https://…@h/p"),
            ("from 'https://ghp_x@h' now", "from 'https://…@h' now"),
            ("mail me@example.org", "mail me@example.org"),
            ("://", "://"),
        ];
        for (text, expected) in table {
            assert_eq!(without_password(text), expected);
        }
    }
}
