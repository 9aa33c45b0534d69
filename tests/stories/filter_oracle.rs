//! The rows that filters show, compared with an evaluator that shares nothing with the compiler: no SQL, three values.
//!
//! `ROLECALL_FILTERS` says how many filters to try. A failure prints the smallest filter found, and a seed: with it as
//! `ROLECALL_SEED` the same filters are tried again.

use crate::support::*;
use postgres::Client;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};
use rolecall_tests::Database;
use serde_json::{Map, Value, json};
use std::cell::RefCell;
use std::cmp::Ordering;

/// The session's values; the second one is nobody's.
const SESSIONS: [(Option<&str>, Option<&str>); 2] = [(Some("7"), Some("a%")), (None, None)];

/// The columns: name, type in SQL, values.
fn columns() -> Vec<(&'static str, &'static str, Vec<Value>)> {
    let texts = json!(["", "a", "A", "ab", "a%", "_", "\\", "7", "it's", "é"]);
    let times = json!(["2024-02-29T10:00:00Z", "2024-02-29T10:00:01Z", "1999-12-31T23:59:59Z"]);
    let keys = json!(["00000000-0000-0000-0000-00000000000a", "10000000-0000-0000-0000-000000000000"]);
    let list = |values: Value| values.as_array().unwrap().clone();
    vec![
        ("name", "text COLLATE \"C\"", list(texts.clone())),
        ("code", "varchar COLLATE \"C\"", list(texts)),
        ("size", "integer", list(json!([-1, 0, 1, 7, 2147483647]))),
        ("wide", "bigint", list(json!([7, 9007199254740992_i64, 9007199254740993_i64]))),
        ("price", "numeric", list(json!([0, 1.5, 1.25, 7]))),
        ("done", "boolean", list(json!([true, false]))),
        ("day", "date", list(json!(["2024-02-28", "2024-02-29", "2024-03-01"]))),
        ("at", "timestamptz", list(times)),
        ("key", "uuid", list(keys)),
    ]
}

/// What the language says, in three values: None is unknown.
pub struct Oracle<'a> {
    pub row: &'a Map<String, Value>,
    pub session: (Option<&'a str>, Option<&'a str>),
    /// A fault of its own, to see that one would be found: unknown negated is true.
    pub is_broken: bool,
}

impl Oracle<'_> {
    pub fn filter(&self, filter: &Value) -> Option<bool> {
        all(filter.as_object().unwrap().iter().map(|(key, value)| match key.as_str() {
            "AND" => all(value.as_array().unwrap().iter().map(|filter| self.filter(filter))),
            "OR" => any(value.as_array().unwrap().iter().map(|filter| self.filter(filter))),
            "NOT" => match value.as_array() {
                Some(filters) => self.not(any(filters.iter().map(|filter| self.filter(filter)))),
                None => self.not(self.filter(value)),
            },
            field => all(value
                .as_object()
                .unwrap()
                .iter()
                .map(|(operator, operand)| self.operator(field, operator, operand))),
        }))
    }

    fn not(&self, value: Option<bool>) -> Option<bool> {
        if self.is_broken { Some(value != Some(true)) } else { value.map(|value| !value) }
    }

    fn operator(&self, field: &str, operator: &str, operand: &Value) -> Option<bool> {
        let found = &self.row[field];
        if let Some(positive) = operator.strip_prefix("not_") {
            return self.not(self.operator(field, positive, operand));
        }
        match operator {
            "is_empty" => return Some((found.is_null() || found == "") == operand.as_bool().unwrap()),
            "is_not_empty" => return Some((found.is_null() || found == "") != operand.as_bool().unwrap()),
            "in" => {
                return any(operand.as_array().unwrap().iter().map(|one| self.operator(field, "equals", one)));
            }
            _ => {}
        }
        let wanted = self.value(operand, found)?;
        if found.is_null() {
            return None;
        }
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let order = || compare(found, &wanted);
        Some(match operator {
            "equals" => order() == Ordering::Equal,
            "lt" => order() == Ordering::Less,
            "lte" => order() != Ordering::Greater,
            "gt" => order() == Ordering::Greater,
            "gte" => order() != Ordering::Less,
            "contains" => text(found).contains(&text(&wanted)),
            "starts_with" => text(found).starts_with(&text(&wanted)),
            "ends_with" => text(found).ends_with(&text(&wanted)),
            other => panic!("{other}"),
        })
    }

    /// The operand with its variable; None where that is absent.
    fn value(&self, operand: &Value, found: &Value) -> Option<Value> {
        let text = match operand.as_str() {
            Some("__loggedInUserId") => self.session.0?,
            Some("__loggedInUserEmail") => self.session.1?,
            _ => return Some(operand.clone()),
        };
        // Ids are compared as what the column holds; one that is no number is no value of a column of numbers.
        if found.is_number() { serde_json::from_str(text).ok() } else { Some(text.into()) }
    }
}

