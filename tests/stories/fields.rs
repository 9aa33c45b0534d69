//! Roles that are limited to some columns: what one may not read cannot be read in any way.

use crate::support::*;
use postgres::Client;
use rolecall_tests::{Database, sqlstate};

/// Posts that their authors see as a whole, while readers see the title of each.
pub struct Posts {
    pub database: Database<'static>,
    pub admin: Client,
    pub app: Client,
    pub login: String,
    /// An author (`a`).
    pub ann: String,
    /// A reader (`b`).
    pub ben: String,
    /// Both (`c`).
    pub cleo: String,
    /// An administrator (`d`).
    pub dora: String,
}

impl Posts {
    pub fn new() -> Self {
        let database = database();
        let login = database.login("app");
        let mut admin = database.admin();
        run(
            &mut admin,
            &format!(
                r#"SELECT rolecall.create_role('author'), rolecall.create_role('reader');
                SELECT rolecall.create_user('ann', password => 'welcome', roles => '{{author}}', id => 'a'),
                       rolecall.create_user('ben', password => 'welcome', roles => '{{reader}}', id => 'b'),
                       rolecall.create_user('cleo', password => 'welcome', roles => '{{author,reader}}', id => 'c'),
                       rolecall.create_user('dora', password => 'welcome', roles => '{{admins}}', id => 'd');
                CREATE TABLE posts (id int PRIMARY KEY, author_id text, old int, title text, body text);
                INSERT INTO posts SELECT n, substr('abc', n % 3 + 1, 1), 0, 'title ' || n, 'body ' || n
                  FROM generate_series(1, 9) n;
                ALTER TABLE posts DROP COLUMN old;
                CREATE INDEX ON posts (author_id);
                GRANT SELECT, INSERT, UPDATE, DELETE ON posts TO {login};
                GRANT CREATE, USAGE ON SCHEMA public TO {login};
                SELECT rolecall.protect('posts');
                SELECT rolecall.allow('author', 'posts', 'all', '{{"author_id": {{"equals": "__loggedInUserId"}}}}');
                SELECT rolecall.allow('reader', 'posts', 'select', columns => '{{id,title}}');"#
            ),
        );
        let mut first = |name| first_token(&mut admin, name, "welcome", "a long enough password");
        let (ann, ben, cleo, dora) = (first("ann"), first("ben"), first("cleo"), first("dora"));
        let app = database.connect(&login);
        Self { database, admin, app, login, ann, ben, cleo, dora }
    }
}

/// How many rows a query gives.
fn rows(client: &mut Client, query: &str) -> usize {
    client.query(query, &[]).unwrap_or_else(|e| panic!("{query}: {e:?}")).len()
}

const BODY: &str = "none of your roles may read column \"body\" of table public.posts";

#[test]
fn the_rows_depend_on_the_columns_one_reads() {
    let Posts { mut app, ann, ben, cleo, dora, .. } = Posts::new();
    for (token, titles, bodies) in [(&ann, 3, Some(3)), (&ben, 9, None), (&cleo, 9, Some(3)), (&dora, 9, Some(9))] {
        authenticate(&mut app, token, true);
        assert_eq!(rows(&mut app, "SELECT id, title FROM posts"), titles);
        assert_eq!(one::<i64>(&mut app, "SELECT count(*) FROM posts"), titles as i64);
        for query in ["SELECT body FROM posts", "SELECT * FROM posts", "SELECT id FROM posts WHERE body > ''"] {
            match bodies {
                Some(bodies) => assert_eq!(rows(&mut app, query), bodies, "{query}"),
                None => refused(&mut app, query, "42501", "none of your roles may read column"),
            }
        }
    }
    run(&mut app, "SELECT rolecall.logout()");
    assert_eq!(rows(&mut app, "SELECT * FROM posts"), 0, "who may nothing at all sees no row");
}

/// An administrator holds limited roles too, at least that of everybody.
#[test]
fn administrators_are_not_limited() {
    let Posts { mut admin, mut app, dora, .. } = Posts::new();
    run(
        &mut admin,
        "SELECT rolecall.allow('guest', 'posts', 'all', columns => '{id}'), rolecall.grant_role('reader', 'dora')",
    );
    authenticate(&mut app, &dora, true);
    assert_eq!(rows(&mut app, "SELECT * FROM posts"), 9);
    assert_eq!(app.execute("UPDATE posts SET body = 'x' RETURNING *", &[]).unwrap(), 9);
    assert_eq!(app.execute("INSERT INTO posts VALUES (20, 'a', 't', 'b')", &[]).unwrap(), 1);
}

