//! Tokens that users take to other servers.

use crate::administrators::require_administrator;
use crate::backend::{account, session};
use crate::error::{Error, Refusal, Reported, required};
use crate::roles::run;
use crate::users::{self, bad};
use crate::{query, scopes, servers, signing};
use base64::{Engine, engine::general_purpose::STANDARD};
use flate2::{Compression, write::GzEncoder};
use jsonwebtoken::Header;
use pgrx::datum::{Interval, TimestampWithTimeZone};
use pgrx::prelude::*;
use policy::identity::Proof;
use policy::scope::covers;
use policy::server_token::{self, Claims, Form, Limit};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::Write;

/// Roles, each with its scopes.
type Roles = BTreeMap<String, BTreeSet<String>>;

/// A token for a server, with roles that one holds there.
#[pg_extern(sql = false)]
fn issue_token(
    server: Option<&str>,
    roles: Option<Vec<Option<String>>>,
    lifetime: Option<Interval>,
    scopes: Option<Vec<Option<String>>>,
    user_claims: Option<bool>,
) -> Reported<String> {
    let server = required(server, "server")?;
    let roles: BTreeSet<String> = users::list(Some(required(roles, "roles")?))?.into_iter().collect();
    let wanted = scopes.map(|scopes| scopes::listed(Some(scopes))).transpose()?;
    let user_claims = required(user_claims, "user_claims")?;
    let user = user()?;
    if roles.is_empty() {
        return Err(bad("roles", "{}", "must name at least one role").into());
    }
    let audience = query::one::<String>("SELECT audience FROM rolecall.servers WHERE name = $1", &[server.into()])?
        .ok_or_else(|| servers::missing(server))?;
    let roles = narrowed(roles_there(&user.id, &roles, server)?, wanted.as_deref())?;
    let (now, expiry) = times(server, roles.keys().cloned().collect(), lifetime)?;
    let form = if user_claims { flowkit(server, &roles)? } else { Form::Roles(roles.clone()) };
    let id = uuid::Uuid::now_v7().to_string();
    let claims =
        Claims { sub: user.username.clone(), aud: audience, iat: now, nbf: now, exp: expiry, jti: id.clone(), form };
    let key = signing::rsa_key()?;
    let mut header = Header::new(key.algorithm);
    header.kid = Some(key.kid);
    let failure = |e: &dyn std::fmt::Display| Error::Signing(e.to_string());
    let token = jsonwebtoken::encode(&header, &claims, &key.secret).map_err(|e| failure(&e))?;
    let roles = serde_json::to_value(roles).map_err(|e| failure(&e))?;
    run(
        // Issued no later than when the login was looked at: whoever revokes that afterwards revokes the token.
        "INSERT INTO rolecall.server_tokens (id, user_id, username, server, roles, issued_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, pg_catalog.statement_timestamp(), pg_catalog.to_timestamp($6))",
        &[
            id.into(),
            user.id.into(),
            user.username.into(),
            server.into(),
            pgrx::JsonB(roles).into(),
            (expiry as f64).into(),
        ],
    )?;
    Ok(token)
}

/// Revokes a server token.
#[pg_extern(sql = false)]
fn revoke_token(id: Option<&str>) -> Reported<()> {
    let id = required(id, "id")?;
    let session = session::current()?;
    let user = session.user.as_ref().map(|user| user.id.as_str());
    let owner = query::one::<String>("SELECT user_id FROM rolecall.server_tokens WHERE id = $1", &[id.into()])?;
    // Who may not revoke it does not learn whether there is one.
    if user.is_none() || owner.as_deref() != user {
        require_administrator("revoke_token() of somebody else's token")?;
    }
    let known = run(
        "UPDATE rolecall.server_tokens SET revoked_at = coalesce(revoked_at, pg_catalog.clock_timestamp()) WHERE id = $1",
        &[id.into()],
    )?;
    if known > 0 { Ok(()) } else { Err(Error::Missing { kind: "token", name: id.into() }.into()) }
}

