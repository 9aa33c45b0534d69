//! API tokens: what programs act with.

use crate::support::*;
use postgres::Client;
use rolecall_tests::sqlstate;
use serde_json::{Value, json};

/// Notes, an administrator called ada, and a table of jobs of which an API token with the role `runner` sees its own.
struct World {
    story: Notes<'static>,
    admin: Client,
    app: Client,
}

impl World {
    fn new() -> Self {
        let story = Notes::new();
        let mut admin = story.database.admin();
        run(
            &mut admin,
            &format!(
                r#"SELECT rolecall.create_role('runner');
                CREATE TABLE jobs (id int PRIMARY KEY, token text);
                GRANT SELECT ON jobs TO {};
                SELECT rolecall.protect('jobs');
                SELECT rolecall.allow('runner', 'jobs', 'select', '{{"token": {{"equals": "__requestingApiToken"}}}}');"#,
                story.app
            ),
        );
        Self { app: story.connect(), admin, story }
    }

    /// A new API token with what follows its name in the call.
    fn create(&mut self, arguments: &str) -> String {
        one(&mut self.admin, &format!("SELECT rolecall.create_api_token('ci', {arguments})"))
    }

    /// A new one that sees every note, and a session of it with a prepared statement and an open cursor.
    fn open(&mut self, arguments: &str) -> (String, Open) {
        let token = self.create(&format!("'{{editor}}', {arguments}"));
        let mut app = self.story.connect();
        authenticate(&mut app, &token, true);
        let count = app.prepare("SELECT count(*) FROM notes").unwrap();
        let mut in_transaction = self.story.connect();
        authenticate(&mut in_transaction, &token, true);
        run(&mut in_transaction, "BEGIN; DECLARE rows CURSOR FOR SELECT * FROM notes");
        let mut open = Open { app, count, in_transaction };
        open.works();
        (token, open)
    }
}

struct Open {
    app: Client,
    count: postgres::Statement,
    in_transaction: Client,
}

impl Open {
    fn works(&mut self) {
        assert_eq!(self.app.query_one(&self.count, &[]).unwrap().get::<_, i64>(0), ALL);
        assert_eq!(self.in_transaction.query("FETCH 3 FROM rows", &[]).unwrap().len(), 3);
    }

    /// Every way to go on is refused.
    fn is_refused(&mut self, why: &str) {
        let refused = ("28000".to_owned(), why.to_owned());
        assert_eq!(sqlstate(self.app.query_one(&self.count, &[])), refused, "the prepared statement");
        assert_eq!(sqlstate(self.app.query("SELECT * FROM notes", &[])), refused);
        assert_eq!(sqlstate(self.app.query("SELECT rolecall.api_token_id()", &[])), refused);
        assert_eq!(sqlstate(self.in_transaction.query("FETCH 3 FROM rows", &[])), refused, "the cursor");
    }
}

/// Where a token's secret begins, after `rca_`, 32 digits and `_`.
const SECRET_AT: usize = 37;

