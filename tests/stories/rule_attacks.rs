//! A plain login with a schema of its own against rules with relations, lists of columns and presets: whatever it tries,
//! psql never prints what is hidden, and nothing changes but its own rows.

use crate::support::*;
use postgres::Client;
use rolecall_tests::{Database, sqlstate};
use std::io::Write;
use std::process::Stdio;

/// Papers of projects. Bob is in project 1, whose papers he sees; 1 to 5 are his, and he may write those.
pub struct Firm {
    pub database: Database<'static>,
    pub admin: Client,
    pub app: String,
    pub bob: String,
    pub ann: String,
}

const IN_PROJECT: &str = r#"{"project": {"people": {"some": {"id": {"equals": "__loggedInUserId"}}}}}"#;
const OWN: &str = r#"{"owner_id": {"equals": "__loggedInUserId"}}"#;

impl Firm {
    pub fn new() -> Self {
        let database = database();
        let app = database.login("app");
        let mut admin = database.admin();
        run(
            &mut admin,
            &format!(
                r#"SELECT rolecall.create_role('clerk'), rolecall.create_user('bob', password => 'p', id => 'bob'),
                          rolecall.create_user('ann', password => 'p', id => 'ann');
                CREATE TABLE people (id text PRIMARY KEY, name text);
                CREATE TABLE projects (id int PRIMARY KEY, name text);
                CREATE TABLE members (project_id int REFERENCES projects, person_id text REFERENCES people,
                                      PRIMARY KEY (project_id, person_id));
                CREATE TABLE papers (id int PRIMARY KEY, project_id int REFERENCES projects, owner_id text, title text, body text)
                    PARTITION BY RANGE (id);
                CREATE TABLE papers_low PARTITION OF papers FOR VALUES FROM (0) TO (500);
                CREATE TABLE papers_high PARTITION OF papers DEFAULT;
                INSERT INTO people VALUES ('bob', 'Bob'), ('ann', 'hidden name'), ('eve', 'hidden name of Eve');
                INSERT INTO projects SELECT n, CASE n WHEN 1 THEN 'one' ELSE 'hidden project ' || n END FROM generate_series(1, 20) n;
                INSERT INTO members SELECT n, 'ann' FROM generate_series(2, 20) n; INSERT INTO members VALUES (1, 'bob'), (7, 'eve');
                INSERT INTO papers SELECT n, CASE WHEN n <= 20 THEN 1 ELSE n % 19 + 2 END, CASE WHEN n <= 5 THEN 'bob' ELSE 'ann' END,
                    CASE WHEN n <= 20 THEN 'shown' ELSE 'hidden title ' || n END, CASE WHEN n <= 20 THEN 'shown' ELSE 'hidden body ' || n END
                    FROM generate_series(1, 1000) n;
                CREATE INDEX ON papers (project_id); ANALYZE;
                CREATE SCHEMA mine AUTHORIZATION {app};
                GRANT SELECT, INSERT, UPDATE, DELETE ON papers, papers_low, papers_high TO {app};
                SELECT rolecall.protect(t) FROM unnest('{{people,projects,members,papers}}'::regclass[]) t;
                SELECT rolecall.allow('users', 'papers', 'select', '{IN_PROJECT}');
                SELECT rolecall.allow('users', 'papers', 'update', '{OWN}', new_row => '{{"AND": [{OWN}, {IN_PROJECT}]}}');
                SELECT rolecall.allow('users', 'papers', 'delete', '{OWN}');
                SELECT rolecall.allow('users', 'papers', 'insert', '{IN_PROJECT}', preset => '{{"owner_id": "__loggedInUserId"}}');
                SELECT rolecall.allow('clerk', 'papers', 'select', columns => '{{id,project_id,owner_id,title}}');
                SELECT rolecall.expose('papers');"#
            ),
        );
        let bob = first_token(&mut admin, "bob", "p", "can we fix it, yes");
        let ann = first_token(&mut admin, "ann", "p", "can we fix it, yes");
        let mut firm = Self { database, admin, app, bob, ann };
        let app = firm.app.clone();
        run(&mut firm.admin, &format!("GRANT SELECT ON papers_exposed TO {app}"));
        let tools = firm.psql(TOOLS);
        assert!(!tools.contains("ERROR"), "{tools}");
        firm
    }

