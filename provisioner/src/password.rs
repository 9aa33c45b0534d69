//! Passwords as the server stores them: SCRAM-SHA-256 verifiers, computed here so that no clear text is ever sent.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use pbkdf2::pbkdf2_hmac_array;
use rand::RngExt;
use sha2::{Digest, Sha256};

/// Letters and digits that nobody mistakes for one another.
const ALPHABET: &[u8] = b"abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";

/// A verifier with a new salt.
pub fn verifier(password: &str) -> String {
    postgres_protocol::password::scram_sha_256(password.as_bytes())
}

/// Whether `verifier` is one of `password`; an MD5 one never is, so that it gets replaced.
pub fn fits(password: &str, verifier: &str) -> bool {
    check(password, verifier).unwrap_or(false)
}

fn check(password: &str, verifier: &str) -> Option<bool> {
    let (iterations, rest) = verifier.strip_prefix("SCRAM-SHA-256$")?.split_once(':')?;
    let (salt, keys) = rest.split_once('$')?;
    let (stored_key, _) = keys.split_once(':')?;
    let salt = STANDARD.decode(salt).ok()?;
    let prepared = stringprep::saslprep(password).map_or_else(|_| password.to_owned(), |text| text.into_owned());
    let salted = pbkdf2_hmac_array::<Sha256, 32>(prepared.as_bytes(), &salt, iterations.parse().ok()?);
    let mut client_key = Hmac::<Sha256>::new_from_slice(&salted).ok()?;
    client_key.update(b"Client Key");
    let found = Sha256::digest(client_key.finalize().into_bytes());
    Some(STANDARD.decode(stored_key).ok()? == found.as_slice())
}

/// A password for one first login: 20 characters, 116 bits.
pub fn temporary() -> String {
    let mut random = rand::rng();
    (0..20).map(|_| char::from(ALPHABET[random.random_range(0..ALPHABET.len())])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verifier_fits_its_password_only() {
        let stored = verifier("pass wörd");
        assert!(fits("pass wörd", &stored));
        assert!(!fits("pass word", &stored));
        assert!(!fits("", &stored));
    }

    #[test]
    fn one_made_elsewhere_fits_too() {
        // RFC 7677's example user, as PostgreSQL would store it.
        let stored = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$\
                      WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";
        assert!(fits("pencil", stored));
        assert!(!fits("Pencil", stored));
    }

    #[test]
    fn what_is_no_scram_verifier_fits_nothing() {
        for stored in ["", "md5aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "SCRAM-SHA-256$x:y$z", "SCRAM-SHA-256$1:!$a:b"] {
            assert!(!fits("aaaa", stored), "{stored}");
        }
    }

    #[test]
    fn temporary_passwords_differ() {
        let (one, other) = (temporary(), temporary());
        assert_eq!(one.len(), 20);
        assert_ne!(one, other);
    }
}
