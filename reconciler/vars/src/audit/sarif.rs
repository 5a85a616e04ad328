//! Owns the SARIF form of a report (OASIS SARIF 2.1.0), for tools that show findings beside the lines of a review. It
//! must never hold a value.

use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::report::{FindingDocument, Report};
use super::rule::Rule;

/// The schema that the document follows.
const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// Where the rules are explained.
const HELP: &str = "docs/vars-check.md";

/// A log with one run: `{ "$schema", "version", "runs": [ { "tool", "results", … } ] }`. Paths are relative to the
/// root of the repository (`%SRCROOT%`). `folder` is the fleet's directory in it, `version` the tool's.
#[must_use]
pub fn sarif(report: &Report, folder: &str, version: &str) -> impl Serialize + use<> {
    let rules: Vec<Value> = Rule::ALL.iter().map(|rule| describe(*rule)).collect();
    let results: Vec<Value> = report.documents(folder).iter().map(result).collect();
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": { "name": "reconcile vars check", "version": version, "rules": rules } },
            "originalUriBaseIds": { "%SRCROOT%": { "description": { "text": "The root of the fleet's repository." } } },
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn describe(rule: Rule) -> Value {
    json!({
        "id": rule.id(),
        "name": camel_case(rule.id()),
        "shortDescription": { "text": format!("{}.", rule.title()) },
        "fullDescription": { "text": rule.meaning() },
        "help": { "text": format!("{} See {HELP}.", rule.meaning()) },
        "defaultConfiguration": { "level": rule.level().name() },
    })
}

fn result(finding: &FindingDocument) -> Value {
    let text = match &finding.hint {
        Some(hint) => format!("{}. To mend it: {hint}", finding.message),
        None => format!("{}.", finding.message),
    };
    let index = Rule::ALL.iter().position(|rule| *rule == finding.rule);
    json!({
        "ruleId": finding.rule.id(),
        "ruleIndex": index,
        "level": finding.level.name(),
        "message": { "text": text },
        "locations": [{
            "physicalLocation": {
                "artifactLocation": { "uri": uri(&finding.path), "uriBaseId": "%SRCROOT%" },
                "region": { "startLine": 1 },
            },
        }],
        // The same finding in the next run, whatever else changed.
        "partialFingerprints": { "finding/v1": fingerprint(finding) },
        "properties": { "machines": finding.machines },
    })
}

fn fingerprint(finding: &FindingDocument) -> String {
    let hash = Sha256::digest(format!("{}\n{}", finding.rule.id(), finding.message));
    hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// A relative reference (RFC 3986, `path-rootless`).
fn uri(path: &str) -> String {
    let mut uri = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                uri.push(char::from(byte));
            }
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}

fn camel_case(id: &str) -> String {
    let words = id.split('-').map(|word| {
        let mut letters = word.chars();
        letters.next().map_or_else(String::new, |first| {
            first.to_ascii_uppercase().to_string() + letters.as_str()
        })
    });
    words.collect()
}
