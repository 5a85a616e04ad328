//! Owns the reading of INI (gopkg.in/ini.v1, as stores/ini/store.go calls it). A key or a section given twice is
//! refused. It must never drop what stands behind a closing quote.

use std::collections::HashSet;
use std::str::Lines;

use crate::sops::error::SopsError;
use crate::sops::flat;
use crate::sops::format::Format;
use crate::sops::node::{self, Branch, Comment, Entry, Node};

/// What stands before the first section belongs to one of this name.
pub(super) const DEFAULT: &str = "DEFAULT";

/// Reads sections, each a map of texts. A section's comment is its first entry, a key's stands behind it.
pub(in crate::sops) fn parse(bytes: &[u8]) -> Result<Branch, SopsError> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
        syntax(
            before
                .iter()
                .filter(|byte| **byte == b'\n')
                .count()
                .saturating_add(1),
        )
    })?;
    let mut reader = Reader {
        lines: text.strip_prefix('\u{feff}').unwrap_or(text).lines(),
        number: 0,
        comment: String::new(),
    };
    let mut sections = vec![Section::new(DEFAULT)];
    while let Some(line) = reader.next() {
        let line = line.trim_start();
        if line.is_empty() {
            continue;
        }
        if line.starts_with(['#', ';']) {
            reader.note(line);
        } else if let Some(rest) = line.strip_prefix('[') {
            let (name, rest) = rest.rsplit_once(']').ok_or_else(|| reader.syntax())?;
            reader.note_rest(rest)?;
            if name.is_empty() {
                return Err(reader.syntax());
            }
            begin(&mut sections, name)?;
            if let Some(section) = sections.last_mut() {
                section.entries.extend(reader.taken().map(Entry::Comment));
            }
        } else {
            let (key, rest) = reader.key(line)?;
            let value = reader.value(rest)?;
            let Some(section) = sections.last_mut() else {
                return Err(reader.syntax());
            };
            if !section.keys.insert(key.to_owned()) {
                return Err(SopsError::DuplicateKey { key: key.to_owned() });
            }
            section
                .entries
                .push(Entry::Pair(key.to_owned(), Node::text(value)));
            section.entries.extend(reader.taken().map(Entry::Comment));
        }
    }
    let sections = sections.into_iter();
    Ok(sections
        .map(|section| Entry::Pair(section.name, Node::Map(section.entries)))
        .collect())
}

/// The first section is there without being named, and gives way to one that is.
fn begin(sections: &mut Vec<Section>, name: &str) -> Result<(), SopsError> {
    if let Some(index) = sections.iter().position(|section| section.name == name) {
        let is_silent = index == 0 && sections.first().is_some_and(|first| first.entries.is_empty());
        if name != DEFAULT || !is_silent {
            return Err(SopsError::DuplicateKey { key: name.to_owned() });
        }
        sections.remove(0);
    }
    sections.push(Section::new(name));
    Ok(())
}

struct Section {
    name: String,
    keys: HashSet<String>,
    entries: Branch,
}

impl Section {
    fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            keys: HashSet::new(),
            entries: Branch::new(),
        }
    }
}

fn syntax(line: usize) -> SopsError {
    SopsError::Syntax {
        format: Format::Ini,
        line,
        column: 1,
    }
}

struct Reader<'a> {
    lines: Lines<'a>,
    number: usize,
    /// The comment that belongs to what comes next.
    comment: String,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Option<&'a str> {
        self.number = self.number.saturating_add(1);
        self.lines.next()
    }

    fn syntax(&self) -> SopsError {
        syntax(self.number)
    }

    fn note(&mut self, line: &str) {
        self.comment.push_str(line);
        self.comment.push('\n');
    }

    /// What follows something complete: nothing, or a comment.
    fn note_rest(&mut self, rest: &str) -> Result<(), SopsError> {
        let rest = rest.trim();
        if rest.starts_with(['#', ';']) {
            self.note(rest);
        } else if !rest.is_empty() {
            return Err(self.syntax());
        }
        Ok(())
    }

    /// The comment, without the sign it begins with.
    fn taken(&mut self) -> Option<Comment> {
        let comment = std::mem::take(&mut self.comment);
        let text = comment.trim();
        let text = match text.chars().next()? {
            sign @ (';' | '#') => text.trim_start_matches([sign, ' ']),
            _ => text,
        };
        (!text.is_empty()).then(|| Comment::above(text))
    }

    /// A key and what follows its `=` or `:`. A mere dash would be numbered, and is refused.
    fn key(&self, line: &'a str) -> Result<(&'a str, &'a str), SopsError> {
        let long = line.len() >= 6 && line.starts_with("\"\"\"");
        let quote = if long {
            "\"\"\""
        } else if line.starts_with('"') {
            "\""
        } else if line.starts_with('`') {
            "`"
        } else {
            ""
        };
        let (key, rest) = if quote.is_empty() {
            line.split_once(['=', ':']).ok_or_else(|| self.syntax())?
        } else {
            let quoted = line.strip_prefix(quote).and_then(|rest| rest.split_once(quote));
            let (key, rest) = quoted.ok_or_else(|| self.syntax())?;
            let (between, rest) = rest.split_once(['=', ':']).ok_or_else(|| self.syntax())?;
            if !between.trim().is_empty() {
                return Err(self.syntax());
            }
            (key, rest)
        };
        match key.trim() {
            "" | "-" => Err(self.syntax()),
            key => Ok((key, rest)),
        }
    }

    fn value(&mut self, rest: &str) -> Result<String, SopsError> {
        let rest = rest.trim_start();
        let quote = if rest.starts_with("\"\"\"") {
            "\"\"\""
        } else if rest.starts_with('`') {
            "`"
        } else {
            return Ok(self.bare(rest.trim_end()));
        };
        let inner = rest.strip_prefix(quote).unwrap_or(rest);
        if let Some((value, after)) = inner.rsplit_once(quote) {
            self.note_rest(after)?;
            return Ok(value.to_owned());
        }
        let mut value = inner.to_owned();
        loop {
            value.push('\n');
            let line = self.next().ok_or_else(|| self.syntax())?;
            if let Some((last, after)) = line.rsplit_once(quote) {
                value.push_str(last);
                self.note_rest(after)?;
                return Ok(value);
            }
            value.push_str(line);
        }
    }

    fn bare(&mut self, text: &str) -> String {
        if let Some(first) = text.strip_suffix('\\') {
            return self.continued(first);
        }
        let text = match text.find(['#', ';']) {
            Some(at) => {
                let (value, comment) = text.split_at_checked(at).unwrap_or((text, ""));
                self.note(comment);
                value.trim_end()
            }
            None => text,
        };
        let surrounded = |quote: char| {
            let inner = text.strip_prefix(quote).and_then(|text| text.strip_suffix(quote));
            inner.filter(|inner| !inner.contains(quote))
        };
        surrounded('\'')
            .or_else(|| surrounded('"'))
            .unwrap_or(text)
            .to_owned()
    }

    fn continued(&mut self, first: &str) -> String {
        let mut value = first.to_owned();
        while let Some(line) = self.next() {
            let line = line.trim();
            match line.strip_suffix('\\') {
                Some(more) => value.push_str(more),
                None => {
                    value.push_str(line);
                    break;
                }
            }
        }
        value
    }
}

