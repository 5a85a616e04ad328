//! Reading TOML so that a mistake is told with its line, its key and the key that was probably meant. It
//! owns the errors; the shapes that are read are their owners'.

use std::fmt;
use std::ops::Range;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer, ValueDeserializer};

/// Why a TOML text was not accepted. Lines are counted from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// Not TOML.
    #[error("line {line}: this is not TOML")]
    Syntax {
        /// The line.
        line: usize,
        /// What is wrong there.
        #[source]
        source: Cause,
    },
    /// A key that nobody reads.
    #[error("line {line}: unknown key `{key}`{}", meant(.closest))]
    UnknownKey {
        /// The line.
        line: usize,
        /// The key, with those of the tables around it.
        key: String,
        /// The known keys that are spelled alike, closest first; may be empty.
        closest: Vec<String>,
    },
    /// The text as a whole is not what is read, as where a key is missing that is in no table.
    #[error("cannot read the whole")]
    Whole {
        /// What is wrong.
        #[source]
        source: Cause,
    },
    /// A value that cannot be read, or a key that is missing in its table.
    #[error("line {line}: cannot read `{key}`")]
    Value {
        /// The line.
        line: usize,
        /// The key, with those of the tables around it.
        key: String,
        /// What is wrong with the value.
        #[source]
        source: Cause,
    },
    /// A value where a table must be.
    #[error("line {line}: `{key}` must be a table")]
    NotATable {
        /// The line.
        line: usize,
        /// The key.
        key: String,
    },
}

/// What the TOML reader says, in one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause(toml::de::Error);

impl fmt::Display for Cause {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The reader's own text form spans lines and repeats the position.
        formatter.write_str(self.0.message())
    }
}

impl std::error::Error for Cause {}

/// Reads a value of a type that denies unknown fields from the whole text.
///
/// # Errors
/// [`DocumentError`] with the line and the key of the first mistake.
pub fn read<T: DeserializeOwned>(text: &str) -> Result<T, DocumentError> {
    let (document, root) = Document::parse(text)?;
    document.table(root, &[])
}

/// A text that is TOML, and where its keys stand in it.
#[derive(Debug)]
pub(crate) struct Document<'t> {
    text: &'t str,
    /// Where errors about the outermost table are said to be.
    root: Range<usize>,
    places: Vec<Place>,
}

/// A key and the part of the text that it or its value takes up.
#[derive(Debug)]
struct Place {
    key: String,
    at: Range<usize>,
}

impl<'t> Document<'t> {
    pub(crate) fn parse(text: &'t str) -> Result<(Self, Spanned<DeTable<'t>>), DocumentError> {
        let root = DeTable::parse(text).map_err(|source| DocumentError::Syntax {
            line: line(text, source.span().map_or(0, |span| span.start)),
            source: Cause(source),
        })?;
        let mut places = Vec::new();
        collect(root.get_ref(), "", &mut places);
        Ok((
            Self {
                text,
                root: root.span(),
                places,
            },
            root,
        ))
    }

    /// Reads a table; `siblings` are keys that were taken out of it before.
    pub(crate) fn table<T: DeserializeOwned>(
        &self,
        table: Spanned<DeTable<'_>>,
        siblings: &[&str],
    ) -> Result<T, DocumentError> {
        T::deserialize(Deserializer::from(table)).map_err(|error| self.explain(error, siblings))
    }

    pub(crate) fn value<T: DeserializeOwned>(&self, value: Spanned<DeValue<'_>>) -> Result<T, DocumentError> {
        T::deserialize(ValueDeserializer::from(value)).map_err(|error| self.explain(error, &[]))
    }

    pub(crate) fn unknown_key(&self, key: &str, at: &Range<usize>, known: &[&str]) -> DocumentError {
        DocumentError::UnknownKey {
            line: line(self.text, at.start),
            key: self.key_at(at).unwrap_or(key).to_owned(),
            closest: closest(key, known),
        }
    }

    pub(crate) fn not_a_table(&self, key: &str, at: usize) -> DocumentError {
        DocumentError::NotATable {
            line: line(self.text, at),
            key: key.to_owned(),
        }
    }

