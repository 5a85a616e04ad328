//! Owns a decrypted document and its JSON text. It must never appear in a `Debug` output.

use std::fmt;

use zeroize::Zeroizing;

use super::json::Node;

/// A decrypted JSON document, with its keys in order.
pub enum Plain {
    /// `null`.
    Null,
    /// A truth value.
    Bool(bool),
    /// A number without a fraction.
    Integer(i64),
    /// Any other number.
    Float(f64),
    /// A text, which may be any bytes.
    Text(Zeroizing<Vec<u8>>),
    /// A list.
    List(Vec<Plain>),
    /// An object.
    Map(Vec<(String, Plain)>),
}

impl fmt::Debug for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Plain([redacted])")
    }
}

/// Some text of a document is not UTF-8, so that it has no JSON form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a text is not UTF-8")]
pub struct NotText;

impl Plain {
    /// The JSON text as `sops decrypt` prints it: tabs, keys in order, and a last newline.
    ///
    /// # Errors
    /// [`NotText`] where a text is not UTF-8.
    pub fn to_json(&self) -> Result<Zeroizing<Vec<u8>>, NotText> {
        let mut length = Length(0);
        self.write(&mut length, 0)?;
        // Reserved at once: a growing vector would leave copies of the plaintext behind.
        let mut text = Zeroizing::new(Vec::with_capacity(length.0.saturating_add(1)));
        self.write(&mut *text, 0)?;
        text.push(b'\n');
        Ok(text)
    }

    /// The bytes under which sops hashes a leaf (sops.go `ToBytes`); `None` for what is no leaf.
    pub(super) fn hashed<T>(&self, hash: impl FnOnce(&[u8]) -> T) -> Option<T> {
        match self {
            Self::Null | Self::List(_) | Self::Map(_) => None,
            Self::Bool(flag) => Some(hash(if *flag { b"True" } else { b"False" })),
            Self::Integer(number) => Some(hash(Zeroizing::new(number.to_string()).as_bytes())),
            // Rust's shortest form without an exponent is Go's FormatFloat(x, 'f', -1, 64).
            Self::Float(number) => Some(hash(Zeroizing::new(number.to_string()).as_bytes())),
            Self::Text(bytes) => Some(hash(bytes)),
        }
    }

    /// Whether nothing of it is under a MAC: nulls, empty texts, and lists and objects of such.
    pub(super) fn is_unsealed(&self) -> bool {
        match self {
            Self::Null => true,
            Self::Text(bytes) => bytes.is_empty(),
            Self::List(items) => items.iter().all(Self::is_unsealed),
            Self::Map(entries) => entries.iter().all(|(_, value)| value.is_unsealed()),
            Self::Bool(_) | Self::Integer(_) | Self::Float(_) => false,
        }
    }

    fn write(&self, sink: &mut impl Sink, depth: usize) -> Result<(), NotText> {
        match self {
            Self::Null => sink.put(b"null"),
            Self::Bool(flag) => sink.put(if *flag { b"true" } else { b"false" }),
            Self::Integer(number) => sink.put(Zeroizing::new(number.to_string()).as_bytes()),
            Self::Float(number) => sink.put(go_float(*number).as_bytes()),
            Self::Text(bytes) => write_text(std::str::from_utf8(bytes).map_err(|_| NotText)?, sink),
            Self::List(items) if items.is_empty() => sink.put(b"[]"),
            Self::Map(entries) if entries.is_empty() => sink.put(b"{}"),
            Self::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    sink.put(if index == 0 { b"[" } else { b"," });
                    new_line(sink, depth.saturating_add(1));
                    item.write(sink, depth.saturating_add(1))?;
                }
                new_line(sink, depth);
                sink.put(b"]");
            }
            Self::Map(entries) => {
                for (index, (key, value)) in entries.iter().enumerate() {
                    sink.put(if index == 0 { b"{" } else { b"," });
                    new_line(sink, depth.saturating_add(1));
                    write_text(key, sink);
                    sink.put(b": ");
                    value.write(sink, depth.saturating_add(1))?;
                }
                new_line(sink, depth);
                sink.put(b"}");
            }
        }
        Ok(())
    }
}

/// Go's encoding/json turns to an exponent below 1e-6 and from 1e21 on.
fn go_float(number: f64) -> Zeroizing<String> {
    let size = number.abs();
    if size == 0.0 || (1e-6..1e21).contains(&size) {
        return Zeroizing::new(number.to_string());
    }
    let text = Zeroizing::new(format!("{number:e}"));
    Zeroizing::new(if size >= 1.0 {
        text.replace('e', "e+")
    } else {
        text.to_string()
    })
}

impl From<Node> for Plain {
    fn from(node: Node) -> Self {
        match node {
            Node::Null => Self::Null,
            Node::Bool(flag) => Self::Bool(flag),
            Node::Integer(number) => Self::Integer(number),
            Node::Float(number) => Self::Float(number),
            Node::Text(text) => Self::Text(text.into_bytes().into()),
            Node::List(items) => Self::List(items.into_iter().map(Self::from).collect()),
            Node::Map(entries) => Self::Map(
                entries
                    .into_iter()
                    .map(|(key, value)| (key, value.into()))
                    .collect(),
            ),
        }
    }
}

trait Sink {
    fn put(&mut self, bytes: &[u8]);
}

impl Sink for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

struct Length(usize);

impl Sink for Length {
    fn put(&mut self, bytes: &[u8]) {
        self.0 = self.0.saturating_add(bytes.len());
    }
}

fn new_line(sink: &mut impl Sink, depth: usize) {
    sink.put(b"\n");
    for _ in 0..depth {
        sink.put(b"\t");
    }
}

fn write_text(text: &str, sink: &mut impl Sink) {
    sink.put(b"\"");
    let mut buffer = [0; 4];
    for character in text.chars() {
        match character {
            '"' => sink.put(b"\\\""),
            '\\' => sink.put(b"\\\\"),
            '\n' => sink.put(b"\\n"),
            '\r' => sink.put(b"\\r"),
            '\t' => sink.put(b"\\t"),
            '\u{8}' => sink.put(b"\\b"),
            '\u{c}' => sink.put(b"\\f"),
            // Go's encoder escapes what HTML and JavaScript would take for more than text.
            '\0'..='\u{1f}' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                sink.put(format!("\\u{:04x}", u32::from(character)).as_bytes());
            }
            other => sink.put(other.encode_utf8(&mut buffer).as_bytes()),
        }
    }
    sink.put(b"\"");
}
