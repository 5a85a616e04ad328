//! Owns the dotenv store: lines of `KEY=value`, comments, and a flattened `sops` section. It must never take
//! quotes for more than characters.

use std::collections::HashSet;

use zeroize::Zeroizing;

use super::error::SopsError;
use super::flat;
use super::format::Format;
use super::node::{Branch, Comment, Entry, Node};

/// What the keys of the `sops` section begin with (stores/metadata.go).
const PREFIX: &str = "sops_";

/// Reads lines: empty ones are skipped, `#` in the first column begins a comment, the first `=` ends a key, and
/// `\n` in a value is a newline (stores/dotenv/store.go).
pub(super) fn parse(bytes: &[u8]) -> Result<Branch, SopsError> {
    let mut branch = Branch::new();
    let mut seen = HashSet::new();
    for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let malformed = |column| SopsError::Syntax {
            format: Format::Dotenv,
            line: index.saturating_add(1),
            column,
        };
        match line.split_first() {
            None => continue,
            Some((b'#', text)) => branch.push(Entry::Comment(Comment::above(text))),
            Some(_) => {
                let sign = line.iter().position(|byte| *byte == b'=');
                let (key, rest) = line.split_at(sign.ok_or_else(|| malformed(line.len()))?);
                let key = std::str::from_utf8(key).map_err(|_| malformed(1))?;
                if !seen.insert(key) {
                    return Err(SopsError::DuplicateKey { key: key.to_owned() });
                }
                let value = unescaped(rest.get(1..).unwrap_or_default());
                branch.push(Entry::Pair(key.to_owned(), Node::Text(value)));
            }
        }
    }
    Ok(branch)
}

/// Takes the `sops` section out.
pub(super) fn take_section(branch: &mut Branch) -> Result<Branch, SopsError> {
    let mut section = Vec::new();
    let mut others = Branch::new();
    for entry in branch.drain(..) {
        match entry {
            Entry::Pair(key, value) => match key.strip_prefix(PREFIX) {
                Some(field) => section.push((field.to_owned(), value)),
                None => others.push(Entry::Pair(key, value)),
            },
            comment => others.push(comment),
        }
    }
    *branch = others;
    if section.is_empty() {
        return Err(SopsError::NoMetadata);
    }
    flat::unflatten(section)
}

/// The flat `sops` section.
pub(super) fn write_section(section: &[Entry]) -> Branch {
    let flat = flat::flatten(section).into_iter();
    flat.map(|(key, value)| Entry::Pair(format!("{PREFIX}{key}"), value))
        .collect()
}

/// The lines of a tree.
pub(super) fn write(branch: &[Entry]) -> Result<Zeroizing<Vec<u8>>, SopsError> {
    let unwritable = SopsError::Unwritable {
        format: Format::Dotenv,
    };
    let mut lines = Vec::with_capacity(branch.len());
    for entry in branch {
        lines.push(match entry {
            Entry::Comment(comment) => [b"#", comment.text.as_slice()].concat().into(),
            Entry::Pair(key, value) => {
                let value = written(value).ok_or_else(|| unwritable.clone())?;
                Zeroizing::new([key.as_bytes(), b"=", &value].concat())
            }
        });
    }
    let length = lines
        .iter()
        .map(|line: &Zeroizing<Vec<u8>>| line.len().saturating_add(1))
        .sum();
    let mut text = Zeroizing::new(Vec::with_capacity(length));
    for line in lines {
        text.extend_from_slice(&line);
        text.push(b'\n');
    }
    // What would be read as something else is not written: a line break in a key, or a key that is a comment.
    match parse(&text) {
        Ok(read) if same(&read, branch) => Ok(text),
        _ => Err(unwritable),
    }
}

/// Types are lost, and so is nothing else.
fn same(read: &[Entry], branch: &[Entry]) -> bool {
    read.len() == branch.len()
        && read.iter().zip(branch).all(|pair| match pair {
            (Entry::Comment(read), Entry::Comment(written)) => read.text == written.text,
            (Entry::Pair(read, _), Entry::Pair(written, _)) => read == written,
            _ => false,
        })
}

/// A leaf as sops' `ValToString` has it; `None` for what is none.
fn written(node: &Node) -> Option<Zeroizing<Vec<u8>>> {
    match node {
        Node::Text(bytes) => Some(escaped(bytes)),
        other => flat::scalar(other).map(|text| Zeroizing::new(text.as_bytes().to_vec())),
    }
}

fn unescaped(bytes: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut text = Zeroizing::new(Vec::with_capacity(bytes.len()));
    let mut rest = bytes;
    while let Some((first, tail)) = rest.split_first() {
        match tail.split_first() {
            Some((b'n', after)) if *first == b'\\' => {
                text.push(b'\n');
                rest = after;
            }
            _ => {
                text.push(*first);
                rest = tail;
            }
        }
    }
    text
}

fn escaped(bytes: &[u8]) -> Zeroizing<Vec<u8>> {
    let breaks = bytes.iter().filter(|byte| **byte == b'\n').count();
    let mut text = Zeroizing::new(Vec::with_capacity(bytes.len().saturating_add(breaks)));
    for byte in bytes {
        match byte {
            b'\n' => text.extend_from_slice(b"\\n"),
            other => text.push(*other),
        }
    }
    text
}
