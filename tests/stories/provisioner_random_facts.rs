//! What the catalogs say about roles and privileges, as lines of JSON that can be compared and looked into.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Every fact as one line, sorted. Privileges are those that count, written down or built in.
const LINES: &str = r#"
WITH spaces AS (SELECT oid, nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'),
objects (kind, schema, name, arguments, owner, acl, relation) AS (
    SELECT CASE relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized_view' WHEN 'f' THEN 'foreign_table'
                        WHEN 'S' THEN 'sequence' ELSE 'table' END,
           nspname, relname, '', relowner, coalesce(relacl, acldefault(CASE relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", relowner)), c.oid
    FROM pg_class c JOIN spaces s ON s.oid = relnamespace WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
    UNION ALL
    SELECT CASE prokind WHEN 'p' THEN 'procedure' ELSE 'function' END, nspname, proname, oidvectortypes(proargtypes),
           proowner, coalesce(proacl, acldefault('f', proowner)), 0
    FROM pg_proc JOIN spaces s ON s.oid = pronamespace
    UNION ALL
    SELECT 'type', nspname, typname, '', typowner, coalesce(typacl, acldefault('T', typowner)), 0
    FROM pg_type t JOIN spaces s ON s.oid = typnamespace
    WHERE NOT EXISTS (SELECT FROM pg_type e WHERE e.typarray = t.oid)
      AND NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = typrelid AND relkind <> 'c') MULTIRANGES
    UNION ALL
    SELECT 'schema', NULL, nspname, '', nspowner, coalesce(nspacl, acldefault('n', nspowner)), 0
    FROM pg_namespace WHERE oid IN (SELECT oid FROM spaces)
    UNION ALL SELECT 'database', NULL, datname, '', datdba, coalesce(datacl, acldefault('d', datdba)), 0 FROM pg_database
    UNION ALL SELECT 'language', NULL, lanname, '', lanowner, coalesce(lanacl, acldefault('l', lanowner)), 0 FROM pg_language
    UNION ALL SELECT 'foreign_data_wrapper', NULL, fdwname, '', fdwowner, coalesce(fdwacl, acldefault('F', fdwowner)), 0
    FROM pg_foreign_data_wrapper
    UNION ALL SELECT 'foreign_server', NULL, srvname, '', srvowner, coalesce(srvacl, acldefault('S', srvowner)), 0
    FROM pg_foreign_server
    UNION ALL SELECT 'tablespace', NULL, spcname, '', spcowner, coalesce(spcacl, acldefault('t', spcowner)), 0 FROM pg_tablespace
    UNION ALL SELECT 'parameter', NULL, parname, '', 10, paracl, 0 FROM pg_parameter_acl
    UNION ALL SELECT 'large_object', NULL, oid::text, '', lomowner, coalesce(lomacl, acldefault('L', lomowner)), 0
    FROM pg_largeobject_metadata
),
entries AS (
    SELECT kind, schema, name, arguments, NULL AS column, acl FROM objects
    UNION ALL SELECT kind, schema, name, arguments, attname, attacl FROM objects JOIN pg_attribute ON attrelid = relation
    WHERE attacl IS NOT NULL AND NOT attisdropped
),
who (oid, name) AS (SELECT oid, rolname FROM pg_roles UNION ALL SELECT 0, 'PUBLIC')
SELECT line::text FROM (
    SELECT json_build_array('object', kind, schema, name, arguments, r.rolname)
    FROM objects LEFT JOIN pg_roles r ON r.oid = owner
    UNION ALL
    SELECT json_build_array('held', kind, schema, e.name, arguments, e.column, t.name, g.name, privilege_type, is_grantable)
    FROM entries e, aclexplode(acl) a LEFT JOIN who t ON t.oid = a.grantee LEFT JOIN who g ON g.oid = a.grantor
    UNION ALL
    SELECT json_build_array('default', r.rolname, nspname, defaclobjtype, t.name, g.name, privilege_type, is_grantable)
    FROM pg_default_acl d JOIN pg_roles r ON r.oid = defaclrole LEFT JOIN pg_namespace n ON n.oid = defaclnamespace,
         aclexplode(defaclacl) a LEFT JOIN who t ON t.oid = a.grantee LEFT JOIN who g ON g.oid = a.grantor
    UNION ALL
    SELECT json_build_array('default row', r.rolname, nspname, defaclobjtype)
    FROM pg_default_acl d JOIN pg_roles r ON r.oid = defaclrole LEFT JOIN pg_namespace n ON n.oid = defaclnamespace
    UNION ALL
    SELECT json_build_array('role', rolname, json_build_object('login', rolcanlogin, 'superuser', rolsuper, 'createdb', rolcreatedb,
        'createrole', rolcreaterole, 'inherit', rolinherit, 'replication', rolreplication, 'bypassrls', rolbypassrls,
        'connection_limit', rolconnlimit, 'valid_until', extract(epoch FROM nullif(rolvaliduntil, 'infinity'))::int8::text,
        'comment', coalesce(shobj_description(oid, 'pg_authid'), '')))
    FROM pg_roles
    UNION ALL
    SELECT json_build_array('setting', rolname, datname, split_part(one, '=', 1), substr(one, strpos(one, '=') + 1))
    FROM pg_db_role_setting JOIN pg_roles r ON r.oid = setrole LEFT JOIN pg_database d ON d.oid = setdatabase, unnest(setconfig) one
    UNION ALL
    SELECT json_build_array('member', g.rolname, m.rolname, b.rolname, admin_option, OPTIONS)
    FROM pg_auth_members a JOIN pg_roles g ON g.oid = roleid JOIN pg_roles m ON m.oid = member JOIN pg_roles b ON b.oid = grantor
    WHERE g.rolname !~ '^pg_'
) all_facts (line) ORDER BY 1"#;

/// The query for a server of `version` (its `server_version_num`).
pub fn query(version: u32) -> String {
    // From PostgreSQL 17 on a multirange has no privileges of its own.
    let lines = LINES.replace("MULTIRANGES", if version >= 170_000 { "AND typtype <> 'm'" } else { "" });
    lines.replace("OPTIONS", if version >= 160_000 { "inherit_option, set_option" } else { "NULL, true" })
}

/// An object: its type, schema, name and argument types.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Object {
    pub kind: String,
    pub schema: Option<String>,
    pub name: String,
    pub arguments: String,
}

/// Where a privilege is held: an object, perhaps one of its columns, and by whom.
pub type Place = (Object, Option<String>, String);

/// Whose future objects, in which schema, of which type, and who gets something.
pub type DefaultPlace = (String, Option<String>, &'static str, String);

/// Privileges, each with whether it can be passed on.
pub type Held = BTreeMap<String, bool>;

/// The facts in a form that can be asked.
#[derive(Default)]
pub struct Facts {
    pub owners: BTreeMap<Object, String>,
    pub held: BTreeMap<Place, Held>,
    pub defaults: BTreeMap<DefaultPlace, Held>,
    pub roles: BTreeMap<String, Value>,
    pub settings: BTreeMap<(String, Option<String>, String), String>,
    /// Group and member, with ADMIN, INHERIT and SET of each grantor's edge.
    pub members: BTreeMap<(String, String), Vec<[Option<bool>; 3]>>,
}

/// The type of default privileges by its letter in the catalog.
fn default_kind(letter: &str) -> &'static str {
    match letter {
        "r" => "table",
        "S" => "sequence",
        "f" => "function",
        "T" => "type",
        "n" => "schema",
        _ => "large_object",
    }
}

impl Facts {
    pub fn of(lines: &[String]) -> Self {
        let mut facts = Self::default();
        let mut rows = BTreeSet::new();
        for line in lines {
            let line: Vec<Value> = serde_json::from_str(line).expect("an array");
            let text = |at: usize| line[at].as_str().unwrap_or_default().to_owned();
            let maybe = |at: usize| line[at].as_str().map(str::to_owned);
            let object = || Object { kind: text(1), schema: maybe(2), name: text(3), arguments: text(4) };
            let is = |at: usize| line[at].as_bool().unwrap_or_default();
            let hold = |held: &mut Held, privilege, option: bool| {
                *held.entry(privilege).or_default() |= option;
            };
            match text(0).as_str() {
                "object" => drop(facts.owners.insert(object(), text(5))),
                "held" => hold(facts.held.entry((object(), maybe(5), text(6))).or_default(), text(8), is(9)),
                "default" => {
                    let place = (text(1), maybe(2), default_kind(&text(3)), text(4));
                    hold(facts.defaults.entry(place).or_default(), text(6), is(7));
                }
                "default row" => drop(rows.insert((text(1), maybe(2), default_kind(&text(3))))),
                "role" => drop(facts.roles.insert(text(1), line[2].clone())),
                "setting" => drop(facts.settings.insert((text(1), maybe(2), text(3)), text(4))),
                "member" => {
                    let edge = [line[4].as_bool(), line[5].as_bool(), line[6].as_bool()];
                    facts.members.entry((text(1), text(2))).or_default().push(edge);
                }
                other => panic!("{other}"),
            }
        }
        // Without a row the built-in default privileges count.
        for role in facts.roles.keys() {
            for (kind, privilege) in [("function", "EXECUTE"), ("type", "USAGE")] {
                if !rows.contains(&(role.clone(), None, kind)) {
                    let place = (role.clone(), None, kind, "PUBLIC".to_owned());
                    facts.defaults.entry(place).or_default().insert(privilege.to_owned(), false);
                }
            }
        }
        facts
    }
}
