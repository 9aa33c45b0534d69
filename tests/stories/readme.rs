//! The README's and the reference's examples are run, and print what it says they print.

use rolecall_tests::{Cluster, Database};
use std::path::Path;
use std::process::{Command, Output};

/// A fenced block: its language and text, and the output that follows it as a block of its own.
#[derive(Clone)]
pub struct Example {
    pub language: String,
    pub text: String,
    pub output: Option<String>,
}

fn readme() -> String {
    document("README.md")
}

pub fn document(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    std::fs::read_to_string(root.join(name)).expect("the document")
}

pub fn examples(markdown: &str) -> Vec<Example> {
    let mut examples: Vec<Example> = Vec::new();
    let mut lines = markdown.lines();
    while let Some(line) = lines.next() {
        let Some(language) = line.strip_prefix("```") else { continue };
        let text: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        match (language, examples.last_mut()) {
            ("text", Some(example)) => example.output = Some(text.join("\n")),
            _ => examples.push(Example { language: language.into(), text: text.join("\n"), output: None }),
        }
    }
    examples
}

pub fn succeed(command: &mut Command, what: &str) -> String {
    let Output { status, stdout, stderr } = command.output().expect("the program runs");
    let stdout = String::from_utf8(stdout).expect("UTF-8");
    assert!(status.success(), "{what}\n{stdout}\n{}", String::from_utf8_lossy(&stderr));
    stdout
}

fn run_sql(database: &Database, example: &Example) {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("example.sql");
    std::fs::write(&file, &example.text).expect("a file");
    let printed = succeed(database.psql("postgres").arg("-f").arg(&file), &example.text);
    if let Some(expected) = &example.output {
        assert!(printed.contains(expected.as_str()), "{}\nprinted\n{printed}\nnot\n{expected}", example.text);
    }
}

#[test]
fn the_readmes_sql_prints_what_it_says() {
    let cluster = Cluster::start(&[]);
    let database = cluster.plain_database();
    let both = [readme(), document("docs/reference.md")].map(|text| examples(&text));
    assert!(both.iter().all(|examples| examples.iter().filter(|it| it.language == "sql").count() > 1));
    let sql: Vec<_> = both.into_iter().flatten().filter(|example| example.language == "sql").collect();
    for example in &sql {
        run_sql(&database, example);
    }
}

#[test]
fn the_readmes_commands_do_what_it_says() {
    let cluster = Cluster::start(&[]);
    let database = cluster.plain_database();
    let directory = tempfile::tempdir().expect("a directory");
    let readme = readme();
    let console =
        examples(&readme).into_iter().find(|example| example.text.contains("$ rolecall")).expect("an example");
    let program = rolecall_tests::program();
    let mut codes = Vec::new();
    for line in console.text.lines() {
        let arguments = line.strip_prefix("$ rolecall").expect("a command");
        let mut shell = cluster.with_connection("sh", "postgres", &database.name);
        shell.current_dir(&directory).arg("-c").arg(format!("{}{arguments}", program.display()));
        codes.push(shell.output().expect("sh runs").status.code().expect("an exit code"));
    }
    assert_eq!(codes, [0, 2, 0, 0, 0], "{}", console.text);
}

