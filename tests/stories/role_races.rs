//! Roles and scopes that change while others use them.

use crate::support::*;
use postgres::Client;
use rolecall_tests::sqlstate;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};

const LEVELS: [&str; 3] = ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"];

fn backend(client: &mut Client) -> i32 {
    one(client, "SELECT pg_backend_pid()")
}

/// Each session makes one link of a ring, all at once: the ring never closes.
/// Trap 31.
#[test]
fn no_ring_of_roles_closes() {
    let database = database();
    let mut admin = database.admin();
    for round in 0..rounds() {
        for level in LEVELS {
            for length in [2, 3] {
                let name = |number: usize| format!("{round} {level} {length} {}", number % length);
                for number in 0..length {
                    admin.execute("SELECT rolecall.create_role($1)", &[&name(number)]).unwrap();
                }
                let mut clients: Vec<_> = (0..length).map(|_| database.admin()).collect();
                let barrier = Barrier::new(length);
                let links: Vec<bool> = std::thread::scope(|scope| {
                    let threads: Vec<_> = clients
                        .iter_mut()
                        .enumerate()
                        .map(|(number, client)| {
                            let (role, member) = (name(number), format!("role:{}", name(number + 1)));
                            let barrier = &barrier;
                            scope.spawn(move || {
                                let begin = format!(
                                    "BEGIN ISOLATION LEVEL {level}; SELECT count(*) FROM rolecall.role_members"
                                );
                                client.batch_execute(&begin).unwrap();
                                barrier.wait();
                                let granted = client.execute("SELECT rolecall.grant_role($1, $2)", &[&role, &member]);
                                let result = granted.and_then(|_| client.batch_execute("COMMIT"));
                                match result {
                                    Ok(()) => true,
                                    Err(error) => {
                                        let (state, message) = sqlstate::<()>(Err(error));
                                        assert!(
                                            state == "22023" && message.contains("cycle") || state == "40001",
                                            "{state} {message}"
                                        );
                                        false
                                    }
                                }
                            })
                        })
                        .collect();
                    threads.into_iter().map(|thread| thread.join().unwrap()).collect()
                });
                assert!(links.contains(&false) && links.contains(&true), "{level} {length}: {links:?}");
            }
        }
    }
}

/// Trap 31.
#[test]
fn a_running_query_ends_with_the_roles_it_began_with() {
    let story = Notes::new();
    let mut admin = story.database.admin();
    run(
        &mut admin,
        "SELECT rolecall.create_role('staff'); SELECT rolecall.grant_role('staff', 'alice');
         SELECT rolecall.grant_scopes('staff', '{press}')",
    );
    let mut app = story.connect();
    let pid = backend(&mut app);
    for (change, back) in [
        ("SELECT rolecall.revoke_role('editor', 'alice')", "SELECT rolecall.grant_role('editor', 'alice')"),
        ("SELECT rolecall.revoke_scopes('staff', '{press}')", "SELECT rolecall.grant_scopes('staff', '{press}')"),
        ("SELECT rolecall.drop_role('staff')", ""),
    ] {
        authenticate(&mut app, &story.alice, true);
        // It waits between its first row and its second for a lock that the administrator has.
        run(&mut admin, "SELECT pg_advisory_lock(7)");
        let query = "SELECT count(*) FROM (SELECT id, CASE WHEN n = 2 THEN pg_advisory_lock_shared(7)::text END
                       FROM (SELECT id, row_number() OVER (ORDER BY id) AS n FROM notes) q) q";
        let seen = std::thread::scope(|scope| {
            let running = scope.spawn(|| one::<i64>(&mut app, query));
            wait_for_lock(&mut admin, pid, || running.is_finished());
            run(&mut admin, change);
            run(&mut admin, "SELECT pg_advisory_unlock(7)");
            running.join().unwrap()
        });
        assert_eq!(seen, ALL, "{change}");
        run(&mut app, "SELECT pg_advisory_unlock_all()");
        let holds = "SELECT rolecall.has_role('editor') AND rolecall.has_role('staff') AND rolecall.has_scope('press')";
        assert!(!one::<bool>(&mut app, holds), "the next statement: {change}");
        run(&mut admin, back);
    }
}

