//! Roles, memberships, what becomes of others.

use super::{by_name, definition, described, flag, list, object, object_or_nothing, one_or_more, refer, requiring};
use serde_json::{Value, json};

pub(super) fn definitions() -> Vec<(String, Value)> {
    vec![
        definition("role_name", role_name()),
        definition("roles", roles()),
        definition("role", role()),
        definition("group", group()),
        definition("membership", membership()),
        definition("settings", settings()),
        definition("password", password()),
        definition("retire", retire()),
        definition("manage", manage()),
        definition("undeclared", undeclared()),
    ]
}

fn role_name() -> Value {
    json!({"type": "string", "minLength": 1, "maxLength": 63, "not": {"pattern": "^pg_|^[Pp][Uu][Bb][Ll][Ii][Cc]$|^none$"}})
}

fn roles() -> Value {
    json!({"anyOf": [
        {"type": ["object", "null"], "propertyNames": refer("role_name"), "additionalProperties": refer("role")},
        {"type": "array", "items": refer("role_name")},
    ]})
}

fn role() -> Value {
    let mut keys = vec![
        ("login", flag("May connect.")),
        ("superuser", flag("May do everything.")),
        ("createdb", flag("May make databases.")),
        ("createrole", flag("May make and alter roles.")),
        ("inherit", flag("Has what its groups may without SET ROLE.")),
        ("replication", flag("May replicate.")),
        ("bypassrls", flag("Row level security does not apply.")),
    ];
    let whole = json!({"type": "integer", "minimum": i32::MIN, "maximum": i32::MAX});
    keys.extend([
        ("connection_limit", described(whole, "How many connections at once; -1 is no limit.")),
        (
            "valid_until",
            json!({"type": ["string", "null"], "minLength": 1,
                   "description": "Until when the password counts, such as \"2031-01-02T03:04:05Z\", or infinity."}),
        ),
        ("comment", json!({"type": ["string", "null"], "description": "The comment; null for none."})),
        ("password", described(refer("password"), "Where the password is found; never the password itself.")),
        ("password_env", json!({"type": "string", "description": "The environment variable that holds the password."})),
        ("member_of", one_or_more(refer("group"), "The roles it is a member of.")),
        ("config", described(refer("settings"), "Settings in all databases.")),
        ("config_in_database", by_name(refer("settings"), "Settings by database.")),
        ("grants", list(refer("role_grant"), "What it may.")),
    ]);
    object_or_nothing(&keys)
}

fn options() -> Vec<(&'static str, Value)> {
    vec![
        ("admin", flag("The member may admit others.")),
        ("inherit", flag("The member has what the role may without SET ROLE; from PostgreSQL 16 on.")),
        ("set", flag("The member may SET ROLE to it; from PostgreSQL 16 on.")),
    ]
}

fn group() -> Value {
    let mut keys = vec![("role", refer("name"))];
    keys.extend(options());
    json!({"anyOf": [refer("name"), requiring(object(&keys), &["role"])]})
}

fn membership() -> Value {
    let mut keys = vec![
        ("role", described(refer("name"), "The group.")),
        ("member", described(refer("names"), "Who is in it.")),
        ("ensure", refer("ensure")),
        ("grantor", described(refer("name"), "Who admits the member; from PostgreSQL 16 on.")),
    ];
    keys.extend(options());
    requiring(object(&keys), &["role", "member"])
}

fn settings() -> Value {
    let text = json!({"type": "string"});
    by_name(
        json!({"anyOf": [{"type": ["string", "number", "boolean", "null"]}, {"type": "array", "items": text}]}),
        "A value, a list where the setting is one, or null to reset it.",
    )
}

fn password() -> Value {
    let source =
        |key: &str, text: &str| requiring(object(&[(key, json!({"type": "string", "description": text}))]), &[key]);
    json!({"anyOf": [
        source("from_env", "An environment variable."),
        source("from_file", "A file; its last line break does not count."),
        requiring(
            object(&[("prompt", json!({"const": true, "description": "Asked for by apply where the role has none."}))]),
            &["prompt"],
        ),
    ]})
}

fn retire() -> Value {
    let how = object_or_nothing(&[
        ("reassign_to", described(refer("name"), "Who gets what it owns.")),
        ("terminate_sessions", flag("Its sessions are ended.")),
    ]);
    json!({"anyOf": [{"type": "object", "additionalProperties": how}, {"type": "array", "items": refer("name")},
                     {"type": "null"}]})
}

fn manage() -> Value {
    object_or_nothing(&[
        ("roles", described(refer("patterns"), "Roles that are judged; those declared, if not set.")),
        ("schemas", described(refer("patterns"), "Schemas that are looked at; all but the system's, if not set.")),
        ("ignore", described(refer("patterns"), "Roles that are never judged.")),
        (
            "undeclared",
            described(refer("undeclared"), "What is done about what the spec does not say, without a flag."),
        ),
    ])
}

fn undeclared() -> Value {
    let word = json!({"enum": ["report", "revoke", "drop", "owner"]});
    let choice = |other: &str, text: &str| json!({"enum": ["report", other], "description": text});
    json!({"anyOf": [
        word,
        {"type": "array", "items": word},
        object(&[
            ("privileges", choice("revoke", "Undeclared privileges.")),
            ("members", choice("revoke", "Undeclared memberships.")),
            ("roles", choice("drop", "Undeclared roles.")),
            ("owners", choice("change", "Owners other than those declared.")),
        ]),
    ]})
}
