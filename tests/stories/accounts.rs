//! Accounts, from the first administrator to a user who is gone.

use crate::support::*;
use bcrypt::Version;
use postgres::Client;
use rolecall_tests::Database;

const PASSWORD: &str = "springtime in 1883";

/// What an installer makes, of the lowest cost for speed.
fn bcrypt_of(password: &str, version: Version) -> String {
    bcrypt::hash_with_result(password, 4).unwrap().format_for_version(version)
}

fn hash_of(admin: &mut Client, username: &str) -> String {
    admin.query_one("SELECT password_hash FROM rolecall.users WHERE username = $1", &[&username]).unwrap().get(0)
}

/// A database with a table that users may read, and the name of an application's login.
fn documents() -> (Database<'static>, String) {
    let database = database();
    let app = database.login("app");
    run(
        &mut database.admin(),
        &format!(
            "CREATE TABLE documents (id int); INSERT INTO documents SELECT generate_series(1, 10);
             GRANT SELECT ON documents TO {app};
             SELECT rolecall.protect('documents'); SELECT rolecall.allow('users', 'documents', 'select')"
        ),
    );
    (database, app)
}

fn documents_seen(client: &mut Client) -> i64 {
    one(client, "SELECT count(*) FROM documents")
}

/// The same with an administrator, whose connection is the second.
fn with_administrator() -> (Database<'static>, Client, Client) {
    let (database, app) = documents();
    let hash = bcrypt_of(PASSWORD, Version::TwoY);
    run(&mut database.admin(), &format!("SELECT rolecall.bootstrap_admin('admin', '{hash}')"));
    let mut admin = database.connect(&app);
    let token = token(&mut admin, "admin", PASSWORD);
    authenticate(&mut admin, &token, true);
    let app = database.connect(&app);
    (database, admin, app)
}

#[test]
fn the_first_administrator_comes_from_a_hash() {
    let (database, app) = documents();
    let (mut superuser, mut app) = (database.admin(), database.connect(&app));
    let bootstrap = |version| format!("SELECT rolecall.bootstrap_admin('admin', '{}')", bcrypt_of(PASSWORD, version));
    refused(&mut app, &bootstrap(Version::TwoY), "42501", "needs an administrator");
    // Checking the last one takes 4 GiB.
    let too_dear = "$argon2id$v=19$m=4194304,t=1,p=1$cm9sZWNhbGxub2JvZHk$3q2+796tvu/erb7v3q2+796tvu/erb7v3q2+796tvu8";
    for no_hash in [PASSWORD, "", "$2y$04$tooshort", "$1$salt$hash", "$argon2id$", too_dear] {
        let statement = format!("SELECT rolecall.bootstrap_admin('admin', '{no_hash}')");
        refused(&mut superuser, &statement, "22023", "is no bcrypt hash");
    }
    for version in [Version::TwoA, Version::TwoB, Version::TwoY] {
        run(&mut superuser, "DELETE FROM rolecall.users");
        run(&mut superuser, &bootstrap(version));
        assert!(hash_of(&mut superuser, "admin").starts_with("$2"), "taken as it is");
        refused(&mut app, "SELECT rolecall.login('admin', 'springtime in 1884')", "28P01", "wrong");
        assert!(hash_of(&mut superuser, "admin").starts_with("$2"), "a wrong password replaces nothing");
        let token = token(&mut app, "admin", PASSWORD);
        assert!(hash_of(&mut superuser, "admin").starts_with("$argon2id$"), "replaced when the password was there");
        authenticate(&mut app, &token, true);
        assert!(one::<bool>(&mut app, "SELECT rolecall.has_role('admins')"));
        run(&mut app, "SELECT rolecall.logout()");
        self::token(&mut app, "admin", PASSWORD);
    }
    refused(&mut superuser, &bootstrap(Version::TwoY), "55000", "there is an administrator already");
    let second = bootstrap(Version::TwoY).replace("'admin'", "'admin 2'");
    refused(&mut superuser, &second, "55000", "there is an administrator already");
}

