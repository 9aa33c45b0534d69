//! `doctor()` and `rolecall doctor`: what is wrong is found, what it advises mends it, and a healthy database has nothing.

use crate::doctor_schemas::{ACCOUNTS, CLUSTER, Flaw, OWN, TABLES, UNTIL_15, WAYS};
use crate::provisioner_world::{rolecall, rolecall_as};
use crate::support::*;
use rolecall_tests::{Cluster, Database};
use std::io::Write;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// What no statement of a story can mend: the server is what it is.
const INHERENT: [&str; 1] = ["server-version"];

/// A finding: level, check and object in one, and the advice.
type Finding = (String, String);

/// A server with nobody else's roles, whose changes can be decoded.
fn cluster() -> Cluster {
    Cluster::start(&["shared_preload_libraries=rolecall", "wal_level=logical"])
}

/// A database with protected tables as the README makes them.
fn healthy(database: Database<'_>) -> (Database<'_>, String) {
    let app = database.login("app");
    run(
        &mut database.admin(),
        &format!(
            r#"SELECT rolecall.create_user('ada', id => 'u1');
            CREATE TABLE files (id int PRIMARY KEY, name text, created_by text);
            CREATE TABLE logs (id int) PARTITION BY LIST (id);
            CREATE TABLE logs_1 PARTITION OF logs FOR VALUES IN (1);
            GRANT SELECT, INSERT, UPDATE, DELETE ON files, logs TO {app};
            SELECT rolecall.protect('files'), rolecall.protect('logs');
            SELECT rolecall.allow('users', 'files', 'all', '{{"created_by": {{"equals": "__loggedInUserId"}}}}',
                                  preset => '{{"created_by": "__loggedInUserId"}}');
            SELECT rolecall.expose('files');"#
        ),
    );
    (database, app)
}

fn findings(database: &Database<'_>) -> Vec<Finding> {
    let sql = r#"SELECT concat_ws(' ', level, "check", object), advice, "check" FROM rolecall.doctor()"#;
    let rows = database.admin().query(sql, &[]).unwrap_or_else(|e| panic!("{sql}: {e:?}"));
    let rows = rows.iter().filter(|row| !INHERENT.contains(&row.get::<_, &str>(2)));
    rows.map(|row| (row.get(0), row.get(1))).collect()
}

/// As a person would run it, statement by statement.
fn psql(database: &Database<'_>, sql: &str) {
    let mut psql = database.psql("postgres");
    let mut psql = psql.arg("-qAt").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    psql.stdin.take().unwrap().write_all(format!("{sql}\n;").as_bytes()).unwrap();
    let output = psql.wait_with_output().unwrap();
    assert!(output.status.success(), "{sql}\n{}", String::from_utf8_lossy(&output.stderr));
}

