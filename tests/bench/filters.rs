//! What rules over columns and relations cost: each reading of each rule, by five contenders.

use crate::posts::{self, CONTENDERS};
use crate::rules::{RULES, Reader, Rule};
use crate::{SLICE, clients, median, milliseconds, table};
use comfy_table::Table;
use postgres::error::SqlState;
use postgres::{Client, Statement};
use rolecall_tests::Database;
use std::time::{Duration, Instant};

/// Rounds per reading.
const ROUNDS: usize = 11;
/// Who takes longer is measured once: functions of PL/pgSQL take seconds.
const PATIENCE: Duration = Duration::from_millis(400);
/// Who takes longer is interrupted.
const TIMEOUT: &str = "3s";

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
        let keys = some_keys(&mut admin, rule);
        let mut apps = CONTENDERS.map(|schema| posts::connect(database, schema, token));
        compare(&mut apps, rule);
        for (reading, query, by_key) in READINGS {
            if std::env::var_os("BENCH_EXPLAIN").is_some() {
                explain(&mut apps, rule, query, keys[0]);
            }
            let times = one_client(&mut apps, rule, query, by_key.then_some(&*keys));
            results.add_row(row(rule, reading, &times));
        }
        drop(apps);
        let (_, query, _) = READINGS[3];
        let times = clients::measure(
            |contender| {
                let mut app = posts::connect(database, CONTENDERS[contender], token);
                let statement = prepare(&mut app, contender, rule, query);
                (app, statement)
            },
            &keys,
        );
        results.add_row(row(rule, "by key, 8 clients", &times.map(Some)));
        rule.repeal(&mut admin);
    }
    results
}

/// Sees to it that all show the same rows; PL/pgSQL would take too long.
fn compare(apps: &mut [Client; CONTENDERS.len()], rule: &Rule) {
    let mut seen = apps[..4].iter_mut().enumerate().map(|(contender, app)| {
        let query = text(contender, rule, "SELECT count(*), coalesce(sum(id), 0)::bigint FROM posts WHERE {}");
        let row = app.query_one(&query, &[]).expect("the query runs");
        (row.get::<_, i64>(0), row.get::<_, i64>(1))
    });
    let limit = seen.next().expect("the first");
    assert!(limit.0 >= 20 && seen.all(|other| other == limit), "{}: {limit:?}", rule.name);
}

/// A line of the report. Who was interrupted has no time.
fn row(rule: &Rule, reading: &str, times: &[Option<f64>; CONTENDERS.len()]) -> Vec<String> {
    let limit = times[0].expect("the limit is fast");
    let figures = times.iter().enumerate().map(|(contender, time)| match time {
        Some(time) if contender == 0 => milliseconds(*time),
        Some(time) => format!("{} ({:.2} x)", milliseconds(*time), time / limit),
        None => format!("over {TIMEOUT}"),
    });
    [rule.name, reading].map(str::to_owned).into_iter().chain(figures).collect()
}

/// Keys of visible rows from all over the table.
fn some_keys(admin: &mut Client, rule: &Rule) -> Vec<i64> {
    let [open, ..] = CONTENDERS;
    let query = format!("SELECT id FROM posts WHERE {} ORDER BY id * 7919 % 1000003 LIMIT 64", rule.condition);
    admin.batch_execute(&format!("SET search_path = {open}, public")).expect("the search path");
    let rows = admin.query(&query, &[]).expect("keys");
    admin.batch_execute("RESET search_path").expect("the search path");
    rows.iter().map(|row| row.get(0)).collect()
}

/// The query as the contender sends it: only the first has the rule in it.
fn text(contender: usize, rule: &Rule, query: &str) -> String {
    query.replace("{}", if contender == 0 { rule.condition } else { "true" })
}

fn prepare(app: &mut Client, contender: usize, rule: &Rule, query: &str) -> Statement {
    app.prepare(&text(contender, rule, query)).expect("the query")
}

/// The median seconds of each contender, who take turns.
fn one_client(
    apps: &mut [Client; CONTENDERS.len()],
    rule: &Rule,
    query: &str,
    keys: Option<&[i64]>,
) -> [Option<f64>; CONTENDERS.len()] {
    let statements: [Statement; CONTENDERS.len()] =
        std::array::from_fn(|contender| prepare(&mut apps[contender], contender, rule, query));
    let mut times = [const { Vec::new() }; CONTENDERS.len()];
    let mut patience = [true; CONTENDERS.len()];
    for app in &mut *apps {
        app.batch_execute(&format!("SET statement_timeout = '{TIMEOUT}'")).expect("the timeout");
    }
    for _ in 0..ROUNDS {
        for (contender, app) in apps.iter_mut().enumerate() {
            if patience[contender] {
                let seconds = turn(app, &statements[contender], keys);
                times[contender].extend(seconds);
                patience[contender] = seconds.is_some_and(|seconds| seconds < PATIENCE.as_secs_f64());
            }
        }
    }
    times.map(|times| (!times.is_empty()).then(|| median(times)))
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
fn explain(apps: &mut [Client; CONTENDERS.len()], rule: &Rule, query: &str, key: i64) {
    for (contender, app) in apps.iter_mut().enumerate() {
        let query = text(contender, rule, query).replace("$1", &key.to_string());
        println!("\n{} by {}: {query}", rule.name, CONTENDERS[contender]);
        // Running it tells more, but takes too long where there is a function for each row.
        let how = if CONTENDERS[contender] == "plpgsql" { "" } else { "(ANALYZE, TIMING OFF)" };
        for row in app.query(&format!("EXPLAIN {how} {query}"), &[]).expect("the plan") {
            println!("  {}", row.get::<_, String>(0));
        }
    }
}
