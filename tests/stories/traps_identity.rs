//! Traps 1 to 4 and 6: what a session carries its identity in. Beside each of rolecall's answers stands a policy as people
//! write it by hand, which does leak: a story whose trap does not spring proves nothing.

use crate::support::*;
use postgres::Client;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

/// The notes again, with a policy that somebody wrote who knew no better.
fn naive(story: &Notes<'_>, policy: &str) {
    run(
        &mut story.database.admin(),
        &format!(
            "CREATE TABLE naive AS TABLE notes; GRANT SELECT ON naive TO {};
             ALTER TABLE naive ENABLE ROW LEVEL SECURITY; {policy}",
            story.app
        ),
    );
}

fn seen_naively(client: &mut Client) -> i64 {
    one(client, "SELECT count(*) FROM naive")
}

/// Trap 1. An identity ends with whatever resets a session, also where a value in the memory of the process stays. The
/// last value of a sequence is such a value, for want of C: no transaction and no RESET touches it.
#[test]
fn what_resets_a_session_ends_the_identity() {
    let story = Notes::new();
    naive(
        &story,
        &format!(
            "CREATE SEQUENCE me; GRANT ALL ON me TO {};
             CREATE POLICY p ON naive USING (owner_id = 'u' || currval('me'))",
            story.app
        ),
    );
    let mut app = story.connect();
    for (begin, for_session, end, stays) in [
        ("BEGIN", false, "ROLLBACK", true),
        ("BEGIN", true, "ROLLBACK", true),
        ("BEGIN", false, "COMMIT", true),
        ("BEGIN; SAVEPOINT s", true, "ROLLBACK TO s; COMMIT", true),
        ("BEGIN; SAVEPOINT s", false, "ROLLBACK TO s; COMMIT", true),
        ("", true, "RESET ALL", true),
        ("", true, "SELECT rolecall.logout()", true),
        // This one PostgreSQL's sequences know too.
        ("", true, "DISCARD ALL", false),
    ] {
        run(&mut app, begin);
        authenticate(&mut app, &story.bob, for_session);
        run(&mut app, "SELECT setval('me', 2)");
        assert_eq!((notes(&mut app), seen_naively(&mut app)), (BOBS, BOBS), "{begin}");
        run(&mut app, end);
        assert_eq!(notes(&mut app), 0, "{begin} … {end}");
        match stays {
            true => assert_eq!(seen_naively(&mut app), BOBS, "{end}: the trap springs"),
            false => refused(&mut app, "TABLE naive", "55000", "currval"),
        }
    }
    // psql's \c makes another session.
    let script = format!(
        "SELECT FROM rolecall.authenticate('{}', true);\nSELECT count(*) FROM notes;\n\\c\nSELECT count(*) FROM notes;\n",
        story.bob
    );
    let mut psql = story.database.psql(&story.app);
    psql.arg("-qAt").stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut psql = psql.spawn().expect("psql runs");
    psql.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let printed = psql.wait_with_output().unwrap().stdout;
    let counts: Vec<_> =
        String::from_utf8(printed).unwrap().lines().filter_map(|line| line.parse::<i64>().ok()).collect();
    assert_eq!(counts, [BOBS, 0]);
}

