//! Access-control lists in partitions, views, dumps, and beside presets and columns.

use crate::support::*;
use postgres::Client;

/// A table of tasks with ACLs, in partitions, and the session of bob (`u2`).
fn tasks() -> (Notes<'static>, Client, Client) {
    let story = Notes::new();
    let mut admin = story.database.admin();
    run(
        &mut admin,
        &format!(
            r#"CREATE TABLE tasks (id int, title text, secret text, _acl jsonb) PARTITION BY RANGE (id);
            CREATE TABLE tasks_low PARTITION OF tasks FOR VALUES FROM (0) TO (100);
            SELECT rolecall.protect('tasks', acl_column => '_acl');
            CREATE TABLE tasks_high PARTITION OF tasks FOR VALUES FROM (100) TO (200);
            GRANT SELECT, INSERT, UPDATE ON tasks, tasks_low, tasks_high TO {};
            INSERT INTO tasks VALUES (1, 'one', 'x', '[{{"id": "u2", "rights": ["read"]}}]'), (2, 'two', 'x', '[]'),
                   (101, 'high', 'x', '[{{"id": "u2", "rights": ["read", "update"]}}]'), (102, 'higher', 'x', '[]');"#,
            story.app
        ),
    );
    let mut bob = story.connect();
    authenticate(&mut bob, &story.bob, true);
    (story, admin, bob)
}

fn ids(client: &mut Client, table: &str) -> Vec<String> {
    column(client, &format!("SELECT id FROM {table} ORDER BY id"))
}

#[test]
fn partitions_have_the_acls_of_their_parent() {
    let (_story, mut admin, mut bob) = tasks();
    assert_eq!(ids(&mut bob, "tasks"), ["1", "101"]);
    assert_eq!([ids(&mut bob, "tasks_low"), ids(&mut bob, "tasks_high")], [["1"], ["101"]]);
    run(&mut bob, "INSERT INTO tasks_low (id) VALUES (3); INSERT INTO tasks (id) VALUES (103)");
    assert_eq!(ids(&mut bob, "tasks"), ["1", "3", "101", "103"]);
    run(&mut bob, "UPDATE tasks_high SET _acl = '[]'");
    assert_eq!(ids(&mut bob, "tasks_high"), ["101", "103"], "not locked out of either");
    run(&mut admin, "SELECT rolecall.unprotect('tasks')");
    run(&mut bob, "INSERT INTO tasks_low (id) VALUES (4)");
    assert_eq!(column(&mut admin, "SELECT id FROM tasks WHERE _acl IS NULL"), ["4"], "no trigger is left");
}

#[test]
fn an_acl_shows_all_columns_and_permissions_only_theirs() {
    let (_story, mut admin, mut bob) = tasks();
    run(
        &mut admin,
        r#"SELECT rolecall.allow('users', 'tasks', 'select', '{"id": {"gt": 101}}', columns => '{id,title}')"#,
    );
    let titles = "SELECT string_agg(id || title, ' ' ORDER BY id) FROM tasks";
    assert_eq!(one::<String>(&mut bob, titles), "1one 101high 102higher");
    assert_eq!(column(&mut bob, "SELECT id FROM tasks WHERE secret = 'x' ORDER BY id"), ["1", "101"]);
    let view: String = one(&mut admin, "SELECT rolecall.expose('tasks')::text");
    let cells = format!("SELECT string_agg(concat_ws(':', id, secret), ' ' ORDER BY id) FROM {view}");
    assert_eq!(one::<String>(&mut bob, &cells), "1:x 101:x 102");
}

#[test]
fn a_row_that_the_acl_does_not_let_one_write_is_refused_with_a_hint() {
    let (_story, mut admin, mut bob) = tasks();
    let hint = |client: &mut Client, sql: &str| {
        let error = client.batch_execute(sql).expect_err(sql);
        error.as_db_error().unwrap().hint().unwrap_or_default().to_owned()
    };
    run(&mut bob, "SELECT rolecall.logout()");
    let said = hint(&mut bob, "INSERT INTO tasks (id) VALUES (5)");
    assert!(said.contains("The row's ACL in \"_acl\" does not let you create."), "{said}");
    // A preset and the ACL are set side by side.
    run(&mut admin, r#"SELECT rolecall.allow('guest', 'tasks', 'insert', preset => '{"title": "by anybody"}')"#);
    run(&mut bob, "INSERT INTO tasks (id) VALUES (5)");
    assert_eq!(column(&mut admin, "SELECT title || jsonb_array_length(_acl) FROM tasks WHERE id = 5"), ["by anybody1"]);
}

#[test]
fn a_restored_dump_has_the_acls() {
    let (story, _admin, _bob) = tasks();
    let restored = crate::dump::restore(&story.database);
    let mut bob = restored.connect(&story.app);
    authenticate(&mut bob, &token(&mut restored.admin(), "bob", "can we fix it"), true);
    assert_eq!(ids(&mut bob, "tasks"), ["1", "101"]);
    run(&mut bob, "INSERT INTO tasks (id) VALUES (6)");
    assert_eq!(ids(&mut bob, "tasks"), ["1", "6", "101"]);
    run(&mut restored.admin(), "ALTER TABLE tasks RENAME _acl TO rights");
    run(&mut bob, "INSERT INTO tasks (id) VALUES (7)");
    assert_eq!(ids(&mut bob, "tasks_low"), ["1", "6", "7"]);
}

#[test]
fn the_acls_column_is_on_record() {
    let (_story, mut admin, _bob) = tasks();
    let recorded =
        "SELECT action FROM rolecall.audit_log WHERE object = 'protected_tables' AND new ->> 'acl_column' = '_acl'";
    assert_eq!(column(&mut admin, recorded), ["update"]);
}
