//! What only some versions of PostgreSQL have: it works there, and is refused with a reason elsewhere.

use crate::provisioner_cases::{Case, case, hold, table};
use crate::provisioner_world::{apply, await_waiting, rolecall, rolecall_as, server_version, value};
use rolecall_tests::Cluster;
use serde_json::json;

const MEMBERSHIPS: &str = "SELECT string_agg(member::regrole || ' in ' || roleid::regrole || ' by ' || grantor::regrole \
     || CASE WHEN admin_option THEN ' admin' ELSE '' END || CASE WHEN inherit_option THEN ' inherit' ELSE '' END \
     || CASE WHEN set_option THEN ' set' ELSE '' END, ', ' ORDER BY member::regrole::text, grantor::regrole::text) \
     FROM pg_auth_members WHERE roleid::regrole::text = 'grp'";

#[test]
fn privileges_on_parameters() {
    hold(vec![Case {
        since: 15,
        ..case(
            "SET and ALTER SYSTEM, for settings of extensions too",
            "CREATE ROLE old; GRANT SET ON PARAMETER work_mem TO old;",
            json!({"roles": {"tuner": {}}, "grants": [
                {"to": "tuner", "privileges": "SET", "on": {"type": "parameter", "name": "log_min_duration_statement"}},
                {"to": "tuner", "privileges": "ALTER SYSTEM", "on": {"type": "parameter", "name": "work_mem"}},
                {"to": "tuner", "privileges": "ALL", "on": {"type": "parameter", "name": "shop.currency"}},
                {"to": "old", "privileges": "SET", "on": {"type": "parameter", "name": "work_mem"}, "ensure": "absent"}]}),
            &[
                ("SELECT has_parameter_privilege('tuner', 'log_min_duration_statement', 'SET')", "true"),
                ("SELECT has_parameter_privilege('tuner', 'log_min_duration_statement', 'ALTER SYSTEM')", "false"),
                ("SELECT has_parameter_privilege('tuner', 'work_mem', 'ALTER SYSTEM')", "true"),
                ("SELECT has_parameter_privilege('tuner', 'shop.currency', 'SET, ALTER SYSTEM')", "true"),
                ("SELECT has_parameter_privilege('old', 'work_mem', 'SET')", "false"),
            ],
        )
    }]);
}

#[test]
fn several_grantors_of_one_membership_are_told_apart() {
    let cluster = Cluster::start(&[]);
    let db = cluster.plain_database();
    if server_version(&mut db.admin()) < 16 {
        return;
    }
    let memberships = json!([
        {"role": "grp", "member": "bob", "admin": true},
        {"role": "grp", "member": "alice", "inherit": false, "set": true, "grantor": "postgres"},
        {"role": "grp", "member": "alice", "inherit": true, "set": false, "grantor": "bob"},
    ]);
    let spec = json!({"roles": {"grp": {}, "alice": {}, "bob": {}}, "memberships": memberships}).to_string();
    apply(&db, &spec);
    assert_eq!(rolecall(&db, &["plan", "--revoke"], &spec).code, 0);
    let held = "alice in grp by bob inherit, alice in grp by postgres set, bob in grp by postgres admin inherit set";
    assert_eq!(value(&mut db.admin(), MEMBERSHIPS), held);
    let exported = rolecall(&db, &["export"], "");
    let plan = rolecall(&db, &["plan", "--revoke"], &exported.out);
    assert!(plan.code == 0 && exported.err.is_empty(), "{exported:?}{plan:?}");
    // One of the two goes.
    let absent = json!({"memberships": [{"role": "grp", "member": "alice", "grantor": "bob", "ensure": "absent"}]});
    apply(&db, &absent.to_string());
    let left = "alice in grp by postgres set, bob in grp by postgres admin inherit set";
    assert_eq!(value(&mut db.admin(), MEMBERSHIPS), left);
}

