//! Rows with access-control lists of their own.

use crate::support::*;
use postgres::Client;
use rolecall_tests::Database;

/// Documents with ACLs; alice (`u1`) and bob (`u2`), who is a clerk, and clerks are staff.
struct Documents {
    database: Database<'static>,
    app: String,
}

impl Documents {
    fn new() -> Self {
        let database = database();
        let app = database.login("app");
        run(
            &mut database.admin(),
            &format!(
                "CREATE TABLE documents (id int PRIMARY KEY, title text, _acl jsonb);
                 GRANT SELECT, INSERT, UPDATE, DELETE ON documents TO {app};
                 SELECT rolecall.create_role('staff'), rolecall.create_role('clerk');
                 SELECT rolecall.grant_role('staff', 'role:clerk');
                 SELECT rolecall.create_user('alice', id => 'u1'), rolecall.create_user('bob', id => 'u2'),
                        rolecall.create_user('root', id => 'u0', roles => '{{admins}}');
                 SELECT rolecall.grant_role('clerk', 'bob');
                 SELECT rolecall.protect('documents', acl_column => '_acl');"
            ),
        );
        Self { database, app }
    }

    /// A session of a user, or of nobody.
    fn session(&self, username: &str) -> Client {
        let mut admin = self.database.admin();
        let token = "SELECT rolecall.set_password($1, 'changed later')";
        if username.is_empty() {
            return self.database.connect(&self.app);
        }
        admin.execute(token, &[&username]).unwrap();
        let token = first_token(&mut admin, username, "changed later", "wonderland 1865");
        let mut client = self.database.connect(&self.app);
        authenticate(&mut client, &token, true);
        client
    }

    fn add(&self, id: i32, acl: &str) {
        let insert = "INSERT INTO documents VALUES ($1, 'title', $2::text::jsonb)";
        self.database.admin().execute(insert, &[&id, &acl]).unwrap_or_else(|e| panic!("{acl}: {e:?}"));
    }
}

fn seen(client: &mut Client) -> String {
    one::<Option<String>>(client, "SELECT string_agg(id::text, ' ' ORDER BY id) FROM documents").unwrap_or_default()
}

