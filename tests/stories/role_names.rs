//! Roles: creating, renaming and dropping them, and what depends on their names.

use crate::support::*;
use postgres::Client;

/// Writers, a role with everything a role can have: members of both kinds, scopes, a permission, a place in the
/// registration, an invitation, an API token.
fn writers() -> (Notes<'static>, Client, Client) {
    let story = Notes::new();
    let mut admin = story.database.admin();
    run(
        &mut admin,
        r#"SELECT rolecall.create_role('writers'); SELECT rolecall.create_role('poets');
        SELECT rolecall.grant_role('writers', 'role:poets'); SELECT rolecall.grant_role('poets', 'bob');
        SELECT rolecall.grant_role('editor', 'role:writers');
        SELECT rolecall.grant_scopes('writers', '{press}');
        SELECT rolecall.allow('writers', 'notes', 'select', '{"id": {"equals": 1}}');
        SELECT rolecall.set_registration('open', default_roles => '{writers}');
        SELECT rolecall.invite('x@example.org', '{writers, poets}');
        SELECT rolecall.create_api_token('t', '{writers}');
        SELECT rolecall.disallow('editor', 'notes', 'all');"#,
    );
    let mut app = story.connect();
    authenticate(&mut app, &story.bob, true);
    (story, admin, app)
}

/// Where the name stands: in the tables, and in the policies of `notes`.
fn mentions(admin: &mut Client, name: &str) -> i64 {
    let query = "SELECT (SELECT count(*) FROM (
            SELECT r::text FROM rolecall.roles r UNION ALL SELECT m::text FROM rolecall.role_members m
             UNION ALL SELECT u::text FROM rolecall.user_roles u UNION ALL SELECT s::text FROM rolecall.role_scopes s
             UNION ALL SELECT p::text FROM rolecall.permissions p UNION ALL SELECT s::text FROM rolecall.settings s
             UNION ALL SELECT i::text FROM rolecall.invitations i UNION ALL SELECT t::text FROM rolecall.api_token_roles t
             UNION ALL SELECT c::text FROM rolecall.compiled_policies c
             UNION ALL SELECT p::text FROM pg_policies p) q(row) WHERE row ~ ('\\m' || $1 || '\\M'))";
    admin.query_one(query, &[&name]).unwrap().get(0)
}

#[test]
fn everything_follows_a_new_name() {
    let (_story, mut admin, mut app) = writers();
    let before = notes(&mut app);
    assert_eq!(before, BOBS + 1);
    let mentioned = mentions(&mut admin, "writers");
    assert!(mentioned > 9, "{mentioned}");
    run(&mut admin, "SELECT rolecall.rename_role('writers', 'o''writers \"2\"')");
    assert_eq!(mentions(&mut admin, "writers"), mentioned, "the same with the new name, in which the old one stands");
    run(&mut admin, "SELECT rolecall.rename_role('o''writers \"2\"', 'authors')");
    assert_eq!((mentions(&mut admin, "writers"), mentions(&mut admin, "authors")), (0, mentioned));
    assert_eq!(notes(&mut app), before);
    assert!(one::<bool>(&mut app, "SELECT rolecall.has_role('authors') AND rolecall.has_scope('press')"));
    assert!(!one::<bool>(&mut app, "SELECT rolecall.has_role('writers')"));
    // Whoever makes a role of the old name makes another one.
    run(&mut admin, "SELECT rolecall.create_role('writers'); SELECT rolecall.revoke_role('poets', 'bob')");
    run(&mut admin, "SELECT rolecall.grant_role('writers', 'bob')");
    assert_eq!(notes(&mut app), BOBS);
}

#[test]
fn nothing_of_a_dropped_role_comes_back_with_its_name() {
    let (story, mut admin, mut app) = writers();
    run(&mut admin, "SELECT rolecall.drop_role('writers')");
    assert_eq!(mentions(&mut admin, "writers"), 0);
    assert_eq!(notes(&mut app), BOBS);
    assert!(!one::<bool>(&mut app, "SELECT rolecall.has_role('editor') OR rolecall.has_scope('press')"));
    run(&mut admin, "SELECT rolecall.create_role('writers'); SELECT rolecall.grant_role('writers', 'bob')");
    assert_eq!(notes(&mut app), BOBS);
    run(&mut story.connect(), "SELECT rolecall.register('newcomer', NULL, 'one of many words')");
    let roles = "SELECT string_agg(r, ' ') FROM rolecall.roles_of('newcomer') r";
    assert_eq!(one::<String>(&mut admin, roles), "guest users");
}

#[test]
fn built_in_roles_stay() {
    let database = database();
    let mut admin = database.admin();
    for kit in ["openflow", "graphistry", "floating-server", "8base"] {
        admin.execute("SELECT rolecall.add_default_roles($1)", &[&kit]).unwrap();
    }
    let built_in = column(&mut admin, "SELECT name FROM rolecall.roles");
    assert_eq!(built_in.len(), 16, "{built_in:?}");
    for role in built_in {
        refused(
            &mut admin,
            &format!("SELECT rolecall.drop_role('{role}')"),
            "55000",
            "is built in and cannot be dropped",
        );
        if role != "Guest" {
            let rename = format!("SELECT rolecall.rename_role('{role}', 'x')");
            refused(&mut admin, &rename, "55000", &format!("role {role:?} is built in and cannot be renamed"));
        }
    }
}

