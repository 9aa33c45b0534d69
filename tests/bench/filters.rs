//! What rules over columns and relations cost: each reading of each rule, by five contenders with a session each.
//! BENCH_EXPLAIN=1 prints their plans.

use crate::posts;
use crate::rules::{Entrant, RULES, Reader, Rule};
use crate::{SLICE, clients, median, milliseconds, table};
use comfy_table::Table;
use postgres::error::SqlState;
use postgres::{Client, Statement};
use rolecall_tests::Database;
use std::time::{Duration, Instant};

/// Rounds per reading.
const ROUNDS: usize = 9;
/// Who takes longer is measured once.
const PATIENCE: Duration = Duration::from_millis(400);
/// Who takes longer is interrupted: functions of PL/pgSQL take up to a minute.
const TIMEOUT: &str = "1s";

/// What is read, without the rule: its name, the query, and whether it is for a key.
const READINGS: [(&str, &str, bool); 4] = [
    ("sum", "SELECT sum(views) FROM posts WHERE {}", false),
    ("count", "SELECT count(*) FROM posts WHERE {}", false),
    ("newest 20", "SELECT id, title FROM posts WHERE {} ORDER BY id DESC LIMIT 20", false),
    ("by key", "SELECT title FROM posts WHERE id = $1 AND ({})", true),
];

/// Measures the rules whose name has `part` in it.
pub fn measure(database: &Database, part: &str) -> Table {
    let mut admin = database.admin();
    let tokens = posts::lay_out(&mut admin);
    let mut results = table(["rule", "reading", "WHERE", "rolecall", "best policy", "Supabase", "PL/pgSQL"]);
    for rule in RULES.iter().filter(|rule| rule.name.contains(part)) {
        rule.enact(&mut admin);
        let token = match rule.reader {
            Reader::Plain => &tokens[0],
            Reader::Several => &tokens[1],
            Reader::Editor => &tokens[2],
        };
        let entrants = rule.entrants();
        let connect = |entrant: &Entrant| posts::connect(database, entrant.schema, token);
        let mut apps: Vec<Client> = entrants.iter().map(connect).collect();
        compare(rule, &entrants, &mut apps);
        let keys = some_keys(&entrants[0], &mut apps[0]);
        for (reading, query, by_key) in READINGS {
            if std::env::var_os("BENCH_EXPLAIN").is_some() {
                explain(rule, &entrants, &mut apps, query, keys[0]);
            }
            let times = one_client(&entrants, &mut apps, query, by_key.then_some(&*keys));
            results.add_row(row(rule, reading, &times));
        }
        drop(apps);
        let (reading, query, _) = READINGS[3];
        let times = clients::measure(&entrants, &keys, |entrant| {
            let mut app = connect(entrant);
            let statement = prepare(entrant, &mut app, query);
            (app, statement)
        });
        results.add_row(row(rule, &format!("{reading}, 8 clients"), &times));
        rule.repeal(&mut admin);
    }
    results
}

/// Sees to it that all show the same rows; PL/pgSQL would take too long.
fn compare(rule: &Rule, entrants: &[Entrant], apps: &mut [Client]) {
    let mut seen =
        entrants.iter().zip(apps).filter(|(entrant, _)| entrant.schema != "plpgsql").map(|(entrant, app)| {
            let query = text(entrant, "SELECT count(*), coalesce(sum(id), 0)::bigint FROM posts WHERE {}");
            let row = app.query_one(&query, &[]).expect("the query runs");
            (row.get::<_, i64>(0), row.get::<_, i64>(1))
        });
    let limit = seen.next().expect("the first");
    assert!(seen.all(|other| other == limit), "{}: not everybody sees {limit:?}", rule.name);
}

/// A line of the report. Who was interrupted has no time.
fn row(rule: &Rule, reading: &str, times: &[Option<f64>]) -> Vec<String> {
    let (forms, others) = times.split_at(rule.conditions.len());
    let forms = forms.iter().zip(rule.conditions).filter_map(|(time, (form, _))| Some(((*time)?, form)));
    let (limit, form) = forms.min_by(|one, other| one.0.total_cmp(&other.0)).expect("the limit is fast");
    let mut row = vec![rule.name.to_owned(), reading.to_owned()];
    row.push(format!("{form} {}", milliseconds(limit)).trim_start().to_owned());
    row.extend(others.iter().map(|time| match time {
        Some(time) => format!("{} ({:.2} x)", milliseconds(*time), time / limit),
        None => format!("over {TIMEOUT}"),
    }));
    row
}

/// Keys of visible rows from all over the table.
fn some_keys(open: &Entrant, app: &mut Client) -> Vec<i64> {
    let query = text(open, "SELECT id FROM posts WHERE {} ORDER BY id * 7919 % 1000003 LIMIT 64");
    app.query(&query, &[]).expect("keys").iter().map(|row| row.get(0)).collect()
}

/// The query as the entrant sends it.
fn text(entrant: &Entrant, query: &str) -> String {
    query.replace("{}", entrant.condition)
}

fn prepare(entrant: &Entrant, app: &mut Client, query: &str) -> Statement {
    app.prepare(&text(entrant, query)).expect("the query")
}

/// The median seconds of each entrant; they take turns.
fn one_client(entrants: &[Entrant], apps: &mut [Client], query: &str, keys: Option<&[i64]>) -> Vec<Option<f64>> {
    let statements: Vec<Statement> =
        entrants.iter().zip(&mut *apps).map(|(entrant, app)| prepare(entrant, app, query)).collect();
    for app in &mut *apps {
        app.batch_execute(&format!("SET statement_timeout = '{TIMEOUT}'")).expect("the timeout");
    }
    let mut times = vec![Vec::new(); apps.len()];
    let mut patience = vec![true; apps.len()];
    for _ in 0..ROUNDS {
        for (number, app) in apps.iter_mut().enumerate() {
            if patience[number] {
                let seconds = turn(app, &statements[number], keys);
                times[number].extend(seconds);
                patience[number] = seconds.is_some_and(|seconds| seconds < PATIENCE.as_secs_f64());
            }
        }
    }
    times.into_iter().map(|times| (!times.is_empty()).then(|| median(times))).collect()
}

/// Seconds per execution in one turn; none if it was interrupted.
fn turn(app: &mut Client, statement: &Statement, keys: Option<&[i64]>) -> Option<f64> {
    let start = Instant::now();
    let mut runs = 0_usize;
    while runs == 0 || start.elapsed() < SLICE {
        let result = match keys {
            Some(keys) => app.query(statement, &[&keys[runs % keys.len()]]),
            None => app.query(statement, &[]),
        };
        match result {
            Ok(_) => runs += 1,
            Err(error) if error.code() == Some(&SqlState::QUERY_CANCELED) => return None,
            Err(error) => panic!("the query runs: {error:?}"),
        }
    }
    Some(start.elapsed().as_secs_f64() / runs as f64)
}

/// Prints the plans, so that a ratio can be explained.
fn explain(rule: &Rule, entrants: &[Entrant], apps: &mut [Client], query: &str, key: i64) {
    for (entrant, app) in entrants.iter().zip(apps) {
        let query = text(entrant, query).replace("$1", &key.to_string());
        println!("\n{}, {} {}: {query}", rule.name, entrant.schema, entrant.form);
        // Running it tells more, but takes too long where there is a function for each row.
        let how = if entrant.schema == "plpgsql" { "" } else { "(ANALYZE, TIMING OFF)" };
        for row in app.query(&format!("EXPLAIN {how} {query}"), &[]).expect("the plan") {
            println!("  {}", row.get::<_, String>(0));
        }
    }
}
