//! The schema and the reader agree.

use super::json_schema;
use crate::spec::Spec;
use jsonschema::Validator;
use serde_json::Value;

fn validator() -> Validator {
    let schema = json_schema();
    assert!(jsonschema::meta::is_valid(&schema));
    jsonschema::validator_for(&schema).expect("a schema")
}

/// What is wrong with a spec by the schema; nothing if it is right.
fn told(validator: &Validator, text: &str) -> Vec<String> {
    let value: Value = serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    validator.iter_errors(&value).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

/// Specs that say everything in every form.
const ACCEPTED: &[&str] = &[
    "",
    "version: 1\nroles:\nmanage:\n",
    "roles: [a, b]",
    "roles: {a: , b: {login: true, superuser: false, createdb: true, createrole: true, inherit: false, replication: true,
        bypassrls: true, connection_limit: -1, valid_until: '2031-01-02T03:04:05Z', comment: text, password: {from_env: X},
        member_of: [a, {role: c, admin: true, inherit: false, set: true}], config: {work_mem: 8MB, a.b: 3, c: true, d: [x, z]},
        config_in_database: {d: {work_mem: 1}}}, c: {password_env: X, valid_until: null, comment: null, member_of: a},
        d: {password: {from_file: /x}, valid_until: infinity}}",
    "memberships: [{role: a, member: b}, {role: a, member: [c, d], admin: true, inherit: false, set: false}]",
    "templates: {r: {grants: [[USAGE, schema], [[SELECT, insert], relation], {privileges: 'select, INSERT', on: tables, except: 'x*'}],
        default_privileges: [[SELECT, table], {privileges: ALL, on: sequence}]}, w: {inherits: r}, x: {inherits: [r, w]}, y: }
role_name: '{schema}-{template}'
schemas: {s: {owner: o, creators: [o, {members_of: p}], templates: [r, w]}, t: {owner: o, templates: {r: [a, PUBLIC], w: b}}, u: , v: {owner: o, creators: a, templates: w}}",
    "grants: [{to: PUBLIC, privileges: CONNECT, on: {type: database}, ensure: absent},
        {to: [a, b], privileges: [Temp, create], on: {type: database, name: [d]}, ensure: present},
        {to: a, privileges: 'ALTER  SYSTEM', on: {type: parameter, name: work_mem}, grant_option: true},
        {to: a, privileges: all privileges, on: {type: table, schema: [s, 't*'], name: '*'}, except: [x]},
        {to: a, privileges: UPDATE, on: {type: column, schema: s, table: t, name: [c]}},
        {to: a, privileges: [SELECT, REFERENCES], on: {type: view, schema: s, name: t, columns: c}},
        {to: a, privileges: EXECUTE, on: {type: Functions, schema: s, name: 'f(int, text)'}},
        {to: a, privileges: USAGE, on: {type: foreign_data_wrapper, name: w}}]",
    "default_privileges: [{owner: o, schema: [s, t], on: table, to: a, privileges: ALL},
        {owner: [o, {members_of: p}], scope: global, on: function, to: PUBLIC, privileges: EXECUTE, ensure: absent},
        {owner: o, scope: global, on: schemas, to: [a], privileges: 'USAGE, CREATE', grant_option: true}]",
    "databases: {d: {schemas: {s: {}}, grants: [], default_privileges: []}, e: }",
    "manage: {roles: 'a*', schemas: [s], ignore: [x], undeclared: revoke}",
    "retire: {a: {reassign_to: b, terminate_sessions: false}, c: }",
    "roles: {a: {password: {prompt: true}}}",
    "templates: {r: {grants: [[MAINTAIN, table]], default_privileges: [[MAINTAIN, table]]}}",
    "retire: [a, b]",
    "owners: [{owner: o, on: {type: table, schema: s, name: '*'}, except: [t]}, {owner: o, on: schema s}]",
    "creators: [a, {members_of: b}]",
    "creators: {s: [a, {members_of: b}], t: a}",
    "databases: {d: {owner: o, owners: [{owner: o, on: table s.t}]}}",
    "memberships: [{role: a, member: b, ensure: absent, grantor: c}]",
    "manage: {undeclared: [revoke, drop, owner]}",
    "manage: {undeclared: {privileges: revoke, members: report, roles: drop, owners: change}}",
    "roles: {a: {grants: [[SELECT, table shop.*], {privileges: ALL, on: database, except: x, grant_option: true}],
        config: {x: null}}}",
    "grants: [{to: a, privileges: SELECT, on: table shop.*}, {to: a, privileges: USAGE, on: schema shop}]",
];

