//! Tokens go to and fro between rolecall and PyJWT, which shares no code with it.

use crate::jwt::add_verification_key;
use crate::support::*;
use rolecall_tests::sqlstate;
use serde_json::Value;
use std::process::Command;

/// Runs `pyjwt.py` with Debian's Python, which is the one that has Debian's PyJWT.
pub fn python(arguments: &[&str]) -> Result<Value, String> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/stories/pyjwt.py");
    let output = Command::new("/usr/bin/python3").arg(script).args(arguments).output().expect("Python starts");
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    Ok(serde_json::from_slice(&output.stdout).expect("JSON"))
}

#[test]
fn rolecall_accepts_what_pyjwt_signs() {
    let story = Notes::new();
    let (mut admin, mut app) = (story.database.admin(), story.connect());
    run(&mut admin, "SELECT rolecall.create_user('service', kind => 'robot', roles => '{editor}', id => 'u3')");
    for alg in ["HS256", "RS256", "ES256", "EdDSA"] {
        let issuer = format!("https://{alg}.example");
        let made = python(&["make", alg, &issuer, "u3"]).unwrap();
        let token = made["token"].as_str().unwrap();
        let (state, message) = sqlstate(app.execute("SELECT rolecall.authenticate($1, true)", &[&token]));
        assert_eq!((state.as_str(), message.contains("its key is unknown")), ("28000", true), "{alg}: {message}");
        add_verification_key(&mut admin, &issuer, &made["jwk"]).unwrap();
        authenticate(&mut app, token, true);
        assert_eq!(notes(&mut app), ALL, "{alg}");
        run(&mut app, "SELECT rolecall.logout()");

        let others = python(&["make", alg, &issuer, "u3"]).unwrap();
        let (state, message) =
            sqlstate(app.execute("SELECT rolecall.authenticate($1)", &[&others["token"].as_str().unwrap()]));
        assert_eq!((state.as_str(), message.contains("its signature is wrong")), ("28000", true), "{alg}: {message}");
    }
}

#[test]
fn a_coordinate_without_its_zeros_in_front_is_the_same() {
    let story = Notes::new();
    let (mut admin, mut app) = (story.database.admin(), story.connect());
    run(&mut admin, "SELECT rolecall.create_user('service', kind => 'robot', roles => '{editor}', id => 'u3')");
    let made = python(&["short", "https://short.example", "u3"]).unwrap();
    add_verification_key(&mut admin, "https://short.example", &made["jwk"]).unwrap();
    authenticate(&mut app, made["token"].as_str().unwrap(), true);
    assert_eq!(notes(&mut app), ALL);

    // One that is too long is not the same.
    let mut wrong = made["jwk"].clone();
    wrong["x"] = "A".repeat(44).into();
    let (state, message) = sqlstate(add_verification_key(&mut admin, "https://long.example", &wrong));
    assert_eq!((state.as_str(), message.contains("coordinates of a wrong length")), ("22023", true), "{message}");
}

#[test]
fn pyjwt_accepts_what_rolecall_signs() {
    let story = Notes::new();
    let (mut admin, mut app) = (story.database.admin(), story.connect());
    for alg in ["RS256", "ES256", "EdDSA"] {
        admin.execute("SELECT rolecall.set_signing_key($1)", &[&alg]).unwrap();
        let token = token(&mut app, "alice", "wonderland 1865");
        let jwks: String = one(&mut app, "SELECT rolecall.jwks()::text");
        let claims = python(&["verify", &token, &jwks]).unwrap();
        assert_eq!(claims["sub"], "u1", "{alg}");
        assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 3600, "{alg}");

        // With the key of another database it does not.
        let kid: String = one(&mut admin, "SELECT kid FROM rolecall.signing_keys WHERE active");
        let other = database();
        other.admin().execute("SELECT rolecall.set_signing_key($1)", &[&alg]).unwrap();
        let jwks: String = one(&mut other.admin(), "SELECT rolecall.jwks()::text");
        let mut jwks: Value = serde_json::from_str(&jwks).unwrap();
        jwks["keys"][0]["kid"] = kid.into();
        let refusal = python(&["verify", &token, &jwks.to_string()]).unwrap_err();
        assert!(refusal.contains("InvalidSignatureError"), "{alg}: {refusal}");
    }
}

#[test]
fn an_rsa_key_of_1024_bits_is_too_short_to_sign() {
    let mut admin = database().admin();
    let weak = python(&["weak"]).unwrap();
    let (state, message) =
        sqlstate(admin.execute("SELECT rolecall.set_signing_key('RS256', $1)", &[&weak.as_str().unwrap()]));
    assert_eq!(state, "22023", "{message}");
    assert!(message.contains("2048 bits"), "{message}");
    assert_eq!(one::<i64>(&mut admin, "SELECT count(*) FROM rolecall.signing_keys"), 0);
}
