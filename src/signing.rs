//! The keys behind tokens: ours, which sign, and other issuers'.

use crate::administrators::require_administrator;
use crate::backend::{jsonb, statement};
use crate::error::{Error, Reported, required};
use crate::query;
use crate::tokens::{AUDIENCE, algorithm};
use crate::users::bad;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk};
use jsonwebtoken::{Algorithm, EncodingKey};
use p256::pkcs8::EncodePrivateKey;
use pgrx::prelude::*;
use rsa::pkcs1::{DecodeRsaPrivateKey, EncodeRsaPrivateKey};
use rsa::pkcs8::{EncodePublicKey, LineEnding};
use serde_json::{Value, json};

/// The length of a secret: as long as the hash, as RFC 7518, section 3.2 demands.
const SECRET_LENGTH: usize = 32;
/// As RFC 7518, section 3.3 demands.
const RSA_BITS: usize = 2048;
/// Of a coordinate of P-256, in bytes.
const COORDINATE_LENGTH: usize = 32;
/// Precedes a point written with both coordinates (SEC 1, section 2.3.3).
const UNCOMPRESSED: u8 = 4;
/// An Ed25519 key in PKCS #8 (RFC 8410, section 7) is this and its 32 bytes.
const ED25519_PREFIX: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

const ALGORITHMS: [(&str, Algorithm); 4] = [
    ("HS256", Algorithm::HS256),
    ("RS256", Algorithm::RS256),
    ("ES256", Algorithm::ES256),
    ("EdDSA", Algorithm::EdDSA),
];

/// Makes or takes a key that signs from now on.
#[pg_extern(sql = false)]
fn set_signing_key(alg: Option<&str>, key: Option<&str>) -> Reported<String> {
    statement::hide(c"rolecall.set_signing_key(...)");
    require_administrator("set_signing_key()")?;
    let alg = required(alg, "alg")?;
    let (_, algorithm) = ALGORITHMS
        .iter()
        .find(|(name, _)| *name == alg)
        .ok_or_else(|| bad("alg", alg, "is none of HS256, RS256, ES256, EdDSA"))?;
    let key = match key {
        Some(key) => read(*algorithm, key)?,
        None => make(*algorithm)?,
    };
    // Two administrators at once: the later one's key signs.
    Spi::run("LOCK TABLE rolecall.signing_keys IN SHARE ROW EXCLUSIVE MODE").map_err(Error::from)?;
    Spi::run("UPDATE rolecall.signing_keys SET active = false WHERE active").map_err(Error::from)?;
    Ok(store(alg, *algorithm, &key, true)?)
}

/// The public key that verifies tokens for other servers.
#[pg_extern(sql = false)]
fn server_key() -> Reported<String> {
    let failure = |e: &dyn std::fmt::Display| Error::Signing(e.to_string());
    let key = rsa_key()?;
    let private = rsa::RsaPrivateKey::from_pkcs1_der(key.secret.as_bytes()).map_err(|e| failure(&e))?;
    Ok(private.to_public_key().to_public_key_pem(LineEnding::LF).map_err(|e| failure(&e))?)
}

/// Accepts tokens of another issuer. Replacing a key ends the logins with the former one.
#[pg_extern(sql = false)]
fn add_verification_key(issuer: Option<&str>, jwk: Option<pgrx::AnyElement>, audience: Option<&str>) -> Reported<()> {
    statement::hide(c"rolecall.add_verification_key(...)");
    require_administrator("add_verification_key()")?;
    let issuer = required(issuer, "issuer")?;
    if issuer.is_empty() {
        return Err(bad("issuer", issuer, "must not be empty").into());
    }
    let jwk = verifying(jsonb::value(required(jwk, "jwk")?, "jwk")?).map_err(|problem| bad("jwk", "(key)", problem))?;
    let kid = jwk.common.key_id.clone().unwrap_or_default();
    // Written anew, so that private parts given by mistake are not kept.
    let jwk = serde_json::to_value(&jwk).map_err(|e| Error::Signing(e.to_string()))?;
    Ok(Spi::run_with_args(
        "INSERT INTO rolecall.verification_keys (issuer, kid, jwk, audience) VALUES ($1, $2, $3, $4)
         ON CONFLICT (issuer, kid) DO UPDATE SET jwk = excluded.jwk, audience = excluded.audience,
                version = CASE WHEN verification_keys.jwk = excluded.jwk THEN verification_keys.version
                               ELSE excluded.version END",
        &[issuer.into(), kid.into(), pgrx::JsonB(jwk).into(), audience.unwrap_or(AUDIENCE).into()],
    )
    .map_err(Error::from)?)
}

