//! Several rules at once: unions of roles whose filters walk relations, rules that were refused, and odd strings in rows.

use crate::relations::House;
use crate::support::*;
use postgres::Client;

/// What an action reaches, without doing it for good.
fn reached(client: &mut Client, statement: &str) -> String {
    let mut transaction = client.transaction().unwrap();
    let rows = transaction.query(statement, &[]).unwrap_or_else(|e| panic!("{statement}: {e:?}"));
    let mut ids: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    transaction.rollback().unwrap();
    ids.sort();
    ids.join(" ")
}

const UPDATE: &str = "UPDATE posts SET title = 'x' WHERE id > '' RETURNING id";
const DELETE: &str = "DELETE FROM posts WHERE id > '' RETURNING id";

#[test]
fn roles_add_up_action_by_action() {
    let house = House::new();
    let mut admin = house.database.admin();
    run(
        &mut admin,
        &format!(
            r#"DROP TABLE comments, posts_tags; GRANT INSERT, DELETE ON posts TO {};
            SELECT rolecall.create_role(r) FROM unnest('{{press,critic,owner,cleaner}}'::text[]) r;
            SELECT rolecall.allow('press', 'posts', 'select', '{{"public": {{"equals": true}}}}');
            SELECT rolecall.allow('critic', 'posts', 'select', '{{"author": {{"user": {{"manager": {{"name": {{"equals": "Ann"}}}}}}}}}}');
            SELECT rolecall.allow('owner', 'posts', 'select'), rolecall.allow('owner', 'posts', 'update', '{{"createdBy": {{"is_self": true}}}}');
            SELECT rolecall.allow('cleaner', 'posts', 'delete');"#,
            house.app
        ),
    );
    let all = "p1 p2 p3 p4 p5 p6 p7";
    for (roles, reads, updates, deletes) in [
        ("", "", "", ""),
        ("press", "p1 p3 p4 p7", "", ""),
        ("critic", "p2 p3 p4", "", ""),
        ("press critic", "p1 p2 p3 p4 p7", "", ""),
        ("cleaner", "", "", ""),
        ("cleaner critic", "p2 p3 p4", "", "p2 p3 p4"),
        ("owner", all, "p1 p6", ""),
        ("press owner critic cleaner", all, "p1 p6", all),
    ] {
        for role in roles.split_whitespace() {
            run(&mut admin, &format!("SELECT rolecall.grant_role('{role}', 'ann')"));
        }
        let mut ann = house.connect(Some("ann"));
        let got = ["SELECT id FROM posts", UPDATE, DELETE].map(|statement| reached(&mut ann, statement));
        assert_eq!(got, [reads, updates, deletes], "{roles}");
        refused(&mut ann, "INSERT INTO posts (id) VALUES ('new')", "42501", "row-level security");
        for role in roles.split_whitespace() {
            run(&mut admin, &format!("SELECT rolecall.revoke_role('{role}', 'ann')"));
        }
        // An API token with the same roles is nobody's self.
        let named: Vec<&str> = roles.split_whitespace().collect();
        if !named.is_empty() {
            let token: String = admin
                .query_one("SELECT rolecall.create_api_token($1, $2)", &[&roles, &named])
                .unwrap_or_else(|e| panic!("{e:?}"))
                .get(0);
            let mut robot = house.connect(None);
            authenticate(&mut robot, &token, true);
            let got = ["SELECT id FROM posts", UPDATE, DELETE].map(|statement| reached(&mut robot, statement));
            assert_eq!(got, [reads, "", deletes], "a token with {roles}");
        }
    }
}

#[test]
fn columns_and_relations_beside_each_other_are_all_demanded() {
    let house = House::new();
    for (who, table, filter, expected) in [
        (None, "posts", r#"{"public": {"equals": true}, "author": {"name": {"starts_with": "Ben"}}}"#, "p4"),
        (
            None,
            "posts",
            r#"{"OR": [{"title": {"ends_with": "ee"}}, {"author": {"name": {"not_equals": "Ann W"}},
                "AND": [{"stars": {"gt": 0}, "comments": {"some": {}}}, {"tags": {"none": {"label": {"equals": "news"}}}}]}]}"#,
            "p3 p7",
        ),
        (
            Some("ben"),
            "posts",
            r#"{"OR": [{"public": {"equals": true}}, {"createdBy": {"id": {"equals": "__loggedInUserId"}}}], "stars": {"lte": 10}}"#,
            "p1 p2 p4",
        ),
        (
            None,
            "users",
            r#"{"roles": {"some": {"name": {"equals": "Reader"}}, "none": {"name": {"equals": "Editor"}}}}"#,
            "cat",
        ),
        (None, "comments", r#"{"likes": {"is_not_empty": true}, "post": {"title": {"is_empty": true}}}"#, "c7"),
    ] {
        assert_eq!(house.seen(who, table, filter).join(" "), expected, "{who:?} {table} {filter}");
    }
}