    /// What psql prints for a script of bob's: rows, notices, errors.
    pub fn psql(&self, script: &str) -> String {
        let script = format!(
            "SELECT FROM rolecall.authenticate('{}', true);\nSET search_path = public, mine;\n{script}\n;",
            self.bob
        );
        let mut psql = self.database.psql(&self.app);
        psql.args(["--set=ON_ERROR_STOP=0", "--set=VERBOSITY=verbose", "-qAt"]);
        let mut psql =
            psql.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("psql runs");
        psql.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
        let output = psql.wait_with_output().unwrap();
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat()
    }

    /// All that bob may not change, and how many rows he has that he may not have.
    pub fn others(&mut self) -> (String, i64) {
        let rest = "SELECT md5(string_agg(p::text, '|' ORDER BY id)) FROM papers p WHERE id BETWEEN 6 AND 99999";
        let wrong = "SELECT count(*) FROM papers WHERE (id < 6 OR id > 99999) AND (owner_id, project_id) IS DISTINCT FROM ('bob', 1)";
        (one(&mut self.admin, rest), one(&mut self.admin, wrong))
    }
}

/// Functions that tell what they get, an operator and a type: cheap, so that the planner would like to run them first.
const TOOLS: &str = "
    CREATE FUNCTION mine.tell(x text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS $$ BEGIN RAISE NOTICE 'got %', x; RETURN true; END $$;
    CREATE FUNCTION mine.tell(x text, y text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS $$ BEGIN RAISE NOTICE 'got %', x; RETURN true; END $$;
    CREATE FUNCTION mine.tell(x int, y int) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS $$ BEGIN RAISE NOTICE 'got %', x; RETURN x = y; END $$;
    CREATE OPERATOR mine.~~~ (FUNCTION = mine.tell, LEFTARG = text, RIGHTARG = text, RESTRICT = eqsel, JOIN = eqjoinsel, MERGES, HASHES, COMMUTATOR = OPERATOR(mine.~~~));
    CREATE OPERATOR mine.=== (FUNCTION = mine.tell, LEFTARG = int, RIGHTARG = int, RESTRICT = eqsel, MERGES, HASHES, COMMUTATOR = OPERATOR(mine.===));
    CREATE TYPE mine.word AS (x text);
    CREATE FUNCTION mine.word(x text) RETURNS mine.word LANGUAGE plpgsql COST 0.0000001 AS $$ BEGIN RAISE NOTICE 'got %', x; RETURN ROW(x); END $$;
    CREATE CAST (text AS mine.word) WITH FUNCTION mine.word(text) AS IMPLICIT;
    CREATE DOMAIN mine.short AS text CHECK (mine.tell(VALUE));
    CREATE TABLE mine.got (id int, project_id int, owner_id text, title text, body text);
    CREATE TABLE mine.numbers AS SELECT n AS id FROM generate_series(1, 1000) n;
    CREATE VIEW mine.lens AS SELECT * FROM public.papers;
    CREATE VIEW mine.barrier WITH (security_barrier) AS SELECT * FROM public.papers;
    CREATE VIEW mine.invoker WITH (security_invoker) AS SELECT * FROM public.papers;
    CREATE FUNCTION mine.definer() RETURNS SETOF text LANGUAGE sql SECURITY DEFINER AS 'SELECT body FROM public.papers';
    CREATE FUNCTION mine.inlined() RETURNS SETOF text LANGUAGE sql STABLE AS 'SELECT body FROM public.papers';";

/// Reads of a table or of the view beside it, which stands for `{t}`.
const READS: &[&str] = &[
    "SELECT body FROM {t}",
    "SELECT * FROM {t}",
    "SELECT t FROM {t} t WHERE t.id = 777",
    "SELECT body FROM {t} WHERE id = ANY ('{21,777,999}')",
    "SELECT body FROM {t} WHERE tell(body) AND tell(body, title)",
    "SELECT id FROM {t} WHERE tell(body)",
    "SELECT id FROM {t} WHERE id = 777 AND tell(body)",
    "SELECT id FROM {t} WHERE body ~~~ 'x'",
    "SELECT body FROM {t} WHERE id === 777",
    "SELECT body::word FROM {t}",
    "SELECT count(*) FROM {t} WHERE (body::word) IS NOT NULL",
    "SELECT count(*) FROM {t} WHERE (body::short) IS NOT NULL",
    "SELECT count(*) FROM {t} WHERE (1 / (CASE WHEN body LIKE '%body 777' THEN 0 ELSE 1 END)) = 1",
    "SELECT count(*) FROM {t} WHERE body::int = 1",
    "SELECT t::text::int FROM {t} t",
    "SELECT to_jsonb(t) FROM {t} t WHERE tell(t::text)",
    "SELECT body FROM {t} JOIN numbers USING (id) WHERE numbers.id > 700",
    "SELECT q.body FROM numbers n, LATERAL (SELECT body FROM {t} t WHERE t.id = n.id AND tell(t.body) OFFSET 0) q",
    "SELECT n.id FROM numbers n WHERE EXISTS (SELECT FROM {t} t WHERE t.id = n.id AND tell(t.body))",
    "SELECT n.id FROM numbers n WHERE n.id IN (SELECT id FROM {t} t WHERE tell(t.body))",
    "SELECT n.id, (SELECT body FROM {t} t WHERE t.id = n.id AND tell(body)) FROM numbers n",
    "SELECT id, n.id FROM {t} t LEFT JOIN numbers n USING (id) WHERE tell(t.body)",
    "SELECT tell(n.body) FROM numbers m FULL JOIN {t} n USING (id)",
    "WITH q AS (SELECT body FROM {t}) SELECT * FROM q WHERE tell(body)",
    "WITH q AS NOT MATERIALIZED (SELECT id, body FROM {t}) SELECT id FROM q WHERE tell(body) AND id = 777",
    "SELECT string_agg(body, '|' ORDER BY tell(body)) FILTER (WHERE tell(body)) FROM {t}",
    "SELECT first_value(body) OVER (PARTITION BY tell(body)) FROM {t}",
    "SELECT DISTINCT ON (body) body FROM {t} ORDER BY body DESC",
    "SELECT min(body), max(body) FROM {t}",
    "SELECT CASE WHEN tell(body) THEN 1 END FROM {t}",
    "SELECT body FROM {t} UNION SELECT body FROM {t} EXCEPT SELECT 'x'",
    "COPY (SELECT * FROM {t}) TO STDOUT",
    "COPY {t} TO STDOUT",
    "CREATE TABLE mine.copied AS SELECT * FROM {t}; TABLE mine.copied",
    "CREATE MATERIALIZED VIEW mine.copied AS SELECT body FROM {t}; TABLE mine.copied",
    "INSERT INTO mine.got (id, body) SELECT id, body FROM {t} WHERE tell(body) RETURNING *",
    "WITH w AS (INSERT INTO mine.got SELECT * FROM {t} RETURNING *) SELECT body FROM w",
    "UPDATE mine.numbers n SET id = n.id FROM {t} t WHERE t.id = n.id AND tell(t.body) RETURNING t.body",
    "MERGE INTO mine.numbers n USING {t} t ON n.id = t.id AND tell(t.body) WHEN MATCHED THEN DO NOTHING",
    "DELETE FROM mine.got USING {t} t WHERE tell(t.body) RETURNING t.body",
    "SET row_security = off; SELECT body FROM {t}",
    "BEGIN; DECLARE c SCROLL CURSOR WITH HOLD FOR SELECT body FROM {t}; COMMIT; FETCH ALL c",
    "SET force_parallel_mode = on; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0;
     SELECT body FROM {t}; SELECT max(body) FROM {t}",
    "SET enable_seqscan = off; SET enable_bitmapscan = off; SELECT body FROM {t} WHERE project_id > 1 AND tell(body)",
    "SET plan_cache_mode = force_generic_plan; PREPARE q(int) AS SELECT body FROM {t} WHERE id = $1; EXECUTE q(777); EXECUTE q(1)",
    "EXPLAIN (ANALYZE, VERBOSE) SELECT body FROM {t} WHERE tell(body)",
    "SELECT query_to_xml('SELECT * FROM {t}', true, false, ''), table_to_xml('{t}', true, false, ''), cursor_to_xml('c', 9, true, true, '')",
    "CREATE TEMP TABLE people AS SELECT 'bob'::text AS id; CREATE TEMP TABLE members AS SELECT n AS project_id, 'bob'::text AS person_id
       FROM generate_series(1, 20) n; CREATE TEMP TABLE projects AS SELECT n AS id FROM generate_series(1, 20) n;
     SET search_path = pg_temp, mine, public; SELECT body FROM public.{t}",
    "CREATE TEMP VIEW people_1 AS SELECT 'bob'::text AS id; CREATE FUNCTION pg_temp.user_id() RETURNS text LANGUAGE sql AS $$ SELECT 'ann' $$;
     CREATE FUNCTION pg_temp.related(a boolean, b boolean) RETURNS boolean LANGUAGE sql AS 'SELECT true';
     SET search_path = pg_temp, pg_catalog, rolecall, public; SELECT body FROM {t}",
    "CREATE FUNCTION mine.same(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT true';
     CREATE OPERATOR mine.= (FUNCTION = mine.same, LEFTARG = text, RIGHTARG = text);
     SET search_path = mine, pg_catalog, public; SELECT body FROM {t}; SELECT rolecall.user_id(), rolecall.has_role('admins')",
];

/// Reads that only make sense of the table itself.
const TABLE_READS: &[&str] = &[
    "SELECT body FROM papers_low",
    "SELECT body FROM papers_high WHERE tell(body)",
    "SELECT body FROM ONLY papers_high WHERE id = 777",
    "SELECT body FROM papers WHERE ctid = '(0,30)' AND tableoid = 'papers_high'::regclass",
    "SELECT ctid, tableoid::regclass, xmin, body FROM papers WHERE ctid > '(0,0)' AND tell(body)",
    "SELECT (papers).body FROM papers",
    "SELECT body FROM papers TABLESAMPLE bernoulli (100) WHERE tell(body)",
    "SELECT body FROM papers FOR UPDATE",
    "SELECT body FROM papers WHERE tell(body) FOR SHARE SKIP LOCKED",
    "TABLE lens; TABLE barrier; TABLE invoker",
    "SELECT id FROM lens WHERE tell(body); SELECT id FROM barrier WHERE tell(body); SELECT id FROM invoker WHERE tell(body)",
    "SELECT definer(); SELECT inlined(); SELECT * FROM inlined() x WHERE tell(x)",
    "SELECT most_common_vals, histogram_bounds FROM pg_stats WHERE tablename ~ 'papers|people|projects'",
    "SELECT * FROM people; SELECT * FROM projects; SELECT * FROM members",
    "CREATE TABLE mine.child (LIKE papers INCLUDING ALL); ALTER TABLE mine.child INHERIT public.papers",
    "CREATE TABLE mine.child () INHERITS (public.papers)",
    "CREATE TABLE mine.keys (id int REFERENCES public.papers)",
    "CREATE POLICY p ON papers USING (true); ALTER TABLE papers DISABLE ROW LEVEL SECURITY",
    "CREATE RULE r AS ON SELECT TO papers DO INSTEAD SELECT * FROM mine.got",
    "CREATE TRIGGER t BEFORE UPDATE ON papers FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "CREATE STATISTICS mine.s ON project_id, owner_id FROM papers; ANALYZE papers",
    "SET ROLE postgres; SELECT body FROM papers; SET SESSION AUTHORIZATION postgres; SELECT body FROM papers",
    "SET ROLE pg_read_all_data; SELECT body FROM papers",
    "SELECT * FROM rolecall_relations.people_1; SELECT * FROM rolecall.users; SELECT rolecall.preview('papers', '{}', 'ann')",
    "SELECT rolecall.matches('papers', '{\"project\": {\"name\": {\"starts_with\": \"h\"}}}', '{\"project_id\": 2}')",
    "BEGIN; SAVEPOINT s; SELECT rolecall.logout(); SELECT body FROM papers; ROLLBACK TO s; SELECT body FROM papers; ROLLBACK; SELECT body FROM papers",
];

/// Writes of more than one's own rows.
const WRITES: &[&str] = &[
    "UPDATE papers SET body = 'w' WHERE id > 5",
    "UPDATE papers SET body = body || '!' RETURNING body",
    "UPDATE papers SET title = 'w' WHERE id = 777 AND tell(body) RETURNING *",
    "UPDATE papers SET owner_id = 'bob', project_id = 1",
    "UPDATE papers SET project_id = 2 WHERE id = 1 RETURNING *",
    "UPDATE papers SET id = id + 100000, owner_id = 'ann' WHERE id = 2",
    "UPDATE papers_high SET body = 'w' WHERE tell(body)",
    "UPDATE papers p SET body = 'w' FROM numbers n WHERE n.id = p.id AND tell(p.body) RETURNING p.*",
    "DELETE FROM papers WHERE id > 5 RETURNING *",
    "DELETE FROM papers_low WHERE tell(body) AND id > 5 RETURNING *",
    "INSERT INTO papers VALUES (100000, 2, 'bob', 'w', 'w')",
    "INSERT INTO papers VALUES (100001, 1, 'ann', 'w', 'w') RETURNING *",
    "INSERT INTO papers_high VALUES (100002, 1, 'ann', 'w', 'w')",
    "INSERT INTO papers VALUES (777, 1, 'bob', 'w', 'w') ON CONFLICT (id) DO UPDATE SET body = excluded.body RETURNING *",
    "INSERT INTO papers VALUES (777, 1, 'bob', 'w', 'w') ON CONFLICT DO NOTHING RETURNING *",
    "INSERT INTO papers SELECT id + 100100, project_id, 'ann', title, body FROM papers WHERE tell(body)",
    "INSERT INTO lens VALUES (100003, 3, 'ann', 'w', 'w'); UPDATE lens SET body = 'w' WHERE tell(body) AND id > 5; DELETE FROM invoker WHERE id > 5",
    "WITH w AS (UPDATE papers SET body = 'w' WHERE id > 5 RETURNING *), d AS (DELETE FROM papers WHERE id > 20 RETURNING *)
     SELECT * FROM w, d",
    "MERGE INTO papers p USING numbers n ON p.id = n.id AND n.id > 5 WHEN MATCHED AND tell(p.body) THEN UPDATE SET body = 'w'",
    "MERGE INTO papers p USING numbers n ON p.id = n.id AND n.id > 5 WHEN MATCHED THEN DELETE",
    "MERGE INTO papers p USING (VALUES (100004)) n(i) ON p.id = i WHEN NOT MATCHED THEN INSERT VALUES (i, 2, 'ann', 'w', 'w')",
    "COPY papers FROM STDIN;\n100005\t1\tann\tw\tw\n\\.\n",
    "COPY papers_high FROM STDIN;\n100006\t2\tann\tw\tw\n\\.\n",
    "TRUNCATE papers",
    "TRUNCATE papers_low CASCADE; TRUNCATE people, members, projects CASCADE",
    "BEGIN; DECLARE c CURSOR FOR SELECT * FROM papers WHERE id > 5 FOR UPDATE; FETCH 1 FROM c; UPDATE papers SET body = 'w' WHERE CURRENT OF c; COMMIT",
    "UPDATE papers_exposed SET body = 'w'",
    "UPDATE members SET person_id = 'bob'; INSERT INTO members VALUES (2, 'bob'); INSERT INTO rolecall_relations.members_1 VALUES (2, 'bob')",
    "SET session_replication_role = replica; INSERT INTO papers VALUES (100007, 1, 'ann', 'w', 'w')",
    "ALTER TABLE papers DISABLE TRIGGER ALL; DROP TRIGGER rolecall_insert ON papers; INSERT INTO papers VALUES (100008, 1, 'ann', 'w', 'w')",
];

/// Up to 15.19 PostgreSQL itself shows the row in conflict to the WHERE before it looks at policies (CVE-2026-120154).
const CONFLICT: &str =
    "INSERT INTO {t} VALUES (777, 1, 'bob', 'w', 'w') ON CONFLICT (id) DO UPDATE SET body = 'w' WHERE tell({t}.body)";

/// Whether this server does, with policies that have nothing to do with rolecall.
fn server_shows_conflicts(firm: &mut Firm) -> bool {
    run(
        &mut firm.admin,
        &format!(
            "CREATE TABLE plain (id int PRIMARY KEY, project_id int, owner_id text, title text, body text);
             INSERT INTO plain VALUES (777, 2, 'ann', 'title', 'hidden'); GRANT ALL ON plain TO {};
             ALTER TABLE plain ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON plain USING (owner_id = 'bob')",
            firm.app
        ),
    );
    firm.psql(&CONFLICT.replace("{t}", "plain")).contains("hidden")
}

/// Runs scripts; `hidden` must not be in what psql prints.
fn survives<'a>(firm: &mut Firm, scripts: impl Iterator<Item = &'a str>, table: &str, hidden: &str) {
    let before = firm.others();
    assert_eq!(before.1, 0);
    for script in scripts {
        let script = script.replace("{t}", table);
        let printed = firm.psql(&script);
        assert!(!printed.contains(hidden), "{script}\n{printed}");
        assert!(
            (script.contains("STDIN") || !printed.contains("syntax error")) && !printed.contains("XX000"),
            "{script}\n{printed}"
        );
        assert_eq!(firm.others(), before, "{script}\n{printed}");
        firm.psql("DROP TABLE IF EXISTS mine.copied; DROP MATERIALIZED VIEW IF EXISTS mine.copied; TRUNCATE mine.got");
    }
}

/// Trap 19.
#[test]
fn nobody_reads_more_through_relations() {
    let mut firm = Firm::new();
    let shown = firm.psql("SELECT id, body FROM papers WHERE tell(body)");
    assert_eq!((shown.matches("got shown").count(), shown.matches("|shown").count()), (20, 20), "{shown}");
    survives(&mut firm, READS.iter().chain(TABLE_READS).copied(), "papers", "hidden");
}

#[test]
fn nobody_reads_more_through_the_exposed_view() {
    let mut firm = Firm::new();
    survives(&mut firm, READS.iter().copied(), "papers_exposed", "hidden");
}

#[test]
fn nobody_reads_other_columns() {
    let mut firm = Firm::new();
    run(&mut firm.admin, "SELECT rolecall.grant_role('clerk', 'bob')");
    let titles = firm.psql("SELECT title FROM papers; SELECT title FROM papers_exposed");
    assert_eq!(titles.matches("hidden title").count(), 2 * 980);
    survives(&mut firm, READS.iter().chain(TABLE_READS).copied(), "papers", "hidden body");
    survives(&mut firm, READS.iter().copied(), "papers_exposed", "hidden body");
}

/// Trap 19, CVE-2026-120154.
#[test]
fn nobody_writes_more() {
    let mut firm = Firm::new();
    let conflict = (!server_shows_conflicts(&mut firm)).then_some(CONFLICT);
    survives(&mut firm, WRITES.iter().copied().chain(conflict), "papers", "hidden");
    run(&mut firm.admin, "SELECT rolecall.grant_role('clerk', 'bob')");
    survives(&mut firm, WRITES.iter().copied().chain(conflict), "papers", "hidden body");
    // What is his he may write, and a preset makes his what he adds.
    let mine =
        "UPDATE papers SET body = 'v'; UPDATE papers SET body = 'w' WHERE id > 3; DELETE FROM papers WHERE id < 3;
        INSERT INTO papers VALUES (100100, 1, 'ann', 'w', 'w')";
    assert_eq!(firm.psql(mine), "");
    let bobs = "SELECT id || body FROM papers WHERE owner_id = 'bob' AND (id < 6 OR id = 100100) ORDER BY id";
    assert_eq!(column(&mut firm.admin, bobs), ["3v", "4w", "5w", "100100w"]);
}

/// A plan or a cursor made as one user gives another only his own rows.
/// Trap 7.
#[test]
fn plans_and_cursors_follow_the_identity() {
    let Firm { database, mut admin, app, bob, ann } = Firm::new();
    let mut client = database.connect(&app);
    for mode in ["force_generic_plan", "force_custom_plan", "auto"] {
        run(&mut client, &format!("DEALLOCATE ALL; SET plan_cache_mode = {mode}"));
        authenticate(&mut client, &ann, true);
        let scan = client.prepare("SELECT project_id FROM papers").unwrap();
        let by_key = client.prepare("SELECT project_id FROM papers WHERE id = $1").unwrap();
        let writes = client.prepare("UPDATE papers SET title = title WHERE id = $1").unwrap();
        let see = |client: &mut Client| {
            let rows = client.query(&scan, &[]).unwrap().len();
            let keys = [1, 777].map(|id: i32| client.query(&by_key, &[&id]).unwrap().len());
            (rows, keys, [1, 777].map(|id: i32| client.execute(&writes, &[&id]).unwrap()))
        };
        for _ in 0..7 {
            authenticate(&mut client, &ann, true);
            assert_eq!(see(&mut client), (980, [0, 1], [0, 1]));
            authenticate(&mut client, &bob, true);
            assert_eq!(see(&mut client), (20, [1, 0], [1, 0]));
            run(&mut client, "SELECT rolecall.logout()");
            assert_eq!(see(&mut client), (0, [0, 0], [0, 0]));
        }
        // Somebody else's role, and what one was before a savepoint.
        authenticate(&mut client, &bob, true);
        run(&mut client, "BEGIN; SAVEPOINT s");
        authenticate(&mut client, &ann, false);
        assert_eq!(see(&mut client), (980, [0, 1], [0, 1]));
        run(&mut client, "ROLLBACK TO s");
        assert_eq!(see(&mut client), (20, [1, 0], [1, 0]));
        run(&mut client, "COMMIT");
        // Rows that the rule reads decide at once, uncommitted ones only for their writer.
        run(&mut admin, "BEGIN; DELETE FROM members WHERE person_id = 'bob'");
        assert_eq!(see(&mut client).0, 20);
        run(&mut admin, "COMMIT");
        assert_eq!(see(&mut client), (0, [0, 0], [0, 0]));
        run(&mut admin, "BEGIN; INSERT INTO members VALUES (1, 'bob')");
        assert_eq!(see(&mut client).0, 0);
        run(&mut admin, "COMMIT");
        assert_eq!(see(&mut client).0, 20);
    }
    // The identity cannot change under a cursor; what the rule reads may, and does not change what the cursor began with.
    run(&mut client, "BEGIN; DECLARE c CURSOR FOR SELECT id FROM papers ORDER BY id");
    let (state, message) = sqlstate(client.execute("SELECT rolecall.authenticate($1, true)", &[&ann]));
    assert!(state == "55000" && message.contains("while a cursor is open"), "{state} {message}");
    run(&mut client, "ROLLBACK; BEGIN; DECLARE c CURSOR FOR SELECT id FROM papers FOR UPDATE; FETCH 1 FROM c");
    run(&mut admin, "DELETE FROM members WHERE person_id = 'bob'");
    assert_eq!(client.execute("UPDATE papers SET title = 'w' WHERE CURRENT OF c", &[]).unwrap(), 0);
    run(&mut client, "COMMIT");
    assert_eq!(one::<i64>(&mut admin, "SELECT count(*) FROM papers WHERE title = 'w'"), 0);
}

/// Whatever the plan, with workers or without.
/// Trap 6.
#[test]
fn every_plan_gives_the_same_rows() {
    let Firm { database, mut admin, app, bob, ann } = Firm::new();
    let force = if one::<i32>(&mut admin, "SELECT current_setting('server_version_num')::int") < 160_000 {
        "force_parallel_mode"
    } else {
        "debug_parallel_query"
    };
    let mut client = database.connect(&app);
    run(
        &mut client,
        "SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0;
         SET min_parallel_index_scan_size = 0",
    );
    for (token, rows) in [(&bob, 20), (&ann, 980)] {
        authenticate(&mut client, token, true);
        for parallel in ["on", "regress", "off"] {
            for off in ["seqscan", "indexscan", "bitmapscan", "hashjoin", "nestloop", "partition_pruning", "material"] {
                run(&mut client, &format!("RESET ALL; SET {force} = {parallel}; SET enable_{off} = off"));
                authenticate(&mut client, token, true);
                for query in [
                    "SELECT count(*) FROM papers",
                    "SELECT count(*) FROM papers_exposed",
                    "SELECT count(*) FROM generate_series(1, 1000) n JOIN papers ON id = n",
                    "SELECT count(*) FROM generate_series(1, 1000) n, LATERAL (SELECT FROM papers WHERE id = n) q",
                    "SELECT count(*) FROM generate_series(1, 1000) n WHERE n IN (SELECT id FROM papers)",
                ] {
                    assert_eq!(one::<i64>(&mut client, query), rows, "{parallel} {off} {query}");
                }
            }
        }
    }
}
