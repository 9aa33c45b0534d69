//! FlowDB: twelve schemas, two groups and their members. Everything is tried, on every kind of table.

use crate::provisioner_world::{apply, rolecall, value, written};
use postgres::Client;
use rolecall_tests::{Cluster, Database, sqlstate};

/// Schema; whether flowapi reads it beside flowmachine; whether flowmachine writes it.
const SCHEMAS: [(&str, bool, bool); 12] = [
    ("cache", true, true),
    ("results", false, true),
    ("features", false, true),
    ("geography", true, false),
    ("population", false, false),
    ("elevation", false, false),
    ("events", false, false),
    ("dfs", false, false),
    ("infrastructure", false, false),
    ("routing", false, false),
    ("interactions", false, false),
    ("etl", false, false),
];

const BOOKS: [&str; 3] = ["cached", "dependencies", "cache_config"];

#[derive(Clone, Copy, PartialEq)]
enum Group {
    Flowmachine,
    Flowapi,
    None,
}

/// Who acts, and what he should be able to do. The first of each group is the group itself.
const ACTORS: [(&str, Group); 6] = [
    ("flowmachine", Group::Flowmachine),
    ("alice", Group::Flowmachine),
    ("dave", Group::Flowmachine),
    ("flowapi", Group::Flowapi),
    ("bob", Group::Flowapi),
    ("outsider", Group::None),
];

fn template(db: &Database<'_>) -> String {
    let init = rolecall(db, &["init", "--template", "flowdb"], "");
    assert_eq!(init.code, 0, "{init:?}");
    init.out
}

/// Tables as FlowDB makes them: a key from a sequence, and a row.
fn make_table(client: &mut Client, schema: &str, name: &str) -> Result<(), postgres::Error> {
    client.batch_execute(&format!(
        "CREATE TABLE {schema}.{name} (id serial PRIMARY KEY, v text); INSERT INTO {schema}.{name} (v) VALUES ('x')"
    ))
}

fn become_role(db: &Database<'_>, role: &str) -> Client {
    let mut client = db.admin();
    client.batch_execute(&format!("SET SESSION AUTHORIZATION {role}")).expect("a superuser may");
    client
}

/// People log in; groups cannot, and the outsider does not get that far.
fn acts_as(db: &Database<'_>, actor: &str) -> Client {
    if ["alice", "bob", "dave"].contains(&actor) { db.connect(actor) } else { become_role(db, actor) }
}

fn add_user(db: &Database<'_>, name: &str, like: &str) {
    let added = rolecall(db, &["add-user", name, "--like", like], "");
    assert_eq!(added.code, 0, "{added:?}");
}

/// A database as FlowDB leaves it, the template applied, people added, and tables by every kind of maker.
fn provisioned(db: &Database<'_>) {
    let mut admin = db.admin();
    admin.batch_execute("CREATE ROLE flowdb NOLOGIN; CREATE ROLE outsider LOGIN").expect("roles");
    for (schema, ..) in SCHEMAS {
        admin.batch_execute(&format!("CREATE SCHEMA {schema} AUTHORIZATION flowdb")).expect("a schema");
    }
    let mut flowdb = become_role(db, "flowdb");
    for (schema, ..) in SCHEMAS {
        make_table(&mut flowdb, schema, "existing").expect("the owner makes tables");
    }
    for book in BOOKS {
        make_table(&mut flowdb, "cache", book).expect("the owner makes tables");
    }
    apply(db, &template(db));
    for (name, like) in [("alice", "flowmachine"), ("dave", "flowmachine"), ("bob", "flowapi"), ("carol", "flowdb")] {
        add_user(db, name, like);
    }
    let mut makers = [
        ("by_flowdb", flowdb, true),
        ("by_carol", db.connect("carol"), true),
        ("by_flowmachine", become_role(db, "flowmachine"), false),
        ("by_alice", db.connect("alice"), false),
    ];
    for (table, client, everywhere) in &mut makers {
        for (schema, _, writable) in SCHEMAS {
            let made = make_table(client, schema, table);
            if *everywhere || writable {
                made.unwrap_or_else(|e| panic!("{schema}.{table}: {e}"));
            } else {
                assert_eq!(sqlstate(made).0, "42501", "{schema}.{table}");
            }
        }
    }
}

/// Does it and takes it back; whether it was allowed. Any other failure than a refusal is the test's.
fn may(client: &mut Client, sql: &str) -> bool {
    let done = client.batch_execute(&format!("BEGIN; {sql}; ROLLBACK"));
    if done.is_ok() {
        return true;
    }
    client.batch_execute("ROLLBACK").expect("a rollback");
    let (code, message) = sqlstate(done);
    assert_eq!(code, "42501", "{sql}: {message}");
    false
}

