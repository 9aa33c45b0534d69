//! Scopes: granting, revoking, testing, and how quickly a change is seen.

use crate::support::*;
use postgres::Client;
use rolecall_tests::sqlstate;

fn covers(client: &mut Client, scope: &str) -> bool {
    client.query_one("SELECT rolecall.has_scope($1)", &[&scope]).unwrap().get(0)
}

/// Editors, of whom alice is one, have the scopes of the press.
fn press() -> (Notes<'static>, Client, Client) {
    let story = Notes::new();
    let mut admin = story.database.admin();
    run(&mut admin, "SELECT rolecall.grant_scopes('editor', '{press, archive:read, get_results}')");
    let mut app = story.connect();
    authenticate(&mut app, &story.alice, true);
    (story, admin, app)
}

#[test]
fn a_node_covers_what_is_below_it_by_whole_words() {
    let (_story, _admin, mut app) = press();
    for scope in
        ["press", "press:run", "press:run:night", "archive:read", "archive:read:all", "get_result", "get_results"]
    {
        assert!(covers(&mut app, scope), "{scope}");
    }
    for scope in [
        "pres",
        "press2",
        "press-run",
        "archive",
        "archive:write",
        "archive:reader",
        "",
        ":",
        "press:".trim_end_matches(':'),
    ] {
        assert_eq!(covers(&mut app, scope), scope == "press", "{scope}");
    }
    // Long texts are stored in other ways.
    let long = "SELECT rolecall.has_scope(t), rolecall.has_role(t) FROM (SELECT repeat('x', 100000) UNION ALL SELECT 'press:' || repeat('x:y', 9000)) q(t)";
    let rows = app.query(long, &[]).unwrap();
    assert_eq!(rows.iter().map(|row| row.get::<_, bool>(0)).collect::<Vec<_>>(), [false, true]);
    run(
        &mut app,
        "CREATE TEMP TABLE kept (t text); INSERT INTO kept VALUES (repeat('x', 100000)), (NULL), ('press:a'), ('editor')",
    );
    let kept = "SELECT rolecall.has_scope(t)::text || rolecall.has_role(t)::text FROM kept ORDER BY length(t) DESC NULLS LAST, t DESC";
    assert_eq!(
        app.query(kept, &[]).unwrap().iter().map(|row| row.get(0)).collect::<Vec<Option<String>>>(),
        [Some("falsefalse".into()), Some("truefalse".into()), Some("falsetrue".into()), None]
    );
}

#[test]
fn several_scopes_need_one_role() {
    let (_story, mut admin, mut app) = press();
    run(&mut admin, "SELECT rolecall.grant_scopes('users', '{archive}')");
    for (scopes, expected) in [
        ("{press, archive:read}", true),
        ("{press, archive:write}", false),
        ("{archive:write, archive:read}", true),
        ("{press, get_results}", true),
        ("{}", false),
        ("{NULL}", false),
        ("{press, NULL}", false),
        ("{{press, archive:read}, {press, press}}", true),
    ] {
        let has: bool = app.query_one("SELECT rolecall.has_scopes($1::text::text[])", &[&scopes]).unwrap().get(0);
        assert_eq!(has, expected, "{scopes}");
    }
}

#[test]
fn what_is_missing_is_named() {
    let (story, _admin, mut app) = press();
    run(&mut app, "SELECT rolecall.require_scope('press:run')");
    refused(&mut app, "SELECT rolecall.require_scope('bank')", "42501", "permission denied: scope \"bank\" is missing");
    refused(&mut app, "SELECT rolecall.require_scope(NULL)", "22023", "scope must not be NULL");
    let mut nobody = story.connect();
    refused(&mut nobody, "SELECT rolecall.require_scope('bank')", "28000", "Unauthorized: Please log in");
}

#[test]
fn bad_scopes_are_refused_as_a_whole() {
    let (_story, mut admin, _app) = press();
    for (call, state, message) in [
        ("grant_scopes('editor', '{ok, a::b}')", "22023", "scope \"a::b\" has an empty word"),
        ("grant_scopes('editor', '{ok, \"a b\"}')", "22023", "holds a space"),
        ("grant_scopes('editor', '{ok, NULL}')", "22023", "must not be NULL"),
        ("grant_scopes('editor', NULL)", "22023", "scopes must not be NULL"),
        ("grant_scopes(NULL, '{ok}')", "22023", "role must not be NULL"),
        ("grant_scopes('editors', '{ok}')", "42704", "role \"editors\" does not exist"),
        ("revoke_scopes('editors', '{ok}')", "42704", "role \"editors\" does not exist"),
        (
            "revoke_scopes('editor', '{press:run}')",
            "55000",
            "role \"editor\" still covers scope \"press:run\" through \"press\"",
        ),
    ] {
        refused(&mut admin, &format!("SELECT rolecall.{call}"), state, message);
    }
    let scopes = "SELECT scope FROM rolecall.role_scopes ORDER BY 1";
    assert_eq!(column(&mut admin, scopes), ["archive:read", "get_result", "press"]);
    // A star is a character like others.
    run(&mut admin, "SELECT rolecall.grant_scopes('editor', '{bank:*}')");
    run(&mut admin, "SELECT rolecall.revoke_scopes('editor', '{bank, press, nothing, get_results}')");
    assert_eq!(column(&mut admin, scopes), ["archive:read"], "with all below, and what is not there is no fault");
}

