//! The program as people and scripts meet it: exit codes, questions, errors, secrets, company at work.

use crate::provisioner_world::{apply, await_waiting, rolecall, rolecall_as, value, written};
use rolecall_tests::{Cluster, Database, sqlstate};

const SHOP: &str = "CREATE SCHEMA shop; CREATE TABLE shop.orders (id int); CREATE TABLE shop.items (id int)";

/// Names with the database's own in front, so that stories can share a cluster.
fn shop_spec(reader: &str) -> String {
    format!(
        "roles:\n  {reader}: {{login: false}}\ngrants:\n- {{to: {reader}, privileges: USAGE, on: {{type: schema, name: shop}}}}\n\
         - {{to: {reader}, privileges: SELECT, on: {{type: table, schema: shop, name: '*'}}}}\n"
    )
}

#[test]
fn undeclared_privileges_are_told_and_left_until_revoke_is_given() {
    // Of its own: other stories would write into the cluster's catalogs.
    let cluster = Cluster::start(&[]);
    let db = cluster.plain_database();
    db.admin().batch_execute(SHOP).expect("a shop");
    let reader = format!("{}_reader", db.name);
    let spec = shop_spec(&reader);
    apply(&db, &spec);
    db.admin().batch_execute(&format!("GRANT DELETE ON shop.items TO {reader}")).expect("drift");
    let has = format!("SELECT has_table_privilege('{reader}', 'shop.items', 'DELETE')");

    let check = rolecall(&db, &["check"], &spec);
    assert_eq!(check.code, 2, "{check:?}");
    assert!(check.out.contains("DELETE on table items") && check.out.contains("needs --revoke"), "{check:?}");
    let before = written(&mut db.admin());
    let left = rolecall(&db, &["apply", "--yes"], &spec);
    assert_eq!(left.code, 3, "{left:?}");
    assert_eq!(written(&mut db.admin()), before);
    assert_eq!(value(&mut db.admin(), &has), "true");

    let revoked = rolecall(&db, &["apply", "--yes", "--revoke"], &spec);
    assert_eq!(revoked.code, 0, "{revoked:?}");
    assert_eq!(value(&mut db.admin(), &has), "false");
    assert_eq!(rolecall(&db, &["check"], &spec).code, 0);
}

#[test]
fn a_spec_can_ask_for_revoking_itself() {
    let db = Cluster::shared().plain_database();
    db.admin().batch_execute(SHOP).expect("a shop");
    let reader = format!("{}_reader", db.name);
    let spec = shop_spec(&reader) + "manage: {undeclared: revoke}\n";
    apply(&db, &spec);
    db.admin().batch_execute(&format!("GRANT DELETE ON shop.items TO {reader}")).expect("drift");
    apply(&db, &spec);
    assert_eq!(rolecall(&db, &["plan"], &spec).code, 0);
}

#[test]
fn without_a_terminal_apply_wants_yes() {
    let db = Cluster::shared().plain_database();
    let spec = format!("roles: {{{}_r: {{}}}}", db.name);
    let refused = rolecall(&db, &["apply"], &spec);
    assert_eq!(refused.code, 1);
    assert!(refused.err.contains("not a terminal") && refused.err.contains("--yes"), "{refused:?}");
}

