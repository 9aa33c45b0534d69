//! The extension's own roles, scopes and permissions in the same spec as the database's roles and privileges.

use crate::provisioner_world::{Outcome, apply, rolecall, rolecall_as, run, value, written};
use crate::support::{column, database, one};
use postgres::Client;
use rolecall_tests::{Cluster, Database};

pub const APP: &str = "
    CREATE SCHEMA app;
    CREATE TABLE app.people (id text PRIMARY KEY);
    CREATE TABLE app.documents (id int PRIMARY KEY, owner_id text REFERENCES app.people, title text, published boolean);
    CREATE TABLE app.shares (document_id int REFERENCES app.documents, person_id text REFERENCES app.people,
                             PRIMARY KEY (document_id, person_id));
    INSERT INTO app.people VALUES ('u1'), ('u2');
    INSERT INTO app.documents VALUES (1, 'u1', 'diary', false), (2, 'u2', 'letter', false), (3, 'u2', 'news', true);
    INSERT INTO app.shares VALUES (2, 'u1')";

/// An application's whole access model; `ada` and `ben` are logins.
fn app_spec(db: &Database<'_>) -> String {
    format!(
        "
roles:
  {0}_app: {{}}
  {0}_ada: {{login: true, member_of: {0}_app}}
  {0}_ben: {{login: true, member_of: {0}_app}}
grants:
  - {{to: {0}_app, privileges: USAGE, on: {{type: schema, name: app}}}}
  - {{to: {0}_app, privileges: SELECT, on: {{type: relation, schema: app, name: '*'}}}}
  - {{to: {0}_app, privileges: [INSERT, UPDATE, DELETE], on: {{type: table, schema: app, name: '*'}}}}
rolecall:
  roles:
    readers: {{description: Read what is out, database_role: {0}_app}}
    editors:
      description: Write it
      member_of: readers
      scopes: [documents, 'reports:monthly']
  tables:
    app.people: {{users_table: id}}
    app.documents:
      relations:
        keeper: {{other: app.people, columns: owner_id, other_columns: id}}
        shared_with:
          other: app.people
          columns: id
          other_columns: id
          through: app.shares
          through_columns: document_id
          through_other_columns: person_id
      permissions:
        - {{role: readers, action: select, filter: {{published: {{equals: true}}}}, columns: [title, id]}}
        - role: users
          action: all
          filter: {{owner: {{is_self: true}}}}
          preset: {{owner_id: __loggedInUserId}}
        - role: editors
          action: [select, update]
          filter: {{OR: [{{id: {{in: [2, 3]}}}}, {{shared_with: {{some: {{is_self: true}}}}}}]}}
          new_row: {{}}
      exposed: true
",
        db.name
    )
}

/// The application with its spec applied.
pub fn app() -> (Database<'static>, String) {
    let db = database();
    db.admin().batch_execute(APP).expect("an application");
    let spec = app_spec(&db);
    apply(&db, &spec);
    (db, spec)
}

/// The transaction that wrote each row that is anybody's access: equal before and after means that nothing was written.
fn fingerprint(db: &Database<'_>) -> Vec<String> {
    let client = &mut db.admin();
    let tables = column(
        client,
        "SELECT oid::regclass FROM pg_class WHERE relnamespace = to_regnamespace('rolecall') AND relkind = 'r'
         UNION ALL SELECT 'pg_policy' UNION ALL SELECT 'pg_trigger'",
    );
    // Other stories share the cluster and its roles.
    let mine =
        |row: &String| !["pg_auth", "pg_database", "pg_db_role", "pg_shdesc"].iter().any(|it| row.starts_with(it));
    let mut rows: Vec<String> = written(client).into_iter().filter(mine).collect();
    rows.extend(column(
        client,
        &format!("SELECT rolname || xmin FROM pg_authid WHERE rolname LIKE '{}\\_%' ORDER BY 1", db.name),
    ));
    for table in tables {
        rows.extend(column(
            client,
            &format!("SELECT '{table} ' || x.xmin || ' ' || x::text FROM {table} x ORDER BY 1"),
        ));
    }
    rows
}

pub fn nothing_to_do(db: &Database<'_>, spec: &str) {
    let plan = rolecall(db, &["plan"], spec);
    assert_eq!(plan.code, 0, "{plan:?}");
}

