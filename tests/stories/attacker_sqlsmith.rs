//! sqlsmith as the attacker: random statements over all that his login sees, and all functions, rolecall's too.
//!
//! sqlsmith does not look at what a statement returns, so here it only writes them (`--dry-run`), and the story runs them
//! and looks through rows, notices and errors. `ROLECALL_SQLSMITH` is how many, and any other number is another seed.

use crate::attacker_world::World;
use postgres::error::{DbError, Severity};
use postgres::{Client, NoTls, SimpleQueryMessage};
use rolecall_tests::Cluster;
use std::fmt::Write;
use std::process::Command;
use std::sync::{Arc, Mutex};

/// How many statements, and the seed they are made from.
fn statements_wanted() -> usize {
    std::env::var("ROLECALL_SQLSMITH").ok().and_then(|wanted| wanted.parse().ok()).unwrap_or(1000)
}

/// The statements that sqlsmith writes for mallory's login.
fn statements(world: &World, wanted: usize) -> Vec<String> {
    let program = |name| std::env::var(name).expect("sqlsmith is there: run `make test`");
    let target = format!(
        "host={} user={} dbname={}",
        world.database.cluster().socket().display(),
        world.login,
        world.database.name
    );
    let mut sqlsmith = Command::new(program("SQLSMITH"));
    sqlsmith.env("LD_LIBRARY_PATH", program("SQLSMITH_LIBRARIES")).args(["--dry-run", "--exclude-catalog"]);
    sqlsmith.args([format!("--target={target}"), format!("--seed={wanted}"), format!("--max-queries={wanted}")]);
    let output = sqlsmith.output().expect("sqlsmith runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let written = String::from_utf8(output.stdout).expect("statements are UTF-8");
    written.split(";\n").map(str::to_owned).filter(|statement| !statement.trim().is_empty()).collect()
}

/// A connection of mallory's, who is a user by his login alone, and the notices it gets.
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

/// Whether an error is rolecall's own and no refusal but a defect.
fn is_defect(error: &DbError) -> bool {
    error.code().code().starts_with("XX") && error.file().is_some_and(|file| file.ends_with(".rs"))
}

#[test]
fn random_statements_get_nothing_hidden() {
    let cluster = Cluster::start(&["max_prepared_transactions=2"]);
    let mut world = World::new(cluster.database());
    let statements = statements(&world, statements_wanted());
    let before = world.fingerprint();
    let (mut client, mut notices) = connect(&world);
    let (mut succeeded, mut rows) = (0, 0);
    for statement in &statements {
        let mut printed = String::new();
        match client.simple_query(statement) {
            Ok(messages) => {
                succeeded += 1;
                for message in messages {
                    if let SimpleQueryMessage::Row(row) = message {
                        rows += 1;
                        (0..row.len()).filter_map(|n| row.get(n)).for_each(|value| printed += &format!("{value}|"));
                    }
                }
            }
            Err(error) => {
                let error =
                    error.as_db_error().unwrap_or_else(|| panic!("the server is gone: {statement}\n{}", cluster.log()));
                assert!(!is_defect(error), "{statement}\n{error:?}");
                printed += &told(error);
                // It may end its own connection.
                if error.parsed_severity() == Some(Severity::Fatal) {
                    (client, notices) = connect(&world);
                }
            }
        }
        printed += &std::mem::take(&mut *notices.lock().unwrap());
        assert_eq!(world.leak(&printed), None, "{statement}\n{printed}");
    }
    eprintln!("{} statements, {succeeded} succeeded, {rows} rows", statements.len());
    let log = cluster.log();
    for sign in ["terminated by signal", "PANIC", "panicked at", "TRAP: ", "server process"] {
        assert!(!log.contains(sign), "{log}");
    }
    let changed: Vec<_> = world.fingerprint().into_iter().filter(|line| !before.contains(line)).collect();
    assert!(changed.is_empty(), "{changed:?}");
    assert!(succeeded > statements.len() / 10, "{succeeded} of {} statements succeeded", statements.len());
}
