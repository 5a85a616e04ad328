//! Owns the words of the plugin protocol, `identity-v1` and `recipient-v1` (C2SP, age-plugin.md). It must never answer for a person.

use age::secrecy::ExposeSecret;
use age_core::format::{FileKey, Stanza};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use zeroize::Zeroizing;

use super::problem::{PluginProblem, words};
use super::process::{Peer, Silence};
use crate::wiped::Wiped;

/// Columns of a stanza's body; a shorter line ends it.
const COLUMNS: usize = 64;

/// Asks a plugin that just started for the key of a file.
pub(super) fn unwrap(
    process: &mut dyn Peer,
    identity: &str,
    stanzas: &[Stanza],
    limit: std::time::Duration,
) -> Result<Option<Zeroizing<Vec<u8>>>, PluginProblem> {
    let mut opening = Wiped::new();
    put(&mut opening, &["add-identity", identity], &[]);
    for stanza in stanzas {
        let words: Vec<&str> = ["recipient-stanza", "0", stanza.tag.as_str()]
            .into_iter()
            .chain(stanza.args.iter().map(String::as_str))
            .collect();
        put(&mut opening, &words, &stanza.body);
    }
    put(&mut opening, &["done"], &[]);
    let heard = hear(process, opening.into_bytes(), Wanted::Key, limit)?;
    match heard.key {
        Some(key) => Ok(Some(key)),
        None => heard.reason().map_or(Ok(None), Err),
    }
}

/// Has a plugin that just started seal the key of a file: the stanzas, and the labels that say with which others
/// they may stand.
pub(super) fn wrap(
    process: &mut dyn Peer,
    recipient: &str,
    key: &FileKey,
    limit: std::time::Duration,
) -> Result<(Vec<Stanza>, Vec<String>), PluginProblem> {
    let mut opening = Wiped::new();
    put(&mut opening, &["add-recipient", recipient], &[]);
    put(&mut opening, &["wrap-file-key"], key.expose_secret());
    put(&mut opening, &["extension-labels"], &[]);
    put(&mut opening, &["done"], &[]);
    let heard = hear(process, opening.into_bytes(), Wanted::Stanzas, limit)?;
    if let Some(problem) = heard.reason() {
        return Err(problem);
    }
    if heard.stanzas.is_empty() {
        return Err(PluginProblem::Protocol);
    }
    Ok((heard.stanzas, heard.labels))
}

fn hear(
    process: &mut dyn Peer,
    opening: Zeroizing<Vec<u8>>,
    wanted: Wanted,
    limit: std::time::Duration,
) -> Result<Heard, PluginProblem> {
    let mut heard = Heard::default();
    match talk(process, opening, wanted, &mut heard) {
        Ok(()) => {}
        Err(Silence::TooLate) => {
            return Err(PluginProblem::TimedOut {
                limit,
                said: heard.said,
            });
        }
        // What it asked or said before it left is the reason.
        Err(Silence::Ended) if heard.asked.is_some() || heard.failure.is_some() => {}
        Err(Silence::Ended) => return Err(PluginProblem::Ended),
        Err(Silence::TooMuch) => return Err(PluginProblem::Protocol),
        Err(Silence::Broken(error)) => return Err(PluginProblem::Talk { kind: error.kind() }),
    }
    Ok(heard)
}

/// What a plugin is to give.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Key,
    Stanzas,
}

#[derive(Default)]
struct Heard {
    key: Option<Zeroizing<Vec<u8>>>,
    stanzas: Vec<Stanza>,
    labels: Vec<String>,
    asked: Option<String>,
    failure: Option<String>,
    said: String,
    malformed: bool,
}

impl Heard {
    /// Why it did not give what was wanted.
    fn reason(&self) -> Option<PluginProblem> {
        match self {
            Heard {
                asked: Some(asked), ..
            } => Some(PluginProblem::Interaction { asked: asked.clone() }),
            Heard {
                failure: Some(message),
                ..
            } => Some(PluginProblem::Failed {
                message: message.clone(),
            }),
            Heard { malformed: true, .. } => Some(PluginProblem::Protocol),
            _ => None,
        }
    }
}

fn talk(
    process: &mut dyn Peer,
    opening: Zeroizing<Vec<u8>>,
    wanted: Wanted,
    heard: &mut Heard,
) -> Result<(), Silence> {
    process.say(opening)?;
    loop {
        let Some(command) = Command::read(process)? else {
            heard.malformed = true;
            return Ok(());
        };
        let mut words_of = command.words.iter().map(String::as_str);
        let answer = match (words_of.next().unwrap_or_default(), words_of.next()) {
            ("done", _) => return Ok(()),
            ("msg", _) => {
                heard.said = words(&command.body);
                "ok"
            }
            ("confirm" | "request-public" | "request-secret", _) => {
                heard.asked.get_or_insert_with(|| words(&command.body));
                "fail"
            }
            ("file-key", Some("0")) if wanted == Wanted::Key && heard.key.is_none() => {
                heard.key = Some(command.body);
                "ok"
            }
            ("recipient-stanza", Some("0")) if wanted == Wanted::Stanzas => {
                let Some(tag) = words_of.next() else {
                    heard.malformed = true;
                    return Ok(());
                };
                heard.stanzas.push(Stanza {
                    tag: tag.to_owned(),
                    args: words_of.map(str::to_owned).collect(),
                    body: command.body.to_vec(),
                });
                "ok"
            }
            ("labels", _) if wanted == Wanted::Stanzas && heard.labels.is_empty() => {
                heard.labels = command.words.iter().skip(1).cloned().collect();
                "ok"
            }
            ("error", _) => {
                heard.failure.get_or_insert_with(|| words(&command.body));
                "ok"
            }
            _ => "unsupported",
        };
        let mut reply = Wiped::new();
        put(&mut reply, &[answer], &[]);
        process.say(reply.into_bytes())?;
    }
}

/// Writes a stanza: `-> `, its words, and its body in lines of 64 columns, the last of which is shorter.
fn put(text: &mut Wiped, words: &[&str], body: &[u8]) {
    text.extend(b"->");
    for word in words {
        text.push(b' ');
        text.extend(word.as_bytes());
    }
    text.push(b'\n');
    let encoded = Zeroizing::new(BASE64_STANDARD_NO_PAD.encode(body));
    for line in encoded.as_bytes().chunks(COLUMNS) {
        text.extend(line);
        text.push(b'\n');
    }
    if encoded.len().is_multiple_of(COLUMNS) {
        text.push(b'\n');
    }
}

struct Command {
    words: Vec<String>,
    body: Zeroizing<Vec<u8>>,
}

impl Command {
    /// The next stanza; `None` if what comes is none.
    fn read(process: &mut dyn Peer) -> Result<Option<Self>, Silence> {
        let head = process.line()?;
        let Some(words) = head
            .strip_prefix(b"-> ")
            .and_then(|words| std::str::from_utf8(words).ok())
        else {
            return Ok(None);
        };
        // As in the header of a file, where some of them end.
        let is_word = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_graphic());
        if !words.split(' ').all(is_word) {
            return Ok(None);
        }
        let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
        let mut body = Zeroizing::new(Vec::new());
        loop {
            let line = process.line()?;
            let decoded = BASE64_STANDARD_NO_PAD.decode(line.as_slice()).map(Zeroizing::new);
            match decoded {
                Ok(part) if line.len() <= COLUMNS => body.extend_from_slice(&part),
                _ => return Ok(None),
            }
            if line.len() < COLUMNS {
                return Ok(Some(Self { words, body }));
            }
        }
    }
}
