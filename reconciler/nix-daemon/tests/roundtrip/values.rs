//! Values of every kind that the protocol carries.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::time::Duration;

use nix_daemon_client::{
    ActivityId, BuildResult, ClientSettings, DaemonError, DerivedPath, Event, Field, HashPart, Level,
    Missing, NarHash, Outputs, PathInfo, Root, StorePath, Text,
};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::{Just, Strategy, any, prop_oneof};

use crate::wire::Wire;

pub(crate) type Paths = BTreeSet<StorePath>;

pub(crate) fn path() -> impl Strategy<Value = StorePath> + Clone {
    ("[0-9a-df-np-sv-z]{32}", "[a-zA-Z0-9+_?=-][a-zA-Z0-9+._?=-]{0,30}")
        .prop_map(|(hash, name)| format!("/nix/store/{hash}-{name}").parse().unwrap())
}

pub(crate) fn drv() -> impl Strategy<Value = StorePath> {
    ("[0-9a-df-np-sv-z]{32}", "[a-z]{1,9}")
        .prop_map(|(hash, name)| format!("/nix/store/{hash}-{name}.drv").parse().unwrap())
}

pub(crate) fn paths() -> impl Strategy<Value = Paths> {
    btree_set(path(), 0..5)
}

pub(crate) fn hash_part() -> impl Strategy<Value = HashPart> {
    "[0-9a-df-np-sv-z]{32}".prop_map(|text| HashPart::parse(&text).unwrap())
}

/// Any bytes, as log lines and links have them.
pub(crate) fn text() -> impl Strategy<Value = Text> {
    vec(any::<u8>(), 0..40).prop_map(Text::from)
}

/// Text as it comes out when it was stripped: of such nothing is lost.
pub(crate) fn plain() -> impl Strategy<Value = String> {
    "[ -~äß→\t\n]{0,40}"
}

pub(crate) fn link() -> impl Strategy<Value = PathBuf> {
    vec(1_u8.., 1..30).prop_map(|bytes| std::ffi::OsString::from_vec(bytes).into())
}

pub(crate) fn output() -> impl Strategy<Value = String> {
    "[a-z][a-z0-9_-]{0,8}"
}

pub(crate) fn target() -> impl Strategy<Value = DerivedPath> {
    let outputs = prop_oneof![
        Just(Outputs::All),
        btree_set(output(), 1..4).prop_map(Outputs::Names),
    ];
    prop_oneof![
        path().prop_map(DerivedPath::Opaque),
        (drv(), outputs).prop_map(|(drv, outputs)| DerivedPath::Built { drv, outputs }),
    ]
}

/// A small number, a large one, or any.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![0_u64..200, Just(u64::MAX), any::<u64>()]
}

fn field() -> impl Strategy<Value = Field> {
    prop_oneof![number().prop_map(Field::Int), text().prop_map(Field::Text)]
}

pub(crate) fn event() -> impl Strategy<Value = Event> {
    let id = || number().prop_map(ActivityId);
    prop_oneof![
        text().prop_map(Event::Line),
        (id(), id(), number(), number(), text(), vec(field(), 0..5)).prop_map(
            |(id, parent, level, kind, text, fields)| {
                Event::Start {
                    id,
                    parent,
                    level: level.into(),
                    kind: kind.into(),
                    text,
                    fields,
                }
            }
        ),
        id().prop_map(|id| Event::Stop { id }),
        (id(), number(), vec(field(), 0..5)).prop_map(|(id, kind, fields)| Event::Result {
            id,
            kind: kind.into(),
            fields
        }),
    ]
}

pub(crate) fn error() -> impl Strategy<Value = DaemonError> {
    (number(), plain(), vec(plain(), 0..4)).prop_map(|(level, message, traces)| DaemonError {
        level: level.into(),
        message,
        traces,
    })
}

