//! Dump and restore: the same people, the same rules, the same rows.

use crate::support::*;
use rolecall_tests::Database;
use std::io::Write;
use std::process::Stdio;

/// A new database from a dump of another one.
pub fn restore(database: &Database<'static>) -> Database<'static> {
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
    restored
}

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
