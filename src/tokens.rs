//! Signed tokens.

use crate::backend::session::unix_time;
use crate::error::Error;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, errors::ErrorKind};
use pgrx::prelude::*;
use policy::claims::Claims;
use policy::identity::Identity;

/// A longer token is refused unread. Ours have some 300 bytes.
const MAX_LENGTH: usize = 8192;
/// The secret's length: as long as the hash, as RFC 7518, section 3.2 demands.
const SECRET_LENGTH: usize = 32;

/// A JWT for the user, signed with the active key, which is made when there is none.
pub fn issue(user: &str, lifetime: i64) -> Result<String, Error> {
    let (kid, secret) = active_key()?;
    let now = unix_time();
    let claims = Claims {
        sub: user.to_owned(),
        iat: now,
        exp: now.saturating_add(lifetime),
        jti: uuid::Uuid::now_v7().to_string(),
    };
    let mut header = Header::new(Algorithm::HS256);
    header.kid = Some(kid);
    jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(&secret))
        .map_err(|e| Error::Signing(e.to_string()))
}

/// The identity that a token proves. Nothing of the token shows in an error.
pub fn verify(token: &str) -> Result<Identity, Error> {
    if token.len() > MAX_LENGTH {
        return Err(Error::InvalidToken("it is too long"));
    }
    let header = jsonwebtoken::decode_header(token).map_err(|_| Error::InvalidToken("it is no JWT"))?;
    let kid = header.kid.ok_or(Error::InvalidToken("it names no key"))?;
    let secret = crate::backend::keys::secret(&kid)?.ok_or(Error::InvalidToken("its key is unknown"))?;
    // The algorithm is the key's, never the token's choice.
    let mut validation = Validation::new(Algorithm::HS256);
    validation.leeway = 0;
    validation.set_required_spec_claims(&["exp", "sub"]);
    let claims = jsonwebtoken::decode::<Claims>(token, &DecodingKey::from_secret(&secret), &validation)
        .map_err(|error| match error.kind() {
            ErrorKind::ExpiredSignature => Error::LoginExpired,
            ErrorKind::InvalidSignature => Error::InvalidToken("its signature is wrong"),
            ErrorKind::InvalidAlgorithm => Error::InvalidToken("its algorithm is not its key's"),
            _ => Error::InvalidToken("its claims are incomplete"),
        })?
        .claims;
    Ok(Identity { user: claims.sub, token: claims.jti, issued_at: claims.iat, expires_at: claims.exp })
}

fn active_key() -> Result<(String, Vec<u8>), Error> {
    if let Some(key) = read_active_key()? {
        return Ok(key);
    }
    let mut secret = [0_u8; SECRET_LENGTH];
    getrandom::fill(&mut secret).map_err(|e| Error::Signing(e.to_string()))?;
    // Of two sessions that find no key, one inserts and the other waits for it.
    Spi::run_with_args(
        "INSERT INTO rolecall.signing_keys (kid, algorithm, secret) VALUES ($1, 'HS256', $2) ON CONFLICT DO NOTHING",
        &[uuid::Uuid::now_v7().to_string().into(), secret.to_vec().into()],
    )?;
    read_active_key()?.ok_or_else(|| Error::Signing("no signing key is active".into()))
}

fn read_active_key() -> Result<Option<(String, Vec<u8>)>, Error> {
    let (kid, secret) = Spi::connect(|client| {
        let query = "SELECT kid, secret FROM rolecall.signing_keys WHERE active";
        let rows = client.select(query, Some(1), &[])?;
        if rows.is_empty() { Ok((None, None)) } else { rows.first().get_two::<String, Vec<u8>>() }
    })?;
    Ok(kid.zip(secret))
}
