//! The template `app`: an owner, a writer and a reader, as a service would want them.

use crate::provisioner_world::{rolecall, run, value, written};
use rolecall_tests::{Cluster, sqlstate};

#[test]
fn a_service_its_migrations_and_a_reader_can_do_what_they_should_and_no_more() {
    let cluster = Cluster::start(&[]);
    let db = cluster.plain_database();
    let mut init = db.rolecall("postgres");
    init.args(["init", "--template", "app"]);
    let spec = run(init, "").out;
    let with_logins = spec.replace("  #   ", "    ").replace("  # app_", "  app_").replace("  # alice", "  alice");
    let with_logins = with_logins.lines().filter(|line| !line.contains("from_env")).collect::<Vec<_>>().join("\n");
    let applied = rolecall(&db, &["apply", "--yes"], &with_logins);
    assert_eq!(applied.code, 0, "{applied:?}");
    let before = written(&mut db.admin());
    assert_eq!(rolecall(&db, &["plan", "--revoke", "--drop", "--owner"], &with_logins).code, 0);
    assert_eq!(rolecall(&db, &["apply", "--yes"], &with_logins).code, 0);
    assert_eq!(written(&mut db.admin()), before);

    let mut migrations = db.connect("app_migrations");
    migrations
        .batch_execute(
            "CREATE TABLE app.orders (id bigserial PRIMARY KEY, note text); CREATE TABLE app.schema_migrations (v int); \
             CREATE VIEW app.notes AS SELECT note FROM app.orders",
        )
        .expect("a migration");
    assert_eq!(
        value(&mut migrations, "SELECT relowner::regrole FROM pg_class WHERE oid = 'app.orders'::regclass"),
        "app_owner"
    );
    let mut service = db.connect("app_service");
    service
        .batch_execute("INSERT INTO app.orders (note) VALUES ('x'); UPDATE app.orders SET note = 'y'")
        .expect("rows");
    for refused in [
        "CREATE TABLE app.t (i int)",
        "DROP TABLE app.orders",
        "CREATE TABLE public.t (i int)",
        "CREATE TEMP TABLE t (i int)",
    ] {
        assert_eq!(sqlstate(service.batch_execute(refused)).0, "42501", "{refused}");
    }
    let mut alice = db.connect("alice");
    assert_eq!(value(&mut alice, "SELECT note FROM app.notes"), "y");
    assert_eq!(sqlstate(alice.batch_execute("INSERT INTO app.orders (note) VALUES ('z')")).0, "42501");
    // Default privileges know no exceptions: the table of the migrations is an ordinary one until the next apply.
    let later = rolecall(&db, &["apply", "--yes", "--revoke"], &with_logins);
    assert_eq!(later.code, 0, "{later:?}");
    assert_eq!(value(&mut db.admin(), "SELECT has_table_privilege('app_writer', 'app.orders', 'INSERT')"), "true");
    db.admin().batch_execute("CREATE ROLE stranger LOGIN").expect("a login");
    assert!(cluster.try_connect("stranger", &db.name).is_err());
}
