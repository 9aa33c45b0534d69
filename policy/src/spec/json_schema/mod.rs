//! The JSON Schema of a spec, for editors that complete and check; made from the words the reader knows.

mod objects;
mod privileges;
mod roles;

use serde_json::{Map, Value, json};

/// The schema, draft 2020-12. Whatever it refuses the reader refuses too, with a better message; the reader also refuses
/// what contradicts itself.
pub fn json_schema() -> Value {
    let mut definitions = Map::new();
    definitions.extend(basics());
    definitions.extend(roles::definitions());
    definitions.extend(objects::definitions());
    definitions.extend(privileges::definitions());
    let mut top = object(&[
        ("version", json!({"const": 1, "description": "The version of the format."})),
        ("roles", described(refer("roles"), "Roles that shall exist.")),
        ("memberships", list(refer("membership"), "Who is a member of what, beside the roles' own member_of.")),
        ("templates", by_name(refer("template"), "What schemas can be given under one name.")),
        (
            "role_name",
            json!({"type": "string", "description": "How the role of a template in a schema is called, with {schema} and {template}.",
                   "default": "{schema}_{template}"}),
        ),
        ("creators", creators()),
        ("databases", by_name(object_or_nothing(&database()), "What concerns databases by name.")),
        ("retire", described(refer("retire"), "Roles that shall go, and what becomes of what they own.")),
        ("manage", described(refer("manage"), "What may be judged undeclared, and what happens then.")),
    ]);
    if let Some(properties) = top["properties"].as_object_mut() {
        properties.extend(contents().into_iter().map(|(key, value)| (key.to_owned(), value)));
    }
    top["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    top["title"] = json!("rolecall spec");
    top["description"] = json!("Roles, memberships and privileges of a PostgreSQL cluster, as rolecall makes them.");
    top["type"] = json!(["object", "null"]);
    top["$defs"] = Value::Object(definitions);
    top
}

/// What can be said of the database at hand and of one by name.
fn contents() -> Vec<(&'static str, Value)> {
    vec![
        ("schemas", by_name(refer("schema"), "Schemas that shall exist.")),
        ("grants", list(refer("grant"), "Privileges on what exists.")),
        ("default_privileges", list(refer("default_privilege"), "Privileges on objects to come.")),
        ("owners", list(refer("ownership"), "Who owns what.")),
        ("rolecall", json!({"type": ["object", "null"], "description": "What the extension's own tables shall hold."})),
    ]
}

fn database() -> Vec<(&'static str, Value)> {
    let mut keys = contents();
    keys.push(("owner", described(refer("name"), "Its owner, if that matters.")));
    keys
}

/// Creators of all schemas that name none: one list for all, or a list for each.
fn creators() -> Value {
    let for_all = one_or_more(refer("creator"), "For every schema that names none.");
    let by_schema = by_name(one_or_more(refer("creator"), "For this schema."), "Schema by schema.");
    json!({"anyOf": [for_all, by_schema], "description": "Whose future objects the schemas' templates are about."})
}

fn basics() -> Vec<(String, Value)> {
    vec![
        definition("name", json!({"type": "string", "minLength": 1})),
        definition("names", one_or_more(refer("name"), "A name, or several.")),
        definition(
            "pattern",
            json!({"type": "string", "description": "A name; * stands for any characters, \\* for a star."}),
        ),
        definition("patterns", one_or_more(refer("pattern"), "A name with or without wildcards, or several.")),
        definition(
            "creator",
            json!({"anyOf": [
                described(refer("name"), "A role."),
                described(object(&[("members_of", refer("name"))]), "Whoever is a member of a role when the plan is made."),
            ]}),
        ),
        definition(
            "ensure",
            json!({"enum": ["present", "absent"], "default": "present",
                                    "description": "Whether it must or must not be so."}),
        ),
    ]
}

fn definition(name: &str, schema: Value) -> (String, Value) {
    (name.to_owned(), schema)
}

fn refer(name: &str) -> Value {
    json!({"$ref": format!("#/$defs/{name}")})
}

fn described(mut schema: Value, text: &str) -> Value {
    schema["description"] = json!(text);
    schema
}

/// A mapping with these keys and no others.
fn object(properties: &[(&str, Value)]) -> Value {
    let properties: Map<String, Value> =
        properties.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    json!({"type": "object", "properties": properties, "additionalProperties": false})
}

/// Like [`object`], where nothing at all is an empty one.
fn object_or_nothing(properties: &[(&str, Value)]) -> Value {
    let mut schema = object(properties);
    schema["type"] = json!(["object", "null"]);
    schema
}

fn requiring(mut schema: Value, keys: &[&str]) -> Value {
    schema["required"] = json!(keys);
    schema
}

/// A mapping from names the author chooses.
fn by_name(of: Value, text: &str) -> Value {
    json!({"type": ["object", "null"], "additionalProperties": of, "description": text})
}

fn list(of: Value, text: &str) -> Value {
    json!({"type": ["array", "null"], "items": of, "description": text})
}

/// One, or a list; nothing is an empty list.
fn one_or_more(of: Value, text: &str) -> Value {
    json!({"anyOf": [of, {"type": "array", "items": of}], "description": text})
}

fn flag(text: &str) -> Value {
    json!({"type": "boolean", "description": text})
}

#[cfg(test)]
mod tests;
