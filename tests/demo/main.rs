//! `make demo`: the main job on a throw-away server. Provisions FlowDB's schemas and roles from the template, gives
//! somebody a login, protects a table with a filter, and shows that two users each see their own rows.

use rolecall_tests::{Cluster, Database};
use std::path::Path;
use std::process::Command;

fn main() {
    let cluster = Cluster::start(&["shared_preload_libraries=rolecall"]);
    let database = cluster.plain_database();
    let directory = tempfile::tempdir().expect("a directory for the spec");
    let spec = directory.path().join("flowdb.yaml");

    title("One file says which roles there are and what they may do");
    let init = output(database.rolecall("postgres").args(["init", "--template", "flowdb"]));
    std::fs::write(&spec, init).expect("the spec");
    println!("$ rolecall init --template flowdb > flowdb.yaml");
    let rolecall = |user: &str, words: &[&str], expected: i32| {
        println!("$ rolecall {}", words.join(" "));
        run(database.rolecall(user).current_dir(&directory).args(words), expected);
    };
    rolecall("postgres", &["plan", "flowdb.yaml"], 2);
    rolecall("postgres", &["apply", "flowdb.yaml", "--yes"], 0);

    title("FlowDB makes its tables, alice gets a login like flowmachine");
    sql(&database, "postgres", "flowdb.sql", &[]);
    rolecall("postgres", &["add-user", "alice", "--like", "flowmachine"], 0);
    println!("The INSERT below must fail: nobody but FlowDB writes geography.");
    sql(&database, "alice", "alice.sql", &[]);

    title("Everything made since is covered: nothing to do");
    rolecall("postgres", &["plan", "flowdb.yaml"], 0);

    title("A table protected by a filter");
    sql(&database, "postgres", "protect.sql", &[]);

    title("Two users, one connection's login, different rows");
    for (username, password) in [("ada", "analytical engine"), ("ben", "thunder & lightning")] {
        println!("--- {username}");
        sql(&database, "app", "first_login.sql", &[("username", username), ("password", password)]);
        sql(&database, "app", "read.sql", &[("username", username), ("password", password)]);
    }
}

fn title(text: &str) {
    println!("\n=== {text} ===\n");
}

/// Runs a file of this directory in psql, echoing its statements. An error in it is part of the show.
fn sql(database: &Database, user: &str, file: &str, variables: &[(&str, &str)]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("demo").join(file);
    println!("$ psql -U {user} -f {file}");
    let mut psql = database.psql(user);
    psql.args(["--echo-queries", "--quiet", "--set=ON_ERROR_STOP=0", "--pset=footer=off", "-f"]).arg(path);
    for (name, value) in variables {
        psql.arg("--set").arg(format!("{name}={value}"));
    }
    run(&mut psql, 0);
}

fn run(command: &mut Command, expected: i32) {
    let status = command.status().expect("the program runs");
    assert_eq!(status.code(), Some(expected), "{command:?}");
    println!();
}

fn output(command: &mut Command) -> Vec<u8> {
    let output = command.output().expect("the program runs");
    assert!(output.status.success(), "{command:?}");
    output.stdout
}
