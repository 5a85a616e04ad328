//! sops-nix's manifest: read, judged without a key, and opened in memory. Its files are in the fixtures, whatever it
//! names, and nothing that is found wrong with it holds a value of theirs.
#![no_main]

use std::sync::OnceLock;

use reconciler_fuzz::{fixture, identities};
use reconciler_vars::Accounts;
use reconciler_vars::sops_nix::{CheckMode, Manifest, Passwd, check, prepare};

/// In the values of the fixture.
const CANARY: &[u8] = b"battery-staple";

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    static ACCOUNTS: OnceLock<Accounts> = OnceLock::new();
    let Ok(mut manifest) = Manifest::parse(bytes) else {
        return;
    };
    manifest = manifest.below_runtime_dir("/run/user/1000");
    for template in &mut manifest.templates {
        if !template.file.is_empty() {
            template.file = "/nonexistent".to_owned();
        }
    }
    for secret in &mut manifest.secrets {
        secret.sops_file = fixture(match secret.format.as_str() {
            "json" => "sops/json-default.json",
            _ => "sops/binary.json",
        });
    }
    let _ = manifest.identities();
    let unkeyed = check(&manifest, CheckMode::SopsFile);
    let accounts = ACCOUNTS.get_or_init(Accounts::unprivileged);
    let prepared = prepare(&manifest, identities(), accounts, Passwd::Ignore);
    assert!(prepared.len() <= manifest.secrets.len() + manifest.templates.len());
    let told = format!("{prepared:?}{unkeyed:?}");
    let lines: Vec<_> = prepared
        .findings()
        .iter()
        .chain(&unkeyed)
        .map(ToString::to_string)
        .collect();
    if !bytes.windows(CANARY.len()).any(|window| window == CANARY) {
        let canary = std::str::from_utf8(CANARY).unwrap();
        assert!(!told.contains(canary) && !lines.concat().contains(canary));
    }
});