#[test]
fn a_row_shows_to_whom_its_acl_names() {
    let story = Documents::new();
    story.add(1, r#"[{"id": "u1", "rights": ["read"]}]"#);
    story.add(2, r#"[{"id": "staff", "rights": ["read"]}]"#);
    story.add(3, r#"[{"id": "role:staff", "rights": ["read"]}]"#);
    story.add(4, r#"[{"id": "alice", "rights": ["update"]}, {"id": "bob", "rights": ["full_control"]}]"#);
    story.add(
        5,
        r#"[{"_id": "u1", "rights": 2}, {"_id": "staff", "rights": -1}, {"_id": "u2", "rights": 2, "deny": true}]"#,
    );
    story.add(6, r#"[{"_id": "users", "rights": 65535, "name": "all", "deny": false}, {"_id": "clerk", "rights": 6, "deny": true}]"#);
    story.add(7, r#"[{"id": "guest", "rights": ["read"]}]"#);
    story.add(8, r#"[{"_id": "users", "rights": 65533}]"#);
    let (mut alice, mut bob, mut root) = (story.session("alice"), story.session("bob"), story.session("root"));
    assert_eq!(seen(&mut alice), "1 5 6 7");
    assert_eq!(seen(&mut bob), "2 3 4 7", "a deny for him or for a role of his wins");
    assert_eq!(seen(&mut root), "1 2 3 4 5 6 7 8");
    assert_eq!(seen(&mut story.session("")), "7");
    // A change of roles is seen at the next statement.
    run(&mut story.database.admin(), "SELECT rolecall.revoke_role('clerk', 'bob')");
    assert_eq!(seen(&mut bob), "4 6 7");
}

#[test]
fn each_right_is_for_one_action() {
    let story = Documents::new();
    story.add(1, r#"[{"id": "u1", "rights": ["read"]}]"#);
    story.add(2, r#"[{"id": "u1", "rights": ["read", "update"]}]"#);
    story.add(3, r#"[{"id": "u1", "rights": ["read", "delete"]}]"#);
    story.add(4, r#"[{"id": "u1", "rights": ["update", "delete"]}]"#);
    let mut alice = story.session("alice");
    let mut touch = |sql: &str| alice.execute(sql, &[]).unwrap_or_else(|e| panic!("{sql}: {e:?}"));
    assert_eq!(touch("UPDATE documents SET title = 'hers'"), 1);
    assert_eq!(touch("DELETE FROM documents"), 1);
    let titles = column(&mut story.database.admin(), "SELECT id || title FROM documents ORDER BY id");
    assert_eq!(titles, ["1title", "2hers", "4title"], "what one cannot read one cannot change");
}

#[test]
fn a_new_row_is_its_makers_and_the_administrators() {
    let story = Documents::new();
    let (mut alice, mut bob) = (story.session("alice"), story.session("bob"));
    run(&mut alice, "INSERT INTO documents VALUES (1, 'hers'); INSERT INTO documents VALUES (2, 'hers', '[]')");
    run(&mut alice, r#"INSERT INTO documents VALUES (3, 'shared', '[{"id": "u2", "rights": ["read"]}]')"#);
    assert_eq!(seen(&mut alice), "1 2 3");
    assert_eq!(seen(&mut bob), "3");
    assert_eq!(seen(&mut story.session("root")), "1 2 3");
    let all = r#"["create", "read", "update", "delete", "invoke"]"#;
    let acl = format!(r#"[{{"id": "u1", "rights": {all}}}, {{"id": "admins", "rights": {all}}}]"#);
    let acls = column(&mut alice, "SELECT DISTINCT _acl FROM documents WHERE id < 3");
    assert_eq!(acls, [acl]);
    // Nobody in particular makes nothing, whatever the list says.
    let insert = r#"INSERT INTO documents VALUES (9, 'x', '[{"id": "guest", "rights": ["full_control"]}]')"#;
    refused(&mut story.session(""), insert, "42501", "row-level security");
    refused(&mut story.session(""), "INSERT INTO documents VALUES (9, 'x')", "42501", "row-level security");
    run(&mut story.session("root"), "INSERT INTO documents VALUES (10, 'root''s')");
    assert_eq!(seen(&mut alice), "1 2 3");
    // A row of the database's owner, who is nobody's user, is the administrators'.
    run(&mut story.database.admin(), "INSERT INTO documents VALUES (11, 'x')");
    let acl = format!(r#"[{{"id": "admins", "rights": {all}}}]"#);
    assert_eq!(column(&mut story.database.admin(), "SELECT _acl FROM documents WHERE id = 11"), [acl]);
}

#[test]
fn nobody_locks_himself_out() {
    let story = Documents::new();
    let mut alice = story.session("alice");
    run(&mut alice, "INSERT INTO documents VALUES (1, 'hers')");
    story.add(2, r#"[{"id": "u1", "rights": ["read", "update"]}, {"id": "staff", "rights": ["read"]}]"#);
    for acl in
        ["'[]'", "NULL", r#"'[{"id": "u2", "rights": ["full_control"]}]'"#, r#"'[{"id": "u1", "rights": ["read"]}]'"#]
    {
        run(&mut alice, &format!("UPDATE documents SET _acl = {acl}"));
        assert_eq!(seen(&mut alice), "1 2", "{acl}");
        let kept =
            "SELECT string_agg(concat_ws('', acl_allows(_acl, 'update'), acl_allows(_acl, 'delete')), ' ' ORDER BY id)
                      FROM documents";
        assert_eq!(one::<String>(&mut alice, &kept.replace("acl_", "rolecall.acl_")), "tt tf", "{acl}: as before");
    }
    let denied = r#"UPDATE documents SET _acl = _acl || '{"id": "users", "rights": ["read"], "deny": true}'"#;
    refused(&mut alice, denied, "42501", "deny you the right to read");
    let insert = r#"INSERT INTO documents VALUES (3, 'x', '[{"id": "u1", "rights": ["update"], "deny": true}]')"#;
    refused(&mut alice, insert, "42501", "deny you the right to update");
    // An administrator may, and who has no rights by the ACL keeps none.
    run(&mut story.session("root"), "UPDATE documents SET _acl = '[]' WHERE id = 1");
    assert_eq!(seen(&mut alice), "2");
}

#[test]
fn permissions_count_beside_the_acl_and_a_deny_before_them() {
    let story = Documents::new();
    run(
        &mut story.database.admin(),
        r#"SELECT rolecall.allow('staff', 'documents', 'select', '{"title": {"equals": "title"}}')"#,
    );
    story.add(1, r#"[{"id": "u1", "rights": ["read"]}]"#);
    story.add(2, r#"[{"id": "u2", "rights": ["read"], "deny": true}]"#);
    story.add(3, r#"[{"id": "u2", "rights": ["update"], "deny": true}]"#);
    run(&mut story.database.admin(), "UPDATE documents SET _acl = NULL WHERE id = 1");
    assert_eq!(seen(&mut story.session("bob")), "1 3");
    assert_eq!(seen(&mut story.session("alice")), "");
}

#[test]
fn what_is_no_acl_is_refused_when_it_is_written() {
    let story = Documents::new();
    let mut admin = story.database.admin();
    for (acl, says) in [
        (r#"{"id": "u1"}"#, "$ is no list"),
        (r#"[{"id": "u1", "rights": ["raed"]}]"#, r#"$[0].rights has "raed""#),
        (r#"[{"rights": ["read"]}]"#, "$[0] names nobody"),
    ] {
        refused(&mut admin, &format!("INSERT INTO documents VALUES (1, '', '{acl}')"), "22023", says);
        story.add(1, "[]");
        refused(&mut admin, &format!("UPDATE documents SET _acl = '{acl}'"), "22023", says);
        run(&mut admin, "DELETE FROM documents");
    }
    // What was there before, or got in otherwise, shows nothing and stops nothing.
    run(&mut admin, "SELECT rolecall.unprotect('documents')");
    let junk = [
        "null",
        "1",
        "\"x\"",
        "{}",
        "{\"id\": \"u1\"}",
        "[1, null, \"u1\", [], {}]",
        r#"[{"id": "u1"}]"#,
        r#"[{"id": "u1", "rights": "read"}]"#,
        r#"[{"id": "u1", "rights": [2]}]"#,
        r#"[{"id": ["u1"], "rights": -1}]"#,
        r#"[{"id": "u1", "rights": 2.5}]"#,
        r#"[{"id": "u1", "rights": 1e300}]"#,
        r#"[{"id": "u1", "rights": -3}]"#,
        r#"[{"id": "u1", "_id": "u2", "rights": -1}]"#,
        r#"[[{"id": "u1", "rights": -1}]]"#,
        r#"[{"id": "u1", "rights": -1}, {"id": "u1", "rights": ["raed"], "deny": true}]"#,
        r#"[{"id": "u1", "rights": -1}, {"id": "u1", "deny": 1}]"#,
    ];
    for (id, acl) in junk.iter().enumerate() {
        story.add(id as i32, acl);
    }
    run(&mut admin, "SELECT rolecall.protect('documents', '_acl')");
    assert_eq!(seen(&mut story.session("alice")), "");
    assert_eq!(seen(&mut story.session("root")).split(' ').count(), junk.len());
}

#[test]
fn rights_are_given_and_taken_by_name() {
    let story = Documents::new();
    let (mut alice, mut bob) = (story.session("alice"), story.session("bob"));
    run(&mut alice, "INSERT INTO documents VALUES (1, 'hers')");
    story.add(2, r#"[{"_id": "u1", "rights": -1}]"#);
    run(
        &mut alice,
        "SELECT rolecall.grant_right('documents', '1', 'bob', '{read}'),
                            rolecall.grant_right('documents', '2', 'role:staff', '{read,update}')",
    );
    assert_eq!(seen(&mut bob), "1 2");
    let acl = column(&mut alice, "SELECT _acl FROM documents WHERE id = 2");
    assert_eq!(acl, [r#"[{"_id": "u1", "rights": -1}, {"_id": "staff", "rights": 6}]"#], "in the form it has");
    run(&mut alice, "SELECT rolecall.grant_right('documents', '2', 'role:clerk', '{read}', deny => true)");
    assert_eq!(seen(&mut bob), "1");
    run(
        &mut alice,
        "SELECT rolecall.revoke_right('documents', '2', 'role:clerk', deny => true),
                            rolecall.revoke_right('documents', '1', 'bob')",
    );
    assert_eq!(seen(&mut bob), "2");
    // Bob may read and update the second, not the first.
    let no_row = "there is no row \"1\" of public.documents that you may update";
    refused(&mut bob, "SELECT rolecall.grant_right('documents', '1', 'bob', '{read}')", "42501", no_row);
    refused(&mut bob, "SELECT rolecall.grant_right('documents', '1', 'nobody', '{read}')", "42501", no_row);
    refused(&mut bob, "SELECT rolecall.grant_right('documents', '77', 'bob', '{read}')", "42501", "no row \"77\"");
    refused(&mut alice, "SELECT rolecall.grant_right('documents', 'x', 'bob', '{read}')", "22P02", "integer");
    refused(&mut alice, "SELECT rolecall.grant_right('documents', '1', 'bobby', '{read}')", "42704", "user \"bobby\"");
    refused(&mut alice, "SELECT rolecall.grant_right('documents', '1', 'role:x', '{read}')", "42704", "role \"x\"");
    refused(&mut alice, "SELECT rolecall.grant_right('documents', '1', 'bob', '{raed}')", "22023", "\"raed\"");
    refused(
        &mut alice,
        "SELECT rolecall.grant_right('documents', '1', 'bob', NULL)",
        "22023",
        "rights must not be NULL",
    );
    refused(&mut alice, "SELECT rolecall.grant_right('pg_class', '1', 'bob', '{read}')", "55000", "no column of ACLs");
    // Taking one's own rights away leaves them where they are.
    run(&mut alice, "SELECT rolecall.revoke_right('documents', '1', 'alice')");
    assert_eq!(seen(&mut alice), "1 2");
}

#[test]
fn a_key_of_several_columns_is_an_object() {
    let story = Documents::new();
    let mut admin = story.database.admin();
    run(
        &mut admin,
        &format!(
            "CREATE TABLE parts (\"No\" int, day date, acl jsonb, PRIMARY KEY (\"No\", day));
             GRANT SELECT, UPDATE ON parts TO {}; SELECT rolecall.protect('parts', 'acl');
             INSERT INTO parts VALUES (1, '2026-01-02'), (1, '2026-01-03');
             SELECT rolecall.grant_right('parts', '{{\"No\": 1, \"day\": \"2026-01-03\"}}', 'alice', '{{read}}');",
            story.app
        ),
    );
    assert_eq!(column(&mut story.session("alice"), "SELECT day FROM parts"), ["2026-01-03"]);
}

#[test]
fn an_id_or_name_chosen_to_be_somebody_elses_gains_nothing() {
    let story = Documents::new();
    let mut admin = story.database.admin();
    // Whoever chose his name himself has only his id; a name that is a role's is the role's, one that is an id is that user's.
    run(
        &mut admin,
        "SELECT rolecall.create_user('mallory', id => 'staff'), rolecall.create_user('u1', id => 'u7'),
                rolecall.create_user('eve', id => 'role:staff'), rolecall.create_user('clerk', id => 'u8'),
                rolecall.create_user('carol', id => 'u9');
         UPDATE rolecall.users SET chose_username = true WHERE username = 'carol';",
    );
    story.add(1, r#"[{"id": "staff", "rights": ["read"]}]"#);
    story.add(2, r#"[{"id": "u1", "rights": ["read"]}]"#);
    story.add(3, r#"[{"id": "role:staff", "rights": ["read"]}]"#);
    story.add(4, r#"[{"id": "clerk", "rights": ["read"]}]"#);
    story.add(5, r#"[{"id": "carol", "rights": ["read"]}]"#);
    for somebody in ["mallory", "u1", "eve", "clerk", "carol"] {
        assert_eq!(seen(&mut story.session(somebody)), "", "{somebody}");
    }
    story.add(6, r#"[{"id": "u9", "rights": ["read"]}]"#);
    assert_eq!(seen(&mut story.session("carol")), "6");
    // What could be meant for him is denied to him.
    story.add(7, r#"[{"id": "u9", "rights": ["read"]}, {"id": "carol", "rights": ["read"], "deny": true}]"#);
    assert_eq!(seen(&mut story.session("carol")), "6");
}

#[test]
fn a_role_that_acls_name_keeps_its_name() {
    let story = Documents::new();
    let mut admin = story.database.admin();
    story.add(1, r#"[{"id": "staff", "rights": ["read"]}]"#);
    story.add(2, r#"[{"_id": "role:clerk", "rights": 2, "deny": true}]"#);
    for (role, call) in
        [("staff", "rename_role('staff', 'crew')"), ("staff", "drop_role('staff')"), ("clerk", "drop_role('clerk')")]
    {
        let says = "ACLs of public.documents name it";
        refused(&mut admin, &format!("SELECT rolecall.{call}"), "2BP01", says);
        assert!(one::<bool>(&mut admin, &format!("SELECT EXISTS (SELECT FROM rolecall.roles WHERE name = '{role}')")));
    }
    run(
        &mut admin,
        "SELECT rolecall.revoke_right('documents', '2', 'role:clerk', deny => true), rolecall.drop_role('clerk')",
    );
}

#[test]
fn an_index_finds_the_rows_that_name_one() {
    let story = Documents::new();
    let mut admin = story.database.admin();
    run(
        &mut admin,
        r#"INSERT INTO documents SELECT n, 'title', format('[{"id": "x%s", "rights": ["read"]}]', n)::jsonb FROM generate_series(1, 20000) n;
           UPDATE documents SET _acl = '[{"id": "u1", "rights": ["read"]}]' WHERE id % 5000 = 0;
           UPDATE documents SET _acl = '[{"_id": "staff", "rights": 2}]' WHERE id = 7;"#,
    );
    let (mut alice, mut bob) = (story.session("alice"), story.session("bob"));
    for family in ["jsonb_path_ops", "jsonb_ops"] {
        run(&mut admin, &format!("CREATE INDEX of_acl ON documents USING gin (_acl {family}); ANALYZE documents"));
        let shown = plan(&mut alice, "SELECT * FROM documents");
        assert!(shown.contains("Bitmap Index Scan on of_acl") && shown.contains("acl_allows"), "{family}: {shown}");
        assert_eq!(seen(&mut alice), "5000 10000 15000 20000", "{family}");
        assert_eq!(seen(&mut bob), "7", "{family}");
        run(&mut admin, "DROP INDEX of_acl");
    }
    // An administrator's query looks at no list.
    let shown = plan(&mut story.session("root"), "SELECT * FROM documents");
    assert!(!shown.contains("acl"), "{shown}");
}

/// Trap 7.
#[test]
fn a_prepared_query_serves_each_his_own() {
    let story = Documents::new();
    story.add(1, r#"[{"id": "u1", "rights": ["read"]}]"#);
    story.add(2, r#"[{"id": "carol", "rights": ["read"]}]"#);
    run(
        &mut story.database.admin(),
        "CREATE INDEX ON documents USING gin (_acl);
        SELECT rolecall.create_user('carol', id => 'u9')",
    );
    let mut alice = story.session("alice");
    run(&mut alice, "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off");
    let prepared = alice.prepare("SELECT id FROM documents").unwrap();
    let ids =
        |client: &mut Client| client.query(&prepared, &[]).unwrap().iter().map(|row| row.get(0)).collect::<Vec<i32>>();
    assert_eq!(ids(&mut alice), [1]);
    let mut admin = story.database.admin();
    run(&mut admin, "SELECT rolecall.set_password('carol', 'changed later')");
    let token = first_token(&mut admin, "carol", "changed later", "wonderland 1865");
    authenticate(&mut alice, &token, true);
    assert_eq!(ids(&mut alice), [2], "the same roles, so the same plan, for another user");
    run(&mut alice, "SELECT rolecall.logout()");
    assert_eq!(ids(&mut alice), [] as [i32; 0]);
}

#[test]
fn the_column_of_acls_is_checked_and_followed() {
    let story = Documents::new();
    let mut admin = story.database.admin();
    run(
        &mut admin,
        "CREATE TABLE t (id int PRIMARY KEY, name text, made jsonb GENERATED ALWAYS AS ('[]'::jsonb) STORED)",
    );
    for (column, says) in [("x", "does not exist"), ("name", "is no jsonb"), ("made", "is generated")] {
        refused(&mut admin, &format!("SELECT rolecall.protect('t', '{column}')"), "22023", says);
    }
    story.add(1, r#"[{"id": "u1", "rights": ["read"]}]"#);
    run(&mut admin, "ALTER TABLE documents RENAME _acl TO \"who's\"; SELECT rolecall.protect('documents')");
    let mut alice = story.session("alice");
    assert_eq!(seen(&mut alice), "1");
    run(&mut alice, "INSERT INTO documents (id) VALUES (2)");
    assert_eq!(seen(&mut alice), "1 2");
    refused(&mut admin, "ALTER TABLE documents DROP COLUMN \"who's\" CASCADE", "55000", "rules of rolecall");
}