/// An error, after which everything is as before.
pub fn refused(db: &Database<'_>, spec: &str) -> Outcome {
    let before = fingerprint(db);
    let refused = rolecall(db, &["apply", "--yes"], spec);
    assert_eq!(refused.code, 1, "{spec}: {refused:?}");
    assert!(fingerprint(db) == before, "something was done: {spec}");
    refused
}

pub fn do_sql(db: &Database<'_>, sql: &str) {
    db.admin().batch_execute(sql).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
}

fn titles(client: &mut Client) -> Vec<String> {
    column(client, "SELECT title FROM app.documents ORDER BY id")
}

#[test]
fn one_file_is_the_whole_access_model() {
    let db = database();
    db.admin().batch_execute(APP).expect("an application");
    let spec = app_spec(&db);
    let before = fingerprint(&db);
    let plan = rolecall(&db, &["plan"], &spec);
    assert_eq!(plan.code, 2, "{plan:?}");
    assert!(fingerprint(&db) == before, "a plan writes nothing");
    for line in [
        "+ readers  new role for members of database role",
        "+ editors  member of readers",
        "+ editors  documents, reports:monthly",
        "+ app.documents  relation shared_with to app.people",
        "+ app.documents  protected",
        "+ readers        select on app.documents, rows {\"published\":{\"equals\":true}}, columns title, id",
        "+ users          all on app.documents, rows {\"owner\":{\"is_self\":true}}, preset {\"owner_id\":",
        "+ editors        select, update on app.documents",
        "+ app.documents  exposed in a view",
    ] {
        assert!(plan.out.contains(line), "{line} is not in {}", plan.out);
    }
    apply(&db, &spec);
    nothing_to_do(&db, &spec);
    let before = fingerprint(&db);
    apply(&db, &spec);
    assert!(fingerprint(&db) == before, "a second time writes nothing");

    for (user, id) in [("ada", "u1"), ("ben", "u2")] {
        do_sql(
            &db,
            &format!("SELECT rolecall.create_user('{user}', id => '{id}', database_role => '{}_{user}')", db.name),
        );
    }
    let (mut ada, mut ben) = (db.connect(&format!("{}_ada", db.name)), db.connect(&format!("{}_ben", db.name)));
    assert_eq!(titles(&mut ada), ["diary", "news"], "one's own and, as a reader, what is out");
    assert_eq!(titles(&mut ben), ["letter", "news"]);
    ben.batch_execute("INSERT INTO app.documents (id, title) VALUES (4, 'note')").expect("the owner is preset");
    assert_eq!(value(&mut db.admin(), "SELECT owner_id FROM app.documents WHERE id = 4"), "u2");
    do_sql(&db, "SELECT rolecall.grant_role('editors', 'ada')");
    assert_eq!(titles(&mut ada), ["diary", "letter", "news"]);
    assert!(one::<bool>(&mut ada, "SELECT rolecall.has_scope('documents:publish')"));
}

#[test]
fn drift_is_told_and_mended() {
    let (db, spec) = app();
    let before = fingerprint(&db).len();
    do_sql(
        &db,
        "SELECT rolecall.disallow('users', 'app.documents', 'delete');
         SELECT rolecall.allow('readers', 'app.documents', 'select', '{\"published\": {\"equals\": false}}', '{id,title}');
         SELECT rolecall.allow('editors', 'app.documents', 'delete');
         SELECT rolecall.revoke_role('readers', 'role:editors');
         SELECT rolecall.revoke_scopes('editors', '{documents}');
         SELECT rolecall.grant_scopes('editors', '{admin}');
         SELECT rolecall.relate('app.documents', 'keeper', 'app.shares', '{id}', '{document_id}');
         UPDATE rolecall.roles SET description = 'May read', database_role = NULL WHERE name = 'readers'",
    );
    let plan = rolecall(&db, &["plan"], &spec);
    assert_eq!(plan.code, 2, "{plan:?}");
    for line in [
        "~ readers  description, database role",
        "+ editors  member of readers",
        "- editors  admin  (undeclared; needs --revoke)",
        "+ editors  documents",
        "~ app.documents  relation keeper to app.people",
        "- editors        delete on app.documents  (undeclared; needs --revoke)",
        "~ readers        select on app.documents, rows {\"published\":{\"equals\":true}}, columns title, id",
        "(select was rows {\"published\":{\"equals\":false}}, columns id, title)",
        "+ users          delete on app.documents",
    ] {
        assert!(plan.out.contains(line), "{line} is not in {}", plan.out);
    }
    assert_eq!(rolecall(&db, &["apply", "--yes"], &spec).code, 3);
    let left = rolecall(&db, &["check"], &spec);
    assert!(left.out.contains("0 to add, 0 to change, 0 to take away") && left.out.contains("--revoke: 2"), "{left:?}");
    assert_eq!(rolecall(&db, &["apply", "--yes", "--revoke"], &spec).code, 0);
    nothing_to_do(&db, &spec);
    assert!(fingerprint(&db).len() >= before);
    let permissions = "SELECT count(*) FROM rolecall.permissions";
    assert_eq!(value(&mut db.admin(), permissions), "7");
}

