//! Several clients at once.

use crate::median;
use crate::posts::CONTENDERS;
use postgres::{Client, Statement};
use std::time::{Duration, Instant};

const CLIENTS: usize = 8;
/// Turns of each contender.
const ROUNDS: usize = 7;
/// How long a turn is.
const TURN: Duration = Duration::from_millis(100);
/// Executions until a prepared statement has settled on its plan.
const WARM_UP: usize = 10;

/// The seconds a query takes when all clients send theirs without pause: the elapsed time by the number of queries.
pub fn measure(connect: impl Fn(usize) -> (Client, Statement), keys: &[i64]) -> [f64; CONTENDERS.len()] {
    let mut contenders: [Vec<_>; CONTENDERS.len()] =
        std::array::from_fn(|contender| (0..CLIENTS).map(|_| connect(contender)).collect());
    for (client, statement) in contenders.iter_mut().flatten() {
        for run in 0..WARM_UP {
            client.query(statement, &[&keys[run % keys.len()]]).expect("the query runs");
        }
    }
    let mut times = [const { Vec::new() }; CONTENDERS.len()];
    for _ in 0..ROUNDS {
        for (clients, times) in contenders.iter_mut().zip(&mut times) {
            times.push(turn(clients, keys));
        }
    }
    times.map(median)
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