pub(crate) fn info() -> impl Strategy<Value = PathInfo> {
    (
        path(),
        option::of(drv()),
        any::<[u8; 32]>(),
        paths(),
        (number(), number(), any::<bool>()),
        btree_set("[a-z.]{1,9}:[A-Za-z0-9+/]{4,12}", 0..3),
        option::of("fixed:r:sha256:[0-9a-z]{52}"),
    )
        .prop_map(
            |(path, deriver, hash, references, (registered_at, nar_size, ultimate), signatures, address)| {
                PathInfo {
                    path,
                    deriver,
                    nar_hash: NarHash::from_digest(hash),
                    references,
                    registered_at,
                    nar_size,
                    ultimate,
                    signatures,
                    content_address: address,
                }
            },
        )
}

pub(crate) fn roots() -> impl Strategy<Value = Vec<Root>> {
    // Not unique: the censored ones all have the same link.
    let link = prop_oneof![Just(Text::from("{censored}")), text()];
    vec(
        (link, path()).prop_map(|(link, target)| Root { link, target }),
        0..5,
    )
}

pub(crate) fn missing() -> impl Strategy<Value = Missing> {
    (btree_set(drv(), 0..4), paths(), paths(), number(), number()).prop_map(
        |(will_build, will_substitute, unknown, download_size, nar_size)| Missing {
            will_build,
            will_substitute,
            unknown,
            download_size,
            nar_size,
        },
    )
}

pub(crate) fn output_map() -> impl Strategy<Value = BTreeMap<String, Option<StorePath>>> {
    btree_map(output(), option::of(path()), 0..4)
}

pub(crate) fn settings() -> impl Strategy<Value = ClientSettings> {
    (
        (
            any::<bool>(),
            any::<bool>(),
            any::<bool>(),
            any::<bool>(),
            any::<bool>(),
        ),
        (0_u64..8, number(), number(), number()),
        btree_map("[a-z-]{1,12}", plain(), 0..4),
    )
        .prop_map(
            |(
                (keep_failed, keep_going, fallback, build_output, substitute),
                (verbosity, max_jobs, silent, cores),
                overrides,
            )| {
                ClientSettings {
                    keep_failed,
                    keep_going,
                    fallback,
                    verbosity: Level::from(verbosity),
                    max_jobs,
                    max_silent_time: Duration::from_secs(silent),
                    build_output,
                    cores,
                    substitute,
                    overrides,
                }
            },
        )
}

pub(crate) fn result() -> impl Strategy<Value = BuildResult> {
    let time = || option::of(number().prop_map(Duration::from_micros));
    (
        (0_u64..20, plain(), number(), any::<bool>()),
        (number(), number(), time(), time()),
        btree_map(output(), path(), 0..4),
    )
        .prop_map(
            |(
                (status, message, times_built, non_deterministic),
                (started_at, stopped_at, cpu_user, cpu_system),
                outputs,
            )| {
                BuildResult {
                    status: status.into(),
                    message,
                    times_built,
                    non_deterministic,
                    started_at,
                    stopped_at,
                    cpu_user,
                    cpu_system,
                    outputs,
                }
            },
        )
}

/// An archive: a file, a link, or a directory of such.
pub(crate) fn archive() -> impl Strategy<Value = Vec<u8>> {
    let file = (vec(any::<u8>(), 0..300), any::<bool>()).prop_map(|(contents, executable)| {
        let mut node = Wire::default();
        node.s("(").s("type").s("regular");
        if executable {
            node.s("executable").s("");
        }
        node.s("contents").s(contents).s(")");
        node.0
    });
    let link = vec(1_u8.., 1..30).prop_map(|target| {
        let mut node = Wire::default();
        node.s("(").s("type").s("symlink").s("target").s(target).s(")");
        node.0
    });
    let node = prop_oneof![file, link].prop_recursive(4, 20, 4, |inner| {
        btree_map("[a-zA-Z.-]{3,9}", inner, 0..4).prop_map(|entries| {
            let mut node = Wire::default();
            node.s("(").s("type").s("directory");
            for (name, child) in entries {
                node.s("entry").s("(").s("name").s(name).s("node");
                node.0.extend(child);
                node.s(")");
            }
            node.s(")");
            node.0
        })
    });
    node.prop_map(|node| {
        let mut archive = Wire::default();
        archive.s("nix-archive-1");
        archive.0.extend(node);
        archive.0
    })
}
