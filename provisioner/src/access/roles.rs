//! Roles of the extension, their memberships and their scopes.

use super::held::{self, Held};
use super::statement::Call;
use super::{Context, listed, problem, servers};
use crate::error::Error;
use crate::plan::{Flag, Operation, Sign};
use policy::scope::covers;
use policy::spec::access::{Access, Role};
use policy::sql::{identifier, literal};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

pub(super) const SECTION: &str = "rolecall roles";
const SCOPES: &str = "rolecall scopes";

pub(super) fn diff(
    context: &mut Context<'_>,
    access: &Access,
    roles: &BTreeMap<String, Role>,
    held: &Held,
) -> Result<Vec<Operation>, Error> {
    let mut operations = Vec::new();
    for (name, wanted) in roles {
        check_names(context, access, name, wanted, held)?;
        operations.extend(match held.roles.get(name) {
            None => Some(create(name, wanted)),
            Some(found) => change(context, name, wanted, found)?,
        });
    }
    let nothing = held::Role::default();
    let found = |name: &String| held.roles.get(name).unwrap_or(&nothing);
    // What goes comes before what comes: two roles may swap places.
    let mut granted = Vec::new();
    for (name, wanted) in roles {
        let Some(groups) = or_none(&wanted.member_of, found(name)) else { continue };
        for group in found(name).member_of.difference(&groups) {
            let operation = membership("revoke_role", Sign::Remove, name, group);
            operations
                .push(operation.because("undeclared").unless(context.request.allowed.revoke_privileges, Flag::Revoke));
        }
        granted.extend(
            groups.difference(&found(name).member_of).map(|group| membership("grant_role", Sign::Add, name, group)),
        );
    }
    operations.extend(granted);
    for (name, wanted) in roles {
        if let Some(scopes) = or_none(&wanted.scopes, found(name)) {
            operations.extend(scopes_of(context, name, &scopes, &found(name).scopes));
        }
    }
    Ok(operations)
}

/// What a role has that is not said to have any: none, but of a built-in role it is not looked at.
fn or_none<'a>(wanted: &'a Option<BTreeSet<String>>, found: &held::Role) -> Option<Cow<'a, BTreeSet<String>>> {
    match wanted {
        Some(wanted) => Some(Cow::Borrowed(wanted)),
        None => (!found.built_in).then(Cow::default),
    }
}

/// Roles that the spec does not know.
pub(super) fn undeclared(context: &Context<'_>, roles: &BTreeMap<String, Role>, held: &Held) -> Vec<Operation> {
    let unknown = held.roles.values().filter(|role| !role.built_in && !roles.contains_key(&role.name));
    unknown
        .map(|role| {
            let sql = Call::new("drop_role").text(&role.name).end();
            let operation = Operation::new(SECTION, Sign::Remove, &role.name, "role", vec![sql]);
            let users = match role.users {
                0 => String::new(),
                1 => "; 1 user holds it".to_owned(),
                many => format!("; {many} users hold it"),
            };
            operation.because(format!("undeclared{users}")).unless(context.request.allowed.drop_roles, Flag::Drop)
        })
        .collect()
}

/// Raises an error where a role names what neither is there nor is declared.
fn check_names(context: &Context<'_>, access: &Access, name: &str, wanted: &Role, held: &Held) -> Result<(), Error> {
    let wrong = |message: String, hint: &str| Err(problem(wanted.at, &path(name), message, hint));
    let everybody = held.roles.values().find(|role| role.everybody);
    if let Some(role) = everybody.filter(|_| name == "guest" && !held.roles.contains_key(name)) {
        return wrong(format!("everybody's role is called \"{}\" here", role.name), "call it so in the spec");
    }
    for group in wanted.member_of.iter().flatten() {
        super::must_be_role(access, held, wanted.at, &path(name), group)?;
    }
    let database_role = wanted.database_role.as_deref().filter(|role| !role.is_empty());
    if let Some(role) = database_role.filter(|role| !is_database_role(context, role)) {
        let message = format!("database role \"{role}\" does not exist and the spec does not declare it");
        return wrong(message, "declare it under \"roles\" at the top, or correct the name");
    }
    let is_server = |name: &String| {
        held.servers.contains_key(name) || access.servers.as_ref().is_some_and(|servers| servers.contains_key(name))
    };
    match wanted.server.as_ref().filter(|name| !is_server(name)) {
        Some(server) => wrong(format!("there is no server \"{server}\""), "declare it under \"rolecall.servers\""),
        None => Ok(()),
    }
}

fn is_database_role(context: &Context<'_>, name: &str) -> bool {
    let exists = context.present.names.find(name).is_some_and(|id| context.present.roles.contains_key(&id));
    exists || context.request.desired.roles.contains_key(name)
}

