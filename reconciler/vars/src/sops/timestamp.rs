//! Owns the forms of a time: that of `lastmodified` under which a MAC is sealed, and that of a value. It must
//! never ask for the time.

/// Re-formats a time as Go's `time.Parse(RFC3339)` and `Format(RFC3339)` do: the fraction is dropped, and
/// an offset of zero becomes `Z`. `None` where it is no such time.
pub(super) fn canonical(text: &str) -> Option<String> {
    let Parts {
        date_time, offset, ..
    } = Parts::of(text)?;
    Some(format!("{date_time}{offset}"))
}

/// The same, as `Format(RFC3339Nano)` does it: nine digits of the fraction are kept, without zeros at their end.
pub(super) fn precise(text: &str) -> Option<String> {
    let Parts {
        date_time,
        fraction,
        offset,
    } = Parts::of(text)?;
    let fraction = fraction.get(..9).unwrap_or(fraction).trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    Some(format!("{date_time}{point}{fraction}{offset}"))
}

struct Parts<'a> {
    date_time: &'a str,
    fraction: &'a str,
    offset: &'a str,
}

impl<'a> Parts<'a> {
    fn of(text: &'a str) -> Option<Self> {
        let date_time = text.get(..19)?;
        let pattern = "dddd-dd-ddTdd:dd:dd";
        let fits = date_time
            .bytes()
            .zip(pattern.bytes())
            .all(|(byte, want)| match want {
                b'd' => byte.is_ascii_digit(),
                _ => byte == want,
            });
        let number = |range| {
            date_time
                .get(range)
                .and_then(|digits: &str| digits.parse::<u32>().ok())
        };
        let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
        let in_range = number(11..13)? < 24 && number(14..16)? < 60 && number(17..19)? < 60;
        if !fits || !in_range || day == 0 || day > days_in(year, month)? {
            return None;
        }
        let (mut rest, mut digits) = (text.get(19..)?, "");
        if let Some(fraction) = rest.strip_prefix(['.', ',']) {
            rest = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
            digits = fraction.get(..fraction.len().saturating_sub(rest.len()))?;
            if digits.is_empty() {
                return None;
            }
        }
        Some(Self {
            date_time,
            fraction: digits,
            offset: canonical_offset(rest)?,
        })
    }
}

fn canonical_offset(text: &str) -> Option<&str> {
    if text == "Z" {
        return Some("Z");
    }
    let shape = text.bytes().zip("+dd:dd".bytes()).all(|(byte, want)| match want {
        b'+' => byte == b'+' || byte == b'-',
        b'd' => byte.is_ascii_digit(),
        _ => byte == want,
    });
    if text.len() != 6 || !shape {
        return None;
    }
    let hours: u32 = text.get(1..3)?.parse().ok()?;
    let minutes: u32 = text.get(4..6)?.parse().ok()?;
    if hours > 24 || minutes > 60 {
        return None;
    }
    Some(if hours == 0 && minutes == 0 { "Z" } else { text })
}

pub(super) fn days_in(year: u32, month: u32) -> Option<u32> {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => Some(31),
        4 | 6 | 9 | 11 => Some(30),
        2 => Some(if leap { 29 } else { 28 }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{canonical, precise};

    #[test]
    fn as_go_formats_it() {
        for (text, expected) in [
            ("2024-02-29T00:59:07Z", Some("2024-02-29T00:59:07Z")),
            ("2024-02-29T00:59:07+00:00", Some("2024-02-29T00:59:07Z")),
            ("2024-02-29T00:59:07-00:00", Some("2024-02-29T00:59:07Z")),
            ("2024-02-29T00:59:07.123456Z", Some("2024-02-29T00:59:07Z")),
            ("2024-02-29T00:59:07.5+02:00", Some("2024-02-29T00:59:07+02:00")),
            ("2023-02-29T00:59:07Z", None),
            ("2024-13-01T00:59:07Z", None),
            ("2024-01-01T24:00:00Z", None),
            ("2024-01-01t00:00:00z", None),
            ("2024-01-01T00:00:00", None),
            ("2024-01-01T00:00:00.Z", None),
            ("2024-01-01T00:00:00+0200", None),
            ("2024-01-01T00:00:00Zé", None),
            ("+024-01-01T00:00:00Z", None),
            ("", None),
            ("20240-01-0éT00:00:00Z", None),
        ] {
            assert_eq!(canonical(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn a_value_keeps_its_fraction() {
        for (text, expected) in [
            ("2001-12-14T21:59:43Z", Some("2001-12-14T21:59:43Z")),
            ("2001-12-14T21:59:43.100+00:00", Some("2001-12-14T21:59:43.1Z")),
            ("2001-12-14T21:59:43.000Z", Some("2001-12-14T21:59:43Z")),
            (
                "2001-12-14T21:59:43.1234567899-05:00",
                Some("2001-12-14T21:59:43.123456789-05:00"),
            ),
            ("2001-12-14", None),
        ] {
            assert_eq!(precise(text).as_deref(), expected, "{text}");
        }
    }
}
