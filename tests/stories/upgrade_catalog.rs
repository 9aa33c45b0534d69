//! A database that was upgraded is what a new one is: whoever changes `sql/install` and forgets the script in
//! `sql/upgrade` finds out here.

use crate::support::*;
use postgres::Client;
use rolecall_tests::{Cluster, Database};

/// A new database with the extension as 0.1.0 made it.
pub fn released(version: &str) -> Database<'static> {
    let database = Cluster::shared().plain_database();
    run(&mut database.admin(), &format!("CREATE EXTENSION rolecall VERSION '{version}'"));
    database
}

/// All that makes the extension, a line each: what it is, its name, what it says. `member` has everything that belongs to
/// the extension, `object` also what hangs on that: columns, constraints, indexes, triggers.
const CATALOG: &str = r#"
WITH member AS (
    SELECT d.classid, d.objid, 0 AS objsubid FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'rolecall'
     WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'),
table_of AS (SELECT c.* FROM member m JOIN pg_class c ON m.classid = 'pg_class'::regclass AND c.oid = m.objid),
object AS (
    SELECT * FROM member
     UNION SELECT 'pg_class'::regclass, attrelid, attnum::int FROM pg_attribute JOIN table_of t ON t.oid = attrelid WHERE attnum > 0 AND NOT attisdropped
     UNION SELECT 'pg_class'::regclass, indexrelid, 0 FROM pg_index JOIN table_of t ON t.oid = indrelid
     UNION SELECT 'pg_constraint'::regclass, c.oid, 0 FROM pg_constraint c JOIN table_of t ON t.oid = conrelid
     UNION SELECT 'pg_attrdef'::regclass, d.oid, 0 FROM pg_attrdef d JOIN table_of t ON t.oid = adrelid
     UNION SELECT 'pg_trigger'::regclass, g.oid, 0 FROM pg_trigger g JOIN table_of t ON t.oid = tgrelid WHERE NOT tgisinternal
     UNION SELECT 'pg_rewrite'::regclass, r.oid, 0 FROM pg_rewrite r JOIN table_of t ON t.oid = ev_class
     UNION SELECT 'pg_policy'::regclass, p.oid, 0 FROM pg_policy p JOIN table_of t ON t.oid = polrelid),
named AS (SELECT o.*, pg_describe_object(classid, objid, objsubid) AS name FROM object o),
acl AS (
    SELECT 'pg_class'::regclass AS class, oid, relowner AS owner, relacl AS acl FROM pg_class
     UNION ALL SELECT 'pg_proc'::regclass, oid, proowner, proacl FROM pg_proc
     UNION ALL SELECT 'pg_namespace'::regclass, oid, nspowner, nspacl FROM pg_namespace
     UNION ALL SELECT 'pg_type'::regclass, oid, typowner, typacl FROM pg_type
     UNION ALL SELECT 'pg_event_trigger'::regclass, oid, evtowner, NULL FROM pg_event_trigger),
line AS (
    SELECT 'object' AS kind, name, obj_description(objid, classid::regclass::name) AS says FROM named WHERE objsubid = 0
     UNION ALL SELECT 'owner', name, owner::regrole::text || ' ' || ARRAY(SELECT a::text FROM unnest(acl) a ORDER BY 1)::text || (acl IS NULL)
      FROM named JOIN acl ON class = classid AND oid = objid WHERE objsubid = 0
     UNION ALL SELECT 'initial privileges', pg_describe_object(i.classoid, i.objoid, i.objsubid), ARRAY(SELECT a::text FROM unnest(initprivs) a ORDER BY 1)::text
      FROM pg_init_privs i JOIN object o ON (o.classid, o.objid, o.objsubid) = (i.classoid, i.objoid, i.objsubid)
     UNION ALL SELECT 'table', t.oid::regclass::text, concat_ws(' ', relkind, relpersistence, relreplident, relrowsecurity, relforcerowsecurity, reloptions)
      FROM table_of t
     UNION ALL SELECT 'column', name, concat_ws(' ', row_number() OVER (PARTITION BY attrelid ORDER BY attnum), attname,
            format_type(atttypid, atttypmod), attnotnull, attidentity, attgenerated, attcollation::regcollation, attstorage, attoptions,
            attacl, col_description(objid, objsubid))
      FROM named JOIN pg_attribute ON attrelid = objid AND attnum = objsubid WHERE objsubid > 0
     UNION ALL SELECT 'default', name, pg_get_expr(adbin, adrelid) FROM named JOIN pg_attrdef d ON d.oid = objid AND classid = 'pg_attrdef'::regclass
     UNION ALL SELECT 'constraint', name, concat_ws(' ', pg_get_constraintdef(c.oid), condeferrable, condeferred, convalidated)
      FROM named JOIN pg_constraint c ON c.oid = objid AND classid = 'pg_constraint'::regclass
     UNION ALL SELECT 'index', name, concat_ws(' ', pg_get_indexdef(indexrelid), indisvalid, indisclustered, indisreplident)
      FROM named JOIN pg_index ON indexrelid = objid AND classid = 'pg_class'::regclass AND objsubid = 0
     UNION ALL SELECT 'sequence', name, concat_ws(' ', seqtypid::regtype, seqstart, seqincrement, seqmin, seqmax, seqcache, seqcycle)
      FROM named JOIN pg_sequence ON seqrelid = objid AND classid = 'pg_class'::regclass
     UNION ALL SELECT 'function', name, pg_get_functiondef(p.oid) FROM named JOIN pg_proc p ON p.oid = objid AND classid = 'pg_proc'::regclass
     UNION ALL SELECT 'view', t.oid::regclass::text, pg_get_viewdef(t.oid) FROM table_of t WHERE relkind = 'v'
     UNION ALL SELECT 'trigger', name, concat_ws(' ', pg_get_triggerdef(g.oid), tgenabled) FROM named JOIN pg_trigger g ON g.oid = objid AND classid = 'pg_trigger'::regclass
     UNION ALL SELECT 'event trigger', evtname, concat_ws(' ', evtevent, evtfoid::regproc, evtenabled, evttags) FROM pg_event_trigger
     UNION ALL SELECT 'policy', name, concat_ws(' ', polcmd, polpermissive, polroles, pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid))
      FROM named JOIN pg_policy p ON p.oid = objid AND classid = 'pg_policy'::regclass
     UNION ALL SELECT 'dependency', n.name, concat_ws(' ', d.deptype, pg_describe_object(d.refclassid, d.refobjid, d.refobjsubid))
      FROM named n JOIN pg_depend d ON (d.classid, d.objid, d.objsubid) = (n.classid, n.objid, n.objsubid)
     UNION ALL SELECT 'dumped', c::regclass::text, condition FROM pg_extension, unnest(extconfig, extcondition) u (c, condition) WHERE extname = 'rolecall'
     UNION ALL SELECT 'extension', extversion, concat_ws(' ', extowner::regrole, extnamespace::regnamespace, extrelocatable) FROM pg_extension WHERE extname = 'rolecall'
     UNION ALL SELECT 'default privileges', defaclobjtype::text, concat_ws(' ', defaclrole, defaclnamespace, defaclacl) FROM pg_default_acl
     UNION ALL SELECT 'setting', name, concat_ws(' ', vartype, context, boot_val) FROM pg_settings WHERE name ^@ 'rolecall.'
     UNION ALL SELECT 'role', name, to_jsonb(r)::text FROM rolecall.roles r)