#[test]
fn a_rule_that_is_refused_leaves_the_one_before() {
    let house = House::new();
    let mut admin = house.database.admin();
    assert_eq!(house.seen(None, "posts", r#"{"author": {"name": {"equals": "Ann W"}}}"#), ["p1"]);
    for (filter, problem) in [
        (r#"{"author": {"shoe": {"equals": "x"}}}"#, "unknown field \"shoe\" of public.authors at $.author.shoe"),
        (r#"{"author": {"every": {}}}"#, "unknown field \"every\""),
        (r#"{"author": null}"#, "found null at $.author"),
        (r#"{"comments": {"likes": {"gt": 1}}}"#, "at $.comments.likes"),
        (r#"{"comments": {"some": null}}"#, "at $.comments.some"),
        (r#"{"is_self": true}"#, "unknown field \"is_self\""),
        (r#"{"createdBy": {"is_self": "true"}}"#, "expected true or false"),
        (r#"{"author.name": {"equals": "Ann W"}}"#, "unknown field"),
        (r#"{"true) OR (title": {"equals": "x"}}"#, "unknown field"),
        (r#"{"author": {"name": {"equals": "x", "is '' OR true --": "x"}}}"#, "unknown operator"),
        (r#"{"author": {"name": {"equals": {"$gt": ""}}}}"#, "found an object"),
        (r#"{"NOT": {"comments": {"none": {"user_id": {"in": ["__loggedInUserId", "__me"]}}}}}"#, "unknown variable"),
    ] {
        let call = format!("SELECT rolecall.allow('guest', 'posts', 'select', '{}')", filter.replace('\'', "''"));
        refused(&mut admin, &call, "22023", problem);
    }
    assert_eq!(column(&mut house.connect(None), "SELECT id FROM posts"), ["p1"]);
    let views =
        "SELECT count(*) FROM pg_class WHERE relnamespace = 'rolecall_relations'::regnamespace AND relkind = 'v'";
    assert_eq!(one::<i64>(&mut admin, views), 1, "nothing is left of those that were refused");
}

/// Each row's text is found by itself, by both ends and by its middle, here and in a related row, and nothing else is.
#[test]
fn texts_are_found_as_they_are() {
    let database = database();
    let app = database.login("app");
    let mut admin = database.admin();
    run(
        &mut admin,
        &format!(
            "CREATE TABLE words (id int PRIMARY KEY, word text); CREATE TABLE uses (id int PRIMARY KEY, word_id int REFERENCES words);
             GRANT SELECT ON words, uses TO {app}; SELECT rolecall.protect('words'), rolecall.protect('uses')"
        ),
    );
    let words = [
        "5%",
        "5x",
        "_",
        "a_b",
        "axb",
        r"\",
        r"end\",
        r"a\\b",
        "'",
        "''",
        "') OR (true",
        "\"",
        "$1",
        "{0} %s",
        "$$ $q$",
        "a\nb",
        "naïve 🎭",
        "NULL",
        "null",
        "   ",
        "-- x",
        "/* x */",
        "E'\\047'",
        "x__loggedInUserId",
        "%",
        "%%",
        "\u{202e}abc",
        "\t",
    ];
    for (id, word) in (0..).zip(words) {
        admin.execute("INSERT INTO words VALUES ($1, $2)", &[&id, &word]).unwrap();
        admin.execute("INSERT INTO uses VALUES ($1, $1)", &[&id]).unwrap();
    }
    let mut app = database.connect(&app);
    type Holds = fn(&str, &str) -> bool;
    let operators: [(&str, Holds); 4] = [
        ("equals", |a, b| a == b),
        ("contains", |a, b| a.contains(b)),
        ("starts_with", |a, b| a.starts_with(b)),
        ("ends_with", |a, b| a.ends_with(b)),
    ];
    let allow = "SELECT rolecall.allow('guest', $1::text::regclass, 'select', $2::text::jsonb)";
    for operand in words {
        for (operator, holds) in operators {
            let filter = serde_json::json!({"word": {operator: operand}});
            admin.execute(allow, &[&"words", &filter.to_string()]).unwrap();
            admin.execute(allow, &[&"uses", &serde_json::json!({ "word": filter }).to_string()]).unwrap();
            let expected: Vec<String> = (0..)
                .zip(words)
                .filter(|(_, word)| holds(word, operand))
                .map(|(id, _): (i32, _)| id.to_string())
                .collect();
            for table in ["words", "uses"] {
                let found = column(&mut app, &format!("SELECT id FROM {table} ORDER BY id"));
                assert_eq!(found, expected, "{table} {operator} {operand:?}");
            }
        }
    }
}
