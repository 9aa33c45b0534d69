//! Who is no superuser is told, before anything is tried, what statement a superuser must run once. Running what is
//! told, one after the other, must lead to an apply that succeeds: no hint is wrong and no requirement is forgotten.

use crate::provisioner_cases::emptied;
use crate::provisioner_world::{rolecall_as, value, written};
use rolecall_tests::{Cluster, Database};

/// Follows the hints until the spec can be applied by `deployer`; the statements that it took.
fn follow(db: &Database<'_>, flags: &[&str], spec: &str) -> Vec<String> {
    let mut admin = db.admin();
    let mut ran = Vec::new();
    loop {
        let before = written(&mut admin);
        let apply = rolecall_as(db, "deployer", &[&["apply", "--yes"], flags].concat(), spec);
        // 3: undeclared privileges that nobody asked to take away.
        if apply.code == 0 || apply.code == 3 {
            break;
        }
        assert_eq!(apply.code, 1, "{apply:?}");
        assert_eq!(written(&mut admin), before, "{apply:?}");
        let plan = rolecall_as(db, "deployer", &[&["plan"], flags].concat(), spec);
        assert_eq!(plan.err, apply.err, "plan and apply see the same");
        let hint =
            apply.err.lines().find_map(|line| line.strip_prefix("hint: ")).unwrap_or_else(|| panic!("{apply:?}"));
        let statement = hint.strip_suffix(", or connect as a superuser").unwrap_or_else(|| panic!("{apply:?}"));
        admin.batch_execute(statement).unwrap_or_else(|e| panic!("{statement}: {e}"));
        ran.push(statement.to_owned());
        assert!(ran.len() < 20, "the hints do not end: {ran:?}");
    }
    let again = rolecall_as(db, "deployer", &[&["plan"], flags].concat(), spec);
    assert!(again.code == 0 || again.out.contains("Plan: 0 to add, 0 to change, 0 to take away"), "{again:?}");
    ran
}

fn world(cluster: &Cluster) -> (Database<'_>, u32) {
    let db = emptied(cluster);
    db.admin()
        .batch_execute(
            "CREATE ROLE deployer LOGIN; CREATE ROLE keeper; CREATE ROLE reader; CREATE ROLE heir; CREATE ROLE was; \
             CREATE SCHEMA shop AUTHORIZATION keeper; SET ROLE keeper; CREATE TABLE shop.orders (i int, note text); \
             CREATE TABLE shop.items (i int); GRANT SELECT ON shop.items TO heir WITH GRANT OPTION; \
             GRANT USAGE ON SCHEMA shop TO heir, reader; SET ROLE heir; GRANT SELECT ON shop.items TO reader; RESET ROLE; \
             CREATE SCHEMA old AUTHORIZATION was;",
        )
        .expect("a shop");
    let version = value(&mut db.admin(), "SELECT current_setting('server_version_num')").parse().expect("a number");
    (db, version)
}

#[test]
fn the_hints_lead_to_an_apply_that_succeeds() {
    let cases = [
        // New and existing roles, memberships.
        ("roles: {fresh: {createdb: true}, reader: {connection_limit: 7, member_of: fresh}}", &[][..]),
        // New schemas, with the executor, an existing and a new role as their owner.
        ("roles: {fresh: {}}\nschemas: {a: {}, b: {owner: keeper}, c: {owner: fresh}}", &[]),
        // Privileges of others' objects: tables, columns, the database.
        (
            "grants: [{to: reader, privileges: SELECT, on: tables shop.*}, {to: reader, privileges: UPDATE, on: column shop.orders.note}, \
          {to: reader, privileges: CONNECT, on: database}]",
            &[],
        ),
        // Default privileges of others, of a new role too.
        (
            "roles: {fresh: {}}\ndefault_privileges: [{owner: [keeper, fresh], schema: shop, to: reader, on: table, privileges: SELECT}]",
            &[],
        ),
        // Taking away what the owner and what somebody else granted.
        ("roles: {reader: {}}", &["--revoke"]),
        // Changing hands.
        ("schemas: {shop: {owner: heir}}\nowners: [{owner: heir, on: tables shop.*}]", &["--owner"]),
        ("owners: [{owner: heir, on: tables shop.*}, {owner: reader, on: database}]", &["--owner"]),
        // Going.
        ("retire: {was: {reassign_to: heir}}", &["--drop"]),
    ];
    let cluster = Cluster::start(&[]);
    for (spec, flags) in cases {
        let (db, _) = world(&cluster);
        let ran = follow(&db, flags, spec);
        assert!(!ran.is_empty(), "a role without any right could do {spec}");
    }
}

#[test]
fn parameters_can_be_passed_on_by_who_may() {
    let cluster = Cluster::start(&[]);
    let (db, version) = world(&cluster);
    if version < 150_000 {
        return;
    }
    let ran = follow(&db, &[], "grants: [{to: reader, privileges: SET, on: parameter log_statement}]");
    assert_eq!(ran, ["GRANT SET ON PARAMETER \"log_statement\" TO \"deployer\" WITH GRANT OPTION"]);
}

#[test]
fn what_only_a_superuser_may_do_is_said_to_be_so() {
    let cluster = Cluster::start(&[]);
    let (db, version) = world(&cluster);
    db.admin().batch_execute("ALTER ROLE deployer CREATEROLE; CREATE ROLE boss SUPERUSER").expect("roles");
    let mut cases = vec![
        ("roles: {fresh: {superuser: true}}", "may not give or take SUPERUSER"),
        ("roles: {boss: {comment: x}}", "is a superuser, which only superusers may change"),
        ("memberships: [{role: boss, member: reader}]", "is a superuser, which only superusers may change or give out"),
    ];
    if version < 160_000 {
        cases.push(("roles: {fresh: {bypassrls: true}}", "may not give or take BYPASSRLS"));
        cases.push(("roles: {fresh: {replication: true}}", "may not give or take REPLICATION"));
    }
    for (spec, told) in cases {
        let refused = rolecall_as(&db, "deployer", &["apply", "--yes"], spec);
        assert!(refused.code == 1 && refused.err.contains(told), "{refused:?}");
        assert!(refused.err.contains("hint: connect as a superuser"), "{refused:?}");
    }
}
