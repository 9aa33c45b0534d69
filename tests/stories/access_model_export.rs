//! More of the extension's own objects in a spec: servers, kits of roles, several databases, and the way back.

use crate::access_model::{APP, app, do_sql, nothing_to_do, refused};
use crate::provisioner_world::{apply, rolecall, value};
use crate::support::database;
use rolecall_tests::Cluster;

#[test]
fn servers_come_with_their_scopes_and_limits() {
    let db = database();
    let spec = |scopes: &str, life: &str| {
        format!(
            "rolecall:\n  servers: {{north: {{scopes: [{scopes}], longest_life: {life}, latest_expiry: '2100-01-01T00:00:00Z'}}}}\n  \
             roles: {{analyst: {{server: north, longest_life: 2 days, scopes: [run, admin1]}}}}"
        )
    };
    let first = spec("run, 'admin1:flows', poll", "30 days");
    apply(&db, &first);
    nothing_to_do(&db, &first);
    let life = "SELECT longest_life FROM rolecall.servers";
    let second = spec("run, 'admin1:flows', 'admin1:home'", "10 days");
    let left = rolecall(&db, &["apply", "--yes"], &second);
    assert!(left.code == 3 && left.out.contains("scopes poll, from its roles too"), "{left:?}");
    assert_eq!(value(&mut db.admin(), life), "10 days");
    assert_eq!(value(&mut db.admin(), "SELECT count(*) FROM rolecall.server_scopes"), "4");
    assert_eq!(rolecall(&db, &["apply", "--yes", "--revoke"], &second).code, 0);
    nothing_to_do(&db, &second);
    let longer = second.replace("2 days", "3 days");
    apply(&db, &longer);
    assert_eq!(value(&mut db.admin(), "SELECT longest_life FROM rolecall.roles WHERE name = 'analyst'"), "3 days");
    let refused = refused(&db, &second.replace("2 days", "two days"));
    assert!(refused.err.contains("line 3: rolecall.roles.analyst: invalid input syntax"), "{refused:?}");
    let gone = rolecall(&db, &["apply", "--yes", "--drop"], "rolecall: {servers: {}, roles: {}}");
    assert_eq!(
        (gone.code, value(&mut db.admin(), "SELECT count(*) FROM rolecall.servers")),
        (0, "0".to_owned()),
        "{gone:?}"
    );
}

#[test]
fn kits_of_roles_are_there_for_what_follows() {
    let db = database();
    do_sql(&db, "CREATE TABLE public.t (a int)");
    let spec = "rolecall:
  default_roles: [openflow, 8base]
  roles: {robot admins: {}, robots: {member_of: robot users}, nodered api users: {scopes: ['nodered:api:call']}}
  tables: {public.t: {permissions: [{role: [robot admins, Guest], action: select}]}}";
    apply(&db, spec);
    nothing_to_do(&db, spec);
    let refused = refused(&db, "rolecall: {roles: [guest, robots]}");
    assert!(refused.err.contains("everybody's role is called \"Guest\" here"), "{refused:?}");
}

#[test]
fn each_database_has_its_own_part() {
    let (here, there) = (database(), database());
    let spec = format!(
        "rolecall: {{roles: [a]}}\ndatabases: {{{}: {{rolecall: {{roles: [b]}}}}, {}: {{rolecall: {{roles: [c]}}}}}}",
        here.name, there.name
    );
    apply(&here, &spec);
    let roles = "SELECT string_agg(name, ' ' ORDER BY name) FROM rolecall.roles WHERE NOT built_in";
    assert_eq!(value(&mut here.admin(), roles), "a b");
    assert_eq!(value(&mut there.admin(), roles), "c");
    nothing_to_do(&here, &spec);
}

