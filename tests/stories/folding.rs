//! Role tests are folded into plans, and yet no plan ever serves another identity's rows.

use crate::support::*;
use postgres::Client;
use rolecall_tests::{Cluster, sqlstate};

/// alice and bob in turn, each for the session, with what they see.
fn switching(story: &Notes<'_>, app: &mut Client, mut seen: impl FnMut(&mut Client) -> i64) {
    for _ in 0..8 {
        authenticate(app, &story.bob, true);
        assert_eq!(seen(app), BOBS);
    }
    for _ in 0..3 {
        authenticate(app, &story.alice, true);
        assert_eq!(seen(app), ALL);
        authenticate(app, &story.bob, true);
        assert_eq!(seen(app), BOBS);
        run(app, "BEGIN");
        authenticate(app, &story.alice, false);
        assert_eq!(seen(app), ALL);
        run(app, "SAVEPOINT s");
        authenticate(app, &story.bob, false);
        assert_eq!(seen(app), BOBS);
        run(app, "ROLLBACK TO s");
        assert_eq!(seen(app), ALL);
        run(app, "COMMIT");
        assert_eq!(seen(app), BOBS);
        run(app, "SELECT rolecall.logout()");
        assert_eq!(seen(app), 0);
    }
}

/// Trap 5.
#[test]
fn an_owner_column_is_one_index_scan_and_an_editors_plan_has_no_filter() {
    let story = Notes::new();
    let mut app = story.connect();
    authenticate(&mut app, &story.bob, true);
    let bobs = plan(&mut app, "SELECT * FROM notes");
    assert!(bobs.contains("Index Cond: (owner_id = rolecall.user_id())") && !bobs.contains("has_role"), "{bobs}");
    authenticate(&mut app, &story.alice, true);
    assert_eq!(plan(&mut app, "SELECT * FROM notes"), "Seq Scan on notes");
    run(&mut app, "SELECT rolecall.logout()");
    assert!(plan(&mut app, "SELECT * FROM notes").contains("One-Time Filter: false"));
}

/// Trap 7.
#[test]
fn prepared_statements_follow_the_identity() {
    for mode in ["auto", "force_generic_plan", "force_custom_plan"] {
        let story = Notes::new();
        let mut app = story.connect();
        run(&mut app, &format!("SET plan_cache_mode = {mode}"));
        let plain = app.prepare("SELECT count(*) FROM notes").unwrap();
        switching(&story, &mut app, |app| app.query_one(&plain, &[]).unwrap().get(0));
        let with_parameter = app.prepare("SELECT count(*) FROM notes WHERE id > $1").unwrap();
        switching(&story, &mut app, |app| app.query_one(&with_parameter, &[&0]).unwrap().get(0));
        run(&mut app, "PREPARE by_name AS SELECT count(*) FROM notes");
        switching(&story, &mut app, |app| match &app.simple_query("EXECUTE by_name").unwrap()[1] {
            postgres::SimpleQueryMessage::Row(row) => row.get(0).unwrap().parse().unwrap(),
            other => panic!("no row: {other:?}"),
        });
    }
}

/// Trap 7.
#[test]
fn functions_and_views_follow_the_identity() {
    let story = Notes::new();
    run(
        &mut story.database.admin(),
        "CREATE FUNCTION in_plpgsql() RETURNS bigint LANGUAGE plpgsql AS
             $$ DECLARE n bigint; BEGIN SELECT count(*) INTO n FROM notes; RETURN n; END $$;
         CREATE FUNCTION in_sql() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM notes';
         CREATE FUNCTION expression() RETURNS bigint LANGUAGE plpgsql AS
             $$ BEGIN RETURN CASE WHEN rolecall.has_role('editor') THEN 10000 WHEN rolecall.has_role('users') THEN 100
                                  ELSE 0 END; END $$;
         CREATE FUNCTION is_editor() RETURNS boolean STABLE LANGUAGE sql AS $$ SELECT rolecall.has_role('editor') $$;
         CREATE VIEW as_invoker WITH (security_invoker) AS SELECT * FROM notes;
         CREATE VIEW as_barrier WITH (security_invoker, security_barrier) AS SELECT * FROM notes;
         CREATE TABLE plain AS SELECT * FROM notes;
         GRANT SELECT ON as_invoker, as_barrier, plain TO PUBLIC",
    );
    let mut app = story.connect();
    for query in [
        "SELECT in_plpgsql()",
        "SELECT in_sql()",
        "SELECT expression()",
        "SELECT count(*) FROM as_invoker",
        "SELECT count(*) FROM as_barrier",
        "SELECT count(*) FROM plain WHERE is_editor() OR owner_id = rolecall.user_id()",
        "SELECT count(*) FROM plain WHERE rolecall.has_role('edit' || 'or') OR owner_id = rolecall.user_id()",
        "WITH n AS MATERIALIZED (SELECT * FROM notes) SELECT count(*) FROM n",
        "SELECT (SELECT count(*) FROM notes)",
    ] {
        let statement = app.prepare(query).unwrap();
        switching(&story, &mut app, |app| app.query_one(&statement, &[]).unwrap().get(0));
        run(&mut app, "SELECT rolecall.logout()");
    }
}

