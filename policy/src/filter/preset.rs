//! What columns of a written row are set to, whatever its writer says: JSON of constants and variables.
//!
//! ```json
//! {"owner_id": "__loggedInUserId", "status": "draft"}
//! ```

use super::error::{Error, Fault};
use super::read::{Path, describe, nearest, operand};
use super::{Column, Comparison, Filter, Operand, Table, sql};
use serde_json::Value;

/// A checked preset.
#[derive(Clone, Debug, PartialEq)]
pub struct Preset(Vec<(Column, Operand)>);

impl Preset {
    /// Reads `json` as values for columns of `table`.
    ///
    /// # Errors
    /// [`Error`] with the JSON path of the first fault, as for a filter.
    pub fn read(table: &Table, json: &Value) -> Result<Self, Error> {
        let keys = match json {
            Value::Object(keys) if !keys.is_empty() => keys,
            Value::Object(_) => {
                let fault = Fault::WrongType { expected: "a column".into(), found: "an empty object".into() };
                return Err(Path::Root.error(fault, None));
            }
            other => return Err(Path::Root.wrong_type("an object of columns and their values", other)),
        };
        let mut values = Vec::with_capacity(keys.len());
        for (name, value) in keys {
            let here = Path::Key(&Path::Root, name);
            let Some(column) = table.column(name) else {
                let fault = Fault::UnknownField { field: name.clone(), table: table.name.clone() };
                return Err(here.error(fault, nearest(name, table.columns.iter().map(|column| column.name.as_str()))));
            };
            if !column.is_scalar() {
                return Err(here.error(Fault::UnsupportedType(column.describe()), None));
            }
            if matches!(value, Value::Array(_) | Value::Object(_)) {
                let fault = Fault::WrongType { expected: "a value".into(), found: describe(value) };
                return Err(here.error(fault, None));
            }
            values.push((column.clone(), operand(column, value, &here)?));
        }
        Ok(Self(values))
    }

    /// The SQL condition that a row has the values: unknown where a variable is absent.
    pub fn condition(&self) -> String {
        let equal =
            |(column, value): &(Column, Operand)| Filter::Compare(column.clone(), Comparison::Equals, value.clone());
        // Its columns are those of the row itself, whatever that is called.
        Filter::All(self.0.iter().map(equal).collect()).to_sql("")
    }

    /// The names of the columns, each with its value in SQL.
    pub fn values(&self) -> impl Iterator<Item = (&str, String)> {
        self.0.iter().map(|(column, value)| (column.name.as_str(), sql::sql_of(value, column)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::Type;
    use serde_json::json;

    fn table() -> Table {
        let column = |name: &str, kind: &str| Column {
            name: name.into(),
            data_type: Type::of(kind),
            sql_type: format!("pg_catalog.{kind}"),
            is_id: false,
            labels: Vec::new(),
            operators_of: "pg_catalog".into(),
            collation: String::new(),
            bitwise: false,
            element: None,
        };
        Table {
            name: "t".into(),
            columns: vec![column("owner", "int8"), column("st\"ate", "text"), column("at", "point")],
            ..Table::default()
        }
    }

    #[test]
    fn values_are_set_and_required() {
        let preset = Preset::read(&table(), &json!({"owner": "__loggedInUserId", "st\"ate": "it's"})).unwrap();
        let values: Vec<_> = preset.values().map(|(name, value)| format!("{name} := {value}")).collect();
        assert_eq!(values, ["owner := rolecall.user_id_as_bigint()", "st\"ate := 'it''s'::pg_catalog.text"]);
        assert_eq!(
            preset.condition(),
            "((\"owner\" OPERATOR(pg_catalog.=) rolecall.user_id_as_bigint()) AND \
             (\"st\"\"ate\" OPERATOR(pg_catalog.=) 'it''s'::pg_catalog.text))"
        );
    }

    #[test]
    fn what_is_no_preset_is_an_error() {
        for (json, message) in [
            (json!({}), "expected a column, found an empty object at $"),
            (json!([1]), "expected an object of columns and their values, found a list at $"),
            (json!({"ovner": 1}), "unknown field \"ovner\" of t at $.ovner"),
            (
                json!({"owner": null}),
                "expected an integer in range for column \"owner\" of type int8, found null at $.owner",
            ),
            (json!({"owner": {"equals": 1}}), "expected a value, found an object at $.owner"),
            (json!({"owner": "__me"}), "unknown variable \"__me\" at $.owner"),
            (
                json!({"owner": "__loggedInUserEmail"}),
                "__loggedInUserEmail cannot be compared with column \"owner\" of type int8 at $.owner",
            ),
            (json!({"at": "(1,2)"}), "column \"at\" of type point cannot be used in a filter at $.at"),
        ] {
            assert_eq!(Preset::read(&table(), &json).unwrap_err().to_string(), message);
        }
    }
}