#[test]
fn a_renamed_role_is_made_anew_and_the_other_waits_for_drop() {
    let (db, spec) = app();
    do_sql(
        &db,
        "SELECT rolecall.rename_role('editors', 'writers'); SELECT rolecall.create_user('ada');
         SELECT rolecall.grant_role('writers', 'ada')",
    );
    let plan = rolecall(&db, &["plan"], &spec);
    for line in [
        "+ editors  new role",
        "- writers  role  (undeclared; 1 user holds it; needs --drop)",
        "- writers  select, update on app.documents  (undeclared; needs --revoke)",
    ] {
        assert!(plan.out.contains(line), "{line} is not in {}", plan.out);
    }
    let kept = rolecall(&db, &["apply", "--yes"], &spec);
    assert_eq!(kept.code, 3, "{kept:?}");
    let roles = "SELECT string_agg(name, ' ' ORDER BY name) FROM rolecall.roles WHERE NOT built_in";
    assert_eq!(value(&mut db.admin(), roles), "editors readers writers");
    let dropped = rolecall(&db, &["apply", "--yes", "--drop"], &spec);
    assert_eq!(dropped.code, 0, "with the role go its permissions: {dropped:?}");
    assert_eq!(value(&mut db.admin(), roles), "editors readers");
    nothing_to_do(&db, &spec);
}

#[test]
fn what_the_section_does_not_speak_of_is_left_alone() {
    let (db, _) = app();
    for spec in [
        "rolecall: {}",
        "rolecall: {tables: {}}\nmanage: {schemas: elsewhere}",
        "rolecall: {roles: {users: {}, readers: {}, editors: {member_of: readers, scopes: [
            'reports:monthly', 'documents:x', documents]}}}",
        "roles: {}",
    ] {
        nothing_to_do(&db, spec);
    }
    // What is listed has what is listed with it, and nothing else.
    let plan = rolecall(&db, &["plan"], "rolecall: {roles: {readers: {}, editors: {}}}");
    assert!(plan.out.contains("- editors  member of readers") && plan.out.contains("--revoke: 2"), "{plan:?}");
    for spec in ["rolecall: {tables: {}}", "rolecall: {tables: {app.documents: {}}}\nmanage: {schemas: elsewhere}"] {
        let plan = rolecall(&db, &["plan", "--revoke", "--drop"], spec);
        assert!(plan.out.contains("0 to add, 0 to change, 3 to take away"), "{plan:?}");
        assert!(!plan.out.contains("tected"), "a table that no file mentions stays closed: {plan:?}");
    }
}

#[test]
fn a_node_among_scopes_can_become_a_leaf_and_back() {
    let db = database();
    let spec = |scopes: &str| format!("rolecall: {{roles: {{r: {{scopes: [{scopes}]}}}}}}");
    let held = "SELECT string_agg(scope, ' ' ORDER BY scope) FROM rolecall.role_scopes";
    apply(&db, &spec("a, 'b:c', get_results"));
    assert_eq!(value(&mut db.admin(), held), "a b:c get_result");
    let narrower = spec("'a:x', b, get_result");
    assert_eq!(rolecall(&db, &["apply", "--yes"], &narrower).code, 3, "a covers a:x already, and more");
    assert_eq!(value(&mut db.admin(), held), "a b b:c get_result");
    assert_eq!(rolecall(&db, &["apply", "--yes", "--revoke"], &narrower).code, 0);
    assert_eq!(value(&mut db.admin(), held), "a:x b b:c get_result", "b:c says nothing beside b");
    nothing_to_do(&db, &narrower);
}