/// Waits until the server has read its configuration again.
fn await_findings(database: &Database<'_>, expected: &[String], what: &str) -> Vec<Finding> {
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let found = findings(database);
        if found.iter().map(|(finding, _)| finding).eq(expected) {
            return found;
        }
        assert!(Instant::now() < deadline, "{what}: not {expected:#?} but {found:#?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Each flaw in a database of its own: found, and mended by the advice alone.
fn are_found_and_mended(cluster: &Cluster, flaws: &[Flaw]) {
    for (what, sql, expected) in flaws {
        let (database, app) = healthy(cluster.database());
        let group = format!("{}_group", database.name);
        run(&mut database.admin(), &format!("CREATE ROLE {group}"));
        let named =
            |text: &str| text.replace("$app", &app).replace("$group", &group).replace("$database", &database.name);
        await_findings(&database, &[], &format!("before: {what}"));
        psql(&database, &named(sql));
        let expected: Vec<_> = named(expected).lines().map(str::to_owned).collect();
        for (_, advice) in await_findings(&database, &expected, what) {
            psql(&database, &advice);
        }
        await_findings(&database, &[], &format!("mended: {what}"));
    }
}

/// Traps 10, 12, 14 and 22.
#[test]
fn flawed_tables_are_found_and_mended() {
    are_found_and_mended(&cluster(), TABLES);
}

/// Traps 9, 10 and 25.
#[test]
fn ways_past_the_rules_are_found_and_mended() {
    are_found_and_mended(&cluster(), WAYS);
}

/// Trap 8.
#[test]
fn what_was_done_to_rolecall_itself_is_found_and_mended() {
    are_found_and_mended(&cluster(), OWN);
}

#[test]
fn flawed_accounts_and_slow_rules_are_found_and_mended() {
    are_found_and_mended(&cluster(), ACCOUNTS);
}

/// Traps 10 and 11.
#[test]
fn roles_and_settings_are_found_and_mended() {
    // Otherwise than the others this server does not load the library by itself: a database can say that it does not.
    let cluster = Cluster::start(&["session_preload_libraries=rolecall"]);
    are_found_and_mended(&cluster, CLUSTER);
    let number: i32 = one(&mut cluster.database().admin(), "SELECT current_setting('server_version_num')::int");
    if number < 160_000 {
        are_found_and_mended(&cluster, UNTIL_15);
    }
}

/// What rolecall makes by itself is no finding, nor is it after a restore.
#[test]
fn a_healthy_database_has_no_findings() {
    let cluster = cluster();
    let (database, _) = healthy(cluster.database());
    let mut admin = database.admin();
    run(
        &mut admin,
        r#"CREATE TABLE people (id text PRIMARY KEY, boss_id text REFERENCES people, joined timestamptz, tags text[], doc jsonb);
        CREATE TABLE plans (id int PRIMARY KEY, owner_id text REFERENCES people, title varchar(20), price numeric, at date, _acl jsonb);
        SELECT rolecall.users_table('people', 'id'); SELECT rolecall.protect('people'), rolecall.protect('plans', '_acl');
        SELECT rolecall.create_role('it''s "ours"', pool => true);
        SELECT rolecall.allow('users', 'people', 'select', '{"OR": [{"is_self": true}, {"boss": {"boss": {"is_self": true}}},
            {"plans": {"every": {"price": {"gt": 7}}}}, {"tags": {"has_some": ["a", "b"]}}, {"doc": {"path": "$.a[0]", "in": [1, 2]}},
            {"joined": {"relative": {"gte": {"op": "SUB", "unit": "DAY", "value": "7"}}}}]}');
        SELECT rolecall.allow('it''s "ours"', 'plans', 'all', '{"AND": [{"title": {"in": ["x", "it''s \\ \"so\""], "not_contains": "%"}},
            {"NOT": {"at": {"lt": "2020-02-03"}}}, {"owner": {"boss_id": {"equals": "__loggedInUserId"}}}]}',
            columns => NULL, new_row => '{"price": {"not_in": [1.50, 2]}}', preset => '{"owner_id": "__loggedInUserId"}');
        SELECT rolecall.allow('guest', 'plans', 'select', '{"price": {"lte": -3}}', columns => '{id,title}');
        SELECT rolecall.expose('plans'); SELECT rolecall.create_work_queue('w', 'it''s "ours"'); SELECT rolecall.add_auth_schema();
        CREATE TABLE letters (owner text); ALTER TABLE letters ENABLE ROW LEVEL SECURITY;
        CREATE POLICY own ON letters USING (owner = rolecall.user_id());
        CREATE FUNCTION its_schema() RETURNS regnamespace LANGUAGE sql RETURN 'rolecall'::regnamespace;
        CREATE VIEW mine WITH (security_invoker) AS SELECT * FROM plans; CREATE VIEW shown AS SELECT * FROM files_exposed;
        ALTER TABLE plans RENAME title TO "the Title"; ALTER TABLE files RENAME TO "it's a \file";"#,
    );
    assert_eq!(findings(&database), []);
    let restored = crate::dump::restore(&database);
    assert_eq!(findings(&restored), [], "restored");
    let database = cluster.database();
    let first: Vec<_> = findings(&database).into_iter().map(|(finding, _)| finding).collect();
    assert_eq!(first, ["warning first-user registration"], "an empty system waits for its first user");
}

#[test]
fn an_old_server_is_one() {
    let database = database();
    let mut admin = database.admin();
    let number: i32 = one(&mut admin, "SELECT current_setting('server_version_num')::int");
    let fixed = match number / 10000 {
        15 => 20,
        16 => 16,
        17 => 12,
        _ => 7,
    };
    let sql = r#"SELECT advice FROM rolecall.doctor() WHERE level = 'warning' AND "check" = 'server-version'"#;
    let old =
        format!("-- install PostgreSQL {}.{fixed} or a later minor version and restart the server", number / 10000);
    let expected: &[String] = if number % 10000 < fixed { &[old] } else { &[] };
    assert_eq!(column(&mut admin, sql), expected);
}

/// The session that follows the advice is older than what it says.
#[test]
fn what_a_database_preloads_counts_at_once() {
    let database = database();
    let mut admin = database.admin();
    let advice = r#"SELECT advice FROM rolecall.doctor() WHERE "check" = 'preload'"#;
    let told = column(&mut admin, advice);
    assert_eq!(told.len(), 1);
    run(&mut admin, &told[0]);
    assert_eq!(column(&mut admin, advice), [""; 0]);
}