/// Trap 1. Who a session is by its database role goes with that; who he is by a token does not depend on it.
#[test]
fn another_session_authorization_takes_its_own_identity_along() {
    let story = Notes::new();
    let carol = story.database.login("carol");
    let mut admin = story.database.admin();
    run(
        &mut admin,
        &format!(
            "SELECT rolecall.create_user('carol', id => 'u3', database_role => '{carol}'); GRANT SELECT ON notes TO {carol}"
        ),
    );
    let who = "SELECT concat_ws(' ', rolecall.user_id(), rolecall.whoami() ->> 'via')";
    for reset in ["RESET SESSION AUTHORIZATION", "SET SESSION AUTHORIZATION DEFAULT"] {
        run(&mut admin, &format!("SET SESSION AUTHORIZATION {carol}"));
        assert_eq!((one::<String>(&mut admin, who), notes(&mut admin)), ("u3 database_role".into(), 100));
        run(&mut admin, reset);
        assert_eq!(one::<String>(&mut admin, who), "none");
        run(&mut admin, &format!("BEGIN; SET LOCAL SESSION AUTHORIZATION {carol}"));
        assert_eq!(one::<String>(&mut admin, who), "u3 database_role");
        run(&mut admin, "ROLLBACK");
        assert_eq!(one::<String>(&mut admin, who), "none");
    }
    run(&mut admin, &format!("SET SESSION AUTHORIZATION {}", story.app));
    authenticate(&mut admin, &story.bob, true);
    run(&mut admin, "RESET SESSION AUTHORIZATION");
    assert_eq!(one::<String>(&mut admin, who), "u2 jwt");
    run(&mut admin, &format!("SET SESSION AUTHORIZATION {carol}"));
    assert_eq!((one::<String>(&mut admin, who), notes(&mut admin)), ("u2 jwt".into(), BOBS));
    run(&mut admin, "DISCARD ALL");
    assert_eq!(one::<String>(&mut admin, who), "none");
}

/// An identity as the setting would carry it.
const FORGED: &str = r#"{"user":"u1","token":"t","issued_at":1,"expires_at":99999999999}"#;

/// Trap 2. Whoever can SET a setting of his own is whom he likes; stored for a role or a database, in the startup packet or
/// in its options, rolecall's is nothing, not even when a superuser has stored it.
#[test]
fn no_setting_is_an_identity() {
    let story = Notes::new();
    naive(&story, "CREATE POLICY p ON naive USING (owner_id = current_setting('app.who', true))");
    let mut admin = story.database.admin();
    let (app, database) = (&story.app, &story.database.name);
    let mut naively = story.connect();
    run(&mut naively, "SET app.who = 'u2'");
    assert_eq!(seen_naively(&mut naively), BOBS, "the trap springs");
    let counts = |client: &mut Client| {
        let counts = (notes(client), seen_naively(client));
        assert_eq!(one::<Option<String>>(client, "SELECT rolecall.user_id()"), None);
        counts
    };
    // Where the library is not yet loaded, as on this server, PostgreSQL lets a superuser store what he likes.
    for place in [format!("ROLE {app}"), format!("DATABASE {database}"), format!("ROLE {app} IN DATABASE {database}")] {
        run(
            &mut story.database.admin(),
            &format!("ALTER {place} SET app.who = 'u2'; ALTER {place} SET rolecall.identity = '{FORGED}'"),
        );
        assert_eq!(counts(&mut story.connect()), (0, BOBS), "{place}");
        run(&mut admin, &format!("ALTER {place} RESET ALL"));
    }
    let options = format!("-c app.who=u2 -c rolecall.identity={FORGED}");
    assert_eq!(counts(&mut story.database.connect_with(app, &options).unwrap()), (0, BOBS));
    let reset = format!(
        "CREATE FUNCTION seen() RETURNS bigint LANGUAGE sql SET app.who = 'u2' SET rolecall.identity = '{FORGED}'
        BEGIN ATOMIC SELECT count(*) FROM notes; END"
    );
    run(&mut story.database.admin(), &reset);
    assert_eq!(one::<i64>(&mut story.connect(), "SELECT seen()"), 0);
    let settings = [("app.who", "u2"), ("rolecall.identity", FORGED)];
    let answer = over_the_wire(
        &story,
        &settings,
        "SELECT 'seen ' || count(*) FROM naive UNION ALL SELECT 'ours ' || count(*) FROM notes",
    );
    assert!(answer.contains(&format!("seen {BOBS}")) && answer.contains("ours 0"), "{answer}");
}

