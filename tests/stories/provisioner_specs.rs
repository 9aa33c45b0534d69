//! What specs can say, and what comes of it.

use crate::provisioner_cases::HELD_ON_ORDERS;
use crate::provisioner_cases::{Case, SHOP, case, hold, select_on, table, usage_for};
use serde_json::json;

#[test]
fn privileges_on_what_exists() {
    hold(vec![
        case(
            "a reader of one schema reads every table and does nothing else",
            SHOP,
            json!({"roles": {"reader": {"login": false}}, "grants": [usage_for("reader"), select_on("reader", "*")]}),
            &[
                ("SELECT rolcanlogin OR rolsuper OR NOT rolinherit FROM pg_roles WHERE rolname = 'reader'", "false"),
                ("SELECT has_schema_privilege('reader', 'shop', 'CREATE')", "false"),
                (
                    "SELECT bool_and(has_table_privilege('reader', oid, 'SELECT')) FROM pg_class \
                  WHERE relnamespace = 'shop'::regnamespace AND relkind = 'r'",
                    "true",
                ),
                (
                    "SELECT bool_or(has_table_privilege('reader', oid, 'INSERT, UPDATE, DELETE')) FROM pg_class \
                  WHERE relnamespace = 'shop'::regnamespace AND relkind = 'r'",
                    "false",
                ),
            ],
        ),
        case(
            "names with capitals, dots, quotes, accents, spaces and reserved words",
            "CREATE ROLE \"Owner.1\"; CREATE SCHEMA \"A.b \"\"c\"\"\" AUTHORIZATION \"Owner.1\"; SET ROLE \"Owner.1\"; \
             CREATE TABLE \"A.b \"\"c\"\"\".\"tab'le-1\" (i int); CREATE TABLE \"A.b \"\"c\"\"\".\"order\" (i int); RESET ROLE;",
            json!({"roles": {"Lé\"ser = /x": {}, "user": {}}, "grants": [
                {"to": ["Lé\"ser = /x", "user"], "privileges": "USAGE", "on": {"type": "schema", "name": "A.b \"c\""}},
                {"to": ["Lé\"ser = /x", "user"], "privileges": "SELECT",
                 "on": {"type": "table", "schema": "A.b \"c\"", "name": "*"}}]}),
            &[(
                "SELECT count(*) FROM pg_class c, pg_roles r WHERE relnamespace = '\"A.b \"\"c\"\"\"'::regnamespace \
                AND relkind = 'r' AND rolname IN ('Lé\"ser = /x', 'user') AND has_table_privilege(r.oid, c.oid, 'SELECT')",
                "4",
            )],
        ),
        case(
            "relations are tables, views, materialized views and partitions; tables are not views",
            "CREATE SCHEMA shop; CREATE VIEW shop.v AS SELECT 1 AS x; CREATE MATERIALIZED VIEW shop.m AS SELECT 1 AS x; \
             CREATE TABLE shop.p (i int) PARTITION BY RANGE (i); CREATE TABLE shop.p1 PARTITION OF shop.p DEFAULT;",
            json!({"roles": {"all": {}, "tables": {}, "views": {}}, "grants": [
                {"to": "all", "privileges": "SELECT", "on": {"type": "relation", "schema": "shop", "name": "*"}},
                {"to": "tables", "privileges": "SELECT", "on": {"type": "table", "schema": "shop", "name": "*"}},
                {"to": "views", "privileges": "SELECT", "on": {"type": "view", "schema": "shop", "name": "*"}}]}),
            &[
                (
                    "SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class WHERE relnamespace = 'shop'::regnamespace \
                  AND has_table_privilege('all', oid, 'SELECT')",
                    "m p p1 v",
                ),
                (
                    "SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class WHERE relnamespace = 'shop'::regnamespace \
                  AND has_table_privilege('tables', oid, 'SELECT')",
                    "p p1",
                ),
                (
                    "SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class WHERE relnamespace = 'shop'::regnamespace \
                  AND has_table_privilege('views', oid, 'SELECT')",
                    "v",
                ),
            ],
        ),
        case(
            "routines of every sort, overloads and signatures told apart",
            "CREATE SCHEMA shop; CREATE FUNCTION shop.f(int) RETURNS int LANGUAGE sql AS 'SELECT 1'; \
             CREATE FUNCTION shop.f(text, timestamp with time zone) RETURNS int LANGUAGE sql AS 'SELECT 1'; \
             CREATE PROCEDURE shop.p(INOUT a int) LANGUAGE sql AS 'SELECT 1'; \
             CREATE AGGREGATE shop.total(int) (SFUNC = int4pl, STYPE = int); \
             REVOKE EXECUTE ON ALL ROUTINES IN SCHEMA shop FROM PUBLIC;",
            json!({"roles": {"all": {}, "one": {}}, "grants": [
                {"to": "all", "privileges": "EXECUTE", "on": {"type": "routine", "schema": "shop", "name": "*"}},
                {"to": "one", "privileges": "EXECUTE", "on": {"type": "function", "schema": "shop", "name": "f(int4)"}}]}),
            &[
                (
                    "SELECT bool_and(has_function_privilege('all', oid, 'EXECUTE')) FROM pg_proc \
                  WHERE pronamespace = 'shop'::regnamespace",
                    "true",
                ),
                (
                    "SELECT string_agg(oid::regprocedure::text, ' ') FROM pg_proc \
                  WHERE pronamespace = 'shop'::regnamespace AND has_function_privilege('one', oid, 'EXECUTE')",
                    "shop.f(integer)",
                ),
            ],
        ),
        case(
            "a wildcard with an exception, which gets something else",
            SHOP,
            json!({"roles": {"dev": {}}, "grants": [
                {"to": "dev", "privileges": "SELECT, INSERT", "on": table("*"), "except": ["items"]},
                select_on("dev", "items")]}),
            &[
                ("SELECT has_table_privilege('dev', 'shop.orders', 'INSERT')", "true"),
                ("SELECT has_table_privilege('dev', 'shop.items', 'INSERT')", "false"),
                ("SELECT has_table_privilege('dev', 'shop.items', 'SELECT')", "true"),
            ],
        ),
        case(
            "columns, also in one grant with the table",
            SHOP,
            json!({"roles": {"clerk": {}}, "grants": [select_on("clerk", "items"),
                {"to": "clerk", "privileges": ["SELECT", "UPDATE"],
                 "on": {"type": "column", "schema": "shop", "table": "orders", "name": ["note", "id"]}}]}),
            &[
                ("SELECT has_column_privilege('clerk', 'shop.orders', 'note', 'UPDATE')", "true"),
                ("SELECT has_table_privilege('clerk', 'shop.orders', 'SELECT')", "false"),
            ],
        ),
        case(
            "languages and the database itself",
            "SELECT 1",
            json!({"roles": {"tuner": {}}, "grants": [
                {"to": "PUBLIC", "privileges": "USAGE", "on": {"type": "language", "name": "plpgsql"}, "ensure": "absent"},
                {"to": "tuner", "privileges": "USAGE", "on": {"type": "language", "name": "plpgsql"}},
                {"to": "tuner", "privileges": "ALL", "on": {"type": "database"}}]}),
            &[
                (
                    "SELECT array_to_string(lanacl, ' ') FROM pg_language WHERE lanname = 'plpgsql'",
                    "postgres=U/postgres tuner=U/postgres",
                ),
                ("SELECT has_database_privilege('tuner', current_database(), 'CREATE')", "true"),
            ],
        ),
        case(
            "what is missing is granted where it is missing",
            "CREATE ROLE keeper; CREATE SCHEMA shop; CREATE TABLE shop.orders (i int); CREATE TABLE shop.items (i int); \
             CREATE ROLE reader; GRANT SELECT ON shop.items TO reader; CREATE TABLE public.mark AS \
             SELECT xmin::text AS was FROM pg_class WHERE oid = 'shop.items'::regclass;",
            json!({"roles": {"reader": {}}, "grants": [select_on("reader", "*")]}),
            &[
                (HELD_ON_ORDERS, "reader SELECT"),
                (
                    "SELECT was = (SELECT xmin::text FROM pg_class WHERE oid = 'shop.items'::regclass) FROM public.mark",
                    "true",
                ),
            ],
        ),
    ]);
}

