//! Other servers, whose scopes roles grant.

use crate::administrators::require_administrator;
use crate::backend::jsonb;
use crate::error::{Error, Reported, required};
use crate::roles::run;
use crate::tokens::AUDIENCE;
use crate::users::bad;
use pgrx::datum::{DatumWithOid, Interval, TimestampWithTimeZone};
use pgrx::prelude::*;
use policy::server::Server;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Takes a server's scopes and audience from its document. Roles lose what it has no longer.
#[pg_extern(sql = false)]
fn register_server(
    name: Option<&str>,
    spec: Option<pgrx::AnyElement>,
    latest_expiry: Option<TimestampWithTimeZone>,
    longest_life: Option<Interval>,
) -> Reported<pgrx::JsonB> {
    require_administrator("register_server()")?;
    let name = required(name, "name")?;
    if name.is_empty() {
        return Err(bad("name", name, "must not be empty").into());
    }
    let document = jsonb::value(required(spec, "spec")?, "spec")?;
    let server = Server::read(&document).map_err(Error::from)?;
    let audience = server.audience.as_deref().unwrap_or(name);
    if audience == AUDIENCE {
        return Err(bad("audience", audience, "is that of rolecall's own logins").into());
    }
    if !longest_life.as_ref().is_none_or(is_positive) {
        return Err(bad("longest_life", "(interval)", "must be positive").into());
    }
    Spi::run("LOCK TABLE rolecall.servers IN SHARE ROW EXCLUSIVE MODE").map_err(Error::from)?;
    let same = "SELECT name FROM rolecall.servers WHERE audience = $1 AND name <> $2";
    if run(same, &[audience.into(), name.into()])? > 0 {
        return Err(Error::Exists { kind: "another server with audience", name: audience.into() }.into());
    }
    run(
        "INSERT INTO rolecall.servers (name, audience, latest_expiry, longest_life) VALUES ($1, $2, $3, $4)
         ON CONFLICT (name) DO UPDATE SET audience = excluded.audience, registered_at = excluded.registered_at,
                latest_expiry = coalesce(excluded.latest_expiry, servers.latest_expiry),
                longest_life = coalesce(excluded.longest_life, servers.longest_life)",
        &[name.into(), audience.into(), latest_expiry.into(), longest_life.into()],
    )?;
    let report = pgrx::JsonB(replace(name, &server)?);
    run(
        "INSERT INTO rolecall.audit_entries (actor, acting_as, action, object, new)
         VALUES (rolecall.actor(), rolecall.acting_as(), 'register_server', $1, $2)",
        &[name.into(), pgrx::JsonB(report.0.clone()).into()],
    )?;
    Ok(report)
}

/// Forgets a server that has no roles.
#[pg_extern(sql = false)]
fn drop_server(name: Option<&str>) -> Reported<()> {
    require_administrator("drop_server()")?;
    let name = required(name, "name")?;
    if run("SELECT FROM rolecall.servers WHERE name = $1 FOR UPDATE", &[name.into()])? == 0 {
        return Err(missing(name).into());
    }
    if run("SELECT FROM rolecall.roles WHERE server = $1 LIMIT 1", &[name.into()])? > 0 {
        return Err(Error::State("the server has roles", "Drop them first with rolecall.drop_role().").into());
    }
    run("DELETE FROM rolecall.servers WHERE name = $1", &[name.into()])?;
    Ok(())
}

/// Makes the tables have the server's scopes and no others, and says what changed.
fn replace(name: &str, server: &Server) -> Result<Value, Error> {
    let scopes: Vec<String> = server.scopes.iter().cloned().collect();
    let removed = texts(
        "DELETE FROM rolecall.server_scopes WHERE server = $1 AND scope <> ALL ($2) RETURNING scope",
        &[name.into(), scopes.clone().into()],
    )?;
    let added = run(
        "INSERT INTO rolecall.server_scopes (server, scope) SELECT $1, pg_catalog.unnest($2) ON CONFLICT DO NOTHING",
        &[name.into(), scopes.into()],
    )?;
    let mut revoked: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (role, scope) in granted(name)? {
        if !server.has(&scope) {
            run(
                "DELETE FROM rolecall.role_scopes WHERE role = $1 AND scope = $2",
                &[role.as_str().into(), scope.as_str().into()],
            )?;
            revoked.entry(role).or_default().push(scope);
        }
    }
    let shortened = texts(
        "UPDATE rolecall.roles r
            SET latest_expiry = CASE WHEN r.latest_expiry > s.latest_expiry THEN s.latest_expiry ELSE r.latest_expiry END,
                longest_life = CASE WHEN r.longest_life > s.longest_life THEN s.longest_life ELSE r.longest_life END
           FROM rolecall.servers s
          WHERE s.name = $1 AND r.server = $1
            AND (r.latest_expiry > s.latest_expiry OR r.longest_life > s.longest_life)
         RETURNING r.name",
        &[name.into()],
    )?;
    let count = server.scopes.len();
    Ok(json!({"scopes": count, "added": added, "removed": removed, "revoked": revoked, "shortened": shortened}))
}

