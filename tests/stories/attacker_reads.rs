//! The attacker reads: every way to ask for rows, columns and plans.

use crate::attacker_world::{Attempt, World};
use crate::support::database;

pub const ROWS: &[Attempt] = &[
    ("a function that tells", "SELECT body FROM mails WHERE tell(body) AND tell(shout, subject)", "own"),
    (
        "an operator with estimators",
        "CREATE OPERATOR his.~~~ (FUNCTION = his.tell, LEFTARG = text, RIGHTARG = text, RESTRICT = eqsel,
         JOIN = eqjoinsel, MERGES, HASHES,
         COMMUTATOR = OPERATOR(his.~~~));
         SELECT body FROM mails WHERE body ~~~ 'x' AND shout ~~~ 'x';
         SELECT count(*) FROM mails a JOIN mails b ON a.body ~~~ b.body",
        "own 1",
    ),
    (
        "statistics of partitions",
        "CREATE OPERATOR his.~~< (FUNCTION = his.tell, LEFTARG = text, RIGHTARG = text, RESTRICT = scalarltsel,
         JOIN = scalarltjoinsel);
         SELECT body FROM papers WHERE body ~~< 'x'; SELECT body FROM papers_high WHERE body ~~< 'x'",
        "shown own",
    ),
    (
        "statistics through a view",
        "CREATE OPERATOR his.~~> (FUNCTION = his.tell, LEFTARG = text, RIGHTARG = text, RESTRICT = matchingsel);
         SELECT body FROM mails_seen WHERE body ~~> 'x'",
        "own",
    ),
    (
        "a domain's check",
        "CREATE DOMAIN his.told AS text CHECK (his.tell(VALUE));
         SELECT count(*) FROM mails WHERE body::told IS NOT NULL",
        "1",
    ),
    (
        "a cast that is a function",
        "CREATE TYPE his.word AS (x text);
         CREATE FUNCTION his.word(x text) RETURNS his.word LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'got %', x;
         RETURN ROW(x); END $$;
         CREATE CAST (text AS his.word) WITH FUNCTION his.word(text) AS IMPLICIT;
         SELECT count(*) FROM mails WHERE (body::his.word).x > ''",
        "1",
    ),
    ("a cast that fails", "SELECT count(*) FROM mails WHERE body::int = 1", "!22P02"),
    ("a division that fails", "SELECT count(*) FROM mails WHERE 1 / (score - 5 - 1000 * (666000 + 777)) = 0", "1"),
    (
        "a subscript, a date, a regular expression that fail",
        "SELECT body::date FROM mails; SELECT 'x' ~ body || '(' FROM mails",
        "false( !22007",
    ),
    (
        "an aggregate of his",
        "CREATE FUNCTION his.add(text, text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'got %', $2;
         RETURN $1 || $2; END $$;
         CREATE AGGREGATE his.all_of(text) (SFUNC = his.add, STYPE = text, INITCOND = '');
         SELECT his.all_of(body ORDER BY score) FROM mails",
        "own",
    ),
    (
        "a moving window of his aggregate",
        "CREATE FUNCTION his.forget(text, text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'got %', $2;
         RETURN $1; END $$;
         CREATE AGGREGATE his.last_of(text) (SFUNC = his.add, STYPE = text, INITCOND = '', MSFUNC = his.add,
         MINVFUNC = his.forget, MSTYPE = text, MINITCOND = '');
         SELECT his.last_of(body) OVER (ORDER BY id ROWS BETWEEN 9 PRECEDING AND 9 FOLLOWING),
         first_value(body) OVER (PARTITION BY tell(body)) FROM mails",
        "own|own",
    ),
    (
        "a filter of an aggregate",
        "SELECT string_agg(body, ',') FILTER (WHERE tell(body)), mode() WITHIN GROUP (ORDER BY body) FROM mails",
        "own|own",
    ),
    (
        "grouping sets",
        "SELECT body, count(*) FROM mails GROUP BY CUBE (body) HAVING tell(coalesce(body, '')) ORDER BY 1",
        "own|1 |1",
    ),
    (
        "a recursive query",
        "WITH RECURSIVE r (id) AS (SELECT 1 UNION SELECT m.id FROM r JOIN mails m ON m.id = r.id + 1
         AND tell(m.body)) TABLE r",
        "1",
    ),
    (
        "a query that is not materialised",
        "WITH q AS NOT MATERIALIZED (SELECT * FROM mails OFFSET 0) SELECT body FROM q WHERE id > 0 AND tell(shout)",
        "own",
    ),
    (
        "a lateral join",
        "SELECT n.id, q.body FROM numbers n, LATERAL (SELECT body FROM mails m WHERE m.id = n.id
         AND tell(m.body) OFFSET 0) q",
        "1|own",
    ),
    (
        "an anti-join",
        "SELECT count(*) FROM numbers n WHERE NOT EXISTS (SELECT FROM mails m WHERE m.id = n.id AND tell(m.body))",
        "999",
    ),
    (
        "NOT IN with a subquery that tells",
        "SELECT count(*) FROM numbers WHERE id NOT IN (SELECT id FROM mails WHERE tell(body))",
        "999",
    ),
    ("a full join", "SELECT count(m.body) FROM numbers n FULL JOIN mails m ON m.id = n.id AND tell(m.body, 'x')", "1"),
    (
        "set operations",
        "SELECT body FROM mails EXCEPT SELECT '' INTERSECT SELECT body FROM mails WHERE tell(body)",
        "own",
    ),
    (
        "rows as they are",
        "SELECT mails FROM mails; SELECT (m.*)::text FROM mails m WHERE tell_row(m);
         SELECT to_jsonb(m) ->> 'shout' FROM mails m",
        "(1,mal,first,own,1,OWN,\"[1,2)\") (1,mal,first,own,1,OWN,\"[1,2)\") OWN",
    ),
    (
        "a row's own number",
        "SELECT tableoid::regclass, xmin IS NULL, body FROM mails WHERE ctid >= '(0,0)' AND ctid <> '(0,3)'
         AND tell(body)",
        "mails|f|own",
    ),
    (
        "row numbers asked for one by one",
        "SELECT body FROM mails WHERE ctid = ANY (SELECT format('(%s,%s)', p, n)::tid FROM generate_series(0, 9) p,
         generate_series(1, 99) n)",
        "own",
    ),
    (
        "the newest version of a row",
        "SELECT currtid2('mails', '(0,5)') IS NULL; SELECT body FROM mails WHERE ctid = currtid2('public.mails',
         '(0,5)')",
        "f",
    ),
    ("a sample", "SELECT body FROM mails TABLESAMPLE system (100) REPEATABLE (1) WHERE tell(body)", "own"),
    (
        "rows that one locks",
        "SELECT body FROM mails WHERE tell(body) FOR UPDATE NOWAIT; SELECT body FROM mails FOR KEY SHARE SKIP LOCKED",
        "own own",
    ),
    (
        "the partition instead of the table",
        "SELECT count(*) FROM papers_high WHERE tell(body); SELECT body FROM ONLY papers_low",
        "0 shown own",
    ),
    ("a parent alone", "SELECT count(*) FROM ONLY papers", "0"),
    (
        "the team's rows of the relation",
        "SELECT p.body FROM papers p LEFT JOIN members USING (team_id) LEFT JOIN teams t ON t.id = team_id
         WHERE tell(p.body)",
        "shown own",
    ),
    ("a denied file", "SELECT id, name FROM files WHERE tell(name) AND tell(_acl::text)", "1|own"),
];

