//! Passwords as the server stores them: SCRAM-SHA-256 verifiers, computed here so that no clear text is ever sent.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
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
    let salted = salted_password(prepared.as_bytes(), &salt, iterations.parse().ok()?);
    let client_key = hmac(&salted, &[b"Client Key"]);
    let found = Sha256::digest(client_key);
    Some(STANDARD.decode(stored_key).ok()? == found.as_slice())
}

/// PBKDF2 with one block, as RFC 5802 has it.
fn salted_password(password: &[u8], salt: &[u8], iterations: u32) -> [u8; 32] {
    let mut last = hmac(password, &[salt, &1u32.to_be_bytes()]);
    let mut sum = last;
    for _ in 1..iterations {
        last = hmac(password, &[&last]);
        sum.iter_mut().zip(last).for_each(|(sum, byte)| *sum ^= byte);
    }
    sum
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
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
