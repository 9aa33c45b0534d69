//! Logical replication: rows travel without rules, which hold where they are written; people and their roles can travel too.

use crate::support::*;
use postgres::Client;
use rolecall_tests::{Cluster, Database, sqlstate};
use std::time::{Duration, Instant};

/// A publisher and a subscriber on servers of their own.
struct Pair<'a> {
    publisher: Notes<'a>,
    /// With the table of notes, empty, and the extension.
    subscriber: Database<'a>,
    app: String,
}

impl Pair<'_> {
    fn subscribe(&self, publication: &str, as_user: &str) {
        let mut admin = self.subscriber.admin();
        let (socket, name) = (self.publisher.database.cluster().socket().display(), &self.publisher.database.name);
        run(
            &mut admin,
            &format!(
                "CREATE SUBSCRIPTION {publication} CONNECTION 'host={socket} port=5432 user={as_user} dbname={name}' PUBLICATION {publication}"
            ),
        );
    }

    /// Waits until the subscriber has what the publisher had.
    fn catch_up(&self) {
        let mut publisher = self.publisher.database.admin();
        let position: String = one(&mut publisher, "SELECT pg_current_wal_lsn()::text");
        eventually(
            &mut publisher,
            &format!("SELECT count(*) > 0 AND bool_and(confirmed_flush_lsn >= '{position}') FROM pg_replication_slots"),
        );
        eventually(&mut self.subscriber.admin(), "SELECT bool_and(srsubstate = 'r') FROM pg_subscription_rel");
    }

    fn change(&self, sql: &str) {
        run(&mut self.publisher.database.admin(), sql);
        self.catch_up();
    }
}

/// Gives a subscription to `owner`, a superuser who is none from then on; it writes as him, and needs no password, as
/// before PostgreSQL 16. While it is disabled: a worker that starts just then goes on as the former owner.
pub fn give_to(admin: &mut Client, subscription: &str, owner: &str) {
    run(admin, &format!("ALTER SUBSCRIPTION {subscription} DISABLE"));
    eventually(admin, &format!("SELECT pid IS NULL FROM pg_stat_subscription WHERE subname = '{subscription}'"));
    if one::<i32>(admin, "SELECT current_setting('server_version_num')::int") >= 160_000 {
        run(admin, &format!("ALTER SUBSCRIPTION {subscription} SET (password_required = false, run_as_owner = true)"));
    }
    let give = format!("ALTER SUBSCRIPTION {subscription} OWNER TO {owner}; ALTER SUBSCRIPTION {subscription} ENABLE");
    run(admin, &format!("{give}; ALTER ROLE {owner} NOSUPERUSER"));
}

