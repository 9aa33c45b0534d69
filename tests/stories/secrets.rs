//! Where secrets must not be: the log, the statistics, dumps, errors.

use crate::support::*;
use postgres::types::ToSql;
use rolecall_tests::{Cluster, Database, sqlstate};

/// Calls every function that takes or returns a secret, as parameters or typed into the statement; what must be found
/// nowhere.
fn use_secrets(database: &Database, typed: bool) -> Vec<String> {
    let mut admin = database.admin();
    let name = if typed { "typed" } else { "bound" };
    let mut call = |function: &str, arguments: &[&str]| -> Result<String, postgres::Error> {
        let (text, parameters) = if typed {
            (arguments.iter().map(|argument| format!("'{argument}'")).collect::<Vec<_>>(), Vec::new())
        } else {
            let places = (1..=arguments.len()).map(|number| format!("${number}::text")).collect();
            (places, arguments.iter().map(|argument| argument as &(dyn ToSql + Sync)).collect())
        };
        let jsonb = if function == "add_verification_key" { "::jsonb" } else { "" };
        let query = format!("SELECT rolecall.{function}({}{jsonb})::text", text.join(", "));
        admin.query_one(&query, &parameters).map(|row| row.get::<_, Option<String>>(0).unwrap_or_default())
    };
    let temporary = format!("temporary-{name}-1");
    let chosen = format!("my own {name} secret");
    let hash = "$2y$04$abcdefghijklmnopqrstuuyMkzgR4PWCr7C2Fg3ZCSDbPKPjcqdTq";
    let key = format!("{name} and sixteen bytes and sixteen more");
    let jwk = format!(r#"{{"kty": "oct", "k": "{}"}}"#, "c2VjcmV0".repeat(8));
    call("create_user", &[name, "", &temporary]).unwrap();
    call("create_user", &[name, "", &temporary]).unwrap_err();
    call("set_password", &[name, &temporary]).unwrap();
    call("set_signing_key", &["HS256", &key]).unwrap();
    call("set_signing_key", &["EdDSA", &key]).unwrap_err();
    call("add_verification_key", &["https://issuer", &jwk]).unwrap();
    let token = call("login", &[name, &temporary]).unwrap();
    call("login", &[name, &chosen]).unwrap_err();
    call("authenticate", &[&format!("{token}x")]).unwrap_err();
    call("authenticate", &[&token]).unwrap();
    call("change_password", &[&temporary, &chosen]).unwrap_err();
    call("register", &["x", "x@example.org", &chosen, &token]).unwrap_err();
    call("bootstrap_admin", &["", hash]).unwrap_err();
    let mut secrets = vec![temporary, chosen, hash.to_owned(), key, "c2VjcmV0c2Vj".to_owned(), token];
    secrets.push(one(&mut admin, "SELECT rolecall.invite('y@example.org', '{}')"));
    secrets.push(one(&mut admin, "SELECT rolecall.create_api_token('nightly', '{}')"));
    secrets
}

fn holds_none(place: &str, text: &str, secrets: &[String]) {
    for secret in secrets {
        assert!(!text.contains(secret), "{place} holds {secret:?}");
    }
}

/// Trap 34.
#[test]
fn a_failing_statements_text_is_not_logged() {
    let cluster = Cluster::start(&["log_min_error_statement=error", "log_error_verbosity=verbose"]);
    let database = cluster.database();
    let secrets = use_secrets(&database, true);
    let log = cluster.log();
    assert!(log.contains("wrong user name or password"), "the failures themselves are logged");
    holds_none("the log", &log, &secrets);
}

/// As the README advises: secrets as parameters, and no parameter in the log.
#[test]
fn with_parameters_unlogged_no_setting_logs_a_secret() {
    let settings = ["log_statement=all", "log_min_duration_statement=0", "log_error_verbosity=verbose"];
    let settings = [settings.as_slice(), &["log_parameter_max_length=0"]].concat();
    let cluster = Cluster::start(&settings);
    let secrets = use_secrets(&cluster.database(), false);
    let log = cluster.log();
    assert!(log.contains("rolecall.change_password("), "statements are logged");
    holds_none("the log", &log, &secrets);
}

/// Trap 34. In whatever order the libraries are loaded.
#[test]
fn statistics_and_dumps_hold_no_secret() {
    for libraries in ["pg_stat_statements", "pg_stat_statements,rolecall", "rolecall,pg_stat_statements"] {
        statistics_and_a_dump(libraries);
    }
}

fn statistics_and_a_dump(libraries: &str) {
    let preload = format!("shared_preload_libraries={libraries}");
    let cluster = Cluster::start(&[&preload, "pg_stat_statements.track=all"]);
    let database = cluster.database();
    let mut admin = database.admin();
    run(&mut admin, "CREATE EXTENSION pg_stat_statements");
    let mut secrets = use_secrets(&database, true);
    secrets.extend(use_secrets(&database, false));
    let statements = column(&mut admin, "SELECT query FROM pg_stat_statements").join("\n");
    assert!(statements.contains("rolecall.login("));
    holds_none("pg_stat_statements", &statements, &secrets);

    secrets.extend(column(&mut admin, "SELECT encode(secret, 'hex') FROM rolecall.signing_keys"));
    let dump = cluster.client_program("pg_dump", "postgres", &database.name).output().unwrap();
    let dump = String::from_utf8_lossy(&dump.stdout).into_owned();
    assert!(dump.contains("COPY rolecall.users") && dump.contains("$argon2id$"), "users are in the dump, as hashes");
    holds_none("the dump", &dump, &secrets);
}

/// Trap 10.
#[test]
fn a_running_statements_text_is_not_shown() {
    let database = database();
    let mut admin = database.admin();
    run(&mut admin, "SELECT rolecall.create_user('carol', password => 'open sesame')");
    let mut sleeper = database.admin();
    let pid: i32 = one(&mut sleeper, "SELECT pg_backend_pid()");
    let sleeping = std::thread::spawn(move || {
        let _ = sleeper.simple_query("SELECT rolecall.login('carol', 'open sesame'); SELECT pg_sleep(1)");
    });
    std::thread::sleep(std::time::Duration::from_millis(600));
    let shown: String = admin.query_one("SELECT query FROM pg_stat_activity WHERE pid = $1", &[&pid]).unwrap().get(0);
    assert!(!shown.contains("sesame"), "{shown}");
    sleeping.join().unwrap();
}

/// Trap 26.
#[test]
fn errors_repeat_no_secret() {
    let mut admin = database().admin();
    for call in [
        "set_signing_key('RS256', 'xyzzy')",
        "bootstrap_admin('a', 'xyzzy')",
        "add_verification_key('i', '{\"kty\": \"oct\", \"k\": \"xyzzy\"}')",
        "authenticate('xyzzy')",
        "authenticate('rca_xyzzy')",
        "login('a', 'xyzzy')",
        "register('a', 'a@example.org', 'xyzzy')",
        "register('a', 'a@example.org', 'a good password', 'xyzzy')",
    ] {
        let Err(error) = admin.simple_query(&format!("SELECT rolecall.{call}")) else { continue };
        assert!(!format!("{error:?}").contains("xyzzy"), "{error:?}");
        assert_eq!(error.as_db_error().and_then(|error| error.detail()), None, "a backtrace, say");
        assert!(sqlstate(Err::<(), _>(error)).0 != "XX000", "{call}");
    }
}

/// Who may read or write the data of all tables, as a backup or a report does, gets neither keys nor rights by that.
#[test]
fn roles_for_all_data_stay_outside() {
    let story = Notes::new();
    let login = story.database.login("reporter");
    run(&mut story.database.admin(), &format!("GRANT pg_read_all_data, pg_write_all_data TO {login}"));
    let mut reporter = story.database.connect(&login);
    let tables =
        "SELECT oid::regclass FROM pg_class WHERE relnamespace = 'rolecall'::regnamespace AND relkind IN ('r', 'p')";
    let tables = column(&mut reporter, tables);
    assert!(tables.len() > 15);
    for table in tables {
        assert_eq!(one::<i64>(&mut reporter, &format!("SELECT count(*) FROM {table}")), 0, "{table}");
        let deleted = reporter.execute(&format!("DELETE FROM {table}"), &[]);
        if table != "rolecall.audit_entries" || deleted.is_ok() {
            assert_eq!(deleted.unwrap(), 0, "{table}");
        }
    }
    let grant = "INSERT INTO rolecall.user_roles SELECT * FROM jsonb_populate_record(NULL::rolecall.user_roles, '{}')";
    refused(&mut reporter, grant, "42501", "row-level security");
    assert_eq!(notes(&mut reporter), 0);
    assert_eq!(notes(&mut story.database.admin()), ALL);
}
