//! Schemas, templates, grants and what they are on.

use super::super::kind::{Kind, WORDS};
use super::privileges::{any_case, by_kind, kind_text, kind_words};
use super::{definition, described, flag, list, object, object_or_nothing, one_or_more, refer, requiring};
use serde_json::{Value, json};

pub(super) fn definitions() -> Vec<(String, Value)> {
    vec![
        definition("template", template()),
        definition("template_grant", template_grant("template_kind", true)),
        definition("template_default", template_grant("schema_object_kind", false)),
        definition("schema", schema()),
        definition("target", target()),
        definition("grant", grant()),
        definition("role_grant", role_grant()),
        definition("default_privilege", default_privilege()),
        definition("ownership", ownership()),
    ]
}

fn template() -> Value {
    object_or_nothing(&[
        ("inherits", described(refer("names"), "Templates it includes.")),
        ("grants", list(refer("template_grant"), "Privileges on the schema and on all there is in it.")),
        ("default_privileges", list(refer("template_default"), "Privileges on what creators make in it later.")),
    ])
}

/// `[PRIVILEGES, TYPE]`, or the same as a mapping.
fn template_grant(kinds: &str, exceptions: bool) -> Value {
    let mut keys = vec![("privileges", refer("privileges")), ("on", refer(kinds))];
    if exceptions {
        keys.push(("except", described(refer("patterns"), "Names left out.")));
    }
    let pair =
        json!({"type": "array", "prefixItems": [refer("privileges"), refer(kinds)], "items": false, "minItems": 2});
    let kinds = WORDS.iter().filter(|(_, kind)| *kind == Kind::Schema || kind.lies_in_schema());
    let by_kind = by_kind(kinds.map(|(_, kind)| *kind), |of_kind, privileges| {
        let in_pair = json!({"type": "array", "prefixItems": [true, of_kind]});
        let in_object = json!({"type": "object", "properties": {"on": of_kind}, "required": ["on"]});
        json!({"if": {"anyOf": [in_pair, in_object]},
               "then": {"prefixItems": [privileges], "properties": {"privileges": privileges}}})
    });
    json!({"anyOf": [pair, requiring(object(&keys), &["privileges", "on"])], "allOf": by_kind})
}

fn schema() -> Value {
    let by_template = json!({"type": "object", "additionalProperties": refer("names")});
    object_or_nothing(&[
        ("owner", described(refer("name"), "Its owner, if that matters.")),
        ("creators", one_or_more(refer("creator"), "Whose future objects the templates' default privileges are for.")),
        (
            "templates",
            json!({"anyOf": [refer("names"), by_template],
                   "description": "Templates to make roles for, or a mapping from templates to the roles that get them."}),
        ),
    ])
}

/// Objects, as a mapping or as one text such as `table shop.*`.
fn target() -> Value {
    let text =
        json!({"type": "string", "pattern": format!("^{}( .+)?$", kind_text(WORDS.iter().map(|(word, _)| *word)))});
    let mapping = object(&[
        (
            "type",
            json!({"anyOf": [refer("kind"), {"enum": ["column", "columns"]}], "description": "The kind of object."}),
        ),
        ("schema", described(refer("patterns"), "The schema, where such objects lie in one.")),
        ("name", described(refer("patterns"), "The name; a routine's with or without argument types; * for all.")),
        ("table", described(refer("patterns"), "The table whose columns are meant, with \"type: column\".")),
        ("columns", described(refer("names"), "Single columns of a table.")),
    ]);
    let of_type = |kinds: Value| json!({"type": "object", "properties": {"type": kinds}, "required": ["type"]});
    let mut mapping = requiring(mapping, &["type"]);
    mapping["allOf"] = json!([
        {"if": of_type(json!({"anyOf": [refer("schema_object_kind"), {"enum": ["column", "columns"]}]})),
         "then": {"required": ["schema"]}, "else": {"properties": {"schema": false}}},
        {"if": of_type(json!({"enum": ["column", "columns"]})),
         "then": {"required": ["table"], "anyOf": [{"required": ["name"]}, {"required": ["columns"]}]},
         "else": {"properties": {"table": false}}},
        {"if": of_type(json!({"anyOf": [{"pattern": format!("^{}s?$", any_case(Kind::Database.word()))},
                                        {"enum": ["column", "columns"]}]})),
         "then": {}, "else": {"required": ["name"]}},
        {"if": {"required": ["columns"]}, "then": of_type(json!({"anyOf": [
            kind_words(WORDS.iter().filter(|(_, kind)| matches!(kind, Kind::Relation(_))).map(|(word, _)| *word)),
            {"enum": ["column", "columns"]}]}))},
    ]);
    json!({"anyOf": [text, mapping], "description": "What the privileges are on."})
}

