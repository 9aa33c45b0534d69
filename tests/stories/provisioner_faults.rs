//! `rolecall apply` in company, and when the server, the program or the connection ends in the middle: all of it or nothing.

use crate::provisioner::asked;
use crate::provisioner_world::{Outcome, await_waiting, rolecall, run, value};
use postgres::Client;
use rolecall_tests::{Cluster, Database};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// A shop, and what `setup` makes.
fn database<'a>(cluster: &'a Cluster, setup: &str) -> Database<'a> {
    let db = cluster.plain_database();
    let mut admin = db.admin();
    admin
        .batch_execute("CREATE SCHEMA shop; CREATE TABLE shop.a (id int); CREATE TABLE shop.b (id int)")
        .expect("a shop");
    admin.batch_execute(setup).expect("a setup");
    db
}

/// A role, a setting and two grants: something before the wait and something after it.
fn spec(role: &str) -> String {
    format!(
        "roles: {{{role}: {{comment: made}}}}\ngrants:\n\
         - {{to: {role}, privileges: USAGE, on: {{type: schema, name: shop}}}}\n\
         - {{to: {role}, privileges: SELECT, on: {{type: table, schema: shop, name: '*'}}}}\n"
    )
}

fn count(admin: &mut Client, role: &str) -> String {
    value(admin, &format!("SELECT count(*) FROM pg_roles WHERE rolname = '{role}'"))
}

