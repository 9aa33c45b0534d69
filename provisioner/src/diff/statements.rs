//! GRANT and REVOKE as text.

use crate::catalog::{Names, Object, RoleId};
use policy::spec::{Kind, Privileges};

/// Long statements are cut here: measured, longer ones gain nothing.
const OBJECTS_A_STATEMENT: usize = 500;

/// The word after ON.
pub(super) fn on(kind: Kind) -> &'static str {
    match kind {
        Kind::Database => "DATABASE",
        Kind::Schema => "SCHEMA",
        Kind::Relation(_) => "TABLE",
        Kind::Sequence => "SEQUENCE",
        Kind::Routine(_) => "ROUTINE",
        Kind::Type => "TYPE",
        Kind::Language => "LANGUAGE",
        Kind::ForeignDataWrapper => "FOREIGN DATA WRAPPER",
        Kind::ForeignServer => "FOREIGN SERVER",
        Kind::Tablespace => "TABLESPACE",
        Kind::Parameter => "PARAMETER",
        Kind::LargeObject => "LARGE OBJECT",
    }
}

/// The plural after ON in ALTER DEFAULT PRIVILEGES, and in sentences.
pub fn plural(kind: Kind) -> &'static str {
    match kind {
        Kind::Database => "databases",
        Kind::Schema => "schemas",
        Kind::Relation(_) => "tables",
        Kind::Sequence => "sequences",
        Kind::Routine(_) => "routines",
        Kind::Type => "types",
        Kind::Language => "languages",
        Kind::ForeignDataWrapper => "foreign-data wrappers",
        Kind::ForeignServer => "foreign servers",
        Kind::Tablespace => "tablespaces",
        Kind::Parameter => "parameters",
        Kind::LargeObject => "large objects",
    }
}

pub(super) fn roles(names: &Names, roles: &[RoleId]) -> String {
    roles.iter().map(|role| names.sql(*role)).collect::<Vec<_>>().join(", ")
}

pub(super) fn labels(names: &Names, roles: &[RoleId]) -> String {
    let labels: Vec<String> = roles.iter().map(|role| names.name(*role).to_owned()).collect();
    super::listing(&labels)
}

/// `GRANT p ON TABLE t1, … TO a, b`, as often as needed.
pub(super) fn grant(objects: &[&Object], privileges: Privileges, option: bool, to: &str) -> Vec<String> {
    let with = if option { " WITH GRANT OPTION" } else { "" };
    each(objects, |kind, list| format!("GRANT {privileges} ON {kind} {list} TO {to}{with}"))
}

/// `REVOKE p ON TABLE t1, … FROM a, b`, as often as needed.
pub(super) fn revoke(objects: &[&Object], privileges: Privileges, option_only: bool, from: &str) -> Vec<String> {
    let option = if option_only { "GRANT OPTION FOR " } else { "" };
    each(objects, |kind, list| format!("REVOKE {option}{privileges} ON {kind} {list} FROM {from}"))
}

fn each(objects: &[&Object], statement: impl Fn(&str, String) -> String) -> Vec<String> {
    objects
        .chunks(OBJECTS_A_STATEMENT)
        .map(|chunk| {
            let references: Vec<&str> = chunk.iter().map(|object| object.reference.as_str()).collect();
            statement(chunk.first().map_or("", |object| on(object.kind)), references.join(", "))
        })
        .collect()
}