#[test]
fn with_authentication_enabled_nobody_acts_without_a_login() {
    let (database, app) = documents();
    let (mut superuser, mut app) = (database.admin(), database.connect(&app));
    let error = superuser.batch_execute("SELECT rolecall.enable_authentication()").unwrap_err();
    let error = error.as_db_error().unwrap();
    assert_eq!(error.code().code(), "55000");
    assert!(error.hint().unwrap().contains("bootstrap_admin"));
    let hash = bcrypt_of(PASSWORD, Version::TwoY);
    run(&mut superuser, &format!("SELECT rolecall.bootstrap_admin('admin', '{hash}')"));
    let count = app.prepare("SELECT count(*) FROM documents").unwrap();
    assert_eq!(app.query_one(&count, &[]).unwrap().get::<_, i64>(0), 0, "a guest until then");
    run(&mut superuser, "SELECT rolecall.enable_authentication()");

    assert_eq!(rolecall_tests::sqlstate(app.query_one(&count, &[])).0, "28000");
    for statement in [
        "SELECT * FROM documents",
        "SELECT rolecall.has_role('guest')",
        "SELECT rolecall.whoami()",
        "SELECT rolecall.user_id()",
        "SELECT rolecall.require_login()",
        "SELECT rolecall.change_password('x', 'y')",
        "SELECT rolecall.create_role('x')",
    ] {
        refused(&mut app, statement, "28000", "Unauthorized: Please log in");
    }
    assert_eq!(documents_seen(&mut superuser), 10);
    run(&mut superuser, "SELECT rolecall.whoami(), rolecall.create_role('by the superuser')");

    let token = token(&mut app, "admin", PASSWORD);
    authenticate(&mut app, &token, true);
    assert_eq!(documents_seen(&mut app), 10);
    run(&mut app, "SELECT rolecall.logout()");
    refused(&mut app, "SELECT * FROM documents", "28000", "Unauthorized: Please log in");
    authenticate(&mut app, &token, true);
    run(&mut app, "SELECT rolecall.disable_authentication(), rolecall.logout()");
    assert_eq!(documents_seen(&mut app), 0);
}

#[test]
fn a_temporary_password_is_good_for_nothing_but_changing_it() {
    let (_database, mut admin, mut app) = with_administrator();
    run(&mut admin, "SELECT rolecall.create_user('carol', 'carol@example.org', 'welcome')");
    let (first, other) = (token(&mut app, "carol", "welcome"), token(&mut app, "carol", "welcome"));
    authenticate(&mut app, &first, true);
    for statement in [
        "SELECT * FROM documents",
        "SELECT rolecall.has_role('users')",
        "SELECT rolecall.whoami()",
        "SELECT rolecall.user_id()",
        "SELECT rolecall.require_login()",
        "SELECT rolecall.is_administrator()",
        "SELECT rolecall.revoke_sessions('carol')",
        "SELECT rolecall.create_role('x')",
        "SELECT * FROM rolecall.audit_log",
    ] {
        refused(&mut app, statement, "28000", "the temporary password must be changed first");
    }
    refused(&mut app, "SELECT rolecall.change_password('welcome', 'welcome')", "22023", "must differ");
    refused(&mut app, "SELECT rolecall.change_password('wrong', 'blue moon over 42')", "28P01", "wrong");
    run(&mut app, "SELECT rolecall.change_password('welcome', 'blue moon over 42')");
    assert_eq!(documents_seen(&mut app), 10, "the same login goes on");
    run(&mut app, "SELECT rolecall.logout()");
    authenticate(&mut app, &first, true);
    assert_eq!(documents_seen(&mut app), 10, "also when it is used again");
    run(&mut app, "SELECT rolecall.logout()");
    refused(&mut app, &format!("SELECT rolecall.authenticate('{other}')"), "28000", "the login was revoked");
    refused(&mut app, "SELECT rolecall.login('carol', 'welcome')", "28P01", "wrong");
    let new = token(&mut app, "carol", "blue moon over 42");
    authenticate(&mut app, &new, true);

    run(&mut admin, "SELECT rolecall.set_password('carol', 'once more')");
    refused(&mut app, "SELECT * FROM documents", "28000", "the login was revoked");
    run(&mut app, "SELECT rolecall.logout()");
    for token in [first, new] {
        refused(&mut app, &format!("SELECT rolecall.authenticate('{token}')"), "28000", "the login was revoked");
    }
    let third = token(&mut app, "carol", "once more");
    authenticate(&mut app, &third, true);
    refused(&mut app, "SELECT * FROM documents", "28000", "the temporary password must be changed first");
}

