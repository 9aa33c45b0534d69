//! `rolecall explain` and `rolecall who`: what they say is what the server does, and a person understands it.

use crate::provisioner_world::{Outcome, rolecall, value};
use crate::support::{column, rounds, run};
use postgres::Client;
use rolecall_tests::{Cluster, Database};
use serde_json::Value;

/// Numbers that look random and are the same each time (xorshift).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).expect("31 bits") % end
    }

    fn one_in(&mut self, chances: usize) -> bool {
        self.below(chances) == 0
    }

    fn some<'a>(&mut self, all: &[&'a str]) -> Vec<&'a str> {
        let mut some: Vec<&str> = all.iter().copied().filter(|_| self.one_in(3)).collect();
        if some.is_empty() {
            some.push(all[self.below(all.len())]);
        }
        some
    }
}

const ROLES: usize = 12;
const RELATION: &[&str] = &["SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"];
const COLUMN: &[&str] = &["SELECT", "INSERT", "UPDATE", "REFERENCES"];

/// An object of the random catalog.
struct Thing {
    /// As `who` is asked for it.
    reference: String,
    /// As GRANT names it.
    grant_on: String,
    privileges: &'static [&'static str],
    /// The server's function about it, with everything but role and privilege filled in.
    function: String,
    schema: Option<String>,
    /// The relation as SQL names it, if it is one that can have row-level security.
    table: Option<String>,
    /// The statement that changes its owner, up to the owner.
    owner: Option<String>,
}

fn role(number: usize) -> String {
    format!("\"Role {number}.\"\"x\"\"\"")
}

/// Roles that are members of each other in random ways.
fn make_roles(dice: &mut Dice, admin: &mut Client, version: u32) {
    for number in 0..ROLES {
        let option = |dice: &mut Dice, word: &'static str, chances| if dice.one_in(chances) { word } else { "" };
        let (login, noinherit) = (option(dice, "LOGIN", 2), option(dice, "NOINHERIT", 3));
        let (superuser, bypass) = (option(dice, "SUPERUSER", 12), option(dice, "BYPASSRLS", 8));
        run(admin, &format!("CREATE ROLE {} {login} {noinherit} {superuser} {bypass}", role(number)));
        for group in 0..number {
            if dice.one_in(4) {
                let with = match (version >= 160_000, dice.below(3)) {
                    (true, 0) => " WITH INHERIT FALSE",
                    (true, 1) => " WITH SET FALSE, INHERIT TRUE",
                    _ => "",
                };
                run(admin, &format!("GRANT {} TO {}{with}", role(group), role(number)));
            }
        }
        for predefined in ["pg_read_all_data", "pg_write_all_data"] {
            if dice.one_in(7) {
                run(admin, &format!("GRANT {predefined} TO {}", role(number)));
            }
        }
    }
}

