//! Dump and restore: the same people, the same rules, the same rows.

use crate::relations::House;
use crate::support::*;
use postgres::Client;
use rolecall_tests::Database;
use std::io::Write;
use std::process::Stdio;

/// A new database from a dump of another one.
pub fn restore<'a>(database: &Database<'a>) -> Database<'a> {
    let cluster = database.cluster();
    let restored = cluster.plain_database();
    let dump = cluster.client_program("pg_dump", "postgres", &database.name).output().unwrap();
    assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
    for secret in column(&mut database.admin(), "SELECT encode(secret, 'hex') FROM rolecall.signing_keys") {
        assert!(!String::from_utf8_lossy(&dump.stdout).contains(&secret), "a dump holds no secret");
    }
    let mut psql = restored.psql("postgres");
    let mut psql = psql.arg("--quiet").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    psql.stdin.take().unwrap().write_all(&dump.stdout).unwrap();
    assert!(psql.wait().unwrap().success());
    let changed = r#"SELECT d::text FROM rolecall.doctor() d WHERE "check" IN ('policy', 'row-security')"#;
    assert_eq!(column(&mut restored.admin(), changed), [""; 0], "policies say what they said");
    restored
}

/// Trap 30.
#[test]
fn servers_scopes_and_everybodys_name_are_restored() {
    let (database, login) = crate::flowkit::server();
    let mut admin = database.admin();
    let mut ana = crate::flowkit::session(&database, &login, "ana");
    run(&mut ana, "SELECT rolecall.issue_token('north', '{State-level analyst}')");
    run(
        &mut admin,
        &format!(
            "SELECT rolecall.add_default_roles('openflow'); SELECT rolecall.add_default_roles('8base');
             SELECT rolecall.set_api_allow_anonymous(true);
             CREATE TABLE posts (id int); INSERT INTO posts VALUES (1), (2); GRANT SELECT ON posts TO {login};
             SELECT rolecall.protect('posts'); SELECT rolecall.allow('Guest', 'posts', 'select', '{{\"id\": {{\"lt\": 2}}}}')"
        ),
    );
    let restored = restore(&database);
    for table in ["servers", "server_scopes", "roles", "role_scopes", "role_members", "server_tokens", "audit_entries"]
    {
        let rows = format!("SELECT t FROM rolecall.{table} t ORDER BY t::text");
        let (before, after) = (column(&mut admin, &rows), column(&mut restored.admin(), &rows));
        assert!(!before.is_empty() && before == after, "{table}\n{before:?}\n{after:?}");
    }
    let mut app = restored.connect(&login);
    assert_eq!(column(&mut app, "SELECT jsonb_array_elements_text(rolecall.whoami() -> 'roles')"), ["Guest"]);
    assert_eq!(column(&mut app, "SELECT id FROM posts"), ["1"]);
    assert!(one::<bool>(&mut app, "SELECT rolecall.has_scope('nodered:api:call')"));
    // A rule goes on from where it was, and a column's new name reaches it there too.
    run(&mut restored.admin(), "ALTER TABLE posts RENAME id TO number");
    assert_eq!(column(&mut app, "SELECT number FROM posts"), ["1"]);
}

