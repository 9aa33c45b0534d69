//! What roles may do with the rows of tables.

use super::held::{self, Held};
use super::json::{same, same_option};
use super::statement::{Call, json};
use super::tables::{Columns, SECTION, must_have, path};
use super::{Context, must_be_role, refused};
use crate::error::Error;
use crate::plan::{Flag, Operation, Sign};
use policy::spec::TableName;
use policy::spec::access::{Access, Action, Permission, Table, Terms};
use policy::sql::text_array;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// So much of a filter is shown in a line.
const SHOWN: usize = 200;

pub(super) fn diff(
    context: &mut Context<'_>,
    access: &Access,
    tables: &BTreeMap<TableName, Table>,
    columns: &Columns,
    held: &Held,
    can_check: bool,
) -> Result<Vec<Operation>, Error> {
    let mut operations = undeclared(context, access, tables, held);
    let nothing = held::Table::default();
    for (name, table) in tables {
        let found = held.tables.get(name).unwrap_or(&nothing);
        for (number, permission) in table.permissions.iter().flatten().enumerate() {
            let path = format!("{}.permissions[{number}]", path(name));
            check_names(access, held, columns, name, permission, &path)?;
            let allowed = allow(name, permission, found);
            if can_check && !allowed.is_empty() {
                check_filters(context, name, permission, &path)?;
            }
            operations.extend(allowed);
        }
    }
    Ok(operations)
}

/// What a permission adds to, and changes about, what is there.
fn allow(table: &TableName, permission: &Permission, found: &held::Table) -> Vec<Operation> {
    let mut operations = Vec::new();
    for role in &permission.roles {
        let (mut added, mut changed, mut former) = (Vec::new(), Vec::new(), Vec::new());
        for action in &permission.actions {
            let wanted = permission.terms.of(*action);
            match found.permissions.get(&(role.clone(), *action)) {
                None => added.push(*action),
                Some(found) if !is_same(&wanted, found) => {
                    changed.push(*action);
                    former.push(format!("{} was {}", action.word(), terms(found)));
                }
                Some(_) => {}
            }
        }
        for (sign, actions) in [(Sign::Add, &added), (Sign::Change, &changed)] {
            if !actions.is_empty() {
                let what = format!("{} on {table}, {}", words(actions), terms(&permission.terms));
                let sql = each(actions, |action, of| {
                    let terms = of.map_or_else(|| permission.terms.clone(), |action| permission.terms.of(action));
                    let list = |names: Vec<String>| text_array(names.iter().map(String::as_str));
                    Call::new("allow")
                        .text(role)
                        .table(table)
                        .text(action)
                        .named("filter", Some(&terms.filter).filter(|filter| !is_everything(filter)).map(json))
                        .named("columns", terms.columns.map(list))
                        .named("new_row", terms.new_row.as_ref().map(json))
                        .named("preset", terms.preset.as_ref().map(json))
                        .end()
                });
                let operation = Operation::new(SECTION, sign, role, what, sql);
                operations.push(if sign == Sign::Change { operation.because(former.join("; ")) } else { operation });
            }
        }
    }
    operations
}

