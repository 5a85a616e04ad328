//! Owns the INI text of a tree: the layout of sops' ini package, with quotes that read back. It must never write what
//! would be read as another value.

use zeroize::Zeroizing;

use super::read::{DEFAULT, parse};
use crate::sops::error::SopsError;
use crate::sops::flat;
use crate::sops::format::Format;
use crate::sops::node::{Branch, Comment, Entry, Node, pairs};
use crate::sops::sink::{self, Sink, Text};

/// The text of these sections.
pub(in crate::sops) fn write(branch: &Branch) -> Result<Zeroizing<Vec<u8>>, SopsError> {
    let unwritable = || SopsError::Unwritable { format: Format::Ini };
    let text = sink::collect(&Sections(branch)).map_err(|Unwritable| unwritable())?;
    match parse(&text) {
        Ok(read) if same(&read, branch) => Ok(text),
        _ => Err(unwritable()),
    }
}

/// The flat `sops` section, newlines as `\n`.
pub(in crate::sops) fn write_section(section: &[Entry]) -> Branch {
    let flat = flat::flatten(section).into_iter();
    flat.map(|(key, value)| {
        let text = flat::scalar(&value).unwrap_or_default().replace('\n', "\\n");
        Entry::Pair(key, Node::text(text))
    })
    .collect()
}

/// Types are lost, and comments that are of no key; values are not.
fn same(read: &[Entry], written: &[Entry]) -> bool {
    leaves(read) == leaves(written)
}

type Leaf<'a> = (&'a str, &'a str, Option<Zeroizing<String>>);

/// Every value with its section and key; of an empty section but its name.
fn leaves(branch: &[Entry]) -> Vec<Leaf<'_>> {
    let mut leaves = Vec::new();
    for (name, value) in pairs(branch) {
        let Node::Map(entries) = value else {
            continue;
        };
        let before = leaves.len();
        leaves.extend(pairs(entries).map(|(key, value)| (name, key, flat::scalar(value))));
        if leaves.len() == before && name != DEFAULT {
            leaves.push((name, "", None));
        }
    }
    leaves
}

/// A value that is no text, a section that is no map, or a name that cannot be quoted.
struct Unwritable;

struct Sections<'a>(&'a [Entry]);

impl Text for Sections<'_> {
    type Error = Unwritable;

    fn write(&self, sink: &mut impl Sink) -> Result<(), Unwritable> {
        let mut sections = self
            .0
            .iter()
            .filter(|entry| entry.as_comment().is_none())
            .peekable();
        let mut first = true;
        while let Some(entry) = sections.next() {
            let Entry::Pair(name, Node::Map(entries)) = entry else {
                return Err(Unwritable);
            };
            let (comment, entries) = match entries.split_first() {
                Some((Entry::Comment(comment), rest)) => (Some(comment), rest),
                _ => (None, entries.as_slice()),
            };
            if let Some(comment) = comment {
                put_comment(comment, sink)?;
            }
            let is_silent = std::mem::take(&mut first) && name == DEFAULT;
            if is_silent && pairs(entries).next().is_none() {
                continue;
            }
            if !is_silent {
                put_all(sink, [b"[", name.as_bytes(), b"]\n"]);
            }
            put_entries(entries, sink)?;
            if sections.peek().is_some() {
                sink.put(b"\n");
            }
        }
        Ok(())
    }
}

fn put_all<const N: usize>(sink: &mut impl Sink, parts: [&[u8]; N]) {
    for part in parts {
        sink.put(part);
    }
}

fn put_entries(entries: &[Entry], sink: &mut impl Sink) -> Result<(), Unwritable> {
    let width = pairs(entries)
        .map(|(key, _)| quoted_key(key).len())
        .max()
        .unwrap_or(0);
    for (index, entry) in entries.iter().enumerate() {
        let Entry::Pair(key, value) = entry else {
            continue;
        };
        // The last of the comments behind it.
        let after = entries.get(index.saturating_add(1)..).unwrap_or_default();
        if let Some(comment) = after.iter().map_while(Entry::as_comment).last() {
            put_comment(comment, sink)?;
        }
        let key = quoted_key(key);
        let value = quoted(&flat::scalar(value).ok_or(Unwritable)?)?;
        let pad = " ".repeat(width.saturating_sub(key.len()));
        put_all(
            sink,
            [key.as_bytes(), pad.as_bytes(), b" = ", value.as_bytes(), b"\n"],
        );
    }
    Ok(())
}

