//! Another name for a field, without looking at a table.

use serde_json::{Map, Value};

/// The filter with another name for a field.
pub fn rename(filter: Value, old: &str, new: &str) -> Value {
    match filter {
        Value::Array(filters) => filters.into_iter().map(|filter| rename(filter, old, new)).collect(),
        Value::Object(keys) => Value::Object(
            keys.into_iter()
                .map(|(key, value)| {
                    if is_connective(&key) {
                        (key, rename(value, old, new))
                    } else {
                        (if key == old { new.to_owned() } else { key }, value)
                    }
                })
                .collect::<Map<_, _>>(),
        ),
        other => other,
    }
}

fn is_connective(key: &str) -> bool {
    ["AND", "OR", "NOT"].contains(&key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_field_is_renamed_wherever_it_stands_and_nothing_else() {
        let filter = json!({"a": {"equals": "a"}, "OR": [{"b": {"in": ["a"]}}, {"NOT": {"a": {"is_empty": true}}}]});
        assert_eq!(
            rename(filter, "a", "c"),
            json!({"c": {"equals": "a"}, "OR": [{"b": {"in": ["a"]}}, {"NOT": {"c": {"is_empty": true}}}]})
        );
    }
}
