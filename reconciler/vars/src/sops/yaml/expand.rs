//! Owns the way from a document's layout to its tree, aliases expanded within bounds. It must never make more of a
//! file than a multiple of its size allows.

use std::collections::HashMap;

use super::layout::{Container, Document, Slot, Value};
use super::load::syntax;
use crate::sops::error::SopsError;
use crate::sops::node::{Branch, Comment, Entry, Item, Node, pairs, values};
use crate::sops::store::LARGEST_FILE;

/// What aliases may still expand to, in bytes, keys and all.
pub(super) struct Budget(usize);

impl Default for Budget {
    fn default() -> Self {
        Self(LARGEST_FILE)
    }
}

/// What an entry weighs beside its text, in bytes.
const ENTRY: usize = 32;

/// The tree of a document.
pub(super) fn branch(document: Document, budget: &mut Budget) -> Result<Branch, SopsError> {
    let mut expansion = Expansion {
        containers: document.containers.into_iter().map(Some).collect(),
        anchors: HashMap::new(),
        budget,
    };
    let mut branch = match expansion.container(0)? {
        Some(Node::Map(branch)) => branch,
        _ => Branch::new(),
    };
    let rest = document.comments.into_iter();
    branch.extend(rest.map(|found| Entry::Comment(Comment::above(found.text))));
    Ok(branch)
}

struct Expansion<'a> {
    containers: Vec<Option<Container>>,
    anchors: HashMap<usize, (Node, usize)>,
    budget: &'a mut Budget,
}

impl Expansion<'_> {
    fn container(&mut self, index: usize) -> Result<Option<Node>, SopsError> {
        let Some(Container {
            is_map,
            slots,
            comments,
            ..
        }) = self.containers.get_mut(index).and_then(Option::take)
        else {
            return Ok(None);
        };
        let mut comments = comments.into_iter().peekable();
        let (mut entries, mut items) = (Branch::new(), Vec::new());
        for (
            position,
            Slot {
                key, value, anchor, ..
            },
        ) in slots.into_iter().enumerate()
        {
            while let Some((_, comment)) = comments.next_if(|(before, _)| *before <= position) {
                if is_map {
                    entries.push(Entry::Comment(comment));
                } else {
                    items.push(Item::Comment(comment));
                }
            }
            let value = self.value(value, anchor)?;
            match key {
                Some(key) => entries.push(Entry::Pair(key, value)),
                None => items.push(Item::Value(value)),
            }
        }
        Ok(Some(if is_map {
            entries.extend(comments.map(|(_, comment)| Entry::Comment(comment)));
            Node::Map(entries)
        } else {
            items.extend(comments.map(|(_, comment)| Item::Comment(comment)));
            Node::List(items)
        }))
    }

    fn value(&mut self, value: Value, anchor: usize) -> Result<Node, SopsError> {
        let node = match value {
            Value::Leaf(node) => node,
            // An alias inside of what it names finds nothing, as that is not complete.
            Value::Alias(name) => {
                let (node, weight) = self.anchors.get(&name).ok_or_else(|| syntax((0, 0)))?;
                let left = self.budget.0.checked_sub(*weight);
                self.budget.0 = left.ok_or(SopsError::TooLarge {
                    size: LARGEST_FILE,
                    limit: LARGEST_FILE,
                })?;
                node.clone()
            }
            Value::Container(index) => self.container(index)?.unwrap_or(Node::Null),
        };
        if anchor != 0 {
            // What is remembered is a copy as well.
            let weight = weight(&node);
            let left = self.budget.0.checked_sub(weight);
            self.budget.0 = left.ok_or(SopsError::TooLarge {
                size: LARGEST_FILE,
                limit: LARGEST_FILE,
            })?;
            self.anchors.insert(anchor, (node.clone(), weight));
        }
        Ok(node)
    }
}

fn weight(node: &Node) -> usize {
    let below = match node {
        Node::Text(bytes) => bytes.len(),
        Node::Map(entries) => pairs(entries)
            .map(|(key, value)| key.len().saturating_add(weight(value)))
            .fold(0, usize::saturating_add),
        Node::List(items) => values(items).map(weight).fold(0, usize::saturating_add),
        _ => 0,
    };
    below.saturating_add(ENTRY)
}

#[cfg(test)]
mod tests {
    use crate::sops::error::SopsError;
    use crate::sops::yaml::parse;

    #[test]
    fn aliases_are_expanded_and_a_billion_laughs_is_refused() {
        let plain = parse(b"a: {x: 1}\nb: {x: 1}\nc: [{x: 1}, {x: 1}]\n").unwrap();
        assert_eq!(parse(b"a: &n {x: 1}\nb: *n\nc: [*n, *n]\n").unwrap(), plain);
        let mut bomb = "l0: &l0 ha\n".to_owned();
        for level in 1..40_usize {
            let below = format!("*l{}, ", level - 1).repeat(10);
            bomb.push_str(&format!("l{level}: &l{level} [{below}]\n"));
        }
        assert!(matches!(parse(bomb.as_bytes()), Err(SopsError::TooLarge { .. })));
        assert!(parse(b"a: &a [*a]\n").is_err());
    }
}
