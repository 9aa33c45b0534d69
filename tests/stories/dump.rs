//! Dump and restore: the same people, the same rules, the same rows.

use crate::support::*;
use std::io::Write;
use std::process::Stdio;

#[test]
fn a_restored_dump_gives_the_same_answers() {
    let story = Notes::new();
    let mut admin = story.database.admin();
    run(&mut admin, "SELECT rolecall.create_role('staff'); SELECT rolecall.grant_role('staff', 'role:editor')");
    let restored = story.database.cluster().plain_database();
    let cluster = story.database.cluster();
    let dump = cluster.client_program("pg_dump", "postgres", &story.database.name).output().unwrap();
    assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
    let secret: String = one(&mut admin, "SELECT encode(secret, 'hex') FROM rolecall.signing_keys");
    assert!(!String::from_utf8_lossy(&dump.stdout).contains(&secret), "a dump holds no secret");
    let mut psql = restored.psql("postgres");
    let mut psql = psql.arg("--quiet").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    psql.stdin.take().unwrap().write_all(&dump.stdout).unwrap();
    assert!(psql.wait().unwrap().success());

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
