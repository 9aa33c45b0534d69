//! Whatever is asked, and whatever is broken inside: an error with its SQLSTATE, and the session goes on.

use crate::faults_world::{CALLS, Who, World};
use crate::support::*;
use postgres::Client;
use rolecall_tests::Cluster;

/// An argument of a type as nobody would write it, in SQL.
fn extreme(kind: &str) -> Vec<String> {
    let nested = |open: &str, close: &str, depth: u32| {
        format!("(repeat('{open}', {depth}) || '1' || repeat('{close}', {depth}))::jsonb")
    };
    let texts =
        ["repeat('x', 300000)", "''", "repeat('\"', 70000)", "E'\\x01'", "repeat('ä', 300)", "repeat('(', 9000)"];
    match kind {
        "text" | "name" => texts.map(|text| format!("({text})::{kind}")).to_vec(),
        "text[]" => texts.map(|text| format!("array[{text}, NULL]")).into_iter().chain(["'{}'".into()]).collect(),
        "name[]" => vec!["'{}'".into(), "'{NULL}'".into()],
        "jsonb" => {
            let object = r#"{"AND": ["#;
            let mut all = vec!["'{}'::jsonb".into(), "'null'::jsonb".into(), "to_jsonb(repeat('x', 300000))".into()];
            all.extend([20, 200, 3000].map(|depth| nested("[", "]", depth)));
            all.extend([20, 200, 3000].map(|depth| nested("{\"a\": ", "}", depth)));
            all.extend([20, 200, 1500].map(|depth| nested(object, "]}", depth)));
            all.push(
                "(SELECT jsonb_agg(jsonb_build_object('id', n, 'rights', n)) FROM generate_series(1, 20000) n)".into(),
            );
            all.push("(SELECT jsonb_object_agg(n, '{}'::jsonb) FROM generate_series(1, 20000) n)".into());
            all
        }
        "interval" => ["178000000 years", "-178000000 years", "0"].map(|it| format!("'{it}'::interval")).to_vec(),
        "timestamptz" | "timestamp with time zone" => {
            ["infinity", "-infinity", "294276-12-31", "4713-01-01 BC"].map(|it| format!("'{it}'::timestamptz")).to_vec()
        }
        "bigint" | "integer" | "smallint" => {
            let greatest = [("bigint", "9223372036854775807"), ("integer", "2147483647"), ("smallint", "32767")];
            let greatest = greatest.iter().find(|(name, _)| *name == kind).map_or("0", |(_, greatest)| greatest);
            vec![greatest.into(), format!("(-{greatest}-1)::{kind}"), "0".into()]
        }
        "regclass" => ["'pg_class'", "0", "4294967295", "'posts_pkey'"].map(|it| format!("{it}::regclass")).to_vec(),
        "boolean" => vec!["true".into()],
        other => panic!("an argument of the type {other}: add values for it"),
    }
}

/// An argument as one would write it.
fn plain(kind: &str) -> &'static str {
    match kind {
        "text" | "name" => "'ada'",
        "text[]" | "name[]" => "'{editor}'",
        "jsonb" => "'{}'",
        "interval" => "'1 hour'",
        "bigint" | "integer" | "smallint" => "1",
        "regclass" => "'posts'",
        "boolean" => "true",
        _ => "NULL",
    }
}

/// Runs a statement, which is undone; its SQLSTATE if it fails, all of it if it is an internal error.
fn attempt(client: &mut Client, statement: &str) -> Option<String> {
    let result = client.batch_execute("BEGIN").and_then(|()| client.batch_execute(statement));
    let error = result.err().map(|error| match error.code() {
        Some(code) => (code.code().to_owned(), error),
        None => panic!("{statement}: {error}"),
    });
    run(client, "ROLLBACK");
    let (state, error) = error?;
    Some(if state.starts_with("XX") { format!("{statement}: {error:?}") } else { state })
}

