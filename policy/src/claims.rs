//! What a rolecall JWT says. It carries no roles: they are looked up when the token is used.

use serde::{Deserialize, Serialize};

/// The registered claims (RFC 7519, section 4.1) that rolecall writes and requires.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The user's id.
    pub sub: String,
    /// When it was issued, in seconds since the epoch.
    pub iat: i64,
    /// From when on it is refused, in seconds since the epoch.
    pub exp: i64,
    /// The token's own id.
    pub jti: String,
}