/// Runs `apply` on a terminal, lets `meanwhile` happen when the question stands there, and answers it.
pub fn asked(db: &Database<'_>, spec: &str, meanwhile: &str, answer: &str) -> (i32, String) {
    use std::io::{Read, Write};
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(spec.as_bytes()).expect("written");
    let program = rolecall_tests::program();
    let command = format!("'{}' apply '{}'", program.display(), file.path().display());
    // util-linux's `script` gives the program a terminal of its own.
    let mut script = db.cluster().with_connection("script", "postgres", &db.name);
    script.args(["--quiet", "--return", "--command", &command, "/dev/null"]);
    script.env("TERM", "xterm").env_remove("NO_COLOR");
    script.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut child = script.spawn().expect("script starts");
    let (mut input, mut output) = (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
    let mut told = Vec::new();
    let mut byte = [0];
    while !told.ends_with(b"[y/N] ") {
        assert_eq!(output.read(&mut byte).expect("output"), 1, "no question: {}", String::from_utf8_lossy(&told));
        told.push(byte[0]);
    }
    db.admin().batch_execute(meanwhile).expect("what happens meanwhile");
    input.write_all(answer.as_bytes()).expect("an answer");
    output.read_to_end(&mut told).expect("output");
    let code = child.wait().expect("it ends").code().expect("it was not killed");
    (code, String::from_utf8_lossy(&told).into_owned())
}

#[test]
fn on_a_terminal_apply_asks_and_does_what_was_shown_or_nothing() {
    let db = Cluster::shared().plain_database();
    db.admin().batch_execute(SHOP).expect("a shop");
    let reader = format!("{}_reader", db.name);
    let spec = shop_spec(&reader);
    let made = |db: &Database<'_>| {
        value(&mut db.admin(), &format!("SELECT count(*) FROM pg_roles WHERE rolname = '{reader}'")) == "1"
    };
    let (code, told) = asked(&db, &spec, "", "n\n");
    assert!(code == 1 && told.contains("not applied") && !made(&db), "{told}");
    let (code, told) = asked(&db, &spec, "CREATE TABLE shop.third (id int)", "y\n");
    assert!(code == 1 && told.contains("meanwhile the plan has changed") && !made(&db), "{told}");
    let (code, told) = asked(&db, &spec, "CREATE TABLE public.elsewhere (id int)", "y\n");
    assert!(code == 0 && told.contains("3 tables") && made(&db), "{told}");
    // Colours are for terminals.
    assert!(told.contains("\x1b["), "{told}");
    assert!(!rolecall(&db, &["plan"], &shop_spec("another_reader")).out.contains('\x1b'));
}

#[test]
fn a_wrong_spec_is_one_clear_error_and_nothing_is_done() {
    let db = Cluster::shared().plain_database();
    db.admin().batch_execute(SHOP).expect("a shop");
    let role = format!("{}_r", db.name);
    let grant =
        |on: &str| format!("roles: {{{role}: {{}}}}\ngrants:\n- {{to: {role}, privileges: SELECT, on: {on}}}\n");
    let cases = [
        (format!("roles:\n  {role}:\n    longin: true\n"), "line 3", "did you mean \"login\"?"),
        (grant("{type: table, schema: shop, name: nothing}"), "\"shop.nothing\" does not exist", "create it first"),
        (grant("{type: view, schema: shop, name: orders}"), "is a table, not a view", "type: table"),
        (grant("{type: table, schema: nowhere, name: '*'}"), "schema \"nowhere\" does not exist", "schemas"),
        (
            "grants: [{to: nobody_here, privileges: CREATE, on: {type: database}}]".to_owned(),
            "\"nobody_here\"",
            "roles",
        ),
        (
            format!("roles: {{{role}: {{}}}}\nretire: [{role}]"),
            "declared under \"roles\" as well",
            "take one of the two out",
        ),
        (grant("column shop.orders.nothing"), "\"shop.orders\" has no column \"nothing\"", "correct the name"),
        (
            grant("{type: table, schema: 's*', name: nothing}"),
            "\"nothing\" does not exist in any of these",
            "create it",
        ),
        (grant("shop.orders"), "of what kind", "table shop.orders"),
        (grant("table orders"), "in which schema", "SCHEMA.NAME"),
        (grant("tabel shop.orders"), "no kind of object", "known: "),
        ("roles: [".to_owned(), "line 1", ""),
    ];
    for (spec, message, hint) in cases {
        let outcome = rolecall(&db, &["apply", "--yes"], &spec);
        assert_eq!(outcome.code, 1, "{spec}: {outcome:?}");
        assert!(outcome.err.contains(message) && outcome.err.contains(hint), "{spec}: {outcome:?}");
        assert!(outcome.out.is_empty() && !outcome.err.contains("panicked"), "{spec}: {outcome:?}");
    }
    assert_eq!(value(&mut db.admin(), &format!("SELECT count(*) FROM pg_roles WHERE rolname = '{role}'")), "0");
}