/// Until nobody holds or awaits the lock of another run here.
fn await_unlocked(admin: &mut Client) {
    let locks = "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database \
                 WHERE locktype = 'advisory' AND datname = current_database()";
    let deadline = Instant::now() + Duration::from_secs(20);
    while value(admin, locks) != "0" {
        assert!(Instant::now() < deadline, "the lock of a run that has ended is still held");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The driver sees either the server's last word or only that it is gone.
fn is_lost(told: &str) {
    assert!(told.contains("57P01") || told.contains("the server closed the connection"), "{told}");
}

fn is_one_error(outcome: &Outcome, words: &[&str]) {
    assert_eq!(outcome.code, 1, "{outcome:?}");
    assert_eq!(outcome.err.matches("error:").count(), 1, "{outcome:?}");
    for word in words {
        assert!(outcome.err.contains(word), "{word}: {outcome:?}");
    }
    assert!(!outcome.err.contains("panicked") && outcome.out.is_empty(), "{outcome:?}");
}

/// How many wait for somebody else here.
const WAITING: &str =
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";

/// Opens a transaction with `busy`, applies `spec`, and lets `then` happen when that waits.
fn beside(db: &Database<'_>, busy: &str, spec: &str, then: impl FnOnce(&mut Client)) -> Outcome {
    std::thread::scope(|scope| {
        // In here, so that a panic ends what is waited for.
        let mut other = db.admin();
        other.batch_execute(&format!("BEGIN; {busy}")).unwrap_or_else(|e| panic!("{busy}: {e}"));
        let applied = scope.spawn(|| rolecall(db, &["apply", "--yes"], spec));
        let mut admin = db.admin();
        while value(&mut admin, WAITING) == "0" {
            assert!(!applied.is_finished(), "{busy}: did not wait: {:?}", applied.join());
            std::thread::sleep(Duration::from_millis(10));
        }
        then(&mut other);
        applied.join().expect("no panic")
    })
}

#[test]
fn what_others_have_not_committed_is_waited_for_and_then_looked_at_again() {
    let cluster = Cluster::start(&[]);
    let cases = [
        (
            "the same default privileges",
            "ALTER DEFAULT PRIVILEGES IN SCHEMA shop GRANT INSERT ON TABLES TO PUBLIC",
            "default_privileges: [{owner: postgres, schema: shop, to: one, on: table, privileges: SELECT}]",
        ),
        ("the same membership", "GRANT one TO two", "memberships: [{role: one, member: two}]"),
        (
            "the same membership with an option",
            "GRANT one TO two WITH ADMIN OPTION",
            "memberships: [{role: one, member: two, admin: true}]",
        ),
        (
            "a setting of the same role",
            "ALTER ROLE one SET work_mem = '9MB'",
            "roles: {one: {config: {enable_sort: false}}}",
        ),
        ("an option of the same role", "ALTER ROLE one CREATEDB", "roles: {one: {login: true}}"),
        ("a comment on the same role", "COMMENT ON ROLE one IS 'theirs'", "roles: {one: {comment: ours}}"),
        ("the same new role", "CREATE ROLE three", "roles: {three: {login: true}}"),
        ("the same new schema", "CREATE SCHEMA store", "schemas: {store: {}}"),
        (
            "a grant on the same column",
            "GRANT SELECT (id) ON shop.a TO two",
            "grants: [{to: one, privileges: UPDATE, on: {type: table, schema: shop, name: a, columns: [id]}}]",
        ),
        (
            "a grant on the same schema",
            "GRANT USAGE ON SCHEMA shop TO two",
            "grants: [{to: one, privileges: USAGE, on: {type: schema, name: shop}}]",
        ),
        (
            "a grant on the same parameter",
            "GRANT SET ON PARAMETER work_mem TO two",
            "grants: [{to: one, privileges: SET, on: {type: parameter, name: work_mem}}]",
        ),
        (
            "a grant on the same database",
            "DO $$BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO two', current_database()); END$$",
            "grants: [{to: one, privileges: CREATE, on: {type: database}}]",
        ),
    ];
    for (name, busy, spec) in cases {
        let db = database(&cluster, "CREATE ROLE one; CREATE ROLE two");
        let applied = beside(&db, busy, spec, |other| other.batch_execute("COMMIT").expect("a commit"));
        assert_eq!(applied.code, 0, "{name}: {applied:?}");
        let plan = rolecall(&db, &["plan"], spec);
        assert_eq!(plan.code, 0, "{name}: {plan:?}");
        let mut admin = cluster.try_connect("postgres", "postgres").expect("the superuser connects");
        admin.batch_execute(&format!("DROP DATABASE {} WITH (FORCE)", db.name)).expect("a drop");
        // DROP OWNED forgets parameters.
        admin.batch_execute("REVOKE ALL ON PARAMETER work_mem FROM one, two").expect("a revoke");
        admin.batch_execute("DROP ROLE one, two; DROP ROLE IF EXISTS three").expect("a drop");
    }
}

#[test]
fn specs_that_differ_applied_at_once_all_come_true() {
    let cluster = Cluster::start(&[]);
    let db = database(&cluster, "");
    let specs: Vec<String> = (0..6).map(|number| spec(&format!("reader_{number}"))).collect();
    std::thread::scope(|scope| {
        let runs: Vec<_> = specs.iter().map(|spec| scope.spawn(|| rolecall(&db, &["apply", "--yes"], spec))).collect();
        for run in runs {
            let done = run.join().expect("no panic");
            assert_eq!(done.code, 0, "{done:?}");
        }
    });
    for spec in &specs {
        let plan = rolecall(&db, &["plan"], spec);
        assert_eq!(plan.code, 0, "{plan:?}");
    }
}

#[test]
fn of_two_that_wait_for_each_other_rolecall_steps_back_and_tries_again() {
    let cluster = Cluster::start(&["deadlock_timeout=200ms"]);
    let db = database(&cluster, "CREATE ROLE theirs; CREATE SCHEMA alpha; CREATE TABLE alpha.t (id int)");
    let spec = "roles: {reader: {}}\ngrants:\n\
                - {to: reader, privileges: SELECT, on: {type: table, schema: alpha, name: t}}\n\
                - {to: reader, privileges: SELECT, on: {type: table, schema: shop, name: a}}\n";
    // The other waits for longer than any test before it looks for deadlocks.
    let busy = "SET LOCAL deadlock_timeout = '1h'; GRANT SELECT ON shop.a TO theirs";
    let applied = beside(&db, busy, spec, |other| {
        other.batch_execute("GRANT SELECT ON alpha.t TO theirs; COMMIT").expect("the other one goes on");
    });
    assert_eq!(applied.code, 0, "{applied:?}");
    assert!(cluster.log().contains("deadlock detected"), "there was no deadlock");
    assert_eq!(rolecall(&db, &["plan"], spec).code, 0);
    let both = "SELECT has_table_privilege('theirs', 'alpha.t', 'SELECT') AND has_table_privilege('theirs', 'shop.a', 'SELECT')";
    assert_eq!(value(&mut db.admin(), both), "true");
}

const BUSY: &str = "GRANT INSERT ON shop.b TO PUBLIC";

/// The process of the server that serves the program.
fn backend(admin: &mut Client) -> String {
    value(admin, "SELECT min(pid) FROM pg_stat_activity WHERE application_name = 'rolecall'")
}

#[test]
fn a_connection_that_the_server_ends_in_the_middle_is_one_error_and_nothing_is_done() {
    let cluster = Cluster::start(&[]);
    let db = database(&cluster, "");
    let ended = beside(&db, BUSY, &spec("reader"), |_| {
        let mut admin = db.admin();
        let pid = backend(&mut admin);
        assert_eq!(value(&mut admin, &format!("SELECT pg_terminate_backend({pid})")), "true");
    });
    is_one_error(&ended, &[]);
    is_lost(&ended.err);
    let mut admin = db.admin();
    assert_eq!(count(&mut admin, "reader"), "0");
    await_unlocked(&mut admin);
    let cancelled = beside(&db, BUSY, &spec("reader"), |_| {
        let mut admin = db.admin();
        let pid = backend(&mut admin);
        assert_eq!(value(&mut admin, &format!("SELECT pg_cancel_backend({pid})")), "true");
    });
    is_one_error(&cancelled, &["57014"]);
    assert_eq!(count(&mut admin, "reader"), "0");
    await_unlocked(&mut admin);
}

#[test]
fn a_server_that_dies_in_the_middle_has_nothing_half_done_when_it_is_back() {
    let mut cluster = Cluster::start(&[]);
    let db = database(&cluster, "");
    let name = db.name.clone();
    let ended = beside(&db, BUSY, &spec("reader"), |_| cluster.crash());
    is_one_error(&ended, &["the server closed the connection"]);
    cluster.restart();
    let mut admin = cluster.try_connect("postgres", &name).expect("the server is back");
    assert_eq!(count(&mut admin, "reader"), "0");
    let mut again = cluster.with_connection(rolecall_tests::program(), "postgres", &name);
    again.args(["apply", "--yes", "-"]);
    let again = run(again, &spec("reader"));
    assert_eq!(again.code, 0, "{again:?}");
}

#[test]
fn a_backend_that_is_killed_takes_all_connections_along_and_nothing_is_done() {
    let cluster = Cluster::start(&[]);
    let db = database(&cluster, "");
    let ended = beside(&db, BUSY, &spec("reader"), |_| send("KILL", &backend(&mut db.admin())));
    is_one_error(&ended, &["the server closed the connection"]);
    let deadline = Instant::now() + Duration::from_secs(20);
    // Until it has noticed, the server still takes connections.
    while !cluster.log().contains("reinitializing") {
        assert!(Instant::now() < deadline, "the server does not notice");
        std::thread::sleep(Duration::from_millis(10));
    }
    let mut admin = loop {
        match cluster.try_connect("postgres", &db.name) {
            Ok(admin) => break admin,
            Err(error) => assert!(Instant::now() < deadline, "the server does not come back: {error}"),
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(count(&mut admin, "reader"), "0");
    assert_eq!(rolecall(&db, &["apply", "--yes"], &spec("reader")).code, 0);
}

fn send(signal: &str, pid: &str) {
    let sent = std::process::Command::new("kill").args(["-s", signal, pid]).status().expect("kill runs");
    assert!(sent.success(), "kill -s {signal} {pid}");
}

/// The program at work on `spec`.
fn start(db: &Database<'_>, spec: &str) -> Child {
    let mut file = tempfile::tempfile().expect("a file");
    std::io::Write::write_all(&mut file, spec.as_bytes()).expect("written");
    std::io::Seek::rewind(&mut file).expect("a file that is read again");
    let program = db.rolecall("postgres");
    // A shell lets what runs in its background ignore Ctrl-C, and so whatever that starts.
    let mut command = std::process::Command::new("env");
    command.args(["--default-signal=INT,TERM".as_ref(), program.get_program()]);
    command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.args(["apply", "--yes", "-"]).stdin(file).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("the program starts")
}

#[test]
fn the_program_ended_in_the_middle_leaves_nothing_behind() {
    let cluster = Cluster::start(&[]);
    let db = database(&cluster, "");
    let mut admin = db.admin();
    for signal in ["KILL", "TERM", "INT"] {
        let mut other = db.admin();
        other.batch_execute(&format!("BEGIN; {BUSY}")).expect("an open grant");
        let mut program = start(&db, &spec("reader"));
        await_waiting(&mut admin);
        send(signal, &program.id().to_string());
        assert!(!program.wait().expect("it ends").success(), "{signal}");
        // The server notices by itself, though what was waited for is still held.
        await_unlocked(&mut admin);
        other.batch_execute("ROLLBACK").expect("a rollback");
        assert_eq!(count(&mut admin, "reader"), "0", "{signal}");
    }
    assert_eq!(rolecall(&db, &["apply", "--yes"], &spec("reader")).code, 0);
}

#[test]
fn a_wait_that_takes_too_long_is_one_error_that_says_for_what() {
    let cluster = Cluster::start(&[]);
    let db = database(&cluster, "");
    let mut other = db.admin();
    other.batch_execute(&format!("BEGIN; {BUSY}")).expect("an open grant");
    for (flag, code) in [("--lock-timeout", "55P03"), ("--statement-timeout", "57014")] {
        let ended = rolecall(&db, &["apply", "--yes", flag, "300ms"], &spec("reader"));
        is_one_error(&ended, &[code, "while waiting for table shop."]);
        assert_eq!(count(&mut db.admin(), "reader"), "0");
    }
    other.batch_execute("COMMIT").expect("a commit");
    // Another run's lock is waited for as well.
    other.batch_execute(&format!("SELECT pg_advisory_lock({})", 0x726f_6c65_6361_6c6c_i64)).expect("the lock");
    for flag in ["--lock-timeout", "--statement-timeout"] {
        let ended = rolecall(&db, &["apply", "--yes", flag, "300ms"], &spec("reader"));
        is_one_error(&ended, &["another run of rolecall"]);
    }
    drop(other);
    assert_eq!(rolecall(&db, &["apply", "--yes", "--lock-timeout", "20s"], &spec("reader")).code, 0);
}

#[test]
fn of_several_databases_the_error_says_which_are_done() {
    let cluster = Cluster::start(&[]);
    let [one, two, three] = [(); 3].map(|()| database(&cluster, ""));
    // That there is no such column the server knows only when it tries.
    let on = |db: &Database<'_>, column: &str| {
        format!(
            "  {}: {{grants: [{{to: reader, privileges: SELECT, on: {{type: table, schema: shop, name: a, columns: [{column}]}}}}]}}\n",
            db.name
        )
    };
    let spec =
        format!("roles: {{reader: {{}}}}\ndatabases:\n{}{}{}", on(&one, "id"), on(&two, "nothing"), on(&three, "id"));
    let failed = rolecall(&one, &["apply", "--yes"], &spec);
    let (failing, done) = (format!("database \"{}\"", two.name), format!("done: {}", one.name));
    is_one_error(
        &failed,
        &["nothing", "has no column", &failing, &done, &format!("not done: {}, {}", two.name, three.name)],
    );
    let may = "SELECT has_column_privilege('reader', 'shop.a', 'id', 'SELECT')";
    assert_eq!([&one, &two, &three].map(|db| value(&mut db.admin(), may)), ["true", "false", "false"]);
}

#[test]
fn a_connection_lost_between_plan_and_answer_is_one_error_and_nothing_is_done() {
    let cluster = Cluster::start(&[]);
    let db = database(&cluster, "");
    let lost = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'rolecall'";
    let (code, told) = asked(&db, &spec("reader"), lost, "y\n");
    assert!(code == 1 && told.matches("error:").count() == 1, "{told}");
    is_lost(&told);
    assert_eq!(count(&mut db.admin(), "reader"), "0");
}
