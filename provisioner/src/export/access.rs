//! The extension's part of a spec.

use super::yaml::{Node, Section};
use crate::access;
use crate::error::Error;
use postgres::Client;
use serde_json::Value;

/// Keys in the order people want them; others follow by name.
const ORDER: &[&str] = &[
    "default_roles",
    "servers",
    "roles",
    "tables",
    "work_queues",
    "description",
    "pool",
    "role",
    "action",
    "filter",
    "columns",
    "new_row",
    "preset",
    "users_table",
    "relations",
    "acl_column",
    "permissions",
];

/// The section, if the extension is there and holds anything.
///
/// # Errors
/// Who asks may not read it, and whatever the server says.
pub(super) fn section(client: &mut Client) -> Result<Option<Section>, Error> {
    let Some(access) = access::export(client)? else { return Ok(None) };
    let value = serde_json::to_value(access).map_err(|error| Error::Unexpected(error.to_string()))?;
    let comment = "What the extension rolecall holds in this database.".to_owned();
    Ok(Some(Section { comment, key: "rolecall", value: node(value) }))
}

fn node(value: Value) -> Node {
    match value {
        Value::Null => Node::Null,
        Value::Bool(value) => Node::Bool(value),
        Value::Number(number) => number.as_i64().map_or_else(|| Node::Decimal(number.to_string()), Node::Number),
        Value::String(text) => Node::Text(text),
        Value::Array(items) => Node::List(items.into_iter().map(node).collect()),
        Value::Object(map) => {
            let mut entries: Vec<(String, Value)> = map.into_iter().collect();
            entries.sort_by_key(|(key, _)| ORDER.iter().position(|known| known == key).unwrap_or(ORDER.len()));
            Node::map(entries.into_iter().map(|(key, value)| (key, node(value))))
        }
    }
}
