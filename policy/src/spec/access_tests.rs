//! What the part under `rolecall` may say, and what it is told when it says something else.

use super::access::{Access, Action};
use super::*;
use proptest::prelude::*;
use serde_json::json;

fn access(text: &str) -> Access {
    let spec = Spec::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    spec.here.access.unwrap_or_else(|| panic!("{text} says nothing about rolecall"))
}

/// Message and hint in one.
fn told(text: &str) -> String {
    match Spec::parse(text) {
        Ok(spec) => panic!("{text} was accepted: {spec:?}"),
        Err(error) => format!("{error}; {}", error.hint.clone().unwrap_or_default()),
    }
}

fn entry(text: &str) -> String {
    format!("rolecall: {{tables: {{app.notes: {{permissions: [{{{text}}}]}}}}}}")
}

#[test]
fn what_is_not_said_is_not_looked_at() {
    let nothing = access("rolecall: {}");
    assert!(nothing.roles.is_none() && nothing.tables.is_none() && nothing.servers.is_none());
    let roles = access("rolecall: {roles: {a: {}, b: {scopes: [], member_of: a}}}").roles.unwrap();
    assert!(roles["a"].scopes.is_none() && roles["a"].member_of.is_none());
    assert_eq!(roles["b"].scopes.as_ref().map(|scopes| scopes.len()), Some(0));
    let tables = access("rolecall: {tables: {s.a: {}, s.b: {permissions: []}, s.c: {acl_column: d, exposed: true}}}");
    let tables = tables.tables.unwrap();
    let protected: Vec<bool> = tables.values().map(|table| table.is_protected()).collect();
    assert_eq!(protected, [false, true, true]);
}

#[test]
fn a_filter_is_the_json_it_looks_like() {
    let text = entry("role: [a, b], action: all, filter: {OR: [{n: {in: [1, -2.5, '3']}}, {ok: {equals: true}}]}");
    let tables = access(&text).tables.unwrap();
    let permission = &tables[&TableName::parse("app.notes").unwrap()].permissions.as_ref().unwrap()[0];
    assert_eq!(permission.terms.filter, json!({"OR": [{"n": {"in": [1, -2.5, "3"]}}, {"ok": {"equals": true}}]}));
    assert_eq!((permission.roles.len(), permission.actions.as_slice()), (2, Action::ALL.as_slice()));
}

#[test]
fn terms_fit_their_action() {
    let text = entry("role: a, action: all, columns: [x], new_row: {x: {equals: 1}}, preset: {x: 1}");
    let tables = access(&text).tables.unwrap();
    let terms = &tables.values().next().unwrap().permissions.as_ref().unwrap()[0].terms;
    let parts = Action::ALL.map(|action| {
        let part = terms.of(action);
        (part.columns.is_some(), part.new_row.is_some(), part.preset.is_some())
    });
    assert_eq!(parts, [(true, false, false), (true, true, true), (true, true, true), (false, false, false)]);
}

