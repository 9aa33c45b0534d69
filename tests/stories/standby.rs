//! Reading from a hot standby: the same logins, the same rows, and changes of roles arrive there.

use crate::support::*;
use postgres::Client;
use rolecall_tests::{Cluster, sqlstate};

/// What a story on a standby needs: the story on the primary and how to get to its copy.
pub struct Replicated<'a> {
    pub primary: &'a Cluster,
    pub standby: &'a Cluster,
    pub story: Notes<'a>,
}

impl Replicated<'_> {
    /// A connection of the application to the standby, which knows all that was committed until now.
    pub fn connect(&self) -> Client {
        self.standby.await_replay(self.primary);
        self.standby.try_connect(&self.story.app, &self.story.database.name).expect("the application connects")
    }

    /// Changes something on the primary and waits until the standby has it.
    pub fn change(&self, sql: &str) {
        run(&mut self.story.database.admin(), sql);
        self.standby.await_replay(self.primary);
    }
}

pub fn replicated(test: impl FnOnce(&Replicated<'_>)) {
    let primary = Cluster::start(&[]);
    let standby = primary.standby(&[]);
    test(&Replicated { primary: &primary, standby: &standby, story: Notes::in_database(primary.database()) });
}

/// Trap 10.
#[test]
fn a_standby_enforces_like_its_primary() {
    replicated(|pair| {
        let mut app = pair.connect();
        assert!(one::<bool>(&mut app, "SELECT pg_is_in_recovery()"));
        assert_eq!(notes(&mut app), 0, "nobody sees nothing");
        let statement = app.prepare("SELECT count(*), min(owner_id), max(owner_id) FROM notes").unwrap();
        let seen = |app: &mut Client| {
            let row = app.query_one(&statement, &[]).unwrap();
            (row.get::<_, i64>(0), row.get::<_, Option<String>>(1), row.get::<_, Option<String>>(2))
        };
        let (bobs, all) = ((BOBS, Some("u2".into()), Some("u2".into())), (ALL, Some("u0".into()), Some("u99".into())));
        for _ in 0..3 {
            run(&mut app, "BEGIN");
            authenticate(&mut app, &pair.story.bob, false);
            assert_eq!(seen(&mut app), bobs);
            run(&mut app, "COMMIT");
            assert_eq!(seen(&mut app), (0, None, None));
            authenticate(&mut app, &pair.story.alice, true);
            assert_eq!(seen(&mut app), all);
            authenticate(&mut app, &pair.story.bob, true);
            assert_eq!(seen(&mut app), bobs);
            run(&mut app, "SELECT rolecall.logout()");
            assert_eq!(seen(&mut app), (0, None, None));
        }
        authenticate(&mut app, &pair.story.bob, true);
        let (state, _) = sqlstate(app.batch_execute("UPDATE notes SET body = 'x'"));
        assert_eq!(state, "25006", "a standby is read-only");
    });
}

#[test]
fn a_change_of_roles_is_seen_at_the_next_statement_on_a_standby() {
    replicated(|pair| {
        let mut app = pair.connect();
        authenticate(&mut app, &pair.story.bob, true);
        let statement = app.prepare("SELECT count(*) FROM notes").unwrap();
        let prepared = |app: &mut Client| app.query_one(&statement, &[]).unwrap().get::<_, i64>(0);
        // A transaction that repeats a prepared statement may be told to run again, as on the primary.
        for (around, seen) in [(["", ""], &prepared as &dyn Fn(&mut Client) -> i64), (["BEGIN", "COMMIT"], &notes)] {
            run(&mut app, around[0]);
            for _ in 0..3 {
                assert_eq!(seen(&mut app), BOBS);
                pair.change("SELECT rolecall.grant_role('editor', 'bob')");
                assert_eq!(seen(&mut app), ALL);
                assert!(one::<bool>(&mut app, "SELECT rolecall.has_role('editor')"));
                pair.change("SELECT rolecall.revoke_role('editor', 'bob')");
            }
            assert_eq!(seen(&mut app), BOBS);
            run(&mut app, around[1]);
        }
        pair.change("SELECT rolecall.create_role('staff'); SELECT rolecall.grant_role('editor', 'role:staff')");
        pair.change("SELECT rolecall.grant_role('staff', 'bob')");
        assert_eq!(prepared(&mut app), ALL, "by a role in between");
        pair.change("DELETE FROM rolecall.users WHERE id = 'u2'");
        assert_eq!(sqlstate(app.query_one(&statement, &[])).0, "28000", "a deleted user");
    });
}

#[test]
fn a_user_created_on_the_primary_is_known_on_a_standby() {
    replicated(|pair| {
        let token = pair.story.user("u3");
        let mut app = pair.connect();
        authenticate(&mut app, &token, true);
        assert_eq!(notes(&mut app), BOBS);
        assert_eq!(column(&mut app, "SELECT DISTINCT owner_id FROM notes"), ["u3"]);
    });
}

#[test]
fn whoami_works_on_a_standby() {
    replicated(|pair| {
        let mut app = pair.connect();
        authenticate(&mut app, &pair.story.bob, true);
        let who: String = one(&mut app, "SELECT rolecall.whoami()::text");
        let who: serde_json::Value = serde_json::from_str(&who).unwrap();
        assert_eq!((&who["user_id"], &who["username"], &who["via"]), (&"u2".into(), &"bob".into(), &"jwt".into()));
        assert_eq!(who["roles"], serde_json::json!(["guest", "users"]));
    });
}

/// Neither the count of attempts nor the last use of a token is written where nothing can be.
#[test]
fn passwords_and_api_tokens_are_good_on_a_standby() {
    replicated(|pair| {
        let mut primary = pair.story.database.admin();
        let api_token: String = one(&mut primary, "SELECT rolecall.create_api_token('reader', '{editor}')");
        let mut app = pair.connect();
        authenticate(&mut app, &api_token, true);
        assert_eq!(notes(&mut app), ALL);
        let bob = token(&mut app, "bob", "can we fix it");
        authenticate(&mut app, &bob, true);
        assert_eq!(notes(&mut app), BOBS);
        assert_eq!(sqlstate(app.execute("SELECT rolecall.login('bob', 'no')", &[])).0, "28P01");
        pair.change("SELECT rolecall.revoke_sessions('bob')");
        assert_eq!(sqlstate(app.query("SELECT FROM notes", &[])).0, "28000");
    });
}

/// A rule that walks relations, in both forms, and what it reads may change meanwhile.
#[test]
fn relations_are_walked_on_a_standby() {
    replicated(|pair| {
        run(
            &mut pair.story.database.admin(),
            r#"CREATE TABLE people (id text PRIMARY KEY); CREATE TABLE folders (id int PRIMARY KEY);
               CREATE TABLE shares (folder_id int REFERENCES folders, person_id text REFERENCES people, PRIMARY KEY (folder_id, person_id));
               INSERT INTO people VALUES ('u1'), ('u2'); INSERT INTO folders SELECT generate_series(0, 9);
               INSERT INTO shares VALUES (3, 'u2'), (4, 'u1');
               ALTER TABLE notes ADD folder_id int REFERENCES folders; UPDATE notes SET folder_id = id % 10; ANALYZE notes;
               SELECT rolecall.users_table('people', 'id');
               SELECT rolecall.allow('users', 'notes', 'select', '{"folder": {"people": {"some": {"is_self": true}}}}')"#,
        );
        let mut app = pair.connect();
        assert_eq!(notes(&mut app), 0);
        authenticate(&mut app, &pair.story.bob, true);
        let by_key = app.prepare("SELECT count(*) FROM notes WHERE id = $1").unwrap();
        let seen = |app: &mut Client| {
            let keys = [3, 4].map(|id: i32| app.query_one(&by_key, &[&id]).unwrap().get::<_, i64>(0));
            (notes(app), keys)
        };
        assert_eq!(seen(&mut app), (1000, [1, 0]));
        pair.change("UPDATE shares SET person_id = 'u2' WHERE folder_id = 4; DELETE FROM shares WHERE folder_id = 3");
        assert_eq!(seen(&mut app), (1000, [0, 1]));
        pair.change("TRUNCATE shares");
        assert_eq!(seen(&mut app), (0, [0, 0]));
    });
}
