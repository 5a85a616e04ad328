//! Owns the reading of YAML: a parser's events become documents of known layout. Depth is bounded, a key given twice
//! or that is no text is refused. It must never type a scalar or place a comment itself.

use std::collections::HashSet;

use granit_parser::{Event, Options, Parser, ScalarStyle, ScanError, Span, StructureStyle, options};

use super::layout::{Container, Document, End, Found, Place, Position, Slot, Value};
use super::{comments, expand, scalar};
use crate::sops::error::SopsError;
use crate::sops::format::Format;
use crate::sops::json::DEEPEST;
use crate::sops::node::{Branch, Node};

/// Reads every document of a file.
pub(in crate::sops) fn parse(bytes: &[u8]) -> Result<Vec<Branch>, SopsError> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let line = before.iter().filter(|byte| **byte == b'\n').count();
        syntax((line.saturating_add(1), 0))
    })?;
    let mut loader = Loader::new(text);
    for next in Parser::new_from_str_with_options(text, settings(text)) {
        let (event, span) = next.map_err(|error: ScanError| syntax(position(*error.marker())))?;
        loader.take(event, span)?;
    }
    let mut branches = Vec::with_capacity(loader.documents.len());
    let mut budget = expand::Budget::default();
    for mut document in loader.finish() {
        comments::place(&mut document);
        branches.push(expand::branch(document, &mut budget)?);
    }
    Ok(branches)
}

fn settings(text: &str) -> Options {
    options! {
        emit_comments: true,
        // There cannot be more of them than there are bytes.
        max_buffered_comment_events: text.len(),
        block_scalar_eof_without_line_feed: true,
        flow_nesting_limit: DEEPEST,
        block_nesting_limit: DEEPEST,
    }
}

pub(super) fn syntax((line, column): Position) -> SopsError {
    SopsError::Syntax {
        format: Format::Yaml,
        line,
        column: column.saturating_add(1),
    }
}

fn position(marker: granit_parser::Marker) -> Position {
    (marker.line(), marker.col())
}

struct Loader<'a> {
    lines: Vec<&'a str>,
    documents: Vec<Document>,
    stray: Vec<Found>,
    open: Vec<Level>,
}

/// An open container.
struct Level {
    container: usize,
    keys: HashSet<String>,
    /// The key whose value comes next.
    key: Option<(String, Position)>,
}