#[test]
fn an_error_in_the_middle_leaves_nothing_done() {
    let db = Cluster::shared().plain_database();
    db.admin().batch_execute(SHOP).expect("a shop");
    let role = format!("{}_r", db.name);
    // The server knows only when it tries that there is no such setting. By then more has been sent than fits into
    // one message, which alone would be a transaction anyway.
    let long = "x".repeat(3 << 19);
    let spec = format!("roles: {{{role}: {{comment: {long}, config: {{no_such_setting_at_all: 1}}}}}}");
    let failed = rolecall(&db, &["apply", "--yes"], &spec);
    assert_eq!(failed.code, 1, "{failed:?}");
    assert!(failed.err.contains("42704"), "{failed:?}");
    assert_eq!(value(&mut db.admin(), &format!("SELECT count(*) FROM pg_roles WHERE rolname = '{role}'")), "0");
}

#[test]
fn who_may_not_grant_is_told_before_anything_is_tried() {
    let db = Cluster::shared().plain_database();
    db.admin().batch_execute(SHOP).expect("a shop");
    let deployer = db.login("deployer");
    let spec = shop_spec(&format!("{}_reader", db.name));
    let outcome = rolecall_as(&db, &deployer, &["plan"], &spec);
    assert_eq!(outcome.code, 1, "{outcome:?}");
    assert!(outcome.err.contains("may not make or alter roles"), "{outcome:?}");
    db.admin().batch_execute(&format!("ALTER ROLE {deployer} CREATEROLE")).expect("an option");
    let outcome = rolecall_as(&db, &deployer, &["plan"], &spec);
    assert_eq!(outcome.code, 1, "{outcome:?}");
    assert!(outcome.err.contains("may not grant USAGE on schema shop, which \"postgres\" owns"), "{outcome:?}");

    // The owner of everything may, without being a superuser.
    db.admin().batch_execute(&format!("ALTER SCHEMA shop OWNER TO {deployer}")).expect("an owner");
    for table in ["orders", "items"] {
        db.admin().batch_execute(&format!("ALTER TABLE shop.{table} OWNER TO {deployer}")).expect("an owner");
    }
    let outcome = rolecall_as(&db, &deployer, &["apply", "--yes"], &spec);
    assert_eq!(outcome.code, 0, "{outcome:?}");
    assert_eq!(rolecall_as(&db, &deployer, &["plan"], &spec).code, 0);
}

#[test]
fn a_grant_that_another_session_holds_open_is_waited_for() {
    let db = Cluster::shared().plain_database();
    db.admin().batch_execute(SHOP).expect("a shop");
    let other = db.login("other");
    let mut busy = db.admin();
    busy.batch_execute(&format!("BEGIN; GRANT SELECT ON shop.orders TO {other}")).expect("an open grant");
    let spec = shop_spec(&format!("{}_reader", db.name));
    std::thread::scope(|scope| {
        let applied = scope.spawn(|| rolecall(&db, &["apply", "--yes"], &spec));
        await_waiting(&mut db.admin());
        busy.batch_execute("COMMIT").expect("a commit");
        let applied = applied.join().expect("no panic");
        assert_eq!(applied.code, 0, "{applied:?}");
    });
    assert_eq!(rolecall(&db, &["plan"], &spec).code, 0);
    let kept = format!("SELECT has_table_privilege('{other}', 'shop.orders', 'SELECT')");
    assert_eq!(value(&mut db.admin(), &kept), "true");
}

#[test]
fn lock_timeout_ends_the_wait_and_nothing_is_done() {
    let db = Cluster::shared().plain_database();
    db.admin().batch_execute(SHOP).expect("a shop");
    let mut busy = db.admin();
    busy.batch_execute("BEGIN; GRANT SELECT ON shop.orders TO CURRENT_USER; GRANT SELECT ON shop.orders TO PUBLIC")
        .expect("a grant");
    let reader = format!("{}_reader", db.name);
    let spec = shop_spec(&reader);
    let outcome = rolecall(&db, &["apply", "--yes", "--lock-timeout", "200ms"], &spec);
    assert_eq!(outcome.code, 1, "{outcome:?}");
    assert!(outcome.err.contains("55P03), while waiting for table shop.orders"), "{outcome:?}");
    assert_eq!(value(&mut db.admin(), &format!("SELECT count(*) FROM pg_roles WHERE rolname = '{reader}'")), "0");
}

