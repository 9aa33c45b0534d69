//! What is no drift, and how drift is taken away.

use crate::provisioner_cases::{Case, HELD_ON_ORDERS, case, hold, select_on, table, usage_for};
use serde_json::json;

#[test]
fn nothing_to_do() {
    let unchanged =
        |name, setup, spec, facts| Case { changes: false, flags: &["--revoke"], ..case(name, setup, spec, facts) };
    hold(vec![
        unchanged(
            "what PUBLIC has by default need not be granted, and stays unwritten",
            "CREATE SCHEMA shop; CREATE FUNCTION shop.f() RETURNS int LANGUAGE sql AS 'SELECT 1';",
            json!({"grants": [{"to": "PUBLIC", "privileges": ["EXECUTE"], "on": {"type": "function", "schema": "shop", "name": "f()"}}]}),
            &[("SELECT proacl IS NULL FROM pg_proc WHERE oid = 'shop.f()'::regprocedure", "true")],
        ),
        unchanged(
            "an owner's own privileges are nobody's grants",
            "CREATE ROLE keeper NOLOGIN; CREATE SCHEMA shop AUTHORIZATION keeper; SET ROLE keeper; CREATE TABLE shop.orders (i int); \
             GRANT SELECT ON shop.orders TO PUBLIC; REVOKE SELECT ON shop.orders FROM PUBLIC; RESET ROLE;",
            json!({"roles": {"keeper": {}}, "schemas": {"shop": {"owner": "keeper"}}}),
            &[(
                "SELECT has_table_privilege('keeper', 'shop.orders', 'SELECT') AND has_table_privilege('keeper', 'shop.orders', 'DELETE')",
                "true",
            )],
        ),
        unchanged(
            "what declared default privileges gave is declared",
            "CREATE ROLE keeper; CREATE ROLE reader; CREATE SCHEMA shop AUTHORIZATION keeper; \
             ALTER DEFAULT PRIVILEGES FOR ROLE keeper IN SCHEMA shop GRANT SELECT ON TABLES TO reader; \
             SET ROLE keeper; CREATE TABLE shop.orders (i int); RESET ROLE;",
            json!({"roles": {"reader": {}}, "default_privileges": [
                {"owner": "keeper", "schema": "shop", "to": "reader", "on": "table", "privileges": ["SELECT"]}]}),
            &[(HELD_ON_ORDERS, "reader SELECT")],
        ),
        unchanged(
            "a schema that is not managed is not looked at",
            "CREATE ROLE reader; CREATE SCHEMA shop; CREATE SCHEMA elsewhere; CREATE TABLE elsewhere.t (i int); \
             GRANT SELECT ON elsewhere.t TO reader; GRANT USAGE ON SCHEMA shop TO reader;",
            json!({"roles": {"reader": {}}, "grants": [usage_for("reader")], "manage": {"schemas": ["sh*"]}}),
            &[("SELECT has_table_privilege('reader', 'elsewhere.t', 'SELECT')", "true")],
        ),
        unchanged(
            "the same instant in another time zone, and no end in either spelling",
            "CREATE ROLE a LOGIN VALID UNTIL '2031-06-01 12:00:00+00'; CREATE ROLE b VALID UNTIL 'infinity'; CREATE ROLE c;",
            json!({"roles": {"a": {"valid_until": "2031-06-01T17:30:00+05:30"}, "b": {"valid_until": null},
                             "c": {"valid_until": "infinity"}}}),
            &[("SELECT rolvaliduntil = '2031-06-01 12:00:00+00' FROM pg_roles WHERE rolname = 'a'", "true")],
        ),
        unchanged(
            "settings as they are stored",
            "CREATE ROLE svc; ALTER ROLE svc SET search_path = shop, \"Odd Name\"; ALTER ROLE svc SET work_mem = '8MB'; \
             ALTER ROLE svc SET enable_seqscan = on;",
            json!({"roles": {"svc": {"config": {"search_path": ["shop", "Odd Name"], "work_mem": "8MB", "enable_seqscan": true}}}}),
            &[],
        ),
    ]);
}

