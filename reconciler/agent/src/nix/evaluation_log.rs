//! What Nix writes while it evaluates, in its `internal-json` log: what it does, what it said, and the traces
//! that `entry.nix` leaves.
//!
//! Pure. Everything in it is untrusted: builders and the fleet's own code write into it.

use crate::text;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Bytes kept of what was said; the oldest go first, since an error is the last word.
const SAID: usize = 1 << 20;
/// The longest message that is put together from pieces, in bytes.
const MESSAGE: usize = 16 << 20;
/// Activities followed at once. A builder can start as many as it likes.
const ACTIVITIES: usize = 1 << 12;
/// What stands before every message of the log.
const MARK: &str = "@nix ";

/// What the fleet looked at besides its own files, by the marks of `entry.nix`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reads {
    /// The commit: its id, its time, its number.
    pub commit: Seen,
    /// Where the whole repository lies.
    pub repository: Seen,
}

/// Whether something was looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Seen {
    /// It was not.
    #[default]
    No,
    /// It was.
    Yes,
}

/// A message, as `src/libutil/logging.cc` of Nix writes it.
#[derive(Debug, Deserialize)]
struct Message {
    action: String,
    #[serde(default)]
    id: u64,
    #[serde(default, rename = "type")]
    kind: u64,
    #[serde(default)]
    text: String,
    #[serde(default)]
    fields: Vec<serde_json::Value>,
    #[serde(default)]
    msg: String,
    raw_msg: Option<String>,
}

/// Numbers of `src/libutil/logging.hh`.
mod number {
    pub(super) const TRANSFER: u64 = 101;
    pub(super) const BUILDS: u64 = 104;
    pub(super) const BUILD: u64 = 105;
    pub(super) const LOG_LINE: u64 = 101;
    pub(super) const PHASE: u64 = 104;
    pub(super) const PROGRESS: u64 = 105;
}

#[derive(Debug, Default)]
struct Activity {
    kind: u64,
    text: String,
    phase: String,
    last: String,
}

/// The log, line by line.
#[derive(Debug, Default)]
pub(super) struct EvaluationLog {
    said: String,
    summary: Option<String>,
    reads: Reads,
    piece: String,
    activities: BTreeMap<u64, Activity>,
    builds: (u64, u64),
    shown: String,
}

impl EvaluationLog {
    /// Takes a line, or a piece of a long one; what is done just now, where that changed.
    pub(super) fn hear(&mut self, line: &str) -> Option<String> {
        if !self.piece.is_empty() && !line.starts_with(MARK) {
            self.piece.push_str(line);
        } else if let Some(json) = line.strip_prefix(MARK) {
            self.piece.clear();
            self.piece.push_str(json);
        } else {
            self.say(line);
            return None;
        }
        match serde_json::from_str::<Message>(&self.piece) {
            Ok(message) => {
                self.piece.clear();
                self.take(message);
            }
            Err(error) if error.is_eof() && self.piece.len() < MESSAGE => return None,
            Err(_) => {
                self.piece.clear();
                return None;
            }
        }
        let doing = self.doing()?;
        (doing != self.shown).then(|| {
            self.shown.clone_from(&doing);
            doing
        })
    }

    /// Everything that was said, without colours.
    pub(super) fn said(&self) -> &str {
        &self.said
    }

    /// The error's own sentence.
    pub(super) fn summary(&self) -> Option<&str> {
        self.summary.as_deref()
    }

    /// What was looked at so far.
    pub(super) fn reads(&self) -> Reads {
        self.reads
    }

    fn take(&mut self, message: Message) {
        match message.action.as_str() {
            "msg" => self.message(&message),
            "start" if self.activities.len() < ACTIVITIES => {
                let drv = message.fields.first().and_then(serde_json::Value::as_str);
                let text = match (message.kind, drv) {
                    (number::BUILD, Some(drv)) => format!("building {}", derivation(drv)),
                    _ => text::without_password(&text::plain(&message.text)),
                };
                self.activities.insert(
                    message.id,
                    Activity {
                        kind: message.kind,
                        text,
                        ..Activity::default()
                    },
                );
            }
            "stop" => {
                self.activities.remove(&message.id);
            }
            "result" => self.result(&message),
            _ => {}
        }
    }

    fn message(&mut self, message: &Message) {
        let said = text::plain(&message.msg);
        let trace = said.trim().strip_prefix("trace: ");
        match trace {
            Some("reconcile-reads-commit") => self.reads.commit = Seen::Yes,
            Some("reconcile-reads-repository") => self.reads.repository = Seen::Yes,
            // The evaluator's user may not tell the daemon how to fetch, and need not.
            _ if said.contains("ignoring the client-specified setting")
                || said.contains("ignoring the user-specified setting") => {}
            _ => self.say(&said),
        }
        if let Some(raw) = &message.raw_msg {
            let raw = text::without_password(&text::plain(raw));
            self.summary = Some(raw.trim().to_owned()).filter(|raw| !raw.is_empty());
        }
    }

