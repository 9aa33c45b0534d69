//! A random spec, in the explicit form.

use crate::provisioner_random_present::{
    COLUMNS, Choices, GLOBALS, NEW_ROLES, NEW_SCHEMAS, ROLES, SCHEMAS, SUPERUSERS, THINGS, Thing, grantees, privileges,
};
use serde_json::{Map, Value, json};

/// The numbers that make a spec, part by part, so that it shrinks part by part.
pub type Parts = [Vec<Vec<u16>>; 6];

/// Every role, group before members.
fn roles() -> Vec<&'static str> {
    ROLES.iter().chain(NEW_ROLES).copied().collect()
}

/// The spec of these numbers.
pub fn spec([grants, memberships, roles, defaults, schemas, manage]: &Parts) -> Value {
    let mut spec = Map::new();
    let mut declared: Map<String, Value> = roles.iter().map(|numbers| role(&mut Choices(numbers.iter()))).collect();
    // A role that is not there yet must be declared to be named.
    for name in NEW_ROLES {
        declared.entry(*name).or_insert_with(|| json!({}));
    }
    spec.insert("roles".into(), declared.into());
    let each = |part: &[Vec<u16>], make: fn(&mut Choices<'_>) -> Value| -> Value {
        part.iter().map(|numbers| make(&mut Choices(numbers.iter()))).collect()
    };
    let mut pairs = Vec::new();
    let mut memberships = each(memberships, membership);
    let list = memberships.as_array_mut().expect("a list");
    list.retain(|entry| {
        let pair = (entry["role"].clone(), entry["member"].clone());
        let is_new = !pairs.contains(&pair);
        pairs.push(pair);
        is_new
    });
    spec.insert("memberships".into(), memberships);
    spec.insert("grants".into(), each(grants, grant));
    spec.insert("default_privileges".into(), each(defaults, default_privilege));
    if !schemas.is_empty() {
        let made = schemas.iter().map(|numbers| schema(&mut Choices(numbers.iter())));
        spec.insert("schemas".into(), Value::Object(made.collect()));
        spec.insert("templates".into(), templates(&mut Choices(schemas[0].iter())));
        if schemas.len() == 2 {
            spec.insert("role_name".into(), json!("{template} of {schema}"));
        }
    }
    if let Some(numbers) = manage.first() {
        spec.insert("manage".into(), manage_entry(&mut Choices(numbers.iter())));
    }
    Value::Object(spec)
}

fn role(choices: &mut Choices<'_>) -> (String, Value) {
    let name = choices.pick(&roles());
    let mut options = Map::new();
    let mut put = |key: &str, value: Value| options.insert(key.to_owned(), value);
    for key in ["login", "createdb", "createrole", "inherit", "replication", "bypassrls", "superuser"] {
        match choices.of(if key == "superuser" && !SUPERUSERS.contains(&name) { 1 } else { 6 }) {
            4 => put(key, json!(true)),
            5 => put(key, json!(false)),
            _ => None,
        };
    }
    match choices.of(8) {
        1 => put("connection_limit", json!(i32::try_from(choices.of(4)).expect("small") - 1)),
        2 => put(
            "valid_until",
            [json!("2031-06-01T17:30:00+05:30"), json!("infinity"), json!(null)][choices.of(3)].clone(),
        ),
        3 => put("comment", [json!("it's"), json!("a: {b} \\ \"\n'"), json!("")][choices.of(3)].clone()),
        4 => put("config", json!({"work_mem": "8MB", "search_path": ["shop", "A.b \"c\""]})),
        5 => put("config", json!({"my.setting": "it's \\ odd", "enable_seqscan": false, "statement_timeout": 5000})),
        _ => None,
    };
    (name.to_owned(), options.into())
}

fn membership(choices: &mut Choices<'_>) -> Value {
    let roles = roles();
    let member = 1 + choices.of(roles.len() - 1);
    let mut entry = json!({"role": roles[choices.of(member)], "member": roles[member]});
    match choices.of(4) {
        1 => entry["admin"] = json!(true),
        2 => entry["admin"] = json!(false),
        _ => {}
    }
    entry
}

