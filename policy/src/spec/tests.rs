//! What a spec may say, and what it is told when it says something else.

use super::*;
use proptest::prelude::*;

fn error(text: &str) -> SpecError {
    match Spec::parse(text).and_then(|spec| spec.expand()) {
        Ok(desired) => panic!("{text} was accepted: {desired:?}"),
        Err(error) => error,
    }
}

fn desired(text: &str) -> Desired {
    Spec::parse(text).and_then(|spec| spec.expand()).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// Message and hint in one.
fn told(text: &str) -> String {
    let error = error(text);
    format!("{error}; {}", error.hint.clone().unwrap_or_default())
}

#[test]
fn an_unknown_key_is_named_with_its_line_and_the_nearest_known_one() {
    let text = "roles:\n  a: {}\ngrants:\n  - to: a\n    privilegs: SELECT\n    on: {type: database}\n";
    assert_eq!(told(text), "line 5: grants[0]: unknown key \"privilegs\"; did you mean \"privileges\"?");
    let text = "roles:\n  a:\n    login: true\n    creatdb: true\n";
    assert_eq!(told(text), "line 4: roles.a: unknown key \"creatdb\"; did you mean \"createdb\"?");
    assert!(told("rolse: {}").contains("did you mean \"roles\"?"));
    assert!(told("xyzzy: 1").contains("known here: version"));
    assert!(told("grants: [{to: a, privileges: SELCT, on: {type: table, schema: s, name: t}}]").contains("\"SELECT\""));
    assert!(told("grants: [{to: a, privileges: SELECT, on: {type: tabel, schema: s, name: t}}]").contains("\"table\""));
    assert!(told("templates: {reader: {}}\nschemas: {s: {owner: o, templates: [raeder]}}").contains("\"reader\""));
}

#[test]
fn short_forms_mean_what_the_long_ones_mean() {
    let same = |short: &str, long: &str| {
        let written = |text: &str| {
            let text = format!("{:?}", desired(text));
            // Where it stands differs.
            let mut parts = text.split("At { line: ");
            let head = parts.next().unwrap_or_default().to_owned();
            parts.fold(head, |sum, part| sum + part.split_once('}').map_or(part, |(_, rest)| rest))
        };
        assert_eq!(written(short), written(long), "{short}");
    };
    let grant = |on: &str| format!("grants: [{{to: a, privileges: SELECT, on: {on}}}]");
    same(&grant("table shop.orders"), &grant("{type: table, schema: shop, name: orders}"));
    same(&grant("'tables shop.*'"), &grant("{type: table, schema: shop, name: '*'}"));
    same(&grant("column shop.orders.note"), &grant("{type: column, schema: shop, table: orders, name: note}"));
    same(
        &grant("'table \"My.Shop\".\"a*b\"'").replace("a*b", "ab"),
        &grant("{type: table, schema: My.Shop, name: ab}"),
    );
    let grant = |privilege: &str, on: &str| format!("grants: [{{to: a, privileges: {privilege}, on: {on}}}]");
    same(&grant("CONNECT", "database"), &grant("CONNECT", "{type: database}"));
    same(&grant("USAGE", "schema shop"), &grant("USAGE", "{type: schema, name: shop}"));
    same(
        &grant("EXECUTE", "'function s.f(int, text)'"),
        &grant("EXECUTE", "{type: function, schema: s, name: 'f(int, text)'}"),
    );
    same(&grant("SET", "parameter my.setting"), &grant("SET", "{type: parameter, name: my.setting}"));
    same(
        "roles: {a: {grants: [[SELECT, table s.t], {privileges: USAGE, on: schema s, ensure: absent}]}}",
        "roles: {a: {}}\ngrants: [{to: a, privileges: SELECT, on: {type: table, schema: s, name: t}}, \
         {to: a, privileges: USAGE, on: {type: schema, name: s}, ensure: absent}]",
    );
    let schemas = "templates: {r: {default_privileges: [[SELECT, table]]}}\nschemas: {s: {TEMPLATES}, t: {TEMPLATES}}";
    let long = schemas.replace("TEMPLATES", "creators: [a, {members_of: b}], templates: {r: c}");
    same(&(schemas.replace("TEMPLATES", "templates: {r: c}") + "\ncreators: [a, {members_of: b}]"), &long);
    same(
        &(schemas.replace("TEMPLATES", "templates: {r: c}")
            + "\ncreators: {s: [a, {members_of: b}], t: [a, {members_of: b}]}"),
        &long,
    );
    same("retire: [a, b]", "retire: {a: {}, b: {}}");
    for (short, long) in [
        ("revoke", "{privileges: revoke, members: revoke}"),
        ("[drop, owner]", "{roles: drop, owners: change}"),
        ("report", "{privileges: report}"),
    ] {
        same(&format!("manage: {{undeclared: {short}}}"), &format!("manage: {{undeclared: {long}}}"));
    }
}

#[test]
fn values_of_the_wrong_shape_are_refused() {
    let cases = [
        ("roles: {a: {login: maybe}}", "expected true or false, found text"),
        ("roles: {a: {login: 1}}", "expected true or false, found a number"),
        ("roles: {a: {comment: 17}}", "put it in quotes"),
        ("roles: {a: {connection_limit: 1.5}}", "not a whole number"),
        ("roles: {a: {connection_limit: 99999999999}}", "not a whole number in range"),
        ("roles: 3", "expected a mapping"),
        ("grants: {to: a}", "expected a list"),
        ("version: 2", "only version 1"),
        ("roles: {public: {}}", "reserves"),
        ("roles: {pg_mine: {}}", "reserves"),
        ("roles: {\"\": {}}", "1 to 63 bytes"),
        ("roles: {a: {member_of: [{role: a}]}}", "member of itself"),
        ("roles: {a: {member_of: b}, b: {member_of: c}, c: {member_of: a}}", "already"),
        ("roles: {a: {grants: [[SELECT]]}}", "[PRIVILEGES, OBJECTS]"),
        ("retire: {a: {reassign_to: a}}", "its own heir"),
        ("retire: {a: {reassign_to: b}, b: {}}", "shall be gone too"),
        ("retire: [pg_monitor]", "reserves"),
        ("owners: [{owner: a, on: {type: parameter, name: work_mem}}]", "has no owner"),
        ("owners: [{owner: a, on: column s.t.c}]", "has no owner"),
        ("roles: {a: {password: hunter2}}", "does not belong into the spec"),
        ("roles: {a: {}, a: {}}", "duplicate"),
        ("roles: {a: {", "line 1"),
        ("grants: [{to: [], privileges: CREATE, on: {type: database}}]", "at least one role"),
        ("grants: [{to: a, privileges: [], on: {type: database}}]", "at least one privilege"),
        ("grants: [{to: a, privileges: EXECUTE, on: {type: database}}]", "there is no privilege EXECUTE on a database"),
        ("grants: [{to: a, privileges: SELECT, on: {type: table, name: t}}]", "\"schema\" is missing"),
        ("grants: [{to: a, privileges: SELECT, on: {type: table, schema: s}}]", "\"name\" is missing"),
        ("grants: [{to: a, privileges: CREATE, on: {type: database, schema: s}}]", "does not lie in a schema"),
        (
            "grants: [{to: a, privileges: DELETE, on: {type: table, schema: s, name: t, columns: c}}]",
            "there are: SELECT",
        ),
        ("grants: [{to: PUBLIC, privileges: CREATE, on: {type: database}, grant_option: true}]", "PUBLIC cannot"),
        ("default_privileges: [{owner: o, on: table, to: a, privileges: SELECT}]", "\"scope: global\""),
        ("default_privileges: [{owner: o, scope: here, on: table, to: a, privileges: SELECT}]", "unknown word"),
        ("default_privileges: [{owner: o, schema: s, on: database, to: a, privileges: ALL}]", "no default privileges"),
        ("templates: {a: {inherits: b}, b: {inherits: a}}", "inherits from itself"),
        ("templates: {a: {grants: [[CONNECT, database]]}}", "not about a database"),
        ("templates: {a: {default_privileges: [[SELECT, table]]}}\nschemas: {s: {templates: [a]}}", "future objects"),
        ("role_name: '{shcema}'", "placeholders"),
        ("manage: {undeclared: shred}", "unknown word"),
    ];
    for (text, message) in cases {
        assert!(told(text).contains(message), "{text}: {}", told(text));
    }
}

#[test]
fn a_password_in_the_spec_is_not_repeated() {
    assert!(!told("roles: {a: {password: hunter2}}").contains("hunter2"));
}

/// PostgreSQL only adds default privileges in a schema: PUBLIC's built-in ones can be taken away globally alone.
#[test]
fn absence_that_cannot_come_true_is_refused() {
    let entry = |place: &str| {
        format!(
            "default_privileges: [{{owner: o, {place}, on: function, to: PUBLIC, privileges: EXECUTE, ensure: absent}}]"
        )
    };
    assert!(told(&entry("schema: s")).contains("cannot be taken away in one schema"));
    assert_eq!(desired(&entry("scope: global")).here.default_privileges.len(), 1);
}

#[test]
fn json_is_read_as_yaml_is() {
    let yaml = desired("roles: {a: {login: true}}\ngrants:\n- {to: a, privileges: USAGE, on: {type: schema, name: s}}");
    let json = desired(
        r#"{"roles": {"a": {"login": true}},
            "grants": [{"to": "a", "privileges": ["USAGE"], "on": {"type": "schema", "name": "s"}}]}"#,
    );
    assert_eq!(yaml.roles, json.roles);
    assert_eq!(yaml.here.grants[0].on, json.here.grants[0].on);
    assert_eq!(desired(r#"{"roles": {"R\u00e9\ud83d\ude00": {}}}"#).roles.keys().next().unwrap(), "Ré😀");
}

#[test]
fn lists_may_be_single_values_and_privileges_one_text() {
    let grant = |text: &str| desired(text).here.grants[0].clone();
    let short = grant("grants: [{to: a, privileges: 'insert, SELECT', on: {type: tables, schema: s, name: t}}]");
    let long = grant("grants: [{to: [a], privileges: [SELECT, INSERT], on: {type: table, schema: [s], name: [t]}}]");
    assert_eq!((short.to, short.privileges, short.on), (long.to, long.privileges, long.on));
}

#[test]
fn a_template_in_a_list_makes_roles_and_in_a_mapping_gives_to_roles() {
    let templates = "templates: {r: {grants: [[USAGE, schema]], default_privileges: [[SELECT, table]]},
                                 w: {inherits: r, grants: [[INSERT, table]]}}\n";
    let made = desired(&format!("{templates}schemas: {{s: {{owner: o, templates: [w]}}}}"));
    assert_eq!(made.roles.keys().collect::<Vec<_>>(), ["s_r", "s_w"]);
    assert_eq!((made.memberships[0].role.as_str(), made.memberships[0].member.as_str()), ("s_r", "s_w"));
    let given = desired(&format!("{templates}schemas: {{s: {{owner: o, templates: {{w: [a, PUBLIC]}}}}}}"));
    assert!(given.roles.is_empty() && given.memberships.is_empty());
    let to = vec![Grantee::Role("a".into()), Grantee::Public];
    assert_eq!(given.here.grants.iter().map(|grant| &grant.to).collect::<Vec<_>>(), [&to, &to]);
    assert_eq!(given.here.default_privileges[0].creator, Creator::Role("o".into()));
}

#[test]
fn without_creators_they_are_whom_the_spec_lets_create() {
    let text = "templates: {r: {default_privileges: [[SELECT, table]]}, m: {grants: [[CREATE, schema]]}}
schemas: {s: {owner: o, templates: {r: a, m: maker}}}
grants: [{to: robot, privileges: 'USAGE, CREATE', on: {type: schema, name: s}},
         {to: other, privileges: CREATE, on: {type: schema, name: elsewhere}},
         {to: former, privileges: CREATE, on: {type: schema, name: s}, ensure: absent}]";
    let creators: Vec<Creator> =
        desired(text).here.default_privileges.into_iter().map(|default| default.creator).collect();
    assert_eq!(creators, ["maker", "o", "robot"].map(|name| Creator::Role(name.into())));
}

#[test]
fn role_names_are_put_together_in_one_pass() {
    let text = "templates: {r: {grants: [[USAGE, schema]]}}\nrole_name: '{template}.{schema}'\n\
                schemas: {'{template}': {templates: [r]}}";
    assert_eq!(desired(text).roles.keys().collect::<Vec<_>>(), ["r.{template}"]);
    let long = format!("templates: {{r: {{}}}}\nschemas: {{{}: {{templates: [r]}}}}", "s".repeat(62));
    assert!(told(&long).contains("cannot be called"));
}

#[test]
fn the_same_membership_twice_is_one_and_a_contradiction_is_an_error() {
    let twice = "roles: {a: {member_of: g}, g: {}}\nmemberships: [{role: g, member: a}]";
    assert_eq!(desired(twice).memberships.len(), 1);
    assert!(
        told("roles: {a: {member_of: g}, g: {}}\nmemberships: [{role: g, member: a, admin: true}]").contains("twice")
    );
}

#[test]
fn signatures_are_told_from_names() {
    assert_eq!(Pattern::new("f(int, text)").signature(), ("f", Some("int, text")));
    assert_eq!(Pattern::new("f()").signature(), ("f", Some("")));
    assert_eq!(Pattern::new("f").signature(), ("f", None));
    assert_eq!(Pattern::new("f(x)(numeric(10,2))").signature(), ("f(x)", Some("numeric(10,2)")));
    assert_eq!(Pattern::new("f(\"a(\"\"b\", text)").signature(), ("f", Some("\"a(\"\"b\", text")));
    assert_eq!(Pattern::new("f)").signature(), ("f)", None));
}

#[test]
fn a_star_after_a_backslash_is_a_star() {
    assert_eq!(Pattern::new("a\\*"), Pattern::literal("a*"));
    assert_eq!(Pattern::new("a\\b\\"), Pattern::literal("a\\b\\"));
    let pattern = Pattern::new("\\**\\\\");
    assert!(pattern.matches("*x\\") && pattern.matches("*\\") && !pattern.matches("x\\") && !pattern.matches("*x"));
}

/// Wildcards by the book: a table of which prefixes match which, instead of searching for pieces.
fn matches_slowly(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let mut table = vec![vec![false; name.len() + 1]; pattern.len() + 1];
    table[0][0] = true;
    for p in 1..=pattern.len() {
        for n in 0..=name.len() {
            table[p][n] = if pattern[p - 1] == '*' {
                table[p - 1][n] || n > 0 && table[p][n - 1]
            } else {
                n > 0 && table[p - 1][n - 1] && pattern[p - 1] == name[n - 1]
            };
        }
    }
    table[pattern.len()][name.len()]
}

fn privileges() -> impl Strategy<Value = Privileges> {
    prop::collection::vec(prop::sample::select(Privileges::KNOWN), 0..6)
        .prop_map(|some| some.iter().fold(Privileges::NONE, |sum, one| sum | one.set))
}

proptest! {
    #[test]
    fn patterns_match_as_wildcards_do(pattern in "[ab*]{0,8}", name in "[ab]{0,10}") {
        prop_assert_eq!(Pattern::new(pattern.clone()).matches(&name), matches_slowly(&pattern, &name));
    }

    #[test]
    fn a_literal_matches_itself_alone(name in "[ab*]{0,6}", other in "[ab*]{0,6}") {
        prop_assert_eq!(Pattern::literal(name.clone()).matches(&other), name == other);
    }

    #[test]
    fn an_escaped_name_means_that_name(name in r"[ab*\\]{0,8}") {
        prop_assert_eq!(Pattern::new(Pattern::escape(&name)), Pattern::literal(name));
    }

    #[test]
    fn words_and_letters_name_every_set(set in privileges()) {
        let words = set.words().into_iter().filter_map(Privileges::from_word);
        prop_assert_eq!(words.fold(Privileges::NONE, |sum, one| sum | one), set);
        let letters = Privileges::KNOWN.iter().filter(|known| set.contains(known.set)).map(|known| known.letter);
        prop_assert_eq!(letters.filter_map(Privileges::from_letter).fold(Privileges::NONE, |sum, one| sum | one), set);
    }

    #[test]
    fn sets_are_sets(a in privileges(), b in privileges()) {
        prop_assert_eq!((a - b) | (a & b), a);
        prop_assert!(((a - b) & b).is_empty());
        prop_assert_eq!(a.contains(b), (b - a).is_empty());
    }

    /// Whatever is in the text, the answer is a spec or an error.
    #[test]
    fn no_text_makes_it_panic(text in "(roles|grants|on|to|a|\\*|[-\\[\\]{}:, \n'\"&#!|>0-9]){0,40}") {
        let _ = Spec::parse(&text).and_then(|spec| spec.expand());
    }
}

/// A filter as deep as filters may be is read, and text that nests without end does not take the program down.
#[test]
fn text_nests_as_deep_as_filters() {
    for text in ["[".repeat(3000), "{a: ".repeat(3000), "- ".repeat(3000)] {
        assert_eq!(Spec::parse(&text).unwrap_err().to_string(), "line 1: it nests deeper than 80 levels");
    }
    let levels = crate::filter::MAX_DEPTH - 1;
    let filter = format!("{}{{}}{}", "{AND: [".repeat(levels), "]}".repeat(levels));
    let permission = format!("{{role: r, action: select, filter: {filter}}}");
    Spec::parse(&format!("rolecall: {{roles: {{r: }}, tables: {{s.t: {{permissions: [{permission}]}}}}}}")).unwrap();
}