#[test]
fn the_error_says_what_to_do() {
    let Posts { mut app, ben, .. } = Posts::new();
    authenticate(&mut app, &ben, true);
    let error = app.query("SELECT body FROM posts", &[]).unwrap_err();
    let error = error.as_db_error().unwrap();
    assert_eq!(error.message(), format!("permission denied: {BODY}"));
    assert!(error.hint().unwrap().contains("rolecall.allow()"));
}

/// `{}` is where a reader's query gets at the text that he must not see.
/// Trap 27.
#[test]
fn no_way_of_reading_gets_around_it() {
    let Posts { mut admin, mut app, ben, cleo, login, .. } = Posts::new();
    run(
        &mut admin,
        &format!(
            "CREATE TABLE words (body text, id int); INSERT INTO words SELECT 'body ' || n, n FROM generate_series(1, 9) n;
             CREATE VIEW invoker WITH (security_invoker) AS SELECT * FROM posts;
             CREATE VIEW titles WITH (security_invoker) AS SELECT id, title FROM posts;
             CREATE ROLE \"{login} owner\"; GRANT ALL ON posts TO \"{login} owner\";
             CREATE VIEW plain AS SELECT * FROM posts; ALTER VIEW plain OWNER TO \"{login} owner\";
             CREATE VIEW barrier WITH (security_barrier) AS SELECT id, body FROM posts;
             ALTER VIEW barrier OWNER TO \"{login} owner\";
             CREATE FUNCTION inlined() RETURNS SETOF text LANGUAGE sql STABLE AS 'SELECT body FROM posts';
             CREATE FUNCTION whole(p posts) RETURNS text LANGUAGE sql STABLE AS 'SELECT p.body';
             CREATE FUNCTION looped() RETURNS SETOF text LANGUAGE plpgsql AS
                 $$ DECLARE r record; BEGIN FOR r IN SELECT * FROM posts LOOP RETURN NEXT r.body; END LOOP; END $$;
             GRANT ALL ON words, invoker, titles, plain, barrier TO {login}"
        ),
    );
    let reads = [
        "SELECT p FROM posts p",
        "SELECT (p).body FROM posts p",
        "SELECT (p.*)::text FROM posts p",
        "SELECT p::text FROM posts p",
        "SELECT row_to_json(p) FROM posts p",
        "SELECT to_jsonb(p) ->> 'title' FROM posts p",
        "SELECT whole(p) FROM posts p",
        "SELECT p.whole FROM posts p",
        "SELECT inlined()",
        "SELECT * FROM inlined()",
        "SELECT looped()",
        "SELECT words.id FROM words JOIN posts USING (body)",
        "SELECT body FROM words NATURAL JOIN posts",
        "SELECT j FROM (words JOIN posts USING (id)) AS j",
        "SELECT id FROM posts ORDER BY body",
        "SELECT count(*) FROM posts GROUP BY body HAVING count(*) > 0",
        "SELECT count(*) OVER (PARTITION BY body) FROM posts",
        "SELECT x FROM (SELECT body AS x FROM posts) q",
        "SELECT id FROM (SELECT DISTINCT ON (body) id FROM posts) q",
        "WITH q AS MATERIALIZED (SELECT * FROM posts) SELECT id FROM q",
        "WITH q AS (SELECT body FROM posts) SELECT * FROM q",
        "SELECT id FROM words WHERE EXISTS (SELECT FROM posts WHERE posts.body = words.body)",
        "SELECT id FROM words, LATERAL (SELECT body b FROM posts WHERE posts.id = words.id) q",
        "SELECT body FROM posts UNION ALL SELECT body FROM posts WHERE false",
        "SELECT id FROM posts TABLESAMPLE system (100) WHERE length(body) > 1",
        "SELECT body FROM ONLY posts",
        "SELECT body FROM posts FOR UPDATE",
        "SELECT body FROM invoker",
        "SELECT id FROM plain",
        "SELECT body FROM barrier",
        "SELECT query_to_xml('SELECT body FROM posts', true, true, '')",
        "EXPLAIN SELECT body FROM posts",
        "UPDATE posts SET title = body RETURNING id",
        "UPDATE posts SET title = 'x' WHERE body = 'body 1' RETURNING id",
        "UPDATE posts SET title = 'x' RETURNING body",
        "UPDATE words SET body = posts.body FROM posts RETURNING 1",
        "DELETE FROM posts WHERE body = 'body 1' RETURNING 1",
        "DELETE FROM posts RETURNING *",
        "DELETE FROM words USING posts WHERE words.body = posts.body RETURNING 1",
        "INSERT INTO words SELECT body, id FROM posts RETURNING 1",
        "INSERT INTO posts (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET title = posts.body RETURNING id",
        "INSERT INTO posts (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET title = 'x' WHERE posts.body > '' RETURNING id",
        "INSERT INTO posts (id) VALUES (10) RETURNING body",
    ];
    let others = [
        "COPY posts TO STDOUT",
        "COPY posts (body) TO STDOUT",
        "COPY (SELECT body FROM posts) TO STDOUT",
        "MERGE INTO words USING posts ON words.body = posts.body WHEN MATCHED THEN DELETE",
        "MERGE INTO posts USING words ON posts.id = words.id WHEN MATCHED AND posts.body > '' THEN DO NOTHING",
        "MERGE INTO posts USING words ON posts.id = words.id WHEN MATCHED THEN UPDATE SET title = posts.body",
        "CREATE TABLE mine AS SELECT body FROM posts",
        "BEGIN; DECLARE c CURSOR FOR SELECT body FROM posts; FETCH ALL FROM c",
        "CREATE TEMP VIEW v AS SELECT body FROM posts; SELECT * FROM v",
        "DO $$ BEGIN PERFORM body FROM posts; END $$",
        "DO $$ BEGIN EXECUTE 'SELECT body FROM posts'; END $$",
    ];
    authenticate(&mut app, &ben, true);
    for query in reads.into_iter().chain(others) {
        let (state, message) = sqlstate(app.batch_execute(query));
        assert!(state == "42501" && message.contains("may read column"), "{query}: {state} {message}");
        app.batch_execute("ROLLBACK").unwrap();
    }
    assert_eq!(rows(&mut app, "SELECT * FROM titles"), 9);
    assert_eq!(
        rows(&mut app, "SELECT tableoid, ctid, xmin, id FROM posts WHERE tableoid > 0"),
        9,
        "system columns are none"
    );
    assert_eq!(rows(&mut app, "SELECT title FROM posts JOIN words USING (id) ORDER BY title"), 9);
    // Where a role may, the rows are those of that role, whichever the way.
    authenticate(&mut app, &cleo, true);
    let all = column(&mut admin, "SELECT body FROM posts WHERE author_id <> 'c'");
    for query in reads.iter().filter(|query| !query.starts_with("EXPLAIN")) {
        let mut transaction = app.transaction().unwrap();
        let Ok(messages) = transaction.simple_query(query) else { continue };
        let text = format!("{messages:?}");
        assert!(!all.iter().any(|body| text.contains(&format!("{body}\""))), "{query}: {text}");
        transaction.rollback().unwrap();
    }
    assert_eq!(column(&mut app, "SELECT (p).body FROM posts p ORDER BY 1"), ["body 2", "body 5", "body 8"]);
}

