//! Protected tables: who may do what with which rows.

use crate::support::*;
use rolecall_tests::sqlstate;

/// Trap 11.
#[test]
fn nothing_is_allowed_until_it_is_said() {
    let story = Notes::new();
    let mut admin = story.database.admin();
    let owner = story.database.login("owner");
    run(
        &mut admin,
        &format!(
            "CREATE TABLE closed (id int); INSERT INTO closed VALUES (1);
             ALTER TABLE closed OWNER TO {owner}; GRANT ALL ON closed TO {};
             SELECT rolecall.protect('closed')",
            story.app
        ),
    );
    let mut app = story.connect();
    for token in [None, Some(&story.bob)] {
        if let Some(token) = token {
            authenticate(&mut app, token, true);
        }
        assert_eq!(one::<i64>(&mut app, "SELECT count(*) FROM closed"), 0);
        assert_eq!(app.execute("UPDATE closed SET id = 2", &[]).unwrap(), 0);
        assert_eq!(app.execute("DELETE FROM closed", &[]).unwrap(), 0);
        assert_eq!(sqlstate(app.execute("INSERT INTO closed VALUES (2)", &[])).0, "42501");
    }
    let mut owner = story.database.connect(&owner);
    assert_eq!(one::<i64>(&mut owner, "SELECT count(*) FROM closed"), 0, "the owner too");
}

#[test]
fn a_permission_is_for_its_role_action_and_rows() {
    let story = Notes::new();
    let mut admin = story.database.admin();
    run(
        &mut admin,
        r#"SELECT rolecall.create_role('reader');
           SELECT rolecall.grant_role('reader', 'bob');
           SELECT rolecall.allow('reader', 'notes', 'select', '{"id": {"in": [1, 2, 3]}}');
           SELECT rolecall.allow('guest', 'notes', 'select', '{"id": {"equals": 5}}');"#,
    );
    let mut app = story.connect();
    assert_eq!(column(&mut app, "SELECT id FROM notes"), ["5"], "a guest's rows");
    authenticate(&mut app, &story.bob, true);
    let ids = column(&mut app, "SELECT id FROM notes WHERE id < 110 ORDER BY id");
    assert_eq!(ids, ["1", "2", "3", "5", "102"], "the union of reader, guest and users");
    assert_eq!(app.execute("UPDATE notes SET body = 'mine' WHERE id < 110", &[]).unwrap(), 2, "u2's own: 2 and 102");
    assert_eq!(app.execute("DELETE FROM notes WHERE id < 110", &[]).unwrap(), 2);
    run(&mut admin, "SELECT rolecall.disallow('reader', 'notes', 'all')");
    assert_eq!(column(&mut app, "SELECT id FROM notes WHERE id < 110"), ["5"]);
}

/// Trap 17.
#[test]
fn what_is_written_must_match() {
    let story = Notes::new();
    let mut app = story.connect();
    authenticate(&mut app, &story.bob, true);
    app.execute("INSERT INTO notes (id, owner_id) VALUES (20001, 'u2')", &[]).unwrap();
    app.query_one("INSERT INTO notes (id, owner_id) VALUES (20002, 'u2') RETURNING id", &[]).unwrap();
    for statement in [
        "INSERT INTO notes (id, owner_id) VALUES (20003, 'u1')",
        "UPDATE notes SET owner_id = 'u1' WHERE id = 20001",
        "UPDATE notes SET owner_id = 'u1'",
        "INSERT INTO notes (id, owner_id) VALUES (20001, 'u2') ON CONFLICT (id) DO UPDATE SET owner_id = 'u1'",
        "INSERT INTO notes (id, owner_id) VALUES (1, 'u2') ON CONFLICT (id) DO UPDATE SET body = 'taken'",
        "MERGE INTO notes USING (SELECT 20001 AS i) s ON id = i WHEN MATCHED THEN UPDATE SET owner_id = 'u1'",
    ] {
        let (state, message) = sqlstate(app.execute(statement, &[]));
        assert_eq!(state, "42501", "{statement}: {message}");
    }
    assert_eq!(app.execute("UPDATE notes SET body = 'x' WHERE id = 1", &[]).unwrap(), 0, "alice's are not there");
}

