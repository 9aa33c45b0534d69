//! Partitions and children have the rules of their parent, whichever way one reads them, and whenever they were made.

use crate::support::*;
use postgres::Client;
use rolecall_tests::sqlstate;

const OWN: &str = r#"'{"owner": {"equals": "__loggedInUserId"}}'"#;

/// A partitioned table, each partition readable by itself, and bob's and alice's letters in it.
fn letters() -> (Notes<'static>, Client, Client) {
    let story = Notes::new();
    let mut admin = story.database.admin();
    run(
        &mut admin,
        &format!(
            "CREATE TABLE letters (id int, owner text, year int) PARTITION BY LIST (year);
             CREATE TABLE letters_1 PARTITION OF letters FOR VALUES IN (1);
             CREATE TABLE letters_2 PARTITION OF letters FOR VALUES IN (2) PARTITION BY LIST (id);
             CREATE TABLE letters_2_1 PARTITION OF letters_2 DEFAULT;
             INSERT INTO letters SELECT n, 'u' || n % 2 + 1, n % 2 + 1 FROM generate_series(1, 20) n;
             INSERT INTO letters SELECT n, 'u' || n % 2 + 1, (n + 1) % 2 + 1 FROM generate_series(21, 30) n;
             GRANT ALL ON ALL TABLES IN SCHEMA public TO {app}; ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO {app};
             SELECT rolecall.protect('letters'); SELECT rolecall.allow('users', 'letters', 'all', {OWN})",
            app = story.app
        ),
    );
    let mut app = story.connect();
    authenticate(&mut app, &story.bob, true);
    (story, admin, app)
}

/// How many rows one sees of each table.
fn seen(app: &mut Client, tables: &[&str]) -> Vec<i64> {
    tables.iter().map(|table| one(app, &format!("SELECT count(*) FROM {table}"))).collect()
}

