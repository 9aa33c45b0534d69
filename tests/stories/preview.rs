//! What a filter shows whom, without being in force: `preview()` and `matches()`.

use crate::filters::{CHOSEN, Library};
use crate::support::*;
use postgres::Client;

#[test]
fn preview_shows_what_somebody_would_see() {
    let library = Library::new();
    let mut admin = library.database.admin();
    let own = r#"{"lent_to": {"equals": "__loggedInUserId"}}"#;
    let not_own = r#"{"NOT": {"lent_to": {"equals": "__loggedInUserId"}}}"#;
    let address = r#"{"lent_to": {"equals": "__loggedInUserEmail"}}"#;
    for (username, filter) in [
        (Some("r1"), own),
        (Some("r1"), not_own),
        (None, own),
        (None, not_own),
        (None, "{}"),
        (Some("evil"), own),
        (Some("evil"), address),
        (Some("blank"), address),
        (Some("seven"), r#"{"row_no": {"not_equals": "__loggedInUserId"}}"#),
        (Some("r1"), r#"{"row_no": {"not_equals": "__loggedInUserId"}}"#),
        (Some("uuid"), r#"{"ean": {"equals": "__loggedInUserId"}}"#),
    ] {
        let query = "SELECT array_agg(row ->> 'id' ORDER BY row ->> 'id') FROM rolecall.preview('books', $1::text::jsonb, $2) row";
        let previewed: Option<Vec<String>> = admin.query_one(query, &[&filter, &username]).unwrap().get(0);
        assert_eq!(previewed.unwrap_or_default(), library.seen(username, filter), "{username:?} {filter}");
    }
    refused(&mut admin, "SELECT rolecall.preview('books', '{}', 'nobody')", "42704", "user \"nobody\" does not exist");
}

/// An administrator reads what he may read: neither a table without a grant nor, as somebody mightier, another's view.
#[test]
fn preview_lends_no_privileges() {
    let library = Library::new();
    let mut admin = library.database.admin();
    run(&mut admin, "SELECT rolecall.create_user('boss', password => 'p', roles => '{admins}')");
    run(
        &mut admin,
        "CREATE TABLE closed (id int); CREATE FUNCTION who() RETURNS text LANGUAGE sql RETURN current_user",
    );
    run(&mut admin, &format!("CREATE VIEW trap AS SELECT who() AS who; GRANT SELECT ON trap TO {}", library.app));
    let token = first_token(&mut admin, "boss", "p", CHOSEN);
    let mut boss = library.database.connect(&library.app);
    authenticate(&mut boss, &token, true);
    assert_eq!(one::<i64>(&mut boss, "SELECT count(*) FROM rolecall.preview('books', '{}', 'r1')"), 4);
    refused(&mut boss, "SELECT rolecall.preview('closed', '{}')", "42501", "permission denied for table closed");
    assert_eq!(one::<String>(&mut boss, "SELECT row ->> 'who' FROM rolecall.preview('trap', '{}') row"), library.app);
}

/// Who owns a type may make a cast to JSON, which must not run with the extension's powers.
/// CVE-2026-116303.
#[test]
fn preview_runs_no_cast_of_somebody_elses() {
    let database = database();
    let owner = database.login("owner");
    let mut admin = database.admin();
    run(&mut admin, &format!("CREATE SCHEMA theirs AUTHORIZATION {owner}"));
    run(
        &mut database.connect(&owner),
        "CREATE TYPE theirs.mood AS ENUM ('fine');
         CREATE FUNCTION theirs.trap(theirs.mood) RETURNS json LANGUAGE plpgsql AS $$
             BEGIN RAISE EXCEPTION 'run by %', current_user; END $$;
         CREATE CAST (theirs.mood AS json) WITH FUNCTION theirs.trap(theirs.mood);
         CREATE TABLE theirs.moods (id int, mood theirs.mood, moods theirs.mood[]);
         INSERT INTO theirs.moods VALUES (1, 'fine', '{fine}'), (2, NULL, NULL)",
    );
    let rows = column(&mut admin, "SELECT row::text FROM rolecall.preview('theirs.moods', '{}') row ORDER BY 1");
    assert_eq!(rows, [r#"{"id": 1, "mood": "fine", "moods": "{fine}"}"#, r#"{"id": 2, "mood": null, "moods": null}"#]);
}

#[test]
fn a_row_given_as_json_matches_as_it_would_in_the_table() {
    let library = Library::new();
    let mut app = library.database.connect(&library.app);
    let token = first_token(&mut library.database.admin(), "r1", "p", CHOSEN);
    let matches = |app: &mut Client, filter: &str, candidate: &str| -> bool {
        let query = "SELECT rolecall.matches('books', $1::text::jsonb, $2::text::jsonb)";
        app.query_one(query, &[&filter, &candidate]).unwrap_or_else(|e| panic!("{filter}: {e:?}")).get(0)
    };
    let own = r#"{"lent_to": {"equals": "__loggedInUserId"}}"#;
    assert!(!matches(&mut app, own, r#"{"lent_to": "r1"}"#), "nobody");
    authenticate(&mut app, &token, true);
    for (filter, candidate, expected) in [
        (own, r#"{"lent_to": "r1"}"#, true),
        (own, r#"{"lent_to": "r2"}"#, false),
        (own, "{}", false),
        ("{}", "{}", true),
        (r#"{"pages": {"gt": 5}}"#, r#"{"pages": 6, "unknown": 1}"#, true),
        (r#"{"NOT": {"pages": {"gt": 5}}}"#, "{}", false),
        (r#"{"code": {"equals": "x"}}"#, r#"{"code": "x"}"#, true),
        (r#"{"added": {"equals": "2020-01-01T10:00:00Z"}}"#, r#"{"added": "2020-01-01T11:00:00+01:00"}"#, true),
    ] {
        assert_eq!(matches(&mut app, filter, candidate), expected, "{filter} {candidate}");
    }
    refused(&mut app, "SELECT rolecall.matches('books', '{}', '[]')", "22023", "candidate");
    refused(&mut app, "SELECT rolecall.matches('books', '{\"x\": {}}', '{}')", "22023", "unknown field");
}

/// serde_json, which pgrx reads jsonb with, gives up sooner than PostgreSQL.
/// Trap 35.
#[test]
fn rows_that_nest_deeply_are_shown_too() {
    let database = database();
    let mut admin = database.admin();
    run(
        &mut admin,
        "CREATE TABLE deep AS SELECT n, (repeat('[', 4000) || n || repeat(']', 4000))::jsonb AS x FROM generate_series(1, 300) n;
         SELECT rolecall.protect('deep')",
    );
    let shown = "SELECT count(*) FROM rolecall.preview('deep', '{}') AS shown JOIN deep d ON shown = to_jsonb(d)";
    assert_eq!(one::<i64>(&mut admin, shown), 300);
}
