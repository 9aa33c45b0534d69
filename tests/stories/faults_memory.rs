//! Memory that runs out costs a statement, never a backend, let alone the server.

use crate::faults_world::set_limit;
use crate::support::*;
use postgres::Client;
use rolecall_tests::{Cluster, Database};

/// A database in which what grows with data has grown.
struct Large<'a> {
    database: Database<'a>,
    app: String,
    bob: String,
}

impl<'a> Large<'a> {
    fn new(cluster: &'a Cluster) -> Self {
        let story = Notes::in_database(cluster.database());
        let mine = r#"{"owner": {"equals": "__loggedInUserId"}}"#;
        run(
            &mut story.database.admin(),
            &format!(
                r#"SELECT rolecall.create_role('r' || n) FROM generate_series(1, 100) n;
                SELECT rolecall.grant_role('r' || n, 'role:r' || n - 1) FROM generate_series(2, 100) n;
                SELECT rolecall.grant_role('r1', 'bob'), rolecall.create_role('idle');
                INSERT INTO rolecall.role_scopes (role, scope)
                  SELECT 'r' || n, n || ':' || m || ':' || repeat('x', 200) FROM generate_series(1, 100) n, generate_series(1, 400) m;
                CREATE TABLE authors (id int PRIMARY KEY, owner text);
                CREATE TABLE posts (id int PRIMARY KEY, author_id int REFERENCES authors);
                INSERT INTO authors SELECT n, 'u2' FROM generate_series(1, 100000) n;
                INSERT INTO posts SELECT n, n FROM generate_series(1, 1000) n;
                CREATE TABLE files (id int PRIMARY KEY, acl jsonb);
                INSERT INTO files SELECT 1, jsonb_agg(jsonb_build_object('id', 'x' || n, 'rights', '["read"]'::jsonb))
                    || '{{"id": "u2", "rights": ["read"]}}' FROM generate_series(1, 20000) n;
                CREATE TABLE ruled (id int PRIMARY KEY, owner text);
                ANALYZE;
                SELECT rolecall.protect('posts'), rolecall.protect('files', 'acl'), rolecall.protect('authors');
                SELECT rolecall.allow('users', 'authors', 'select', '{mine}');
                SELECT rolecall.allow('users', 'posts', 'select', '{{"author": {mine}}}');
                GRANT SELECT ON authors, posts, files TO {}"#,
                story.app
            ),
        );
        Self { app: story.app, bob: story.bob, database: story.database }
    }

    /// A session, bob's or an administrator's, and its process.
    fn connect(&self, is_bobs: bool) -> (Client, i32) {
        let mut client = if is_bobs { self.database.connect(&self.app) } else { self.database.admin() };
        if is_bobs {
            authenticate(&mut client, &self.bob, true);
        }
        let pid = one(&mut client, "SELECT pg_backend_pid()");
        (client, pid)
    }
}

/// Limits the address space of a backend to what it has and `more` kB; without that, to nothing.
fn limit(pid: i32, more: Option<u64>) {
    let pages = std::fs::read_to_string(format!("/proc/{pid}/statm")).expect("the backend lives");
    let pages: u64 = pages.split(' ').next().and_then(|pages| pages.parse().ok()).expect("a number of pages");
    set_limit(pid, "as", more.map(|more| pages * 4096 + more * 1024));
}

/// How much more than it has a backend gets, in kB.
const STEPS: [u64; 6] = [0, 512, 1024, 4096, 8192, 1 << 18];
/// A library that does not fit is another error, and PostgreSQL's.
const PRELOADED: [&str; 2] = ["session_preload_libraries=rolecall,plpgsql", "shared_buffers=16MB"];