#[test]
fn taking_away() {
    let revoking = |name, setup, spec, facts| Case { flags: &["--revoke"], ..case(name, setup, spec, facts) };
    hold(vec![
        case(
            "what is declared absent goes without a flag, PUBLIC's built-in privileges included",
            "GRANT CREATE ON SCHEMA public TO PUBLIC; CREATE ROLE anyone;",
            json!({"grants": [
                {"to": "PUBLIC", "privileges": ["CONNECT"], "on": {"type": "database"}, "ensure": "absent"},
                {"to": "PUBLIC", "privileges": ["CREATE"], "on": {"type": "schema", "name": "public"}, "ensure": "absent"},
                {"to": "anyone", "privileges": ["SELECT"], "on": {"type": "table", "schema": "nowhere", "name": "t"}, "ensure": "absent"}]}),
            &[
                ("SELECT has_database_privilege('anyone', current_database(), 'CONNECT')", "false"),
                ("SELECT has_database_privilege('anyone', current_database(), 'TEMP')", "true"),
                ("SELECT has_schema_privilege('anyone', 'public', 'CREATE')", "false"),
                ("SELECT has_schema_privilege('anyone', 'public', 'USAGE')", "true"),
            ],
        ),
        revoking(
            "an undeclared privilege on a column",
            "CREATE ROLE reader; CREATE SCHEMA shop; CREATE TABLE shop.orders (i int, note text); \
             GRANT SELECT, UPDATE (note) ON shop.orders TO reader;",
            json!({"roles": {"reader": {}}, "grants": [select_on("reader", "orders")]}),
            &[
                (HELD_ON_ORDERS, "reader SELECT"),
                (
                    "SELECT count(*) FROM pg_attribute WHERE attrelid = 'shop.orders'::regclass AND attacl::text <> '{}'",
                    "0",
                ),
            ],
        ),
        revoking(
            "a privilege on the whole table goes, the declared one on a column stays",
            "CREATE ROLE reader; CREATE SCHEMA shop; CREATE TABLE shop.orders (i int, note text); \
             GRANT SELECT, SELECT (note) ON shop.orders TO reader;",
            json!({"roles": {"reader": {}}, "grants": [
                {"to": "reader", "privileges": "SELECT", "on": {"type": "table", "schema": "shop", "name": "orders", "columns": ["note"]}}]}),
            &[
                ("SELECT has_table_privilege('reader', 'shop.orders', 'SELECT')", "false"),
                ("SELECT has_column_privilege('reader', 'shop.orders', 'note', 'SELECT')", "true"),
            ],
        ),
        revoking(
            "a grant option comes and another goes, the privileges stay",
            "CREATE ROLE a; CREATE ROLE b; CREATE SCHEMA shop; CREATE TABLE shop.orders (i int); \
             GRANT SELECT ON shop.orders TO a; GRANT INSERT ON shop.orders TO b WITH GRANT OPTION;",
            json!({"roles": {"a": {}, "b": {}}, "grants": [
                {"to": "a", "privileges": ["SELECT"], "on": table("orders"), "grant_option": true},
                {"to": "b", "privileges": ["INSERT"], "on": table("orders")}]}),
            &[(HELD_ON_ORDERS, "a SELECT*, b INSERT")],
        ),
        revoking(
            "what others than the owner granted, and then their right to",
            "CREATE ROLE a; CREATE ROLE b; CREATE SCHEMA shop; GRANT USAGE ON SCHEMA shop TO a, b; CREATE TABLE shop.orders (i int); \
             GRANT SELECT ON shop.orders TO a WITH GRANT OPTION; SET ROLE a; GRANT SELECT ON shop.orders TO b; RESET ROLE;",
            json!({"roles": {"a": {}, "b": {}}, "grants": [
                {"to": ["a", "b"], "privileges": "USAGE", "on": {"type": "schema", "name": "shop"}}]}),
            &[(HELD_ON_ORDERS, "NULL")],
        ),
        revoking(
            "what went through several hands, the last one first",
            "CREATE ROLE a; CREATE ROLE b; CREATE ROLE c; CREATE SCHEMA shop; GRANT USAGE ON SCHEMA shop TO a, b; \
             CREATE TABLE shop.orders (i int); GRANT SELECT ON shop.orders TO a WITH GRANT OPTION; SET ROLE a; \
             GRANT SELECT ON shop.orders TO b WITH GRANT OPTION; SET ROLE b; GRANT SELECT ON shop.orders TO c; RESET ROLE;",
            json!({"roles": {"a": {}, "b": {}, "c": {}}, "manage": {"schemas": "shop"}, "grants": [
                {"to": ["a", "b"], "privileges": "USAGE", "on": {"type": "schema", "name": "shop"}}]}),
            &[(HELD_ON_ORDERS, "NULL")],
        ),
        revoking(
            "who loses a privilege that it passed on; the others have it from the owner then",
            "CREATE ROLE a; CREATE ROLE b; CREATE ROLE c; CREATE SCHEMA shop; GRANT USAGE ON SCHEMA shop TO a, b; \
             CREATE TABLE shop.orders (i int); GRANT SELECT ON shop.orders TO a WITH GRANT OPTION; SET ROLE a; \
             GRANT SELECT ON shop.orders TO b WITH GRANT OPTION; SET ROLE b; GRANT SELECT ON shop.orders TO c; RESET ROLE;",
            json!({"roles": {"a": {}, "b": {}}, "grants": [
                {"to": ["a", "b"], "privileges": "USAGE", "on": {"type": "schema", "name": "shop"}},
                {"to": "b", "privileges": "SELECT", "on": table("orders")}]}),
            &[
                (HELD_ON_ORDERS, "b SELECT, c SELECT"),
                (
                    "SELECT string_agg(DISTINCT a.grantor::regrole::text, ' ') FROM pg_class c, aclexplode(relacl) a \
                    WHERE c.oid = 'shop.orders'::regclass",
                    "postgres",
                ),
            ],
        ),
        revoking(
            "what a new schema's owner gives away by default",
            "CREATE ROLE keeper; CREATE ROLE reader; ALTER DEFAULT PRIVILEGES FOR ROLE keeper GRANT ALL ON SCHEMAS TO reader;",
            json!({"roles": {"keeper": {}, "reader": {}}, "schemas": {"shop": {"owner": "keeper"}},
                   "grants": [usage_for("reader")]}),
            &[
                ("SELECT has_schema_privilege('reader', 'shop', 'USAGE')", "true"),
                ("SELECT has_schema_privilege('reader', 'shop', 'CREATE')", "false"),
            ],
        ),
        revoking(
            "a membership, which then makes nobody a creator",
            "CREATE ROLE keeper; CREATE ROLE mate; CREATE ROLE reader; GRANT keeper TO mate; CREATE SCHEMA shop;",
            json!({"roles": {"keeper": {}, "mate": {}, "reader": {}}, "default_privileges": [
                {"owner": {"members_of": "keeper"}, "schema": "shop", "to": "reader", "on": "table", "privileges": "SELECT"}]}),
            &[("SELECT count(*) FROM pg_default_acl", "0")],
        ),
        revoking(
            "undeclared default privileges",
            "CREATE ROLE keeper; CREATE ROLE reader; CREATE SCHEMA shop AUTHORIZATION keeper; \
             ALTER DEFAULT PRIVILEGES FOR ROLE keeper IN SCHEMA shop GRANT SELECT, INSERT ON TABLES TO reader;",
            json!({"roles": {"reader": {}}, "default_privileges": [
                {"owner": "keeper", "schema": "shop", "to": "reader", "on": "table", "privileges": ["SELECT"]}]}),
            &[("SELECT string_agg(defaclacl::text, ' ') FROM pg_default_acl", "{reader=r/keeper}")],
        ),
        revoking(
            "the right to admit members goes, the membership stays; an undeclared one goes",
            "CREATE ROLE grp; CREATE ROLE other; CREATE ROLE alice; GRANT grp TO alice WITH ADMIN OPTION; GRANT other TO alice;",
            json!({"roles": {"grp": {}, "other": {}, "alice": {}}, "memberships": [{"role": "grp", "member": "alice"}]}),
            &[(
                "SELECT string_agg(roleid::regrole || ' ' || admin_option, ', ') FROM pg_auth_members \
                WHERE member = 'alice'::regrole",
                "grp false",
            )],
        ),
        Case {
            flags: &["--revoke", "--owner"],
            ..case(
                "a new owner that held grants does not lose what owning gives",
                "CREATE ROLE was; CREATE ROLE will; CREATE SCHEMA shop AUTHORIZATION was; GRANT USAGE ON SCHEMA shop TO will;",
                json!({"roles": {"was": {}, "will": {}}, "schemas": {"shop": {"owner": "will"}}}),
                &[
                    (
                        "SELECT has_schema_privilege('will', 'shop', 'USAGE') AND has_schema_privilege('will', 'shop', 'CREATE')",
                        "true",
                    ),
                    ("SELECT has_schema_privilege('was', 'shop', 'USAGE')", "false"),
                ],
            )
        },
    ]);
}
