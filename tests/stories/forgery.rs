//! What somebody with SQL tries in order to be somebody else.

use crate::support::*;
use postgres::Client;
use rolecall_tests::sqlstate;

/// An identity as the setting would carry it, of a proof that needs nothing else.
pub const FORGED: &str = r#"{"subject":"u1","proof":{"gateway":{"issued_at":null}},"expires_at":99999999999}"#;

/// Without this the refusals below would prove nothing.
#[test]
fn what_is_forged_is_what_the_setting_carries() {
    let story = Notes::new();
    let gateway = story.database.login("gateway");
    let mut admin = story.database.admin();
    run(&mut admin, &format!("GRANT rolecall_authenticator TO {gateway}; SET SESSION AUTHORIZATION {gateway}; BEGIN"));
    run(
        &mut admin,
        r#"SELECT rolecall.assume('{"sub": "u1", "exp": 99999999999}'); SET SESSION AUTHORIZATION DEFAULT"#,
    );
    assert_eq!(
        one::<String>(&mut admin, "SELECT current_setting('rolecall.identity')"),
        format!("transaction {FORGED}")
    );
}

fn is_nobody(app: &mut Client) {
    assert_eq!(one::<Option<String>>(app, "SELECT rolecall.user_id()"), None);
    assert_eq!(notes(app), 0);
}

/// Statements that are refused outright once the library is loaded.
/// Trap 2.
#[test]
fn the_setting_cannot_be_set() {
    let story = Notes::new();
    let mut app = story.connect();
    is_nobody(&mut app);
    run(&mut story.database.admin(), &format!("CREATE SCHEMA lab AUTHORIZATION {}", story.app));
    for attempt in [
        format!("SET rolecall.identity = '{FORGED}'"),
        format!("SET rolecall.identity = 'transaction {FORGED}'"),
        format!("SET LOCAL rolecall.identity = '{FORGED}'"),
        format!("SET SESSION rolecall.identity TO '{FORGED}'"),
        format!("SELECT set_config('rolecall.identity', '{FORGED}', false)"),
        format!("SELECT set_config('rolecall.identity', '{FORGED}', true)"),
        format!("DO $$ BEGIN SET LOCAL rolecall.identity = '{FORGED}'; END $$"),
        format!("DO $$ BEGIN PERFORM set_config('rolecall.identity', '{FORGED}', true); END $$"),
        format!("ALTER ROLE CURRENT_USER SET rolecall.identity = '{FORGED}'"),
        format!("ALTER ROLE CURRENT_USER IN DATABASE {} SET rolecall.identity = '{FORGED}'", story.database.name),
        format!("CREATE FUNCTION lab.f() RETURNS text LANGUAGE sql SET rolecall.identity = '{FORGED}' AS 'SELECT 1'"),
        format!("UPDATE pg_settings SET setting = '{FORGED}' WHERE name = 'rolecall.identity'"),
        "RESET rolecall.identity".into(),
        "SET rolecall.identity TO DEFAULT".into(),
        "SET rolecall.identity FROM CURRENT".into(),
        "SHOW rolecall.identity".into(),
    ] {
        match app.batch_execute(&format!("BEGIN; {attempt}")) {
            Err(error) => {
                let state = error.as_db_error().unwrap().code().code().to_owned();
                assert!(["42501", "42601"].contains(&state.as_str()), "{attempt}: {error:?}");
                run(&mut app, "ROLLBACK");
            }
            Ok(()) => {
                is_nobody(&mut app);
                run(&mut app, "COMMIT");
                assert!(attempt.starts_with("UPDATE pg_settings"), "{attempt} succeeded");
            }
        }
        is_nobody(&mut app);
    }
}

/// Until the library is loaded, a placeholder can hold anything.
/// Trap 2.
#[test]
fn a_placeholder_set_before_the_library_loads_is_dropped() {
    let story = Notes::new();
    for attempt in [
        format!("SET rolecall.identity = '{FORGED}'"),
        format!("SET rolecall.identity = 'transaction {FORGED}'"),
        format!("SET LOCAL rolecall.identity = '{FORGED}'"),
        format!("SELECT set_config('rolecall.identity', '{FORGED}', false)"),
    ] {
        let mut app = story.connect();
        run(&mut app, &format!("BEGIN; {attempt}"));
        is_nobody(&mut app);
        run(&mut app, "COMMIT");
        is_nobody(&mut app);
    }
    let options = format!("-c rolecall.identity={}", FORGED.replace(' ', "\\ "));
    let mut app = story.database.connect_with(&story.app, &options).unwrap();
    is_nobody(&mut app);
}

