//! Why somebody may do something with a row, or what he lacks.

use crate::filter_oracle::{Oracle, filters, with_things_in};
use crate::support::*;
use postgres::Client;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use serde_json::{Map, Value, json};

/// What `explain_access()` says to the arguments.
fn explain(client: &mut Client, arguments: &str) -> Value {
    let sql = format!("SELECT rolecall.explain_access({arguments})");
    client.query_one(&sql, &[]).unwrap_or_else(|e| panic!("{sql}: {e:?}")).get(0)
}

/// Editors, of whom alice is one, see all notes and bob his own (`u2`); there are notes 1 to 10,000.
fn story() -> (Notes<'static>, Client) {
    let story = Notes::new();
    let admin = story.database.admin();
    (story, admin)
}

#[test]
fn who_may_is_told_by_which_rule() {
    let (_story, mut admin) = story();
    let told = explain(&mut admin, "'notes', 'select', '2', 'bob'");
    let own = json!({"owner_id": {"equals": "__loggedInUserId"}});
    assert_eq!(told["allowed"], true, "{told}");
    assert_eq!(told["by"], json!([{"role": "users", "action": "select", "filter": own}]));
    let told = explain(&mut admin, "'notes', 'update', '3', 'alice'");
    let by = json!([
        {"role": "editor", "action": "select", "filter": {}}, {"role": "editor", "action": "update", "filter": {}}
    ]);
    assert_eq!((&told["allowed"], &told["by"]), (&json!(true), &by), "what is changed must be readable");
    run(&mut admin, "SELECT rolecall.create_user('root', roles => '{admins}')");
    assert_eq!(explain(&mut admin, "'notes', 'delete', '3', 'root'")["by"], json!([{"role": "admins"}]));
    // Without a row, by which rules some rows.
    let told = explain(&mut admin, "'notes', 'insert', username => 'bob'");
    assert_eq!((&told["allowed"], &told["by"][0]["role"]), (&json!(true), &json!("users")));
}

/// Trap 18.
#[test]
fn who_may_not_is_told_what_he_lacks() {
    let (_story, mut admin) = story();
    let told = explain(&mut admin, "'notes', 'select', '3', 'bob'");
    let own = json!({"owner_id": {"equals": "__loggedInUserId"}});
    let lacks = json!([{"path": "$.owner_id", "must": own, "is": false}]);
    assert_eq!((&told["allowed"], &told["nearest"]["lacks"]), (&json!(false), &lacks), "{told}");
    assert_eq!((&told["nearest"]["role"], &told["nearest"]["held"]), (&json!("users"), &json!(true)));
    // A role that would do is nearer than a row that differs in two things.
    run(
        &mut admin,
        r#"SELECT rolecall.allow('users', 'notes', 'select', '{"public": {"equals": true}, "id": {"lt": 0}}')"#,
    );
    let told = explain(&mut admin, "'notes', 'select', '3', 'bob'");
    assert_eq!((&told["nearest"]["role"], &told["nearest"]["held"]), (&json!("editor"), &json!(false)), "{told}");
    assert!(told["reason"].as_str().unwrap().contains("role \"editor\" is missing"), "{told}");
    // Who may change a row but not read it is told so.
    run(
        &mut admin,
        "SELECT rolecall.disallow('users', 'notes', 'select'), rolecall.disallow('editor', 'notes', 'select')",
    );
    let told = explain(&mut admin, "'notes', 'update', '2', 'bob'");
    assert_eq!(told["reason"], "no rule lets anybody but administrators select rows of it, which it takes to do that");
    run(&mut admin, "SELECT rolecall.disable_user('bob')");
    assert_eq!(explain(&mut admin, "'notes', 'select', '2', 'bob'")["reason"], "the user is disabled");
    assert_eq!(explain(&mut admin, "'notes', 'select', '0', 'alice'")["reason"], "there is no such row");
}

#[test]
fn an_acl_is_told_too() {
    let (_story, mut admin) = story();
    run(
        &mut admin,
        r#"CREATE TABLE plans (id int PRIMARY KEY, acl jsonb); SELECT rolecall.protect('plans', 'acl');
        SELECT rolecall.allow('users', 'plans', 'select');
        INSERT INTO plans VALUES (1, '[{"id": "editor", "rights": ["read", "update"]}]'),
               (2, '[{"id": "u2", "rights": ["read"], "deny": true}]')"#,
    );
    let told = explain(&mut admin, "'plans', 'update', '1', 'alice'");
    assert_eq!(told["by"], json!([{"acl": "acl", "action": "select"}, {"acl": "acl", "action": "update"}]), "{told}");
    let told = explain(&mut admin, "'plans', 'select', '2', 'bob'");
    assert_eq!((&told["allowed"], &told["reason"]), (&json!(false), &json!("the row's ACL denies the right to read")));
    assert_eq!(explain(&mut admin, "'plans', 'select', '2', 'alice'")["allowed"], true);
    assert_eq!(explain(&mut admin, "'plans', 'delete', '1', 'alice'")["allowed"], false);
    // Without a row, its list could say anything; a new one's, to somebody.
    for action in ["delete", "insert"] {
        let told = explain(&mut admin, &format!("'plans', '{action}', username => 'bob'"));
        assert!(told["allowed"] == true && told["by"].to_string().contains("\"acl\":\"acl\""), "{told}");
    }
    assert_eq!(explain(&mut admin, "'plans', 'insert'")["allowed"], false, "nobody in particular makes no row");
}

