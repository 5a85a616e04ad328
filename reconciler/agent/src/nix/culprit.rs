//! Which derivation failed and how, read from the daemon's own words. Pure; whether anything failed is told by a build's
//! result, never by what is read here.

use crate::text;
use nix_daemon_client::StorePath;

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
    text.trim().trim_end_matches([';', ':', '.']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::Culprit;

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
}
