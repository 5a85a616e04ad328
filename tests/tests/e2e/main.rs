//! End to end: the real binary against real git, a real nix-daemon and a host in a folder.
//!
//! One binary, a module per topic; `no_file_is_forgotten` sees to it that each one is run.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail their test"
)]

mod boot;
mod build;
mod check;
mod check_keys;
mod converge;
mod crash;
mod daemon;
mod darwin;
mod deadman;
mod drift;
mod evaluate;
mod evaluator;
mod faults;
mod fetch;
mod generate;
mod home_manager;
mod hostile;
mod installing;
mod keys;
mod local;
mod manifest_places;
mod manifests;
mod plan;
mod preflight;
mod private;
mod published;
mod reboot;
mod refusal;
mod rekey;
mod remembered;
mod retention;
mod revert;
mod rollback;
mod sandbox;
mod secrets;
mod service;
mod sops_nix;
mod sops_nix_calls;
mod specialisation;
mod surface;
mod system_manager;

#[test]
fn no_file_is_forgotten() {
    let main = include_str!("main.rs");
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e");
    for file in std::fs::read_dir(folder).unwrap() {
        let file = file.unwrap();
        if file.path().is_dir() {
            continue;
        }
        let file = file.file_name().into_string().unwrap();
        let module = file
            .strip_suffix(".rs")
            .unwrap_or_else(|| panic!("{file} is no Rust file"));
        assert!(
            module == "main" || main.contains(&format!("\nmod {module};\n")),
            "main.rs does not name {module}"
        );
    }
}
