//! Filters over types that have operators of their own: `citext`, arrays, JSON documents.

use crate::support::*;
use rolecall_tests::Database;
use std::cell::RefCell;
use std::collections::HashMap;

/// Documents that belong to people, who log in by the names that are their ids.
struct Archive {
    database: Database<'static>,
    app: String,
    tokens: RefCell<HashMap<String, String>>,
}

impl Archive {
    fn new() -> Self {
        let database = database();
        let app = database.login("app");
        run(
            &mut database.admin(),
            &format!(
                r#"CREATE SCHEMA "my ext"; CREATE EXTENSION citext SCHEMA "my ext";
                CREATE TYPE mood AS ENUM ('sad', 'glad');
                CREATE DOMAIN labels AS text[];
                CREATE TABLE people (email "my ext".citext PRIMARY KEY, name text);
                CREATE TABLE docs (id text PRIMARY KEY, owner_id "my ext".citext REFERENCES people, tags text[], codes varchar(5)[],
                    ids int[], small smallint[], big bigint[], prices numeric[], keys uuid[], moods mood[], flags boolean[],
                    days date[], owners "my ext".citext[], labels labels, meta jsonb);
                INSERT INTO people VALUES ('Ann@Example.org', 'Ann'), ('bob@example.org', 'Bob'), ('50%@x', 'Cat');
                INSERT INTO docs VALUES
                  ('d1', 'ANN@example.org', '{{a,b}}', '{{x}}', '{{7,8}}', '{{7}}', '{{7}}', '{{7.0}}',
                   '{{22222222-2222-2222-2222-222222222222}}', '{{sad}}', '{{true}}', '{{2024-02-29}}', '{{ANN@example.org}}', '{{l}}',
                   '{{"a": "Xy", "n": 5, "b": {{"c": true, "it''s \"": 1}}, "l": ["x", {{"k": "v"}}], "o": "7", "0": "zero"}}'),
                  ('d2', 'bob@EXAMPLE.org', '{{}}', '{{}}', '{{}}', '{{}}', '{{}}', '{{}}', '{{}}', '{{}}', '{{}}', '{{}}', '{{}}', '{{}}',
                   '{{"a": "", "n": "5", "b": null, "l": {{"0": "x"}}, "o": 7}}'),
                  ('d4', '50%@X', E'{{"a'' OR true --",7}}', '{{y}}', '{{-1}}', NULL, '{{5000000000}}', '{{0.10}}', NULL, '{{glad,sad}}',
                   '{{false}}', NULL, NULL, '{{a,NULL}}', '["x", "y"]'),
                  ('d5', '50%@x', '{{7}}', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '"x"');
                INSERT INTO docs (id) VALUES ('d3');
                CREATE INDEX ON docs (owner_id); CREATE INDEX ON docs USING gin (tags); CREATE INDEX ON docs USING gin (ids);
                CREATE INDEX ON docs ((meta #> '{{a}}')); CREATE INDEX ON docs ((meta #> '{{n}}'));
                GRANT SELECT ON docs TO {app}; SELECT rolecall.protect('docs'); SELECT rolecall.protect('people');
                SELECT rolecall.create_user('7', 'ann@EXAMPLE.ORG', 'p', id => '7');
                SELECT rolecall.create_user('big', password => 'p', id => '5000000000');
                SELECT rolecall.create_user('word', 'NN@', 'p', id => 'xY');"#
            ),
        );
        Self { database, app, tokens: RefCell::default() }
    }

    /// A connection of somebody, or nobody, who sees what `filter` shows.
    fn client(&self, username: Option<&str>, filter: &str) -> postgres::Client {
        let mut admin = self.database.admin();
        admin
            .execute("SELECT rolecall.allow('guest', 'docs', 'select', $1::text::jsonb)", &[&filter])
            .unwrap_or_else(|e| panic!("{filter}: {e:?}"));
        let mut app = self.database.connect(&self.app);
        if let Some(username) = username {
            let tokens = &mut *self.tokens.borrow_mut();
            let chosen = "a password for the archive";
            let token = tokens.entry(username.into()).or_insert_with(|| first_token(&mut admin, username, "p", chosen));
            authenticate(&mut app, token, true);
        }
        app
    }

    /// The documents that somebody sees through each of the filters, without the `d`s.
    #[track_caller]
    fn shows(&self, username: Option<&str>, cases: &[(&str, &str)]) {
        for (filter, expected) in cases {
            let seen: String = column(&mut self.client(username, filter), "SELECT id FROM docs ORDER BY id").concat();
            assert_eq!(seen.replace('d', ""), *expected, "{username:?} {filter}");
        }
    }

    /// That an index serves.
    #[track_caller]
    fn uses(&self, username: Option<&str>, filter: &str, condition: &str) {
        let mut app = self.client(username, filter);
        run(&mut app, "SET enable_seqscan = off");
        let plan = plan(&mut app, "SELECT id FROM docs");
        let served = plan.lines().any(|line| line.contains("Index Cond") && line.contains(condition));
        assert!(served, "{filter}: {plan}");
    }
}

/// Trap 24.
#[test]
fn citext_is_compared_without_case() {
    let archive = Archive::new();
    archive.shows(
        None,
        &[
            (r#"{"owner_id": {"equals": "ann@example.ORG"}}"#, "1"),
            (r#"{"owner_id": {"not_equals": "ann@example.ORG"}}"#, "245"),
            (r#"{"owner_id": {"in": ["BOB@example.org", "' OR true --"]}}"#, "2"),
            (r#"{"owner_id": {"not_in": ["BOB@example.org"]}}"#, "145"),
            (r#"{"owner_id": {"contains": "EXAMPLE"}}"#, "12"),
            (r#"{"owner_id": {"contains": "0%@"}}"#, "45"),
            (r#"{"owner_id": {"starts_with": "a_n"}}"#, ""),
            (r#"{"owner_id": {"not_ends_with": "EXAMPLE.ORG"}}"#, "45"),
            (r#"{"owner_id": {"is_empty": true}}"#, "3"),
            (r#"{"owners": {"has": "ann@example.org"}}"#, "1"),
            (r#"{"owner": {"name": {"equals": "Ann"}}}"#, "1"),
            (r#"{"owner": {"email": {"starts_with": "BOB"}}}"#, "2"),
            (r#"{"owner": {"docs": {"some": {"id": {"equals": "d5"}}}}}"#, "45"),
            (r#"{"owner_id": {"not_equals": "__loggedInUserEmail"}}"#, ""),
            (r#"{"NOT": {"owner_id": {"contains": "__loggedInUserEmail"}}}"#, ""),
            (r#"{"owner": {"docs": {"none": {"owner_id": {"equals": "__loggedInUserEmail"}}}}}"#, ""),
        ],
    );
    archive.shows(Some("7"), &[(r#"{"owner_id": {"equals": "__loggedInUserEmail"}}"#, "1")]);
    archive.shows(Some("word"), &[(r#"{"owner_id": {"contains": "__loggedInUserEmail"}}"#, "1")]);
    archive.uses(None, r#"{"owner_id": {"equals": "ann@example.org"}}"#, r#"OPERATOR("my ext".=) 'ann@"#);
    archive.uses(
        Some("7"),
        r#"{"owner_id": {"equals": "__loggedInUserEmail"}}"#,
        r#"OPERATOR("my ext".=) (rolecall.user_email())"#,
    );
    // A type of that name is nobody's citext.
    let mut admin = archive.database.admin();
    run(&mut admin, "CREATE TYPE citext AS (a int); CREATE TABLE other (id citext)");
    refused(
        &mut admin,
        r#"SELECT rolecall.compile_filter('other', '{"id": {"equals": "x"}}')"#,
        "22023",
        "cannot be used",
    );
}

#[test]
fn arrays_are_asked_for_their_elements() {
    let archive = Archive::new();
    let me = "__loggedInUserId";
    archive.shows(
        None,
        &[
            (r#"{"tags": {"has": "a"}}"#, "1"),
            (r#"{"tags": {"has": "a' OR true --"}}"#, "4"),
            (r#"{"NOT": {"tags": {"has": "a"}}}"#, "245"),
            (r#"{"tags": {"has_some": ["b", "7"]}}"#, "145"),
            (r#"{"tags": {"has_some": []}}"#, ""),
            (r#"{"tags": {"has_every": ["b", "a"]}}"#, "1"),
            (r#"{"tags": {"has_every": ["b", "7"]}}"#, ""),
            (r#"{"tags": {"has_every": []}}"#, "12345"),
            (r#"{"tags": {"equals": ["a", "b"]}}"#, "1"),
            (r#"{"tags": {"equals": ["b", "a"]}}"#, ""),
            (r#"{"tags": {"not_equals": ["a", "b"]}}"#, "245"),
            (r#"{"tags": {"equals": []}}"#, "2"),
            (r#"{"tags": {"is_empty": true}}"#, "23"),
            (r#"{"tags": {"is_not_empty": true}}"#, "145"),
            (r#"{"labels": {"has": "a"}}"#, "4"),
            (r#"{"NOT": {"labels": {"has": "b"}}}"#, "124"),
            (r#"{"codes": {"has": "x"}, "ids": {"has": 8}, "small": {"has": 7}, "big": {"has": 7}, "prices": {"has": 7}}"#, "1"),
            (r#"{"keys": {"has": "22222222-2222-2222-2222-222222222222"}, "moods": {"has": "sad"}, "flags": {"has": true}}"#, "1"),
            (r#"{"days": {"has": "2024-02-29"}}"#, "1"),
            (r#"{"prices": {"has": 0.1}}"#, "4"),
            (r#"{"tags": {"has": "__loggedInUserId"}}"#, ""),
            (r#"{"NOT": {"tags": {"has": "__loggedInUserId"}}}"#, ""),
            (r#"{"NOT": {"ids": {"has_some": [1, "__loggedInUserId"]}}}"#, ""),
            (r#"{"tags": {"not_equals": ["__loggedInUserId"]}}"#, ""),
            (r#"{"tags": {"has_some": ["a", "__loggedInUserId"]}}"#, "1"),
            (r#"{"owner": {"docs": {"none": {"tags": {"has": "__loggedInUserId"}}}}}"#, ""),
            (r#"{"NOT": {"owner": {"docs": {"some": {"ids": {"has": "__loggedInUserId"}}}}}}"#, "3"),
        ],
    );
    let has = |column: &str| format!(r#"{{"{column}": {{"has": "{me}"}}}}"#);
    for (column, expected) in
        [("tags", "45"), ("codes", ""), ("ids", "1"), ("small", "1"), ("big", "1"), ("prices", "1")]
    {
        archive.shows(Some("7"), &[(&has(column), expected)]);
    }
    // Whose id is no element can be is nobody, for its opposite too.
    for (column, user, expected) in [("big", "big", "4"), ("ids", "big", ""), ("small", "word", ""), ("keys", "7", "")]
    {
        archive.shows(Some(user), &[(&has(column), expected)]);
        let not = format!(r#"{{"NOT": {}}}"#, has(column));
        archive.shows(Some(user), &[(&not, if column == "big" { "12" } else { "" })]);
    }
    archive.uses(None, r#"{"tags": {"has": "a"}}"#, "tags @> '{a}'");
    archive.uses(None, r#"{"tags": {"has_some": ["a", "b"]}}"#, "tags && '{a,b}'");
    archive.uses(Some("7"), &has("tags"), "tags @> CASE WHEN (rolecall.user_id() IS NOT NULL)");
    archive.uses(Some("7"), &has("ids"), "ids @> CASE WHEN");
}

#[test]
fn documents_are_asked_for_what_is_at_a_path() {
    let archive = Archive::new();
    let path = |path: &str, rest: &str| format!(r#"{{"meta": {{"path": {}, {rest}}}}}"#, serde_json::json!(path));
    for (at, rest, expected) in [
        ("$.a", r#""equals": "Xy""#, "1"),
        ("$.a", r#""not_equals": "Xy""#, "2"),
        ("$.a", r#""in": ["Xy", "' OR true --"]"#, "1"),
        ("$.a", r#""not_in": ["Xy"]"#, "2"),
        ("$.a", r#""not_in": []"#, "12345"),
        ("$.a", r#""contains": "y""#, "1"),
        ("$.a", r#""not_contains": "y""#, "2"),
        ("$.a", r#""ends_with": "%""#, ""),
        ("$.a", r#""is_empty": true"#, "2345"),
        ("$.a", r#""is_not_empty": true"#, "1"),
        ("$.n", r#""equals": 5"#, "1"),
        ("$.n", r#""equals": 5.0"#, "1"),
        ("$.n", r#""not_equals": 4"#, "1"),
        ("$.n", r#""gt": 4, "lt": 5.5"#, "1"),
        ("$.n", r#""gte": 6"#, ""),
        ("$.b", r#""is_empty": true"#, "2345"),
        ("$.b.c", r#""equals": true"#, "1"),
        ("$.b[\"it's \\\"\"]", r#""equals": 1"#, "1"),
        ("$.l[0]", r#""equals": "x""#, "1"),
        ("$.l[-1].k", r#""equals": "v""#, "1"),
        ("$.l['0']", r#""equals": "x""#, "2"),
        ("$.l[0]", r#""is_empty": true"#, "2345"),
        ("$[0]", r#""equals": "x""#, "4"),
        ("$[0]", r#""equals": "zero""#, ""),
        ("$[0]", r#""not_equals": "zero""#, "4"),
        ("$['0']", r#""equals": "zero""#, "1"),
        ("$", r#""equals": "x""#, "5"),
        ("$", r#""lt": 1e300"#, ""),
        ("$.o", r#""equals": "__loggedInUserId""#, ""),
        ("$.o", r#""not_equals": "__loggedInUserId""#, ""),
        ("$.a", r#""not_contains": "__loggedInUserId""#, ""),
        ("$.o", r#""not_in": ["x", "__loggedInUserId"]"#, ""),
    ] {
        archive.shows(None, &[(&path(at, rest), expected)]);
    }
    archive.shows(
        None,
        &[
            (r#"{"meta": [{"path": "$.a", "equals": "Xy"}, {"path": "$.n", "gte": 5}]}"#, "1"),
            (r#"{"NOT": {"meta": {"path": "$.n", "lt": 5}}}"#, "1"),
            (r#"{"NOT": {"meta": {"path": "$.n", "equals": "5"}}}"#, ""),
            (r#"{"NOT": {"meta": {"path": "$.a", "is_empty": true}}}"#, "1"),
            (r#"{"owner": {"docs": {"none": {"meta": {"path": "$.o", "equals": "__loggedInUserId"}}}}}"#, ""),
            (r#"{"owner": {"docs": {"none": {"meta": {"path": "$.a", "contains": "__loggedInUserId"}}}}}"#, ""),
        ],
    );
    archive.shows(
        Some("7"),
        &[
            (r#"{"meta": {"path": "$.o", "equals": "__loggedInUserId"}}"#, "12"),
            (r#"{"meta": {"path": "$.n", "not_equals": "__loggedInUserId"}}"#, "12"),
            (r#"{"owner": {"docs": {"none": {"meta": {"path": "$.o", "equals": "__loggedInUserId"}}}}}"#, "45"),
        ],
    );
    archive.shows(Some("word"), &[(r#"{"meta": {"path": "$.n", "not_equals": "__loggedInUserId"}}"#, "2")]);
    archive.uses(None, &path("$.a", r#""equals": "Xy""#), r#"= '"Xy"'::jsonb"#);
    archive.uses(None, &path("$.a", r#""in": ["Xy", "z"]"#), "= ANY");
    archive.uses(None, &path("$.n", r#""lt": 5"#), "< '5'::jsonb");
    archive.uses(Some("7"), &path("$.a", r#""equals": "__loggedInUserId""#), "ANY (ARRAY[to_jsonb(rolecall.user_id())");
}
