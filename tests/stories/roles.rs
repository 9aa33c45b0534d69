//! Roles: nesting, cycles, and how quickly a change is seen.

use crate::support::*;
use rolecall_tests::sqlstate;

fn has(client: &mut postgres::Client, role: &str) -> bool {
    one(client, &format!("SELECT rolecall.has_role('{role}')"))
}

#[test]
fn members_that_are_roles_pass_on_what_they_hold() {
    let story = Notes::new();
    let mut admin = story.database.admin();
    for level in 0..100 {
        run(&mut admin, &format!("SELECT rolecall.create_role('level {level}')"));
        if level > 0 {
            run(&mut admin, &format!("SELECT rolecall.grant_role('level {level}', 'role:level {}')", level - 1));
        }
    }
    run(&mut admin, "SELECT rolecall.grant_role('editor', 'role:level 99')");
    let mut app = story.connect();
    authenticate(&mut app, &story.bob, true);
    assert!(!has(&mut app, "editor"));
    run(&mut admin, "SELECT rolecall.grant_role('level 0', 'bob')");
    assert!(has(&mut app, "editor") && has(&mut app, "level 50"));
    assert_eq!(notes(&mut app), ALL);
    run(&mut admin, "SELECT rolecall.revoke_role('level 60', 'role:level 59')");
    assert!(has(&mut app, "level 59") && !has(&mut app, "level 60") && !has(&mut app, "editor"));
    assert_eq!(notes(&mut app), BOBS);
}

#[test]
fn everybody_is_a_guest_and_every_user_a_user() {
    let story = Notes::new();
    let mut app = story.connect();
    assert!(has(&mut app, "guest") && !has(&mut app, "users") && !has(&mut app, "admins") && !has(&mut app, "no such"));
    authenticate(&mut app, &story.bob, true);
    assert!(has(&mut app, "guest") && has(&mut app, "users") && !has(&mut app, "admins"));
}

#[test]
fn a_cycle_is_refused() {
    let story = Notes::new();
    let mut admin = story.database.admin();
    run(
        &mut admin,
        "SELECT rolecall.create_role(r) FROM unnest('{a,b,c}'::text[]) r;
         SELECT rolecall.grant_role('b', 'role:a'); SELECT rolecall.grant_role('c', 'role:b');",
    );
    for (role, member) in [("a", "a"), ("a", "b"), ("a", "c")] {
        let (state, message) =
            sqlstate(admin.execute("SELECT rolecall.grant_role($1, 'role:' || $2)", &[&role, &member]));
        assert_eq!(state, "22023");
        assert!(message.contains("cycle"), "{message}");
    }
    run(&mut admin, "SELECT rolecall.grant_role('c', 'role:a')");
}

/// Trap 31.
#[test]
fn a_cycle_that_two_sessions_build_at_once_is_refused() {
    for isolation in ["READ COMMITTED", "REPEATABLE READ"] {
        let story = Notes::new();
        let (mut one_half, mut other_half) = (story.database.admin(), story.database.admin());
        run(&mut one_half, "SELECT rolecall.create_role(r) FROM unnest('{a,b}'::text[]) r");
        run(&mut other_half, &format!("BEGIN ISOLATION LEVEL {isolation}; SELECT count(*) FROM rolecall.roles"));
        run(&mut one_half, "BEGIN; SELECT rolecall.grant_role('a', 'role:b')");
        let waiting = std::thread::spawn(move || {
            let result = other_half.batch_execute("SELECT rolecall.grant_role('b', 'role:a')");
            sqlstate(result)
        });
        std::thread::sleep(std::time::Duration::from_millis(200));
        assert!(!waiting.is_finished(), "the second waits for the first");
        run(&mut one_half, "COMMIT");
        let (state, message) = waiting.join().unwrap();
        assert_eq!(state, "22023", "{isolation}: {message}");
    }
}

#[test]
fn other_sessions_see_a_change_at_their_next_statement() {
    let story = Notes::new();
    let mut admin = story.database.admin();
    let mut app = story.connect();
    authenticate(&mut app, &story.bob, true);
    let count = app.prepare("SELECT count(*) FROM notes").unwrap();
    let mut seen = || app.query_one(&count, &[]).unwrap().get::<_, i64>(0);
    for _ in 0..7 {
        assert_eq!(seen(), BOBS);
    }
    run(&mut admin, "BEGIN; SELECT rolecall.grant_role('editor', 'bob')");
    assert_eq!(seen(), BOBS, "not before it is committed");
    run(&mut admin, "COMMIT");
    assert_eq!(seen(), ALL);
    run(&mut admin, "BEGIN; SELECT rolecall.revoke_role('editor', 'bob'); ROLLBACK");
    assert_eq!(seen(), ALL);
    run(&mut admin, "SELECT rolecall.revoke_role('editor', 'bob')");
    assert_eq!(seen(), BOBS);
    run(
        &mut admin,
        "BEGIN; SET LOCAL session_replication_role = replica; SELECT rolecall.grant_role('editor', 'bob'); COMMIT",
    );
    assert_eq!(seen(), ALL, "also what replication applies");
}

#[test]
fn an_open_transaction_sees_a_change_too() {
    let story = Notes::new();
    let mut admin = story.database.admin();
    for isolation in ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"] {
        let mut app = story.connect();
        run(&mut app, &format!("BEGIN ISOLATION LEVEL {isolation}"));
        authenticate(&mut app, &story.bob, false);
        assert!(!has(&mut app, "editor"));
        assert_eq!(notes(&mut app), BOBS);
        run(&mut admin, "SELECT rolecall.grant_role('editor', 'bob')");
        assert!(has(&mut app, "editor"), "{isolation}");
        assert_eq!(notes(&mut app), ALL, "{isolation}");
        run(&mut admin, "SELECT rolecall.revoke_role('editor', 'bob')");
        assert!(!has(&mut app, "editor"), "{isolation}");
        assert_eq!(notes(&mut app), BOBS, "{isolation}");
        run(&mut app, "COMMIT");
    }
}

