//! Roles and their options.

use super::Request;
use crate::catalog::{Present, PresentRole, Resolved, RoleId, setting_items};
use crate::error::Error;
use crate::password;
use crate::plan::{Attribute, Operation, Requirement, Sign};
use policy::spec::{PasswordSource, RoleOptions, ValidUntil};
use policy::sql::{identifier, literal};
use std::collections::BTreeMap;

const SECTION: &str = "roles";

pub(super) fn diff(request: &Request<'_>, present: &Present, resolved: &Resolved) -> Result<Vec<Operation>, Error> {
    let mut created = Vec::new();
    let mut changed = Vec::new();
    for (name, wanted) in &request.desired.roles {
        let id = present.names.find(name);
        let found = id.and_then(|id| present.roles.get(&id));
        let password = request.passwords.get(name).map(String::as_str);
        let fresh = PresentRole { inherit: true, connection_limit: -1, ..PresentRole::default() };
        let clauses = clauses(wanted, found.unwrap_or(&fresh), resolved);
        let may = requirements(id.filter(|_| found.is_some()), &clauses);
        if found.is_some() {
            if !clauses.is_empty() {
                let sql = format!("ALTER ROLE {} {}", identifier(name), clauses.join(" "));
                let operation = super::operation(SECTION, Sign::Change, name, clauses.join(" "), sql);
                changed.push(operation.requiring(may.clone()));
            }
        } else {
            let login = if wanted.login == Some(true) { "" } else { "NOLOGIN " };
            let sql = format!("CREATE ROLE {} {login}{}", identifier(name), clauses.join(" "));
            let what = format!("new role {login}{}", clauses.join(" "));
            let operation = super::operation(SECTION, Sign::Add, name, what.trim_end(), sql.trim_end().to_owned());
            created.push(operation.requiring(may.clone()));
        }
        // Only a superuser may read what is stored: others set the passwords of new roles and leave the rest.
        let may_set = found.is_none() || present.session.superuser;
        let found = found.unwrap_or(&fresh);
        let asked_for = wanted.password == Some(PasswordSource::Prompt);
        let password = if asked_for {
            (may_set && found.verifier.is_none()).then(|| typed_password(name, password))
        } else {
            set_password(name, password.filter(|_| may_set), found)
        };
        let further = comment(name, wanted, found).into_iter().chain(password);
        let further = further.chain(settings(name, wanted, found));
        changed.extend(further.map(|operation| operation.requiring(may.clone())));
    }
    created.extend(changed);
    Ok(created)
}

/// What it takes to make a role, or to change one that exists.
fn requirements(role: Option<RoleId>, clauses: &[String]) -> Vec<Requirement> {
    let mut requirements = vec![Requirement::CreateRole];
    requirements.extend(role.map(Requirement::Administer));
    for (clause, attribute) in [
        ("SUPERUSER", Attribute::Superuser),
        ("REPLICATION", Attribute::Replication),
        ("BYPASSRLS", Attribute::BypassRls),
        ("CREATEDB", Attribute::CreateDb),
    ] {
        if clauses.iter().any(|found| found == clause || found.strip_prefix("NO") == Some(clause)) {
            requirements.push(Requirement::Hold(attribute));
        }
    }
    requirements
}

/// The clauses of CREATE or ALTER ROLE for what differs.
fn clauses(wanted: &RoleOptions, found: &PresentRole, resolved: &Resolved) -> Vec<String> {
    let flags = [
        ("LOGIN", wanted.login, found.login),
        ("SUPERUSER", wanted.superuser, found.superuser),
        ("CREATEDB", wanted.createdb, found.createdb),
        ("CREATEROLE", wanted.createrole, found.createrole),
        ("INHERIT", wanted.inherit, found.inherit),
        ("REPLICATION", wanted.replication, found.replication),
        ("BYPASSRLS", wanted.bypassrls, found.bypassrls),
    ];
    let mut clauses = Vec::new();
    for (word, wanted, found) in flags {
        match wanted {
            Some(true) if !found => clauses.push(word.to_owned()),
            Some(false) if found => clauses.push(format!("NO{word}")),
            _ => {}
        }
    }
    if let Some(limit) = wanted.connection_limit
        && limit != found.connection_limit
    {
        clauses.push(format!("CONNECTION LIMIT {limit}"));
    }
    match &wanted.valid_until {
        Some(ValidUntil::Infinity) if found.valid_until.is_some() => clauses.push("VALID UNTIL 'infinity'".to_owned()),
        Some(ValidUntil::Time(time)) if resolved.times.get(time) != found.valid_until.as_ref() => {
            clauses.push(format!("VALID UNTIL {}", literal(time)));
        }
        _ => {}
    }
    clauses
}

