//! The extension's roles, scopes and permissions on the page of `rolecall report`, beside the database's.

use crate::access_model::{app, do_sql};
use crate::provisioner_world::{Outcome, rolecall, rolecall_as};
use crate::support::database;
use rolecall_tests::{Cluster, Database};
use serde_json::{Value, json};

fn report(db: &Database<'_>, user: &str) -> Outcome {
    let outcome = rolecall_as(db, user, &["report", "--html", "-"], "");
    assert_eq!((outcome.code, outcome.err.as_str()), (0, ""), "{}", outcome.err);
    outcome
}

/// The page, and what it says of the extension.
fn page(db: &Database<'_>) -> (String, Value) {
    let page = report(db, "postgres").out;
    let access = access(&page);
    (page, access)
}

fn access(page: &str) -> Value {
    let (_, rest) = page.split_once("id=\"data\">").expect("data");
    let (data, _) = rest.split_once("</script>").expect("its end");
    serde_json::from_str::<Value>(data).expect("JSON")["access"].clone()
}

fn place(list: &Value, name: &str) -> usize {
    list.as_array().expect("a list").iter().position(|one| one["name"] == name).unwrap_or_else(|| panic!("no {name}"))
}

fn named<'a>(list: &'a Value, name: &str) -> &'a Value {
    &list[place(list, name)]
}

/// Role, actions, rows and further terms of a table's rules.
fn rules(access: &Value, table: &str) -> Vec<String> {
    let rules = named(&access["tables"], table)["rules"].as_array().expect("rules");
    let role = |rule: &Value| {
        let number = usize::try_from(rule["role"].as_u64().expect("a number")).expect("a small one");
        access["roles"][number]["name"].as_str().expect("a name").to_owned()
    };
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let with = |rule: &Value| rule["with"].as_array().expect("a list").iter().map(text).collect::<Vec<_>>().join("; ");
    rules.iter().map(|it| [role(it), text(&it["actions"]), text(&it["rows"]), with(it)].join(" | ")).collect()
}