fn eventually(client: &mut Client, sql: &str) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !one::<Option<bool>>(client, sql).unwrap_or(false) {
        assert!(Instant::now() < deadline, "{sql}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn pair(test: impl FnOnce(&Pair<'_>)) {
    let publisher = Cluster::start(&["wal_level=logical"]);
    let subscriber = Cluster::start(&["wal_retrieve_retry_interval=100ms"]);
    let story = Notes::in_database(publisher.database());
    let database = subscriber.database();
    let app = database.login("app");
    run(
        &mut database.admin(),
        &format!(
            "CREATE TABLE notes (id int PRIMARY KEY, owner_id text NOT NULL, public boolean, body text);
             GRANT SELECT, INSERT, UPDATE, DELETE ON notes TO {app}"
        ),
    );
    test(&Pair { publisher: story, subscriber: database, app });
}

#[test]
fn rows_travel_without_rules_and_the_subscribers_own_hold() {
    pair(|pair| {
        run(&mut pair.publisher.database.admin(), "CREATE PUBLICATION notes FOR TABLE notes");
        pair.subscribe("notes", "postgres");
        pair.catch_up();
        let mut app = pair.subscriber.connect(&pair.app);
        assert_eq!(notes(&mut app), ALL, "no rules came along");
        let mut admin = pair.subscriber.admin();
        run(&mut admin, "SELECT rolecall.protect('notes')");
        assert_eq!(notes(&mut app), 0);
        run(
            &mut admin,
            r#"SELECT rolecall.allow('guest', 'notes', 'select', '{"public": {"equals": true}}', preset => NULL)"#,
        );
        run(&mut admin, r#"SELECT rolecall.allow('users', 'notes', 'insert', preset => '{"body": "preset here"}')"#);
        assert_eq!(notes(&mut app), 20);
        // What arrives passes neither the rules nor the presets; what it may show is decided when it is read.
        pair.change("INSERT INTO notes VALUES (0, 'u2', true, 'new'), (-1, 'u2', false, 'new'); UPDATE notes SET public = true WHERE id = 1; DELETE FROM notes WHERE id = 500");
        assert_eq!(column(&mut app, "SELECT id FROM notes WHERE id < 500 ORDER BY id"), ["0", "1"]);
        assert_eq!(notes(&mut app), 21);
        assert_eq!(one::<String>(&mut admin, "SELECT body FROM notes WHERE id = -1"), "new");
        pair.change("TRUNCATE notes");
        assert_eq!(one::<i64>(&mut admin, "SELECT count(*) FROM notes"), 0);
    });
}

/// Whoever may replicate gets all later rows; of those that were there, what he may see.
#[test]
fn a_login_that_may_replicate_gets_all_rows_that_change() {
    pair(|pair| {
        let mut admin = pair.publisher.database.admin();
        run(
            &mut admin,
            "CREATE ROLE copier LOGIN REPLICATION; GRANT SELECT ON notes TO copier; CREATE PUBLICATION notes FOR TABLE notes",
        );
        assert_eq!(notes(&mut pair.publisher.database.connect("copier")), 0);
        pair.subscribe("notes", "copier");
        pair.catch_up();
        let count = "SELECT count(*) FROM notes";
        let mut copy = pair.subscriber.admin();
        assert_eq!(one::<i64>(&mut copy, count), 0);
        pair.change("INSERT INTO notes VALUES (0, 'u1', false, 'secret')");
        assert_eq!(one::<i64>(&mut copy, count), 1);
        let doctor = r#"SELECT object FROM rolecall.doctor() WHERE "check" = 'publication'"#;
        assert_eq!(column(&mut admin, doctor), ["notes"], "the doctor points at it");
    });
}

/// A subscription that is not a superuser's stops at a protected table, which the rules would concern.
#[test]
fn a_subscription_of_an_ordinary_role_does_not_write_past_rules() {
    pair(|pair| {
        let mut admin = pair.subscriber.admin();
        run(
            &mut admin,
            "CREATE ROLE copier LOGIN SUPERUSER; ALTER TABLE notes OWNER TO copier; SELECT rolecall.protect('notes')",
        );
        run(&mut pair.publisher.database.admin(), "TRUNCATE notes; CREATE PUBLICATION notes FOR TABLE notes");
        pair.subscribe("notes", "postgres");
        pair.catch_up();
        give_to(&mut admin, "notes", "copier");
        run(&mut pair.publisher.database.admin(), "INSERT INTO notes VALUES (0, 'u1', false, 'x')");
        let deadline = Instant::now() + Duration::from_secs(60);
        while !pair
            .subscriber
            .cluster()
            .log()
            .contains("cannot replicate into relation with row-level security enabled")
        {
            assert!(Instant::now() < deadline, "{}", pair.subscriber.cluster().log());
            std::thread::sleep(Duration::from_millis(50));
        }
        assert_eq!(one::<i64>(&mut admin, "SELECT count(*) FROM notes"), 0);
        run(&mut admin, "ALTER ROLE copier BYPASSRLS");
        eventually(&mut admin, "SELECT count(*) = 1 FROM notes");
    });
}

const PEOPLE: &str = "CREATE PUBLICATION people FOR TABLE rolecall.users, rolecall.roles WHERE (name NOT IN ('admins', 'users', 'guest')), rolecall.user_roles, rolecall.role_members";

/// Users, roles and memberships are rows, and a session of the subscriber sees a change at its next statement.
#[test]
fn people_and_their_roles_can_travel() {
    pair(|pair| {
        run(&mut pair.publisher.database.admin(), &format!("{PEOPLE}; CREATE PUBLICATION notes FOR TABLE notes"));
        pair.subscribe("people", "postgres");
        pair.subscribe("notes", "postgres");
        pair.catch_up();
        let mut admin = pair.subscriber.admin();
        run(
            &mut admin,
            r#"SELECT rolecall.protect('notes'); SELECT rolecall.allow('editor', 'notes', 'all');
               SELECT rolecall.allow('users', 'notes', 'all', '{"owner_id": {"equals": "__loggedInUserId"}}')"#,
        );
        let mut app = pair.subscriber.connect(&pair.app);
        let foreign = sqlstate(app.execute("SELECT rolecall.authenticate($1)", &[&pair.publisher.bob]));
        assert_eq!(foreign.0, "28000", "keys did not travel, so each signs its own tokens: {}", foreign.1);
        let bob = token(&mut app, "bob", "can we fix it");
        authenticate(&mut app, &bob, true);
        let prepared = app.prepare("SELECT count(*) FROM notes").unwrap();
        for (change, seen) in [
            ("SELECT 1", BOBS),
            ("SELECT rolecall.grant_role('editor', 'bob')", ALL),
            ("SELECT rolecall.revoke_role('editor', 'bob')", BOBS),
            (
                "SELECT rolecall.create_role('staff'); SELECT rolecall.grant_role('editor', 'role:staff'); SELECT rolecall.grant_role('staff', 'bob')",
                ALL,
            ),
            ("SELECT rolecall.revoke_role('editor', 'role:staff')", BOBS),
            ("SELECT rolecall.grant_role('editor', 'role:staff')", ALL),
            ("SELECT rolecall.drop_role('staff')", BOBS),
        ] {
            pair.change(change);
            assert_eq!(app.query_one(&prepared, &[]).unwrap().get::<_, i64>(0), seen, "{change}");
        }
        pair.change("SELECT rolecall.rename_role('guest', 'visitor')");
        assert_eq!(
            column(&mut app, "SELECT jsonb_array_elements_text(rolecall.whoami() -> 'roles')"),
            ["users", "visitor"]
        );
        pair.change("SELECT rolecall.disable_user('bob')");
        assert_eq!(sqlstate(app.query_one(&prepared, &[])).0, "28000");
        pair.change("SELECT rolecall.enable_user('bob')");
        assert_eq!(notes(&mut app), BOBS);
        pair.change("SELECT rolecall.drop_user('bob')");
        assert_eq!(sqlstate(app.query_one(&prepared, &[])).0, "28000");
    });
}

/// A publication of everything publishes rolecall's tables, too: the keys, and roles that the subscriber has already.
#[test]
fn a_publication_of_everything_takes_the_keys_along_and_stops_at_the_roles() {
    pair(|pair| {
        run(&mut pair.publisher.database.admin(), "CREATE PUBLICATION everything FOR ALL TABLES");
        pair.subscribe("everything", "postgres");
        eventually(&mut pair.subscriber.admin(), "SELECT count(*) = 1 FROM rolecall.signing_keys");
        let deadline = Instant::now() + Duration::from_secs(60);
        while !pair.subscriber.cluster().log().contains("duplicate key value violates unique constraint \"roles_pkey\"")
        {
            assert!(Instant::now() < deadline, "{}", pair.subscriber.cluster().log());
            std::thread::sleep(Duration::from_millis(50));
        }
    });
}