/// Whoever names things does not command the administrator who follows the advice.
#[test]
fn names_cannot_get_into_an_advice() {
    let cluster = cluster();
    let (database, app) = healthy(cluster.database());
    let name = "a\"b'\n; DROP TABLE canary; --%I:x \\q ON DELETE CASCADE (";
    let q = format!("\"{}\"", name.replace('"', "\"\""));
    let other = q.replace("a\"", "z\"");
    run(
        &mut database.admin(),
        &format!(
            "CREATE TABLE canary (id int); CREATE ROLE {q} LOGIN; CREATE SCHEMA {q}; GRANT CREATE ON SCHEMA {q} TO PUBLIC;
             CREATE TABLE {q}.{q} ({q} int PRIMARY KEY, {other} int); CREATE TABLE {q}.{other} ({other} int PRIMARY KEY);
             SELECT rolecall.protect(format('%I.%I', n.nspname, c.relname)::regclass) FROM pg_class c JOIN pg_namespace n
                 ON n.oid = relnamespace WHERE nspname = relname;
             ALTER TABLE {q}.{q} ADD CONSTRAINT {q} FOREIGN KEY ({other}) REFERENCES {q}.{other} ON DELETE CASCADE;
             GRANT ALL ON {q}.{other} TO {q}; GRANT ALL ON {q}.{q} TO {q}, {app};
             ALTER TABLE {q}.{q} NO FORCE ROW LEVEL SECURITY; CREATE POLICY {q} ON {q}.{q}; DROP POLICY rolecall_insert ON {q}.{q};
             CREATE RULE {q} AS ON DELETE TO {q}.{q} DO INSTEAD NOTHING; ALTER TABLE {q}.{q} DISABLE TRIGGER rolecall_truncate;
             CREATE VIEW {q}.v AS SELECT * FROM {q}.{q};
             CREATE MATERIALIZED VIEW {q}.m AS SELECT * FROM {q}.{q}; GRANT SELECT ON {q}.m TO {q};
             CREATE FUNCTION {q}.{q}({q} int) RETURNS bigint LANGUAGE sql SECURITY DEFINER BEGIN ATOMIC SELECT count(*) FROM {q}.{q}; END;
             CREATE PUBLICATION {q} FOR TABLE {q}.{q}; ALTER TABLE {q}.{q} OWNER TO {q}; GRANT pg_read_server_files TO {q};
             ALTER ROLE {q} BYPASSRLS CREATEROLE REPLICATION; GRANT EXECUTE ON FUNCTION rolecall.wake_pool(text) TO {q};
             GRANT SET ON PARAMETER session_replication_role TO {q};
             CREATE FUNCTION rolecall.{q}({q} int) RETURNS int LANGUAGE sql AS 'SELECT 1';
             SELECT rolecall.create_api_token('{literal}', '{{}}')",
            literal = name.replace('\'', "''"),
        ),
    );
    let found = findings(&database);
    let mut checks: Vec<_> = found.iter().map(|(finding, _)| finding.split(' ').nth(1).unwrap()).collect();
    checks.dedup();
    assert!(checks.len() >= 20, "{checks:#?}");
    for (_, advice) in &found {
        psql(&database, advice);
    }
    let left = findings(&database);
    assert!(left.is_empty(), "{left:#?}");
    run(&mut database.admin(), "SELECT FROM canary");
}

#[test]
fn the_program_shows_it() {
    let cluster = cluster();
    let (database, app) = healthy(cluster.database());
    let mut admin = database.admin();
    let old_server = r#"SELECT count(*) FROM rolecall.doctor() WHERE "check" = 'server-version'"#;
    let quiet = (2 * one::<i64>(&mut admin, old_server)) as i32;
    let told = rolecall(&database, &["doctor"], "");
    assert_eq!((told.code, told.out == "Nothing found.\n"), (quiet, quiet == 0), "{told:?}");
    run(&mut admin, "CREATE POLICY theirs ON files USING (true)");
    let told = rolecall(&database, &["doctor"], "");
    assert_eq!(told.code, quiet, "a notice is none to fail for: {told:?}");
    assert!(
        told.out.contains("foreign-policy") && told.out.contains("DROP POLICY theirs ON public.files;"),
        "{told:?}"
    );
    run(&mut admin, "ALTER TABLE files NO FORCE ROW LEVEL SECURITY");
    let told = rolecall(&database, &["doctor"], "");
    assert_eq!((told.code, told.err.as_str()), (2, ""), "{told:?}");
    let place = |part: &str| told.out.find(part).unwrap_or_else(|| panic!("{part}: {}", told.out));
    assert!(place("error") < place("row-security") && place("row-security") < place("foreign-policy"), "{}", told.out);
    let json = rolecall(&database, &["doctor", "--json"], "");
    let document: serde_json::Value = serde_json::from_str(&json.out).expect("JSON");
    assert_eq!((json.code, &document["format"]), (2, &"rolecall-doctor/1".into()));
    assert_eq!(document["findings"][0]["level"], "error");
    assert_eq!(document["findings"][0]["check"], "row-security");
    assert_eq!(document["findings"][0]["object"], "public.files");
    let advice = document["findings"][0]["advice"].as_str().unwrap();
    psql(&database, advice);

    let told = rolecall_as(&database, &app, &["doctor"], "");
    assert!(told.code == 1 && told.err.contains("needs an administrator"), "{told:?}");
    let told = rolecall(&cluster.plain_database(), &["doctor"], "");
    assert!(told.code == 1 && told.err.contains("the extension is not installed in this database"), "{told:?}");
    assert!(told.err.contains("CREATE EXTENSION rolecall"), "{told:?}");
}