#[test]
fn the_page_shows_roles_with_their_scopes_and_what_they_may_do_with_which_rows() {
    let (db, _) = app();
    do_sql(
        &db,
        "ALTER TABLE app.shares ADD acl jsonb; SELECT rolecall.protect('app.shares', acl_column => 'acl');
         SELECT rolecall.create_user('lovelace', 'ada@example.org', 'analytical', '{editors}', id => 'secret-id');
         SELECT rolecall.create_user('babbage', 'charles@example.org', 'difference', '{editors,users}');
         SELECT rolecall.create_role('robots', pool => true);
         SELECT rolecall.register_server('north', '{\"scopes\": [\"run\"], \"audience\": \"n\"}');
         SELECT rolecall.create_role('runners', server => 'north', longest_life => '2 days');
         SELECT rolecall.create_work_queue('dead', 'robots');
         SELECT rolecall.create_work_queue('jobs', 'robots', 5, '90 minutes', failed_queue => 'dead');
         UPDATE rolecall.work_queues SET acl = '[{\"id\": \"secret-id\", \"rights\": [\"invoke\"]}]' WHERE name = 'dead'",
    );
    let (page, access) = page(&db);
    let roles = &access["roles"];
    assert_eq!(
        named(roles, "editors"),
        &json!({"name": "editors", "description": "Write it", "everybody": false, "built_in": false, "pool": false,
                "users": "2 users directly", "scopes": ["documents", "reports:monthly"],
                "groups": [place(roles, "readers")]})
    );
    let readers = named(roles, "readers");
    assert_eq!(
        (&readers["database_role"], &readers["users"]),
        (&json!(format!("{}_app", db.name)), &json!("0 users directly"))
    );
    assert_eq!(
        (&named(roles, "guest")["users"], &named(roles, "users")["users"]),
        (&json!("every session"), &json!("every user"))
    );
    assert_eq!(
        (&named(roles, "guest")["everybody"], &named(roles, "admins")["built_in"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(named(roles, "robots")["pool"], true);
    assert_eq!(named(roles, "runners")["server"], "north, tokens for at most 2 days");

    assert_eq!(
        rules(&access, "app.documents"),
        [
            r#"editors | select, update | {"OR":[{"id":{"in":[2,3]}},{"shared_with":{"some":{"is_self":true}}}]} | new row {}"#,
            r#"readers | select | {"published":{"equals":true}} | columns title, id"#,
            r#"users | select, insert, update, delete | {"owner":{"is_self":true}} | preset {"owner_id":"__loggedInUserId"}"#,
        ]
    );
    let table = named(&access["tables"], "app.documents");
    assert_eq!((&table["protected"], table.get("acl_column")), (&json!(true), None));
    assert_eq!(
        table["notes"],
        json!([
            "exposed in a view, with NULL in cells one may not read",
            "relation keeper to app.people, by owner_id",
            "relation shared_with to app.people through app.shares, by id",
        ])
    );
    let shares = named(&access["tables"], "app.shares");
    assert_eq!((&shares["acl_column"], &shares["rules"]), (&json!("acl"), &json!([])));
    let people = named(&access["tables"], "app.people");
    assert_eq!((&people["protected"], &people["notes"]), (&json!(false), &json!(["holds the users, by id"])));

    assert_eq!(
        access["queues"],
        json!([
            {"name": "dead", "pool": place(roles, "robots"), "runs": 3,
             "notes": "its ACL says who else may push and pop, and who may not"},
            {"name": "jobs", "pool": place(roles, "robots"), "runs": 5,
             "notes": "a failed one waits 01:30:00; failed ones go to dead"},
        ])
    );
    for personal in ["lovelace", "babbage", "example.org", "secret-id"] {
        assert!(!page.contains(personal), "{personal}");
    }
    let told = rolecall(&db, &["report", "--html", "/dev/null"], "");
    let count = roles.as_array().map(Vec::len).expect("roles");
    assert!(told.err.contains(&format!(", {count} roles of rolecall, ")), "{told:?}");
}

#[test]
fn no_name_of_the_extension_becomes_part_of_the_page() {
    let db = database();
    let hostile = "</script><script>alert(1)</script><!--<script>\"'&lt;{{data}}";
    let quoted = hostile.replace('\'', "''");
    do_sql(
        &db,
        &format!(
            "CREATE TABLE docs (id int, \"{column}\" text);
             SELECT rolecall.create_role('{quoted}', '{quoted}', pool => true);
             SELECT rolecall.protect('docs');
             SELECT rolecall.allow('{quoted}', 'docs', 'select', jsonb_build_object('{quoted}', '{{\"equals\": \"<img>\"}}'::jsonb),
                                   columns => ARRAY['{quoted}']);
             SELECT rolecall.create_work_queue('{quoted}', '{quoted}')",
            column = hostile.replace('"', "\"\"")
        ),
    );
    let (page, access) = page(&db);
    let role = named(&access["roles"], hostile);
    assert_eq!(role["description"], hostile);
    assert_eq!(named(&access["queues"], hostile)["pool"], place(&access["roles"], hostile));
    let rules = rules(&access, "public.docs");
    assert!(rules[0].starts_with(hostile) && rules[0].contains("<img>"), "{rules:?}");
    // Two scripts are the page's own, the data and what draws it.
    assert_eq!((page.matches("<script").count(), page.matches("</script").count()), (2, 2));
    assert!(!page.contains("<img") && !page.contains("<!--"));
}

#[test]
fn without_the_extension_nothing_of_it_is_there() {
    let db = Cluster::shared().plain_database();
    let (page, access) = page(&db);
    assert_eq!(access, Value::Null);
    assert!(!page.contains("\"access\":"));
    let told = rolecall(&db, &["report", "--html", "/dev/null"], "");
    assert!(told.code == 0 && !told.err.contains("rolecall holds") && !told.err.contains("of rolecall"), "{told:?}");
}

#[test]
fn each_database_has_its_own_model() {
    let (here, there) = (database(), database());
    do_sql(&here, "SELECT rolecall.create_role('only here')");
    let names =
        |db| page(db).1["roles"].as_array().expect("roles").iter().map(|it| it["name"].clone()).collect::<Vec<_>>();
    assert_eq!(names(&here), ["admins", "guest", "only here", "users"]);
    assert_eq!(names(&there), ["admins", "guest", "users"]);
}

#[test]
fn who_may_not_read_the_extension_s_tables_gets_the_page_without_them() {
    let db = database();
    let login = db.login("curious");
    // Row-level security would hide all rows from one who may read the tables: that is not a model without roles.
    do_sql(&db, &format!("SELECT rolecall.create_role('hidden'); GRANT pg_read_all_data TO {login}"));
    let without = |login: &str| {
        let page = report(&db, login).out;
        let access = access(&page);
        let unread =
            format!("{login} may not read what rolecall holds here: superusers and the extension's owner may.");
        assert_eq!((&access["unread"], &access["roles"]), (&json!(unread), &json!([])));
        assert!(!page.contains("hidden\""), "a role's name");
    };
    without(&login);
    do_sql(&db, &format!("REVOKE pg_read_all_data FROM {login}"));
    without(&login);
    let told = rolecall_as(&db, &login, &["report", "--html", "/dev/null"], "");
    assert!(told.err.contains(", without what rolecall holds, "), "{told:?}");
    // Not even the schema's names, where it is closed.
    do_sql(&db, "REVOKE USAGE ON SCHEMA rolecall FROM PUBLIC");
    without(&login);
    do_sql(&db, &format!("ALTER ROLE {login} BYPASSRLS; GRANT pg_read_all_data TO {login}"));
    named(&access(&report(&db, &login).out)["roles"], "hidden");
}
