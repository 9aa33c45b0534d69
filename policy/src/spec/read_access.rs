//! The part of a spec about the extension's own objects.

use super::access::{Access, Action, Limits, Permission, Relation, Role, Server, Table, Terms, Through, WorkQueue};
use super::error::SpecError;
use super::fields::{Cursor, Fields};
use super::node::Value as Yaml;
use super::table_name::TableName;
use crate::{kits, scope};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

const ACTIONS: &[(&str, &[Action])] = &[
    ("select", &[Action::Select]),
    ("insert", &[Action::Insert]),
    ("update", &[Action::Update]),
    ("delete", &[Action::Delete]),
    ("all", &Action::ALL),
];

/// Decimal digits that a number read from YAML keeps.
pub const EXACT_DIGITS: usize = 15;

pub(super) fn access(cursor: &Cursor<'_>) -> Result<Access, SpecError> {
    let mut fields = cursor.fields()?;
    let mut access = Access::default();
    if let Some(names) = fields.take("default_roles") {
        let words: Vec<_> = kits::ALL.iter().map(|kit| (kit.name, kit)).collect();
        access.kits = names.items().iter().map(|name| name.word(&words)).collect::<Result<_, _>>()?;
    }
    if let Some(servers) = fields.take("servers") {
        let servers = servers.named()?.into_iter().map(|(name, body)| Ok((name.to_owned(), server(name, &body)?)));
        access.servers = Some(servers.collect::<Result<_, SpecError>>()?);
    }
    if let Some(named) = fields.take("roles") {
        access.roles = Some(roles(&named)?);
    }
    if let Some(named) = fields.take("tables") {
        let mut tables = BTreeMap::new();
        for (name, body) in named.named()? {
            let name = table_name(&body, name)?;
            if tables.insert(name, table(&body)?).is_some() {
                return Err(body.error("the table is there twice"));
            }
        }
        access.tables = Some(tables);
    }
    if let Some(queues) = fields.take("work_queues") {
        let queues = queues.named()?.into_iter().map(|(name, body)| Ok((name.to_owned(), work_queue(name, &body)?)));
        access.work_queues = Some(queues.collect::<Result<_, SpecError>>()?);
    }
    fields.end()?;
    Ok(access)
}

fn server(name: &str, cursor: &Cursor<'_>) -> Result<Server, SpecError> {
    let mut fields = cursor.fields()?;
    let scopes = scopes(&fields.need("scopes")?)?;
    if scopes.is_empty() {
        return Err(cursor.error("expected at least one scope"));
    }
    let audience = optional_text(&mut fields, "audience")?.unwrap_or_else(|| name.to_owned());
    let server = Server { at: cursor.at(), scopes, audience, limits: limits(&mut fields)? };
    fields.end()?;
    Ok(server)
}

fn limits(fields: &mut Fields<'_>) -> Result<Limits, SpecError> {
    let latest_expiry = optional_text(fields, "latest_expiry")?;
    Ok(Limits { latest_expiry, longest_life: optional_text(fields, "longest_life")? })
}

fn scopes(cursor: &Cursor<'_>) -> Result<BTreeSet<String>, SpecError> {
    let mut scopes = BTreeSet::new();
    for item in cursor.items() {
        let text = item.text()?;
        if let Some(problem) = scope::problem(text) {
            return Err(item.error(format!("scope \"{text}\" {problem}")));
        }
        scopes.insert(scope::canonical(text).to_owned());
    }
    Ok(scopes)
}

fn roles(cursor: &Cursor<'_>) -> Result<BTreeMap<String, Role>, SpecError> {
    let mut roles = BTreeMap::new();
    if cursor.is_list() {
        for name in cursor.items() {
            roles.insert(role_name(&name, name.text()?)?, Role { at: name.at(), ..Role::default() });
        }
        return Ok(roles);
    }
    for (name, body) in cursor.named()? {
        roles.insert(role_name(&body, name)?, role(&body)?);
    }
    for (name, role) in &roles {
        if reaches(&roles, name, name) {
            let message = format!("\"{name}\" is a member of itself, by way of its groups");
            return Err(SpecError::new(role.at, &format!("{}.{name}", cursor.path), message));
        }
    }
    Ok(roles)
}

fn role_name(cursor: &Cursor<'_>, name: &str) -> Result<String, SpecError> {
    if name.is_empty() || name.chars().count() > 255 {
        return Err(cursor.error("a role's name has 1 to 255 characters"));
    }
    Ok(name.to_owned())
}