/// What the server answers to a connection that begins with settings, and to a query.
fn over_the_wire(story: &Notes<'_>, settings: &[(&str, &str)], query: &str) -> String {
    let socket = story.database.cluster().socket();
    let socket = std::fs::read_dir(socket).unwrap().map(|entry| entry.unwrap().path());
    let socket = socket
        .filter(|path| path.to_string_lossy().contains(".s.PGSQL.") && path.extension().is_some_and(|e| e != "lock"));
    let mut server = UnixStream::connect(socket.last().expect("a socket")).expect("the server listens");
    server.set_read_timeout(Some(std::time::Duration::from_secs(60))).unwrap();
    let mut packet = 0x0003_0000_u32.to_be_bytes().to_vec();
    let parameters = [("user", story.app.as_str()), ("database", &story.database.name)];
    for (name, value) in parameters.iter().chain(settings) {
        packet.extend_from_slice(format!("{name}\0{value}\0").as_bytes());
    }
    packet.push(0);
    let length = |bytes: &[u8]| u32::try_from(bytes.len() + 4).unwrap().to_be_bytes();
    server.write_all(&[&length(&packet)[..], &packet].concat()).unwrap();
    let query = [query.as_bytes(), b"\0"].concat();
    server.write_all(&[&b"Q"[..], &length(&query), &query, b"X", &length(b"")].concat()).unwrap();
    let mut answer = Vec::new();
    server.read_to_end(&mut answer).expect("an answer");
    String::from_utf8_lossy(&answer).into_owned()
}

/// Trap 3. After its transaction a setting made by SET LOCAL is '', which is no UUID; rolecall's values are NULL again, and
/// '' where a gateway's claims have been is nobody's.
#[test]
fn after_the_transaction_there_is_null() {
    let story = Notes::new();
    let id = "00000000-0000-0000-0000-000000000001";
    naive(
        &story,
        &format!(
            "ALTER TABLE naive ADD who uuid DEFAULT '{id}'; CREATE POLICY p ON naive USING (who = current_setting('app.who', true)::uuid)"
        ),
    );
    let gateway = story.database.login("gateway");
    let mut admin = story.database.admin();
    run(
        &mut admin,
        &format!(
            r#"CREATE TABLE keyed (who uuid, number bigint, mail text); INSERT INTO keyed VALUES ('{id}', 7, 'bob@example.org');
            GRANT SELECT ON keyed, naive TO {gateway}, {app}; GRANT rolecall_authenticator TO {gateway}; SELECT rolecall.protect('keyed');
            SELECT rolecall.create_user('uuid', id => '{id}'), rolecall.create_user('seven', id => '7');
            SELECT rolecall.allow('guest', 'keyed', 'select', '{{"OR": [{{"who": {{"equals": "__loggedInUserId"}}}},
                {{"number": {{"equals": "__loggedInUserId"}}}}, {{"mail": {{"equals": "__loggedInUserEmail"}}}}]}}')"#,
            app = story.app
        ),
    );
    let mut client = story.database.connect(&gateway);
    for (subject, keyed) in [(id, 1), ("7", 1), ("u2", 1), ("u1", 0)] {
        run(
            &mut client,
            &format!("BEGIN; SET LOCAL app.who = '{id}'; SET LOCAL request.jwt.claims = '{{\"sub\": \"{subject}\"}}'"),
        );
        assert_eq!(one::<String>(&mut client, "SELECT rolecall.assume()"), subject);
        assert_eq!(one::<i64>(&mut client, "SELECT count(*) FROM keyed"), keyed, "{subject}");
        assert_eq!(seen_naively(&mut client), ALL);
        run(&mut client, "COMMIT");
        assert_eq!(one::<String>(&mut client, "SELECT current_setting('request.jwt.claims')"), "");
        refused(&mut client, "TABLE naive", "22P02", "invalid input syntax for type uuid");
        assert_eq!(one::<i64>(&mut client, "SELECT count(*) FROM keyed"), 0);
        let values = "SELECT num_nulls(rolecall.user_id(), rolecall.user_id_as_uuid(), rolecall.user_id_as_bigint(), rolecall.user_email())";
        assert_eq!(one::<i32>(&mut client, values), 4);
        refused(&mut client, "SELECT rolecall.assume()", "28000", "Please log in");
    }
}