fn create(name: &str, wanted: &Role) -> Operation {
    let text = |value: &Option<String>| value.as_deref().filter(|value| !value.is_empty()).map(literal);
    let call = Call::new("create_role")
        .text(name)
        .named("description", text(&wanted.description))
        .named("pool", wanted.pool.filter(|pool| *pool).map(|_| "true".to_owned()))
        .named("server", text(&wanted.server))
        .named("database_role", text(&wanted.database_role))
        .named("latest_expiry", text(&wanted.limits.latest_expiry))
        .named("longest_life", text(&wanted.limits.longest_life));
    let held_by = wanted.database_role.as_deref().filter(|role| !role.is_empty());
    let held_by = held_by.map_or(String::new(), |role| format!(" for members of database role {role}"));
    let of = wanted.server.as_ref().map_or(String::new(), |server| format!(" of server {server}"));
    Operation::new(SECTION, Sign::Add, name, format!("new role{held_by}{of}"), vec![call.end()])
}

/// The extension has no function for this: its owner writes the row, which its triggers record like any change.
fn change(
    context: &mut Context<'_>,
    name: &str,
    wanted: &Role,
    found: &held::Role,
) -> Result<Option<Operation>, Error> {
    let limits = servers::read_limits(context, wanted.at, &path(name), &wanted.limits)?;
    if let Some(server) = wanted.server.as_ref().filter(|server| found.server.as_ref() != Some(server)) {
        let message = format!("the role is there, but not for server \"{server}\"");
        return Err(problem(wanted.at, &path(name), message, "declare a role of another name for that server"));
    }
    let (mut what, mut set) = (Vec::new(), Vec::new());
    let null_or = |value: &str, sql: String| if value.is_empty() { "NULL".to_owned() } else { sql };
    if let Some(text) = wanted.description.as_ref().filter(|text| **text != *found.description.as_deref().unwrap_or(""))
    {
        what.push("description".to_owned());
        set.push(format!("description = {}", null_or(text, literal(text))));
    }
    if let Some(pool) = wanted.pool.filter(|pool| *pool != found.pool) {
        what.push(if pool { "a pool" } else { "no pool" }.to_owned());
        set.push(format!("pool = {pool}"));
    }
    if let Some(role) = &wanted.database_role
        && role != found.database_role.as_deref().unwrap_or_default()
    {
        what.push(format!("database role {}", null_or(role, role.clone())));
        let sql = format!("{}::pg_catalog.regrole", literal(&identifier(role)));
        set.push(format!("database_role = {}", null_or(role, sql)));
    }
    let limited = limits.changes(&found.latest_expiry, &found.longest_life);
    if !limited.is_empty() {
        let columns = [("latest_expiry", &wanted.limits.latest_expiry), ("longest_life", &wanted.limits.longest_life)];
        set.extend(
            columns
                .iter()
                .filter_map(|(column, value)| value.as_ref().map(|value| format!("{column} = {}", literal(value)))),
        );
        what.extend(limited);
    }
    let sql = format!("UPDATE rolecall.roles SET {} WHERE name = {}", set.join(", "), literal(name));
    Ok((!set.is_empty()).then(|| Operation::new(SECTION, Sign::Change, name, what.join(", "), vec![sql])))
}

fn membership(function: &str, sign: Sign, name: &str, group: &str) -> Operation {
    let sql = Call::new(function).text(group).text(&format!("role:{name}")).end();
    Operation::new(SECTION, sign, name, format!("member of {group}"), vec![sql])
}

/// A node covers what is below it, so that what is there below one that is declared says nothing.
fn scopes_of(context: &Context<'_>, name: &str, wanted: &BTreeSet<String>, found: &BTreeSet<String>) -> Vec<Operation> {
    let is_covered = |scopes: &BTreeSet<String>, scope: &str| scopes.iter().any(|node| covers(node, scope));
    let undeclared: Vec<&str> = found.iter().map(String::as_str).filter(|scope| !is_covered(wanted, scope)).collect();
    let revoke = context.request.allowed.revoke_privileges;
    let goes = |scope: &str| revoke && undeclared.iter().any(|node| covers(node, scope));
    let left: BTreeSet<String> = found.iter().filter(|scope| !goes(scope)).cloned().collect();
    let missing: Vec<&str> = wanted.iter().map(String::as_str).filter(|scope| !is_covered(&left, scope)).collect();
    let operation = |function, sign, scopes: &[&str]| {
        let sql = Call::new(function).text(name).list(scopes.iter().copied()).end();
        (!scopes.is_empty()).then(|| Operation::new(SCOPES, sign, name, listed(scopes), vec![sql]))
    };
    let removed = operation("revoke_scopes", Sign::Remove, &undeclared);
    let removed = removed.map(|operation| operation.because("undeclared").unless(revoke, Flag::Revoke));
    removed.into_iter().chain(operation("grant_scopes", Sign::Add, &missing)).collect()
}

fn path(name: &str) -> String {
    format!("rolecall.roles.{name}")
}