fn role(cursor: &Cursor<'_>) -> Result<Role, SpecError> {
    let mut fields = cursor.fields()?;
    let role = Role {
        at: cursor.at(),
        description: clearable_text(&mut fields, "description")?,
        pool: fields.take("pool").map(|value| value.bool()).transpose()?,
        database_role: clearable_text(&mut fields, "database_role")?,
        server: optional_text(&mut fields, "server")?,
        limits: limits(&mut fields)?,
        member_of: fields.take("member_of").map(|groups| groups.texts()).transpose()?.map(BTreeSet::from_iter),
        scopes: fields.take("scopes").map(|names| scopes(&names)).transpose()?,
    };
    fields.end()?;
    if role.server.is_none() && (role.limits.latest_expiry.is_some() || role.limits.longest_life.is_some()) {
        return Err(cursor.error("a role without a server has no tokens to limit").hint("name its \"server\""));
    }
    Ok(role)
}

/// Whether `from` reaches `goal` along what it is a member of, by at least one step.
fn reaches(roles: &BTreeMap<String, Role>, from: &str, goal: &str) -> bool {
    let groups = |name: &str| roles.get(name).and_then(|role| role.member_of.as_ref()).into_iter().flatten();
    let mut seen = BTreeSet::new();
    let mut open: Vec<&String> = groups(from).collect();
    while let Some(name) = open.pop() {
        if name == goal {
            return true;
        }
        if seen.insert(name) {
            open.extend(groups(name));
        }
    }
    false
}

fn work_queue(name: &str, cursor: &Cursor<'_>) -> Result<WorkQueue, SpecError> {
    let mut fields = cursor.fields()?;
    let queue = WorkQueue {
        at: cursor.at(),
        pool: fields.need("pool")?.text()?.to_owned(),
        max_retries: fields.take("max_retries").map(|runs| runs.integer()).transpose()?,
        retry_delay: optional_text(&mut fields, "retry_delay")?,
        initial_delay: optional_text(&mut fields, "initial_delay")?,
        success_queue: clearable_text(&mut fields, "success_queue")?,
        failed_queue: clearable_text(&mut fields, "failed_queue")?,
    };
    fields.end()?;
    if name.is_empty() || name.chars().count() > 255 {
        return Err(cursor.error("a work queue's name has 1 to 255 characters"));
    }
    if queue.max_retries.is_some_and(|runs| runs < 1) {
        return Err(cursor.error("\"max_retries\" must be 1 or more"));
    }
    if queue.targets().any(|target| target == name) {
        return Err(cursor.error("a work queue cannot copy to itself"));
    }
    Ok(queue)
}

fn table_name(cursor: &Cursor<'_>, text: &str) -> Result<TableName, SpecError> {
    let hint = "write schema.table; a name with a dot in it in double quotes";
    TableName::parse(text).ok_or_else(|| cursor.error(format!("\"{text}\" names no table")).hint(hint))
}

fn table(cursor: &Cursor<'_>) -> Result<Table, SpecError> {
    let mut fields = cursor.fields()?;
    let mut table =
        Table { at: cursor.at(), users_table: optional_text(&mut fields, "users_table")?, ..Table::default() };
    if let Some(relations) = fields.take("relations") {
        for (name, body) in relations.named()? {
            table.relations.insert(name.to_owned(), relation(&body)?);
        }
    }
    if let Some(entries) = fields.take("permissions") {
        table.permissions = Some(permissions(&entries)?);
    }
    table.acl_column = optional_text(&mut fields, "acl_column")?;
    if let Some(exposed) = fields.take("exposed") {
        table.exposed = exposed.bool()?;
    }
    fields.end()?;
    if table.exposed && !table.is_protected() {
        return Err(cursor.error("only a table with \"permissions\" or \"acl_column\" can be exposed"));
    }
    Ok(table)
}

fn relation(cursor: &Cursor<'_>) -> Result<Relation, SpecError> {
    let mut fields = cursor.fields()?;
    let named = |value: Cursor<'_>| table_name(&value, value.text()?);
    let (other, columns) = (named(fields.need("other")?)?, columns(&fields.need("columns")?)?);
    let other_columns = self::columns(&fields.need("other_columns")?)?;
    let through = match fields.take("through") {
        None => None,
        Some(table) => Some(Through {
            table: named(table)?,
            columns: self::columns(&fields.need("through_columns")?)?,
            other_columns: self::columns(&fields.need("through_other_columns")?)?,
        }),
    };
    fields.end()?;
    Ok(Relation { at: cursor.at(), other, columns, other_columns, through })
}

