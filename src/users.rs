//! Users.

use crate::administrators::{keep_one, require_administrator, require_owner};
use crate::backend::{account, session, statement};
use crate::error::{Error, Reported, required};
use crate::{password, passwords, query, roles};
use pgrx::prelude::*;
use std::ffi::CStr;

/// How many characters a user name or an id may have: both travel in tokens and in the identity.
const LONGEST_NAME: usize = 255;

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
    require_administrator("create_user()")?;
    let kind = required(kind, "kind")?;
    if !["human", "robot"].contains(&kind) {
        return Err(bad("kind", kind, "is neither \"human\" nor \"robot\"").into());
    }
    let user = New {
        username: required(username, "username")?,
        email,
        email_claimed: false,
        chose_username: false,
        hash: password.map(passwords::temporary).transpose()?,
        temporary: password.is_some(),
        id,
        kind,
        database_role,
        issuer: None,
    };
    Ok(user.create(&list(roles)?)?)
}

/// Removes a user and what he owns in rolecall.
#[pg_extern(sql = false)]
fn drop_user(username: Option<&str>) -> Reported<()> {
    require_administrator("drop_user()")?;
    let username = required(username, "username")?;
    let id = id_of(username)?;
    Ok(keep_one(username, || {
        Ok(Spi::run_with_args("DELETE FROM rolecall.users WHERE id = $1", &[id.as_str().into()])?)
    })?)
}

/// Keeps a user out.
#[pg_extern(sql = false)]
fn disable_user(username: Option<&str>) -> Reported<()> {
    require_administrator("disable_user()")?;
    let username = required(username, "username")?;
    let id = id_of(username)?;
    Ok(keep_one(username, || {
        Ok(Spi::run_with_args("UPDATE rolecall.users SET disabled = true WHERE id = $1", &[id.as_str().into()])?)
    })?)
}

/// Lets a disabled user in again.
#[pg_extern(sql = false)]
fn enable_user(username: Option<&str>) -> Reported<()> {
    require_administrator("enable_user()")?;
    let id = id_of(required(username, "username")?)?;
    Ok(Spi::run_with_args("UPDATE rolecall.users SET disabled = false WHERE id = $1", &[id.into()])
        .map_err(Error::from)?)
}

/// Ends every login of a user so far, and his tokens for other servers.
#[pg_extern(sql = false)]
fn revoke_sessions(username: Option<&str>) -> Reported<()> {
    let username = required(username, "username")?;
    let session = session::current()?;
    if session.user.as_ref().is_none_or(|user| user.username != username) {
        require_administrator("revoke_sessions() of another user")?;
    }
    let id = id_of(username)?;
    Ok(Spi::run_with_args(
        "UPDATE rolecall.users
            SET kept_token = NULL, session_generation = session_generation + 1,
                sessions_revoked_at = pg_catalog.clock_timestamp()
          WHERE id = $1",
        &[id.into()],
    )
    .map_err(Error::from)?)
}

/// Makes the first administrator from the hash of his password.
#[pg_extern(sql = false)]
fn bootstrap_admin(username: Option<&str>, password_hash: Option<&str>) -> Reported<String> {
    statement::hide(c"rolecall.bootstrap_admin(...)");
    require_owner("bootstrap_admin()")?;
    let username = required(username, "username")?;
    let hash = required(password_hash, "password_hash")?;
    if !password::is_hash(hash) {
        let problem = "is no bcrypt hash ($2a$, $2b$ or $2y$, of a cost of at most 14) and no Argon2id hash (m × t at most 1 GiB)";
        return Err(bad("password_hash", "(secret)", problem).into());
    }
    Spi::run("LOCK TABLE rolecall.user_roles IN SHARE ROW EXCLUSIVE MODE").map_err(Error::from)?;
    if account::has_administrator()? {
        return Err(Error::State("there is an administrator already", "Let him create others.").into());
    }
    let user = New { username, hash: Some(hash.to_owned()), ..New::default() };
    Ok(user.create(&[account::ADMINISTRATORS.to_owned()])?)
}

/// From now on nobody but the database's administrators acts without a login.
#[pg_extern(sql = false)]
fn enable_authentication() -> Reported<()> {
    require_administrator("enable_authentication()")?;
    if !account::has_administrator()? {
        let hint = "Make one first: rolecall.bootstrap_admin(username, password_hash), or rolecall.create_user() and \
                    rolecall.grant_role('admins', username).";
        return Err(Error::State("authentication cannot be enabled while there is no administrator", hint).into());
    }
    Ok(require_logins(true)?)
}

