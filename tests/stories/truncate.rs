//! Row-level security knows nothing of TRUNCATE; rolecall does.

use crate::support::*;

/// Trap 12.
#[test]
fn only_administrators_empty_a_protected_table() {
    let story = Notes::new();
    let mut admin = story.database.admin();
    let owner = story.database.login("owner");
    run(
        &mut admin,
        &format!(
            "CREATE TABLE logs (day date, owner_id text) PARTITION BY RANGE (day);
             CREATE TABLE logs_2024 PARTITION OF logs FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
             ALTER TABLE logs OWNER TO {owner}; ALTER TABLE logs_2024 OWNER TO {owner};
             GRANT ALL ON logs, logs_2024, notes TO {};
             SELECT rolecall.protect('logs');
             SELECT rolecall.allow('users', 'notes', 'all'), rolecall.allow('users', 'logs', 'all');
             CREATE TABLE logs_2025 PARTITION OF logs FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
             ALTER TABLE logs_2025 OWNER TO {owner};
             INSERT INTO logs VALUES ('2024-05-05', 'u1'), ('2025-05-05', 'u1');
             SELECT rolecall.create_user('root', password => 'p', roles => '{{admins}}');",
            story.app
        ),
    );
    let mut bob = story.connect();
    authenticate(&mut bob, &story.bob, true);
    let mut owner = story.database.connect(&owner);
    let truncate = |table: &str| format!("TRUNCATE {table}");
    for table in ["notes", "logs", "logs_2024"] {
        refused(&mut bob, &truncate(table), "42501", "TRUNCATE removes all rows of");
    }
    for table in ["logs", "logs_2025"] {
        refused(&mut owner, &truncate(table), "42501", "TRUNCATE removes all rows of");
    }
    let root = first_token(&mut admin, "root", "p", "seven dwarfs, 1 giant");
    authenticate(&mut bob, &root, true);
    run(&mut bob, "TRUNCATE logs_2024");
    assert_eq!(one::<i64>(&mut admin, "SELECT count(*) FROM logs"), 1);
    run(&mut admin, "TRUNCATE logs, notes");
    run(&mut admin, "SELECT rolecall.unprotect('logs')");
    run(&mut owner, "TRUNCATE logs");
    assert_eq!(
        one::<i64>(&mut admin, "SELECT count(*) FROM pg_trigger WHERE tgname = 'rolecall_truncate'"),
        1,
        "notes'"
    );
}