fn make_things(dice: &mut Dice, admin: &mut Client, database: &str) -> Vec<Thing> {
    let mut things = vec![
        thing("database", database, &["CREATE", "CONNECT", "TEMPORARY"], "has_database_privilege", None),
        thing("language", "plpgsql", &["USAGE"], "has_language_privilege", None),
        thing("foreign data wrapper", "wrapper", &["USAGE"], "has_foreign_data_wrapper_privilege", None),
        thing("foreign server", "far", &["USAGE"], "has_server_privilege", None),
        thing("parameter", "log_statement", &["SET", "ALTER SYSTEM"], "has_parameter_privilege", None),
    ];
    run(admin, "CREATE FOREIGN DATA WRAPPER wrapper; CREATE SERVER far FOREIGN DATA WRAPPER wrapper");
    for number in 0..3 {
        let schema = format!("\"s {number}.\"");
        run(admin, &format!("CREATE SCHEMA {schema}"));
        things.push(thing("schema", &schema, &["USAGE", "CREATE"], "has_schema_privilege", None));
        let mut make = |word: &str, name: &str, privileges, function, create: &str| {
            let path = format!("{schema}.{name}");
            run(admin, &create.replace('@', &path));
            things.push(thing(word, &path, privileges, function, Some(schema.clone())));
        };
        for name in ["t1", "\"T \"\"2\"\".\""] {
            make("table", name, RELATION, "has_table_privilege", "CREATE TABLE @ (id int, note text)");
        }
        make("view", "v", RELATION, "has_table_privilege", "CREATE VIEW @ AS SELECT 1 AS id, 2 AS note");
        let sequence: &[&str] = &["USAGE", "SELECT", "UPDATE"];
        make("sequence", "q", sequence, "has_sequence_privilege", "CREATE SEQUENCE @");
        for name in ["f(integer, text)", "f()"] {
            let create = "CREATE FUNCTION @ RETURNS int LANGUAGE sql AS 'SELECT 1'";
            make("function", name, &["EXECUTE"], "has_function_privilege", create);
        }
        make("type", "mood", &["USAGE"], "has_type_privilege", "CREATE TYPE @ AS ENUM ('fine')");
    }
    let mut columns = Vec::new();
    for table in things.iter_mut().filter(|thing| thing.function.starts_with("has_table")) {
        let path = table.grant_on.trim_start_matches("TABLE ").to_owned();
        if table.reference.starts_with("table") {
            table.table = Some(path.clone());
            for word in ["ENABLE", "FORCE"] {
                if dice.one_in(2) {
                    run(admin, &format!("ALTER TABLE {path} {word} ROW LEVEL SECURITY"));
                }
            }
        }
        columns.push(Thing {
            reference: format!("column {path}.note"),
            grant_on: format!("TABLE {path}"),
            privileges: COLUMN,
            function: format!("has_column_privilege(@, '{}', 'note', @)", path.replace('\'', "''")),
            schema: table.schema.clone(),
            table: None,
            owner: None,
        });
    }
    things.extend(columns);
    things
}

fn thing(word: &str, path: &str, privileges: &'static [&'static str], function: &str, schema: Option<String>) -> Thing {
    let on = match word {
        "view" => "TABLE".to_owned(),
        other => other.to_uppercase(),
    };
    // Functions take the path of what lies in a schema as SQL writes it, and else the bare name.
    let argument = if schema.is_some() { path.to_owned() } else { path.trim_matches('"').to_owned() };
    let owner = match word {
        "parameter" => None,
        "foreign server" => Some(format!("ALTER SERVER {path} OWNER TO ")),
        // Its owner must be a superuser.
        "foreign data wrapper" => None,
        other => Some(format!("ALTER {other} {path} OWNER TO ")),
    };
    Thing {
        reference: format!("{word} {path}"),
        grant_on: format!("{on} {path}"),
        privileges,
        function: format!("{function}(@, '{}', @)", argument.replace('\'', "''")),
        schema,
        table: None,
        owner,
    }
}

/// Random owners and grants.
fn grant(dice: &mut Dice, admin: &mut Client, things: &[Thing]) {
    for thing in things {
        if let Some(owner) = thing.owner.as_ref().filter(|_| dice.one_in(2)) {
            run(admin, &format!("{owner}{}", role(dice.below(ROLES))));
        }
        if dice.one_in(3) && !thing.reference.starts_with("column") {
            run(admin, &format!("REVOKE ALL ON {} FROM PUBLIC", thing.grant_on));
        }
        for _ in 0..dice.below(5) {
            let whom = if dice.one_in(6) { "PUBLIC".to_owned() } else { role(dice.below(ROLES)) };
            let option = if whom != "PUBLIC" && dice.one_in(4) { " WITH GRANT OPTION" } else { "" };
            let on_column = if thing.reference.starts_with("column") { " (note)" } else { "" };
            let privileges = dice.some(thing.privileges).join(&format!("{on_column}, "));
            let on = &thing.grant_on;
            let action = if dice.one_in(6) { ("REVOKE", "FROM", " CASCADE") } else { ("GRANT", "TO", option) };
            run(admin, &format!("{} {privileges}{on_column} ON {on} {} {whom}{}", action.0, action.1, action.2));
        }
        if let Some(table) = thing.table.as_ref().filter(|_| dice.one_in(2)) {
            run(admin, &format!("CREATE POLICY mine ON {table} TO {}", role(dice.below(ROLES))));
        }
        // An owner who took his own privileges away.
        if thing.owner.is_some() && dice.one_in(5) {
            let sql = format!("REVOKE {} ON {} FROM CURRENT_ROLE", thing.privileges[0], thing.grant_on);
            run(admin, &sql);
        }
    }
}

