//! rolecall's own tokens: the keys that sign them, and what becomes of tokens when keys change.

use crate::jwt::*;
use crate::support::*;
use jsonwebtoken::Algorithm;
use rolecall_tests::sqlstate;
use serde_json::{Value, json};

/// What the token's header says.
fn header(token: &str) -> Value {
    serde_json::from_slice(&decode(token.split('.').next().expect("a header"))).expect("JSON")
}

fn login(client: &mut postgres::Client) -> String {
    token(client, "alice", "wonderland 1865")
}

fn jwks(client: &mut postgres::Client) -> Vec<Value> {
    let keys: String = one(client, "SELECT rolecall.jwks()::text");
    serde_json::from_str::<Value>(&keys).expect("JSON")["keys"].as_array().expect("a list").clone()
}

/// Trap 33.
#[test]
fn every_algorithm_signs_and_former_keys_still_verify() {
    let story = Notes::new();
    let (mut admin, mut app) = (story.database.admin(), story.connect());
    let mut tokens = vec![story.alice.clone()];
    assert_eq!(header(&tokens[0])["alg"], "HS256", "what signs when nobody has chosen");
    for algorithm in ["RS256", "ES256", "EdDSA", "HS256", "EdDSA"] {
        let kid: String = admin.query_one("SELECT rolecall.set_signing_key($1)", &[&algorithm]).unwrap().get(0);
        let token = login(&mut app);
        assert_eq!((&header(&token)["alg"], &header(&token)["kid"]), (&algorithm.into(), &kid.into()));
        tokens.push(token);
        assert_eq!(one::<i64>(&mut admin, "SELECT count(*) FROM rolecall.signing_keys WHERE active"), 1);
    }
    // The first one was issued for a temporary password, and stays because it changed that.
    for token in &tokens {
        authenticate(&mut app, token, true);
        assert_eq!(notes(&mut app), ALL);
    }
}

#[test]
fn dropping_a_key_ends_what_it_has_signed() {
    let story = Notes::new();
    let (mut admin, mut app, mut bob) = (story.database.admin(), story.connect(), story.connect());
    let kid: String = one(&mut admin, "SELECT rolecall.set_signing_key('ES256')");
    let token = login(&mut app);
    authenticate(&mut app, &token, true);
    authenticate(&mut bob, &story.bob, true);
    let count = app.prepare("SELECT count(*) FROM notes").unwrap();
    assert_eq!(app.query_one(&count, &[]).unwrap().get::<_, i64>(0), ALL);
    run(&mut app, "BEGIN; DECLARE rows CURSOR FOR SELECT * FROM notes; FETCH 1 FROM rows");
    admin.execute("SELECT rolecall.drop_key($1)", &[&kid]).unwrap();
    let revoked = ("28000".to_owned(), "the login was revoked".to_owned());
    assert_eq!(sqlstate(app.batch_execute("FETCH 1 FROM rows")), revoked);
    run(&mut app, "ROLLBACK");
    assert_eq!(sqlstate(app.query_one(&count, &[])), revoked);
    assert_eq!(sqlstate(app.batch_execute("SELECT rolecall.user_id()")), revoked);
    assert_eq!(notes(&mut bob), BOBS, "another key's token goes on");
    run(&mut app, "SELECT rolecall.logout()");
    let (state, message) = sqlstate(app.execute("SELECT rolecall.authenticate($1)", &[&token]));
    assert_eq!((state.as_str(), message.as_str()), ("28000", "the token is not valid: its key is unknown"));

    assert_eq!(sqlstate(admin.execute("SELECT rolecall.drop_key($1)", &[&kid])).0, "42704");
    let token = login(&mut app);
    assert_ne!(header(&token)["kid"], kid.as_str(), "a new key is made when there is none");
    authenticate(&mut app, &token, true);
    assert_eq!(notes(&mut app), ALL);
}

#[test]
fn a_key_that_is_given_is_used() {
    let story = Notes::new();
    let (mut admin, mut app) = (story.database.admin(), story.connect());
    for algorithm in ALGORITHMS {
        let mut key = Key::new(algorithm, "", b'k');
        let sql = "SELECT rolecall.set_signing_key($1, $2)";
        key.kid = admin.query_one(sql, &[&key.alg(), &key.pem()]).unwrap().get(0);
        let token = login(&mut app);
        authenticate(&mut app, &token, true);
        let parts: Vec<_> = token.split('.').map(decode).collect();
        // The same text signed with the same key: ES256, too, leaves nothing to chance (RFC 6979).
        assert_eq!(token, key.sign_under(std::str::from_utf8(&parts[0]).unwrap(), &parts[1]), "{algorithm:?}");
        let public = jwks(&mut admin).into_iter().find(|jwk| jwk["kid"] == key.kid.as_str());
        assert_eq!(public, (algorithm != Algorithm::HS256).then(|| key.jwk()), "{algorithm:?}");
    }
}