/// A draft may be handed in, but nothing that was handed in may be changed.
/// Trap 17.
#[test]
fn the_new_row_has_a_condition_of_its_own() {
    let story = Notes::new();
    let mut admin = story.database.admin();
    run(
        &mut admin,
        &format!(
            r#"CREATE TABLE papers (id int PRIMARY KEY, author text, state text); GRANT ALL ON papers TO {};
            INSERT INTO papers VALUES (1, 'u2', 'draft'), (2, 'u2', 'handed in'), (3, 'u1', 'draft');
            SELECT rolecall.protect('papers');
            SELECT rolecall.allow('users', 'papers', 'all',
                '{{"author": {{"equals": "__loggedInUserId"}}, "state": {{"equals": "draft"}}}}',
                new_row => '{{"author": {{"equals": "__loggedInUserId"}}, "state": {{"in": ["draft", "handed in"]}}}}');
            SELECT rolecall.allow('users', 'papers', 'select');"#,
            story.app
        ),
    );
    let mut app = story.connect();
    authenticate(&mut app, &story.bob, true);
    assert_eq!(app.execute("UPDATE papers SET state = 'handed in' WHERE id < 4", &[]).unwrap(), 1, "the own draft");
    assert_eq!(app.execute("INSERT INTO papers VALUES (4, 'u2', 'handed in')", &[]).unwrap(), 1);
    assert_eq!(app.execute("INSERT INTO papers VALUES (5, 'u2', 'draft')", &[]).unwrap(), 1);
    for statement in [
        "UPDATE papers SET state = 'printed' WHERE id = 5",
        "UPDATE papers SET author = 'u1' WHERE id = 5",
        "INSERT INTO papers VALUES (6, 'u2', 'printed')",
        "INSERT INTO papers VALUES (6, 'u1', 'draft')",
    ] {
        refused(&mut app, statement, "42501", "row-level security");
    }
    assert_eq!(app.execute("DELETE FROM papers", &[]).unwrap(), 1, "a delete writes nothing: only the draft goes");
    for (action, new_row, state) in
        [("select", "{}", "22023"), ("delete", "{}", "22023"), ("insert", "{\"stat\": {\"equals\": \"x\"}}", "22023")]
    {
        let call = format!("SELECT rolecall.allow('users', 'papers', '{action}', new_row => '{new_row}')");
        assert_eq!(sqlstate(admin.batch_execute(&call)).0, state, "{call}");
    }
}

/// Trap 17.
#[test]
fn one_changes_only_what_one_can_read() {
    let story = Notes::new();
    let mut admin = story.database.admin();
    run(
        &mut admin,
        &format!(
            r#"CREATE TABLE letters (id int, sender text, open boolean); INSERT INTO letters VALUES (1, 'u2', true), (2, 'u2', false);
            GRANT ALL ON letters TO {};
            SELECT rolecall.protect('letters');
            SELECT rolecall.allow('users', 'letters', 'select', '{{"open": {{"equals": true}}}}');
            SELECT rolecall.allow('users', 'letters', 'update', '{{"sender": {{"equals": "__loggedInUserId"}}}}');
            SELECT rolecall.allow('users', 'letters', 'delete');"#,
            story.app
        ),
    );
    let mut app = story.connect();
    authenticate(&mut app, &story.bob, true);
    assert_eq!(app.execute("UPDATE letters SET id = 7", &[]).unwrap(), 1, "without a WHERE too");
    assert_eq!(app.execute("DELETE FROM letters", &[]).unwrap(), 1);
    assert_eq!(one::<i64>(&mut admin, "SELECT count(*) FROM letters"), 1);
}

