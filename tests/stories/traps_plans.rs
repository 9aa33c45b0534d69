//! Traps 5 and 7: plans that were made for somebody, or before something was changed, and what a rule costs in them.

use crate::support::*;
use postgres::{Client, Statement};
use rolecall_tests::sqlstate;

/// Ways to keep the plan of a query of bob's notes; each counts them.
const VEHICLES: &[&str] = &[
    "SELECT count(*) FROM notes",
    "SELECT count(*) FROM notes WHERE id > $1",
    "SELECT in_plpgsql()",
    "SELECT in_a_loop()",
    "SELECT in_sql()",
    "SELECT in_atomic()",
    "SELECT count(*) FROM as_rows()",
    "SELECT count(*) FROM invoker",
    // Row-level security below these was not noted as depending on the role (CVE-2024-10976).
    "WITH q AS (SELECT * FROM notes) SELECT count(*) FROM q",
    "WITH q AS MATERIALIZED (SELECT * FROM invoker) SELECT count(*) FROM q",
    "SELECT (SELECT count(*) FROM notes)",
    "SELECT count(*) FROM numbers n WHERE EXISTS (SELECT FROM notes WHERE id = n.id)",
    "SELECT count(*) FROM numbers WHERE id IN (SELECT id FROM invoker)",
    "WITH u AS (UPDATE notes SET body = 'x' RETURNING id) SELECT count(*) FROM u",
    "WITH d AS (DELETE FROM notes WHERE id < 0 RETURNING id) SELECT count(*) FROM notes, (SELECT count(*) FROM d) q",
];

/// The notes, and functions and views of them for everybody.
fn story() -> Notes<'static> {
    let story = Notes::new();
    run(
        &mut story.database.admin(),
        &format!(
            "CREATE TABLE numbers AS SELECT id FROM notes; ANALYZE numbers;
             CREATE VIEW invoker WITH (security_invoker) AS SELECT * FROM notes;
             CREATE FUNCTION in_plpgsql() RETURNS bigint LANGUAGE plpgsql AS
                 $$ DECLARE n bigint; BEGIN SELECT count(*) INTO n FROM notes; RETURN n; END $$;
             CREATE FUNCTION in_a_loop() RETURNS bigint LANGUAGE plpgsql AS
                 $$ DECLARE n bigint := 0; r record; BEGIN FOR r IN SELECT * FROM invoker LOOP n := n + 1; END LOOP; RETURN n; END $$;
             CREATE FUNCTION in_sql() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM notes';
             CREATE FUNCTION in_atomic() RETURNS bigint LANGUAGE sql STABLE BEGIN ATOMIC SELECT count(*) FROM notes; END;
             CREATE FUNCTION as_rows() RETURNS SETOF notes LANGUAGE sql STABLE AS 'SELECT * FROM notes';
             GRANT SELECT ON numbers, invoker TO {app}",
            app = story.app
        ),
    );
    story
}

/// A session that has used the plans of all vehicles often enough to keep them.
struct Planned {
    client: Client,
    statements: Vec<(&'static str, Statement)>,
}

impl Planned {
    fn new(mut client: Client) -> Self {
        let statements = VEHICLES.iter().map(|&sql| (sql, client.prepare(sql).unwrap())).collect();
        let mut planned = Self { client, statements };
        for _ in 0..6 {
            planned.all(|_, _| ());
        }
        planned
    }

    fn all(&mut self, mut check: impl FnMut(&str, Result<i64, postgres::Error>)) {
        for (sql, statement) in &self.statements {
            let row = match sql.contains("$1") {
                true => self.client.query_one(statement, &[&0]),
                false => self.client.query_one(statement, &[]),
            };
            check(sql, row.map(|row| row.get(0)));
        }
    }

    #[track_caller]
    fn see(&mut self, expected: i64, after: &str) {
        self.all(|sql, seen| {
            assert_eq!(seen.unwrap_or_else(|e| panic!("{after}: {sql}: {e:?}")), expected, "{after}: {sql}")
        });
    }

