//! Where the disk is full a change is refused as a whole, and works once there is room.

use crate::faults_world::{CALLS, Who, World, set_limit, stored};
use crate::support::*;
use rolecall_tests::Cluster;

#[test]
fn a_full_disk_costs_a_statement() {
    // No file of that backend's may grow. The log of transactions is written by another process.
    let cluster = Cluster::start(&["session_preload_libraries=rolecall", "synchronous_commit=off", "wal_buffers=64MB"]);
    let world = World::new(&cluster);
    let mut admin = world.connect(Who::Admin);
    // Each time another part of a call finds no room: pages count as full early.
    for full in ["relname = 'audit_entries'", "relname <> 'audit_entries'", "true"] {
        let tables = format!(
            "SELECT oid::regclass FROM pg_class WHERE relnamespace = 'rolecall'::regnamespace AND relkind = 'r' AND {full}"
        );
        for table in column(&mut admin, &tables) {
            run(&mut admin, &format!("ALTER TABLE {table} SET (fillfactor = 10)"));
        }
        let before = stored(&mut admin);
        let mut failed = 0;
        for (_, call) in CALLS.iter().filter(|(who, _)| *who == Who::Admin) {
            let mut client = world.connect(Who::Admin);
            let pid = one(&mut client, "SELECT pg_backend_pid()");
            set_limit(pid, "fsize", Some(0));
            run(&mut client, "BEGIN");
            let result = client.batch_execute(call);
            run(&mut client, "ROLLBACK");
            if let Err(error) = result {
                let message = error.as_db_error().map(|error| error.message()).unwrap_or_default();
                assert!(message.contains("could not extend file"), "{call}: {error:?}");
                failed += 1;
            }
            set_limit(pid, "fsize", None);
            run(&mut client, &format!("BEGIN; {call}; ROLLBACK"));
        }
        assert!(failed > 10, "where {full} only {failed} calls fail");
        assert!(stored(&mut admin) == before, "the rules are others than before");
        for table in column(&mut admin, &tables) {
            run(&mut admin, &format!("ALTER TABLE {table} RESET (fillfactor)"));
        }
    }
}