#[test]
fn a_tables_rows_have_acls_where_the_spec_names_their_column() {
    let db = database();
    let login = db.login("eve");
    do_sql(&db, APP);
    do_sql(
        &db,
        &format!(
            "ALTER TABLE app.shares ADD acl jsonb, ADD other jsonb, ADD plain text,
                                    ADD made jsonb GENERATED ALWAYS AS ('[]'::jsonb) STORED;
             UPDATE app.shares SET acl = '[{{\"id\": \"u9\", \"rights\": [\"read\"]}}]';
             GRANT USAGE ON SCHEMA app TO {login}; GRANT SELECT ON app.shares TO {login};
             SELECT rolecall.create_user('eve', id => 'u9', database_role => '{login}')"
        ),
    );
    let spec = |table: &str| format!("rolecall:\n  tables:\n    app.shares: {{{table}}}");
    let plan = |spec: &str, line: &str| {
        let plan = rolecall(&db, &["plan"], spec);
        assert!(plan.code == 2 && plan.out.contains(line), "{line} is not in {plan:?}");
    };
    let held = || {
        value(&mut db.admin(), "SELECT acl_column FROM rolecall.protected_tables WHERE target = 'app.shares'::regclass")
    };
    let shares = || value(&mut db.connect(&login), "SELECT count(*) FROM app.shares");

    for (column, message) in [
        ("acls", "app.shares has no column \"acls\""),
        ("plain", "column \"plain\" of app.shares is no jsonb"),
        ("made", "column \"made\" of app.shares is generated"),
    ] {
        let told = refused(&db, &spec(&format!("acl_column: {column}")));
        let message = format!("line 3: rolecall.tables.app.shares.acl_column: {message}");
        assert!(told.err.contains(&message), "{message} is not in {told:?}");
    }

    let first = spec("acl_column: acl, exposed: true");
    plan(&first, "+ app.shares  protected: nobody may do what neither a permission nor the row's ACL in acl says");
    apply(&db, &first);
    nothing_to_do(&db, &first);
    assert_eq!((held().as_str(), shares().as_str()), ("acl", "1"));

    let second = spec("acl_column: other");
    plan(&second, "~ app.shares  rows' ACLs in other  (was acl)");
    assert_eq!(rolecall(&db, &["check"], &second).code, 2);
    apply(&db, &second);
    nothing_to_do(&db, &second);
    assert_eq!((held().as_str(), shares().as_str()), ("other", "0"), "an ACL that is NULL lets nobody in");
    for silent in ["permissions: []", ""] {
        nothing_to_do(&db, &spec(silent));
    }
    let exported = rolecall(&db, &["export"], "");
    assert!(exported.out.contains("acl_column: other"), "{exported:?}");
    nothing_to_do(&db, &exported.out);

    do_sql(&db, "SELECT rolecall.unprotect('app.shares'); SELECT rolecall.protect('app.shares')");
    plan(&exported.out, "+ app.shares  rows' ACLs in other");
    apply(&db, &exported.out);
    assert_eq!(held(), "other");
}

