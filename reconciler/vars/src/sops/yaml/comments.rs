//! Owns where a comment belongs: into which map or list, and before which of its entries. It must never drop one, nor
//! look at more than a line's worth of entries for it.
//!
//! go-yaml ties comments to nodes, and sops takes them from there into its tree; what counts in the end is the
//! container, as the path and the comments above a value depend on it. On a line of its own a comment belongs to the
//! entry below it that stands in its column. Where there is none, and what is below is further left, the first such
//! comment ends the innermost map or list above it, and each further one that whose key or dash is further left.

use super::layout::{Container, Document, End, Found, Position, Slot, Value};
use crate::sops::node::{Comment, Place};

/// Puts every comment of a document into one of its containers.
pub(super) fn place(document: &mut Document) {
    let found = std::mem::take(&mut document.comments);
    let mut last_alone = (0, 0);
    for (index, comment) in found.iter().enumerate() {
        let spot = if comment.alone {
            let after = found.get(index.saturating_add(1)..).unwrap_or_default();
            let more = after
                .iter()
                .find(|other| other.alone)
                .is_some_and(|next| next.at.1 < comment.at.1);
            let spot = alone(document, comment.at, last_alone, more);
            last_alone = comment.at;
            spot
        } else {
            behind(document, comment.at)
        };
        let text = comment.text.clone().into_bytes().into();
        match document.containers.get_mut(spot.container) {
            Some(container) => container.comments.push((
                spot.before,
                Comment {
                    text,
                    place: spot.place,
                },
            )),
            // A document without entries keeps them for its end.
            None => document.comments.push(Found {
                text: comment.text.clone(),
                ..*comment
            }),
        }
    }
    for container in &mut document.containers {
        container.comments.sort_by_key(|(before, _)| *before);
    }
}

struct Spot {
    container: usize,
    before: usize,
    place: Place,
}

/// At the end of what a container has so far.
fn end_of(document: &Document, container: usize, at: Position) -> Spot {
    let slots = document
        .containers
        .get(container)
        .map(|found| found.slots.as_slice());
    Spot {
        container,
        before: slots.unwrap_or_default().partition_point(|slot| slot.begin < at),
        place: Place::Above,
    }
}

/// The containers that may be around a position, or have just ended before it: the innermost first.
fn around(document: &Document, at: Position) -> impl Iterator<Item = (usize, &Container)> {
    let before = document.order.partition_point(|place| place.begin < at);
    let last = before.checked_sub(1).and_then(|index| document.order.get(index));
    let innermost = last.map_or(0, |place| {
        let container = document.containers.get(place.container);
        match container.and_then(|found| found.slots.get(place.slot)) {
            Some(Slot {
                value: Value::Container(inner),
                ..
            }) if document
                .containers
                .get(*inner)
                .is_some_and(|inner| inner.begin < at) =>
            {
                *inner
            }
            _ => place.container,
        }
    });
    document
        .chain(innermost)
        .filter_map(|index| Some((index, document.containers.get(index)?)))
}

/// The innermost container in flow style around a position: there columns mean nothing.
fn flow_around(document: &Document, at: Position) -> Option<usize> {
    let mut around = around(document, at);
    let found = around.find(|(_, found)| found.column.is_none() && found.begin < at && at < found.end);
    found.map(|(index, _)| index)
}