SELECT concat_ws(E'\t', kind, name, coalesce(says, 'NULL')) FROM line ORDER BY 1"#;

fn catalog(client: &mut Client) -> Vec<String> {
    column(client, CATALOG)
}

/// What is in only one of two catalogs.
pub fn difference(new: &[String], upgraded: &[String]) -> String {
    let only = |these: &[String], those: &[String], sign: &str| -> String {
        these.iter().filter(|line| !those.contains(line)).map(|line| format!("{sign} {line}\n")).collect()
    };
    only(new, upgraded, "only new:") + &only(upgraded, new, "only upgraded:")
}

/// The versions that were released.
fn versions() -> Vec<String> {
    let scripts = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../sql/released")).unwrap();
    let names = scripts.map(|script| script.unwrap().file_name().into_string().unwrap());
    names.map(|name| name["rolecall--".len()..name.len() - ".sql".len()].to_owned()).collect()
}

#[test]
fn an_upgraded_database_is_what_a_new_one_is() {
    let new = catalog(&mut database().admin());
    for kind in [
        "object",
        "owner",
        "column",
        "constraint",
        "index",
        "function",
        "view",
        "trigger",
        "event trigger",
        "dumped",
        "role",
    ] {
        assert!(new.iter().filter(|line| line.starts_with(&format!("{kind}\t"))).count() > 1, "{kind}");
    }
    assert!(!versions().is_empty());
    for version in versions() {
        let mut admin = released(&version).admin();
        assert_ne!(difference(&new, &catalog(&mut admin)), "", "{version} has another version");
        run(&mut admin, "ALTER EXTENSION rolecall UPDATE");
        let difference = difference(&new, &catalog(&mut admin));
        assert_eq!(difference, "", "sql/upgrade does not lead from {version} to what sql/install makes");
    }
}