/// Trap 20.
#[test]
fn a_partition_read_directly_has_the_parents_rules() {
    let (_story, mut admin, mut app) = letters();
    let all = ["letters", "letters_1", "letters_2", "letters_2_1"];
    assert_eq!(seen(&mut app, &all), [15, 5, 10, 10]);
    assert_eq!(sqlstate(app.batch_execute("INSERT INTO letters_1 VALUES (7, 'u1', 1)")).0, "42501");
    assert_eq!(app.execute("DELETE FROM letters_2_1 WHERE owner = 'u1'", &[]).unwrap(), 0);
    run(&mut admin, r#"SELECT rolecall.allow('users', 'letters', 'select', '{"id": {"lt": 11}}')"#);
    assert_eq!(seen(&mut app, &all), [10, 5, 5, 5], "as do later changes of the rules");
    run(&mut admin, "SELECT rolecall.rename_role('guest', 'x'); SELECT rolecall.unprotect('letters')");
    assert_eq!(seen(&mut app, &all), [30, 15, 15, 15]);
    assert_eq!(one::<i64>(&mut admin, "SELECT count(*) FROM pg_policies WHERE tablename LIKE 'letters%'"), 0);
    assert_eq!(
        one::<i64>(&mut admin, "SELECT count(*) FROM pg_class WHERE relname ~ '^letters' AND relrowsecurity"),
        0
    );
}

/// Trap 20.
#[test]
fn later_partitions_and_children_have_them_too() {
    let (_story, mut admin, mut app) = letters();
    run(
        &mut admin,
        "CREATE TABLE letters_3 PARTITION OF letters FOR VALUES IN (3);
         CREATE TABLE other (year int, owner text, id int); INSERT INTO other VALUES (4, 'u1', 100), (4, 'u2', 101)",
    );
    assert_eq!(seen(&mut app, &["other"]), [2], "no part of it yet");
    run(&mut admin, "ALTER TABLE letters ATTACH PARTITION other FOR VALUES IN (4)");
    run(&mut admin, "INSERT INTO letters VALUES (200, 'u1', 3), (201, 'u2', 3)");
    assert_eq!(seen(&mut app, &["letters", "letters_3", "other"]), [17, 1, 1]);
    // One that leaves keeps what it had until it is said otherwise.
    run(&mut admin, "ALTER TABLE letters DETACH PARTITION other; SELECT rolecall.allow('users', 'letters', 'select')");
    assert_eq!(seen(&mut app, &["letters_3", "other"]), [2, 1]);
    run(&mut admin, "SELECT rolecall.unprotect('other')");
    assert_eq!(seen(&mut app, &["letters_3", "other"]), [2, 2]);
    // Inheritance, also by a table that has more columns.
    run(
        &mut admin,
        &format!(
            "CREATE TABLE base (id int, owner text); SELECT rolecall.protect('base'); SELECT rolecall.allow('users', 'base', 'select', {OWN});
             CREATE TABLE child (extra int) INHERITS (base); CREATE TABLE late (LIKE child); ALTER TABLE late INHERIT child;
             INSERT INTO child VALUES (1, 'u1', 0), (2, 'u2', 0); INSERT INTO late VALUES (3, 'u1', 0), (4, 'u2', 0)"
        ),
    );
    assert_eq!(seen(&mut app, &["base", "child", "late", "ONLY child"]), [2, 2, 1, 1]);
}

#[test]
fn a_partition_may_have_rules_of_its_own() {
    let (_story, mut admin, mut app) = letters();
    run(&mut admin, "SELECT rolecall.protect('letters_1')");
    assert_eq!(seen(&mut app, &["letters", "letters_1"]), [15, 0]);
    run(
        &mut admin,
        "SELECT rolecall.allow('users', 'letters_1', 'select'); SELECT rolecall.disallow('users', 'letters', 'all')",
    );
    assert_eq!(seen(&mut app, &["letters", "letters_1", "letters_2_1"]), [0, 15, 0]);
    run(&mut admin, "SELECT rolecall.unprotect('letters_1')");
    assert_eq!(seen(&mut app, &["letters", "letters_1"]), [0, 0], "the parent's again");
}

#[test]
fn whoever_owns_the_table_may_add_partitions() {
    let (story, mut admin, mut app) = letters();
    let owner = story.database.login("owner");
    run(&mut admin, &format!("ALTER TABLE letters OWNER TO {owner}; GRANT CREATE ON SCHEMA public TO {owner}"));
    let mut owner = story.database.connect(&owner);
    run(
        &mut owner,
        &format!(
            "CREATE TABLE letters_9 PARTITION OF letters FOR VALUES IN (9); GRANT ALL ON letters_9 TO {}",
            story.app
        ),
    );
    run(&mut admin, "INSERT INTO letters VALUES (1, 'u1', 9)");
    assert_eq!(seen(&mut app, &["letters_9"]), [0]);
    assert_eq!(seen(&mut owner, &["letters_9"]), [0], "nor does he read it");
    refused(&mut owner, "SELECT rolecall.include_children('letters')", "42501", "permission denied");
}

/// A partition that is made while the rules change has the new ones.
/// Trap 20.
#[test]
fn a_partition_made_meanwhile_misses_no_change() {
    let (story, mut admin, mut app) = letters();
    let (mut first, mut second) = (story.database.admin(), story.database.admin());
    let pid: i32 = one(&mut second, "SELECT pg_backend_pid()");
    run(
        &mut first,
        "BEGIN; CREATE TABLE letters_5 PARTITION OF letters FOR VALUES IN (5); INSERT INTO letters VALUES (1, 'u2', 5)",
    );
    let waiting =
        std::thread::spawn(move || second.batch_execute("SELECT rolecall.disallow('users', 'letters', 'all')"));
    wait_for_lock(&mut admin, pid, || waiting.is_finished());
    run(&mut first, "COMMIT");
    waiting.join().unwrap().unwrap();
    assert_eq!(seen(&mut app, &["letters", "letters_5"]), [0, 0]);
}

#[test]
fn a_dump_with_partitions_is_restored() {
    let (story, mut admin, _app) = letters();
    run(&mut admin, "CREATE TABLE letters_3 PARTITION OF letters FOR VALUES IN (3)");
    let restored = crate::dump::restore(&story.database);
    let mut app = restored.connect(&story.app);
    assert_eq!(seen(&mut app, &["letters", "letters_1", "letters_2_1", "letters_3"]), [0, 0, 0, 0]);
    authenticate(&mut app, &token(&mut restored.admin(), "bob", "can we fix it"), true);
    assert_eq!(seen(&mut app, &["letters", "letters_1", "letters_2_1", "letters_3"]), [15, 5, 10, 0]);
    run(&mut restored.admin(), "SELECT rolecall.allow('users', 'letters', 'select')");
    assert_eq!(seen(&mut app, &["letters", "letters_1"]), [30, 15]);
}
