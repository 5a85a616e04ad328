//! The schema of SARIF 2.1.0, which lies among the fixtures. Owns no log.

use serde_json::Value;

const SCHEMA: &str = include_str!("../fixtures/sarif/sarif-schema-2.1.0.json");

/// Fails with all that is wrong with a log, if anything is: it is to be what its own `$schema` says.
#[track_caller]
pub fn assert_sarif(log: &Value) {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    assert_eq!(
        log.get("$schema"),
        schema.get("id"),
        "the log names another schema"
    );
    let validator = jsonschema::options()
        .should_validate_formats(true)
        .build(&schema)
        .unwrap();
    let wrong: Vec<_> = validator
        .iter_errors(log)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}\n{log:#}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    #[should_panic(expected = "/runs/0/results/0")]
    fn a_log_that_is_none_is_told() {
        let schema: Value = serde_json::from_str(SCHEMA).unwrap();
        assert_sarif(&json!({
            "$schema": schema.get("id"), "version": "2.1.0",
            "runs": [{"tool": {"driver": {"name": "x"}}, "results": [{"level": "fatal", "message": {"text": "x"}}]}],
        }));
    }
}
