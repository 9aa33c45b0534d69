//! Roles that go, objects that change hands, memberships that shall not be.

use crate::provisioner_cases::{Case, HELD_ON_ORDERS, SHOP, case, hold, select_on, usage_for};
use crate::provisioner_world::{rolecall, value, written};
use rolecall_tests::Cluster;
use serde_json::json;

const ROLES: &str =
    "SELECT string_agg(rolname, ' ' ORDER BY rolname) FROM pg_roles WHERE rolname !~ '^(pg_|postgres$)'";

const MEMBERS: &str = "SELECT string_agg(member::regrole || CASE WHEN admin_option THEN '*' ELSE '' END, ' ' ORDER BY member::regrole::text) \
                   FROM pg_auth_members WHERE roleid = 'grp'::regrole";

#[test]
fn roles_that_go() {
    let dropping = |name, setup, spec, facts| Case { flags: &["--drop"], ..case(name, setup, spec, facts) };
    hold(vec![
        dropping(
            "an heir gets what the retired role owns, and what it held and gave is gone",
            "CREATE ROLE keeper; CREATE ROLE heir; CREATE ROLE reader; CREATE ROLE grp; GRANT grp TO keeper; \
             CREATE SCHEMA shop AUTHORIZATION keeper; SET ROLE keeper; CREATE TABLE shop.orders (id bigserial); \
             CREATE FUNCTION shop.f() RETURNS int LANGUAGE sql AS 'SELECT 1'; RESET ROLE; \
             ALTER DEFAULT PRIVILEGES FOR ROLE keeper IN SCHEMA shop GRANT SELECT ON TABLES TO reader; \
             CREATE SCHEMA other; GRANT USAGE ON SCHEMA other TO keeper; CREATE TABLE other.t (i int); GRANT SELECT ON other.t TO keeper WITH GRANT OPTION; \
             SET ROLE keeper; GRANT SELECT ON shop.orders TO reader; GRANT SELECT ON other.t TO reader; RESET ROLE; \
             ALTER ROLE keeper SET work_mem = '5MB'; COMMENT ON ROLE keeper IS 'long here';",
            json!({"roles": {"heir": {}, "reader": {}}, "grants": [select_on("reader", "orders")],
                   "retire": {"keeper": {"reassign_to": "heir", "terminate_sessions": true}}}),
            &[
                (ROLES, "grp heir reader"),
                (
                    "SELECT string_agg(DISTINCT relowner::regrole::text, ' ') FROM pg_class WHERE relnamespace = 'shop'::regnamespace",
                    "heir",
                ),
                ("SELECT nspowner::regrole FROM pg_namespace WHERE nspname = 'shop'", "heir"),
                (
                    "SELECT proowner::regrole FROM pg_proc WHERE proname = 'f' AND pronamespace = 'shop'::regnamespace",
                    "heir",
                ),
                (HELD_ON_ORDERS, "reader SELECT"),
                ("SELECT has_table_privilege('reader', 'other.t', 'SELECT')", "false"),
                ("SELECT count(*) FROM pg_default_acl", "0"),
            ],
        ),
        dropping(
            "managed roles that nobody declares go, those of a provider stay",
            "CREATE ROLE app_old; CREATE ROLE app_new; CREATE ROLE rdsadmin; CREATE ROLE elsewhere; CREATE SCHEMA shop; \
             GRANT USAGE ON SCHEMA shop TO app_old, app_new; GRANT app_old TO app_new;",
            json!({"roles": {"app_new": {}}, "grants": [usage_for("app_new")],
                   "manage": {"roles": ["app_*", "rds*"], "ignore": ["app_keep*"]}}),
            &[(ROLES, "app_new elsewhere rdsadmin")],
        ),
        Case {
            flags: &["--drop", "--revoke"],
            ..case(
                "the heir's own grants do not go when it becomes the owner",
                "CREATE ROLE was; CREATE ROLE heir; CREATE SCHEMA shop AUTHORIZATION was; GRANT USAGE ON SCHEMA shop TO heir;",
                json!({"roles": {"heir": {}}, "retire": {"was": {"reassign_to": "heir"}}}),
                &[(
                    "SELECT has_schema_privilege('heir', 'shop', 'USAGE') AND has_schema_privilege('heir', 'shop', 'CREATE')",
                    "true",
                )],
            )
        },
        Case {
            flags: &["--drop"],
            changes: false,
            ..case(
                "who is gone is gone",
                "CREATE ROLE heir;",
                json!({"roles": {"heir": {}}, "retire": {"was": {"reassign_to": "heir"}}}),
                &[],
            )
        },
        case(
            "the spec itself can say that undeclared roles go",
            "CREATE ROLE app_old;",
            json!({"manage": {"roles": ["app_*"], "undeclared": {"roles": "drop"}}}),
            &[(ROLES, "NULL")],
        ),
    ]);
}