    fn explain(&self, error: toml::de::Error, siblings: &[&str]) -> DocumentError {
        let at = error.span().unwrap_or_else(|| self.root.clone());
        if let Some((key, known)) = unknown_field(error.message()) {
            let known: Vec<&str> = known.into_iter().chain(siblings.iter().copied()).collect();
            return self.unknown_key(key, &at, &known);
        }
        match self.key_at(&at) {
            Some(key) if at != self.root => DocumentError::Value {
                line: line(self.text, at.start),
                key: key.to_owned(),
                source: Cause(error),
            },
            _ => DocumentError::Whole { source: Cause(error) },
        }
    }

    /// The innermost key that stands at the place, or whose value does.
    fn key_at(&self, at: &Range<usize>) -> Option<&str> {
        self.places
            .iter()
            .filter(|place| place.at.start <= at.start && at.end <= place.at.end)
            .min_by_key(|place| place.at.len())
            .map(|place| place.key.as_str())
    }
}

fn collect(table: &DeTable<'_>, prefix: &str, places: &mut Vec<Place>) {
    for (key, value) in table {
        let name = key.get_ref();
        let path = if prefix.is_empty() {
            name.to_string()
        } else {
            format!("{prefix}.{name}")
        };
        for at in [key.span(), value.span()] {
            places.push(Place {
                key: path.clone(),
                at,
            });
        }
        collect_value(value.get_ref(), &path, places);
    }
}

fn collect_value(value: &DeValue<'_>, path: &str, places: &mut Vec<Place>) {
    match value {
        DeValue::Table(inner) => collect(inner, path, places),
        DeValue::Array(items) => {
            for item in items {
                collect_value(item.get_ref(), path, places);
            }
        }
        _ => {}
    }
}

/// The field and the known fields of serde's ``unknown field `x`, expected one of `a`, `b` ``, the form
/// that `serde::de::Error::unknown_field` documents by its implementation.
fn unknown_field(message: &str) -> Option<(&str, Vec<&str>)> {
    let (field, expected) = message
        .strip_prefix("unknown field `")?
        .split_once("`, expected ")?;
    Some((field, expected.split('`').skip(1).step_by(2).collect()))
}

/// The known keys within half of the longer key's length in edits, closest first.
fn closest(wanted: &str, known: &[&str]) -> Vec<String> {
    let mut ranked: Vec<(usize, &str)> = known
        .iter()
        .map(|key| (strsim::damerau_levenshtein(wanted, key), *key))
        .filter(|(distance, key)| distance * 2 <= wanted.chars().count().max(key.chars().count()))
        .collect();
    ranked.sort_unstable();
    ranked.into_iter().map(|(_, key)| key.to_owned()).collect()
}

fn meant(closest: &[String]) -> String {
    closest
        .first()
        .map(|key| format!("; did you mean `{key}`?"))
        .unwrap_or_default()
}

fn line(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only the errors of reading it are of interest")]
    struct Outer {
        name: String,
        #[serde(default)]
        inner: BTreeMap<String, Inner>,
        list: Option<Vec<Inner>>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only the errors of reading it are of interest")]
    struct Inner {
        port: Option<u16>,
    }

    #[test]
    fn places_of_mistakes() {
        let cases = [
            ("port = 1", "line 1: unknown key `port`"),
            ("\n\nnam = 'x'", "line 3: unknown key `nam`; did you mean `name`?"),
            ("list = []", "cannot read the whole"),
            (
                "name = 'x'\n[inner.a]\nport = 70000",
                "line 3: cannot read `inner.a.port`",
            ),
            (
                "name = 'x'\n[inner.'a.b']\nprot = 7",
                "line 3: unknown key `inner.a.b.prot`; did you mean `port`?",
            ),
            (
                "name = 'x'\ninner.a.prot = 7",
                "line 2: unknown key `inner.a.prot`; did you mean `port`?",
            ),
            (
                "name = 'x'\n[[list]]\nport = 1\n[[list]]\nprot = 7",
                "line 5: unknown key `list.prot`; did you mean `port`?",
            ),
            ("name = 'x'\nname = 'y'", "line 2: this is not TOML"),
            ("name = 'ä'\nlist = 'ö'", "line 2: cannot read `list`"),
        ];
        for (text, expected) in cases {
            assert_eq!(read::<Outer>(text).unwrap_err().to_string(), expected, "{text}");
        }
        assert_eq!(read::<Outer>("name = 'x'").unwrap().name, "x");
    }

    proptest::proptest! {
        #[test]
        fn no_text_is_too_odd(text in "[a-z=\\[\\]{}.'\"\n 0-9ä-]{0,60}") {
            let _ = read::<Outer>(&text);
        }
    }
}