fn columns(cursor: &Cursor<'_>) -> Result<Vec<String>, SpecError> {
    let names = cursor.texts()?;
    if names.is_empty() {
        return Err(cursor.error("names no column"));
    }
    Ok(names)
}

fn permissions(cursor: &Cursor<'_>) -> Result<Vec<Permission>, SpecError> {
    let mut permissions = Vec::new();
    let mut seen = BTreeSet::new();
    for item in cursor.list()? {
        let permission = permission(&item)?;
        for role in &permission.roles {
            for action in &permission.actions {
                if !seen.insert((role.clone(), *action)) {
                    let message = format!("what \"{role}\" may {} is said twice", action.word());
                    return Err(item.error(message).hint("one filter can hold both: {OR: [..]}"));
                }
            }
        }
        permissions.push(permission);
    }
    Ok(permissions)
}

fn permission(cursor: &Cursor<'_>) -> Result<Permission, SpecError> {
    let mut fields = cursor.fields()?;
    let roles = fields.need("role")?.texts()?;
    let mut actions: Vec<Action> = Vec::new();
    for item in fields.need("action")?.items() {
        actions.extend(item.word(ACTIONS)?);
    }
    if roles.is_empty() || actions.is_empty() {
        return Err(cursor.error("expected at least one role and one action"));
    }
    // A filter that is written but empty is a slip of the pen that would let everything through.
    let filter = fields.take("filter").map(|filter| object(&filter)).transpose()?;
    let limited = fields.take("columns");
    let (new_row, preset) = (fields.take("new_row"), fields.take("preset"));
    if let Some(value) = [&new_row, &preset].into_iter().flatten().next()
        && !actions.iter().any(|action| action.writes())
    {
        return Err(value.error("is about what is written: it goes with insert, update and all"));
    }
    if let Some(limited) = &limited
        && actions == [Action::Delete]
    {
        return Err(limited.error("a row is deleted as a whole"));
    }
    let terms = Terms {
        filter: filter.unwrap_or_else(|| Value::Object(serde_json::Map::new())),
        columns: limited.map(|names| columns(&names)).transpose()?,
        new_row: new_row.map(|row| object(&row)).transpose()?,
        preset: preset.map(|values| object(&values)).transpose()?,
    };
    fields.end()?;
    Ok(Permission { at: cursor.at(), roles, actions, terms })
}

fn object(cursor: &Cursor<'_>) -> Result<Value, SpecError> {
    if cursor.named()?.is_empty() && cursor.is_null() {
        return Err(cursor.error("expected a mapping, found nothing").hint("{} is every row"));
    }
    json(cursor)
}

fn json(cursor: &Cursor<'_>) -> Result<Value, SpecError> {
    Ok(match &cursor.node.value {
        Yaml::Null => Value::Null,
        Yaml::Bool(value) => Value::Bool(*value),
        Yaml::Text(_) => Value::String(cursor.text()?.to_owned()),
        Yaml::Number(text) => number(cursor, text)?,
        Yaml::List(_) => Value::Array(cursor.items().iter().map(json).collect::<Result<_, _>>()?),
        Yaml::Map(_) => {
            let entries = cursor.named()?.into_iter().map(|(key, value)| Ok((key.to_owned(), json(&value)?)));
            Value::Object(entries.collect::<Result<_, SpecError>>()?)
        }
    })
}

/// Whole numbers are exact up to 64 bits; others have gone through binary floating point.
fn number(cursor: &Cursor<'_>, text: &str) -> Result<Value, SpecError> {
    let is_whole = text.parse::<i64>().is_ok() || text.parse::<u64>().is_ok();
    let digits = text.trim_start_matches('-').replace('.', "");
    if !is_whole && digits.trim_matches('0').len() > EXACT_DIGITS {
        return Err(cursor.error(format!("a number of more than {EXACT_DIGITS} digits is not read exactly")));
    }
    serde_json::from_str(text).map_err(|_| cursor.error(format!("{text} is no number of JSON")))
}

/// Text that may be taken away, by null.
fn clearable_text(fields: &mut Fields<'_>, key: &'static str) -> Result<Option<String>, SpecError> {
    let text = |value: Cursor<'_>| if value.is_null() { Ok(String::new()) } else { value.text().map(str::to_owned) };
    fields.take(key).map(text).transpose()
}

fn optional_text(fields: &mut Fields<'_>, key: &'static str) -> Result<Option<String>, SpecError> {
    fields.take(key).map(|value| value.text().map(str::to_owned)).transpose()
}