#[test]
fn partitions_have_their_parents_rules_and_unprotected_tables_none() {
    let (_story, mut admin) = story();
    run(
        &mut admin,
        r#"CREATE TABLE parts (id int PRIMARY KEY) PARTITION BY RANGE (id);
        CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (10); INSERT INTO parts VALUES (1), (2);
        SELECT rolecall.protect('parts'); SELECT rolecall.allow('users', 'parts', 'select', '{"id": {"lt": 2}}')"#,
    );
    assert_eq!(explain(&mut admin, "'parts_1', 'select', '1', 'bob'")["allowed"], true);
    assert_eq!(explain(&mut admin, "'parts_1', 'select', '2', 'bob'")["nearest"]["lacks"][0]["path"], "$.id");
    run(&mut admin, "SELECT rolecall.unprotect('parts')");
    let told = explain(&mut admin, "'parts', 'select', '2', 'bob'");
    assert!(told["allowed"] == true && told["reason"].as_str().unwrap().contains("not protected"), "{told}");
}

#[test]
fn others_learn_of_their_own_roles_only() {
    let (story, mut admin) = story();
    let mut bob = story.connect();
    authenticate(&mut bob, &story.bob, true);
    let told = explain(&mut bob, "'notes', 'select'");
    assert_eq!(told["by"].as_array().map(Vec::len), Some(1), "{told}");
    run(&mut admin, "SELECT rolecall.disallow('users', 'notes', 'select')");
    let told = explain(&mut bob, "'notes', 'select'");
    assert!(told["allowed"] == false && !told.to_string().contains("editor"), "{told}");
    for arguments in
        ["'notes', 'select', '2'", "'notes', 'select', '2', 'bob'", "'notes', 'select', username => 'alice'"]
    {
        let sql = format!("SELECT rolecall.explain_access({arguments})");
        refused(&mut bob, &sql, "42501", "needs an administrator");
    }
    for (arguments, says) in [
        ("'notes', 'read'", "is none of select"),
        ("'notes', 'all'", "is none of select"),
        ("'notes', 'insert', '1'", "is not yet"),
        ("NULL, 'select'", "target must not be NULL"),
    ] {
        refused(&mut admin, &format!("SELECT rolecall.explain_access({arguments})"), "22023", says);
    }
    refused(&mut admin, "SELECT rolecall.explain_access('notes', 'select', username => 'x')", "42704", "user \"x\"");
    run(&mut admin, "CREATE TABLE keyless (x int); SELECT rolecall.protect('keyless')");
    refused(&mut admin, "SELECT rolecall.explain_access('keyless', 'select', '1')", "55000", "no primary key");
}

/// Whether the evaluator agrees that this is lacking.
fn is_true(lacking: &Value, oracle: &Oracle) -> bool {
    let is = |filter: &Value| oracle.filter(filter).map_or(json!("unknown"), Value::from);
    if let Some(must) = lacking.get("must") {
        return is(must) == lacking["is"] && lacking["is"] != true;
    }
    if let Some(must_not) = lacking.get("must_not") {
        return is(must_not) == lacking["is"] && lacking["is"] != false;
    }
    let ways = lacking["one_of"].as_array().expect("one of the three");
    ways.iter().all(|way| !way.as_array().unwrap().is_empty() && reasons(way, oracle))
}

fn reasons(lacks: &Value, oracle: &Oracle) -> bool {
    lacks.as_array().unwrap().iter().all(|lacking| is_true(lacking, oracle))
}

/// Random filters: allowed is who sees the row, and what lacks is what an evaluator without SQL finds lacking.
/// Trap 18.
#[test]
fn explanations_of_random_filters_are_true() {
    let count = std::env::var("ROLECALL_FILTERS").map_or(150, |count| count.parse().expect("a number"));
    let database = database();
    with_things_in(&database, |app, session| {
        if session.0.is_none() {
            return;
        }
        let mut admin = database.admin();
        run(&mut admin, "SELECT rolecall.protect('things')");
        let rows: Vec<Map<String, Value>> = column(&mut admin, "SELECT doc FROM things ORDER BY things.id")
            .iter()
            .map(|text| serde_json::from_str(text).unwrap())
            .collect();
        let mut runner = TestRunner::deterministic();
        let mut reasons_given = 0;
        for number in 0..count {
            let filter = filters().new_tree(&mut runner).unwrap().current();
            let allow = "SELECT rolecall.allow('users', 'things', 'select', $1::text::jsonb)";
            admin.execute(allow, &[&filter.to_string()]).unwrap();
            let seen = column(app, "SELECT id FROM things");
            for id in (number % 7..rows.len()).step_by(7) {
                let told = explain(&mut admin, &format!("'things', 'select', '{id}', 'somebody'"));
                assert_eq!(told["allowed"], seen.contains(&id.to_string()), "{filter} {id}: {told}");
                if told["allowed"] == false {
                    let oracle = Oracle { row: &rows[id], session, is_broken: false };
                    let lacks = &told["nearest"]["lacks"];
                    assert!(lacks.as_array().is_some_and(|it| !it.is_empty()), "{filter} {id}: {told}");
                    assert!(reasons(lacks, &oracle), "{filter} {id}: {told}");
                    reasons_given += 1;
                }
            }
        }
        assert!(reasons_given > count, "{reasons_given}");
    });
}