/// One name or several, as a text or as a list.
fn one_or_more(names: Vec<&str>) -> Value {
    match names.as_slice() {
        [one] => json!(one),
        _ => json!(names),
    }
}

/// Words for what a thing is, the finest first.
fn words(thing: &Thing) -> Vec<&'static str> {
    match thing.sql {
        "TABLE" => vec![thing.word, "relation"],
        "ROUTINE" => vec![thing.word, "routine"],
        _ => vec![thing.word],
    }
}

fn chosen_privileges(choices: &mut Choices<'_>, word: &str) -> Value {
    match choices.of(6) {
        4 => json!("ALL"),
        5 => json!(choices.some(privileges(word), 3).join(", ")),
        _ => json!(choices.some(privileges(word), 3)),
    }
}

fn grant(choices: &mut Choices<'_>) -> Value {
    let mut to = choices.some(&grantees(&roles()), 3);
    let mut entry = Map::new();
    let word = match choices.of(8) {
        0 => {
            let names = if choices.one_in(4) { vec!["*"] } else { choices.some(&[SCHEMAS, NEW_SCHEMAS].concat(), 2) };
            let names: Vec<&str> = names.into_iter().filter(|name| !NEW_SCHEMAS.contains(name)).collect();
            let names = if names.is_empty() { vec!["shop"] } else { names };
            entry.insert("on".into(), json!({"type": "schema", "name": one_or_more(names)}));
            "schema"
        }
        1 => {
            let global = GLOBALS[choices.of(GLOBALS.len())];
            let on = if global.word == "database" {
                json!({"type": "database"})
            } else {
                json!({"type": global.word, "name": global.name})
            };
            entry.insert("on".into(), on);
            global.word
        }
        2 => columns(choices, &mut entry),
        _ => in_schema(choices, &mut entry),
    };
    entry.insert("privileges".into(), chosen_privileges(choices, word));
    if choices.one_in(4) {
        entry.insert("ensure".into(), json!("absent"));
    } else if choices.one_in(3) {
        to.retain(|to| *to != "PUBLIC");
        entry.insert("grant_option".into(), json!(true));
    }
    if to.is_empty() {
        to.push("alice");
    }
    entry.insert("to".into(), one_or_more(to));
    entry.into()
}

