//! Administrators who act as somebody else, on the record.

use crate::support::*;
use postgres::Client;

/// The story, alice an administrator, and a connection in which she is logged in.
fn with_administrator() -> (Notes<'static>, Client, Client) {
    let story = Notes::new();
    let mut superuser = story.database.admin();
    run(&mut superuser, "SELECT rolecall.grant_role('admins', 'alice')");
    let mut client = story.connect();
    authenticate(&mut client, &story.alice, true);
    (story, superuser, client)
}

fn via(client: &mut Client) -> String {
    one(client, "SELECT concat_ws(' ', rolecall.whoami() ->> 'username', rolecall.whoami() ->> 'via')")
}

#[test]
fn an_administrator_becomes_somebody_for_a_transaction_or_until_logout() {
    let (_story, mut superuser, mut client) = with_administrator();
    run(&mut client, "BEGIN");
    assert_eq!(one::<String>(&mut client, "SELECT rolecall.become('bob', 'ticket 42')"), "u2");
    assert_eq!((notes(&mut client), via(&mut client)), (BOBS, "bob become".into()));
    assert!(!one::<bool>(&mut client, "SELECT rolecall.is_administrator()"));
    refused(&mut client, "SAVEPOINT s; SELECT rolecall.create_role('x')", "42501", "needs an administrator");
    run(&mut client, "ROLLBACK TO s; SELECT rolecall.revoke_sessions('bob'); COMMIT");
    assert_eq!((notes(&mut client), via(&mut client)), (ALL, "alice jwt".into()));

    let rows = superuser
        .query(
            "SELECT actor, acting_as, action, object, new ->> 'reason' FROM rolecall.audit_log ORDER BY id DESC LIMIT 2",
            &[],
        )
        .unwrap();
    let text = |row: usize, column: usize| rows[row].get::<_, Option<String>>(column).unwrap_or_default();
    assert_eq!([0, 1, 2, 3, 4].map(|n| text(1, n)), ["alice", "", "become", "bob", "ticket 42"]);
    assert_eq!([0, 1, 2, 3].map(|n| text(0, n)), ["alice", "bob", "update", "users"]);

    run(&mut client, "SELECT rolecall.become('bob', 'ticket 43', for_session => true)");
    for _ in 0..2 {
        assert_eq!((notes(&mut client), via(&mut client)), (BOBS, "bob become".into()));
    }
    refused(&mut client, "SELECT rolecall.become('alice', 'back')", "55000", "acts as somebody else already");
    run(&mut client, "SELECT rolecall.logout()");
    assert_eq!((notes(&mut client), via(&mut client)), (0, "none".into()));

    // A superuser's session without a login becomes somebody, too.
    run(&mut superuser, "SELECT rolecall.become('bob', 'support', true)");
    assert_eq!(via(&mut superuser), "bob become");
    refused(&mut superuser, "SELECT rolecall.create_role('x')", "42501", "needs an administrator");
    run(&mut superuser, "SELECT rolecall.revoke_sessions('bob'), rolecall.logout()");
    let row = superuser.query_one("SELECT actor, acting_as FROM rolecall.audit_log ORDER BY id DESC LIMIT 1", &[]);
    let row = row.unwrap();
    assert_eq!((row.get::<_, &str>(0), row.get::<_, &str>(1)), ("postgres", "bob"));
}

#[test]
fn becoming_is_refused_to_others_and_without_a_reason() {
    let (story, mut superuser, mut client) = with_administrator();
    for (arguments, state, message) in [
        ("'bob', NULL", "22023", "reason must not be NULL"),
        ("'bob', ''", "22023", "must say why"),
        ("'bob', '  '", "22023", "must say why"),
        ("NULL, 'why'", "22023", "username must not be NULL"),
        ("'nobody', 'why'", "42704", "user \"nobody\" does not exist"),
    ] {
        refused(&mut client, &format!("SELECT rolecall.become({arguments})"), state, message);
    }
    let mut other = story.connect();
    let become_alice = "SELECT rolecall.become('alice', 'curiosity')";
    refused(&mut other, become_alice, "42501", "needs an administrator");
    authenticate(&mut other, &story.bob, true);
    refused(&mut other, become_alice, "42501", "needs an administrator");
    run(&mut superuser, "SELECT rolecall.disable_user('bob')");
    refused(&mut client, "SELECT rolecall.become('bob', 'why')", "28000", "the user is disabled");
    let entries: i64 = one(&mut superuser, "SELECT count(*) FROM rolecall.audit_log WHERE action = 'become'");
    assert_eq!(entries, 0);
}