#[test]
fn the_readmes_spec_can_be_applied() {
    let cluster = Cluster::start(&[]);
    let database = cluster.plain_database();
    let spec = tempfile::NamedTempFile::new().expect("a file");
    let readme = document("docs/program.md");
    let example = examples(&readme).into_iter().find(|example| example.language == "yaml").expect("a spec");
    std::fs::write(spec.path(), example.text).expect("a file");
    let code = |command: &[&str]| {
        let output = database.rolecall("postgres").args(command).arg(spec.path()).output().expect("the program runs");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert_eq!(code(&["plan"]), (Some(2), String::new()));
    assert_eq!(code(&["apply", "--yes"]), (Some(0), String::new()));
    assert_eq!(code(&["plan"]), (Some(0), String::new()));
    let mut admin = database.admin();
    let holds: bool = admin.query_one("SELECT pg_has_role('web', 'sales_reader', 'USAGE')", &[]).unwrap().get(0);
    assert!(holds, "a writer is a reader");
}

#[test]
fn the_readmes_access_model_can_be_applied() {
    let cluster = Cluster::start(&[]);
    let database = cluster.database();
    database
        .admin()
        .batch_execute(
            "CREATE SCHEMA wiki; CREATE TABLE wiki.people (id text PRIMARY KEY);
             CREATE TABLE wiki.pages (id int, owner_id text REFERENCES wiki.people, title text, published boolean)",
        )
        .expect("a wiki");
    let readme = document("docs/program.md");
    let example = examples(&readme).into_iter().find(|example| example.text.contains("\nrolecall:\n")).expect("a spec");
    for (command, code) in [(vec!["plan"], 2), (vec!["apply", "--yes"], 0), (vec!["plan"], 0)] {
        let done = crate::provisioner_world::rolecall(&database, &command, &example.text);
        assert_eq!((done.code, done.err.as_str()), (code, ""), "{command:?}: {done:?}");
    }
}

/// What `--help` lists is in the document, and the other way round.
#[test]
fn every_command_of_the_program_is_in_its_document() {
    let document = document("docs/program.md");
    let help = succeed(Command::new(rolecall_tests::program()).arg("--help"), "help");
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let mut listed: Vec<&str> = commands.filter_map(|line| line.split_whitespace().next()).collect();
    listed.retain(|command| *command != "help");
    let rows = document.lines().filter_map(|line| line.strip_prefix("| `rolecall "));
    let mut told: Vec<&str> = rows.filter_map(|row| row.split(['`', ' ']).next()).collect();
    listed.sort_unstable();
    told.sort_unstable();
    assert_eq!(listed, told);
}

/// A function without an example, or an example of a function that is gone, is a mistake in the reference.
#[test]
fn every_function_is_in_the_reference() {
    let database = crate::support::database();
    let functions = crate::support::column(
        &mut database.admin(),
        "SELECT DISTINCT proname FROM pg_proc WHERE pronamespace = 'rolecall'::regnamespace
            AND prorettype NOT IN ('internal'::regtype, 'trigger'::regtype, 'event_trigger'::regtype)
            AND has_function_privilege('public', oid, 'EXECUTE')",
    );
    let reference = document("docs/reference.md");
    let examples = [examples(&readme()), examples(&reference)].concat();
    let sql: String = examples.iter().filter(|e| e.language == "sql").map(|e| e.text.as_str()).collect();
    for function in functions {
        assert!(sql.contains(&format!("rolecall.{function}(")), "the reference has no example of {function}()");
        assert!(reference.contains(&format!("{function}(")), "the reference does not say what {function}() is");
    }
}

/// What `\d` and `\df+` show: everything says what it is for.
#[test]
fn every_object_has_a_comment() {
    let database = crate::support::database();
    let bare = crate::support::column(
        &mut database.admin(),
        "WITH tables AS (SELECT oid FROM pg_class WHERE relnamespace = 'rolecall'::regnamespace AND relkind IN ('r', 'v'))
         SELECT oid::regprocedure::text FROM pg_proc
            WHERE pronamespace = 'rolecall'::regnamespace AND obj_description(oid, 'pg_proc') IS NULL
         UNION ALL
         SELECT oid::regclass::text FROM tables WHERE obj_description(oid, 'pg_class') IS NULL
         UNION ALL
         SELECT attrelid::regclass || '.' || attname FROM tables JOIN pg_attribute ON attrelid = tables.oid
            WHERE attnum > 0 AND NOT attisdropped AND col_description(attrelid, attnum) IS NULL",
    );
    assert!(bare.is_empty(), "without a comment: {bare:?}");
}
