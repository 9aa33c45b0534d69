//! Who the session acts as.

use crate::administrators::require_administrator;
use crate::api_tokens;
use crate::backend::setting::{self, Scope};
use crate::backend::{caller, executor, jsonb, memory, owner, session, statement};
use crate::error::{Error, Refusal, Reported, required};
use crate::{issuers, query, tokens, users};
use pgrx::prelude::*;
use policy::claims::{Claims, Refusal as ClaimRefusal};
use policy::identity::{Identity, Proof};
use serde_json::json;

/// The database role whose members may pass on claims that they have verified.
const GATEWAY: &str = "rolecall_authenticator";
/// How long an administrator may act as somebody else, in seconds.
const BECOME_LIFETIME: i64 = 3600;

/// Verifies `token` and becomes its user or API token, for the transaction or for the session.
#[pg_extern(sql = false)]
fn authenticate(token: Option<&str>, for_session: Option<bool>) -> Reported<Option<String>> {
    statement::hide(c"rolecall.authenticate(...)");
    let token = token.ok_or(Error::InvalidToken("it is NULL"))?;
    let identity =
        if token.starts_with(api_tokens::PREFIX) { api_tokens::verify(token)? } else { tokens::verify(token)? };
    Ok(take_on(&identity, for_session)?)
}

/// Becomes the user of claims that a gateway has verified, for the transaction.
#[pg_extern(sql = false)]
fn assume(claims: Option<pgrx::AnyElement>) -> Reported<Option<String>> {
    statement::hide(c"rolecall.assume(...)");
    if !caller::session_is_member_of_named(GATEWAY) {
        return Err(Error::NotPermitted("assume() needs a login that is a member of rolecall_authenticator").into());
    }
    let claims = match claims {
        Some(claims) => jsonb::value(claims, "claims")?,
        None => {
            let text = query::one::<String>("SELECT pg_catalog.current_setting('request.jwt.claims', true)", &[])?;
            let text = text.filter(|text| !text.is_empty()).ok_or(Refusal::LoginRequired).map_err(Error::from)?;
            serde_json::from_str(&text).map_err(|_| Error::InvalidToken("request.jwt.claims is no JSON"))?
        }
    };
    // An anonymous visitor has claims, too, but no subject.
    if claims.get("sub").is_none() {
        change(None, Scope::Transaction)?;
        return Ok(None);
    }
    let claims: Claims =
        serde_json::from_value(claims).map_err(|_| Error::InvalidToken("its claims are incomplete"))?;
    let now = session::unix_time();
    // Whom they are for is the gateway's to say.
    let audience = claims.aud.first().cloned().unwrap_or_default();
    claims.check(now, &audience).map_err(|refusal| match refusal {
        ClaimRefusal::Expired => Error::from(Refusal::Expired),
        ClaimRefusal::Invalid(problem) => Error::InvalidToken(problem),
    })?;
    let identity = Identity {
        subject: owner::act(|| issuers::user_of(claims.iss.as_deref().unwrap_or_default(), &claims))?,
        // The gateway vouches for them now; only where they say that they are older can they have been revoked.
        proof: Proof::Gateway { issued_at: claims.iat },
        expires_at: claims.exp.unwrap_or(i64::MAX),
    };
    Ok(take_on(&identity, None)?)
}

/// Becomes another user, on the record.
#[pg_extern(sql = false)]
#[allow(clippy::self_named_constructors)]
fn r#become(username: Option<&str>, reason: Option<&str>, for_session: Option<bool>) -> Reported<Option<String>> {
    let session = session::current()?;
    if let Some(Identity { proof: Proof::Become { .. }, .. }) = session.identity {
        return Err(Error::State("one acts as somebody else already", "Call rolecall.logout() first.").into());
    }
    require_administrator("become()")?;
    let username = required(username, "username")?;
    let reason = required(reason, "reason")?;
    if reason.trim().is_empty() {
        return Err(users::bad("reason", reason, "must say why").into());
    }
    let until = session::unix_time() + BECOME_LIFETIME;
    let identity = Identity {
        subject: owner::act(|| users::id_of(username))?,
        proof: Proof::Become { behind: session.identity.clone().map(Box::new), name: name_of(&session) },
        expires_at: session.identity.as_ref().map_or(until, |identity| identity.expires_at.min(until)),
    };
    owner::act(|| {
        Ok(Spi::run_with_args(
            "INSERT INTO rolecall.audit_entries (actor, action, object, new)
             VALUES ($1, 'become', $2, pg_catalog.jsonb_build_object('reason', $3::pg_catalog.text))",
            &[name_of(&session).into(), username.into(), reason.into()],
        )?)
    })?;
    Ok(take_on(&identity, for_session)?)
}