#[test]
fn memory_that_runs_out_costs_a_statement() {
    let cluster = Cluster::start(&PRELOADED);
    let large = Large::new(&cluster);
    let mut admin = large.database.admin();
    let large_filter = format!(r#"{{"OR": [{}]}}"#, vec![r#"{"owner": {"equals": "x"}}"#; 200].join(","));
    // What was known is gone when it runs; the last few are an administrator's.
    let mine = [
        "SELECT count(*)::text FROM notes",
        "SELECT count(*)::text FROM posts",
        "SELECT count(*)::text FROM files",
        "SELECT md5(rolecall.whoami()::text)",
        "SELECT count(*) FILTER (WHERE rolecall.has_role('r' || id) AND rolecall.has_scope(id || ':1:' || repeat('x', 200)))::text FROM notes",
        "SELECT (length(rolecall.login('bob', 'can we fix it')) > 20)::text",
    ];
    let administrators = [
        format!(
            "SELECT protect::text || allow FROM rolecall.protect('ruled'), rolecall.allow('users', 'ruled', 'select', '{large_filter}')"
        ),
        "SELECT string_agg(username || via, ',') FROM rolecall.who_can('posts', 'select')".to_owned(),
        "SELECT count(*)::text FROM rolecall.preview('notes', '{}', 'alice')".to_owned(),
        "SELECT rolecall.explain_access('posts', 'select', '7', 'bob')::text".to_owned(),
        r#"SELECT rolecall.register_server('s', jsonb_build_object('scopes',
            (SELECT jsonb_agg('scope:' || n) FROM generate_series(1, 5000) n)))::text"#
            .to_owned(),
    ];
    for statement in mine.into_iter().chain(administrators.iter().map(String::as_str)) {
        let (mut tried, mut failed) = (0, 0);
        let mut expected = None;
        for more in STEPS.into_iter().rev() {
            let (mut app, pid) = large.connect(mine.contains(&statement));
            let answer = |app: &mut Client| -> Result<String, postgres::Error> {
                let mut transaction = app.transaction()?;
                let row = transaction.query_one(statement, &[])?;
                transaction.rollback()?;
                Ok(row.get(0))
            };
            let identity = one::<Option<String>>(&mut app, "SELECT rolecall.user_id()");
            run(&mut admin, "SELECT rolecall.grant_role('idle', 'bob'), rolecall.revoke_role('idle', 'bob')");
            limit(pid, Some(more));
            let result = answer(&mut app);
            tried += 1;
            if let Err(error) = &result {
                failed += 1;
                let database_error = error.as_db_error().unwrap_or_else(|| panic!("{statement}, {more} kB: {error}"));
                let told = (database_error.severity(), database_error.code().code());
                // The second is PostgreSQL's for a pattern that does not fit.
                let is_told = [("ERROR", "53200"), ("ERROR", "2201B")].contains(&told);
                assert!(
                    is_told && database_error.message().contains("out of memory"),
                    "{statement}, {more} kB: {error}"
                );
            }
            limit(pid, None);
            let after = answer(&mut app).unwrap_or_else(|e| panic!("{statement}, after {more} kB: {e:?}"));
            assert_eq!(expected.get_or_insert_with(|| after.clone()), &after, "{statement}, after {more} kB");
            assert!(result.is_err() || result.is_ok_and(|before| before == after), "{statement}, {more} kB");
            assert_eq!(one::<Option<String>>(&mut app, "SELECT rolecall.user_id()"), identity);
        }
        assert!(0 < failed && failed < tried, "{statement}: {failed} of {tried} failed");
    }
    assert!(!cluster.log().contains("terminated by signal"), "no backend went down");
}

#[test]
fn memory_that_postgresql_uses_up_costs_a_statement() {
    let cluster = Cluster::start(&PRELOADED);
    let database = cluster.database();
    // Many small pieces in one memory context: in the end there is no room for the error either.
    let tests: Vec<_> = (0..20000).map(|n| format!("relpages + {n} > 0")).collect();
    let large = format!("EXPLAIN SELECT FROM pg_class WHERE {}", tests.join(" OR "));
    let mut failed = 0;
    for more in (2 << 10..60 << 10).step_by(2 << 10) {
        let mut client = database.admin();
        let pid = one(&mut client, "SELECT pg_backend_pid()");
        limit(pid, Some(more));
        if let Err(error) = client.batch_execute(&large) {
            failed += 1;
            assert_eq!(error.code().map(|code| code.code()), Some("53200"), "{more} kB: {error:?}");
        }
        limit(pid, None);
        assert_eq!(one::<Option<String>>(&mut client, "SELECT rolecall.user_id()"), None);
    }
    assert!(failed > 0, "memory never ran out");
    assert!(!cluster.log().contains("terminated by signal"), "no backend went down");
}

#[test]
fn what_is_beyond_the_reserve_ends_the_session_alone() {
    let cluster = Cluster::start(&PRELOADED);
    let database = cluster.database();
    let mut bystander = database.admin();
    run(&mut bystander, "SELECT rolecall.create_role('clerk'); CREATE TABLE kept (id int)");
    for more in (40 << 10..140 << 10).step_by(5 << 10) {
        let mut admin = database.admin();
        run(&mut admin, "SELECT rolecall.grant_scopes('clerk', '{x}'); BEGIN; INSERT INTO kept VALUES (1)");
        let pid = one(&mut admin, "SELECT pg_backend_pid()");
        // Somewhere the text fits, and so does its array, but not Rust's copy.
        limit(pid, Some(more));
        let result = admin.simple_query("SELECT rolecall.grant_scopes('clerk', ARRAY[repeat('x', 20000000)])");
        let error = result.map(drop).expect_err("too long for a scope");
        // What a server says before it closes a connection does not always reach the client: its log has it.
        let is_told = error.as_db_error().is_none_or(|error| ["53200", "22023"].contains(&error.code().code()));
        assert!(is_told, "{more} kB: {error:?}");
        drop(admin);
        run(&mut bystander, "SET lock_timeout = '10s'; BEGIN; LOCK TABLE kept; COMMIT");
        assert_eq!(one::<i64>(&mut bystander, "SELECT count(*) FROM kept"), 0);
    }
    let log = cluster.log();
    assert!(log.contains("FATAL:  out of memory"), "the reserve never was too small");
    assert!(!log.contains("terminated by signal"), "no backend went down");
}