fn parsed(outcome: &Outcome) -> Value {
    assert_eq!(outcome.code, 0, "{outcome:?}");
    serde_json::from_str(&outcome.out).unwrap_or_else(|error| panic!("{error}: {outcome:?}"))
}

/// What the server says: a line for each role and privilege that there is.
fn truth(admin: &mut Client, thing: &Thing, version: u32) -> Vec<String> {
    let privileges: Vec<String> = thing.privileges.iter().map(|word| format!("'{word}'")).collect();
    let asks = |role: &str, privilege: &str| thing.function.replacen('@', role, 1).replacen('@', privilege, 1);
    let (held, option) = (asks("r.rolname", "p"), asks("r.rolname", "p || ' WITH GRANT OPTION'"));
    let after = asks("s.rolname", "p");
    let may_set = if version >= 160_000 { "SET" } else { "MEMBER" };
    let sql = format!(
        "SELECT r.rolname || ' ' || p || ' ' || CASE \
            WHEN {held} THEN 'held' \
            WHEN EXISTS (SELECT FROM pg_roles s WHERE pg_has_role(r.oid, s.oid, '{may_set}') AND {after}) THEN 'SET ROLE' \
            ELSE 'no' END || CASE WHEN {option} THEN ' option' ELSE '' END \
         FROM pg_roles r, unnest(ARRAY[{}]) p WHERE NOT r.rolsuper ORDER BY 1",
        privileges.join(", ")
    );
    column(admin, &sql)
}

/// What the program says of one role, as [`truth`] writes it.
fn told(role: &str, privileges: &Value, thing: &Thing) -> Vec<String> {
    let of = |word: &str| {
        let all = privileges.as_array().expect("a list");
        all.iter().find(|one| one["privilege"] == word).unwrap_or_else(|| panic!("no {word} in {privileges}"))
    };
    let line = |word: &&str| {
        let one = of(word);
        let after = one["after_set_role"].as_array().is_some_and(|reasons| !reasons.is_empty());
        let held = if one["held"] == true {
            "held"
        } else if after {
            "SET ROLE"
        } else {
            "no"
        };
        assert_eq!(one["held"] == true, !one["reasons"].as_array().expect("reasons").is_empty());
        format!("{role} {word} {held}{}", if one["grant_option"] == true { " option" } else { "" })
    };
    thing.privileges.iter().map(line).collect()
}

/// Everything `who` says about everybody; those it does not name may nothing.
fn who(db: &Database<'_>, thing: &Thing, everybody: &[String]) -> (Value, Vec<String>) {
    let answer = parsed(&rolecall(db, &["who", &thing.reference, "--json"], ""));
    assert_eq!(answer["format"], "rolecall-who/1");
    let roles = answer["roles"].as_array().expect("roles");
    let mut lines = Vec::new();
    for name in everybody {
        match roles.iter().find(|role| role["role"] == name.as_str() && role["public"] == false) {
            Some(role) => lines.extend(told(name, &role["privileges"], thing)),
            None => lines.extend(thing.privileges.iter().map(|word| format!("{name} {word} no"))),
        }
    }
    lines.sort();
    (answer, lines)
}