/// Trap 2.
#[test]
fn start_up_options_are_refused_or_dropped_with_a_preloaded_library() {
    for setting in ["shared_preload_libraries=rolecall", "session_preload_libraries=rolecall"] {
        let cluster = rolecall_tests::Cluster::start(&[setting]);
        let database = cluster.database();
        let app = database.login("app");
        match database.connect_with(&app, &format!("-c rolecall.identity={FORGED}")) {
            Err(error) => assert_eq!(error.as_db_error().unwrap().code().code(), "42501"),
            Ok(mut app) => assert_eq!(one::<Option<String>>(&mut app, "SELECT rolecall.user_id()"), None),
        }
        let mut app = database.connect(&app);
        assert_eq!(sqlstate(app.batch_execute(&format!("SET rolecall.identity = '{FORGED}'"))).0, "42501");
    }
}

/// Not even who may set the parameter: only authenticate() writes it.
/// Trap 2.
#[test]
fn a_right_to_set_the_parameter_is_of_no_use() {
    let story = Notes::new();
    let mut admin = story.database.admin();
    run(&mut admin, "SELECT rolecall.whoami()");
    run(&mut admin, &format!("GRANT SET ON PARAMETER rolecall.identity TO {}", story.app));
    let mut app = story.connect();
    is_nobody(&mut app);
    for client in [&mut app, &mut admin] {
        assert_eq!(sqlstate(client.batch_execute(&format!("SET rolecall.identity = '{FORGED}'"))).0, "22023");
        let function = format!("SELECT set_config('rolecall.identity', '{FORGED}', false)");
        assert_eq!(sqlstate(client.batch_execute(&function)).0, "22023");
    }
    is_nobody(&mut app);
    run(&mut admin, &format!("REVOKE SET ON PARAMETER rolecall.identity FROM {}", story.app));
}

/// Trap 33.
#[test]
fn the_tables_are_closed() {
    let story = Notes::new();
    let mut app = story.connect();
    authenticate(&mut app, &story.alice, true);
    let tables = column(
        &mut story.database.admin(),
        "SELECT oid::regclass FROM pg_class WHERE relnamespace = 'rolecall'::regnamespace AND relkind = 'r'",
    );
    assert!(tables.contains(&"rolecall.signing_keys".to_owned()));
    for statement in
        ["SELECT last_value FROM rolecall.audit_entries_id_seq", "SELECT nextval('rolecall.audit_entries_id_seq')"]
    {
        assert_eq!(sqlstate(app.batch_execute(statement)).0, "42501", "{statement}");
    }
    for table in tables {
        for statement in [
            format!("SELECT * FROM {table}"),
            format!("TABLE {table}"),
            format!("COPY {table} TO STDOUT"),
            format!("INSERT INTO {table} DEFAULT VALUES"),
            format!("DELETE FROM {table}"),
            format!("TRUNCATE {table}"),
            format!("LOCK TABLE {table}"),
        ] {
            assert_eq!(sqlstate(app.batch_execute(&format!("BEGIN; {statement}"))).0, "42501", "{statement}");
            run(&mut app, "ROLLBACK");
        }
    }
    assert_eq!(
        sqlstate(app.batch_execute("CREATE FUNCTION rolecall.user_id(int) RETURNS int LANGUAGE sql AS '1'")).0,
        "42501"
    );
}