/// Statements that only administrators may run, for every function whose comment says so.
const ADMINISTRATORS_ONLY: [&str; 48] = [
    "set_signing_key('HS256')",
    "add_verification_key('x', '{}')",
    "drop_key('x')",
    "create_api_token('x', '{}')",
    "revoke_api_token('x')",
    "revoke_sessions('admin')",
    "create_user('mallory')",
    "drop_user('admin')",
    "disable_user('admin')",
    "enable_user('admin')",
    "set_password('admin', 'mine')",
    "bootstrap_admin('mallory', '$2y$04$wMpETcgCKDMJUGJNtbLcKOGPrpAcjEZCKtsTdtcHGxzfLYQBbHFDy')",
    "enable_authentication()",
    "disable_authentication()",
    "set_registration('open')",
    "invite('mallory@example.org', '{admins}')",
    "create_role('x')",
    "rename_role('users', 'x')",
    "drop_role('users')",
    "add_default_roles('openflow')",
    "set_api_allow_anonymous(true)",
    "grant_scopes('users', '{run}')",
    "revoke_scopes('users', '{run}')",
    "register_server('north', '{\"scopes\": [\"run\"]}')",
    "drop_server('north')",
    "revoke_token('x')",
    "roles_of('admin')",
    "file_store('documents')",
    "relate('documents', 'x', 'documents', '{id}', '{id}')",
    "users_table('documents', 'id')",
    "add_default_filters('users', 'documents')",
    "preview('documents', '{}')",
    "grant_role('admins', 'carol')",
    "grant_role('admins', 'role:users')",
    "revoke_role('admins', 'admin')",
    "protect('documents')",
    "unprotect('documents')",
    "allow('guest', 'documents', 'all')",
    "disallow('users', 'documents', 'select')",
    "expose('documents')",
    "create_work_queue('orders', 'users')",
    "drop_work_queue('orders')",
    "add_auth_schema()",
    "purge()",
    "who_can('documents', 'select')",
    "diff_access('-infinity')",
    "become('admin', 'curiosity')",
    "doctor()",
];

/// Trap 8.
#[test]
fn others_may_nothing_that_administrators_may() {
    let (database, mut admin, mut app) = with_administrator();
    let mut named = ADMINISTRATORS_ONLY.map(|call| call.split('(').next().unwrap().to_owned()).to_vec();
    named.sort();
    named.dedup();
    let documented = "SELECT proname FROM pg_proc WHERE pronamespace = 'rolecall'::regnamespace
        AND (obj_description(oid) LIKE '%(administrators%' OR obj_description(oid) LIKE '%(superusers%') ORDER BY 1";
    assert_eq!(column(&mut database.admin(), documented), named, "all are tried");

    run(&mut admin, "SELECT rolecall.create_user('carol', password => 'welcome')");
    let state = "SELECT md5(string_agg(x, '')) FROM (SELECT u::text FROM rolecall.users u UNION ALL
        SELECT r::text FROM rolecall.user_roles r UNION ALL SELECT m::text FROM rolecall.role_members m) q(x)";
    let carol = first_token(&mut app, "carol", "welcome", "blue moon over 42");
    let before: String = one(&mut database.admin(), state);
    for token in [None, Some(&carol)] {
        if let Some(token) = token {
            authenticate(&mut app, token, true);
        }
        for call in ADMINISTRATORS_ONLY {
            refused(&mut app, &format!("SELECT rolecall.{call}"), "42501", "needs an administrator");
        }
    }
    assert_eq!(one::<String>(&mut database.admin(), state), before);
    // Nor is it lent by the superuser's connection.
    let mut superuser = database.admin();
    authenticate(&mut superuser, &carol, true);
    for call in ADMINISTRATORS_ONLY {
        refused(&mut superuser, &format!("SELECT rolecall.{call}"), "42501", "needs an administrator");
    }
}