/// Trap 7.
#[test]
fn writes_follow_the_identity() {
    let story = Notes::new();
    let mut app = story.connect();
    let insert = app.prepare("INSERT INTO notes (id, owner_id) VALUES ($1, 'u1')").unwrap();
    for n in 0..8 {
        authenticate(&mut app, &story.alice, true);
        app.execute(&insert, &[&(20_000 + n)]).unwrap();
    }
    authenticate(&mut app, &story.bob, true);
    assert_eq!(sqlstate(app.execute(&insert, &[&30_000])).0, "42501");
    let update = app.prepare("UPDATE notes SET body = 'x'").unwrap();
    assert_eq!(app.execute(&update, &[]).unwrap(), BOBS as u64);
    authenticate(&mut app, &story.alice, true);
    assert_eq!(app.execute(&update, &[]).unwrap(), ALL as u64 + 8);
}

/// An expression kept by a domain has no dependency on a plan, so nothing may be folded in it.
#[test]
fn domain_checks_follow_the_identity() {
    let story = Notes::new();
    run(&mut story.database.admin(), "CREATE DOMAIN by_editors AS int CHECK (rolecall.has_role('editor'))");
    let mut app = story.connect();
    for _ in 0..3 {
        authenticate(&mut app, &story.alice, true);
        assert_eq!(one::<i32>(&mut app, "SELECT (id::by_editors)::int FROM notes LIMIT 1"), 1);
        run(&mut app, "DO $$ DECLARE d by_editors; BEGIN d := 5; END $$");
        authenticate(&mut app, &story.bob, true);
        assert_eq!(sqlstate(app.batch_execute("DO $$ DECLARE d by_editors; BEGIN d := 5; END $$")).0, "23514");
        assert_eq!(sqlstate(app.batch_execute("SELECT '5'::by_editors")).0, "23514");
        assert_eq!(sqlstate(app.batch_execute("SELECT id::by_editors FROM notes LIMIT 1")).0, "23514");
    }
}

#[test]
fn the_identity_cannot_change_under_an_open_cursor() {
    let story = Notes::new();
    let mut app = story.connect();
    run(&mut app, "BEGIN");
    authenticate(&mut app, &story.alice, false);
    run(&mut app, "DECLARE c CURSOR FOR SELECT owner_id FROM notes; FETCH 5 FROM c; SAVEPOINT s");
    let (state, message) = sqlstate(app.execute("SELECT rolecall.authenticate($1)", &[&story.bob]));
    assert_eq!(state, "55000");
    assert!(message.contains("a cursor is open"), "{message}");
    run(&mut app, "ROLLBACK TO s");
    assert_eq!(sqlstate(app.batch_execute("SELECT rolecall.logout()")).0, "55000");
    run(&mut app, "ROLLBACK TO s; FETCH 5 FROM c; CLOSE c");
    authenticate(&mut app, &story.bob, false);
    assert_eq!(notes(&mut app), BOBS);
}

/// Its rows are one person's. Where the identity changes all the same, it goes no further (below).
#[test]
fn a_cursor_keeps_the_identity_from_changing() {
    let story = Notes::new();
    let mut app = story.connect();
    run(&mut app, "BEGIN");
    authenticate(&mut app, &story.alice, false);
    run(&mut app, "DECLARE c CURSOR FOR SELECT owner_id FROM notes; SAVEPOINT s");
    for change in ["RESET ALL", "SELECT rolecall.logout()"] {
        assert_eq!(sqlstate(app.batch_execute(change)).0, "55000", "{change}");
        run(&mut app, "ROLLBACK TO s; FETCH 5 FROM c");
    }
    run(&mut app, "ROLLBACK");
    authenticate(&mut app, &story.alice, true);
    run(&mut app, "BEGIN; DECLARE c CURSOR WITH HOLD FOR SELECT owner_id FROM notes; COMMIT");
    assert_eq!(sqlstate(app.execute("SELECT rolecall.authenticate($1)", &[&story.bob])).0, "55000");
    run(&mut app, "DISCARD ALL");
    assert_eq!(sqlstate(app.batch_execute("FETCH 1 FROM c")).0, "34000");
    authenticate(&mut app, &story.bob, true);
}

