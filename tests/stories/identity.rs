//! Who acts: logging in, and how long an identity lasts.

use crate::support::*;
use rolecall_tests::sqlstate;

#[test]
fn a_password_gives_a_token_and_a_token_an_identity() {
    let story = Notes::new();
    let mut app = story.connect();
    assert_eq!(notes(&mut app), 0, "nobody sees nothing");
    let mut transaction = app.transaction().unwrap();
    let id: String = transaction.query_one("SELECT rolecall.authenticate($1)", &[&story.bob]).unwrap().get(0);
    assert_eq!(id, "u2");
    let row = transaction
        .query_one(
            "SELECT rolecall.user_id(), rolecall.user_email(), rolecall.api_token_id(), rolecall.whoami()::text",
            &[],
        )
        .unwrap();
    assert_eq!(row.get::<_, String>(0), "u2");
    assert_eq!(row.get::<_, String>(1), "bob@example.org");
    assert_eq!(row.get::<_, Option<String>>(2), None);
    let who: serde_json::Value = serde_json::from_str(row.get(3)).unwrap();
    assert_eq!(who["user_id"], "u2");
    assert_eq!(who["username"], "bob");
    assert_eq!(who["roles"], serde_json::json!(["guest", "users"]));
    assert_eq!(who["via"], "jwt");
    assert!(who["expires_at"].as_str().unwrap().starts_with("20"), "{who}");
    transaction.commit().unwrap();
    let who: serde_json::Value =
        serde_json::from_str(&one::<String>(&mut app, "SELECT rolecall.whoami()::text")).unwrap();
    assert_eq!((&who["user_id"], &who["via"]), (&serde_json::Value::Null, &"none".into()));
    assert_eq!(who["roles"], serde_json::json!(["guest"]));
}

/// Trap 1.
#[test]
fn an_identity_ends_with_its_transaction() {
    let story = Notes::new();
    let mut app = story.connect();
    authenticate(&mut app, &story.bob, false);
    assert_eq!(notes(&mut app), 0, "the statement was a transaction of its own");
    for end in ["COMMIT", "ROLLBACK"] {
        run(&mut app, "BEGIN");
        authenticate(&mut app, &story.bob, false);
        assert_eq!(notes(&mut app), BOBS);
        run(&mut app, end);
        assert_eq!(notes(&mut app), 0, "after {end}");
    }
}

/// Trap 1.
#[test]
fn an_identity_for_the_session_lasts_until_it_is_given_up() {
    let story = Notes::new();
    for end in ["SELECT rolecall.logout()", "RESET ALL", "DISCARD ALL"] {
        let mut app = story.connect();
        authenticate(&mut app, &story.bob, true);
        assert_eq!(notes(&mut app), BOBS);
        run(&mut app, "BEGIN; SELECT 1; ROLLBACK");
        assert_eq!(notes(&mut app), BOBS, "a later transaction takes nothing away");
        run(&mut app, end);
        assert_eq!(notes(&mut app), 0, "after {end}");
        assert_eq!(one::<Option<String>>(&mut app, "SELECT rolecall.user_id()"), None);
    }
}

/// Trap 1.
#[test]
fn rollback_restores_who_acted_before() {
    let story = Notes::new();
    let mut app = story.connect();
    authenticate(&mut app, &story.bob, true);
    run(&mut app, "BEGIN");
    authenticate(&mut app, &story.alice, true);
    assert_eq!(notes(&mut app), ALL);
    run(&mut app, "ROLLBACK");
    assert_eq!(notes(&mut app), BOBS);

    run(&mut app, "BEGIN; SELECT rolecall.logout()");
    assert_eq!(notes(&mut app), 0);
    run(&mut app, "ROLLBACK");
    assert_eq!(notes(&mut app), BOBS);
}

