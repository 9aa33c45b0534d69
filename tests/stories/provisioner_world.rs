//! What the provisioner's stories share: running the program on a spec, and seeing whether the catalogs were touched.

use postgres::Client;
use rolecall_tests::Database;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What a run of the program came to.
#[derive(Debug)]
pub struct Outcome {
    pub code: i32,
    pub out: String,
    pub err: String,
}

/// Runs `command` with `input` as its standard input.
pub fn run(mut command: Command, input: &str) -> Outcome {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    // Who does not read the spec, such as a program that found its arguments wrong, is not wrong about the pipe.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let output = child.wait_with_output().expect("the program ends");
    Outcome {
        code: output.status.code().expect("it was not killed"),
        out: String::from_utf8(output.stdout).expect("UTF-8"),
        err: String::from_utf8(output.stderr).expect("UTF-8"),
    }
}

/// Runs `rolecall` on `spec` as the superuser.
pub fn rolecall(db: &Database<'_>, arguments: &[&str], spec: &str) -> Outcome {
    rolecall_as(db, "postgres", arguments, spec)
}

/// Runs `rolecall` on `spec` as `user`.
pub fn rolecall_as(db: &Database<'_>, user: &str, arguments: &[&str], spec: &str) -> Outcome {
    let mut command = db.rolecall(user);
    command.args(arguments);
    if matches!(arguments, ["plan" | "apply" | "check", ..]) {
        command.arg("-");
    }
    run(command, spec)
}

/// Applies `spec`, which must succeed and leave nothing.
pub fn apply(db: &Database<'_>, spec: &str) {
    let done = rolecall(db, &["apply", "--yes"], spec);
    assert_eq!(done.code, 0, "{done:?}");
}

/// The transaction that wrote each catalog row that roles and privileges live in: equal before and after means that
/// nothing was written.
pub fn written(client: &mut Client) -> Vec<String> {
    const CATALOGS: [(&str, &str); 17] = [
        ("pg_authid", "oid"),
        ("pg_auth_members", "roleid || ' ' || member"),
        ("pg_class", "oid"),
        ("pg_namespace", "oid"),
        ("pg_proc", "oid"),
        ("pg_type", "oid"),
        ("pg_database", "oid"),
        ("pg_default_acl", "oid"),
        ("pg_attribute", "attrelid || ' ' || attnum"),
        ("pg_db_role_setting", "setdatabase || ' ' || setrole"),
        ("pg_shdescription", "objoid"),
        ("pg_language", "oid"),
        ("pg_foreign_data_wrapper", "oid"),
        ("pg_foreign_server", "oid"),
        ("pg_largeobject_metadata", "oid"),
        ("pg_tablespace", "oid"),
        ("pg_parameter_acl", "oid"),
    ];
    // PostgreSQL 14 has no privileges on parameters.
    let known = column(client, "SELECT relname FROM pg_class WHERE relnamespace = 'pg_catalog'::regnamespace");
    let parts: Vec<String> = CATALOGS
        .iter()
        .filter(|(catalog, _)| known.iter().any(|name| name == catalog))
        .map(|(catalog, key)| format!("SELECT '{catalog} ' || {key} || ' ' || xmin AS row FROM {catalog}"))
        .collect();
    let sql = format!("{} ORDER BY 1", parts.join(" UNION ALL "));
    column(client, &sql)
}

/// The one column of a query's rows, text.
pub fn column(client: &mut Client, sql: &str) -> Vec<String> {
    let rows = client.query(&format!("SELECT one::text FROM ({sql}) all_rows (one)"), &[]);
    rows.unwrap_or_else(|e| panic!("{sql}: {e}")).iter().map(|row| row.get(0)).collect()
}

/// The one value of a query, as text.
pub fn value(client: &mut Client, sql: &str) -> String {
    let row = client.query_one(&format!("SELECT ({sql})::text"), &[]).unwrap_or_else(|e| panic!("{sql}: {e}"));
    row.get::<_, Option<String>>(0).unwrap_or_else(|| "NULL".to_owned())
}

/// The major version of the server.
pub fn server_version(client: &mut Client) -> u32 {
    value(client, "SELECT current_setting('server_version_num')::int / 10000").parse().expect("a number")
}

/// Until somebody in this database waits for somebody else.
pub fn await_waiting(admin: &mut Client) {
    let waiting =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let deadline = Instant::now() + Duration::from_secs(20);
    while value(admin, waiting) == "0" {
        assert!(Instant::now() < deadline, "nobody waits");
        std::thread::sleep(Duration::from_millis(10));
    }
}
