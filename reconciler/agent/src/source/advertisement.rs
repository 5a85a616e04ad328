//! Finds one branch in what a smart server says about its refs, while it says it.
//!
//! Formats: `gitprotocol-http(5)` ("Discovering References"), `gitprotocol-pack(5)` ("Reference Discovery")
//! and `gitprotocol-v2(5)` ("Initial Client Request", "ls-refs"). Pure; what it keeps is bounded whatever the
//! server sends.

use super::object_id::ObjectId;
use super::{
    branches::{self, HEADS, LOOKED_AT},
    pkt_line::{Packet, PktLineError, PktLines, encode},
};

/// The most a server may send: refs of half a million pull requests.
const LARGEST: usize = 32 << 20;
/// The longest branch name kept for a message.
const LONGEST_NAME: usize = 255;
const LONGEST_REFUSAL: usize = 300;

/// Why a server's answer says nothing about refs.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum AdvertisementError {
    /// The framing is broken.
    #[error("the answer is not git's")]
    Framing(#[from] PktLineError),
    /// A line without an object id and a name.
    #[error("a line of the answer is no ref: {line:?}")]
    Line {
        /// The line, cut short.
        line: String,
    },
    /// The server said no, in its own words.
    #[error("the server refuses: {message}")]
    Refused {
        /// What it said, on one line.
        message: String,
    },
    /// The repository uses object ids the agent does not read.
    #[error("the repository's object format is {format}, only sha1 is supported")]
    ObjectFormat {
        /// The format's name.
        format: String,
    },
    /// The answer ended early.
    #[error("the answer ends in the middle")]
    Truncated,
    /// The answer does not end.
    #[error("the answer is larger than {LARGEST} bytes")]
    TooLarge,
}

/// What the server said.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The branch is at this commit.
    Head(ObjectId),
    /// There is no such branch; these come nearest.
    Missing(Vec<String>),
    /// The server speaks protocol version 2 and waits for a command.
    Version2,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing arrived.
    Start,
    /// After `# service=`: a flush follows.
    Service,
    /// The list of refs, or its start.
    Refs,
    /// Version 2's capabilities.
    Capabilities,
    /// The closing flush arrived.
    Done,
}

/// The reader of one answer.
#[derive(Debug)]
pub(super) struct Advertisement {
    branch: String,
    name: String,
    lines: PktLines,
    list: List,
    size: usize,
}

#[derive(Debug)]
struct List {
    state: State,
    version2: bool,
    head: Option<ObjectId>,
    names: Vec<String>,
}

impl Advertisement {
    /// For the answer to `GET info/refs`.
    pub(super) fn new(branch: &str) -> Self {
        Self::starting(branch, State::Start)
    }

    /// For the answer to version 2's `ls-refs`.
    pub(super) fn of_ls_refs(branch: &str) -> Self {
        Self::starting(branch, State::Refs)
    }

    fn starting(branch: &str, state: State) -> Self {
        Self {
            branch: branch.to_owned(),
            name: format!("{HEADS}{branch}"),
            lines: PktLines::default(),
            list: List {
                state,
                version2: false,
                head: None,
                names: Vec::new(),
            },
            size: 0,
        }
    }

    /// Takes the next bytes.
    pub(super) fn feed(&mut self, chunk: &[u8]) -> Result<(), AdvertisementError> {
        self.size = self.size.saturating_add(chunk.len());
        if self.size > LARGEST {
            return Err(AdvertisementError::TooLarge);
        }
        let Self {
            name, lines, list, ..
        } = self;
        lines.feed(chunk, |packet| list.packet(name, packet))
    }

    /// Says what was found, after the last byte.
    pub(super) fn finish(self) -> Result<Answer, AdvertisementError> {
        if self.list.state != State::Done || !self.lines.is_between_packets() {
            return Err(AdvertisementError::Truncated);
        }
        Ok(match self.list {
            List { version2: true, .. } => Answer::Version2,
            List { head: Some(head), .. } => Answer::Head(head),
            List { names, .. } => Answer::Missing(branches::closest(&self.branch, names)),
        })
    }
}

