//! What cannot be is refused, with a sentence, a code, a hint where there is one; and the machine stays.

use reconciler_tests::{Entry, Fleet, Host, Output, Store};

/// A machine on a good generation.
pub(crate) struct Stage {
    pub(crate) store: Store,
    pub(crate) fleet: Fleet,
    pub(crate) host: Host,
}

impl Stage {
    pub(crate) fn new() -> Stage {
        let (store, fleet) = (Store::new(), Fleet::with_machine("cinnabar"));
        fleet.declare("electrum", &Entry::nixos());
        fleet.publish("declare electrum");
        let host = Host::new(&store, &fleet, "cinnabar");
        host.now(0);
        Stage { store, fleet, host }
    }

    /// A pass ends with `code`, says all of this in one error, and leaves the machine as it is.
    #[track_caller]
    pub(crate) fn refuses(&self, code: i32, says: &[&str], hint: Option<&str>) {
        let before = self.host.picture(&self.store);
        let output = refusal(self.host.run(&["now"]), code, says, hint);
        assert_eq!(self.host.picture(&self.store), before, "\n{output}");
        // The same for machines.
        let ended = self.host.now(code);
        assert_eq!(
            (&ended["outcome"], &ended["generation"]),
            (&name(code).into(), &1.into()),
            "{ended:#}"
        );
        if let Some(hint) = hint {
            assert!(
                ended["hint"].as_str().is_some_and(|found| found.contains(hint)),
                "{ended:#}"
            );
        }
        let status = self.host.status();
        assert_eq!(status["last_pass"]["outcome"], ended["outcome"], "{status:#}");
        assert_eq!(status["generation"]["number"], 1, "{status:#}");
        self.host.run(&["status", "--check"]).ended(code);
    }

    /// Pushes a bad commit; a pass refuses it.
    #[track_caller]
    pub(crate) fn refuses_commit(&self, code: i32, says: &[&str], hint: Option<&str>) {
        self.fleet.motd("cinnabar", "bad");
        self.fleet.publish("a bad commit");
        self.refuses(code, says, hint);
    }

    /// Declares cinnabar with this toplevel; a pass refuses it.
    #[track_caller]
    pub(crate) fn refuses_entry(&self, entry: &Entry, code: i32, says: &[&str], hint: Option<&str>) {
        self.fleet.declare("cinnabar", entry);
        self.refuses_commit(code, says, hint);
    }
}

/// The name of an exit code.
fn name(code: i32) -> &'static str {
    match code {
        11 => "refused",
        12 => "fetch-failed",
        13 => "evaluation-failed",
        14 => "preflight-failed",
        15 => "build-failed",
        other => panic!("{other} is no code of a refusal"),
    }
}

/// Checks the one shape of an error: a sentence, what is below it, a hint.
#[track_caller]
pub(crate) fn refusal(output: Output, code: i32, says: &[&str], hint: Option<&str>) -> Output {
    let mut output = output
        .ended(code)
        .never_says("panicked")
        .never_says("error: error");
    for text in says {
        output = output.says(text);
    }
    let lines = |start: &str| {
        output
            .stderr
            .lines()
            .filter(|line| line.starts_with(start))
            .collect::<Vec<_>>()
    };
    assert_eq!(lines("error: ").len(), 1, "one error, in one sentence\n{output}");
    match (hint, lines("hint: ").as_slice()) {
        (None, []) => {}
        (Some(hint), [line]) => assert!(line.contains(hint), "the hint should have {hint:?}\n{output}"),
        (_, _) => panic!("the hint should be {hint:?}\n{output}"),
    }
    output
}