/// Takes the `sops` section out. Since sops 3.13 a newline may stand in it as it is; before, as `\n`.
pub(in crate::sops) fn take_section(branch: &mut Branch) -> Result<Branch, SopsError> {
    let is_section = |entry: &Entry| matches!(entry, Entry::Pair(key, _) if key == "sops");
    let index = branch.iter().position(is_section).ok_or(SopsError::NoMetadata)?;
    let Entry::Pair(_, Node::Map(section)) = branch.remove(index) else {
        return Err(SopsError::NoMetadata);
    };
    let fields = node::pairs(&section).map(|(key, value)| {
        let text = value.as_str().unwrap_or_default().replace("\\n", "\n");
        (key.to_owned(), Node::text(text))
    });
    flat::unflatten(fields.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(text: &str) -> Branch {
        let mut sections = parse(text.as_bytes()).unwrap();
        match sections.pop() {
            Some(Entry::Pair(_, Node::Map(entries))) => entries,
            _ => Branch::new(),
        }
    }

    #[test]
    fn values_are_read_as_sops_reads_them() {
        for (line, expected) in [
            ("a = b", "b"),
            ("a=b=c", "b=c"),
            ("a : b", "b"),
            ("a =   padded  ", "padded"),
            ("a =", ""),
            ("a = \"quoted\"", "quoted"),
            ("a = 'single'", "single"),
            ("a = \"two\" \"parts\"", "\"two\" \"parts\""),
            ("a = b # c", "b"),
            ("a = b;c", "b"),
            ("a = `b # c`", "b # c"),
            ("a = `b` # c", "b"),
            ("a = \"\"\"b\nc\n d\"\"\"", "b\nc\n d"),
            ("a = b\\\nc", "bc"),
            ("a = b\\\n c\\\n\nx = y", "bc"),
            ("a = \\n", "\\n"),
        ] {
            let entries = section(&format!("[s]\n{line}\n"));
            assert_eq!(
                node::get(&entries, "a").unwrap().as_str(),
                Some(expected),
                "{line}"
            );
        }
        let keys = section("`a=b` = 1\n\"c\" = 2\n\"\"\"d\"e\"\"\" = 3\n");
        assert_eq!(
            node::pairs(&keys).map(|(key, _)| key).collect::<Vec<_>>(),
            ["a=b", "c", "d\"e"]
        );
    }

    #[test]
    fn comments_go_with_what_follows_them() {
        let comment = |text: &str| Entry::Comment(Comment::above(text));
        let pair = |key: &str| Entry::Pair(key.into(), Node::text("1"));
        let entries = section("; of all\n[s]\n; one\n; two\na = 1\nb = 1 # behind\n# lost\n");
        assert_eq!(
            entries,
            [
                comment("of all"),
                pair("a"),
                comment("one\n; two"),
                pair("b"),
                comment("behind")
            ]
        );
    }

    #[test]
    fn refusals_are_typed() {
        let duplicate = |key: &str| SopsError::DuplicateKey { key: key.into() };
        for (text, expected) in [
            ("[s]\na=1\na=2\n", duplicate("a")),
            ("[s]\n[t]\n[s]\n", duplicate("s")),
            ("a=1\n[DEFAULT]\nb=1\n", duplicate("DEFAULT")),
            ("[s\n", syntax(1)),
            ("[s] x\n", syntax(1)),
            ("[]\n", syntax(1)),
            ("\nno sign\n", syntax(2)),
            ("= x\n", syntax(1)),
            ("- = x\n", syntax(1)),
            ("a = `b` c\n", syntax(1)),
            ("a = `b\nc\n", syntax(3)),
        ] {
            assert_eq!(parse(text.as_bytes()), Err(expected), "{text}");
        }
        assert_eq!(parse(b"[s]\na=\xff\n"), Err(syntax(2)));
        assert!(parse(b"[DEFAULT]\nb=1\n").is_ok());
    }
}