#[test]
fn a_role_stays_until_drop_is_given_and_is_not_dropped_over_what_it_owns() {
    let cluster = Cluster::start(&[]);
    let db = cluster.plain_database();
    let mut admin = db.admin();
    admin.batch_execute(SHOP).expect("a shop");
    let spec = "retire: [keeper]";
    let plan = rolecall(&db, &["plan"], spec);
    assert_eq!(plan.code, 2, "{plan:?}");
    assert!(plan.out.contains("- keeper  the role  (retired; needs --drop)"), "{plan:?}");
    let applied = rolecall(&db, &["apply", "--yes"], spec);
    assert_eq!(applied.code, 3, "{applied:?}");
    let before = written(&mut admin);
    for command in [&["plan", "--drop"][..], &["apply", "--yes", "--drop"]] {
        let refused = rolecall(&db, command, spec);
        assert_eq!(refused.code, 1, "{refused:?}");
        assert!(refused.err.contains("\"keeper\" shall go, but owns "), "{refused:?}");
        assert!(
            refused.err.contains("and 3 more objects in database") && refused.err.contains("reassign_to"),
            "{refused:?}"
        );
    }
    assert_eq!(written(&mut admin), before);
}

#[test]
fn a_role_goes_from_every_database_and_is_dropped_last() {
    let cluster = Cluster::start(&[]);
    let (db, other) = (cluster.plain_database(), cluster.plain_database());
    db.admin().batch_execute("CREATE ROLE was; CREATE ROLE heir; CREATE SCHEMA a AUTHORIZATION was;").expect("roles");
    other
        .admin()
        .batch_execute("CREATE SCHEMA b AUTHORIZATION was; CREATE TABLE public.t (i int); GRANT SELECT ON t TO was;")
        .expect("a schema");
    let spec = "roles: [heir]\nretire: {was: {reassign_to: heir}}";
    let plan = rolecall(&db, &["plan", "--drop"], spec);
    assert_eq!(plan.code, 2, "{plan:?}");
    assert_eq!(plan.out.matches("goes to heir").count(), 2, "{plan:?}");
    assert!(plan.out.contains(&format!("database {} as", other.name)), "{plan:?}");
    let script = rolecall(&db, &["plan", "--drop", "--format", "sql"], spec);
    let applied = rolecall(&db, &["apply", "--drop", "--yes"], spec);
    assert_eq!(applied.code, 0, "{applied:?}");
    for (db, schema) in [(&db, "a"), (&other, "b")] {
        let owner = format!("SELECT nspowner::regrole FROM pg_namespace WHERE nspname = '{schema}'");
        assert_eq!(value(&mut db.admin(), &owner), "heir");
    }
    assert_eq!(value(&mut db.admin(), ROLES), "heir");
    assert_eq!(rolecall(&db, &["plan", "--drop"], spec).code, 0);

    // The same by psql.
    db.admin().batch_execute("CREATE ROLE was; ALTER SCHEMA a OWNER TO was").expect("again");
    other.admin().batch_execute("ALTER SCHEMA b OWNER TO was; GRANT SELECT ON t TO was").expect("again");
    let psql = crate::provisioner_world::run(
        {
            let mut psql = db.psql("postgres");
            psql.arg("--quiet");
            psql
        },
        &script.out,
    );
    assert_eq!(psql.code, 0, "{psql:?}\n{}", script.out);
    assert_eq!(value(&mut db.admin(), ROLES), "heir");
}