/// A prepared statement that repeats in one transaction takes no new lock, so PostgreSQL does not look whether its plan
/// still holds. The plan for the former roles is refused, and right at the next try.
/// Trap 7.
#[test]
fn a_plan_for_former_roles_is_refused_not_run() {
    let story = Notes::new();
    let mut admin = story.database.admin();
    let mut app = story.connect();
    authenticate(&mut app, &story.bob, true);
    let count = app.prepare("SELECT count(*) FROM notes").unwrap();
    for (change, seen) in [("grant", ALL), ("revoke", BOBS)] {
        run(&mut app, "BEGIN");
        for _ in 0..7 {
            app.query_one(&count, &[]).unwrap();
        }
        run(&mut app, "DECLARE c CURSOR FOR SELECT * FROM notes; FETCH 3 FROM c; SAVEPOINT s");
        run(&mut admin, &format!("SELECT rolecall.{change}_role('editor', 'bob')"));
        assert_eq!(sqlstate(app.query_one(&count, &[])).0, "40001");
        run(&mut app, "ROLLBACK TO s");
        assert_eq!(sqlstate(app.batch_execute("FETCH 3 FROM c")).0, "40001");
        run(&mut app, "ROLLBACK");
        assert_eq!(app.query_one(&count, &[]).unwrap().get::<_, i64>(0), seen);
    }
}

#[test]
fn an_old_snapshot_leaves_nothing_behind() {
    let story = Notes::new();
    let mut admin = story.database.admin();
    let mut app = story.connect();
    authenticate(&mut app, &story.bob, true);
    run(&mut app, "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1");
    run(&mut admin, "SELECT rolecall.grant_role('editor', 'bob')");
    assert!(has(&mut app, "editor"));
    run(&mut app, "COMMIT");
    assert!(has(&mut app, "editor"), "what was looked up in the transaction was not the old state");
}

#[test]
fn ones_own_change_is_seen_at_once_and_undone_with_the_transaction() {
    let story = Notes::new();
    let mut admin = story.database.admin();
    run(&mut admin, "SELECT rolecall.grant_role('admins', 'bob')");
    let mut app = story.connect();
    authenticate(&mut app, &story.bob, true);
    run(&mut app, "BEGIN; SELECT rolecall.create_role('new'); SAVEPOINT s; SELECT rolecall.grant_role('new', 'bob')");
    assert!(has(&mut app, "new"));
    run(&mut app, "ROLLBACK TO s");
    assert!(!has(&mut app, "new"));
    run(&mut app, "SELECT rolecall.grant_role('new', 'bob'); ROLLBACK");
    assert!(!has(&mut app, "new"));
}

#[test]
fn members_of_a_linked_database_role_hold_the_role() {
    let story = Notes::new();
    let group = story.database.login("group");
    let mut admin = story.database.admin();
    run(&mut admin, &format!("SELECT rolecall.create_role('staff', database_role => '{group}')"));
    let mut app = story.connect();
    assert!(!has(&mut app, "staff"));
    run(&mut admin, &format!("GRANT {group} TO {}", story.app));
    assert!(has(&mut app, "staff"));
    authenticate(&mut app, &story.bob, true);
    assert!(has(&mut app, "staff"), "every session of a member holds it");
    run(&mut admin, &format!("REVOKE {group} FROM {}", story.app));
    assert!(!has(&mut app, "staff"));
    assert!(!has(&mut admin, "staff"), "a superuser is no member by being one");
}

#[test]
fn only_administrators_administer() {
    let story = Notes::new();
    let mut app = story.connect();
    let statements = [
        "SELECT rolecall.create_role('x')",
        "SELECT rolecall.grant_role('admins', 'bob')",
        "SELECT rolecall.revoke_role('editor', 'alice')",
        "SELECT rolecall.create_user('mallory')",
        "SELECT rolecall.protect('notes')",
        "SELECT rolecall.unprotect('notes')",
        "SELECT rolecall.allow('guest', 'notes', 'all')",
        "SELECT rolecall.disallow('editor', 'notes', 'all')",
    ];
    for identity in [None, Some(&story.bob), Some(&story.alice)] {
        if let Some(token) = identity {
            authenticate(&mut app, token, true);
        }
        for statement in statements {
            let (state, message) = sqlstate(app.batch_execute(statement));
            assert_eq!(state, "42501", "{statement}: {message}");
            assert!(message.contains("needs an administrator"), "{message}");
        }
    }
    let mut admin = story.database.admin();
    authenticate(&mut admin, &story.bob, true);
    assert_eq!(
        sqlstate(admin.batch_execute("SELECT rolecall.create_role('x')")).0,
        "42501",
        "a login goes before superuser"
    );
    run(&mut admin, "SELECT rolecall.logout(); SELECT rolecall.grant_role('admins', 'bob')");
    run(&mut app, "SELECT rolecall.logout()");
    authenticate(&mut app, &story.bob, true);
    run(&mut app, "SELECT rolecall.create_role('by bob')");
    assert_eq!(notes(&mut app), ALL, "administrators pass every filter");
    run(&mut admin, &format!("SET ROLE {}", story.app));
    assert_eq!(
        sqlstate(admin.batch_execute("SELECT rolecall.create_role('y')")).0,
        "42501",
        "SET ROLE gives powers up"
    );
}