#[test]
fn options_of_memberships() {
    let since_16 = |name, setup, memberships, flags, facts| Case {
        since: 16,
        flags,
        ..case(
            name,
            setup,
            json!({"roles": {"grp": {}, "alice": {}, "bob": {}, "carol": {}}, "memberships": memberships}),
            facts,
        )
    };
    hold(vec![
        since_16(
            "of new ones; what is not said is the server's business",
            "CREATE ROLE carol NOINHERIT;",
            json!([{"role": "grp", "member": "alice", "inherit": false, "set": true, "admin": true},
                   {"role": "grp", "member": "bob", "inherit": true, "set": false},
                   {"role": "grp", "member": "carol"}]),
            &[],
            &[(
                MEMBERSHIPS,
                "alice in grp by postgres admin set, bob in grp by postgres inherit, carol in grp by postgres set",
            )],
        ),
        since_16(
            "one changes, the others stay",
            "CREATE ROLE grp; CREATE ROLE alice; CREATE ROLE bob; CREATE ROLE carol; \
             GRANT grp TO alice WITH INHERIT TRUE, SET FALSE; GRANT grp TO bob WITH INHERIT FALSE, ADMIN TRUE; \
             GRANT grp TO carol WITH ADMIN TRUE, SET FALSE;",
            json!([{"role": "grp", "member": "alice", "inherit": false},
                   {"role": "grp", "member": "bob", "set": false, "admin": true},
                   {"role": "grp", "member": "carol", "admin": false}]),
            &[],
            &[(
                MEMBERSHIPS,
                "alice in grp by postgres, bob in grp by postgres admin, carol in grp by postgres inherit",
            )],
        ),
        since_16(
            "of both when two have granted one",
            "CREATE ROLE grp; CREATE ROLE alice; CREATE ROLE bob; CREATE ROLE carol; \
             GRANT grp TO alice WITH ADMIN TRUE; GRANT grp TO bob; GRANT grp TO bob WITH SET FALSE GRANTED BY alice;",
            json!([{"role": "grp", "member": "alice", "admin": true}, {"role": "grp", "member": "bob", "inherit": false}]),
            &[],
            &[(
                MEMBERSHIPS,
                "alice in grp by postgres admin inherit set, bob in grp by alice, bob in grp by postgres set",
            )],
        ),
        since_16(
            "taken away from whom two have admitted, whoever did",
            "CREATE ROLE grp; CREATE ROLE alice; CREATE ROLE bob; CREATE ROLE carol; \
             GRANT grp TO alice WITH ADMIN TRUE; GRANT grp TO bob; GRANT grp TO bob GRANTED BY alice; \
             GRANT grp TO carol WITH ADMIN TRUE GRANTED BY alice;",
            json!([{"role": "grp", "member": "alice", "admin": true}, {"role": "grp", "member": "carol"}]),
            &["--revoke"],
            &[(MEMBERSHIPS, "alice in grp by postgres admin inherit set, carol in grp by alice inherit set")],
        ),
    ]);
}