impl<'a> Loader<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            lines: text.split('\n').collect(),
            documents: Vec::new(),
            stray: Vec::new(),
            open: Vec::new(),
        }
    }

    /// The documents, each with the comments that stand in it.
    fn finish(self) -> Vec<Document> {
        let mut documents = self.documents;
        for comment in self.stray {
            let behind = documents
                .iter()
                .rposition(|document| document.begin <= comment.at);
            if let Some(document) = documents.get_mut(behind.unwrap_or(0)) {
                document.comments.push(comment);
            }
        }
        documents
    }

    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), SopsError> {
        let (begin, end) = (position(span.start), position(span.end));
        match event {
            Event::DocumentStart(explicit, _) => {
                let begin = if explicit { begin } else { (0, 0) };
                self.documents.push(Document {
                    begin,
                    ..Document::default()
                });
            }
            Event::Comment(text, _) => {
                let line = begin.0.checked_sub(1).and_then(|index| self.lines.get(index));
                let before = line.map_or("", |line| line);
                let alone = before.chars().take(begin.1).all(char::is_whitespace);
                self.stray.push(Found {
                    text: text.trim_end_matches('\r').to_owned(),
                    at: begin,
                    alone,
                });
            }
            Event::Scalar(text, style, anchor, tag) => {
                let node = scalar::resolve(&text, style, tag.as_deref()).ok_or_else(|| syntax(begin))?;
                let end = match style {
                    ScalarStyle::Literal | ScalarStyle::Folded => End::Block,
                    _ => End::Leaf(end),
                };
                self.leaf(Value::Leaf(node), anchor, begin, end)?;
            }
            Event::Alias(anchor) => self.leaf(Value::Alias(anchor), 0, begin, End::Leaf(end))?,
            Event::SequenceStart(style, anchor, _) => {
                self.enter(false, style, anchor, begin)?;
            }
            Event::MappingStart(style, anchor, _) => {
                self.enter(true, style, anchor, begin)?;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let level = self.open.pop();
                let container = level.and_then(|level| self.document()?.containers.get_mut(level.container));
                if let Some(container) = container {
                    container.end = end;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn document(&mut self) -> Option<&mut Document> {
        self.documents.last_mut()
    }

    fn leaf(&mut self, value: Value, anchor: usize, begin: Position, end: End) -> Result<(), SopsError> {
        let Some(level) = self.open.last_mut() else {
            // A document of nothing is one without entries (stores/yaml/store.go).
            return match value {
                Value::Leaf(Node::Null) => Ok(()),
                _ => Err(SopsError::NotAnObject),
            };
        };
        let container = level.container;
        let wants_key = self
            .documents
            .last()
            .and_then(|document| document.containers.get(container))
            .is_some_and(|found| found.is_map);
        if wants_key && level.key.is_none() {
            let Value::Leaf(node) = value else {
                return Err(SopsError::KeyNotText { line: begin.0 });
            };
            let key = node
                .as_str()
                .ok_or(SopsError::KeyNotText { line: begin.0 })?
                .to_owned();
            if !level.keys.insert(key.clone()) {
                return Err(SopsError::DuplicateKey { key });
            }
            level.key = Some((key, begin));
            return Ok(());
        }
        let key = level.key.take();
        self.push(container, key, value, anchor, begin, end);
        Ok(())
    }

    fn enter(
        &mut self,
        is_map: bool,
        style: StructureStyle,
        anchor: usize,
        begin: Position,
    ) -> Result<(), SopsError> {
        if self.open.len() >= DEEPEST {
            return Err(SopsError::TooDeep { limit: DEEPEST });
        }
        let parent = match self.open.last_mut() {
            None if !is_map => return Err(SopsError::NotAnObject),
            None => None,
            Some(level) => Some((level.container, level.key.take())),
        };
        let column = (style == StructureStyle::Block).then_some(begin.1);
        let Some(document) = self.document() else {
            return Err(syntax(begin));
        };
        let index = document.containers.len();
        let parent_is_map = parent
            .as_ref()
            .and_then(|(container, _)| document.containers.get(*container))
            .is_some_and(|found| found.is_map);
        if parent_is_map && matches!(&parent, Some((_, None))) {
            return Err(SopsError::KeyNotText { line: begin.0 });
        }
        document.containers.push(Container {
            is_map,
            column,
            parent: parent.as_ref().map(|(container, _)| *container),
            begin,
            end: (usize::MAX, 0),
            slots: Vec::new(),
            comments: Vec::new(),
        });
        if let Some((container, key)) = parent {
            self.push(
                container,
                key,
                Value::Container(index),
                anchor,
                begin,
                End::Container,
            );
        }
        self.open.push(Level {
            container: index,
            keys: HashSet::new(),
            key: None,
        });
        Ok(())
    }

    fn push(
        &mut self,
        container: usize,
        key: Option<(String, Position)>,
        value: Value,
        anchor: usize,
        begin: Position,
        end: End,
    ) {
        let Some(document) = self.documents.last_mut() else {
            return;
        };
        let Some(found) = document.containers.get_mut(container) else {
            return;
        };
        let (key, begin) = match key {
            Some((key, at)) => (Some(key), at),
            None => (None, begin),
        };
        document.order.push(Place {
            container,
            slot: found.slots.len(),
            begin,
            end,
        });
        found.slots.push(Slot {
            key,
            value,
            begin,
            anchor,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_typed() {
        let duplicate = |key: &str| SopsError::DuplicateKey { key: key.into() };
        for (text, expected) in [
            ("a: 1\na: 2\n", duplicate("a")),
            ("a: 1\n'a': 2\n", duplicate("a")),
            ("x: {b: 1, \"\\x62\": 2}\n", duplicate("b")),
            ("a: 1\n---\nb: 1\nb: 2\n", duplicate("b")),
            ("1: x\n", SopsError::KeyNotText { line: 1 }),
            ("a: 1\ntrue: x\n", SopsError::KeyNotText { line: 2 }),
            ("? [a]\n: x\n", SopsError::KeyNotText { line: 1 }),
            ("- a\n", SopsError::NotAnObject),
            ("text\n", SopsError::NotAnObject),
            ("a: [\n", syntax((1, 3))),
            ("a: !!int x\n", syntax((1, 9))),
            ("a: 18446744073709551615\n", syntax((1, 3))),
            ("a: *b\n", syntax((1, 3))),
        ] {
            assert_eq!(parse(text.as_bytes()), Err(expected), "{text}");
        }
        assert!(matches!(
            parse(b"a: \xff"),
            Err(SopsError::Syntax { line: 1, .. })
        ));
        for (open, close) in [("[", "]"), ("{a: ", "}")] {
            let deep = format!("a: {}{}", open.repeat(100), close.repeat(100));
            assert!(parse(deep.as_bytes()).is_err());
        }
        let block: String = (0..100)
            .map(|depth| format!("{}a:\n", " ".repeat(depth)))
            .collect();
        assert!(parse(block.as_bytes()).is_err());
    }
}
