//! Owns the tree that a file is read into, sealed or opened, comments included. It must never appear in a
//! `Debug` output.

use std::fmt;

use zeroize::Zeroizing;

use super::number;

/// One value, with what lies below it in order.
#[derive(Clone, PartialEq)]
pub(super) enum Node {
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    /// Any bytes: what was sealed need not be UTF-8.
    Text(Zeroizing<Vec<u8>>),
    /// A point in time as Go's RFC3339Nano writes it; only YAML has them.
    Time(Zeroizing<String>),
    List(Vec<Item>),
    Map(Branch),
}

/// The entries of an object, of a YAML mapping, of an INI section, or of a dotenv file.
pub(super) type Branch = Vec<Entry>;

/// What a map holds.
#[derive(Clone, PartialEq)]
pub(super) enum Entry {
    Comment(Comment),
    Pair(String, Node),
}

/// What a list holds.
#[derive(Clone, PartialEq)]
pub(super) enum Item {
    Comment(Comment),
    Value(Node),
}

/// One line of a comment, without its `#`.
#[derive(Clone, PartialEq)]
pub(super) struct Comment {
    pub(super) text: Zeroizing<Vec<u8>>,
    pub(super) place: Place,
}

/// Where a comment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// On a line of its own.
    Above,
    /// Behind the value that follows it in the tree.
    Behind,
}

impl Node {
    pub(super) fn text(text: impl Into<Vec<u8>>) -> Self {
        Self::Text(Zeroizing::new(text.into()))
    }

    /// The text, where it is one and is UTF-8.
    pub(super) fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    /// The bytes under which sops hashes and seals a leaf (sops.go `ToBytes`); `None` for what is no leaf.
    pub(super) fn bytes(&self) -> Option<Zeroizing<Vec<u8>>> {
        let owned = |text: &str| Some(Zeroizing::new(text.as_bytes().to_vec()));
        match self {
            Self::Null | Self::List(_) | Self::Map(_) => None,
            Self::Bool(true) => owned("True"),
            Self::Bool(false) => owned("False"),
            Self::Integer(number) => owned(&Zeroizing::new(number.to_string())),
            Self::Float(float) => owned(&number::plain(*float)),
            Self::Text(bytes) => Some(bytes.clone()),
            Self::Time(time) => owned(time),
        }
    }

    /// Whether nothing of it is under a MAC: nulls, empty texts, and lists and maps of such.
    pub(super) fn is_unsealed(&self) -> bool {
        match self {
            Self::Null => true,
            Self::Text(bytes) => bytes.is_empty(),
            Self::List(items) => items.iter().all(|item| match item {
                Item::Comment(_) => true,
                Item::Value(value) => value.is_unsealed(),
            }),
            Self::Map(entries) => entries.iter().all(|entry| match entry {
                Entry::Comment(_) => true,
                Entry::Pair(_, value) => value.is_unsealed(),
            }),
            Self::Bool(_) | Self::Integer(_) | Self::Float(_) | Self::Time(_) => false,
        }
    }

    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Map(one), Self::Map(other)) => same_pairs(one, other),
            (Self::List(one), Self::List(other)) => {
                values(one).count() == values(other).count()
                    && values(one)
                        .zip(values(other))
                        .all(|(one, other)| one.is_same(other))
            }
            // A number without a fraction is written, and then read, as one that never had any.
            (Self::Float(_) | Self::Integer(_), Self::Float(_) | Self::Integer(_)) => {
                self.bytes() == other.bytes()
            }
            _ => self == other,
        }
    }

    fn comments(&self, found: &mut Vec<Zeroizing<Vec<u8>>>) {
        match self {
            Self::Map(entries) => comments_of(entries, found),
            Self::List(items) => {
                for item in items {
                    match item {
                        Item::Comment(comment) => found.push(comment.text.clone()),
                        Item::Value(value) => value.comments(found),
                    }
                }
            }
            _ => {}
        }
    }

    #[cfg(feature = "fuzzing")]
    fn without_comments(self) -> Self {
        match self {
            Self::Map(branch) => Self::Map(without_comments(branch)),
            Self::List(items) => {
                let values = items.into_iter().filter_map(|item| match item {
                    Item::Comment(_) => None,
                    Item::Value(value) => Some(Item::Value(value.without_comments())),
                });
                Self::List(values.collect())
            }
            leaf => leaf,
        }
    }

    /// What it is, in a word for people.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a truth value",
            Self::Integer(_) | Self::Float(_) => "a number",
            Self::Text(_) => "a text",
            Self::Time(_) => "a time",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }
}

