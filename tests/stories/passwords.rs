//! Passwords: which may be chosen, how fast they may be tried, and what an answer's time tells.

use crate::support::*;
use postgres::Client;
use rolecall_tests::sqlstate;
use std::time::{Duration, Instant};

/// A try with its duration.
fn attempt(client: &mut Client, username: &str, password: &str) -> (Option<(String, String)>, Duration) {
    let start = Instant::now();
    let result = client.query("SELECT rolecall.login($1, $2)", &[&username, &password]);
    let error = result.is_err().then(|| sqlstate(result));
    (error, start.elapsed())
}

fn fail(client: &mut Client, username: &str) -> Duration {
    let (error, time) = attempt(client, username, "a wrong guess");
    assert_eq!(error, Some(("28P01".into(), "wrong user name or password".into())));
    time
}

/// Trap 34.
#[test]
fn a_weak_password_is_refused_with_the_reason() {
    let database = database();
    let mut client = database.admin();
    run(&mut client, "SELECT rolecall.create_user('ada.lovelace', 'ada@example.org', 'welcome')");
    let token = token(&mut client, "ada.lovelace", "welcome");
    authenticate(&mut client, &token, true);
    let too_long = "long and odd ".repeat(100);
    for (password, reason) in [
        ("", "must have at least 8 characters"),
        ("x7!", "must have at least 8 characters"),
        (&too_long, "must have at most 1024 bytes"),
        ("analytical", "must mix letters, digits or signs"),
        ("4711081512", "must mix letters, digits or signs"),
        ("password1", "is too easy to guess"),
        ("ada.lovelace1", "is too easy to guess"),
        ("ada@example.org", "is too easy to guess"),
        ("rolecall-1", "is too easy to guess"),
        ("welcome", "must differ"),
    ] {
        let change = format!("SELECT rolecall.change_password('welcome', '{password}')");
        refused(&mut client, &change, "22023", reason);
    }
    refused(&mut client, "SELECT rolecall.change_password('welcome', NULL)", "22023", "must not be NULL");
    refused(&mut client, "SELECT rolecall.change_password('wrong', 'analytical engine no. 1')", "28P01", "wrong");
    refused(&mut client, "SELECT rolecall.whoami()", "28000", "temporary password");
    run(&mut client, "SELECT rolecall.change_password('welcome', 'analytical engine no. 1')");
    run(&mut client, "SELECT rolecall.whoami(), rolecall.logout()");
    // The registering are held to the same.
    run(&mut client, "SELECT rolecall.set_registration('open')");
    let register = "SELECT rolecall.register('grace', 'grace@example.org', 'grace2024')";
    refused(&mut client, register, "22023", "is too easy to guess");
}

/// Trap 34.
#[test]
fn failures_slow_a_name_down_until_the_right_password_comes() {
    let database = database();
    let mut client = database.admin();
    run(&mut client, "SELECT rolecall.create_user('carol', password => 'blue moon over 42')");
    for name in ["nobody of this name", "carol"] {
        let mut free = Duration::ZERO;
        for _ in 0..4 {
            free += fail(&mut client, name);
        }
        // Each failure is a transaction that was rolled back, and the next one comes from another connection.
        let mut slowed = Duration::ZERO;
        for _ in 0..4 {
            slowed += fail(&mut database.admin(), name);
        }
        assert!(slowed > Duration::from_millis(2500), "{name}: {slowed:?} after {free:?}");
    }
    let (refusal, waited) = attempt(&mut client, "carol", "blue moon over 42");
    assert_eq!(refusal, None, "nobody is locked out");
    assert!(waited > Duration::from_secs(2), "not before its turn: {waited:?}");
    let start = Instant::now();
    for _ in 0..4 {
        fail(&mut client, "carol");
    }
    assert!(start.elapsed() < Duration::from_secs(8), "the right password has cleared the count");
}

