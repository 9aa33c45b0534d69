//! Administrators who get in each other's way: one gives way as a whole, the other's rules hold as a whole.

use crate::faults_world::{Who, World, beyond, stored};
use crate::support::*;
use postgres::Client;
use rolecall_tests::Cluster;
use std::time::Duration;

/// Two changes that two administrators make in opposite order.
const PAIRS: [[&str; 2]; 5] = [
    ["allow('editor', 'posts', 'select')", "allow('editor', 'documents', 'select', '{\"id\": {\"equals\": 3}}')"],
    ["grant_role('editor', 'ben')", "protect('people')"],
    ["disable_user('ben')", "disallow('editor', 'posts', 'select')"],
    ["rename_role('editor', 'writer')", "unprotect('documents')"],
    ["drop_role('editor')", "create_user('eve', roles => '{editor}')"],
];

fn call(client: &mut Client, call: &str) -> Result<(), postgres::Error> {
    client.simple_query(&format!("SELECT rolecall.{call}")).map(drop)
}

/// What the calls lead to, one administrator after the other.
fn serial(original: &World, calls: &[&str]) -> String {
    let world = original.copy();
    let mut admin = world.connect(Who::Admin);
    for one in calls {
        // What the former has dropped the latter does not find, and is as if he had not been there.
        let _ = call(&mut admin, one);
    }
    stored(&mut admin)
}

#[test]
fn of_administrators_in_a_deadlock_one_gives_way() {
    let cluster = Cluster::start(&["session_preload_libraries=rolecall", "deadlock_timeout=20ms"]);
    let original = World::new(&cluster);
    let mut gave_way = 0;
    for [first, second] in PAIRS {
        let world = original.copy();
        let results = std::thread::scope(|scope| {
            let threads = [[first, second], [second, first]].map(|changes| {
                let mut client = world.connect(Who::Admin);
                scope.spawn(move || {
                    run(&mut client, "BEGIN");
                    call(&mut client, changes[0])?;
                    // So that the other one has made his first, too, where he can.
                    std::thread::sleep(Duration::from_millis(200));
                    call(&mut client, changes[1])?;
                    client.simple_query("COMMIT").map(drop)
                })
            });
            threads.map(|thread| thread.join().expect("an administrator"))
        });
        for error in results.iter().filter_map(|result| result.as_ref().err()) {
            gave_way += 1;
            let state = error.code().map(|code| code.code());
            // Or he finds that the other one has already done it.
            assert!(matches!(state, Some("40P01" | "40001" | "42704" | "55000")), "{first}, {second}: {error:?}");
        }
        let found = stored(&mut world.connect(Who::Admin));
        let expected = match [results[0].is_ok(), results[1].is_ok()] {
            [true, false] => vec![serial(&original, &[first, second])],
            [false, true] => vec![serial(&original, &[second, first])],
            [true, true] => vec![serial(&original, &[first, second, second, first])],
            [false, false] => panic!("{first}, {second}: nobody won: {results:?}"),
        };
        let strange = expected.iter().map(|expected| beyond(&found, expected)).min_by_key(Vec::len).unwrap();
        assert_eq!(strange, [], "{first}, {second}: {results:?}");
    }
    assert!(gave_way > 0, "no deadlock");
}
