//! Who may what, and what has changed in it since some time, whatever else was done and undone meanwhile.

use crate::support::*;
use postgres::Client;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// The rows that say who may what, without their being told from the audit log.
const CONFIGURATION: &str = "
    SELECT jsonb_build_object('id', id, 'username', username, 'disabled', disabled, 'database_role', database_role)
      FROM rolecall.users
     UNION ALL SELECT jsonb_build_object('name', name, 'database_role', database_role) FROM rolecall.roles
     UNION ALL SELECT to_jsonb(r) FROM rolecall.user_roles r
     UNION ALL SELECT to_jsonb(r) FROM rolecall.api_token_roles r
     UNION ALL SELECT to_jsonb(r) FROM rolecall.role_members r
     UNION ALL SELECT to_jsonb(r) FROM rolecall.role_scopes r
     UNION ALL SELECT jsonb_build_object('target', 'public.' || target::text, 'acl_column', acl_column)
      FROM rolecall.protected_tables
     UNION ALL SELECT to_jsonb(p) || jsonb_build_object('target', 'public.' || target::text) FROM rolecall.permissions p";

/// What a row says besides what it is about.
const FACTS: [&str; 8] =
    ["username", "disabled", "database_role", "acl_column", "filter", "columns", "new_row", "preset"];
const ROLES: [&str; 5] = ["red", "green", "blue", "white", "a \"grey\" one"];
const USERS: [&str; 3] = ["ann", "ben", "cleo"];
const TABLES: [&str; 3] = ["posts", "pages", "files"];

type Row = Map<String, Value>;
/// What was, and what is.
type Change = (Option<String>, Option<String>);

fn rows(admin: &mut Client) -> Vec<Row> {
    column(admin, CONFIGURATION).iter().map(|row| serde_json::from_str(row).unwrap()).collect()
}

/// What a row is about, once the names in it are read as `name` says.
fn key(row: &Row, name: impl Fn(&str, &str) -> Option<String>) -> Option<String> {
    let mut key = BTreeMap::new();
    for (field, value) in row.iter().filter(|(field, _)| !FACTS.contains(&field.as_str())) {
        let value = value.as_str().unwrap();
        key.insert(field, name(field, value)?);
    }
    Some(format!("{key:?}"))
}

/// The two rows, without the facts that stayed the same.
fn change(old: Option<&Row>, new: Option<&Row>) -> Change {
    let differs =
        |field: &str| !FACTS.contains(&field) || old.and_then(|r| r.get(field)) != new.and_then(|r| r.get(field));
    let told = |row: &Row| {
        let row: BTreeMap<_, _> =
            row.iter().filter(|(field, _)| old.is_none() || new.is_none() || differs(field)).collect();
        serde_json::to_string(&row).unwrap()
    };
    (old.map(told), new.map(told))
}