#[test]
fn a_disabled_user_is_out_at_once() {
    let (_database, mut admin, mut app) = with_administrator();
    run(&mut admin, "SELECT rolecall.create_user('carol', password => 'welcome')");
    let carol = first_token(&mut app, "carol", "welcome", "blue moon over 42");
    authenticate(&mut app, &carol, true);
    let count = app.prepare("SELECT count(*) FROM documents").unwrap();
    for _ in 0..7 {
        app.query_one(&count, &[]).unwrap();
    }
    run(&mut app, "BEGIN; DECLARE c CURSOR FOR SELECT * FROM documents; FETCH 1 FROM c; SAVEPOINT s");
    run(&mut admin, "SELECT rolecall.disable_user('carol')");
    refused(&mut app, "FETCH 1 FROM c", "28000", "the user is disabled");
    run(&mut app, "ROLLBACK TO s");
    assert_eq!(rolecall_tests::sqlstate(app.query_one(&count, &[])).1, "the user is disabled");
    run(&mut app, "ROLLBACK");
    assert_eq!(rolecall_tests::sqlstate(app.query_one(&count, &[])).1, "the user is disabled");
    refused(&mut app, "SELECT rolecall.whoami()", "28000", "the user is disabled");
    run(&mut app, "SELECT rolecall.logout()");
    refused(&mut app, &format!("SELECT rolecall.authenticate('{carol}')"), "28000", "the user is disabled");
    refused(&mut app, "SELECT rolecall.login('carol', 'blue moon over 42')", "28000", "the user is disabled");
    // Who does not know the password does not learn that there is somebody.
    refused(&mut app, "SELECT rolecall.login('carol', 'guessed')", "28P01", "wrong user name or password");

    run(&mut admin, "SELECT rolecall.enable_user('carol')");
    authenticate(&mut app, &carol, true);
    assert_eq!(app.query_one(&count, &[]).unwrap().get::<_, i64>(0), 10);
    run(&mut admin, "SELECT rolecall.drop_user('carol')");
    assert_eq!(rolecall_tests::sqlstate(app.query_one(&count, &[])).1, "the logged-in user no longer exists");
    run(&mut app, "SELECT rolecall.logout()");
    refused(&mut app, "SELECT rolecall.login('carol', 'blue moon over 42')", "28P01", "wrong user name or password");
    for call in ["drop_user", "disable_user", "enable_user", "revoke_sessions"] {
        refused(&mut admin, &format!("SELECT rolecall.{call}('carol')"), "42704", "user \"carol\" does not exist");
    }
}

/// Trap 33.
#[test]
fn logins_are_revoked_by_oneself_and_by_administrators() {
    let (_database, mut admin, mut app) = with_administrator();
    run(&mut admin, "SELECT rolecall.create_user(u, password => 'welcome') FROM unnest('{carol,dave}'::text[]) u");
    let dave = first_token(&mut app, "dave", "welcome", "seven red boats");
    let mut carols = vec![first_token(&mut app, "carol", "welcome", "blue moon over 42")];
    for by_administrator in [false, true] {
        carols.push(token(&mut app, "carol", "blue moon over 42"));
        authenticate(&mut app, &dave, true);
        refused(&mut app, "SELECT rolecall.revoke_sessions('carol')", "42501", "needs an administrator");
        run(&mut app, "SELECT rolecall.logout()");
        authenticate(&mut app, carols.last().unwrap(), true);
        assert_eq!(documents_seen(&mut app), 10, "not revoked by dave");
        let revoking = if by_administrator { &mut admin } else { &mut app };
        run(revoking, "SELECT rolecall.revoke_sessions('carol')");
        refused(&mut app, "SELECT * FROM documents", "28000", "the login was revoked");
        run(&mut app, "SELECT rolecall.logout()");
        for token in &carols {
            refused(&mut app, &format!("SELECT rolecall.authenticate('{token}')"), "28000", "the login was revoked");
        }
        authenticate(&mut app, &dave, false);
    }
    let again = token(&mut app, "carol", "blue moon over 42");
    authenticate(&mut app, &again, true);
    assert_eq!(documents_seen(&mut app), 10);
}
