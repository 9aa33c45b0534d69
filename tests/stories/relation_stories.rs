//! Relations among tables that are protected themselves: nothing recurses, nothing is lent.

use crate::relations::House;
use crate::support::*;
use rolecall_tests::sqlstate;

/// The example of the 8base page: editors of Stage Media may update posts of their own company's authors.
#[test]
fn editors_of_a_company_update_its_authors_posts() {
    let house = House::new();
    let mut admin = house.database.admin();
    run(
        &mut admin,
        r#"SELECT rolecall.create_role('Editor');
           SELECT rolecall.grant_role('Editor', 'ann');
           SELECT rolecall.allow('users', 'posts', 'select');
           SELECT rolecall.allow('Editor', 'posts', 'update', '{"author": {"user": {
               "email": {"ends_with": "@stage.com"}, "roles": {"some": {"name": {"equals": "Editor"}}}}}}');"#,
    );
    let mut ann = house.connect(Some("ann"));
    let mut ben = house.connect(Some("ben"));
    let update = |client: &mut postgres::Client| {
        let rows = client.query("UPDATE posts SET title = title || '!' RETURNING id", &[]).unwrap();
        let mut ids: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        ids.sort();
        ids
    };
    assert_eq!(update(&mut ann), ["p1", "p7"], "p3's author is a reader");
    assert!(update(&mut ben).is_empty(), "no editor");
    // What she writes has to be such a post as well.
    refused(&mut ann, "UPDATE posts SET author_id = 'a2' WHERE id = 'p1'", "42501", "row-level security");
    run(&mut ann, "UPDATE posts SET author_id = 'a5' WHERE id = 'p1'");
    // The author's mail decides, from the next statement on.
    run(&mut admin, "UPDATE users SET email = 'dan@other.org' WHERE id = 'dan'");
    assert!(update(&mut ann).is_empty());
}

/// Trap 21.
#[test]
fn rules_of_related_tables_do_not_run_into_each_other() {
    let house = House::new();
    let mut admin = house.database.admin();
    run(
        &mut admin,
        r#"SELECT rolecall.allow('users', 'users', 'select', '{"id": {"equals": "__loggedInUserId"}}');
           SELECT rolecall.allow('users', 'posts', 'select', '{"author": {"user": {"email": {"is_not_empty": true}}}}');
           SELECT rolecall.allow('users', 'comments', 'select', '{"post": {"comments": {"some": {"user_id": {"equals": "__loggedInUserId"}}}}}');
           SELECT rolecall.allow('guest', 'users', 'select', '{"manager": {"name": {"equals": "Ann"}}}');
           SELECT rolecall.allow('users', 'authors', 'select', '{"posts": {"some": {"author": {"user_id": {"equals": "__loggedInUserId"}}}}}');"#,
    );
    let mut ben = house.connect(Some("ben"));
    assert_eq!(column(&mut ben, "SELECT id FROM users ORDER BY 1"), ["ben", "cat"], "himself, and whom Ann manages");
    assert_eq!(
        column(&mut ben, "SELECT id FROM posts ORDER BY 1"),
        ["p1", "p2", "p3", "p4", "p7"],
        "of users he does not see"
    );
    assert_eq!(column(&mut ben, "SELECT id FROM comments ORDER BY 1"), ["c1", "c2", "c5", "c6"]);
    assert_eq!(column(&mut ben, "SELECT id FROM authors"), ["a2"]);
    let joined = "SELECT u.id FROM users u JOIN authors a ON a.user_id = u.id JOIN posts p ON p.author_id = a.id
                   JOIN comments c ON c.post_id = p.id GROUP BY u.id";
    assert_eq!(column(&mut ben, joined), ["ben"]);
}

