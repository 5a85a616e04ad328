//! Owns the style in which a text is written, by the rules of go-yaml v3 (encode.go, emitterc.go). It must never pick
//! one in which another text, or another type, would be read.

use super::scalar;
use crate::sops::node::Node;

/// How a text is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    Single,
    Double,
    Literal,
}

/// The style for a text.
pub(super) fn style(text: &str) -> Style {
    let shape = Shape::of(text);
    let wanted = if text.contains('\n') {
        Style::Literal
    } else if is_text(text) {
        Style::Plain
    } else {
        Style::Double
    };
    match wanted {
        Style::Literal if shape.literal => Style::Literal,
        Style::Plain if shape.plain => Style::Plain,
        Style::Plain if shape.single => Style::Single,
        _ => Style::Double,
    }
}

/// Whether a reader of YAML 1.1 or 1.2 takes the plain text for one.
fn is_text(text: &str) -> bool {
    let old_bool = matches!(
        text,
        "y" | "Y"
            | "yes"
            | "Yes"
            | "YES"
            | "on"
            | "On"
            | "ON"
            | "n"
            | "N"
            | "no"
            | "No"
            | "NO"
            | "off"
            | "Off"
            | "OFF"
    );
    !old_bool && !is_base_60(text) && matches!(scalar::plain(text), Some(Node::Text(_)))
}

/// `[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?`, a number of YAML 1.1.
fn is_base_60(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let digit_or_line = |byte: u8| byte.is_ascii_digit() || byte == b'_';
    let mut parts = whole.split(':');
    let first = parts.next().unwrap_or_default();
    let first_fits =
        first.as_bytes().first().is_some_and(u8::is_ascii_digit) && first.bytes().all(digit_or_line);
    let mut any = false;
    let rest_fits = parts.all(|part| {
        any = true;
        match part.as_bytes() {
            [one] => one.is_ascii_digit(),
            [ten, one] => matches!(ten, b'0'..=b'5') && one.is_ascii_digit(),
            _ => false,
        }
    });
    first_fits && rest_fits && any && fraction.bytes().all(digit_or_line)
}

/// What a text allows, as libyaml's analysis has it.
struct Shape {
    plain: bool,
    single: bool,
    literal: bool,
}

impl Shape {
    fn of(text: &str) -> Self {
        let blank = |character: Option<char>| matches!(character, None | Some(' ' | '\t'));
        let mut indicators = text.starts_with("---") || text.starts_with("...");
        let (mut breaks, mut special, mut tabs) = (false, false, false);
        let (mut break_space, mut space_break) = (false, false);
        let mut previous = None;
        let mut characters = text.chars().peekable();
        while let Some(character) = characters.next() {
            let next = characters.peek().copied();
            indicators |= match (previous, character) {
                (
                    None,
                    '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@'
                    | '`',
                ) => true,
                (None, '?' | '-') | (_, ':') => blank(next),
                (before, '#') => matches!(before, Some(' ' | '\t' | '\n')),
                _ => false,
            };
            match character {
                '\t' => tabs = true,
                '\n' => {
                    breaks = true;
                    space_break |= previous == Some(' ');
                }
                ' ' => break_space |= previous == Some('\n'),
                other => special |= !is_printable(other),
            }
            previous = Some(character);
        }
        let edges = text.starts_with([' ', '\n']) || text.ends_with([' ', '\n']);
        Self {
            plain: !(indicators || breaks || special || tabs || edges || text.is_empty()),
            single: !(special || tabs || break_space || space_break),
            literal: !(special || space_break || text.ends_with(' ') || text.is_empty()),
        }
    }
}

/// What is written as it is. Line breaks of other kinds are not: readers differ on whether they are any.
pub(super) fn is_printable(character: char) -> bool {
    matches!(character, ' '..='~' | '\u{a0}'..='\u{2027}' | '\u{202a}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}'
        | '\u{ff00}'..='\u{fffd}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_go_yaml_writes_them() {
        for (text, expected) in [
            ("plain", Style::Plain),
            ("a,b[]", Style::Plain),
            ("?x", Style::Plain),
            ("a'b", Style::Plain),
            ("-x", Style::Plain),
            ("", Style::Double),
            ("yes", Style::Double),
            ("y", Style::Double),
            ("null", Style::Double),
            ("1e3", Style::Double),
            ("12:30:45", Style::Double),
            ("2001-01-01", Style::Double),
            (" lead", Style::Single),
            ("a  ", Style::Single),
            ("x: y", Style::Single),
            ("it's #x", Style::Single),
            ("-", Style::Single),
            ("- x", Style::Single),
            ("@at", Style::Single),
            ("---", Style::Single),
            ("--- x", Style::Single),
            ("?", Style::Single),
            ("tab\there", Style::Double),
            ("😀", Style::Double),
            ("\u{1}", Style::Double),
            ("a\u{2028}b", Style::Double),
            ("a \nb", Style::Double),
            ("x\r\ny", Style::Double),
            ("a\nb", Style::Literal),
            ("\n", Style::Literal),
            ("é\n\ty", Style::Literal),
            (" a\nb\n\n", Style::Literal),
        ] {
            assert_eq!(style(text), expected, "{text:?}");
        }
    }
}