fn grant_keys() -> Vec<(&'static str, Value)> {
    vec![
        ("privileges", refer("privileges")),
        ("on", refer("target")),
        ("except", described(refer("patterns"), "Names left out.")),
        ("grant_option", flag("They can be passed on.")),
        ("ensure", refer("ensure")),
    ]
}

fn grant() -> Value {
    let mut keys = vec![("to", refer("grantees"))];
    keys.extend(grant_keys());
    let mut grant = requiring(object(&keys), &["to", "privileges", "on"]);
    grant["allOf"] = json!(privileges_of_target());
    grant
}

fn role_grant() -> Value {
    let mut mapping = requiring(object(&grant_keys()), &["privileges", "on"]);
    mapping["allOf"] = json!(privileges_of_target());
    json!({"anyOf": [
        {"type": "array", "prefixItems": [refer("privileges"), refer("target")], "items": false, "minItems": 2},
        mapping,
    ]})
}

/// Which privileges there are depends on the kind, and on whether single columns are meant.
fn privileges_of_target() -> Vec<Value> {
    let columns =
        json!({"anyOf": [{"required": ["columns"]}, {"properties": {"type": {"enum": ["column", "columns"]}}}]});
    let mut rules = by_kind(WORDS.iter().map(|(_, kind)| *kind), |of_kind, privileges| {
        let on = json!({"type": "object", "properties": {"type": of_kind}, "required": ["type"], "not": columns});
        json!({"if": {"properties": {"on": on}, "required": ["on"]}, "then": {"properties": {"privileges": privileges}}})
    });
    let on = json!({"type": "object", "required": ["type"], "allOf": [columns]});
    let of_columns = refer("privileges_on_columns");
    rules.push(json!({"if": {"properties": {"on": on}, "required": ["on"]},
                      "then": {"properties": {"privileges": of_columns}}}));
    rules
}

fn default_privilege() -> Value {
    let mut entry = requiring(
        object(&[
            ("owner", one_or_more(refer("creator"), "Whose objects.")),
            ("schema", described(refer("names"), "The schema they will lie in.")),
            ("scope", json!({"const": "global", "description": "Wherever they will lie."})),
            ("on", described(refer("default_kind"), "The kind of object.")),
            ("to", refer("grantees")),
            ("privileges", refer("privileges")),
            ("grant_option", flag("They can be passed on.")),
            ("ensure", refer("ensure")),
        ]),
        &["owner", "on", "to", "privileges"],
    );
    entry["oneOf"] = json!([{"required": ["schema"]}, {"required": ["scope"]}]);
    let kinds = WORDS.iter().map(|(_, kind)| *kind).filter(|kind| kind.has_default_privileges());
    let rules = by_kind(
        kinds,
        |of_kind, privileges| json!({"if": {"properties": {"on": of_kind}, "required": ["on"]}, "then": {"properties": {"privileges": privileges}}}),
    );
    entry["allOf"] = json!(rules);
    entry
}

fn ownership() -> Value {
    let entry = object(&[
        ("owner", refer("name")),
        ("on", refer("target")),
        ("except", described(refer("patterns"), "Names left out.")),
    ]);
    requiring(entry, &["owner", "on"])
}
