//! What somebody tries who can make tokens but not sign them, and tokens that are signed and yet wrong.

use crate::jwt::*;
use crate::support::*;
use jsonwebtoken::Algorithm;
use postgres::Client;
use rolecall_tests::sqlstate;
use serde_json::{Value, json};

const ISSUER: &str = "https://issuer.example";
const OTHER_ISSUER: &str = "https://other.example";

/// A database whose keys the story knows: it can sign, as alice, whatever it likes.
struct World {
    _story: Notes<'static>,
    app: Client,
    /// rolecall's own keys, one for every algorithm.
    own: Vec<Key>,
    /// The same for [`ISSUER`].
    foreign: Vec<Key>,
    /// The key of [`OTHER_ISSUER`], EdDSA.
    other: Key,
    /// What a good token of rolecall's own says.
    own_claims: Value,
    /// What a good token of the issuer says.
    foreign_claims: Value,
}

impl World {
    fn new() -> Self {
        let story = Notes::new();
        let mut admin = story.database.admin();
        let own = ALGORITHMS.map(|algorithm| {
            let mut key = Key::new(algorithm, "", b'1');
            let sql = "SELECT rolecall.set_signing_key($1, $2)";
            key.kid = admin.query_one(sql, &[&key.alg(), &key.pem()]).expect("the key is good").get(0);
            key
        });
        let foreign = ALGORITHMS.map(|algorithm| Key::new(algorithm, &format!("{algorithm:?}"), b'2'));
        let other = Key::new(Algorithm::EdDSA, "other", b'3');
        let accepted = foreign.iter().map(|key| (ISSUER, key)).chain([(OTHER_ISSUER, &other)]);
        for (issuer, key) in accepted {
            add_verification_key(&mut admin, issuer, &key.jwk()).expect("the key is good");
        }
        // Choosing her password has revoked what is older, and what has no date.
        run(&mut admin, "UPDATE rolecall.users SET sessions_revoked_at = NULL");
        let generation: i64 = one(&mut admin, "SELECT session_generation FROM rolecall.users WHERE id = 'u1'");
        let common = json!({"sub": "u1", "iat": now(), "exp": now() + 600});
        Self {
            own_claims: with(&common, json!({"jti": format!("x.{generation}")})),
            foreign_claims: with(&common, json!({"iss": ISSUER})),
            app: story.connect(),
            own: own.into(),
            foreign: foreign.into(),
            other,
            _story: story,
        }
    }

    /// A key with the claims that go with it, once of rolecall's own and once of the issuer.
    fn both(&self, algorithm: Algorithm) -> [(Key, Value); 2] {
        let of = |keys: &[Key]| keys.iter().find(|key| key.algorithm == algorithm).expect("a key").clone();
        [(of(&self.own), self.own_claims.clone()), (of(&self.foreign), self.foreign_claims.clone())]
    }

    fn accepts(&mut self, token: &str) {
        authenticate(&mut self.app, token, true);
        assert_eq!(notes(&mut self.app), ALL);
        run(&mut self.app, "SELECT rolecall.logout()");
    }

    /// The token is refused for the reason that `why` is part of, and nobody is logged in.
    fn refuses(&mut self, case: &str, token: &str, why: &str) {
        let (state, message) = sqlstate(self.app.execute("SELECT rolecall.authenticate($1, true)", &[&token]));
        assert_eq!(state, "28000", "{case}: {message}");
        assert!(message.contains(why), "{case}: {message}");
        assert_eq!(one::<Option<String>>(&mut self.app, "SELECT rolecall.user_id()"), None, "{case}");
        assert_eq!(notes(&mut self.app), 0, "{case}");
    }
}

const NO_JWT: &str = "it is no JWT";
const UNKNOWN_KEY: &str = "its key is unknown";
const WRONG_SIGNATURE: &str = "its signature is wrong";
const WRONG_ALGORITHM: &str = "its algorithm is not its key's";
const INCOMPLETE: &str = "its claims are incomplete";

/// Without this the refusals below would prove nothing.
#[test]
fn tokens_without_a_defect_are_accepted() {
    let mut world = World::new();
    for algorithm in ALGORITHMS {
        for (key, claims) in world.both(algorithm) {
            world.accepts(&key.sign(claims.to_string()));
        }
    }
}

