//! Random tables, rows, relations, rules and identities: what PostgreSQL shows and what an evaluator without SQL says.
//!
//! A filter is made from a list of numbers, so that a failure shrinks with the list. `ROLECALL_FILTERS` and
//! `ROLECALL_SEED` are as for [`crate::filter_oracle`].

use crate::filter_oracle::{all, any as either};
use crate::support::*;
use postgres::Client;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};
use serde_json::{Map, Value, json};
use std::cell::RefCell;

const TABLES: usize = 3;

/// A table's relation: its name, the other table, whether there are several, and how rows find each other.
#[derive(Clone)]
struct Relation {
    name: String,
    other: usize,
    many: bool,
    link: Link,
}

#[derive(Clone)]
enum Link {
    /// Columns here that equal columns there.
    Columns(Vec<(String, String)>),
    /// Pairs of ids.
    Pairs(Vec<(i64, i64)>),
}

/// A schema with its rows.
struct World {
    rows: Vec<Vec<Map<String, Value>>>,
    relations: Vec<Vec<Relation>>,
    sql: String,
}

/// Numbers that decide; none left, it is always the first choice.
struct Choices<'a>(std::slice::Iter<'a, u16>);

impl Choices<'_> {
    fn of(&mut self, count: usize) -> usize {
        self.0.next().map_or(0, |number| usize::from(*number) % count)
    }

    fn pick<'b, T>(&mut self, list: &'b [T]) -> &'b T {
        &list[self.of(list.len())]
    }
}

impl World {
    /// Each table has a text, a number and a boolean, a key to a table made before or itself, maybe a second one of two
    /// columns, and a join table to the next.
    #[allow(clippy::needless_range_loop)] // a table is its number, in more than one list
    fn new(choices: &mut Choices) -> Self {
        let mut sql = String::new();
        let mut relations = vec![Vec::new(); TABLES];
        let mut rows = vec![Vec::new(); TABLES];
        let value = |choices: &mut Choices, values: Value| values[choices.of(values.as_array().unwrap().len())].clone();
        let mut fill = Vec::new();
        for table in 0..TABLES {
            let (one, two) = (choices.of(table + 1), choices.of(table + 1));
            sql += &format!(
                "CREATE TABLE t{table} (id int PRIMARY KEY, kind int, name text COLLATE \"C\", size int, done boolean,
                    one_id int REFERENCES t{one}, two_id int, two_kind int, UNIQUE (id, kind));
                 ALTER TABLE t{table} ADD FOREIGN KEY (two_id, two_kind) REFERENCES t{two} (id, kind);
                 CREATE INDEX ON t{table} (one_id);"
            );
            let pairs = |list: &[(&str, &str)]| {
                Link::Columns(list.iter().map(|(left, right)| ((*left).into(), (*right).into())).collect())
            };
            let mut add =
                |of: usize, name: String, other, many, link| relations[of].push(Relation { name, other, many, link });
            add(table, "one".into(), one, false, pairs(&[("one_id", "id")]));
            add(table, "two".into(), two, false, pairs(&[("two_id", "id"), ("two_kind", "kind")]));
            add(one, format!("ones{table}"), table, true, pairs(&[("id", "one_id")]));
            add(two, format!("twos{table}"), table, true, pairs(&[("id", "two_id"), ("kind", "two_kind")]));
            fill.push(format!(
                "SELECT rolecall.relate('t{one}', 'ones{table}', 't{table}', '{{id}}', '{{one_id}}');
                 SELECT rolecall.relate('t{two}', 'twos{table}', 't{table}', '{{id,kind}}', '{{two_id,two_kind}}');"
            ));
            for id in 1..=5 {
                let one_id = value(choices, json!([null, 1, 2, 3, 4, 5]));
                let (two_id, two_kind) = (value(choices, json!([1, 2, 3, 4, 5])), value(choices, json!([null, 0])));
                let row = json!({
                    "id": id, "kind": 0, "name": value(choices, json!([null, "", "7", "ab", "b%"])),
                    "size": value(choices, json!([null, 0, 7, 8])), "done": value(choices, json!([null, true, false])),
                    "one_id": one_id, "two_id": two_id, "two_kind": two_kind,
                });
                rows[table].push(row.as_object().unwrap().clone());
            }
        }
        for table in 0..TABLES {
            let other = (table + 1) % TABLES;
            let links: Vec<(i64, i64)> =
                (1..=5).flat_map(|a| (1..=5).map(move |b| (a, b))).filter(|_| choices.of(4) == 1).collect();
            sql += &format!(
                "CREATE TABLE links{table} (a_id int REFERENCES t{table}, b_id int REFERENCES t{other}, PRIMARY KEY (a_id, b_id));"
            );
            let name = format!("t{other}");
            // Through the join table the far table's name; a schema may have another relation of that name.
            fill.push(format!("SELECT rolecall.relate('t{table}', '{name}', '{name}', '{{id}}', '{{id}}', 'links{table}', '{{a_id}}', '{{b_id}}');"));
            for (a, b) in &links {
                fill.push(format!("INSERT INTO links{table} VALUES ({a}, {b});"));
            }
            relations[table].push(Relation { name, other, many: true, link: Link::Pairs(links) });
        }
        let mut insert = String::from("SET session_replication_role = replica;");
        for (table, rows) in rows.iter().enumerate() {
            let rows = Value::Array(rows.iter().cloned().map(Value::Object).collect());
            insert +=
                &format!("INSERT INTO t{table} SELECT * FROM jsonb_populate_recordset(NULL::t{table}, '{rows}');");
        }
        sql = format!("{sql}{insert}{}RESET session_replication_role;", fill.concat());
        Self { rows, relations, sql }
    }

    fn filter(&self, choices: &mut Choices, table: usize, depth: usize) -> Value {
        let mut filter = Map::new();
        for _ in 0..=choices.of(2) {
            let leaf = depth > 3;
            let (key, value) = match choices.of(if leaf { 3 } else { 9 }) {
                0..=2 => predicate(choices),
                3 => {
                    let list = (0..choices.of(3)).map(|_| self.filter(choices, table, depth + 1)).collect();
                    ((*choices.pick(&["AND", "OR", "NOT"])).to_owned(), Value::Array(list))
                }
                4 => ("NOT".into(), self.filter(choices, table, depth + 1)),
                _ => {
                    let relation = choices.pick(&self.relations[table]).clone();
                    let inner = self.filter(choices, relation.other, depth + 1);
                    let quantifier = *choices.pick(&["some", "every", "none"]);
                    (relation.name, if relation.many { json!({ quantifier: inner }) } else { inner })
                }
            };
            filter.insert(key, value);
        }
        Value::Object(filter)
    }

    fn related<'a>(
        &'a self,
        table: usize,
        row: &Map<String, Value>,
        name: &str,
    ) -> (&'a Relation, Vec<&'a Map<String, Value>>) {
        let relation = self.relations[table].iter().find(|relation| relation.name == name).unwrap();
        let belongs = |other: &&Map<String, Value>| match &relation.link {
            Link::Columns(columns) => {
                columns.iter().all(|(left, right)| !row[left].is_null() && row[left] == other[right])
            }
            Link::Pairs(pairs) => pairs.contains(&(row["id"].as_i64().unwrap(), other["id"].as_i64().unwrap())),
        };
        (relation, self.rows[relation.other].iter().filter(belongs).collect())
    }
}

