//! Users whom another issuer vouches for.

use crate::jwt::*;
use crate::support::*;
use jsonwebtoken::Algorithm;
use postgres::Client;
use rolecall_tests::sqlstate;
use serde_json::{Value, json};

const ISSUER: &str = "https://issuer.example";
const OTHER_ISSUER: &str = "https://other.example";

/// Notes, and two issuers whose keys the story knows.
struct World {
    story: Notes<'static>,
    admin: Client,
    app: Client,
}

impl World {
    fn new() -> Self {
        let story = Notes::new();
        let mut admin = story.database.admin();
        // Choosing their passwords has revoked what is older, and what has no date.
        run(&mut admin, "UPDATE rolecall.users SET sessions_revoked_at = NULL");
        for (issuer, key) in [(ISSUER, key()), (OTHER_ISSUER, others_key())] {
            add_verification_key(&mut admin, issuer, &key.jwk()).expect("a good key");
        }
        Self { app: story.connect(), admin, story }
    }

    /// Who a token's holder is.
    fn user(&mut self, token: &str) -> Option<String> {
        authenticate(&mut self.app, token, true);
        let user = one(&mut self.app, "SELECT rolecall.user_id()");
        run(&mut self.app, "SELECT rolecall.logout()");
        user
    }

    /// Why a token is refused.
    fn refusal(&mut self, token: &str) -> String {
        let (state, message) = sqlstate(self.app.execute("SELECT rolecall.authenticate($1, true)", &[&token]));
        assert_eq!(state, "28000", "{message}");
        assert_eq!(one::<Option<String>>(&mut self.app, "SELECT rolecall.user_id()"), None);
        assert_eq!(notes(&mut self.app), 0);
        message
    }

    fn users(&mut self) -> i64 {
        one(&mut self.admin, "SELECT count(*) FROM rolecall.users")
    }
}

fn key() -> Key {
    Key::new(Algorithm::EdDSA, "k1", b'1')
}

fn others_key() -> Key {
    Key::new(Algorithm::ES256, "k1", b'2')
}

fn claims(issuer: &str, changes: Value) -> String {
    with(&json!({"iss": issuer, "sub": "stranger", "iat": now(), "exp": now() + 600}), changes).to_string()
}

/// A token of [`ISSUER`].
fn token(changes: Value) -> String {
    key().sign(claims(ISSUER, changes))
}

/// A token of [`OTHER_ISSUER`].
fn others_token(changes: Value) -> String {
    others_key().sign(claims(OTHER_ISSUER, changes))
}

const UNKNOWN: &str = "the token is not valid: its subject is no user here, and registration does not admit it";

#[test]
fn a_subject_is_the_user_with_that_id() {
    let mut world = World::new();
    assert_eq!(world.user(&token(json!({"sub": "u1"}))).as_deref(), Some("u1"));
    authenticate(&mut world.app, &token(json!({"sub": "u1"})), true);
    assert_eq!(notes(&mut world.app), ALL, "with the roles that rolecall knows");
    let who: String = one(&mut world.app, "SELECT rolecall.whoami()::text");
    let who: Value = serde_json::from_str(&who).unwrap();
    assert_eq!((&who["username"], &who["via"]), (&"alice".into(), &"jwt".into()));
    run(&mut world.app, "SELECT rolecall.logout()");
    assert_eq!(world.refusal(&token(json!({"sub": "U1"}))), UNKNOWN);
    assert_eq!(world.refusal(&token(json!({"sub": "alice"}))), UNKNOWN, "a name is no id");
    run(&mut world.admin, "SELECT rolecall.disable_user('alice')");
    assert_eq!(world.refusal(&token(json!({"sub": "u1"}))), "the user is disabled");
}

#[test]
fn an_email_address_is_believed_when_the_issuer_has_verified_it() {
    let mut world = World::new();
    let alices = |verified: Value| token(json!({"email": "alice@example.org", "email_verified": verified}));
    assert_eq!(world.user(&alices(json!(true))).as_deref(), Some("u1"));
    let shouted = token(json!({"email": "Alice@Example.ORG", "email_verified": true}));
    assert_eq!(world.user(&shouted).as_deref(), Some("u1"));
    // A null removes the claim.
    for verified in [json!(false), Value::Null] {
        assert_eq!(world.refusal(&alices(verified)), UNKNOWN);
    }
    for email in ["", "alice@example.or", "%@example.org", "alice@example.org ", "bob"] {
        assert_eq!(world.refusal(&token(json!({"email": email, "email_verified": true}))), UNKNOWN, "{email:?}");
    }
    let bobs_id = token(json!({"sub": "u2", "email": "alice@example.org", "email_verified": true}));
    assert_eq!(world.user(&bobs_id).as_deref(), Some("u2"), "the subject goes before the address");
    run(&mut world.admin, "SELECT rolecall.create_user('alias', 'alice@example.org', id => 'u3')");
    assert_eq!(world.refusal(&alices(json!(true))), UNKNOWN, "two have it: it is nobody's");
}

