//! The settings of a role, a machine or a tag in an instance. It takes them out of the wrapping that
//! clan-core puts around deferred modules, and never merges them: overrides and list order are the module
//! system's business.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// Settings as declared in one place; `{}` where nothing was declared.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Settings(Value);

impl Settings {
    /// The declared value, unwrapped: an object, unless the fleet declared something else.
    #[must_use]
    pub const fn value(&self) -> &Value {
        &self.0
    }

    /// Whether nothing was declared.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match &self.0 {
            Value::Null => true,
            Value::Object(fields) => fields.is_empty(),
            _ => false,
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self(Value::Object(serde_json::Map::new()))
    }
}

impl<'de> Deserialize<'de> for Settings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::deserialize(deserializer).map(|value| Self(unwrap(value)))
    }
}

/// Takes VALUE out of `{imports: [{_file, imports: [VALUE]}]}`, the shape that clan-core's
/// `uniqueDeferredSerializableModule` serialises to; any other shape is the value itself.
fn unwrap(value: Value) -> Value {
    match wrapped(&value) {
        Some(inner) => inner.clone(),
        None => value,
    }
}

fn wrapped(value: &Value) -> Option<&Value> {
    let outer = sole(value.get("imports")?)?;
    outer.get("_file")?;
    sole(outer.get("imports")?)
}

fn sole(value: &Value) -> Option<&Value> {
    match value.as_array()?.as_slice() {
        [only] => Some(only),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_wrapping_of_deferred_modules_is_taken_off() {
        let cases = [
            (
                json!({"imports": [{"_file": "flake.nix", "imports": [{"port": 80}]}]}),
                json!({"port": 80}),
            ),
            (json!({"imports": [{"_file": null, "imports": [{}]}]}), json!({})),
            (json!({"port": 80}), json!({"port": 80})),
            (json!({}), json!({})),
            // Not the wrapping: settings that happen to have a field of that name.
            (json!({"imports": ["a.csv"]}), json!({"imports": ["a.csv"]})),
            (
                json!({"imports": [{"imports": [1]}]}),
                json!({"imports": [{"imports": [1]}]}),
            ),
            (
                json!({"imports": [{"_file": "a", "imports": [1, 2]}]}),
                json!({"imports": [{"_file": "a", "imports": [1, 2]}]}),
            ),
        ];
        for (given, expected) in cases {
            let settings: Settings = serde_json::from_value(given.clone()).unwrap();
            assert_eq!(settings.value(), &expected, "{given}");
        }
    }

    #[test]
    fn settings_are_empty_where_nothing_was_declared() {
        assert!(Settings::default().is_empty());
        assert!(
            serde_json::from_value::<Settings>(json!(null))
                .unwrap()
                .is_empty()
        );
        assert!(
            !serde_json::from_value::<Settings>(json!({"a": 1}))
                .unwrap()
                .is_empty()
        );
    }
}