/// CVE-2026-14680.
#[test]
fn internal_functions_cannot_be_called() {
    let story = Notes::new();
    let mut app = story.connect();
    run(&mut story.database.admin(), &format!("CREATE SCHEMA lab AUTHORIZATION {}", story.app));
    run(&mut app, "CREATE TABLE lab.t (x int)");
    for (statement, state) in [
        ("SELECT rolecall.has_role_support(NULL)", "0A000"),
        ("SELECT rolecall.identity_support(NULL)", "0A000"),
        ("SELECT rolecall.has_role_support('x')", "0A000"),
        ("SELECT rolecall.invalidate_sessions()", "42501"),
        (
            "CREATE TRIGGER t AFTER INSERT ON lab.t FOR EACH STATEMENT EXECUTE FUNCTION rolecall.invalidate_sessions()",
            "42501",
        ),
        ("CREATE FUNCTION lab.me() RETURNS text LANGUAGE c AS '$libdir/rolecall', 'user_id'", "42501"),
        ("LOAD '$libdir/rolecall'", "42501"),
    ] {
        let (got, message) = sqlstate(app.batch_execute(statement));
        assert!(got == state || ["42883", "42804"].contains(&got.as_str()), "{statement}: {got} {message}");
    }
    is_nobody(&mut app);
}

