//! The rules that people ask for most, as the README writes them.

use crate::support::*;

#[test]
fn ten_rules_people_ask_for() {
    let story = Notes::new();
    let mut admin = story.database.admin();
    run(
        &mut admin,
        &format!(
            "CREATE TABLE people (id text PRIMARY KEY, manager_id text REFERENCES people);
             CREATE TABLE teams (id int PRIMARY KEY);
             CREATE TABLE members (team_id int REFERENCES teams, person_id text REFERENCES people, PRIMARY KEY (team_id, person_id));
             CREATE TABLE documents (id int PRIMARY KEY, owner_id text REFERENCES people, team_id int REFERENCES teams,
                 tenant text, published boolean, shown_from timestamptz, shown_until timestamptz);
             CREATE TABLE shares (document_id int REFERENCES documents, person_id text REFERENCES people,
                 PRIMARY KEY (document_id, person_id));
             CREATE TABLE comments (id int PRIMARY KEY, document_id int REFERENCES documents);
             CREATE TABLE blocks (blocker_id text REFERENCES people, blocked_id text REFERENCES people,
                 PRIMARY KEY (blocker_id, blocked_id));
             INSERT INTO people VALUES ('u2', NULL), ('u3', 'u2'), ('u4', 'u3');
             INSERT INTO teams VALUES (1), (2);
             INSERT INTO members VALUES (1, 'u2'), (1, 'u3'), (2, 'u4');
             INSERT INTO documents VALUES (1, 'u2', 2, 'acme', false, NULL, NULL), (2, 'u3', 1, 'acme', true, now() - interval '1 h', now() + interval '1 h'),
                 (3, 'u4', 2, 'other', true, now() - interval '1 h', now() - interval '1 s'), (4, NULL, NULL, NULL, NULL, NULL, NULL),
                 (5, 'u4', 1, NULL, false, now() + interval '1 h', now() + interval '2 h');
             INSERT INTO shares VALUES (3, 'u2'), (5, 'u3');
             INSERT INTO comments SELECT id * 10, id FROM documents;
             INSERT INTO blocks VALUES ('u4', 'u2'), ('u2', 'u4');
             GRANT SELECT ON documents, comments TO {};
             SELECT rolecall.protect('documents'), rolecall.protect('comments'), rolecall.users_table('people', 'id');
             SELECT rolecall.relate('people', 'blocked', 'people', '{{id}}', '{{id}}', 'blocks', '{{blocker_id}}', '{{blocked_id}}');",
            story.app
        ),
    );
    let mut app = story.connect();
    let mut seen = |user: bool, table: &str, filter: &str| {
        let allow = "SELECT rolecall.allow('guest', $1::text::regclass, 'select', $2::text::jsonb)";
        admin.execute(allow, &[&table, &filter]).unwrap_or_else(|e| panic!("{filter}: {e:?}"));
        run(&mut app, "SELECT rolecall.logout()");
        if user {
            authenticate(&mut app, &story.bob, true);
        }
        column(&mut app, &format!("SELECT id::text FROM {table} ORDER BY {table}.id")).join(" ")
    };
    for (table, filter, bobs, nobodys) in [
        ("documents", r#"{"owner_id": {"equals": "__loggedInUserId"}}"#, "1", ""),
        ("documents", r#"{"team": {"people": {"some": {"is_self": true}}}}"#, "2 5", ""),
        ("documents", r#"{"OR": [{"published": {"equals": true}}, {"owner": {"is_self": true}}]}"#, "1 2 3", "2 3"),
        ("documents", r#"{"owner": {"manager": {"is_self": true}}}"#, "2", ""),
        ("documents", r#"{"tenant": {"equals": "acme"}}"#, "1 2", "1 2"),
        ("documents", r#"{"people": {"some": {"is_self": true}}}"#, "3", ""),
        (
            "documents",
            r#"{"shown_from": {"relative": {"lte": {"op": "ADD", "unit": "SECOND", "value": 0}}},
                "shown_until": {"relative": {"gt": {"op": "ADD", "unit": "SECOND", "value": 0}}}}"#,
            "2",
            "2",
        ),
        ("comments", r#"{"document": {"owner": {"is_self": true}}}"#, "10", ""),
        ("documents", r#"{"owner": {"blocked": {"none": {"is_self": true}}}}"#, "1 2", "2"),
    ] {
        assert_eq!(seen(true, table, filter), bobs, "bob: {filter}");
        assert_eq!(seen(false, table, filter), nobodys, "nobody: {filter}");
    }
}
