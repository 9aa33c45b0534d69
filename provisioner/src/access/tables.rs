//! Tables with rules: what relations are called, who the users are, and that the table is protected at all.

use super::held::{self, Held};
use super::statement::Call;
use super::{Context, problem};
use crate::error::Error;
use crate::plan::{Operation, Sign};
use policy::spec::access::{Relation, Table};
use policy::spec::{At, TableName};
use policy::sql::{literal, text_array};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

pub(super) const SECTION: &str = "rolecall permissions";

/// Columns by table.
pub(super) type Columns = BTreeMap<TableName, Vec<Column>>;

#[derive(Deserialize)]
pub(super) struct Column {
    name: String,
    /// Why it can hold no ACLs, if so.
    no_acls: Option<String>,
}

#[derive(Deserialize)]
struct Answer {
    schema: String,
    name: String,
    columns: Vec<Column>,
}

/// The columns of the declared tables and of those that their relations lead to, all of which must be there.
pub(super) fn columns(context: &mut Context<'_>, tables: &BTreeMap<TableName, Table>) -> Result<Columns, Error> {
    let mut named: Vec<(&TableName, At, String)> = Vec::new();
    for (name, table) in tables {
        named.push((name, table.at, path(name)));
        for (relation, to) in &table.relations {
            let path = format!("{}.relations.{relation}", path(name));
            named.push((&to.other, to.at, path.clone()));
            named.extend(to.through.iter().map(|through| (&through.table, to.at, path.clone())));
        }
    }
    let distinct: BTreeSet<&TableName> = named.iter().map(|(name, ..)| *name).collect();
    let sql = format!(
        "SELECT coalesce(json_agg(json_build_object('schema', n.nspname, 'name', c.relname, 'columns', ARRAY(
                    SELECT json_build_object('name', attname, 'no_acls', CASE
                               WHEN atttypid <> 'pg_catalog.jsonb'::pg_catalog.regtype THEN 'is no jsonb'
                               WHEN attgenerated <> '' THEN 'is generated' END)
                      FROM pg_catalog.pg_attribute a
                     WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY attnum))), '[]')::text
           FROM unnest({}, {}) t (schema, name)
           JOIN pg_catalog.pg_namespace n ON n.nspname = t.schema
           JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = t.name AND c.relkind IN ('r', 'p')",
        text_array(distinct.iter().map(|name| name.schema.as_str())),
        text_array(distinct.iter().map(|name| name.name.as_str())),
    );
    let text: String = context.client.query_one(&sql, &[])?.get(0);
    let answers: Vec<Answer> = serde_json::from_str(&text).map_err(|error| Error::Unexpected(error.to_string()))?;
    let answers = answers.into_iter().map(|Answer { schema, name, columns }| (TableName { schema, name }, columns));
    let columns: Columns = answers.collect();
    match named.into_iter().find(|(name, ..)| !columns.contains_key(*name)) {
        None => Ok(columns),
        Some((name, at, path)) => {
            let hint = "make it before its rules, or correct the name";
            Err(problem(at, &path, format!("there is no table {name}"), hint))
        }
    }
}

/// What filters call relations and where the users are.
pub(super) fn diff(
    tables: &BTreeMap<TableName, Table>,
    columns: &Columns,
    held: &Held,
) -> Result<Vec<Operation>, Error> {
    let nothing = held::Table::default();
    let mut operations = Vec::new();
    for (name, wanted) in tables {
        let found = held.tables.get(name).unwrap_or(&nothing);
        if let Some(column) = wanted.users_table.as_ref().filter(|column| found.users_table.as_ref() != Some(column)) {
            must_have(columns, name, wanted.at, &format!("{}.users_table", path(name)), column)?;
            let sql = Call::new("users_table").table(name).text(column).end();
            operations.push(operation(name, sign(&found.users_table), format!("holds the users, by {column}"), sql));
        }
        for (relation, wanted) in &wanted.relations {
            check_columns(columns, name, wanted, &format!("{}.relations.{relation}", path(name)))?;
            let found = found.relations.get(relation);
            if !found.is_some_and(|found| is_same(wanted, found)) {
                let what = format!("relation {relation} to {}", wanted.other);
                operations.push(operation(name, sign(&found.map(|_| ())), what, relate(name, relation, wanted)));
            }
        }
    }
    Ok(operations)
}

