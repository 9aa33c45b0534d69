//! The attacker at random: statements of sqlsmith's over all that his login sees, and calls of rolecall's functions with
//! whatever their types allow.
//!
//! sqlsmith does not look at what a statement returns, so here it only writes them (`--dry-run`), and the story runs them
//! and looks through rows, notices and errors. `ROLECALL_SQLSMITH` is how many, and another number is another seed.

use crate::attacker_world::World;
use crate::support::column;
use postgres::error::{DbError, Severity};
use postgres::{Client, NoTls, SimpleQueryMessage};
use rolecall_tests::Cluster;
use std::fmt::Write;
use std::process::Command;
use std::sync::{Arc, Mutex};

/// How many statements, and the seed.
fn wanted() -> usize {
    std::env::var("ROLECALL_SQLSMITH").ok().and_then(|wanted| wanted.parse().ok()).unwrap_or(1000)
}

/// Mallory's connection, by a login that is him without a token, and what came of his statements.
struct Connection<'a> {
    world: World<'a>,
    client: Client,
    notices: Arc<Mutex<String>>,
    succeeded: usize,
}

impl<'a> Connection<'a> {
    fn new(world: World<'a>) -> Self {
        let (client, notices) = connect(&world);
        Self { world, client, notices, succeeded: 0 }
    }

    /// Runs a statement, which may fail, but shows nothing hidden and is no defect.
    fn try_out(&mut self, statement: &str) {
        let mut printed = String::new();
        match self.client.simple_query(statement) {
            Ok(messages) => {
                self.succeeded += 1;
                for message in messages {
                    if let SimpleQueryMessage::Row(row) = message {
                        let values: Vec<_> = (0..row.len()).filter_map(|n| row.get(n)).collect();
                        printed += &format!("{}|", values.join("|"));
                    }
                }
            }
            Err(error) => {
                let log = || self.world.database.cluster().log();
                let error = error.as_db_error().unwrap_or_else(|| panic!("no server: {statement}\n{}", log()));
                assert!(!is_defect(error), "{statement}\n{error:?}");
                printed += &told(error);
                // It may end its own connection.
                if error.parsed_severity() == Some(Severity::Fatal) {
                    (self.client, self.notices) = connect(&self.world);
                }
            }
        }
        printed += &std::mem::take(&mut *self.notices.lock().unwrap());
        assert_eq!(self.world.leak(&printed), None, "{statement}\n{printed}");
    }
}

fn connect(world: &World) -> (Client, Arc<Mutex<String>>) {
    let notices = Arc::new(Mutex::new(String::new()));
    let heard = notices.clone();
    let mut config = world.database.cluster().config(&world.login, &world.database.name);
    config.options("-c statement_timeout=1s -c search_path=public,his");
    config.notice_callback(move |notice| write!(heard.lock().unwrap(), "{}", told(&notice)).unwrap());
    (config.connect(NoTls).expect("mallory connects"), notices)
}

/// All that an error or a notice says.
fn told(error: &DbError) -> String {
    let more = [error.detail(), error.hint(), error.where_()].map(Option::unwrap_or_default).join("\n");
    format!("{}: {}\n{more}\n", error.code().code(), error.message())
}

/// Whether an error is no refusal but an internal one, and comes from rolecall.
fn is_defect(error: &DbError) -> bool {
    let in_rolecall = error.file().is_some_and(|file| file.ends_with(".rs"))
        || error.where_().is_some_and(|place| place.contains("rolecall."));
    error.code().code().starts_with("XX") && in_rolecall
}

/// Runs statements on a server of their own, which stays up, and changes nothing that is not mallory's.
fn survives(statements: impl Fn(&mut World) -> Vec<String>, at_least: usize) {
    let cluster = Cluster::start(&["max_prepared_transactions=2"]);
    let mut world = World::new(cluster.database());
    let statements = statements(&mut world);
    let before = world.fingerprint();
    let mut mallory = Connection::new(world);
    statements.iter().for_each(|statement| mallory.try_out(statement));
    println!("{} of {} statements succeeded", mallory.succeeded, statements.len());
    let log = cluster.log();
    for sign in ["terminated by signal", "PANIC", "panicked at", "TRAP: ", "server process"] {
        assert!(!log.contains(sign), "{log}");
    }
    let after = mallory.world.fingerprint();
    let changed: Vec<_> = after.into_iter().filter(|line| !before.contains(line)).collect();
    assert!(changed.is_empty(), "{changed:?}");
    assert!(mallory.succeeded >= at_least, "{} of {} statements succeeded", mallory.succeeded, statements.len());
}

