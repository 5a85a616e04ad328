//! Owns the templates' engine: placeholders out, values in. It must never put a value into another value's
//! place, nor keep a plaintext in a buffer that is not overwritten.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use zeroize::Zeroizing;

/// What every placeholder of sops-nix begins with, unless somebody chose another
/// (`<SOPS:` and 64 hexadecimal digits and `:PLACEHOLDER>`).
const BEGIN: &[u8] = b"<SOPS:";
const END: &[u8] = b":PLACEHOLDER>";
const DIGITS: usize = 64;

/// A text, cut where values go.
///
/// It is cut once, from left to right, so that a value that looks like a placeholder stays a value. Of two
/// placeholders that begin at the same place the longer one counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    text: Vec<u8>,
    pieces: Vec<Piece>,
    strays: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(Range<usize>),
    /// The value of a secret, by its name.
    Value(String),
}

impl Template {
    /// Cuts a text; `placeholders` are given by the secrets' names.
    pub fn parse(text: Vec<u8>, placeholders: &BTreeMap<String, String>) -> Self {
        // Nearly always all of one length, so a look-up per place and length.
        let names: HashMap<&[u8], &str> = placeholders
            .iter()
            .filter(|(_, placeholder)| !placeholder.is_empty())
            .map(|(name, placeholder)| (placeholder.as_bytes(), name.as_str()))
            .collect();
        let mut lengths: Vec<usize> = names.keys().map(|placeholder| placeholder.len()).collect();
        lengths.sort_unstable_by(|a, b| b.cmp(a));
        lengths.dedup();
        let mut begins = [false; 256];
        for first in names.keys().filter_map(|placeholder| placeholder.first()) {
            if let Some(begins) = begins.get_mut(usize::from(*first)) {
                *begins = true;
            }
        }
        let (mut pieces, mut strays) = (Vec::new(), Vec::new());
        let (mut start, mut at) = (0, 0);
        while let Some(byte) = text.get(at) {
            let found = begins
                .get(usize::from(*byte))
                .filter(|begins| **begins)
                .and_then(|_| {
                    lengths.iter().find_map(|length| {
                        let candidate = text.get(at..at.saturating_add(*length))?;
                        names.get(candidate).map(|name| (*length, *name))
                    })
                });
            if let Some((length, name)) = found {
                pieces.push(Piece::Text(start..at));
                pieces.push(Piece::Value(name.to_owned()));
                at = at.saturating_add(length);
                start = at;
                continue;
            }
            if *byte == b'<' {
                strays.extend(stray(&text, at));
            }
            at = at.saturating_add(1);
        }
        pieces.push(Piece::Text(start..text.len()));
        Self { text, pieces, strays }
    }

    /// The names of the secrets whose values it takes, each as often as it does.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Value(name) => Some(name.as_str()),
            Piece::Text(_) => None,
        })
    }

    /// Placeholders of sops-nix's form that stand for no secret.
    pub fn strays(&self) -> &[String] {
        &self.strays
    }

    /// The text with the values in it; the first name that has no value otherwise.
    ///
    /// # Errors
    /// That name.
    pub fn render<'a>(&self, value: impl Fn(&str) -> Option<&'a [u8]>) -> Result<Zeroizing<Vec<u8>>, String> {
        let mut parts = Vec::with_capacity(self.pieces.len());
        for piece in &self.pieces {
            parts.push(match piece {
                Piece::Text(range) => self.text.get(range.clone()).unwrap_or_default(),
                Piece::Value(name) => value(name).ok_or_else(|| name.clone())?,
            });
        }
        let length = parts
            .iter()
            .fold(0usize, |sum, part| sum.saturating_add(part.len()));
        // Reserved at once: a growing vector would leave copies of the values behind.
        let mut rendered = Zeroizing::new(Vec::with_capacity(length));
        for part in parts {
            rendered.extend_from_slice(part);
        }
        Ok(rendered)
    }
}

/// The placeholder of sops-nix's form that begins at `at`, if one does.
fn stray(text: &[u8], at: usize) -> Option<String> {
    let digits = at.checked_add(BEGIN.len())?;
    let end = digits.checked_add(DIGITS)?;
    let after = end.checked_add(END.len())?;
    let is_one = text.get(at..digits)? == BEGIN
        && text.get(digits..end)?.iter().all(u8::is_ascii_hexdigit)
        && text.get(end..after)? == END;
    is_one
        .then(|| {
            text.get(at..after)
                .map(|found| String::from_utf8_lossy(found).into_owned())
        })
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{prop_assert_eq, proptest};

    fn placeholders(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
            .collect()
    }

    fn rendered(text: &str, pairs: &[(&str, &str)], value: fn(&str) -> Option<&'static [u8]>) -> String {
        let template = Template::parse(text.into(), &placeholders(pairs));
        String::from_utf8(template.render(value).unwrap().to_vec()).unwrap()
    }

    #[test]
    fn values_take_the_places_of_their_placeholders_and_no_others() {
        let pairs = [("a", "<A>"), ("ab", "<A><B>"), ("empty", "")];
        let value = |name: &str| match name {
            "a" => Some(b"<A>!".as_slice()),
            "ab" => Some(b"2".as_slice()),
            _ => None,
        };
        for (text, expected) in [
            ("", ""),
            ("none", "none"),
            ("<A>", "<A>!"),
            ("<A><B>", "2"),
            ("<A><A><B><", "<A>!2<"),
            ("x<A", "x<A"),
        ] {
            assert_eq!(rendered(text, &pairs, value), expected, "{text}");
        }
        let unknown = Template::parse(b"<A>".to_vec(), &placeholders(&pairs));
        assert_eq!(unknown.render(|_| None).unwrap_err(), "a");
    }

    #[test]
    fn a_placeholder_of_no_secret_is_noticed() {
        let stray = format!("<SOPS:{}:PLACEHOLDER>", "0f".repeat(32));
        let template = Template::parse(format!("x {stray} <SOPS:> y").into(), &BTreeMap::new());
        assert_eq!(template.strays(), std::slice::from_ref(&stray));
        let known = Template::parse(stray.clone().into(), &placeholders(&[("s", &stray)]));
        assert!(known.strays().is_empty());
        assert_eq!(known.names().collect::<Vec<_>>(), ["s"]);
    }

    proptest! {
        #[test]
        fn text_without_a_placeholder_is_left_as_it_is(text: Vec<u8>) {
            let template = Template::parse(text.clone(), &placeholders(&[("a", "\u{1F511}never")]));
            prop_assert_eq!(template.render(|_| Some(b"")).unwrap().to_vec(), text);
        }
    }
}