#[test]
fn mistakes_are_told_with_their_line() {
    let text = "rolecall:\n  tables:\n    app.notes:\n      permissions:\n        - {role: a, action: selct}\n";
    let place = "line 5: rolecall.tables.app.notes.permissions[0].action";
    assert_eq!(told(text), format!("{place}: unknown word \"selct\"; did you mean \"select\"?"));
    let cases = [
        ("rolecall: {role: {}}", "did you mean \"roles\"?"),
        ("rolecall: {roles: {a: {scope: [b]}}}", "did you mean \"scopes\"?"),
        ("rolecall: {roles: {a: {scopes: ['b::c']}}}", "has an empty word"),
        ("rolecall: {roles: {a: {member_of: b}, b: {member_of: a}}}", "member of itself"),
        ("rolecall: {roles: {'': {}}}", "1 to 255"),
        ("rolecall: {roles: {a: {longest_life: 1 day}}}", "name its \"server\""),
        ("rolecall: {default_roles: openflo}", "did you mean \"openflow\"?"),
        ("rolecall: {servers: {a: {}}}", "\"scopes\" is missing"),
        ("rolecall: {servers: {a: {scopes: []}}}", "at least one scope"),
        ("rolecall: {tables: {a.b: {exposed: true}}}", "can be exposed"),
        ("rolecall: {work_queues: {a: {}}}", "\"pool\" is missing"),
        ("rolecall: {work_queues: {a: {pool: b, max_retries: 0}}}", "must be 1 or more"),
        ("rolecall: {work_queues: {a: {pool: b, retry_delay: 5}}}", "put it in quotes"),
        ("rolecall: {work_queues: {a: {pool: b, failed_queue: a}}}", "cannot copy to itself"),
        ("rolecall: {work_queues: {a: {pool: b, sucess_queue: c}}}", "did you mean \"success_queue\"?"),
        ("rolecall: {work_queues: {'': {pool: b}}}", "1 to 255"),
        ("rolecall: {tables: {notes: {}}}", "write schema.table"),
        ("rolecall: {tables: {a.b.c: {}}}", "write schema.table"),
        ("rolecall: {tables: {a.b: {}, '\"a\".b': {}}}", "twice"),
        ("rolecall: {tables: {a.b: {relations: {c: {columns: d, other_columns: e}}}}}", "\"other\" is missing"),
        (
            "rolecall: {tables: {a.b: {relations: {c: {other: a.d, columns: d, other_columns: e, through: a.f}}}}}",
            "\"through_columns\" is missing",
        ),
    ];
    for (text, message) in cases {
        assert!(told(text).contains(message), "{text}: {}", told(text));
    }
    let entries = [
        ("role: a", "\"action\" is missing"),
        ("role: [], action: all", "at least one role"),
        ("role: a, action: all, filter: ", "found nothing"),
        ("role: a, action: all, filter: [x]", "expected a mapping"),
        ("role: a, action: all, columns: []", "names no column"),
        ("role: a, action: delete, columns: x", "deleted as a whole"),
        ("role: a, action: [select, delete], preset: {x: 1}", "goes with insert"),
        ("role: a, action: select, new_row: {}", "goes with insert"),
        ("role: a, action: all, filter: {x: {equals: .inf}}", "non-finite"),
        ("role: a, action: all, filter: {x: {equals: 1.2345678901234567}}", "not read exactly"),
        ("role: a, action: all}, {role: [b, a], action: select", "what \"a\" may select is said twice"),
    ];
    for (text, message) in entries {
        assert!(told(&entry(text)).contains(message), "{text}: {}", told(&entry(text)));
    }
}

#[test]
fn a_database_may_have_its_own_part() {
    let spec =
        Spec::parse("rolecall: {roles: [a, c]}\ndatabases: {d: {rolecall: {roles: {a: {scopes: x}}, tables: {}}}}");
    let spec = spec.unwrap();
    let mut both = spec.here.access.unwrap();
    both.extend(spec.databases["d"].access.clone().unwrap());
    let roles = both.roles.unwrap();
    assert!(roles["a"].scopes.is_some() && roles.contains_key("c"));
    assert!(both.tables.is_some() && both.servers.is_none());
}

proptest! {
    #[test]
    fn names_of_tables_are_read_as_they_are_shown(schema in "[a-zA-Z.\" é]{1,6}", name in "[a-zA-Z.\" é]{1,6}") {
        let table = TableName { schema, name };
        prop_assert_eq!(TableName::parse(&table.to_string()), Some(table.clone()));
        prop_assert_eq!(TableName::parse(&table.sql()), Some(table));
    }

    /// Whatever is in the text, the answer is a spec or an error.
    #[test]
    fn no_text_makes_it_panic(text in "(roles|tables|a\\.b|permissions|role|action|filter|all|[-\\[\\]{}:, \n'\"0-9.]){0,30}") {
        let _ = Spec::parse(&format!("rolecall: {{{text}}}"));
    }
}