/// Trap 33.
#[test]
fn the_algorithm_is_the_keys_and_not_the_tokens_choice() {
    let mut world = World::new();
    for algorithm in ALGORITHMS {
        for (key, claims) in world.both(algorithm) {
            let claims = claims.to_string();
            for alg in ["none", "None", "NONE", "nOnE", "", "HS1"] {
                let header = json!({"alg": alg, "typ": "JWT", "kid": key.kid}).to_string();
                let signed = key.sign_under(&header, &claims);
                let unsigned = &signed[..=signed.rfind('.').expect("a signature")];
                world.refuses(alg, unsigned, NO_JWT);
                world.refuses(alg, &signed, NO_JWT);
            }
            for alg in ["HS256", "HS384", "HS512", "RS256", "RS384", "PS256", "ES256", "ES384", "EdDSA"] {
                let header = json!({"alg": alg, "kid": key.kid}).to_string();
                let token = key.sign_under(&header, &claims);
                if alg == key.alg() {
                    world.accepts(&token);
                } else {
                    world.refuses(&format!("{alg} with a key of {}", key.alg()), &token, WRONG_ALGORITHM);
                }
            }
        }
    }
}

/// The public key is known to everybody: it must not serve as the secret of HS256, in whatever form a library has it.
/// Trap 33.
#[test]
fn a_public_key_is_no_secret() {
    let mut world = World::new();
    for algorithm in [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA] {
        for (key, claims) in world.both(algorithm) {
            let jwk = key.jwk();
            let (raw, spki) = public_key(&jwk);
            let forms = [
                ("raw", raw),
                ("DER", spki.clone()),
                ("PEM", pem("PUBLIC KEY", &spki).into()),
                ("PEM, trimmed", pem("PUBLIC KEY", &spki).trim_end().into()),
                ("JWK", jwk.to_string().into()),
                ("nothing", Vec::new()),
            ];
            for (form, bytes) in forms {
                let case = format!("{} as {form}", key.alg());
                world.refuses(&case, &secret(&key.kid, &bytes).sign(claims.to_string()), WRONG_ALGORITHM);
                // The same signature under the key's own algorithm.
                let header = json!({"alg": key.alg(), "kid": key.kid}).to_string();
                let token = secret(&key.kid, &bytes).sign_under(&header, claims.to_string());
                world.refuses(&case, &token, WRONG_SIGNATURE);
            }
        }
    }
}

/// The bytes of a public key: as they are, and as an X.509 SubjectPublicKeyInfo.
fn public_key(jwk: &Value) -> (Vec<u8>, Vec<u8>) {
    let field = |name: &str| decode(jwk[name].as_str().expect("a field"));
    let (raw, prefix, suffix) = match jwk["kty"].as_str() {
        Some("OKP") => (field("x"), "302a300506032b6570032100", ""),
        Some("EC") => {
            ([vec![4], field("x"), field("y")].concat(), "3059301306072a8648ce3d020106082a8648ce3d030107034200", "")
        }
        _ => (field("n"), "30820122300d06092a864886f70d01010105000382010f003082010a0282010100", "0203010001"),
    };
    let spki = [bytes(prefix), raw.clone(), bytes(suffix)].concat();
    (raw, spki)
}

