//! Password hashes: Argon2id with the parameters that the `argon2` crate recommends (OWASP's: 19 MiB, two passes).
//! bcrypt hashes of other systems are verified, and replaced at the next login.

use crate::backend::memory;
use crate::error::Error;
use argon2::password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash};
use argon2::{Argon2, Block, Params};
use std::str::FromStr;
use unicode_normalization::UnicodeNormalization;

/// The hash of a password nobody knows, checked where there is no user, so that the answer takes as long.
const NOBODYS: &str = "$argon2id$v=19$m=19456,t=2,p=1$cm9sZWNhbGxub2JvZHk$3q2+796tvu/erb7v3q2+796tvu/erb7v3q2+796tvu8";
/// A bcrypt hash of a higher cost takes more than a second to check, which anybody could ask for.
const HIGHEST_BCRYPT_COST: u32 = 14;
/// The same for Argon2id: kibibytes times passes.
const MOST_ARGON2_WORK: u64 = 1 << 20;

/// The PHC string of a new password.
pub fn hash(password: &str) -> Result<String, Error> {
    make_room(&Params::DEFAULT);
    let hash =
        Argon2::default().hash_password(normal(password).as_bytes()).map_err(|e| Error::Hashing(e.to_string()))?;
    Ok(hash.to_string())
}

/// Whether `password` is the one behind `hash`; takes the same time without a hash.
pub fn verify(password: &str, hash: Option<&str>) -> bool {
    match hash {
        Some(hash) if is_bcrypt(hash) => bcrypt::verify(password, hash).unwrap_or(false),
        _ => {
            let Ok(parsed) = PasswordHash::new(hash.unwrap_or(NOBODYS)) else { return false };
            let password = normal(password);
            make_room(&Params::try_from(&parsed).unwrap_or_default());
            Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok() && hash.is_some()
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
        let fits = |params: Params| u64::from(params.m_cost()) * u64::from(params.t_cost()) <= MOST_ARGON2_WORK;
        hash.starts_with("$argon2id$")
            && PasswordHash::new(hash).is_ok_and(|hash| hash.hash.is_some() && Params::try_from(&hash).is_ok_and(fits))
    }
}

/// Argon2 takes all its memory at once.
fn make_room(params: &Params) {
    memory::require(params.block_count() * Block::SIZE);
}

/// The same characters however they were typed (Unicode's form C, as RFC 8265 asks for).
fn normal(password: &str) -> String {
    memory::require(password.len() * 4);
    password.nfc().collect()
}