/// Forgets a key.
#[pg_extern(sql = false)]
fn drop_key(kid: Option<&str>, issuer: Option<&str>) -> Reported<()> {
    require_administrator("drop_key()")?;
    let kid = required(kid, "kid")?;
    let dropped = Spi::connect_mut(|client| match issuer {
        None => client
            .update("DELETE FROM rolecall.signing_keys WHERE kid = $1", None, &[kid.into()])
            .map(|rows| rows.len()),
        Some(issuer) => client
            .update(
                "DELETE FROM rolecall.verification_keys WHERE kid = $1 AND issuer = $2",
                None,
                &[kid.into(), issuer.into()],
            )
            .map(|rows| rows.len()),
    })
    .map_err(Error::from)?;
    if dropped == 0 {
        return Err(Error::Missing { kind: "key", name: kid.into() }.into());
    }
    Ok(())
}

/// The public keys that verify our tokens.
#[pg_extern(sql = false)]
fn jwks() -> Reported<pgrx::JsonB> {
    let keys = query::one::<pgrx::JsonB>(
        "SELECT pg_catalog.jsonb_agg(jwk ORDER BY created_at DESC) FROM rolecall.signing_keys WHERE algorithm <> 'HS256'",
        &[],
    )?;
    Ok(pgrx::JsonB(json!({"keys": keys.map_or(json!([]), |keys| keys.0)})))
}

/// The key that signs.
pub struct ActiveKey {
    pub kid: String,
    pub algorithm: Algorithm,
    pub secret: EncodingKey,
}

/// The key that signs; made when there is none.
pub fn active_key() -> Result<ActiveKey, Error> {
    if let Some(key) = read_active_key()? {
        return Ok(key);
    }
    // Of two sessions that find no key, one makes it and the other waits for it.
    store("HS256", Algorithm::HS256, &make(Algorithm::HS256)?, true)?;
    read_active_key()?.ok_or_else(|| Error::Signing("no signing key is active".into()))
}

/// The newest key for RS256, which is what other servers verify; made when there is none, for nothing else.
pub fn rsa_key() -> Result<ActiveKey, Error> {
    let read = || {
        read_key(
            "SELECT kid, algorithm, secret FROM rolecall.signing_keys WHERE algorithm = 'RS256'
              ORDER BY active DESC, created_at DESC",
        )
    };
    if let Some(key) = read()? {
        return Ok(key);
    }
    Spi::run("LOCK TABLE rolecall.signing_keys IN SHARE ROW EXCLUSIVE MODE")?;
    if let Some(key) = read()? {
        return Ok(key);
    }
    store("RS256", Algorithm::RS256, &make(Algorithm::RS256)?, false)?;
    read()?.ok_or_else(|| Error::Signing("the new key cannot be read".into()))
}

fn read_active_key() -> Result<Option<ActiveKey>, Error> {
    read_key("SELECT kid, algorithm, secret FROM rolecall.signing_keys WHERE active")
}

fn read_key(query: &str) -> Result<Option<ActiveKey>, Error> {
    let found = Spi::connect(|client| {
        let rows = client.select(query, Some(1), &[])?;
        if rows.is_empty() { Ok((None, None, None)) } else { rows.first().get_three::<String, String, Vec<u8>>() }
    })?;
    let (Some(kid), Some(name), Some(secret)) = found else { return Ok(None) };
    let algorithm = ALGORITHMS.iter().find(|(known, _)| *known == name).map(|(_, algorithm)| *algorithm);
    Ok(algorithm.map(|algorithm| ActiveKey { kid, algorithm, secret: encoding(algorithm, &secret) }))
}

/// Stores a key, as the one that signs logins unless there is one; returns its id.
fn store(name: &str, algorithm: Algorithm, key: &EncodingKey, active: bool) -> Result<String, Error> {
    let kid = uuid::Uuid::now_v7().to_string();
    let failure = |e: jsonwebtoken::errors::Error| Error::Signing(e.to_string());
    let mut jwk = Jwk::from_encoding_key(key, algorithm).map_err(failure)?;
    jwk.common.key_id = Some(kid.clone());
    let jwk = serde_json::to_value(&jwk).map_err(|e| Error::Signing(e.to_string()))?;
    Spi::run_with_args(
        "INSERT INTO rolecall.signing_keys (kid, algorithm, secret, jwk, active) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT DO NOTHING",
        &[kid.as_str().into(), name.into(), key.as_bytes().to_vec().into(), pgrx::JsonB(jwk).into(), active.into()],
    )?;
    Ok(kid)
}