/// Trap 22.
#[test]
fn a_foreign_policy_cannot_widen_access() {
    let story = Notes::new();
    run(&mut story.database.admin(), "CREATE POLICY everything ON notes USING (true) WITH CHECK (true)");
    let mut app = story.connect();
    authenticate(&mut app, &story.bob, true);
    assert_eq!(notes(&mut app), BOBS);
    assert_eq!(app.execute("UPDATE notes SET body = 'x'", &[]).unwrap(), BOBS as u64);
    assert_eq!(sqlstate(app.execute("INSERT INTO notes (id, owner_id) VALUES (20003, 'u1')", &[])).0, "42501");
    assert_eq!(app.execute("DELETE FROM notes", &[]).unwrap(), BOBS as u64);
}

/// Trap 5.
#[test]
fn the_gate_costs_no_second_evaluation() {
    let story = Notes::new();
    let mut app = story.connect();
    authenticate(&mut app, &story.bob, true);
    let plan = plan(&mut app, "SELECT * FROM notes");
    assert_eq!(plan.matches("user_id").count(), 2, "once as the recheck, once as the index condition: {plan}");
}

/// Trap 31.
#[test]
fn an_unchanged_policy_is_not_touched() {
    let story = Notes::new();
    let mut admin = story.database.admin();
    let versions = "SELECT string_agg(polname || xmin, ',' ORDER BY polname) FROM pg_policy";
    let before: String = one(&mut admin, versions);
    run(
        &mut admin,
        r#"SELECT rolecall.protect('notes');
           SELECT rolecall.allow('users', 'notes', 'all', '{"owner_id": {"equals": "__loggedInUserId"}}')"#,
    );
    assert_eq!(one::<String>(&mut admin, versions), before);
    run(&mut admin, "SELECT rolecall.allow('guest', 'notes', 'insert')");
    let after: String = one(&mut admin, versions);
    let changed: Vec<_> = before.split(',').zip(after.split(',')).filter(|(a, b)| a != b).map(|(a, _)| a).collect();
    assert!(changed.len() == 2 && changed.iter().all(|name| name.starts_with("rolecall_insert")), "{changed:?}");
}

