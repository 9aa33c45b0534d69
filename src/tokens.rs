//! Signed tokens: issuing our own, verifying those and other issuers'.

use crate::backend::keys::{self, Key};
use crate::backend::owner;
use crate::backend::session::{self, unix_time};
use crate::error::{Error, Refusal};
use crate::{issuers, signing};
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm};
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation, errors::ErrorKind};
use policy::claims::{Claims, Issued, Refusal as ClaimRefusal};
use policy::identity::{Identity, Proof};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::cell::RefCell;
use std::collections::HashMap;

/// A longer token is refused unread. Ours have some 300 bytes, those of large login services a few thousand.
const MAX_LENGTH: usize = 16_384;
/// A key id or issuer's name that is longer belongs to no key.
const MAX_NAME: usize = 1024;
/// What a token's `aud` must name where it has one, unless the issuer's key says otherwise.
pub const AUDIENCE: &str = "rolecall";

/// A JWT for the user, signed with the active key, which is made when there is none.
pub fn issue(user: &str, generation: i64, lifetime: i64) -> Result<String, Error> {
    let key = signing::active_key()?;
    let now = unix_time();
    let claims = Issued {
        sub: user.to_owned(),
        iat: now,
        exp: now.saturating_add(lifetime),
        jti: Issued::token_id(&uuid::Uuid::now_v7().to_string(), generation),
    };
    let mut header = Header::new(key.algorithm);
    header.kid = Some(key.kid);
    jsonwebtoken::encode(&header, &claims, &key.secret).map_err(|e| Error::Signing(e.to_string()))
}

thread_local! {
    /// Identities of tokens whose signatures were verified, by the tokens' hashes, and how many changes had been seen by
    /// then: a key or a user that changes makes all be verified again. Expiry and revocation are the session's to check,
    /// each time.
    static VERIFIED: RefCell<(u64, HashMap<[u8; 32], Identity>)> = RefCell::default();
}
/// How many identities of tokens are kept.
const KEPT: usize = 256;

/// The identity that a token proves. Nothing of the token shows in an error.
pub fn verify(token: &str) -> Result<Identity, Error> {
    if token.len() > MAX_LENGTH {
        return Err(Error::InvalidToken("it is too long"));
    }
    let hash: [u8; 32] = Sha256::digest(token).into();
    let changes = session::changes();
    let known = VERIFIED.with_borrow(|(then, known)| known.get(&hash).filter(|_| *then == changes).cloned());
    if let Some(identity) = known {
        return Ok(identity);
    }
    let identity = verify_anew(token)?;
    if session::changes() == changes {
        VERIFIED.with_borrow_mut(|(then, known)| {
            if *then != changes || known.len() >= KEPT {
                known.clear();
            }
            *then = changes;
            known.insert(hash, identity.clone());
        });
    }
    Ok(identity)
}

fn verify_anew(token: &str) -> Result<Identity, Error> {
    let header = jsonwebtoken::decode_header(token).map_err(|_| Error::InvalidToken("it is no JWT"))?;
    if header.crit.is_some() {
        return Err(Error::InvalidToken("it demands an extension"));
    }
    let kid = header.kid.as_deref();
    // Not the same as none: an issuer's token that names no key may be of any of them.
    if kid.is_some_and(|kid| kid.len() > MAX_NAME) {
        return Err(UNKNOWN_KEY);
    }
    if let Some(issuer) = issuer(token)? {
        let keys = keys::of_issuer(&issuer, kid)?;
        let (key, claims) = first_that_fits(token, &keys)?;
        let exp = claims.exp.ok_or(INCOMPLETE)?;
        let subject = owner::act(|| issuers::user_of(&issuer, &claims))?;
        let proof = Proof::Issuer { issuer, key: key.id.clone(), issued_at: claims.iat.unwrap_or(0) };
        return Ok(Identity { subject, proof, expires_at: exp });
    }
    let kid = kid.ok_or(Error::InvalidToken("it names no key"))?;
    let key = keys::own(kid)?.ok_or(UNKNOWN_KEY)?;
    let claims = verify_with(&key, token)?;
    let token = claims.jti.ok_or(INCOMPLETE)?;
    let generation = Issued::generation(&token).ok_or(INCOMPLETE)?;
    let proof = Proof::Login { token, key: key.id, generation };
    Ok(Identity { subject: claims.sub, proof, expires_at: claims.exp.ok_or(INCOMPLETE)? })
}

const INCOMPLETE: Error = Error::InvalidToken("its claims are incomplete");

/// Who a token says has issued it, not yet believed.
fn issuer(token: &str) -> Result<Option<String>, Error> {
    #[derive(Deserialize)]
    struct Issuer {
        iss: Option<String>,
    }
    let claims: Issuer =
        jsonwebtoken::dangerous::insecure_decode_claims(token).map_err(|_| Error::InvalidToken("it is no JWT"))?;
    match claims.iss {
        Some(issuer) if issuer.len() > MAX_NAME || issuer.contains('\0') => Err(UNKNOWN_KEY),
        issuer => Ok(issuer),
    }
}

const UNKNOWN_KEY: Error = Error::InvalidToken("its key is unknown");

/// The first key that has signed the token, and what it says; else why the last one has not.
fn first_that_fits<'a>(token: &str, keys: &'a [Key]) -> Result<(&'a Key, Claims), Error> {
    let mut failure = UNKNOWN_KEY;
    for key in keys {
        match verify_with(key, token) {
            Ok(claims) => return Ok((key, claims)),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

fn verify_with(key: &Key, token: &str) -> Result<Claims, Error> {
    // The algorithm is the key's, never the token's choice. The claims are checked below.
    let mut validation = Validation::new(algorithm(&key.jwk).ok_or(UNKNOWN_KEY)?);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_aud = false;
    let decoding = DecodingKey::from_jwk(&key.jwk).map_err(|_| UNKNOWN_KEY)?;
    let claims = jsonwebtoken::decode::<Claims>(token, &decoding, &validation)
        .map_err(|error| match error.kind() {
            ErrorKind::InvalidSignature => Error::InvalidToken("its signature is wrong"),
            ErrorKind::InvalidAlgorithm => Error::InvalidToken("its algorithm is not its key's"),
            ErrorKind::Json(_) | ErrorKind::Utf8(_) => INCOMPLETE,
            _ => Error::InvalidToken("it is no JWT"),
        })?
        .claims;
    claims.check(unix_time(), &key.audience).map_err(|refusal| match refusal {
        ClaimRefusal::Expired => Error::from(Refusal::Expired),
        ClaimRefusal::Invalid(problem) => Error::InvalidToken(problem),
    })?;
    Ok(claims)
}

/// The one algorithm a key is used with; None for a key of another kind or of contradicting fields.
pub fn algorithm(jwk: &Jwk) -> Option<Algorithm> {
    let algorithm = match &jwk.algorithm {
        AlgorithmParameters::OctetKey(_) => Algorithm::HS256,
        AlgorithmParameters::RSA(_) => Algorithm::RS256,
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => Algorithm::ES256,
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => Algorithm::EdDSA,
        _ => return None,
    };
    let same = jwk.common.key_algorithm.is_none_or(|said| said == KeyAlgorithm::from(algorithm));
    same.then_some(algorithm)
}