/// Trap 33.
#[test]
fn a_token_cannot_be_made_up() {
    let story = Notes::new();
    let mut app = story.connect();
    let parts: Vec<&str> = story.bob.split('.').collect();
    let [header, claims, signature] = parts[..] else { panic!("three parts") };
    let kid: String = one(&mut story.database.admin(), "SELECT kid FROM rolecall.signing_keys");
    let encode = |json: &str| -> String {
        let sql = "SELECT translate(rtrim(encode(convert_to($1, 'UTF8'), 'base64'), '='), E'+/\\n', '-_')";
        story.database.admin().query_one(sql, &[&json]).unwrap().get(0)
    };
    let alices = encode(r#"{"sub":"u1","iat":1,"exp":99999999999,"jti":"x"}"#);
    let no_expiry = encode(r#"{"sub":"u1","iat":1,"jti":"x"}"#);
    let none = encode(&format!(r#"{{"alg":"none","typ":"JWT","kid":"{kid}"}}"#));
    let rs256 = encode(&format!(r#"{{"alg":"RS256","typ":"JWT","kid":"{kid}"}}"#));
    let other_kid = encode(r#"{"alg":"HS256","typ":"JWT","kid":"' OR true --"}"#);
    let no_kid = encode(r#"{"alg":"HS256","typ":"JWT"}"#);
    for forged in [
        format!("{header}.{alices}.{signature}"),
        format!("{header}.{claims}."),
        format!("{header}.{claims}"),
        format!("{header}.{claims}.{}{}", if signature.starts_with('A') { 'B' } else { 'A' }, &signature[1..]),
        format!("{none}.{alices}."),
        format!("{none}.{alices}.{signature}"),
        format!("{rs256}.{alices}.{signature}"),
        format!("{other_kid}.{alices}.{signature}"),
        format!("{no_kid}.{claims}.{signature}"),
        format!("{header}.{no_expiry}.{signature}"),
        format!("{header}.{claims}.{signature}.{signature}"),
        " ".into(),
        "..".into(),
        "é.é.é".into(),
    ] {
        let (state, message) = sqlstate(app.execute("SELECT rolecall.authenticate($1)", &[&forged]));
        assert_eq!(state, "28000", "{forged}: {message}");
        assert!(!message.contains(claims), "the error shows the token: {message}");
        is_nobody(&mut app);
    }
}

/// Even with the key of another database's tokens, and with claims that lack something.
#[test]
fn a_token_of_another_database_is_refused() {
    let (here, there) = (Notes::new(), Notes::new());
    let mut app = here.connect();
    assert_eq!(sqlstate(app.execute("SELECT rolecall.authenticate($1)", &[&there.alice])).0, "28000");
}

/// Trap 4.
#[test]
fn another_identitys_prepared_statement_shows_ones_own_rows() {
    let story = Notes::new();
    let mut app = story.connect();
    authenticate(&mut app, &story.alice, true);
    run(&mut app, "PREPARE rows AS SELECT * FROM notes");
    for _ in 0..7 {
        run(&mut app, "EXECUTE rows");
    }
    run(&mut app, "SELECT rolecall.logout()");
    assert_eq!(app.simple_query("EXECUTE rows").unwrap().len() - 2, 0);
}

/// A function that runs as somebody with more rights must not be able to pass its caller off as another.
/// CVE-2022-1552.
#[test]
fn an_identity_cannot_be_taken_inside_a_security_restricted_operation() {
    let story = Notes::new();
    let mut app = story.connect();
    run(&mut story.database.admin(), &format!("CREATE SCHEMA lab AUTHORIZATION {}", story.app));
    let trap = format!(
        "CREATE FUNCTION lab.trap(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS
             $$ BEGIN PERFORM rolecall.authenticate('{}', true); RETURN 1; END $$;
         CREATE TABLE lab.t (x int); INSERT INTO lab.t VALUES (1)",
        story.alice
    );
    run(&mut app, &trap);
    let (state, message) = sqlstate(app.batch_execute("CREATE INDEX ON lab.t (lab.trap(x))"));
    assert_eq!(state, "42501", "{message}");
    is_nobody(&mut app);
}

/// Names that the attacker makes are not what policies call.
/// CVE-2018-1058.
#[test]
fn a_search_path_full_of_traps_changes_nothing() {
    let story = Notes::new();
    let mut app = story.connect();
    run(&mut story.database.admin(), &format!("CREATE SCHEMA lab AUTHORIZATION {}", story.app));
    run(
        &mut app,
        "CREATE FUNCTION lab.always(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT true';
         CREATE OPERATOR lab.= (LEFTARG = text, RIGHTARG = text, FUNCTION = lab.always);
         CREATE FUNCTION lab.user_id() RETURNS text LANGUAGE sql AS $$ SELECT 'u1'::text $$;
         CREATE FUNCTION lab.has_role(text) RETURNS boolean LANGUAGE sql AS 'SELECT true';
         CREATE TEMP TABLE users (id text, username text); CREATE TEMP TABLE roles (name text);
         SET search_path = lab, pg_temp, pg_catalog, public",
    );
    for password in ["wonderland 1865", "can we fix it"] {
        let (state, message) = sqlstate(app.query("SELECT rolecall.login('nobody', $1)", &[&password]));
        assert_eq!(state, "28P01", "{message}");
    }
    authenticate(&mut app, &story.bob, true);
    assert_eq!(one::<i64>(&mut app, "SELECT pg_catalog.count(*) FROM public.notes"), BOBS);
    assert_eq!(sqlstate(app.batch_execute("SELECT rolecall.create_role('x')")).0, "42501");
}

/// A cheap function in the WHERE clause must not be shown rows before the policy has chosen them.
/// Trap 25, CVE-2019-10130.
#[test]
fn a_leaky_function_sees_no_hidden_row() {
    let story = Notes::new();
    let mut admin = story.database.admin();
    run(
        &mut admin,
        &format!(
            "CREATE SCHEMA lab AUTHORIZATION {};
             CREATE VIEW barrier WITH (security_invoker, security_barrier) AS SELECT * FROM notes;
             GRANT SELECT ON barrier TO PUBLIC",
            story.app
        ),
    );
    let mut app = story.connect();
    run(
        &mut app,
        "CREATE TABLE lab.seen (owner_id text);
         CREATE FUNCTION lab.leak(x text) RETURNS boolean COST 0.0000001 LANGUAGE plpgsql AS
             $$ BEGIN INSERT INTO lab.seen VALUES (x); RETURN true; END $$",
    );
    authenticate(&mut app, &story.bob, true);
    for settings in ["SET enable_indexscan = on", "SET enable_indexscan = off; SET enable_bitmapscan = off"] {
        run(&mut app, settings);
        for query in [
            "SELECT count(*) FROM notes WHERE lab.leak(owner_id)",
            "SELECT count(*) FROM barrier WHERE lab.leak(owner_id)",
            "SELECT count(*) FROM notes n JOIN notes m USING (id) WHERE lab.leak(n.owner_id) AND lab.leak(m.owner_id)",
            "SELECT count(*) FROM (SELECT DISTINCT owner_id, lab.leak(owner_id) FROM notes) q",
        ] {
            run(&mut app, query);
        }
    }
    run(&mut app, "UPDATE notes SET body = 'x' WHERE lab.leak(owner_id); DELETE FROM notes WHERE lab.leak(owner_id)");
    assert_eq!(column(&mut app, "SELECT DISTINCT owner_id FROM lab.seen"), ["u2"]);
}
