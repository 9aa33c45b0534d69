//! Verification keys, which callers use without a privilege on them.

use super::catalog::Key as Search;
use super::session::watched;
use crate::error::Error;
use jsonwebtoken::jwk::Jwk;

/// A key that verifies tokens.
pub struct Key {
    /// What tells it from every other: of ours the id, of an issuer's the version.
    pub id: String,
    pub jwk: Jwk,
    /// What a token's `aud` must name, where it has one.
    pub audience: String,
}

/// The key of our own tokens named `kid`.
pub fn own(kid: &str) -> Result<Option<Key>, Error> {
    let mut found = None;
    watched(c"signing_keys")?.scan(c"signing_keys_pkey", Some(Search::Text(kid)), |row| {
        let jwk = row.get::<pgrx::JsonB>(c"jwk").and_then(|jwk| serde_json::from_value(jwk.0).ok());
        found = jwk.map(|jwk| Key { id: kid.to_owned(), jwk, audience: crate::tokens::AUDIENCE.to_owned() });
    })?;
    Ok(found)
}

/// The keys of an issuer that a token may have been signed with: the one it names, or all where it names none.
pub fn of_issuer(issuer: &str, kid: Option<&str>) -> Result<Vec<Key>, Error> {
    // Who the issuer's subjects are is read from there.
    watched(c"users")?;
    let mut found = Vec::new();
    watched(c"verification_keys")?.scan(c"verification_keys_pkey", Some(Search::Text(issuer)), |row| {
        let named = row.get::<String>(c"kid").unwrap_or_default();
        let (Some(id), Some(audience)) = (row.get(c"version"), row.get(c"audience")) else { return };
        if kid.is_some_and(|kid| !named.is_empty() && kid != named) {
            return;
        }
        let jwk = row.get::<pgrx::JsonB>(c"jwk").and_then(|jwk| serde_json::from_value(jwk.0).ok());
        found.extend(jwk.map(|jwk| Key { id, jwk, audience }));
    })?;
    Ok(found)
}