#[test]
fn owners() {
    let giving = |name, setup, spec, facts| Case { flags: &["--owner"], ..case(name, setup, spec, facts) };
    let shop = "CREATE ROLE keeper; CREATE ROLE reader; CREATE SCHEMA shop; CREATE TABLE shop.orders (id bigserial, i int); \
                CREATE TABLE shop.items (id int GENERATED ALWAYS AS IDENTITY); CREATE VIEW shop.v AS SELECT 1 AS x; \
                CREATE MATERIALIZED VIEW shop.m AS SELECT 1 AS x; CREATE SEQUENCE shop.s; CREATE TYPE shop.mood AS ENUM ('ok'); \
                CREATE DOMAIN shop.d AS int; CREATE FUNCTION shop.f(int) RETURNS int LANGUAGE sql AS 'SELECT 1'; \
                CREATE PROCEDURE shop.p() LANGUAGE sql AS 'SELECT 1'; CREATE AGGREGATE shop.agg(int) (SFUNC = int4pl, STYPE = int); \
                GRANT SELECT ON shop.orders TO reader, keeper;";
    let all = |kind: &str| json!({"owner": "keeper", "on": format!("{kind} shop.*")});
    hold(vec![
        giving(
            "everything in a schema",
            shop,
            json!({"roles": {"keeper": {}, "reader": {}}, "schemas": {"shop": {"owner": "keeper"}}, "grants": [select_on("reader", "orders")],
                   "owners": [all("relation"), all("sequence"), all("type"), all("routine")]}),
            &[
                (
                    "SELECT string_agg(DISTINCT relowner::regrole::text, ' ') FROM pg_class WHERE relnamespace = 'shop'::regnamespace",
                    "keeper",
                ),
                (
                    "SELECT string_agg(DISTINCT typowner::regrole::text, ' ') FROM pg_type WHERE typnamespace = 'shop'::regnamespace",
                    "keeper",
                ),
                (
                    "SELECT string_agg(DISTINCT proowner::regrole::text, ' ') FROM pg_proc WHERE pronamespace = 'shop'::regnamespace",
                    "keeper",
                ),
                (HELD_ON_ORDERS, "reader SELECT"),
            ],
        ),
        giving(
            "a name counts more than a wildcard, and exceptions are left",
            shop,
            json!({"owners": [
                {"owner": "keeper", "on": {"type": "table", "schema": "shop", "name": "*"}, "except": ["items"]},
                {"owner": "reader", "on": "table shop.orders"}]}),
            &[
                ("SELECT relowner::regrole FROM pg_class WHERE oid = 'shop.orders'::regclass", "reader"),
                ("SELECT relowner::regrole FROM pg_class WHERE oid = 'shop.items'::regclass", "postgres"),
                ("SELECT relowner::regrole FROM pg_class WHERE oid = 'shop.orders_id_seq'::regclass", "reader"),
            ],
        ),
        giving(
            "the database's",
            "CREATE ROLE keeper;",
            json!({"roles": {"keeper": {}}, "owners": [{"owner": "keeper", "on": "database"}]}),
            &[("SELECT datdba::regrole FROM pg_database WHERE datname = current_database()", "keeper")],
        ),
    ]);
}

#[test]
fn owners_are_told_and_left_until_owner_is_given() {
    let cluster = Cluster::start(&[]);
    let db = cluster.plain_database();
    db.admin().batch_execute(&format!("{SHOP} CREATE ROLE heir")).expect("a shop");
    let spec = "owners: [{owner: heir, on: tables shop.*}]";
    let plan = rolecall(&db, &["plan"], spec);
    assert!(plan.out.contains("~ heir  owner of 2 tables (items, orders), was keeper  (needs --owner)"), "{plan:?}");
    assert_eq!((plan.code, rolecall(&db, &["apply", "--yes"], spec).code), (2, 3));
    let both = "owners: [{owner: heir, on: tables shop.*}, {owner: keeper, on: tables shop.*}]";
    let refused = rolecall(&db, &["plan"], both);
    assert!(refused.code == 1 && refused.err.contains("shall belong to both"), "{refused:?}");
}

#[test]
fn memberships_and_settings_that_shall_not_be() {
    hold(vec![
        case(
            "a membership declared absent ends without a flag, whoever granted it",
            "CREATE ROLE grp; CREATE ROLE alice; CREATE ROLE bob; CREATE ROLE carol; GRANT grp TO alice WITH ADMIN OPTION; \
             SET ROLE alice; GRANT grp TO bob; RESET ROLE; GRANT grp TO carol;",
            json!({"roles": {"alice": {}, "carol": {"member_of": "grp"}}, "memberships": [
                {"role": "grp", "member": ["alice", "bob"], "ensure": "absent"}, {"role": "grp", "member": "nobody", "ensure": "absent"}]}),
            &[(MEMBERS, "carol")],
        ),
        Case {
            flags: &["--revoke"],
            ..case(
                "who was admitted by somebody that loses the right to admit stays in",
                "CREATE ROLE grp; CREATE ROLE alice; CREATE ROLE bob; GRANT grp TO alice WITH ADMIN OPTION; \
                 SET ROLE alice; GRANT grp TO bob; RESET ROLE;",
                json!({"roles": {"grp": {}, "alice": {"member_of": "grp"}, "bob": {"member_of": "grp"}}}),
                &[(MEMBERS, "alice bob")],
            )
        },
        Case {
            flags: &["--revoke"],
            ..case(
                "a membership turned round",
                "CREATE ROLE grp; CREATE ROLE alice; GRANT alice TO grp;",
                json!({"roles": {"grp": {}, "alice": {"member_of": "grp"}}}),
                &[(MEMBERS, "alice")],
            )
        },
        case(
            "a setting declared as nothing is reset, everywhere or in a database; others stay",
            "CREATE ROLE svc; ALTER ROLE svc SET work_mem = '8MB'; ALTER ROLE svc SET statement_timeout = '5s'; \
             ALTER ROLE svc IN DATABASE postgres SET work_mem = '9MB';",
            json!({"roles": {"svc": {"config": {"work_mem": null, "Lock_Timeout": null},
                                     "config_in_database": {"postgres": {"work_mem": null}}}}}),
            &[(
                "SELECT string_agg(setconfig::text, ' ') FROM pg_db_role_setting WHERE setrole = 'svc'::regrole",
                "{statement_timeout=5s}",
            )],
        ),
    ]);
}