/// Becomes nobody at once.
#[pg_extern(sql = false)]
fn logout() -> Reported<()> {
    Ok(change(None, Scope::Session)?)
}

/// Raises an error unless somebody is logged in.
#[pg_extern(sql = false)]
fn require_login() -> Reported<()> {
    let session = session::current()?;
    if session.user.is_some() || session.identity.is_some() {
        Ok(())
    } else {
        Err(Error::from(Refusal::LoginRequired).into())
    }
}

/// The present identity with its roles and scopes.
#[pg_extern(sql = false)]
fn whoami() -> Reported<pgrx::JsonB> {
    let session = session::current()?;
    let user = session.user.as_ref();
    let identity = session.identity.as_ref();
    let via = match (identity.map(|identity| &identity.proof), user) {
        (Some(Proof::ApiToken), _) => "api_token",
        (Some(Proof::Become { .. }), _) => "become",
        (Some(_), _) => "jwt",
        (None, Some(_)) => "database_role",
        (None, None) => "none",
    };
    let expires_at = identity.map(|identity| identity.expires_at).filter(|at| *at != i64::MAX);
    let api_token = identity.filter(|identity| identity.proof == Proof::ApiToken).map(|identity| &identity.subject);
    let scopes = session.scopes.all();
    memory::require(scopes.iter().map(|scope| 4 * scope.len() + 256).sum());
    Ok(pgrx::JsonB(json!({
        "user_id": user.map(|user| &user.id),
        "username": user.map(|user| &user.username),
        "email": user.and_then(|user| user.email.as_ref()),
        "api_token_id": api_token,
        "roles": session.roles,
        "scopes": scopes,
        "expires_at": expires_at.map(timestamp).transpose()?,
        "via": via,
    })))
}

/// Who acts, as the audit log names him; behind `become()` the administrator.
#[pg_extern(sql = false)]
fn actor() -> Reported<String> {
    let session = session::of_temporary_password().or_else(|_| session::of(None))?;
    Ok(name_of(&session))
}

/// The user one has become.
#[pg_extern(sql = false)]
fn acting_as() -> Reported<Option<String>> {
    let session = session::of_temporary_password().or_else(|_| session::of(None))?;
    let acts = session.identity.as_ref().is_some_and(|identity| matches!(identity.proof, Proof::Become { .. }));
    Ok(session.user.as_ref().filter(|_| acts).map(|user| user.username.clone()))
}

fn name_of(session: &session::Session) -> String {
    match (&session.identity, &session.user) {
        (Some(Identity { proof: Proof::Become { name, .. }, .. }), _) => name.clone(),
        (Some(Identity { proof: Proof::ApiToken, subject, .. }), _) => format!("api_token:{subject}"),
        (_, Some(user)) => user.username.clone(),
        (_, None) => caller::session_user_name(),
    }
}

/// Becomes a verified identity, unless it may not be used; returns the user's id.
fn take_on(identity: &Identity, for_session: Option<bool>) -> Result<Option<String>, Error> {
    let scope = if for_session == Some(true) { Scope::Session } else { Scope::Transaction };
    session::of(Some(identity.clone()))?.check_for_login()?;
    change(Some(identity), scope)?;
    Ok(identity.user().map(str::to_owned))
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
    let text = query::one::<String>(
        "SELECT pg_catalog.to_json(pg_catalog.to_timestamp($1)) OPERATOR(pg_catalog.#>>) '{}'",
        &[(seconds as f64).into()],
    )?;
    Ok(text.unwrap_or_default())
}
