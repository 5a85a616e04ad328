//! Which derivation failed and how, read from the daemon's own words. Pure; whether anything failed is told by a build's
//! result, never by what is read here.

use crate::text;
use nix_daemon_client::{Event, Progress, StorePath};

/// How many derivations that are called failed are kept; a builder can have such a line said as often as it likes.
const KEPT: usize = 64;

/// What is heard of failures while a build goes on.
#[derive(Debug, Default)]
pub(super) struct Culprits {
    named: Vec<Culprit>,
    /// The last error that names no derivation, and the builds that it may be about: those before it were not the end.
    unnamed: Option<(String, Vec<StorePath>)>,
    ended: Option<StorePath>,
}

impl Culprits {
    /// Hears an event that is not yet part of `progress`.
    pub(super) fn hear(&mut self, event: &Event, progress: &Progress) {
        match event {
            Event::Stop { id } => {
                if let Some(build) = progress.build(*id) {
                    self.ended = Some(build.drv.clone());
                }
            }
            Event::Line(line) => self.listen(&line.plain(), progress),
            _ => {}
        }
    }

    fn listen(&mut self, said: &str, progress: &Progress) {
        if let Some(culprit) = Culprit::read(said) {
            if self.named.len() < KEPT {
                self.named.push(culprit);
            }
        } else if said.starts_with("error:") && !said.contains(".drv'") {
            // Since 2.30 a build out of time is called by no name. It is one of those that run, or has just ended.
            let mut about: Vec<_> = progress.running().map(|build| build.drv.clone()).collect();
            if about.is_empty() {
                about.extend(self.ended.clone());
            }
            self.unnamed = Some((trimmed(headline(said)), about));
        }
    }

    /// What made the build of `toplevel` fail, where something was heard of it.
    pub(super) fn first(self, toplevel: &StorePath) -> Option<Culprit> {
        if let Some(culprit) = self.named.into_iter().next() {
            return Some(culprit);
        }
        let (message, about) = self.unnamed?;
        Some(match about.as_slice() {
            [drv] => Culprit {
                drv: drv.clone(),
                message,
                evidence: Vec::new(),
            },
            _ => Culprit {
                drv: toplevel.clone(),
                message: format!("what it needs {message}"),
                evidence: about
                    .iter()
                    .map(|drv| format!("was being built: {drv}"))
                    .collect(),
            },
        })
    }
}

/// A derivation that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Culprit {
    /// The derivation.
    pub(super) drv: StorePath,
    /// How, in one line, without its path.
    pub(super) message: String,
    /// What there is to know besides: the hashes of an output that is not what was declared.
    pub(super) evidence: Vec<String>,
}

impl Culprit {
    /// Reads an error of the daemon; `None` where it names no derivation, or one that only waited for another.
    ///
    /// Nix says `builder for '….drv' failed with exit code 1;` with the log below up to 2.29, and since then
    /// `Cannot build '….drv'.` with `Reason: …` below. Of either: `hash mismatch in fixed-output derivation '….drv':`
    /// and `building of '….drv!out' from .drv file timed out after 1 seconds`.
    pub(super) fn read(said: &str) -> Option<Culprit> {
        let said = text::plain(said);
        let first = headline(&said);
        let quoted = first.split('\'').find(|word| word.contains(".drv"))?;
        // Some of its words name the outputs as well: `….drv!out`, or `….drv^out` since 2.13.
        let drv = StorePath::from_absolute(quoted.split(['!', '^']).next()?).ok()?;
        drv.name().ends_with(".drv").then_some(())?;
        let reason = said.lines().find_map(|line| line.trim().strip_prefix("Reason:"));
        let waited = first.contains("dependencies of derivation")
            || reason.is_some_and(|reason| reason.contains("dependenc"));
        if waited {
            return None;
        }
        let path = format!("'{quoted}'");
        let message = match reason {
            Some(reason) => reason.to_owned(),
            None => [" for ", " of ", " "]
                .iter()
                .fold(first.replace(" from .drv file", ""), |text, before| {
                    text.replace(&format!("{before}{path}"), "")
                }),
        };
        Some(Culprit {
            drv,
            message: trimmed(&message),
            evidence: said
                .lines()
                .map(str::trim)
                .filter(|line| line.starts_with("specified:") || line.starts_with("got:"))
                .map(str::to_owned)
                .collect(),
        })
    }

    /// Of which the daemon's words do not say which it is.
    pub(super) fn unnamed(drv: StorePath, said: &str) -> Culprit {
        Culprit {
            drv,
            message: trimmed(headline(&text::plain(said))),
            evidence: Vec::new(),
        }
    }
}

/// The first line that says something.
fn headline(said: &str) -> &str {
    said.lines()
        .map(|line| line.trim().trim_start_matches("error:").trim())
        .find(|line| !line.is_empty())
        .unwrap_or_default()
}

fn trimmed(text: &str) -> String {
    text::without_password(text.trim().trim_end_matches([';', ':', '.']))
}

