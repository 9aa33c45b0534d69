//! Several clients at once.

use crate::median;
use crate::rules::Entrant;
use postgres::{Client, Statement};
use std::time::{Duration, Instant};

const CLIENTS: usize = 8;
/// Turns of each entrant that count; in one before them prepared statements settle on their plans.
const ROUNDS: usize = 7;
/// How long a turn is.
const TURN: Duration = Duration::from_millis(100);

/// The seconds a query takes when all clients send theirs without pause: the elapsed time by the number of queries.
pub fn measure(
    entrants: &[Entrant],
    keys: &[i64],
    connect: impl Fn(&Entrant) -> (Client, Statement),
) -> Vec<Option<f64>> {
    let mut crowds: Vec<Vec<_>> =
        entrants.iter().map(|entrant| (0..CLIENTS).map(|_| connect(entrant)).collect()).collect();
    let mut times = vec![Vec::new(); crowds.len()];
    for round in 0..=ROUNDS {
        for (clients, times) in crowds.iter_mut().zip(&mut times) {
            let seconds = turn(clients, keys);
            if round > 0 {
                times.push(seconds);
            }
        }
    }
    times.into_iter().map(|times| Some(median(times))).collect()
}

fn turn(clients: &mut [(Client, Statement)], keys: &[i64]) -> f64 {
    let start = Instant::now();
    let queries: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = clients
            .iter_mut()
            .map(|(client, statement)| {
                scope.spawn(move || {
                    let mut runs = 0;
                    while start.elapsed() < TURN {
                        client.query(statement, &[&keys[runs % keys.len()]]).expect("the query runs");
                        runs += 1;
                    }
                    runs
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("a client")).sum()
    });
    start.elapsed().as_secs_f64() / queries as f64
}
