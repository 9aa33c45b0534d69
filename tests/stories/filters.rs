//! Filters: what they compile to, which rows they show, what is wrong with a wrong one.

use crate::support::*;
use postgres::Client;
use rolecall_tests::{Database, sqlstate};
use std::cell::RefCell;
use std::collections::HashMap;

/// The password that users choose instead of their temporary one.
pub const CHOSEN: &str = "seven dwarfs, 1 giant";

/// A library with books, and readers who log in.
pub struct Library {
    pub database: Database<'static>,
    pub app: String,
    /// Those of the users who have logged in.
    tokens: RefCell<HashMap<String, String>>,
}

impl Library {
    pub fn new() -> Self {
        let database = database();
        let app = database.login("app");
        run(
            &mut database.admin(),
            &format!(
                r#"CREATE TABLE books (
                    id text PRIMARY KEY, title text, pages integer, price numeric(6, 2), lent boolean, published date,
                    added timestamptz, lent_to text, shelf varchar(10), code char(6), copies bigint, ean uuid, row_no smallint);
                INSERT INTO books VALUES
                  ('b1', 'Emma', 474, 9.50, true, '1815-12-23', '2020-01-01T10:00:00Z', 'r1', 'A', 'x', 9007199254740992,
                   '11111111-1111-1111-1111-111111111111', 7),
                  ('b2', '', 0, 0, false, '2020-02-29', '2020-01-01T10:00:01Z', 'r2', 'B', 'x y', 9007199254740993,
                   '22222222-2222-2222-2222-222222222222', 8),
                  ('b3', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
                  ('b4', E'a\\b''c"d; DROP TABLE books; --', -5, 9.5, true, '1815-12-24', '2020-01-01T12:00:00+02:00',
                   '__loggedInUserId', 'a', 'X', -1, '44444444-4444-4444-4444-444444444444', 7);
                GRANT SELECT ON books TO {app};
                SELECT rolecall.protect('books');
                SELECT rolecall.create_user('r1', 'r1@example.org', 'p', id => 'r1');
                SELECT rolecall.create_user('seven', password => 'p', id => '7');
                SELECT rolecall.create_user('uuid', password => 'p', id => '22222222-2222-2222-2222-222222222222');
                SELECT rolecall.create_user('evil', 'r1', 'p', id => 'r1'' OR ''1''=''1');
                SELECT rolecall.create_user('blank', '', 'p', id => 'r8');
                SELECT rolecall.create_user('again', '__loggedInUserId', 'p', id => 'r9');"#
            ),
        );
        Self { database, app, tokens: RefCell::default() }
    }

    /// The ids that `username`, or nobody, sees through `filter`.
    pub fn seen(&self, username: Option<&str>, filter: &str) -> Vec<String> {
        let mut admin = self.database.admin();
        admin
            .execute("SELECT rolecall.allow('guest', 'books', 'select', $1::text::jsonb)", &[&filter])
            .unwrap_or_else(|e| panic!("{filter}: {e:?}"));
        let mut app = self.database.connect(&self.app);
        if let Some(username) = username {
            let tokens = &mut *self.tokens.borrow_mut();
            let token = tokens.entry(username.into()).or_insert_with(|| first_token(&mut admin, username, "p", CHOSEN));
            authenticate(&mut app, token, true);
        }
        column(&mut app, "SELECT id FROM books ORDER BY id")
    }
}

