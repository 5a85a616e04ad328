//! Every case of `fixtures/flakes/cases.json`, by the real `nix eval` with the options that the agent gives it.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail their test"
)]

use reconciler_tests::{Output, Store, fixtures};
use serde_json::Value;
use std::path::Path;

const REVISION: &str = "0123456789012345678901234567890123456789";

#[test]
fn every_case_is_answered_as_written() {
    let store = Store::new();
    let cases = std::fs::read_to_string(fixtures().join("flakes/cases.json")).unwrap();
    let cases: Vec<Value> = serde_json::from_str(&cases).unwrap();
    let mut wrong = Vec::new();
    for case in &cases {
        let output = evaluate(&store, case);
        if let Err(reason) = judge(case, &output) {
            wrong.push(format!("{case}\n{reason}\n{output}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {} cases:\n\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n\n")
    );
}

/// Puts the fixture into the store and evaluates the step there.
fn evaluate(store: &Store, case: &Value) -> Output {
    let fixture = fixtures().join("flakes").join(text(case, "fixture"));
    // By that name a locked tree is found in the store by its hash alone, and is not copied again.
    let add = [
        "store",
        "add-path",
        "--name",
        "source",
        &fixture.to_string_lossy(),
    ];
    let source = store.nix("nix", &add).ended(0).stdout;
    let source = source.trim();
    let hash = store.nix("nix", &["hash", "path", source]).ended(0).stdout;
    let expression = format!(
        "({entry}) {{ source = {{ path = \"{source}\"; narHash = \"{hash}\"; rev = \"{REVISION}\"; \
         lastModified = 123; revCount = 4; }}; directory = \"{directory}\"; machine = \"{machine}\"; \
         step = \"{step}\"; }}",
        entry = entry_nix(),
        hash = hash.trim(),
        directory = text(case, "directory"),
        machine = text(case, "machine"),
        step = text(case, "step"),
    );
    let arguments = [
        "--extra-experimental-features",
        "nix-command flakes",
        "eval",
        "--json",
        "--no-update-lock-file",
        "--show-trace",
        "--log-format",
        "raw",
        "--option",
        "flake-registry",
        "",
        "--expr",
        &expression,
    ];
    store.nix("nix", &arguments)
}

fn judge(case: &Value, output: &Output) -> Result<(), String> {
    if let Some(error) = case.get("error").and_then(Value::as_str) {
        return match output.code {
            Some(0) => Err("it should fail".to_owned()),
            _ if output.stderr.contains(error) => Ok(()),
            _ => Err(format!("it should say {error:?}")),
        };
    }
    if output.code != Some(0) {
        return Err("it should succeed".to_owned());
    }
    let answer: Value = serde_json::from_str(&output.stdout).map_err(|error| error.to_string())?;
    for (key, expected) in case["answer"].as_object().unwrap() {
        let found = answer.get(key).unwrap_or(&Value::Null);
        if found != expected {
            return Err(format!("{key} should be {expected} and is {found}"));
        }
    }
    // What can be built has a derivation in the store by now.
    match answer.get("drv").and_then(Value::as_str) {
        Some(drv) if !Path::new(drv).exists() => Err(format!("{drv} does not exist")),
        _ => Ok(()),
    }
}

fn entry_nix() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../reconciler/agent/src/nix/entry.nix");
    std::fs::read_to_string(path).unwrap()
}

fn text<'a>(case: &'a Value, key: &str) -> &'a str {
    case[key]
        .as_str()
        .unwrap_or_else(|| panic!("{case} has no {key}"))
}
