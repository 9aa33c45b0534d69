//! Password hashes: Argon2id with the parameters that the `argon2` crate recommends (OWASP's: 19 MiB, two passes).

use crate::error::Error;
use argon2::Argon2;
use argon2::password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash};

/// The hash of a password nobody knows, checked where there is no user, so that the answer takes as long.
const NOBODYS: &str = "$argon2id$v=19$m=19456,t=2,p=1$cm9sZWNhbGxub2JvZHk$3q2+796tvu/erb7v3q2+796tvu/erb7v3q2+796tvu8";

/// The PHC string of a new password.
pub fn hash(password: &str) -> Result<String, Error> {
    let hash = Argon2::default().hash_password(password.as_bytes()).map_err(|e| Error::Hashing(e.to_string()))?;
    Ok(hash.to_string())
}

/// Whether `password` is the one behind `hash`; takes the same time without a hash.
pub fn verify(password: &str, hash: Option<&str>) -> bool {
    let parsed = PasswordHash::new(hash.unwrap_or(NOBODYS));
    let matches = parsed.is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok());
    matches && hash.is_some()
}