#[test]
fn privileges_on_what_comes() {
    hold(vec![
        Case {
            later: "SET ROLE keeper; CREATE TABLE shop.by_keeper (i int); SET ROLE mover; CREATE TABLE shop.by_mover (i int); \
                    SET ROLE other; CREATE TABLE shop.by_other (i int); RESET ROLE;",
            ..case(
                "each declared creator, and no other",
                "CREATE ROLE keeper; CREATE SCHEMA shop AUTHORIZATION keeper; CREATE ROLE mover; CREATE ROLE other; \
                 GRANT USAGE, CREATE ON SCHEMA shop TO mover, other;",
                json!({"roles": {"reader": {}}, "default_privileges": [
                    {"owner": "keeper", "schema": "shop", "to": "reader", "on": "table", "privileges": ["SELECT"]},
                    {"owner": "mover", "schema": "shop", "to": "reader", "on": "table", "privileges": ["SELECT"]}]}),
                &[(
                    "SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class \
                    WHERE relnamespace = 'shop'::regnamespace AND has_table_privilege('reader', oid, 'SELECT')",
                    "by_keeper by_mover",
                )],
            )
        },
        Case {
            later: "SET ROLE keeper; CREATE TABLE shop.later (i int); CREATE FUNCTION shop.f() RETURNS int LANGUAGE sql AS 'SELECT 1'; RESET ROLE;",
            ..case(
                "in all schemas, where only PUBLIC can be shut out; the creator keeps its own",
                "CREATE ROLE keeper; CREATE SCHEMA shop AUTHORIZATION keeper; CREATE ROLE anyone;",
                json!({"roles": {"reader": {}}, "default_privileges": [
                    {"owner": "keeper", "scope": "global", "to": "reader", "on": "table", "privileges": ["SELECT"]},
                    {"owner": "keeper", "scope": "global", "to": "PUBLIC", "on": "function", "privileges": ["EXECUTE"], "ensure": "absent"}]}),
                &[
                    (
                        "SELECT has_table_privilege('keeper', 'shop.later', 'SELECT') AND has_table_privilege('keeper', 'shop.later', 'INSERT') AND has_table_privilege('keeper', 'shop.later', 'DELETE')",
                        "true",
                    ),
                    ("SELECT has_table_privilege('reader', 'shop.later', 'SELECT')", "true"),
                    ("SELECT has_function_privilege('anyone', 'shop.f()', 'EXECUTE')", "false"),
                    ("SELECT has_function_privilege('keeper', 'shop.f()', 'EXECUTE')", "true"),
                ],
            )
        },
        Case {
            later: "SET ROLE apprentice; CREATE TABLE shop.later (i int); RESET ROLE;",
            ..case(
                "members of a creator, at whatever remove",
                "CREATE ROLE keeper; CREATE ROLE mate; CREATE ROLE apprentice; GRANT keeper TO mate; GRANT mate TO apprentice; \
                 CREATE SCHEMA shop AUTHORIZATION keeper;",
                json!({"roles": {"reader": {}}, "default_privileges": [
                    {"owner": {"members_of": "keeper"}, "schema": "shop", "to": "reader", "on": "table", "privileges": ["SELECT"]}]}),
                &[
                    ("SELECT has_table_privilege('reader', 'shop.later', 'SELECT')", "true"),
                    (
                        "SELECT string_agg(defaclrole::regrole::text, ' ' ORDER BY defaclrole::regrole::text) FROM pg_default_acl",
                        "apprentice mate",
                    ),
                ],
            )
        },
        Case {
            later: "SET ROLE robot; CREATE TABLE shop.later (i int); RESET ROLE;",
            ..case(
                "templates for every schema, a template's role inside another's, and whoever may create as creator",
                SHOP,
                json!({"templates": {
                        "reader": {"grants": [["USAGE", "schema"], ["SELECT", "table"]], "default_privileges": [["SELECT", "table"]]},
                        "writer": {"inherits": ["reader"], "grants": [["INSERT,UPDATE,DELETE", "table"]],
                                   "default_privileges": [["INSERT,UPDATE,DELETE", "table"]]}},
                    "schemas": {"shop": {"owner": "keeper", "templates": ["writer"]},
                                "store": {"owner": "keeper", "templates": ["reader", "writer"]}},
                    "role_name": "{template}_of_{schema}",
                    "roles": {"robot": {"login": true, "member_of": ["writer_of_shop", "reader_of_store"]}},
                    "grants": [{"to": "robot", "privileges": ["CREATE"], "on": {"type": "schema", "name": "shop"}}]}),
                &[
                    (
                        "SELECT string_agg(rolname, ' ' ORDER BY rolname) FROM pg_roles WHERE rolname ~ '_of_' AND NOT rolcanlogin",
                        "reader_of_shop reader_of_store writer_of_shop writer_of_store",
                    ),
                    (
                        "SELECT has_table_privilege('robot', 'shop.orders', 'SELECT') AND has_table_privilege('robot', 'shop.orders', 'DELETE')",
                        "true",
                    ),
                    ("SELECT has_table_privilege('reader_of_shop', 'shop.orders', 'DELETE')", "false"),
                    ("SELECT has_schema_privilege('robot', 'store', 'USAGE')", "true"),
                    ("SELECT nspowner::regrole FROM pg_namespace WHERE nspname = 'store'", "keeper"),
                    ("SELECT has_table_privilege('writer_of_shop', 'shop.later', 'INSERT')", "true"),
                    ("SELECT has_table_privilege('writer_of_store', 'shop.later', 'SELECT')", "false"),
                ],
            )
        },
    ]);
}