/// Else somebody could register with another's address and wait for him to bring his data.
#[test]
fn an_address_that_was_only_claimed_makes_nobody_that_user() {
    let mut world = World::new();
    run(&mut world.admin, "SELECT rolecall.set_registration('open')");
    let register = "SELECT rolecall.register($1, $2, 'correct horse 42 staple', $3)";
    let mut register = |name: &str, email: &str, invitation: Option<String>| -> String {
        world.app.query_one(register, &[&name, &email, &invitation]).unwrap().get(0)
    };
    let vouched = |email: &str| token(json!({"email": email, "email_verified": true}));
    register("mallory", "victim@example.org", None);
    let invitation = one(&mut world.admin, "SELECT rolecall.invite('carol@example.org', '{}')");
    let carol = register("carol", "carol@example.org", Some(invitation));
    assert_eq!(world.user(&vouched("carol@example.org")), Some(carol), "the invitation reached her");
    assert_eq!(world.user(&vouched("victim@example.org")).as_deref(), Some("stranger"));
}

#[test]
fn a_stranger_becomes_a_user_only_where_registration_admits_him() {
    let mut world = World::new();
    let with_email =
        |sub: &str, email: &str, verified: bool| token(json!({"sub": sub, "email": email, "email_verified": verified}));
    let stranger = with_email("stranger", "s@example.org", true);
    assert_eq!(world.refusal(&stranger), UNKNOWN, "nobody has chosen anything");
    for closed in ["closed", "invite"] {
        run(&mut world.admin, &format!("SELECT rolecall.set_registration('{closed}')"));
        assert_eq!(world.refusal(&stranger), UNKNOWN, "{closed}");
    }
    run(&mut world.admin, "SELECT rolecall.set_registration('domain', '{example.org}', '{editor}')");
    for refused in [
        token(json!({})),
        with_email("stranger", "s@example.org", false),
        with_email("stranger", "s@example.com", true),
        with_email("stranger", "s@sub.example.org", true),
        with_email("stranger", "s@example.com@example.org", true),
    ] {
        assert_eq!(world.refusal(&refused), UNKNOWN);
    }
    assert_eq!(world.users(), 2);
    authenticate(&mut world.app, &stranger, true);
    assert_eq!(one::<String>(&mut world.app, "SELECT rolecall.user_id()"), "stranger");
    assert_eq!(one::<String>(&mut world.app, "SELECT rolecall.user_email()"), "s@example.org");
    assert_eq!(notes(&mut world.app), ALL, "with the roles for whoever registers");
    run(&mut world.app, "SELECT rolecall.logout()");
    run(&mut world.admin, "SELECT rolecall.set_registration('closed')");
    assert_eq!(world.user(&stranger).as_deref(), Some("stranger"), "he is a user now");
    assert_eq!(world.users(), 3);

    run(&mut world.admin, "SELECT rolecall.set_registration('open')");
    let doubtful = with_email("newcomer", "alice@example.org", false);
    assert_eq!(world.user(&doubtful).as_deref(), Some("newcomer"));
    authenticate(&mut world.app, &doubtful, true);
    assert_eq!(one::<Option<String>>(&mut world.app, "SELECT rolecall.user_email()"), None, "not verified, not kept");
    assert_eq!(
        column(&mut world.app, "SELECT jsonb_array_elements_text(rolecall.whoami() -> 'roles')"),
        ["guest", "users"]
    );
}

/// Whoever comes first with a password becomes the administrator; with a token nobody does.
#[test]
fn the_first_stranger_is_no_administrator() {
    let database = database();
    let (mut admin, login) = (database.admin(), database.login("app"));
    add_verification_key(&mut admin, ISSUER, &key().jwk()).unwrap();
    let mut app = database.connect(&login);
    assert_eq!(sqlstate(app.execute("SELECT rolecall.authenticate($1, true)", &[&token(json!({}))])).0, "28000");
    run(&mut admin, "SELECT rolecall.set_registration('open')");
    authenticate(&mut app, &token(json!({})), true);
    assert_eq!(column(&mut app, "SELECT jsonb_array_elements_text(rolecall.whoami() -> 'roles')"), ["guest", "users"]);
}

#[test]
fn a_subject_belongs_to_the_issuer_that_brought_it() {
    let mut world = World::new();
    run(&mut world.admin, "SELECT rolecall.set_registration('open')");
    assert_eq!(world.user(&token(json!({"sub": "theirs"}))).as_deref(), Some("theirs"));
    let why = "the token is not valid: its subject belongs to another issuer";
    assert_eq!(world.refusal(&others_token(json!({"sub": "theirs"}))), why);
    let with_email = others_token(json!({"sub": "theirs", "email": "alice@example.org", "email_verified": true}));
    assert_eq!(world.refusal(&with_email), why, "nor does an address help");
    // A role is a member of roles by a name like this one.
    authenticate(&mut world.app, &token(json!({"sub": "role:admins"})), true);
    assert_eq!(
        column(&mut world.app, "SELECT jsonb_array_elements_text(rolecall.whoami() -> 'roles')"),
        ["guest", "users"]
    );
}