#[test]
fn a_rule_needs_no_privilege_on_what_it_reads_and_lends_none() {
    let house = House::new();
    let mut admin = house.database.admin();
    let filter = r#"{"author": {"user": {"email": {"starts_with": "ann"}}}}"#;
    run(&mut admin, &format!("REVOKE ALL ON users, authors FROM {}", house.app));
    assert_eq!(house.seen(None, "posts", filter), ["p1"]);
    let mut app = house.connect(Some("ben"));
    for attempt in [
        "SELECT * FROM users",
        "SELECT * FROM rolecall_relations.users_1",
        "SELECT rolecall_relations.id_set(ARRAY['x'])",
        "CREATE TEMP VIEW v AS SELECT * FROM rolecall_relations.users_1",
        "SET search_path = rolecall_relations; SELECT * FROM users_1",
        "CREATE TABLE rolecall_relations.t (id int)",
        "COPY rolecall_relations.users_1 TO STDOUT",
        "SELECT table_to_xml(c.oid::regclass, true, false, '') FROM pg_class c WHERE relname = 'users_1'",
        "BEGIN; LOCK TABLE rolecall_relations.users_1",
        "DROP VIEW rolecall_relations.users_1",
    ] {
        let (state, message) = sqlstate(app.batch_execute(attempt));
        assert!(["42501", "42P01", "42883"].contains(&state.as_str()), "{attempt}: {state} {message}");
        run(&mut app, "ROLLBACK; RESET search_path");
    }
    // What a rule may read of related tables, somebody who may not read them cannot ask for by himself.
    let ask = |who| {
        let mut app = house.connect(who);
        let query = "SELECT rolecall.matches('posts', $1::text::jsonb, '{\"author_id\": \"a1\"}')::text";
        app.query_one(query, &[&filter]).map(|row| row.get::<_, String>(0))
    };
    for who in [None, Some("ben")] {
        let (state, message) = sqlstate(ask(who));
        assert!(state == "42501" && message.contains("depends on all rows of public."), "{state} {message}");
    }
    run(&mut admin, &format!("GRANT SELECT ON users, authors TO {}", house.app));
    assert_eq!(sqlstate(ask(Some("ben"))).0, "42501", "policies would hide some");
    run(&mut admin, "SELECT rolecall.unprotect('users'), rolecall.unprotect('authors')");
    assert_eq!(ask(Some("ben")).unwrap(), "true");
    let of_ben = "SELECT rolecall.matches('posts', '{\"author\": {\"name\": {\"equals\": \"Ben W\"}}}', '{\"author_id\": \"a1\"}')";
    assert!(!one::<bool>(&mut admin, of_ben));
    assert_eq!(column(&mut admin, &format!("SELECT r ->> 'id' FROM rolecall.preview('posts', '{filter}') r")), ["p1"]);
}

