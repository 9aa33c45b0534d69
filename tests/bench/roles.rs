//! What tests of roles and scopes cost per row, and what looking an identity up costs, for few and for many roles.
//!
//! Beside them what people write today: recursive queries over the same tables, in functions of PL/pgSQL for the rows.

use crate::{ROUNDS, cases, measure, median, table};
use comfy_table::Table;
use postgres::{Client, Statement};
use std::time::Instant;

/// Rows that are tested, every other one for something that is held.
const ROWS: usize = 1_000_000;
/// Users beside the measured ones.
const USERS: usize = 1_000_000;

/// What one user holds.
struct Profile {
    name: &'static str,
    roles: usize,
    /// How many roles are members of each other in a chain, of which the user was granted the first.
    depth: usize,
    /// Scopes of all the roles together.
    scopes: usize,
    /// Rows for functions that take too long for all.
    few: usize,
}

const fn profile(name: &'static str, roles: usize, depth: usize, scopes: usize, few: usize) -> Profile {
    Profile { name, roles, depth, scopes, few }
}

const PROFILES: [Profile; 6] = [
    profile("a", 1, 1, 1, 1000),
    profile("b", 10, 1, 10, 1000),
    profile("c", 100, 10, 1000, 100),
    profile("d", 1000, 1, 1000, 10),
    profile("e", 1000, 100, 10_000, 10),
    profile("f", 1000, 100, 100_000, 10),
];
/// Those whose tests are measured row by row.
const FEW_ROLES: usize = 1;
const MANY_ROLES: usize = 5;

/// The roles of the user in `app.user_id`, as one writes it by hand.
const HELD: &str = "WITH RECURSIVE held AS (
    SELECT u.role FROM rolecall.user_roles u WHERE u.user_id = current_setting('app.user_id', true)
    UNION SELECT m.role FROM rolecall.role_members m JOIN held ON m.member = held.role)";

/// The users with their roles, the rows, and the functions by hand. Triggers and foreign keys are off, since what they
/// check is so by construction and they would take minutes. Returns the token of each profile's user.
pub fn lay_out(admin: &mut Client) -> Vec<String> {
    let function = |name: &str, argument: &str, condition: &str| {
        format!(
            "CREATE FUNCTION {name}({argument} text) RETURNS boolean STABLE SECURITY DEFINER
                SET search_path = pg_catalog, pg_temp LANGUAGE plpgsql
                AS $$ BEGIN RETURN EXISTS ({HELD} SELECT FROM held {condition}); END $$;"
        )
    };
    let is_member = function("is_member", "wanted", "WHERE held.role = wanted");
    let covers = function(
        "is_covered",
        "wanted",
        "JOIN rolecall.role_scopes s ON s.role = held.role WHERE wanted = s.scope OR wanted LIKE s.scope || ':%'",
    );
    let profiles: String = PROFILES.iter().map(lay_out_profile).collect();
    admin
        .batch_execute(&format!(
            "{is_member} {covers}
            GRANT SELECT ON rolecall.user_roles, rolecall.role_members, rolecall.role_scopes TO {app};
            SELECT rolecall.create_role('unrelated');
            SET session_replication_role = replica;
            INSERT INTO rolecall.users (id, username, kind) SELECT 'm' || n, 'm' || n, 'human' FROM generate_series(1, {USERS}) n;
            INSERT INTO rolecall.user_roles SELECT 'm' || n, 'unrelated' FROM generate_series(1, {USERS}) n;
            {profiles}
            RESET session_replication_role;",
            app = cases::APP,
        ))
        .expect("users and roles");
    admin.batch_execute("VACUUM ANALYZE").expect("statistics");
    PROFILES.iter().map(|profile| cases::log_in(admin, profile.name)).collect()
}

fn lay_out_profile(profile: &Profile) -> String {
    let Profile { name, roles, depth, scopes, few } = profile;
    format!(
        "SELECT rolecall.create_user('{name}', password => 'p', id => '{name}');
        INSERT INTO rolecall.roles (name) SELECT '{name}_role' || n FROM generate_series(0, {roles} - 1) n;
        INSERT INTO rolecall.role_members SELECT '{name}_role' || n - 1, '{name}_role' || n
            FROM generate_series(1, {roles} - 1) n WHERE n % {depth} <> 0;
        INSERT INTO rolecall.user_roles SELECT '{name}', '{name}_role' || n FROM generate_series(0, {roles} - 1, {depth}) n;
        INSERT INTO rolecall.role_scopes SELECT '{name}_role' || n * {roles} / {scopes}, 'admin3:flows:{name}_location' || n
            FROM generate_series(0, {scopes} - 1) n;
        CREATE TABLE {name}_rows AS SELECT '{name}_role' || n * 7919 % (2 * {roles}) AS role,
            'admin3:flows:{name}_location' || n * 7919 % (2 * {scopes}) AS scope FROM generate_series(1, {ROWS}::bigint) n;
        CREATE TABLE {name}_few AS SELECT * FROM {name}_rows LIMIT {few};
        GRANT SELECT ON {name}_rows, {name}_few TO {app};",
        app = cases::APP,
    )
}