/// Trap 29.
#[test]
fn a_restored_dump_gives_the_same_answers() {
    let story = Notes::new();
    let mut admin = story.database.admin();
    run(&mut admin, "SELECT rolecall.create_role('staff'); SELECT rolecall.grant_role('staff', 'role:editor')");
    let restored = restore(&story.database);
    let log = "SELECT e FROM rolecall.audit_entries e ORDER BY id";
    let recorded = column(&mut story.database.admin(), log);
    assert!(recorded.len() > 5);
    assert_eq!(column(&mut restored.admin(), log), recorded, "restoring is no change");

    let mut app = restored.connect(&story.app);
    assert_eq!(notes(&mut app), 0);
    let mut admin = restored.admin();
    let entries = "SELECT id::text || action || object FROM rolecall.audit_entries ORDER BY id";
    assert_eq!(column(&mut admin, entries), column(&mut story.database.admin(), entries), "recorded once, not again");
    for (username, password, seen) in [("alice", "wonderland 1865", ALL), ("bob", "can we fix it", BOBS)] {
        authenticate(&mut app, &token(&mut admin, username, password), true);
        assert_eq!(notes(&mut app), seen);
    }
    let old = app.execute("SELECT rolecall.authenticate($1)", &[&story.alice]);
    assert_eq!(rolecall_tests::sqlstate(old).0, "28000", "keys are not in the dump");
    let roles = "SELECT role || '<' || member FROM rolecall.role_members";
    assert_eq!(column(&mut admin, roles), ["staff<editor"]);
    run(&mut admin, "SELECT rolecall.allow('guest', 'notes', 'select', '{\"id\": {\"equals\": 5}}')");
    run(&mut app, "SELECT rolecall.logout()");
    assert_eq!(notes(&mut app), 1, "rules go on from where they were");
}

/// All that a rule can be made of: relations from foreign keys and named ones, the users' table, columns, presets, a view.
/// Trap 30.
#[test]
fn rules_with_relations_columns_and_presets_are_restored() {
    let house = House::new();
    let mut admin = house.database.admin();
    run(
        &mut admin,
        &format!(
            r#"SELECT rolecall.create_role('editor'), rolecall.create_role('reader');
            SELECT rolecall.grant_role('editor', 'ann'), rolecall.grant_role('reader', 'ben');
            GRANT INSERT ON posts TO {app}; GRANT INSERT, SELECT ON comments TO {app};
            SELECT rolecall.allow('editor', 'posts', 'all', '{{"createdBy": {{"is_self": true}}}}', preset => '{{"created_by_id": "__loggedInUserId"}}');
            SELECT rolecall.allow('reader', 'posts', 'select', '{{"tags": {{"some": {{"label": {{"equals": "tech"}}}}}}}}', columns => '{{id,title}}');
            SELECT rolecall.allow('users', 'users', 'select', '{{"OR": [{{"is_self": true}}, {{"reports": {{"some": {{"is_self": true}}}}}}]}}');
            SELECT rolecall.allow('guest', 'comments', 'select', '{{"post": {{"author": {{"user": {{"active": {{"equals": true}}}}}}}}}}');
            SELECT rolecall.expose('posts'); GRANT SELECT ON posts_exposed TO {app};"#,
            app = house.app
        ),
    );
    let views = "SELECT relname || pg_get_viewdef(oid) FROM pg_class
                  WHERE relnamespace = 'rolecall_relations'::regnamespace ORDER BY 1";
    let policies =
        "SELECT concat_ws(' ', tablename, policyname, permissive, cmd, qual, with_check) FROM pg_policies ORDER BY 1";
    let written = "SELECT concat_ws(' ', role, target, action, filter, columns, new_row, preset) FROM rolecall.permissions ORDER BY 1";
    let restored = restore(&house.database);
    for catalog in [views, policies, written] {
        let before = column(&mut admin, catalog);
        assert!(before.len() > 3);
        assert_eq!(column(&mut restored.admin(), catalog), before);
    }
    let mut new = restored.admin();
    let mut app = restored.connect(&house.app);
    let answers = |app: &mut Client, new: &mut Client, renamed: bool| {
        let [title, creator] = if renamed { ["headline", "made_by"] } else { ["title", "created_by_id"] };
        run(app, "SELECT rolecall.logout()");
        assert_eq!(column(app, "SELECT id FROM comments ORDER BY 1"), ["c1", "c2", "c3", "c5", "c6"]);
        authenticate(app, &token(new, "ann", "seven dwarfs, 1 giant"), true);
        assert_eq!(column(app, &format!("SELECT id || {title} FROM posts ORDER BY 1")), ["p1One", "p6Six"]);
        assert_eq!(column(app, "SELECT id FROM users ORDER BY 1"), ["ann"]);
        let insert = format!("INSERT INTO posts (id, {creator}) VALUES ('new', 'ben') RETURNING {creator}");
        let mut transaction = app.transaction().unwrap();
        assert_eq!(transaction.query_one(&insert, &[]).unwrap().get::<_, String>(0), "ann");
        transaction.rollback().unwrap();
        authenticate(app, &token(new, "ben", "seven dwarfs, 1 giant"), true);
        assert_eq!(
            column(app, &format!("SELECT id FROM posts WHERE {title} IS NOT NULL ORDER BY 1")),
            ["p1", "p3", "p7"]
        );
        assert_eq!(column(app, "SELECT id FROM posts WHERE id = 'p2'"), [""; 0]);
        assert_eq!(column(app, "SELECT id FROM users ORDER BY 1"), ["ann", "ben"]);
        refused(app, "SELECT stars FROM posts", "42501", "may read column \"stars\"");
        refused(
            app,
            &format!("INSERT INTO posts (id, {creator}) VALUES ('new', 'ben')"),
            "42501",
            "row-level security",
        );
        let cells = format!("SELECT concat_ws(' ', id, {title}, stars) FROM posts_exposed ORDER BY 1");
        assert_eq!(column(app, &cells), ["p1 One", "p3 Three", "p7 "]);
    };
    answers(&mut app, &mut new, false);
    refused(&mut new, "ALTER TABLE tags DROP COLUMN label CASCADE", "55000", "rules of rolecall on");
    run(
        &mut new,
        "ALTER TABLE tags RENAME label TO word; ALTER TABLE tags RENAME TO labels; ALTER TABLE posts RENAME title TO headline;
         ALTER TABLE posts RENAME created_by_id TO made_by; ALTER TABLE users RENAME id TO login; ALTER TABLE users RENAME login TO id;
         ALTER TABLE users RENAME active TO working; ALTER TABLE posts_tags DROP CONSTRAINT posts_tags_tag_id_fkey;",
    );
    answers(&mut app, &mut new, true);
    // Compiled again there, and dumped once more, it is still the same.
    run(
        &mut new,
        "SELECT rolecall.allow('reader', 'posts', 'select', filter, columns => '{id,headline}') FROM rolecall.permissions
          WHERE role = 'reader';
         SELECT rolecall.relate('posts', 'createdBy', 'users', '{made_by}', '{id}')",
    );
    answers(&mut app, &mut new, true);
    let again = restore(&restored);
    answers(&mut again.connect(&house.app), &mut again.admin(), true);
}

