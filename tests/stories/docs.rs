//! What the documents show is what happens: a reader who copies their blocks into one psql, from the top, gets the output
//! they print.

use crate::readme::{document, examples, succeed};
use rolecall_tests::Cluster;
use std::path::Path;
use std::process::Command;

/// All documents but the program's and the reference, which the stories of the README see to.
fn documents() -> Vec<String> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").join("docs");
    let entries = std::fs::read_dir(directory).expect("the documents");
    let names = entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"));
    names
        .filter(|name| !["program.md", "reference.md"].contains(&name.as_str()))
        .map(|name| format!("docs/{name}"))
        .collect()
}

/// Runs a command as a reader sees it: errors between the results, without the file and line.
fn shown(command: Command, what: &str) -> String {
    let mut shell = Command::new("sh");
    shell.args(["-c", "\"$0\" \"$@\" 2>&1"]).arg(command.get_program()).args(command.get_args());
    shell.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let lines = succeed(&mut shell, what);
    let without_place = |line: &str| match line.split_once(": ") {
        Some((place, message)) if place.starts_with("psql:") => message.trim_start().to_owned(),
        _ => line.to_owned(),
    };
    lines.lines().map(without_place).collect::<Vec<_>>().join("\n")
}

/// PostgreSQL 18 counts rows with a fraction, which makes its plans wider.
fn alike(text: &str) -> String {
    let lines = text.lines().map(|line| match line.trim() {
        heading @ "QUERY PLAN" => heading,
        rule if !rule.is_empty() && rule.trim_matches('-').is_empty() => "---",
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n").replace(".00 loops=", " loops=")
}

fn run(name: &str) {
    let markdown = document(name);
    let blocks: Vec<_> = examples(&markdown).into_iter().filter(|block| block.language == "sql").collect();
    assert!(!blocks.is_empty(), "{name} has no SQL");
    let errors = |text: &str| text.lines().filter(|line| line.starts_with("ERROR:")).count();
    let mut script = String::new();
    for (number, block) in blocks.iter().enumerate() {
        let stop = if block.output.as_deref().is_some_and(|text| errors(text) > 0) { "off" } else { "on" };
        script += &format!("\\set ON_ERROR_STOP {stop}\n{}\n\\echo -- end of block {number}\n", block.text);
    }
    // Roles are the server's, and the documents use the same names.
    let cluster = Cluster::start(&[]);
    let database = cluster.plain_database();
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), script).expect("a script");
    let mut psql = database.psql("postgres");
    psql.arg("-f").arg(file.path());
    let mut rest = &*shown(psql, name);
    for (number, block) in blocks.iter().enumerate() {
        let (printed, further) = rest.split_once(&format!("-- end of block {number}")).expect("the block's end");
        let expected = block.output.as_deref().unwrap_or_default();
        let same = alike(printed).contains(&alike(expected)) && errors(printed) == errors(expected);
        assert!(same, "{name}\n{}\nprinted\n{printed}\nnot\n{expected}", block.text);
        rest = further;
    }
}

/// Trap 26.
#[test]
fn the_documents_sql_prints_what_they_say() {
    let documents = documents();
    assert!(documents.len() > 2, "{documents:?}");
    for name in documents {
        run(&name);
    }
}

/// Commands of the program, in a directory of the reader's; only `plan` may exit with 2, which is that something would
/// change.
#[test]
fn the_documents_commands_print_what_they_say() {
    let cluster = Cluster::start(&[]);
    let mut commands = 0;
    for name in documents() {
        let database = cluster.plain_database();
        let directory = tempfile::tempdir().expect("a directory");
        for block in examples(&document(&name)).iter().filter(|block| block.language == "console") {
            for command in block.text.split("$ rolecall").skip(1) {
                let (arguments, expected) = command.split_once('\n').unwrap_or((command, ""));
                let mut shell = cluster.with_connection("sh", "postgres", &database.name);
                let line = format!("{}{arguments}", rolecall_tests::program().display());
                let output = shell.current_dir(&directory).arg("-c").arg(line).output().expect("sh runs");
                let printed = String::from_utf8_lossy(&output.stdout).into_owned();
                let changes = arguments.starts_with(" plan") && output.status.code() == Some(2);
                assert!(output.status.success() || changes, "{name}: rolecall{arguments}: {output:?}");
                assert!(printed.contains(expected.trim_end()), "{name}: rolecall{arguments}\n{printed}");
                commands += 1;
            }
        }
    }
    assert!(commands > 0, "no document has a command");
}

/// The name that a heading has in an address, as web pages of repositories give it.
fn anchor(heading: &str) -> String {
    let kept = heading.trim_start_matches('#').trim().chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

#[test]
fn the_documents_links_lead_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let mut links = 0;
    for name in documents().into_iter().chain(["README.md", "docs/program.md", "docs/reference.md"].map(String::from)) {
        let text = document(&name);
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
        for target in targets.filter(|target| !target.starts_with("http")) {
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let path = if file.is_empty() { root.join(&name) } else { root.join(&name).with_file_name(file) };
            let other = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{name}: {target}: {e}"));
            let mut headings = other.lines().filter(|line| line.starts_with('#'));
            assert!(heading.is_empty() || headings.any(|line| anchor(line) == heading), "{name}: {target}");
            links += 1;
        }
    }
    assert!(links > 10, "{links}");
}