/// The statements that sqlsmith writes for mallory's login.
fn of_sqlsmith(world: &mut World) -> Vec<String> {
    let program = |name| std::env::var(name).expect("sqlsmith is there: run `make test`");
    let wanted = wanted();
    let mut sqlsmith =
        world.database.cluster().with_connection(program("SQLSMITH"), &world.login, &world.database.name);
    sqlsmith.env("LD_LIBRARY_PATH", program("SQLSMITH_LIBRARIES")).args([
        "--dry-run",
        "--exclude-catalog",
        "--target=",
    ]);
    sqlsmith.args([format!("--seed={wanted}"), format!("--max-queries={wanted}")]);
    let output = Command::output(&mut sqlsmith).expect("sqlsmith runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let written = String::from_utf8(output.stdout).expect("statements are UTF-8");
    written.split(";\n").map(str::to_owned).filter(|statement| !statement.trim().is_empty()).collect()
}

#[test]
fn random_statements_get_nothing_hidden() {
    survives(of_sqlsmith, wanted() / 10);
}

/// Values to try for a type.
fn values(of: &str) -> &'static [&'static str] {
    match of {
        "text" => &[
            "''",
            "'mal'",
            "'victor'",
            "'mallory'",
            "'role:desk'",
            "'role:'",
            "'workflow:x'",
            "'admins'",
            "'clerk'",
            "'jobs'",
            "'north'",
            "'select'",
            "'update'",
            "'all'",
            "'read'",
            "'1'",
            "'__loggedInUserId'",
            "'rca_x'",
            "'x''y\"z\\'",
            "repeat('x:', 5000)",
            "'public.mails'",
            "'files'",
            "'{}'",
            "E'\\U0001F600'",
            "'HS256'",
        ],
        "text[]" | "name[]" => &[
            "'{}'",
            "'{admins}'",
            "'{users,NULL}'",
            "'{NULL}'",
            "'{read,update}'",
            "'{{a,b},{c,d}}'",
            "'[5:6]={id,body}'",
            "'{id,body}'",
        ],
        "name" => &["'id'", "'_acl'", "'tableoid'", "'nobody here'", "''"],
        "jsonb" => &[
            "'{}'",
            "'[]'",
            "'null'",
            "'1e300'",
            "'\"x\"'",
            "'{\"body\": {\"equals\": \"x\"}}'",
            "'{\"id\": {\"in\": [1, 99999999999]}}'",
            "'{\"AND\": [{}, {\"NOT\": []}]}'",
            "'{\"team\": {\"people\": {\"some\": {\"is_self\": true}}}}'",
            "'{\"id\": 1}'",
            "'[{\"id\": \"mal\", \"rights\": [\"read\"]}]'",
            "'[{\"id\": \"vic\", \"rights\": -1, \"deny\": true}]'",
            "'{\"query_kind\": \"a\", \"x\": [{\"query_kind\": \"b\"}]}'",
            "'{\"sub\": \"vic\", \"exp\": 4102444800}'",
        ],
        "regclass" => &[
            "'mails'",
            "'papers'",
            "'papers_low'",
            "'files'",
            "'staff'",
            "'staff_exposed'",
            "'vault'",
            "'mails_id_seq'",
            "'mails_pkey'",
            "'pg_class'",
            "'his.got'",
            "'rolecall.users'",
            "0",
            "4711",
        ],
        "interval" => &["'0'", "'-1 day'", "'1 microsecond'", "'1 month'", "'178000000 years'"],
        "timestamp with time zone" => &["'infinity'", "'-infinity'", "'epoch'", "'4713-01-01 BC'", "now()"],
        "bigint" | "integer" | "smallint" | "oid" => &["0", "1", "2", "32767", "'mails'::regclass::oid::int"],
        "boolean" => &["true", "false"],
        _ => &[],
    }
}

/// Calls of every function of rolecall's that he may call, with values by a generator that always gives the same.
fn calls(world: &mut World) -> Vec<String> {
    let functions = format!(
        "SELECT oid::regproc || ' ' || array_to_string(proargtypes::regtype[], ',') FROM pg_proc
          WHERE pronamespace = 'rolecall'::regnamespace AND prokind = 'f' AND proname <> 'logout'
            AND has_function_privilege('{}', oid, 'EXECUTE')
            AND prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype, 'internal'::regtype) ORDER BY 1",
        world.login
    );
    let functions = column(&mut world.admin, &functions);
    let mut state = wanted() as u64;
    let mut below = |limit: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % limit
    };
    let mut statements = Vec::new();
    for function in &functions {
        let (name, types) = function.split_once(' ').unwrap();
        let types: Vec<_> = types.split(',').filter(|of| !of.is_empty()).collect();
        let rounds = if types.is_empty() { 1 } else { wanted() / 20 };
        for _ in 0..rounds {
            let arguments = types.iter().map(|of| match values(of) {
                values if !values.is_empty() && below(12) > 0 => format!("{}::{of}", values[below(values.len())]),
                _ => format!("NULL::{of}"),
            });
            let arguments = arguments.collect::<Vec<_>>().join(", ");
            statements.push(format!("SELECT * FROM {name}({arguments})"));
        }
    }
    assert!(functions.len() > 80, "{}", functions.len());
    statements
}

#[test]
fn random_calls_get_nothing_hidden() {
    survives(calls, wanted() / 10);
}