/// `pg_restore --disable-triggers` leaves triggers that are always on as ordinary ones: nobody sees more, and the doctor says it.
#[test]
fn data_restored_without_triggers_is_as_closed_and_the_doctor_says_what_to_mend() {
    let story = Notes::new();
    let (cluster, name) = (story.database.cluster(), &story.database.name);
    let restored = cluster.plain_database();
    for part in [&["--schema-only"][..], &["--data-only", "--disable-triggers"]] {
        let dump = cluster.client_program("pg_dump", "postgres", name).args(part).output().unwrap();
        assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
        let mut psql = restored.psql("postgres");
        let mut psql = psql.arg("--quiet").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        psql.stdin.take().unwrap().write_all(&dump.stdout).unwrap();
        assert!(psql.wait().unwrap().success());
    }
    let mut admin = restored.admin();
    let bob = token(&mut admin, "bob", "can we fix it");
    let mut app = restored.connect(&story.app);
    assert_eq!(notes(&mut app), 0);
    authenticate(&mut app, &bob, true);
    assert_eq!(notes(&mut app), BOBS);
    let faults = r#"SELECT advice FROM rolecall.doctor() WHERE "check" = 'own-trigger'"#;
    let advice = column(&mut admin, faults);
    assert!(advice.len() > 10, "{advice:?}");
    run(&mut admin, &advice.join("\n"));
    assert_eq!(column(&mut admin, faults), [""; 0]);
}
