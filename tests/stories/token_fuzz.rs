//! Tokens made from good ones by random changes, before and after signing: `ROLECALL_FUZZ` says how many.

use crate::jwt::*;
use crate::mutate::{self, Stock};
use crate::support::*;
use jsonwebtoken::Algorithm;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Tries tokens and tells what became of each: the user's id, or the error.
const ATTEMPT: &str = "CREATE FUNCTION attempt(tokens text[]) RETURNS SETOF text LANGUAGE plpgsql AS $$
    DECLARE
        token text;
    BEGIN
        FOREACH token IN ARRAY tokens LOOP
            BEGIN
                PERFORM rolecall.authenticate(token);
                RETURN NEXT 'user ' || rolecall.user_id();
                PERFORM rolecall.logout();
            EXCEPTION WHEN OTHERS THEN
                RETURN NEXT SQLSTATE || ' ' || SQLERRM;
            END;
            IF rolecall.user_id() IS NOT NULL THEN
                RAISE 'somebody is logged in after %', token;
            END IF;
        END LOOP;
    END $$";

/// All that an error may say: nothing of the token.
const REFUSALS: [&str; 14] = [
    "28000 the logged-in user no longer exists",
    "28000 the login was revoked",
    "28000 the login has expired",
    "28000 the token is not valid: it demands an extension",
    "28000 the token is not valid: it is for another audience",
    "28000 the token is not valid: it is no JWT",
    "28000 the token is not valid: it is not yet valid",
    "28000 the token is not valid: it is too long",
    "28000 the token is not valid: it names no key",
    "28000 the token is not valid: it names no subject",
    "28000 the token is not valid: its algorithm is not its key's",
    "28000 the token is not valid: its claims are incomplete",
    "28000 the token is not valid: its key is unknown",
    "28000 the token is not valid: its signature is wrong",
];

/// Whether claims are good by RFC 7519 and by what rolecall says of its own tokens, for the only user with that `jti`.
fn good(claims: &Value, jti: &str, now: i64) -> bool {
    // Seconds, perhaps with a fraction, until the year 9999.
    let date = |name: &str| {
        let Some(claim) = claims.get(name) else { return Ok(None) };
        let seconds = claim.as_i64().or_else(|| claim.as_f64().filter(|n| n.fract() != 0.0).map(|n| n.floor() as i64));
        seconds.filter(|seconds| (0..=253_402_300_799).contains(seconds)).map(Some).ok_or(())
    };
    let (Ok(iat), Ok(nbf), Ok(exp)) = (date("iat"), date("nbf"), date("exp")) else { return false };
    let audience = match claims.get("aud") {
        None => true,
        Some(Value::String(one)) => one == "rolecall",
        Some(Value::Array(all)) => all.iter().all(Value::is_string) && all.contains(&json!("rolecall")),
        Some(_) => false,
    };
    let text = |name: &str| claims.get(name).is_none_or(|claim| claim.is_string() || claim.is_null());
    claims.is_object()
        && claims["sub"] == "u1"
        && claims["jti"] == jti
        && claims.get("iss").is_none_or(Value::is_null)
        && audience
        && text("email")
        && claims.get("email_verified").is_none_or(Value::is_boolean)
        && exp.is_some_and(|exp| exp > now)
        && iat.is_none_or(|iat| iat <= now + 30)
        && nbf.is_none_or(|nbf| nbf <= now + 30)
}

#[test]
fn no_changed_token_logs_in() {
    const BATCH: usize = 500;
    let inputs: usize = std::env::var("ROLECALL_FUZZ").map_or(5_000, |n| n.parse().expect("ROLECALL_FUZZ is a number"));
    let story = Notes::new();
    let mut admin = story.database.admin();
    let mut key = Key::new(Algorithm::HS256, "", b'1');
    key.kid = admin.query_one("SELECT rolecall.set_signing_key($1, $2)", &[&key.alg(), &key.pem()]).unwrap().get(0);
    run(&mut admin, "UPDATE rolecall.users SET sessions_revoked_at = NULL");
    run(&mut admin, ATTEMPT);
    let jti = format!("x.{}", one::<i64>(&mut admin, "SELECT session_generation FROM rolecall.users WHERE id = 'u1'"));
    // None of the dates is so near that it matters how long the story takes.
    let claims = json!({"sub": "u1", "iat": now() - 9, "nbf": now() - 9, "exp": now() + 86_400, "jti": jti,
        "aud": ["rolecall", "x"], "email": "alice@example.org", "email_verified": true, "iss": null});
    let token = key.sign(claims.to_string());
    let header = json!({"alg": "HS256", "typ": "JWT", "kid": key.kid});
    let (claims, headers) = (Stock::of(vec![claims]), Stock::of(vec![header.clone()]));
    let words: Vec<String> = token.split('.').map(str::to_owned).collect();

    let mut app = story.connect();
    let (mut entered, mut said) = ([0, 0], BTreeSet::new());
    for batch in 0..inputs.div_ceil(BATCH) {
        let random = &mut StdRng::seed_from_u64(batch as u64);
        // A token, and whether it is good; None: its header was changed, which may leave it good.
        let tokens: Vec<(String, Option<bool>)> = (0..BATCH)
            .map(|_| match random.random_range(0..5) {
                0 | 1 => {
                    let changed = mutate::text(&token, &words, random).replace('\0', "");
                    let same = changed == token;
                    (changed, Some(same))
                }
                2 => {
                    let changed = headers.json(random);
                    let sound = changed.get("alg") == header.get("alg") && changed.get("kid") == header.get("kid");
                    (
                        key.sign_under(&changed.to_string(), claims.json(random).to_string()),
                        if sound { None } else { Some(false) },
                    )
                }
                _ => {
                    let changed = claims.json(random);
                    (key.sign(changed.to_string()), Some(good(&changed, &jti, now())))
                }
            })
            .collect();
        let texts: Vec<&str> = tokens.iter().map(|(token, _)| token.as_str()).collect();
        let outcomes = app.query("SELECT attempt($1)", &[&texts]).expect("every error is caught");
        assert_eq!(outcomes.len(), tokens.len());
        for ((token, good), row) in tokens.iter().zip(outcomes) {
            let outcome: String = row.get(0);
            let entry = outcome == "user u1";
            assert!(good.is_none_or(|good| good == entry), "batch {batch}: {token}: {outcome}");
            entered[usize::from(entry)] += 1;
            if !entry {
                said.insert(outcome);
            }
        }
    }
    let unknown: Vec<_> = said.iter().filter(|said| !REFUSALS.contains(&said.as_str())).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    assert!(said.len() > 8 && entered[1] > inputs / 100, "{entered:?} {said:?}");
}
