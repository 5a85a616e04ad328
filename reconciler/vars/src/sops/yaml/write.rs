//! Owns the layout of YAML text: that of go-yaml v3 with sops' indentation of four, so that files that either wrote
//! differ in nothing but what changed. It must never write what would be read as another tree.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::quoting::{self, Style};
use crate::sops::error::SopsError;
use crate::sops::format::Format;
use crate::sops::node::{Branch, Comment, Entry, Item, Node, Place};
use crate::sops::number;
use crate::sops::sink::{self, Sink, Text};

/// sops' own indentation (stores/yaml/store.go).
const INDENT: usize = 4;

/// A longer key is written behind a `?` (emitterc.go, `check_simple_key`).
const LONGEST_SIMPLE_KEY: usize = 128;

/// The text of these documents.
pub(in crate::sops) fn write(branches: &[Branch]) -> Result<Zeroizing<Vec<u8>>, SopsError> {
    sink::collect(&Documents(branches)).map_err(|Unwritable| SopsError::Unwritable { format: Format::Yaml })
}

/// A comment that is not UTF-8.
struct Unwritable;

struct Documents<'a>(&'a [Branch]);

impl Text for Documents<'_> {
    type Error = Unwritable;

    fn write(&self, sink: &mut impl Sink) -> Result<(), Unwritable> {
        for (index, branch) in self.0.iter().enumerate() {
            if index > 0 {
                sink.put(b"---\n");
            }
            let mut writer = Writer { sink, fresh: false };
            if branch.iter().all(|entry| matches!(entry, Entry::Comment(_))) {
                for entry in branch {
                    if let Entry::Comment(comment) = entry {
                        writer.comment(comment, 0)?;
                    }
                }
                writer.sink.put(b"{}\n");
            } else {
                writer.map(branch, 0)?;
            }
        }
        Ok(())
    }
}

struct Writer<'s, S> {
    sink: &'s mut S,
    /// Whether the current line already stands where the next entry begins, behind a dash or a colon.
    fresh: bool,
}