/// Trap 33.
#[test]
fn a_key_id_names_a_key_or_nothing() {
    let mut world = World::new();
    let long = "k".repeat(10_000);
    for (key, claims) in world.both(Algorithm::EdDSA) {
        let claims = claims.to_string();
        for kid in [
            "unknown",
            "' OR '1'='1",
            "'; DROP TABLE rolecall.users; --",
            "../../../../dev/null",
            "/etc/passwd",
            "https://evil.example/jwks",
            "%",
            "_",
            " ",
            "EdDSA\0",
            &format!("{}\0", key.kid),
            &format!(" {}", key.kid),
            &key.kid.to_uppercase(),
            &long,
        ] {
            let header = json!({"alg": "EdDSA", "kid": kid}).to_string();
            let case: String = kid.chars().take(40).collect();
            world.refuses(&case, &key.sign_under(&header, &claims), UNKNOWN_KEY);
        }
        for header in [
            r#"{"alg":"EdDSA","kid":5}"#.to_owned(),
            r#"{"alg":"EdDSA","kid":["a"]}"#.to_owned(),
            format!(r#"{{"alg":"EdDSA","kid":"x","kid":"{}"}}"#, key.kid),
        ] {
            world.refuses(&header, &key.sign_under(&header, &claims), NO_JWT);
        }
        world.accepts(&key.sign(&claims));
    }
    let [(own, own_claims), (foreign, foreign_claims)] = world.both(Algorithm::EdDSA);
    for header in [r#"{"alg":"EdDSA"}"#, r#"{"alg":"EdDSA","kid":null}"#] {
        world.refuses(header, &own.sign_under(header, own_claims.to_string()), "it names no key");
        // An issuer's keys are tried one after the other.
        world.accepts(&foreign.sign_under(header, foreign_claims.to_string()));
    }
    world.refuses("empty", &own.sign_under(r#"{"alg":"EdDSA","kid":""}"#, own_claims.to_string()), UNKNOWN_KEY);
}

/// A header can carry a key, or say where there is one. Neither is looked at.
/// Trap 33.
#[test]
fn a_token_does_not_bring_its_key() {
    let mut world = World::new();
    for (key, claims) in world.both(Algorithm::EdDSA) {
        let attackers = Key::new(Algorithm::EdDSA, &key.kid, b'9');
        for header in [
            json!({"alg": "EdDSA", "kid": key.kid}),
            json!({"alg": "EdDSA", "kid": key.kid, "jwk": attackers.jwk()}),
            json!({"alg": "EdDSA", "kid": key.kid, "jku": "https://evil.example/jwks"}),
            json!({"alg": "EdDSA", "kid": key.kid, "x5u": "https://evil.example/certificate"}),
        ] {
            let token = attackers.sign_under(&header.to_string(), claims.to_string());
            world.refuses(&header.to_string(), &token, WRONG_SIGNATURE);
        }
    }
}

/// Trap 33.
#[test]
fn a_key_signs_for_its_own_issuer_only() {
    let mut world = World::new();
    let [(own, own_claims), (foreign, foreign_claims)] = world.both(Algorithm::EdDSA);
    let other = world.other.clone();
    let others_claims = with(&foreign_claims, json!({"iss": OTHER_ISSUER}));
    world.accepts(&other.sign(others_claims.to_string()));
    let as_ours = with(&own_claims, json!({"iss": ISSUER}));
    let as_theirs = with(&foreign_claims, json!({"iss": null, "jti": own_claims["jti"]}));
    for (case, token, why) in [
        ("another issuer's key", other.sign(foreign_claims.to_string()), UNKNOWN_KEY),
        ("another issuer's key, renamed", other.called(&foreign.kid).sign(foreign_claims.to_string()), WRONG_SIGNATURE),
        ("our key, their issuer", own.sign(as_ours.to_string()), UNKNOWN_KEY),
        ("our key, their issuer and kid", own.called(&foreign.kid).sign(as_ours.to_string()), WRONG_SIGNATURE),
        ("their key, no issuer", foreign.sign(as_theirs.to_string()), UNKNOWN_KEY),
        ("their key, our kid", foreign.called(&own.kid).sign(as_theirs.to_string()), WRONG_SIGNATURE),
    ] {
        world.refuses(case, &token, why);
    }
    for issuer in [
        json!("https://unknown.example"),
        json!(""),
        json!("https://issuer.example/"),
        json!("HTTPS://ISSUER.EXAMPLE"),
        json!(format!("{ISSUER}\0")),
        json!("i".repeat(2000)),
    ] {
        let claims = with(&foreign_claims, json!({"iss": issuer}));
        world.refuses(&issuer.to_string(), &foreign.sign(claims.to_string()), UNKNOWN_KEY);
    }
    for issuer in [json!(5), json!([ISSUER])] {
        let claims = with(&foreign_claims, json!({"iss": issuer}));
        world.refuses(&issuer.to_string(), &foreign.sign(claims.to_string()), NO_JWT);
    }
}

/// Trap 33.
#[test]
fn a_token_has_three_parts_of_json() {
    let mut world = World::new();
    for (key, claims) in world.both(Algorithm::EdDSA) {
        let token = key.sign(claims.to_string());
        world.accepts(&token);
        for end in 0..token.len() {
            world.refuses("truncated", &token[..end], "the token is not valid");
        }
        let [header, payload, signature] = token.split('.').collect::<Vec<_>>()[..] else { panic!("three parts") };
        for altered in [
            format!("{token}.{signature}"),
            format!(".{token}"),
            format!(" {token}"),
            format!("{token}\n"),
            format!("{token}="),
            format!("{header}..{signature}"),
            format!("{payload}.{header}.{signature}"),
            format!("{header}.{payload}={}.{signature}", "="),
        ] {
            world.refuses(&altered, &altered, "the token is not valid");
        }
        for payload in [b"\xff\xfe\xfd".as_slice(), b"", b"sub", b"[]", b"null", b"\"u1\"", b"{"] {
            world.refuses(&format!("{payload:?}"), &key.sign(payload), NO_JWT);
        }
        let not_unicode = [b"{\"sub\":\"u1\xff\",".as_slice(), &claims.to_string().as_bytes()[1..]].concat();
        world.refuses("a subject that is not UTF-8", &key.sign(not_unicode), INCOMPLETE);
        for header in ["", "null", "[]", "{}", "EdDSA", r#"{"alg":"EdDSA""#, r#"{"alg":"EdDSA","alg":"EdDSA"}"#] {
            world.refuses(header, &key.sign_under(header, claims.to_string()), NO_JWT);
        }
        let critical = json!({"alg": "EdDSA", "kid": key.kid, "crit": ["exp"], "exp": 1}).to_string();
        world.refuses(&critical, &key.sign_under(&critical, claims.to_string()), "it demands an extension");
        let critical = json!({"alg": "EdDSA", "kid": key.kid, "crit": []}).to_string();
        world.refuses(&critical, &key.sign_under(&critical, claims.to_string()), "it demands an extension");

        let padded = |length| key.sign(with(&claims, json!({"padding": "x".repeat(length)})).to_string());
        world.accepts(&padded(11_000));
        world.refuses("huge", &padded(12_500), "it is too long");
        world.refuses("a megabyte", &padded(1 << 20), "it is too long");
    }
}

/// Trap 33.
#[test]
fn claims_are_what_they_should_be() {
    let mut world = World::new();
    for (key, claims) in world.both(Algorithm::EdDSA) {
        for (changes, why) in [
            (json!({"exp": null}), INCOMPLETE),
            (json!({"exp": "9999999999"}), INCOMPLETE),
            (json!({"exp": -1}), INCOMPLETE),
            (json!({"exp": true}), INCOMPLETE),
            (json!({"exp": 9_007_199_254_740_993_i64}), INCOMPLETE),
            (json!({"exp": i64::MAX}), INCOMPLETE),
            (json!({"exp": u64::MAX}), INCOMPLETE),
            (json!({"exp": 253_402_300_800_i64}), INCOMPLETE),
            (json!({"exp": 0}), "the login has expired"),
            (json!({"exp": now() - 1}), "the login has expired"),
            (json!({"iat": now() + 90}), "it is not yet valid"),
            (json!({"iat": "now"}), INCOMPLETE),
            (json!({"iat": -5}), INCOMPLETE),
            (json!({"nbf": now() + 90}), "it is not yet valid"),
            (json!({"nbf": "later"}), INCOMPLETE),
            (json!({"aud": "somebody else"}), "it is for another audience"),
            (json!({"aud": ["a", "b"]}), "it is for another audience"),
            (json!({"aud": []}), "it is for another audience"),
            (json!({"aud": ""}), "it is for another audience"),
            (json!({"aud": "ROLECALL"}), "it is for another audience"),
            (json!({"aud": 5}), INCOMPLETE),
            (json!({"aud": ["rolecall", 5]}), INCOMPLETE),
            (json!({"sub": null}), INCOMPLETE),
            (json!({"sub": ""}), "it names no subject"),
            (json!({"sub": "u1\0"}), "it names no subject"),
            (json!({"sub": "u".repeat(256)}), "it names no subject"),
            (json!({"sub": 1}), INCOMPLETE),
            (json!({"sub": ["u1"]}), INCOMPLETE),
            (json!({"email_verified": "true"}), INCOMPLETE),
        ] {
            world.refuses(&changes.to_string(), &key.sign(with(&claims, changes).to_string()), why);
        }
        for good in [
            json!({"exp": 253_402_300_799_i64}),
            json!({"exp": now() as f64 + 60.5}),
            json!({"iat": null}),
            json!({"iat": now() + 5, "nbf": now() + 5}),
            json!({"aud": "rolecall"}),
            json!({"aud": ["somebody else", "rolecall"]}),
        ] {
            world.accepts(&key.sign(with(&claims, good).to_string()));
        }
        let text = claims.to_string();
        for twice in
            [r#""sub":"u1""#, r#""sub":"u2""#, r#""exp":9999999999"#, r#""iat":1"#, r#""aud":"x","aud":"rolecall""#]
        {
            world.refuses(twice, &key.sign(text.replacen('{', &format!("{{{twice},"), 1)), INCOMPLETE);
        }
        for exp in ["1e300", "99999999999999999999999", "[9999999999]", "{}", "null"] {
            let claims = with(&claims, json!({"exp": "EXP"})).to_string().replace("\"EXP\"", exp);
            world.refuses(exp, &key.sign(claims), INCOMPLETE);
        }
        let issuer_twice = text.replacen('{', &format!(r#"{{"iss":"{ISSUER}","iss":"{ISSUER}","#), 1);
        world.refuses("iss twice", &key.sign(issuer_twice), NO_JWT);
    }
}

/// rolecall's own tokens carry the generation of the user's sessions.
#[test]
fn a_token_of_ours_has_an_id() {
    let mut world = World::new();
    let [(key, claims), _] = world.both(Algorithm::EdDSA);
    for (id, why) in [
        (Value::Null, INCOMPLETE),
        (json!(""), INCOMPLETE),
        (json!("x"), INCOMPLETE),
        (json!("x."), INCOMPLETE),
        (json!("x.y"), INCOMPLETE),
        (json!(7), INCOMPLETE),
        (json!("x.99"), "the login was revoked"),
        (json!("x.-1"), "the login was revoked"),
    ] {
        let claims = with(&claims, json!({"jti": id}));
        world.refuses(&id.to_string(), &key.sign(claims.to_string()), why);
    }
    let nobody = with(&claims, json!({"sub": "u3"}));
    world.refuses("an unknown user", &key.sign(nobody.to_string()), "no longer exists");
}