fn predicate(choices: &mut Choices) -> (String, Value) {
    let (column, operators, values) = choices
        .pick(&[
            (
                "one_id",
                vec!["equals", "not_equals", "lt", "in", "not_in", "is_empty"],
                json!(["__loggedInUserId", 1, 3]),
            ),
            ("size", vec!["equals", "not_equals", "lt", "gte", "in", "not_in", "is_empty"], json!([0, 7, 8])),
            (
                "name",
                vec!["equals", "not_equals", "contains", "not_starts_with", "in", "not_in", "is_empty"],
                json!(["__loggedInUserId", "7", "", "b%"]),
            ),
            ("done", vec!["equals", "not_equals", "is_empty"], json!([true, false])),
        ])
        .clone();
    let operator = *choices.pick(&operators);
    let value = |choices: &mut Choices| values[choices.of(values.as_array().unwrap().len())].clone();
    let operand = match operator {
        "in" | "not_in" => (0..choices.of(3)).map(|_| value(choices)).collect(),
        "is_empty" => (choices.of(2) == 0).into(),
        _ => value(choices),
    };
    (column.into(), json!({ operator: operand }))
}

/// What the language says, in three values. A comparison with an absent variable counts as `absent`, which turns below a
/// negation: that is how the contract puts it.
struct Oracle<'a> {
    world: &'a World,
    user: Option<&'a str>,
    /// A fault of its own, to see that one would be found: unknown does not break `every`.
    is_broken: bool,
}

type Truth = Option<bool>;

fn not(value: Truth) -> Truth {
    value.map(|value| !value)
}