/// The tables that are not protected yet, or have their ACLs in another column.
pub(super) fn protected(
    tables: &BTreeMap<TableName, Table>,
    columns: &Columns,
    held: &Held,
) -> Result<Vec<Operation>, Error> {
    let nothing = held::Table::default();
    let mut operations = Vec::new();
    for (name, wanted) in tables.iter().filter(|(_, table)| table.is_protected()) {
        let found = held.tables.get(name).unwrap_or(&nothing);
        let column = wanted.acl_column.as_ref().filter(|column| found.acl_column.as_ref() != Some(column));
        if found.protected && column.is_none() {
            continue;
        }
        if let Some(column) = column {
            must_hold_acls(columns, name, wanted.at, column)?;
        }
        let sql = Call::new("protect").table(name).named("acl_column", column.map(|column| literal(column))).end();
        let what = match column {
            None => "protected: nobody may do what no permission says".to_owned(),
            Some(column) if found.protected => format!("rows' ACLs in {column}"),
            Some(column) => {
                format!("protected: nobody may do what neither a permission nor the row's ACL in {column} says")
            }
        };
        let operation = operation(name, sign(&found.acl_column), what, sql);
        operations.push(match &found.acl_column {
            Some(former) => operation.because(format!("was {former}")),
            None => operation,
        });
    }
    Ok(operations)
}

/// The tables that lack a view which shows NULL in the cells one may not read.
pub(super) fn exposed(tables: &BTreeMap<TableName, Table>, held: &Held) -> Vec<Operation> {
    let bare = tables
        .iter()
        .filter(|(name, table)| table.exposed && !held.tables.get(name).is_some_and(|found| found.exposed));
    bare.map(|(name, _)| operation(name, Sign::Add, "exposed in a view", Call::new("expose").table(name).end()))
        .collect()
}

/// Raises an error unless a table has a column.
pub(super) fn must_have(columns: &Columns, table: &TableName, at: At, path: &str, column: &str) -> Result<(), Error> {
    let known = columns.get(table).map(Vec::as_slice).unwrap_or_default();
    if known.iter().any(|known| known.name == column) {
        return Ok(());
    }
    let hint = format!("it has: {}", super::listed(&known.iter().map(|known| known.name.as_str()).collect::<Vec<_>>()));
    Err(problem(at, path, format!("{table} has no column \"{column}\""), hint))
}

fn must_hold_acls(columns: &Columns, table: &TableName, at: At, column: &str) -> Result<(), Error> {
    let path = format!("{}.acl_column", path(table));
    must_have(columns, table, at, &path, column)?;
    let found = columns.get(table).into_iter().flatten().find(|known| known.name == column);
    match found.and_then(|found| found.no_acls.as_ref()) {
        None => Ok(()),
        Some(why) => Err(problem(
            at,
            &path,
            format!("column \"{column}\" of {table} {why}"),
            "ACLs are in a column of type jsonb that can be written",
        )),
    }
}

fn check_columns(columns: &Columns, table: &TableName, relation: &Relation, path: &str) -> Result<(), Error> {
    let ends = [(table, &relation.columns), (&relation.other, &relation.other_columns)];
    let between = relation.through.iter().flat_map(|it| [(&it.table, &it.columns), (&it.table, &it.other_columns)]);
    for (table, names) in ends.into_iter().chain(between) {
        for name in names {
            must_have(columns, table, relation.at, path, name)?;
        }
    }
    Ok(())
}

fn sign<T>(found: &Option<T>) -> Sign {
    if found.is_some() { Sign::Change } else { Sign::Add }
}

fn is_same(wanted: &Relation, found: &held::Relation) -> bool {
    let through = wanted.through.as_ref();
    (&wanted.other, &wanted.columns, &wanted.other_columns) == (&found.other(), &found.columns, &found.other_columns)
        && through.map(|through| &through.table) == found.through().as_ref()
        && through.map(|through| &through.columns) == found.through_columns.as_ref()
        && through.map(|through| &through.other_columns) == found.through_other_columns.as_ref()
}

fn relate(table: &TableName, name: &str, relation: &Relation) -> String {
    let list = |names: &[String]| text_array(names.iter().map(String::as_str));
    let through = relation.through.as_ref();
    Call::new("relate")
        .table(table)
        .text(name)
        .table(&relation.other)
        .list(relation.columns.iter().map(String::as_str))
        .list(relation.other_columns.iter().map(String::as_str))
        .named("through", through.map(|through| literal(&through.table.sql())))
        .named("through_columns", through.map(|through| list(&through.columns)))
        .named("through_other_columns", through.map(|through| list(&through.other_columns)))
        .end()
}

fn operation(table: &TableName, sign: Sign, what: impl Into<String>, sql: String) -> Operation {
    Operation::new(SECTION, sign, table.to_string(), what, vec![sql])
}

pub(super) fn path(name: &TableName) -> String {
    format!("rolecall.tables.{name}")
}