/// Trap 35.
#[test]
fn names_and_values_are_never_sql() {
    let database = database();
    let mut admin = database.admin();
    run(
        &mut admin,
        r#"CREATE SCHEMA "s; DROP"; CREATE TABLE "s; DROP"."r1" ("id""x" text PRIMARY KEY, "r1" text, "a'b" text, "select" text);
           CREATE TABLE "j1" ("id" int PRIMARY KEY, "we""ird_id" text REFERENCES "s; DROP"."r1", "r1" text, "related" boolean);
           INSERT INTO "s; DROP"."r1" VALUES ('1', 'x', ''' OR true --', '\'), ('2', NULL, '%', '_');
           INSERT INTO "j1" VALUES (1, '1', 'r1', true), (2, '2', NULL, false), (3, NULL, '', NULL);"#,
    );
    let login = database.login("app");
    run(
        &mut admin,
        &format!(
            "GRANT SELECT ON j1, \"s; DROP\".r1 TO {login}; GRANT USAGE ON SCHEMA \"s; DROP\" TO {login}; SELECT rolecall.protect('j1'), rolecall.protect('\"s; DROP\".r1')"
        ),
    );
    let mut app = database.connect(&login);
    for (table, filter, expected) in [
        ("j1", r#"{"we\"ird": {"a'b": {"equals": "' OR true --"}}}"#, "1"),
        ("j1", r#"{"we\"ird": {"a'b": {"contains": "%"}}}"#, "2"),
        ("j1", r#"{"we\"ird": {"select": {"equals": "\\"}}}"#, "1"),
        ("j1", r#"{"we\"ird": {"select": {"contains": "_"}}}"#, "2"),
        ("j1", r#"{"we\"ird": {"r1": {"equals": "x"}}, "r1": {"equals": "r1"}}"#, "1"),
        ("j1", r#"{"NOT": {"we\"ird": {"id\"x": {"equals": "1) OR (true"}}}}"#, "1 2 3"),
        (r#""s; DROP".r1"#, r#"{"j1": {"some": {"related": {"equals": true}, "r1": {"equals": "r1"}}}}"#, "1"),
    ] {
        admin
            .execute(
                "SELECT rolecall.allow('guest', $1::text::regclass, 'select', $2::text::jsonb)",
                &[&table, &filter],
            )
            .unwrap();
        let id = if table == "j1" { "id" } else { "\"id\"\"x\"" };
        assert_eq!(
            column(&mut app, &format!("SELECT {id}::text FROM {table} ORDER BY 1")).join(" "),
            expected,
            "{filter}"
        );
    }
    let deep = format!("{}{}{}", r#"{"NOT":"#.repeat(9_999), "{}", "}".repeat(9_999));
    let long = format!(r#"{{"r1": {{"in": [{}"x"]}}}}"#, r#""x","#.repeat(2_500_000));
    let path = format!(r#"{{"r1": {{"equals": "{}"}}}}"#, "x".repeat(10_000_000));
    for (filter, expected) in [(deep, "nests deeper than 32 levels"), (long, "more than 10000 parts")] {
        let (state, message) =
            sqlstate(admin.execute("SELECT rolecall.allow('guest', 'j1', 'select', $1::text::jsonb)", &[&filter]));
        assert!(state == "22023" && message.contains(expected), "{state} {message}");
    }
    admin.execute("SELECT rolecall.allow('guest', 'j1', 'select', $1::text::jsonb)", &[&path]).unwrap();
    assert!(column(&mut app, "SELECT id::text FROM j1").is_empty());
}

#[test]
fn partitions_and_children_have_rules_over_relations_too() {
    let house = House::new();
    let mut admin = house.database.admin();
    run(
        &mut admin,
        &format!(
            r#"CREATE TABLE visits (id int, author_id text, PRIMARY KEY (id)) PARTITION BY RANGE (id);
            CREATE TABLE visits_1 PARTITION OF visits FOR VALUES FROM (0) TO (10);
            CREATE TABLE past_tags () INHERITS (tags);
            INSERT INTO visits VALUES (1, 'a1'), (2, 'a2'); INSERT INTO past_tags VALUES (9, 'old');
            INSERT INTO posts_tags VALUES ('p1', 3);
            GRANT SELECT ON visits, visits_1, past_tags TO {};
            SELECT rolecall.protect('visits');
            SELECT rolecall.relate('visits', 'author', 'authors', '{{author_id}}', '{{id}}');
            SELECT rolecall.allow('guest', 'visits', 'select', '{{"author": {{"name": {{"equals": "Ben W"}}}}}}');
            SELECT rolecall.allow('guest', 'tags', 'select', '{{"posts": {{"none": {{"stars": {{"equals": 10}}}}}}}}');
            CREATE TABLE visits_2 PARTITION OF visits FOR VALUES FROM (10) TO (20);
            INSERT INTO visits VALUES (11, 'a1'), (12, 'a2'); GRANT SELECT ON visits_2 TO {};"#,
            house.app, house.app
        ),
    );
    let mut app = house.connect(None);
    for (table, expected) in
        [("visits", "2 12"), ("visits_1", "2"), ("visits_2", "12"), ("tags", "9"), ("past_tags", "9")]
    {
        assert_eq!(
            column(&mut app, &format!("SELECT id::text FROM {table} ORDER BY {table}.id")).join(" "),
            expected,
            "{table}"
        );
    }
}

/// Trap 24.
#[test]
fn keys_of_other_types_and_collations_are_compared() {
    let database = database();
    let mut admin = database.admin();
    let login = database.login("app");
    run(
        &mut admin,
        &format!(
            r#"CREATE COLLATION folded (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
            CREATE DOMAIN code AS text;
            CREATE TABLE big (id bigint PRIMARY KEY, c text COLLATE "C" UNIQUE, f text COLLATE folded UNIQUE, d code UNIQUE, u uuid UNIQUE);
            CREATE TABLE small (id int PRIMARY KEY, big_id smallint REFERENCES big, c text COLLATE "POSIX", f text COLLATE folded, d varchar, u uuid);
            INSERT INTO big VALUES (1, 'x', 'Straight', 'k', '00000000-0000-0000-0000-000000000001'), (2, 'y', 'other', 'l', NULL);
            INSERT INTO small VALUES (1, 1, 'x', 'STRAIGHT', 'k', '00000000-0000-0000-0000-000000000001'), (2, 2, 'X', 'OTHER', 'K', NULL), (3, NULL, NULL, NULL, NULL, NULL);
            GRANT SELECT ON small TO {login};
            SELECT rolecall.protect('small');
            SELECT rolecall.relate('small', 'by_' || k, 'big', ARRAY[k], ARRAY[k]) FROM unnest('{{c,f,d,u}}'::text[]) k;"#
        ),
    );
    let mut app = database.connect(&login);
    for (relation, expected) in [("big", "1 2"), ("by_c", "1"), ("by_f", "1 2"), ("by_d", "1"), ("by_u", "1")] {
        let filter = format!(r#"{{"{relation}": {{}}}}"#);
        admin.execute("SELECT rolecall.allow('guest', 'small', 'select', $1::text::jsonb)", &[&filter]).unwrap();
        assert_eq!(column(&mut app, "SELECT id::text FROM small ORDER BY small.id").join(" "), expected, "{relation}");
        let keys: Vec<_> =
            (1..=3).flat_map(|id| column(&mut app, &format!("SELECT id::text FROM small WHERE id = {id}"))).collect();
        assert_eq!(keys.join(" "), expected, "{relation} by key");
    }
}