fn put_comment(comment: &Comment, sink: &mut impl Sink) -> Result<(), Unwritable> {
    let text = std::str::from_utf8(&comment.text).map_err(|_| Unwritable)?;
    for line in text.lines() {
        let (sign, line) = match line.chars().next() {
            Some(sign @ ('#' | ';')) => (sign, line.strip_prefix(sign).unwrap_or(line)),
            _ => (';', line),
        };
        let sign = if sign == '#' { b"# " } else { b"; " };
        put_all(sink, [sign, line.trim().as_bytes(), b"\n"]);
    }
    Ok(())
}

fn quoted_key(key: &str) -> String {
    if key.contains(['"', '=', ':']) {
        format!("`{key}`")
    } else if key.contains('`') {
        format!("\"\"\"{key}\"\"\"")
    } else {
        key.to_owned()
    }
}

/// The value as the ini package would write it, or in the first other quotes that read back.
fn quoted(value: &str) -> Result<Zeroizing<String>, Unwritable> {
    let usual = if value.contains(['\n', '`']) {
        ["\"\"\"", "`"]
    } else if value.contains(['#', ';']) {
        ["`", "\"\"\""]
    } else if value.trim() != value {
        ["\"", "`"]
    } else {
        ["", "`"]
    };
    let others = ["\"\"\"", "'"];
    let mut tried = usual
        .into_iter()
        .chain(others)
        .map(|quote| Zeroizing::new(format!("{quote}{value}{quote}")));
    tried.find(|text| reads_back(text, value)).ok_or(Unwritable)
}

fn reads_back(text: &str, value: &str) -> bool {
    let line = Zeroizing::new(format!("k = {text}\n"));
    match parse(line.as_bytes()) {
        Ok(sections) => match sections.as_slice() {
            [Entry::Pair(_, Node::Map(entries))] => match entries.as_slice() {
                [Entry::Pair(_, read)] => read.as_str() == Some(value),
                _ => false,
            },
            _ => false,
        },
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::proptest;

    use super::*;

    #[test]
    fn as_the_ini_package_writes_it() {
        let text = "; top\nglobal = 1\n\n; about\n[one]\n; of k\nk    = v\nlong = `a # b`\nm    = \"\"\"a\nb\"\"\"\ne    = \n\n[two]\nx = 1\n";
        assert_eq!(
            write(&parse(text.as_bytes()).unwrap()).unwrap().as_slice(),
            text.as_bytes()
        );
    }

    #[test]
    fn what_the_ini_package_would_lose_is_quoted() {
        for value in ["\"quoted\"", "'single'", "a\\", " a", "# a", "`a`", "a`#b"] {
            let branch = vec![Entry::Pair(
                "s".into(),
                Node::Map(vec![Entry::Pair("k".into(), Node::text(value))]),
            )];
            let text = write(&branch).unwrap();
            let read = parse(&text).unwrap();
            assert!(same(&read, &branch), "{value} {}", String::from_utf8_lossy(&text));
        }
        let hopeless = vec![Entry::Pair(
            "s".into(),
            Node::Map(vec![Entry::Pair("-".into(), Node::text("x"))]),
        )];
        assert!(write(&hopeless).is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_written_to_read_back_or_refused(key in "[a-z`\"=: #;-]{1,4}", value in "[a\n\\\\ \t#;`\"'=é]{0,8}") {
            let branch = vec![Entry::Pair("s".into(), Node::Map(vec![Entry::Pair(key, Node::text(value))]))];
            if let Ok(text) = write(&branch) {
                assert!(same(&parse(&text).unwrap(), &branch));
            }
        }
    }
}