#[test]
fn no_argument_is_too_much() {
    let cluster = Cluster::start(&["session_preload_libraries=rolecall"]);
    let world = World::new(&cluster);
    let callable =
        "SELECT proname || '|' || array_to_string(ARRAY(SELECT format_type(t, NULL) FROM unnest(proargtypes) t), ',')
        FROM pg_proc WHERE pronamespace = 'rolecall'::regnamespace AND has_function_privilege('public', oid, 'EXECUTE')
        AND prorettype <> ALL ('{trigger,event_trigger,internal}'::regtype[]) AND proname <> 'related'";
    let functions = column(&mut world.database.admin(), callable);
    let (mut tried, mut wrong) = (0, Vec::new());
    for who in [Who::Admin, Who::Ada] {
        let mut client = world.connect(who);
        let pid: i32 = one(&mut client, "SELECT pg_backend_pid()");
        for function in &functions {
            let (name, kinds) = function.split_once('|').expect("a name and its types");
            let kinds: Vec<&str> = kinds.split(',').filter(|kind| !kind.is_empty()).collect();
            for at in 0..kinds.len() {
                // After a few wrong passwords the next ones have to wait.
                let most = if ["login", "change_password"].contains(&name) { 2 } else { usize::MAX };
                for value in extreme(kinds[at]).into_iter().take(most) {
                    let mut arguments: Vec<String> = kinds.iter().map(|kind| plain(kind).to_owned()).collect();
                    arguments[at] = value;
                    let state = attempt(&mut client, &format!("SELECT rolecall.{name}({})", arguments.join(", ")));
                    wrong.extend(state.filter(|state| state.len() > 5));
                    tried += 1;
                }
            }
        }
        assert_eq!(one::<i32>(&mut client, "SELECT pg_backend_pid()"), pid);
    }
    assert!(tried > 1000, "only {tried} calls");
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn a_small_stack_is_an_error() {
    let cluster = Cluster::start(&["session_preload_libraries=rolecall", "max_stack_depth=100kB"]);
    let world = World::new(&cluster);
    for (who, call) in CALLS {
        let state = attempt(&mut world.connect(*who), call);
        assert!(state.as_deref().is_none_or(|state| state == "54001"), "{call}: {state:?}");
    }
}

#[test]
fn what_is_broken_inside_is_an_error() {
    let cluster = Cluster::start(&["session_preload_libraries=rolecall"]);
    let world = World::new(&cluster);
    let mut superuser = world.connect(Who::Admin);
    let mut panicked = 0;
    // Columns that rolecall takes for granted: without them it panics, or its own statement fails.
    for (table, name) in
        [("users", "chose_username"), ("role_members", "role"), ("role_scopes", "scope"), ("roles", "name")]
    {
        let mut sessions = [Who::Admin, Who::Ada, Who::Nobody, Who::Gateway].map(|who| (who, world.connect(who)));
        let pids = sessions.each_mut().map(|(_, client)| one::<i32>(client, "SELECT pg_backend_pid()"));
        run(&mut superuser, &format!("ALTER TABLE rolecall.{table} RENAME COLUMN {name} TO former"));
        let reading = [(Who::Ada, "SELECT count(*) FROM posts"), (Who::Ada, "SELECT count(*) FROM documents")];
        for (who, call) in CALLS.iter().chain(&reading) {
            let client =
                sessions.iter_mut().find_map(|(of, client)| (of == who).then_some(client)).expect("all have one");
            let result = client.batch_execute("BEGIN").and_then(|()| client.batch_execute(call));
            run(client, "ROLLBACK");
            if let Err(error) = result {
                let error = error.as_db_error().unwrap_or_else(|| panic!("{call}: {error}"));
                assert_eq!(error.severity(), "ERROR", "{call}: {error:?}");
                panicked += i32::from(error.message().contains("of another version"));
            }
        }
        run(&mut superuser, &format!("ALTER TABLE rolecall.{table} RENAME COLUMN former TO {name}"));
        for (who, call) in CALLS.iter().chain(&reading) {
            let client =
                sessions.iter_mut().find_map(|(of, client)| (of == who).then_some(client)).expect("all have one");
            run(client, &format!("BEGIN; {call}; ROLLBACK"));
        }
        assert_eq!(sessions.each_mut().map(|(_, client)| one::<i32>(client, "SELECT pg_backend_pid()")), pids);
    }
    assert!(panicked > 20, "only {panicked} panics");
}

#[test]
fn all_unsafe_code_has_stories() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository");
    let read =
        |path: &std::path::Path| std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut files = Vec::new();
    for entry in std::fs::read_dir(root.join("src/backend")).expect("the backend") {
        let path = entry.expect("a file").path();
        if ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern"].iter().any(|word| read(&path).contains(word)) {
            files.push(path.file_name().expect("its name").to_string_lossy().into_owned());
        }
    }
    files.sort();
    let table = read(&root.join("tests/unsafe.md"));
    let rows: Vec<Vec<&str>> =
        table.lines().filter(|line| line.starts_with("| `")).map(|line| line.split('|').collect()).collect();
    assert_eq!(rows.iter().map(|row| row[1].trim().trim_matches('`')).collect::<Vec<_>>(), files);
    for row in rows {
        for story in row[3].split(',').map(|story| story.trim().trim_matches('`')).filter(|story| *story != "all") {
            assert!(root.join(format!("tests/stories/{story}.rs")).exists(), "{}: no story {story}", row[1]);
        }
    }
}
