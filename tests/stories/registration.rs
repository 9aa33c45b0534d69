//! Registering oneself: the first one is the administrator, and from then on it is his to say who may.

use crate::support::*;
use postgres::Client;
use rolecall_tests::sqlstate;
use std::sync::Barrier;

const PASSWORD: &str = "seven red boats";

fn register(name: &str, email: &str, invitation: Option<&str>) -> String {
    let invitation = invitation.map_or("NULL".into(), |invitation| format!("'{invitation}'"));
    format!("SELECT rolecall.register('{name}', '{email}', '{PASSWORD}', {invitation})")
}

fn roles(superuser: &mut Client, username: &str) -> Vec<String> {
    column(
        superuser,
        &format!(
            "SELECT role FROM rolecall.user_roles JOIN rolecall.users ON id = user_id
              WHERE username = '{username}' ORDER BY 1"
        ),
    )
}

#[test]
fn of_twenty_who_come_at_once_one_is_the_first() {
    let database = database();
    let mut superuser = database.admin();
    let app = database.login("app");
    let mut clients: Vec<_> = (0..20).map(|_| database.connect(&app)).collect();
    for round in 0..rounds() {
        run(&mut superuser, "DELETE FROM rolecall.users; DELETE FROM rolecall.settings");
        match round % 3 {
            0 => run(&mut superuser, "DELETE FROM rolecall.roles WHERE name IN ('superuser', 'staff')"),
            1 => run(&mut superuser, "SELECT rolecall.set_registration('open')"),
            _ => {}
        }
        let barrier = Barrier::new(clients.len());
        let results: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = clients
                .iter_mut()
                .enumerate()
                .map(|(n, client)| {
                    let barrier = &barrier;
                    scope.spawn(move || {
                        let statement = register(&format!("user {n}"), &format!("u{n}@example.org"), None);
                        barrier.wait();
                        client.batch_execute(&statement)
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let mut admitted = Vec::new();
        for (n, result) in results.into_iter().enumerate() {
            if result.is_ok() {
                admitted.push(format!("user {n}"));
            } else {
                let error = sqlstate(result);
                assert_eq!(error, ("42501".into(), "registration needs an invitation".into()), "round {round}");
            }
        }
        let [first] = &admitted[..] else { panic!("round {round}: {admitted:?}") };
        assert_eq!(&column(&mut superuser, "SELECT username FROM rolecall.users"), &admitted);
        assert_eq!(roles(&mut superuser, first), ["staff", "superuser"]);
        let mode: String = one(&mut superuser, "SELECT rolecall.registration() ->> 'mode'");
        assert_eq!(mode, "invite");
        let token = token(&mut clients[0], first, PASSWORD);
        authenticate(&mut clients[0], &token, true);
        run(&mut clients[0], "SELECT rolecall.create_role('r'), rolecall.logout()");
        run(&mut superuser, "DELETE FROM rolecall.roles WHERE name = 'r'");
    }
}

#[test]
fn an_old_snapshot_makes_nobody_the_first() {
    let database = database();
    let app = database.login("app");
    for isolation in ["REPEATABLE READ", "SERIALIZABLE"] {
        run(&mut database.admin(), "DELETE FROM rolecall.users; DELETE FROM rolecall.settings");
        let (mut first, mut late) = (database.connect(&app), database.connect(&app));
        run(&mut late, &format!("BEGIN ISOLATION LEVEL {isolation}; SELECT rolecall.registration()"));
        run(&mut first, &format!("BEGIN; {}", register("first", "first@example.org", None)));
        let pid: i32 = one(&mut late, "SELECT pg_backend_pid()");
        let waiting = std::thread::spawn(move || late.batch_execute(&register("late", "late@example.org", None)));
        wait_for_lock(&mut database.admin(), pid, || waiting.is_finished());
        run(&mut first, "COMMIT");
        let error = sqlstate(waiting.join().unwrap());
        assert_eq!(error, ("42501".into(), "registration needs an invitation".into()), "{isolation}");
    }
}

#[test]
fn modes_say_who_may_register() {
    let database = database();
    let app = database.login("app");
    let (mut superuser, mut app) = (database.admin(), database.connect(&app));
    run(&mut app, &register("first", "first@example.org", None));
    let (nobody, invite, domain) = ("registration is closed", "needs an invitation", "of a permitted domain");
    refused(&mut app, &register("a", "a@example.org", None), "42501", invite);

    run(&mut superuser, "SELECT rolecall.set_registration('closed')");
    let invitation: String = one(&mut superuser, "SELECT rolecall.invite('a@example.org', '{}')");
    refused(&mut app, &register("a", "a@example.org", None), "42501", nobody);
    refused(&mut app, &register("a", "a@example.org", Some(&invitation)), "42501", nobody);

    run(&mut superuser, "SELECT rolecall.set_registration('domain', '{Example.org, ex.net}')");
    for (n, address) in [
        "a@example.com",
        "a@sub.example.org",
        "a@notexample.org",
        "a@example.org.evil.test",
        "a@evil.test#example.org",
        "a@exampleXorg",
        "a@еxample.org",
    ]
    .iter()
    .enumerate()
    {
        refused(&mut app, &register(&format!("evil {n}"), address, None), "42501", domain);
    }
    for no_address in ["a@evil.test@example.org", "a b@example.org", "@example.org", "a@", "example.org", ""] {
        refused(&mut app, &register("evil", no_address, None), "22023", "is no e-mail address");
    }
    let without = format!("SELECT rolecall.register('evil', NULL, '{PASSWORD}')");
    refused(&mut app, &without, "42501", domain);
    run(&mut app, &register("a", "a@EXAMPLE.org", None));
    run(&mut app, &register("b", "b@ex.net", None));

    run(&mut superuser, "SELECT rolecall.create_role('reader'), rolecall.set_registration('open', '{}', '{reader}')");
    run(&mut app, &register("c", "c@anywhere.test", None));
    assert_eq!(roles(&mut superuser, "c"), ["reader"]);
    assert_eq!(roles(&mut superuser, "a"), [""; 0]);
    let shown: String = one(&mut app, "SELECT rolecall.registration()::text");
    assert_eq!(shown, r#"{"mode": "open", "domains": [], "default_roles": ["reader"]}"#);
    let who: serde_json::Value = {
        let token = token(&mut app, "c", PASSWORD);
        authenticate(&mut app, &token, true);
        serde_json::from_str(&one::<String>(&mut app, "SELECT rolecall.whoami()::text")).unwrap()
    };
    assert_eq!(who["roles"], serde_json::json!(["guest", "reader", "users"]));
    run(&mut app, "SELECT rolecall.logout()");

    for address in ["c@anywhere.test", "C@Anywhere.TEST"] {
        refused(&mut app, &register("thief", address, None), "42710", "exists already");
    }
    refused(&mut app, &register("c", "other@anywhere.test", None), "42710", "user \"c\" exists already");
}

#[test]
fn of_two_who_claim_an_address_at_once_one_gets_it() {
    let database = database();
    let app = database.login("app");
    let mut superuser = database.admin();
    run(&mut superuser, "SELECT rolecall.create_user('somebody'), rolecall.set_registration('open')");
    for isolation in ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"] {
        run(&mut superuser, "DELETE FROM rolecall.users WHERE username <> 'somebody'");
        let (mut one, mut other) = (database.connect(&app), database.connect(&app));
        run(&mut other, &format!("BEGIN ISOLATION LEVEL {isolation}; SELECT rolecall.registration()"));
        run(&mut one, &format!("BEGIN; {}", register("one", "same@example.org", None)));
        let pid: i32 = self::one(&mut other, "SELECT pg_backend_pid()");
        let waiting = std::thread::spawn(move || {
            other.batch_execute(&register("other", "Same@example.org", None))?;
            other.batch_execute("COMMIT")
        });
        wait_for_lock(&mut superuser, pid, || waiting.is_finished());
        run(&mut one, "COMMIT");
        let (state, message) = sqlstate(waiting.join().unwrap());
        assert_eq!(state, "42710", "{isolation}: {message}");
    }
}

#[test]
fn an_invitation_is_good_once_and_for_one_address() {
    let database = database();
    let app = database.login("app");
    let (mut superuser, mut app) = (database.admin(), database.connect(&app));
    run(&mut app, &register("first", "first@example.org", None));
    run(
        &mut superuser,
        "SELECT rolecall.create_role(r) FROM unnest('{reader,writer}'::text[]) r;
         SELECT rolecall.set_registration('invite', '{}', '{reader}')",
    );
    let invalid = "the invitation is not valid";
    let invitation: String = one(&mut superuser, "SELECT rolecall.invite('Carol@example.org', '{writer}')");
    refused(&mut app, &register("x", "dave@example.org", Some(&invitation)), "42501", invalid);
    refused(&mut app, &register("x", "carol@example.org", Some("guessed")), "42501", invalid);
    let weak = format!("SELECT rolecall.register('carol', 'carol@example.org', 'weak', '{invitation}')");
    refused(&mut app, &weak, "22023", "must have at least 8 characters");
    refused(&mut app, &register("first", "carol@example.org", Some(&invitation)), "42710", "exists already");
    run(&mut app, &register("carol", "carol@example.org", Some(&invitation)));
    assert_eq!(roles(&mut superuser, "carol"), ["reader", "writer"]);
    refused(&mut app, &register("carol 2", "carol@example.org", Some(&invitation)), "42501", invalid);

    let short: String = one(&mut superuser, "SELECT rolecall.invite('eve@example.org', '{}', '1 second')");
    std::thread::sleep(std::time::Duration::from_millis(1100));
    refused(&mut app, &register("eve", "eve@example.org", Some(&short)), "42501", invalid);
    for (call, problem) in [
        ("invite('no address', '{}')", "is no e-mail address"),
        ("invite('eve@example.org', '{}', '0')", "at least a second"),
        ("invite('eve@example.org', '{}', '2 years')", "at most a year"),
        ("invite(NULL, '{}')", "must not be NULL"),
    ] {
        refused(&mut superuser, &format!("SELECT rolecall.{call}"), "22023", problem);
    }
    refused(&mut superuser, "SELECT rolecall.invite('eve@example.org', '{nope}')", "42704", "does not exist");
}

#[test]
fn powerful_roles_are_no_default() {
    let database = database();
    let mut superuser = database.admin();
    run(&mut superuser, &register("first", "first@example.org", None));
    run(
        &mut superuser,
        "SELECT rolecall.create_role(r) FROM unnest('{chief,boss,harmless}'::text[]) r;
         SELECT rolecall.grant_role('superuser', 'role:chief'); SELECT rolecall.grant_role('chief', 'role:boss')",
    );
    for role in ["superuser", "staff", "admins", "chief", "boss"] {
        let set = format!("SELECT rolecall.set_registration('open', '{{}}', '{{harmless,{role}}}')");
        refused(&mut superuser, &set, "22023", "must not be, or hold, superuser, staff or admins");
    }
    for (call, state, problem) in [
        ("'open', '{}', '{nope}'", "42704", "does not exist"),
        ("'ajar'", "22023", "none of open, domain, invite, closed"),
        ("'domain'", "22023", "it needs them"),
        ("'open', '{example.org}'", "22023", "go with the mode"),
        ("'domain', '{a@b}'", "22023", "is no domain"),
        ("'domain', '{NULL}'", "22023", "must not be NULL"),
        ("NULL", "22023", "must not be NULL"),
    ] {
        refused(&mut superuser, &format!("SELECT rolecall.set_registration({call})"), state, problem);
    }
    // What was harmless when it was chosen may be given power later: not to those who register.
    run(&mut superuser, "SELECT rolecall.set_registration('open', '{}', '{harmless}')");
    run(&mut superuser, "SELECT rolecall.grant_role('admins', 'role:harmless')");
    refused(&mut superuser, &register("late", "late@example.org", None), "22023", "must not be, or hold");
}
