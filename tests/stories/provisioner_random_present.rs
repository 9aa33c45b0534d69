//! A random present state: what there always is, in whose hands, and what else happened.

use std::iter;

/// Numbers that decide; none left, it is always the first choice.
pub struct Choices<'a>(pub std::slice::Iter<'a, u16>);

impl Choices<'_> {
    pub fn of(&mut self, count: usize) -> usize {
        self.0.next().map_or(0, |number| usize::from(*number) % count)
    }

    pub fn pick<'b, T: ?Sized>(&mut self, list: &[&'b T]) -> &'b T {
        list[self.of(list.len())]
    }

    /// True in one of `count` cases, but never without numbers.
    pub fn one_in(&mut self, count: usize) -> bool {
        self.of(count) == count - 1
    }

    /// Up to `most` different ones, at least one.
    pub fn some<'b>(&mut self, list: &[&'b str], most: usize) -> Vec<&'b str> {
        let mut chosen: Vec<&str> = (0..=self.of(most)).map(|_| self.pick(list)).collect();
        chosen.sort_unstable();
        chosen.dedup();
        chosen
    }
}

/// Roles that are there, under names that look like SQL, ACLs, YAML and paths.
pub const ROLES: &[&str] = &[
    "alice",
    "Bob \"B\"",
    "a.b",
    "ünï cödé",
    "back\\slash",
    "yes",
    "- x: {y}",
    "r=w/o,{}",
    "st*r",
    "null",
    "two\nlines",
];

/// Roles that may be superusers. They pass nothing on: what a role granted before it became one, nobody can revoke, since
/// then it acts as the owner.
pub const SUPERUSERS: &[&str] = &["two\nlines", "12"];

/// Roles that only a spec makes.
pub const NEW_ROLES: &[&str] = &["new one", "12", "Ne\"w"];

pub const SCHEMAS: &[&str] = &["shop", "A.b \"c\"", "ü \\ x"];

/// Schemas that only a spec makes.
pub const NEW_SCHEMAS: &[&str] = &["new: schema", "1"];

/// Columns of every relation.
pub const COLUMNS: &[&str] = &["id", "note", "Col \"x\",y"];

/// The large object that there is.
pub const LARGE_OBJECT: &str = "4711";

/// Something that can be granted on.
#[derive(Clone, Copy)]
pub struct Thing {
    /// Its type in a spec.
    pub word: &'static str,
    /// Its type in GRANT.
    pub sql: &'static str,
    pub name: &'static str,
    /// Argument types of a routine.
    pub arguments: Option<&'static str>,
    /// How it is made: `@` stands for its quoted name, `#` for the columns and `?` for a query of them.
    pub create: &'static str,
}

const fn thing(word: &'static str, sql: &'static str, name: &'static str, create: &'static str) -> Thing {
    Thing { word, sql, name, arguments: None, create }
}

const fn routine(word: &'static str, name: &'static str, arguments: &'static str, create: &'static str) -> Thing {
    Thing { word, sql: "ROUTINE", name, arguments: Some(arguments), create }
}

const COLUMN_LIST: &str = "(id int, note text, \"Col \"\"x\"\",y\" int)";
const COLUMN_QUERY: &str = "SELECT 1 AS id, 'n' AS note, 2 AS \"Col \"\"x\"\",y\"";