impl Oracle<'_> {
    fn filter(&self, table: usize, row: &Map<String, Value>, filter: &Value, absent: bool) -> Truth {
        all(filter.as_object().unwrap().iter().map(|(key, value)| {
            let list = |absent| value.as_array().unwrap().iter().map(move |part| self.filter(table, row, part, absent));
            match key.as_str() {
                "AND" => all(list(absent)),
                "OR" => either(list(absent)),
                "NOT" if value.is_array() => not(either(list(!absent))),
                "NOT" => not(self.filter(table, row, value, !absent)),
                "size" | "name" | "one_id" | "done" => self.column(&row[key], value, absent),
                relation => self.relation(table, row, relation, value, absent),
            }
        }))
    }

    fn relation(&self, table: usize, row: &Map<String, Value>, name: &str, value: &Value, absent: bool) -> Truth {
        let (relation, rows) = self.world.related(table, row, name);
        let truths = |filter: &Value, absent| -> Vec<Truth> {
            rows.iter().map(|other| self.filter(relation.other, other, filter, absent)).collect()
        };
        if !relation.many {
            return Some(truths(value, absent).contains(&Some(true)));
        }
        all(value.as_object().unwrap().iter().map(|(quantifier, filter)| {
            Some(match quantifier.as_str() {
                "some" => truths(filter, absent).contains(&Some(true)),
                "none" => !truths(filter, !absent).contains(&Some(true)),
                _ if self.is_broken => !truths(filter, absent).contains(&Some(false)),
                _ => truths(filter, absent).iter().all(|truth| *truth == Some(true)),
            })
        }))
    }

    fn column(&self, found: &Value, predicate: &Value, absent: bool) -> Truth {
        all(predicate.as_object().unwrap().iter().map(|(operator, operand)| match operator.as_str() {
            "is_empty" => Some((found.is_null() || found == "") == operand.as_bool().unwrap()),
            "in" => either(operand.as_array().unwrap().iter().map(|one| self.compare(found, "equals", one, absent))),
            "not_in" => {
                all(operand.as_array().unwrap().iter().map(|one| self.compare(found, "not_equals", one, absent)))
            }
            "not_starts_with" => not(self.compare(found, "starts_with", operand, !absent)),
            other => self.compare(found, other, operand, absent),
        }))
    }

    fn compare(&self, found: &Value, operator: &str, operand: &Value, absent: bool) -> Truth {
        let wanted = match (operand.as_str(), self.user) {
            (Some("__loggedInUserId"), None) => return Some(absent),
            (Some("__loggedInUserId"), Some(user)) if !found.is_string() => user.parse::<i64>().unwrap().into(),
            (Some("__loggedInUserId"), Some(user)) => user.into(),
            _ => operand.clone(),
        };
        if found.is_null() {
            return None;
        }
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let order = || found.as_i64().cmp(&wanted.as_i64());
        Some(match operator {
            "equals" => *found == wanted,
            "not_equals" => *found != wanted,
            "lt" => order().is_lt(),
            "gte" => order().is_ge(),
            "contains" => text(found).contains(&text(&wanted)),
            "starts_with" => text(found).starts_with(&text(&wanted)),
            other => panic!("{other}"),
        })
    }

    /// The ids of a table's rows that pass one of the filters.
    fn visible(&self, table: usize, filters: &[&Value]) -> Vec<String> {
        let rows = self.world.rows[table].iter();
        let seen = rows.filter(|row| filters.iter().any(|filter| self.filter(table, row, filter, false) == Some(true)));
        seen.map(|row| row["id"].to_string()).collect()
    }
}

