//! The attacker wants to be somebody else, or to keep what somebody was.

use crate::attacker_world::{Attempt, World};
use crate::support::{authenticate, database, one, refused, run};
use crate::{attacker_catalogs, attacker_inputs, attacker_names, attacker_reads, attacker_writes};
use rolecall_tests::Cluster;
use std::collections::HashSet;

pub const IDENTITY: &[Attempt] = &[
    (
        "roles of the database",
        "SET ROLE postgres; SET ROLE pg_read_all_data; SET ROLE rolecall_authenticator;
         SET SESSION AUTHORIZATION postgres; SET LOCAL ROLE NONE; RESET SESSION AUTHORIZATION; SELECT body FROM mails",
        "own !42501 !42501 !42501 !42501",
    ),
    (
        "a function that sets a role",
        "CREATE FUNCTION his.as_other() RETURNS bigint LANGUAGE sql SET role = postgres
         AS 'SELECT count(*) FROM public.mails'; SELECT his.as_other()",
        "!42501 !42883",
    ),
    (
        "settings of rolecall",
        "SELECT not_refused(array_agg(format(s, name))) FROM (SELECT name FROM pg_settings
         WHERE name ~ '^rolecall' UNION VALUES ('rolecall.identity'), ('rolecall.user_id'), ('rolecall.x')) n,
         unnest(ARRAY['SET %s = ''{}''', 'SELECT set_config(''%s'', ''x'', false)',
         'ALTER ROLE CURRENT_USER SET %s = ''x''',
         'CREATE FUNCTION his.f() RETURNS int LANGUAGE sql SET %s = ''x'' AS ''SELECT 1''']) s
         WHERE name = 'rolecall.identity';
         SET rolecall.user_id = 'vic'; SELECT set_config('rolecall.x', 'x', false)",
        "!42602 !42602",
    ),
    (
        "claims of a gateway",
        "SELECT set_config('request.jwt.claims', '{\"sub\": \"vic\"}', false) IS NULL; SELECT rolecall.assume();
         SELECT rolecall.assume('{\"sub\": \"vic\"}'); SELECT rolecall.become('victor', 'x'); SELECT body FROM mails",
        "f own !42501 !42501 !42501",
    ),
    (
        "settings that stay for the next one",
        "ALTER ROLE CURRENT_USER SET search_path = his; ALTER ROLE CURRENT_USER RESET search_path;
         ALTER ROLE ALL SET search_path = his; ALTER DATABASE :\"DBNAME\" SET row_security = off;
         ALTER SYSTEM SET session_preload_libraries = 'x'",
        "!42501 !42501 !42501",
    ),
    (
        "row_security = off",
        "SET row_security = off; SELECT body FROM mails; UPDATE papers SET body = 'w'; COPY files TO STDOUT;
         SELECT count(*) FROM staff_exposed",
        "3 !42501 !42501 !42501",
    ),
    (
        "settings for superusers",
        "SET session_replication_role = replica; SET zero_damaged_pages = on; SET allow_system_table_mods = on;
         SET dynamic_library_path = '/tmp'; SET log_statement = 'all'; SET session_preload_libraries = 'x';
         SET lc_messages = 'C'; SET ignore_system_indexes = on",
        "!42501 !42501 !42501 !42501 !42501 !42501 !42501 !55P02",
    ),
    (
        "strings that end elsewhere",
        "SET standard_conforming_strings = off; SET escape_string_warning = off; SET backslash_quote = on;
         SELECT rolecall.compile_filter('mails', '{\"body\": {\"equals\": \"\\\\\\\\'' OR true --\"}}');
         SELECT rolecall.matches('mails', '{\"body\": {\"equals\": \"\\\\\\\\'' OR true --\"}}',
         '{\"body\": \"x\"}'); SELECT body FROM mails; SELECT rolecall.login('x\\\\'' OR true --', 'x');
         SELECT rolecall.has_role('\\\\'' OR true --')",
        "(\"body\" OPERATOR(pg_catalog.=) E'\\\\'' OR true --'::pg_catalog.text) f own f !28P01",
    ),
    (
        "other ways to write and read values",
        "SET DateStyle = 'SQL, DMY'; SET IntervalStyle = sql_standard; SET TimeZone = '<x>+12:34';
         SET bytea_output = escape; SET array_nulls = off; SET extra_float_digits = -15;
         SET quote_all_identifiers = on; SET transform_null_equals = on; SET xmloption = document;
         SET default_text_search_config = 'pg_catalog.simple';
         SELECT body FROM mails WHERE owner_id = NULL OR body > ''; SELECT rolecall.user_id();
         SELECT rolecall.send('mallory', '{}', '1 minute') > 0; SELECT rolecall.receive() ->> 'sender'",
        "own mal t postgres",
    ),
    (
        "another encoding",
        "SET client_encoding = 'SJIS'; SELECT rolecall.has_role(E'admins\\x81'); SET client_encoding = 'SQL_ASCII';
         SELECT rolecall.has_role(E'\\xff\\''); SELECT body FROM mails; SELECT rolecall.login(E'vict\\xc3or', 'x')",
        "own !22021 !22021 !22021",
    ),
    (
        "names that look alike",
        "SELECT rolecall.has_role('admins '), rolecall.has_role('ADMINS'), rolecall.has_role(E'admins\\u200b'),
         rolecall.has_role(U&'\\0430dmins'), rolecall.has_role(NULL), rolecall.has_scope(''),
         rolecall.has_scopes('{}'), rolecall.has_scopes(NULL)",
        "f|f|f|f||f|f|",
    ),
    (
        "a savepoint before somebody else",
        "BEGIN; SAVEPOINT s; SELECT FROM rolecall.authenticate(:'victor'); ROLLBACK TO s; SELECT body FROM mails;
         COMMIT; SELECT body FROM mails",
        "own own",
    ),
    (
        "the transaction after somebody else's",
        "SELECT rolecall.logout(); BEGIN; SELECT FROM rolecall.authenticate(:'victor'); COMMIT AND CHAIN;
         SELECT body FROM mails; COMMIT; SELECT count(*) FROM papers",
        " 0",
    ),
    (
        "somebody else's cursor WITH HOLD",
        "BEGIN; SELECT FROM rolecall.authenticate(:'victor'); SAVEPOINT s;
         DECLARE c CURSOR WITH HOLD FOR SELECT body FROM mails; ROLLBACK TO s;
         DO $$ BEGIN EXECUTE 'DECLARE c CURSOR WITH HOLD FOR SELECT his.tell_row(m) FROM public.mails m'; END $$;
         COMMIT; FETCH ALL c",
        "!55000 !55000 !34000",
    ),
    (
        "a cursor that RESET ALL leaves",
        "SELECT FROM rolecall.authenticate(:'victor', true); BEGIN;
         DECLARE c CURSOR WITH HOLD FOR SELECT body FROM mails; COMMIT; RESET ALL; SELECT rolecall.user_id();
         DISCARD ALL; FETCH ALL c; SELECT FROM rolecall.authenticate(:'mallory', true)",
        "vic !55000 !34000",
    ),
    (
        "his cursor WITH HOLD, for nobody",
        "BEGIN; DECLARE c CURSOR WITH HOLD FOR SELECT body FROM mails; COMMIT; SELECT rolecall.logout(); CLOSE c;
         SELECT rolecall.logout(); SELECT body FROM mails; FETCH ALL c",
        " !55000 !34000",
    ),
    (
        "a cursor opened as himself, read as somebody else",
        "BEGIN; DECLARE c CURSOR FOR SELECT body FROM mails; SELECT FROM rolecall.authenticate(:'victor'); ROLLBACK",
        "!55000",
    ),
    (
        "a statement that somebody else prepared",
        "SELECT FROM rolecall.authenticate(:'victor', true); SET plan_cache_mode = force_generic_plan; PREPARE q AS SELECT count(*) FROM mails; PREPARE w AS UPDATE papers SET body = body RETURNING body; EXECUTE q \\g /dev/null\nSELECT FROM rolecall.authenticate(:'mallory', true); EXECUTE q; EXECUTE w",
        "1 own",
    ),
    (
        "what somebody else prepared, kept and explained",
        "SELECT FROM rolecall.authenticate(:'victor', true); PREPARE q AS SELECT body FROM mails;
         CREATE TABLE his.kept AS EXECUTE q WITH NO DATA; SELECT FROM rolecall.authenticate(:'mallory', true);
         CREATE TABLE his.kept_now AS EXECUTE q; TABLE his.kept_now;
         EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) EXECUTE q",
        "*",
    ),
    (
        "a block that fails after somebody else",
        "CREATE FUNCTION his.try_as(t text) RETURNS bigint LANGUAGE plpgsql AS $$
         BEGIN
         BEGIN PERFORM rolecall.authenticate(t, true); RAISE division_by_zero;
         EXCEPTION WHEN division_by_zero THEN NULL; END;
         RETURN (SELECT count(*) FROM public.mails);
         END $$; SELECT his.try_as(:'victor'); SELECT body FROM mails",
        "1 own",
    ),
    (
        "rows of a function that go on as somebody else",
        "CREATE FUNCTION his.rows() RETURNS SETOF text LANGUAGE sql VOLATILE AS 'SELECT body FROM public.papers';
         CREATE FUNCTION his.switch_to(token text) RETURNS text LANGUAGE sql VOLATILE
         AS 'SELECT rolecall.authenticate(token, true)';
         SELECT his.rows(), his.switch_to(:'victor') FROM generate_series(1, 2)",
        "!55000",
    ),
    (
        "a procedure that commits on the way",
        "CREATE PROCEDURE his.walk(t text) LANGUAGE plpgsql AS $$ DECLARE b text;
         BEGIN
         FOR b IN SELECT body FROM public.papers LOOP COMMIT; PERFORM rolecall.authenticate(t);
         RAISE NOTICE 'got %', b; END LOOP;
         END $$; CALL his.walk(:'victor'); SELECT rolecall.user_id()",
        "mal !55000",
    ),
    (
        "a function that somebody else has called",
        "CREATE FUNCTION his.cached() RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT count(*) FROM public.mails WHERE rolecall.user_id() = owner_id); END $$; CREATE FUNCTION his.who() RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT rolecall.user_id()';
        SELECT FROM rolecall.authenticate(:'victor', true); SELECT his.cached(), his.who() \\g /dev/null\nSELECT FROM rolecall.authenticate(:'mallory', true); SELECT his.cached(), his.who()",
        "1|mal",
    ),
    (
        "DISCARD, RESET, DEALLOCATE",
        "SELECT FROM rolecall.authenticate(:'victor', true); DISCARD PLANS; DISCARD TEMP; DEALLOCATE ALL;
         DISCARD ALL; SELECT count(*) FROM public.mails; BEGIN; SELECT FROM rolecall.authenticate(:'victor');
         RESET ALL; SELECT count(*) FROM public.mails",
        "0 0",
    ),
    (
        "a new connection",
        "\\c\nSELECT count(*) FROM mails; SELECT rolecall.user_id() IS NULL;
\\set there 'dbname=' :DBNAME ' options=''-c ignore_system_indexes=on -c rolecall.identity=x'''\n\\c :there\nSELECT count(*) FROM mails",
        "0 t 0",
    ),
    (
        "a transaction that is prepared",
        "BEGIN; SELECT FROM rolecall.authenticate(:'victor'); INSERT INTO his.got VALUES (1);
         PREPARE TRANSACTION 'his'; SELECT body FROM mails; COMMIT PREPARED 'his'; SELECT body FROM mails",
        "own own",
    ),
    (
        "somebody else's snapshot",
        "BEGIN ISOLATION LEVEL REPEATABLE READ; SET TRANSACTION SNAPSHOT '../../global/pg_control'; ROLLBACK;
         BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE; SELECT pg_export_snapshot() IS NULL;
         SELECT body FROM mails",
        "f own !22023",
    ),
    (
        "locks of others",
        "SELECT pg_try_advisory_lock(classid::bigint << 32 | objid::bigint) FROM pg_locks
         WHERE locktype = 'advisory'; SELECT pg_advisory_unlock_all();
         SELECT pg_try_advisory_lock(i) FROM generate_series(1, 1) i; SELECT body FROM mails",
        " t own",
    ),
    (
        "passwords in a loop",
        "CREATE FUNCTION his.guess(who text) RETURNS SETOF text LANGUAGE plpgsql AS $$ DECLARE p text; d text;
         h text; BEGIN FOREACH p IN ARRAY '{welcome,password}'::text[] LOOP
         BEGIN RETURN NEXT rolecall.login(who, p);
         EXCEPTION WHEN OTHERS THEN GET STACKED DIAGNOSTICS d = PG_EXCEPTION_DETAIL, h = PG_EXCEPTION_HINT;
         RETURN NEXT concat_ws('|', SQLSTATE, SQLERRM, d, h); END; END LOOP; END $$;
         SELECT count(DISTINCT g) FROM unnest('{victor,root,nobody}'::text[]) w, his.guess(w) g;
         SELECT DISTINCT left(g, 5) FROM his.guess('victor2') g",
        "2 28P01",
    ),
    (
        "tokens in a loop",
        "CREATE FUNCTION his.try(t text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN rolecall.authenticate(t);
         EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE; END $$;
         SELECT DISTINCT his.try(t) FROM unnest(ARRAY['', '.', '..', 'rca_', 'rca_x',
         'eyJhbGciOiJub25lIn0.eyJzdWIiOiJ2aWMifQ.', repeat('a.', 2) || 'a', :'mallory' || 'A', replace(:'mallory',
         '.', '..'), ' ' || :'mallory']) t; SELECT his.try(NULL)",
        "28000 28000",
    ),
    (
        "somebody else's password",
        "SELECT rolecall.change_password('welcome', 'mine now, all mine');
         SELECT rolecall.set_password('victor', 'x'); SELECT rolecall.create_user('mal2', roles => '{admins}');
         SELECT rolecall.create_api_token('x', '{admins}'); SELECT rolecall.invite('x@example.org', '{admins}')",
        "!28P01 !42501 !42501 !42501 !42501",
    ),
    (
        "an identity where none may be taken",
        "CREATE FUNCTION his.trap(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN PERFORM rolecall.logout();
         RETURN 1; END $$; CREATE TABLE his.ground AS SELECT 1 AS x; CREATE INDEX ON his.ground (his.trap(x));
         CREATE MATERIALIZED VIEW his.frost AS SELECT his.trap(x) FROM his.ground;
         SELECT his.trap(x) FROM his.ground, mails",
        "!42501 !42501 !55000",
    ),
    (
        "a login that changes under a query",
        "CREATE FUNCTION his.switch(token text) RETURNS text LANGUAGE sql VOLATILE
         AS 'SELECT rolecall.authenticate(token)'; SELECT his.switch(:'victor'), body FROM mails;
         SELECT count(*) FROM mails WHERE his.switch(:'victor') = owner_id;
         SELECT body FROM mails, LATERAL (SELECT his.switch(:'victor') OFFSET 0) s; SELECT count(*) FROM papers",
        "2 !55000 !55000 !55000",
    ),
];

