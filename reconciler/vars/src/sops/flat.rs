//! Owns the flattened form that the `sops` section has where a store knows no nesting: `age__list_0__map_enc`. It
//! must never take a key apart that is not of the section.

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use super::error::SopsError;
use super::node::{Branch, Entry, Item, Node, pairs, values};
use super::number;

/// Before a key of a map, and before an index of a list (stores/flatten.go).
const MAP: &str = "__map_";
const LIST: &str = "__list_";

/// How deep a section nests, and a bound on what a hostile key can ask for.
const DEEPEST: usize = 16;

/// A part of the section while it is put together.
#[derive(Default)]
struct Part {
    value: Option<Node>,
    keys: BTreeMap<String, Part>,
    indices: BTreeMap<usize, Part>,
}

enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

/// The section of these flat entries.
pub(super) fn unflatten(entries: Vec<(String, Node)>) -> Result<Branch, SopsError> {
    let malformed = SopsError::Metadata { field: "sops" };
    let mut root = Part::default();
    for (key, value) in entries {
        let mut part = &mut root;
        for step in steps(&key).ok_or_else(|| malformed.clone())? {
            part = match step {
                Step::Key(key) => part.keys.entry(key.to_owned()).or_default(),
                Step::Index(index) => part.indices.entry(index).or_default(),
            };
        }
        if part.value.replace(value).is_some() {
            return Err(SopsError::DuplicateKey { key });
        }
    }
    match node(root) {
        Some(Node::Map(section)) => Ok(section),
        _ => Err(malformed),
    }
}

fn steps(key: &str) -> Option<Vec<Step<'_>>> {
    let mut steps = Vec::new();
    let (mut rest, mut is_index) = (key, false);
    loop {
        if steps.len() >= DEEPEST {
            return None;
        }
        let next = [(MAP, false), (LIST, true)]
            .into_iter()
            .filter_map(|(mark, index)| Some((rest.find(mark)?, mark, index)))
            .min_by_key(|(at, ..)| *at);
        let (step, tail) = match next {
            Some((at, mark, index)) => (
                rest.get(..at)?,
                Some((rest.get(at.checked_add(mark.len())?..)?, index)),
            ),
            None => (rest, None),
        };
        steps.push(if is_index {
            Step::Index(step.parse().ok()?)
        } else {
            Step::Key(step)
        });
        match tail {
            Some(tail) => (rest, is_index) = tail,
            None => return Some(steps),
        }
    }
}

/// `None` where a part is two things at once, or a list has a hole.
fn node(part: Part) -> Option<Node> {
    let Part { value, keys, indices } = part;
    match (value, keys.is_empty(), indices.is_empty()) {
        (Some(value), true, true) => Some(value),
        (None, false, true) => {
            let entries = keys
                .into_iter()
                .map(|(key, part)| Some(Entry::Pair(key, node(part)?)));
            entries.collect::<Option<_>>().map(Node::Map)
        }
        (None, true, false) => {
            let items = indices.into_iter().enumerate();
            let items = items.map(|(place, (index, part))| {
                (place == index).then_some(())?;
                Some(Item::Value(node(part)?))
            });
            items.collect::<Option<_>>().map(Node::List)
        }
        _ => None,
    }
}

/// The flat entries of a section, in its order; what is empty disappears.
pub(super) fn flatten(section: &[Entry]) -> Vec<(String, Node)> {
    let mut entries = Vec::new();
    for (key, value) in pairs(section) {
        descend(key.to_owned(), value, &mut entries);
    }
    entries
}

fn descend(key: String, node: &Node, entries: &mut Vec<(String, Node)>) {
    match node {
        Node::Map(branch) => {
            for (inner, value) in pairs(branch) {
                descend(format!("{key}{MAP}{inner}"), value, entries);
            }
        }
        Node::List(items) => {
            for (index, value) in values(items).enumerate() {
                descend(format!("{key}{LIST}{index}"), value, entries);
            }
        }
        leaf => entries.push((key, leaf.clone())),
    }
}

/// A leaf as a store of texts has it (stores/stores.go, `ValToString`); `None` for a list, a map, or bytes that are
/// not UTF-8.
pub(super) fn scalar(node: &Node) -> Option<Zeroizing<String>> {
    Some(match node {
        Node::Null => Zeroizing::new("<nil>".to_owned()),
        Node::Bool(flag) => Zeroizing::new(flag.to_string()),
        Node::Integer(number) => Zeroizing::new(number.to_string()),
        Node::Float(float) => {
            let text = number::general(*float);
            if !float.is_finite() {
                text
            } else if text.contains(['.', 'e']) {
                Zeroizing::new(text.to_uppercase())
            } else {
                Zeroizing::new(format!("{}.0", *text))
            }
        }
        Node::Text(_) => Zeroizing::new(node.as_str()?.to_owned()),
        // Without its fraction.
        Node::Time(time) => Zeroizing::new(super::timestamp::canonical(time)?),
        Node::List(_) | Node::Map(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(key: &str) -> (String, Node) {
        (key.to_owned(), Node::text("x"))
    }

    #[test]
    fn a_section_survives_being_flattened() {
        let flat: Vec<_> = [
            "age__list_0__map_enc",
            "age__list_0__map_recipient",
            "age__list_1__map_enc",
            "key_groups__list_0__map_age__list_0__map_enc",
            "lastmodified",
            "mac",
        ]
        .map(text)
        .into();
        assert_eq!(flatten(&unflatten(flat.clone()).unwrap()), flat);
    }

    #[test]
    fn what_is_no_section_is_refused() {
        for keys in [
            &["age__list_1__map_enc"][..],
            &["age__list_x__map_enc"],
            &["age__list_0", "age__map_enc"],
            &["age", "age__map_enc"],
            &["age__list_99999999999999999999999999"],
            &["mac", "mac"],
            &[
                "a__map_a__map_a__map_a__map_a__map_a__map_a__map_a__map_a__map_a__map_a__map_a__map_a__map_a__map_a__map_a__map_a",
            ],
        ] {
            assert!(
                unflatten(keys.iter().map(|key| text(key)).collect()).is_err(),
                "{keys:?}"
            );
        }
    }

    #[test]
    fn leaves_are_written_as_go_writes_them() {
        for (node, expected) in [
            (Node::Null, "<nil>"),
            (Node::Bool(true), "true"),
            (Node::Float(12.0), "12.0"),
            (Node::Float(1e21), "1E+21"),
            (Node::Float(0.5), "0.5"),
            (
                Node::Time("2001-12-14T21:59:43.1Z".to_owned().into()),
                "2001-12-14T21:59:43Z",
            ),
        ] {
            assert_eq!(**scalar(&node).unwrap(), *expected);
        }
        assert!(scalar(&Node::Map(Vec::new())).is_none());
    }
}