pub fn all(values: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let values: Vec<_> = values.collect();
    if values.contains(&Some(false)) {
        Some(false)
    } else if values.contains(&None) {
        None
    } else {
        Some(true)
    }
}

pub fn any(values: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    all(values.map(|value| value.map(|value| !value))).map(|value| !value)
}

/// Numbers by value, everything else by its bytes: that is how these texts, dates, times and UUIDs are ordered.
fn compare(left: &Value, right: &Value) -> Ordering {
    let number = |value: &Value| {
        let text = value.to_string();
        let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
        let fraction: i128 = format!("{part:0<4}").parse().unwrap();
        whole.parse::<i128>().unwrap() * 10_000 + fraction
    };
    match (left, right) {
        (Value::Number(_), _) => number(left).cmp(&number(right)),
        (Value::String(left), Value::String(right)) => left.as_bytes().cmp(right.as_bytes()),
        _ => left.as_bool().cmp(&right.as_bool()),
    }
}

fn predicate() -> impl Strategy<Value = Value> {
    let columns = columns();
    (0..columns.len()).prop_flat_map(move |at| {
        let (name, sql_type, values) = columns[at].clone();
        let mut operands = values.clone();
        if ["text", "varchar", "integer", "bigint", "numeric"].iter().any(|kind| sql_type.starts_with(kind)) {
            operands.push(json!("__loggedInUserId"));
        }
        let mut operators = vec!["equals", "not_equals", "is_empty", "is_not_empty"];
        let is_text = values[0].is_string() && ["name", "code"].contains(&name);
        if is_text {
            operands.push(json!("__loggedInUserEmail"));
            operators.extend(["contains", "starts_with", "ends_with"]);
            operators.extend(["not_contains", "not_starts_with", "not_ends_with"]);
        } else if name != "done" {
            operators.extend(["lt", "lte", "gt", "gte"]);
        }
        if name != "done" {
            operators.extend(["in", "not_in"]);
        }
        let lists = prop::collection::vec(prop::sample::select(operands.clone()), 0..4);
        (prop::sample::select(operators), prop::sample::select(operands), lists, prop::bool::ANY).prop_map(
            move |(operator, operand, list, flag)| match operator {
                "in" | "not_in" => json!({name: {operator: list}}),
                "is_empty" | "is_not_empty" => json!({name: {operator: flag}}),
                _ => json!({name: {operator: operand}}),
            },
        )
    })
}

pub fn filters() -> impl Strategy<Value = Value> {
    predicate().prop_recursive(4, 24, 4, |inner| {
        let list = prop::collection::vec(inner.clone(), 0..4);
        prop_oneof![
            (prop::sample::select(vec!["AND", "OR", "NOT"]), list.clone()).prop_map(|(key, list)| json!({key: list})),
            inner.prop_map(|filter| json!({"NOT": filter})),
            list.prop_map(|filters| {
                Value::Object(filters.into_iter().filter_map(|filter| filter.as_object().cloned()).flatten().collect())
            }),
        ]
    })
}