/// The roles of a server with their scopes.
fn granted(server: &str) -> Result<Vec<(String, String)>, Error> {
    Spi::connect(|client| {
        let query = "SELECT g.role, g.scope FROM rolecall.roles r JOIN rolecall.role_scopes g ON g.role = r.name
                      WHERE r.server = $1 ORDER BY 1, 2";
        let mut granted = Vec::new();
        for row in client.select(query, None, &[server.into()])? {
            granted.push((row.get(1)?.unwrap_or_default(), row.get(2)?.unwrap_or_default()));
        }
        Ok(granted)
    })
}

/// Runs a statement and returns the texts it returns, in order.
fn texts(statement: &str, arguments: &[DatumWithOid]) -> Result<Vec<String>, Error> {
    let mut texts = Spi::connect_mut(|client| {
        let mut texts = Vec::new();
        for row in client.update(statement, None, arguments)? {
            texts.extend(row.get::<String>(1)?);
        }
        Ok::<_, Error>(texts)
    })?;
    texts.sort_unstable();
    Ok(texts)
}

/// Raises an error unless a role may have these limits: those of its server, or narrower ones. The server stays as it is
/// until the transaction ends.
pub fn must_allow(
    server: Option<&str>,
    latest_expiry: Option<TimestampWithTimeZone>,
    longest_life: Option<&Interval>,
) -> Result<(), Error> {
    if !longest_life.is_none_or(is_positive) {
        return Err(bad("longest_life", "(interval)", "must be positive"));
    }
    let Some(server) = server else {
        return match (latest_expiry, longest_life) {
            (None, None) => Ok(()),
            _ => Err(Error::State("a role without a server has no tokens to limit", "Name the server.")),
        };
    };
    let found = Spi::connect_mut(|client| {
        let query = "SELECT coalesce(latest_expiry < $2, false), coalesce(longest_life < $3, false)
                       FROM rolecall.servers WHERE name = $1 FOR SHARE";
        let arguments = [server.into(), latest_expiry.into(), longest_life.copied().into()];
        let rows = client.update(query, Some(1), &arguments)?;
        if rows.is_empty() { Ok((None, None)) } else { rows.first().get_two::<bool, bool>() }
    })?;
    let of = format!("server {server:?}");
    match found {
        (Some(false), Some(false)) => Ok(()),
        (Some(true), _) => Err(Error::Beyond { what: "latest_expiry", limit: "latest expiry", of }),
        (_, Some(true)) => Err(Error::Beyond { what: "longest_life", limit: "longest life", of }),
        _ => Err(missing(server)),
    }
}

/// Raises an error unless every scope is a node or leaf of the server's tree. It stays so until the transaction ends.
pub fn must_have(server: &str, scopes: &[String]) -> Result<(), Error> {
    run("SELECT FROM rolecall.servers WHERE name = $1 FOR SHARE", &[server.into()])?;
    for scope in scopes {
        let found = run(
            "SELECT FROM rolecall.server_scopes
              WHERE server = $1 AND (scope = $2 OR (scope > $2 || ':' AND scope < $2 || ';')) LIMIT 1",
            &[server.into(), scope.as_str().into()],
        )?;
        if found == 0 {
            return Err(Error::Missing { kind: "scope", name: scope.clone() });
        }
    }
    Ok(())
}

pub fn missing(server: &str) -> Error {
    Error::Missing { kind: "server", name: server.into() }
}

fn is_positive(interval: &Interval) -> bool {
    interval.as_micros() > 0
}