pub const COLUMNS: &[Attempt] = &[
    ("a closed column", "SELECT salary FROM staff", "1000"),
    ("a closed column in WHERE", "SELECT name FROM staff WHERE salary > 0", "Mallory"),
    ("a closed column in ORDER BY", "SELECT name FROM staff ORDER BY salary DESC", "Mallory"),
    (
        "a closed column in a join",
        "SELECT name FROM staff JOIN generate_series(1000 * (666000 + 777), 1000 * (666000 + 777) + 9) n ON n = salary",
        "",
    ),
    (
        "a closed column in a subquery",
        "SELECT name, (SELECT s.salary FROM staff s WHERE s.id = t.id) FROM staff t ORDER BY 1",
        "Ann| Mallory|1000 Victor|",
    ),
    (
        "a closed column by a row",
        "SELECT staff::text FROM staff; SELECT row_to_json(s) ->> 'salary' FROM staff s",
        "(mal,Mallory,1000) 1000",
    ),
    ("a closed column by USING", "SELECT a.name FROM staff a JOIN staff b USING (id, salary)", "Mallory"),
    (
        "a closed column under another name",
        "SELECT x FROM staff AS s (i, n, x); SELECT (s).salary FROM staff s",
        "1000 1000",
    ),
    (
        "a closed column of the view",
        "SELECT name, salary FROM staff_exposed ORDER BY 1;
         SELECT name FROM staff_exposed WHERE tell(salary::text) AND salary > 1000",
        "Ann| Mallory|1000 Victor|",
    ),
    (
        "a closed column's group",
        "SELECT count(DISTINCT salary), max(salary) FROM staff; SELECT count(*) FROM staff GROUP BY salary",
        "1|1000 1",
    ),
    ("a window over a closed column", "SELECT name, rank() OVER (ORDER BY salary) FROM staff", "Mallory|1"),
];

