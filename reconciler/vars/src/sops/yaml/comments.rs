//! Owns where a comment belongs: into which map or list, and before which of its entries. It must never drop one.
//!
//! go-yaml ties comments to nodes, and sops takes them from there into its tree; what counts in the end is the
//! container, as the path and the comments above a value depend on it. On a line of its own a comment belongs to the
//! entry below it that stands in its column, else to the innermost container before it that is not further right.

use super::layout::{Document, End, Found, Position};
use crate::sops::node::{Comment, Place};

/// Puts every comment of a document into one of its containers.
pub(super) fn place(document: &mut Document) {
    let found = std::mem::take(&mut document.comments);
    for comment in found {
        let spot = if comment.alone {
            alone(document, &comment)
        } else {
            behind(document, &comment)
        };
        let text = comment.text.into_bytes().into();
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
                text: String::from_utf8_lossy(&text).into_owned(),
                at: comment.at,
                alone: true,
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

/// How many entries of a container began before a position.
fn entries_before(document: &Document, container: usize, at: Position) -> usize {
    let of_it = document.order.iter().filter(|place| place.container == container);
    of_it.filter(|place| place.begin < at).count()
}

/// At the end of what a container has so far.
fn end_of(document: &Document, container: usize, at: Position) -> Spot {
    Spot {
        container,
        before: entries_before(document, container, at),
        place: Place::Above,
    }
}

/// The innermost container in flow style around a position: there columns mean nothing.
fn flow_around(document: &Document, at: Position) -> Option<usize> {
    let containers = document.containers.iter().enumerate().rev();
    let mut around = containers.filter(|(_, container)| container.begin < at && at < container.end);
    around
        .find(|(_, container)| container.column.is_none())
        .map(|(index, _)| index)
}

fn alone(document: &Document, comment: &Found) -> Spot {
    let at = comment.at;
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
    if let Some(same) = below.find(|place| document.column(place) == at.1) {
        return Spot {
            container: same.container,
            before: same.slot,
            place: Place::Above,
        };
    }
    let Some(previous) = before.last() else {
        return end_of(document, 0, at);
    };
    let Some(next) = next else {
        let fits = |container: &usize| column(document, *container) <= at.1;
        let container = document.chain(previous.container).find(fits).unwrap_or(0);
        return end_of(document, container, at);
    };
    let above = Spot {
        container: next.container,
        before: next.slot,
        place: Place::Above,
    };
    // Only what ends before the next entry can end with the comment.
    let ended: Vec<_> = document
        .chain(previous.container)
        .take_while(|container| *container != next.container)
        .collect();
    if !document
        .chain(previous.container)
        .any(|container| container == next.container)
    {
        return above;
    }
    match ended
        .into_iter()
        .find(|container| column(document, *container) <= at.1)
    {
        Some(container) => end_of(document, container, at),
        None => above,
    }
}

fn column(document: &Document, container: usize) -> usize {
    let found = document.containers.get(container);
    found.and_then(|container| container.column).unwrap_or(usize::MAX)
}

fn behind(document: &Document, comment: &Found) -> Spot {
    let at = comment.at;
    let on_line = |position: Position| position.0 == at.0;
    // Behind a list or map in flow style it becomes the first thing in it, as sops has it.
    let mut closed = document.containers.iter().enumerate();
    let closed = closed
        .rfind(|(_, container)| container.column.is_none() && on_line(container.end) && container.end <= at);
    let ends = |end: End| matches!(end, End::Leaf(end) if on_line(end) && end <= at);
    let mut leaf = document.order.iter();
    let leaf = leaf.rfind(|place| place.begin < at && ends(place.end));
    match (closed, leaf) {
        (Some((index, container)), leaf) if leaf.is_none_or(|leaf| leaf.begin < container.end) => {
            let outermost = document
                .chain(index)
                .take_while(|outer| {
                    document
                        .containers
                        .get(*outer)
                        .is_some_and(|outer| outer.column.is_none() && on_line(outer.end) && outer.end <= at)
                })
                .last()
                .unwrap_or(index);
            Spot {
                container: outermost,
                before: 0,
                place: Place::Above,
            }
        }
        (_, Some(leaf)) => Spot {
            container: leaf.container,
            before: leaf.slot,
            place: Place::Behind,
        },
        _ => match flow_around(document, at) {
            Some(container) => end_of(document, container, at),
            None => opened(document, at),
        },
    }
}

/// Behind a key whose value is below, or a dash: before that entry.
fn opened(document: &Document, at: Position) -> Spot {
    let key = document.order.iter().rfind(|place| {
        let in_map = document
            .containers
            .get(place.container)
            .is_some_and(|found| found.is_map);
        in_map && place.begin.0 == at.0 && place.begin < at
    });
    let next = || document.order.iter().find(|place| place.begin > at);
    match key.or_else(next) {
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