#[test]
fn who_and_explain_say_what_the_server_does() {
    for seed in 1..=rounds() {
        let mut dice = Dice(0x9e37_79b9_7f4a_7c15 ^ (seed as u64) << 20);
        let cluster = Cluster::start(&[]);
        let db = cluster.plain_database();
        let mut admin = db.admin();
        let version = value(&mut admin, "SELECT current_setting('server_version_num')").parse().expect("a number");
        make_roles(&mut dice, &mut admin, version);
        let things = make_things(&mut dice, &mut admin, &db.name);
        grant(&mut dice, &mut admin, &things);
        let everybody = column(&mut admin, "SELECT rolname FROM pg_roles WHERE NOT rolsuper ORDER BY 1");
        let superusers = column(&mut admin, "SELECT rolname FROM pg_roles WHERE rolsuper ORDER BY 1");
        let mut held = 0;
        for thing in &things {
            let mut expected = truth(&mut admin, thing, version);
            expected.sort();
            held += expected.iter().filter(|line| !line.ends_with(" no")).count();
            let (answer, lines) = who(&db, thing, &everybody);
            assert_eq!(lines, expected, "seed {seed}: who {}", thing.reference);
            assert_eq!(answer["superusers"], Value::from(superusers.clone()));
            obstacles_are_real(&mut admin, &answer, thing, seed);
            let role = &everybody[dice.below(everybody.len())];
            let one = parsed(&rolecall(&db, &["explain", role, &thing.reference, "--json"], ""));
            assert_eq!(one["format"], "rolecall-explain/1");
            expected.retain(|line| line.starts_with(&format!("{role} ")));
            let mut lines = told(role, &one["privileges"], thing);
            lines.sort();
            assert_eq!(lines, expected, "seed {seed}: explain {role} on {}", thing.reference);
        }
        assert!(held > 500, "too little to compare: {held}");
    }
}

/// Each obstacle is there exactly if the server would put it there.
fn obstacles_are_real(admin: &mut Client, answer: &Value, thing: &Thing, seed: usize) {
    let schema = thing.schema.as_ref().map(|schema| schema.trim_matches('"'));
    let usage = schema.map_or("true".to_owned(), |name| format!("has_schema_privilege(r.oid, '{name}', 'USAGE')"));
    let connect = match thing.reference.starts_with("parameter") {
        true => "true",
        false => "(NOT rolcanlogin OR has_database_privilege(r.oid, current_database(), 'CONNECT'))",
    };
    let sql = format!("SELECT rolname, {usage}, {connect} FROM pg_roles r WHERE NOT rolsuper");
    let real = admin.query(&sql, &[]).expect("an answer");
    for role in answer["roles"].as_array().expect("roles").iter().filter(|role| role["public"] == false) {
        let name = role["role"].as_str().expect("a name");
        let all = role["obstacles"].as_array().expect("obstacles");
        let says = |code: &str| all.iter().any(|obstacle| obstacle["code"] == code);
        let row = real.iter().find(|row| row.get::<_, &str>(0) == name).expect("the role");
        assert_eq!(says("schema"), !row.get::<_, bool>(1), "seed {seed}: {name} on {}", thing.reference);
        assert_eq!(says("connect"), !row.get::<_, bool>(2), "seed {seed}: {name} on {}", thing.reference);
        if let Some(table) = &thing.table {
            let literal = format!("'{}'", table.replace('\'', "''"));
            let oid = value(admin, &format!("SELECT {literal}::regclass::oid"));
            run(admin, &format!("SET ROLE \"{}\"", name.replace('"', "\"\"")));
            let active = value(admin, &format!("SELECT row_security_active({oid}::oid)"));
            run(admin, "RESET ROLE");
            assert_eq!(says("row-security"), active == "true", "seed {seed}: {name} on {}", thing.reference);
        }
    }
}

