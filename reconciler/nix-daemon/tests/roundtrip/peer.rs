//! The daemon's side of a conversation. It checks each request byte by byte against what it has to be.

use nix_daemon_client::{DaemonError, Event, Field};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use crate::exchange::Exchange;
use crate::wire::Wire;

const LAST: u64 = 0x616c_7473;
const ERROR: u64 = 0x6378_7470;
const NEXT: u64 = 0x6f6c_6d67;
const START: u64 = 0x5354_5254;
const STOP: u64 = 0x5354_4f50;
const RESULT: u64 = 0x5253_4c54;

/// What one exchange is on the wire.
#[derive(Debug)]
pub(crate) struct Turn {
    request: Vec<u8>,
    /// What follows the request in frames.
    upload: Option<Vec<u8>>,
    answer: Vec<u8>,
    /// An error is followed by the question whether the daemon is still there.
    failed: bool,
}

impl Turn {
    pub(crate) fn of(exchange: &Exchange, events: &[Event], error: &Option<DaemonError>, minor: u16) -> Turn {
        let mut answer = Wire::default();
        if minor >= exchange.operation().since() {
            for event in events {
                message(&mut answer, event);
            }
            match error {
                None => {
                    answer.n(LAST);
                    exchange.reply(&mut answer, minor);
                }
                Some(error) => failure(&mut answer, error),
            }
        }
        let mut request = Wire::default();
        // What the version does not have is not sent.
        let known = minor >= exchange.operation().since();
        if known {
            exchange.request(&mut request);
        }
        Turn {
            request: request.0,
            upload: exchange.upload().filter(|_| known),
            answer: answer.0,
            failed: known && error.is_some(),
        }
    }
}

fn message(out: &mut Wire, event: &Event) {
    match event {
        Event::Line(text) => out.n(NEXT).s(text.as_bytes()),
        Event::Start {
            id,
            parent,
            level,
            kind,
            text,
            fields,
        } => {
            out.n(START)
                .n(id.0)
                .n(level.code())
                .n(kind.code())
                .s(text.as_bytes());
            self::fields(out, fields);
            out.n(parent.0)
        }
        Event::Stop { id } => out.n(STOP).n(id.0),
        Event::Result { id, kind, fields } => {
            out.n(RESULT).n(id.0).n(kind.code());
            self::fields(out, fields);
            out
        }
        other => panic!("{other:?} is none of the protocol's"),
    };
}

fn fields(out: &mut Wire, fields: &[Field]) {
    out.n(fields.len() as u64);
    for field in fields {
        match field {
            Field::Int(number) => out.n(0_u64).n(*number),
            Field::Text(text) => out.n(1_u64).s(text.as_bytes()),
        };
    }
}

fn failure(out: &mut Wire, error: &DaemonError) {
    out.n(ERROR)
        .s("Error")
        .n(error.level.code())
        .s("Error")
        .s(&error.message);
    out.n(0_u64).n(error.traces.len() as u64);
    for trace in &error.traces {
        out.n(0_u64).s(trace);
    }
}

/// A daemon at its end of the stream.
pub(crate) struct Peer {
    stream: DuplexStream,
    minor: u64,
}

impl Peer {
    pub(crate) fn new(stream: DuplexStream, minor: u16) -> Peer {
        Peer {
            stream,
            minor: minor.into(),
        }
    }

    pub(crate) fn agreed(&self) -> u64 {
        self.minor
    }

    async fn number(&mut self) -> u64 {
        self.stream.read_u64_le().await.unwrap()
    }

    async fn say(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// Greets as a daemon of `1.theirs` does, to the version that is common to both.
    pub(crate) async fn greet(&mut self, theirs: u64, version: &str, trust: u64, features: &[String]) {
        assert_eq!(self.number().await, 0x6e69_7863);
        let mut hello = Wire::default();
        self.say(&hello.n(0x6478_696f_u64).n(256 + theirs).0).await;
        let ours = self.number().await;
        assert_eq!(ours >> 8, 1);
        self.minor = theirs.min(ours & 0xff);
        let mut hello = Wire::default();
        if self.minor >= 38 {
            assert_eq!(self.number().await, 0, "no feature is asked for");
            hello.list(features);
        }
        assert_eq!((self.number().await, self.number().await), (0, 0));
        hello.s(version);
        if self.minor >= 35 {
            hello.n(trust);
        }
        self.say(&hello.n(LAST).0).await;
    }

    /// Greets, and answers as the turns say.
    pub(crate) async fn serve(mut self, turns: Vec<Turn>) {
        self.greet(self.minor, "2.99", 1, &[]).await;
        for turn in turns {
            let mut said = vec![0; turn.request.len()];
            self.stream.read_exact(&mut said).await.unwrap();
            assert_eq!(said, turn.request);
            if let Some(upload) = turn.upload {
                assert_eq!(self.frames().await, upload);
            }
            self.say(&turn.answer).await;
            if turn.failed {
                // Which of no paths are valid: none.
                assert_eq!(
                    (self.number().await, self.number().await, self.number().await),
                    (31, 0, 0)
                );
                self.say(&Wire::default().n(LAST).n(0_u64).0).await;
            }
        }
        let mut more = Vec::new();
        self.stream.read_to_end(&mut more).await.unwrap();
        assert!(more.is_empty(), "nothing else is asked: {more:?}");
    }

    async fn frames(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            let length = self.number().await;
            if length == 0 {
                return all;
            }
            let start = all.len();
            all.resize(start + usize::try_from(length).unwrap(), 0);
            self.stream.read_exact(&mut all[start..]).await.unwrap();
        }
    }
}