#[test]
fn everybodys_role_may_have_another_name() {
    let story = Notes::new();
    let mut admin = story.database.admin();
    run(&mut admin, r#"SELECT rolecall.allow('guest', 'notes', 'select', '{"id": {"in": [1, 2]}}')"#);
    let robot: String = one(&mut admin, "SELECT rolecall.create_api_token('robot', '{}')");
    let mut nobody = story.connect();
    assert_eq!(notes(&mut nobody), 2);
    run(&mut admin, "SELECT rolecall.rename_role('guest', 'Besucher')");
    for token in [None, Some(&robot), Some(&story.bob)] {
        if let Some(token) = token {
            authenticate(&mut nobody, token, true);
        }
        let roles = column(&mut nobody, "SELECT jsonb_array_elements_text(rolecall.whoami() -> 'roles')");
        assert!(roles.contains(&"Besucher".to_owned()) && !roles.contains(&"guest".to_owned()), "{roles:?}");
        let seen = notes(&mut nobody);
        assert!(seen == 2 || seen == BOBS + 1, "{seen}: u2 owns the second");
    }
    // No other role may be called guest: a dump could not hold both. It itself may be again, and a kit leaves its name.
    refused(&mut admin, "SELECT rolecall.create_role('guest')", "42710", "role \"guest\" exists already");
    refused(&mut admin, "SELECT rolecall.rename_role('editor', 'guest')", "42710", "role \"guest\" exists already");
    let everybodys = "SELECT name FROM rolecall.roles WHERE everybody";
    run(&mut admin, "SELECT rolecall.add_default_roles('8base')");
    assert_eq!(one::<String>(&mut admin, everybodys), "Besucher");
    run(&mut admin, "SELECT rolecall.rename_role('Besucher', 'guest')");
    assert_eq!(one::<String>(&mut admin, everybodys), "guest");
}

#[test]
fn the_roles_of_a_user_are_his_and_the_administrators_to_see() {
    let (story, mut admin, mut app) = writers();
    let roles = "SELECT r FROM rolecall.roles_of('bob') r";
    let expected = ["editor", "guest", "poets", "users", "writers"];
    assert_eq!(column(&mut app, roles), expected);
    assert_eq!(column(&mut admin, roles), expected);
    refused(&mut app, "SELECT rolecall.roles_of('alice')", "42501", "needs an administrator");
    refused(&mut app, "SELECT rolecall.roles_of('nobody')", "42501", "needs an administrator");
    refused(&mut admin, "SELECT rolecall.roles_of('nobody')", "42704", "user \"nobody\" does not exist");
    refused(&mut admin, "SELECT rolecall.roles_of(NULL)", "22023", "username must not be NULL");
    // A role of the database's is his where his own login has it.
    let login = story.database.login("linked");
    run(
        &mut admin,
        &format!(
            "SELECT rolecall.create_role('by login', database_role => '{login}');
             SELECT rolecall.create_user('linked', database_role => '{login}')"
        ),
    );
    assert_eq!(column(&mut admin, "SELECT rolecall.roles_of('linked')"), ["by login", "guest", "users"]);
    assert_eq!(column(&mut admin, roles), expected);
}

#[test]
fn bad_names_get_one_clear_error() {
    let (_story, mut admin, _app) = writers();
    let long = "x".repeat(256);
    for (call, state, message) in [
        ("create_role('')".to_owned(), "22023", "role name \"\" must not be empty"),
        (format!("create_role('{long}')"), "22023", "is longer than 255 characters"),
        ("create_role('poets')".into(), "42710", "role \"poets\" exists already"),
        ("create_role('x', pool => NULL)".into(), "22023", "pool must not be NULL"),
        ("create_role('x', database_role => 'no such')".into(), "42704", "database role \"no such\" does not exist"),
        ("rename_role('poets', 'writers')".into(), "42710", "role \"writers\" exists already"),
        ("rename_role('poets', '')".into(), "22023", "must not be empty"),
        ("rename_role('nobody', 'x')".into(), "42704", "role \"nobody\" does not exist"),
        ("rename_role('poets', NULL)".into(), "22023", "new_name must not be NULL"),
        ("drop_role('nobody')".into(), "42704", "role \"nobody\" does not exist"),
        ("drop_role(NULL)".into(), "22023", "name must not be NULL"),
    ] {
        refused(&mut admin, &format!("SELECT rolecall.{call}"), state, message);
    }
    run(&mut admin, "SELECT rolecall.create_role('pool', 'A queue', true)");
    assert!(one::<bool>(&mut admin, "SELECT pool FROM rolecall.roles WHERE name = 'pool'"));
}

#[test]
fn the_last_administrators_role_is_not_dropped() {
    let database = database();
    let mut admin = database.admin();
    run(
        &mut admin,
        "SELECT rolecall.create_role('chiefs'); SELECT rolecall.grant_role('admins', 'role:chiefs');
         SELECT rolecall.create_user('chief', roles => '{chiefs}')",
    );
    refused(&mut admin, "SELECT rolecall.drop_role('chiefs')", "55000", "last administrator");
    run(&mut admin, "SELECT rolecall.create_user('other', roles => '{admins}'); SELECT rolecall.drop_role('chiefs')");
}
