//! Owns the type of a scalar, as go-yaml v3 resolves it (resolve.go): under a MAC the type of a cleartext value
//! counts. It must never guess at a tag.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use granit_parser::{ScalarStyle, Tag};

use crate::sops::node::Node;
use crate::sops::timestamp;

/// Where YAML's own tags lie.
const NAMESPACE: &str = "tag:yaml.org,2002:";

/// The value of a scalar; `None` where its tag is not true of it, or it is a number that sops knows no type for.
pub(super) fn resolve(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Option<Node> {
    let tag = tag.map(|tag| format!("{}{}", tag.handle(), tag.suffix()));
    let own = tag.as_deref().map(|tag| tag.strip_prefix(NAMESPACE));
    match own {
        None if style == ScalarStyle::Plain => plain(text),
        // A tag of somebody else's is dropped, and what it stands before is a text.
        None | Some(None | Some("str" | "merge")) => Some(Node::text(text)),
        Some(Some("binary")) => {
            let compact: String = text.split(['\n', '\r']).collect();
            STANDARD.decode(compact).ok().map(Node::text)
        }
        Some(Some(name)) => match (name, plain(text)?) {
            ("null", node @ Node::Null)
            | ("bool", node @ Node::Bool(_))
            | ("int", node @ Node::Integer(_))
            | ("float", node @ Node::Float(_))
            | ("timestamp", node @ Node::Time(_)) => Some(node),
            ("float", Node::Integer(number)) => Some(Node::Float(number as f64)),
            ("null" | "bool" | "int" | "float" | "timestamp", _) => None,
            _ => Some(Node::text(text)),
        },
    }
}

/// The value of a scalar that nothing but its text tells the type of; `None` beyond what sops has a type for.
pub(super) fn plain(text: &str) -> Option<Node> {
    Some(match text {
        "" | "~" | "null" | "Null" | "NULL" => Node::Null,
        "true" | "True" | "TRUE" => Node::Bool(true),
        "false" | "False" | "FALSE" => Node::Bool(false),
        ".nan" | ".NaN" | ".NAN" => Node::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => Node::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => Node::Float(f64::NEG_INFINITY),
        _ => match text.bytes().next() {
            Some(b'.') => float(text).map_or_else(|| Node::text(text), Node::Float),
            Some(b'0'..=b'9' | b'+' | b'-') => return number(text),
            _ => Node::text(text),
        },
    })
}

fn number(text: &str) -> Option<Node> {
    if let Some(time) = time(text) {
        return Some(Node::Time(time.into()));
    }
    let compact = text.replace('_', "");
    match integer(&compact) {
        Integer::Fits(number) => Some(Node::Integer(number)),
        // An unsigned one of 64 bits, which sops cannot walk.
        Integer::Unsigned => None,
        Integer::None => Some(match float(&compact) {
            Some(number) => Node::Float(number),
            None => Node::text(text),
        }),
    }
}

enum Integer {
    Fits(i64),
    Unsigned,
    None,
}

/// Go's `ParseInt` and `ParseUint` with base 0: `0x`, `0o`, `0b`, and a mere `0` before an octal.
fn integer(text: &str) -> Integer {
    let (negative, digits) = match text.as_bytes().first() {
        Some(b'-') => (true, text.get(1..)),
        Some(b'+') => (false, text.get(1..)),
        _ => (false, Some(text)),
    };
    let digits = digits.unwrap_or_default();
    let prefixed = |prefixes: [&str; 2]| {
        let mut found = prefixes.iter().filter_map(|prefix| digits.strip_prefix(prefix));
        found.next()
    };
    let (digits, base) = if let Some(rest) = prefixed(["0x", "0X"]) {
        (rest, 16)
    } else if let Some(rest) = prefixed(["0o", "0O"]) {
        (rest, 8)
    } else if let Some(rest) = prefixed(["0b", "0B"]) {
        (rest, 2)
    } else if digits.len() > 1 && digits.starts_with('0') {
        (digits.get(1..).unwrap_or_default(), 8)
    } else {
        (digits, 10)
    };
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(base)) {
        return Integer::None;
    }
    let Ok(size) = i128::from_str_radix(digits, base) else {
        return Integer::None;
    };
    let value = if negative { size.saturating_neg() } else { size };
    match i64::try_from(value) {
        Ok(number) => Integer::Fits(number),
        // A sign is no part of an unsigned number.
        Err(_) if u64::try_from(value).is_ok() && !text.starts_with('+') => Integer::Unsigned,
        Err(_) => Integer::None,
    }
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`, and finite.
fn float(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, fraction),
        None => (mantissa, ""),
    };
    let has_digits = !whole.is_empty() || !fraction.is_empty();
    let exponent_fits = exponent.is_none_or(|exponent| {
        let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        !exponent.is_empty() && digits(exponent)
    });
    if !has_digits || !digits(whole) || !digits(fraction) || !exponent_fits {
        return None;
    }
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

/// A timestamp in one of the four forms that go-yaml takes, as RFC3339Nano.
fn time(text: &str) -> Option<String> {
    let (date, rest) = match text.find(['T', 't', ' ']) {
        Some(at) => (
            text.get(..at)?,
            Some((text.get(at..)?.chars().next()?, text.get(at.checked_add(1)?..)?)),
        ),
        None => (text, None),
    };
    let mut fields = date.split('-');
    let (year, month, day) = (fields.next()?, fields.next()?, fields.next()?);
    if fields.next().is_some() || year.len() != 4 || !year.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (month, day) = (two(month)?, two(day)?);
    let Some((separator, clock)) = rest else {
        return timestamp::precise(&format!("{year}-{month}-{day}T00:00:00Z"));
    };
    let (clock, zone) = match (separator, clock.find(['Z', '+', '-'])) {
        (' ', _) => (clock, "Z"),
        (_, Some(at)) => (clock.get(..at)?, clock.get(at..)?),
        (_, None) => return None,
    };
    let (clock, fraction) = match clock.find(['.', ',']) {
        Some(at) => (clock.get(..at)?, clock.get(at..)?),
        None => (clock, ""),
    };
    // Nine digits at most, where there is a point.
    if fraction.len() > 10 {
        return None;
    }
    let mut fields = clock.split(':');
    let (hour, minute, second) = (two(fields.next()?)?, two(fields.next()?)?, two(fields.next()?)?);
    if fields.next().is_some() {
        return None;
    }
    timestamp::precise(&format!(
        "{year}-{month}-{day}T{hour}:{minute}:{second}{fraction}{zone}"
    ))
}

/// One or two digits, as two.
fn two(digits: &str) -> Option<String> {
    let fits = matches!(digits.len(), 1 | 2) && digits.bytes().all(|byte| byte.is_ascii_digit());
    fits.then(|| format!("{digits:0>2}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_go_yaml_resolves() {
        let time = |text: &str| Node::Time(text.to_owned().into());
        for (text, expected) in [
            ("", Node::Null),
            ("~", Node::Null),
            ("True", Node::Bool(true)),
            ("yes", Node::text("yes")),
            ("on", Node::text("on")),
            ("0x1F", Node::Integer(31)),
            ("0b101", Node::Integer(5)),
            ("-0b101", Node::Integer(-5)),
            ("0o17", Node::Integer(15)),
            ("017", Node::Integer(15)),
            ("08", Node::Float(8.0)),
            ("1_000", Node::Integer(1000)),
            ("+12", Node::Integer(12)),
            ("-0", Node::Integer(0)),
            ("1e3", Node::Float(1000.0)),
            (".5", Node::Float(0.5)),
            ("1.", Node::Float(1.0)),
            ("-.5", Node::Float(-0.5)),
            (".", Node::text(".")),
            ("...x", Node::text("...x")),
            ("1e999", Node::text("1e999")),
            ("-", Node::text("-")),
            ("0x", Node::text("0x")),
            ("1.2.3", Node::text("1.2.3")),
            ("190:20:30", Node::text("190:20:30")),
            ("<<", Node::text("<<")),
            ("-9223372036854775808", Node::Integer(i64::MIN)),
            ("99999999999999999999", Node::Float(1e20)),
            ("2001-12-14", time("2001-12-14T00:00:00Z")),
            ("2001-1-4", time("2001-01-04T00:00:00Z")),
            (
                "2001-12-14t21:59:43.10-05:00",
                time("2001-12-14T21:59:43.1-05:00"),
            ),
            ("2001-12-14 21:59:43.10", time("2001-12-14T21:59:43.1Z")),
            (
                "2001-12-14 21:59:43.10 -5",
                Node::text("2001-12-14 21:59:43.10 -5"),
            ),
            ("2001-12-14T21:59:43", Node::text("2001-12-14T21:59:43")),
            ("2001-02-30", Node::text("2001-02-30")),
            ("12001-02-03", Node::text("12001-02-03")),
        ] {
            assert_eq!(plain(text).as_ref(), Some(&expected), "{text}");
        }
        assert_eq!(plain("18446744073709551615"), None);
        assert!(matches!(plain(".nan"), Some(Node::Float(number)) if number.is_nan()));
    }
}
