//! A pool whose robots are killed at random, behind pgbouncer, across a crash of the server: every message is done
//! exactly once or dies exactly once, none is lost, none stays stuck.
//!
//! `ROLECALL_MESSAGES` says how many messages there are.

use crate::support::*;
use postgres::Client;
use proptest::prelude::Rng;
use proptest::test_runner::{RngAlgorithm, TestRng};
use rolecall_tests::{Cluster, Database, Pooler};
use std::cell::RefCell;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const WORKERS: usize = 16;

/// How many messages: 1,500, or `ROLECALL_MESSAGES`.
fn messages() -> i64 {
    std::env::var("ROLECALL_MESSAGES").map_or(1_500, |count| count.parse().expect("a number"))
}

/// A pool of robots, half of whom share a user, and who sends to it.
fn lay_out(database: &Database) -> String {
    let app = database.login("robots");
    let mut admin = database.admin();
    run(
        &mut admin,
        &format!(
            "SELECT rolecall.create_role('robots', pool => true);
             SELECT rolecall.create_user('boss', roles => '{{robots}}');
             CREATE TABLE work_done (message bigint, at timestamptz DEFAULT clock_timestamp());
             GRANT INSERT ON work_done TO {app};"
        ),
    );
    for robot in 0..WORKERS / 2 {
        let create = format!(
            "SELECT rolecall.create_user('robot{robot}', kind => 'robot', password => 'welcome', roles => '{{robots}}')"
        );
        run(&mut admin, &create);
        first_token(&mut admin, &format!("robot{robot}"), "welcome", "three laws of 1942");
    }
    app
}

/// Sends the messages: of a hundred one kills whoever takes it and two expire before anybody could be so far.
fn send(admin: &mut Client) {
    run(
        admin,
        &format!(
            "SELECT rolecall.become('boss', 'sends work', for_session => true);
             SELECT count(rolecall.send('role:robots', jsonb_build_object('number', n, 'kills', n % 400 = 7, 'takes', n % 5),
                    CASE WHEN n % 50 = 9 THEN interval '1 millisecond' ELSE interval '1 hour' END,
                    reply_to => CASE WHEN n % 10 = 0 THEN 'boss' END, priority => n % 3))
               FROM generate_series(1, {}) n;
             SELECT rolecall.logout();",
            messages()
        ),
    );
}

fn start(address: &str, worker: usize) -> Child {
    Command::new(rolecall_tests::worker())
        .env("WORKER_DATABASE", address)
        .env("WORKER_USER", format!("robot{}", worker % (WORKERS / 2)))
        .env("WORKER_PASSWORD", "three laws of 1942")
        .env("WORKER_LEASE", "2 seconds")
        .stderr(Stdio::null())
        .spawn()
        .expect("a worker")
}

/// The workers, none of whom outlives this.
struct Workers(Vec<Child>);

impl Drop for Workers {
    fn drop(&mut self) {
        for worker in &mut self.0 {
            let _ = worker.kill();
            let _ = worker.wait();
        }
    }
}

/// Lets the workers work, killing `kills` of them now and then, until nothing is left; `meanwhile` is called once at half.
fn work(admin: impl Fn() -> Client, address: &str, kills: usize, meanwhile: impl FnOnce()) {
    let mut workers = Workers((0..WORKERS).map(|worker| start(address, worker)).collect());
    // The same numbers every time.
    let mut random = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let mut below = |bound: usize| random.next_u32() as usize % bound;
    let (mut killed, mut meanwhile) = (0, Some(meanwhile));
    let deadline = Instant::now() + Duration::from_secs(180 + u64::try_from(messages()).unwrap() / 20);
    let mut client = admin();
    loop {
        std::thread::sleep(Duration::from_millis(20 + below(60) as u64));
        // Those who died of a message, too.
        for (number, worker) in workers.0.iter_mut().enumerate() {
            if worker.try_wait().expect("a worker's state").is_some() {
                *worker = start(address, number);
            }
        }
        let left: i64 = one(&mut client, "SELECT count(*) FROM rolecall.messages WHERE in_reply_to IS NULL");
        if left == 0 {
            break;
        }
        if left < messages() / 2
            && let Some(meanwhile) = meanwhile.take()
        {
            meanwhile();
            client = admin();
        } else if killed < kills && left < messages() {
            workers.0[below(WORKERS)].kill().expect("it can be killed");
            killed += 1;
        }
        assert!(Instant::now() < deadline, "{left} messages are left");
    }
    assert!(meanwhile.is_none() && killed == kills, "{killed} were killed");
}

/// Every message came to one end, and who asked for an answer got one.
fn check(admin: &mut Client) {
    let all = messages();
    let count = |admin: &mut Client, sql: &str| one::<i64>(admin, &format!("SELECT count(*) FROM {sql}"));
    let (expired, killers) = ((all + 41) / 50, (all + 393) / 400);
    assert_eq!(count(admin, "rolecall.dead_letters WHERE reason = 'expired'"), expired);
    assert_eq!(count(admin, "rolecall.dead_letters WHERE reason = 'attempts'"), killers);
    assert_eq!(count(admin, "rolecall.dead_letters"), expired + killers);
    assert_eq!(count(admin, "work_done"), all - expired - killers);
    assert_eq!(count(admin, "(SELECT message FROM work_done UNION SELECT message FROM rolecall.dead_letters) q"), all);
    assert_eq!(count(admin, "rolecall.messages"), all / 10, "one answer each");
    assert_eq!(count(admin, "(SELECT DISTINCT in_reply_to FROM rolecall.messages) q"), all / 10);
}

#[test]
fn robots_are_killed_and_every_message_is_done_once() {
    let database = Cluster::shared().database();
    let app = lay_out(&database);
    send(&mut database.admin());
    let address = format!("host={} user={app} dbname={}", database.cluster().socket().display(), database.name);
    work(|| database.admin(), &address, WORKERS / 2, || {});
    check(&mut database.admin());
}

#[test]
fn robots_behind_pgbouncer_are_killed_and_every_message_is_done_once() {
    let database = Cluster::shared().database();
    let app = lay_out(&database);
    send(&mut database.admin());
    let pooler = Pooler::with_connections(&database, &app, "session", WORKERS + 4);
    work(|| database.admin(), &pooler.address(), WORKERS / 2, || {});
    check(&mut database.admin());
}

#[test]
fn the_server_crashes_and_every_message_is_done_once() {
    let cluster = RefCell::new(Cluster::start(&[]));
    let (name, app) = {
        let cluster = cluster.borrow();
        let database = cluster.database();
        let app = lay_out(&database);
        send(&mut database.admin());
        (database.name.clone(), app)
    };
    let admin = || cluster.borrow().try_connect("postgres", &name).expect("a connection");
    let address = format!("host={} user={app} dbname={name}", cluster.borrow().socket().display());
    work(admin, &address, WORKERS / 2, || {
        cluster.borrow().crash();
        cluster.borrow_mut().restart();
    });
    check(&mut admin());
}
