//! Traps 8, 30, 31 and 35 to 37: rolecall itself, as SQL, as a library and as something that is dumped and dropped.

use crate::rule_attacks::Firm;
use crate::support::*;
use postgres::Client;
use rolecall_tests::sqlstate;
use std::io::Write;
use std::process::Stdio;

/// Trap 8. What runs with the owner's powers looks names up in nobody's schemas, and a function of somebody's that does
/// keeps who acts, which `current_user` does not say any more.
#[test]
fn functions_with_the_owners_powers_are_closed() {
    let story = Notes::new();
    let mut admin = story.database.admin();
    let open =
        "SELECT oid::regprocedure FROM pg_proc WHERE prosecdef AND pronamespace::regnamespace::text ~ '^rolecall'
                   AND 'search_path=pg_catalog, rolecall, pg_temp' <> ALL (coalesce(proconfig, '{}'))";
    assert_eq!(column(&mut admin, open), [""; 0]);
    run(
        &mut admin,
        &format!(
            "CREATE TABLE naive AS TABLE notes; ALTER TABLE naive ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY, OWNER TO {app};
             CREATE POLICY p ON naive USING (current_user = '{app}');
             CREATE ROLE {app}_2; GRANT SELECT ON notes, naive TO {app}_2;
             CREATE FUNCTION counts() RETURNS bigint[] LANGUAGE sql SECURITY DEFINER SET search_path = public
                 AS 'SELECT ARRAY[(SELECT count(*) FROM naive), (SELECT count(*) FROM notes)]';
             ALTER FUNCTION counts() OWNER TO {app}_2",
            app = story.app
        ),
    );
    let mut app = story.connect();
    authenticate(&mut app, &story.bob, true);
    assert_eq!(one::<i64>(&mut app, "SELECT count(*) FROM naive"), ALL);
    assert_eq!(one::<Vec<i64>>(&mut app, "SELECT counts()"), [0, BOBS], "the trap springs: current_user is another");
}

/// Trap 30. All that is configured is in a dump. Not in it: keys that sign, a channel's random name, and what columns are
/// called, which is noted again.
#[test]
fn a_dump_has_all_that_was_configured() {
    let story = Notes::new();
    let left_out = "SELECT relname FROM pg_class WHERE relnamespace = 'rolecall'::regnamespace AND relkind IN ('r', 'S')
                       AND oid <> ALL ((SELECT extconfig FROM pg_extension WHERE extname = 'rolecall')::oid[]) ORDER BY 1";
    assert_eq!(column(&mut story.database.admin(), left_out), ["change_channel", "column_names", "signing_keys"]);
}