/// An administrator with an old snapshot does not see what another has just allowed, and must not compile it away.
/// Trap 31.
#[test]
fn administrators_at_the_same_time_lose_nothing_of_each_other() {
    let story = Notes::new();
    let (mut one_admin, mut other) = (story.database.admin(), story.database.admin());
    run(&mut one_admin, r#"SELECT rolecall.allow('guest', 'notes', 'select', '{"id": {"equals": 5}}')"#);
    for statement in ["SELECT rolecall.allow('editor', 'notes', 'select', '{}')", "SELECT rolecall.protect('notes')"] {
        run(&mut other, "ROLLBACK; BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1");
        run(&mut one_admin, "SELECT rolecall.disallow('editor', 'notes', 'delete')");
        assert_eq!(sqlstate(other.batch_execute(statement)).0, "40001", "{statement}");
    }
    run(&mut other, "ROLLBACK; SELECT rolecall.allow('editor', 'notes', 'select', '{}')");
    assert_eq!(notes(&mut story.connect()), 1);
}

#[test]
fn unprotect_leaves_nothing_behind() {
    let story = Notes::new();
    let mut admin = story.database.admin();
    run(&mut admin, "SELECT rolecall.unprotect('notes')");
    assert_eq!(one::<i64>(&mut admin, "SELECT count(*) FROM pg_policy"), 0);
    assert!(!one::<bool>(
        &mut admin,
        "SELECT relrowsecurity OR relforcerowsecurity FROM pg_class WHERE oid = 'notes'::regclass"
    ));
    assert_eq!(notes(&mut story.connect()), ALL);
    run(&mut admin, "SELECT rolecall.protect('notes')");
    let mut app = story.connect();
    authenticate(&mut app, &story.bob, true);
    assert_eq!(notes(&mut app), 0, "its permissions were forgotten");
}

/// Trap 30.
#[test]
fn dropping_the_extension_leaves_tables_closed() {
    let story = Notes::new();
    run(&mut story.database.admin(), "DROP EXTENSION rolecall CASCADE");
    assert_eq!(notes(&mut story.connect()), 0);
}

/// Trap 35.
#[test]
fn odd_names_are_quoted() {
    let story = Notes::new();
    let mut admin = story.database.admin();
    run(
        &mut admin,
        &format!(
            r#"CREATE SCHEMA "My.Schema"; CREATE TABLE "My.Schema"."se""lect" ("or'der" text, "Straße" int);
            GRANT USAGE ON SCHEMA "My.Schema" TO {app}; GRANT SELECT ON "My.Schema"."se""lect" TO {app};
            INSERT INTO "My.Schema"."se""lect" VALUES ('x', 1), ('y', 2);
            SELECT rolecall.create_role('it''s "odd"; DROP TABLE notes');
            SELECT rolecall.grant_role('it''s "odd"; DROP TABLE notes', 'bob');
            SELECT rolecall.protect('"My.Schema"."se""lect"');
            SELECT rolecall.allow('it''s "odd"; DROP TABLE notes', '"My.Schema"."se""lect"', 'select',
                                  '{{"or''der": {{"equals": "x"}}, "Straße": {{"in": [1, 2]}}}}')"#,
            app = story.app
        ),
    );
    let mut app = story.connect();
    authenticate(&mut app, &story.bob, true);
    assert_eq!(column(&mut app, r#"SELECT "or'der" FROM "My.Schema"."se""lect""#), ["x"]);
}

#[test]
fn bad_arguments_get_one_clear_error() {
    let story = Notes::new();
    let mut admin = story.database.admin();
    run(&mut admin, "CREATE VIEW a_view AS SELECT 1 AS x; CREATE TABLE open (id int)");
    for (statement, state, message) in [
        ("SELECT rolecall.protect(NULL)", "22023", "target must not be NULL"),
        ("SELECT rolecall.protect('a_view')", "22023", "it is no table"),
        ("SELECT rolecall.protect('pg_class')", "22023", "belongs to the system"),
        ("SELECT rolecall.protect('rolecall.users')", "22023", "belongs to the system or to rolecall"),
        ("SELECT rolecall.protect(999999::oid)", "42704", "does not exist"),
        ("SELECT rolecall.unprotect('open')", "55000", "public.open is not protected"),
        ("SELECT rolecall.allow('editor', 'open', 'select')", "55000", "public.open is not protected"),
        ("SELECT rolecall.allow('nope', 'notes', 'select')", "42704", "role \"nope\" does not exist"),
        ("SELECT rolecall.allow('editor', 'notes', 'truncate')", "22023", "is none of"),
        ("SELECT rolecall.allow('editor', 'notes', 'select', NULL)", "22023", "filter must not be NULL"),
        ("SELECT rolecall.allow('editor', 'notes', 'select', '[]')", "22023", "expected a filter object"),
        ("SELECT rolecall.disallow('nope', 'notes', 'select')", "42704", "role \"nope\""),
        ("SELECT rolecall.grant_role('nope', 'bob')", "42704", "role \"nope\""),
        ("SELECT rolecall.grant_role('editor', 'nope')", "42704", "user \"nope\""),
        ("SELECT rolecall.grant_role('editor', 'role:nope')", "42704", "role \"nope\""),
        ("SELECT rolecall.create_role('editor')", "42710", "role \"editor\" exists already"),
        ("SELECT rolecall.create_role('')", "22023", "must not be empty"),
        ("SELECT rolecall.create_role('x', database_role => 'nope')", "42704", "database role \"nope\""),
    ] {
        let (got, text) = sqlstate(admin.batch_execute(statement));
        assert_eq!(got, state, "{statement}: {text}");
        assert!(text.contains(message), "{statement}: {text}");
    }
}
