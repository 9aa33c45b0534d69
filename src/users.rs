//! Users and their passwords.

use crate::backend::statement;
use crate::error::{Error, Reported, required};
use crate::{password, roles, tokens};
use pgrx::prelude::*;
use std::ffi::CStr;

/// How many characters a user name or an id may have.
const LONGEST_NAME: usize = 255;
/// How long a login lasts unless said otherwise, in seconds.
const LIFETIME: i64 = 3600;
/// How long a login may last, in seconds: a year.
const LONGEST_LIFETIME: i64 = 365 * 24 * 3600;

/// Creates a user with roles and returns the id.
#[pg_extern(sql = false)]
#[allow(clippy::too_many_arguments)]
fn create_user(
    username: Option<&str>,
    email: Option<&str>,
    password: Option<&str>,
    roles: Option<Vec<Option<String>>>,
    id: Option<&str>,
    kind: Option<&str>,
    database_role: Option<&CStr>,
) -> Reported<String> {
    statement::hide(c"rolecall.create_user(...)");
    roles::require_administrator("create_user()")?;
    let username = required(username, "username")?;
    if username.is_empty() || username.starts_with("role:") {
        return Err(bad("username", username, "must not be empty or begin with \"role:\"").into());
    }
    let kind = required(kind, "kind")?;
    if !["human", "robot"].contains(&kind) {
        return Err(bad("kind", kind, "is neither \"human\" nor \"robot\"").into());
    }
    if id == Some("") {
        return Err(bad("id", "", "must not be empty").into());
    }
    // Both travel in tokens and in the identity.
    for (what, value) in [("username", Some(username)), ("id", id)] {
        if let Some(value) = value.filter(|value| value.chars().count() > LONGEST_NAME) {
            return Err(bad(what, value, "is longer than 255 characters").into());
        }
    }
    let id = id.map_or_else(|| uuid::Uuid::now_v7().to_string(), str::to_owned);
    let hash = password.map(password::hash).transpose()?;
    let linked = database_role.map(roles::database_role).transpose()?;
    let inserted = Spi::connect_mut(|client| {
        let rows = client.update(
            "INSERT INTO rolecall.users (id, username, email, kind, database_role, password_hash) \
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
            None,
            &[id.as_str().into(), username.into(), email.into(), kind.into(), linked.into(), hash.as_deref().into()],
        )?;
        Ok::<_, Error>(rows.len())
    })?;
    if inserted == 0 {
        return Err(conflict(username, &id, database_role)?.into());
    }
    for role in roles.unwrap_or_default() {
        roles::grant(&required(role, "a role")?, username)?;
    }
    Ok(id)
}

/// Checks a password and returns a token for `authenticate()`.
#[pg_extern(sql = false)]
fn login(username: Option<&str>, password: Option<&str>, lifetime: Option<pgrx::datum::Interval>) -> Reported<String> {
    statement::hide(c"rolecall.login(...)");
    let lifetime = lifetime.map_or(Ok(LIFETIME), |lifetime| seconds(&lifetime))?;
    let username = required(username, "username")?;
    let password = required(password, "password")?;
    let (id, hash) = credentials(username)?;
    match id {
        Some(id) if password::verify(password, hash.as_deref()) => Ok(tokens::issue(&id, lifetime)?),
        Some(_) => Err(Error::WrongPassword.into()),
        None => {
            password::verify(password, None);
            Err(Error::WrongPassword.into())
        }
    }
}

/// A user's id and password hash.
fn credentials(username: &str) -> Result<(Option<String>, Option<String>), Error> {
    Ok(Spi::connect(|client| {
        let query = "SELECT id, password_hash FROM rolecall.users WHERE username = $1";
        let rows = client.select(query, Some(1), &[username.into()])?;
        if rows.is_empty() { Ok((None, None)) } else { rows.first().get_two() }
    })?)
}

/// What keeps a user from being created.
fn conflict(username: &str, id: &str, database_role: Option<&CStr>) -> Result<Error, Error> {
    let exists = |query, name: &str| Spi::get_one_with_args::<bool>(query, &[name.into()]);
    Ok(if exists("SELECT EXISTS (SELECT FROM rolecall.users WHERE username = $1)", username)? == Some(true) {
        Error::Exists { kind: "user", name: username.into() }
    } else if exists("SELECT EXISTS (SELECT FROM rolecall.users WHERE id = $1)", id)? == Some(true) {
        Error::Exists { kind: "user with id", name: id.into() }
    } else {
        let role = database_role.unwrap_or_default().to_string_lossy().into_owned();
        Error::Exists { kind: "user linked to database role", name: role }
    })
}

fn seconds(lifetime: &pgrx::datum::Interval) -> Result<i64, Error> {
    let days = i64::from(lifetime.months()) * 30 + i64::from(lifetime.days());
    let seconds = days * 24 * 3600 + lifetime.micros() / 1_000_000;
    if (1..=LONGEST_LIFETIME).contains(&seconds) {
        Ok(seconds)
    } else {
        Err(bad("lifetime", &format!("{seconds} seconds"), "must be at least a second and at most a year"))
    }
}

fn bad(what: &'static str, value: &str, problem: &'static str) -> Error {
    Error::BadArgument { what, value: value.into(), problem }
}