/// The id within a token.
fn id(token: &str) -> String {
    let hex = token.split('_').nth(1).expect("prefix, id and secret");
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

#[test]
fn an_api_token_acts_with_its_own_roles_and_as_no_user() {
    let mut world = World::new();
    let token = world.create("'{runner}', owner => 'alice'");
    assert!(token.starts_with("rca_"), "{token}");
    let app = &mut world.app;
    let sql = "SELECT rolecall.authenticate($1, true)";
    assert_eq!(app.query_one(sql, &[&token]).unwrap().get::<_, Option<String>>(0), None);
    let row = app
        .query_one(
            "SELECT rolecall.user_id(), rolecall.user_email(), rolecall.api_token_id(),
                    rolecall.api_token_id_as_uuid()::text, rolecall.whoami()::text",
            &[],
        )
        .unwrap();
    assert_eq!((row.get::<_, Option<String>>(0), row.get::<_, Option<String>>(1)), (None, None));
    assert_eq!((row.get::<_, String>(2), row.get::<_, String>(3)), (id(&token), id(&token)));
    let who: Value = serde_json::from_str(row.get(4)).unwrap();
    let expected = json!({
        "user_id": null, "username": null, "email": null, "api_token_id": id(&token),
        "roles": ["guest", "runner"], "scopes": [], "expires_at": null, "via": "api_token",
    });
    assert_eq!(who, expected);
    assert_eq!(notes(app), 0, "it has neither its owner's roles nor those of users");
    run(app, "SELECT rolecall.require_login()");
    for statement in ["SELECT rolecall.create_role('x')", "SELECT rolecall.create_api_token('x', '{admins}')"] {
        assert_eq!(sqlstate(app.batch_execute(statement)).0, "42501", "{statement}");
    }
}

#[test]
fn a_filter_names_the_api_token_that_asks() {
    let mut world = World::new();
    let (first, second) = (world.create("'{runner}'"), world.create("'{runner}'"));
    let sql = "INSERT INTO jobs VALUES (1, $1), (2, $2), (3, NULL), (4, 'u1')";
    world.admin.execute(sql, &[&id(&first), &id(&second)]).unwrap();
    let mut jobs = |token: &str| {
        authenticate(&mut world.app, token, true);
        column(&mut world.app, "SELECT id FROM jobs")
    };
    assert_eq!(jobs(&first), ["1"]);
    assert_eq!(jobs(&second), ["2"]);
    assert_eq!(jobs(&world.story.alice), Vec::<String>::new());
    run(&mut world.admin, "SELECT rolecall.grant_role('runner', 'alice')");
    authenticate(&mut world.app, &world.story.alice, true);
    assert_eq!(column(&mut world.app, "SELECT id FROM jobs"), Vec::<String>::new(), "a user is no API token");
}

#[test]
fn a_made_up_api_token_is_refused() {
    let mut world = World::new();
    let (token, other) = (world.create("'{editor}'"), world.create("'{runner}'"));
    let (start, secret) = token.split_at(SECRET_AT);
    let hash: String = one(&mut world.admin, "SELECT encode(token_hash, 'hex') FROM rolecall.api_tokens LIMIT 1");
    for forged in [
        "rca_".to_owned(),
        "rca__".to_owned(),
        start.to_owned(),
        start[..SECRET_AT - 1].to_owned(),
        format!("{start}{hash}"),
        format!("{start}{}", &other[SECRET_AT..]),
        format!("{start}{}", &secret[..secret.len() - 1]),
        format!("{token}A"),
        format!("{token} "),
        format!("{token}\n"),
        token.replacen("rca_", "RCA_", 1),
        token.replacen("rca_", "rca_0", 1),
        format!("rca_' OR true --_{secret}"),
        format!("rca_{}_{secret}", "0".repeat(32)),
        "rca_".repeat(5000),
    ] {
        let (state, message) = sqlstate(world.app.execute("SELECT rolecall.authenticate($1, true)", &[&forged]));
        assert_eq!(state, "28000", "{forged}: {message}");
        assert!(!message.contains(secret), "the error shows the token: {message}");
        assert_eq!(one::<Option<String>>(&mut world.app, "SELECT rolecall.api_token_id()"), None);
        assert_eq!(notes(&mut world.app), 0);
    }
    authenticate(&mut world.app, &token, true);
    assert_eq!(notes(&mut world.app), ALL);
}

#[test]
fn an_api_token_expires() {
    let mut world = World::new();
    let (token, mut open) = world.open("expires_at => now() + '5 seconds'");
    let (_, mut lasting) = world.open("expires_at => now() + '1 day'");
    std::thread::sleep(std::time::Duration::from_millis(5100));
    open.is_refused("the login has expired");
    lasting.works();
    let (state, message) = sqlstate(world.app.execute("SELECT rolecall.authenticate($1)", &[&token]));
    assert_eq!((state.as_str(), message.as_str()), ("28000", "the login has expired"));
}

#[test]
fn its_owner_and_administrators_revoke_an_api_token() {
    let mut world = World::new();
    run(&mut world.admin, "SELECT rolecall.create_user('ada', password => 'welcome', roles => '{admins}')");
    let ada = first_token(&mut world.admin, "ada", "welcome", "difference engine");
    let mut app = world.story.connect();
    let (alice, bob) = (world.story.alice.clone(), world.story.bob.clone());
    for (who, may) in [(Some(&alice), true), (Some(&ada), true), (Some(&bob), false), (None, false)] {
        let (token, mut open) = world.open("owner => 'alice'");
        run(&mut app, "SELECT rolecall.logout()");
        if let Some(who) = who {
            authenticate(&mut app, who, true);
        }
        let result = app.execute("SELECT rolecall.revoke_api_token($1)", &[&id(&token)]);
        if may {
            result.unwrap();
            open.is_refused("the API token was revoked");
            let why = sqlstate(world.app.execute("SELECT rolecall.authenticate($1)", &[&token])).1;
            assert_eq!(why, "the token is not valid: there is no such API token");
        } else {
            let refused = sqlstate(result);
            assert_eq!(refused.0, "42501");
            let unknown = sqlstate(app.execute("SELECT rolecall.revoke_api_token('nope')", &[]));
            assert_eq!(refused, unknown, "whether there is such a token cannot be told");
            open.works();
        }
    }
    // One without an owner is the administrators', and nobody's.
    let (token, mut open) = world.open("owner => NULL");
    for acting in [&bob, &token] {
        authenticate(&mut app, acting, true);
        assert_eq!(sqlstate(app.execute("SELECT rolecall.revoke_api_token($1)", &[&id(&token)])).0, "42501");
    }
    open.works();
    world.admin.execute("SELECT rolecall.revoke_api_token($1)", &[&id(&token)]).unwrap();
    open.is_refused("the API token was revoked");
    assert_eq!(sqlstate(world.admin.execute("SELECT rolecall.revoke_api_token($1)", &[&id(&token)])).0, "42704");
}

#[test]
fn an_api_token_ends_with_its_owner() {
    let mut world = World::new();
    let (token, mut open) = world.open("owner => 'bob'");
    let (_, mut alices) = world.open("owner => 'alice'");
    run(&mut world.admin, "SELECT rolecall.disable_user('bob')");
    open.is_refused("the user is disabled");
    assert_eq!(sqlstate(world.app.execute("SELECT rolecall.authenticate($1)", &[&token])).1, "the user is disabled");
    run(&mut world.admin, "SELECT rolecall.enable_user('bob')");
    assert_eq!(notes(&mut open.app), ALL, "he is back");
    run(&mut open.in_transaction, "ROLLBACK; BEGIN; DECLARE rows CURSOR FOR SELECT * FROM notes");
    open.works();
    run(&mut world.admin, "SELECT rolecall.drop_user('bob')");
    open.is_refused("the API token was revoked");
    let why = sqlstate(world.app.execute("SELECT rolecall.authenticate($1)", &[&token])).1;
    assert_eq!(why, "the token is not valid: there is no such API token");
    alices.works();
}

#[test]
fn a_role_is_taken_from_an_open_session() {
    let mut world = World::new();
    let (_, mut open) = world.open("owner => NULL");
    run(&mut world.admin, "DELETE FROM rolecall.roles WHERE name = 'editor'");
    assert_eq!(notes(&mut open.app), 0);
    let roles = column(&mut open.app, "SELECT jsonb_array_elements_text(rolecall.whoami() -> 'roles')");
    assert_eq!(roles, ["guest"]);
}

#[test]
fn the_last_use_of_an_api_token_is_noted() {
    let mut world = World::new();
    let token = world.create("'{editor}'");
    let used = |admin: &mut Client| {
        one::<Option<f64>>(admin, "SELECT extract(epoch FROM now() - last_used_at)::float8 FROM rolecall.api_tokens")
    };
    assert_eq!(used(&mut world.admin), None);
    run(&mut world.app, "BEGIN READ ONLY");
    authenticate(&mut world.app, &token, false);
    run(&mut world.app, "COMMIT");
    assert_eq!(used(&mut world.admin), None, "a transaction that may not write is not made to fail");
    authenticate(&mut world.app, &token, false);
    assert!(used(&mut world.admin).unwrap() < 30.0);
    for (ago, noted) in [("50 seconds", false), ("70 seconds", true)] {
        run(&mut world.admin, &format!("UPDATE rolecall.api_tokens SET last_used_at = now() - interval '{ago}'"));
        authenticate(&mut world.app, &token, false);
        assert_eq!(used(&mut world.admin).unwrap() < 30.0, noted, "last used {ago} ago");
    }
    // Whoever holds the row is not waited for.
    run(&mut world.admin, "UPDATE rolecall.api_tokens SET last_used_at = NULL");
    run(&mut world.admin, "BEGIN; SELECT FROM rolecall.api_tokens FOR UPDATE");
    run(&mut world.app, "SET statement_timeout = '5s'");
    authenticate(&mut world.app, &token, true);
    assert_eq!(notes(&mut world.app), ALL);
}

/// Whoever reads the tables can use none of the tokens.
/// Trap 34.
#[test]
fn the_tables_hold_no_api_token() {
    let mut world = World::new();
    let token = world.create("'{editor}'");
    let secret = &token[SECRET_AT..];
    let sql = "SELECT token_hash = sha256(convert_to($1, 'UTF8')) FROM rolecall.api_tokens";
    assert!(world.admin.query_one(sql, &[&secret]).unwrap().get::<_, bool>(0));
    let tables = "SELECT oid::regclass FROM pg_class WHERE relnamespace = 'rolecall'::regnamespace AND relkind = 'r'";
    for table in column(&mut world.admin, tables) {
        for row in column(&mut world.admin, &format!("SELECT t::text FROM {table} t")) {
            assert!(!row.contains(secret), "{table}: {row}");
        }
    }
}

#[test]
fn bad_arguments_get_one_clear_error() {
    let mut world = World::new();
    for (arguments, state, message) in [
        ("NULL, '{}'", "22023", "name must not be NULL"),
        ("'', '{}'", "22023", "must not be empty"),
        ("'x', '{nope}'", "42704", "role \"nope\" does not exist"),
        ("'x', '{NULL}'", "22023", "must not be NULL"),
        ("'x', '{}', now()", "22023", "must lie in the future"),
        ("'x', '{}', '-infinity'", "22023", "must lie in the future"),
        ("'x', '{}', owner => 'nobody'", "42704", "user \"nobody\" does not exist"),
    ] {
        let (got, text) =
            sqlstate(world.admin.batch_execute(&format!("SELECT rolecall.create_api_token({arguments})")));
        assert_eq!(got, state, "{arguments}: {text}");
        assert!(text.contains(message), "{arguments}: {text}");
    }
    assert_eq!(one::<i64>(&mut world.admin, "SELECT count(*) FROM rolecall.api_tokens"), 0);
    let token = world.create("'{editor}', 'infinity'");
    authenticate(&mut world.app, &token, true);
    assert_eq!(notes(&mut world.app), ALL);
    assert_eq!(one::<Option<String>>(&mut world.app, "SELECT rolecall.whoami() ->> 'expires_at'"), None);
}
