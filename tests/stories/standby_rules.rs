//! Rules on a hot standby: of every kind, at the next statement after they changed, and when it has become the primary.

use crate::acl_oracle::ids;
use crate::dump_answers::session;
use crate::dump_world::{PEOPLE, TABLES, World};
use crate::standby::replicated;
use crate::support::*;
use rolecall_tests::{Cluster, sqlstate};

#[test]
fn rules_of_every_kind_hold_on_a_standby() {
    let primary = Cluster::start(&[]);
    let standby = primary.standby(&[]);
    let database = primary.database();
    let (world, token) = World::make(&database);
    standby.await_replay(&primary);
    let copy = standby.existing_database(&database.name);
    for person in &PEOPLE {
        let mut client = session(&copy, &database.name, person, &token);
        for table in TABLES {
            let seen = ids(&mut client, &format!("SELECT id FROM {table}"));
            assert_eq!(seen, world.reached(person, table, "select"), "{} {table}", person.name);
        }
        // Rows and cells that columns decide, and what needs no table: as on the primary.
        let mut there = session(&database, &database.name, person, &token);
        for question in [
            "TABLE salaries_exposed",
            "TABLE people",
            "SELECT id FROM salaries",
            "SELECT r, rolecall.has_role(r), rolecall.has_scope(r) FROM unnest('{admins,users,r0,r1,r2,r3,r4,desk,a:b,c,d}'::text[]) r",
            "SELECT id, rolecall.acl_allows(acl, 'invoke') FROM objects",
            "TABLE rolecall.access_matrix",
            "TABLE rolecall.my_queues",
            "TABLE rolecall.my_work_items",
            "SELECT rolecall.explain_access('projects', 'select')",
        ] {
            let ask = format!("SELECT q FROM ({question}) q");
            assert_eq!(column(&mut client, &ask), column(&mut there, &ask), "{} {question}", person.name);
        }
        let mut errors = ["SELECT owner, note FROM salaries", "TABLE rolecall.users"].into_iter();
        assert!(errors.all(|sql| client.query(sql, &[]).is_ok() == there.query(sql, &[]).is_ok()), "{}", person.name);
    }
}

#[test]
fn a_change_of_a_rule_is_seen_at_the_next_statement_on_a_standby() {
    replicated(|pair| {
        pair.change(&format!(
            "CREATE TABLE plans (id int PRIMARY KEY, note text, acl jsonb); GRANT SELECT ON plans TO {};
             INSERT INTO plans SELECT n, 'x' FROM generate_series(1, 3) n; SELECT rolecall.protect('plans', 'acl')",
            pair.story.app
        ));
        let mut app = pair.connect();
        authenticate(&mut app, &pair.story.bob, true);
        let notes_of = app.prepare("SELECT count(*) FROM notes WHERE id > $1").unwrap();
        let plans = app.prepare("SELECT string_agg(id::text, ' ' ORDER BY id) FROM plans").unwrap();
        for (change, seen, listed) in [
            ("SELECT 1", BOBS, ""),
            ("SELECT rolecall.allow('users', 'notes', 'select', '{\"id\": {\"lte\": 20}}')", 20, ""),
            ("SELECT rolecall.allow('guest', 'notes', 'select', '{\"id\": {\"gt\": 9990}}')", 30, ""),
            ("SELECT rolecall.grant_right('plans', '2', 'bob', '{read}')", 30, "2"),
            ("SELECT rolecall.grant_right('plans', '3', 'role:users', '{read}')", 30, "2 3"),
            ("SELECT rolecall.grant_right('plans', '3', 'bob', '{read}', deny => true)", 30, "2"),
            ("SELECT rolecall.disallow('users', 'notes', 'select')", 10, "2"),
            ("SELECT rolecall.allow('users', 'plans', 'select', columns => '{id}')", 10, "1 2"),
            ("SELECT rolecall.rename_role('guest', 'visitor')", 10, "1 2"),
            ("SELECT rolecall.disallow('visitor', 'notes', 'select')", 0, "1 2"),
            ("SELECT rolecall.unprotect('notes')", ALL, "1 2"),
            (
                "SELECT rolecall.protect('notes'); SELECT rolecall.allow('users', 'notes', 'select', '{\"id\": {\"equals\": 7}}')",
                1,
                "1 2",
            ),
            (
                "ALTER TABLE notes RENAME owner_id TO written_by; SELECT rolecall.allow('users', 'notes', 'select', '{\"written_by\": {\"equals\": \"__loggedInUserId\"}}')",
                BOBS,
                "1 2",
            ),
        ] {
            pair.change(change);
            assert_eq!(app.query_one(&notes_of, &[&0]).unwrap().get::<_, i64>(0), seen, "{change}");
            let ids = app.query_one(&plans, &[]).unwrap().get::<_, Option<String>>(0);
            assert_eq!(ids.unwrap_or_default(), listed, "{change}");
        }
        pair.change("SELECT rolecall.disable_user('bob')");
        assert_eq!(sqlstate(app.query_one(&notes_of, &[&0])).0, "28000");
    });
}

