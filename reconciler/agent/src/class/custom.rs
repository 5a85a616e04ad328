//! The custom class: `<toplevel>/bin/activate`, run with the toplevel as `$PROFILE`.
//!
//! Going back is running the old one. What runs is known by the profile alone.

use super::{Action, Invocation, Judgement};
use crate::config::NixSettings;
use crate::process::Exit;
use crate::transaction::{Failure, Health};
use camino::{Utf8Path, Utf8PathBuf};

pub(super) fn profile(nix: &NixSettings) -> Utf8PathBuf {
    nix.state.join("profiles/reconciler")
}

pub(super) fn invocation(toplevel: &Utf8Path, action: Action) -> Option<Invocation> {
    match action {
        Action::Test | Action::Return => Some(Invocation {
            program: toplevel.join("bin/activate"),
            arguments: Vec::new(),
            environment: vec![("PROFILE".to_owned(), toplevel.to_string())],
            unit: "reconciler-activate".to_owned(),
        }),
        Action::Boot => None,
    }
}

pub(super) fn judge(exit: Exit) -> Judgement {
    match exit {
        Exit::Code(0) => Judgement::Live(Health::Healthy),
        other => Judgement::Broken(Failure::Exit(other)),
    }
}

pub(super) fn current(profile: &Utf8Path) -> Option<Utf8PathBuf> {
    profile.canonicalize_utf8().ok()
}