fn alone(document: &Document, at: Position, last_alone: Position, more: bool) -> Spot {
    if let Some(container) = flow_around(document, at) {
        return end_of(document, container, at);
    }
    let after = document.order.partition_point(|place| place.begin <= at);
    let (before, after) = document.order.split_at_checked(after).unwrap_or_default();
    let next = after.first();
    // What the line below begins: a list's item, and the map in it, and so on.
    let mut below = after
        .iter()
        .take_while(|place| next.is_some_and(|next| next.begin.0 == place.begin.0));
    if let Some(same) = below.find(|place| document.column(place) == Some(at.1)) {
        return Spot {
            container: same.container,
            before: same.slot,
            place: Place::Above,
        };
    }
    let Some(previous) = before.last() else {
        return end_of(document, 0, at);
    };
    let is_first = last_alone < previous.begin;
    let fits = |container: &usize| reaches(document, *container, at.1);
    let Some(next) = next else {
        let mut chain = document.chain(previous.container);
        let container = chain.find(|container| {
            if is_first && more {
                takes(document, *container, at.1)
            } else {
                fits(container)
            }
        });
        return end_of(document, container.unwrap_or(0), at);
    };
    let above = Spot {
        container: next.container,
        before: next.slot,
        place: Place::Above,
    };
    let mut chain = document.chain(previous.container);
    let is_further_left = document.column(next).is_some_and(|column| column < at.1);
    if !is_further_left || !chain.any(|container| container == next.container) {
        return above;
    }
    // Only what ends before the next entry can end with the comment.
    let mut ended = document
        .chain(previous.container)
        .take_while(|container| *container != next.container);
    let container = ended.find(|container| {
        if is_first {
            takes(document, *container, at.1)
        } else {
            fits(container)
        }
    });
    container.map_or(above, |container| end_of(document, container, at))
}

/// Whether a container takes the first comment below it: a map from any column, a list from its own.
fn takes(document: &Document, container: usize, column: usize) -> bool {
    let found = document.containers.get(container);
    found.is_some_and(|found| found.is_map || found.column.is_some_and(|own| own <= column))
}

/// Whether a column is further right than the key or dash that a container belongs to.
fn reaches(document: &Document, container: usize, column: usize) -> bool {
    let parent = document.containers.get(container).and_then(|found| found.parent);
    match parent.and_then(|parent| document.containers.get(parent)) {
        Some(parent) => parent.column.is_some_and(|outer| outer < column),
        None => true,
    }
}

fn behind(document: &Document, at: Position) -> Spot {
    // Behind a list or map in flow style it becomes the first thing in it, as sops has it; but a list's item has it
    // behind it.
    let closed = around(document, at)
        .filter(|(_, found)| found.column.is_none() && found.end.0 == at.0 && found.end <= at)
        .last();
    if let Some((index, container)) = closed {
        return match item_of(document, index, container) {
            Some((container, before)) => Spot {
                container,
                before,
                place: Place::Behind,
            },
            None => Spot {
                container: index,
                before: 0,
                place: Place::Above,
            },
        };
    }
    let before = document.order.partition_point(|place| place.begin < at);
    let (before, after) = document.order.split_at_checked(before).unwrap_or_default();
    if let Some(place) = before.last()
        && matches!(place.end, End::Leaf(end) if end.0 == at.0 && end <= at)
    {
        return Spot {
            container: place.container,
            before: place.slot,
            place: Place::Behind,
        };
    }
    if let Some(container) = flow_around(document, at) {
        return end_of(document, container, at);
    }
    // Behind a key whose value is below, or a dash: before that entry.
    let key = before.last().filter(|place| {
        let in_map = document
            .containers
            .get(place.container)
            .is_some_and(|found| found.is_map);
        in_map && place.begin.0 == at.0
    });
    match key.or(after.first()) {
        Some(place) => Spot {
            container: place.container,
            before: place.slot,
            place: match place.end {
                End::Block => Place::Behind,
                End::Leaf(_) | End::Container => Place::Above,
            },
        },
        None => end_of(document, 0, at),
    }
}

/// The list that a container is an item of, and which.
fn item_of(document: &Document, index: usize, container: &Container) -> Option<(usize, usize)> {
    let parent = container.parent?;
    let list = document.containers.get(parent).filter(|list| !list.is_map)?;
    let after = list.slots.partition_point(|slot| slot.begin <= container.begin);
    let slot = after.checked_sub(1)?;
    let is_it = matches!(list.slots.get(slot)?.value, Value::Container(inner) if inner == index);
    is_it.then_some((parent, slot))
}