/// The pairs of a branch, without its comments.
pub(super) fn pairs(branch: &[Entry]) -> impl Iterator<Item = (&str, &Node)> {
    branch.iter().filter_map(|entry| match entry {
        Entry::Pair(key, value) => Some((key.as_str(), value)),
        Entry::Comment(_) => None,
    })
}

/// The same without any comment.
#[cfg(feature = "fuzzing")]
pub(super) fn without_comments(branch: Branch) -> Branch {
    let pairs = branch.into_iter().filter_map(|entry| match entry {
        Entry::Comment(_) => None,
        Entry::Pair(key, value) => Some(Entry::Pair(key, value.without_comments())),
    });
    pairs.collect()
}

/// The values of a list, without its comments.
pub(super) fn values(list: &[Item]) -> impl Iterator<Item = &Node> {
    list.iter().filter_map(|item| match item {
        Item::Value(value) => Some(value),
        Item::Comment(_) => None,
    })
}

/// The value of a key.
pub(super) fn get<'a>(branch: &'a [Entry], key: &str) -> Option<&'a Node> {
    pairs(branch)
        .find(|(name, _)| *name == key)
        .map(|(_, value)| value)
}

/// An entry with this key.
pub(super) fn pair(key: &str, value: Node) -> Entry {
    Entry::Pair(key.to_owned(), value)
}

/// Gives a key a value, where it stands, or else in the order of the keys.
pub(super) fn set(branch: &mut Branch, key: &str, value: Node) {
    if let Some(Entry::Pair(_, old)) = branch.iter_mut().find(|entry| entry.key() == Some(key)) {
        *old = value;
        return;
    }
    let after = branch
        .iter()
        .position(|entry| entry.key().is_some_and(|other| other > key));
    branch.insert(after.unwrap_or(branch.len()), pair(key, value));
}

/// Whether two files hold the same: all values with their types, and all comments, wherever on their lines they
/// stand.
pub(super) fn same(one: &[Branch], other: &[Branch]) -> bool {
    let comments = |branches: &[Branch]| {
        let mut found = Vec::new();
        for branch in branches {
            comments_of(branch, &mut found);
        }
        found
    };
    one.len() == other.len()
        && one.iter().zip(other).all(|(one, other)| same_pairs(one, other))
        && comments(one) == comments(other)
}

fn same_pairs(one: &[Entry], other: &[Entry]) -> bool {
    let (mut one, mut other) = (pairs(one), pairs(other));
    loop {
        match (one.next(), other.next()) {
            (None, None) => return true,
            (Some((name, value)), Some((other_name, other_value)))
                if name == other_name && value.is_same(other_value) => {}
            _ => return false,
        }
    }
}

fn comments_of(branch: &[Entry], found: &mut Vec<Zeroizing<Vec<u8>>>) {
    for entry in branch {
        match entry {
            Entry::Comment(comment) => found.push(comment.text.clone()),
            Entry::Pair(_, value) => value.comments(found),
        }
    }
}

impl Entry {
    pub(super) fn key(&self) -> Option<&str> {
        match self {
            Self::Pair(key, _) => Some(key),
            Self::Comment(_) => None,
        }
    }

    pub(super) fn as_comment(&self) -> Option<&Comment> {
        match self {
            Self::Comment(comment) => Some(comment),
            Self::Pair(..) => None,
        }
    }
}

impl Item {
    pub(super) fn as_comment(&self) -> Option<&Comment> {
        match self {
            Self::Comment(comment) => Some(comment),
            Self::Value(_) => None,
        }
    }
}

impl Comment {
    pub(super) fn above(text: impl Into<Vec<u8>>) -> Self {
        Self {
            text: Zeroizing::new(text.into()),
            place: Place::Above,
        }
    }
}

// A value that should have been encrypted may stand in any of them.
impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Node([redacted])")
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Entry([redacted])")
    }
}

impl fmt::Debug for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Item([redacted])")
    }
}

impl fmt::Debug for Comment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Comment([redacted])")
    }
}
