//! What the store knows about many paths: a closure, or a list. Owns the pipelining of the queries.

use std::collections::{BTreeSet, VecDeque};

use crate::client::Client;
use crate::error::{Connection, Error};
use crate::link::{Answer, Link, LinkError};
use crate::operation::Operation;
use crate::path_info::PathInfo;
use crate::request::{QueryPathInfo, encode};
use crate::store_path::StorePath;
use crate::write::{Encoder, WriteError, write_all, write_some};

/// How many queries are under way at once. A handful keeps a daemon busy; more of them let both sides work through
/// many between two changes of process, where processors are scarce.
const WINDOW: usize = 256;

/// Paths to ask about, and what is made of the answers.
trait Inquiry: Send {
    /// The next path, if one is known.
    fn next(&mut self) -> Option<StorePath>;
    /// Takes the answer to the oldest question that has none.
    fn take(&mut self, path: StorePath, info: Option<PathInfo>);
}

/// A closure: what is found is asked about in turn.
#[derive(Default)]
struct Closure {
    seen: BTreeSet<StorePath>,
    waiting: VecDeque<StorePath>,
    found: Vec<PathInfo>,
    missing: Option<StorePath>,
}

impl Closure {
    fn see(&mut self, path: &StorePath) {
        if self.seen.insert(path.clone()) {
            self.waiting.push_back(path.clone());
        }
    }
}

impl Inquiry for Closure {
    fn next(&mut self) -> Option<StorePath> {
        // What is not whole is not worth asking about.
        if self.missing.is_some() {
            None
        } else {
            self.waiting.pop_front()
        }
    }

    fn take(&mut self, path: StorePath, info: Option<PathInfo>) {
        match info {
            Some(info) => {
                info.references.iter().for_each(|reference| self.see(reference));
                self.found.push(info);
            }
            None => self.missing = self.missing.take().or(Some(path)),
        }
    }
}

/// A list: each is asked about once, in order.
struct List<'a> {
    paths: std::slice::Iter<'a, StorePath>,
    found: Vec<Option<PathInfo>>,
}

impl Inquiry for List<'_> {
    fn next(&mut self) -> Option<StorePath> {
        self.paths.next().cloned()
    }

    fn take(&mut self, _: StorePath, info: Option<PathInfo>) {
        self.found.push(info);
    }
}

impl Client {
    /// What the store knows about the paths and everything they refer to, breadth first, each path once.
    ///
    /// # Errors
    /// [`Error::InvalidPath`] when one of them is not in the store; those of every operation.
    pub async fn query_closure(&mut self, roots: &[StorePath]) -> Result<Vec<PathInfo>, Error> {
        let mut closure = Closure::default();
        roots.iter().for_each(|root| closure.see(root));
        self.inquire(&mut closure).await?;
        match closure.missing {
            None => Ok(closure.found),
            Some(path) => Err(Error::InvalidPath {
                operation: Operation::QueryPathInfo,
                path,
            }),
        }
    }

    /// What the store knows about each of the paths, in their order; `None` for one that is not valid.
    ///
    /// As [`Client::query_path_info`] for each, but without waiting for an answer before the next question.
    ///
    /// # Errors
    /// Those of every operation; see [`Error`].
    pub async fn query_path_infos(&mut self, paths: &[StorePath]) -> Result<Vec<Option<PathInfo>>, Error> {
        let mut list = List {
            paths: paths.iter(),
            found: Vec::new(),
        };
        self.inquire(&mut list).await?;
        Ok(list.found)
    }

    /// Asks in pipeline until nothing is left to ask and every answer was taken.
    async fn inquire(&mut self, inquiry: &mut dyn Inquiry) -> Result<(), Error> {
        let operation = Operation::QueryPathInfo;
        let mut link = self.take(operation).await?;
        let mut questions = Questions::default();
        loop {
            // Half a window at a time: fewer writes.
            if questions.asked.len() <= WINDOW / 2 {
                while questions.asked.len() < WINDOW
                    && let Some(path) = inquiry.next()
                {
                    questions.add(path);
                }
            }
            let path = questions
                .next(&mut link)
                .await
                .map_err(|error| LinkError::from(error).during(operation))?;
            let Some(path) = path else { break };
            let answer = link
                .answer(&QueryPathInfo(&path), &mut ())
                .await
                .map_err(|error| error.during(operation))?;
            match answer {
                Answer::Reply(info) => inquiry.take(path, info),
                // The answers to the other questions are not worth waiting for.
                Answer::Refusal(error) => {
                    return Err(Error::Daemon {
                        operation,
                        error: Box::new(error),
                        connection: Connection::Closed,
                    });
                }
            }
        }
        self.put_back(link);
        Ok(())
    }
}

/// Questions that were asked, or are about to be, and have no answer yet.
#[derive(Default)]
struct Questions {
    /// The paths, and with how many bytes sent each was asked.
    asked: VecDeque<(StorePath, u64)>,
    unsent: Encoder,
    sent: u64,
}

impl Questions {
    fn add(&mut self, path: StorePath) {
        encode(&QueryPathInfo(&path), &mut self.unsent);
        let end = self.sent + self.unsent.as_slice().len() as u64;
        self.asked.push_back((path, end));
    }

    /// Sends what the daemon takes, and tells whose answer comes next.
    ///
    /// A daemon that is busy answering takes no questions, and it answers only as long as somebody reads: so
    /// nothing is waited for but the question whose answer is due, which finds the daemon idle.
    async fn next(&mut self, link: &mut Link) -> Result<Option<StorePath>, WriteError> {
        if !self.unsent.as_slice().is_empty() {
            let taken = write_some(&mut link.sink, self.unsent.as_slice()).await?;
            self.advance(taken);
        }
        let Some((path, end)) = self.asked.pop_front() else {
            return Ok(None);
        };
        // No byte more: the next question would wait for a daemon that answers this one.
        let missing = usize::try_from(end.saturating_sub(self.sent)).unwrap_or(usize::MAX);
        if let Some(rest) = self
            .unsent
            .as_slice()
            .get(..missing)
            .filter(|rest| !rest.is_empty())
        {
            write_all(&mut link.sink, rest, link.patience).await?;
            self.advance(missing);
        }
        Ok(Some(path))
    }

    fn advance(&mut self, taken: usize) {
        self.sent += taken as u64;
        self.unsent.forget(taken);
    }
}