/// One world on the server, with somebody who is user 7 and member of `member`, and nobody.
struct Setting {
    world: World,
    admin: Client,
    apps: [(Option<&'static str>, Client); 2],
}

impl Setting {
    fn new(database: &rolecall_tests::Database<'static>, login: &str, token: &str, choices: &mut Choices) -> Self {
        let world = World::new(choices);
        let mut admin = database.admin();
        run(&mut admin, "DROP SCHEMA IF EXISTS world CASCADE; CREATE SCHEMA world; SET search_path = world");
        run(&mut admin, &world.sql);
        run(
            &mut admin,
            &format!("GRANT USAGE ON SCHEMA world TO {login}; GRANT SELECT ON ALL TABLES IN SCHEMA world TO {login}"),
        );
        let apps = [Some("7"), None].map(|user| {
            let mut app = database.connect(login);
            run(&mut app, "SET search_path = world");
            if user.is_some() {
                authenticate(&mut app, token, true);
            }
            (user, app)
        });
        Self { world, admin, apps }
    }

    /// Compares one rule or two, as the SQL that a filter becomes, and every so often as policies: a scan, and each key.
    fn try_one(&mut self, numbers: &[u16], is_broken: bool) -> Result<(), TestCaseError> {
        let mut choices = Choices(numbers.iter());
        let (table, as_rules) = (choices.of(TABLES), choices.of(16) == 1);
        let [mine, everybodys] = [0, 1].map(|_| self.world.filter(&mut choices, table, 0));
        let name = format!("t{table}");
        let (mine_text, everybodys_text) = (mine.to_string(), everybodys.to_string());
        let condition: String = self
            .admin
            .query_one("SELECT rolecall.compile_filter($1::text::regclass, $2::text::jsonb)", &[&name, &mine_text])
            .unwrap_or_else(|e| panic!("{mine}: {e:?}"))
            .get(0);
        if as_rules {
            run(&mut self.admin, &format!("SELECT rolecall.protect('{name}')"));
            for (role, filter) in [("member", &mine_text), ("guest", &everybodys_text)] {
                let allow = "SELECT rolecall.allow($1, $2::text::regclass, 'select', $3::text::jsonb)";
                self.admin.execute(allow, &[&role, &name, filter]).unwrap_or_else(|e| panic!("{filter}: {e:?}"));
            }
        }
        let result = self.compare(table, &condition, [&mine, &everybodys], as_rules, is_broken);
        if as_rules {
            run(&mut self.admin, &format!("SELECT rolecall.unprotect('{name}')"));
        }
        result
    }

    fn compare(
        &mut self,
        table: usize,
        condition: &str,
        [mine, everybodys]: [&Value; 2],
        as_rules: bool,
        is_broken: bool,
    ) -> Result<(), TestCaseError> {
        let name = format!("t{table}");
        for (user, app) in &mut self.apps {
            let oracle = Oracle { world: &self.world, user: *user, is_broken };
            if as_rules {
                let rules = if user.is_some() { vec![mine, everybodys] } else { vec![everybodys] };
                let expected = oracle.visible(table, &rules);
                let scan = column(app, &format!("SELECT id::text FROM {name} ORDER BY {name}.id"));
                prop_assert_eq!(&scan, &expected, "{:?} sees {} through {} or {}", user, name, mine, everybodys);
                let keys = (1..=5).flat_map(|id| column(app, &format!("SELECT id::text FROM {name} WHERE id = {id}")));
                prop_assert_eq!(keys.collect::<Vec<_>>(), expected, "{:?} by key: {} or {}", user, mine, everybodys);
            } else {
                let seen = column(app, &format!("SELECT id::text FROM {name} WHERE {condition} ORDER BY {name}.id"));
                prop_assert_eq!(seen, oracle.visible(table, &[mine]), "{:?} sees {} through {}", user, name, mine);
            }
        }
        Ok(())
    }
}

/// Tries filters in several worlds until one shows other rows than the oracle says; what it was.
fn first_difference(cases: u32, worlds: u32, is_broken: bool) -> Option<String> {
    let database = database();
    let login = database.login("app");
    let mut admin = database.admin();
    run(
        &mut admin,
        "SELECT rolecall.create_role('member'); SELECT rolecall.create_user('seven', password => 'p', id => '7', roles => '{member}')",
    );
    let token = first_token(&mut admin, "seven", "p", "seven dwarfs, 1 giant");
    let seed: u64 = std::env::var("ROLECALL_SEED")
        .map_or_else(|_| std::time::UNIX_EPOCH.elapsed().unwrap().as_micros() as u64, |seed| seed.parse().unwrap());
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config { cases: cases / worlds, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    for _ in 0..worlds {
        let numbers = prop::collection::vec(any::<u16>(), 1_000).new_tree(&mut runner).unwrap().current();
        let setting = RefCell::new(Setting::new(&database, &login, &token, &mut Choices(numbers.iter())));
        let strategy = prop::collection::vec(any::<u16>(), 0..80);
        match runner.run(&strategy, |numbers| setting.borrow_mut().try_one(&numbers, is_broken)) {
            Ok(()) => {}
            Err(TestError::Fail(why, _)) => return Some(format!("seed {seed}: {why}")),
            Err(error) => panic!("{error}"),
        }
    }
    None
}

/// Trap 23.
#[test]
fn related_rows_decide_as_the_language_says() {
    let cases = std::env::var("ROLECALL_FILTERS").map_or(4_000, |cases| cases.parse().unwrap());
    if let Some(difference) = first_difference(cases, 8, false) {
        panic!("{difference}");
    }
}

#[test]
fn an_evaluator_with_another_every_would_be_caught() {
    let difference = first_difference(4_000, 4, true).expect("a difference");
    assert!(difference.contains("every") && difference.len() < 1_000, "the smallest one: {difference}");
}