#[test]
fn several_applies_at_once_come_one_after_the_other() {
    let db = Cluster::shared().plain_database();
    db.admin().batch_execute(SHOP).expect("a shop");
    let spec = shop_spec(&format!("{}_reader", db.name));
    std::thread::scope(|scope| {
        let runs: Vec<_> = (0..4).map(|_| scope.spawn(|| rolecall(&db, &["apply", "--yes"], &spec))).collect();
        for run in runs {
            let done = run.join().expect("no panic");
            assert_eq!(done.code, 0, "{done:?}");
        }
    });
    assert_eq!(rolecall(&db, &["plan"], &spec).code, 0);
}

#[test]
fn one_spec_serves_several_databases() {
    let cluster = Cluster::shared();
    let (one, two) = (cluster.plain_database(), cluster.plain_database());
    for db in [&one, &two] {
        db.admin().batch_execute("CREATE SCHEMA s").expect("a schema");
    }
    let role = format!("{}_both", one.name);
    let spec = format!(
        "roles: {{{role}: {{}}}}\ndatabases:\n  {}:\n    grants: [{{to: {role}, privileges: USAGE, on: {{type: schema, name: s}}}}]\n\
         \x20 {}:\n    grants: [{{to: {role}, privileges: CREATE, on: {{type: schema, name: s}}}}]\n",
        one.name, two.name
    );
    apply(&one, &spec);
    let may = |privilege| format!("SELECT has_schema_privilege('{role}', 's', '{privilege}')");
    assert_eq!(value(&mut one.admin(), &may("USAGE")), "true");
    assert_eq!(value(&mut one.admin(), &may("CREATE")), "false");
    assert_eq!(value(&mut two.admin(), &may("USAGE")), "false");
    assert_eq!(value(&mut two.admin(), &may("CREATE")), "true");
    assert_eq!(rolecall(&one, &["plan"], &spec).code, 0);
}

/// A server that wants passwords of everybody but the superuser and logs every statement.
fn suspicious_cluster() -> (tempfile::NamedTempFile, Cluster) {
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;
    let mut hba = tempfile::NamedTempFile::new_in("/tmp").expect("a file");
    hba.write_all(b"local all postgres trust\nlocal all all scram-sha-256\n").expect("written");
    std::fs::set_permissions(hba.path(), std::fs::Permissions::from_mode(0o644)).expect("readable");
    let setting = format!("hba_file={}", hba.path().display());
    let cluster = Cluster::start(&[&setting, "log_statement=all", "log_min_duration_statement=0"]);
    (hba, cluster)
}

#[test]
fn a_new_user_logs_in_with_the_password_that_was_printed() {
    let (_hba, cluster) = suspicious_cluster();
    let db = cluster.plain_database();
    db.admin().batch_execute("CREATE ROLE staff; CREATE TABLE t (i int); GRANT SELECT ON t TO staff").expect("a group");
    let added = rolecall(&db, &["add-user", "alice", "--like", "staff"], "");
    assert_eq!(added.code, 0, "{added:?}");
    let password = added.out.trim();
    assert_eq!(password.len(), 20, "{added:?}");
    assert!(!added.err.contains(password));
    let login = |password: &str| cluster.config("alice", &db.name).password(password).connect(postgres::NoTls);
    assert_eq!(sqlstate(login("guess").map(|_| ())).0, "28P01");
    let mut alice = login(password).expect("the printed password");
    assert_eq!(value(&mut alice, "SELECT count(*) FROM t"), "0");
    assert!(!cluster.log().contains(password), "the log holds the password");
    assert!(!cluster.log().contains("SCRAM-SHA-256$"), "the log holds the verifier");
    assert!(cluster.log().contains("CREATE ROLE \"alice\""), "the log holds statements");

    let again = rolecall(&db, &["add-user", "alice", "--like", "staff"], "");
    assert_eq!(again.code, 1);
    assert!(again.err.contains("exists already"), "{again:?}");
    let unknown = rolecall(&db, &["add-user", "bob", "--like", "nobody"], "");
    assert_eq!(unknown.code, 1);
    assert!(unknown.err.contains("\"nobody\" does not exist"), "{unknown:?}");
}

