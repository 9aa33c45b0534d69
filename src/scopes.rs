//! The scopes of roles, and what FlowKit's queries need of them.

use crate::administrators::require_administrator;
use crate::backend::jsonb;
use crate::backend::session::{self, Session};
use crate::error::{Error, Refusal, Reported, required};
use crate::roles::{self, run};
use crate::users::{self, bad};
use crate::{query, servers};
use pgrx::prelude::*;
use policy::{access, scope};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Gives a role scopes.
#[pg_extern(sql = false)]
fn grant_scopes(role: Option<&str>, scopes: Option<Vec<Option<String>>>) -> Reported<()> {
    require_administrator("grant_scopes()")?;
    let (role, scopes) = (required(role, "role")?, listed(scopes)?);
    roles::must_exist(role)?;
    let server = query::one::<String>("SELECT server FROM rolecall.roles WHERE name = $1", &[role.into()])?;
    if let Some(server) = &server {
        servers::must_have(server, &scopes)?;
    }
    for scope in scopes {
        if scope.contains('*') {
            pgrx::warning!("\"*\" in scope {scope:?} stands for itself: a node covers what is below it without one");
        }
        run(
            "INSERT INTO rolecall.role_scopes (role, scope) VALUES ($1, $2) ON CONFLICT DO NOTHING",
            &[role.into(), scope.into()],
        )?;
    }
    Ok(())
}

/// Takes scopes, and all below them, from a role.
#[pg_extern(sql = false)]
fn revoke_scopes(role: Option<&str>, scopes: Option<Vec<Option<String>>>) -> Reported<()> {
    require_administrator("revoke_scopes()")?;
    let (role, scopes) = (required(role, "role")?, listed(scopes)?);
    roles::must_exist(role)?;
    Ok(revoke(role, &scopes)?)
}

/// Takes scopes from a role without asking who calls.
///
/// # Errors
/// The role still covers one of them through a node further up.
pub fn revoke(role: &str, scopes: &[String]) -> Result<(), Error> {
    for scope in scopes {
        // The names below a node lie between it with a ":" and it with the next character.
        run(
            "DELETE FROM rolecall.role_scopes
              WHERE role = $1 AND (scope = $2 OR (scope > $2 || ':' AND scope < $2 || ';'))",
            &[role.into(), scope.as_str().into()],
        )?;
    }
    for scope in scopes {
        let above = query::one::<String>(
            "SELECT scope FROM rolecall.role_scopes
              WHERE role = $1 AND pg_catalog.starts_with($2, scope || ':') LIMIT 1",
            &[role.into(), scope.as_str().into()],
        )?;
        if let Some(node) = above {
            return Err(Error::StillCovered { role: role.into(), scope: scope.clone(), node });
        }
    }
    Ok(())
}

/// Whether one single role covers all the scopes.
#[pg_extern(sql = false)]
fn has_scopes(scopes: pgrx::Array<&str>) -> Reported<bool> {
    let session = session::current()?;
    // No role covers NULL, which nothing else is: no scope is empty.
    Ok(session.scopes.holder(|| scopes.iter().map(Option::unwrap_or_default)).is_some() && !scopes.contains_nulls())
}

/// Raises an error unless some role covers the scope.
#[pg_extern(sql = false)]
fn require_scope(scope: Option<&str>) -> Reported<()> {
    let scope = required(scope, "scope")?;
    let session = session::current()?;
    if session.has_scope(scope) {
        return Ok(());
    }
    let is_nobody = session.user.is_none() && session.identity.is_none();
    let error = if is_nobody { Refusal::LoginRequired.into() } else { Error::MissingScope(scope.into()) };
    Err(error.into())
}

/// `unit:TOP:kind` for every kind in a query.
#[pg_extern(sql = false)]
fn query_scopes(query: Option<pgrx::AnyElement>, unit: Option<&str>) -> Reported<Vec<String>> {
    let query = read(query)?;
    let scopes = access::query_scopes(&query, unit).map_err(Error::from)?;
    Ok(scopes.into_iter().collect())
}

/// Whether one role covers what an action on a query needs.
#[pg_extern(sql = false)]
fn can_query(action: Option<&str>, query: Option<pgrx::AnyElement>, unit: Option<&str>) -> Reported<bool> {
    let checks = checks(action, query, unit)?;
    let session = session::current()?;
    Ok(checks.iter().all(|check| holder(&session, check).is_some()))
}

/// Whether an action on a query is allowed, and what is missing.
#[pg_extern(sql = false)]
fn explain_query(action: Option<&str>, query: Option<pgrx::AnyElement>, unit: Option<&str>) -> Reported<pgrx::JsonB> {
    let checks = checks(action, query, unit)?;
    let session = session::current()?;
    let required = checks.iter().flatten().collect::<BTreeSet<_>>();
    let refused: Vec<_> = checks.iter().filter(|check| holder(&session, check).is_none()).collect();
    let Some(first) = refused.first() else {
        let role = checks.first().and_then(|check| holder(&session, check));
        let explained = json!({"allowed": true, "required": required, "missing": [], "nearest_role": role});
        return Ok(pgrx::JsonB(explained));
    };
    let mut missing: Vec<&str> = Vec::new();
    for check in &refused {
        let lacks = session.scopes.nearest(check).map(|(_, lacks)| lacks);
        for scope in lacks.unwrap_or_else(|| check.iter().map(String::as_str).collect()) {
            if !missing.contains(&scope) {
                missing.push(scope);
            }
        }
    }
    let role = session.scopes.nearest(first).map(|(role, _)| role);
    Ok(pgrx::JsonB(json!({"allowed": false, "required": required, "missing": missing, "nearest_role": role})))
}

fn holder<'a>(session: &'a Session, check: &[String]) -> Option<&'a str> {
    session.scopes.holder(|| check.iter().map(String::as_str))
}

fn checks(
    action: Option<&str>,
    query: Option<pgrx::AnyElement>,
    unit: Option<&str>,
) -> Result<Vec<Vec<String>>, Error> {
    Ok(access::checks(required(action, "action")?, &read(query)?, unit)?)
}

fn read(query: Option<pgrx::AnyElement>) -> Result<Value, Error> {
    let Some(query) = query else { return Ok(Value::Null) };
    jsonb::value(query, "query")
}

/// The scopes of a list, each in its one spelling.
pub fn listed(scopes: Option<Vec<Option<String>>>) -> Result<Vec<String>, Error> {
    let scopes = users::list(Some(required(scopes, "scopes")?))?;
    scopes
        .into_iter()
        .map(|scope| match scope::problem(&scope) {
            Some(problem) => Err(bad("scope", &scope, problem)),
            None => Ok(scope::canonical(&scope).to_owned()),
        })
        .collect()
}
