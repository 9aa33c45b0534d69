//! The audit log: every change with who, from where, before and after, and no secret.

use crate::support::*;
use postgres::{Client, NoTls};
use serde_json::Value;

/// The entries after `id` as `action object`, by the actor.
fn entries(admin: &mut Client, after: i64, actor: &str) -> Vec<String> {
    let rows = admin
        .query("SELECT actor, action || ' ' || object FROM rolecall.audit_log WHERE id > $1 ORDER BY id", &[&after])
        .unwrap();
    rows.iter()
        .map(|row| {
            assert_eq!(row.get::<_, String>(0), actor);
            row.get(1)
        })
        .collect()
}

fn last(admin: &mut Client) -> i64 {
    one(admin, "SELECT coalesce(max(id), 0) FROM rolecall.audit_log")
}

/// Old and new of the latest entry.
fn latest(admin: &mut Client) -> (Value, Value) {
    let row =
        admin.query_one("SELECT old::text, new::text FROM rolecall.audit_log ORDER BY id DESC LIMIT 1", &[]).unwrap();
    let value = |n| row.get::<_, Option<String>>(n).map_or(Value::Null, |text| serde_json::from_str(&text).unwrap());
    (value(0), value(1))
}

#[test]
fn every_change_is_recorded_without_its_secrets() {
    let (cluster, address) = cluster_with_address();
    let database = cluster.database();
    let app = database.login("app");
    let mut superuser = database.admin();
    let hash = bcrypt::hash("springtime in 1883", 4).unwrap();
    let mut secrets = vec![hash.clone(), "springtime".into()];
    run(&mut superuser, &format!("SELECT rolecall.bootstrap_admin('admin', '{hash}')"));
    assert_eq!(
        entries(&mut superuser, 0, "postgres"),
        ["insert users", "insert user_roles"],
        "without a login the database role is the actor"
    );

    let mut config = postgres::Config::new();
    config.host(&address).port(5432).user(&app).dbname(&database.name);
    let mut admin = config.connect(NoTls).unwrap();
    let token = token(&mut admin, "admin", "springtime in 1883");
    authenticate(&mut admin, &token, true);
    secrets.extend(token.split('.').map(str::to_owned));
    let mut results = Vec::new();
    run(&mut superuser, "CREATE TABLE documents (id int)");
    run(&mut superuser, "SELECT rolecall.protect('documents')");
    let raw_key = "c2VjcmV0IGtleSBvZiAzMiBieXRlcyBhdCBsZWFzdCE";
    let jwk = format!(r#"{{"kty": "oct", "alg": "HS256", "kid": "theirs", "k": "{raw_key}"}}"#);
    secrets.push(raw_key.into());
    for (statement, recorded) in [
        ("create_user('carol', 'carol@example.org', 'sesame open 1')", &["insert users"][..]),
        ("create_role('reader', 'Reads')", &["insert roles"]),
        ("create_role('writer')", &["insert roles"]),
        ("grant_role('reader', 'carol')", &["insert user_roles"]),
        ("grant_role('reader', 'role:writer')", &["insert role_members"]),
        ("allow('reader', 'documents', 'select', '{\"id\": {\"equals\": 1}}')", &["insert permissions"]),
        ("allow('reader', 'documents', 'select', '{\"id\": {\"equals\": 2}}')", &["update permissions"]),
        ("disallow('reader', 'documents', 'select')", &["delete permissions"]),
        ("unprotect('documents')", &["delete protected_tables"]),
        ("revoke_role('reader', 'role:writer')", &["delete role_members"]),
        ("revoke_role('reader', 'carol')", &["delete user_roles"]),
        ("set_password('carol', 'sesame open 2')", &["update users"]),
        ("disable_user('carol')", &["update users"]),
        ("disable_user('carol')", &[]),
        ("enable_user('carol')", &["update users"]),
        ("revoke_sessions('carol')", &["update users"]),
        ("set_signing_key('HS256')", &["update signing_keys", "insert signing_keys"]),
        ("set_signing_key('EdDSA')", &["update signing_keys", "insert signing_keys"]),
        ("add_verification_key('https://issuer.test', '{jwk}')", &["insert verification_keys"]),
        ("drop_key('theirs', 'https://issuer.test')", &["delete verification_keys"]),
        ("create_api_token('ci', '{reader}', owner => 'admin')", &["insert api_tokens", "insert api_token_roles"]),
        ("invite('dave@example.org', '{reader}')", &["insert invitations"]),
        ("set_registration('domain', '{example.org}')", &["insert settings"]),
        ("set_registration('closed')", &["update settings"]),
        ("enable_authentication()", &["update settings"]),
        ("disable_authentication()", &["update settings"]),
        ("register_server('north', '{\"scopes\": [\"run\"]}')", &["insert servers", "register_server north"]),
        ("create_role('runner', server => 'north')", &["insert roles"]),
        ("grant_scopes('runner', '{run}')", &["insert role_scopes"]),
        ("revoke_scopes('runner', '{run}')", &["delete role_scopes"]),
        ("rename_role('runner', 'walker')", &["update roles"]),
        ("drop_role('walker')", &["delete roles"]),
        ("drop_server('north')", &["delete servers"]),
        ("drop_user('carol')", &["delete users"]),
    ] {
        if statement.starts_with("set_signing_key('EdDSA") {
            // The key that made the token is gone with its session afterwards: only the latest one is dropped.
            secrets.extend(column(&mut superuser, "SELECT encode(secret, 'base64') FROM rolecall.signing_keys"));
            secrets.extend(column(&mut superuser, "SELECT encode(secret, 'hex') FROM rolecall.signing_keys"));
            secrets.extend(column(&mut superuser, "SELECT jwk ->> 'k' FROM rolecall.signing_keys"));
        }
        let before = last(&mut superuser);
        let statement = format!("SELECT rolecall.{}::text", statement.replace("{jwk}", &jwk));
        results.push(
            admin.query_one(&statement, &[]).unwrap_or_else(|e| panic!("{statement}: {e:?}")).get::<_, String>(0),
        );
        assert_eq!(entries(&mut superuser, before, "admin"), recorded, "{statement}");
    }
    let (old, new) = latest(&mut superuser);
    assert_eq!((&old["username"], &old["email"], new), (&"carol".into(), &"carol@example.org".into(), Value::Null));
    assert_eq!(old["password_hash"], "(secret)");
    let addresses = "SELECT DISTINCT host(address) FROM rolecall.audit_log WHERE actor = 'admin'";
    assert!(one::<String>(&mut superuser, addresses).starts_with("127."));
    assert_eq!(
        column(&mut superuser, "SELECT DISTINCT session_role FROM rolecall.audit_log WHERE actor = 'admin'"),
        [app]
    );

    // API tokens and invitations are secrets, ids are not.
    let api_token = results.iter().find(|text| text.starts_with("rca_")).unwrap().clone();
    // The secret itself may hold a "_".
    secrets.push(api_token.splitn(3, '_').nth(2).unwrap().to_owned());
    secrets.push(results.iter().rfind(|text| text.len() == 43).unwrap().clone());
    run(&mut admin, "SELECT rolecall.logout()");
    authenticate(&mut admin, &api_token, true);
    let before = last(&mut superuser);
    // An API token may be an administrator as well.
    run(&mut superuser, "SELECT rolecall.grant_role('admins', 'role:reader')");
    run(&mut admin, "SELECT rolecall.create_role('by a token')");
    let actor: String =
        one(&mut superuser, &format!("SELECT actor FROM rolecall.audit_log WHERE id > {before} AND object = 'roles'"));
    assert!(actor.starts_with("api_token:"), "{actor}");
    let id = actor.split_once(':').unwrap().1;
    run(&mut superuser, &format!("SELECT rolecall.revoke_api_token('{id}')"));
    assert_eq!(latest(&mut superuser).0["token"], id);

    secrets.extend(["sesame".into(), "$argon2id$".into(), "$2b$".into()]);
    secrets.extend(column(&mut superuser, "SELECT encode(secret_hash, 'hex') FROM rolecall.invitations"));
    secrets.extend(column(&mut superuser, "SELECT jwk ->> 'x' FROM rolecall.signing_keys WHERE active"));
    secrets.extend(column(&mut superuser, "SELECT encode(secret, 'hex') FROM rolecall.signing_keys WHERE active"));
    let log: String = one(&mut superuser, "SELECT string_agg(e::text, E'\\n') FROM rolecall.audit_entries e");
    assert!(log.contains("(secret)") && log.len() > 2000);
    for secret in secrets {
        assert!(secret.trim().len() > 3 && !log.contains(secret.trim()), "{secret} is in the log:\n{log}");
    }
}

#[test]
fn an_entry_says_what_was_and_what_is() {
    let story = Notes::new();
    let (mut admin, mut app) = (story.database.admin(), story.connect());
    run(&mut admin, "SELECT rolecall.disable_user('bob')");
    let (old, new) = latest(&mut admin);
    assert_eq!((&old["disabled"], &new["disabled"], &new["username"]), (&false.into(), &true.into(), &"bob".into()));
    assert_eq!(new["id"], "u2");
    assert_eq!(new.as_object().unwrap().len(), 3, "what else stayed the same is left out: {new}");
    run(&mut admin, "SELECT rolecall.enable_user('bob')");

    authenticate(&mut app, &story.bob, true);
    run(&mut app, "SELECT rolecall.change_password('can we fix it', 'yes we can 1998')");
    let actor: String = one(&mut admin, "SELECT actor FROM rolecall.audit_log ORDER BY id DESC LIMIT 1");
    assert_eq!(actor, "bob");
    let (old, new) = latest(&mut admin);
    assert_eq!((&old["password_hash"], &new["password_hash"]), (&"(secret)".into(), &"(secret)".into()));

    run(&mut admin, "SELECT rolecall.set_registration('open')");
    run(&mut app, "SELECT rolecall.logout(); SELECT rolecall.register('eve', 'eve@example.org', 'nine green bottles')");
    let row = admin.query_one("SELECT actor, new ->> 'username' FROM rolecall.audit_log ORDER BY id DESC LIMIT 1", &[]);
    let row = row.unwrap();
    assert_eq!((row.get::<_, String>(0), row.get::<_, String>(1)), (story.app.clone(), "eve".into()));
    let before = last(&mut admin);
    run(&mut admin, "BEGIN; SELECT rolecall.create_role('never'); ROLLBACK");
    assert_eq!(last(&mut admin), before, "what did not happen is not recorded");

    // Only what is restored is not recorded again.
    for statement in [
        "COPY rolecall.roles TO STDOUT; SELECT rolecall.create_role('unseen 1')",
        "COPY rolecall.roles (name) FROM stdin; SELECT rolecall.create_role('unseen 2')",
    ] {
        let mut psql = story.database.psql("postgres");
        let output = psql.args(["--quiet", "-c", statement]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        assert_eq!(latest(&mut admin).1["name"], statement.split('\'').nth(1).unwrap(), "{statement}");
    }
}

#[test]
fn an_entry_says_which_row_it_is_and_calls_tables_by_their_names() {
    let story = Notes::new();
    let mut admin = story.database.admin();
    run(&mut admin, r#"SELECT rolecall.allow('editor', 'notes', 'update', '{"id": {"lt": 7}}')"#);
    let (old, new) = latest(&mut admin);
    for entry in [&old, &new] {
        assert_eq!([&entry["role"], &entry["target"], &entry["action"]], ["editor", "public.notes", "update"]);
    }
    assert_eq!((old["filter"].to_string(), new.as_object().unwrap().len()), ("{}".into(), 4));
    run(&mut admin, "SELECT rolecall.set_registration('open'); SELECT rolecall.rename_role('editor', 'author')");
    let member = "SELECT old || new FROM rolecall.audit_log WHERE object = 'user_roles' ORDER BY id DESC LIMIT 1";
    assert_eq!(column(&mut admin, member), [r#"{"role": "author", "user_id": "u1"}"#]);

    run(
        &mut admin,
        r#"CREATE TABLE people (id text PRIMARY KEY, note_id int REFERENCES notes);
        SELECT rolecall.users_table('people', 'id'); SELECT rolecall.expose('notes');
        SELECT rolecall.relate('notes', 'owner', 'people', '{owner_id}', '{id}');
        SELECT rolecall.allow('users', 'notes', 'delete', '{"people": {"some": {"is_self": true}}}');
        SELECT rolecall.allow('users', 'notes', 'delete')"#,
    );
    let before = last(&mut admin);
    run(&mut admin, "ALTER TABLE notes RENAME TO memos");
    assert_eq!(entries(&mut admin, before, "postgres"), ["update protected_tables"]);
    let (old, new) = latest(&mut admin);
    assert_eq!(
        (old.to_string(), new.to_string()),
        (r#"{"target":"public.notes"}"#.into(), r#"{"target":"public.memos"}"#.into())
    );
    run(&mut admin, "DROP TABLE people, memos CASCADE");
    let told = "SELECT action || ' ' || object || ' ' || (coalesce(old, new) ->> 'target') FROM rolecall.audit_log
                 WHERE object IN ('users_tables', 'relations', 'exposed_views', 'protected_tables') ORDER BY 1";
    assert_eq!(
        column(&mut admin, told),
        [
            "delete exposed_views public.memos",
            "delete protected_tables public.memos",
            "delete relations public.memos",
            "delete users_tables public.people",
            "insert exposed_views public.notes",
            "insert protected_tables public.notes",
            "insert relations public.notes",
            "insert users_tables public.people",
            "update protected_tables public.notes",
        ]
    );
    let numbers = "SELECT count(*) FROM rolecall.audit_log WHERE coalesce(old, new) ->> 'target' ~ '^[0-9]+$'";
    assert_eq!(one::<i64>(&mut admin, numbers), 0);

    // Where nobody noticed the drop, the number is all there is.
    run(
        &mut admin,
        "CREATE TABLE lost (id int); SELECT rolecall.protect('lost'), rolecall.users_table('lost', 'id');
         ALTER EVENT TRIGGER rolecall_after_drop DISABLE; DROP TABLE lost; ALTER EVENT TRIGGER rolecall_after_drop ENABLE ALWAYS;
         DELETE FROM rolecall.users_tables",
    );
    assert!(latest(&mut admin).0["target"].as_str().unwrap().parse::<u32>().is_ok());
}

#[test]
fn nobody_changes_the_log_and_only_administrators_read_it() {
    let story = Notes::new();
    let (mut admin, mut app) = (story.database.admin(), story.connect());
    let count = "SELECT count(*) FROM rolecall.audit_log";
    assert!(one::<i64>(&mut admin, count) > 0);
    assert_eq!(one::<i64>(&mut app, count), 0);
    for token in [&story.bob, &story.alice] {
        authenticate(&mut app, token, true);
        assert_eq!(one::<i64>(&mut app, count), 0);
        // Not through a function that the planner would rather call first either.
        run(
            &mut app,
            "CREATE OR REPLACE FUNCTION pg_temp.leak(text) RETURNS bool LANGUAGE plpgsql COST 0.0001
               AS 'BEGIN RAISE EXCEPTION ''leaked %'', $1; END'",
        );
        run(&mut app, "SELECT count(*) FROM rolecall.audit_log WHERE pg_temp.leak(actor)");
        run(&mut app, "SELECT rolecall.logout()");
    }
    refused(&mut app, "SELECT * FROM rolecall.audit_entries", "42501", "permission denied");
    run(&mut admin, "SELECT rolecall.grant_role('admins', 'alice')");
    authenticate(&mut app, &story.alice, true);
    assert!(one::<i64>(&mut app, count) > 0);

    let changes = ["UPDATE {} SET actor = 'bob'", "DELETE FROM {}", "TRUNCATE {}", "DELETE FROM {} WHERE false"];
    for change in changes {
        for table in ["rolecall.audit_entries", "rolecall.audit_log"] {
            let statement = change.replace("{}", table);
            let (state, _) = rolecall_tests::sqlstate(app.batch_execute(&statement));
            assert!(["42501", "42809"].contains(&state.as_str()), "{statement}: {state}");
        }
        // A superuser, also where most triggers are off.
        for mode in ["origin", "local", "replica"] {
            let statement = change.replace("{}", "rolecall.audit_entries");
            run(&mut admin, &format!("SET session_replication_role = {mode}"));
            refused(&mut admin, &statement, "42501", "the audit log cannot be changed");
        }
        run(&mut admin, "RESET session_replication_role");
    }
    refused(&mut app, "INSERT INTO rolecall.audit_log (actor, action, object) VALUES ('bob', 'x', 'y')", "42501", "");
    refused(&mut app, "SELECT rolecall.record_change()", "42501", "permission denied");
}