impl List {
    fn packet(&mut self, wanted: &str, packet: Packet<'_>) -> Result<(), AdvertisementError> {
        let data = match packet {
            Packet::Data(data) => data,
            Packet::Flush => {
                self.state = match self.state {
                    State::Service => State::Start,
                    State::Start | State::Refs | State::Capabilities | State::Done => State::Done,
                };
                return Ok(());
            }
            Packet::Delimiter | Packet::ResponseEnd => return Ok(()),
        };
        let line = data.strip_suffix(b"\n").unwrap_or(data);
        if let Some(message) = line.strip_prefix(b"ERR ") {
            return Err(AdvertisementError::Refused {
                message: shown(message, LONGEST_REFUSAL),
            });
        }
        match self.state {
            State::Start if line.starts_with(b"# service=") => self.state = State::Service,
            State::Start if line == b"version 2" => {
                self.version2 = true;
                self.state = State::Capabilities;
            }
            State::Start if line == b"version 1" => {}
            State::Start => {
                self.state = State::Refs;
                let capabilities = line.splitn(2, |byte| *byte == 0).nth(1).unwrap_or_default();
                for capability in capabilities.split(|byte| *byte == b' ') {
                    object_format(capability)?;
                }
                self.reference(wanted, line)?;
            }
            State::Refs => self.reference(wanted, line)?,
            State::Capabilities => object_format(line)?,
            State::Service | State::Done => return Err(unexpected(line)),
        }
        Ok(())
    }

    /// `<oid> SP <name>`, then NUL and capabilities, or SP and attributes.
    fn reference(&mut self, wanted: &str, line: &[u8]) -> Result<(), AdvertisementError> {
        let line = line.split(|byte| *byte == 0).next().unwrap_or_default();
        let mut fields = line.split(|byte| *byte == b' ');
        let (Some(id), Some(name)) = (fields.next(), fields.next()) else {
            return Err(unexpected(line));
        };
        if id == b"shallow" || id == b"unborn" {
            return Ok(());
        }
        if name == wanted.as_bytes() {
            let id = std::str::from_utf8(id).ok().filter(|id| id.len() == 40);
            let id = id
                .and_then(|id| id.parse::<ObjectId>().ok())
                .ok_or_else(|| unexpected(line))?;
            self.head = Some(id);
            self.names.clear();
        } else if self.head.is_none()
            && self.names.len() < LOOKED_AT
            && let Some(name) = name.strip_prefix(HEADS.as_bytes())
            && name.len() <= LONGEST_NAME
        {
            self.names.push(shown(name, LONGEST_NAME));
        }
        Ok(())
    }
}

fn object_format(capability: &[u8]) -> Result<(), AdvertisementError> {
    match capability.strip_prefix(b"object-format=") {
        None | Some(b"sha1") => Ok(()),
        Some(format) => Err(AdvertisementError::ObjectFormat {
            format: shown(format, 16),
        }),
    }
}

fn unexpected(line: &[u8]) -> AdvertisementError {
    AdvertisementError::Line {
        line: shown(line, 80),
    }
}

/// What a server said, fit for a terminal.
fn shown(bytes: &[u8], longest: usize) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(longest)
        .collect::<String>()
        .trim()
        .to_owned()
}

