//! A plan that was kept is applied exactly, or not at all.

use crate::provisioner_cases::{HELD_ON_ORDERS, SHOP};
use crate::provisioner_world::{Outcome, run, value, written};
use rolecall_tests::{Cluster, Database};
use std::path::Path;

const SPEC: &str = "roles: {reader: {}}\ngrants:\n- {to: reader, privileges: USAGE, on: schema shop}\n\
                    - {to: reader, privileges: SELECT, on: tables shop.*}\n";

/// Runs `rolecall` with a file as its last argument.
fn with_file(db: &Database<'_>, arguments: &[&str], file: &Path, environment: &[(&str, &str)]) -> Outcome {
    let mut command = db.rolecall("postgres");
    command.args(arguments).arg(file).envs(environment.iter().copied());
    run(command, "")
}

struct World<'a> {
    db: Database<'a>,
    directory: tempfile::TempDir,
}

impl<'a> World<'a> {
    fn new(cluster: &'a Cluster, spec: &str) -> Self {
        let db = cluster.plain_database();
        db.admin().batch_execute(SHOP).expect("a shop");
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::write(directory.path().join("spec.yaml"), spec).expect("a file");
        Self { db, directory }
    }

    fn plan(&self, flags: &[&str], environment: &[(&str, &str)]) -> Outcome {
        let kept = self.directory.path().join("plan.json");
        let arguments = [&["plan", "--out", kept.to_str().expect("UTF-8")], flags].concat();
        with_file(&self.db, &arguments, &self.directory.path().join("spec.yaml"), environment)
    }

    fn apply(&self, flags: &[&str], environment: &[(&str, &str)]) -> Outcome {
        with_file(&self.db, &[&["apply"], flags].concat(), &self.directory.path().join("plan.json"), environment)
    }
}

#[test]
fn a_saved_plan_is_applied_without_a_question_whatever_happened_elsewhere() {
    let cluster = Cluster::start(&[]);
    let world = World::new(&cluster, SPEC);
    assert_eq!(world.plan(&[], &[]).code, 2);
    // Changes that the plan has nothing to do with, to the same catalog rows too.
    world
        .db
        .admin()
        .batch_execute(
            "CREATE SCHEMA x; CREATE ROLE a; ANALYZE; COMMENT ON TABLE shop.orders IS 'x'; \
        ALTER TABLE shop.orders SET (fillfactor = 90)",
        )
        .expect("changes");
    std::fs::write(world.directory.path().join("spec.yaml"), "grants: []").expect("a file");
    let applied = world.apply(&[], &[]);
    assert_eq!(applied.code, 0, "{applied:?}");
    assert_eq!(value(&mut world.db.admin(), HELD_ON_ORDERS), "reader SELECT");
    // What is done is done: the plan is no longer what would be done.
    assert_eq!(world.apply(&[], &[]).code, 1);
}

#[test]
fn a_saved_plan_is_refused_when_it_would_do_something_else_now() {
    for change in [
        "CREATE TABLE shop.another (i int)",
        "GRANT SELECT ON shop.orders TO PUBLIC; CREATE ROLE reader; GRANT SELECT ON shop.orders TO reader",
    ] {
        let cluster = Cluster::start(&[]);
        let world = World::new(&cluster, SPEC);
        assert_eq!(world.plan(&[], &[]).code, 2);
        let mut admin = world.db.admin();
        admin.batch_execute(change).expect("a change");
        let before = written(&mut admin);
        let refused = world.apply(&["--yes"], &[]);
        assert_eq!(refused.code, 1, "{refused:?}");
        assert!(refused.err.contains("the plan has changed, so nothing was done"), "{refused:?}");
        assert!(refused.out.contains("SELECT on"), "the new plan is shown: {refused:?}");
        assert_eq!(written(&mut admin), before);
    }
}

#[test]
fn a_saved_plan_says_itself_what_may_be_done() {
    let cluster = Cluster::start(&[]);
    let world = World::new(&cluster, SPEC);
    world.db.admin().batch_execute("CREATE ROLE reader; GRANT INSERT ON shop.orders TO reader").expect("drift");
    assert_eq!(world.plan(&["--revoke"], &[]).code, 2);
    let refused = world.apply(&["--revoke"], &[]);
    assert!(refused.code == 1 && refused.err.contains("leave the flags out"), "{refused:?}");
    assert_eq!(world.apply(&[], &[]).code, 0);
    assert_eq!(value(&mut world.db.admin(), HELD_ON_ORDERS), "reader SELECT");
}

#[test]
fn a_saved_plan_that_is_damaged_or_of_another_version_is_refused() {
    let cluster = Cluster::start(&[]);
    let world = World::new(&cluster, SPEC);
    world.plan(&[], &[]);
    let file = world.directory.path().join("plan.json");
    let whole = std::fs::read_to_string(&file).expect("the plan");
    for (text, told) in [
        (whole.replace("rolecall-saved-plan/1", "rolecall-saved-plan/9"), "another version"),
        (whole.replace("\"databases\"", "\"databass\""), "databases"),
    ] {
        std::fs::write(&file, text).expect("a file");
        let refused = world.apply(&[], &[]);
        assert!(refused.code == 1 && refused.err.contains(told) && refused.err.contains("plan --out"), "{refused:?}");
    }
    let nowhere =
        with_file(&world.db, &["plan", "--out", "/nowhere/plan.json"], &world.directory.path().join("spec.yaml"), &[]);
    assert!(nowhere.code == 1 && nowhere.err.contains("/nowhere/plan.json"), "{nowhere:?}");
}

#[test]
fn a_saved_plan_holds_no_password_and_several_databases_are_applied_as_planned() {
    let cluster = Cluster::start(&[]);
    let other = cluster.plain_database();
    other.admin().batch_execute("CREATE SCHEMA s").expect("a schema");
    let spec = format!(
        "roles: {{svc: {{login: true, password: {{from_env: SVC_PASSWORD}}}}, aaa: {{}}, zzz: {{}}}}\n\
         databases: {{{}: {{grants: [{{to: [zzz, svc, aaa], privileges: USAGE, on: schema s}}]}}}}",
        other.name
    );
    let world = World::new(&cluster, &spec);
    let secret = [("SVC_PASSWORD", "correct horse battery")];
    assert_eq!(world.plan(&[], &secret).code, 2);
    let kept = std::fs::read_to_string(world.directory.path().join("plan.json")).expect("the plan");
    assert!(!kept.contains("correct horse") && !kept.contains("SCRAM"), "{kept}");
    assert_eq!(world.apply(&[], &secret).code, 0);
    assert_eq!(value(&mut other.admin(), "SELECT has_schema_privilege('svc', 's', 'USAGE')"), "true");
    assert_eq!(world.plan(&[], &secret).code, 0);
}
