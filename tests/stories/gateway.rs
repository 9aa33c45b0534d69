//! Behind a gateway that verifies tokens itself, with policies as people write them for Supabase.

use crate::support::*;
use postgres::Client;
use serde_json::json;

const ADA: &str = "11111111-1111-4111-8111-111111111111";
const GRACE: &str = "22222222-2222-4222-8222-222222222222";

fn assume(client: &mut Client, claims: &serde_json::Value) -> Option<String> {
    client.query_one("SELECT rolecall.assume($1::text::jsonb)", &[&claims.to_string()]).expect("good claims").get(0)
}

#[test]
fn policies_written_for_supabase_show_the_right_rows() {
    let database = database();
    let app = database.login("app");
    let mut admin = database.admin();
    refused(&mut database.connect(&app), "SELECT rolecall.add_auth_schema()", "42501", "needs an administrator");
    run(&mut admin, "SELECT rolecall.add_auth_schema()");
    refused(&mut admin, "SELECT rolecall.add_auth_schema()", "42710", "exists already");
    run(
        &mut admin,
        &format!(
            "SELECT rolecall.create_user('ada', 'ada@example.org', 'welcome', id => '{ADA}');
             SELECT rolecall.create_user('grace', 'grace@example.org', 'welcome', id => '{GRACE}');
             SELECT rolecall.create_user('guest without uuid', 'x@example.org', 'welcome', id => 'u3');
             CREATE TABLE by_id (owner uuid, n int);
             INSERT INTO by_id SELECT CASE n % 1000 WHEN 1 THEN '{ADA}' WHEN 2 THEN '{GRACE}' ELSE gen_random_uuid() END, n
               FROM generate_series(1, 20000) n;
             CREATE INDEX ON by_id (owner);
             CREATE TABLE by_query (LIKE by_id); INSERT INTO by_query SELECT * FROM by_id;
             CREATE TABLE by_email (email text, n int);
             INSERT INTO by_email SELECT 'grace@example.org', n FROM generate_series(1, 3) n;
             CREATE TABLE by_role (n int); INSERT INTO by_role SELECT generate_series(1, 7);
             ANALYZE;
             ALTER TABLE by_id ENABLE ROW LEVEL SECURITY; ALTER TABLE by_query ENABLE ROW LEVEL SECURITY;
             ALTER TABLE by_email ENABLE ROW LEVEL SECURITY; ALTER TABLE by_role ENABLE ROW LEVEL SECURITY;
             CREATE POLICY own ON by_id USING (auth.uid() = owner);
             CREATE POLICY own ON by_query USING ((select auth.uid()) = owner);
             CREATE POLICY own ON by_email USING (auth.jwt() ->> 'email' = email);
             CREATE POLICY members ON by_role TO public USING (auth.role() = 'authenticated');
             GRANT SELECT, INSERT ON by_id, by_query, by_email, by_role TO {app}"
        ),
    );
    let ada = first_token(&mut admin, "ada", "welcome", "analytical engine no. 1");
    let grace = first_token(&mut admin, "grace", "welcome", "nanoseconds of wire");
    let without = first_token(&mut admin, "guest without uuid", "welcome", "seven red boats");
    let mut client = database.connect(&app);
    let seen = |client: &mut Client| {
        ["by_id", "by_query", "by_email", "by_role"]
            .map(|table| one::<i64>(client, &format!("SELECT count(*) FROM {table}")))
    };
    assert_eq!(seen(&mut client), [0_i64; 4], "nobody");
    for (token, rows) in [(&ada, [20, 20, 0, 7]), (&grace, [20, 20, 3, 7]), (&without, [0, 0, 0, 7])] {
        authenticate(&mut client, token, true);
        assert_eq!(seen(&mut client), rows);
        run(&mut client, "SELECT rolecall.logout()");
    }
    let about = "SELECT concat_ws(' ', auth.uid(), auth.email(), auth.role(), auth.jwt())";
    assert_eq!(one::<String>(&mut client, about), "anon");
    authenticate(&mut client, &ada, true);
    let jwt = json!({"sub": ADA, "email": "ada@example.org", "role": "authenticated"});
    let shown: String = one(&mut client, "SELECT auth.jwt()::text");
    assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), jwt);
    assert!(one::<String>(&mut client, about).starts_with(&format!("{ADA} ada@example.org authenticated ")));
    let plan = plan(&mut client, "SELECT * FROM by_id");
    assert!(plan.contains("by_id_owner_idx") && plan.contains("Index Cond"), "{plan}");
    run(&mut client, &format!("INSERT INTO by_id VALUES ('{ADA}', 0)"));
    refused(&mut client, &format!("INSERT INTO by_id VALUES ('{GRACE}', 0)"), "42501", "row-level security");
}

#[test]
fn only_gateways_pass_claims_on() {
    let story = Notes::new();
    let (gateway, web) = (story.database.login("gateway"), story.database.login("web"));
    let mut admin = story.database.admin();
    run(
        &mut admin,
        &format!("GRANT rolecall_authenticator, {web} TO {gateway}; GRANT SELECT ON notes TO {gateway}, {web}"),
    );
    let bob = json!({"sub": "u2", "role": "authenticated", "aud": "elsewhere"});
    let statement = format!("SELECT rolecall.assume('{bob}')");
    for other in [&mut story.connect(), &mut story.database.connect(&web), &mut admin] {
        refused(other, &statement, "42501", "rolecall_authenticator");
        // Anybody may set what the gateway would, but not pass it on.
        refused(
            other,
            &format!("SET request.jwt.claims = '{bob}'; SELECT rolecall.assume()"),
            "42501",
            "needs a login",
        );
    }
}

