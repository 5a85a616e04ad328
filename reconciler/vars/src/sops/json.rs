//! Owns the strict reading of JSON: order is kept, a key given twice is refused, depth is bounded. It
//! must never know what sops is.

use std::cell::RefCell;
use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};

use super::error::SopsError;
use super::format::Format;
use super::node::{Entry, Item, Node};

/// serde_json stops at 128 by itself; sops files have a handful of levels.
pub(super) const DEEPEST: usize = 64;

/// Reads a document.
pub(super) fn parse(bytes: &[u8]) -> Result<Node, SopsError> {
    let refusal = RefCell::new(None);
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let outcome = Strict {
        refusal: &refusal,
        depth: 0,
    }
    .deserialize(&mut deserializer)
    .and_then(|node| deserializer.end().map(|()| node));
    outcome.map_err(|error| {
        refusal.take().unwrap_or_else(|| {
            if error.is_eof() {
                SopsError::Truncated
            } else {
                SopsError::Syntax {
                    format: Format::Json,
                    line: error.line(),
                    column: error.column(),
                }
            }
        })
    })
}

/// Carries the typed reason past serde, whose errors hold only text.
#[derive(Clone, Copy)]
struct Strict<'a> {
    refusal: &'a RefCell<Option<SopsError>>,
    depth: usize,
}

impl Strict<'_> {
    fn refuse<E: serde::de::Error>(&self, reason: SopsError) -> E {
        let error = E::custom("refused");
        self.refusal.replace(Some(reason));
        error
    }

    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth >= DEEPEST {
            return Err(self.refuse(SopsError::TooDeep { limit: DEEPEST }));
        }
        Ok(Self {
            depth: self.depth.saturating_add(1),
            ..self
        })
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Bool(value))
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Integer(value))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Node, E> {
        // sops falls back to float64 beyond int64 (stores/json/store.go).
        Ok(i64::try_from(value).map_or(Node::Float(value as f64), Node::Integer))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Float(value))
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Node, E> {
        Ok(Node::text(value))
    }

    fn visit_string<E: serde::de::Error>(self, value: String) -> Result<Node, E> {
        Ok(Node::text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let inner = self.deeper()?;
        let mut items = Vec::new();
        while let Some(item) = access.next_element_seed(inner)? {
            items.push(Item::Value(item));
        }
        Ok(Node::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let inner = self.deeper()?;
        let mut seen = std::collections::HashSet::new();
        let mut entries = Vec::new();
        while let Some(key) = access.next_key::<String>()? {
            if !seen.insert(key.clone()) {
                return Err(self.refuse(SopsError::DuplicateKey { key }));
            }
            let value = access.next_value_seed(inner)?;
            entries.push(Entry::Pair(key, value));
        }
        Ok(Node::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_typed() {
        let syntax = |column| SopsError::Syntax {
            format: Format::Json,
            line: 1,
            column,
        };
        for (text, expected) in [
            (r#"{"a":1,"a":2}"#, SopsError::DuplicateKey { key: "a".into() }),
            (
                r#"{"a":1,"\u0061":2}"#,
                SopsError::DuplicateKey { key: "a".into() },
            ),
            (
                r#"{"x":[{"b":{},"b":{}}]}"#,
                SopsError::DuplicateKey { key: "b".into() },
            ),
            (r#"{"a":"#, SopsError::Truncated),
            ("", SopsError::Truncated),
            (r#"{"a":1} x"#, syntax(9)),
            ("key: value", syntax(1)),
        ] {
            assert_eq!(parse(text.as_bytes()), Err(expected), "{text}");
        }
        let deep = "[".repeat(DEEPEST + 1);
        assert_eq!(parse(deep.as_bytes()), Err(SopsError::TooDeep { limit: DEEPEST }));
    }

    #[test]
    fn numbers_are_typed_as_sops_types_them() {
        let parsed = parse(b"[9223372036854775807, 9223372036854775808, -1, 1.0, 1e3]").unwrap();
        let expected = [
            Node::Integer(i64::MAX),
            Node::Float(9_223_372_036_854_775_808.0),
            Node::Integer(-1),
            Node::Float(1.0),
            Node::Float(1000.0),
        ];
        assert_eq!(parsed, Node::List(expected.map(Item::Value).to_vec()));
    }
}