/// Trap 7.
#[test]
fn prepared_plans_follow_the_identity() {
    for mode in ["auto", "force_generic_plan", "force_custom_plan"] {
        let Posts { mut app, ann, ben, cleo, dora, .. } = Posts::new();
        run(&mut app, &format!("SET plan_cache_mode = {mode}"));
        authenticate(&mut app, &dora, true);
        let body = app.prepare("SELECT body FROM posts WHERE id > $1").unwrap();
        let title = app.prepare("SELECT title FROM posts WHERE id > $1").unwrap();
        for _ in 0..7 {
            for (token, bodies, titles) in [(&dora, 9, 9), (&ann, 3, 3), (&cleo, 3, 9)] {
                authenticate(&mut app, token, true);
                assert_eq!(app.query(&body, &[&0]).unwrap().len(), bodies);
                assert_eq!(app.query(&title, &[&0]).unwrap().len(), titles);
            }
            authenticate(&mut app, &ben, true);
            assert_eq!(sqlstate(app.query(&body, &[&0])).0, "42501");
            assert_eq!(app.query(&title, &[&0]).unwrap().len(), 9);
        }
    }
}

/// Trap 5.
#[test]
fn nothing_of_it_is_left_in_a_plan() {
    let Posts { mut admin, mut app, ann, ben, cleo, dora, .. } = Posts::new();
    run(&mut admin, "SET enable_seqscan = off; ANALYZE posts");
    run(&mut app, "SET enable_seqscan = off");
    authenticate(&mut app, &ben, true);
    assert!(!plan(&mut app, "SELECT id, title FROM posts").contains("Filter"));
    authenticate(&mut app, &dora, true);
    assert!(!plan(&mut app, "SELECT * FROM posts").contains("Filter"));
    for token in [&ann, &cleo] {
        authenticate(&mut app, token, true);
        let plan = plan(&mut app, "SELECT * FROM posts");
        assert!(
            plan.ends_with("Index Cond: (author_id = rolecall.user_id())"),
            "once and as an index condition: {plan}"
        );
    }
    let between = "SELECT rolecall.allow('author', 'posts', 'select', '{\"id\": {\"lt\": 5}, \"title\": {\"not_equals\": \"x\"}}')";
    run(&mut admin, between);
    let once = "Index Scan using posts_pkey on posts\n  Index Cond: (id < 5)\n  Filter: (title <> 'x'::text)";
    assert_eq!(plan(&mut app, "SELECT * FROM posts"), once);
}

