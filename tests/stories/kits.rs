//! Kits: the roles of the systems people come from, with their meaning.

use crate::support::*;
use postgres::Client;
use rolecall_tests::Database;
use std::collections::HashMap;

/// A database with a kit, and a session for each of some roles of it, by the role's name; nobody's under "".
fn with_kit(kit: &str, roles: &[&str]) -> (Database<'static>, HashMap<String, Client>) {
    let database = database();
    let login = database.login("app");
    let mut admin = database.admin();
    admin.execute("SELECT rolecall.add_default_roles($1)", &[&kit]).unwrap();
    let mut sessions = HashMap::from([(String::new(), database.connect(&login))]);
    for (number, role) in roles.iter().enumerate() {
        let username = format!("user {number}");
        let create = "SELECT rolecall.create_user($1, password => 'welcome', roles => ARRAY[$2])";
        admin.execute(create, &[&username, role]).unwrap();
        let token = first_token(&mut admin, &username, "welcome", "kit and caboodle 7");
        let mut session = database.connect(&login);
        authenticate(&mut session, &token, true);
        sessions.insert((*role).to_owned(), session);
    }
    (database, sessions)
}

/// Who of the sessions has the scope, by role, and that `require_scope` agrees.
fn holders(sessions: &mut HashMap<String, Client>, scope: &str) -> Vec<String> {
    let mut holders: Vec<String> = Vec::new();
    for (role, session) in sessions {
        let has: bool = session.query_one("SELECT rolecall.has_scope($1)", &[&scope]).unwrap().get(0);
        assert_eq!(session.execute("SELECT rolecall.require_scope($1)", &[&scope]).is_ok(), has);
        if has {
            holders.push(role.clone());
        }
    }
    holders.sort();
    holders
}

fn roles(admin: &mut Client) -> Vec<String> {
    column(admin, "SELECT name FROM rolecall.roles ORDER BY name")
}

#[test]
fn a_kit_adds_its_roles_once() {
    let database = database();
    let mut admin = database.admin();
    run(&mut admin, "SELECT rolecall.add_default_roles('core')");
    assert_eq!(roles(&mut admin), ["admins", "guest", "users"]);
    run(&mut admin, "SELECT rolecall.add_default_roles('openflow')");
    let page = [
        "admins",
        "filestore admins",
        "filestore users",
        "guest",
        "nodered admins",
        "nodered api users",
        "nodered users",
        "personal nodered users",
        "robot admins",
        "robot users",
        "users",
    ];
    assert_eq!(roles(&mut admin), page, "the ten of the page, and guest");
    // Again, it leaves alone what an administrator has made of them.
    run(
        &mut admin,
        "SELECT rolecall.revoke_scopes('nodered users', '{nodered}'); SELECT rolecall.add_default_roles('openflow');
         SELECT rolecall.add_default_roles('graphistry'); SELECT rolecall.add_default_roles('floating-server')",
    );
    assert_eq!(one::<i64>(&mut admin, "SELECT count(*) FROM rolecall.role_scopes WHERE role = 'nodered users'"), 0);
    assert_eq!(roles(&mut admin).len(), page.len() + 4);
    refused(
        &mut admin,
        "SELECT rolecall.add_default_roles('8Base')",
        "22023",
        "kit \"8Base\" is none of core, openflow",
    );
    refused(&mut admin, "SELECT rolecall.add_default_roles(NULL)", "22023", "kit must not be NULL");
}

/// Whoever holds a role of that name already would become what the kit makes of it.
#[test]
fn a_kit_takes_over_nobodys_role() {
    let database = database();
    let mut admin = database.admin();
    run(&mut admin, "SELECT rolecall.create_role('nodered admins'); SELECT rolecall.create_role('Administrator')");
    for (kit, role) in [("openflow", "nodered admins"), ("8base", "Administrator")] {
        let call = format!("SELECT rolecall.add_default_roles('{kit}')");
        refused(&mut admin, &call, "42710", &format!("role {role:?} exists already"));
    }
    assert_eq!(roles(&mut admin), ["Administrator", "admins", "guest", "nodered admins", "users"], "nothing half done");
}

#[test]
fn openflows_roles_may_do_what_its_page_says() {
    let all = ["nodered users", "nodered admins", "personal nodered users", "nodered api users", "admins", "users"];
    let (database, mut sessions) = with_kit("openflow", &all);
    for (scope, who) in [
        ("nodered:instance:create", &["admins", "nodered admins", "personal nodered users"][..]),
        ("nodered:instance:read", &["admins", "nodered admins", "nodered users"]),
        ("nodered:instance:delete", &["admins", "nodered admins"]),
        ("nodered:api:call", &["admins", "nodered admins", "nodered api users"]),
        ("filestore:read", &["admins"]),
    ] {
        assert_eq!(holders(&mut sessions, scope), who, "{scope}");
    }
    let mut admin = database.admin();
    run(&mut admin, "SELECT rolecall.set_api_allow_anonymous(true)");
    assert_eq!(holders(&mut sessions, "nodered:api:call").len(), sessions.len(), "everybody, without a login too");
    assert_eq!(holders(&mut sessions, "nodered:instance:create").len(), 3);
    run(&mut admin, "SELECT rolecall.set_api_allow_anonymous(false)");
    assert_eq!(holders(&mut sessions, "nodered:api:call"), ["admins", "nodered admins", "nodered api users"]);
    refused(&mut admin, "SELECT rolecall.set_api_allow_anonymous(NULL)", "22023", "allowed must not be NULL");
}

