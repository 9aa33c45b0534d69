//! Keys and tokens made outside rolecall, good ones and malformed ones.

use crate::support::*;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use postgres::Client;
use serde_json::{Value, json};
use std::sync::OnceLock;
use std::time::SystemTime;

/// The algorithms that rolecall knows.
pub const ALGORITHMS: [Algorithm; 4] = [Algorithm::HS256, Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA];

/// What precedes the 32 bytes of a private key in PKCS #8 (RFC 5958): of Ed25519, and of P-256 without the public key.
const ED25519: &str = "302e020100300506032b657004220420";
const P256: &str = "3041020100301306072a8648ce3d020106082a8648ce3d030107042730250201010420";

/// A key that signs, known to the story.
#[derive(Clone)]
pub struct Key {
    pub kid: String,
    pub algorithm: Algorithm,
    secret: EncodingKey,
}

impl Key {
    /// The key called `kid` made of the byte `seed`. There is only one RSA key: making one takes long.
    pub fn new(algorithm: Algorithm, kid: &str, seed: u8) -> Self {
        let with_prefix = |prefix| [bytes(prefix), vec![seed; 32]].concat();
        let secret = match algorithm {
            Algorithm::HS256 => EncodingKey::from_secret(&[seed; 32]),
            Algorithm::RS256 => EncodingKey::from_rsa_der(rsa_key()),
            Algorithm::ES256 => EncodingKey::from_ec_der(&with_prefix(P256)),
            Algorithm::EdDSA => EncodingKey::from_ed_der(&with_prefix(ED25519)),
            other => panic!("no key for {other:?}"),
        };
        Self { kid: kid.into(), algorithm, secret }
    }

    /// The same key under another name.
    pub fn called(&self, kid: &str) -> Self {
        Self { kid: kid.into(), ..self.clone() }
    }

    /// The algorithm as headers spell it.
    pub fn alg(&self) -> String {
        format!("{:?}", self.algorithm)
    }

    /// The public key, or the secret itself.
    pub fn jwk(&self) -> Value {
        let mut jwk = Jwk::from_encoding_key(&self.secret, self.algorithm).expect("the key is good");
        jwk.common.key_id = Some(self.kid.clone());
        serde_json::to_value(jwk).expect("JSON")
    }

    /// The private key as `set_signing_key()` takes it.
    pub fn pem(&self) -> String {
        match self.algorithm {
            Algorithm::HS256 => String::from_utf8(self.secret.as_bytes().to_vec()).expect("a seed of ASCII"),
            Algorithm::RS256 => pem("RSA PRIVATE KEY", self.secret.as_bytes()),
            _ => pem("PRIVATE KEY", self.secret.as_bytes()),
        }
    }

    /// A token with this payload.
    pub fn sign(&self, payload: impl AsRef<[u8]>) -> String {
        self.sign_under(&json!({"alg": self.alg(), "typ": "JWT", "kid": self.kid}).to_string(), payload)
    }

    /// A token with this header, whatever it says.
    pub fn sign_under(&self, header: &str, payload: impl AsRef<[u8]>) -> String {
        let message = format!("{}.{}", encode(header), encode(payload));
        let signature = crypto::sign(message.as_bytes(), &self.secret, self.algorithm).expect("the key signs");
        format!("{message}.{signature}")
    }
}

/// Accepts what `jwk` signs for `issuer`.
pub fn add_verification_key(admin: &mut Client, issuer: &str, jwk: &Value) -> Result<(), postgres::Error> {
    let sql = "SELECT rolecall.add_verification_key($1, $2::text::jsonb)";
    admin.execute(sql, &[&issuer, &jwk.to_string()]).map(drop)
}

/// Any bytes as a secret of HS256.
pub fn secret(kid: &str, bytes: &[u8]) -> Key {
    Key { kid: kid.into(), algorithm: Algorithm::HS256, secret: EncodingKey::from_secret(bytes) }
}

/// A private key of RSA in PKCS #1, which rolecall makes in a database that is used for nothing else.
fn rsa_key() -> &'static [u8] {
    static KEY: OnceLock<Vec<u8>> = OnceLock::new();
    KEY.get_or_init(|| {
        let mut admin = database().admin();
        run(&mut admin, "SELECT rolecall.set_signing_key('RS256')");
        one(&mut admin, "SELECT secret FROM rolecall.signing_keys")
    })
}

pub fn encode(part: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(part)
}

pub fn decode(part: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(part).expect("base64url")
}

pub fn pem(label: &str, der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    let lines: Vec<_> = body.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).expect("ASCII")).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// Bytes written in hexadecimal.
pub fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal")).collect()
}

/// Seconds since the epoch.
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a clock");
    i64::try_from(since.as_secs()).expect("a time")
}

/// `claims` with others added, changed or, where they are null, removed.
pub fn with(claims: &Value, changes: Value) -> Value {
    let mut claims = claims.clone();
    for (name, value) in changes.as_object().expect("an object") {
        if value.is_null() {
            claims.as_object_mut().expect("an object").remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    claims
}