impl<S: Sink> Writer<'_, S> {
    fn pad(&mut self, columns: usize) {
        for _ in 0..columns {
            self.sink.put(b" ");
        }
    }

    /// Begins an entry's line.
    fn line(&mut self, indent: usize) {
        if !std::mem::take(&mut self.fresh) {
            self.pad(indent);
        }
    }

    fn comment(&mut self, comment: &Comment, indent: usize) -> Result<(), Unwritable> {
        for line in lines(comment)? {
            self.line(indent);
            self.sink.put(b"#");
            self.sink.put(line.as_bytes());
            self.sink.put(b"\n");
        }
        Ok(())
    }

    fn map(&mut self, entries: &[Entry], indent: usize) -> Result<(), Unwritable> {
        let mut behind = Vec::new();
        for entry in entries {
            match entry {
                Entry::Comment(comment) if comment.place == Place::Behind => behind.push(comment),
                Entry::Comment(comment) => self.comment(comment, indent)?,
                Entry::Pair(key, value) => {
                    let behind = self.fitting(&mut behind, value, indent)?;
                    self.pair(key, value, behind, indent)?;
                }
            }
        }
        self.rest(behind, indent)
    }

    fn list(&mut self, items: &[Item], indent: usize) -> Result<(), Unwritable> {
        let mut behind = Vec::new();
        for item in items {
            match item {
                Item::Comment(comment) if comment.place == Place::Behind => behind.push(comment),
                Item::Comment(comment) => self.comment(comment, indent)?,
                Item::Value(value) => {
                    let behind = self.fitting(&mut behind, value, indent)?;
                    let (first, value) = hoisted(value);
                    for comment in first {
                        self.comment(comment, indent)?;
                    }
                    self.line(indent);
                    self.sink.put(b"-");
                    let inner = indent.saturating_add(2);
                    match value {
                        Below::Map(entries) => {
                            self.sink.put(b" ");
                            self.fresh = true;
                            self.map(entries, inner)?;
                        }
                        Below::List(items) => {
                            self.sink.put(b" ");
                            self.fresh = true;
                            self.list(items, inner)?;
                        }
                        Below::Leaf(leaf) => self.leaf(leaf, behind, indent, inner)?,
                    }
                }
            }
        }
        self.rest(behind, indent)
    }

    /// Of the comments that stand behind the next value the one that fits there; before it go those that do not.
    fn fitting<'a>(
        &mut self,
        behind: &mut Vec<&'a Comment>,
        value: &Node,
        indent: usize,
    ) -> Result<Option<&'a Comment>, Unwritable> {
        let mut fits = match Below::of(value) {
            Below::Leaf(_) => behind.pop(),
            Below::Map(_) | Below::List(_) => None,
        };
        if let Some(comment) = fits
            && lines(comment)?.len() > 1
        {
            behind.push(comment);
            fits = None;
        }
        for comment in behind.drain(..) {
            self.comment(comment, indent)?;
        }
        Ok(fits)
    }

    fn rest(&mut self, behind: Vec<&Comment>, indent: usize) -> Result<(), Unwritable> {
        for comment in behind {
            self.comment(comment, indent)?;
        }
        Ok(())
    }

    fn pair(
        &mut self,
        key: &str,
        value: &Node,
        behind: Option<&Comment>,
        indent: usize,
    ) -> Result<(), Unwritable> {
        let inner = next_indent(indent);
        let style = quoting::style(key);
        self.line(indent);
        let is_simple = style != Style::Literal && key.len() <= LONGEST_SIMPLE_KEY;
        if is_simple {
            self.text(key, style, None, indent, inner)?;
            self.sink.put(b":");
        } else {
            self.sink.put(b"? ");
            self.text(key, style, None, indent, inner)?;
            if style != Style::Literal {
                self.sink.put(b"\n");
            }
            self.pad(indent);
            self.sink.put(b":");
        }
        let below = Below::of(value);
        if !matches!(below, Below::Leaf(_)) {
            if is_simple {
                self.sink.put(b"\n");
            } else {
                self.pad(inner.saturating_sub(indent).saturating_sub(1));
                self.fresh = true;
            }
        }
        match below {
            Below::Map(entries) => self.map(entries, inner),
            Below::List(items) => self.list(items, inner),
            Below::Leaf(leaf) => self.leaf(leaf, behind, indent, inner),
        }
    }

    /// A value on the line of its key or dash, and the line's end.
    fn leaf(
        &mut self,
        node: &Node,
        behind: Option<&Comment>,
        indent: usize,
        inner: usize,
    ) -> Result<(), Unwritable> {
        self.sink.put(b" ");
        match node {
            Node::Null => self.sink.put(b"null"),
            Node::Bool(flag) => self.sink.put(if *flag { b"true" } else { b"false" }),
            Node::Integer(number) => self.sink.put(Zeroizing::new(number.to_string()).as_bytes()),
            Node::Float(number) if number.is_nan() => self.sink.put(b".nan"),
            Node::Float(number) if number.is_infinite() => {
                self.sink.put(if *number > 0.0 { b".inf" } else { b"-.inf" });
            }
            Node::Float(number) => self.sink.put(number::general(*number).as_bytes()),
            Node::Time(time) => self.sink.put(time.as_bytes()),
            Node::Text(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => {
                    let style = quoting::style(text);
                    self.text(text, style, behind, indent, inner)?;
                    if style == Style::Literal {
                        return Ok(());
                    }
                }
                Err(_) => {
                    self.sink.put(b"!!binary ");
                    let encoded = Zeroizing::new(STANDARD.encode(bytes));
                    self.sink.put(encoded.as_bytes());
                }
            },
            Node::Map(entries) => {
                self.empty([b"{", b"}"], entries.iter().map(Entry::as_comment), indent, inner)?;
            }
            Node::List(items) => {
                self.empty([b"[", b"]"], items.iter().map(Item::as_comment), indent, inner)?;
            }
        }
        if let Some(comment) = behind {
            self.behind(comment)?;
        }
        self.sink.put(b"\n");
        Ok(())
    }

    /// A map or list of nothing but comments.
    fn empty<'a>(
        &mut self,
        [open, close]: [&[u8]; 2],
        comments: impl Iterator<Item = Option<&'a Comment>>,
        indent: usize,
        inner: usize,
    ) -> Result<(), Unwritable> {
        self.sink.put(open);
        let mut any = false;
        for comment in comments.flatten() {
            if !any {
                self.sink.put(b"\n");
            }
            any = true;
            self.comment(comment, inner)?;
        }
        if any {
            self.pad(indent);
        }
        self.sink.put(close);
        Ok(())
    }

    fn behind(&mut self, comment: &Comment) -> Result<(), Unwritable> {
        for line in lines(comment)? {
            self.sink.put(b" #");
            self.sink.put(line.as_bytes());
        }
        Ok(())
    }

    /// A text; a literal one with its last line's end and, behind its announcement, its comment.
    fn text(
        &mut self,
        text: &str,
        style: Style,
        behind: Option<&Comment>,
        indent: usize,
        inner: usize,
    ) -> Result<(), Unwritable> {
        match style {
            // So that no reader merges what stands below it.
            Style::Plain if text == "<<" => self.sink.put(b"!!merge <<"),
            Style::Plain => self.sink.put(text.as_bytes()),
            Style::Single => {
                self.sink.put(b"'");
                for (index, part) in text.split('\'').enumerate() {
                    if index > 0 {
                        self.sink.put(b"''");
                    }
                    self.sink.put(part.as_bytes());
                }
                self.sink.put(b"'");
            }
            Style::Double => self.double(text),
            Style::Literal => {
                self.sink.put(b"|");
                if text.starts_with([' ', '\n']) {
                    let columns = inner.saturating_sub(indent);
                    self.sink.put(columns.to_string().as_bytes());
                }
                if !text.ends_with('\n') {
                    self.sink.put(b"-");
                } else if text == "\n" || text.ends_with("\n\n") {
                    self.sink.put(b"+");
                }
                if let Some(comment) = behind {
                    self.behind(comment)?;
                }
                self.sink.put(b"\n");
                for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
                    if !line.is_empty() {
                        self.pad(inner);
                        self.sink.put(line.as_bytes());
                    }
                    self.sink.put(b"\n");
                }
            }
        }
        Ok(())
    }

    fn double(&mut self, text: &str) {
        self.sink.put(b"\"");
        let mut buffer = [0; 4];
        for character in text.chars() {
            let escape: &[u8] = match character {
                '\0' => b"\\0",
                '\u{7}' => b"\\a",
                '\u{8}' => b"\\b",
                '\t' => b"\\t",
                '\n' => b"\\n",
                '\u{b}' => b"\\v",
                '\u{c}' => b"\\f",
                '\r' => b"\\r",
                '\u{1b}' => b"\\e",
                '"' => b"\\\"",
                '\\' => b"\\\\",
                '\u{85}' => b"\\N",
                '\u{2028}' => b"\\L",
                '\u{2029}' => b"\\P",
                other if quoting::is_printable(other) => other.encode_utf8(&mut buffer).as_bytes(),
                other => {
                    let code = u32::from(other);
                    let hexadecimal = Zeroizing::new(match code {
                        0..=0xff => format!("\\x{code:02X}"),
                        0x100..=0xffff => format!("\\u{code:04X}"),
                        _ => format!("\\U{code:08X}"),
                    });
                    self.sink.put(hexadecimal.as_bytes());
                    continue;
                }
            };
            self.sink.put(escape);
        }
        self.sink.put(b"\"");
    }
}