pub const PLANS: &[Attempt] = &[
    (
        "EXPLAIN ANALYZE",
        "EXPLAIN (ANALYZE, VERBOSE, BUFFERS, SETTINGS, FORMAT json) SELECT * FROM mails WHERE tell(body)",
        "*",
    ),
    (
        "the estimate of a guess",
        "EXPLAIN SELECT FROM mails WHERE body > 'q'; EXPLAIN (VERBOSE) SELECT FROM papers WHERE body LIKE 'q%'",
        "*",
    ),
    (
        "EXPLAIN of a generic plan",
        "SET plan_cache_mode = force_generic_plan; PREPARE q (text) AS SELECT body FROM mails WHERE body > $1;
         EXPLAIN (VERBOSE) EXECUTE q('a'); EXECUTE q('a')",
        "*",
    ),
    (
        "parse trees and plans as messages",
        "SET client_min_messages = debug1; SET debug_print_parse = on; SET debug_print_rewritten = on;
         SET debug_print_plan = on; SELECT body FROM mails, staff",
        "*",
    ),
    (
        "messages of the executor",
        "SET client_min_messages = debug5; SET trace_sort = on; SET log_executor_stats = on;
         SELECT body FROM mails ORDER BY body",
        "*",
    ),
    (
        "workers",
        "SELECT FROM set_config((SELECT name FROM pg_settings WHERE name IN ('force_parallel_mode',
         'debug_parallel_query')), 'on', false);
         SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0;
         SELECT body FROM mails WHERE tell(body); SELECT max(body) FROM papers",
        "own shown",
    ),
    (
        "compiled expressions",
        "SET jit = on; SET jit_above_cost = 0; SET jit_inline_above_cost = 0;
         SELECT body FROM mails WHERE upper(body) <> 'x'",
        "own",
    ),
    (
        "index scans only",
        "SET enable_seqscan = off; SET enable_bitmapscan = off; SELECT body FROM mails WHERE body >= 'a';
         SELECT min(body), max(body) FROM mails",
        "own own|own",
    ),
    (
        "the planner's other knobs",
        "SET geqo_threshold = 2; SET join_collapse_limit = 1; SET constraint_exclusion = on;
         SET enable_partitionwise_join = on; SET enable_partitionwise_aggregate = on;
         SET enable_hashjoin = off; SET enable_sort = off;
         SELECT a.body FROM papers a JOIN papers b USING (id) JOIN mails m ON m.id = a.id WHERE tell(b.body)",
        "own",
    ),
    (
        "little memory",
        "SET work_mem = '64kB'; SET hash_mem_multiplier = 1; SET temp_buffers = 100;
         SELECT count(*) FROM mails a, mails b, numbers WHERE tell(a.body)",
        "1000",
    ),
    (
        "a memoized subquery",
        "SET enable_hashjoin = off; SET enable_mergejoin = off;
         SELECT count(m.body) FROM numbers n JOIN mails m ON m.id = n.id % 400 AND tell(m.body)",
        "3",
    ),
];