#[test]
fn without_a_list_the_policies_are_what_they_were() {
    let Posts { mut admin, .. } = Posts::new();
    run(&mut admin, "SELECT rolecall.disallow('reader', 'posts', 'select')");
    let touching = "SELECT polname FROM pg_policy WHERE pg_get_expr(polqual, polrelid) ~ 'touches'
                       OR pg_get_expr(polwithcheck, polrelid) ~ 'touches'";
    assert!(column(&mut admin, touching).is_empty());
}

/// Trap 11.
#[test]
fn the_owner_is_bound_and_the_superuser_is_not() {
    let Posts { database, mut admin, ben, .. } = Posts::new();
    let owner = database.login("owner");
    run(&mut admin, &format!("ALTER TABLE posts OWNER TO {owner}; GRANT CREATE, USAGE ON SCHEMA public TO {owner}"));
    let mut owner = database.connect(&owner);
    authenticate(&mut owner, &ben, true);
    refused(&mut owner, "SELECT body FROM posts", "42501", BODY);
    assert_eq!(rows(&mut owner, "SELECT title FROM posts"), 9);
    authenticate(&mut admin, &ben, true);
    assert_eq!(rows(&mut admin, "SELECT * FROM posts"), 9);
}

#[test]
fn partitions_and_children_have_the_same_columns() {
    let Posts { mut admin, mut app, ben, cleo, login, .. } = Posts::new();
    run(
        &mut admin,
        &format!(
            "CREATE TABLE mail (id int, body text, author_id text) PARTITION BY LIST (id);
             CREATE TABLE mail_1 (author_id text, dropped int, body text, id int); ALTER TABLE mail_1 DROP dropped;
             ALTER TABLE mail ATTACH PARTITION mail_1 FOR VALUES IN (1);
             CREATE TABLE mail_2 PARTITION OF mail DEFAULT;
             INSERT INTO mail SELECT n % 2, 'body ' || n, substr('abc', n % 3 + 1, 1) FROM generate_series(1, 6) n;
             CREATE TABLE tree (id int, body text, author_id text); CREATE TABLE tree_1 (more text) INHERITS (tree);
             INSERT INTO tree_1 SELECT id, body, author_id, 'more' FROM mail;
             GRANT ALL ON mail, mail_1, mail_2, tree, tree_1 TO {login};
             SELECT rolecall.protect(t), rolecall.allow('reader', t, 'select', columns => '{{id}}'),
                    rolecall.allow('author', t, 'all', '{{\"author_id\": {{\"equals\": \"__loggedInUserId\"}}}}')
               FROM unnest('{{mail,tree}}'::regclass[]) t;"
        ),
    );
    authenticate(&mut app, &ben, true);
    for (table, seen) in [("mail", 6), ("mail_1", 3), ("mail_2", 3), ("tree", 6), ("tree_1", 6)] {
        assert_eq!(rows(&mut app, &format!("SELECT id FROM {table}")), seen);
        let message = format!("may read column \"body\" of table public.{table}");
        refused(&mut app, &format!("SELECT body FROM {table}"), "42501", &message);
        refused(&mut app, &format!("SELECT {table} FROM {table}"), "42501", "may read column");
    }
    refused(&mut app, "SELECT more FROM tree_1", "42501", "column \"more\"");
    authenticate(&mut app, &cleo, true);
    for (table, ids, bodies) in [("mail", 6, 2), ("mail_1", 3, 1), ("mail_2", 3, 1), ("tree", 6, 2), ("tree_1", 6, 2)] {
        assert_eq!(rows(&mut app, &format!("SELECT id FROM {table}")), ids);
        assert_eq!(rows(&mut app, &format!("SELECT body FROM {table}")), bodies, "{table}");
        assert_eq!(app.execute(&format!("UPDATE {table} SET body = 'x'"), &[]).unwrap(), bodies as u64);
    }
}