    #[track_caller]
    fn are_refused(&mut self, state: &str, after: &str) {
        self.all(|sql, seen| assert_eq!(sqlstate(seen).0, state, "{after}: {sql}"));
    }
}

/// Trap 7. Each change, and its end, is seen by every kept plan at once.
#[test]
fn no_kept_plan_outlives_a_change() {
    let story = story();
    let group = story.database.login("group");
    let mut admin = story.database.admin();
    run(
        &mut admin,
        &format!(
            r#"SELECT rolecall.create_role('staff', database_role => '{group}');
            SELECT rolecall.allow('staff', 'notes', a, '{{"id": {{"lte": 50}}}}') FROM unnest('{{select,update}}'::text[]) a"#
        ),
    );
    let app = &story.app;
    for mode in ["auto", "force_generic_plan"] {
        let mut client = story.connect();
        run(&mut client, &format!("SET plan_cache_mode = {mode}"));
        authenticate(&mut client, &story.bob, true);
        let mut planned = Planned::new(client);
        planned.see(BOBS, "at first");
        let narrow = r#"SELECT rolecall.allow('users', 'notes', a, '{"AND": [{"owner_id": {"equals": "__loggedInUserId"}}, {"id": {"lte": 500}}]}')
                          FROM unnest('{select,update}'::text[]) a"#;
        let wide = r#"SELECT rolecall.allow('users', 'notes', a, '{"owner_id": {"equals": "__loggedInUserId"}}') FROM unnest('{select,update}'::text[]) a"#;
        for (change, expected) in [
            // bob's note 2 is among the fifty.
            (format!("GRANT {group} TO {app}"), BOBS + 49),
            (format!("REVOKE {group} FROM {app}"), BOBS),
            (format!("BEGIN; GRANT {group} TO {app}; ROLLBACK"), BOBS),
            ("SELECT rolecall.grant_role('editor', 'bob')".into(), ALL),
            ("SELECT rolecall.revoke_role('editor', 'bob')".into(), BOBS),
            ("SELECT rolecall.grant_role('editor', 'role:users')".into(), ALL),
            ("SELECT rolecall.revoke_role('editor', 'role:users')".into(), BOBS),
            (narrow.into(), 5),
            (wide.into(), BOBS),
            ("SELECT rolecall.disallow('users', 'notes', a) FROM unnest('{select,update}'::text[]) a".into(), 0),
            (wide.into(), BOBS),
            ("CREATE POLICY mine ON notes AS RESTRICTIVE USING (id <= 500)".into(), 5),
            ("DROP POLICY mine ON notes; CREATE POLICY mine ON notes AS RESTRICTIVE USING (id <= 300)".into(), 3),
            ("ALTER POLICY mine ON notes USING (id <= 100)".into(), 1),
            ("DROP POLICY mine ON notes".into(), BOBS),
            ("DROP POLICY rolecall_select ON notes; SELECT rolecall.protect('notes')".into(), BOBS),
        ] {
            run(&mut admin, &change);
            planned.see(expected, &change);
        }
        authenticate(&mut planned.client, &story.alice, true);
        planned.see(ALL, "alice");
        run(&mut planned.client, "SELECT rolecall.logout()");
        planned.see(0, "nobody");
        authenticate(&mut planned.client, &story.bob, true);
        planned.see(BOBS, "bob");
        run(&mut admin, &format!("REVOKE SELECT, UPDATE, DELETE ON notes FROM {app}"));
        planned.are_refused("42501", "REVOKE");
        run(&mut admin, &format!("GRANT SELECT, UPDATE, DELETE ON notes TO {app}"));
        planned.see(BOBS, "GRANT");
    }
    let mut planned = Planned::new(story.connect());
    authenticate(&mut planned.client, &story.bob, true);
    planned.see(BOBS, "bob");
    run(&mut admin, "SELECT rolecall.revoke_sessions('bob')");
    planned.are_refused("28000", "revoked");
}

/// Trap 7. Who was restricted by no policy, or by another role's, leaves no plan to who is (CVE-2016-2193, CVE-2024-10978).
#[test]
fn no_kept_plan_outlives_the_database_role() {
    let story = story();
    let other = story.database.login("other");
    let mut admin = story.database.admin();
    run(
        &mut admin,
        &format!(
            "GRANT SELECT, UPDATE, DELETE ON notes, numbers, invoker TO {other};
             CREATE POLICY by_role ON notes AS RESTRICTIVE TO {other} USING (id <= 500)"
        ),
    );
    let app = &story.app;
    let mut planned = Planned::new(admin);
    planned.see(ALL, "a superuser");
    for _ in 0..2 {
        for (role, seen) in [(app, 0), (&other, 0)] {
            run(&mut planned.client, &format!("SET ROLE {role}"));
            planned.see(seen, role);
            run(&mut planned.client, &format!("RESET ROLE; SET SESSION AUTHORIZATION {role}"));
            planned.see(seen, role);
            run(&mut planned.client, "RESET SESSION AUTHORIZATION");
            planned.see(ALL, "a superuser again");
        }
        authenticate(&mut planned.client, &story.bob, true);
        for (role, seen) in [(app, BOBS), (&other, 5)] {
            run(&mut planned.client, &format!("BEGIN; SET LOCAL ROLE {role}"));
            planned.see(seen, role);
            run(&mut planned.client, "SAVEPOINT s; RESET ROLE; ROLLBACK TO s");
            planned.see(seen, role);
            run(&mut planned.client, "ROLLBACK");
            planned.see(ALL, "a superuser, whom no policy restricts");
        }
        run(&mut planned.client, "SELECT rolecall.logout()");
    }
    // row_security = off is an error for whom policies restrict, not a way past them, whichever plan there is.
    run(&mut planned.client, &format!("SET ROLE {app}; SET row_security = off"));
    planned.are_refused("42501", "row_security = off");
}

/// Trap 7, CVE-2026-14666. A policy `TO` a database role is kept in plans when a membership changes, on a server without
/// the correction; of rolecall's no plan is.
#[test]
fn a_membership_that_ends_ends_in_plans() {
    let story = story();
    let (group, app) = (story.database.login("group"), &story.app);
    let mut admin = story.database.admin();
    run(
        &mut admin,
        &format!(
            r#"CREATE TABLE naive AS TABLE notes; GRANT SELECT ON naive TO {app}; ALTER TABLE naive ENABLE ROW LEVEL SECURITY;
            CREATE POLICY p ON naive TO {group} USING (true); GRANT {group} TO {app};
            SELECT rolecall.create_role('staff', database_role => '{group}'); SELECT rolecall.allow('staff', 'notes', 'select')"#
        ),
    );
    let mut client = story.connect();
    run(&mut client, "SET plan_cache_mode = force_generic_plan");
    let naive = client.prepare("SELECT count(*) FROM naive").unwrap();
    let ours = client.prepare("SELECT count(*) FROM notes").unwrap();
    let mut seen = || [&naive, &ours].map(|statement| client.query_one(statement, &[]).unwrap().get::<_, i64>(0));
    for _ in 0..7 {
        assert_eq!(seen(), [ALL, ALL]);
    }
    run(&mut admin, &format!("REVOKE {group} FROM {app}"));
    let [naively, ours] = seen();
    assert_eq!(ours, 0);
    if (150_000..150_019).contains(&one::<i32>(&mut admin, "SELECT current_setting('server_version_num')::int")) {
        assert_eq!(naively, ALL, "the trap springs");
    }
}

/// Trap 7, CVE-2023-2455. A function of SQL that is put into the query keeps nobody's rights but those of who asks.
#[test]
fn an_inlined_function_keeps_nobodys_rights() {
    let story = story();
    run(
        &mut story.database.admin(),
        "CREATE FUNCTION outer_definer() RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER AS
             $$ DECLARE n bigint; BEGIN SELECT count(*) INTO n FROM as_rows(); RETURN n; END $$",
    );
    let mut app = story.connect();
    let (definer, direct) =
        (app.prepare("SELECT outer_definer()").unwrap(), app.prepare("SELECT count(*) FROM as_rows()").unwrap());
    for (token, seen) in [(&story.bob, BOBS), (&story.alice, ALL), (&story.bob, BOBS)] {
        authenticate(&mut app, token, true);
        for _ in 0..7 {
            assert_eq!(app.query_one(&definer, &[]).unwrap().get::<_, i64>(0), ALL, "as the superuser who owns it");
            assert_eq!(app.query_one(&direct, &[]).unwrap().get::<_, i64>(0), seen);
        }
    }
}

/// Trap 5. A STABLE function in PL/pgSQL runs for every row, in checks of new rows too; a rule's test of roles does not run
/// at all, and its test of owners is an index condition.
#[test]
fn a_rule_runs_nothing_for_each_row() {
    let story = Notes::new();
    let mut admin = story.database.admin();
    run(
        &mut admin,
        &format!(
            "CREATE TABLE naive AS TABLE notes; CREATE INDEX ON naive (owner_id); GRANT SELECT, INSERT ON naive TO {app};
             CREATE FUNCTION me() RETURNS text STABLE LANGUAGE plpgsql AS 'BEGIN RETURN rolecall.user_id(); END';
             CREATE FUNCTION is_editor() RETURNS boolean STABLE LANGUAGE plpgsql AS $$ BEGIN RETURN rolecall.has_role('editor'); END $$;
             ALTER TABLE naive ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON naive USING (is_editor() OR owner_id = me());
             ALTER ROLE {app} SET track_functions = 'all'",
            app = story.app
        ),
    );
    let mut app = story.connect();
    let calls = |app: &mut Client, names: &str, sql: &str| {
        let counted = format!(
            "SELECT coalesce(sum(calls), 0)::bigint FROM pg_stat_xact_user_functions WHERE funcname ~ '^({names})$'"
        );
        run(app, "BEGIN");
        let before: i64 = one(app, &counted);
        run(app, sql);
        let calls = one::<i64>(app, &counted) - before;
        run(app, "ROLLBACK");
        calls
    };
    let insert = |table: &str| format!("INSERT INTO {table} SELECT n, 'u2' FROM generate_series(100001, 101000) n");
    for token in [&story.bob, &story.alice] {
        authenticate(&mut app, token, true);
        assert!(calls(&mut app, "me|is_editor", "SELECT count(*) FROM naive") >= ALL);
        assert!(calls(&mut app, "me|is_editor", &insert("naive")) >= 1000);
        assert_eq!(calls(&mut app, "has_role|touches", "SELECT count(*) FROM notes"), 0);
        assert_eq!(calls(&mut app, "has_role|touches", &insert("notes")), 0);
    }
    authenticate(&mut app, &story.bob, true);
    let ours = calls(&mut app, ".*", "SELECT count(*) FROM notes");
    assert!(ours < 20, "{ours}");
}