fn columns(choices: &mut Choices<'_>, entry: &mut Map<String, Value>) -> &'static str {
    let relations: Vec<&Thing> = THINGS.iter().filter(|thing| thing.sql == "TABLE").collect();
    let (schema, relation) = (choices.pick(SCHEMAS), choices.pick(&relations));
    let columns = choices.some(COLUMNS, 2);
    let on = if choices.of(2) == 0 {
        json!({"type": "column", "schema": schema, "table": relation.name, "name": columns})
    } else {
        json!({"type": relation.word, "schema": schema, "name": relation.name, "columns": columns})
    };
    entry.insert("on".into(), on);
    "column"
}

fn in_schema(choices: &mut Choices<'_>, entry: &mut Map<String, Value>) -> &'static str {
    let thing = THINGS[choices.of(THINGS.len())];
    let words = words(&thing);
    let word = words[choices.of(words.len())];
    let schema = match choices.of(4) {
        0 => json!("*"),
        1 => json!(choices.some(SCHEMAS, 2)),
        _ => json!(choices.pick(SCHEMAS)),
    };
    let signature = thing.arguments.map(|arguments| format!("{}({arguments})", thing.name));
    // A name in every schema would have to be in every schema.
    let name = match choices.of(if schema == "*" { 2 } else { 3 }) {
        0 => "*".to_owned(),
        1 => choices.pick(&["o*", "*e*", "F*", "*r*s"]).to_owned(),
        _ if choices.of(2) == 0 => signature.clone().unwrap_or(thing.name.to_owned()),
        _ => thing.name.to_owned(),
    };
    if choices.one_in(3) {
        // Nor can a signature be looked for in schemas that are not named.
        let by_signature = signature.filter(|_| schema != "*" && choices.of(2) == 0);
        let name = by_signature.unwrap_or_else(|| choices.pick(&[thing.name, "*d*"]).to_owned());
        entry.insert("except".into(), json!([name]));
    }
    entry.insert("on".into(), json!({"type": word, "schema": schema, "name": name}));
    word
}

fn default_privilege(choices: &mut Choices<'_>) -> Value {
    let owner = match choices.of(4) {
        0 => json!({"members_of": choices.pick(ROLES)}),
        1 => json!(choices.some(&roles(), 2)),
        _ => json!(choices.pick(&roles())),
    };
    let word = choices.pick(&["table", "sequence", "function", "type", "schema"]);
    let mut to = choices.some(&grantees(&roles()), 2);
    let mut entry = json!({"owner": owner, "on": word, "privileges": chosen_privileges(choices, word)});
    if word == "schema" || choices.of(3) == 0 {
        entry["scope"] = json!("global");
    } else {
        entry["schema"] = json!(choices.pick(SCHEMAS));
    }
    let in_schema = entry.get("schema").is_some();
    if choices.one_in(4) {
        // What PUBLIC has by default cannot be taken away in one schema: the reader of specs refuses it.
        to.retain(|to| *to != "PUBLIC" || !in_schema);
        entry["ensure"] = json!("absent");
    } else if choices.one_in(5) {
        to.retain(|to| *to != "PUBLIC");
        entry["grant_option"] = json!(true);
    }
    if to.is_empty() {
        to.push("a.b");
    }
    entry["to"] = json!(to);
    entry
}

fn schema(choices: &mut Choices<'_>) -> (String, Value) {
    let name = choices.pick(&[SCHEMAS, NEW_SCHEMAS].concat());
    let mut entry = json!({"owner": choices.pick(&roles())});
    if choices.of(2) == 0 {
        entry["creators"] = json!(choices.some(&roles(), 2));
    }
    match choices.of(3) {
        0 => entry["templates"] = json!(choices.some(&["reader", "writer", "maker"], 2)),
        1 => entry["templates"] = json!({"writer": choices.some(&grantees(&roles()), 2)}),
        _ => {}
    }
    (name.to_owned(), entry)
}

fn templates(choices: &mut Choices<'_>) -> Value {
    let mut given = |words: &[&str]| -> Value {
        let one = |choices: &mut Choices<'_>| {
            let word = choices.pick(words);
            json!([choices.some(privileges(word), 2), word])
        };
        (0..=choices.of(3)).map(|_| one(choices)).collect()
    };
    let all = ["table", "relation", "sequence", "function", "type", "schema"];
    let (mine, except) = (given(&all), json!({"privileges": "SELECT", "on": "table", "except": ["orders", "*é"]}));
    json!({
        "reader": {"grants": [except, ["USAGE", "schema"]], "default_privileges": given(&all[..5])},
        "writer": {"inherits": "reader", "grants": mine, "default_privileges": given(&all[..5])},
        "maker": {"inherits": ["writer"], "grants": [["CREATE", "schema"]]},
    })
}

fn manage_entry(choices: &mut Choices<'_>) -> Value {
    let mut entry = Map::new();
    match choices.of(3) {
        1 => entry.insert("roles".into(), json!(["*"])),
        2 => entry.insert("roles".into(), json!(choices.some(&["a*", "yes", "*{*", "*_*", "new one"], 4))),
        _ => None,
    };
    match choices.of(3) {
        1 => entry.insert("schemas".into(), json!(["*"])),
        2 => entry.insert("schemas".into(), json!(choices.some(&["s*", "A.b \"c\"", "new*"], 3))),
        _ => None,
    };
    if choices.one_in(2) {
        entry.insert("ignore".into(), json!(choices.some(&["postgres", "*ü*", "alice"], 3)));
    }
    match choices.of(4) {
        2 => entry.insert("undeclared".into(), json!("report")),
        3 => entry.insert("undeclared".into(), json!("revoke")),
        _ => None,
    };
    entry.into()
}