/// What lies in every schema.
pub const THINGS: &[Thing] = &[
    thing("table", "TABLE", "orders", "CREATE TABLE @ #"),
    thing("table", "TABLE", "Odd.T \\\"é", "CREATE TABLE @ #"),
    thing("table", "TABLE", "parted", "CREATE TABLE @ # PARTITION BY LIST (id)"),
    thing("view", "TABLE", "a view", "CREATE VIEW @ AS ?"),
    thing("materialized_view", "TABLE", "mat", "CREATE MATERIALIZED VIEW @ AS ?"),
    thing("foreign_table", "TABLE", "foreign", "CREATE FOREIGN TABLE @ # SERVER \"The Server\""),
    thing("sequence", "SEQUENCE", "numbers", "CREATE SEQUENCE @"),
    thing("sequence", "SEQUENCE", "Seq 1", "CREATE SEQUENCE @"),
    routine("function", "f", "integer", "CREATE FUNCTION @(integer) RETURNS int LANGUAGE sql AS 'SELECT 1'"),
    routine("function", "f", "text", "CREATE FUNCTION @(text) RETURNS int LANGUAGE sql AS 'SELECT 1'"),
    routine("function", "F\"n", "", "CREATE FUNCTION @() RETURNS int LANGUAGE sql AS 'SELECT 1'"),
    routine("function", "agg", "integer", "CREATE AGGREGATE @(integer) (SFUNC = int4pl, STYPE = int)"),
    routine("procedure", "proc", "", "CREATE PROCEDURE @() LANGUAGE sql AS 'SELECT 1'"),
    thing("type", "TYPE", "mood", "CREATE TYPE @ AS ENUM ('good', 'bad')"),
    thing("type", "TYPE", "pair", "CREATE TYPE @ AS (a int, b int)"),
    thing("type", "TYPE", "span", "CREATE TYPE @ AS RANGE (SUBTYPE = int)"),
    thing("domain", "TYPE", "Dom ain", "CREATE DOMAIN @ AS int"),
];

/// What lies in no schema.
pub const GLOBALS: &[Thing] = &[
    thing("database", "DATABASE", "", ""),
    thing("language", "LANGUAGE", "plpgsql", ""),
    thing("foreign_data_wrapper", "FOREIGN DATA WRAPPER", "The Wrapper", "CREATE FOREIGN DATA WRAPPER @"),
    thing("foreign_server", "FOREIGN SERVER", "The Server", "CREATE SERVER @ FOREIGN DATA WRAPPER \"The Wrapper\""),
    thing("tablespace", "TABLESPACE", "Space 1", ""),
    thing("parameter", "PARAMETER", "work_mem", ""),
    thing("parameter", "PARAMETER", "my.setting", ""),
    thing("large_object", "LARGE OBJECT", LARGE_OBJECT, "SELECT lo_create(4711)"),
];

/// An SQL identifier.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// An SQL string.
pub fn text(value: &str) -> String {
    format!("E'{}'", value.replace('\\', "\\\\").replace('\'', "''"))
}

/// A grantee as SQL writes it.
fn role(name: &str) -> String {
    if name == "PUBLIC" { name.to_owned() } else { quoted(name) }
}

/// The privileges there are on a type of thing.
pub fn privileges(word: &str) -> &'static [&'static str] {
    match word {
        "database" => &["CREATE", "CONNECT", "TEMPORARY"],
        "schema" => &["USAGE", "CREATE"],
        "relation" | "table" | "view" | "materialized_view" | "foreign_table" => {
            &["SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"]
        }
        "column" => &["SELECT", "INSERT", "UPDATE", "REFERENCES"],
        "sequence" => &["USAGE", "SELECT", "UPDATE"],
        "routine" | "function" | "procedure" => &["EXECUTE"],
        "tablespace" => &["CREATE"],
        "parameter" => &["SET", "ALTER SYSTEM"],
        "large_object" => &["SELECT", "UPDATE"],
        _ => &["USAGE"],
    }
}

