//! Cases: a state, a spec, and what must be true afterwards. Each is put through everything that holds for all specs.

use crate::provisioner_world::{Outcome, rolecall, run, server_version, value, written};
use rolecall_tests::{Cluster, Database};
use serde_json::{Value, json};

/// A shop whose tables belong to `keeper`.
pub const SHOP: &str = "CREATE ROLE keeper NOLOGIN; CREATE SCHEMA shop AUTHORIZATION keeper; SET ROLE keeper; \
                    CREATE TABLE shop.orders (id bigserial PRIMARY KEY, note text); \
                    CREATE TABLE shop.items (id bigint PRIMARY KEY, note text); RESET ROLE;";

/// Who holds what on a table, its owner aside; `*` marks the grant option.
pub const HELD_ON_ORDERS: &str = "SELECT string_agg(a.grantee::regrole || ' ' || privilege_type || \
     CASE WHEN is_grantable THEN '*' ELSE '' END, ', ' ORDER BY a.grantee::regrole::text, privilege_type) FROM pg_class c, aclexplode(relacl) a \
     WHERE c.oid = 'shop.orders'::regclass AND a.grantee <> relowner";

/// A case that changes something and needs no flag.
pub fn case(
    name: &'static str,
    setup: &'static str,
    spec: Value,
    facts: &'static [(&'static str, &'static str)],
) -> Case {
    Case { name, since: 0, setup, spec, flags: &[], changes: true, later: "", facts }
}

/// A table of the shop, by name or wildcard.
pub fn table(name: &str) -> Value {
    json!({"type": "table", "schema": "shop", "name": name})
}

/// A grant of SELECT.
pub fn select_on(to: &str, name: &str) -> Value {
    json!({"to": to, "privileges": ["SELECT"], "on": table(name)})
}

/// A grant of USAGE on the shop.
pub fn usage_for(to: &str) -> Value {
    json!({"to": to, "privileges": ["USAGE"], "on": {"type": "schema", "name": "shop"}})
}

/// One case.
pub struct Case {
    pub name: &'static str,
    /// The first major version of PostgreSQL that has what the case is about.
    pub since: u32,
    /// The state to start from.
    pub setup: &'static str,
    pub spec: Value,
    pub flags: &'static [&'static str],
    /// Whether something is to be done.
    pub changes: bool,
    /// What happens after the spec was applied.
    pub later: &'static str,
    /// Queries of one value, and that value as text.
    pub facts: &'static [(&'static str, &'static str)],
}

/// Puts cases through their paces, one after the other on a server of their own, since role names are the cluster's.
pub fn hold(cases: Vec<Case>) {
    let cluster = Cluster::start(&[]);
    let version = server_version(&mut cluster.try_connect("postgres", "postgres").expect("the superuser connects"));
    for case in cases.into_iter().filter(|case| case.since <= version) {
        let db = fresh(&cluster, &case);
        let spec = written_out(&case.spec, false);
        let before = written(&mut db.admin());
        let plan = rolecall(&db, &with(&["plan"], &case), &spec);
        assert_eq!(plan.code, if case.changes { 2 } else { 0 }, "{}: {plan:?}", case.name);
        let json = rolecall(&db, &with(&["plan", "--json"], &case), &spec);
        let script = rolecall(&db, &with(&["plan", "--format", "sql"], &case), &spec);
        assert_eq!(written(&mut db.admin()), before, "{}: a plan wrote something", case.name);
        same_operations(&case, &plan, &json);
        let backwards = rolecall(&db, &with(&["plan", "--json"], &case), &written_out(&case.spec, true));
        assert_eq!(json.out, backwards.out, "{}: the order of keys matters", case.name);

        let applied = rolecall(&db, &with(&["apply", "--yes"], &case), &spec);
        assert_eq!(applied.code, 0, "{}: {applied:?}", case.name);
        let after = written(&mut db.admin());
        let again = rolecall(&db, &with(&["apply", "--yes"], &case), &spec);
        assert_eq!(again.code, 0, "{}: {again:?}", case.name);
        assert_eq!(written(&mut db.admin()), after, "{}: a second apply wrote something: {again:?}", case.name);
        facts_hold(&case, &db, "applied");

        // The printed statements, through psql, must come to the same.
        let applied_to = format!("\"{}\"", db.name);
        let db = fresh(&cluster, &case);
        let script = script.out.replace(&applied_to, &format!("\"{}\"", db.name));
        let mut psql = db.psql("postgres");
        psql.arg("--quiet");
        let psql = run(psql, &script);
        assert_eq!(psql.code, 0, "{}: {psql:?}\n{script}", case.name);
        facts_hold(&case, &db, "through psql");
    }
}

