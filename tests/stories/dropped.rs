//! `DROP EXTENSION rolecall CASCADE` takes the rules along and leaves the tables closed; made again, it protects them again.

use crate::acl_oracle::ids;
use crate::dump_world::{TABLES, World};
use crate::support::*;
use rolecall_tests::sqlstate;

#[test]
fn tables_stay_closed_when_the_extension_is_dropped() {
    let database = database();
    World::make(&database);
    let mut admin = database.admin();
    let owner = database.login("owner");
    for table in TABLES {
        run(&mut admin, &format!("ALTER TABLE {table} OWNER TO {owner}"));
    }
    run(&mut admin, &format!("ALTER TABLE salaries OWNER TO {owner}; GRANT USAGE ON SCHEMA \"Odd Schema\" TO {owner}"));
    run(&mut admin, "DROP EXTENSION rolecall CASCADE");
    let left = "SELECT nspname::text FROM pg_namespace WHERE nspname ^@ 'rolecall'
                 UNION ALL SELECT polname::text FROM pg_policy UNION ALL SELECT proname::text FROM pg_proc WHERE proname ^@ 'rolecall'
                 UNION ALL SELECT tgname::text FROM pg_trigger WHERE NOT tgisinternal UNION ALL SELECT evtname::text FROM pg_event_trigger
                 UNION ALL SELECT oid::regclass::text FROM pg_class WHERE relname ~ '_exposed$'";
    assert_eq!(column(&mut admin, left), [""; 0], "nothing of it is left");
    let logins = ["app", "sally", "clerk", "owner"].map(|name| format!("{}_{name}", database.name));
    for login in logins {
        let mut client = database.connect(&login);
        for table in TABLES.iter().chain(&["salaries"]) {
            assert!(one::<i64>(&mut admin, &format!("SELECT count(*) FROM {table}")) > 0);
            let told = format!("{login} {table}");
            for sql in [
                format!("SELECT id FROM {table}"),
                format!("UPDATE {table} SET id = id RETURNING id"),
                format!("DELETE FROM {table} RETURNING id"),
            ] {
                assert_eq!(ids(&mut client, &sql), [0; 0], "{told}");
            }
            let insert = sqlstate(client.execute(&format!("INSERT INTO {table} (id) VALUES (-1)"), &[]));
            assert_eq!(insert.0, "42501", "{told}: {}", insert.1);
        }
    }
}

#[test]
fn the_extension_made_again_protects_again() {
    let story = Notes::new();
    let app = &story.app;
    let mut admin = story.database.admin();
    let rules = format!(
        r#"SELECT rolecall.protect('notes'), rolecall.protect('logs'), rolecall.protect('plans', 'acl');
           SELECT rolecall.allow('users', 'notes', 'all', '{{"owner_id": {{"equals": "__loggedInUserId"}}}}', preset => '{{"body": "mine"}}');
           SELECT rolecall.allow('users', 'logs', 'all', '{{"note": {{"owner_id": {{"equals": "__loggedInUserId"}}}}}}');
           SELECT rolecall.expose('notes'); GRANT SELECT ON notes_exposed TO {app}"#
    );
    run(
        &mut admin,
        &format!(
            r#"CREATE TABLE logs (id int, note_id int REFERENCES notes) PARTITION BY HASH (id);
            CREATE TABLE logs_1 PARTITION OF logs FOR VALUES WITH (MODULUS 1, REMAINDER 0); INSERT INTO logs VALUES (1, 2), (2, 3);
            CREATE TABLE plans (id int PRIMARY KEY, acl jsonb); INSERT INTO plans VALUES (1, '[{{"id": "u2", "rights": ["read"]}}]'), (2, NULL);
            GRANT ALL ON notes, logs, logs_1, plans TO {app}; {rules}"#
        ),
    );
    let seen = |bob: &str| {
        let mut client = story.connect();
        authenticate(&mut client, bob, true);
        let counts = ["notes", "logs", "logs_1", "plans", "notes_exposed"];
        let counts = counts.map(|table| one::<i64>(&mut client, &format!("SELECT count(*) FROM {table}")));
        run(&mut client, "BEGIN; INSERT INTO notes VALUES (0, 'u2')");
        let body: String = one(&mut client, "SELECT body FROM notes WHERE id = 0");
        run(&mut client, "ROLLBACK");
        refused(&mut client, "INSERT INTO notes VALUES (0, 'u1')", "42501", "row-level security");
        refused(&mut client, "TRUNCATE logs_1", "42501", "TRUNCATE");
        (counts, body)
    };
    let before = seen(&story.bob);
    assert_eq!(before, ([BOBS, 1, 1, 1, BOBS], "mine".to_owned()));
    let mut old = story.connect();
    authenticate(&mut old, &story.bob, true);
    assert_eq!(notes(&mut old), BOBS);
    run(&mut admin, "DROP EXTENSION rolecall CASCADE");
    assert_eq!(notes(&mut old), 0, "a session that was logged in");
    run(&mut admin, "CREATE EXTENSION rolecall");
    // Whoever was logged in before is nobody now, also where there is somebody with his id again.
    assert_eq!(notes(&mut old), 0);
    refused(&mut old, "SELECT rolecall.user_id()", "28000", "no longer exists");
    run(&mut admin, "SELECT rolecall.create_user('bob', password => 'welcome', id => 'u2')");
    refused(&mut old, "SELECT rolecall.user_id()", "28000", "revoked");
    let bob = first_token(&mut admin, "bob", "welcome", "can we fix it");
    let mut client = story.connect();
    authenticate(&mut client, &bob, true);
    for table in ["notes", "logs", "logs_1", "plans"] {
        assert_eq!(
            one::<i64>(&mut client, &format!("SELECT count(*) FROM {table}")),
            0,
            "{table}: closed until protected"
        );
    }
    run(&mut admin, &rules);
    assert_eq!(seen(&bob), before);
}
