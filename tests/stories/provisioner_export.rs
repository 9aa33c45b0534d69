//! `rolecall export`: the present state as a spec whose plan is empty.

use crate::provisioner_world::{Outcome, apply, rolecall, run};
use rolecall_tests::{Cluster, Database};

/// A state in two steps: what no spec makes, and what it says of that.
struct State {
    name: &'static str,
    /// Objects and whoever must be there to own them.
    bare: &'static str,
    /// Roles, memberships and privileges.
    access: &'static str,
    /// What must be in the export, line by line.
    says: &'static [&'static str],
}

/// Every entry of every ACL without its grantor, the built-in ones written out; memberships; roles with their options.
const ACCESS: &str = "
    SELECT string_agg(line, E'\n' ORDER BY line) FROM (
        SELECT concat_ws(' ', what, CASE grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(grantee) END, privilege_type,
                         bool_or(is_grantable)) FROM (
            SELECT 'class ' || oid::regclass, coalesce(relacl, acldefault(CASE relkind WHEN 'S' THEN 's' ELSE 'r' END::\"char\", relowner))
                FROM pg_class WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND relnamespace <> 'pg_toast'::regnamespace
            UNION ALL SELECT 'column ' || attrelid::regclass || ' ' || attname, attacl FROM pg_attribute WHERE attacl IS NOT NULL
            UNION ALL SELECT 'routine ' || oid::regprocedure, coalesce(proacl, acldefault('f', proowner)) FROM pg_proc
            UNION ALL SELECT 'type ' || oid::regtype, coalesce(typacl, acldefault('T', typowner)) FROM pg_type
                WHERE typnamespace <> 'pg_toast'::regnamespace
            UNION ALL SELECT 'schema ' || nspname, coalesce(nspacl, acldefault('n', nspowner)) FROM pg_namespace
            UNION ALL SELECT 'language ' || lanname, coalesce(lanacl, acldefault('l', lanowner)) FROM pg_language
            UNION ALL SELECT 'wrapper ' || fdwname, coalesce(fdwacl, acldefault('F', fdwowner)) FROM pg_foreign_data_wrapper
            UNION ALL SELECT 'server ' || srvname, coalesce(srvacl, acldefault('S', srvowner)) FROM pg_foreign_server
            UNION ALL SELECT 'tablespace ' || spcname, coalesce(spcacl, acldefault('t', spcowner)) FROM pg_tablespace
            UNION ALL SELECT 'large object ' || oid, coalesce(lomacl, acldefault('L', lomowner)) FROM pg_largeobject_metadata
            UNION ALL SELECT 'parameter ' || parname, paracl FROM pg_parameter_acl
            UNION ALL SELECT 'database', coalesce(datacl, acldefault('d', datdba)) FROM pg_database WHERE datname = current_database()
            UNION ALL SELECT concat_ws(' ', 'default', defaclrole::regrole, nspname, defaclobjtype), defaclacl FROM pg_default_acl
                LEFT JOIN pg_namespace n ON n.oid = defaclnamespace
        ) AS o (what, acl), aclexplode(acl) GROUP BY what, grantee, privilege_type
        UNION SELECT concat_ws(' ', 'member', roleid::regrole, member::regrole, admin_option) FROM pg_auth_members
        UNION SELECT concat_ws(' ', 'role', rolname, rolcanlogin, rolsuper, rolcreatedb, rolcreaterole, rolinherit, rolreplication,
                     rolbypassrls, rolconnlimit, nullif(rolvaliduntil, 'infinity'), shobj_description(oid, 'pg_authid')) FROM pg_roles
        UNION SELECT concat_ws(' ', 'setting', rolname, setdatabase <> 0, (SELECT array_agg(c ORDER BY c) FROM unnest(setconfig) c)) FROM pg_db_role_setting s
                     JOIN pg_roles r ON r.oid = setrole
        UNION SELECT concat_ws(' ', 'owner', nspname, nspowner::regrole) FROM pg_namespace WHERE nspname !~ '^pg_temp'
    ) AS lines (line)";

pub fn access(db: &Database<'_>) -> String {
    db.admin().query_one(ACCESS, &[]).expect("access").get(0)
}

/// Exports, which must succeed, be without difference to what is there, and touch nothing.
pub fn exported(db: &Database<'_>, arguments: &[&str], name: &str) -> Outcome {
    let before = access(db);
    let arguments: Vec<&str> = ["export"].iter().chain(arguments).copied().collect();
    let export = rolecall(db, &arguments, "");
    assert_eq!(export.code, 0, "{name}: {export:?}");
    for flags in [&["plan"][..], &["plan", "--revoke", "--owner"]] {
        let plan = rolecall(db, flags, &export.out);
        assert_eq!(plan.code, 0, "{name} {flags:?}: {}{}\n{}", plan.out, plan.err, export.out);
    }
    assert_eq!(access(db), before, "{name}");
    export
}

/// The export's plan is empty where it came from, and applied to the same objects it gives the same access.
fn hold(states: &[State]) {
    for state in states {
        let (origin, copy) = (Cluster::start(&[]), Cluster::start(&[]));
        let (origin, copy) = (origin.plain_database(), copy.plain_database());
        for (db, sql) in [(&origin, state.bare), (&origin, state.access), (&copy, state.bare)] {
            db.admin().batch_execute(sql).unwrap_or_else(|e| panic!("{}: {e:?}", state.name));
        }
        let export = exported(&origin, &[], state.name);
        println!("{}\n{}{}", state.name, export.out, export.err);
        for line in state.says {
            assert!(export.out.contains(line), "{}: {line}\n{}", state.name, export.out);
        }
        let text = export.out.replace(&origin.name, &copy.name);
        let applied = rolecall(&copy, &["apply", "--yes"], &text);
        assert_eq!(applied.code, 0, "{}: {applied:?}\n{text}", state.name);
        assert_eq!(differences(&access(&origin), &access(&copy)), Vec::<String>::new(), "{}\n{text}", state.name);
    }
}

pub fn differences(left: &str, right: &str) -> Vec<String> {
    let only = |one: &str, other: &str, sign: &str| {
        let other: std::collections::HashSet<String> = other.lines().map(str::to_owned).collect();
        one.lines().filter(|line| !other.contains(*line)).map(|line| format!("{sign} {line}")).collect::<Vec<_>>()
    };
    [only(left, right, "-"), only(right, left, "+")].concat()
}

/// Objects of every kind in schemas that belong to `keeper`.
const OBJECTS: &str = "
    CREATE ROLE keeper NOLOGIN; CREATE SCHEMA shop AUTHORIZATION keeper; CREATE SCHEMA store AUTHORIZATION keeper; SET ROLE keeper;
    CREATE TABLE shop.orders (id bigserial PRIMARY KEY, note text, secret text); CREATE TABLE shop.items (id int, note text);
    CREATE TABLE shop.logs (i int); CREATE TABLE shop.parts (i int) PARTITION BY RANGE (i);
    CREATE TABLE shop.part PARTITION OF shop.parts DEFAULT; CREATE VIEW shop.sums AS SELECT 1 AS x;
    CREATE MATERIALIZED VIEW shop.kept AS SELECT 1 AS x; CREATE SEQUENCE shop.numbers; CREATE TABLE store.t1 (i int);
    CREATE TABLE store.t2 (i int); CREATE TABLE store.t3 (i int); CREATE TABLE store.t4 (i int); CREATE TABLE store.t5 (i int);
    CREATE FUNCTION shop.f(int) RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE FUNCTION shop.f(text, numeric) RETURNS int LANGUAGE sql AS 'SELECT 1';
    CREATE PROCEDURE shop.p(INOUT a int) LANGUAGE sql AS 'SELECT 1'; CREATE AGGREGATE shop.total(int) (SFUNC = int4pl, STYPE = int);
    CREATE FUNCTION store.plain() RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE TYPE shop.pair AS (a int, b int);
    CREATE DOMAIN shop.positive AS int; CREATE TYPE shop.colour AS ENUM ('red'); CREATE TYPE store.span AS RANGE (SUBTYPE = int); RESET ROLE;
    CREATE FOREIGN DATA WRAPPER wrapper; CREATE SERVER far FOREIGN DATA WRAPPER wrapper; CREATE FOREIGN TABLE shop.remote (i int) SERVER far;
    CREATE TABLE shop.of_postgres (i int); SELECT lo_create(4711); SELECT lo_create(4712);";

#[test]
fn roles_with_all_they_can_have() {
    hold(&[
        State {
            name: "an empty server",
            bare: "SELECT 1",
            access: "SELECT 1",
            says: &["version: 1\n", "roles: {}\n", "public: {owner: pg_database_owner}"],
        },
        State {
            name: "options, settings, memberships",
            bare: "SELECT 1",
            access: "CREATE ROLE plain; CREATE ROLE all_of_it SUPERUSER CREATEDB CREATEROLE LOGIN REPLICATION BYPASSRLS NOINHERIT \
                     CONNECTION LIMIT 7 VALID UNTIL '2031-06-01 12:00:00.5+02'; COMMENT ON ROLE all_of_it IS E'on: \"it\\'s\"\\n# é'; \
                     CREATE ROLE never CONNECTION LIMIT 0 VALID UNTIL 'infinity'; CREATE ROLE ancient VALID UNTIL '0044-03-15 BC'; \
                     CREATE ROLE known LOGIN PASSWORD 'swordfish'; CREATE ROLE expired VALID UNTIL '-infinity'; \
                     CREATE ROLE svc; ALTER ROLE svc SET search_path = \"$user\", \"user\", shop, \"a, \"\"b\"\"\"; \
                     ALTER ROLE svc SET statement_timeout = 5000; ALTER ROLE svc SET work_mem = '8MB'; \
                     ALTER ROLE svc SET DateStyle = 'iso, dmy'; ALTER ROLE svc SET enable_seqscan = off; \
                     ALTER ROLE svc SET my.own = ''; CREATE ROLE lost; ALTER ROLE lost SET search_path = ''; \
                     DO $$BEGIN EXECUTE format('ALTER ROLE svc IN DATABASE %I SET search_path = elsewhere', current_database()); END$$; \
                     CREATE ROLE grp; CREATE ROLE boss LOGIN; CREATE ROLE dual NOINHERIT; GRANT grp TO boss WITH ADMIN OPTION; \
                     GRANT grp, boss TO dual; GRANT pg_monitor TO dual; GRANT pg_read_all_data TO boss WITH ADMIN OPTION; \
                     GRANT postgres TO boss",
            says: &[
                "plain: {login: false}",
                "valid_until: \"2031-06-01T10:00:00.5Z\"",
                "never: {login: false, connection_limit: 0}",
                "known: {login: true}\n",
                "search_path: [\"$user\", user, shop, \"a, \\\"b\\\"\"]",
                "enable_seqscan: \"off\"",
                "statement_timeout: 5000",
                "dual: {login: false, inherit: false, member_of: [boss, grp, pg_monitor]}",
                "{role: pg_read_all_data, admin: true}, postgres]",
            ],
        },
    ]);
}

#[test]
fn privileges_on_every_kind_of_object() {
    hold(&[
        State {
            name: "wildcards, exceptions, lists",
            bare: OBJECTS,
            access: "CREATE ROLE reader; CREATE ROLE writer; CREATE ROLE one; GRANT USAGE ON SCHEMA shop, store TO reader, writer; \
                     GRANT CREATE ON SCHEMA store TO writer; \
                     GRANT SELECT ON ALL TABLES IN SCHEMA shop TO reader, writer; GRANT ALL ON ALL TABLES IN SCHEMA shop TO writer; \
                     GRANT SELECT ON ALL TABLES IN SCHEMA store TO reader; REVOKE SELECT ON store.t5 FROM reader; \
                     GRANT INSERT ON store.t5, store.t1 TO one; GRANT SELECT ON store.t1, store.t2 TO writer WITH GRANT OPTION; \
                     GRANT UPDATE ON store.t2 TO writer; GRANT SELECT ON ALL SEQUENCES IN SCHEMA shop TO reader; \
                     GRANT SELECT, UPDATE (note, id), INSERT (note) ON shop.orders TO one; GRANT REFERENCES (id) ON shop.orders TO one WITH GRANT OPTION; \
                     GRANT SELECT (x) ON shop.sums TO one, PUBLIC; GRANT SELECT ON shop.kept, shop.remote TO one",
            says: &[
                "{to: [PUBLIC, one], privileges: SELECT, on: {type: view, schema: shop, name: sums, columns: x}}",
                "{to: [reader, writer], privileges: USAGE, on: {type: schema, name: [shop, store]}}",
                "{to: reader, privileges: SELECT, on: {type: relation, schema: shop, name: \"*\"}}",
                "{to: writer, privileges: ALL, on: {type: relation, schema: shop, name: \"*\"}}",
                "{to: reader, privileges: SELECT, on: {type: table, schema: store, name: \"*\"}, except: t5}",
                "{to: writer, privileges: SELECT, on: {type: table, schema: store, name: [t1, t2]}, grant_option: true}",
                "{to: one, privileges: UPDATE, on: {type: table, schema: shop, name: orders, columns: [id, note]}}",
            ],
        },
        State {
            name: "what everybody has by default, and does not have here",
            bare: OBJECTS,
            access: "CREATE ROLE app; REVOKE EXECUTE ON ALL ROUTINES IN SCHEMA shop FROM PUBLIC; \
                     GRANT EXECUTE ON ROUTINE shop.f(int), shop.p(int) TO app; GRANT EXECUTE ON FUNCTION shop.f(text, numeric) TO app WITH GRANT OPTION; \
                     REVOKE USAGE ON TYPE shop.pair FROM PUBLIC; GRANT USAGE ON DOMAIN shop.positive TO app; REVOKE USAGE ON LANGUAGE plpgsql FROM PUBLIC; \
                     DO $$BEGIN EXECUTE format('REVOKE CONNECT, TEMPORARY ON DATABASE %1$I FROM PUBLIC; GRANT CONNECT, CREATE ON DATABASE %1$I TO app', \
                     current_database()); END$$; REVOKE USAGE ON SCHEMA public FROM PUBLIC; GRANT CREATE ON SCHEMA store TO PUBLIC",
            says: &[
                "{to: PUBLIC, privileges: EXECUTE, on: {type: routine, schema: shop, name: \"*\"}, ensure: absent}",
                "{to: PUBLIC, privileges: [CONNECT, TEMPORARY], on: {type: database}, ensure: absent}",
                "{to: PUBLIC, privileges: USAGE, on: {type: schema, name: public}, ensure: absent}",
                "on: {type: function, schema: shop, name: \"f(text,numeric)\"}\n    grant_option: true",
                "{to: PUBLIC, privileges: CREATE, on: {type: schema, name: store}}",
            ],
        },
        State {
            name: "objects outside of schemas, and the system's own",
            bare: OBJECTS,
            access: "CREATE ROLE app; GRANT USAGE ON FOREIGN DATA WRAPPER wrapper TO app WITH GRANT OPTION; GRANT USAGE ON FOREIGN SERVER far TO app; \
                     GRANT CREATE ON TABLESPACE pg_default TO app; GRANT SET ON PARAMETER my.setting, log_min_duration_statement TO app; \
                     GRANT ALTER SYSTEM ON PARAMETER work_mem TO app WITH GRANT OPTION; GRANT SELECT ON LARGE OBJECT 4711, 4712 TO app; \
                     GRANT UPDATE ON LARGE OBJECT 4712 TO PUBLIC; GRANT USAGE ON LANGUAGE plpgsql TO app; \
                     GRANT EXECUTE ON FUNCTION pg_read_file(text), pg_ls_dir(text) TO app; GRANT SELECT ON pg_authid TO app; \
                     GRANT SELECT (subconninfo) ON pg_subscription TO app; REVOKE SELECT ON pg_settings, pg_tables FROM PUBLIC; \
                     REVOKE USAGE ON TYPE pg_catalog.json FROM PUBLIC; GRANT INSERT ON information_schema.sql_features TO app; \
                     GRANT SELECT ON shop.orders TO pg_monitor",
            says: &[
                "{to: app, privileges: SET, on: {type: parameter, name: [log_min_duration_statement, my.setting]}}",
                "{to: app, privileges: SELECT, on: {type: large_object, name: [\"4711\", \"4712\"]}}",
                "on: {type: view, schema: pg_catalog, name: [pg_settings, pg_tables]}\n    ensure: absent",
                "name: [pg_ls_dir(text), pg_read_file(text)]}",
                "{to: pg_monitor, privileges: SELECT, on: {type: table, schema: shop, name: orders}}",
            ],
        },
    ]);
}

#[test]
fn default_privileges() {
    hold(&[State {
        name: "default privileges of several creators, in schemas and globally",
        bare: OBJECTS,
        access: "CREATE ROLE maker; CREATE ROLE other; CREATE ROLE reader; CREATE ROLE writer; \
                 ALTER DEFAULT PRIVILEGES FOR ROLE keeper, maker IN SCHEMA shop, store GRANT SELECT ON TABLES TO reader, writer; \
                 ALTER DEFAULT PRIVILEGES FOR ROLE keeper IN SCHEMA shop GRANT ALL ON TABLES TO writer; \
                 ALTER DEFAULT PRIVILEGES FOR ROLE keeper IN SCHEMA shop GRANT USAGE ON SEQUENCES TO writer WITH GRANT OPTION; \
                 ALTER DEFAULT PRIVILEGES FOR ROLE keeper IN SCHEMA shop GRANT EXECUTE ON FUNCTIONS TO PUBLIC; \
                 ALTER DEFAULT PRIVILEGES FOR ROLE maker IN SCHEMA shop GRANT SELECT ON TABLES TO maker; \
                 ALTER DEFAULT PRIVILEGES FOR ROLE keeper, postgres REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC; \
                 ALTER DEFAULT PRIVILEGES FOR ROLE maker REVOKE USAGE ON TYPES FROM PUBLIC; \
                 ALTER DEFAULT PRIVILEGES FOR ROLE maker GRANT USAGE ON TYPES TO other WITH GRANT OPTION; \
                 ALTER DEFAULT PRIVILEGES FOR ROLE other GRANT SELECT ON TABLES TO PUBLIC; \
                 ALTER DEFAULT PRIVILEGES FOR ROLE maker GRANT USAGE, CREATE ON SCHEMAS TO reader;",
        says: &[
            "{owner: [keeper, postgres], scope: global, on: function, to: PUBLIC, privileges: EXECUTE, ensure: absent}",
            "{owner: maker, scope: global, on: type, to: other, privileges: USAGE, grant_option: true}",
            "{owner: maker, scope: global, on: schema, to: reader, privileges: [USAGE, CREATE]}",
        ],
    }]);
}

#[test]
fn names_that_mean_something_to_yaml_or_to_patterns() {
    hold(&[State {
        name: "odd names",
        bare: "CREATE ROLE \"on\"; CREATE SCHEMA \"yes\" AUTHORIZATION \"on\"; CREATE SCHEMA \"we*ird\"; CREATE SCHEMA \"a: b #c\"; \
               CREATE TABLE \"yes\".\"null\" (i int); CREATE TABLE \"yes\".\"1e3\" (i int, \"co*l\" int, \"~\" int); CREATE TABLE \"we*ird\".\"*\" (i int); \
               CREATE TABLE \"we*ird\".\"a\\*\\\\b\" (i int); CREATE TABLE \"we*ird\".\"ab\" (i int); CREATE TABLE \"a: b #c\".\"x\ny\" (i int); \
               CREATE TABLE \"a: b #c\".\"Ünï 😀\" (i int); CREATE FUNCTION \"yes\".\"f(x)\"(int) RETURNS int LANGUAGE sql AS 'SELECT 1'; \
               CREATE FUNCTION \"yes\".f() RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE TYPE \"yes\".\"t(y\" AS (a int); \
               CREATE FUNCTION \"yes\".\"*\"(\"yes\".\"t(y\", \"char\", timestamp with time zone[]) RETURNS int LANGUAGE sql AS 'SELECT 1';",
        access: "CREATE ROLE \"null\"; CREATE ROLE \"1e3\"; CREATE ROLE \"Lé\"\"ser = /x\"; CREATE ROLE \"line\nbreak\"; CREATE ROLE \"*\"; CREATE ROLE \"a, b\"; \
                 CREATE ROLE \"{schema}\"; CREATE ROLE \"~\"; CREATE ROLE \" space \"; CREATE ROLE \"back\\slash\"; GRANT \"on\" TO \"null\", \"*\"; \
                 GRANT USAGE ON SCHEMA \"yes\", \"we*ird\", \"a: b #c\" TO \"1e3\", \"*\", \"a, b\", \"line\nbreak\"; \
                 GRANT SELECT ON \"yes\".\"null\", \"we*ird\".\"*\", \"we*ird\".\"a\\*\\\\b\", \"a: b #c\".\"x\ny\" TO \"*\", \"Lé\"\"ser = /x\"; \
                 GRANT UPDATE (\"co*l\", \"~\") ON \"yes\".\"1e3\" TO \" space \"; GRANT INSERT ON \"a: b #c\".\"Ünï 😀\" TO \"{schema}\", \"~\", \"back\\slash\"; \
                 REVOKE EXECUTE ON FUNCTION \"yes\".\"f(x)\"(int), \"yes\".\"*\"(\"yes\".\"t(y\", \"char\", timestamp with time zone[]) FROM PUBLIC; \
                 GRANT EXECUTE ON FUNCTION \"yes\".\"*\"(\"yes\".\"t(y\", \"char\", timestamp with time zone[]) TO \"on\", \"1e3\"; \
                 ALTER DEFAULT PRIVILEGES FOR ROLE \"*\" IN SCHEMA \"we*ird\" GRANT SELECT ON TABLES TO \"1e3\"",
        says: &["\"we\\\\*ird\"", "\"*\": {login: false, member_of: \"on\"}", "schema: \"we*ird\", on: table"],
    }]);
}

#[test]
fn what_roles_of_several_schemas_may_alike_becomes_a_template() {
    let setup = |bare: &str| ["sales", "stock", "staff"].map(|schema| bare.replace("SCHEMA_", schema)).concat();
    let bare = "CREATE ROLE SCHEMA__owner; CREATE SCHEMA SCHEMA_ AUTHORIZATION SCHEMA__owner; SET ROLE SCHEMA__owner; \
                CREATE TABLE SCHEMA_.a (id serial); CREATE TABLE SCHEMA_.b (id serial); CREATE TABLE SCHEMA_.c (i int); \
                CREATE TABLE SCHEMA_.d (i int); RESET ROLE;";
    let access = "CREATE ROLE SCHEMA__reader; CREATE ROLE SCHEMA__writer; GRANT USAGE ON SCHEMA SCHEMA_ TO SCHEMA__reader, SCHEMA__writer; \
                  GRANT SELECT ON ALL TABLES IN SCHEMA SCHEMA_ TO SCHEMA__reader, SCHEMA__writer; \
                  GRANT INSERT, UPDATE ON ALL TABLES IN SCHEMA SCHEMA_ TO SCHEMA__writer; GRANT USAGE ON ALL SEQUENCES IN SCHEMA SCHEMA_ TO SCHEMA__writer; \
                  ALTER DEFAULT PRIVILEGES FOR ROLE SCHEMA__owner IN SCHEMA SCHEMA_ GRANT SELECT ON TABLES TO SCHEMA__reader, SCHEMA__writer; \
                  ALTER DEFAULT PRIVILEGES FOR ROLE SCHEMA__owner IN SCHEMA SCHEMA_ GRANT INSERT, UPDATE ON TABLES TO SCHEMA__writer;";
    let but = "REVOKE SELECT ON staff.d FROM staff_reader; REVOKE INSERT, UPDATE ON sales.a FROM sales_writer; \
               GRANT TRUNCATE ON stock.a TO stock_writer; GRANT SELECT ON sales.a TO sales_writer WITH GRANT OPTION";
    let (bare, access) = (setup(bare), setup(access) + but);
    hold(&[State {
        name: "readers and writers of three schemas, not quite alike",
        bare: bare.leak(),
        access: access.leak(),
        says: &[
            "  reader: {grants: [[USAGE, schema], [SELECT, table]], default_privileges: [[SELECT, table]]}\n",
            "  writer:\n    inherits: reader\n    grants: [[[INSERT, UPDATE], table], [USAGE, sequence]]\n",
            "  staff: {owner: staff_owner, creators: staff_owner, templates: {reader: staff_reader, writer: staff_writer}}\n",
            "  - {to: staff_reader, privileges: SELECT, on: {type: table, schema: staff, name: d}, ensure: absent}\n",
            "  - {to: stock_writer, privileges: TRUNCATE, on: {type: table, schema: stock, name: a}}\n",
        ],
    }]);
}

/// FlowDB's schemas, two tables in each, and its books.
fn flowdb(db: &Database<'_>) -> String {
    let template = rolecall(db, &["init", "--template", "flowdb"], "").out;
    apply(db, &template);
    db.admin()
        .batch_execute(
            "SET ROLE flowdb; DO $$DECLARE s text; BEGIN FOR s IN SELECT nspname FROM pg_namespace WHERE nspowner = 'flowdb'::regrole LOOP \
             EXECUTE format('CREATE TABLE %1$I.one (id serial); CREATE TABLE %1$I.two (i int)', s); END LOOP; END$$; \
             CREATE TABLE cache.cached (i int); CREATE TABLE cache.dependencies (i int);",
        )
        .expect("tables");
    apply(db, &template);
    template
}

#[test]
fn the_flowdb_template_comes_back_about_as_long_as_it_was() {
    let cluster = Cluster::start(&[]);
    let db = cluster.plain_database();
    let template = flowdb(&db);
    let export = exported(&db, &[], "flowdb");
    println!("{}{}", export.out, export.err);
    let said = |text: &str| text.lines().filter(|line| !line.trim_start().starts_with('#') && !line.is_empty()).count();
    assert!(
        said(&export.out) <= said(&template),
        "{} lines of {}:\n{}",
        said(&export.out),
        said(&template),
        export.out
    );
    assert!(export.out.contains(
        "  cache: {owner: flowdb, creators: [flowdb, flowmachine], templates: {read: flowapi, write: flowmachine}}"
    ));
    assert_eq!(export.err, "");
}

#[test]
fn json_says_the_same() {
    let cluster = Cluster::start(&[]);
    let db = cluster.plain_database();
    flowdb(&db);
    let json = exported(&db, &["--json"], "as JSON");
    let value: serde_json::Value = serde_json::from_str(&json.out).expect("JSON");
    assert_eq!(value["schemas"]["cache"]["templates"]["write"], "flowmachine");
    assert!(json.out.find("\"roles\"") < json.out.find("\"grants\""), "{}", json.out);
}

#[test]
fn only_some_schemas_and_whoever_has_to_do_with_them() {
    let cluster = Cluster::start(&[]);
    let db = cluster.plain_database();
    let mut admin = db.admin();
    admin
        .batch_execute(
            "CREATE ROLE owner; CREATE ROLE reader; CREATE ROLE alice LOGIN; CREATE ROLE stranger; CREATE ROLE maker; CREATE ROLE grp; \
             CREATE SCHEMA shop_a AUTHORIZATION owner; CREATE SCHEMA shop_b AUTHORIZATION owner; CREATE SCHEMA other AUTHORIZATION stranger; \
             GRANT USAGE ON SCHEMA shop_a, other TO reader; GRANT reader, grp TO alice; GRANT USAGE ON SCHEMA other TO stranger, PUBLIC; \
             GRANT CREATE ON SCHEMA shop_b TO PUBLIC; GRANT USAGE ON LANGUAGE plpgsql TO reader, stranger; GRANT grp TO stranger; \
             ALTER DEFAULT PRIVILEGES FOR ROLE maker IN SCHEMA shop_b GRANT SELECT ON TABLES TO reader; \
             ALTER DEFAULT PRIVILEGES FOR ROLE stranger GRANT SELECT ON TABLES TO reader;",
        )
        .expect("a state");
    drop(admin);
    let export = exported(&db, &["--schemas", "shop_*"], "two schemas");
    assert_eq!(
        export.out,
        r#"# Roles and privileges as `rolecall export` found them. Passwords are not among them.
version: 1

roles:
  alice: {login: true, member_of: reader}
  maker: {login: false}
  owner: {login: false}
  reader: {login: false}

schemas:
  shop_a: {owner: owner}
  shop_b: {owner: owner}

grants:
  - {to: reader, privileges: USAGE, on: {type: schema, name: shop_a}}
  - {to: PUBLIC, privileges: CREATE, on: {type: schema, name: shop_b}}
  - {to: reader, privileges: USAGE, on: {type: language, name: plpgsql}}

default_privileges:
  - {owner: maker, schema: shop_b, on: table, to: reader, privileges: SELECT}

# Only the roles above are judged, and only in these schemas.
manage:
  schemas: [shop_a, shop_b]
  undeclared: report
"#
    );
    assert_eq!(export.err, "");
    let both = exported(&db, &["--schemas", "shop_a,shop_b"], "the same by name");
    assert_eq!(both.out, export.out);
    for (schemas, error) in [
        ("shop_a,nowhere", "schema \"nowhere\" does not exist"),
        ("x*", "no schema is called like \"x*\""),
        ("pg_catalog", "\"pg_catalog\" belongs to the system"),
    ] {
        let refused = rolecall(&db, &["export", "--schemas", schemas], "");
        assert!(refused.code == 1 && refused.out.is_empty() && refused.err.contains(error), "{refused:?}");
    }
}

#[test]
fn what_a_spec_cannot_say_is_told() {
    let cluster = Cluster::start(&[]);
    let db = cluster.plain_database();
    let mut admin = db.admin();
    admin
        .batch_execute(
            "CREATE ROLE keeper; CREATE ROLE a; CREATE ROLE b; CREATE ROLE \"Public\"; CREATE SCHEMA shop AUTHORIZATION keeper; \
             SET ROLE keeper; CREATE TABLE shop.t (i int); GRANT SELECT ON shop.t TO a WITH GRANT OPTION; REVOKE DELETE ON shop.t FROM keeper; \
             GRANT INSERT ON shop.t TO postgres, \"Public\"; GRANT USAGE ON SCHEMA shop TO a, b; SET ROLE a; GRANT SELECT ON shop.t TO b; RESET ROLE; \
             ALTER DEFAULT PRIVILEGES FOR ROLE keeper REVOKE INSERT ON TABLES FROM keeper; GRANT a TO postgres; \
             GRANT CREATE ON DATABASE postgres TO a; CREATE ROLE gone; GRANT UPDATE ON shop.t TO gone; DELETE FROM pg_shdepend WHERE refobjid = 'gone'::regrole; DROP ROLE gone",
        )
        .expect("a state");
    drop(admin);
    let export = exported(&db, &[], "untellable");
    let notes: Vec<&str> = export.err.lines().collect();
    for note in [
        "note: granted by others than the owner, which a spec does not tell apart: table shop.t",
        "note: owners who took privileges from themselves, which a spec does not say: table shop.t",
        "note: creators who took privileges on their own future objects, which a spec does not say: future tables of keeper",
        "note: privileges of postgres, the first superuser, are not written, since it needs none: table shop.t",
        "note: role \"Public\" is not written, since a spec takes that name for everybody's: role, table shop.t",
        "note: members of the system are not written: postgres, who is in: a",
        "note: privileges on other databases, which are exported from there: postgres",
    ] {
        assert!(notes.contains(&note), "{note}\n{}", export.err);
    }
    assert!(
        export.err.contains("to which something is granted, does not exist any more: table shop.t"),
        "{}",
        export.err
    );
    assert_eq!(notes.len(), 8, "{}", export.err);
    let quiet = rolecall(&db, &["export", "--quiet"], "");
    assert_eq!((quiet.code, quiet.err.as_str(), quiet.out), (0, "", export.out));
}

#[test]
fn the_json_schema_is_printed_without_a_server() {
    let mut command = std::process::Command::new(rolecall_tests::program());
    command.arg("schema").env("PGHOST", "/nowhere");
    let schema = run(command, "");
    let value: serde_json::Value = serde_json::from_str(&schema.out).expect("JSON");
    assert_eq!((schema.code, value["$schema"].as_str()), (0, Some("https://json-schema.org/draft/2020-12/schema")));
    for key in ["roles", "grants", "retire", "rolecall"] {
        assert!(value["properties"][key]["description"].is_string(), "{key}");
    }
}