#[test]
fn sessions_stay_who_they_are_when_the_standby_becomes_the_primary() {
    replicated(|pair| {
        let mut primary = pair.story.database.admin();
        let api_token: String = one(&mut primary, "SELECT rolecall.create_api_token('reader', '{editor}')");
        let [mut bob, mut cursor, mut robot, mut nobody] = [(); 4].map(|()| pair.connect());
        authenticate(&mut bob, &pair.story.bob, true);
        let prepared = bob.prepare("SELECT count(*), min(owner_id), max(owner_id) FROM notes").unwrap();
        let bobs = (BOBS, Some("u2".to_owned()), Some("u2".to_owned()));
        let mut seen = |sees: &(i64, Option<String>, Option<String>)| {
            let row = bob.query_one(&prepared, &[]).unwrap();
            assert_eq!(&(row.get(0), row.get(1), row.get(2)), sees);
        };
        seen(&bobs);
        authenticate(&mut robot, &api_token, true);
        assert_eq!((notes(&mut robot), notes(&mut nobody)), (ALL, 0));
        run(&mut cursor, "BEGIN");
        authenticate(&mut cursor, &pair.story.bob, false);
        run(&mut cursor, "DECLARE mine CURSOR FOR SELECT owner_id FROM notes");
        assert_eq!(column(&mut cursor, "SELECT DISTINCT owner_id FROM notes"), ["u2"]);

        drop(primary);
        pair.primary.crash();
        let name = &pair.story.database.name;
        let mut admin = pair.standby.try_connect("postgres", name).unwrap();
        assert!(one::<bool>(&mut admin, "SELECT pg_promote()"));
        seen(&bobs);
        assert_eq!((notes(&mut robot), notes(&mut nobody)), (ALL, 0));
        let fetched = cursor.query("FETCH ALL FROM mine", &[]).unwrap();
        assert!(fetched.len() == BOBS as usize && fetched.iter().all(|row| row.get::<_, &str>(0) == "u2"));
        run(&mut cursor, "COMMIT");
        assert_eq!(notes(&mut cursor), 0);

        // Logging in, changing one's password and rows, and an administrator's changes, all with what the primary had.
        let token = token(&mut cursor, "bob", "can we fix it");
        authenticate(&mut cursor, &token, true);
        assert_eq!(cursor.execute("UPDATE notes SET body = 'here'", &[]).unwrap(), BOBS as u64);
        refused(&mut cursor, "UPDATE notes SET owner_id = 'u1' WHERE id = 2", "42501", "row-level security");
        seen(&bobs);
        run(&mut admin, "SELECT rolecall.grant_role('editor', 'bob')");
        seen(&(ALL, Some("u0".into()), Some("u99".into())));
        run(
            &mut admin,
            "SELECT rolecall.revoke_role('editor', 'bob'); SELECT rolecall.allow('users', 'notes', 'select', '{\"id\": {\"equals\": 3}}')",
        );
        seen(&(1, Some("u3".into()), Some("u3".into())));
        run(&mut cursor, "SELECT rolecall.change_password('can we fix it', 'yes we can, 1999')");
        assert_eq!(sqlstate(bob.query_one(&prepared, &[])).0, "28000", "another session of his");
        assert_eq!(notes(&mut cursor), 1);
        let entries = "SELECT count(*) FROM rolecall.audit_entries WHERE actor = 'bob' AND object = 'users'";
        assert!(one::<i64>(&mut admin, entries) > 0);
    });
}