/// Makes the session the token's user's, for rolecall and for the functions by hand.
fn become_user(app: &mut Client, token: &str) {
    app.batch_execute("RESET ALL; SET max_parallel_workers_per_gather = 0").expect("settings");
    cases::become_user(app, token, true);
}

/// A test that is measured: its name, its condition, whether it is for few rows only, which one it is compared with.
type Test = (&'static str, String, bool, usize);

/// The tests as a WHERE clause has them.
fn tests(admin: &mut Client, profile: &Profile) -> Vec<Test> {
    let name = profile.name;
    let mut typed = |column: &str, table: &str, key: &str| -> String {
        let query =
            format!("SELECT format('{column} = ANY (%L)', array_agg({column})) FROM {table} WHERE {key} LIKE $1");
        admin.query_one(&query, &[&format!("{name}_role%")]).expect("what is held").get(0)
    };
    let roles = typed("role", "(SELECT name AS role FROM rolecall.roles) r", "role");
    let scopes = typed("scope", "rolecall.role_scopes", "role");
    vec![
        ("no test", "true".into(), false, 0),
        ("role = 'x'", format!("role = '{name}_role0'"), false, 0),
        ("has_role('x')", format!("rolecall.has_role('{name}_role0')"), false, 0),
        ("has_scope('x:y:z')", format!("rolecall.has_scope('admin3:flows:{name}_location0')"), false, 0),
        ("(SELECT is_member('x')), PL/pgSQL", format!("(SELECT is_member('{name}_role0'))"), false, 0),
        ("role = ANY ('{...}'), all that are held", roles, false, 5),
        ("has_role(role)", "rolecall.has_role(role)".into(), false, 5),
        ("is_member(role), PL/pgSQL", "is_member(role)".into(), true, 5),
        ("scope = ANY ('{...}'), all that are held", scopes, false, 8),
        ("has_scope(scope)", "rolecall.has_scope(scope)".into(), false, 8),
        ("is_covered(scope), PL/pgSQL", "is_covered(scope)".into(), true, 8),
    ]
}

/// Every test's time per row, scan and count included.
pub fn per_row(admin: &mut Client, app: &mut Client, tokens: &[String]) -> Table {
    let columns = [FEW_ROLES, MANY_ROLES].map(|number| {
        let profile = &PROFILES[number];
        become_user(app, &tokens[number]);
        let tests = tests(admin, profile);
        let statements: Vec<Statement> = tests
            .iter()
            .map(|(_, condition, few, _)| {
                let rows = if *few { "few" } else { "rows" };
                let query = format!("SELECT count(*) FROM {}_{rows} WHERE {condition}", profile.name);
                app.prepare(&query).expect("the query")
            })
            .collect();
        let times = measure(tests.len(), |test| drop(app.query(&statements[test], &[]).expect("the query runs")));
        let per_row = |test: usize| times[test] / if tests[test].2 { profile.few } else { ROWS } as f64;
        let line =
            |test: usize| format!("{:.1} ns ({:.2} x)", per_row(test) * 1e9, per_row(test) / per_row(tests[test].3));
        (0..tests.len()).map(|test| (tests[test].0, line(test))).collect::<Vec<_>>()
    });
    let [few, many] = columns;
    let mut results = table(["per row", "10 roles, 10 scopes", "1,000 roles, 100 deep, 100,000 scopes"]);
    for ((name, few), (_, many)) in few.into_iter().zip(many) {
        results.add_row([name.to_owned(), few, many]);
    }
    results
}

/// The first statement after some other role was changed, the next one, and the same looked up by SQL.
pub fn first_statements(admin: &mut Client, app: &mut Client, tokens: &[String]) -> Table {
    let mut results = table(["one round trip", "first", "next", "the same looked up by SQL"]);
    for (profile, token) in PROFILES.iter().zip(tokens) {
        become_user(app, token);
        let who = app.prepare("SELECT rolecall.user_id()").expect("the query");
        let by_hand =
            format!("{HELD} SELECT count(*), count(s.scope) FROM held LEFT JOIN rolecall.role_scopes s USING (role)");
        let by_hand = app.prepare(&by_hand).expect("the query");
        let mut times = [const { Vec::new() }; 3];
        for round in 0..ROUNDS {
            let change = if round % 2 == 0 { "grant_scopes" } else { "revoke_scopes" };
            admin.batch_execute(&format!("SELECT rolecall.{change}('unrelated', '{{some}}')")).expect("a change");
            // How long the very next statement takes is about the processor's caches.
            for (statement, column) in [(&who, Some(0)), (&who, None), (&who, Some(1)), (&by_hand, Some(2))] {
                let start = Instant::now();
                app.query(statement, &[]).expect("the statement runs");
                let seconds = start.elapsed().as_secs_f64();
                if let Some(column) = column {
                    times[column].push(seconds);
                }
            }
        }
        let Profile { roles, depth, scopes, .. } = profile;
        let [first, next, by_hand] = times.map(|times| format!("{:.0} us", median(times) * 1e6));
        results.add_row([format!("{roles} roles, {depth} deep, {scopes} scopes"), first, next, by_hand]);
    }
    results
}