/// Trap 4. A function that says it is IMMUTABLE is evaluated once, for whoever came first.
#[test]
fn no_plan_keeps_who_made_it() {
    let story = Notes::new();
    naive(
        &story,
        "CREATE FUNCTION me() RETURNS text IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN rolecall.user_id(); END';
         CREATE POLICY p ON naive USING (owner_id = me())",
    );
    let mut app = story.connect();
    run(&mut app, "SET plan_cache_mode = force_generic_plan");
    authenticate(&mut app, &story.alice, true);
    let (naively, ours) =
        (app.prepare("SELECT min(owner_id) FROM naive").unwrap(), app.prepare("SELECT count(*) FROM notes").unwrap());
    let mut seen = |token: &str| {
        authenticate(&mut app, token, true);
        let naively: Option<String> = app.query_one(&naively, &[]).unwrap().get(0);
        (naively, app.query_one(&ours, &[]).unwrap().get::<_, i64>(0))
    };
    assert_eq!(seen(&story.alice), (Some("u1".into()), ALL));
    assert_eq!(seen(&story.bob), (Some("u1".into()), BOBS), "the trap springs: alice's rows for bob");
    // What depends on nothing but its arguments, and what the planner calls.
    let immutable = "SELECT DISTINCT proname FROM pg_proc WHERE provolatile = 'i' AND prorettype <> 'internal'::regtype
                        AND pronamespace::regnamespace::text LIKE 'rolecall%' ORDER BY 1";
    assert_eq!(column(&mut story.database.admin(), immutable), ["id_set", "ids_of", "is_in", "query_scopes"]);
}

/// Trap 6. A worker has the session's settings and none of its memory. What rules call may run there, what changes the
/// identity may not.
#[test]
fn workers_have_the_identity_too() {
    let story = Notes::new();
    naive(
        &story,
        &format!(
            "CREATE SEQUENCE me; GRANT ALL ON me TO {};
             CREATE FUNCTION me() RETURNS text STABLE PARALLEL SAFE LANGUAGE plpgsql AS $$ BEGIN RETURN 'u' || currval('me'); END $$;
             CREATE POLICY p ON naive USING (owner_id = me()); ANALYZE naive",
            story.app
        ),
    );
    let mut app = story.connect();
    let forced = one::<i32>(&mut app, "SELECT current_setting('server_version_num')::int") < 160_000;
    let force = if forced { "force_parallel_mode" } else { "debug_parallel_query" };
    authenticate(&mut app, &story.bob, true);
    run(&mut app, "SELECT setval('me', 2)");
    assert_eq!(seen_naively(&mut app), BOBS);
    run(&mut app, &format!("SET {force} = on"));
    refused(&mut app, "SELECT count(*) FROM naive", "55000", "currval");
    assert!(plan(&mut app, "TABLE notes").starts_with("Gather"));
    assert_eq!(notes(&mut app), BOBS);
    // Also the database role that acts inside (CVE-2024-10978).
    run(
        &mut story.database.admin(),
        &format!("CREATE POLICY mine ON notes AS RESTRICTIVE USING (current_user = '{}')", story.app),
    );
    assert_eq!(notes(&mut app), BOBS);
    let called_by_rules = "SELECT DISTINCT f.proname || f.proparallel::text FROM pg_depend d JOIN pg_proc f ON f.oid = d.refobjid
                            WHERE d.classid = 'pg_policy'::regclass AND f.pronamespace::regnamespace::text LIKE 'rolecall%' AND f.proname <> 'refused' ORDER BY 1";
    let mut admin = story.database.admin();
    assert_eq!(column(&mut admin, called_by_rules), ["has_roles", "user_ids"]);
    for function in ["authenticate", "assume", "become", "logout"] {
        let parallel = format!(
            "SELECT bool_and(proparallel = 'u') FROM pg_proc WHERE proname = '{function}' AND pronamespace = 'rolecall'::regnamespace"
        );
        assert!(one::<bool>(&mut admin, &parallel), "{function}");
    }
}