/// The body of version 2's `ls-refs` for the names that start with `prefix`.
pub(super) fn ls_refs(prefix: &str) -> String {
    let command = encode("command=ls-refs\n");
    let agent = encode(concat!("agent=reconcile/", env!("CARGO_PKG_VERSION")));
    let prefix = encode(&format!("ref-prefix {prefix}\n"));
    format!("{command}{agent}0001{prefix}0000")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Advertisement, AdvertisementError, Answer, encode, ls_refs};

    const A: &str = "1111111111111111111111111111111111111111";
    const B: &str = "2222222222222222222222222222222222222222";

    fn read(text: &str) -> Result<Answer, AdvertisementError> {
        let mut advertisement = Advertisement::new("main");
        advertisement.feed(text.as_bytes())?;
        advertisement.finish()
    }

    fn v0(refs: &[(&str, &str)]) -> String {
        let mut text = encode("# service=git-upload-pack\n") + "0000";
        for (index, (id, name)) in refs.iter().enumerate() {
            let capabilities = if index == 0 {
                "\0multi_ack object-format=sha1"
            } else {
                ""
            };
            text += &encode(&format!("{id} {name}{capabilities}\n"));
        }
        text + "0000"
    }

    #[test]
    fn the_branch_is_found_by_its_whole_name() {
        let refs = [
            (A, "HEAD"),
            (A, "refs/heads/main2"),
            (B, "refs/heads/main"),
            (A, "refs/tags/main"),
        ];
        assert_eq!(read(&v0(&refs)), Ok(Answer::Head(B.parse().unwrap())));
    }

    #[test]
    fn a_missing_branch_names_those_that_exist() {
        let refs = [
            (A, "refs/heads/dev"),
            (B, "refs/heads/man"),
            (A, "refs/pull/1/head"),
        ];
        assert_eq!(
            read(&v0(&refs)),
            Ok(Answer::Missing(vec!["man".into(), "dev".into()]))
        );
        let zero = "0".repeat(40);
        assert_eq!(
            read(&v0(&[(&zero, "capabilities^{}")])),
            Ok(Answer::Missing(vec![]))
        );
    }

    #[test]
    fn version_2_is_told_with_and_without_the_service_line() {
        let capabilities =
            encode("version 2\n") + &encode("ls-refs=unborn\n") + &encode("object-format=sha1\n") + "0000";
        assert_eq!(read(&capabilities), Ok(Answer::Version2));
        assert_eq!(
            read(&(encode("# service=git-upload-pack\n") + "0000" + &capabilities)),
            Ok(Answer::Version2)
        );
    }

    #[test]
    fn answers_that_are_no_advertisement_are_typed() {
        let refused = encode("ERR access denied\u{1b}[31m\n");
        assert_eq!(
            read(&refused),
            Err(AdvertisementError::Refused {
                message: "access denied [31m".into()
            })
        );
        let sha256 = encode("version 2\n") + &encode("object-format=sha256\n") + "0000";
        assert_eq!(
            read(&sha256),
            Err(AdvertisementError::ObjectFormat {
                format: "sha256".into()
            })
        );
        assert_eq!(
            read(v0(&[(A, "refs/heads/main")]).trim_end_matches("0000")),
            Err(AdvertisementError::Truncated)
        );
        assert_eq!(read(""), Err(AdvertisementError::Truncated));
        assert!(matches!(
            read("<!doctype html>"),
            Err(AdvertisementError::Framing(_))
        ));
        assert!(matches!(
            read(&v0(&[("xyz", "refs/heads/main")])),
            Err(AdvertisementError::Line { .. })
        ));
        assert!(matches!(
            read(&(encode("nonsense\n") + "0000")),
            Err(AdvertisementError::Line { .. })
        ));
    }

    #[test]
    fn an_answer_without_end_is_cut() {
        let mut advertisement = Advertisement::new("main");
        let line = encode(&format!("{A} refs/pull/1/head\n"));
        let chunk = line.repeat(20_000);
        let error = (0..64).find_map(|_| advertisement.feed(chunk.as_bytes()).err());
        assert_eq!(error, Some(AdvertisementError::TooLarge));
    }

    #[test]
    fn ls_refs_is_framed() {
        let body = ls_refs("refs/heads/main");
        assert!(body.starts_with("0014command=ls-refs\n"), "{body}");
        assert!(
            body.ends_with("0001001fref-prefix refs/heads/main\n0000"),
            "{body}"
        );
    }

    proptest! {
        #[test]
        fn hostile_lines_never_panic(lines in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..20)) {
            let mut advertisement = Advertisement::new("main");
            for line in lines {
                let mut packet = format!("{:04x}", line.len() + 4).into_bytes();
                packet.extend(line);
                if advertisement.feed(&packet).is_err() {
                    break;
                }
            }
            let _ = advertisement.finish();
        }
    }
}