/// The name of a role of this story alone.
fn shop(db: &Database<'_>) -> impl Fn(&str) -> String {
    let prefix = db.name.clone();
    let named = move |name: &str| format!("{prefix}_{name}");
    let [owner, reader, writer, analysts, alice, bob] =
        ["owner", "reader", "writer", "analysts", "alice", "bob"].map(&named);
    let sql = format!(
        "CREATE ROLE {owner}; CREATE ROLE {reader}; CREATE ROLE {writer}; CREATE ROLE {analysts} IN ROLE {reader};
         CREATE ROLE {alice} LOGIN IN ROLE {analysts} VALID UNTIL '2020-02-03 04:05:06Z';
         CREATE ROLE {bob} LOGIN NOINHERIT IN ROLE {writer};
         CREATE SCHEMA shop AUTHORIZATION {owner}; SET ROLE {owner};
         CREATE TABLE shop.orders (id int, note text); CREATE TABLE shop.secret (id int);
         CREATE FUNCTION shop.f(int) RETURNS int LANGUAGE sql AS 'SELECT 1';
         CREATE FUNCTION shop.f(text) RETURNS int LANGUAGE sql AS 'SELECT 1';
         SELECT 1; GRANT USAGE ON SCHEMA shop TO {reader};
         GRANT SELECT ON shop.orders TO {reader}; GRANT UPDATE (note) ON shop.orders TO {analysts};
         GRANT INSERT ON shop.orders TO {writer}; RESET ROLE"
    );
    run(&mut db.admin(), &sql);
    for number in 1..=9 {
        let sql = format!(
            "CREATE TABLE shop.t{number} (); ALTER TABLE shop.t{number} OWNER TO {owner}; GRANT SELECT ON shop.t{number} TO {reader}"
        );
        run(&mut db.admin(), &sql);
    }
    named
}

/// Runs of spaces are layout.
fn squeezed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn answer(db: &Database<'_>, arguments: &[&str]) -> String {
    let outcome = rolecall(db, arguments, "");
    assert_eq!((outcome.code, outcome.err.as_str()), (0, ""), "{outcome:?}");
    squeezed(&outcome.out)
}