    fn result(&mut self, message: &Message) {
        let counts = || {
            let mut counts = message.fields.iter().filter_map(serde_json::Value::as_u64);
            (counts.next().unwrap_or(0), counts.next().unwrap_or(0))
        };
        let word = || {
            let word = message.fields.first().and_then(serde_json::Value::as_str);
            text::without_password(&text::plain(word.unwrap_or_default()))
        };
        let Some(activity) = self.activities.get_mut(&message.id) else {
            return;
        };
        match (activity.kind, message.kind) {
            (number::BUILDS, number::PROGRESS) => self.builds = counts(),
            (number::BUILD, number::LOG_LINE) => activity.last = word(),
            (number::BUILD, number::PHASE) => activity.phase = word(),
            (number::TRANSFER, number::PROGRESS) => {
                let (done, expected) = counts();
                activity.last = match expected {
                    0 => text::size(done),
                    _ => format!("{} of {}", text::size(done), text::size(expected)),
                };
            }
            _ => {}
        }
    }

    /// The activity that began last; a build before all others, for it is what takes long.
    fn doing(&self) -> Option<String> {
        let told = || {
            self.activities
                .values()
                .filter(|activity| !activity.text.is_empty())
        };
        let mut building = told().filter(|activity| activity.kind == number::BUILD);
        let activity = building.next_back().or_else(|| told().next_back())?;
        let mut parts = Vec::new();
        if activity.kind == number::BUILD && self.builds.1 > 1 {
            parts.push(format!("{} of {}", self.builds.0, self.builds.1));
        }
        let said = [&activity.text, &activity.phase, &activity.last];
        parts.extend(said.into_iter().filter(|part| !part.is_empty()).cloned());
        Some(parts.join(" · "))
    }

    fn say(&mut self, text: &str) {
        self.said.push_str(&text::without_password(&text::plain(text)));
        self.said.push('\n');
        if self.said.len() > 2 * SAID {
            let mut from = self.said.len() - SAID;
            while !self.said.is_char_boundary(from) {
                from += 1;
            }
            self.said.drain(..from);
        }
    }
}

fn derivation(path: &str) -> &str {
    let base = path.rsplit('/').next().unwrap_or(path);
    let name = base.split_once('-').map_or(base, |(_, name)| name);
    name.trim_end_matches(".drv")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hear(lines: &[&str]) -> (EvaluationLog, Vec<String>) {
        let mut log = EvaluationLog::default();
        let told = lines.iter().filter_map(|line| log.hear(line)).collect();
        (log, told)
    }

    #[test]
    fn a_build_for_an_import_is_told_as_it_goes() {
        let (_, told) = hear(&[
            r#"@nix {"action":"start","id":1,"level":0,"text":"","type":104}"#,
            r#"@nix {"action":"result","fields":[0,2,1,0],"id":1,"type":105}"#,
            r#"@nix {"action":"start","fields":["/nix/store/nni7i834r1f3i7313r5c41xn0myl94xb-ifd.drv","",1,1],"id":2,"level":3,"text":"building","type":105}"#,
            r#"@nix {"action":"result","fields":["buildPhase"],"id":2,"type":104}"#,
            r#"@nix {"action":"result","fields":["gcc -o x"],"id":2,"type":101}"#,
            r#"@nix {"action":"stop","id":2}"#,
        ]);
        insta::assert_snapshot!(told.join("\n"), @r"
        0 of 2 · building ifd
        0 of 2 · building ifd · buildPhase
        0 of 2 · building ifd · buildPhase · gcc -o x
        ");
    }

    #[test]
    fn a_download_is_told_without_its_password() {
        let (_, told) = hear(&[
            r#"@nix {"action":"start","fields":["x"],"id":7,"level":4,"text":"downloading 'https://me:hunter2@example.org/x.tar.gz'","type":101}"#,
            r#"@nix {"action":"result","fields":[1048576,4194304,0,0],"id":7,"type":105}"#,
        ]);
        insta::assert_snapshot!(told.join("\n"), @r"
        downloading 'https://…@example.org/x.tar.gz'
        downloading 'https://…@example.org/x.tar.gz' · 1.0 MiB of 4.0 MiB
        ");
    }

    #[test]
    fn traces_of_the_entry_are_no_words_of_nix() {
        let (log, _) = hear(&[
            r#"@nix {"action":"msg","level":0,"msg":"trace: reconcile-reads-commit"}"#,
            r#"@nix {"action":"msg","level":0,"msg":"trace: mine"}"#,
            "warning: from git",
        ]);
        assert_eq!(log.said(), "trace: mine\nwarning: from git\n");
        assert_eq!(
            log.reads(),
            Reads {
                commit: Seen::Yes,
                repository: Seen::No
            }
        );
    }

    #[test]
    fn a_long_message_comes_in_pieces_and_a_broken_one_is_dropped() {
        let whole = r#"@nix {"action":"msg","level":0,"msg":"\u001b[31;1merror:\u001b[0m the option is gone","raw_msg":"the option is gone"}"#;
        let (first, second) = whole.split_at(70);
        let (log, _) = hear(&[
            first,
            second,
            "@nix {\"action\":\"msg\",",
            "@nix nonsense",
            "@nix {}",
            whole,
        ]);
        assert_eq!(log.summary(), Some("the option is gone"));
        assert_eq!(log.said().matches("error: the option is gone").count(), 2);
    }

    proptest::proptest! {
        #[test]
        fn any_line_is_heard(lines in proptest::collection::vec("(@nix )?[ -~]{0,40}", 0..20)) {
            let mut log = EvaluationLog::default();
            for line in &lines {
                log.hear(line);
            }
        }
    }
}