#[test]
fn work_queues_come_and_go_with_the_spec_and_are_never_changed() {
    let db = database();
    let spec = |queues: &str| {
        format!("rolecall:\n  roles: {{robots: {{pool: true}}, people: {{}}}}\n  work_queues:\n{queues}")
    };
    // By their names, each would come before the one it copies to.
    let queues = "    a: {pool: robots, success_queue: b, failed_queue: c}
    b: {pool: robots, failed_queue: c, retry_delay: 90 minutes, initial_delay: 1 day}
    c: {pool: robots, max_retries: 1}";
    let first = spec(queues);
    let plan = rolecall(&db, &["plan"], &first);
    assert_eq!(plan.code, 2, "{plan:?}");
    for line in ["+ c  new work queue of pool robots", "+ a  new work queue of pool robots, copied to b, c"] {
        assert!(plan.out.contains(line), "{line} is not in {}", plan.out);
    }
    apply(&db, &first);
    nothing_to_do(&db, &first);
    let held =
        "SELECT string_agg(concat_ws(' ', name, max_retries, retry_delay, initial_delay, success_queue, failed_queue),
                                  ', ' ORDER BY name) FROM rolecall.work_queues";
    let all = "a 3 00:00:00 00:00:00 b c, b 3 01:30:00 1 day c, c 1 00:00:00 00:00:00";
    assert_eq!(value(&mut db.admin(), held), all);
    for said_otherwise in [
        spec(
            "    a: {pool: robots}\n    b: {pool: robots, retry_delay: '1:30'}\n    c: {pool: robots, failed_queue: null}",
        ),
        "rolecall: {roles: {robots: {}, people: {}}}".to_owned(),
    ] {
        nothing_to_do(&db, &said_otherwise);
    }

    // Another database gets the same from what this one exports.
    let exported = rolecall(&db, &["export"], "").out;
    nothing_to_do(&db, &exported);
    let other = database();
    apply(&other, &exported);
    assert_eq!(value(&mut other.admin(), held), all);

    let is_there = "the work queue is there, but with";
    for (from, to, message) in [
        (
            "c: {pool: robots, max_retries: 1",
            "c: {pool: robots, max_retries: 2",
            format!("line 6: rolecall.work_queues.c: {is_there} max_retries 1"),
        ),
        (
            "90 minutes, initial_delay: 1 day",
            "2 hours, initial_delay: 2 days",
            format!("{is_there} retry_delay 01:30:00, initial_delay 1 day"),
        ),
        ("success_queue: b", "success_queue: null", format!("{is_there} success_queue b\n")),
        ("c: {pool: robots", "c: {pool: robots, success_queue: a", format!("{is_there} success_queue null\n")),
        ("c: {pool: robots", "c: {pool: people", "role \"people\" is no pool".to_owned()),
        (
            "c: {pool: robots",
            "c: {pool: nobody",
            "line 6: rolecall.work_queues.c: rolecall has no role \"nobody\"".to_owned(),
        ),
        (
            "success_queue: b",
            "success_queue: d",
            "line 4: rolecall.work_queues.a: there is no work queue \"d\"".to_owned(),
        ),
        ("90 minutes", "soon", "line 5: rolecall.work_queues.b: invalid input syntax".to_owned()),
        (
            "c: {",
            "d: {pool: robots, failed_queue: e}\n    e: {pool: robots, failed_queue: d}\n    c: {",
            "rolecall.work_queues.d: copies to itself".to_owned(),
        ),
    ] {
        let told = refused(&db, &spec(&queues.replace(from, to)));
        assert!(told.err.contains(&message), "{message} is not in {told:?}");
    }

    do_sql(&db, "SELECT rolecall.push_item('b', '1'), rolecall.push_item('b', '2')");
    let none = "rolecall: {roles: {}, work_queues: {}}";
    let left = rolecall(&db, &["apply", "--yes", "--revoke"], none);
    assert_eq!(left.code, 3, "{left:?}");
    assert!(left.out.contains("- b  work queue  (undeclared; 2 items go with it; needs --drop)"), "{left:?}");
    assert_eq!(value(&mut db.admin(), held), all);
    let gone = rolecall(&db, &["apply", "--yes", "--drop"], none);
    assert_eq!(gone.code, 0, "those first that copy to others, and all before their pool: {gone:?}");
    assert_eq!(value(&mut db.admin(), held), "NULL");
    nothing_to_do(&db, none);
}

#[test]
fn a_built_in_role_can_be_a_pool() {
    let db = database();
    apply(&db, "rolecall: {roles: {users: {pool: true}}, work_queues: {q: {pool: users}}}");
    let exported = rolecall(&db, &["export"], "").out;
    let other = database();
    apply(&other, &exported);
    assert_eq!(value(&mut other.admin(), "SELECT pool FROM rolecall.work_queues"), "users");
    nothing_to_do(&other, &exported);
}

/// The one of the program's document that is about ACLs and work queues.
#[test]
fn the_documents_example_of_acls_can_be_applied() {
    let document = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/program.md");
    let document = std::fs::read_to_string(document).expect("the document");
    let mut blocks = document.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let example = blocks.find(|block| block.contains("acl_column")).expect("an example");
    let db = database();
    do_sql(&db, "CREATE SCHEMA wiki; CREATE TABLE wiki.drafts (id int PRIMARY KEY, acl jsonb)");
    apply(&db, example);
    nothing_to_do(&db, example);
}

