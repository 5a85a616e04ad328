//! The closure of a set of paths: everything they refer to. Owns the pipelining of its queries.

use std::collections::{BTreeSet, VecDeque};

use crate::client::Client;
use crate::error::{Connection, Error};
use crate::link::{Answer, LinkError};
use crate::operation::Operation;
use crate::path_info::PathInfo;
use crate::request::{QueryPathInfo, encode};
use crate::store_path::StorePath;
use crate::write::{Encoder, write_all};

/// How many queries are under way at once.
///
/// A window of eight already keeps a daemon busy. All of them, at their longest, must fit into the smallest
/// socket buffer there is (8 KiB on macOS), or both sides could wait for the other to read.
const WINDOW: usize = 16;

impl Client {
    /// What the store knows about the paths and everything they refer to, breadth first, each path once.
    ///
    /// # Errors
    /// [`Error::InvalidPath`] when one of them is not in the store; those of every operation.
    pub async fn query_closure(&mut self, roots: &[StorePath]) -> Result<Vec<PathInfo>, Error> {
        let operation = Operation::QueryPathInfo;
        let mut link = self.take(operation).await?;
        let mut seen: BTreeSet<StorePath> = BTreeSet::new();
        let mut waiting: VecDeque<StorePath> = VecDeque::new();
        let mut asked: VecDeque<StorePath> = VecDeque::new();
        let mut closure = Vec::new();
        let mut missing = None;
        for root in roots {
            if seen.insert(root.clone()) {
                waiting.push_back(root.clone());
            }
        }

        loop {
            // Half a window at a time: fewer writes.
            if asked.len() <= WINDOW / 2 && missing.is_none() {
                let mut out = Encoder::default();
                while asked.len() < WINDOW
                    && let Some(path) = waiting.pop_front()
                {
                    encode(&QueryPathInfo(&path), &mut out);
                    asked.push_back(path);
                }
                write_all(&mut link.sink, out.as_slice(), link.patience)
                    .await
                    .map_err(|error| LinkError::from(error).during(operation))?;
            }
            let Some(path) = asked.pop_front() else { break };
            let answer = link
                .answer(&QueryPathInfo(&path), &mut ())
                .await
                .map_err(|error| error.during(operation))?;
            match answer {
                Answer::Reply(Some(info)) => {
                    for reference in &info.references {
                        if seen.insert(reference.clone()) {
                            waiting.push_back(reference.clone());
                        }
                    }
                    closure.push(info);
                }
                Answer::Reply(None) => missing = missing.or(Some(path)),
                // The answers to the other queries are not worth waiting for.
                Answer::Refusal(error) => {
                    let connection = Connection::Closed;
                    return Err(Error::Daemon {
                        operation,
                        error: Box::new(error),
                        connection,
                    });
                }
            }
        }
        self.put_back(link);
        match missing {
            None => Ok(closure),
            Some(path) => Err(Error::InvalidPath { operation, path }),
        }
    }
}
