//! A worker to copy: connects, logs in, listens, receives, works, says that it is done, and connects again when the
//! connection is lost.
//!
//! Work and [`done`] are one transaction: whatever the work writes into this database is written exactly once, however
//! often a worker dies. (Work outside of it can be done again when the worker dies before it says so.)
//!
//! `WORKER_DATABASE` says how to connect, `WORKER_USER` and `WORKER_PASSWORD` whose queue and pools to serve.

use postgres::fallible_iterator::FallibleIterator;
use postgres::{Client, NoTls, Transaction};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::time::Duration;

/// How long a message is ours, unless `WORKER_LEASE` says so. Work that takes longer calls `rolecall.extend()`.
const LEASE: &str = "60 seconds";
/// How long to wait without being woken: a lease of somebody who died ends in silence.
const NAP: Duration = Duration::from_millis(500);

fn main() {
    let lease = std::env::var("WORKER_LEASE").unwrap_or_else(|_| LEASE.into());
    let [database, user, password] = ["DATABASE", "USER", "PASSWORD"]
        .map(|name| std::env::var(format!("WORKER_{name}")).unwrap_or_else(|_| panic!("WORKER_{name} is not set")));
    loop {
        let Err(error) = serve(&database, &user, &password, &lease);
        // A login that has expired is made again (28000); a wrong password does not get better (28P01).
        if error.code().is_some_and(|code| code.code() == "28P01") {
            eprintln!("worker: {error:?}");
            std::process::exit(1);
        }
        eprintln!("worker: {error}; connecting again");
        std::thread::sleep(NAP);
    }
}

/// Serves messages until the connection is lost.
fn serve(database: &str, user: &str, password: &str, lease: &str) -> Result<Infallible, postgres::Error> {
    let mut client = Client::connect(database, NoTls)?;
    let token: String = client.query_one("SELECT rolecall.login($1, $2)", &[&user, &password])?.get(0);
    client.execute("SELECT rolecall.authenticate($1, for_session => true)", &[&token])?;
    // Before the first look, so that nothing sent in between is missed.
    client.execute("SELECT rolecall.listen()", &[])?;
    let receive = client.prepare("SELECT rolecall.receive($1::text::interval)")?;
    let done = client.prepare("SELECT rolecall.done($1, $2, $3)")?;
    loop {
        while let Some(message) = client.query_one(&receive, &[&lease])?.get::<_, Option<Value>>(0) {
            let id = message["message"].as_i64().unwrap_or_default();
            let attempt = message["attempts"].as_i64().and_then(|attempts| i32::try_from(attempts).ok());
            let mut transaction = client.transaction()?;
            let result = work(&mut transaction, &message)?;
            // The attempt: should the lease have ended and another robot of this user have the message, it is his.
            match transaction.execute(&done, &[&id, &result, &attempt]) {
                Ok(_) => transaction.commit()?,
                // Ours no more: what we wrote is undone, and somebody else does it.
                Err(error) if error.code().is_some_and(|code| code.code() == "55000") => transaction.rollback()?,
                Err(error) => return Err(error),
            }
        }
        client.notifications().timeout_iter(NAP).next()?;
    }
}

/// The work itself. This one writes down which message it was, and answers with its number.
fn work(transaction: &mut Transaction, message: &Value) -> Result<Value, postgres::Error> {
    let payload = &message["payload"];
    if let Some(milliseconds) = payload["takes"].as_u64() {
        std::thread::sleep(Duration::from_millis(milliseconds));
    }
    if payload["kills"] == true {
        std::process::abort();
    }
    transaction.execute("INSERT INTO work_done (message) VALUES ($1)", &[&message["message"].as_i64()])?;
    Ok(json!({"number": payload["number"]}))
}