/// Everybody and PUBLIC.
pub fn grantees(roles: &[&'static str]) -> Vec<&'static str> {
    roles.iter().copied().chain(iter::once("PUBLIC")).collect()
}

/// `thing` in `schema` as GRANT names it.
fn reference(thing: &Thing, schema: &str, database: &str) -> String {
    match (thing.sql, thing.arguments) {
        ("DATABASE", _) => quoted(database),
        ("LARGE OBJECT", _) => thing.name.to_owned(),
        ("PARAMETER", _) => thing.name.split('.').map(quoted).collect::<Vec<_>>().join("."),
        (_, Some(arguments)) => format!("{}.{}({arguments})", quoted(schema), quoted(thing.name)),
        _ if GLOBALS.iter().any(|global| global.name == thing.name) => quoted(thing.name),
        _ => format!("{}.{}", quoted(schema), quoted(thing.name)),
    }
}

/// What there always is, its makers being chosen by `choices`; `early` happens before the things are made, so that
/// default privileges show on them.
pub fn base(choices: &mut Choices<'_>, early: Vec<String>) -> Vec<String> {
    let mut sql: Vec<String> = ROLES.iter().map(|name| format!("CREATE ROLE {}", quoted(name))).collect();
    sql.extend(GLOBALS.iter().map(|global| global.create.replace('@', &quoted(global.name))));
    for schema in SCHEMAS {
        sql.push(format!("CREATE SCHEMA {} AUTHORIZATION {}", quoted(schema), quoted(choices.pick(ROLES))));
    }
    sql.extend(early);
    for schema in SCHEMAS {
        for thing in THINGS {
            let maker = quoted(choices.pick(ROLES));
            let name = format!("{}.{}", quoted(schema), quoted(thing.name));
            let create = thing.create.replace('#', COLUMN_LIST).replace('?', COLUMN_QUERY).replace('@', &name);
            // For the moment the maker is a superuser, so that it may.
            sql.push(format!(
                "ALTER ROLE {maker} SUPERUSER; SET ROLE {maker}; {create}; RESET ROLE; ALTER ROLE {maker} NOSUPERUSER"
            ));
        }
    }
    sql.retain(|statement| !statement.is_empty());
    sql
}

/// Something that sets default privileges.
pub fn default_privileges(choices: &mut Choices<'_>) -> String {
    let creator = quoted(choices.pick(ROLES));
    let (word, sql) = [
        ("table", "TABLES"),
        ("sequence", "SEQUENCES"),
        ("routine", "ROUTINES"),
        ("type", "TYPES"),
        ("schema", "SCHEMAS"),
    ][choices.of(5)];
    let place = match choices.of(3) {
        0 => String::new(),
        _ if word == "schema" => String::new(),
        _ => format!(" IN SCHEMA {}", quoted(choices.pick(SCHEMAS))),
    };
    let privileges = choices.some(privileges(word), 3).join(", ");
    let to = choices.pick(&grantees(ROLES));
    let option = if to != "PUBLIC" && choices.one_in(5) { " WITH GRANT OPTION" } else { "" };
    let (start, to) = (format!("ALTER DEFAULT PRIVILEGES FOR ROLE {creator}{place}"), role(to));
    if choices.one_in(4) {
        format!("{start} REVOKE {privileges} ON {sql} FROM {}", if choices.of(2) == 0 { "PUBLIC" } else { &creator })
    } else {
        format!("{start} GRANT {privileges} ON {sql} TO {to}{option}")
    }
}

/// Something that happened later, in database `database`.
pub fn event(choices: &mut Choices<'_>, database: &str) -> String {
    match choices.of(16) {
        0 => options(choices),
        1 => setting(choices, database),
        2 | 3 => membership(choices),
        4 => owner(choices),
        5 => default_privileges(choices),
        6 | 7 => column_grant(choices),
        _ => grant(choices, database),
    }
}

fn options(choices: &mut Choices<'_>) -> String {
    let role = quoted(choices.pick(ROLES));
    match choices.of(5) {
        0 => format!("COMMENT ON ROLE {role} IS {}", text(choices.pick(&["it's", "a \\ \"b\"", "ü\nz"]))),
        1 => format!("ALTER ROLE {role} CONNECTION LIMIT {}", choices.of(3)),
        2 => format!("ALTER ROLE {role} VALID UNTIL '{}'", choices.pick(&["infinity", "2031-06-01 12:00:00+00"])),
        3 => format!("ALTER ROLE {} SUPERUSER", quoted(SUPERUSERS[0])),
        _ => {
            let words = ["LOGIN", "CREATEDB", "CREATEROLE", "NOINHERIT", "REPLICATION", "BYPASSRLS"];
            format!("ALTER ROLE {role} {}", choices.some(&words, 3).join(" "))
        }
    }
}

fn setting(choices: &mut Choices<'_>, database: &str) -> String {
    let place = if choices.of(2) == 0 { String::new() } else { format!(" IN DATABASE {}", quoted(database)) };
    let role = quoted(choices.pick(ROLES));
    let settings = ["work_mem TO '8MB'", "search_path TO shop, \"A.b \"\"c\"\"\"", "my.setting TO 'it''s'"];
    format!("ALTER ROLE {role}{place} SET {}", choices.pick(&settings))
}

/// Groups come before their members in the list, so that there is no circle.
fn membership(choices: &mut Choices<'_>) -> String {
    let member = 1 + choices.of(ROLES.len() - 1);
    let group = ROLES[choices.of(member)];
    let options = choices.pick(&["", "", " WITH ADMIN OPTION"]);
    format!("GRANT {} TO {}{options}", quoted(group), quoted(ROLES[member]))
}

fn owner(choices: &mut Choices<'_>) -> String {
    let (to, schema) = (quoted(choices.pick(ROLES)), choices.pick(SCHEMAS));
    let thing = THINGS[choices.of(THINGS.len())];
    let sql = match thing.word {
        "materialized_view" => "MATERIALIZED VIEW",
        "view" => "VIEW",
        "foreign_table" => "FOREIGN TABLE",
        _ => thing.sql,
    };
    format!("ALTER {sql} {} OWNER TO {to}", reference(&thing, schema, ""))
}

fn grant(choices: &mut Choices<'_>, database: &str) -> String {
    let schema = choices.pick(SCHEMAS);
    let (on, word) = match choices.of(8) {
        0 => (format!("SCHEMA {}", quoted(schema)), "schema"),
        1 => {
            let global = GLOBALS[choices.of(GLOBALS.len())];
            (format!("{} {}", global.sql, reference(&global, "", database)), global.word)
        }
        _ => {
            let thing = THINGS[choices.of(THINGS.len())];
            (format!("{} {}", thing.sql, reference(&thing, schema, database)), thing.word)
        }
    };
    let privileges = if choices.one_in(5) { "ALL".to_owned() } else { choices.some(privileges(word), 3).join(", ") };
    if choices.of(8) == 0 { passed_on(choices, &privileges, &on) } else { given_or_taken(choices, &privileges, &on) }
}

fn column_grant(choices: &mut Choices<'_>) -> String {
    let relations: Vec<&Thing> = THINGS.iter().filter(|thing| thing.sql == "TABLE").collect();
    let (schema, thing) = (choices.pick(SCHEMAS), choices.pick(&relations));
    let columns: Vec<String> = choices.some(COLUMNS, 3).into_iter().map(quoted).collect();
    let list = format!("({})", columns.join(", "));
    let privileges: Vec<String> =
        choices.some(privileges("column"), 2).iter().map(|privilege| format!("{privilege} {list}")).collect();
    given_or_taken(choices, &privileges.join(", "), &format!("TABLE {}", reference(thing, schema, "")))
}

fn given_or_taken(choices: &mut Choices<'_>, privileges: &str, on: &str) -> String {
    let to = choices.pick(&grantees(ROLES));
    let option = if to != "PUBLIC" && choices.one_in(3) { " WITH GRANT OPTION" } else { "" };
    match choices.of(8) {
        0 => format!("REVOKE {privileges} ON {on} FROM {}", role(to)),
        _ => format!("GRANT {privileges} ON {on} TO {}{option}", role(to)),
    }
}

/// Given to somebody who gives it to somebody else. Not so with columns: who passed a column's privilege on cannot lose it.
fn passed_on(choices: &mut Choices<'_>, privileges: &str, on: &str) -> String {
    let by = quoted(choices.pick(&ROLES[..ROLES.len() - 1]));
    let to = choices.pick(&grantees(ROLES));
    let option = if to != "PUBLIC" && choices.one_in(3) { " WITH GRANT OPTION" } else { "" };
    let first = format!("GRANT {privileges} ON {on} TO {by} WITH GRANT OPTION");
    format!("{first}; SET ROLE {by}; GRANT {privileges} ON {on} TO {}{option}; RESET ROLE", role(to))
}
