//! One administrator always remains, however many try to take the last ones away at once.

use crate::support::*;
use postgres::Client;
use rolecall_tests::sqlstate;
use std::sync::Barrier;

/// What takes an administrator away.
const WAYS: [fn(&str, &str) -> String; 3] = [
    |name, role| format!("SELECT rolecall.revoke_role('{role}', '{name}')"),
    |name, _| format!("SELECT rolecall.disable_user('{name}')"),
    |name, _| format!("SELECT rolecall.drop_user('{name}')"),
];

/// The role that makes one an administrator: itself, or one that holds it.
const ROLES: [&str; 2] = ["admins", "chiefs"];

/// Leaves two administrators, x and y.
fn two(admin: &mut Client, role: &str) {
    run(
        admin,
        &format!(
            "DELETE FROM rolecall.users;
             SELECT rolecall.create_user(u, roles => '{{{role}}}') FROM unnest('{{x,y}}'::text[]) u"
        ),
    );
}

fn administrators(admin: &mut Client) -> Vec<String> {
    column(
        admin,
        "SELECT username FROM rolecall.users JOIN rolecall.user_roles ON user_id = id
          WHERE NOT disabled AND role IN ('admins', 'chiefs')",
    )
}

fn chiefs(admin: &mut Client) {
    run(admin, "SELECT rolecall.create_role(r) FROM unnest('{deputies,chiefs}'::text[]) r");
    run(admin, "SELECT rolecall.grant_role('admins', 'role:deputies'), rolecall.grant_role('deputies', 'role:chiefs')");
}

#[test]
fn of_two_overlapping_transactions_one_is_refused() {
    let database = database();
    let mut admin = database.admin();
    chiefs(&mut admin);
    for round in 0..rounds() {
        let role = ROLES[round % 2];
        for isolation in ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"] {
            for (first, second) in (0..9).map(|n| (WAYS[n / 3], WAYS[n % 3])) {
                // Both orders come: every pair of ways does, in both orders of the names by turns.
                let (a, b) = if round % 2 == 0 { ("x", "y") } else { ("y", "x") };
                two(&mut admin, role);
                let (mut one_half, mut other_half) = (database.admin(), database.admin());
                let begin = format!("BEGIN ISOLATION LEVEL {isolation}; SELECT count(*) FROM rolecall.users");
                run(&mut one_half, &begin);
                run(&mut other_half, &begin);
                let pid: i32 = one(&mut other_half, "SELECT pg_backend_pid()");
                run(&mut one_half, &first(a, role));
                let statement = second(b, role);
                let waiting = std::thread::spawn(move || {
                    other_half.batch_execute(&statement)?;
                    other_half.batch_execute("COMMIT")
                });
                wait_for_lock(&mut admin, pid, || waiting.is_finished());
                assert!(!waiting.is_finished(), "the second waits for the first");
                run(&mut one_half, "COMMIT");
                let (state, message) = sqlstate(waiting.join().unwrap());
                // PostgreSQL may notice first that a serial order is broken.
                if isolation != "SERIALIZABLE" || state != "40001" {
                    assert_eq!((state.as_str(), message), ("55000", format!("{b:?} is the last administrator")));
                }
                assert_eq!(administrators(&mut admin), [b], "{isolation} {role}");
            }
        }
    }
}

#[test]
fn what_is_rolled_back_takes_nobody_away() {
    let database = database();
    let mut admin = database.admin();
    two(&mut admin, "admins");
    let (mut one_half, mut other_half) = (database.admin(), database.admin());
    let pid: i32 = one(&mut other_half, "SELECT pg_backend_pid()");
    run(&mut one_half, "BEGIN; SELECT rolecall.disable_user('x')");
    let waiting = std::thread::spawn(move || other_half.batch_execute("SELECT rolecall.disable_user('y')"));
    wait_for_lock(&mut admin, pid, || waiting.is_finished());
    run(&mut one_half, "ROLLBACK");
    waiting.join().unwrap().unwrap();
    assert_eq!(administrators(&mut admin), ["x"]);
}