/// A role that is dropped is not left behind in what others write at the same time.
#[test]
fn a_role_is_not_used_while_it_is_dropped() {
    let story = Notes::new();
    let mut admin = story.database.admin();
    let uses = [
        "grant_role('doomed', 'bob')",
        "grant_role('doomed', 'role:editor')",
        "grant_role('editor', 'role:doomed')",
        "grant_scopes('doomed', '{press}')",
        "allow('doomed', 'notes', 'select', '{\"id\": {\"equals\": 3}}')",
        "create_api_token('t', '{doomed}')",
        "set_registration('open', default_roles => '{doomed}')",
        "invite('x@example.org', '{doomed}')",
        "rename_role('doomed', 'saved')",
    ];
    for level in LEVELS {
        for used in uses {
            // First the drop, then the use, which waits; then the other way round.
            for drop_first in [true, false] {
                run(&mut admin, "SELECT rolecall.create_role('doomed')");
                let (mut first, mut second) = (story.database.admin(), story.database.admin());
                let (mut calls, pid) = ([used, "drop_role('doomed')"], backend(&mut second));
                if drop_first {
                    calls.reverse();
                }
                run(&mut second, &format!("BEGIN ISOLATION LEVEL {level}; SELECT count(*) FROM rolecall.permissions"));
                run(&mut first, &format!("BEGIN ISOLATION LEVEL {level}; SELECT rolecall.{}", calls[0]));
                let waiting = std::thread::spawn(move || {
                    second.batch_execute(&format!("SELECT rolecall.{}", calls[1]))?;
                    second.batch_execute("COMMIT")
                });
                wait_for_lock(&mut admin, pid, || waiting.is_finished());
                run(&mut first, "COMMIT");
                let case = format!("{level} {used} drop first: {drop_first}");
                let dropped = match waiting.join().unwrap() {
                    Ok(()) => true,
                    Err(error) => {
                        let (state, message) = sqlstate::<()>(Err(error));
                        let gone = state == "42704" && message == "role \"doomed\" does not exist";
                        assert!(gone || (state == "40001" && level != "READ COMMITTED"), "{case}: {state} {message}");
                        drop_first
                    }
                };
                if !dropped {
                    run(
                        &mut admin,
                        "SELECT rolecall.drop_role(name) FROM rolecall.roles WHERE name IN ('doomed', 'saved')",
                    );
                }
                if used.starts_with("rename") && !drop_first {
                    run(&mut admin, "SELECT rolecall.drop_role(name) FROM rolecall.roles WHERE name = 'saved'");
                }
                let left = "SELECT (SELECT count(*) FROM pg_policies p WHERE p::text ~ 'doomed|saved')
                    + (SELECT count(*) FROM rolecall.settings s WHERE s::text ~ 'doomed|saved')
                    + (SELECT count(*) FROM rolecall.invitations i WHERE i::text ~ 'doomed|saved')
                    + (SELECT count(*) FROM rolecall.user_roles u WHERE u::text ~ 'doomed|saved')";
                assert_eq!(one::<i64>(&mut admin, left), 0, "{case}");
            }
        }
    }
}

#[test]
fn a_name_that_was_taken_meanwhile_is_seen() {
    let story = Notes::new();
    let (mut admin, mut late) = (story.database.admin(), story.database.admin());
    run(&mut late, "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM rolecall.roles");
    run(&mut admin, "SELECT rolecall.create_role('taken')");
    refused(&mut late, "SELECT rolecall.rename_role('editor', 'taken')", "42710", "role \"taken\" exists already");
}

/// A user and a scope change roles in one transaction, to and fro, so that he never has it: whoever reads the two tables
/// at two moments sees him with it.
#[test]
fn an_identity_is_read_at_one_moment() {
    let story = Notes::new();
    let mut admin = story.database.admin();
    run(
        &mut admin,
        "SELECT rolecall.create_role('a'); SELECT rolecall.create_role('b');
         SELECT rolecall.grant_role('a', 'bob'); SELECT rolecall.grant_scopes('b', '{secret}')",
    );
    // Many roles, so that a lookup takes long enough to be overtaken.
    run(
        &mut admin,
        "SELECT rolecall.create_role('r' || n), rolecall.grant_role('r' || n, 'bob') FROM generate_series(1, 300) n",
    );
    let done = AtomicBool::new(false);
    let looked = std::thread::scope(|scope| {
        let readers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut app = story.connect();
                    authenticate(&mut app, &story.bob, true);
                    let mut looked = 0;
                    while !done.load(Ordering::Relaxed) {
                        // Between planning and running the roles may change: then it is to be run again.
                        match app.query_one("SELECT rolecall.has_scope('secret')", &[]) {
                            Ok(row) => assert!(!row.get::<_, bool>(0), "look {looked}"),
                            Err(error) => assert_eq!(sqlstate::<()>(Err(error)).0, "40001"),
                        }
                        looked += 1;
                    }
                    looked
                })
            })
            .collect();
        for _ in 0..100 * rounds() {
            for (from, to) in [("a", "b"), ("b", "a")] {
                run(
                    &mut admin,
                    &format!(
                        "BEGIN; SELECT rolecall.revoke_role('{from}', 'bob'); SELECT rolecall.revoke_scopes('{to}', '{{secret}}');
                         SELECT rolecall.grant_role('{to}', 'bob'); SELECT rolecall.grant_scopes('{from}', '{{secret}}'); COMMIT"
                    ),
                );
            }
        }
        done.store(true, Ordering::Relaxed);
        readers.into_iter().map(|reader| reader.join().unwrap()).sum::<i32>()
    });
    assert!(looked > 100, "{looked}");
}