pub const ELSEWHERE: &[Attempt] = &[
    ("COPY of a table", "COPY mails (body) TO STDOUT", "own"),
    (
        "COPY of a query",
        "COPY (SELECT body FROM papers WHERE tell(body) ORDER BY id) TO STDOUT WITH (FORMAT csv, FORCE_QUOTE *)",
        "\"own\" \"shown\"",
    ),
    (
        "COPY to a program, to a file",
        "COPY (SELECT 1) TO PROGRAM 'cat'; COPY (SELECT 1) TO '/tmp/his'",
        "!42501 !42501",
    ),
    (
        "a table made of it",
        "CREATE TABLE his.kept AS TABLE mails; SELECT body, shout FROM his.kept;
         SELECT most_common_vals FROM pg_stats WHERE tablename = 'kept'",
        "own|OWN",
    ),
    (
        "a materialized view",
        "CREATE MATERIALIZED VIEW his.frozen AS SELECT body FROM public.mails; REFRESH MATERIALIZED VIEW his.frozen;
         TABLE his.frozen",
        "own",
    ),
    (
        "a query as XML",
        "SELECT query_to_xml('SELECT body FROM mails WHERE tell(body)', false, true, '')",
        "<row xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\">   <body>own</body> </row>   or !0A000", // without libxml
    ),
    (
        "a table as XML",
        "SELECT table_to_xml_and_xmlschema('mails', true, false, '') IS NULL, table_to_xml('papers_high', false,
         true, '')",
        "f| or !0A000",
    ),
    (
        "a cursor as XML",
        "BEGIN; DECLARE c CURSOR FOR SELECT body FROM mails; SELECT cursor_to_xml('c', 99, false, true, '')",
        "<row xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\">   <body>own</body> </row>   or !0A000", // without libxml
    ),
    (
        "the schemas and the database as XML",
        "SELECT schema_to_xml('public', true, false, ''); SELECT schema_to_xml('rolecall', true, false, '');
         SELECT database_to_xml(true, false, '')",
        "*",
    ),
    (
        "words of a search",
        "SELECT word FROM ts_stat('SELECT to_tsvector(''simple'', body) FROM mails');
         SELECT ts_rewrite('a'::tsquery, 'SELECT ''a''::tsquery, plainto_tsquery(shout) FROM mails')",
        "own ",
    ),
    (
        "a view of his",
        "CREATE VIEW his.lens WITH (security_barrier) AS SELECT * FROM public.mails;
         SELECT body FROM his.lens WHERE tell(shout)",
        "own",
    ),
    (
        "a function with his own rights",
        "CREATE FUNCTION his.all_mails() RETURNS SETOF public.mails LANGUAGE sql STABLE SECURITY DEFINER
         AS 'TABLE public.mails'; SELECT body FROM his.all_mails()",
        "own",
    ),
    (
        "a function that is inlined",
        "CREATE FUNCTION his.inlined() RETURNS SETOF public.mails LANGUAGE sql STABLE AS 'TABLE public.mails';
         SELECT body FROM his.inlined() WHERE tell(body)",
        "own",
    ),
    (
        "a function with a parsed body",
        "CREATE FUNCTION his.parsed() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM public.mails
         WHERE his.tell(body); END; SELECT his.parsed()",
        "1",
    ),
    (
        "a cursor that runs back and forth",
        "BEGIN; DECLARE c SCROLL CURSOR FOR SELECT body FROM mails; MOVE LAST c; FETCH BACKWARD ALL c; FETCH FIRST c;
         FETCH ABSOLUTE 7 c",
        "own",
    ),
    (
        "a cursor that a function returns",
        "CREATE FUNCTION his.opened() RETURNS refcursor LANGUAGE plpgsql AS $$ DECLARE c refcursor := 'c';
         BEGIN OPEN c FOR EXECUTE 'SELECT body FROM mails'; RETURN c; END $$; BEGIN; SELECT his.opened(); FETCH ALL c",
        "c own",
    ),
    (
        "transition tables of his trigger",
        "CREATE TABLE his.sink (x text); CREATE FUNCTION his.pour() RETURNS trigger LANGUAGE plpgsql AS
         $$ BEGIN INSERT INTO his.got SELECT count(*), max(x) FROM poured WHERE his.tell(x); RETURN NULL; END $$;
         CREATE TRIGGER pour AFTER INSERT ON his.sink REFERENCING NEW TABLE
         AS poured FOR EACH STATEMENT EXECUTE FUNCTION his.pour(); INSERT INTO his.sink SELECT body FROM mails;
         TABLE his.got",
        "1|own",
    ),
    (
        "his default, his check",
        "CREATE TABLE his.checked (x text CHECK (his.tell(x)), y text GENERATED ALWAYS AS (upper(x)) STORED);
         INSERT INTO his.checked SELECT body FROM papers RETURNING y",
        "SHOWN OWN",
    ),
    (
        "his index, his statistics",
        "CREATE FUNCTION his.peek(x int) RETURNS text IMMUTABLE LANGUAGE sql
         AS 'SELECT string_agg(body, '','') FROM public.mails';
         CREATE INDEX ON his.numbers (his.peek(id)) WHERE id < 3; ANALYZE his.numbers;
         SELECT histogram_bounds, most_common_vals FROM pg_stats WHERE tablename ~ 'numbers_peek'",
        "|{own}",
    ),
];

#[test]
fn no_query_gets_hidden_rows() {
    let mut world = World::new(database());
    world.survives(&[ROWS, ELSEWHERE].concat());
}

#[test]
fn no_query_gets_hidden_columns() {
    let mut world = World::new(database());
    world.survives(&[COLUMNS, PLANS].concat());
}