#[test]
fn the_identity_cannot_change_inside_a_query_that_depends_on_it() {
    let story = Notes::new();
    let mut app = story.connect();
    run(&mut app, "BEGIN");
    authenticate(&mut app, &story.bob, false);
    run(&mut app, "SAVEPOINT s");
    let inside = "WITH login AS MATERIALIZED (SELECT rolecall.authenticate($1)) SELECT count(*) FROM login, notes";
    let (state, message) = sqlstate(app.query(inside, &[&story.alice]));
    assert_eq!(state, "55000", "{message}");
    run(&mut app, "ROLLBACK TO s");
    let in_loop = format!(
        "DO $$ DECLARE r record; n int := 0;
         BEGIN FOR r IN SELECT * FROM notes LOOP n := n + 1; PERFORM rolecall.authenticate('{}'); END LOOP; END $$",
        story.alice
    );
    assert_eq!(sqlstate(app.batch_execute(&in_loop)).0, "55000");
    run(&mut app, "ROLLBACK TO s");
    assert_eq!(notes(&mut app), BOBS);
}

/// The former rows end at once when the session changes its database role to one that is somebody else.
/// Trap 1.
#[test]
fn session_authorization_changes_who_acts() {
    let story = Notes::new();
    let mut admin = story.database.admin();
    let (carol, dave) = (story.database.login("carol"), story.database.login("dave"));
    run(
        &mut admin,
        &format!(
            "SELECT rolecall.create_user('carol', id => 'u3', roles => '{{editor}}', database_role => '{carol}');
             SELECT rolecall.create_user('dave', id => 'u4', database_role => '{dave}');
             GRANT SELECT ON notes TO {carol}, {dave};
             PREPARE n AS SELECT count(*) FROM notes;
             PREPARE r AS SELECT count(*) FROM generate_series(1, 5) WHERE rolecall.has_role('editor')"
        ),
    );
    let count = |admin: &mut Client, name| match &admin.simple_query(&format!("EXECUTE {name}")).unwrap()[1] {
        postgres::SimpleQueryMessage::Row(row) => row.get(0).unwrap().parse::<i64>().unwrap(),
        other => panic!("no row: {other:?}"),
    };
    for query in ["SELECT owner_id FROM notes", "SELECT rolecall.user_id() FROM generate_series(1, 1000)"] {
        let opened = format!("BEGIN; SET SESSION AUTHORIZATION {carol}; DECLARE c CURSOR FOR {query}; FETCH 5 FROM c");
        run(&mut admin, &format!("{opened}; SET SESSION AUTHORIZATION {dave}"));
        let (state, message) = sqlstate(admin.batch_execute("FETCH 5 FROM c"));
        assert_eq!(state, "55000", "{query}: {message}");
        assert!(message.contains("identity changed"), "{message}");
        run(&mut admin, "ROLLBACK");
    }
    for _ in 0..8 {
        run(&mut admin, &format!("SET SESSION AUTHORIZATION {carol}"));
        assert_eq!((count(&mut admin, "r"), count(&mut admin, "n")), (5, ALL));
        run(&mut admin, &format!("SET SESSION AUTHORIZATION {dave}"));
        assert_eq!((count(&mut admin, "r"), count(&mut admin, "n")), (0, 100));
        run(&mut admin, "RESET SESSION AUTHORIZATION");
    }
}

/// The point of comparing sets of roles: a pool that serves users with the same roles plans nothing again.
#[test]
fn users_with_the_same_roles_share_their_plans() {
    let cluster = Cluster::start(&[
        "shared_preload_libraries=pg_stat_statements,rolecall",
        "pg_stat_statements.track_planning=on",
        "plan_cache_mode=force_generic_plan",
    ]);
    let story = Notes::in_database(cluster.database());
    let mut admin = story.database.admin();
    run(
        &mut admin,
        "CREATE EXTENSION pg_stat_statements; SELECT rolecall.create_user('carol', password => 'x', id => 'u3')",
    );
    let carol = first_token(&mut admin, "carol", "x", "seven dwarfs, 1 giant");
    let mut app = story.connect();
    let owner = app.prepare("SELECT min(owner_id) FROM notes").unwrap();
    let mut plans_for = |tokens: &[(&str, &str)]| {
        run(&mut admin, "SELECT pg_stat_statements_reset()");
        for (token, id) in tokens {
            authenticate(&mut app, token, true);
            assert_eq!(app.query_one(&owner, &[]).unwrap().get::<_, String>(0), *id);
        }
        one::<i64>(&mut admin, "SELECT plans FROM pg_stat_statements WHERE query = 'SELECT min(owner_id) FROM notes'")
    };
    let (bob, carol, alice) = ((story.bob.as_str(), "u2"), (carol.as_str(), "u3"), (story.alice.as_str(), "u0"));
    assert_eq!(plans_for(&[bob]), 1);
    assert_eq!(plans_for(&[carol, bob, carol, bob]), 0, "the same roles");
    assert_eq!(plans_for(&[alice, bob]), 2, "other roles");
}