fn encoding(algorithm: Algorithm, secret: &[u8]) -> EncodingKey {
    match algorithm {
        Algorithm::RS256 => EncodingKey::from_rsa_der(secret),
        Algorithm::ES256 => EncodingKey::from_ec_der(secret),
        Algorithm::EdDSA => EncodingKey::from_ed_der(secret),
        _ => EncodingKey::from_secret(secret),
    }
}

fn make(algorithm: Algorithm) -> Result<EncodingKey, Error> {
    let failure = |e: &dyn std::fmt::Display| Error::Signing(e.to_string());
    let mut random = [0_u8; SECRET_LENGTH];
    getrandom::fill(&mut random).map_err(|e| failure(&e))?;
    let secret = match algorithm {
        Algorithm::RS256 => rsa::RsaPrivateKey::new(&mut rsa::rand_core::OsRng, RSA_BITS)
            .map_err(|e| failure(&e))?
            .to_pkcs1_der()
            .map_err(|e| failure(&e))?
            .as_bytes()
            .to_vec(),
        Algorithm::ES256 => p256::SecretKey::from_slice(&random)
            .map_err(|e| failure(&e))?
            .to_pkcs8_der()
            .map_err(|e| failure(&e))?
            .as_bytes()
            .to_vec(),
        Algorithm::EdDSA => [ED25519_PREFIX.as_slice(), &random].concat(),
        _ => random.to_vec(),
    };
    Ok(encoding(algorithm, &secret))
}

/// A key as people have it: PEM, or the bytes of a secret.
fn read(algorithm: Algorithm, key: &str) -> Result<EncodingKey, Error> {
    let (result, problem) = match algorithm {
        Algorithm::RS256 => (EncodingKey::from_rsa_pem(key.as_bytes()), "is no RSA private key in PEM"),
        Algorithm::ES256 => (EncodingKey::from_ec_pem(key.as_bytes()), "is no P-256 private key in PEM (PKCS #8)"),
        Algorithm::EdDSA => (EncodingKey::from_ed_pem(key.as_bytes()), "is no Ed25519 private key in PEM (PKCS #8)"),
        _ if key.len() < SECRET_LENGTH => return Err(bad("key", "(secret)", "must have at least 32 bytes")),
        _ => return Ok(EncodingKey::from_secret(key.as_bytes())),
    };
    let unusable = |_| bad("key", "(secret)", problem);
    let key = result.map_err(unusable)?;
    // Signing tells whether it is what it says.
    jsonwebtoken::crypto::sign(b"", &key, algorithm).map_err(unusable)?;
    verifying(serde_json::to_value(Jwk::from_encoding_key(&key, algorithm).map_err(unusable)?).unwrap_or(Value::Null))
        .map_err(|problem| bad("key", "(secret)", problem))?;
    Ok(key)
}

/// Reads a key that verifies.
fn verifying(jwk: Value) -> Result<Jwk, &'static str> {
    let mut jwk: Jwk = serde_json::from_value(jwk).map_err(|_| "is no JSON Web Key (RFC 7517)")?;
    algorithm(&jwk).ok_or("is of no algorithm among HS256, RS256, ES256, EdDSA")?;
    let bytes = |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|_| "has a field that is no base64url");
    match &mut jwk.algorithm {
        AlgorithmParameters::OctetKey(key) if bytes(&key.value)?.len() < SECRET_LENGTH => {
            Err("must have at least 32 bytes")
        }
        AlgorithmParameters::RSA(key) if bytes(&key.n)?.len() * 8 < RSA_BITS => Err("must have at least 2048 bits"),
        AlgorithmParameters::EllipticCurve(key) => {
            let mut point = vec![UNCOMPRESSED];
            for coordinate in [&mut key.x, &mut key.y] {
                let short = bytes(coordinate)?;
                let missing = COORDINATE_LENGTH.checked_sub(short.len()).ok_or("has coordinates of a wrong length")?;
                // RFC 7518, 6.2.1.2, wants the full length; PyJWT 2.6 leaves zeros in front out.
                let whole = [vec![0; missing], short].concat();
                *coordinate = URL_SAFE_NO_PAD.encode(&whole);
                point.extend(whole);
            }
            p256::PublicKey::from_sec1_bytes(&point).map(|_| jwk).map_err(|_| "is no point of P-256")
        }
        AlgorithmParameters::OctetKeyPair(key) if bytes(&key.x)?.len() != 32 => Err("has a wrong length"),
        _ => Ok(jwk),
    }
}