/// Lets sessions without a login be guests again.
#[pg_extern(sql = false)]
fn disable_authentication() -> Reported<()> {
    require_administrator("disable_authentication()")?;
    Ok(require_logins(false)?)
}

fn require_logins(required: bool) -> Result<(), Error> {
    Ok(Spi::run_with_args(
        "INSERT INTO rolecall.settings (login_required) VALUES ($1) \
         ON CONFLICT (only_row) DO UPDATE SET login_required = excluded.login_required",
        &[required.into()],
    )?)
}

/// A user to be.
#[derive(Default)]
pub struct New<'a> {
    pub username: &'a str,
    pub email: Option<&'a str>,
    /// Whether nobody has verified the address.
    pub email_claimed: bool,
    /// Whether the name is his own choice, or an issuer's.
    pub chose_username: bool,
    pub hash: Option<String>,
    /// Whether the password must be changed.
    pub temporary: bool,
    /// Empty stands for a UUIDv7.
    pub id: Option<&'a str>,
    /// Empty stands for a person.
    pub kind: &'a str,
    pub database_role: Option<&'a CStr>,
    /// The issuer whose subject the user is.
    pub issuer: Option<&'a str>,
}

impl New<'_> {
    /// Creates the user with roles and returns the id.
    pub fn create(&self, roles: &[String]) -> Result<String, Error> {
        let username = self.username;
        if username.is_empty() || ["role:", "workflow:"].iter().any(|prefix| username.starts_with(prefix)) {
            return Err(bad("username", username, "must not be empty or begin with \"role:\" or \"workflow:\""));
        }
        if self.id == Some("") {
            return Err(bad("id", "", "must not be empty"));
        }
        for (what, value) in [("username", Some(username)), ("id", self.id)] {
            if let Some(value) = value.filter(|value| value.chars().count() > LONGEST_NAME) {
                return Err(bad(what, value, "is longer than 255 characters"));
            }
        }
        let id = self.id.map_or_else(|| uuid::Uuid::now_v7().to_string(), str::to_owned);
        let kind = if self.kind.is_empty() { "human" } else { self.kind };
        let linked = self.database_role.map(roles::database_role).transpose()?;
        let inserted = Spi::connect_mut(|client| {
            let rows = client.update(
                "INSERT INTO rolecall.users
                        (id, username, email, kind, database_role, password_hash, must_change_password, issuer,
                         email_claimed, chose_username)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING",
                None,
                &[
                    id.as_str().into(),
                    username.into(),
                    self.email.into(),
                    kind.into(),
                    linked.into(),
                    self.hash.as_deref().into(),
                    self.temporary.into(),
                    self.issuer.into(),
                    self.email_claimed.into(),
                    self.chose_username.into(),
                ],
            )?;
            Ok::<_, Error>(rows.len())
        })?;
        if inserted == 0 {
            return Err(conflict(username, &id, self.database_role)?);
        }
        for role in roles {
            roles::grant(role, username)?;
        }
        Ok(id)
    }
}

/// The id of the user called `username`.
pub fn id_of(username: &str) -> Result<String, Error> {
    let id = query::one("SELECT id FROM rolecall.users WHERE username = $1", &[username.into()])?;
    id.ok_or_else(|| Error::Missing { kind: "user", name: username.into() })
}

/// A list of names, none of them NULL.
pub fn list(names: Option<Vec<Option<String>>>) -> Result<Vec<String>, Error> {
    names.unwrap_or_default().into_iter().map(|name| required(name, "a name in the list")).collect()
}

/// What keeps a user from being created.
fn conflict(username: &str, id: &str, database_role: Option<&CStr>) -> Result<Error, Error> {
    let exists = |query, name: &str| query::one::<bool>(query, &[name.into()]);
    Ok(if exists("SELECT EXISTS (SELECT FROM rolecall.users WHERE username = $1)", username)? == Some(true) {
        Error::Exists { kind: "user", name: username.into() }
    } else if exists("SELECT EXISTS (SELECT FROM rolecall.users WHERE id = $1)", id)? == Some(true) {
        Error::Exists { kind: "user with id", name: id.into() }
    } else {
        let role = database_role.unwrap_or_default().to_string_lossy().into_owned();
        Error::Exists { kind: "user linked to database role", name: role }
    })
}

pub fn bad(what: &'static str, value: &str, problem: &'static str) -> Error {
    Error::BadArgument { what, value: value.into(), problem }
}