#[cfg(test)]
mod tests {
    use super::{Culprit, Culprits};
    use nix_daemon_client::{ActivityId, ActivityKind, Event, Field, Level, Progress, StorePath};

    const DRV: &str = "/nix/store/0123456789abcdfghijklmnpqrsvwxyz-a.drv";

    fn read(said: &str) -> Option<(String, Vec<String>)> {
        let culprit = Culprit::read(&said.replace("DRV", DRV))?;
        assert_eq!(culprit.drv.to_string(), DRV);
        Some((culprit.message, culprit.evidence))
    }

    #[test]
    fn the_culprit_is_found_in_every_wording() {
        let table = [
            (
                "error: builder for 'DRV' failed with exit code 1;\n       last 1 log lines:\n       > no\n",
                "builder failed with exit code 1",
            ),
            (
                "\u{1b}[31;1merror:\u{1b}[0m builder for '\u{1b}[35;1mDRV\u{1b}[0m' failed due to signal 9 (Killed)",
                "builder failed due to signal 9 (Killed)",
            ),
            (
                "error: Cannot build 'DRV'.\n       Reason: builder failed with exit code 1.\n       Output paths:\n",
                "builder failed with exit code 1",
            ),
            (
                "error: building of 'DRV!out' from .drv file timed out after 1 seconds",
                "building timed out after 1 seconds",
            ),
            (
                "error:\n  building of 'DRV^*' timed out after 1 seconds\n",
                "building timed out after 1 seconds",
            ),
        ];
        for (said, message) in table {
            assert_eq!(read(said), Some((message.to_owned(), Vec::new())), "{said}");
        }
    }

    #[test]
    fn hashes_that_differ_are_kept() {
        let said = "error: hash mismatch in fixed-output derivation 'DRV':\n         specified: sha256-AA=\n            got:    \
                    sha256-BB=\n";
        let (message, evidence) = read(said).unwrap();
        assert_eq!(message, "hash mismatch in fixed-output derivation");
        assert_eq!(evidence, ["specified: sha256-AA=", "got:    sha256-BB="]);
    }

    #[test]
    fn who_waited_is_no_culprit() {
        for said in [
            "error: 1 dependencies of derivation 'DRV' failed to build",
            "error: Cannot build 'DRV'.\n       Reason: 1 dependency failed.\n",
            "error: Cannot build 'DRV'.\n       Reason: 2 dependencies failed.\n",
            "error: builder for 'x' failed",
            "error: builder for '/etc/x.drv' failed",
            "",
        ] {
            assert_eq!(read(said), None, "{said}");
        }
    }

    const OTHER: &str = "/nix/store/1123456789abcdfghijklmnpqrsvwxyz-b.drv";

    fn start(id: u64, drv: &str) -> Event {
        Event::Start {
            id: ActivityId(id),
            parent: ActivityId(0),
            level: Level::Info,
            kind: ActivityKind::Build,
            text: "".into(),
            fields: vec![Field::Text(drv.into()), Field::Text("".into())],
        }
    }

    fn stop(id: u64) -> Event {
        Event::Stop { id: ActivityId(id) }
    }

    fn line(text: &str) -> Event {
        Event::Line(text.into())
    }

    fn first(events: &[Event]) -> Option<(String, String, usize)> {
        let (mut culprits, mut progress) = (Culprits::default(), Progress::new());
        for event in events {
            culprits.hear(event, &progress);
            progress.apply(event);
        }
        let toplevel =
            StorePath::from_absolute("/nix/store/2123456789abcdfghijklmnpqrsvwxyz-top.drv").unwrap();
        let culprit = culprits.first(&toplevel)?;
        Some((
            culprit.drv.name().to_owned(),
            culprit.message,
            culprit.evidence.len(),
        ))
    }

    #[test]
    fn an_error_without_a_name_is_of_what_ran() {
        let late = || line("error: timed out after 1 seconds\n");
        let of = |name: &str, message: &str, others| Some((name.to_owned(), message.to_owned(), others));
        let alone = of("a.drv", "timed out after 1 seconds", 0);
        assert_eq!(first(&[start(1, DRV), late(), stop(1)]), alone);
        assert_eq!(first(&[start(1, DRV), stop(1), late()]), alone);
        assert_eq!(
            first(&[start(1, DRV), start(2, OTHER), late(), stop(1), stop(2)]),
            of("top.drv", "what it needs timed out after 1 seconds", 2)
        );
        // What the build survived is not what ended it.
        let cache = || line("error: unable to download 'https://u:p@h/x': HTTP error 503");
        assert_eq!(first(&[start(1, DRV), cache(), late(), stop(1)]), alone);
        let told = first(&[start(1, DRV), cache()]).unwrap().1;
        assert_eq!(told, "unable to download 'https://…@h/x': HTTP error 503");
        // A name counts for more.
        let named = line(&format!("error: builder for '{OTHER}' failed with exit code 1"));
        assert_eq!(
            first(&[start(1, DRV), late(), named]),
            of("b.drv", "builder failed with exit code 1", 0)
        );
        assert_eq!(first(&[start(1, DRV), line("warning: error: no"), stop(1)]), None);
    }
}