/// Trap 30. A dump that is restored where there is no rolecall leaves its tables closed, and so does dropping it.
#[test]
fn without_the_extension_tables_are_closed() {
    let story = Notes::new();
    let cluster = story.database.cluster();
    let dump = cluster.client_program("pg_dump", "postgres", &story.database.name).output().unwrap().stdout;
    let dump = String::from_utf8(dump)
        .unwrap()
        .replace("CREATE EXTENSION IF NOT EXISTS rolecall", "CREATE EXTENSION IF NOT EXISTS no_rolecall");
    let elsewhere = cluster.plain_database();
    let mut psql = elsewhere.psql("postgres");
    let mut psql = psql
        .args(["-q", "--set=ON_ERROR_STOP=0"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    psql.stdin.take().unwrap().write_all(dump.as_bytes()).unwrap();
    psql.wait().unwrap();
    let mut admin = elsewhere.admin();
    assert_eq!((notes(&mut admin), one::<i64>(&mut admin, "SELECT count(*) FROM pg_policies")), (ALL, 0));
    assert_eq!(notes(&mut elsewhere.connect(&story.app)), 0);
    // A policy by hand, which rolecall's gates have kept from widening anything, is all there is without them.
    for (policy, seen) in [("", 0), ("CREATE POLICY mine ON notes USING (id <= 7)", 7)] {
        let story = Notes::new();
        let mut admin = story.database.admin();
        run(&mut admin, policy);
        let mut app = story.connect();
        authenticate(&mut app, &story.bob, true);
        assert_eq!(notes(&mut app), BOBS);
        run(&mut admin, "DROP EXTENSION rolecall CASCADE");
        assert_eq!(notes(&mut story.connect()), seen);
    }
}

/// Trap 31. Who changes roles, or says again what is so, waits for no reader of the table.
#[test]
fn administration_does_not_wait_for_readers() {
    let story = Notes::new();
    let mut admin = story.database.admin();
    let mut app = story.connect();
    authenticate(&mut app, &story.bob, true);
    run(&mut app, "BEGIN; SELECT count(*) FROM notes");
    run(&mut admin, "SET lock_timeout = '5s'");
    for statement in [
        "SELECT rolecall.create_role('new'); SELECT rolecall.grant_role('new', 'bob'); SELECT rolecall.revoke_role('new', 'bob')",
        "SELECT rolecall.create_user('new'); SELECT rolecall.drop_user('new')",
        "SELECT rolecall.protect('notes')",
        "SELECT rolecall.allow('editor', 'notes', 'all')",
        r#"SELECT rolecall.allow('users', 'notes', 'select', '{"owner_id": {"equals": "__loggedInUserId"}}')"#,
        "SELECT count(*) FROM rolecall.doctor()",
    ] {
        run(&mut admin, statement);
    }
    // Another rule is another policy, for which PostgreSQL wants the table for itself, as for one by hand.
    refused(
        &mut admin,
        "SET lock_timeout = '200ms'; SELECT rolecall.allow('new', 'notes', 'select')",
        "55P03",
        "lock timeout",
    );
    refused(&mut admin, "ALTER POLICY rolecall_select ON notes USING (true)", "55P03", "lock timeout");
    assert_eq!(notes(&mut app), BOBS);
    run(&mut app, "COMMIT");
    run(&mut admin, "SELECT rolecall.allow('new', 'notes', 'select')");
}

/// Trap 31. Nor where a rule has relations, presets, partitions, ACLs or a view beside it.
#[test]
fn what_is_said_again_changes_nothing() {
    let mut firm = Firm::new();
    run(
        &mut firm.admin,
        "CREATE TABLE plans (id int PRIMARY KEY, acl jsonb); GRANT SELECT ON plans TO PUBLIC; SELECT rolecall.protect('plans', 'acl')",
    );
    let mut reader = firm.database.connect(&firm.app);
    authenticate(&mut reader, &firm.bob, true);
    run(&mut reader, "BEGIN; SELECT * FROM papers; SELECT * FROM papers_exposed; SELECT * FROM plans");
    let rules = "SELECT format('SELECT rolecall.allow(%L, %L, %L, %L, new_row => %L, preset => %L, columns => %L)', role, target::regclass,
        action, filter, new_row, preset, columns) FROM rolecall.permissions UNION ALL SELECT 'SELECT rolecall.protect(''papers'')'
        UNION ALL SELECT 'SELECT rolecall.protect(''plans'', ''acl'')'";
    let rules = column(&mut firm.admin, rules);
    assert!(rules.len() > 6);
    run(&mut firm.admin, "SET lock_timeout = '5s'");
    for rule in &rules {
        run(&mut firm.admin, rule);
    }
}

/// Values of each type that nobody expects.
const ODD: &[(&str, &[&str])] = &[
    ("text", &["''", "repeat('x', 3000000)", "'é\"''\\;--$1%s%n'", "E'\\x01\\n'", "'__loggedInUserId'"]),
    ("name", &["''", "'nope'"]),
    (
        "jsonb",
        &["'[]'", "'1'", "'null'", "deep.x", "'{\"a\": {\"\": [1e400, null]}}'", "to_jsonb(repeat('x', 3000000))"],
    ),
    ("text[]", &["'{}'", "'{NULL}'", "'{{a,b},{c,d}}'", "'[-5:-4]={a,b}'", "ARRAY[repeat('x', 3000000)]"]),
    ("name[]", &["'{}'", "'{NULL}'"]),
    ("bigint", &["-1", "9223372036854775807"]),
    ("integer", &["-2147483648", "2147483647"]),
    ("interval", &["'-1 second'", "'178000000 years'", "'0'"]),
    ("regclass", &["0", "'pg_class'", "'deep'", "4294967295"]),
    ("oid", &["0", "4294967295"]),
    ("timestamp with time zone", &["'-infinity'", "'infinity'"]),
    ("boolean", &["true"]),
    ("bytea", &["''", "'\\x00ff00ff00ff00ff00ff'"]),
    ("uuid", &["'00000000-0000-0000-0000-000000000000'"]),
];

/// Traps 35 and 36. Whatever one calls any of its functions with, NULL, too long, too deep or none of what is meant, there
/// is an error or an answer, and the session goes on.
#[test]
fn nothing_one_passes_ends_the_session() {
    let story = Notes::new();
    let mut admin = story.database.admin();
    let depth = 4000;
    run(
        &mut admin,
        &format!("CREATE TABLE deep AS SELECT (repeat('{{\"AND\": [', {depth}) || '1' || repeat(']}}', {depth}))::jsonb AS x;
            SELECT rolecall.protect('deep', 'x'); SELECT rolecall.create_role('pool', pool => true); SELECT rolecall.create_work_queue('q', 'pool')"),
    );
    let functions = admin
        .query(
            "SELECT p.oid::regproc::text, proargtypes::regtype[]::text[] FROM pg_proc p WHERE prokind = 'f' AND pronargs > 0
                AND pronamespace = 'rolecall'::regnamespace AND has_function_privilege('public', p.oid, 'EXECUTE') AND NOT proargtypes::oid[] && '{internal,pg_node_tree,anyelement,anyarray}'::regtype[]::oid[]
              ORDER BY 1",
            &[],
        )
        .unwrap();
    assert!(functions.len() > 80);
    let mut bob = story.connect();
    authenticate(&mut bob, &story.bob, true);
    run(&mut admin, "GRANT SELECT ON deep TO PUBLIC; ALTER TABLE deep DISABLE ROW LEVEL SECURITY");
    let mut calls = 0;
    for function in functions {
        let (name, types): (String, Vec<String>) = (function.get(0), function.get(1));
        for round in 0..6 {
            let arguments = types.iter().map(|kind| {
                let values = ODD.iter().find(|(name, _)| name == kind).map_or(&["NULL"][..], |(_, values)| values);
                match round {
                    5 => format!("NULL::{kind}"),
                    _ => format!("({})::{kind}", values[round % values.len()]),
                }
            });
            let call = format!("SELECT {name}({}) FROM deep", arguments.collect::<Vec<_>>().join(", "));
            for client in [&mut admin, &mut bob] {
                if let Err(error) = client.batch_execute(&format!("BEGIN; {call}")) {
                    let error = error.as_db_error().unwrap_or_else(|| panic!("{call}: {error}"));
                    let state = error.code().code();
                    assert!(!["XX000", "57P01", "58000"].contains(&state), "{call}: {state} {:.300}", error.message());
                }
                run(client, "ROLLBACK");
            }
            calls += 1;
        }
    }
    assert!(calls > 450);
}

/// Trap 36, CVE-2026-14680. What only the planner or a trigger may call no statement calls, not even a superuser's.
#[test]
fn what_is_for_the_server_no_statement_calls() {
    let story = Notes::new();
    let mut admin = story.database.admin();
    let internal = "SELECT p.oid::regproc::text FROM pg_proc p WHERE pronamespace::regnamespace::text ~ '^rolecall'
                       AND 'internal'::regtype = ANY (proargtypes::oid[])";
    let internal = column(&mut admin, internal);
    assert!(internal.len() >= 7, "{internal:?}");
    for function in &internal {
        for argument in ["NULL", "NULL::internal", "'x'", &format!("{function}(NULL)")] {
            let call = format!("SELECT {function}({argument})");
            if let Err(error) = admin.batch_execute(&call) {
                let error = error.as_db_error().unwrap_or_else(|| panic!("{call}: {error}"));
                assert!(["0A000", "42883", "42846"].contains(&error.code().code()), "{call}: {error:?}");
            }
        }
    }
    let open = "SELECT p.oid::regprocedure FROM pg_proc p WHERE pronamespace::regnamespace::text ~ '^rolecall' AND NOT proisstrict
                   AND 'internal'::regtype = ANY (proargtypes::oid[])";
    assert_eq!(column(&mut admin, open), [""; 0], "NULL does not reach it");
    let triggers = "SELECT p.oid::regproc::text FROM pg_proc p WHERE pronamespace::regnamespace::text ~ '^rolecall'
                       AND prorettype IN ('trigger'::regtype, 'event_trigger'::regtype)";
    for function in column(&mut admin, triggers) {
        let (state, message) = sqlstate(admin.batch_execute(&format!("SELECT {function}()")));
        assert!(message.to_lowercase().contains("trigger"), "{function}: {state} {message}");
    }
    let mut app = story.connect();
    let aggregate = "CREATE AGGREGATE pg_temp.a(int) (SFUNC = int4_avg_accum, STYPE = internal)";
    assert_ne!(sqlstate(app.batch_execute(aggregate)).0, "XX000");
}

/// Bytes that a backend's memory contexts hold, and its whole process.
fn memory(client: &mut Client) -> (i64, u64) {
    let contexts: i64 = one(client, "SELECT sum(total_bytes)::bigint FROM pg_backend_memory_contexts");
    let pid: i32 = one(client, "SELECT pg_backend_pid()");
    let statm = std::fs::read_to_string(format!("/proc/{pid}/statm")).expect("the backend's memory");
    let pages: u64 = statm.split(' ').nth(1).unwrap().parse().unwrap();
    (contexts, pages * 4096)
}

/// Trap 36. Ten thousand identities, each another one, leave a backend's memory as it was.
#[test]
fn identities_that_are_over_take_no_memory() {
    let story = Notes::new();
    let gateway = story.database.login("gateway");
    run(
        &mut story.database.admin(),
        &format!(
            "GRANT rolecall_authenticator TO {gateway}; GRANT SELECT ON notes TO {gateway};
             SELECT rolecall.create_user('user ' || n, id => 'p' || n) FROM generate_series(1, 20) n;
             GRANT SELECT ON pg_backend_memory_contexts TO {gateway};
             GRANT EXECUTE ON FUNCTION pg_get_backend_memory_contexts() TO {gateway}"
        ),
    );
    let mut app = story.database.connect(&gateway);
    let expiry: i64 = one(&mut app, "SELECT extract(epoch FROM now())::bigint + 100000");
    let mut thousand = |number: i64| {
        let switch = format!(
            "DO $$ DECLARE n bigint; BEGIN FOR i IN 1..1000 LOOP
                PERFORM rolecall.assume(jsonb_build_object('sub', 'p' || i % 20 + 1, 'exp', {expiry} + i));
                SELECT count(*) INTO n FROM notes WHERE id < 9;
            END LOOP; END $$",
            expiry = expiry + 1000 * number
        );
        run(&mut app, &switch);
        memory(&mut app)
    };
    let before = (0..2).map(&mut thousand).last().unwrap();
    let after = (2..12).map(&mut thousand).last().unwrap();
    assert!(after.0 - before.0 < 200_000, "{before:?} {after:?}");
    assert!(after.1.saturating_sub(before.1) < 4_000_000, "{before:?} {after:?}");
}

/// Trap 36. A statement does not see what it grants itself, the next one does.
#[test]
fn what_a_statement_grants_is_seen_by_the_next() {
    let story = Notes::new();
    run(
        &mut story.database.admin(),
        "CREATE FUNCTION promote() RETURNS int LANGUAGE sql SECURITY DEFINER AS
             $$ INSERT INTO rolecall.user_roles (user_id, role) VALUES ('u2', 'editor') RETURNING 1 $$;
         CREATE FUNCTION demote() RETURNS int LANGUAGE sql SECURITY DEFINER AS
             $$ DELETE FROM rolecall.user_roles WHERE user_id = 'u2' AND role = 'editor' RETURNING 1 $$",
    );
    let mut app = story.connect();
    authenticate(&mut app, &story.bob, true);
    let query = |function: &str| {
        format!(
            "WITH done AS MATERIALIZED (SELECT {function}() AS n) SELECT count(*) FROM done, notes WHERE done.n = 1"
        )
    };
    assert_eq!(one::<i64>(&mut app, &query("promote")), BOBS);
    assert_eq!(notes(&mut app), ALL);
    assert_eq!(one::<i64>(&mut app, &query("demote")), ALL);
    assert_eq!(notes(&mut app), BOBS);
}

/// Trap 37. Rules are policies of the catalog, which \d, pg_policies, pg_dump and linters see; no hook adds any.
#[test]
fn every_rule_is_a_policy_that_everybody_sees() {
    let story = Notes::new();
    let mut app = story.connect();
    let seen = column(
        &mut app,
        "SELECT policyname FROM pg_policies WHERE tablename = 'notes' AND coalesce(qual, with_check) ~ 'user_id' ORDER BY 1",
    );
    assert_eq!(seen.len(), 8);
    authenticate(&mut app, &story.bob, true);
    assert_eq!(notes(&mut app), BOBS);
    let all = column(
        &mut app,
        "SELECT format('DROP POLICY %I ON notes', policyname) FROM pg_policies WHERE tablename = 'notes'",
    )
    .join("; ");
    let mut admin = story.database.admin();
    run(&mut admin, &format!("{all}; CREATE POLICY everything ON notes USING (true)"));
    assert_eq!(notes(&mut app), ALL, "nothing else restricts");
}
