//! `ALTER EXTENSION rolecall UPDATE`: the same answers, the rules as the new version makes them, and nobody is disturbed.

use crate::dump::restore;
use crate::dump_answers::{answers, differences};
use crate::dump_rich::world;
use crate::dump_world::World;
use crate::support::*;
use crate::upgrade_catalog::{difference, released};
use postgres::{Client, SimpleQueryMessage};
use rolecall_tests::Pooler;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

const UPDATE: &str = "ALTER EXTENSION rolecall UPDATE";
const VERSION: &str = "SELECT extversion FROM pg_extension WHERE extname = 'rolecall'";

/// What rules have been made into.
fn rules(client: &mut Client) -> Vec<String> {
    column(
        client,
        "SELECT concat_ws(' ', schemaname, tablename, policyname, permissive, cmd, qual, with_check) FROM pg_policies
          UNION ALL SELECT concat_ws(' ', target, action, clauses) FROM rolecall.compiled_policies
          UNION ALL SELECT relname || pg_get_viewdef(oid) FROM pg_class WHERE relnamespace = 'rolecall_relations'::regnamespace AND relkind = 'v'
          UNION ALL SELECT target || pg_get_viewdef(shown_as) FROM rolecall.exposed_views
          UNION ALL SELECT pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'rolecall_triggers'::regnamespace
          UNION ALL SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal AND tgname ^@ 'rolecall_'
          ORDER BY 1",
    )
}

/// The library serves the database as it was made, too: one server has one library for all its databases.
#[test]
fn a_filled_database_gives_the_same_answers_upgraded_and_restored_elsewhere() {
    let old = released("0.1.0");
    let (world, before, token) = world(&old);
    let mut admin = old.admin();
    assert_eq!(one::<String>(&mut admin, VERSION), "0.1.0");
    // A dump says no version: it is restored into the newest.
    let restored = restore(&old);
    run(&mut admin, UPDATE);
    for (way, database) in [("upgraded", &old), ("restored", &restored)] {
        assert_eq!(differences(&before, &answers(database, &old.name, &world, &token)), "", "{way}");
        assert_eq!(one::<String>(&mut database.admin(), VERSION), env!("CARGO_PKG_VERSION"), "{way}");
    }
    let new = database();
    World::make(&new);
    let new = rules(&mut new.admin());
    assert!(new.len() > 80, "{}", new.len());
    assert_eq!(difference(&new, &rules(&mut admin)), "");
}

/// Had the former version made something else of them.
#[test]
fn rules_become_what_the_new_version_makes_of_them() {
    let house = |database| {
        let story = Notes::in_database(database);
        run(
            &mut story.database.admin(),
            &format!(
                r#"CREATE TABLE people (id text PRIMARY KEY, boss text); INSERT INTO people VALUES ('u2', 'u1');
                CREATE TABLE letters (id int, owner text REFERENCES people); INSERT INTO letters VALUES (1, 'u2');
                GRANT ALL ON letters TO {}; SELECT rolecall.protect('letters');
                SELECT rolecall.allow('users', 'letters', 'all', '{{"owner": {{"equals": "__loggedInUserId"}}}}', preset => '{{"owner": "__loggedInUserId"}}');
                SELECT rolecall.relate('letters', 'writer', 'people', '{{owner}}', '{{id}}');
                SELECT rolecall.allow('editor', 'letters', 'select', '{{"writer": {{"boss": {{"equals": "__loggedInUserId"}}}}}}');
                SELECT rolecall.expose('letters')"#,
                story.app
            ),
        );
        story
    };
    let old = house(released("0.1.0"));
    let mut admin = old.database.admin();
    run(
        &mut admin,
        "UPDATE rolecall.compiled_policies SET clauses = 'USING (false)'; ALTER POLICY rolecall_delete ON letters USING (false);
         DROP POLICY rolecall_select ON letters; DROP POLICY rolecall_update_gate ON letters;
         CREATE OR REPLACE FUNCTION rolecall_triggers.rolecall_preset_letters() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
    );
    // Even what the rules read has to be made anew.
    run(
        &mut admin,
        "DO $$ DECLARE p record; BEGIN
            FOR p IN SELECT polname, polrelid::regclass AS on_table FROM pg_policy WHERE polname ^@ 'rolecall_' AND polrelid = 'letters'::regclass LOOP
                EXECUTE format('DROP POLICY %I ON %s', p.polname, p.on_table);
            END LOOP; END $$; DROP VIEW rolecall_relations.people_1 CASCADE",
    );
    run(&mut admin, UPDATE);
    let mut app = old.connect();
    for (who, seen) in [(&old.alice, 1), (&old.bob, 1)] {
        authenticate(&mut app, who, true);
        assert_eq!(one::<i64>(&mut app, "SELECT count(*) FROM letters"), seen);
    }
    run(&mut app, "INSERT INTO letters VALUES (2, 'u1')");
    assert_eq!(column(&mut app, "SELECT owner FROM letters WHERE id = 2"), ["u2"]);
    assert_eq!(rules(&mut admin), rules(&mut house(database()).database.admin()));
    // An extension's own objects are not dumped.
    let restored = restore(&old.database);
    assert_eq!(rules(&mut restored.admin()), rules(&mut admin));
}