/// What roles and tables, of two kinds, are called now that had these names: None for those that are gone.
struct Names(BTreeMap<(&'static str, String), Option<String>>);

impl Names {
    fn new() -> Self {
        Self(BTreeMap::new())
    }

    fn now(&self, kind: &'static str, name: &str) -> Option<String> {
        self.0.get(&(kind, name.to_owned())).cloned().unwrap_or_else(|| Some(name.to_owned()))
    }

    /// Notes that what is called `from` has another name, or is gone.
    fn rename(&mut self, kind: &'static str, all: &[String], from: &str, to: Option<&str>) {
        for name in all {
            let now = self.now(kind, name);
            if now.as_deref() == Some(from) {
                self.0.insert((kind, name.clone()), to.map(str::to_owned));
            }
        }
    }

    fn of_field(&self, row: &Row, field: &str, value: &str) -> Option<String> {
        match field {
            "role" | "member" => self.now("role", value),
            "name" if row.contains_key("database_role") => self.now("role", value),
            "target" => self.now("table", value),
            _ => Some(value.to_owned()),
        }
    }
}

/// The difference of two states, told by nothing but them and the new names.
fn difference(before: &[Row], after: &[Row], names: &Names) -> BTreeSet<Change> {
    let same = |_: &str, value: &str| Some(value.to_owned());
    let mut new: BTreeMap<String, &Row> = after.iter().map(|row| (key(row, same).unwrap(), row)).collect();
    let (mut changes, mut gone) = (Vec::new(), Vec::new());
    for old in before {
        let now = key(old, |field, value| names.of_field(old, field, value)).and_then(|key| new.remove(&key));
        match now {
            Some(new) => changes.push((Some(old), Some(new))),
            None => gone.push(old),
        }
    }
    for old in gone {
        changes.push((Some(old), new.remove(&key(old, same).unwrap())));
    }
    changes.extend(new.into_values().map(|new| (None, Some(new))));
    let is_change = |(old, new): &(Option<&Row>, Option<&Row>)| match (old, new) {
        (Some(old), Some(new)) => {
            let names_a_thing = old.contains_key("name") || (old.contains_key("target") && !old.contains_key("action"));
            (names_a_thing && old != new) || FACTS.iter().any(|fact| old.get(*fact) != new.get(*fact))
        }
        _ => true,
    };
    changes.into_iter().filter(is_change).map(|(old, new)| change(old, new)).collect()
}

/// What diff_access() says.
fn told(admin: &mut Client, since: &str) -> BTreeSet<Change> {
    let sql = format!("SELECT old::text, new::text, change FROM rolecall.diff_access('{since}')");
    let rows = admin.query(&sql, &[]).unwrap_or_else(|e| panic!("{sql}: {e:?}"));
    let mut all = BTreeSet::new();
    for row in &rows {
        let read = |n| row.get::<_, Option<String>>(n).map(|text| serde_json::from_str::<Row>(&text).unwrap());
        assert!(row.get::<_, Option<String>>(2).is_some(), "{:?}", change(read(0).as_ref(), read(1).as_ref()));
        assert!(all.insert(change(read(0).as_ref(), read(1).as_ref())), "told twice: {row:?}");
    }
    all
}

/// Numbers that look random and are always the same.
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides
    }

    fn of(&mut self, list: &[&'static str]) -> &'static str {
        list[self.below(list.len())]
    }
}

/// Does one thing at random, if it can be done in the present state.
fn act(admin: &mut Client, dice: &mut Dice, names: &mut Names, all: &BTreeMap<&str, Vec<String>>) {
    let (role, other) = (dice.of(&ROLES), dice.of(&ROLES));
    let (user, table, to) = (dice.of(&USERS), dice.of(&TABLES), dice.of(&TABLES));
    let action = dice.of(&["select", "insert", "update", "delete", "all"]);
    let scope = dice.of(&["run", "run:fast", "read"]);
    let number = dice.below(3);
    let choice = dice.below(24);
    let is_protected = format!("SELECT EXISTS (SELECT FROM rolecall.protected_tables WHERE called = 'public.{table}')");
    let is_protected: bool = one(admin, &is_protected);
    let statement = match choice {
        0 | 1 => format!("create_role('{role}')"),
        2 => format!("drop_role('{role}')"),
        3 | 4 => format!("rename_role('{role}', '{other}')"),
        5 | 6 => format!("grant_role('{role}', '{user}')"),
        7 => format!("grant_role('{role}', 'role:{other}')"),
        8 => format!("revoke_role('{role}', '{user}')"),
        9 => format!("revoke_role('{role}', 'role:{other}')"),
        10 => format!("grant_scopes('{role}', '{{{scope}}}')"),
        11 => format!("revoke_scopes('{role}', '{{{scope}}}')"),
        12 => format!("create_user('{user}', roles => '{{{}}}', id => '{user}')", ["", "red", "blue"][number]),
        13 => format!("drop_user('{user}')"),
        14 => format!("disable_user('{user}')"),
        15 => format!("enable_user('{user}')"),
        16 => format!("protect('{table}')"),
        17 => format!("unprotect('{table}')"),
        18..=20 => format!("allow('{role}', '{table}', '{action}', '{{\"id\": {{\"lt\": {number}}}}}')"),
        21 => format!("disallow('{role}', '{table}', '{action}')"),
        22 => format!("ALTER TABLE {table} RENAME TO {to}"),
        _ if number == 0 => format!("DROP TABLE {table}"),
        _ => format!("CREATE TABLE {table} (id int)"),
    };
    let statement = if choice < 22 { format!("SELECT rolecall.{statement}") } else { statement };
    if let Err(error) = admin.batch_execute(&statement) {
        let state = error.code().expect("an SQLSTATE").code();
        assert!(["42704", "42710", "55000", "22023", "42P01", "42P07"].contains(&state), "{statement}: {error:?}");
        return;
    }
    let public = |table: &str| format!("public.{table}");
    match choice {
        2 => names.rename("role", &all["role"], role, None),
        3 | 4 => names.rename("role", &all["role"], role, Some(other)),
        22 if is_protected => names.rename("table", &all["table"], &public(table), Some(&public(to))),
        17 | 23 if !statement.starts_with("CREATE") => names.rename("table", &all["table"], &public(table), None),
        _ => (),
    }
}

/// Makes everything anew as it was, under the names that it had.
fn restore(admin: &mut Client, before: &[Row]) {
    run(
        admin,
        "SELECT rolecall.unprotect(target) FROM rolecall.protected_tables;
         SELECT rolecall.drop_role(name) FROM rolecall.roles WHERE NOT built_in;
         SELECT rolecall.drop_user(username) FROM rolecall.users",
    );
    for table in TABLES {
        run(admin, &format!("DROP TABLE IF EXISTS {table}"));
    }
    // What others refer to comes first.
    let order = ["database_role", "acl_column", "user_id", "member", "scope", "action"];
    for kind in order {
        for row in before.iter().filter(|row| row.contains_key(kind)) {
            let text = |field: &str| format!("'{}'", row[field].as_str().unwrap());
            let statement = match kind {
                "database_role" if row.contains_key("id") => {
                    let disabled = format!("rolecall.disable_user({})", text("id"));
                    let disable = if row["disabled"] == true { disabled } else { "true".into() };
                    format!("rolecall.create_user({}, id => {}); SELECT {disable}", text("username"), text("id"))
                }
                "database_role" if ["admins", "users", "guest"].map(Value::from).contains(&row["name"]) => continue,
                "database_role" => format!("rolecall.create_role({})", text("name")),
                "acl_column" => {
                    run(admin, &format!("CREATE TABLE {} (id int)", row["target"].as_str().unwrap()));
                    format!("rolecall.protect({})", text("target"))
                }
                "user_id" => format!("rolecall.grant_role({}, {})", text("role"), text("user_id")),
                "member" => format!("rolecall.grant_role({}, 'role:' || {})", text("role"), text("member")),
                "scope" => format!("rolecall.grant_scopes({}, ARRAY[{}])", text("role"), text("scope")),
                _ => {
                    let [role, target, action] = ["role", "target", "action"].map(text);
                    format!("rolecall.allow({role}, {target}, {action}, '{}')", row["filter"])
                }
            };
            run(admin, &format!("SELECT {statement}"));
        }
    }
}

fn sorted(rows: &[Row]) -> BTreeSet<String> {
    rows.iter().map(|row| serde_json::to_string(row).unwrap()).collect()
}

fn now(admin: &mut Client) -> String {
    one(admin, "SELECT clock_timestamp()::text")
}

#[test]
fn the_difference_is_that_of_the_states_whatever_was_done_between() {
    let database = database();
    let mut admin = database.admin();
    run(&mut admin, "CREATE TABLE posts (id int); CREATE TABLE files (id int)");
    let mut dice = Dice(42);
    let (mut seen, mut renamed, mut cancelled) = (0, 0, 0);
    for _ in 0..15 {
        let (since, before) = (now(&mut admin), rows(&mut admin));
        let called = |field: &str, other: &str| -> Vec<String> {
            let rows = before.iter().filter(|row| row.contains_key(other) && !row.contains_key("id"));
            rows.map(|row| row[field].as_str().unwrap().to_owned()).collect()
        };
        let all =
            BTreeMap::from([("role", called("name", "database_role")), ("table", called("target", "acl_column"))]);
        let mut names = Names::new();
        for steps in [1, 3, 10, 30] {
            for _ in 0..steps {
                act(&mut admin, &mut dice, &mut names, &all);
            }
            let expected = difference(&before, &rows(&mut admin), &names);
            assert_eq!(told(&mut admin, &since), expected, "since {since}, {:?}", names.0);
            seen += expected.len();
            renamed += names.0.values().flatten().count();
        }
        let after = rows(&mut admin);
        restore(&mut admin, &before);
        assert_eq!(sorted(&rows(&mut admin)), sorted(&before));
        assert_eq!(told(&mut admin, &since), BTreeSet::new(), "all was undone");
        let since = now(&mut admin);
        cancelled += usize::from(sorted(&after) != sorted(&before));
        restore(&mut admin, &after);
        assert_eq!(told(&mut admin, &since), difference(&before, &after, &Names::new()));
    }
    assert!(seen > 100 && renamed > 5 && cancelled > 10, "{seen} {renamed} {cancelled}");
}

#[test]
fn a_difference_reads_like_sentences() {
    let story = Notes::new();
    let mut admin = story.database.admin();
    let changes = |admin: &mut Client, since: &str| {
        column(
            admin,
            &format!("SELECT concat_ws('|', change, role, target, action) FROM rolecall.diff_access('{since}')"),
        )
    };
    run(
        &mut admin,
        "SELECT rolecall.create_role('reader'), rolecall.create_user('carol'); CREATE TABLE drafts (id int)",
    );
    run(&mut admin, "SELECT rolecall.grant_role('reader', 'carol'), rolecall.create_api_token('ci', '{reader}')");
    let since = now(&mut admin);
    run(
        &mut admin,
        r#"SELECT rolecall.grant_role('reader', 'bob'); SELECT rolecall.grant_role('reader', 'role:editor');
        SELECT rolecall.grant_scopes('reader', '{run}'); SELECT rolecall.disable_user('bob');
        SELECT rolecall.protect('drafts'); SELECT rolecall.allow('reader', 'drafts', 'select');
        SELECT rolecall.allow('editor', 'notes', 'update', '{"id": {"lt": 7}}', columns => '{body}');
        SELECT rolecall.allow('editor', 'notes', 'update', '{"id": {"lt": 9}}', columns => '{body}');
        SELECT rolecall.disallow('editor', 'notes', 'delete'); SELECT rolecall.drop_user('carol');
        SELECT rolecall.create_role('passing'), rolecall.drop_role('passing'); SELECT rolecall.set_registration('open')"#,
    );
    let first = [
        "bob is in role reader|reader",
        "role editor is in role reader|reader",
        "role reader has scope run|reader",
        "user bob is disabled",
        "public.drafts is protected|public.drafts",
        "role reader may select public.drafts|reader|public.drafts|select",
        "role editor may update public.notes, with another columns, filter|editor|public.notes|update",
        "role editor may delete public.notes no more|editor|public.notes|delete",
        "there is a user carol no more",
        "carol is in role reader no more|reader",
    ];
    assert_eq!(changes(&mut admin, &since), first);
    let row = admin
        .query_one(
            &format!(
                "SELECT old ->> 'filter', new ->> 'filter', actor, at = (SELECT max(at) FROM rolecall.audit_log
                        WHERE object = 'permissions' AND action = 'update')
                   FROM rolecall.diff_access('{since}') WHERE action = 'update'"
            ),
            &[],
        )
        .unwrap();
    let texts = [0, 1, 2].map(|n| row.get::<_, String>(n));
    assert_eq!(texts, ["{}", r#"{"id": {"lt": 9}}"#, "postgres"], "first old and last new");
    assert!(row.get::<_, bool>(3), "when it became what it is");

    let since = now(&mut admin);
    run(
        &mut admin,
        "SELECT rolecall.rename_role('reader', 'visitor'); SELECT rolecall.enable_user('bob'); CREATE SCHEMA old;
         ALTER TABLE notes RENAME TO entries; ALTER TABLE entries SET SCHEMA old; ALTER SCHEMA old RENAME TO archive;
         SELECT rolecall.revoke_role('visitor', 'bob'); SELECT rolecall.disallow('users', 'archive.entries', 'insert');
         SELECT rolecall.revoke_api_token(id) FROM rolecall.api_tokens; DROP TABLE drafts",
    );
    let second: Vec<String> = changes(&mut admin, &since)
        .iter()
        .map(|line| {
            if line.starts_with("api_token:") { format!("a{}", &line[line.find(' ').unwrap()..]) } else { line.clone() }
        })
        .collect();
    assert_eq!(
        second,
        [
            "role reader is called visitor|visitor",
            "user bob is enabled",
            "public.notes is called archive.entries|archive.entries",
            "bob is in role reader no more|reader",
            "role users may insert public.notes no more|users|public.notes|insert",
            "a is in role reader no more|reader",
            "public.drafts is protected no more|public.drafts",
            "role reader may select public.drafts no more|reader|public.drafts|select",
        ]
    );
    let restored = crate::dump::restore(&story.database);
    assert_eq!(changes(&mut restored.admin(), &since), changes(&mut admin, &since), "a restored log says the same");
    run(
        &mut restored.admin(),
        "SELECT rolecall.allow('users', 'archive.entries', 'insert', '{\"owner_id\": {\"equals\": \"__loggedInUserId\"}}')",
    );
    assert!(!changes(&mut restored.admin(), &since).iter().any(|line| line.contains("insert")), "and goes on");
    refused(&mut admin, "SELECT * FROM rolecall.diff_access(NULL)", "22023", "since must not be NULL");
    refused(
        &mut story.connect(),
        "SELECT * FROM rolecall.folded_changes('-infinity')",
        "42501",
        "permission denied for function",
    );
}

#[test]
fn the_matrix_shows_what_ones_roles_may() {
    let story = Notes::new();
    let (mut admin, mut app) = (story.database.admin(), story.connect());
    run(
        &mut admin,
        r#"CREATE TABLE files (id int, owner_id text, _acl jsonb); SELECT rolecall.protect('files', '_acl');
        SELECT rolecall.create_role('clerk'); SELECT rolecall.grant_role('clerk', 'role:editor');
        SELECT rolecall.allow('clerk', 'files', 'insert', '{}', '{id}', '{"id": {"gt": 0}}', '{"owner_id": "__loggedInUserId"}');
        SELECT rolecall.allow('guest', 'files', 'select', '{"id": {"lt": 5}}')"#,
    );
    let matrix = "SELECT concat_ws(' ', role, target, action, filter, columns, new_row, preset, acl_column)
                    FROM rolecall.access_matrix ORDER BY role, target::text, action";
    let own = r#"{"owner_id": {"equals": "__loggedInUserId"}}"#;
    let guests = r#"guest files select {"id": {"lt": 5}} _acl"#.to_owned();
    let clerks = r#"clerk files insert {} {id} {"id": {"gt": 0}} {"owner_id": "__loggedInUserId"} _acl"#.to_owned();
    let of = |role: &str, filter: &str| {
        ["delete", "insert", "select", "update"].map(|action| format!("{role} notes {action} {filter}")).to_vec()
    };
    let admins: Vec<String> =
        ["delete", "insert", "select", "update"].map(|action| format!("admins files {action} {{}} _acl")).to_vec();
    let all =
        [admins, of("admins", "{}"), vec![clerks.clone()], of("editor", "{}"), vec![guests.clone()], of("users", own)];
    assert_eq!(column(&mut admin, matrix), all.concat());

    assert_eq!(column(&mut app, matrix), std::slice::from_ref(&guests), "nobody is everybody");
    authenticate(&mut app, &story.bob, true);
    assert_eq!(column(&mut app, matrix), [vec![guests.clone()], of("users", own)].concat());
    // A function that the planner would rather call first sees no more.
    run(
        &mut app,
        "CREATE FUNCTION pg_temp.leak(text) RETURNS bool LANGUAGE plpgsql COST 0.0001
           AS 'BEGIN IF $1 NOT IN (''guest'', ''users'') THEN RAISE ''leaked %'', $1; END IF; RETURN true; END'",
    );
    run(&mut app, "SELECT count(*) FROM rolecall.access_matrix WHERE pg_temp.leak(role)");
    run(&mut app, "SELECT rolecall.logout()");
    authenticate(&mut app, &story.alice, true);
    assert_eq!(column(&mut app, matrix), [vec![clerks], of("editor", "{}"), vec![guests], of("users", own)].concat());
    run(&mut admin, "SELECT rolecall.grant_role('admins', 'bob')");
    run(&mut app, "SELECT rolecall.logout()");
    authenticate(&mut app, &story.bob, true);
    assert_eq!(column(&mut app, matrix), all.concat());
}