fn comment(name: &str, wanted: &RoleOptions, found: &PresentRole) -> Option<Operation> {
    let comment = wanted.comment.as_ref().filter(|comment| **comment != found.comment)?;
    let value = if comment.is_empty() { "NULL".to_owned() } else { literal(comment) };
    let sql = format!("COMMENT ON ROLE {} IS {value}", identifier(name));
    Some(super::operation(SECTION, Sign::Change, name, "comment", sql))
}

fn set_password(name: &str, password: Option<&str>, found: &PresentRole) -> Option<Operation> {
    let password = password?;
    let unchanged = match &found.verifier {
        Some(verifier) => password::fits(password, verifier),
        None => false,
    };
    if unchanged {
        return None;
    }
    let mut operation = Operation::new(SECTION, Sign::Change, name, "password (not shown)", Vec::new());
    operation.secret.push(alter_password(name, password));
    Some(operation)
}

fn alter_password(name: &str, password: &str) -> String {
    format!("ALTER ROLE {} PASSWORD {}", identifier(name), literal(&password::verifier(password)))
}

/// A password that somebody types, or has typed by now.
fn typed_password(name: &str, password: Option<&str>) -> Operation {
    let mut operation = Operation::new(SECTION, Sign::Change, name, "password (asked for by apply)", Vec::new());
    operation.asks = password.is_none();
    operation.secret.extend(password.map(|password| alter_password(name, password)));
    operation
}

fn settings(name: &str, wanted: &RoleOptions, found: &PresentRole) -> Vec<Operation> {
    let mut operations = Vec::new();
    let everywhere = (None, &wanted.config);
    let by_database = wanted.config_in_database.iter().map(|(database, config)| (Some(database.clone()), config));
    let nothing = Vec::new();
    for (database, config) in std::iter::once(everywhere).chain(by_database) {
        let present: BTreeMap<String, &str> = found
            .config
            .get(&database)
            .unwrap_or(&nothing)
            .iter()
            .map(|(name, value)| (name.to_lowercase(), value.as_str()))
            .collect();
        let place = database.as_ref().map_or(String::new(), |name| format!(" IN DATABASE {}", identifier(name)));
        let scope = database.as_ref().map_or(String::new(), |name| format!(" in database {name}"));
        for (setting, value) in config {
            let stored = present.get(&setting.to_lowercase());
            let parts: Vec<String> = setting.split('.').map(identifier).collect();
            let alter = |change: String| format!("ALTER ROLE {}{place} {change}", identifier(name));
            let (sign, what, sql) = match value {
                None if stored.is_none() => continue,
                None => (Sign::Remove, format!("{setting}{scope}"), alter(format!("RESET {}", parts.join(".")))),
                Some(value) => {
                    let is_so = |stored: &&str| {
                        *stored == value.join(", ") || setting_items(setting, stored).as_ref() == Some(value)
                    };
                    if stored.is_some_and(is_so) {
                        continue;
                    }
                    // A list goes as a list: as one text it would become one quoted name.
                    let items: Vec<String> = value.iter().map(|item| literal(item)).collect();
                    let set = format!("SET {} TO {}", parts.join("."), items.join(", "));
                    (Sign::Change, format!("{setting} = {}{scope}", value.join(", ")), alter(set))
                }
            };
            operations.push(super::operation(SECTION, sign, name, what, sql));
        }
    }
    operations
}