/// Trap 1.
#[test]
fn savepoints_and_exception_blocks_restore_who_acted_before() {
    let story = Notes::new();
    let mut app = story.connect();
    run(&mut app, "BEGIN");
    authenticate(&mut app, &story.bob, false);
    run(&mut app, "SAVEPOINT s");
    authenticate(&mut app, &story.alice, false);
    assert_eq!(notes(&mut app), ALL);
    run(&mut app, "ROLLBACK TO s");
    assert_eq!(notes(&mut app), BOBS);
    run(&mut app, "SAVEPOINT t");
    authenticate(&mut app, &story.alice, false);
    run(&mut app, "RELEASE t");
    assert_eq!(notes(&mut app), ALL, "released, it is part of the transaction");
    run(&mut app, "ROLLBACK TO s");
    let caught = format!(
        "DO $$ BEGIN PERFORM rolecall.authenticate('{}'); RAISE EXCEPTION 'no'; EXCEPTION WHEN OTHERS THEN NULL; END $$",
        story.alice
    );
    run(&mut app, &caught);
    assert_eq!(notes(&mut app), BOBS);
    run(&mut app, "COMMIT");
    assert_eq!(notes(&mut app), 0);
}

#[test]
fn a_batch_may_begin_with_authenticate() {
    let story = Notes::new();
    let mut app = story.connect();
    let batch = format!("SELECT rolecall.authenticate('{}'); SELECT count(*) FROM notes", story.bob);
    let counts: Vec<_> = app
        .simple_query(&batch)
        .unwrap()
        .into_iter()
        .filter_map(|message| match message {
            postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        })
        .collect();
    assert_eq!(counts, ["u2".to_owned(), BOBS.to_string()]);
    assert_eq!(notes(&mut app), 0, "the batch was one transaction");
}

/// Trap 6.
#[test]
fn parallel_workers_act_as_the_same_user() {
    let story = Notes::new();
    let mut app = story.connect();
    run(
        &mut app,
        "SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0;
         SET parallel_leader_participation = off; SET enable_indexscan = off; SET enable_bitmapscan = off;
         BEGIN",
    );
    authenticate(&mut app, &story.bob, false);
    let launched = |app: &mut postgres::Client, sql: &str| {
        let rows = app.query(&format!("EXPLAIN (ANALYZE, COSTS OFF) {sql}"), &[]).unwrap();
        rows.iter().any(|row| {
            let line: String = row.get(0);
            line.trim().strip_prefix("Workers Launched: ").is_some_and(|n| n != "0")
        })
    };
    assert!(launched(&mut app, "SELECT count(*) FROM notes"));
    assert_eq!(notes(&mut app), BOBS);
    // A role test that cannot be folded reads the tables inside the worker.
    let unfolded =
        "SELECT count(*) FROM generate_series(1, 10) g, notes WHERE rolecall.has_role(substr('usersx', 1, 5))";
    assert!(launched(&mut app, "SELECT count(*) FROM notes WHERE rolecall.has_role(substr('usersx' || body, 1, 5))"));
    let seen =
        one::<i64>(&mut app, "SELECT count(*) FROM notes WHERE rolecall.has_role(substr('usersx' || body, 1, 5))");
    assert_eq!(seen, BOBS);
    assert_eq!(one::<i64>(&mut app, unfolded), 10 * BOBS);
}

