//! Who the session acts as.

use crate::backend::setting::{self, Scope};
use crate::backend::{caller, executor, session, statement};
use crate::error::{Error, Reported};
use crate::tokens;
use pgrx::prelude::*;
use policy::identity::Identity;
use serde_json::json;

/// Verifies `token` and becomes its user, for the transaction or for the session.
#[pg_extern(sql = false)]
fn authenticate(token: Option<&str>, for_session: Option<bool>) -> Reported<Option<String>> {
    statement::hide(c"rolecall.authenticate(...)");
    let scope = if for_session == Some(true) { Scope::Session } else { Scope::Transaction };
    let identity = tokens::verify(token.ok_or(Error::InvalidToken("it is NULL"))?)?;
    session::of(Some(identity.clone()))?.check()?;
    change(Some(&identity), scope)?;
    Ok(Some(identity.user))
}

/// Becomes nobody at once.
#[pg_extern(sql = false)]
fn logout() -> Reported<()> {
    Ok(change(None, Scope::Session)?)
}

/// Raises an error unless somebody is logged in.
#[pg_extern(sql = false)]
fn require_login() -> Reported<()> {
    match session::current()?.user {
        Some(_) => Ok(()),
        None => Err(Error::LoginRequired.into()),
    }
}

/// The present identity with its roles and scopes.
#[pg_extern(sql = false)]
fn whoami() -> Reported<pgrx::JsonB> {
    let session = session::current()?;
    let user = session.user.as_ref();
    let identity = session.identity.as_ref();
    let via = match (identity, user) {
        (Some(_), _) => "jwt",
        (None, Some(_)) => "database_role",
        (None, None) => "none",
    };
    Ok(pgrx::JsonB(json!({
        "user_id": user.map(|user| &user.id),
        "username": user.map(|user| &user.username),
        "email": user.and_then(|user| user.email.as_ref()),
        "api_token_id": null,
        "roles": session.roles,
        "scopes": [],
        "expires_at": identity.map(|identity| timestamp(identity.expires_at)).transpose()?,
        "via": via,
    })))
}

/// Changes the identity, unless rows of the present one are still to come.
fn change(identity: Option<&Identity>, scope: Scope) -> Result<(), Error> {
    if executor::is_running() {
        return Err(Error::IdentityInUse("a query is running whose rows depend on it"));
    }
    if caller::has_open_cursors() {
        return Err(Error::IdentityInUse("a cursor is open"));
    }
    setting::set(identity, scope);
    Ok(())
}

/// Seconds since the epoch as PostgreSQL writes a timestamp in JSON.
fn timestamp(seconds: i64) -> Result<String, Error> {
    let text = Spi::get_one_with_args::<String>(
        "SELECT pg_catalog.to_json(pg_catalog.to_timestamp($1)) OPERATOR(pg_catalog.#>>) '{}'",
        &[(seconds as f64).into()],
    )?;
    Ok(text.unwrap_or_default())
}
