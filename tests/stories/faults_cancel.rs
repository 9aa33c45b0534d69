//! A statement that is cancelled, wherever it is, has done nothing: the rules, what people see and who acts are as before.

use crate::faults_world::{CALLS, Who, World, stored};
use crate::support::*;
use postgres::Client;
use rolecall_tests::Cluster;

/// The tables that a call locks, each with the lock that makes the call wait when it reads, or at last when it writes.
fn obstacles(client: &mut Client, call: &str) -> Vec<String> {
    // The first time it locks more: what it plans.
    run(client, &format!("BEGIN; {call}; ROLLBACK; BEGIN; {call}"));
    let locks = "SELECT format('%s IN %s MODE', relation::regclass, obstacle) FROM (
        SELECT relation, CASE WHEN bool_or(mode LIKE 'Row%' OR mode LIKE '%Exclusive%') THEN '{EXCLUSIVE,ACCESS EXCLUSIVE}'
            ELSE '{ACCESS EXCLUSIVE}' END::text[] AS obstacles
          FROM pg_locks JOIN pg_class c ON c.oid = relation
         WHERE pid = pg_backend_pid() AND relkind = 'r' AND relnamespace IN ('rolecall'::regnamespace, 'public'::regnamespace)
           AND pg_locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())
         GROUP BY relation) AS tables, unnest(obstacles) AS obstacle ORDER BY 1";
    let found = column(client, locks);
    run(client, "ROLLBACK");
    found
}

/// Runs a call that is cancelled at every obstacle, by one limit or the other; how often.
fn cancel_everywhere(world: &World, other: &mut Client, who: Who, call: &str) -> usize {
    let mut client = world.connect(who);
    let acting = "SELECT concat_ws(' ', rolecall.user_id(), rolecall.whoami() ->> 'via')";
    let before: String = one(&mut client, acting);
    let obstacles = obstacles(&mut client, call);
    for (at, obstacle) in obstacles.iter().enumerate() {
        let (limit, state) = [("lock_timeout", "55P03"), ("statement_timeout", "57014")][at % 2];
        run(other, &format!("BEGIN; LOCK TABLE {obstacle}"));
        run(&mut client, &format!("SET {limit} = '5ms'"));
        let result = client.batch_execute(call);
        run(other, "ROLLBACK");
        run(&mut client, "RESET lock_timeout; RESET statement_timeout");
        let error = result.err().unwrap_or_else(|| panic!("{call} does not wait for {obstacle}"));
        assert_eq!(error.code().map(|code| code.code()), Some(state), "{call}, {obstacle}: {error:?}");
        assert_eq!(one::<String>(&mut client, acting), before, "{call} as {who:?}, {obstacle}");
    }
    // And wherever it may be after so many milliseconds.
    for after in 1..=3 {
        run(&mut client, &format!("BEGIN; SET LOCAL statement_timeout = {after}"));
        let result = client.batch_execute(call);
        // The limit may end this one, too; the transaction, and with it the limit, is over then.
        client.batch_execute("ROLLBACK").or_else(|_| client.batch_execute("ROLLBACK")).expect("the end");
        let state = result.err().and_then(|error| error.code().map(|code| code.code().to_owned()));
        assert!(state.is_none() || state.as_deref() == Some("57014"), "{call}, {after} ms: {state:?}");
        assert_eq!(one::<String>(&mut client, acting), before, "{call} as {who:?}, {after} ms");
    }
    obstacles.len()
}

#[test]
fn a_cancelled_statement_has_done_nothing() {
    let cluster = Cluster::start(&["session_preload_libraries=rolecall"]);
    let world = World::new(&cluster);
    let before = world.rules();
    let mut other = world.connect(Who::Admin);
    let mut cancelled = 0;
    for (who, call) in CALLS {
        cancelled += cancel_everywhere(&world, &mut other, *who, call);
        assert_eq!(stored(&mut other), before.0, "{call}");
    }
    assert_eq!(world.rules(), before);
    assert!(cancelled > 300, "only {cancelled} moments");
}
