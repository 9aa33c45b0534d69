//! A pool beside a plain table that consumers share by `FOR UPDATE SKIP LOCKED`, without any access control.

use crate::{median, table};
use comfy_table::Table;
use postgres::{Client, Row};
use rolecall_tests::{Cluster, Database};
use serde_json::Value;
use std::time::Instant;

/// Messages of a round.
const MESSAGES: usize = 4_000;
const ROUNDS: usize = 5;
const CONSUMERS: [usize; 3] = [1, 4, 16];

/// How a consumer takes a message and says that it is done.
struct Contender {
    fill: String,
    take: &'static str,
    /// The message's number in what taking it returns.
    number: fn(&Row) -> Option<i64>,
    done: &'static str,
}

/// Messages per second, with commits that wait for the disk and with such that do not.
pub fn measure() -> Table {
    let mut results = table(["messages per second", "consumers", "plain table", "rolecall", "ratio"]);
    for (name, fsync) in [("commits on disk", "fsync=on"), ("commits in memory", "fsync=off")] {
        let cluster = Cluster::start(&["shared_buffers=1GB", "shared_preload_libraries=rolecall", fsync]);
        let database = cluster.database();
        let app = lay_out(&database);
        for consumers in CONSUMERS {
            let mut rates = [Vec::new(), Vec::new()];
            for _ in 0..ROUNDS {
                for (contender, rates) in contenders().iter().zip(&mut rates) {
                    rates.push(round(&database, &app, contender, consumers));
                }
            }
            let [plain, ours] = rates.map(median);
            results.add_row([
                name.to_owned(),
                consumers.to_string(),
                format!("{plain:.0}"),
                format!("{ours:.0}"),
                format!("{:.2} x", ours / plain),
            ]);
        }
    }
    results
}

fn contenders() -> [Contender; 2] {
    let payload = "jsonb_build_object('number', n, 'text', repeat('x', 100))";
    [
        Contender {
            fill: format!("INSERT INTO plain_queue (payload) SELECT {payload} FROM generate_series(1, {MESSAGES}) n"),
            take: "UPDATE plain_queue SET state = 'leased', lease_until = clock_timestamp() + interval '60 seconds',
                          attempts = attempts + 1
                    WHERE id = (SELECT id FROM plain_queue WHERE state = 'ready' ORDER BY priority, id
                                 LIMIT 1 FOR UPDATE SKIP LOCKED)
                   RETURNING id, payload",
            number: |row| row.get(0),
            done: "DELETE FROM plain_queue WHERE id = $1",
        },
        Contender {
            fill: format!(
                "SELECT count(rolecall.send('role:robots', {payload}, '1 hour')) FROM generate_series(1, {MESSAGES}) n"
            ),
            take: "SELECT rolecall.receive()",
            number: |row| row.get::<_, Option<Value>>(0).and_then(|message| message["message"].as_i64()),
            done: "SELECT rolecall.done($1)",
        },
    ]
}

fn lay_out(database: &Database) -> String {
    let app = database.login("robots");
    database
        .admin()
        .batch_execute(&format!(
            "CREATE TABLE plain_queue (
                id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, payload jsonb NOT NULL, priority int NOT NULL DEFAULT 2,
                state text NOT NULL DEFAULT 'ready', lease_until timestamptz, attempts int NOT NULL DEFAULT 0)
                WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);
             CREATE INDEX ON plain_queue (priority, id) WHERE state = 'ready';
             GRANT SELECT, INSERT, UPDATE, DELETE ON plain_queue TO {app};
             SELECT rolecall.create_role('robots', pool => true);
             SELECT rolecall.create_user('robot', password => 'p', roles => '{{robots}}');"
        ))
        .expect("the queues");
    app
}

/// How many messages a second the consumers get done; each is connected and has taken its first one's plan before.
fn round(database: &Database, app: &str, contender: &Contender, consumers: usize) -> f64 {
    let mut admin = database.admin();
    let token = token(&mut admin);
    let mut clients: Vec<Client> = (0..consumers).map(|_| database.connect(app)).collect();
    let statements: Vec<_> = clients
        .iter_mut()
        .map(|client| {
            client.execute("SELECT rolecall.authenticate($1, true)", &[&token]).expect("the token is good");
            let statements = [contender.take, contender.done].map(|sql| client.prepare(sql).expect("a statement"));
            client.query(&statements[0], &[]).expect("nothing yet");
            statements
        })
        .collect();
    admin.batch_execute(&contender.fill).expect("messages");
    let number = contender.number;
    let start = Instant::now();
    let done: usize = std::thread::scope(|scope| {
        let consumers = clients.iter_mut().zip(&statements).map(|(client, [take, done])| {
            scope.spawn(move || {
                let mut count = 0;
                while let Some(message) =
                    client.query_opt(take, &[]).expect("it can be taken").and_then(|row| number(&row))
                {
                    client.execute(done, &[&message]).expect("it is ours");
                    count += 1;
                }
                count
            })
        });
        let consumers: Vec<_> = consumers.collect();
        consumers.into_iter().map(|consumer| consumer.join().expect("a consumer")).sum()
    });
    let seconds = start.elapsed().as_secs_f64();
    assert_eq!(done, MESSAGES);
    MESSAGES as f64 / seconds
}

fn token(admin: &mut Client) -> String {
    admin.execute("SELECT rolecall.set_password('robot', 'p')", &[]).expect("a temporary password");
    crate::cases::log_in(admin, "robot")
}