/// Trap 27.
#[test]
fn columns_are_followed_and_new_ones_are_closed() {
    let Posts { database, mut admin, mut app, ann, ben, login, .. } = Posts::new();
    authenticate(&mut app, &ben, true);
    run(&mut admin, "ALTER TABLE posts RENAME title TO \"Ti\"\"t,le\"");
    assert_eq!(rows(&mut app, "SELECT \"Ti\"\"t,le\" FROM posts"), 9);
    assert_eq!(
        column(&mut admin, "SELECT columns FROM rolecall.permissions WHERE role = 'reader'"),
        ["{id,\"Ti\\\"t,le\"}"]
    );
    run(&mut admin, "ALTER TABLE posts ADD title text DEFAULT 'new'");
    refused(&mut app, "SELECT title FROM posts", "42501", "column \"title\"");
    run(&mut admin, "ALTER TABLE posts DROP \"Ti\"\"t,le\"");
    assert_eq!(column(&mut admin, "SELECT columns FROM rolecall.permissions WHERE role = 'reader'"), ["{id}"]);
    run(&mut admin, "ALTER TABLE posts ADD \"Ti\"\"t,le\" text");
    refused(&mut app, "SELECT \"Ti\"\"t,le\" FROM posts", "42501", "may read");
    run(&mut admin, "ALTER TABLE posts DROP id");
    assert_eq!(column(&mut admin, "SELECT columns FROM rolecall.permissions WHERE role = 'reader'"), ["{}"]);
    assert_eq!(one::<i64>(&mut app, "SELECT count(*) FROM posts"), 9);
    refused(&mut app, "SELECT body FROM posts", "42501", BODY);
    run(&mut admin, "ALTER TABLE posts ADD id int");
    refused(&mut app, "SELECT id FROM posts", "42501", "may read");
    authenticate(&mut app, &ann, true);
    assert_eq!(rows(&mut app, "SELECT * FROM posts"), 3);
    // A dump knows the columns by name, and a list that is empty stays one.
    let restored = crate::dump::restore(&database);
    run(&mut restored.admin(), "SELECT rolecall.allow('author', 'posts', 'delete')");
    let mut app = restored.connect(&login);
    authenticate(&mut app, &token(&mut restored.admin(), "ben", "a long enough password"), true);
    refused(&mut app, "SELECT body FROM posts", "42501", BODY);
    assert_eq!(one::<i64>(&mut app, "SELECT count(*) FROM posts"), 9);
}

#[test]
fn what_is_no_list_of_columns_is_refused() {
    let Posts { mut admin, .. } = Posts::new();
    for (action, columns, message) in [
        ("select", "{id,titel}", "\"titel\" of public.posts does not exist"),
        ("select", "{id,title,id}", "\"id\" of public.posts is named twice"),
        ("select", "{ctid}", "\"ctid\" of public.posts does not exist"),
        ("select", "{}", "names none"),
        ("select", "{NULL}", "must not be NULL"),
        ("delete", "{id}", "a row is deleted as a whole"),
    ] {
        let call = format!("SELECT rolecall.allow('reader', 'posts', '{action}', columns => '{columns}')");
        let (state, text) = sqlstate(admin.batch_execute(&call));
        assert!(state.starts_with("22") && text.contains(message), "{call}: {state} {text}");
    }
}

#[test]
fn a_column_that_was_dropped_is_none_of_the_row() {
    let Posts { mut admin, mut app, ben, .. } = Posts::new();
    run(&mut admin, "SELECT rolecall.allow('reader', 'posts', 'select', columns => '{id,title,body,author_id}')");
    authenticate(&mut app, &ben, true);
    assert_eq!(rows(&mut app, "SELECT p FROM posts p"), 9);
}

#[test]
fn all_is_every_action_that_has_columns() {
    let Posts { mut admin, .. } = Posts::new();
    run(&mut admin, "SELECT rolecall.allow('reader', 'posts', 'all', columns => '{id}')");
    let lists =
        "SELECT action || coalesce(columns::text, '') FROM rolecall.permissions WHERE role = 'reader' ORDER BY 1";
    assert_eq!(column(&mut admin, lists), ["delete", "insert{id}", "select{id}", "update{id}"]);
}

#[test]
fn the_function_of_policies_is_nobodys() {
    let Posts { mut app, ben, .. } = Posts::new();
    authenticate(&mut app, &ben, true);
    let call = "SELECT rolecall.touches(tableoid, 'select', '{body}', false, '{reader}') FROM posts";
    assert_eq!(rows(&mut app, call), 9, "folded: it says nothing but what the query itself says");
    let call = "SELECT rolecall.touches(1::oid, 'select', '{body}', false, '{reader}')";
    refused(&mut app, call, "42501", "permission denied for function touches");
}