/// Trap 33.
#[test]
fn an_expired_login_is_refused_at_the_next_statement() {
    let story = Notes::new();
    let mut app = story.connect();
    let short: String = one(&mut app, "SELECT rolecall.login('alice', 'wonderland 1865', '2 seconds')");
    authenticate(&mut app, &short, true);
    let count = app.prepare("SELECT count(*) FROM notes").unwrap();
    let roles_only = app.prepare("SELECT 1 WHERE rolecall.has_role('editor')").unwrap();
    for _ in 0..7 {
        assert_eq!(app.query_one(&count, &[]).unwrap().get::<_, i64>(0), ALL);
        app.query_one(&roles_only, &[]).unwrap();
    }
    std::thread::sleep(std::time::Duration::from_millis(2100));
    assert_eq!(sqlstate(app.query_one(&count, &[])).0, "28000");
    assert_eq!(sqlstate(app.query_one(&roles_only, &[])).0, "28000");
    for statement in ["SELECT * FROM notes", "SELECT rolecall.user_id()", "SELECT rolecall.whoami()"] {
        let (state, message) = sqlstate(app.query(statement, &[]));
        assert_eq!((state.as_str(), message.as_str()), ("28000", "the login has expired"), "{statement}");
    }
    run(&mut app, "SELECT rolecall.logout()");
    assert_eq!(notes(&mut app), 0, "logged out, one is nobody again");
    let (state, message) = sqlstate(app.execute("SELECT rolecall.authenticate($1)", &[&short]));
    assert_eq!((state.as_str(), message.as_str()), ("28000", "the login has expired"));
}

#[test]
fn a_deleted_user_is_refused_at_the_next_statement() {
    let story = Notes::new();
    let mut app = story.connect();
    authenticate(&mut app, &story.alice, true);
    run(&mut app, "BEGIN");
    assert_eq!(notes(&mut app), ALL);
    run(&mut story.database.admin(), "DELETE FROM rolecall.users WHERE id = 'u1'");
    assert_eq!(sqlstate(app.query("SELECT * FROM notes", &[])).0, "28000");
    run(&mut app, "ROLLBACK");
    assert_eq!(sqlstate(app.execute("SELECT rolecall.authenticate($1)", &[&story.alice])).0, "28000");
}

/// Trap 34, CVE-2026-14672.
#[test]
fn a_wrong_name_and_a_wrong_password_are_told_apart_by_nothing() {
    let story = Notes::new();
    let mut app = story.connect();
    let wrong_name = sqlstate(app.query("SELECT rolecall.login('nobody', 'wonderland 1865')", &[]));
    let wrong_password = sqlstate(app.query("SELECT rolecall.login('alice', 'underland')", &[]));
    run(&mut story.database.admin(), "SELECT rolecall.create_user('robot', kind => 'robot')");
    let no_password = sqlstate(app.query("SELECT rolecall.login('robot', '')", &[]));
    assert_eq!(wrong_name, ("28P01".into(), "wrong user name or password".into()));
    assert_eq!(wrong_name, wrong_password);
    assert_eq!(wrong_name, no_password);

    let mut best = [f64::INFINITY; 2];
    for _ in 0..7 {
        for (best, name) in best.iter_mut().zip(["nobody", "alice"]) {
            let start = std::time::Instant::now();
            app.query("SELECT rolecall.login($1, 'x')", &[&name]).unwrap_err();
            *best = best.min(start.elapsed().as_secs_f64());
        }
    }
    let ratio = best[0] / best[1];
    assert!((0.4..2.5).contains(&ratio), "an unknown name takes {ratio} times as long");
}

#[test]
fn a_psql_session_is_the_user_its_database_role_is_linked_to() {
    let story = Notes::new();
    let carol = story.database.login("carol");
    let mut admin = story.database.admin();
    run(
        &mut admin,
        &format!(
            "SELECT rolecall.create_user('carol', id => 'u3', database_role => '{carol}');
             GRANT SELECT ON notes TO {carol}; GRANT {app} TO {carol};
             CREATE FUNCTION as_definer() RETURNS text SECURITY DEFINER LANGUAGE sql AS 'SELECT rolecall.user_id()'",
            app = story.app
        ),
    );
    let mut psql = story.database.connect(&carol);
    assert_eq!(notes(&mut psql), 100);
    assert_eq!(one::<String>(&mut psql, "SELECT rolecall.user_id()"), "u3");
    assert_eq!(one::<String>(&mut psql, "SELECT rolecall.whoami() ->> 'via'"), "database_role");
    run(&mut psql, &format!("SET ROLE {}", story.app));
    assert_eq!(one::<String>(&mut psql, "SELECT rolecall.user_id()"), "u3", "session_user counts, not SET ROLE");
    assert_eq!(one::<String>(&mut psql, "SELECT as_definer()"), "u3");
    run(&mut psql, "RESET ROLE; BEGIN");
    authenticate(&mut psql, &story.bob, false);
    assert_eq!(one::<String>(&mut psql, "SELECT rolecall.user_id()"), "u2", "a token goes before the link");
    run(&mut psql, "COMMIT");
    run(&mut admin, "UPDATE rolecall.users SET database_role = NULL WHERE id = 'u3'");
    assert_eq!(notes(&mut psql), 0, "a link taken away ends at the next statement");
}

