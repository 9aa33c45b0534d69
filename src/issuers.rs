//! Users whom other issuers vouch for.

use crate::error::Error;
use crate::registration::Settings;
use crate::users::New;
use pgrx::prelude::*;
use policy::claims::Claims;

/// The user that an issuer's claims are about: the one whose id is `sub`, else the one who has the e-mail address that
/// the issuer has verified, else a new one where registration allows it.
///
/// # Errors
/// Nobody is it: `sub` is another issuer's, or the user is unknown and may not register.
pub fn user_of(issuer: &str, claims: &Claims) -> Result<String, Error> {
    if let Some(owner) = issuer_of(&claims.sub)? {
        return match owner {
            Some(other) if other != issuer => Err(Error::InvalidToken("its subject belongs to another issuer")),
            _ => Ok(claims.sub.clone()),
        };
    }
    let email = claims.email.as_deref().filter(|email| claims.email_verified && !email.is_empty());
    if let Some(email) = email
        && let [id] = &with_email(email)?[..]
    {
        return Ok(id.clone());
    }
    let settings = Settings::read()?;
    // Nothing said about registration: whoever registers first is to become the administrator, not whoever comes first
    // with a token.
    let mode = settings.chosen.ok_or(UNKNOWN_USER)?;
    mode.admits(email, &settings.domains, false).map_err(|_| UNKNOWN_USER)?;
    let username = match claims.sub.strip_prefix("role:") {
        Some(rest) => format!("{issuer} {rest}"),
        None => claims.sub.clone(),
    };
    let user = New {
        username: &username,
        email,
        chose_username: true,
        id: Some(&claims.sub),
        issuer: Some(issuer),
        ..New::default()
    };
    match user.create(&settings.default_roles()?) {
        // Another session has just seen the same user first.
        Err(Error::Exists { .. }) if issuer_of(&claims.sub)?.flatten().as_deref() == Some(issuer) => {
            Ok(claims.sub.clone())
        }
        // It is taken or too long. Which of both is not for whoever has the token.
        Err(Error::Exists { .. } | Error::BadArgument { .. }) => {
            Err(Error::InvalidToken("its subject cannot be the name of a new user"))
        }
        result => result,
    }
}

const UNKNOWN_USER: Error = Error::InvalidToken("its subject is no user here, and registration does not admit it");

/// The issuer of the user with an id: None without such a user, Some(None) for one created here.
fn issuer_of(id: &str) -> Result<Option<Option<String>>, Error> {
    Ok(Spi::connect(|client| {
        let rows = client.select("SELECT issuer FROM rolecall.users WHERE id = $1", Some(1), &[id.into()])?;
        if rows.is_empty() { Ok(None) } else { rows.first().get_one::<String>().map(Some) }
    })?)
}

/// The ids of up to two users with an e-mail address. Not of those who only say they have it: somebody could register
/// with another's address and wait for him to act as the user so prepared.
fn with_email(email: &str) -> Result<Vec<String>, Error> {
    Spi::connect(|client| {
        let query = "SELECT id FROM rolecall.users WHERE lower(email) = lower($1) AND NOT email_claimed LIMIT 2";
        let mut ids = Vec::new();
        for row in client.select(query, None, &[email.into()])? {
            ids.extend(row.get::<String>(1)?);
        }
        Ok(ids)
    })
}