#[test]
fn a_file_store_is_read_by_its_users_and_changed_by_its_admins() {
    let (database, mut sessions) = with_kit("openflow", &["filestore users", "filestore admins", "users", "admins"]);
    let mut admin = database.admin();
    run(&mut admin, "CREATE TABLE files (id int); INSERT INTO files VALUES (1), (2); GRANT ALL ON files TO PUBLIC");
    run(&mut admin, "SELECT rolecall.file_store('files')");
    for (role, seen, writes) in [
        ("", 0, false),
        ("users", 0, false),
        ("filestore users", 2, false),
        ("filestore admins", 2, true),
        ("admins", 3, true),
    ] {
        let session = sessions.get_mut(role).unwrap();
        assert_eq!(one::<i64>(session, "SELECT count(*) FROM files"), seen, "{role}");
        assert_eq!(session.execute("INSERT INTO files VALUES (3)", &[]).is_ok(), writes, "{role}");
        let deleted = session.execute("DELETE FROM files WHERE id = 3", &[]).unwrap();
        assert_eq!(deleted, u64::from(writes), "{role}");
        if role == "filestore admins" {
            run(session, "INSERT INTO files VALUES (4)");
        }
    }
    let other = crate::support::database();
    let mut admin = other.admin();
    run(&mut admin, "CREATE TABLE files (id int)");
    refused(&mut admin, "SELECT rolecall.file_store('files')", "55000", "the roles of the file store are missing");
    assert!(!one::<bool>(&mut admin, "SELECT relrowsecurity FROM pg_class WHERE oid = 'files'::regclass"));
}

#[test]
fn the_floating_servers_roles_have_its_pages_lists() {
    let (database, mut sessions) = with_kit("floating-server", &["admin", "user"]);
    let (admins, both): (&[&str], &[&str]) = (
        &["users:add", "users:remove", "licenses:add", "licenses:remove", "urls:configure", "keys:set"],
        &[
            "users:register",
            "consumptions:add",
            "reports:read",
            "health:read",
            "licenses:borrow",
            "password:change:own",
        ],
    );
    for scope in admins {
        assert_eq!(holders(&mut sessions, scope), ["admin"], "{scope}");
    }
    for scope in both {
        assert_eq!(holders(&mut sessions, scope), ["admin", "user"], "{scope}");
    }
    let (user, admin) = (&mut sessions.remove("user").unwrap(), &mut sessions.remove("admin").unwrap());
    refused(user, "SELECT rolecall.require_scope('licenses:add')", "42501", "scope \"licenses:add\" is missing");
    refused(user, "SELECT rolecall.require_scope('password:change')", "42501", "scope \"password:change\" is missing");
    let nobody = &mut sessions.remove("").unwrap();
    refused(nobody, "SELECT rolecall.require_scope('users:register')", "28000", "Unauthorized: Please log in");
    assert!(one::<bool>(
        admin,
        "SELECT rolecall.has_role('user') AND rolecall.has_scopes('{licenses:add, licenses:borrow}')"
    ));
    drop(database);
}

#[test]
fn eightbases_administrator_may_everything_and_its_guest_nothing() {
    let (database, mut sessions) = with_kit("8base", &["Administrator", "users"]);
    let mut admin = database.admin();
    run(&mut admin, "CREATE TABLE posts (id int); INSERT INTO posts VALUES (1); GRANT ALL ON posts TO PUBLIC");
    run(&mut admin, "SELECT rolecall.protect('posts'); SELECT rolecall.add_default_roles('8base')");
    for (role, seen, roles) in [
        ("", 0, &["Guest"][..]),
        ("users", 0, &["Guest", "users"]),
        ("Administrator", 1, &["Administrator", "Guest", "admins", "users"]),
    ] {
        let session = sessions.get_mut(role).unwrap();
        assert_eq!(one::<i64>(session, "SELECT count(*) FROM posts"), seen, "{role}");
        assert_eq!(column(session, "SELECT jsonb_array_elements_text(rolecall.whoami() -> 'roles')"), roles);
    }
    run(sessions.get_mut("Administrator").unwrap(), "SELECT rolecall.allow('Guest', 'posts', 'select')");
    assert_eq!(one::<i64>(sessions.get_mut("").unwrap(), "SELECT count(*) FROM posts"), 1);
}

#[test]
fn graphistrys_first_user_has_the_kits_roles() {
    let database = database();
    let login = database.login("app");
    let mut app = database.connect(&login);
    run(&mut app, "SELECT rolecall.register('first', NULL, 'come and be counted')");
    let mut admin = database.admin();
    run(&mut admin, "SELECT rolecall.add_default_roles('graphistry')");
    let roles = column(&mut admin, "SELECT rolecall.roles_of('first')");
    assert_eq!(roles, ["admins", "guest", "staff", "superuser", "users"]);
    assert_eq!(
        column(&mut admin, "SELECT scope FROM rolecall.role_scopes WHERE role = 'staff' ORDER BY 1"),
        ["investigation", "notebook"]
    );
}
