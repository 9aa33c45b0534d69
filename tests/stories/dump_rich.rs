//! One database with everything in it answers every question the same, before and after it was dumped and restored.

use crate::dump::restore;
use crate::dump_answers::{Answers, answers, differences, expected};
use crate::dump_world::World;
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
fn a_plain_dump_gives_the_same_answers() {
    let database = database();
    let (world, before, token) = world(&database);
    let restored = restore(&database);
    let after = answers(&restored, &database.name, &world, &token);
    assert_eq!(differences(&before, &after), "");
}

#[test]
fn an_archive_restored_in_parallel_gives_the_same_answers() {
    let database = database();
    let (world, before, token) = world(&database);
    let directory = tempfile::tempdir().unwrap();
    let archive = directory.path().join("archive");
    std::fs::write(&archive, dump(&database, &["-Fc"])).unwrap();
    let restored = database.cluster().plain_database();
    let mut restore = database.cluster().client_program("pg_restore", "postgres", &restored.name);
    output(restore.args(["--exit-on-error", "-j", "3", "-d", &restored.name]).arg(&archive));
    let after = answers(&restored, &database.name, &world, &token);
    assert_eq!(differences(&before, &after), "");
}

/// Another server gets the logins first, by themselves, as one moves a database.
#[test]
fn a_database_that_moves_to_another_server_gives_the_same_answers() {
    let database = database();
    let (world, before, token) = world(&database);
    let roles = output(database.cluster().client_program("pg_dumpall", "postgres", "postgres").arg("--roles-only"));
    let other = Cluster::start(&[]);
    let restored = other.plain_database();
    // The superuser is there already.
    let roles = String::from_utf8(roles).unwrap().replace("CREATE ROLE postgres;\n", "");
    load(&restored, roles.as_bytes());
    load(&restored, &dump(&database, &[]));
    let after = answers(&restored, &database.name, &world, &token);
    assert_eq!(differences(&before, &after), "");
}
