//! Owns what is known of a document while it is read: its containers, what is in them and where each stood. It must
//! never hold what a container is inside of its own entries.

use crate::sops::node::{Comment, Node};

/// A position in the source: a line from 1, a column from 0.
pub(super) type Position = (usize, usize);

/// One document as it stood in the source.
#[derive(Default)]
pub(super) struct Document {
    pub(super) containers: Vec<Container>,
    /// Every entry, in the order of the source.
    pub(super) order: Vec<Place>,
    pub(super) comments: Vec<Found>,
    /// Where a `---` began it; the very first position where there was none.
    pub(super) begin: Position,
}

/// A map or a list.
pub(super) struct Container {
    pub(super) is_map: bool,
    /// The column of a block's entries; `None` in flow style, which has none.
    pub(super) column: Option<usize>,
    pub(super) parent: Option<usize>,
    pub(super) begin: Position,
    pub(super) end: Position,
    pub(super) slots: Vec<Slot>,
    /// Comments and the number of slots that stand before each.
    pub(super) comments: Vec<(usize, Comment)>,
}

/// An entry of a container.
pub(super) struct Slot {
    /// `None` in a list.
    pub(super) key: Option<String>,
    pub(super) value: Value,
    pub(super) begin: Position,
    /// The name under which an alias asks for the value; 0 for none.
    pub(super) anchor: usize,
}

pub(super) enum Value {
    Leaf(Node),
    Container(usize),
    Alias(usize),
}

/// Which entry, and where in the source it was.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) container: usize,
    pub(super) slot: usize,
    pub(super) begin: Position,
    pub(super) end: End,
}

/// Where an entry's value ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// A scalar or an alias: here.
    Leaf(Position),
    /// A block scalar: what its lines hold is all text, and a comment can only be where it is announced.
    Block,
    /// A map or a list knows it itself.
    Container,
}

/// A comment as it was found.
pub(super) struct Found {
    pub(super) text: String,
    pub(super) at: Position,
    /// Whether nothing else is on its line.
    pub(super) alone: bool,
}

impl Document {
    /// The column at which an entry of a block stands; in flow style columns mean nothing.
    pub(super) fn column(&self, place: &Place) -> Option<usize> {
        let container = self.containers.get(place.container)?;
        let column = container.column?;
        Some(if container.is_map { place.begin.1 } else { column })
    }

    /// A container and those around it, the innermost first.
    pub(super) fn chain(&self, innermost: usize) -> impl Iterator<Item = usize> {
        std::iter::successors(Some(innermost), |container| {
            self.containers.get(*container).and_then(|found| found.parent)
        })
    }
}