#[test]
fn everybody_may_do_what_the_table_says_and_nothing_else() {
    let cluster = Cluster::start(&[]);
    let db = cluster.plain_database();
    provisioned(&db);
    let mut wrong = Vec::new();
    let mut tried = 0;
    for (actor, group) in ACTORS {
        let mut client = acts_as(&db, actor);
        for (schema, flowapi_reads, flowmachine_writes) in SCHEMAS {
            let reads = group == Group::Flowmachine || group == Group::Flowapi && flowapi_reads;
            let writes = group == Group::Flowmachine && flowmachine_writes;
            let mut expect = |expected: bool, sql: String| {
                tried += 1;
                if may(&mut client, &sql) != expected {
                    wrong.push(format!("{actor} {}: {sql}", if expected { "is refused" } else { "may" }));
                }
            };
            expect(writes, format!("CREATE TABLE {schema}.mine (i int)"));
            let mut tables = vec!["existing", "by_flowdb", "by_carol"];
            if flowmachine_writes {
                tables.extend(["by_flowmachine", "by_alice"]);
            }
            for table in tables {
                let name = format!("{schema}.{table}");
                expect(reads, format!("SELECT * FROM {name}"));
                expect(reads, format!("SELECT last_value FROM {name}_id_seq"));
                expect(writes, format!("INSERT INTO {name} VALUES (1000, 'given key')"));
                expect(writes, format!("INSERT INTO {name} (v) VALUES ('key from the sequence')"));
                expect(writes, format!("SELECT nextval('{name}_id_seq')"));
                // Without a condition, so that it takes UPDATE or DELETE alone.
                expect(writes, format!("UPDATE {name} SET v = 'y'"));
                expect(writes, format!("DELETE FROM {name}"));
                expect(writes, format!("TRUNCATE {name}"));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert_eq!(tried, 6 * (12 + 8 * (12 * 3 + 3 * 2)));
}

#[test]
fn the_outsider_cannot_connect_and_members_can() {
    let cluster = Cluster::start(&[]);
    let db = cluster.plain_database();
    provisioned(&db);
    let refused = cluster.try_connect("outsider", &db.name).map(|_| ());
    assert_eq!(sqlstate(refused).0, "42501");
    for member in ["alice", "bob", "carol"] {
        assert_eq!(value(&mut db.connect(member), "SELECT session_user"), member);
    }
}

#[test]
fn the_books_of_the_cache_stay_closed_to_flowapi() {
    let cluster = Cluster::start(&[]);
    let db = cluster.plain_database();
    provisioned(&db);
    let read = |db: &Database<'_>, actor, book| may(&mut acts_as(db, actor), &format!("SELECT * FROM cache.{book}"));
    for book in BOOKS {
        assert!(!read(&db, "flowapi", book) && !read(&db, "bob", book), "{book}");
        assert!(read(&db, "flowmachine", book) && read(&db, "alice", book), "{book}");
    }
    // One that is made again gets what every new table in cache gets; the next run notices and closes it.
    let mut flowdb = become_role(&db, "flowdb");
    flowdb.batch_execute("DROP TABLE cache.dependencies").expect("the owner drops");
    make_table(&mut flowdb, "cache", "dependencies").expect("the owner makes tables");
    assert!(read(&db, "flowapi", "dependencies"));
    let spec = template(&db);
    let check = rolecall(&db, &["check"], &spec);
    assert_eq!(check.code, 2, "{check:?}");
    assert!(check.out.contains("SELECT on table dependencies"), "{check:?}");
    apply(&db, &spec);
    assert!(!read(&db, "flowapi", "dependencies"));
    assert!(read(&db, "flowmachine", "dependencies"));
}

#[test]
fn a_plan_after_adding_people_is_empty_and_a_second_apply_writes_nothing() {
    let cluster = Cluster::start(&[]);
    let db = cluster.plain_database();
    provisioned(&db);
    let spec = template(&db);
    // A member of a member makes tables like any other, and tables made by members need nothing further.
    add_user(&db, "erin", "alice");
    make_table(&mut db.connect("erin"), "cache", "by_erin").expect("a member may");
    let plan = rolecall(&db, &["plan"], &spec);
    assert_eq!(plan.code, 0, "{plan:?}");
    let before = written(&mut db.admin());
    apply(&db, &spec);
    assert_eq!(written(&mut db.admin()), before);
    assert!(may(&mut acts_as(&db, "bob"), "SELECT * FROM cache.by_erin"));
}

#[test]
fn an_empty_database_gets_owner_schemas_and_groups() {
    let cluster = Cluster::start(&[]);
    let db = cluster.plain_database();
    let spec = template(&db);
    let before = written(&mut db.admin());
    let plan = rolecall(&db, &["plan"], &spec);
    assert_eq!(plan.code, 2, "{plan:?}");
    assert_eq!(written(&mut db.admin()), before, "a plan writes nothing");
    apply(&db, &spec);
    assert_eq!(rolecall(&db, &["check"], &spec).code, 0);
    let mut admin = db.admin();
    let owned = "SELECT count(*) FROM pg_namespace WHERE nspowner = 'flowdb'::regrole";
    assert_eq!(value(&mut admin, owned), "12");
    let groups =
        "SELECT string_agg(rolname, ' ' ORDER BY rolname) FROM pg_roles WHERE rolname ~ '^flow' AND NOT rolcanlogin";
    assert_eq!(value(&mut admin, groups), "flowapi flowdb flowmachine");
}

#[test]
fn a_flowdb_that_is_superuser_already_stays_as_it_is() {
    let cluster = Cluster::start(&[]);
    let db = cluster.plain_database();
    db.admin().batch_execute("CREATE ROLE flowdb SUPERUSER LOGIN").expect("a role");
    let spec = template(&db);
    let plan = rolecall(&db, &["plan"], &spec);
    assert!(!plan.out.contains("~ flowdb") && !plan.out.contains("+ flowdb  new role"), "{plan:?}");
    apply(&db, &spec);
    let options = "SELECT rolsuper AND rolcanlogin FROM pg_roles WHERE rolname = 'flowdb'";
    assert_eq!(value(&mut db.admin(), options), "true");
    assert_eq!(rolecall(&db, &["plan"], &spec).code, 0);
}