/// Every kind of change that could be forgotten is one that the comparison sees.
#[test]
fn whatever_an_upgrade_forgets_is_seen() {
    let database = database();
    let mut admin = database.admin();
    let new = catalog(&mut admin);
    for forgotten in [
        "CREATE OR REPLACE FUNCTION rolecall.new_channel() RETURNS text LANGUAGE sql VOLATILE RETURN 'x'",
        "ALTER FUNCTION rolecall.protect(regclass, name) RESET ALL",
        "ALTER FUNCTION rolecall.protect(regclass, name) SECURITY INVOKER",
        "ALTER FUNCTION rolecall.has_role(text) COST 7",
        "ALTER FUNCTION rolecall.has_role(text) PARALLEL UNSAFE",
        "GRANT EXECUTE ON FUNCTION rolecall.recompile(regclass) TO PUBLIC",
        "REVOKE EXECUTE ON FUNCTION rolecall.logout() FROM PUBLIC",
        "GRANT SELECT ON rolecall.users TO PUBLIC",
        "GRANT SELECT (id) ON rolecall.users TO PUBLIC",
        "REVOKE SELECT ON rolecall.my_queues FROM PUBLIC",
        "GRANT USAGE ON SCHEMA rolecall_relations TO PUBLIC",
        "ALTER TABLE rolecall.users OWNER TO pg_database_owner",
        "ALTER TABLE rolecall.users ADD note text",
        "ALTER TABLE rolecall.users ALTER email SET NOT NULL",
        "ALTER TABLE rolecall.users ALTER disabled SET DEFAULT true",
        "ALTER TABLE rolecall.roles ALTER description TYPE varchar",
        "ALTER TABLE rolecall.column_names DROP number; ALTER TABLE rolecall.column_names ADD number int2 NOT NULL;
         ALTER TABLE rolecall.column_names ADD PRIMARY KEY (target, number);
         COMMENT ON COLUMN rolecall.column_names.number IS 'The column''s number'",
        "ALTER TABLE rolecall.users DROP CONSTRAINT users_kind_check",
        "ALTER TABLE rolecall.user_roles DROP CONSTRAINT user_roles_role_fkey;
         ALTER TABLE rolecall.user_roles ADD CONSTRAINT user_roles_role_fkey FOREIGN KEY (role) REFERENCES rolecall.roles ON DELETE CASCADE",
        "DROP INDEX rolecall.users_email",
        "ALTER TABLE rolecall.users DISABLE ROW LEVEL SECURITY",
        "CREATE POLICY open ON rolecall.users USING (true)",
        "ALTER TABLE rolecall.users ENABLE TRIGGER invalidate_sessions",
        "DROP TRIGGER record_change ON rolecall.roles",
        "ALTER EVENT TRIGGER rolecall_after_drop DISABLE",
        "COMMENT ON EVENT TRIGGER rolecall_after_drop IS NULL",
        "COMMENT ON COLUMN rolecall.users.id IS NULL",
        "COMMENT ON FUNCTION rolecall.logout() IS 'Something else'",
        "COMMENT ON VIEW rolecall.audit_log IS NULL",
        "ALTER VIEW rolecall.my_tokens RENAME id TO number",
        "ALTER VIEW rolecall.audit_log RESET (security_barrier)",
        "ALTER TABLE rolecall.messages RESET (autovacuum_vacuum_threshold)",
        "ALTER SEQUENCE rolecall.messages_id_seq INCREMENT 2",
        "CREATE TABLE rolecall.more (id int); ALTER EXTENSION rolecall ADD TABLE rolecall.more",
        "ALTER EXTENSION rolecall DROP VIEW rolecall.audit_log",
        "UPDATE pg_extension SET extcondition[1] = 'WHERE false' WHERE extname = 'rolecall'",
        "UPDATE pg_extension SET extconfig = extconfig[2:], extcondition = extcondition[2:] WHERE extname = 'rolecall'",
        "UPDATE rolecall.roles SET description = 'x' WHERE name = 'guest'",
        "ALTER DEFAULT PRIVILEGES IN SCHEMA rolecall GRANT SELECT ON TABLES TO PUBLIC",
    ] {
        run(&mut admin, &format!("BEGIN; SET LOCAL client_min_messages = error; {forgotten}"));
        assert_ne!(difference(&new, &catalog(&mut admin)), "", "{forgotten}");
        run(&mut admin, "ROLLBACK");
    }
    assert_eq!(difference(&new, &catalog(&mut admin)), "");
}

#[test]
fn every_release_has_a_way_to_the_present_version() {
    let mut admin = Cluster::shared().plain_database().admin();
    let reach = "SELECT source FROM pg_extension_update_paths('rolecall') p JOIN pg_available_extensions e ON p.target = e.default_version
                  WHERE e.name = 'rolecall' AND p.path IS NOT NULL";
    let (from, mut all) = (column(&mut admin, reach), versions());
    all.retain(|version| !from.contains(version));
    assert_eq!(all, [""; 0], "no scripts in sql/upgrade lead on");
    let present: String =
        one(&mut admin, "SELECT default_version FROM pg_available_extensions WHERE name = 'rolecall'");
    assert_eq!(present, env!("CARGO_PKG_VERSION"), "rolecall.control and Cargo.toml say the same");
}