/// A subject of an issuer cannot pass for the user whose name it is.
#[test]
fn a_name_that_is_taken_is_not_given_to_a_stranger() {
    let mut world = World::new();
    run(&mut world.admin, "SELECT rolecall.set_registration('open')");
    for sub in ["alice".to_owned(), format!("role:{}", "x".repeat(250))] {
        let why = world.refusal(&token(json!({"sub": sub})));
        assert_eq!(why, "the token is not valid: its subject cannot be the name of a new user");
    }
    assert_eq!(world.users(), 2);
}

#[test]
fn revoking_sessions_ends_older_tokens_of_issuers() {
    let mut world = World::new();
    let (older, younger) =
        (token(json!({"sub": "u1", "iat": now() - 5})), token(json!({"sub": "u1", "iat": now() + 20})));
    let undated = token(json!({"sub": "u1", "iat": null}));
    assert_eq!(world.user(&undated).as_deref(), Some("u1"));
    let mut open = world.story.connect();
    authenticate(&mut open, &older, true);
    assert_eq!(notes(&mut open), ALL);
    run(&mut world.admin, "SELECT rolecall.revoke_sessions('alice')");
    let revoked = "the login was revoked";
    assert_eq!(sqlstate(open.batch_execute("SELECT * FROM notes")), ("28000".into(), revoked.into()));
    for token in [&older, &undated, &token(json!({"sub": "u1"}))] {
        assert_eq!(world.refusal(token), revoked);
    }
    assert_eq!(world.user(&younger).as_deref(), Some("u1"));
    assert_eq!(world.user(&token(json!({"sub": "u2", "iat": now() - 5}))).as_deref(), Some("u2"));
}

#[test]
fn dropping_an_issuers_key_ends_what_it_has_signed() {
    let mut world = World::new();
    let good = token(json!({"sub": "u1"}));
    authenticate(&mut world.app, &good, true);
    assert_eq!(sqlstate(world.admin.batch_execute("SELECT rolecall.drop_key('k1', 'nobody')")).0, "42704");
    run(&mut world.admin, &format!("SELECT rolecall.drop_key('k1', '{OTHER_ISSUER}')"));
    assert_eq!(notes(&mut world.app), ALL, "the other issuer's key of the same name is another key");
    run(&mut world.admin, &format!("SELECT rolecall.drop_key('k1', '{ISSUER}')"));
    assert_eq!(sqlstate(world.app.batch_execute("SELECT * FROM notes")).1, "the login was revoked");
    run(&mut world.app, "SELECT rolecall.logout()");
    assert_eq!(world.refusal(&good), "the token is not valid: its key is unknown");
}

#[test]
fn an_issuers_key_says_whom_its_tokens_are_for() {
    let mut world = World::new();
    let sql = "SELECT rolecall.add_verification_key($1, $2::text::jsonb, 'notes')";
    world.admin.execute(sql, &[&ISSUER, &key().jwk().to_string()]).unwrap();
    for (audience, accepted) in
        [(json!("notes"), true), (json!(["x", "notes"]), true), (json!("rolecall"), false), (json!([]), false)]
    {
        let token = token(json!({"sub": "u1", "aud": audience}));
        if accepted {
            assert_eq!(world.user(&token).as_deref(), Some("u1"));
        } else {
            assert_eq!(world.refusal(&token), "the token is not valid: it is for another audience");
        }
    }
}

/// The same kid again is a replaced key; a key without one is tried for every token.
#[test]
fn an_issuer_changes_its_keys() {
    let mut world = World::new();
    let changes = || json!({"sub": "u1"});
    let add = |world: &mut World, jwk: &Value| add_verification_key(&mut world.admin, ISSUER, jwk).unwrap();
    let new = Key::new(Algorithm::HS256, "k1", b'n');
    let mut open = world.story.connect();
    authenticate(&mut open, &token(changes()), true);
    let same = key().jwk();
    add(&mut world, &same);
    assert_eq!(notes(&mut open), ALL, "the same key once more changes nothing");
    add(&mut world, &new.jwk());
    assert_eq!(sqlstate(open.batch_execute("SELECT * FROM notes")).1, "the login was revoked");
    assert_eq!(world.user(&new.sign(claims(ISSUER, changes()))).as_deref(), Some("u1"));
    world.refusal(&token(changes()));
    add(&mut world, &with(&key().jwk(), json!({"kid": null})));
    let with_other_kid = key().called("k2");
    assert_eq!(world.user(&with_other_kid.sign(claims(ISSUER, changes()))).as_deref(), Some("u1"));
    assert_eq!(world.user(&token(changes())).as_deref(), Some("u1"));
    assert_eq!(world.user(&new.sign(claims(ISSUER, changes()))).as_deref(), Some("u1"));
}
