//! What `rolecall who` and `rolecall explain` say, against the server's own functions, on catalogs made at random.

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
        for reason in [&one["reasons"], &one["after_set_role"]].into_iter().flat_map(|list| list.as_array()).flatten() {
            ways_are_whole(role, reason);
        }
        format!("{role} {word} {held}{}", if one["grant_option"] == true { " option" } else { "" })
    };
    thing.privileges.iter().map(line).collect()
}

/// Each way begins with who asks, or the role he takes on, and ends with who holds the privilege.
fn ways_are_whole(role: &str, reason: &Value) {
    let ways = reason["chains"].as_array().expect("ways");
    let first = reason["set_role"].as_str().unwrap_or(role);
    for way in ways.iter().map(|way| way.as_array().expect("a way")) {
        assert_eq!(way[0], first, "{reason}");
        let to_holder = reason["holder"] == "PUBLIC" || way.last() == Some(&reason["holder"]);
        assert!(to_holder, "{reason}");
    }
    assert!(!ways.is_empty(), "{reason}");
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