/// The column of what stands below a key (emitterc.go, `increase_indent`).
fn next_indent(indent: usize) -> usize {
    indent
        .saturating_add(INDENT)
        .div_euclid(INDENT)
        .saturating_mul(INDENT)
}

/// What is written on lines of its own below a key or dash, and what is not.
enum Below<'a> {
    Map(&'a [Entry]),
    List(&'a [Item]),
    Leaf(&'a Node),
}

impl<'a> Below<'a> {
    fn of(node: &'a Node) -> Self {
        match node {
            Node::Map(entries) if entries.iter().any(|entry| entry.as_comment().is_none()) => {
                Self::Map(entries)
            }
            Node::List(items) if items.iter().any(|item| item.as_comment().is_none()) => Self::List(items),
            leaf => Self::Leaf(leaf),
        }
    }
}

/// What a list's item begins with, and the rest: its first comments go above its dash.
fn hoisted(node: &Node) -> (Vec<&Comment>, Below<'_>) {
    match Below::of(node) {
        Below::Map(entries) => {
            let first: Vec<_> = entries
                .iter()
                .map_while(Entry::as_comment)
                .take_while(above)
                .collect();
            let rest = entries.get(first.len()..).unwrap_or_default();
            (first, Below::Map(rest))
        }
        Below::List(items) => {
            let first: Vec<_> = items
                .iter()
                .map_while(Item::as_comment)
                .take_while(above)
                .collect();
            let rest = items.get(first.len()..).unwrap_or_default();
            (first, Below::List(rest))
        }
        leaf @ Below::Leaf(_) => (Vec::new(), leaf),
    }
}

fn above(comment: &&Comment) -> bool {
    comment.place == Place::Above
}

fn lines(comment: &Comment) -> Result<Vec<&str>, Unwritable> {
    let text = std::str::from_utf8(&comment.text).map_err(|_| Unwritable)?;
    if text.contains(|character| character != '\n' && character != '\t' && !quoting::is_printable(character))
    {
        // sops writes them as they are; a break in there would end the comment.
        let breaks = ['\r', '\u{85}', '\u{2028}', '\u{2029}'];
        if text.contains(breaks) {
            return Err(Unwritable);
        }
    }
    Ok(text.split('\n').collect())
}