/// Trap 34.
#[test]
fn many_connections_try_no_faster_than_one() {
    let database = database();
    let mut clients: Vec<_> = (0..20).map(|_| database.admin()).collect();
    run(&mut clients[0], "SELECT rolecall.create_user('carol', password => 'blue moon over 42')");
    let barrier = std::sync::Barrier::new(clients.len());
    let start = Instant::now();
    let mut checked = Vec::new();
    let mut refused = 0;
    std::thread::scope(|scope| {
        let tries: Vec<_> = clients
            .iter_mut()
            .map(|client| {
                let barrier = &barrier;
                scope.spawn(move || {
                    barrier.wait();
                    (attempt(client, "carol", "a wrong guess").0, start.elapsed())
                })
            })
            .collect();
        for attempt in tries {
            match attempt.join().unwrap() {
                (Some((state, message)), time) if message == "wrong user name or password" => {
                    assert_eq!(state, "28P01");
                    checked.push(time);
                }
                (Some((state, message)), _) => {
                    assert_eq!((state.as_str(), message.as_str()), ("28P01", "too many failed attempts"));
                    refused += 1;
                }
                (None, _) => panic!("the guess was right"),
            }
        }
    });
    let first_second = checked.iter().filter(|time| **time < Duration::from_secs(1)).count();
    assert!(first_second <= 6, "{first_second} in the first second");
    assert!(refused >= 8 && checked.len() <= 12, "{refused} refused, {} checked", checked.len());
}

/// Trap 34, CVE-2026-14672.
#[test]
fn the_time_of_an_answer_tells_neither_user_nor_hash() {
    let database = database();
    let mut client = database.admin();
    let bcrypt = bcrypt::hash("blue moon over 42", 4).unwrap();
    let statement = format!(
        "SELECT rolecall.create_user('argon2 0', password => 'blue moon over 42'),
                rolecall.create_user('bcrypt ' || n, password => '{bcrypt}') FROM generate_series(0, 0) n;
         SELECT rolecall.create_user('bcrypt ' || n, password => '{bcrypt}') FROM generate_series(1, 4) n;
         SELECT rolecall.create_user('argon2 ' || n, password => (SELECT password_hash FROM rolecall.users
                WHERE username = 'argon2 0')) FROM generate_series(1, 4) n"
    );
    run(&mut client, &statement);
    // By turns, so that a busy machine slows all of them down.
    let mut times = [const { Vec::new() }; 3];
    for n in 0..5 {
        for (times, kind) in times.iter_mut().zip(["nobody", "argon2", "bcrypt"]) {
            times.push(fail(&mut client, &format!("{kind} {n}")));
        }
    }
    let medians = times.map(|mut times| {
        times.sort();
        assert!(times[0] >= Duration::from_millis(300), "{times:?}");
        times[2]
    });
    let (fastest, slowest) = (medians.iter().min().unwrap(), medians.iter().max().unwrap());
    assert!(*slowest < *fastest * 2, "{medians:?}");
}

/// Else anybody could keep anybody out.
#[test]
fn who_guesses_at_one_address_keeps_nobody_at_another_out() {
    let (cluster, address) = cluster_with_address();
    let database = cluster.database();
    let mut admin = database.admin();
    run(&mut admin, "SELECT rolecall.create_user('carol', password => 'blue moon over 42')");
    let guessing: Vec<_> = (0..14)
        .map(|_| {
            let mut guesser = database.admin();
            std::thread::spawn(move || attempt(&mut guesser, "carol", "a wrong guess").0.expect("wrong"))
        })
        .collect();
    // By now all turns at the socket are given out for the next ten seconds.
    std::thread::sleep(Duration::from_secs(1));
    let (refusal, _) = attempt(&mut admin, "carol", "blue moon over 42");
    assert_eq!(refusal.map(|(_, message)| message).as_deref(), Some("too many failed attempts"));
    let mut config = postgres::Config::new();
    config.host(&address).port(5432).user("postgres").dbname(&database.name);
    let mut elsewhere = config.connect(postgres::NoTls).unwrap();
    let (refusal, waited) = attempt(&mut elsewhere, "carol", "blue moon over 42");
    assert_eq!(refusal, None);
    assert!(waited < Duration::from_secs(2), "{waited:?}");
    for guess in guessing {
        guess.join().unwrap();
    }
}
