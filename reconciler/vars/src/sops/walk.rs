//! Owns the order in which sops visits a tree, and what it knows of each place: its path and the comments above
//! it. It must never look into a value.

use super::node::{Branch, Comment, Entry, Item, Node};

/// Where a visitor is: the keys on the way, and for each level the comments since the last value.
///
/// A list's items have the path of the list itself, and a comment that of the map or list it stands in
/// (sops.go, `walkBranch`, `walkSlice`).
#[derive(Debug, Default)]
pub(super) struct Spot<'a> {
    pub(super) path: Vec<&'a str>,
    pub(super) comments: Vec<Vec<&'a [u8]>>,
}

/// What a visitor is shown.
#[derive(Debug, Clone, Copy)]
pub(super) enum Leaf<'a> {
    /// The value of a key.
    Value(&'a Node),
    /// A value in a list.
    Item(&'a Node),
    /// A comment among the keys of a map.
    Comment(&'a Comment),
    /// A comment in a list; sealed, it becomes a value there.
    ItemComment(&'a Comment),
}

impl Leaf<'_> {
    pub(super) fn is_comment(self) -> bool {
        matches!(self, Self::Comment(_) | Self::ItemComment(_))
    }
}

/// What a visitor makes of a leaf.
#[derive(Debug)]
pub(super) enum Made {
    Value(Node),
    Comment(Comment),
}

impl Spot<'_> {
    /// What the values of this place are authenticated with.
    pub(super) fn context(&self) -> String {
        let mut context = self.path.join(":");
        context.push(':');
        context
    }
}

impl Spot<'_> {
    /// The same, and what those of the maps around it are authenticated with, the innermost first.
    pub(super) fn contexts(&self) -> impl Iterator<Item = String> {
        (0..=self.path.len()).rev().map(|length| {
            let mut context = self.path.get(..length).unwrap_or_default().join(":");
            context.push(':');
            context
        })
    }
}

/// The same tree with what `visit` made of each leaf. Nulls are not visited.
pub(super) fn branch<'a, E>(
    entries: &'a [Entry],
    spot: &mut Spot<'a>,
    visit: &mut impl FnMut(&Spot<'a>, Leaf<'a>) -> Result<Made, E>,
) -> Result<Branch, E> {
    let mut made = Vec::with_capacity(entries.len());
    spot.comments.push(Vec::new());
    for entry in entries {
        match entry {
            Entry::Comment(comment) => {
                note(spot, comment);
                if let Made::Comment(comment) = visit(spot, Leaf::Comment(comment))? {
                    made.push(Entry::Comment(comment));
                }
            }
            Entry::Pair(key, value) => {
                spot.path.push(key);
                let value = match below(value, spot, visit)? {
                    Some(value) => Some(value),
                    None => match visit(spot, Leaf::Value(value))? {
                        Made::Value(value) => Some(value),
                        Made::Comment(_) => None,
                    },
                };
                spot.path.pop();
                forget(spot);
                made.extend(value.map(|value| Entry::Pair(key.clone(), value)));
            }
        }
    }
    spot.comments.pop();
    Ok(made)
}

fn list<'a, E>(
    items: &'a [Item],
    spot: &mut Spot<'a>,
    visit: &mut impl FnMut(&Spot<'a>, Leaf<'a>) -> Result<Made, E>,
) -> Result<Vec<Item>, E> {
    let mut made = Vec::with_capacity(items.len());
    spot.comments.push(Vec::new());
    for item in items {
        let leaf = match item {
            Item::Comment(comment) => {
                note(spot, comment);
                Leaf::ItemComment(comment)
            }
            Item::Value(value) => {
                if let Some(value) = below(value, spot, visit)? {
                    made.push(Item::Value(value));
                    forget(spot);
                    continue;
                }
                Leaf::Item(value)
            }
        };
        made.push(match visit(spot, leaf)? {
            Made::Value(value) => Item::Value(value),
            Made::Comment(comment) => Item::Comment(comment),
        });
        if !leaf.is_comment() {
            forget(spot);
        }
    }
    spot.comments.pop();
    Ok(made)
}

/// What is no leaf itself.
fn below<'a, E>(
    node: &'a Node,
    spot: &mut Spot<'a>,
    visit: &mut impl FnMut(&Spot<'a>, Leaf<'a>) -> Result<Made, E>,
) -> Result<Option<Node>, E> {
    Ok(match node {
        Node::Null => Some(Node::Null),
        Node::Map(entries) => Some(Node::Map(branch(entries, spot, visit)?)),
        Node::List(items) => Some(Node::List(list(items, spot, visit)?)),
        _ => None,
    })
}

fn note<'a>(spot: &mut Spot<'a>, comment: &'a Comment) {
    if let Some(level) = spot.comments.last_mut() {
        level.push(&comment.text);
    }
}

fn forget(spot: &mut Spot<'_>) {
    if let Some(level) = spot.comments.last_mut() {
        level.clear();
    }
}
