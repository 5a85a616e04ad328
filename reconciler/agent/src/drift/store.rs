//! The store paths of a toplevel: a part of them is read and hashed at each look, so that all of them are within
//! thirty days.

use super::error::LookError;
use super::item::{Cause, Item, Kind};
use crate::nix;
use camino::Utf8Path;
use nix_daemon_client::{Client, ConnectOptions, PathInfo, StorePath};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::AsyncWrite;

/// Within which time every path is looked at.
const ROUND: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// The least that is read at one look, in bytes: small closures are through in a day.
const LEAST: u64 = 64 << 20;
/// How long one look may read.
const LIMIT: Duration = Duration::from_secs(10 * 60);

/// How much of the store is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Share {
    /// What is due after so long.
    Due(Duration),
    /// All of it.
    Whole,
}

/// What was looked at, and where the next look goes on.
#[derive(Debug)]
pub(super) struct Looked {
    pub(super) items: Vec<Item>,
    /// The last path that was read; none after a whole round.
    pub(super) cursor: Option<String>,
}

/// Reads the paths after `cursor` in the order of their names, and those of `suspects` before all.
pub(super) async fn look(
    socket: &Utf8Path,
    store: &Utf8Path,
    toplevel: &str,
    (share, cursor): (Share, Option<String>),
    suspects: &BTreeSet<String>,
) -> Result<Looked, LookError> {
    let mut client = Client::connect(socket.as_std_path(), &ConnectOptions::default()).await?;
    let Some(mut closure) = nix::closure(&mut client, store, toplevel).await? else {
        return Ok(Looked {
            items: missing(&mut client, store, toplevel).await?,
            cursor,
        });
    };
    closure.sort_by(|a, b| a.path.cmp(&b.path));
    let number = closure.len();
    let total: u64 = closure.iter().map(|path| path.nar_size).sum();
    let budget = match share {
        Share::Whole => u64::MAX,
        Share::Due(since) => {
            let due = u128::from(total) * u128::from(since.as_secs()) / u128::from(ROUND.as_secs());
            u64::try_from(due).unwrap_or(u64::MAX).max(LEAST)
        }
    };
    let (chosen, cursor) = choose(&closure, budget, cursor.as_deref(), suspects);
    let mut items = Vec::new();
    let mut read = 0;
    let reading = async {
        for path in chosen {
            items.extend(verify(&mut client, path).await?);
            read += 1;
        }
        Ok::<(), LookError>(())
    };
    match (share, tokio::time::timeout(LIMIT, reading).await) {
        // Slow is not wrong: the rest comes at the next look.
        (Share::Due(_), Err(_)) | (_, Ok(Ok(()))) => {}
        (Share::Whole, Err(_)) => {
            return Err(LookError::Slow {
                read,
                of: number,
                limit: LIMIT,
            });
        }
        (_, Ok(Err(error))) => return Err(error),
    }
    Ok(Looked { items, cursor })
}

/// The paths of one look, and where it ends.
fn choose<'a>(
    closure: &'a [PathInfo],
    budget: u64,
    cursor: Option<&str>,
    suspects: &BTreeSet<String>,
) -> (Vec<&'a PathInfo>, Option<String>) {
    let mut chosen: Vec<&PathInfo> = closure
        .iter()
        .filter(|path| suspects.contains(&path.path.to_string()))
        .collect();
    let rest = closure
        .iter()
        .skip_while(|path| cursor.is_some_and(|cursor| path.path.to_string().as_str() <= cursor));
    let mut spent = 0_u64;
    let mut last = None;
    for path in rest {
        if spent >= budget {
            return (chosen, last);
        }
        spent = spent.saturating_add(path.nar_size);
        last = Some(path.path.to_string());
        if !suspects.contains(&path.path.to_string()) {
            chosen.push(path);
        }
    }
    (chosen, None)
}

async fn verify(client: &mut Client, info: &PathInfo) -> Result<Option<Item>, LookError> {
    let mut sink = Hasher::default();
    let item = || {
        Item::new(Kind::Store, Cause::Displaced, info.path.to_string()).expected(info.nar_hash.to_string())
    };
    match client.nar_from_path(&info.path, &mut sink).await {
        Ok(_) => {
            let found = nix_daemon_client::NarHash::from_digest(sink.0.finalize().into());
            Ok((found != info.nar_hash).then(|| {
                item()
                    .actual(found.to_string())
                    .evidence("`nix store repair` fetches or builds it again")
            }))
        }
        // It knows the path and cannot read it: its own word, or the end of the connection in the middle of it.
        Err(error) => {
            client.reconnect().await?;
            let evidence = crate::text::chain(&error);
            Ok(Some(item().actual("nothing that can be read").evidence(evidence)))
        }
    }
}

/// The toplevel itself, or something that it refers to, is not valid any more.
async fn missing(client: &mut Client, store: &Utf8Path, toplevel: &str) -> Result<Vec<Item>, LookError> {
    let path = StorePath::parse(store.as_str(), toplevel)?;
    let valid = client.is_valid_path(&path).await;
    let valid = valid.map_err(|source| LookError::Read {
        path: toplevel.to_owned(),
        source,
    })?;
    let actual = if valid {
        "not all that it refers to"
    } else {
        "nothing"
    };
    Ok(vec![
        Item::new(Kind::Store, Cause::Displaced, toplevel)
            .expected("in the store")
            .actual(actual),
    ])
}

/// Hashes what is written to it.
#[derive(Debug, Default)]
struct Hasher(Sha256);

impl AsyncWrite for Hasher {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        self.0.update(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