#[test]
fn maintain() {
    let future = json!({"owner": "keeper", "schema": "shop", "to": "janitor", "on": "table", "privileges": ["ALL"]});
    let setup = "CREATE ROLE keeper; CREATE SCHEMA shop AUTHORIZATION keeper; SET ROLE keeper; \
                 CREATE TABLE shop.orders (i int); CREATE TABLE shop.items (i int); RESET ROLE;";
    hold(vec![
        Case {
            later: "SET ROLE keeper; CREATE TABLE shop.later (i int); RESET ROLE;",
            ..case(
                "ALL is what the version has",
                setup,
                json!({"roles": {"janitor": {}}, "default_privileges": [future],
                       "grants": [{"to": "janitor", "privileges": "ALL", "on": table("orders")}]}),
                &[
                    (
                        "SELECT count(*) = CASE WHEN current_setting('server_version_num')::int < 170000 THEN 7 ELSE 8 END \
                         FROM pg_class, aclexplode(relacl) a WHERE oid = 'shop.orders'::regclass AND grantee = 'janitor'::regrole",
                        "true",
                    ),
                    (
                        "SELECT count(DISTINCT relacl::text) FROM pg_class WHERE oid IN ('shop.orders'::regclass, 'shop.later'::regclass)",
                        "1",
                    ),
                ],
            )
        },
        Case {
            since: 17,
            flags: &["--revoke"],
            ..case(
                "by name, and undeclared",
                "CREATE ROLE keeper; CREATE SCHEMA shop AUTHORIZATION keeper; CREATE TABLE shop.orders (i int); \
                 CREATE TABLE shop.items (i int); CREATE ROLE janitor; GRANT SELECT, MAINTAIN ON shop.items TO janitor;",
                json!({"roles": {"janitor": {}}, "grants": [
                    {"to": "janitor", "privileges": "MAINTAIN", "on": table("orders")},
                    {"to": "janitor", "privileges": "SELECT", "on": table("items")}]}),
                &[
                    ("SELECT has_table_privilege('janitor', 'shop.orders', 'MAINTAIN')", "true"),
                    ("SELECT has_table_privilege('janitor', 'shop.orders', 'SELECT')", "false"),
                    ("SELECT has_table_privilege('janitor', 'shop.items', 'MAINTAIN')", "false"),
                    ("SELECT has_table_privilege('janitor', 'shop.items', 'SELECT')", "true"),
                ],
            )
        },
    ]);
}

#[test]
fn large_objects_to_come() {
    hold(vec![Case {
        since: 18,
        later: "SET ROLE keeper; SELECT lo_create(4711); RESET ROLE;",
        ..case(
            "readable by others than whoever makes them",
            "CREATE ROLE keeper; CREATE ROLE writer; \
             ALTER DEFAULT PRIVILEGES FOR ROLE keeper GRANT SELECT, UPDATE ON LARGE OBJECTS TO writer;",
            json!({"roles": {"reader": {}}, "default_privileges": [
                {"owner": "keeper", "scope": "global", "to": "reader", "on": "large_object", "privileges": ["SELECT"]},
                {"owner": "keeper", "scope": "global", "to": "writer", "on": "large_object", "privileges": ["UPDATE"], "ensure": "absent"}]}),
            &[(
                "SELECT array_to_string(lomacl, ' ') FROM pg_largeobject_metadata WHERE oid = 4711",
                "keeper=rw/keeper writer=r/keeper reader=r/keeper",
            )],
        )
    }]);
}

#[test]
fn what_a_version_lacks_is_refused_and_nothing_is_done() {
    let db = Cluster::shared().plain_database();
    let mut admin = db.admin();
    admin.batch_execute("CREATE SCHEMA shop; CREATE TABLE shop.orders (i int)").expect("a shop");
    let role = format!("{}_r", db.name);
    let specs = [
        (15, "parameters", "grants: [{to: ROLE, privileges: SET, on: {type: parameter, name: work_mem}}]"),
        (16, "INHERIT and SET", "memberships: [{role: ROLE, member: postgres, set: false}]"),
        (17, "MAINTAIN", "grants: [{to: ROLE, privileges: MAINTAIN, on: {type: table, schema: shop, name: orders}}]"),
        (
            18,
            "large objects",
            "default_privileges: [{owner: postgres, scope: global, to: ROLE, on: large_object, privileges: SELECT}]",
        ),
    ];
    for (since, message, spec) in specs {
        let spec = format!("roles: {{ROLE: {{}}}}\n{spec}").replace("ROLE", &role);
        let plan = rolecall(&db, &["plan"], &spec);
        if server_version(&mut admin) >= since {
            assert_eq!(plan.code, 2, "{spec}: {plan:?}");
            continue;
        }
        let tried = rolecall(&db, &["apply", "--yes"], &spec);
        assert_eq!((plan.code, tried.code), (1, 1), "{spec}: {plan:?}");
        assert!(plan.err.contains(message) && plan.err.contains(&format!("PostgreSQL {since}")), "{plan:?}");
        assert_eq!(value(&mut admin, &format!("SELECT count(*) FROM pg_roles WHERE rolname = '{role}'")), "0");
    }
}

