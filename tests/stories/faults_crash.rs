//! A server that goes down in the middle of a call comes back with the old rules or the new ones, never with a mixture.

use crate::faults_world::{CALLS, Who, World, beyond, function_of, stored};
use crate::support::*;
use postgres::Client;
use rolecall_tests::{Account, Cluster};
use std::time::{Duration, Instant};

/// A call that changes something, in a database of its own.
struct Change<'a> {
    world: World<'a>,
    call: &'static str,
    new: String,
}

/// Every administrative call that changes something.
fn changes<'a>(original: &World<'a>, old: &str) -> Vec<Change<'a>> {
    let writing = "SELECT proname FROM pg_proc WHERE pronamespace = 'rolecall'::regnamespace AND provolatile = 'v'";
    let mut admin = original.connect(Who::Admin);
    let writing = column(&mut admin, writing);
    let calls =
        CALLS.iter().filter(|(who, call)| *who == Who::Admin && writing.iter().any(|name| name == function_of(call)));
    let mut after = |call| {
        run(&mut admin, &format!("BEGIN; {call}"));
        let new = stored(&mut admin);
        run(&mut admin, "ROLLBACK");
        new
    };
    let calls: Vec<_> = calls.map(|(_, call)| (*call, after(call))).filter(|(_, new)| new != old).collect();
    drop(admin);
    calls.into_iter().map(|(call, new)| Change { world: original.copy(), call, new }).collect()
}

/// Kills a backend as the kernel would: PostgreSQL ends all others and recovers.
fn kill(cluster: &Cluster, victim: &mut Client) {
    let starts = || cluster.log().matches("database system is ready to accept connections").count();
    let (before, pid) = (starts(), one::<i32>(victim, "SELECT pg_backend_pid()"));
    let status = Account::current().command("kill").args(["-KILL", &pid.to_string()]).status();
    assert!(status.expect("kill runs").success());
    let deadline = Instant::now() + Duration::from_secs(60);
    while starts() == before || cluster.try_connect("postgres", "postgres").is_err() {
        assert!(Instant::now() < deadline, "the server does not come back:\n{}", cluster.log());
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Of each call whether it has been made; what is neither the old rules nor the new ones is the story's end.
fn made(changes: &[Change], old: &str) -> Vec<bool> {
    let is_made = |change: &Change| {
        let found = stored(&mut change.world.connect(Who::Admin));
        let strange = beyond(&found, &change.new);
        assert!(found == old || strange.is_empty(), "{}: neither the old rules nor the new: {strange:#?}", change.call);
        strange.is_empty()
    };
    changes.iter().map(is_made).collect()
}

#[test]
fn a_crash_leaves_the_old_rules_or_the_new_ones() {
    let mut cluster = Cluster::start(&["session_preload_libraries=rolecall", "max_connections=300"]);
    let expected: Vec<_> = {
        let original = World::new(&cluster);
        let old = original.rules().0;
        let changes = changes(&original, &old);
        assert!(changes.len() > 30, "only {} calls change anything", changes.len());

        // All that is left to do is to commit; the same call of somebody else waits for that, or has no reason to.
        std::thread::scope(|scope| {
            let mut held = Vec::new();
            for change in &changes {
                let mut client = change.world.connect(Who::Admin);
                run(&mut client, &format!("BEGIN; {}", change.call));
                held.push(client);
                let mut other = change.world.connect(Who::Admin);
                scope.spawn(move || other.simple_query(change.call).map(drop));
            }
            kill(&cluster, &mut original.connect(Who::Admin));
        });
        let first = made(&changes, &old);
        assert!(first.iter().filter(|made| **made).count() < changes.len() / 2, "calls wait for nothing: {first:?}");

        // Somewhere in the middle.
        let left = |made: Vec<bool>| changes.iter().zip(made).filter(|(_, made)| !made).map(|(change, _)| change);
        std::thread::scope(|scope| {
            let mut victim = original.connect(Who::Admin);
            for change in left(first) {
                let mut client = change.world.connect(Who::Admin);
                scope.spawn(move || client.simple_query(change.call).map(drop));
            }
            kill(&cluster, &mut victim);
        });

        // Nothing is in the way of those that are still to be made.
        left(made(&changes, &old)).for_each(|change| run(&mut change.world.connect(Who::Admin), change.call));
        changes.iter().map(|change| (change.call, change.world.database.name.clone(), change.new.clone())).collect()
    };
    cluster.crash();
    cluster.restart();
    for (call, name, new) in expected {
        let found = stored(&mut cluster.try_connect("postgres", &name).expect("the database is there"));
        assert_eq!(beyond(&found, &new), [], "{call}: what was committed");
    }
}
