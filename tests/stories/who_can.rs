//! Who may do something with a row: the same users whom `explain_access()` says may, and who see it.

use crate::support::*;
use postgres::Client;
use std::collections::BTreeSet;

const USERS: [(&str, &str); 7] = [
    ("ann", "1"),
    ("ben", "22"),
    ("cid", "00000000-0000-0000-0000-000000000003"),
    ("dot", "9223372036854775808"),
    ("eve", "eve"),
    ("root", "root"),
    ("gone", "7"),
];

fn who(client: &mut Client, arguments: &str) -> BTreeSet<String> {
    let sql = format!("SELECT username FROM rolecall.who_can({arguments})");
    column(client, &sql).into_iter().collect()
}

fn world() -> (rolecall_tests::Database<'static>, Client) {
    let database = database();
    let mut admin = database.admin();
    run(
        &mut admin,
        "SELECT rolecall.create_role('team'), rolecall.create_role('lead'), rolecall.grant_role('team', 'role:lead')",
    );
    for (name, id) in USERS {
        let create = "SELECT rolecall.create_user($1, $1 || '@example.org', id => $2)";
        admin.execute(create, &[&name, &id]).unwrap();
    }
    run(
        &mut admin,
        r#"SELECT rolecall.grant_role('admins', 'root'), rolecall.grant_role('lead', 'ben'), rolecall.grant_role('team', 'eve'),
                  rolecall.disable_user('gone');
        CREATE TABLE notes (id int PRIMARY KEY, owner bigint, key uuid, mail text, public boolean, acl jsonb);
        INSERT INTO notes VALUES (1, 1, NULL, 'eve@example.org', false, NULL), (2, 22, '00000000-0000-0000-0000-000000000003', NULL, true, NULL),
            (3, NULL, NULL, 'ben@example.org', true, '[{"id": "22", "rights": ["read"], "deny": true}, {"id": "lead", "rights": ["delete"]}]'),
            (5, 22, NULL, NULL, NULL, NULL),
            (4, 7, NULL, '', NULL, '[{"id": "team", "rights": ["read", "update"]}, {"id": "eve", "rights": ["update"], "deny": true}]');
        CREATE TABLE readers (note int REFERENCES notes, reader text, PRIMARY KEY (note, reader));
        INSERT INTO readers VALUES (1, 'eve'), (1, '22'), (4, '1');
        SELECT rolecall.protect('notes', 'acl');
        SELECT rolecall.allow('users', 'notes', 'select', '{"OR": [{"owner": {"equals": "__loggedInUserId"}},
            {"key": {"equals": "__loggedInUserId"}}, {"mail": {"equals": "__loggedInUserEmail"}},
            {"readers": {"some": {"reader": {"equals": "__loggedInUserId"}}}}]}');
        SELECT rolecall.allow('team', 'notes', 'select', '{"public": {"equals": true}}');
        SELECT rolecall.allow('lead', 'notes', 'all', '{"id": {"in": [1, 2]}}');
        SELECT rolecall.allow('users', 'notes', 'update', '{"NOT": {"owner": {"not_in": ["__loggedInUserId"]}}}');"#,
    );
    (database, admin)
}

#[test]
fn the_same_as_explanations_say_and_as_people_see() {
    let (database, mut admin) = world();
    let app = database.login("app");
    run(&mut admin, &format!("GRANT SELECT ON notes TO {app}"));
    let mut some = 0;
    for action in ["select", "update", "delete"] {
        for id in 1..=5 {
            let listed = who(&mut admin, &format!("'notes', '{action}', '{id}'"));
            let explained: BTreeSet<String> = USERS
                .into_iter()
                .filter(|(name, _)| {
                    let sql =
                        format!("SELECT rolecall.explain_access('notes', '{action}', '{id}', '{name}') ->> 'allowed'");
                    one::<String>(&mut admin, &sql) == "true"
                })
                .map(|(name, _)| name.to_owned())
                .collect();
            assert_eq!(listed, explained, "{action} {id}");
            assert!(listed.contains("root") && !listed.contains("gone"), "{action} {id}: {listed:?}");
            some += listed.len();
        }
    }
    assert!(some > 20, "{some}");
    for (name, _) in USERS.into_iter().filter(|(name, _)| *name != "gone") {
        admin.execute("SELECT rolecall.set_password($1, 'welcome')", &[&name]).unwrap();
        let token = first_token(&mut admin, name, "welcome", "wonderland 1865");
        let mut client = database.connect(&app);
        authenticate(&mut client, &token, true);
        for id in 1..=5 {
            let sees: bool = one(&mut client, &format!("SELECT EXISTS (SELECT FROM notes WHERE id = {id})"));
            let listed = who(&mut admin, &format!("'notes', 'select', '{id}'"));
            assert_eq!(sees, listed.contains(name), "{name} {id}");
        }
    }
}

#[test]
fn it_is_told_what_lets_them() {
    let (_database, mut admin) = world();
    let via = column(&mut admin, "SELECT username || ': ' || via FROM rolecall.who_can('notes', 'delete', '1')");
    assert_eq!(via, ["ben: role lead", "root: admins"]);
    let via = column(&mut admin, "SELECT username || ': ' || via FROM rolecall.who_can('notes', 'select', '4')");
    assert_eq!(via, ["ann: role users", "ben: the ACL in acl", "eve: the ACL in acl", "root: admins"]);
    let via = column(&mut admin, "SELECT username || ': ' || via FROM rolecall.who_can('notes', 'insert')");
    let by_acl = ["ann", "cid", "dot", "eve"].map(|user| format!("{user}: the ACL in acl"));
    assert_eq!(via[1], "ben: role lead");
    assert!(by_acl.iter().all(|line| via.contains(line)), "any user may make a row with a list that lets him: {via:?}");
    refused(&mut admin, "SELECT rolecall.who_can('notes', 'select', '9')", "42704", "row \"9\" does not exist");
    refused(&mut admin, "SELECT rolecall.who_can('readers', 'select')", "55000", "not protected");
}
