//! Other servers, their scopes and the limits of their tokens.

use super::held::Held;
use super::statement::{Call, json};
use super::{Context, listed};
use crate::error::Error;
use crate::plan::{Flag, Operation, Sign};
use policy::spec::At;
use policy::spec::access::{Limits, Server};
use policy::sql::literal;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

const SECTION: &str = "rolecall servers";

pub(super) fn diff(
    context: &mut Context<'_>,
    servers: &BTreeMap<String, Server>,
    held: &Held,
) -> Result<Vec<Operation>, Error> {
    let mut operations = Vec::new();
    for (name, wanted) in servers {
        let limits = read_limits(context, wanted.at, &format!("rolecall.servers.{name}"), &wanted.limits)?;
        let register = |scopes: &BTreeSet<String>| {
            let document = json!({"scopes": scopes, "audience": wanted.audience});
            let call = Call::new("register_server").text(name).named("spec", Some(json(&document)));
            let call = call.named("latest_expiry", wanted.limits.latest_expiry.as_deref().map(literal));
            call.named("longest_life", wanted.limits.longest_life.as_deref().map(literal)).end()
        };
        let Some(found) = held.servers.get(name) else {
            let what = format!("new server with {} scopes", wanted.scopes.len());
            operations.push(Operation::new(SECTION, Sign::Add, name, what, vec![register(&wanted.scopes)]));
            continue;
        };
        let mut changes = limits.changes(&found.latest_expiry, &found.longest_life);
        if wanted.audience != found.audience {
            changes.push(format!("audience {}", wanted.audience));
        }
        let new: Vec<&str> = wanted.scopes.difference(&found.scopes).map(String::as_str).collect();
        if !new.is_empty() {
            changes.push(format!("scopes {} more", listed(&new)));
        }
        if !changes.is_empty() {
            // Whether scopes go is said in a line of its own.
            let both = wanted.scopes.union(&found.scopes).cloned().collect();
            operations.push(Operation::new(SECTION, Sign::Change, name, changes.join(", "), vec![register(&both)]));
        }
        let gone: Vec<&str> = found.scopes.difference(&wanted.scopes).map(String::as_str).collect();
        if !gone.is_empty() {
            let what = format!("scopes {}, from its roles too", listed(&gone));
            let operation = Operation::new(SECTION, Sign::Remove, name, what, vec![register(&wanted.scopes)]);
            operations
                .push(operation.because("undeclared").unless(context.request.allowed.revoke_privileges, Flag::Revoke));
        }
    }
    Ok(operations)
}

/// Servers that the spec does not know; their roles go first.
pub(super) fn undeclared(context: &Context<'_>, servers: &BTreeMap<String, Server>, held: &Held) -> Vec<Operation> {
    let unknown = held.servers.keys().filter(|name| !servers.contains_key(*name));
    unknown
        .map(|name| {
            let sql = Call::new("drop_server").text(name).end();
            let operation = Operation::new(SECTION, Sign::Remove, name, "server", vec![sql]);
            operation.because("undeclared").unless(context.request.allowed.drop_roles, Flag::Drop)
        })
        .collect()
}

/// Limits as the server writes them.
pub(super) struct ReadLimits {
    latest_expiry: Option<String>,
    longest_life: Option<String>,
}

impl ReadLimits {
    /// What is to change about present limits, in words.
    pub fn changes(&self, latest_expiry: &Option<String>, longest_life: &Option<String>) -> Vec<String> {
        let pairs =
            [("latest expiry", &self.latest_expiry, latest_expiry), ("longest life", &self.longest_life, longest_life)];
        let differ = pairs.into_iter().filter(|(_, wanted, found)| wanted.is_some() && wanted != found);
        differ.map(|(what, wanted, _)| format!("{what} {}", wanted.as_deref().unwrap_or_default())).collect()
    }
}

/// Has the server read limits: it alone knows how.
pub(super) fn read_limits(context: &mut Context<'_>, at: At, path: &str, limits: &Limits) -> Result<ReadLimits, Error> {
    Ok(ReadLimits {
        latest_expiry: read(context, at, path, &limits.latest_expiry, "timestamptz")?,
        longest_life: read(context, at, path, &limits.longest_life, "interval")?,
    })
}

/// Text as the server writes a value of that type, if there is any.
pub(super) fn read(
    context: &mut Context<'_>,
    at: At,
    path: &str,
    value: &Option<String>,
    kind: &str,
) -> Result<Option<String>, Error> {
    let Some(text) = value else { return Ok(None) };
    let sql = format!("SELECT pg_catalog.to_json({}::pg_catalog.{kind}) #>> '{{}}'", literal(text));
    let row = context.client.query_one(&sql, &[]).map_err(|error| super::refused(at, path, error))?;
    Ok(row.get(0))
}
