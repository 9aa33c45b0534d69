//! Which relations a table has, what they are called, and that rules keep them.

use crate::relations::House;
use crate::support::*;
use rolecall_tests::sqlstate;

/// A filter's SQL, shortened to what tells relations apart.
fn compiled(admin: &mut postgres::Client, table: &str, filter: &str) -> String {
    let query = "SELECT rolecall.compile_filter($1::text::regclass, $2::text::jsonb)";
    let sql: String = admin.query_one(query, &[&table, &filter]).unwrap_or_else(|e| panic!("{filter}: {e:?}")).get(0);
    sql.replace("OPERATOR(pg_catalog.=)", "=").replace("EXISTS (SELECT FROM public.", "(").replace('"', "")
}

#[test]
fn foreign_keys_show_relations_on_both_sides() {
    let database = database();
    let mut admin = database.admin();
    run(
        &mut admin,
        r#"CREATE TABLE teams (id int PRIMARY KEY, tenant int, UNIQUE (tenant, id));
           CREATE TABLE people (id bigint PRIMARY KEY, "teamId" int REFERENCES teams, boss_id bigint REFERENCES people);
           CREATE TABLE desks (id int PRIMARY KEY, person_id bigint UNIQUE REFERENCES people, tenant_id int, team_id int,
               FOREIGN KEY (tenant_id, team_id) REFERENCES teams (tenant, id));
           CREATE TABLE skills (id int PRIMARY KEY);
           CREATE TABLE people_skills (person_id bigint REFERENCES people, skill_id int REFERENCES skills, level int,
               PRIMARY KEY (skill_id, person_id));
           CREATE TABLE visits (day date, person_id bigint REFERENCES people, PRIMARY KEY (day, person_id)) PARTITION BY RANGE (day);
           CREATE TABLE visits_2024 PARTITION OF visits FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');"#,
    );
    for (table, filter, expected) in [
        ("people", r#"{"team": {}}"#, "(teams r1 WHERE (r1.id = people.teamId))"),
        ("teams", r#"{"people": {"some": {}}}"#, "(people r1 WHERE (r1.teamId = teams.id))"),
        (
            "people",
            r#"{"boss": {"boss": {}}}"#,
            "(people r1 WHERE (r1.id = people.boss_id) AND (people r2 WHERE (r2.id = r1.boss_id)))",
        ),
        ("people", r#"{"people": {"none": {}}}"#, "(NOT (people r1 WHERE (r1.boss_id = people.id)))"),
        ("people", r#"{"desks": {}}"#, "(desks r1 WHERE (r1.person_id = people.id))"),
        ("desks", r#"{"team": {}}"#, "(teams r1 WHERE (r1.tenant = desks.tenant_id) AND (r1.id = desks.team_id))"),
        (
            "teams",
            r#"{"desks": {"some": {}}}"#,
            "(desks r1 WHERE (r1.tenant_id = teams.tenant) AND (r1.team_id = teams.id))",
        ),
        (
            "people",
            r#"{"skills": {"some": {}}}"#,
            "(people_skills j1 JOIN public.skills r1 ON (r1.id = j1.skill_id) WHERE (j1.person_id = people.id))",
        ),
        (
            "people",
            r#"{"people_skills": {"some": {"level": {"gt": 3}}}}"#,
            "(people_skills r1 WHERE (r1.person_id = people.id) AND (r1.level OPERATOR(pg_catalog.>) '3'::pg_catalog.int4))",
        ),
        ("people", r#"{"visits": {"some": {}}}"#, "(visits r1 WHERE (r1.person_id = people.id))"),
        ("visits", r#"{"person": {}}"#, "(people r1 WHERE (r1.id = visits.person_id))"),
        ("visits_2024", r#"{"person": {}}"#, "(people r1 WHERE (r1.id = visits_2024.person_id))"),
    ] {
        assert_eq!(compiled(&mut admin, table, filter), expected, "{table} {filter}");
    }
}

#[test]
fn what_could_be_several_relations_has_to_be_named() {
    let house = House::new();
    let mut admin = house.database.admin();
    run(
        &mut admin,
        "CREATE TABLE likes (post_id text REFERENCES posts, user_id text REFERENCES users, PRIMARY KEY (post_id, user_id));
         CREATE TABLE reads (post_id text REFERENCES posts, user_id text REFERENCES users, PRIMARY KEY (post_id, user_id));
         INSERT INTO likes VALUES ('p1', 'ben'), ('p3', 'ann');",
    );
    let filter = r#"{"users": {"some": {"name": {"equals": "Ben"}}}}"#;
    let compile = |admin: &mut postgres::Client| {
        admin.execute("SELECT rolecall.compile_filter('posts', $1::text::jsonb)", &[&filter])
    };
    let (state, message) = sqlstate(compile(&mut admin));
    assert_eq!(state, "22023");
    assert!(message.contains(r#""users" of public.posts may be several relations at $.users"#), "{message}");
    run(
        &mut admin,
        "SELECT rolecall.relate('posts', 'users', 'users', '{id}', '{id}', 'likes', '{post_id}', '{user_id}')",
    );
    assert_eq!(house.seen(None, "posts", filter), ["p1"]);
    // Named again, it is the other one, in the rules that have it too.
    run(&mut admin, "INSERT INTO reads VALUES ('p7', 'ben')");
    run(
        &mut admin,
        "SELECT rolecall.relate('posts', 'users', 'users', '{id}', '{id}', 'reads', '{post_id}', '{user_id}')",
    );
    let mut app = house.connect(None);
    assert_eq!(column(&mut app, "SELECT id FROM posts"), ["p7"]);
}

#[test]
fn a_relation_that_cannot_be_is_refused() {
    let house = House::new();
    let mut admin = house.database.admin();
    run(&mut admin, "CREATE VIEW all_users AS SELECT * FROM users; CREATE TEMP TABLE t (id text)");
    for (call, problem) in [
        ("'posts', '', 'users', '{id}', '{id}'", "means something else"),
        ("'posts', 'NOT', 'users', '{id}', '{id}'", "means something else"),
        ("'posts', 'is_self', 'users', '{id}', '{id}'", "means something else"),
        ("'posts', 'title', 'users', '{id}', '{id}'", "is the name of a column"),
        ("'posts', 'x', 'users', '{}', '{id}'", "must name columns"),
        ("'posts', 'x', 'users', '{id}', '{id,name}'", "cannot be compared"),
        ("'posts', 'x', 'users', '{stars}', '{id}'", "cannot be compared"),
        ("'posts', 'x', 'users', '{nope}', '{id}'", "cannot be compared"),
        ("'posts', 'x', 'users', '{id}', '{nope}'", "cannot be compared"),
        ("'posts', 'x', 'all_users', '{id}', '{id}'", "is no lasting table"),
        ("'posts', 'x', 't', '{id}', '{id}'", "is no lasting table"),
        ("'posts', 'x', 'rolecall.users', '{id}', '{id}'", "is no lasting table"),
        ("'posts', 'x', 'pg_authid', '{id}', '{rolname}'", "is no lasting table"),
        ("'posts', 'x', 'users', '{id}', '{id}', NULL, '{post_id}'", "must be the table whose columns"),
        ("'posts', 'x', 'tags', '{id}', '{id}', 'posts_tags', '{post_id}', '{post_id}'", "cannot be compared"),
        ("'posts', 'x', 'tags', '{id}', '{id}', 'posts_tags'", "must not be NULL"),
        ("NULL, 'x', 'tags', '{id}', '{id}'", "target must not be NULL"),
    ] {
        refused(&mut admin, &format!("SELECT rolecall.relate({call})"), "22023", problem);
    }
    for (call, problem) in [
        ("'posts', 'nope'", "is no column"),
        ("'posts', 'public'", "is of a type that no user's id"),
        ("'rolecall.users', 'id'", "is no lasting table"),
    ] {
        refused(&mut admin, &format!("SELECT rolecall.users_table({call})"), "22023", problem);
    }
}

#[test]
fn a_rule_keeps_its_relations_whatever_becomes_of_the_keys_and_names() {
    let house = House::new();
    let mut admin = house.database.admin();
    let filter =
        r#"{"author": {"user": {"name": {"equals": "Ben"}}}, "tags": {"some": {"label": {"equals": "news"}}}}"#;
    assert_eq!(house.seen(None, "posts", filter), ["p4"]);
    run(
        &mut admin,
        "ALTER TABLE authors RENAME user_id TO owner;
         ALTER TABLE users RENAME name TO called;
         ALTER TABLE users RENAME id TO login;
         ALTER TABLE tags RENAME label TO word;
         ALTER TABLE posts RENAME author_id TO written_by;
         ALTER TABLE posts_tags RENAME tag_id TO tag;
         ALTER TABLE posts RENAME TO articles;
         ALTER TABLE authors RENAME TO writers;
         ALTER TABLE articles DROP CONSTRAINT posts_author_id_fkey;
         ALTER TABLE posts_tags DROP CONSTRAINT posts_tags_tag_id_fkey;
         ALTER TABLE writers ADD reader_id text REFERENCES users;",
    );
    let mut app = house.connect(None);
    assert_eq!(column(&mut app, "SELECT id FROM articles"), ["p4"]);
    let kept: String = one(&mut admin, "SELECT filter::text FROM rolecall.permissions WHERE action = 'select'");
    assert!(kept.contains(r#"{"called": {"equals": "Ben"}}"#) && kept.contains(r#"{"word": {"#), "{kept}");
    // Made again from what is written down, it is the same.
    run(
        &mut admin,
        "SELECT rolecall.allow('guest', 'articles', 'select', filter) FROM rolecall.permissions WHERE action = 'select'",
    );
    run(&mut admin, "SELECT rolecall.allow('guest', 'articles', 'update')");
    assert_eq!(column(&mut app, "SELECT id FROM articles"), ["p4"]);
    assert_eq!(one::<String>(&mut admin, "SELECT id_column::text FROM rolecall.users_tables"), "login");
}

#[test]
fn what_a_rule_reads_of_a_related_table_cannot_be_dropped_and_all_else_can() {
    let house = House::new();
    let mut admin = house.database.admin();
    assert_eq!(house.seen(None, "posts", r#"{"author": {"name": {"equals": "Ben W"}}}"#), ["p2", "p4"]);
    for change in ["ALTER TABLE authors DROP COLUMN name CASCADE", "DROP TABLE authors CASCADE"] {
        refused(&mut admin, change, "55000", "rules of rolecall on");
    }
    run(
        &mut admin,
        "ALTER TABLE authors DROP COLUMN user_id; ALTER TABLE authors ADD extra int; DROP TABLE comments, posts_tags",
    );
    let mut app = house.connect(None);
    assert_eq!(column(&mut app, "SELECT id FROM posts ORDER BY 1"), ["p2", "p4"]);
    run(&mut admin, "SELECT rolecall.disallow('guest', 'posts', 'select'); DROP TABLE authors CASCADE");
    assert_eq!(one::<i64>(&mut admin, "SELECT count(*) FROM rolecall.relations WHERE name = 'author'"), 0);
}

#[test]
fn views_that_no_rule_reads_are_gone() {
    let house = House::new();
    let mut admin = house.database.admin();
    let views = "SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class
        WHERE relnamespace = 'rolecall_relations'::regnamespace AND relkind = 'v'";
    let author = r#"{"author": {"name": {"equals": "Ben W"}}}"#;
    house.seen(None, "posts", author);
    run(&mut admin, &format!("SELECT rolecall.allow('users', 'posts', 'delete', '{author}')"));
    assert_eq!(one::<String>(&mut admin, views), "authors_1", "rules share it");
    house.seen(None, "posts", r#"{"author": {"user": {"id": {"equals": "ben"}}}}"#);
    assert_eq!(one::<String>(&mut admin, views), "authors_1 authors_2 users_1");
    run(&mut admin, "SELECT rolecall.disallow('users', 'posts', 'delete')");
    assert_eq!(one::<String>(&mut admin, views), "authors_2 users_1");
    run(&mut admin, "SELECT rolecall.unprotect('posts')");
    assert_eq!(one::<Option<String>>(&mut admin, views), None);
}
