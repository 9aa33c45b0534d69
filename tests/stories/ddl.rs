//! What is done to protected tables behind rolecall's back: rules follow, or are defended.

use crate::support::*;
use postgres::Client;
use rolecall_tests::{Database, sqlstate};

/// A protected table of bob's and alice's, read by a guest through a filter.
fn parcels() -> (Database<'static>, Client, Client) {
    let database = database();
    let login = database.login("app");
    let mut admin = database.admin();
    run(
        &mut admin,
        &format!(
            r#"CREATE TABLE parcels (id int PRIMARY KEY, gone int, place text, weight int);
            INSERT INTO parcels VALUES (1, 0, 'here', 5), (2, 0, 'there', 5), (3, 0, 'here', 9);
            ALTER TABLE parcels DROP COLUMN gone;
            GRANT SELECT, INSERT, UPDATE ON parcels TO {login};
            SELECT rolecall.protect('parcels');
            SELECT rolecall.allow('guest', 'parcels', 'select',
                '{{"place": {{"equals": "here"}}, "OR": [{{"weight": {{"lt": 6}}}}, {{"NOT": {{"weight": {{"lt": 6}}}}}}]}}');
            SELECT rolecall.allow('guest', 'parcels', 'update', new_row => '{{"place": {{"in": ["here", "place"]}}}}');"#
        ),
    );
    let app = database.connect(&login);
    (database, admin, app)
}

fn seen(app: &mut Client) -> Vec<String> {
    column(app, "SELECT id::text FROM parcels ORDER BY id")
}