/// The tokens that a server is to refuse before they expire.
#[pg_extern(sql = false)]
#[allow(clippy::type_complexity)]
fn revoked_tokens(
    server: Option<&str>,
) -> Reported<TableIterator<'static, (name!(id, String), name!(expires_at, TimestampWithTimeZone))>> {
    let server = required(server, "server")?;
    if query::one::<bool>("SELECT true FROM rolecall.servers WHERE name = $1", &[server.into()])?.is_none() {
        return Err(servers::missing(server).into());
    }
    let mut users: HashMap<String, Option<account::Held>> = HashMap::new();
    let mut scopes: HashMap<String, BTreeSet<String>> = HashMap::new();
    let mut revoked = Vec::new();
    for token in tokens("server = $1", server)? {
        if token.is_revoked || !still_holds(&token, &mut users, &mut scopes)? {
            revoked.push((token.id, token.expires_at));
        }
    }
    Ok(TableIterator::new(revoked))
}

/// Whether a token is on record, not expired and not revoked in any way. One that was issued in a transaction that was
/// rolled back is on no record, and so on no list of revoked ones either.
#[pg_extern(sql = false)]
fn token_is_good(id: Option<&str>) -> Reported<bool> {
    let found = tokens("t.id = $1", required(id, "id")?)?;
    let Some(token) = found.first().filter(|token| !token.is_revoked) else { return Ok(false) };
    Ok(still_holds(token, &mut HashMap::new(), &mut HashMap::new())?)
}

/// The user whose token it will be: himself, logged in.
fn user() -> Result<account::User, Error> {
    let session = session::current()?;
    match (&session.user, session.identity.as_ref().map(|identity| &identity.proof)) {
        (_, Some(Proof::Become { .. })) => Err(Error::NotPermitted("issue_token() while acting as somebody else")),
        (_, Some(Proof::ApiToken)) => Err(Error::NotPermitted("issue_token() needs a user, and an API token is none")),
        (Some(user), _) => Ok(user.clone()),
        (None, _) => Err(Refusal::LoginRequired.into()),
    }
}

/// The scopes of the roles, each of which the user must hold and the server must have. What only his present session
/// holds, by its database role, does not leave it.
fn roles_there(user: &str, roles: &BTreeSet<String>, server: &str) -> Result<Roles, Error> {
    let held = account::held_by(user)?.map(|held| held.roles).unwrap_or_default();
    let mut there = Roles::new();
    for role in roles {
        let is_there =
            run("SELECT FROM rolecall.roles WHERE name = $1 AND server = $2", &[role.as_str().into(), server.into()])?
                > 0;
        if !is_there || !held.contains(role) {
            return Err(Error::RoleNotHeld { role: role.clone(), server: server.into() });
        }
        there.insert(role.clone(), account::scopes_of(role)?);
    }
    Ok(there)
}

fn narrowed(roles: Roles, wanted: Option<&[String]>) -> Result<Roles, Error> {
    if wanted.is_some_and(<[String]>::is_empty) {
        return Err(bad("scopes", "{}", "must name at least one scope, or be NULL"));
    }
    server_token::narrow(roles, wanted).map_err(refused)
}

/// When the token is issued and from when on it is refused, in seconds since the epoch.
fn times(server: &str, roles: Vec<String>, lifetime: Option<Interval>) -> Result<(i64, i64), Error> {
    let query = "WITH present AS (SELECT pg_catalog.clock_timestamp() AS now)
        SELECT 'present', NULL, now, now + $3 FROM present
         UNION ALL SELECT 'server', name, nullif(latest_expiry, 'infinity'), now + longest_life
                     FROM rolecall.servers, present WHERE name = $1
         UNION ALL SELECT 'role', name, nullif(latest_expiry, 'infinity'), now + longest_life
                     FROM rolecall.roles, present WHERE name = ANY ($2)";
    let (mut now, mut wanted, mut limits) = (0, None, Vec::new());
    Spi::connect(|client| {
        for row in client.select(query, None, &[server.into(), roles.into(), lifetime.into()])? {
            let kind = row.get::<String>(1)?.unwrap_or_default();
            let seconds = |column| Ok::<_, Error>(row.get::<TimestampWithTimeZone>(column)?.map(session::to_unix_time));
            let (first, second) = (seconds(3)?, seconds(4)?);
            if kind == "present" {
                (now, wanted) = (first.unwrap_or(0), second);
            } else {
                let of = format!("{kind} {:?}", row.get::<String>(2)?.unwrap_or_default());
                limits.push(Limit { of, latest_expiry: first, end_of_life: second });
            }
        }
        Ok::<_, Error>(())
    })?;
    if wanted.is_some_and(|wanted| wanted <= now) {
        return Err(bad("lifetime", "(interval)", "must be at least a second"));
    }
    Ok((now, server_token::expiry(now, wanted, &limits).map_err(refused)?))
}

