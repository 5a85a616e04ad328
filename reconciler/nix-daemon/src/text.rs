//! A string of the wire: any bytes. Owns how they are shown to a person; never changes what was received.

use std::fmt;

/// Bytes that are meant to be read as text, and need not be UTF-8: log lines, paths outside the store, names.
///
/// `Display` is lossy and strips terminal escapes and control characters; [`Text::as_bytes`] is what was sent.
///
/// Of a very long text only the beginning is kept: a builder may print a line of any length.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Text {
    bytes: Vec<u8>,
    omitted: u64,
}

impl Text {
    /// The beginning of a text, and how many bytes followed.
    pub(crate) fn cut(bytes: Vec<u8>, omitted: u64) -> Text {
        Text { bytes, omitted }
    }

    /// The bytes as they were received, as far as they were kept.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many bytes at the end were not kept; 0 for any text of a reasonable length.
    #[must_use]
    pub fn omitted(&self) -> u64 {
        self.omitted
    }

    /// The text for a person or a log: UTF-8, without terminal escapes and control characters.
    #[must_use]
    pub fn plain(&self) -> String {
        plain(&self.bytes)
    }
}

impl From<Vec<u8>> for Text {
    fn from(bytes: Vec<u8>) -> Text {
        Text { bytes, omitted: 0 }
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Text {
        Text::from(text.as_bytes().to_vec())
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.plain())
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&String::from_utf8_lossy(&self.bytes), f)
    }
}

/// Decodes lossily and drops escape sequences (ECMA-48: CSI, OSC and the two-character ones) and control
/// characters other than tab and line feed.
pub(crate) fn plain(bytes: &[u8]) -> String {
    let decoded = String::from_utf8_lossy(bytes);
    let mut out = String::with_capacity(decoded.len());
    let mut characters = decoded.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\u{1b}' => match characters.next() {
                // Control sequence: parameters and intermediates, then one final byte from @ to ~.
                Some('[') => {
                    let _ = characters.by_ref().find(|c| ('\u{40}'..='\u{7e}').contains(c));
                }
                // Operating system command: ends with BEL or with ESC \.
                Some(']') => {
                    while let Some(inner) = characters.next() {
                        if inner == '\u{7}' {
                            break;
                        }
                        if inner == '\u{1b}' {
                            let _ = characters.next_if_eq(&'\\');
                            break;
                        }
                    }
                }
                _ => {}
            },
            '\t' | '\n' => out.push(character),
            control if control.is_control() => {}
            shown => out.push(shown),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{Text, plain};

    #[test]
    fn a_person_sees_no_escapes() {
        for (raw, shown) in [
            (
                &b"path '\x1b[35;1m/nix/store/x\x1b[0m' is bad"[..],
                "path '/nix/store/x' is bad",
            ),
            (b"\x1b]8;;http://x\x07link\x1b]8;;\x1b\\ done", "link done"),
            (b"\x1b(Bplain", "Bplain"),
            (b"progress\r50%\r\n", "progress50%\n"),
            (b"\x1b", ""),
            (b"\x1b[", ""),
            (b"\x1b[31", ""),
            (b"a\tb\0c\x7fd", "a\tbcd"),
            (b"gr\xfc\xdfe", "gr\u{fffd}\u{fffd}e"),
            ("c1 \u{9b}31mred".as_bytes(), "c1 31mred"),
        ] {
            assert_eq!(plain(raw), shown, "{raw:?}");
        }
    }

    #[test]
    fn the_bytes_stay_as_sent() {
        let text = Text::from(b"\xff\x1b[0m".to_vec());
        assert_eq!(text.as_bytes(), b"\xff\x1b[0m");
        assert_eq!(text.to_string(), "\u{fffd}");
    }
}