#[test]
fn roles_can_swap_places() {
    let db = database();
    apply(&db, "rolecall: {roles: {a: {member_of: b}, b: {}}}");
    let swapped = "rolecall: {roles: {a: {member_of: []}, b: {member_of: a}}}";
    assert_eq!(rolecall(&db, &["apply", "--yes", "--revoke"], swapped).code, 0);
    nothing_to_do(&db, swapped);
}

/// The JSON of a filter is compared as `jsonb` is, the columns as a set.
#[test]
fn the_same_said_otherwise_is_no_change() {
    let db = database();
    do_sql(&db, "CREATE TABLE public.t (a int, n numeric, s text)");
    let spec = |filter: &str, columns: &str| {
        format!(
            "rolecall: {{tables: {{public.t: {{permissions: [{{role: users, action: update, filter: {filter}, \
             columns: {columns}}}]}}}}}}"
        )
    };
    apply(&db, &spec("{n: {gt: 0.10, lt: 1e3}, s: {in: ['1', 'yes']}}", "[a, 'n']"));
    nothing_to_do(&db, &spec("{s: {in: ['1', 'yes']}, n: {lt: 1000.0, gt: 0.1}}", "['n', a]"));
    do_sql(
        &db,
        "SELECT rolecall.allow('users', 't', 'update', columns => '{n,a}', filter =>
            '{\"n\": {\"gt\": 0.1000, \"lt\": 1000.0}, \"s\": {\"in\": [\"1\", \"yes\"]}}')",
    );
    nothing_to_do(&db, &spec("{n: {gt: 0.1, lt: 1000}, s: {in: ['1', 'yes']}}", "[a, 'n']"));
    for (filter, columns) in [
        ("{n: {gt: 0.1, lt: 1000}, s: {in: ['yes', '1']}}", "[a, 'n']"),
        ("{n: {gt: 0.1, lt: 1001}, s: {in: ['1', 'yes']}}", "[a, 'n']"),
        ("{n: {gt: 0.1, lt: 1000}, s: {in: ['1', 'yes']}}", "[a]"),
    ] {
        let plan = rolecall(&db, &["plan"], &spec(filter, columns));
        assert!(plan.code == 2 && plan.out.contains("~ users"), "{filter} {columns}: {plan:?}");
    }
}

#[test]
fn names_may_be_anything() {
    let db = database();
    do_sql(&db, "CREATE SCHEMA \"A b\"; CREATE TABLE \"A b\".\"it's \"\"T\"\" \\\" (\"c'\\\" text, \"Ü,{}\" int)");
    let role = r#"{role: "o'\\r\"", action: all, filter: {"c'\\": {equals: "'\\x"}}, columns: ["c'\\", "Ü,{}"]}"#;
    let spec = format!(
        r#"rolecall: {{roles: {{"o'\\r\"": {{description: "d'\\", scopes: "s'\\"}}}},
            tables: {{"\"A b\".\"it's \"\"T\"\" \\\"": {{permissions: [{role}], users_table: "c'\\"}}}}}}"#
    );
    let script = rolecall(&db, &["plan", "--format", "sql"], &spec);
    assert_eq!(script.code, 2, "{script:?}");
    psql(&db, &script.out);
    nothing_to_do(&db, &spec);
    apply(&db, &spec);
}

fn psql(db: &Database<'_>, script: &str) {
    let done = run(db.psql("postgres"), script);
    assert_eq!(done.code, 0, "{script}: {done:?}");
}

#[test]
fn the_printed_script_does_the_same() {
    let (db, spec) = (database(), app_spec);
    do_sql(&db, APP);
    let spec = spec(&db);
    let script = rolecall(&db, &["plan", "--format", "sql"], &spec);
    psql(&db, &script.out);
    nothing_to_do(&db, &spec);
    let empty = "rolecall: {roles: {}, tables: {}}";
    let script = rolecall(&db, &["plan", "--format", "sql", "--revoke", "--drop"], empty);
    psql(&db, &script.out);
    nothing_to_do(&db, empty);
    assert_eq!(value(&mut db.admin(), "SELECT count(*) FROM rolecall.permissions"), "0");
    assert_eq!(value(&mut db.admin(), "SELECT count(*) FROM rolecall.protected_tables"), "1");
}