#[test]
fn a_change_is_seen_at_once_and_goes_with_its_transaction() {
    let (_story, mut admin, mut app) = press();
    let constant = app.prepare("SELECT rolecall.has_scope('bank:vault')").unwrap();
    let column = app.prepare("SELECT rolecall.has_scope(s) FROM (VALUES ('bank:vault')) v(s)").unwrap();
    run(&mut app, "SET plan_cache_mode = force_generic_plan");
    let seen = |app: &mut Client| -> bool {
        let both = [&constant, &column].map(|statement| app.query_one(statement, &[]).unwrap().get::<_, bool>(0));
        assert_eq!(both[0], both[1]);
        both[0]
    };
    for _ in 0..3 {
        assert!(!seen(&mut app));
        run(&mut admin, "BEGIN; SELECT rolecall.grant_scopes('editor', '{bank}')");
        assert!(!seen(&mut app), "not committed");
        run(&mut admin, "COMMIT");
        assert!(seen(&mut app));
        run(&mut admin, "SELECT rolecall.revoke_scopes('editor', '{bank}')");
    }
    // In an open transaction, of either level. (A prepared statement may have to be run again there.)
    for level in ["READ COMMITTED", "REPEATABLE READ"] {
        run(&mut app, &format!("BEGIN ISOLATION LEVEL {level}"));
        assert!(!covers(&mut app, "bank"));
        run(&mut admin, "SELECT rolecall.grant_scopes('editor', '{bank}')");
        assert!(covers(&mut app, "bank"), "{level}");
        run(&mut app, "COMMIT");
        run(&mut admin, "SELECT rolecall.revoke_scopes('editor', '{bank}')");
    }
    // One's own.
    run(&mut admin, "SELECT rolecall.grant_role('admins', 'alice')");
    run(&mut admin, "SELECT rolecall.create_user('eve', password => 'welcome', roles => '{editor}')");
    let eve = first_token(&mut admin, "eve", "welcome", "wherever one looks");
    let mut own = admin;
    run(&mut own, "BEGIN; SELECT rolecall.grant_scopes('editor', '{bank}')");
    authenticate(&mut own, &eve, false);
    assert!(covers(&mut own, "bank"));
    run(&mut own, "SELECT rolecall.logout(); SAVEPOINT s; SELECT rolecall.revoke_scopes('editor', '{bank}')");
    authenticate(&mut own, &eve, false);
    assert!(!covers(&mut own, "bank"));
    run(&mut own, "ROLLBACK TO s");
    authenticate(&mut own, &eve, false);
    assert!(covers(&mut own, "bank"));
    run(&mut own, "ROLLBACK");
    authenticate(&mut own, &eve, true);
    assert!(!covers(&mut own, "bank"));
}

#[test]
fn a_test_of_a_constant_folds_away() {
    let (story, mut admin, mut app) = press();
    run(
        &mut admin,
        &format!(
            "CREATE TABLE sheets (id int PRIMARY KEY, need text);
             INSERT INTO sheets SELECT n, CASE n % 2 WHEN 0 THEN 'press:' ELSE 'bank:' END || n FROM generate_series(1, 1000) n;
             ALTER TABLE sheets ENABLE ROW LEVEL SECURITY;
             CREATE POLICY p ON sheets USING (rolecall.has_scope('press:read') OR id = 7);
             GRANT SELECT ON sheets TO {}; ANALYZE sheets",
            story.app
        ),
    );
    let all = plan(&mut app, "SELECT * FROM sheets");
    assert!(!all.contains("Filter") && !all.contains("has_scope"), "{all}");
    let mut bob = story.connect();
    authenticate(&mut bob, &story.bob, true);
    let one_row = plan(&mut bob, "SELECT * FROM sheets");
    assert!(one_row.contains("Index Cond: (id = 7)") && !one_row.contains("has_scope"), "{one_row}");
    assert_eq!(one::<i64>(&mut app, "SELECT count(*) FROM sheets WHERE rolecall.has_scope(need)"), 500);

    // Two people in one session: the prepared plan is never the other's, and a cursor errors rather than mixing.
    let count = app.prepare("SELECT count(*) FROM sheets").unwrap();
    for _ in 0..4 {
        for (token, rows) in [(&story.alice, 1000), (&story.bob, 1)] {
            authenticate(&mut app, token, true);
            assert_eq!(app.query_one(&count, &[]).unwrap().get::<_, i64>(0), rows);
        }
    }
    authenticate(&mut app, &story.alice, true);
    run(&mut app, "BEGIN; DECLARE c CURSOR FOR SELECT * FROM sheets; FETCH 1 FROM c");
    run(&mut admin, "SELECT rolecall.revoke_scopes('editor', '{press}')");
    assert_eq!(sqlstate(app.batch_execute("FETCH 1 FROM c")).0, "40001");
    run(&mut app, "ROLLBACK");
    assert_eq!(one::<i64>(&mut app, "SELECT count(*) FROM sheets"), 1);
}

/// Trap 6.
#[test]
fn parallel_workers_test_scopes_too() {
    let (story, mut admin, mut app) = press();
    run(
        &mut admin,
        &format!(
            "CREATE TABLE long (need text); INSERT INTO long SELECT CASE n % 2 WHEN 0 THEN 'press' ELSE 'bank' END
               FROM generate_series(1, 200000) n; ANALYZE long; GRANT SELECT ON long TO {}",
            story.app
        ),
    );
    run(&mut app, "SET min_parallel_table_scan_size = 0; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0");
    let query = "SELECT count(*) FROM long WHERE rolecall.has_scope(need) AND rolecall.has_scopes(ARRAY[need])";
    assert!(plan(&mut app, query).contains("Parallel Seq Scan"));
    assert_eq!(one::<i64>(&mut app, query), 100_000);
}