/// Tries filters until one shows other rows than the oracle says; its text.
fn first_difference(
    app: &mut Client,
    session: (Option<&str>, Option<&str>),
    cases: u32,
    is_broken: bool,
) -> Option<String> {
    let rows: Vec<Map<String, Value>> = column(app, "SELECT doc::text FROM things ORDER BY things.id")
        .iter()
        .map(|text| serde_json::from_str(text).unwrap())
        .collect();
    let compile = app.prepare("SELECT rolecall.compile_filter('things', $1::text::jsonb)").unwrap();
    let app = RefCell::new(app);
    let seed = std::env::var("ROLECALL_SEED").map_or_else(|_| clock(), |seed| seed.parse().unwrap());
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let result = runner.run(&filters(), |filter| {
        let app = &mut *app.borrow_mut();
        let condition: String = app.query_one(&compile, &[&filter.to_string()]).unwrap().get(0);
        let shown = column(app, &format!("SELECT id::text FROM things WHERE {condition} ORDER BY things.id"));
        let expected: Vec<String> = (rows.iter().zip(0..))
            .filter(|(row, _)| Oracle { row, session, is_broken }.filter(&filter) == Some(true))
            .map(|(_, id): (_, i32)| id.to_string())
            .collect();
        prop_assert_eq!(shown, expected, "{}", condition);
        Ok(())
    });
    match result {
        Ok(()) => None,
        Err(TestError::Fail(why, filter)) => Some(format!("seed {seed}: {filter}: {why}")),
        Err(error) => panic!("{error}"),
    }
}

fn clock() -> u64 {
    std::time::UNIX_EPOCH.elapsed().unwrap().as_micros() as u64
}

/// A table of every combination of a few values, with NULLs, and a session that is somebody or nobody.
pub fn with_things(run_with: impl Fn(&mut Client, (Option<&str>, Option<&str>))) {
    with_things_in(&database(), run_with);
}

/// The same in a database that the caller has.
pub fn with_things_in(database: &Database, run_with: impl Fn(&mut Client, (Option<&str>, Option<&str>))) {
    let login = database.login("app");
    let mut admin = database.admin();
    make_things(&mut admin);
    run(&mut admin, &format!("GRANT SELECT ON things TO {login}"));
    run(&mut admin, "SELECT rolecall.create_user('somebody', 'a%', 'welcome', id => '7')");
    let token = first_token(&mut admin, "somebody", "welcome", "seven dwarfs, 1 giant");
    for session in SESSIONS {
        let mut app = database.connect(&login);
        if session.0.is_some() {
            authenticate(&mut app, &token, true);
        }
        run_with(&mut app, session);
    }
}

/// Adds a row with this id to the table of things.
pub const INSERT: &str =
    "INSERT INTO things SELECT $1, $2::text::jsonb, name, code, size, wide, price, done, day, at, key
                            FROM jsonb_populate_record(NULL::things, $2::text::jsonb)";

/// The table, and its rows by their ids, from 0.
pub fn make_things(admin: &mut Client) -> Vec<Map<String, Value>> {
    let fields: Vec<_> = columns().iter().map(|(name, sql_type, _)| format!("{name} {sql_type}")).collect();
    run(admin, &format!("CREATE TABLE things (id int PRIMARY KEY, doc jsonb, {})", fields.join(", ")));
    let mut rows = Vec::new();
    for id in 0..60_usize {
        let mut row = Map::new();
        for (at, (name, _, values)) in columns().into_iter().enumerate() {
            // Column by column another cycle, so that the values mix.
            let value = values.get(id * (at + 3) % (values.len() + 1)).cloned();
            row.insert(name.into(), value.unwrap_or(Value::Null));
        }
        admin.execute(INSERT, &[&i32::try_from(id).unwrap(), &Value::Object(row.clone()).to_string()]).unwrap();
        rows.push(row);
    }
    rows
}

/// Trap 23.
#[test]
fn filters_show_the_rows_that_the_language_says() {
    let cases = std::env::var("ROLECALL_FILTERS").map_or(10_000, |cases| cases.parse().unwrap());
    with_things(|app, session| {
        if let Some(difference) = first_difference(app, session, cases / 2, false) {
            panic!("{session:?} {difference}");
        }
    });
}

#[test]
fn an_evaluator_that_is_wrong_would_be_caught() {
    with_things(|app, session| {
        let difference = first_difference(app, session, 2_000, true).expect("a difference");
        assert!(difference.len() < 2_000, "the smallest one: {difference}");
    });
}