#[test]
fn mistakes_are_told_with_their_place_and_nothing_is_done() {
    let db = database();
    do_sql(&db, APP);
    let entry =
        |text: &str| format!("rolecall:\n  tables:\n    app.documents:\n      permissions:\n      - {{{text}}}\n");
    let place = "line 5: rolecall.tables.app.documents.permissions[0]";
    let cases = [
        (entry("role: editor, action: all"), format!("{place}: rolecall has no role \"editor\"")),
        (entry("role: users, action: all, columns: [titel]"), format!("{place}.columns: app.documents has no column")),
        (entry("role: users, action: all, preset: {titel: x}"), format!("{place}.preset: app.documents has no column")),
        (entry("role: users, action: all, preset: {id: x}"), "preset of app.documents".to_owned()),
        (entry("role: users, action: all, filter: {titel: {equals: x}}"), format!("{place}.filter: filter on app")),
        (entry("role: users, action: all, new_row: {id: {equals: x}}"), format!("{place}.new_row: filter on app")),
        (entry("role: users, action: al"), "did you mean \"all\"?".to_owned()),
        ("rolecall: {tables: {app.document: {}}}".to_owned(), "line 1: rolecall.tables.app.document: there is no".to_owned()),
        ("rolecall: {tables: {app.people: {users_table: ident}}}".to_owned(), "no column \"ident\"".to_owned()),
        ("rolecall: {roles: {a: {member_of: b}}}".to_owned(), "rolecall.roles.a: rolecall has no role \"b\"".to_owned()),
        ("rolecall: {roles: {a: {database_role: nobody}}}".to_owned(), "database role \"nobody\" does not".to_owned()),
        ("rolecall: {roles: {a: {server: north}}}".to_owned(), "there is no server \"north\"".to_owned()),
        ("rolecall: {roles: {a: {}, users: {member_of: a}}, tables: {app.shares: {relations: {document: {other: app.x,
          columns: a, other_columns: b}}}}}"
            .to_owned(), "relations.document: there is no table app.x".to_owned()),
        // What the extension alone knows to be wrong undoes all that came before.
        ("rolecall: {roles: {a: {}}, tables: {app.shares: {relations: {OR: {other: app.people, columns: person_id,
          other_columns: id}}}}}"
            .to_owned(), "means something else in filters".to_owned()),
    ];
    for (spec, message) in cases {
        let told = refused(&db, &spec);
        assert!(told.err.contains(&message), "{spec}: {message} is not in {told:?}");
    }
    let script = rolecall(&db, &["plan"], &entry("role: users, action: all, filter: {titel: {equals: x}}"));
    assert!(script.code == 1 && script.err.contains("title"), "the plan tells too: {script:?}");
}

#[test]
fn without_the_extension_it_says_what_to_do() {
    let db = Cluster::shared().plain_database();
    let spec = format!("roles: {{{}_r: {{}}}}\nrolecall: {{roles: [a]}}", db.name);
    let refused = refused(&db, &spec);
    assert!(refused.err.contains("CREATE EXTENSION rolecall"), "{refused:?}");
    nothing_to_do(&db, "roles: {}");
}

#[test]
fn only_administrators_of_the_database_may() {
    let (db, spec) = app();
    let (owner, admin) = (db.login("owner"), db.login("admin"));
    // An administrator by login may call the functions; what rolecall holds he cannot read.
    do_sql(
        &db,
        &format!(
            "SELECT rolecall.create_user('admin', roles => '{{admins}}', database_role => '{admin}'); GRANT pg_read_all_data TO {admin}"
        ),
    );
    for user in [&owner, &admin] {
        let refused = rolecall_as(&db, user, &["plan"], &spec);
        let message = format!("\"{user}\" may not administer rolecall in database \"{}\"", db.name);
        assert!(refused.code == 1 && refused.err.contains(&message), "{refused:?}");
        assert!(refused.err.contains("a member of \"postgres\", which owns the extension"), "{refused:?}");
    }
    // A superuser's member is administrator without being superuser.
    do_sql(&db, &format!("GRANT postgres TO {owner}"));
    let spec = "rolecall: {roles: {readers: {description: Readers}, editors: {member_of: [], scopes: [documents, x]}}}";
    let done = rolecall_as(&db, &owner, &["apply", "--yes", "--revoke"], spec);
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!(rolecall_as(&db, &owner, &["plan"], spec).code, 0);
}