/// Permissions that the spec does not know, on tables that it speaks of or that lie in managed schemas. The tables stay
/// protected: nothing is opened because a file does not mention it.
fn undeclared(
    context: &Context<'_>,
    access: &Access,
    tables: &BTreeMap<TableName, Table>,
    held: &Held,
) -> Vec<Operation> {
    let request = context.request;
    // With a role, its permissions go.
    let goes = |role: &str| {
        let is_unknown = access.roles.as_ref().is_some_and(|roles| !roles.contains_key(role));
        request.allowed.drop_roles && is_unknown && held.roles.get(role).is_some_and(|role| !role.built_in)
    };
    let mut operations = Vec::new();
    for (name, found) in &held.tables {
        let declared: BTreeSet<(&String, Action)> = match tables.get(name) {
            Some(table) => table
                .permissions
                .iter()
                .flatten()
                .flat_map(|it| it.roles.iter().flat_map(|role| it.actions.iter().map(move |action| (role, *action))))
                .collect(),
            None if request.desired.manages_schema(Some(&name.schema)) => BTreeSet::new(),
            None => continue,
        };
        let mut unknown: BTreeMap<&String, Vec<Action>> = BTreeMap::new();
        for (role, action) in found.permissions.keys() {
            if !declared.contains(&(role, *action)) && !goes(role) {
                unknown.entry(role).or_default().push(*action);
            }
        }
        for (role, actions) in unknown {
            let sql = each(&actions, |action, _| Call::new("disallow").text(role).table(name).text(action).end());
            let operation = Operation::new(SECTION, Sign::Remove, role, format!("{} on {name}", words(&actions)), sql);
            operations.push(operation.because("undeclared").unless(request.allowed.revoke_privileges, Flag::Revoke));
        }
    }
    operations
}

/// A statement for each action, or one for all there are.
fn each(actions: &[Action], statement: impl Fn(&str, Option<Action>) -> String) -> Vec<String> {
    if actions.len() == Action::ALL.len() {
        return vec![statement("all", None)];
    }
    actions.iter().map(|action| statement(action.word(), Some(*action))).collect()
}

fn check_names(
    access: &Access,
    held: &Held,
    columns: &Columns,
    table: &TableName,
    permission: &Permission,
    path: &str,
) -> Result<(), Error> {
    for role in &permission.roles {
        must_be_role(access, held, permission.at, path, role)?;
    }
    for column in permission.terms.columns.iter().flatten() {
        must_have(columns, table, permission.at, &format!("{path}.columns"), column)?;
    }
    for column in permission.terms.preset.iter().filter_map(Value::as_object).flat_map(serde_json::Map::keys) {
        must_have(columns, table, permission.at, &format!("{path}.preset"), column)?;
    }
    Ok(())
}

/// Has the extension read the filters, so that a wrong one is told before anything is done.
fn check_filters(
    context: &mut Context<'_>,
    table: &TableName,
    permission: &Permission,
    path: &str,
) -> Result<(), Error> {
    let Terms { filter, new_row, .. } = &permission.terms;
    for (key, filter) in [("filter", Some(filter)), ("new_row", new_row.as_ref())] {
        if let Some(filter) = filter.filter(|filter| !is_everything(filter)) {
            let sql = Call::new("compile_filter").table(table).named("filter", Some(json(filter))).end();
            let place = format!("{path}.{key}");
            context.client.batch_execute(&sql).map_err(|error| refused(permission.at, &place, error))?;
        }
    }
    Ok(())
}

fn is_same(wanted: &Terms, found: &Terms) -> bool {
    let set =
        |columns: &Option<Vec<String>>| columns.as_ref().map(|names| names.iter().cloned().collect::<BTreeSet<_>>());
    same(&wanted.filter, &found.filter)
        && set(&wanted.columns) == set(&found.columns)
        && same_option(&wanted.new_row, &found.new_row)
        && same_option(&wanted.preset, &found.preset)
}

fn is_everything(filter: &Value) -> bool {
    filter.as_object().is_some_and(serde_json::Map::is_empty)
}

fn words(actions: &[Action]) -> String {
    if actions.len() == Action::ALL.len() {
        return "all".to_owned();
    }
    actions.iter().map(|action| action.word()).collect::<Vec<_>>().join(", ")
}

/// The terms in words.
fn terms(terms: &Terms) -> String {
    let mut text =
        if is_everything(&terms.filter) { "all rows".to_owned() } else { format!("rows {}", shown(&terms.filter)) };
    if let Some(columns) = &terms.columns {
        text += &format!(", columns {}", columns.join(", "));
    }
    for (what, json) in [("new row", &terms.new_row), ("preset", &terms.preset)] {
        if let Some(json) = json {
            text += &format!(", {what} {}", shown(json));
        }
    }
    text
}

fn shown(json: &Value) -> String {
    let text = json.to_string();
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
