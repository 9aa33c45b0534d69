//! How much access control costs: `make bench`.
//!
//! Every case runs side by side in one session: the query with the rule typed into its WHERE by hand and no row-level
//! security (the limit), the same table protected by rolecall, and protected by the best policies one would write by
//! hand (identity in a setting, every function call wrapped in a sub-select so that it runs once). What counts are the
//! ratios to the limit.

mod acls;
mod cases;
mod clients;
mod filters;
mod identity;
mod posts;
mod provisioner;
mod provisioner_specs;
mod queues;
mod roles;
mod rules;

use comfy_table::{CellAlignment, Table, presets};
use postgres::Client;
use rolecall_tests::{Cluster, Database};
use std::time::{Duration, Instant};

/// Rounds per case; the contenders take turns, so that all suffer the same disturbances.
const ROUNDS: usize = 31;
/// How long a contender runs per turn: once where that takes longer.
const SLICE: Duration = Duration::from_millis(40);

/// `bench [PART [WHICH]]`: only the part `basics`, `acls`, `queues`, `filters` or `provisioner`; of the filters the rules with
/// WHICH in their name.
fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let part = arguments.first().map_or("", String::as_str);
    assert!(["", "basics", "acls", "queues", "filters", "provisioner"].contains(&part), "there is no part {part}");
    if ["", "provisioner"].contains(&part) {
        provisioner::measure();
    }
    if part == "provisioner" {
        return;
    }
    if ["", "queues"].contains(&part) {
        println!("{}", queues::measure());
    }
    if part == "queues" {
        return;
    }
    let cluster = Cluster::start(&["shared_buffers=2GB", "jit=off", "shared_preload_libraries=rolecall"]);
    let database = cluster.database();
    if ["", "basics"].contains(&part) {
        basics(&database);
    }
    if ["", "acls"].contains(&part) {
        println!("{}", acls::measure_all(&cluster.database()));
    }
    if ["", "filters"].contains(&part) {
        println!("Laying out {} posts five times ...", posts::POSTS);
        let which = arguments.get(1).map_or("", String::as_str);
        println!("{}", filters::measure(&cluster.database(), which));
    }
    println!("Medians of rounds that take turns, on {}.", version(&mut database.admin()));
}

/// Single rules, identity, roles and scopes.
fn basics(database: &Database) {
    let mut admin = database.admin();
    println!("Laying out {} rows three times ...", cases::ROWS);
    cases::lay_out(&mut admin);
    let mut app = database.connect(cases::APP);
    let mut results = table(["case", "by hand, no RLS", "rolecall", "best policy by hand"]);
    for mut case in cases::all(&mut admin) {
        (case.prepare)(&mut app);
        let times = measure(3, |contender| (case.run)(&mut app, contender));
        let ratio = |time: f64| format!("{} ({:.2} x)", milliseconds(time), time / times[0]);
        results.add_row([case.name.to_owned(), milliseconds(times[0]), ratio(times[1]), ratio(times[2])]);
    }
    println!("{results}");
    println!("{}", who_acts(&mut admin, &mut app));
    println!("Laying out a million users ...");
    let tokens = roles::lay_out(&mut admin);
    println!("{}", roles::per_row(&mut admin, &mut app, &tokens));
    println!("{}", roles::first_statements(&mut admin, &mut app, &tokens));
}

/// Saying who acts, and checking it.
fn who_acts(admin: &mut Client, app: &mut Client) -> Table {
    let mut contenders = identity::contenders(admin, app);
    app.batch_execute("RESET ALL").expect("reset");
    let times = measure(contenders.len(), |contender| contenders[contender].run(app));
    let mut table = table(["one round trip", "time", "ratio"]);
    for (contender, time) in contenders.iter().zip(&times) {
        table.add_row([contender.name.to_owned(), milliseconds(*time), format!("{:.2} x", time / times[0])]);
    }
    table
}

/// An empty table of figures: all columns but the first are aligned right.
fn table<const COLUMNS: usize>(header: [&str; COLUMNS]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::ASCII_MARKDOWN).set_header(header);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// The median seconds of each contender.
fn measure(contenders: usize, mut run: impl FnMut(usize)) -> Vec<f64> {
    let mut times = vec![Vec::new(); contenders];
    for _ in 0..ROUNDS {
        for (contender, times) in times.iter_mut().enumerate() {
            let start = Instant::now();
            let mut runs = 0_u32;
            while runs == 0 || start.elapsed() < SLICE {
                run(contender);
                runs += 1;
            }
            times.push(start.elapsed().as_secs_f64() / f64::from(runs));
        }
    }
    times.into_iter().map(median).collect()
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn milliseconds(seconds: f64) -> String {
    format!("{:.3} ms", seconds * 1000.0)
}

fn version(app: &mut Client) -> String {
    let version: String = app.query_one("SELECT version()", &[]).expect("the server answers").get(0);
    version.split(" on ").next().unwrap_or_default().to_owned()
}