#[test]
fn who_acts_as_somebody_else_does_not_take_his_account() {
    let (_story, _superuser, mut client) = with_administrator();
    run(&mut client, "SELECT rolecall.become('bob', 'ticket 42', true)");
    let change = "SELECT rolecall.change_password('can we fix it', 'mine from now on 1')";
    refused(&mut client, change, "42501", "only the user himself");
}

#[test]
fn becoming_ends_with_the_administrators_own_powers() {
    let (story, mut superuser, _) = with_administrator();
    let hash = bcrypt::hash("blue moon over 42", 4).unwrap();
    for (n, (end, message)) in [
        ("SELECT rolecall.revoke_role('admins', 'a0')", "one no longer"),
        ("SELECT rolecall.disable_user('a1')", "one no longer"),
        ("SELECT rolecall.drop_user('a2')", "one no longer"),
        ("SELECT rolecall.revoke_sessions('a3')", "the login was revoked"),
        ("SELECT rolecall.set_password('a4', 'start again')", "the login was revoked"),
        ("SELECT rolecall.disable_user('b5')", "the user is disabled"),
        ("SELECT rolecall.drop_user('b6')", "no longer exists"),
    ]
    .iter()
    .enumerate()
    {
        let setup = format!(
            "SELECT rolecall.create_user('a{n}', roles => '{{admins}}'), rolecall.create_user('b{n}');
             UPDATE rolecall.users SET password_hash = '{hash}' WHERE username = 'a{n}'"
        );
        run(&mut superuser, &setup);
        let mut client = story.connect();
        let token = token(&mut client, &format!("a{n}"), "blue moon over 42");
        authenticate(&mut client, &token, true);
        run(&mut client, &format!("SELECT rolecall.become('b{n}', 'ticket 42', true)"));
        let count = client.prepare("SELECT count(*) FROM notes").unwrap();
        run(&mut superuser, &format!("BEGIN; {end}"));
        client.query_one(&count, &[]).expect("not before it is committed");
        run(&mut superuser, "COMMIT");
        let (state, text) = rolecall_tests::sqlstate(client.query_one(&count, &[]));
        assert!(state == "28000" && text.contains(message), "{end}: {state} {text}");
        run(&mut client, "SELECT rolecall.logout()");
        client.query_one(&count, &[]).expect("nobody may ask");
    }
}

#[test]
fn becoming_ends_with_the_api_token_or_database_role_behind_it() {
    let story = Notes::new();
    let mut superuser = story.database.admin();
    let mut client = story.connect();
    run(&mut superuser, "SELECT rolecall.create_role('operators'), rolecall.grant_role('admins', 'role:operators')");
    for end in ["SELECT rolecall.revoke_api_token", "SELECT rolecall.revoke_role('admins', 'role:operators') --"] {
        let token: String = one(&mut superuser, "SELECT rolecall.create_api_token('ci', '{operators}')");
        let id: String = one(&mut superuser, "SELECT id FROM rolecall.api_tokens ORDER BY created_at DESC LIMIT 1");
        authenticate(&mut client, &token, true);
        run(&mut client, "SELECT rolecall.become('bob', 'nightly', true)");
        assert_eq!(notes(&mut client), BOBS);
        run(&mut superuser, &format!("{end}('{id}')"));
        refused(&mut client, "SELECT * FROM notes", "28000", "one no longer");
        run(&mut client, "SELECT rolecall.logout()");
    }

    let login = story.database.login("dba");
    run(&mut superuser, &format!("ALTER ROLE {login} SUPERUSER"));
    let mut dba = story.database.connect(&login);
    run(&mut dba, "SELECT rolecall.become('bob', 'support', true)");
    run(&mut dba, "SELECT rolecall.whoami()");
    run(&mut superuser, &format!("ALTER ROLE {login} NOSUPERUSER"));
    refused(&mut dba, "SELECT rolecall.whoami()", "28000", "one no longer");
}