#[test]
fn who_makes_roles_and_owns_the_schema_need_not_be_a_superuser() {
    let db = Cluster::shared().plain_database();
    let mut admin = db.admin();
    let deployer = db.login("deployer");
    admin
        .batch_execute(&format!(
            "ALTER ROLE {deployer} CREATEROLE; CREATE SCHEMA shop AUTHORIZATION {deployer}; SET ROLE {deployer}; \
             CREATE TABLE shop.orders (i int); RESET ROLE"
        ))
        .expect("a deployer's shop");
    let (reader, alice) = (format!("{}_reader", db.name), format!("{}_alice", db.name));
    let spec = format!(
        "roles: {{{reader}: {{}}, {alice}: {{login: true, member_of: {reader}}}}}\n\
         manage: {{roles: [{}_*], ignore: [{deployer}]}}\n\
         grants:\n- {{to: {reader}, privileges: USAGE, on: {{type: schema, name: shop}}}}\n\
         - {{to: {reader}, privileges: SELECT, on: {{type: table, schema: shop, name: '*'}}}}\n\
         default_privileges:\n- {{owner: {deployer}, schema: shop, to: {reader}, on: table, privileges: SELECT}}\n",
        db.name
    );
    let applied = rolecall_as(&db, &deployer, &["apply", "--yes", "--revoke"], &spec);
    assert_eq!(applied.code, 0, "{applied:?}");
    let mut alice = db.connect(&alice);
    assert_eq!(value(&mut alice, "SELECT count(*) FROM shop.orders"), "0");
    db.connect(&deployer).batch_execute("CREATE TABLE shop.later (i int)").expect("a later table");
    assert_eq!(value(&mut alice, "SELECT count(*) FROM shop.later"), "0");

    // From PostgreSQL 16 on its maker administers a role: that is no drift, whoever looks.
    let made = format!(
        "SELECT count(*) FROM pg_auth_members WHERE roleid = '{reader}'::regrole AND member = '{deployer}'::regrole"
    );
    let by_grace = if server_version(&mut admin) < 16 { "0" } else { "1" };
    assert_eq!(value(&mut admin, &made), by_grace);
    for who in [deployer.as_str(), "postgres"] {
        let plan = rolecall_as(&db, who, &["plan", "--revoke"], &spec);
        assert_eq!(plan.code, 0, "{who}: {plan:?}");
    }
    assert_eq!(value(&mut admin, &made), by_grace);
}

#[test]
fn a_locked_table_is_waited_for_from_18_on_as_long_as_lock_timeout_allows() {
    let db = Cluster::shared().plain_database();
    let mut busy = db.admin();
    busy.batch_execute("CREATE SCHEMA shop; CREATE TABLE shop.orders (i int)").expect("a shop");
    let reader = format!("{}_reader", db.name);
    let spec = format!(
        "roles: {{{reader}: {{}}}}\ngrants: [{{to: {reader}, privileges: SELECT, on: {{type: table, schema: shop, name: '*'}}}}]"
    );
    busy.batch_execute("BEGIN; LOCK TABLE shop.orders IN ACCESS EXCLUSIVE MODE").expect("a lock");
    if server_version(&mut db.admin()) >= 18 {
        let ended = rolecall(&db, &["apply", "--yes", "--lock-timeout", "200ms"], &spec);
        assert_eq!(ended.code, 1, "{ended:?}");
        assert!(ended.err.contains("55P03"), "{ended:?}");
        assert_eq!(value(&mut db.admin(), &format!("SELECT count(*) FROM pg_roles WHERE rolname = '{reader}'")), "0");
        std::thread::scope(|scope| {
            let applied = scope.spawn(|| rolecall(&db, &["apply", "--yes"], &spec));
            await_waiting(&mut db.admin());
            busy.batch_execute("COMMIT").expect("a commit");
            let applied = applied.join().expect("no panic");
            assert_eq!(applied.code, 0, "{applied:?}");
        });
    } else {
        apply(&db, &spec);
    }
    assert_eq!(rolecall(&db, &["plan"], &spec).code, 0);
}