#[test]
fn claims_make_their_subject_the_user() {
    let story = Notes::new();
    let (gateway, web) = (story.database.login("gateway"), story.database.login("web"));
    let mut admin = story.database.admin();
    run(
        &mut admin,
        &format!("GRANT rolecall_authenticator, {web} TO {gateway}; GRANT SELECT ON notes TO {gateway}, {web}"),
    );
    // Claims that do not say when they were issued are as young as the gateway's word for them.
    run(&mut admin, "UPDATE rolecall.users SET sessions_revoked_at = now() - interval '1 minute'");
    let mut client = story.database.connect(&gateway);
    assert_eq!(assume(&mut client, &json!({"sub": "u2"})).as_deref(), Some("u2"));
    refused(&mut client, r#"SELECT rolecall.assume('{"sub": "u2", "iat": 1}')"#, "28000", "the login was revoked");
    let now: i64 = one(&mut client, "SELECT extract(epoch FROM now())::bigint");
    let bob = json!({"sub": "u2", "aud": "elsewhere", "iat": now - 5, "exp": now + 60});

    run(&mut client, "BEGIN");
    assert_eq!(assume(&mut client, &bob).as_deref(), Some("u2"));
    assert_eq!(notes(&mut client), BOBS);
    run(&mut client, "COMMIT");
    assert_eq!(notes(&mut client), 0, "for the transaction only");

    // As PostgREST does it: another role, and the claims in a setting.
    run(&mut client, &format!("BEGIN; SET LOCAL ROLE {web}; SELECT set_config('request.jwt.claims', '{bob}', true)"));
    assert_eq!(one::<Option<String>>(&mut client, "SELECT rolecall.user_id()"), None, "the setting alone is nothing");
    assert_eq!(one::<String>(&mut client, "SELECT rolecall.assume()"), "u2");
    assert_eq!(notes(&mut client), BOBS);
    assert_eq!(one::<String>(&mut client, "SELECT rolecall.whoami() ->> 'via'"), "jwt");
    // A visitor without an account has claims, too.
    assert_eq!(assume(&mut client, &json!({"role": "anon"})), None);
    assert_eq!(notes(&mut client), 0);
    run(&mut client, "COMMIT");
    refused(&mut client, "SELECT rolecall.assume()", "28000", "Please log in");

    for (claims, message) in [
        (json!({"sub": "u2", "exp": now - 1}), "the login has expired"),
        (json!({"sub": "u2", "nbf": now + 600}), "it is not yet valid"),
        (json!({"sub": ""}), "it names no subject"),
        (json!({"sub": null}), "its claims are incomplete"),
        (json!({"sub": 2}), "its claims are incomplete"),
        (json!({"sub": "u2", "exp": "soon"}), "its claims are incomplete"),
        (json!({"sub": "nobody here"}), "its subject is no user here"),
        (json!({"sub": "nobody here", "iat": now, "email": "bob@example.org"}), "its subject is no user here"),
    ] {
        refused(&mut client, &format!("SELECT rolecall.assume('{claims}')"), "28000", message);
    }
    let verified = json!({"sub": "nobody here", "iat": now, "email": "Bob@example.org", "email_verified": true});
    assert_eq!(assume(&mut client, &verified).as_deref(), Some("u2"));
    refused(&mut client, "SET request.jwt.claims = '{'; SELECT rolecall.assume()", "28000", "is no JSON");

    run(&mut admin, "SELECT rolecall.revoke_sessions('bob')");
    refused(&mut client, &format!("SELECT rolecall.assume('{bob}')"), "28000", "the login was revoked");
    run(&mut admin, "SELECT rolecall.disable_user('bob')");
    let later = json!({"sub": "u2", "iat": now + 20});
    refused(&mut client, &format!("SELECT rolecall.assume('{later}')"), "28000", "the user is disabled");
}

#[test]
fn a_gateway_keeps_serving_when_logins_are_required() {
    let story = Notes::new();
    let gateway = story.database.login("gateway");
    let mut admin = story.database.admin();
    run(
        &mut admin,
        &format!(
            "GRANT rolecall_authenticator TO {gateway}; GRANT SELECT ON notes TO {gateway};
             UPDATE rolecall.users SET sessions_revoked_at = NULL;
             SELECT rolecall.grant_role('admins', 'alice'); SELECT rolecall.enable_authentication()"
        ),
    );
    let mut client = story.database.connect(&gateway);
    refused(&mut client, "SELECT * FROM notes", "28000", "Please log in");
    run(&mut client, "BEGIN");
    assert_eq!(assume(&mut client, &json!({"sub": "u2"})).as_deref(), Some("u2"));
    assert_eq!(notes(&mut client), BOBS);
    assert_eq!(assume(&mut client, &json!({"role": "anon"})), None);
    refused(&mut client, "SELECT * FROM notes", "28000", "Please log in");
    run(&mut client, "ROLLBACK");
}