/// Trap 24.
#[test]
fn constants_are_compared_in_the_columns_type() {
    let library = Library::new();
    for (filter, expected) in [
        (r#"{}"#, &["b1", "b2", "b3", "b4"][..]),
        (r#"{"AND": []}"#, &["b1", "b2", "b3", "b4"]),
        (r#"{"OR": []}"#, &[]),
        (r#"{"id": {"equals": "b2"}}"#, &["b2"]),
        (r#"{"title": {"equals": "Emma"}}"#, &["b1"]),
        (r#"{"title": {"equals": "emma"}}"#, &[]),
        (r#"{"title": {"equals": ""}}"#, &["b2"]),
        (r#"{"title": {"equals": "a\\b'c\"d; DROP TABLE books; --"}}"#, &["b4"]),
        (r#"{"title": {"equals": "' OR '1'='1"}}"#, &[]),
        (r#"{"title": {"in": ["Emma", "", "x') OR true --"]}}"#, &["b1", "b2"]),
        (r#"{"title": {"in": []}}"#, &[]),
        (r#"{"pages": {"equals": -5}}"#, &["b4"]),
        (r#"{"pages": {"in": [0, 474]}}"#, &["b1", "b2"]),
        (r#"{"price": {"equals": 9.5}}"#, &["b1", "b4"]),
        (r#"{"price": {"equals": 9.50}}"#, &["b1", "b4"]),
        (r#"{"price": {"equals": 95e-1}}"#, &["b1", "b4"]),
        (r#"{"copies": {"equals": 9007199254740993}}"#, &["b2"]),
        (r#"{"row_no": {"equals": 7}}"#, &["b1", "b4"]),
        (r#"{"lent": {"equals": true}}"#, &["b1", "b4"]),
        (r#"{"lent": {"equals": false}}"#, &["b2"]),
        (r#"{"published": {"equals": "2020-02-29"}}"#, &["b2"]),
        (r#"{"published": {"in": ["1815-12-23", "1815-12-24"]}}"#, &["b1", "b4"]),
        (r#"{"added": {"equals": "2020-01-01T10:00:00Z"}}"#, &["b1", "b4"]),
        (r#"{"added": {"equals": "2020-01-01T11:00:00+01:00"}}"#, &["b1", "b4"]),
        (r#"{"shelf": {"equals": "A"}}"#, &["b1"]),
        (r#"{"code": {"equals": "x"}}"#, &["b1"]),
        (r#"{"ean": {"equals": "11111111-1111-1111-1111-111111111111"}}"#, &["b1"]),
        (r#"{"lent": {"equals": true}, "pages": {"equals": 474}}"#, &["b1"]),
        (r#"{"title": {"equals": "Emma", "in": ["x"]}}"#, &[]),
        (r#"{"OR": [{"title": {"equals": "Emma"}}, {"pages": {"equals": 0}}]}"#, &["b1", "b2"]),
        (
            r#"{"OR": [{"AND": [{"lent": {"equals": true}}, {"OR": [{"id": {"equals": "b4"}}]}]}], "AND": [{}]}"#,
            &["b4"],
        ),
    ] {
        assert_eq!(library.seen(None, filter), expected, "{filter}");
    }
}

#[test]
fn every_operator_shows_its_rows() {
    let library = Library::new();
    for (filter, expected) in [
        (r#"{"pages": {"not_equals": 474}}"#, &["b2", "b4"][..]),
        (r#"{"NOT": {"pages": {"equals": 474}}}"#, &["b2", "b4"]),
        (r#"{"NOT": {"NOT": {"pages": {"equals": 474}}}}"#, &["b1"]),
        (r#"{"pages": {"lt": 0}}"#, &["b4"]),
        (r#"{"pages": {"lte": 0}}"#, &["b2", "b4"]),
        (r#"{"pages": {"gt": 0}}"#, &["b1"]),
        (r#"{"pages": {"gte": 0}}"#, &["b1", "b2"]),
        (r#"{"pages": {"gte": -5, "lt": 0}}"#, &["b4"]),
        (r#"{"pages": {"not_in": [0, 7]}}"#, &["b1", "b4"]),
        (r#"{"pages": {"not_in": []}}"#, &["b1", "b2", "b3", "b4"]),
        (r#"{"pages": {"is_empty": true}}"#, &["b3"]),
        (r#"{"pages": {"is_empty": false}}"#, &["b1", "b2", "b4"]),
        (r#"{"pages": {"is_not_empty": true}}"#, &["b1", "b2", "b4"]),
        (r#"{"title": {"is_empty": true}}"#, &["b2", "b3"]),
        (r#"{"title": {"is_not_empty": true}}"#, &["b1", "b4"]),
        (r#"{"NOT": {"title": {"is_not_empty": true}}}"#, &["b2", "b3"]),
        (r#"{"title": {"contains": "mm"}}"#, &["b1"]),
        (r#"{"title": {"contains": ""}}"#, &["b1", "b2", "b4"]),
        (r#"{"title": {"contains": "%"}}"#, &[]),
        (r#"{"title": {"contains": "_"}}"#, &[]),
        (r#"{"title": {"contains": "\\"}}"#, &["b4"]),
        (r#"{"title": {"not_contains": "m"}}"#, &["b2", "b4"]),
        (r#"{"title": {"starts_with": "E"}}"#, &["b1"]),
        (r#"{"title": {"starts_with": "e"}}"#, &[]),
        (r#"{"title": {"not_starts_with": "E"}}"#, &["b2", "b4"]),
        (r#"{"title": {"ends_with": "; --"}}"#, &["b4"]),
        (r#"{"title": {"not_ends_with": "a"}}"#, &["b2", "b4"]),
        (r#"{"code": {"ends_with": "y"}}"#, &["b2"]),
        (r#"{"id": {"gte": "b2", "lt": "b4"}}"#, &["b2", "b3"]),
        (r#"{"id": {"contains": "3"}}"#, &["b3"]),
        (r#"{"ean": {"starts_with": "2222"}}"#, &["b2"]),
        (r#"{"ean": {"gt": "22222222-2222-2222-2222-222222222222"}}"#, &["b4"]),
        (r#"{"lent": {"not_equals": true}}"#, &["b2"]),
        (r#"{"lent": {"is_empty": true}}"#, &["b3"]),
        (r#"{"price": {"gt": 9.4999999999999999999}}"#, &["b1", "b4"]),
        (r#"{"copies": {"lt": 9007199254740993, "gt": 0}}"#, &["b1"]),
        (r#"{"published": {"lte": "1815-12-23"}}"#, &["b1"]),
        (r#"{"added": {"gt": "2020-01-01T10:00:00Z"}}"#, &["b2"]),
        (r#"{"added": {"relative": {"lt": {"op": "SUB", "unit": "YEAR", "value": "1"}}}}"#, &["b1", "b2", "b4"]),
        (r#"{"added": {"relative": {"gt": {"op": "SUB", "unit": "HOUR", "value": "1"}}}}"#, &[]),
        (r#"{"published": {"relative": {"gte": {"op": "SUB", "unit": "YEAR", "value": "200"}}}}"#, &["b2"]),
        (r#"{"NOT": [{"pages": {"equals": 474}}, {"lent": {"equals": false}}]}"#, &["b4"]),
        (r#"{"NOT": []}"#, &["b1", "b2", "b3", "b4"]),
        (r#"{"NOT": {}}"#, &[]),
        (r#"{"NOT": {"lent_to": {"equals": "__loggedInUserId"}}}"#, &[]),
        (r#"{"lent_to": {"not_equals": "__loggedInUserId"}}"#, &[]),
        (r#"{"lent_to": {"not_in": ["__loggedInUserId", "r1"]}}"#, &[]),
        (r#"{"lent_to": {"not_starts_with": "__loggedInUserId"}}"#, &[]),
    ] {
        assert_eq!(library.seen(None, filter), expected, "{filter}");
    }
    for (filter, expected) in [
        (r#"{"lent_to": {"not_equals": "__loggedInUserId"}}"#, &["b2", "b4"][..]),
        (r#"{"lent_to": {"starts_with": "__loggedInUserId"}}"#, &["b1"]),
        (r#"{"lent_to": {"contains": "__loggedInUserId"}}"#, &["b1"]),
        (r#"{"lent_to": {"ends_with": "__loggedInUserId"}}"#, &["b1"]),
        (r#"{"lent_to": {"not_in": ["__loggedInUserId"]}}"#, &["b2", "b4"]),
    ] {
        assert_eq!(library.seen(Some("r1"), filter), expected, "{filter}");
    }
}

/// Trap 24.
#[test]
fn enums_and_domains_are_compared_as_what_they_are() {
    let database = database();
    let login = database.login("app");
    let mut admin = database.admin();
    run(
        &mut admin,
        &format!(
            r#"CREATE SCHEMA "my types"; CREATE TYPE "my types".mood AS ENUM ('sad', 'it''s fine', 'glad');
            CREATE DOMAIN "my types".short AS text CHECK (length(VALUE) < 10); CREATE DOMAIN shorter AS "my types".short;
            CREATE DOMAIN positive AS int CHECK (VALUE > 0);
            CREATE TABLE people (id positive PRIMARY KEY, mood "my types".mood, name shorter, age positive,
                                 born int GENERATED ALWAYS AS (2026 - age) STORED, serial int GENERATED ALWAYS AS IDENTITY);
            INSERT INTO people VALUES (1, 'sad', 'ada', 20), (2, 'it''s fine', '', 30), (3, NULL, NULL, NULL);
            CREATE INDEX ON people (name); CREATE INDEX ON people (mood);
            GRANT SELECT ON people TO {login}; SELECT rolecall.protect('people')"#
        ),
    );
    let mut app = database.connect(&login);
    for (filter, expected) in [
        (r#"{"mood": {"equals": "it's fine"}}"#, &["2"][..]),
        (r#"{"mood": {"in": ["sad", "glad"]}}"#, &["1"]),
        (r#"{"mood": {"not_equals": "sad"}}"#, &["2"]),
        (r#"{"mood": {"is_empty": true}}"#, &["3"]),
        (r#"{"name": {"starts_with": "a"}}"#, &["1"]),
        (r#"{"name": {"is_empty": true}}"#, &["2", "3"]),
        (r#"{"age": {"gte": 0, "lt": 30}}"#, &["1"]),
        (r#"{"age": {"in": [-1, 30]}}"#, &["2"]),
        (r#"{"born": {"equals": 1996}}"#, &["2"]),
        (r#"{"serial": {"gt": 2}}"#, &["3"]),
        (r#"{"id": {"equals": "3"}}"#, &["3"]),
    ] {
        admin.execute("SELECT rolecall.allow('guest', 'people', 'select', $1::text::jsonb)", &[&filter]).unwrap();
        assert_eq!(column(&mut app, "SELECT id FROM people ORDER BY 1"), expected, "{filter}");
    }
    let glad = r#"SELECT rolecall.allow('guest', 'people', 'select', '{"mood": {"equals": "merry"}}')"#;
    refused(&mut admin, glad, "22023", r#"expected one of ["sad", "it's fine", "glad"] for column "mood""#);
    run(&mut app, "SET enable_seqscan = off");
    for filter in [r#"{"name": {"equals": "ada"}}"#, r#"{"mood": {"equals": "sad"}}"#] {
        admin.execute("SELECT rolecall.allow('guest', 'people', 'select', $1::text::jsonb)", &[&filter]).unwrap();
        let plan = plan(&mut app, "SELECT * FROM people");
        assert!(plan.contains("Index Cond"), "{filter}\n{plan}");
    }
}

#[test]
fn variables_are_the_sessions_and_expand_once() {
    let library = Library::new();
    let id = r#"{"lent_to": {"equals": "__loggedInUserId"}}"#;
    for (username, filter, expected) in [
        (Some("r1"), id, &["b1"][..]),
        (None, id, &[]),
        (Some("evil"), id, &[]),
        (Some("r1"), r#"{"lent_to": {"in": ["__loggedInUserId", "r2"]}}"#, &["b1", "b2"]),
        (None, r#"{"lent_to": {"in": ["__loggedInUserId", "r2"]}}"#, &["b2"]),
        (Some("evil"), r#"{"lent_to": {"equals": "__loggedInUserEmail"}}"#, &["b1"]),
        (Some("again"), r#"{"lent_to": {"equals": "__loggedInUserEmail"}}"#, &["b4"]),
        (Some("seven"), r#"{"lent_to": {"equals": "__loggedInUserEmail"}}"#, &[]),
        (Some("blank"), r#"{"title": {"equals": "__loggedInUserEmail"}}"#, &[]),
        (Some("r1"), r#"{"lent_to": {"equals": "__requestingApiToken"}}"#, &[]),
        (Some("seven"), r#"{"row_no": {"equals": "__loggedInUserId"}}"#, &["b1", "b4"]),
        (Some("r1"), r#"{"row_no": {"equals": "__loggedInUserId"}}"#, &[]),
        (Some("uuid"), r#"{"ean": {"equals": "__loggedInUserId"}}"#, &["b2"]),
        (Some("r1"), r#"{"ean": {"equals": "__loggedInUserId"}}"#, &[]),
        (Some("r1"), r#"{"shelf": {"equals": "__loggedInUserId"}}"#, &[]),
        (Some("r1"), r#"{"code": {"equals": "__loggedInUserId"}}"#, &[]),
        (None, r#"{"OR": [{"lent": {"equals": false}}, {"lent_to": {"equals": "__loggedInUserId"}}]}"#, &["b2"]),
        (
            Some("r1"),
            r#"{"OR": [{"lent": {"equals": false}}, {"lent_to": {"equals": "__loggedInUserId"}}]}"#,
            &["b1", "b2"],
        ),
    ] {
        assert_eq!(library.seen(username, filter), expected, "{username:?} {filter}");
    }
}

/// Trap 24.
#[test]
fn a_comparison_can_use_its_index() {
    let library = Library::new();
    let mut admin = library.database.admin();
    run(&mut admin, "CREATE INDEX ON books (lent_to); CREATE INDEX ON books (row_no); CREATE INDEX ON books (ean);
        CREATE INDEX ON books (shelf); CREATE INDEX ON books (code); CREATE INDEX ON books (lent); CREATE INDEX ON books (copies)");
    let mut app = library.database.connect(&library.app);
    let token = first_token(&mut admin, "seven", "p", CHOSEN);
    for (column, operand) in [
        ("lent_to", r#""__loggedInUserId""#),
        ("row_no", r#""__loggedInUserId""#),
        ("ean", r#""__loggedInUserId""#),
        ("shelf", r#""__loggedInUserId""#),
        ("code", r#""__loggedInUserId""#),
        ("copies", r#""__loggedInUserId""#),
        ("shelf", r#""A""#),
        ("code", r#""A""#),
        ("row_no", "7"),
        ("lent", "true"),
        ("lent", "false"),
    ] {
        let filter = format!(r#"{{"{column}": {{"equals": {operand}}}}}"#);
        library.seen(None, &filter);
        authenticate(&mut app, &token, true);
        run(&mut app, "SET enable_seqscan = off");
        let plan = plan(&mut app, "SELECT * FROM books");
        assert!(plan.contains("Index Cond"), "{filter}\n{plan}");
    }
}

#[test]
fn compile_filter_shows_the_sql() {
    let library = Library::new();
    let mut app = library.database.connect(&library.app);
    let sql: String =
        one(&mut app, r#"SELECT rolecall.compile_filter('books', '{"lent_to": {"equals": "__loggedInUserId"}}')"#);
    assert_eq!(sql, r#"("lent_to" OPERATOR(pg_catalog.=) rolecall.user_id())"#);
    assert_eq!(one::<String>(&mut app, "SELECT rolecall.compile_filter('books', '{}')"), "true");
}

/// Trap 35.
#[test]
fn a_wrong_filter_is_refused_where_it_is_defined() {
    let library = Library::new();
    let mut admin = library.database.admin();
    let mut refused = |filter: &str, message: &str, hint: Option<&str>| {
        let allow = |admin: &mut Client| {
            admin.execute("SELECT rolecall.allow('guest', 'books', 'select', $1::text::jsonb)", &[&filter])
        };
        let error = allow(&mut admin).expect_err(filter);
        let error = error.as_db_error().unwrap();
        assert_eq!(error.code().code(), "22023", "{filter}: {error}");
        assert!(
            error.message().starts_with("filter on public.books: ") && error.message().contains(message),
            "{filter}: {error}"
        );
        if let Some(hint) = hint {
            assert_eq!(error.hint(), Some(hint), "{filter}");
        }
    };
    refused(
        r#"{"titel": {"equals": "x"}}"#,
        r#"unknown field "titel" of public.books at $.titel"#,
        Some(r#"Did you mean "title"?"#),
    );
    refused(
        r#"{"title": {"like": "x"}}"#,
        r#"unknown operator "like""#,
        Some(
            "It has the operators equals, not_equals, is_empty, is_not_empty, in, not_in, contains, not_contains, starts_with, \
             not_starts_with, ends_with, not_ends_with.",
        ),
    );
    refused(
        r#"{"OR": [{"pages": {"equals": "many"}}]}"#,
        "expected an integer in range for column \"pages\" of type int4, found a string at $.OR[0].pages.equals",
        None,
    );
    refused(r#"{"title": {"equals": null}}"#, "found null at $.title.equals", None);
    refused(
        r#"{"title": {"equals": "__me"}}"#,
        r#"unknown variable "__me""#,
        Some("Variables are __loggedInUserId, __loggedInUserEmail and __requestingApiToken."),
    );
    refused("null", "expected a filter object, found null at $", None);
    refused("true", "expected a filter object, found a boolean at $", None);
    let deep = format!("{}{{}}{}", r#"{"AND": ["#.repeat(200), "]}".repeat(200));
    refused(&deep, "nests deeper than 32 levels", None);
    let (state, _) = sqlstate(admin.execute("SELECT rolecall.compile_filter(NULL, '{}')", &[]));
    assert_eq!(state, "22023");
}