#[test]
fn what_is_there_can_be_exported_as_a_spec_without_a_plan() {
    let (db, _) = app();
    do_sql(
        &db,
        "SELECT rolecall.add_default_roles('openflow'); SELECT rolecall.set_api_allow_anonymous(true);
         SELECT rolecall.revoke_scopes('nodered users', '{nodered:instance:read}');
         SELECT rolecall.register_server('north', '{\"scopes\": [\"run\", \"a:b\"], \"audience\": \"N\"}', '2100-01-01', '3 mons');
         SELECT rolecall.create_role('analyst', 'd', server => 'north', latest_expiry => '2050-01-01');
         SELECT rolecall.grant_scopes('analyst', '{a,run}');
         SELECT rolecall.create_role('bare', pool => true);
         CREATE TABLE app.\"odd.Name\" (id int PRIMARY KEY, n numeric, s text);
         SELECT rolecall.protect('app.\"odd.Name\"');
         SELECT rolecall.allow('bare', 'app.\"odd.Name\"', 'all', '{\"n\": {\"gt\": 0.10, \"lt\": 10000000000000000001}}', '{n}');
         SELECT rolecall.allow('guest', 'app.\"odd.Name\"', 'all', '{\"s\": {\"in\": [\"yes\", \"1\", \"null\", \"\"]}}', preset => '{\"n\": 1.5}');
         SELECT rolecall.allow('guest', 'app.\"odd.Name\"', 'update', '{\"s\": {\"in\": [\"yes\", \"1\", \"null\", \"\"]}}', preset => '{\"n\": 2}');
         CREATE TABLE app.closed (); SELECT rolecall.protect('app.closed')",
    );
    let exported = rolecall(&db, &["export"], "");
    assert_eq!(exported.code, 0, "{exported:?}");
    nothing_to_do(&db, &exported.out);
    for part in ["openflow", "analyst", "bare", "odd.Name", "app.closed", "keeper", "documents", "north"] {
        assert!(exported.out.contains(part), "{part} is not in {}", exported.out);
    }
    assert!(!exported.out.contains("robot admins"), "what the kit makes is not repeated: {}", exported.out);

    // The same access model elsewhere, where the tables are.
    let other = database();
    do_sql(&other, APP);
    do_sql(&other, "CREATE TABLE app.closed (); CREATE TABLE app.\"odd.Name\" (id int PRIMARY KEY, n numeric, s text)");
    let made = rolecall(&other, &["apply", "--yes", "--revoke"], &exported.out);
    assert_eq!(made.code, 0, "a scope of the kit goes: {made:?}");
    nothing_to_do(&db, &rolecall(&other, &["export"], "").out);
    do_sql(&db, "SELECT rolecall.grant_scopes('bare', '{x}'); SELECT rolecall.allow('bare', 'app.closed', 'select')");
    let drift = rolecall(&db, &["plan"], &exported.out);
    assert!(drift.out.contains("Left without --revoke: 2"), "what it had not is told: {drift:?}");

    do_sql(
        &db,
        "SELECT rolecall.allow('bare', 'app.\"odd.Name\"', 'select', '{\"n\": {\"gt\": 0.12345678901234567890}}')",
    );
    let long = rolecall(&db, &["export"], "");
    assert!(long.code == 1 && long.err.contains("app.\"odd.Name\" holds a number"), "{long:?}");
}

#[test]
fn a_database_without_anything_of_rolecalls_exports_no_part() {
    for db in [database(), Cluster::shared().plain_database()] {
        let exported = rolecall(&db, &["export"], "");
        assert_eq!(exported.code, 0, "{exported:?}");
        assert!(!exported.out.contains("rolecall:") && !exported.out.contains("\"rolecall\""), "{exported:?}");
    }
}