#[test]
fn require_login_says_what_to_do() {
    let story = Notes::new();
    let mut app = story.connect();
    let error = app.batch_execute("SELECT rolecall.require_login()").unwrap_err();
    let error = error.as_db_error().unwrap();
    assert_eq!((error.code().code(), error.message()), ("28000", "Unauthorized: Please log in"));
    assert!(error.hint().unwrap().contains("rolecall.login()"));
    authenticate(&mut app, &story.bob, true);
    run(&mut app, "SELECT rolecall.require_login()");
}

#[test]
fn bad_arguments_get_one_clear_error() {
    let story = Notes::new();
    let mut admin = story.database.admin();
    for (statement, state, message) in [
        ("SELECT rolecall.create_user(NULL)", "22023", "username must not be NULL"),
        ("SELECT rolecall.create_user('')", "22023", "must not be empty"),
        ("SELECT rolecall.create_user(repeat('x', 256))", "22023", "longer than 255"),
        ("SELECT rolecall.create_user('x', id => repeat('x', 256))", "22023", "longer than 255"),
        ("SELECT rolecall.create_user('role:x')", "22023", "must not be empty or begin with"),
        ("SELECT rolecall.create_user('x', kind => 'cat')", "22023", "neither"),
        ("SELECT rolecall.create_user('x', id => '')", "22023", "id \"\" must not be empty"),
        ("SELECT rolecall.create_user('alice')", "42710", "user \"alice\" exists already"),
        ("SELECT rolecall.create_user('x', id => 'u1')", "42710", "user with id \"u1\" exists already"),
        ("SELECT rolecall.create_user('x', roles => '{nope}')", "42704", "role \"nope\" does not exist"),
        ("SELECT rolecall.create_user('x', database_role => 'nope')", "42704", "database role \"nope\""),
        (
            "SELECT rolecall.create_user('x', database_role => 'postgres'), rolecall.create_user('y', database_role => 'postgres')",
            "42710",
            "user linked to database role \"postgres\" exists already",
        ),
        ("SELECT rolecall.login('alice', 'wonderland 1865', '0')", "22023", "at least a second"),
        ("SELECT rolecall.login('alice', 'wonderland 1865', '-1 day')", "22023", "at least a second"),
        ("SELECT rolecall.login('alice', 'wonderland 1865', '400 days')", "22023", "at most a year"),
        ("SELECT rolecall.login('alice', NULL)", "22023", "password must not be NULL"),
        ("SELECT rolecall.authenticate(NULL)", "28000", "NULL"),
        ("SELECT rolecall.authenticate('')", "28000", "no JWT"),
        ("SELECT rolecall.authenticate(repeat('x', 20000))", "28000", "too long"),
    ] {
        let (got, text) = sqlstate(admin.batch_execute(statement));
        assert_eq!(got, state, "{statement}: {text}");
        assert!(text.contains(message), "{statement}: {text}");
    }
    let users: i64 = one(&mut admin, "SELECT count(*) FROM rolecall.users");
    assert_eq!(users, 2, "nothing was left half done");
    run(&mut admin, "SELECT rolecall.create_user('dba', database_role => 'postgres')");
    run(&mut admin, "SELECT rolecall.create_role('made by a linked superuser')");
}
