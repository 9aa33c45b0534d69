//! Password hashes: Argon2id with the parameters that the `argon2` crate recommends (OWASP's: 19 MiB, two passes).
//! bcrypt hashes of other systems are verified, and replaced at the next login.

use crate::error::Error;
use argon2::Argon2;
use argon2::password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash};
use std::str::FromStr;
use unicode_normalization::UnicodeNormalization;

/// The hash of a password nobody knows, checked where there is no user, so that the answer takes as long.
const NOBODYS: &str = "$argon2id$v=19$m=19456,t=2,p=1$cm9sZWNhbGxub2JvZHk$3q2+796tvu/erb7v3q2+796tvu/erb7v3q2+796tvu8";
/// A bcrypt hash of a higher cost takes more than a second to check, which anybody could ask for.
const HIGHEST_BCRYPT_COST: u32 = 14;

/// The PHC string of a new password.
pub fn hash(password: &str) -> Result<String, Error> {
    let hash =
        Argon2::default().hash_password(normal(password).as_bytes()).map_err(|e| Error::Hashing(e.to_string()))?;
    Ok(hash.to_string())
}

/// Whether `password` is the one behind `hash`; takes the same time without a hash.
pub fn verify(password: &str, hash: Option<&str>) -> bool {
    match hash {
        Some(hash) if is_bcrypt(hash) => bcrypt::verify(password, hash).unwrap_or(false),
        _ => {
            let parsed = PasswordHash::new(hash.unwrap_or(NOBODYS));
            let password = normal(password);
            let matches =
                parsed.is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok());
            matches && hash.is_some()
        }
    }
}

/// Whether a hash is to be replaced by one of ours.
pub fn is_bcrypt(hash: &str) -> bool {
    ["$2a$", "$2b$", "$2y$"].iter().any(|prefix| hash.starts_with(prefix))
}

/// Whether `hash` is one that [`verify`] understands.
pub fn is_hash(hash: &str) -> bool {
    if is_bcrypt(hash) {
        hash.len() == 60 && bcrypt::HashParts::from_str(hash).is_ok_and(|parts| parts.get_cost() <= HIGHEST_BCRYPT_COST)
    } else {
        hash.starts_with("$argon2id$") && PasswordHash::new(hash).is_ok_and(|hash| hash.hash.is_some())
    }
}

/// The same characters however they were typed (Unicode's form C, as RFC 8265 asks for).
fn normal(password: &str) -> String {
    password.nfc().collect()
}