/// Unknown keys and words, wrong shapes, privileges of another kind.
const REFUSED: &[&str] = &[
    "rolse: {}",
    "version: 2",
    "roles: 3",
    "roles: {a: {creatdb: true}}",
    "roles: {a: {login: yes please}}",
    "roles: {a: {connection_limit: 1.5}}",
    "roles: {a: {comment: 17}}",
    "roles: {pg_mine: {}}",
    "roles: {Public: {}}",
    "roles: {a: {password: hunter2}}",
    "roles: {a: {password: {from_env: X, from_file: y}}}",
    "roles: {a: {valid_until: ''}}",
    "roles: {a: {config: {x: [1]}}}",
    "roles: {a: {member_of: [{member: b}]}}",
    "memberships: [{role: a}]",
    "memberships: [{role: a, member: b, amdin: true}]",
    "templates: {r: {grant: []}}",
    "templates: {r: {grants: [[CONNECT, database]]}}",
    "templates: {r: {grants: [[SELECT]]}}",
    "templates: {r: {grants: [[SELECT, table, x]]}}",
    "templates: {r: {grants: [[EXECUTE, table]]}}",
    "templates: {r: {default_privileges: [{privileges: SELECT, on: table, except: x}]}}",
    "templates: {r: {default_privileges: [[USAGE, schema]]}}",
    "schemas: {s: {onwer: a}}",
    "schemas: {s: {creators: [{member_of: a}]}}",
    "grants: {to: a}",
    "grants: [{to: a, privilegs: SELECT, on: {type: database}}]",
    "grants: [{to: [], privileges: CREATE, on: {type: database}}]",
    "grants: [{to: a, privileges: [], on: {type: database}}]",
    "grants: [{to: a, privileges: SELCT, on: {type: table, schema: s, name: t}}]",
    "grants: [{to: a, privileges: 'SELECT; DROP', on: {type: table, schema: s, name: t}}]",
    "grants: [{to: a, privileges: SELECT, on: {type: tabel, schema: s, name: t}}]",
    "grants: [{to: a, privileges: EXECUTE, on: {type: database}}]",
    "grants: [{to: a, privileges: SELECT, on: {type: table, name: t}}]",
    "grants: [{to: a, privileges: SELECT, on: {type: table, schema: s}}]",
    "grants: [{to: a, privileges: USAGE, on: {type: language, schema: s, name: t}}]",
    "grants: [{to: a, privileges: DELETE, on: {type: table, schema: s, name: t, columns: c}}]",
    "grants: [{to: a, privileges: DELETE, on: {type: column, schema: s, table: t, name: c}}]",
    "grants: [{to: a, privileges: SELECT, on: {type: column, schema: s, table: t}}]",
    "grants: [{to: a, privileges: USAGE, on: {type: sequence, schema: s, name: t, columns: c}}]",
    "grants: [{to: a, privileges: CREATE, on: {type: database}, ensure: gone}]",
    "default_privileges: [{owner: o, on: table, to: a, privileges: SELECT}]",
    "default_privileges: [{owner: o, schema: s, scope: global, on: table, to: a, privileges: SELECT}]",
    "default_privileges: [{owner: o, scope: here, on: table, to: a, privileges: SELECT}]",
    "default_privileges: [{owner: o, schema: s, on: database, to: a, privileges: ALL}]",
    "default_privileges: [{owner: o, schema: s, on: table, to: a, privileges: EXECUTE}]",
    "databases: {d: {roles: {}}}",
    "manage: {undeclared: keep}",
    "manage: {role: a}",
    "retire: {a: {reasign_to: b}}",
    "owners: [{owner: o}]",
    "databases: {d: {creators: a}}",
    "manage: {undeclared: [keep]}",
    "manage: {undeclared: {roles: revoke}}",
    "grants: [{to: a, privileges: SELECT, on: tabel shop.*}]",
    "roles: {a: {grants: [[SELECT]]}}",
    "rolecall: 1",
];

#[test]
fn what_the_reader_takes_is_valid() {
    let validator = validator();
    for text in ACCEPTED {
        if let Err(error) = Spec::parse(text) {
            panic!("{text}: {error}");
        }
        assert_eq!(told(&validator, text), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn every_template_of_init_is_valid() {
    let validator = validator();
    let templates = concat!(env!("CARGO_MANIFEST_DIR"), "/../provisioner/templates");
    let mut count = 0;
    for entry in std::fs::read_dir(templates).expect("the templates") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let text = std::fs::read_to_string(path).expect("a template");
        assert_eq!(told(&validator, &text), Vec::<String>::new(), "{text}");
        count += 1;
    }
    assert!(count >= 2);
}

#[test]
fn what_the_schema_refuses_the_reader_refuses_too() {
    let validator = validator();
    for text in REFUSED {
        assert!(Spec::parse(text).is_err(), "{text}");
        assert!(!told(&validator, text).is_empty(), "{text}");
    }
}
