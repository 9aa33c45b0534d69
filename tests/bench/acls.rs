//! Access-control lists of rows: rolecall's policy beside the same test typed by hand.

use crate::cases::{become_user, log_in};
use crate::{measure, milliseconds, table};
use comfy_table::Table;
use postgres::{Client, Statement};
use rolecall_tests::Database;

const ROWS: i64 = 100_000;

/// By hand, over the `jsonb` of each row; `NAMES` are the reader's.
const EACH: &str = "EXISTS (SELECT FROM jsonb_array_elements(acl) e
        WHERE e ->> 'id' = ANY (NAMES) AND e -> 'rights' ? 'read' AND (e ->> 'deny') IS DISTINCT FROM 'true')
    AND NOT EXISTS (SELECT FROM jsonb_array_elements(acl) e
        WHERE e ->> 'id' = ANY (NAMES) AND e -> 'rights' ? 'read' AND e ->> 'deny' = 'true')";
/// By hand, for an index: one right, no denial.
const CONTAINED: &str =
    "acl @> ANY (ARRAY(SELECT jsonb_build_array(jsonb_build_object('id', n, 'rights', '[\"read\"]'::jsonb))
        FROM unnest(NAMES) n))";

/// Tables of the same rows: the first pair has no index of the lists, the second has.
const TABLES: [&str; 2] = ["acl_scanned", "acl_indexed"];

/// Measures scans by readers of many and of few rows.
pub fn measure_all(database: &Database) -> Table {
    let login = database.login("acls");
    let (mut admin, mut app) = (database.admin(), database.connect(&login));
    lay_out(&mut admin, &login);
    let mut results = table([
        "rows with ACLs",
        "rows read",
        "EXISTS (jsonb_array_elements)",
        "acl @>",
        "rolecall",
        "policy of EXISTS",
    ]);
    for (reader, names) in [("many", "{many-id,users,guest,everywhere}"), ("few", "{few-id,users,guest,somewhere}")] {
        let token = log_in(&mut admin, reader);
        for kind in TABLES {
            app.batch_execute("RESET ALL; SET max_parallel_workers_per_gather = 0").expect("settings");
            app.execute("SELECT set_config('app.names', $1, false)", &[&names]).expect("a setting");
            become_user(&mut app, &token, true);
            let typed = |rule: &str| rule.replace("NAMES", &format!("'{names}'::text[]"));
            let queries = [
                format!("SELECT count(*) FROM {kind}_open WHERE {}", typed(EACH)),
                format!("SELECT count(*) FROM {kind}_open WHERE {}", typed(CONTAINED)),
                format!("SELECT count(*) FROM {kind}"),
                format!("SELECT count(*) FROM {kind}_policy"),
            ];
            let statements: Vec<Statement> = queries.iter().map(|query| app.prepare(query).expect("a query")).collect();
            let counts: Vec<i64> =
                statements.iter().map(|query| app.query_one(query, &[]).expect("a count").get(0)).collect();
            assert!(counts.iter().all(|count| *count == counts[0]), "{kind} {reader}: {counts:?}");
            let times = measure(statements.len(), |contender| {
                app.query(&statements[contender], &[]).expect("the query runs");
            });
            let ratio = |time: f64| format!("{} ({:.2} x)", milliseconds(time), time / times[0]);
            results.add_row(
                [format!("{kind}, a reader of {reader}"), counts[0].to_string(), milliseconds(times[0])]
                    .into_iter()
                    .chain(times[1..].iter().map(|time| ratio(*time))),
            );
        }
    }
    results
}

/// Lists of four entries, of which one in two rows names a reader of many and one in a thousand one of few.
fn lay_out(admin: &mut Client, app: &str) {
    admin
        .batch_execute(&format!(
            r#"SELECT rolecall.create_role('everywhere'), rolecall.create_role('somewhere');
            SELECT rolecall.create_user('many', password => 'p', id => 'many-id', roles => '{{everywhere}}'),
                   rolecall.create_user('few', password => 'p', id => 'few-id', roles => '{{somewhere}}');
            CREATE TABLE acl_rows AS SELECT n AS id, jsonb_build_array(
                jsonb_build_object('id', 'user-' || n, 'rights', '["create", "read", "update", "delete", "invoke"]'::jsonb),
                jsonb_build_object('id', 'admins', 'rights', '["create", "read", "update", "delete", "invoke"]'::jsonb),
                jsonb_build_object('id', CASE WHEN n % 2 = 0 THEN 'everywhere' ELSE 'team-' || n % 500 END,
                                   'rights', '["read", "update"]'::jsonb),
                jsonb_build_object('id', CASE WHEN n % 1000 = 0 THEN 'somewhere' ELSE 'team-' || n % 700 END,
                                   'rights', '["read"]'::jsonb, 'deny', false)) AS acl
              FROM generate_series(1, {ROWS}) n;"#
        ))
        .expect("the rows");
    let each = EACH.replace("NAMES", "(SELECT current_setting('app.names', true))::text[]");
    for kind in TABLES {
        for suffix in ["", "_open", "_policy"] {
            let name = format!("{kind}{suffix}");
            admin
                .batch_execute(&format!(
                    "CREATE TABLE {name} (id bigint PRIMARY KEY, acl jsonb);
                     INSERT INTO {name} SELECT * FROM acl_rows; GRANT SELECT ON {name} TO {app};"
                ))
                .expect("a table");
            if kind == TABLES[1] {
                let index = format!("CREATE INDEX ON {name} USING gin (acl jsonb_path_ops)");
                admin.batch_execute(&index).expect("an index");
            }
        }
        admin
            .batch_execute(&format!(
                "SELECT rolecall.protect('{kind}', 'acl'); ALTER TABLE {kind}_policy ENABLE ROW LEVEL SECURITY;
                 CREATE POLICY listed ON {kind}_policy FOR SELECT USING ({each})"
            ))
            .expect("the rules");
    }
    admin.batch_execute("VACUUM ANALYZE").expect("statistics");
}