fn with<'a>(command: &[&'a str], case: &Case) -> Vec<&'a str>
where
    'static: 'a,
{
    command.iter().copied().chain(case.flags.iter().copied()).collect()
}

fn facts_hold(case: &Case, db: &Database<'_>, how: &str) {
    let second = rolecall(db, &with(&["plan"], case), &written_out(&case.spec, false));
    assert_eq!(second.code, 0, "{} {how}: the second plan is not empty: {second:?}", case.name);
    let mut admin = db.admin();
    admin.batch_execute(case.later).unwrap_or_else(|e| panic!("{}: {e:?}", case.name));
    for (sql, expected) in case.facts {
        assert_eq!(value(&mut admin, sql), *expected, "{} {how}: {sql}", case.name);
    }
}

fn fresh<'a>(cluster: &'a Cluster, case: &Case) -> Database<'a> {
    let db = emptied(cluster);
    db.admin().batch_execute(case.setup).unwrap_or_else(|e| panic!("{}: {e:?}", case.name));
    db
}

/// A new database in a cluster in which no database and no role is left from before.
pub fn emptied(cluster: &Cluster) -> Database<'_> {
    let mut admin = cluster.try_connect("postgres", "postgres").expect("the superuser connects");
    let old = admin.query("SELECT datname FROM pg_database WHERE datname ~ '^t[0-9]'", &[]).expect("databases");
    for row in old {
        admin.batch_execute(&format!("DROP DATABASE {} WITH (FORCE)", row.get::<_, &str>(0))).expect("a drop");
    }
    let roles = "SELECT quote_ident(rolname) FROM pg_roles WHERE rolname !~ '^(pg_|postgres$)'";
    for row in admin.query(roles, &[]).expect("roles") {
        let role: &str = row.get(0);
        admin.batch_execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).expect("a drop");
    }
    cluster.plain_database()
}

/// The text has one line for each operation of the JSON, in as many words.
fn same_operations(case: &Case, text: &Outcome, json: &Outcome) {
    let document: Value = serde_json::from_str(&json.out).expect("JSON");
    assert_eq!(document["format"], "rolecall-plan/1");
    let databases = document["databases"].as_array().expect("databases");
    let operations: Vec<&Value> = databases.iter().flat_map(|one| one["operations"].as_array().unwrap()).collect();
    let lines: Vec<&str> = text.out.lines().filter(|line| line.starts_with("  ")).collect();
    assert_eq!(operations.len(), lines.len(), "{}: {}{}", case.name, text.out, json.out);
    for operation in operations {
        let sign = match operation["sign"].as_str() {
            Some("add") => "  + ",
            Some("change") => "  ~ ",
            _ => "  - ",
        };
        let (who, what) = (operation["who"].as_str().unwrap(), operation["what"].as_str().unwrap());
        let told = |line: &&&str| line.starts_with(&format!("{sign}{who} ")) && line.contains(what);
        assert!(lines.iter().any(|line| told(&line)), "{}: {sign}{who} {what} is not in\n{}", case.name, text.out);
    }
}

/// JSON with the keys of every object in one order or the other.
fn written_out(value: &Value, backwards: bool) -> String {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(key, _)| key.as_str());
            if backwards {
                entries.reverse();
            }
            let entry = |(key, value): (&String, &Value)| {
                format!("{}: {}", Value::String(key.clone()), written_out(value, backwards))
            };
            format!("{{{}}}", entries.into_iter().map(entry).collect::<Vec<_>>().join(", "))
        }
        Value::Array(items) => {
            format!("[{}]", items.iter().map(|item| written_out(item, backwards)).collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}
