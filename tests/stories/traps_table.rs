//! tests/traps.md names a story or a reason for each trap, and the stories it names are there.

use std::collections::BTreeSet;

/// The stories of `tests/stories`, as `module::story`.
fn stories() -> BTreeSet<String> {
    let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/stories")).expect("the stories");
    let mut stories = BTreeSet::new();
    for path in
        files.map(|file| file.expect("a file").path()).filter(|path| path.extension().is_some_and(|e| e == "rs"))
    {
        let (module, text) = (path.file_stem().unwrap().to_str().unwrap(), std::fs::read_to_string(&path).unwrap());
        for story in text.split("#[test]\n").skip(1) {
            let name =
                story.split_once("fn ").and_then(|(_, rest)| rest.split_once('(')).expect("a test is a function").0;
            stories.insert(format!("{module}::{name}"));
        }
    }
    stories
}

#[test]
fn every_trap_has_a_story_or_a_reason() {
    let table = include_str!("../traps.md");
    let rows: Vec<Vec<&str>> = table
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| row |"))
        .map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
        .collect();
    let stories = stories();
    let mut named = BTreeSet::new();
    for row in &rows {
        let [_, _, told] = row[..] else { panic!("three cells: {row:?}") };
        if !told.starts_with("none: ") {
            let names: Vec<String> = told.split_whitespace().map(|name| name.trim_matches('`').to_owned()).collect();
            assert!(!names.is_empty(), "neither a story nor a reason: {row:?}");
            named.extend(names);
        }
    }
    let unknown: Vec<_> = named.difference(&stories).collect();
    assert!(unknown.is_empty(), "no such stories: {unknown:?}");
    let own = stories.iter().filter(|story| story.starts_with("traps_") && !story.starts_with("traps_table::"));
    let unnamed: Vec<_> = own.filter(|story| !named.contains(*story)).collect();
    assert!(unnamed.is_empty(), "stories of no row: {unnamed:?}");
    let first = |row: &Vec<&str>| row[0].to_owned();
    let (cves, behaviours): (Vec<_>, Vec<_>) = rows.iter().map(first).partition(|row| row.starts_with("CVE-"));
    assert_eq!(behaviours, (1..=37).map(|row| row.to_string()).collect::<Vec<_>>());
    assert_eq!((cves.len(), cves.iter().collect::<BTreeSet<_>>().len()), (36, 36));
}