fn refused(error: server_token::Error) -> Error {
    match error {
        server_token::Error::Over(of) => Error::ExpiryPassed(of),
        server_token::Error::BeyondLife(of) => Error::Beyond { what: "lifetime", limit: "longest life", of },
        server_token::Error::BeyondExpiry(of) => Error::Beyond { what: "lifetime", limit: "latest expiry", of },
        server_token::Error::Scope(scope) => Error::ScopeNotHeld(scope),
    }
}

/// The claims as FlowKit's servers read them: they know no tree, so nodes become the leaves below them.
fn flowkit(server: &str, roles: &Roles) -> Result<Form, Error> {
    let mut leaves = BTreeSet::new();
    Spi::connect(|client| {
        let query = "SELECT scope FROM rolecall.server_scopes WHERE server = $1";
        for row in client.select(query, None, &[server.into()])? {
            leaves.extend(row.get::<String>(1)?);
        }
        Ok::<_, Error>(())
    })?;
    let roles: Roles = roles.iter().map(|(role, nodes)| (role.clone(), server_token::leaves(nodes, &leaves))).collect();
    let failure = |e: &dyn std::fmt::Display| Error::Signing(e.to_string());
    let json = serde_json::to_vec(&roles).map_err(|e| failure(&e))?;
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(&json).map_err(|e| failure(&e))?;
    Ok(Form::UserClaims(STANDARD.encode(gzip.finish().map_err(|e| failure(&e))?)))
}

/// A token that has not expired.
struct Token {
    id: String,
    user: Option<String>,
    roles: Roles,
    expires_at: TimestampWithTimeZone,
    is_revoked: bool,
}

fn tokens(condition: &str, argument: &str) -> Result<Vec<Token>, Error> {
    Spi::connect(|client| {
        // A token of a transaction that was still open when the user's sessions were ended has no mark of its own.
        let query = format!(
            "SELECT t.id, user_id, roles, expires_at,
                    revoked_at IS NOT NULL OR coalesce(issued_at <= sessions_revoked_at, false)
               FROM rolecall.server_tokens t LEFT JOIN rolecall.users u ON u.id = user_id
              WHERE {condition} AND expires_at > pg_catalog.clock_timestamp() ORDER BY t.id"
        );
        let mut tokens = Vec::new();
        for row in client.select(&query, None, &[argument.into()])? {
            let roles = row.get::<pgrx::JsonB>(3)?.and_then(|roles| serde_json::from_value(roles.0).ok());
            let (Some(id), Some(expires_at)) = (row.get(1)?, row.get(4)?) else { continue };
            tokens.push(Token {
                id,
                user: row.get(2)?,
                // What cannot be read is refused.
                is_revoked: roles.is_none() || row.get(5)?.unwrap_or(true),
                roles: roles.unwrap_or_default(),
                expires_at,
            });
        }
        Ok(tokens)
    })
}

/// Whether the user may still act and holds what the token says.
fn still_holds(
    token: &Token,
    users: &mut HashMap<String, Option<account::Held>>,
    scopes: &mut HashMap<String, BTreeSet<String>>,
) -> Result<bool, Error> {
    let Some(user) = &token.user else { return Ok(false) };
    if !users.contains_key(user) {
        users.insert(user.clone(), account::held_by(user)?);
    }
    let Some(held) = users[user].as_ref().filter(|held| !held.disabled) else { return Ok(false) };
    for (role, said) in &token.roles {
        if !scopes.contains_key(role) {
            scopes.insert(role.clone(), account::scopes_of(role)?);
        }
        let granted = &scopes[role];
        if !held.roles.contains(role) || !said.iter().all(|scope| granted.iter().any(|node| covers(node, scope))) {
            return Ok(false);
        }
    }
    Ok(true)
}