/// What the reader of a connection sees at any time.
fn sees(client: &mut Client) -> (i64, Option<String>, Option<String>) {
    let row = client.query_one("SELECT count(*), min(owner_id), max(owner_id) FROM notes", &[]).unwrap();
    (row.get(0), row.get(1), row.get(2))
}

#[test]
fn sessions_go_on_while_the_extension_is_upgraded() {
    let story = Notes::in_database(released("0.1.0"));
    let pooler = Pooler::start(&story.database, &story.app, "transaction");
    let bobs = (BOBS, Some("u2".to_owned()), Some("u2".to_owned()));
    let mut direct = story.connect();
    authenticate(&mut direct, &story.bob, true);
    let prepared = direct.prepare("SELECT count(*) FROM notes WHERE id > $1").unwrap();
    let by_plan = |client: &mut Client| client.query_one(&prepared, &[&0]).unwrap().get::<_, i64>(0);
    for _ in 0..7 {
        assert_eq!(by_plan(&mut direct), BOBS);
    }
    let mut cursor = story.connect();
    run(&mut cursor, "BEGIN");
    authenticate(&mut cursor, &story.bob, false);
    run(&mut cursor, "DECLARE mine CURSOR FOR SELECT owner_id FROM notes");
    assert_eq!(column(&mut cursor, "SELECT owner_id FROM notes LIMIT 1"), ["u2"]);
    let fetch = |client: &mut Client| client.query("FETCH 10 FROM mine", &[]).unwrap();
    assert_eq!(fetch(&mut cursor).len(), 10);
    let mut idle = story.connect();
    run(&mut idle, "BEGIN");
    authenticate(&mut idle, &story.alice, true);
    assert_eq!(notes(&mut idle), ALL);

    let (stop, rounds) = (AtomicBool::new(false), [const { AtomicUsize::new(0) }; 3]);
    let until_stopped = |at: usize, read: &mut dyn FnMut()| {
        while !stop.load(Ordering::Relaxed) {
            read();
            rounds[at].fetch_add(1, Ordering::Relaxed);
        }
    };
    let (until_stopped, story, pooler) = (&until_stopped, &story, &pooler);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut client = story.connect();
            until_stopped(0, &mut || {
                assert_eq!(notes(&mut client), 0);
                authenticate(&mut client, &story.bob, true);
                assert_eq!(sees(&mut client).0, BOBS);
                run(&mut client, "SELECT rolecall.logout()");
            });
        });
        scope.spawn(move || {
            let mut client = pooler.connect();
            let batch =
                format!("BEGIN; SELECT rolecall.authenticate('{}'); SELECT count(*) FROM notes; COMMIT", story.bob);
            until_stopped(1, &mut || {
                let messages = client.simple_query(&batch).unwrap();
                let last = messages.iter().rev().find_map(|message| match message {
                    SimpleQueryMessage::Row(row) => row.get(0),
                    _ => None,
                });
                assert_eq!(last, Some("100"));
            });
        });
        scope.spawn(move || {
            let mut client = story.connect();
            until_stopped(2, &mut || {
                let token = token(&mut client, "bob", "can we fix it");
                authenticate(&mut client, &token, true);
                assert_eq!(notes(&mut client), BOBS);
            });
        });
        let mut admin = story.database.admin();
        run(&mut admin, "SET lock_timeout = '20s'");
        let await_rounds = || {
            let start: Vec<_> = rounds.iter().map(|count| count.load(Ordering::Relaxed)).collect();
            for _ in 0..2000 {
                if rounds.iter().zip(&start).all(|(count, start)| count.load(Ordering::Relaxed) > start + 2) {
                    return;
                }
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            stop.store(true, Ordering::Relaxed);
            panic!("readers wait: {rounds:?}");
        };
        await_rounds();
        for (end, version) in [("ROLLBACK", "0.1.0"), ("COMMIT", env!("CARGO_PKG_VERSION"))] {
            run(&mut admin, "BEGIN");
            run(&mut admin, UPDATE);
            await_rounds();
            run(&mut admin, end);
            assert_eq!(one::<String>(&mut admin, VERSION), version);
            await_rounds();
        }
        stop.store(true, Ordering::Relaxed);
    });

    assert_eq!(sees(&mut direct), bobs);
    assert_eq!(by_plan(&mut direct), BOBS);
    assert_eq!(fetch(&mut cursor).len(), 10);
    assert_eq!(sees(&mut cursor), bobs);
    run(&mut cursor, "COMMIT");
    assert_eq!(notes(&mut cursor), 0);
    assert_eq!(notes(&mut idle), ALL);
    run(&mut idle, "COMMIT");
    assert_eq!(notes(&mut idle), ALL, "logged in for the session");
    run(&mut idle, "SELECT rolecall.logout()");
    assert_eq!(notes(&mut idle), 0);
    authenticate(&mut idle, &story.bob, true);
    assert_eq!(sees(&mut idle), bobs);
    let mut admin = story.database.admin();
    run(&mut admin, "SELECT rolecall.grant_role('editor', 'bob')");
    assert_eq!(notes(&mut direct), ALL, "a change still reaches the old session");
}
