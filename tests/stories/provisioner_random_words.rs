//! What lists, patterns, types and templates of a spec stand for.

use serde_json::Value;
use std::collections::BTreeSet;

/// A single value or a list.
pub fn list(value: &Value) -> Vec<Value> {
    match value {
        Value::Null => Vec::new(),
        Value::Array(items) => items.clone(),
        one => vec![one.clone()],
    }
}

pub fn texts(value: &Value) -> Vec<String> {
    list(value).iter().map(|item| item.as_str().expect("text").to_owned()).collect()
}

/// Whether a name has the form of a pattern in which `*` is anything.
pub fn is_like(name: &str, pattern: &str) -> bool {
    match pattern.split_once('*') {
        None => name == pattern,
        Some((start, rest)) => {
            let tail = name.strip_prefix(start);
            tail.is_some_and(|tail| {
                let mut ends = tail.char_indices().map(|(at, _)| at).chain([tail.len()]);
                ends.any(|at| is_like(&tail[at..], rest))
            })
        }
    }
}

/// The types that a word of the spec stands for.
pub fn kinds(word: &str) -> Vec<&str> {
    match word {
        "relation" => vec!["table", "view", "materialized_view", "foreign_table"],
        "routine" => vec!["function", "procedure"],
        "column" => vec!["table", "view", "materialized_view", "foreign_table"],
        "domain" => vec!["type"],
        one => vec![one],
    }
}

/// The types that share a namespace of default privileges.
pub fn broad(kind: &str) -> &'static str {
    match kind {
        "table" | "relation" | "view" | "materialized_view" | "foreign_table" => "table",
        "sequence" => "sequence",
        "function" | "procedure" | "routine" => "function",
        "type" | "domain" => "type",
        "schema" => "schema",
        _ => "none",
    }
}

/// A template's grant: privileges, type, exceptions.
pub fn short(granted: &Value) -> (Value, Value, Value) {
    match granted {
        Value::Array(pair) => (pair[0].clone(), pair[1].clone(), Value::Null),
        long => (long["privileges"].clone(), long["on"].clone(), long["except"].clone()),
    }
}

pub fn words_of(value: &Value) -> Vec<String> {
    texts(value).iter().flat_map(|text| text.split(", ").map(str::to_owned).collect::<Vec<_>>()).collect()
}

/// A template and all it inherits.
pub fn with_inherited(templates: &Value, name: &str) -> BTreeSet<String> {
    let mut all = BTreeSet::from([name.to_owned()]);
    for inherited in texts(&templates[name]["inherits"]) {
        all.extend(with_inherited(templates, &inherited));
    }
    all
}