/// Prepared transactions are off unless the server is told.
#[test]
fn he_stays_who_he_is() {
    let cluster = Cluster::start(&["max_prepared_transactions=2"]);
    let mut world = World::new(cluster.database());
    world.survives(IDENTITY);
}

/// As many attempts as were promised, each once.
#[test]
fn every_attempt_is_another_one() {
    use attacker_catalogs::{CATALOGS, ROLECALL};
    use attacker_inputs::INPUTS;
    use attacker_names::{SHADOWS, THINGS};
    use attacker_reads::{COLUMNS, ELSEWHERE, PLANS, ROWS};
    use attacker_writes::{ERRORS, LISTS};
    let all = [
        ROWS,
        COLUMNS,
        PLANS,
        ELSEWHERE,
        attacker_writes::ROWS,
        LISTS,
        ERRORS,
        CATALOGS,
        ROLECALL,
        SHADOWS,
        THINGS,
        INPUTS,
        IDENTITY,
    ]
    .concat();
    let names: HashSet<_> = all.iter().map(|attempt| attempt.0).collect();
    let scripts: HashSet<_> = all.iter().map(|attempt| attempt.1).collect();
    assert!(names.len() == all.len() && scripts.len() == all.len(), "two attempts are one");
    assert!(all.len() >= 240, "{} attempts", all.len());
}