#[test]
fn explain_tells_every_way_and_what_stands_in_it() {
    let db = Cluster::shared().plain_database();
    let name = shop(&db);
    let [owner, reader, writer, analysts, alice, bob] =
        ["owner", "reader", "writer", "analysts", "alice", "bob"].map(&name);
    let told = answer(&db, &["explain", &alice, "shop.orders"]);
    for part in [
        &format!("{alice} on table shop.orders"),
        &format!("SELECT yes through {analysts} -> {reader}, granted by {owner}"),
        &format!("UPDATE part only column note: through {analysts}, granted by {owner}"),
        "DELETE no TRUNCATE no",
        "but its password has expired (2020-02-03 04:05:06",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let told = answer(&db, &["explain", &bob, "table shop.orders"]);
    assert!(told.contains(&format!("INSERT no after SET ROLE {writer}: granted by {owner}")), "{told}");
    let told = answer(&db, &["explain", &writer, "table shop.orders"]);
    assert!(told.contains("but no USAGE on schema shop"), "{told}");

    let told = answer(&db, &["explain", &alice]);
    for part in [
        "options LOGIN, VALID UNTIL 2020-02-03",
        &format!("member of {analysts}"),
        &format!("SELECT on 10 of 11 tables, not secret through {analysts} -> {reader}"),
        &format!("UPDATE on orders(note) through {analysts}"),
        "EXECUTE on all 2 routines through PUBLIC, as the kind's default",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let told = answer(&db, &["explain", &bob]);
    assert!(told.contains(&format!("member of {writer} (only by SET ROLE)")), "{told}");
    assert!(told.contains("schema shop but no USAGE on it") && !told.contains("INSERT"), "{told}");
    let all = rolecall(&db, &["explain", &alice, "shop.orders"], "").out;
    assert!(all.lines().all(|line| line.chars().count() <= 100 && line.trim_end() == line), "{all}");
}

#[test]
fn who_tells_everybody_apart_and_names_superusers_once() {
    let db = Cluster::shared().plain_database();
    let name = shop(&db);
    let [owner, reader, alice, bob] = ["owner", "reader", "alice", "bob"].map(&name);
    let told = answer(&db, &["who", "shop.orders"]);
    let place = |part: &str| told.find(part).unwrap_or_else(|| panic!("{part}: {told}"));
    let (logins, groups, superusers) = (place("logins"), place("groups"), place("superusers"));
    assert!(logins < place(&format!(" {alice} SELECT")) && place(&format!(" {bob} INSERT")) < groups, "{told}");
    assert!(groups < place(&format!("{owner} everything as owner")), "{told}");
    assert!(groups < place(&format!("{reader} SELECT granted by {owner}")), "{told}");
    assert!(told[superusers..].contains("postgres"), "{told}");
    assert_eq!(told.matches(" postgres").count(), 1, "{told}");
    let told = answer(&db, &["who", "function shop.f(integer)"]);
    assert!(told.contains("PUBLIC EXECUTE as the kind's default"), "{told}");
    // Who has only what everybody has is not listed again.
    assert!(!told.contains(&alice), "{told}");
}

#[test]
fn what_does_not_exist_or_is_ambiguous_is_one_clear_error() {
    let db = Cluster::shared().plain_database();
    let name = shop(&db);
    let alice = name("alice");
    let cases = [
        (name("alicee"), "shop.orders", "does not exist", format!("did you mean \"{alice}\"?")),
        (alice.clone(), "shop.ordres", "\"shop.ordres\" does not exist", "did you mean \"shop.orders\"?".into()),
        (alice.clone(), "shpo.orders", "there is no schema \"shpo\"", "did you mean \"shop\"?".into()),
        (alice.clone(), "view shop.orders", "view \"shop.orders\" does not exist", "there is table shop.orders".into()),
        (alice.clone(), "orders", "\"orders\" does not exist", "there is table shop.orders".into()),
        (alice.clone(), "shop.orders.nite", "has no column \"nite\"", "did you mean \"note\"?".into()),
        (alice.clone(), "shop.f", "\"function shop.f(integer)\" or \"function shop.f(text)\"", "say which one".into()),
        (alice.clone(), "parameter work_men", "does not exist", "did you mean \"work_mem\"?".into()),
        (alice, "tabel shop.orders", "is no kind of object", "known: database, schema".into()),
    ];
    for (role, object, message, hint) in cases {
        let outcome = rolecall(&db, &["explain", &role, object], "");
        assert_eq!((outcome.code, outcome.out.as_str()), (1, ""), "{object}: {outcome:?}");
        assert!(outcome.err.contains(message) && outcome.err.contains(&hint), "{object}: {outcome:?}");
    }
    assert_eq!(rolecall(&db, &["who", "shop.ordres"], "").code, 1);
}

#[test]
fn names_cannot_command_the_terminal() {
    let db = Cluster::shared().plain_database();
    let odd = format!("{}\u{1b}[2J\n\u{7}x", db.name);
    let sql =
        format!("CREATE ROLE \"{odd}\" LOGIN; CREATE SCHEMA \"{odd}\"; GRANT USAGE ON SCHEMA \"{odd}\" TO \"{odd}\"");
    run(&mut db.admin(), &sql);
    let quoted = format!("schema \"{odd}\"");
    for arguments in [vec!["explain", &odd], vec!["explain", &odd, &quoted], vec!["who", &quoted]] {
        let outcome = rolecall(&db, &arguments, "");
        assert_eq!(outcome.code, 0, "{outcome:?}");
        assert!(outcome.out.contains("\\u{1b}[2J\\n\\u{7}x"), "{outcome:?}");
        assert!(!outcome.out.chars().any(|c| c.is_control() && c != '\n'), "{outcome:?}");
    }
}

#[test]
fn public_and_settings_that_anybody_may_set_are_understood() {
    let db = Cluster::shared().plain_database();
    let login = db.login("plain");
    let told = answer(&db, &["explain", "public", &format!("database {}", db.name)]);
    assert!(told.contains("CONNECT yes as the kind's default"), "{told}");
    let told = answer(&db, &["explain", &login, "parameter WORK_MEM"]);
    assert!(told.contains("SET yes anybody may set it ALTER SYSTEM no"), "{told}");
    assert!(answer(&db, &["explain", &login, "parameter log_statement"]).contains("SET no"));
}