#[test]
fn passwords_come_from_the_environment_and_show_nowhere() {
    let (_hba, cluster) = suspicious_cluster();
    let db = cluster.plain_database();
    let spec = "roles: {svc: {login: true, password: {from_env: SVC_PASSWORD}}}";
    let with = |arguments: &[&str], password: &str| {
        let mut command = db.rolecall("postgres");
        command.args(arguments).arg("-").env("SVC_PASSWORD", password);
        crate::provisioner_world::run(command, spec)
    };
    let missing = rolecall(&db, &["apply", "--yes"], spec);
    assert_eq!(missing.code, 1);
    assert!(missing.err.contains("SVC_PASSWORD, which is not set"), "{missing:?}");

    db.admin()
        .batch_execute("CREATE ROLE svc PASSWORD 'md5aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'")
        .expect("an old verifier");
    let login = |password: &str| cluster.config("svc", &db.name).password(password).connect(postgres::NoTls);
    for password in ["öld Secret-1", "new Secret-2"] {
        let mut told = String::new();
        for format in ["text", "json", "sql"] {
            let plan = with(&["plan", "--format", format], password);
            assert_eq!(plan.code, 2, "{plan:?}");
            told += &(plan.out + &plan.err);
        }
        let done = with(&["apply", "--yes"], password);
        assert_eq!(done.code, 0, "{done:?}");
        told += &(done.out + &done.err);
        assert!(told.contains("password (not shown)") && !told.contains("SCRAM-SHA-256$"), "{told}");
        assert!(!told.contains(password) && !cluster.log().contains(password));
        assert!(!cluster.log().contains("SCRAM-SHA-256$"), "the verifier is nobody's business either");
        login(password).expect("the password of the environment");
        assert_eq!(with(&["plan"], password).code, 0, "an unchanged password is no change");
    }
}

#[test]
fn who_cannot_compare_passwords_sets_new_ones_and_says_so() {
    let db = Cluster::shared().plain_database();
    let deployer = db.login("deployer");
    db.admin().batch_execute(&format!("ALTER ROLE {deployer} CREATEROLE")).expect("an option");
    let svc = format!("{}_svc", db.name);
    let spec = format!("roles: {{{svc}: {{login: true, password_env: SVC_PASSWORD}}}}");
    let run = |arguments: &[&str]| {
        let mut command = db.rolecall(&deployer);
        command.args(arguments).arg("-").env("SVC_PASSWORD", "Secret-3");
        crate::provisioner_world::run(command, &spec)
    };
    assert_eq!(run(&["apply", "--yes"]).code, 0);
    let stored = format!("SELECT left(rolpassword, 14) FROM pg_authid WHERE rolname = '{svc}'");
    assert_eq!(value(&mut db.admin(), &stored), "SCRAM-SHA-256$");
    let plan = run(&["plan"]);
    assert!(plan.code == 0 && plan.err.contains("left as they are"), "{plan:?}");
}

#[test]
fn connections_that_cannot_be_made_are_explained() {
    let db = Cluster::shared().plain_database();
    let explained = |(variable, value): (&str, &str), url: &[&str], message: &str| {
        let mut command = db.rolecall("postgres");
        command.args(["plan", "-"]).args(url).env(variable, value);
        let outcome = crate::provisioner_world::run(command, "roles: {}");
        assert_eq!(outcome.code, 1, "{outcome:?}");
        assert!(outcome.err.contains(message), "{message}: {outcome:?}");
        assert!(!outcome.err.contains("s3cret"), "{outcome:?}");
    };
    explained(("PGPORT", "1"), &[], "cannot connect");
    explained(("PGPORT", "many"), &[], "PGPORT is no port");
    explained(("PGDATABASE", "no_such_database"), &[], "3D000");
    explained(("PGPORT", ""), &["--url", "postgresql://me:s3cret@h:99999/d"], "port in the URL is no port");
    // A URL wins over the environment.
    let mut command = db.rolecall("nobody_at_all");
    let url = format!(
        "postgresql://postgres@%2F{}/{}",
        db.cluster().socket().display().to_string().replace('/', "%2F"),
        db.name
    );
    command.args(["plan", "-", "--url", &url.replace("%2F%2F", "%2F")]);
    let outcome = crate::provisioner_world::run(command, "roles: {}");
    assert_eq!(outcome.code, 0, "{outcome:?}");
}