/// Trap 30.
#[test]
fn a_rule_follows_the_name_of_a_column() {
    let (_database, mut admin, mut app) = parcels();
    run(&mut admin, "ALTER TABLE parcels RENAME place TO \"where; --\"");
    assert_eq!(seen(&mut app), ["1", "3"]);
    let filter: String = one(&mut admin, "SELECT filter::text FROM rolecall.permissions WHERE action = 'select'");
    assert!(filter.contains(r#""where; --": {"equals": "here"}"#), "{filter}");
    let new_row: String = one(&mut admin, "SELECT new_row::text FROM rolecall.permissions WHERE action = 'update'");
    assert_eq!(new_row, r#"{"where; --": {"in": ["here", "place"]}}"#, "values keep theirs");
    // Two columns that exchange their names, and a new one that takes a name which was in a rule.
    run(
        &mut admin,
        "ALTER TABLE parcels RENAME \"where; --\" TO swap; ALTER TABLE parcels RENAME weight TO place;
         ALTER TABLE parcels ADD weight text DEFAULT 'here'; SELECT rolecall.allow('users', 'parcels', 'select');",
    );
    assert_eq!(seen(&mut app), ["1", "3"]);
    let fields = "SELECT DISTINCT f FROM rolecall.permissions, jsonb_object_keys(filter) f WHERE f <> 'OR' ORDER BY 1";
    assert_eq!(column(&mut admin, fields), ["swap"]);
    run(&mut admin, "CREATE SCHEMA store; ALTER TABLE parcels RENAME TO boxes; ALTER TABLE boxes SET SCHEMA store");
    run(
        &mut admin,
        &format!("GRANT USAGE ON SCHEMA store TO {}", one::<String>(&mut app, "SELECT current_user::text")),
    );
    assert_eq!(column(&mut app, "SELECT id::text FROM store.boxes ORDER BY id"), ["1", "3"]);
    run(&mut admin, "SELECT rolecall.disallow('guest', 'store.boxes', 'select')");
    assert_eq!(one::<i64>(&mut app, "SELECT count(*) FROM store.boxes"), 0);
}

/// Neither a column that went when its rule had gone, nor a restore, nor replication makes a rule take another column.
#[test]
fn a_rule_takes_no_other_column() {
    let (database, mut admin, mut app) = parcels();
    run(
        &mut admin,
        r#"DROP POLICY rolecall_select ON parcels; DROP POLICY rolecall_select_gate ON parcels;
        DROP POLICY rolecall_update ON parcels; DROP POLICY rolecall_update_gate ON parcels;
        ALTER TABLE parcels DROP COLUMN place; ALTER TABLE parcels ADD spot text DEFAULT 'here'"#,
    );
    let renamed = sqlstate(admin.batch_execute("ALTER TABLE parcels RENAME weight TO grams"));
    assert!(renamed.0 == "22023" && renamed.1.contains("unknown field \"place\""), "{renamed:?}");
    run(&mut admin, "SELECT rolecall.disallow('guest', 'parcels', 'all')");
    run(&mut admin, r#"SELECT rolecall.allow('guest', 'parcels', 'select', '{"weight": {"gt": 5}}')"#);
    run(
        &mut admin,
        "SET session_replication_role = replica; ALTER TABLE parcels RENAME weight TO grams; ALTER TABLE parcels RENAME spot TO weight",
    );
    assert_eq!(seen(&mut app), ["3"]);
    let restored = crate::dump::restore(&database);
    run(&mut restored.admin(), "ALTER TABLE parcels RENAME grams TO g; ALTER TABLE parcels RENAME weight TO grams");
    let filter: String = one(&mut restored.admin(), "SELECT filter::text FROM rolecall.permissions");
    assert_eq!(filter, r#"{"g": {"gt": 5}}"#);
}

/// An owner of the table is no administrator, and need not be one to rename his column.
#[test]
fn whoever_owns_the_table_may_rename_its_columns() {
    let (database, mut admin, mut app) = parcels();
    let owner = database.login("owner");
    run(&mut admin, &format!("ALTER TABLE parcels OWNER TO {owner}"));
    let mut owner = database.connect(&owner);
    run(&mut owner, "ALTER TABLE parcels RENAME place TO spot");
    assert_eq!(seen(&mut app), ["1", "3"]);
    refused(&mut owner, "SELECT rolecall.follow_rename('parcels', 'id', 'x')", "42501", "permission denied");
    refused(&mut owner, "SELECT rolecall.allow('guest', 'parcels', 'select')", "42501", "administrator");
}

/// Trap 30.
#[test]
fn what_a_rule_uses_is_not_dropped_from_under_it() {
    let (_database, mut admin, mut app) = parcels();
    // Somebody else's policy would open the table if the gate went with the column.
    run(&mut admin, "CREATE POLICY theirs ON parcels USING (true)");
    let (state, message) = sqlstate(admin.batch_execute("ALTER TABLE parcels DROP COLUMN place"));
    assert_eq!(state, "2BP01", "PostgreSQL's own: {message}");
    refused(
        &mut admin,
        "ALTER TABLE parcels DROP COLUMN place CASCADE",
        "55000",
        "rules of rolecall on public.parcels",
    );
    refused(&mut admin, "ALTER TABLE parcels ALTER place TYPE varchar", "0A000", "policy");
    assert_eq!(seen(&mut app), ["1", "3"]);
    run(
        &mut admin,
        "SELECT rolecall.disallow('guest', 'parcels', 'all'); ALTER TABLE parcels DROP COLUMN place CASCADE;
         SELECT rolecall.allow('guest', 'parcels', 'select', '{\"weight\": {\"equals\": 9}}')",
    );
    assert_eq!(seen(&mut app), ["3"]);
}

#[test]
fn a_policy_that_somebody_dropped_is_made_again() {
    let (_database, mut admin, mut app) = parcels();
    run(&mut admin, "DROP POLICY rolecall_select_gate ON parcels");
    run(&mut admin, "SELECT rolecall.protect('parcels'); CREATE POLICY theirs ON parcels USING (true)");
    assert_eq!(seen(&mut app), ["1", "3"]);
}

#[test]
fn a_table_that_is_gone_is_forgotten() {
    let (_database, mut admin, mut app) = parcels();
    run(&mut admin, "DROP TABLE parcels");
    assert_eq!(one::<i64>(&mut admin, "SELECT count(*) FROM rolecall.permissions"), 0);
    run(
        &mut admin,
        "CREATE SCHEMA s; CREATE TABLE s.t (id int); SELECT rolecall.protect('s.t'); DROP SCHEMA s CASCADE",
    );
    assert_eq!(one::<i64>(&mut admin, "SELECT count(*) FROM rolecall.protected_tables"), 0);
    // Nor does a temporary table of the same name, or a role, matter to it.
    run(&mut app, "CREATE TEMP TABLE parcels (id int); DROP TABLE parcels");
}
