//! Trap 10: what a subscriber gets.

use crate::replication::give_to;
use crate::support::*;
use rolecall_tests::{Cluster, Database};
use std::time::{Duration, Instant};

/// The number of rows of a table, once it is `expected` or a time has passed.
fn arrived(database: &Database<'_>, table: &str, expected: i64) -> i64 {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let rows = one(&mut database.admin(), &format!("SELECT count(*) FROM {table}"));
        if rows == expected || Instant::now() > deadline {
            return rows;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Trap 10. A subscriber has all rows of a published table, and his own rules or none; whom rules would restrict, PostgreSQL
/// does not let write what arrives.
#[test]
fn a_subscriber_has_his_own_rules() {
    let cluster = Cluster::start(&["shared_preload_libraries=rolecall", "wal_level=logical"]);
    let story = Notes::in_database(cluster.database());
    let elsewhere = Notes::in_database(cluster.database());
    let plain = cluster.plain_database();
    let weak = elsewhere.database.login("weak");
    run(&mut story.database.admin(), "CREATE PUBLICATION feed FOR TABLE notes");
    run(
        &mut elsewhere.database.admin(),
        &format!("TRUNCATE notes; GRANT ALL ON notes TO {weak}; GRANT USAGE ON SCHEMA public TO {weak}"),
    );
    run(
        &mut plain.admin(),
        &format!(
            "CREATE TABLE notes (id int PRIMARY KEY, owner_id text NOT NULL, public boolean, body text); GRANT SELECT ON notes TO {}",
            story.app
        ),
    );
    let address = format!(
        "host={} port={} user=postgres dbname={}",
        cluster.socket().display(),
        one::<String>(&mut story.database.admin(), "SELECT current_setting('port')"),
        story.database.name
    );
    for (name, database) in [("protected", &elsewhere.database), ("unprotected", &plain)] {
        // On the publisher's own server a subscription would wait for itself to make its slot.
        run(&mut story.database.admin(), &format!("SELECT pg_create_logical_replication_slot('{name}', 'pgoutput')"));
        run(
            &mut database.admin(),
            &format!(
                "CREATE SUBSCRIPTION {name} CONNECTION '{address}' PUBLICATION feed WITH (create_slot = false, slot_name = '{name}')"
            ),
        );
        assert_eq!(arrived(database, "notes", ALL), ALL, "{name}:\n{}", cluster.log());
    }
    assert_eq!(one::<i64>(&mut plain.connect(&story.app), "SELECT count(*) FROM notes"), ALL, "the trap springs");
    let mut app = elsewhere.connect();
    assert_eq!(notes(&mut app), 0);
    authenticate(&mut app, &elsewhere.bob, true);
    assert_eq!(notes(&mut app), BOBS);
    // As somebody whom the rules restrict it does not go on, rather than to write past them.
    run(&mut elsewhere.database.admin(), &format!("ALTER ROLE {weak} SUPERUSER"));
    give_to(&mut elsewhere.database.admin(), "protected", &weak);
    run(&mut story.database.admin(), "INSERT INTO notes VALUES (20001, 'u2'), (20002, 'u1')");
    assert_eq!(arrived(&plain, "notes", ALL + 2), ALL + 2);
    let deadline = Instant::now() + Duration::from_secs(60);
    while !cluster.log().contains("cannot replicate into relation with row-level security enabled") {
        assert!(Instant::now() < deadline, "{}", cluster.log());
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(one::<i64>(&mut elsewhere.database.admin(), "SELECT count(*) FROM notes"), ALL);
}
