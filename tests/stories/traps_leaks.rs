//! Traps 23 to 27: what an unknown value, an operator, an error or a catalog lets through.

use crate::fields::Posts;
use crate::rule_attacks::Firm;
use crate::support::*;

/// Trap 23. By hand an absent owner or user is soon everybody's; in filters what is unknown is not true, negated neither.
#[test]
fn unknown_is_not_true() {
    let story = Notes::new();
    let mut admin = story.database.admin();
    run(
        &mut admin,
        &format!(
            "CREATE TABLE items (id int, owner_id text); INSERT INTO items VALUES (1, NULL), (2, 'u2'), (3, 'u1'); GRANT SELECT ON items TO {app};
             CREATE TABLE naive AS TABLE items; GRANT SELECT ON naive TO {app}; ALTER TABLE naive ENABLE ROW LEVEL SECURITY;
             SELECT rolecall.protect('items')",
            app = story.app
        ),
    );
    let (mut nobody, mut bob) = (story.connect(), story.connect());
    authenticate(&mut bob, &story.bob, true);
    let mut seen = |table: &str| {
        [&mut nobody, &mut bob].map(|client| column(client, &format!("SELECT id FROM {table} ORDER BY id")).join(" "))
    };
    for (condition, shown) in [
        ("owner_id IS NULL OR owner_id = rolecall.user_id()", ["1", "1 2"]),
        ("owner_id IS NOT DISTINCT FROM rolecall.user_id()", ["1", "2"]),
        ("owner_id = coalesce(rolecall.user_id(), owner_id)", ["2 3", "2"]),
        ("(owner_id <> rolecall.user_id()) IS NOT TRUE", ["1 2 3", "1 2"]),
    ] {
        run(&mut admin, &format!("DROP POLICY IF EXISTS p ON naive; CREATE POLICY p ON naive USING ({condition})"));
        assert_eq!(seen("naive"), shown, "the trap springs: {condition}");
    }
    for (filter, shown) in [
        (r#"{"owner_id": {"equals": "__loggedInUserId"}}"#, ["", "2"]),
        (r#"{"owner_id": {"not_equals": "__loggedInUserId"}}"#, ["", "3"]),
        (r#"{"NOT": {"owner_id": {"equals": "__loggedInUserId"}}}"#, ["", "3"]),
        (r#"{"NOT": {"owner_id": {"not_equals": "__loggedInUserId"}}}"#, ["", "2"]),
        (r#"{"NOT": {"NOT": {"NOT": {"owner_id": {"equals": "__loggedInUserId"}}}}}"#, ["", "3"]),
        (r#"{"owner_id": {"in": ["__loggedInUserId"]}}"#, ["", "2"]),
        (r#"{"owner_id": {"in": ["u1", "__loggedInUserId"]}}"#, ["3", "2 3"]),
        (r#"{"owner_id": {"not_in": ["__loggedInUserId"]}}"#, ["", "3"]),
        (r#"{"owner_id": {"not_in": ["u1", "__loggedInUserId"]}}"#, ["", ""]),
        (r#"{"owner_id": {"not_in": ["u1"]}}"#, ["2", "2"]),
        (r#"{"owner_id": {"in": []}}"#, ["", ""]),
        (r#"{"NOT": {"owner_id": {"in": ["u1"]}}}"#, ["2", "2"]),
        (r#"{"OR": []}"#, ["", ""]),
        (
            r#"{"OR": [{"owner_id": {"equals": "__loggedInUserId"}}, {"owner_id": {"equals": "__requestingApiToken"}}]}"#,
            ["", "2"],
        ),
        (
            r#"{"NOT": {"OR": [{"owner_id": {"equals": "__loggedInUserId"}}, {"owner_id": {"equals": "__requestingApiToken"}}]}}"#,
            ["", ""],
        ),
        (r#"{"NOT": {"owner_id": {"starts_with": "__loggedInUserId"}}}"#, ["", "3"]),
    ] {
        run(&mut admin, &format!("SELECT rolecall.allow('guest', 'items', 'select', '{filter}')"));
        assert_eq!(seen("items"), shown, "{filter}");
    }
    for filter in [
        r#"{"owner_id": {"equals": null}}"#,
        r#"{"owner_id": {"in": [null]}}"#,
        r#"{"owner_id": null}"#,
        "null",
        r#"{"NOT": null}"#,
    ] {
        let (state, message) = rolecall_tests::sqlstate(
            admin.batch_execute(&format!("SELECT rolecall.allow('guest', 'items', 'select', '{filter}')")),
        );
        assert_eq!(state, "22023", "{filter}: {message}");
    }
}

/// Trap 24. Each type of column is compared as what it is, by PostgreSQL's operators and with an index, whatever operators
/// there are besides; by hand the column is cast, and no index serves.
#[test]
fn columns_are_compared_as_what_they_are() {
    let story = Notes::new();
    let mut admin = story.database.admin();
    let id = "00000000-0000-0000-0000-00000000000a";
    let columns = [
        ("uuid", format!("'{}'", id.to_uppercase()), "u"),
        ("smallint", "7".into(), "i"),
        ("integer", "7".into(), "i"),
        ("bigint", "7".into(), "i"),
        ("text", "'7'".into(), "i"),
        ("varchar(9)", "'7'".into(), "i"),
        ("char(9)", "'7'".into(), "i"),
        ("text COLLATE folded", "'ABC'".into(), "t"),
    ];
    run(
        &mut admin,
        &format!(
            "CREATE COLLATION folded (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
             CREATE SCHEMA lab; CREATE FUNCTION lab.yes(text, uuid) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT true';
             CREATE OPERATOR lab.= (FUNCTION = lab.yes, LEFTARG = text, RIGHTARG = uuid);
             CREATE FUNCTION lab.yes(anyelement, anyelement) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT true';
             CREATE OPERATOR lab.= (FUNCTION = lab.yes, LEFTARG = anyelement, RIGHTARG = anyelement);
             SELECT rolecall.create_user('u', id => '{id}'), rolecall.create_user('i', id => '7'), rolecall.create_user('t', id => 'abc')"
        ),
    );
    let mut app = story.connect();
    run(&mut app, "SET enable_seqscan = off; SET enable_bitmapscan = off");
    run(&mut admin, "SET search_path = lab, pg_catalog, public");
    for (number, (kind, value, user)) in columns.iter().enumerate() {
        let table = format!("public.t{number}");
        run(
            &mut admin,
            &format!(
                r#"CREATE TABLE {table} (id int, k {kind}); INSERT INTO {table} VALUES (1, {value}), (2, NULL); CREATE INDEX ON {table} (k);
                GRANT SELECT ON {table} TO {app}; SELECT rolecall.protect('{table}');
                SELECT rolecall.allow('users', '{table}', 'select', '{{"k": {{"equals": "__loggedInUserId"}}}}')"#,
                app = story.app
            ),
        );
        for name in ["u", "i", "t", "bob"] {
            run(&mut admin, &format!("SELECT rolecall.become('{name}', 'a test', true); SET ROLE {}", story.app));
            let seen = column(&mut admin, &format!("SELECT id FROM {table}"));
            assert_eq!(seen.len(), usize::from(name == *user), "{kind} {name}");
            run(&mut admin, "RESET ROLE; SELECT rolecall.logout()");
        }
        authenticate(&mut app, &story.bob, true);
        let plan = plan(&mut app, &format!("SELECT * FROM {table}"));
        assert!(plan.contains("Index Cond"), "{kind}: {plan}");
    }
    // Operators of PostgreSQL's own leave no dependency.
    let others =
        "SELECT count(*) FROM pg_depend WHERE classid = 'pg_policy'::regclass AND refclassid = 'pg_operator'::regclass";
    assert_eq!(one::<i64>(&mut admin, others), 0);
    // By hand: a cast that keeps the index out, and an operator that says yes to everything.
    run(
        &mut admin,
        &format!(
            "CREATE TABLE public.naive AS TABLE public.t0; CREATE INDEX ON public.naive (k); ALTER TABLE public.naive ENABLE ROW LEVEL SECURITY;
             GRANT SELECT ON public.naive TO {}; GRANT USAGE ON SCHEMA lab TO PUBLIC; CREATE POLICY p ON public.naive USING (rolecall.user_id() = k)",
            story.app
        ),
    );
    assert_eq!(column(&mut app, "SELECT id FROM naive ORDER BY id"), ["1", "2"], "the trap springs");
    run(&mut admin, "ALTER POLICY p ON public.naive USING (k::text OPERATOR(pg_catalog.=) rolecall.user_id())");
    assert!(!plan(&mut app, "SELECT * FROM naive").contains("Index Cond"), "the trap springs");
}

/// Trap 25, CVE-2026-116327. What is marked LEAKPROOF runs before the rules. rolecall marks nothing so, and nothing that
/// tells what it gets is taken for it.
#[test]
fn nothing_that_tells_runs_before_the_rules() {
    let mut firm = Firm::new();
    let marked =
        "SELECT oid::regprocedure FROM pg_proc WHERE proleakproof AND pronamespace::regnamespace::text ~ '^rolecall'";
    assert_eq!(column(&mut firm.admin, marked), [""; 0]);
    run(&mut firm.admin, "ALTER FUNCTION mine.tell(text) LEAKPROOF COST 0.0000001");
    let sprung = firm.psql("SET enable_indexscan = off; SET enable_bitmapscan = off; EXPLAIN SELECT id FROM papers WHERE tell(body); SELECT id FROM papers WHERE tell(body)");
    assert!(sprung.contains("got hidden"), "the trap springs: {sprung}");
    let told = column(&mut firm.admin, r#"SELECT advice FROM rolecall.doctor() WHERE "check" = 'leakproof'"#);
    assert_eq!(told, ["ALTER FUNCTION mine.tell(x text) NOT LEAKPROOF;"]);
    run(&mut firm.admin, &told[0]);
    for condition in [
        "tell(body)",
        "(CASE body WHEN 'x' THEN true ELSE tell(body) END)",
        "(CASE WHEN id > 0 THEN body ~~~ 'x' END)",
        "body = ANY (ARRAY(SELECT 'x'::text WHERE tell('x'))) OR tell(body)",
        "coalesce(tell(nullif(body, '')), true)",
        "(SELECT tell(papers.body))",
        "tell(upper(body)) IS NOT NULL",
        "(ARRAY[body])::short[] IS NOT NULL",
        "body::word IS NOT NULL",
        "ROW(body, title) <> ROW(title, body) OR tell(body)",
        "body IN (SELECT g.body FROM got g) OR tell(body)",
    ] {
        let printed = firm.psql(&format!("SELECT id FROM papers WHERE {condition}")).to_lowercase();
        assert!(printed.contains("got shown") && !printed.contains("hidden"), "{condition}\n{printed}");
    }
}

/// Trap 26, CVE-2017-7484, CVE-2019-10130, CVE-2025-8713, CVE-2024-4317, CVE-2025-12817. Statistics have values of all
/// rows: neither the catalogs show them nor does the planner to an operator of the reader's, in a partition and through a
/// view neither.
#[test]
fn statistics_tell_nothing_of_hidden_rows() {
    let mut firm = Firm::new();
    let app = firm.app.clone();
    run(
        &mut firm.admin,
        &format!(
            "CREATE TABLE open AS TABLE papers; GRANT SELECT ON open TO {app};
             CREATE STATISTICS s1 (mcv) ON owner_id, title FROM open; CREATE STATISTICS s2 (mcv) ON owner_id, title FROM papers_high;
             CREATE STATISTICS s3 (mcv) ON (lower(title)), (lower(body)) FROM papers_high;
             CREATE VIEW seen WITH (security_invoker) AS SELECT * FROM papers; GRANT SELECT ON seen TO {app}; ANALYZE"
        ),
    );
    let shown = |table: &str| {
        format!(
            "SELECT most_common_vals, histogram_bounds FROM pg_stats WHERE tablename ~ '^{table}';
             SELECT most_common_vals FROM pg_stats_ext WHERE tablename ~ '^{table}';
             SELECT most_common_vals, histogram_bounds FROM pg_stats_ext_exprs WHERE tablename ~ '^{table}'"
        )
    };
    assert!(firm.psql(&shown("open")).contains("hidden"), "the trap springs");
    assert_eq!(firm.psql(&shown("papers")), "");
    for catalog in ["pg_statistic", "pg_statistic_ext_data"] {
        assert!(firm.psql(&format!("TABLE {catalog}")).contains("42501"));
    }
    // The planner asks an operator about the most common values where it may.
    let asked = firm.psql("EXPLAIN SELECT * FROM open WHERE body ~~~ 'x'");
    assert!(asked.contains("NOTICE"), "the trap springs: {asked}");
    for table in [
        "papers",
        "papers_low",
        "papers_high",
        "seen",
        "papers_exposed",
        "(SELECT * FROM papers) q",
        "(SELECT * FROM seen WHERE id > 0) q",
    ] {
        for condition in ["body ~~~ 'x'", "title ~~~ 'x'", "id === 777", "body ~~~ 'x' AND id > 500"] {
            let printed = firm.psql(&format!("EXPLAIN SELECT * FROM {table} WHERE {condition}"));
            assert!(!printed.contains("NOTICE"), "{table} {condition}\n{printed}");
        }
    }
    let joined = firm.psql("EXPLAIN SELECT * FROM papers p JOIN got g ON p.body ~~~ g.body; EXPLAIN SELECT * FROM papers p JOIN numbers n ON n.id === p.id");
    assert!(!joined.contains("NOTICE"), "{joined}");
    assert!(firm.psql("CREATE STATISTICS public.s9 ON owner_id, title FROM mine.got").contains("42501"));
}

/// Trap 26, CVE-2014-8161, CVE-2021-3393. Errors of constraints show the row that one writes, or nothing.
#[test]
fn errors_show_no_hidden_value() {
    let mut firm = Firm::new();
    run(
        &mut firm.admin,
        "ALTER TABLE papers ADD CHECK (length(title) < 30), ADD note text DEFAULT 'hidden default', ADD UNIQUE (id, title);
         SELECT rolecall.disallow('users', 'papers', 'select'); SELECT rolecall.allow('users', 'papers', 'select',
             '{\"project\": {\"people\": {\"some\": {\"id\": {\"equals\": \"__loggedInUserId\"}}}}}', columns => '{id,project_id,owner_id,title,body}')",
    );
    for statement in [
        "INSERT INTO papers (id, project_id, title) VALUES (777, 1, 'w')",
        "INSERT INTO papers (id, project_id, title) VALUES (3001, 1, repeat('w', 50))",
        "UPDATE papers SET title = repeat('w', 50) WHERE id = 2",
        "UPDATE papers SET id = 777 WHERE id = 2",
        "UPDATE papers SET id = NULL WHERE id = 2",
        "INSERT INTO papers_low (id, project_id, title) VALUES (3001, 1, 'w')",
        "UPDATE papers_low SET id = 3001 WHERE id = 2",
        "DELETE FROM projects",
        "SELECT body::int FROM papers",
        "SELECT 1 / (length(body) - length(body)) FROM papers",
        "SELECT count(*) FROM papers WHERE body::date IS NULL OR title::xml IS NULL",
    ] {
        let printed = firm.psql(statement);
        assert!(printed.contains("ERROR") && !printed.contains("hidden"), "{statement}\n{printed}");
    }
    let (counter, rows) = (
        firm.psql("SELECT last_value FROM papers_id_seq"),
        firm.psql("SELECT relname, n_live_tup FROM pg_stat_user_tables"),
    );
    assert!(counter.contains("ERROR") && rows.contains("papers_high|"), "that there are rows is told: {rows}");
}

/// Trap 27. Privileges of a table go before those of its columns, and a new column is everybody's; with a list of columns
/// neither is so.
#[test]
fn a_list_of_columns_is_not_a_privilege() {
    let Posts { mut admin, mut app, ben, login, .. } = Posts::new();
    run(
        &mut admin,
        &format!(
            "CREATE TABLE naive AS TABLE posts; GRANT SELECT ON naive TO {login}; REVOKE SELECT (body) ON naive FROM {login}"
        ),
    );
    authenticate(&mut app, &ben, true);
    assert_eq!(column(&mut app, "SELECT body FROM naive").len(), 9, "the trap springs");
    for table in ["naive", "posts"] {
        run(
            &mut admin,
            &format!(
                "ALTER TABLE {table} ADD secret text DEFAULT 'x', ADD copied text GENERATED ALWAYS AS ('copy of ' || body) STORED"
            ),
        );
    }
    assert_eq!(column(&mut app, "SELECT copied FROM naive").len(), 9, "the trap springs");
    for query in [
        "SELECT secret FROM posts",
        "SELECT copied FROM posts",
        "SELECT * FROM posts",
        "SELECT to_json(p) FROM posts p",
        "SELECT count(p.*) FROM posts p",
        "UPDATE posts SET title = 'w' RETURNING *",
        "INSERT INTO posts (id, title) VALUES (1, 'w') ON CONFLICT (id) DO UPDATE SET title = excluded.title || posts.copied",
        "DELETE FROM posts RETURNING copied",
    ] {
        refused(&mut app, query, "42501", "none of your roles may read column");
    }
    assert_eq!(column(&mut app, "SELECT title FROM posts").len(), 9);
    let statistics = "SELECT count(*) FROM pg_stats WHERE tablename = 'posts'";
    run(&mut admin, "ANALYZE posts, naive");
    assert_eq!(one::<i64>(&mut app, statistics), 0);
    assert!(one::<i64>(&mut app, &statistics.replace("posts", "naive")) > 0, "the trap springs");
}
