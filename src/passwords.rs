//! Logging in with a password, and changing it.

use crate::administrators::require_administrator;
use crate::attempts::Attempt;
use crate::backend::{caller, session, statement};
use crate::error::{Error, Reported, required};
use crate::{password, tokens, users};
use pgrx::prelude::*;
use policy::identity::Proof;

/// How long a login lasts unless said otherwise, in seconds.
const LIFETIME: i64 = 3600;
/// How long a login may last, in seconds: a year.
const LONGEST_LIFETIME: i64 = 365 * 24 * 3600;

/// Checks a password and returns a token for `authenticate()`.
#[pg_extern(sql = false)]
fn login(username: Option<&str>, password: Option<&str>, lifetime: Option<pgrx::datum::Interval>) -> Reported<String> {
    statement::hide(c"rolecall.login(...)");
    let lifetime = lifetime.map_or(Ok(LIFETIME), |lifetime| seconds("lifetime", &lifetime, LONGEST_LIFETIME))?;
    let username = required(username, "username")?;
    let password = required(password, "password")?;
    let attempt = Attempt::begin(username)?;
    let known = Credentials::find("username", username)?.unwrap_or_default();
    let hash = known.hash.as_deref();
    if !password::verify(password, hash) {
        return Err(attempt.fail().into());
    }
    attempt.succeed()?;
    if known.disabled {
        return Err(Error::Refused(crate::error::Refusal::Disabled).into());
    }
    if hash.is_some_and(password::is_bcrypt) && caller::may_write() {
        Spi::run_with_args(
            "UPDATE rolecall.users SET password_hash = $2 WHERE id = $1 AND password_hash = $3",
            &[known.id.as_str().into(), password::hash(password)?.into(), hash.into()],
        )
        .map_err(Error::from)?;
    }
    Ok(tokens::issue(&known.id, known.generation, lifetime)?)
}

/// Gives a user a temporary password and ends his sessions.
#[pg_extern(sql = false)]
fn set_password(username: Option<&str>, temporary_password: Option<&str>) -> Reported<()> {
    statement::hide(c"rolecall.set_password(...)");
    require_administrator("set_password()")?;
    let id = users::id_of(required(username, "username")?)?;
    let hash = temporary(required(temporary_password, "temporary_password")?)?;
    Ok(replace(&id, &hash, true, None)?)
}

/// Changes one's own password and ends one's other sessions.
#[pg_extern(sql = false)]
fn change_password(old_password: Option<&str>, new_password: Option<&str>) -> Reported<()> {
    statement::hide(c"rolecall.change_password(...)");
    let session = session::of_temporary_password()?;
    let user = session.user.as_ref().ok_or(Error::Refused(crate::error::Refusal::LoginRequired))?;
    let proof = session.identity.as_ref().map(|identity| &identity.proof);
    if matches!(proof, Some(Proof::Become { .. })) {
        return Err(Error::NotPermitted("only the user himself changes his password").into());
    }
    let old = required(old_password, "old_password")?;
    let new = required(new_password, "new_password")?;
    let attempt = Attempt::begin(&user.username)?;
    let known = Credentials::find("id", &user.id)?;
    if !password::verify(old, known.as_ref().and_then(|known| known.hash.as_deref())) {
        return Err(attempt.fail().into());
    }
    attempt.succeed()?;
    if old == new {
        return Err(Error::WeakPassword("must differ from the former one").into());
    }
    check(new, &user.username, user.email.as_deref())?;
    let kept = match proof {
        Some(Proof::Login { token, .. }) => Some(token.as_str()),
        _ => None,
    };
    Ok(replace(&user.id, &password::hash(new)?, false, kept)?)
}

/// Raises an error unless a user of these names may choose `password`.
pub fn check(password: &str, username: &str, email: Option<&str>) -> Result<(), Error> {
    let names: Vec<&str> = std::iter::once(username).chain(email).chain(["rolecall"]).collect();
    policy::password::check(password, &names).map_err(|weakness| Error::WeakPassword(weakness.advice()))
}

/// The hash of a temporary password; one that is a hash already is taken as it is, so that the password itself need
/// not be sent.
pub fn temporary(password: &str) -> Result<String, Error> {
    match password {
        "" => Err(Error::WeakPassword("must not be empty")),
        hash if password::is_hash(hash) => Ok(hash.to_owned()),
        password => password::hash(password),
    }
}

/// The seconds of an interval, at least one and at most `longest`.
pub fn seconds(what: &'static str, interval: &pgrx::datum::Interval, longest: i64) -> Result<i64, Error> {
    let days = i64::from(interval.months()) * 30 + i64::from(interval.days());
    let seconds = days * 24 * 3600 + interval.micros() / 1_000_000;
    if (1..=longest).contains(&seconds) {
        Ok(seconds)
    } else {
        let value = format!("{seconds} seconds");
        Err(Error::BadArgument { what, value, problem: "must be at least a second and at most a year" })
    }
}

/// Stores a hash and ends all logins but `kept`.
fn replace(user: &str, hash: &str, temporary: bool, kept: Option<&str>) -> Result<(), Error> {
    Ok(Spi::run_with_args(
        "UPDATE rolecall.users
            SET password_hash = $2, must_change_password = $3, kept_token = $4,
                session_generation = session_generation + 1, sessions_revoked_at = pg_catalog.clock_timestamp()
          WHERE id = $1",
        &[user.into(), hash.into(), temporary.into(), kept.into()],
    )?)
}

/// What a login needs to know; without a user there is no hash, which no password fits.
#[derive(Default)]
struct Credentials {
    id: String,
    hash: Option<String>,
    disabled: bool,
    generation: i64,
}

impl Credentials {
    /// Those of the user whose `column` is `value`.
    fn find(column: &'static str, value: &str) -> Result<Option<Self>, Error> {
        Spi::connect(|client| {
            let query = format!(
                "SELECT id, password_hash, disabled, session_generation FROM rolecall.users WHERE {column} = $1"
            );
            let mut found = None;
            for row in client.select(&query, Some(1), &[value.into()])? {
                found = Some(Self {
                    id: row.get(1)?.unwrap_or_default(),
                    hash: row.get(2)?,
                    disabled: row.get(3)?.unwrap_or(true),
                    generation: row.get(4)?.unwrap_or_default(),
                });
            }
            Ok(found)
        })
    }
}
