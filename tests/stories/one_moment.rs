//! A statement that is under way goes on as whom it was started for: a change of roles in its middle neither shows a row
//! that was hidden before and after, nor hides one.

use crate::support::*;
use std::time::Duration;

/// Runs a query of Bob's that waits at its first row, in which his roles change; its rows.
fn with_change_in_the_middle(change: &str, waiting: &str, query: &str) -> Vec<String> {
    let story = Notes::new();
    let mut admin = story.database.admin();
    let app = &story.app;
    run(
        &mut admin,
        &format!(
            r#"SELECT rolecall.create_role('team'), rolecall.create_role('other'), rolecall.grant_role('team', 'bob');
            CREATE TABLE docs (id int PRIMARY KEY, acl jsonb);
            INSERT INTO docs VALUES (1, '[]'), (2, '[{{"id": "team", "rights": ["read"], "deny": true}}]'), (3, '[]'),
                (4, '[{{"id": "other", "rights": ["read"]}}]'), (5, '[{{"id": "other", "rights": ["read"], "deny": true}}]');
            SELECT rolecall.protect('docs', 'acl'), rolecall.allow('team', 'docs', 'select');
            CREATE TABLE plain (id int); GRANT SELECT ON docs, plain TO {app};
            CREATE FUNCTION wait(id int) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
            BEGIN
                IF id = 1 THEN PERFORM pg_advisory_xact_lock_shared(1); {waiting} END IF;
                RETURN true;
            END $$"#
        ),
    );
    let mut bob = story.connect();
    run(&mut bob, "SET statement_timeout = '60s'");
    authenticate(&mut bob, &story.bob, true);
    run(&mut admin, "SELECT pg_advisory_lock(1)");
    let rows = std::thread::scope(|scope| {
        let reading = scope.spawn(|| column(&mut bob, query));
        let waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
                      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        while !reading.is_finished() && one::<i64>(&mut admin, waits) == 0 {
            std::thread::sleep(Duration::from_millis(10));
        }
        run(&mut admin, change);
        run(&mut admin, "SELECT pg_advisory_unlock(1)");
        reading.join().expect("rows")
    });
    // From the next statement on the change holds.
    let mut after = column(&mut bob, "SELECT id FROM docs ORDER BY id");
    after.retain(|id| rows.contains(id));
    assert_ne!(after, rows, "{change}");
    rows
}

#[test]
fn a_change_of_roles_in_the_middle_of_a_statement_holds_from_the_next_one_on() {
    let query = "SELECT id FROM docs WHERE wait(id)";
    for waiting in
        ["", "PERFORM count(*) FROM plain;", "PERFORM rolecall.user_id();", "EXECUTE 'SELECT count(*) FROM docs';"]
    {
        let revoke = "SELECT rolecall.revoke_role('team', 'bob')";
        assert_eq!(with_change_in_the_middle(revoke, waiting, query), ["1", "3", "4", "5"], "{waiting}");
        let swap = "SELECT rolecall.revoke_role('team', 'bob'), rolecall.grant_role('other', 'bob')";
        assert_eq!(with_change_in_the_middle(swap, waiting, query), ["1", "3", "4", "5"], "{waiting}");
    }
}