#[test]
fn a_wrong_key_is_refused() {
    let story = Notes::new();
    let mut admin = story.database.admin();
    let key = |algorithm| Key::new(algorithm, "", b'k').pem();
    let (rsa, p256, ed25519) = (key(Algorithm::RS256), key(Algorithm::ES256), key(Algorithm::EdDSA));
    let garbage = |label| pem(label, b"garbage");
    for (algorithm, keys) in [
        ("HS256", vec!["", "31 bytes are not enough for it.", "é"]),
        ("RS256", vec!["", "secret", &p256, &ed25519, &garbage("RSA PRIVATE KEY"), &rsa[..rsa.len() / 2]]),
        ("ES256", vec!["", "secret", &rsa, &ed25519, &garbage("PRIVATE KEY"), &garbage("EC PRIVATE KEY")]),
        ("EdDSA", vec!["", "secret", &rsa, &p256, &garbage("PRIVATE KEY"), &ed25519.replace("PRIVATE", "PUBLIC")]),
        ("RS512", vec![&rsa]),
        ("none", vec![""]),
        ("hs256", vec!["a secret of more than 32 characters"]),
    ] {
        for key in keys {
            let result = admin.execute("SELECT rolecall.set_signing_key($1, $2)", &[&algorithm, &key]);
            let (state, message) = sqlstate(result);
            assert_eq!(state, "22023", "{algorithm} {key}: {message}");
            assert!(key.len() < 10 || !message.contains(key), "the error shows the key: {message}");
        }
    }
    assert_eq!(one::<i64>(&mut admin, "SELECT count(*) FROM rolecall.signing_keys"), 1, "the first login's");
    assert_eq!(one::<i64>(&mut admin, "SELECT count(*) FROM rolecall.signing_keys WHERE active"), 1);
}

#[test]
fn only_administrators_touch_keys() {
    let story = Notes::new();
    let mut app = story.connect();
    authenticate(&mut app, &story.alice, true);
    for statement in [
        "SELECT rolecall.set_signing_key('EdDSA')",
        "SELECT rolecall.drop_key('x')",
        "SELECT rolecall.drop_key('x', 'https://issuer.example')",
        r#"SELECT rolecall.add_verification_key('i', '{"kty":"oct","k":"AAAA"}')"#,
    ] {
        assert_eq!(sqlstate(app.batch_execute(statement)).0, "42501", "{statement}");
    }
}

/// Everybody may read them, so they hold nothing that signs.
#[test]
fn the_published_keys_have_public_parts_only() {
    let story = Notes::new();
    let (mut admin, mut app) = (story.database.admin(), story.connect());
    assert_eq!(jwks(&mut app), Vec::<Value>::new(), "the key of HS256 is a secret");
    for algorithm in ["RS256", "ES256", "EdDSA", "HS256"] {
        admin.execute("SELECT rolecall.set_signing_key($1)", &[&algorithm]).unwrap();
    }
    let keys = jwks(&mut app);
    let fields = |key: &Value| {
        let mut fields: Vec<_> = key.as_object().unwrap().keys().cloned().collect();
        fields.sort();
        fields.join(" ")
    };
    assert_eq!(
        keys.iter().map(|key| format!("{} {}", key["alg"].as_str().unwrap(), fields(key))).collect::<Vec<_>>(),
        ["EdDSA alg crv kid kty x", "ES256 alg crv kid kty x y", "RS256 alg e kid kty n"]
    );
}

/// A verification key keeps no private part that was given by mistake, and must be one.
#[test]
fn a_verification_key_is_checked_and_kept_without_private_parts() {
    let story = Notes::new();
    let mut admin = story.database.admin();
    let mut add = |jwk: &Value| add_verification_key(&mut admin, "https://issuer.example", jwk);
    for algorithm in [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA] {
        let key = Key::new(algorithm, &format!("{algorithm:?}"), b'k');
        let private = with(&key.jwk(), json!({"d": "c2VjcmV0", "p": "c2VjcmV0"}));
        add(&private).unwrap();
    }
    let kept = column(&mut admin, "SELECT jwk FROM rolecall.verification_keys");
    assert_eq!(kept.len(), 3);
    assert!(kept.iter().all(|key| !key.contains("c2VjcmV0")), "{kept:?}");
    let jwk = |algorithm, changes| with(&Key::new(algorithm, "k", b'k').jwk(), changes);
    for wrong in [
        json!({}),
        json!([]),
        json!("key"),
        json!({"kty": "oct", "k": "c2hvcnQ"}),
        jwk(Algorithm::HS256, json!({"alg": "HS512"})),
        jwk(Algorithm::HS256, json!({"k": "no base64!"})),
        jwk(Algorithm::RS256, json!({"alg": "HS256"})),
        jwk(Algorithm::RS256, json!({"alg": "PS256"})),
        jwk(Algorithm::RS256, json!({"n": encode([0xff; 128])})),
        jwk(Algorithm::RS256, json!({"n": null})),
        jwk(Algorithm::ES256, json!({"crv": "P-384"})),
        jwk(Algorithm::ES256, json!({"x": "AAAA"})),
        jwk(Algorithm::ES256, json!({"x": "A".repeat(44)})),
        jwk(Algorithm::EdDSA, json!({"crv": "X25519"})),
        jwk(Algorithm::EdDSA, json!({"x": "AAAA"})),
    ] {
        assert_eq!(sqlstate(add_verification_key(&mut admin, "https://issuer.example", &wrong)).0, "22023", "{wrong}");
    }
}
