//! How much access control costs: `make bench`.
//!
//! Every case runs side by side in one session: the query with the rule typed into its WHERE by hand and no row-level
//! security (the limit), the same table protected by rolecall, and protected by the best policies one would write by
//! hand (identity in a setting, every function call wrapped in a sub-select so that it runs once). What counts are the
//! ratios to the limit.

mod cases;

use comfy_table::{CellAlignment, Table, presets};
use postgres::Client;
use rolecall_tests::Cluster;
use std::time::{Duration, Instant};

/// Rounds per case; the contenders take turns, so that all suffer the same disturbances.
const ROUNDS: usize = 31;
/// How long a contender runs per turn: once where that takes longer.
const SLICE: Duration = Duration::from_millis(40);

fn main() {
    let cluster = Cluster::start(&["shared_buffers=1GB", "jit=off", "shared_preload_libraries=rolecall"]);
    let database = cluster.database();
    let mut admin = database.admin();
    println!("Laying out {} rows three times ...", cases::ROWS);
    cases::lay_out(&mut admin);
    let mut app = database.connect(cases::APP);
    let mut results = Table::new();
    results.load_preset(presets::ASCII_MARKDOWN).set_header([
        "case",
        "by hand, no RLS",
        "rolecall",
        "best policy by hand",
    ]);
    for column in 1..4 {
        results.column_mut(column).expect("four columns").set_cell_alignment(CellAlignment::Right);
    }
    for mut case in cases::all(&mut admin) {
        (case.prepare)(&mut app);
        let times = measure(&mut app, &mut case);
        let ratio = |time: f64| format!("{} ({:.2} x)", milliseconds(time), time / times[0]);
        results.add_row([case.name.to_owned(), milliseconds(times[0]), ratio(times[1]), ratio(times[2])]);
    }
    println!("{results}");
    println!("Medians of {ROUNDS} rounds that take turns, on {}.", version(&mut app));
}

/// The median seconds of each contender.
fn measure(app: &mut Client, case: &mut cases::Case) -> [f64; 3] {
    let mut times = [const { Vec::new() }; 3];
    for _ in 0..ROUNDS {
        for (contender, times) in times.iter_mut().enumerate() {
            let start = Instant::now();
            let mut runs = 0_u32;
            while runs == 0 || start.elapsed() < SLICE {
                (case.run)(app, contender);
                runs += 1;
            }
            times.push(start.elapsed().as_secs_f64() / f64::from(runs));
        }
    }
    times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[ROUNDS / 2]
    })
}

fn milliseconds(seconds: f64) -> String {
    format!("{:.3} ms", seconds * 1000.0)
}

fn version(app: &mut Client) -> String {
    let version: String = app.query_one("SELECT version()", &[]).expect("the server answers").get(0);
    version.split(" on ").next().unwrap_or_default().to_owned()
}
