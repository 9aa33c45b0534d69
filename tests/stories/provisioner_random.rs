//! Random states and random specs: what must hold for every spec, and what a model of the privileges says.
//!
//! `ROLECALL_ROUNDS` says how many of them to try. A failure prints the smallest state and spec found, and a seed: with it
//! as `ROLECALL_SEED` the same ones are tried again.

use crate::provisioner_random_checks::faults;
use crate::provisioner_random_facts::{Facts, query};
use crate::provisioner_random_model::{Flags, Model};
use crate::provisioner_random_present::{Choices, base, default_privileges, event, quoted};
use crate::provisioner_random_spec::{Parts, spec};
use crate::provisioner_world::{Outcome, column, rolecall, run, value, written};
use postgres::Client;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};
use rolecall_tests::{Cluster, Database};
use serde_json::Value;
use std::cell::Cell;

/// The numbers that make a round.
#[derive(Clone, Debug)]
struct Numbers {
    makers: Vec<u16>,
    early: Vec<Vec<u16>>,
    events: Vec<Vec<u16>>,
    parts: Parts,
    flags: u8,
}

fn numbers() -> impl Strategy<Value = Numbers> {
    // A part is a list of entries, an entry a list of numbers: a failure shrinks by entries, the rest stays as it is.
    let some = || any::<u16>().no_shrink();
    let part = |entries: usize| vec(vec(some(), 28).no_shrink(), 0..=entries);
    let parts = [part(10), part(4), part(5), part(4), part(2), part(1)];
    (parts, part(90), part(6), vec(some(), 0..60), 0..4_u8).prop_map(|(parts, events, early, makers, flags)| Numbers {
        makers,
        early,
        events,
        parts,
        flags,
    })
}

/// A state and a spec in words.
struct Round {
    setup: Vec<String>,
    spec: Value,
    flags: Flags,
}

impl Round {
    fn new(numbers: &Numbers, database: &str) -> Self {
        let early = numbers.early.iter().map(|numbers| default_privileges(&mut Choices(numbers.iter()))).collect();
        let mut setup = base(&mut Choices(numbers.makers.iter()), early);
        setup.extend(numbers.events.iter().map(|numbers| event(&mut Choices(numbers.iter()), database)));
        let flags = Flags { revoke: numbers.flags & 1 != 0, owner: numbers.flags & 2 != 0 };
        Self { setup, spec: spec(&numbers.parts), flags }
    }

    fn with_flags(&self, arguments: &[&'static str]) -> Vec<&'static str> {
        let flags = [(self.flags.revoke, "--revoke"), (self.flags.owner, "--owner")];
        let given = flags.iter().filter(|(given, _)| *given).map(|(_, flag)| *flag);
        arguments.iter().copied().chain(given).collect()
    }

    /// What happened beyond what there always is, for a person.
    fn story(&self) -> String {
        let always = base(&mut Choices([].iter()), Vec::new());
        let told: Vec<&str> = self.setup.iter().filter(|sql| !always.contains(sql)).map(String::as_str).collect();
        format!(
            "{}\n{:?}\n{}",
            told.join(";\n"),
            self.with_flags(&[]),
            serde_json::to_string(&self.spec).expect("JSON")
        )
    }
}

/// A server, and how much of what was tried there worked.
struct World {
    cluster: Cluster,
    version: u32,
    done: Cell<usize>,
    tried: Cell<usize>,
    applied: Cell<usize>,
}

impl World {
    fn new() -> Self {
        let cluster = Cluster::start(&["allow_in_place_tablespaces=on"]);
        let mut admin = cluster.try_connect("postgres", "postgres").expect("the superuser connects");
        let version = value(&mut admin, "SELECT current_setting('server_version_num')").parse().expect("a number");
        Self { cluster, version, done: Cell::new(0), tried: Cell::new(0), applied: Cell::new(0) }
    }

    /// An empty database, and no role left from another round.
    fn clear(&self) -> Database<'_> {
        let mut admin = self.cluster.try_connect("postgres", "postgres").expect("the superuser connects");
        for old in column(&mut admin, "SELECT datname FROM pg_database WHERE datname ~ '^t[0-9]'") {
            admin.batch_execute(&format!("DROP DATABASE {} WITH (FORCE)", quoted(&old))).expect("a drop");
        }
        let roles = column(&mut admin, "SELECT rolname FROM pg_roles WHERE rolname !~ '^(pg_|postgres$)'");
        let roles: Vec<String> = roles.iter().map(|role| quoted(role)).collect();
        let everybody = roles.iter().map(String::as_str).chain(["PUBLIC"]).collect::<Vec<_>>().join(", ");
        let parameters = column(&mut admin, "SELECT parname FROM pg_parameter_acl");
        // DROP OWNED forgets parameters.
        for name in parameters {
            admin.batch_execute(&format!("REVOKE ALL ON PARAMETER {name} FROM {everybody} CASCADE")).expect("a revoke");
        }
        admin.batch_execute("DROP TABLESPACE IF EXISTS \"Space 1\"").expect("a drop");
        for role in roles {
            admin.batch_execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).expect("a drop");
        }
        admin.batch_execute("CREATE TABLESPACE \"Space 1\" LOCATION ''").expect("a tablespace");
        self.cluster.plain_database()
    }