/// A transaction that sees the past, his own or one that he takes over, does not see the rights he had in it.
#[test]
fn an_old_snapshot_brings_no_right_back() {
    let mut world = World::new(database());
    let names = "SELECT count(*) FROM staff";
    let mut connections = [(); 3].map(|()| world.database.connect(&world.app));
    let [keeper, old, new] = &mut connections;
    for client in [&mut *keeper, &mut *old] {
        authenticate(client, &world.mallory, true);
        run(client, "BEGIN ISOLATION LEVEL REPEATABLE READ");
        assert_eq!(one::<i64>(client, names), 3);
    }
    let snapshot: String = one(keeper, "SELECT pg_export_snapshot()");
    run(&mut world.admin, "SELECT rolecall.revoke_role('clerk', 'mallory')");
    assert_eq!(one::<i64>(old, names), 1);
    authenticate(new, &world.mallory, true);
    run(new, &format!("BEGIN ISOLATION LEVEL REPEATABLE READ; SET TRANSACTION SNAPSHOT '{snapshot}'"));
    assert_eq!(one::<i64>(new, names), 1);
    assert!(!one::<bool>(new, "SELECT rolecall.has_role('clerk')"));
    run(new, "ROLLBACK");
    run(&mut world.admin, "SELECT rolecall.revoke_sessions('mallory')");
    refused(old, names, "28000", "");
    run(new, &format!("BEGIN ISOLATION LEVEL REPEATABLE READ; SET TRANSACTION SNAPSHOT '{snapshot}'"));
    let again = format!("SELECT rolecall.authenticate('{}')", world.mallory);
    refused(new, &again, "28000", "");
}