#[test]
fn roles_with_options_and_groups_in_groups() {
    hold(vec![
        case(
            "every option of a role that is new",
            "SELECT 1",
            json!({"roles": {"svc": {"login": true, "createdb": true, "createrole": true, "inherit": false, "bypassrls": true,
                "replication": true, "connection_limit": 3, "valid_until": "2031-01-02T03:04:05Z", "comment": "it's \"the\" service",
                "config": {"statement_timeout": "5s", "search_path": ["shop", "public"]}}}}),
            &[
                (
                    "SELECT rolcanlogin AND rolcreatedb AND rolcreaterole AND NOT rolinherit AND rolbypassrls AND rolreplication \
                AND NOT rolsuper AND rolconnlimit = 3 AND rolvaliduntil = '2031-01-02 03:04:05Z' FROM pg_roles WHERE rolname = 'svc'",
                    "true",
                ),
                ("SELECT shobj_description('svc'::regrole, 'pg_authid')", "it's \"the\" service"),
                (
                    "SELECT setconfig FROM pg_db_role_setting WHERE setrole = 'svc'::regrole",
                    "{\"search_path=shop, public\",statement_timeout=5s}",
                ),
            ],
        ),
        case(
            "options that differ change, others stay",
            "CREATE ROLE svc LOGIN SUPERUSER CREATEDB CONNECTION LIMIT 3 VALID UNTIL '2030-01-01'; COMMENT ON ROLE svc IS 'old';",
            json!({"roles": {"svc": {"superuser": false, "connection_limit": -1, "valid_until": "infinity", "comment": ""}}}),
            &[
                (
                    "SELECT rolcanlogin AND rolcreatedb AND NOT rolsuper AND rolconnlimit = -1 AND rolvaliduntil = 'infinity' \
                FROM pg_roles WHERE rolname = 'svc'",
                    "true",
                ),
                ("SELECT shobj_description('svc'::regrole, 'pg_authid')", "NULL"),
            ],
        ),
        case(
            "groups in groups, whatever the order of names",
            "SELECT 1",
            json!({"roles": {"z": {"login": true, "member_of": ["m"]}, "m": {"member_of": "a"}, "a": {}},
                   "memberships": [{"role": "a", "member": "z", "admin": true}]}),
            &[
                ("SELECT pg_has_role('z', 'm', 'USAGE') AND pg_has_role('m', 'a', 'USAGE')", "true"),
                (
                    "SELECT string_agg(roleid::regrole || member::regrole::text || admin_option, ' ' ORDER BY roleid::regrole::text, member::regrole::text) FROM pg_auth_members \
                WHERE member::regrole::text ~ '^[amz]$'",
                    "amfalse aztrue mzfalse",
                ),
            ],
        ),
    ]);
}
