//! One database with everything in it answers every question the same, before and after it was dumped and restored.

use crate::acl_oracle::ids;
use crate::dump::restore;
use crate::dump_answers::{Answers, answers, differences, expected, session};
use crate::dump_world::{PEOPLE, TABLES, World};
use crate::support::*;
use rolecall_tests::{Cluster, Database};
use std::io::Write;
use std::process::{Command, Stdio};

/// The world, what it answers, and the token of its robot.
pub fn world(database: &Database) -> (World, Answers, String) {
    let (world, token) = World::make(database);
    let answers = answers(database, &database.name, &world, &token);
    assert_eq!(differences(&expected(&world), &answers), "", "the database and the model");
    assert!(answers.values().filter(|answer| answer.len() > 1).count() > 300);
    (world, answers, token)
}

fn output(command: &mut Command) -> Vec<u8> {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Runs a script in psql; an error ends it.
fn load(database: &Database, script: &[u8]) {
    let mut psql = database.psql("postgres");
    let mut psql = psql.arg("--quiet").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    psql.stdin.take().unwrap().write_all(script).unwrap();
    assert!(psql.wait().unwrap().success());
}

fn dump(database: &Database, arguments: &[&str]) -> Vec<u8> {
    output(database.cluster().client_program("pg_dump", "postgres", &database.name).args(arguments))
}

#[test]
fn a_restored_database_gives_the_same_answers() {
    let database = database();
    let (world, before, token) = world(&database);
    for (way, restored) in
        [("plain", restore(&database)), ("in parts", in_parts(&database)), ("in parallel", in_parallel(&database))]
    {
        let after = answers(&restored, &database.name, &world, &token);
        assert_eq!(differences(&before, &after), "", "{way}");
    }
    let other = Cluster::start(&[]);
    let after = answers(&on_another_server(&database, &other), &database.name, &world, &token);
    assert_eq!(differences(&before, &after), "", "on another server");
}

fn in_parts<'a>(database: &Database<'a>) -> Database<'a> {
    let restored = database.cluster().plain_database();
    for part in ["pre-data", "data", "post-data"] {
        load(&restored, &dump(database, &[&format!("--section={part}")]));
    }
    restored
}

/// rolecall's own tables refer to each other, and `pg_restore` would load them in any order: they go before the others,
/// one by one.
fn in_parallel<'a>(database: &Database<'a>) -> Database<'a> {
    let restored = database.cluster().plain_database();
    let directory = tempfile::tempdir().unwrap();
    let archive = directory.path().join("archive");
    std::fs::write(&archive, dump(database, &["-Fc"])).unwrap();
    for part in [
        "--section=pre-data",
        "--section=data -n rolecall",
        "--section=data -N rolecall -j 3",
        "--section=post-data -j 3",
    ] {
        let mut restore = database.cluster().client_program("pg_restore", "postgres", &restored.name);
        output(restore.args(["--exit-on-error", "-d", &restored.name]).args(part.split(' ')).arg(&archive));
    }
    restored
}

/// The logins first, by themselves, as one moves a database.
fn on_another_server<'a>(database: &Database, other: &'a Cluster) -> Database<'a> {
    let roles = output(database.cluster().client_program("pg_dumpall", "postgres", "postgres").arg("--roles-only"));
    let restored = other.plain_database();
    // The superuser is there already.
    let roles = String::from_utf8(roles).unwrap().replace("CREATE ROLE postgres;\n", "");
    load(&restored, roles.as_bytes());
    load(&restored, &dump(database, &[]));
    restored
}

/// Restored in one go by several jobs, rolecall's tables are loaded in any order: `pg_restore` says so, and what is missing
/// shows nobody more; but a list's denial of a role does not hold for who has lost the role.
#[test]
fn a_restore_with_errors_says_so_and_shows_nobody_more() {
    let database = database();
    let (world, before, token) = world(&database);
    let directory = tempfile::tempdir().unwrap();
    let archive = directory.path().join("archive");
    std::fs::write(&archive, dump(&database, &["-Fc"])).unwrap();
    let restored = database.cluster().plain_database();
    let mut restore = database.cluster().client_program("pg_restore", "postgres", &restored.name);
    let output = restore.args(["-j", "3", "-d", &restored.name]).arg(&archive).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        // The jobs happened to take the tables in an order that works.
        assert_eq!(differences(&before, &answers(&restored, &database.name, &world, &token)), "");
        return;
    }
    assert!(told.contains("violates foreign key constraint"), "{told}");
    let mut asked = 0;
    for person in &PEOPLE {
        // Who has lost his user or token has nothing left to ask with.
        let Ok(mut client) = std::panic::catch_unwind(|| session(&restored, &database.name, person, &token)) else {
            continue;
        };
        for table in TABLES {
            let allowing = if table == "objects" { r#"WHERE NOT acl @> '[{"deny": true}]'"# } else { "" };
            let seen = ids(&mut client, &format!("SELECT id FROM {table} {allowing}"));
            let all: Vec<_> = before[&format!("{} select {table}", person.name)].split(' ').collect();
            let more: Vec<_> = seen.iter().filter(|id| !all.contains(&&*id.to_string())).collect();
            assert!(more.is_empty(), "{} {table} {more:?}", person.name);
            asked += 1;
        }
    }
    assert!(asked > 50, "{asked}");
}
