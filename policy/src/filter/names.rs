//! Another name for a field.

use serde_json::{Map, Value};

/// What a name in a filter over a table stands for, if it is a relation: the other table's number, and whether several
/// rows may be related.
pub type Relations<'a> = dyn Fn(u32, &str) -> Option<(u32, bool)> + 'a;

/// A field's new name.
#[derive(Clone, Copy)]
pub struct Rename<'a> {
    /// The number of the table whose field it is.
    pub table: u32,
    /// What it was called.
    pub old: &'a str,
    /// What it is called.
    pub new: &'a str,
}

/// A filter over the table of that number, with the field's new name wherever the field stands.
pub fn rename(filter: Value, table: u32, field: Rename, relations: &Relations) -> Value {
    let rename = |filter, table| rename(filter, table, field, relations);
    match filter {
        Value::Array(filters) => filters.into_iter().map(|filter| rename(filter, table)).collect(),
        Value::Object(keys) => {
            let keys = keys.into_iter().map(|(key, value)| {
                if is_connective(&key) {
                    (key, rename(value, table))
                } else if table == field.table && key == field.old {
                    (field.new.to_owned(), value)
                } else {
                    let value = match (relations(table, &key), value) {
                        (Some((other, true)), Value::Object(quantifiers)) => quantifiers
                            .into_iter()
                            .map(|(quantifier, filter)| (quantifier, rename(filter, other)))
                            .collect::<Map<_, _>>()
                            .into(),
                        (Some((other, _)), value) => rename(value, other),
                        (None, value) => value,
                    };
                    (key, value)
                }
            });
            Value::Object(keys.collect())
        }
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

    const FIELD: Rename = Rename { table: 1, old: "a", new: "c" };

    #[test]
    fn a_field_is_renamed_wherever_it_stands_and_nothing_else() {
        let filter = json!({"a": {"equals": "a"}, "OR": [{"b": {"in": ["a"]}}, {"NOT": {"a": {"is_empty": true}}}]});
        assert_eq!(
            rename(filter, 1, FIELD, &|_, _| None),
            json!({"c": {"equals": "a"}, "OR": [{"b": {"in": ["a"]}}, {"NOT": {"c": {"is_empty": true}}}]})
        );
        let filter =
            json!({"a": [{"path": "$.a", "equals": "a"}], "b": {"has_some": ["a"]}, "d": {"path": "$.a", "in": []}});
        assert_eq!(
            rename(filter, 1, FIELD, &|_, _| None),
            json!({"c": [{"path": "$.a", "equals": "a"}], "b": {"has_some": ["a"]}, "d": {"path": "$.a", "in": []}})
        );
    }

    #[test]
    fn a_field_of_a_related_table_is_another_one() {
        let relations = |table: u32, name: &str| (name == "to").then_some((3 - table, table == 1));
        let filter = json!({"to": {"some": {"a": {"equals": 1}, "to": {"a": {"equals": 2}}}}, "a": {"equals": 3}});
        assert_eq!(
            rename(filter, 1, FIELD, &relations),
            json!({"to": {"some": {"a": {"equals": 1}, "to": {"c": {"equals": 2}}}}, "c": {"equals": 3}})
        );
    }
}