    /// Makes the state; a statement that the server refuses is left out.
    fn set_up(&self, admin: &mut Client, setup: &[String]) {
        for sql in setup {
            let done = admin.batch_execute(sql).is_ok();
            self.done.set(self.done.get() + usize::from(done));
            self.tried.set(self.tried.get() + 1);
        }
    }

    fn lines(&self, admin: &mut Client) -> Vec<String> {
        column(admin, &query(self.version))
    }

    /// One round; what went wrong.
    fn play(&self, numbers: &Numbers) -> Result<(), String> {
        let db = self.clear();
        let round = Round::new(numbers, &db.name);
        let mut admin = db.admin();
        self.set_up(&mut admin, &round.setup);
        let told = round.story();
        self.hold(&db, &mut admin, &round).map_err(|wrong| format!("{wrong}\n{told}"))
    }

    fn hold(&self, db: &Database<'_>, admin: &mut Client, round: &Round) -> Result<(), String> {
        let text = written_out(&round.spec, false);
        let go = |arguments: &[&'static str]| rolecall(db, &round.with_flags(arguments), &text);
        let (before, fingerprint) = (self.lines(admin), written(admin));
        let facts = Facts::of(&before);
        let plan = go(&["plan"]);
        let model = match Model::new(&round.spec, &facts, round.flags, &db.name, self.version) {
            Ok(model) => model,
            Err(why) => {
                let refused = go(&["apply", "--yes"]);
                ensure(plan.code == 1 && plan.err.contains(&why), || format!("expected \"{why}\": {plan:?}"))?;
                ensure(refused.code == 1 && refused.err == plan.err, || format!("{plan:?}\n{refused:?}"))?;
                return ensure(written(admin) == fingerprint, || "a refused spec wrote something".to_owned());
            }
        };
        let json = go(&["plan", "--json"]);
        let script = go(&["plan", "--format", "sql"]);
        let backwards = rolecall(db, &round.with_flags(&["plan", "--json"]), &written_out(&round.spec, true));
        ensure(plan.code != 1, || format!("{plan:?}"))?;
        ensure(written(admin) == fingerprint, || "a plan wrote something".to_owned())?;
        ensure(json.out == backwards.out, || "the order of keys matters".to_owned())?;
        let operations = operations(&json);
        same_operations(&operations, &plan)?;
        let waiting = operations.iter().filter(|operation| !operation["needs"].is_null()).count();
        ensure(plan.code == if operations.is_empty() { 0 } else { 2 }, || format!("{plan:?}"))?;
        let by_script = match self.by_script(db, &script.out) {
            // What somebody passed on only he can revoke, and not without his schema.
            Err(why) if why.contains("permission denied for schema") => {
                let refused = go(&["apply", "--yes"]);
                ensure(refused.code == 1 && refused.err.contains("42501"), || format!("{refused:?}"))?;
                return ensure(written(admin) == fingerprint, || "a failed apply wrote something".to_owned());
            }
            other => other?,
        };

        let applied = go(&["apply", "--yes"]);
        ensure(applied.code == if waiting == 0 { 0 } else { 3 }, || format!("{applied:?}\n{}", script.out))?;
        let after = self.lines(admin);
        ensure(after == by_script, || format!("psql came to something else: {}", differences(&after, &by_script)))?;
        let fingerprint = written(admin);
        let again = go(&["plan", "--json"]);
        let left = self::operations(&again);
        // What a role that nobody declares would lose when it is dropped may have gone by --revoke.
        let kept = |of: &[Value]| of.iter().filter(|one| !one["needs"].is_null() && one["needs"] != "--drop").count();
        let is_settled = kept(&left) == kept(&operations) && left.iter().all(|one| !one["needs"].is_null());
        ensure(is_settled, || format!("{waiting} should be left: {left:#?}\nafter\n{}", script.out))?;
        go(&["apply", "--yes"]);
        ensure(written(admin) == fingerprint, || "a second apply wrote something".to_owned())?;
        let wrong = faults(&model, &facts, &Facts::of(&after));
        ensure(wrong.is_empty(), || format!("{}\nafter\n{}", wrong.join("\n"), script.out))?;
        self.applied.set(self.applied.get() + 1);
        exported(db)
    }

    /// What the printed statements come to when psql does them, which then is undone.
    fn by_script(&self, db: &Database<'_>, script: &str) -> Result<Vec<String>, String> {
        let body = script.strip_suffix("COMMIT;\n").unwrap_or("BEGIN;\n");
        let mut psql = db.psql("postgres");
        psql.args(["--quiet", "--no-align", "--tuples-only"]);
        let done = run(psql, &format!("{body}{};\nROLLBACK;\n", query(self.version)));
        ensure(done.code == 0, || format!("psql: {}\n{script}", done.err))?;
        Ok(sorted(done.out.lines().map(str::to_owned).collect()))
    }
}

/// The present state as a spec must need nothing.
fn exported(db: &Database<'_>) -> Result<(), String> {
    let export = rolecall(db, &["export"], "");
    ensure(export.code == 0, || format!("{export:?}"))?;
    let plan = rolecall(db, &["plan", "--revoke", "--owner"], &export.out);
    ensure(plan.code == 0, || format!("what was exported is planned: {plan:?}\n{}", export.out))
}

fn ensure(is_right: bool, wrong: impl Fn() -> String) -> Result<(), String> {
    if is_right { Ok(()) } else { Err(wrong()) }
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

fn differences(one: &[String], other: &[String]) -> String {
    let only = |sign: &str, these: &[String], those: &[String]| -> Vec<String> {
        these.iter().filter(|line| !those.contains(line)).map(|line| format!("{sign} {line}")).collect()
    };
    [only("-", one, other), only("+", other, one)].concat().join("\n")
}

fn operations(json: &Outcome) -> Vec<Value> {
    let document: Value = serde_json::from_str(&json.out).unwrap_or_else(|e| panic!("{e}: {json:?}"));
    let databases = document["databases"].as_array().expect("databases");
    databases.iter().flat_map(|one| one["operations"].as_array().expect("operations").clone()).collect()
}

/// The text has a line for each operation, in as many words.
fn same_operations(operations: &[Value], text: &Outcome) -> Result<(), String> {
    let lines: Vec<&str> = text.out.lines().filter(|line| line.starts_with("  ")).collect();
    ensure(lines.len() == operations.len(), || format!("{} operations, {}", operations.len(), text.out))?;
    for operation in operations {
        let told = |key: &str| operation[key].as_str().expect("text").replace('\n', "\\n");
        let sign = match operation["sign"].as_str() {
            Some("add") => "+",
            Some("change") => "~",
            _ => "-",
        };
        let start = format!("  {sign} {} ", told("who"));
        let is_told = lines.iter().any(|line| line.starts_with(&start) && line.contains(&told("what")));
        ensure(is_told, || format!("{operation} is not in {}", text.out))?;
    }
    Ok(())
}

/// JSON with the keys of every object in one order or the other.
fn written_out(value: &Value, backwards: bool) -> String {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<String> = map
                .iter()
                .map(|(key, value)| format!("{}: {}", Value::String(key.clone()), written_out(value, backwards)))
                .collect();
            if backwards {
                entries.reverse();
            }
            format!("{{{}}}", entries.join(", "))
        }
        Value::Array(items) => {
            format!("[{}]", items.iter().map(|item| written_out(item, backwards)).collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

#[test]
fn whatever_there_is_and_is_asked_for() {
    let cases = std::env::var("ROLECALL_ROUNDS").map_or(20, |rounds| rounds.parse().expect("a number"));
    let seed: u64 = std::env::var("ROLECALL_SEED").map_or(20_261_125, |seed| seed.parse().expect("a number"));
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 300, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let world = World::new();
    let result = runner.run(&numbers(), |numbers| world.play(&numbers).map_err(TestCaseError::fail));
    match result {
        Ok(()) => {}
        Err(TestError::Fail(why, _)) => panic!("seed {seed}: {why}"),
        Err(error) => panic!("{error}"),
    }
    let (done, tried, applied) = (world.done.get(), world.tried.get(), world.applied.get());
    assert!(done * 10 > tried * 9, "the server refused too much of the states: {done} of {tried} done");
    assert!(applied * 3 > usize::try_from(cases).unwrap(), "too many specs were wrong: {applied} of {cases} applied");
}