#[test]
fn of_two_administrators_who_remove_each_other_one_remains() {
    let database = database();
    let app = database.login("app");
    let mut admin = database.admin();
    chiefs(&mut admin);
    let hash = bcrypt::hash("blue moon over 42", 4).unwrap();
    run(&mut admin, &format!("SELECT rolecall.create_user('template', password => '{hash}')"));
    let mut clients = [database.connect(&app), database.connect(&app)];
    for round in 0..rounds() {
        let role = ROLES[round / 3 % 2];
        two(&mut admin, role);
        run(&mut admin, &format!("UPDATE rolecall.users SET password_hash = '{hash}'"));
        for (client, name) in clients.iter_mut().zip(["x", "y"]) {
            let token = token(client, name, "blue moon over 42");
            run(client, "SELECT rolecall.logout()");
            authenticate(client, &token, true);
        }
        let barrier = Barrier::new(2);
        let results: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = clients
                .iter_mut()
                .zip(["y", "x"])
                .map(|(client, name)| {
                    let barrier = &barrier;
                    let statement = WAYS[round % 3](name, role);
                    scope.spawn(move || {
                        barrier.wait();
                        client.batch_execute(&statement)
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let states: Vec<_> = results.into_iter().filter(Result::is_err).map(|it| sqlstate(it).0).collect();
        // Who comes late enough is refused because he is an administrator, or there, no longer.
        let [state] = &states[..] else { panic!("round {round}: {states:?}") };
        assert!(["55000", "42501", "28000"].contains(&state.as_str()), "{state}");
        assert_eq!(administrators(&mut admin).len(), 1);
    }
}

#[test]
fn no_other_way_takes_the_last_one_away() {
    let database = database();
    let mut admin = database.admin();
    chiefs(&mut admin);
    two(&mut admin, "chiefs");
    for statement in [
        "SELECT rolecall.revoke_role('admins', 'role:deputies')",
        "SELECT rolecall.revoke_role('deputies', 'role:chiefs')",
        "SELECT rolecall.revoke_role('chiefs', 'x'), rolecall.revoke_role('chiefs', 'y')",
        "SELECT rolecall.disable_user('x'), rolecall.drop_user('y')",
        "SELECT rolecall.disable_user(username) FROM rolecall.users",
    ] {
        refused(&mut admin, statement, "55000", "is the last administrator");
    }
    run(&mut admin, "SELECT rolecall.drop_user('y')");
    run(&mut admin, "SELECT rolecall.create_user('z', roles => '{admins}'), rolecall.disable_user('z')");
    // Somebody disabled is none.
    refused(&mut admin, "SELECT rolecall.drop_user('x')", "55000", "\"x\" is the last administrator");
    run(&mut admin, "SELECT rolecall.enable_user('z')");
    run(&mut admin, "SELECT rolecall.revoke_role('admins', 'role:deputies')");
    refused(&mut admin, "SELECT rolecall.revoke_role('admins', 'z')", "55000", "\"z\" is the last administrator");

    // The same for whoever has registered first.
    run(&mut admin, "DELETE FROM rolecall.users");
    run(&mut admin, "SELECT rolecall.register('first', 'first@example.org', 'seven red boats')");
    let demote = "SELECT rolecall.revoke_role('admins', 'role:superuser')";
    refused(&mut admin, demote, "55000", "\"role:superuser\" is the last administrator");
    refused(&mut admin, "SELECT rolecall.revoke_role('superuser', 'first')", "55000", "is the last administrator");
    run(&mut admin, "SELECT rolecall.revoke_role('staff', 'first')");
    run(&mut admin, "SELECT rolecall.create_user('other', roles => '{admins}')");
    run(&mut admin, demote);
}
