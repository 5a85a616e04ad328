//! Owns the JSON text of a tree, as sops writes it. It must never leave a copy of it behind.

use zeroize::Zeroizing;

use super::node::{Node, pairs, values};
use super::number;
use super::sink::{self, Sink, Text};

/// The tree has no JSON form: a text is not UTF-8, or a number is not finite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a text is not UTF-8, or a number is not finite")]
pub(super) struct NotJsonText;

/// The JSON text as `sops decrypt` prints it: tabs, keys in order, no comments, and a last newline.
pub(super) fn write(node: &Node) -> Result<Zeroizing<Vec<u8>>, NotJsonText> {
    sink::collect(&Json(node))
}

struct Json<'a>(&'a Node);

impl Text for Json<'_> {
    type Error = NotJsonText;

    fn write(&self, sink: &mut impl Sink) -> Result<(), NotJsonText> {
        put(self.0, sink, 0)?;
        sink.put(b"\n");
        Ok(())
    }
}

fn put(node: &Node, sink: &mut impl Sink, depth: usize) -> Result<(), NotJsonText> {
    let inner = depth.saturating_add(1);
    match node {
        Node::Null => sink.put(b"null"),
        Node::Bool(flag) => sink.put(if *flag { b"true" } else { b"false" }),
        Node::Integer(number) => sink.put(Zeroizing::new(number.to_string()).as_bytes()),
        Node::Float(float) if float.is_finite() => sink.put(number::json(*float).as_bytes()),
        Node::Float(_) => return Err(NotJsonText),
        Node::Text(bytes) => put_text(std::str::from_utf8(bytes).map_err(|_| NotJsonText)?, sink),
        Node::Time(time) => put_text(time, sink),
        Node::List(items) => {
            let mut empty = true;
            for item in values(items) {
                sink.put(if empty { b"[" } else { b"," });
                new_line(sink, inner);
                put(item, sink, inner)?;
                empty = false;
            }
            if empty {
                sink.put(b"[]");
            } else {
                new_line(sink, depth);
                sink.put(b"]");
            }
        }
        Node::Map(entries) => {
            let mut empty = true;
            for (key, value) in pairs(entries) {
                sink.put(if empty { b"{" } else { b"," });
                new_line(sink, inner);
                put_text(key, sink);
                sink.put(b": ");
                put(value, sink, inner)?;
                empty = false;
            }
            if empty {
                sink.put(b"{}");
            } else {
                new_line(sink, depth);
                sink.put(b"}");
            }
        }
    }
    Ok(())
}

fn new_line(sink: &mut impl Sink, depth: usize) {
    sink.put(b"\n");
    for _ in 0..depth {
        sink.put(b"\t");
    }
}

fn put_text(text: &str, sink: &mut impl Sink) {
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
