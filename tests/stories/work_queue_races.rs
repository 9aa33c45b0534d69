//! Work queues with many consumers, of whom some die and some come too late.

use crate::support::*;
use crate::work_queues::{Work, connect, pop, push};
use postgres::Client;
use rolecall_tests::sqlstate;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Barrier;

/// Lets the leases that were taken so far end, which no busy machine makes longer.
fn outlive_lease(admin: &mut Client) {
    run(admin, "UPDATE rolecall.work_items SET due = due - interval '1 hour' WHERE state = 'processing'");
}

fn state(client: &mut Client, item: i64) -> String {
    one(
        client,
        &format!("SELECT concat_ws(' ', state, retries, run, error) FROM rolecall.my_work_items WHERE item = {item}"),
    )
}

#[test]
fn each_item_is_processed_by_one_of_eight_consumers() {
    const ITEMS: i64 = 4000;
    let mut work = Work::new();
    run(
        &mut work.robot,
        &format!("SELECT rolecall.push_item('orders', to_jsonb(n)) FROM generate_series(1, {ITEMS}) n"),
    );
    let database = &work.database;
    let taken: Vec<i64> = std::thread::scope(|scope| {
        let consumers: Vec<_> = (0..8)
            .map(|number| {
                scope.spawn(move || {
                    let mut robot = connect(database, "robot");
                    let mut taken = Vec::new();
                    while let Some(item) = pop(&mut robot, "'orders', '10 minutes'") {
                        let id = item["item"].as_i64().unwrap();
                        // Some fail once: they are seen a second time, by anybody.
                        if number == 0 && item["run"] == json!(1) {
                            run(&mut robot, &format!("SELECT rolecall.item_failed({id})"));
                        } else {
                            run(&mut robot, &format!("SELECT rolecall.item_done({id}, run => {})", item["run"]));
                            taken.push(id);
                        }
                    }
                    taken
                })
            })
            .collect();
        consumers.into_iter().flat_map(|consumer| consumer.join().unwrap()).collect()
    });
    let mut times: HashMap<i64, usize> = HashMap::new();
    taken.iter().for_each(|item| *times.entry(*item).or_default() += 1);
    assert!(times.values().all(|times| *times == 1) && times.len() as i64 == ITEMS, "{}", times.len());
    let ended = "SELECT queue || ' ' || state || ' ' || count(*) || ' ' || bool_and(run = retries + 1)
                   FROM rolecall.work_items GROUP BY queue, state ORDER BY 1";
    assert_eq!(column(&mut work.admin, ended), ["orders successful 4000 true", "shipped new 4000 false"]);
}

#[test]
fn what_a_dead_consumer_had_comes_back_once() {
    let mut work = Work::new();
    let item = push(&mut work.robot, 1, "");
    let mut dying = connect(&work.database, "robot");
    pop(&mut dying, "'orders', '1 minute'").unwrap();
    let pid: i32 = one(&mut dying, "SELECT pg_backend_pid()");
    run(&mut work.admin, &format!("SELECT pg_terminate_backend({pid}, 5000)"));
    assert_eq!(pop(&mut work.other, "'orders'"), None, "as long as the lease lasts");
    outlive_lease(&mut work.admin);
    // Eight ask at once, and all for the same.
    let barrier = Barrier::new(8);
    let (database, barrier) = (&work.database, &barrier);
    let popped: Vec<_> = std::thread::scope(|scope| {
        let consumers: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(move || {
                    let mut robot = connect(database, "robot");
                    barrier.wait();
                    pop(&mut robot, "'orders'")
                })
            })
            .collect();
        consumers.into_iter().filter_map(|consumer| consumer.join().unwrap()).collect()
    });
    // Those who ask while another one puts it back may find nothing, but nobody finds it twice.
    assert!(popped.len() <= 1, "{popped:?}");
    let mut robot = connect(database, "robot");
    let popped = popped.into_iter().next().or_else(|| pop(&mut robot, "'orders'")).unwrap();
    assert_eq!((&popped["retries"], &popped["run"]), (&json!(1), &json!(2)));
    assert_eq!(state(&mut robot, item), "processing 1 2 lease ended");
    run(&mut robot, &format!("SELECT rolecall.item_done({item}, run => 2)"));
    assert_eq!(pop(&mut robot, "'orders'"), None);
}

#[test]
fn leases_that_end_are_runs_that_failed() {
    let mut work = Work::new();
    let item = push(&mut work.robot, 1, "");
    for run in 1..=3 {
        assert_eq!(pop(&mut work.robot, "'orders', '1 minute'").unwrap()["run"], json!(run));
        outlive_lease(&mut work.admin);
    }
    assert_eq!(pop(&mut work.robot, "'orders'"), None);
    assert_eq!(state(&mut work.robot, item), "failed 2 3 lease ended");
    assert_eq!(pop(&mut work.robot, "'trouble'").unwrap()["source"]["error"], json!("lease ended"));

    run(&mut work.admin, "SELECT rolecall.create_work_queue('slow', 'robots', retry_delay => '1 hour')");
    run(&mut work.robot, "SELECT rolecall.push_item('slow', '1'), rolecall.pop_item('slow', '1 minute')");
    outlive_lease(&mut work.admin);
    assert_eq!(pop(&mut work.robot, "'slow'"), None, "it waits as after any run that failed");
    assert_eq!(column(&mut work.robot, "SELECT state FROM rolecall.my_work_items WHERE queue = 'slow'"), ["retry"]);
}

#[test]
fn a_worker_who_comes_too_late_changes_nothing() {
    let mut work = Work::new();
    let item = push(&mut work.robot, 1, "");
    let calls = [
        format!("item_done({item}, '\"late\"'"),
        format!("item_failed({item}, 'late'"),
        format!("extend_item({item}, '1 h'"),
    ];
    let too_late = |client: &mut Client, run: &str| {
        for call in &calls {
            refused(
                client,
                &format!("SELECT rolecall.{call}{run})"),
                "55000",
                &format!("you are not processing item {item}"),
            );
        }
    };
    pop(&mut work.robot, "'orders', '1 minute'").unwrap();
    outlive_lease(&mut work.admin);
    // Nobody has asked since: it is still his.
    run(&mut work.robot, &format!("SELECT rolecall.extend_item({item}, '1 minute')"));
    assert_eq!(pop(&mut work.other, "'orders'"), None);
    outlive_lease(&mut work.admin);
    pop(&mut work.other, "'orders', '1 hour'").unwrap();
    too_late(&mut work.robot, "");
    assert_eq!(state(&mut work.other, item), "processing 1 2 lease ended");
    run(&mut work.other, &format!("SELECT rolecall.item_done({item}, '\"in time\"')"));
    too_late(&mut work.robot, "");
    too_late(&mut work.other, "");
    assert_eq!(state(&mut work.other, item), "successful 1 2");
    // The same user in two programs: the run tells them apart, also after the item was put back.
    run(&mut work.other, &format!("SELECT rolecall.retry_item({item})"));
    pop(&mut work.other, "'orders', '1 hour'").unwrap();
    for run in [1, 2, 4] {
        too_late(&mut work.other, &format!(", run => {run}"));
    }
    run(&mut work.other, &format!("SELECT rolecall.item_done({item}, '\"again\"', run => 3)"));
    let results = format!("SELECT result FROM rolecall.my_work_items WHERE item = {item}");
    assert_eq!(column(&mut work.other, &results), ["\"again\""]);
}

/// The worker reports while another one's pop puts the item back: one of them goes first, and the other gives way.
#[test]
fn a_report_and_the_end_of_the_lease_do_not_both_count() {
    let mut work = Work::new();
    for report_first in [true, false] {
        let item = push(&mut work.robot, 1, "");
        pop(&mut work.robot, "'orders', '1 minute'").unwrap();
        outlive_lease(&mut work.admin);
        if report_first {
            run(&mut work.robot, &format!("BEGIN; SELECT rolecall.item_done({item})"));
            assert_eq!(pop(&mut work.other, "'orders'"), None, "it does not wait");
            run(&mut work.robot, "COMMIT");
            assert_eq!(pop(&mut work.other, "'orders'"), None);
            assert_eq!(state(&mut work.other, item), "successful 0 1");
            continue;
        }
        run(&mut work.other, "BEGIN");
        pop(&mut work.other, "'orders'").unwrap();
        let pid: i32 = one(&mut work.robot, "SELECT pg_backend_pid()");
        let robot = &mut work.robot;
        let late = std::thread::scope(|scope| {
            let late =
                scope.spawn(move || sqlstate(robot.batch_execute(&format!("SELECT rolecall.item_done({item})"))));
            wait_for_lock(&mut work.admin, pid, || late.is_finished());
            run(&mut work.other, "COMMIT");
            late.join().unwrap()
        });
        assert_eq!(late, ("55000".to_owned(), format!("you are not processing item {item}")));
        assert_eq!(state(&mut work.other, item), "processing 1 2 lease ended");
    }
}

#[test]
fn what_a_transaction_has_popped_is_passed_over_and_given_back() {
    let mut work = Work::new();
    for n in 1..=2 {
        push(&mut work.robot, n, "");
    }
    for isolation in ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"] {
        run(&mut work.robot, &format!("BEGIN ISOLATION LEVEL {isolation}"));
        assert_eq!(pop(&mut work.robot, "'orders'").unwrap()["item"], json!(1));
        run(&mut work.other, "BEGIN");
        assert_eq!(pop(&mut work.other, "'orders'").unwrap()["item"], json!(2));
        assert_eq!(pop(&mut work.other, "'orders'"), None);
        run(&mut work.other, "ROLLBACK");
        run(&mut work.robot, "ROLLBACK");
    }
    assert_eq!(state(&mut work.robot, 1), "new 0 0", "as if it had not happened");
}

/// How many pages one pop looks at.
fn pages_of_pop(client: &mut Client) -> i64 {
    let plan: String = one(client, "SELECT plan FROM pages_of_pop()");
    let plan: Value = serde_json::from_str(&plan).unwrap();
    let plan = &plan[0]["Plan"];
    plan["Shared Hit Blocks"].as_i64().unwrap() + plan["Shared Read Blocks"].as_i64().unwrap()
}

#[test]
fn a_pop_does_not_look_at_what_waits_or_is_done() {
    let mut work = Work::new();
    run(
        &mut work.admin,
        "CREATE FUNCTION pages_of_pop(OUT plan text) LANGUAGE plpgsql AS $$ BEGIN
           EXECUTE 'EXPLAIN (ANALYZE, BUFFERS, FORMAT json) SELECT rolecall.pop_item(''orders'')' INTO plan; END $$",
    );
    let fill = "SELECT rolecall.push_item('orders', '{}', priority => 5) FROM generate_series(1, 50)";
    run(&mut work.other, fill);
    // The session has its plans from when the table was known to be small.
    run(&mut work.admin, "ANALYZE rolecall.work_items");
    // The median: now and then a page splits or the server cleans up.
    let mut pages = |pops: usize| {
        let mut pages: Vec<i64> = (0..pops).map(|_| pages_of_pop(&mut work.robot)).collect();
        pages.sort_unstable();
        pages[pops / 2]
    };
    let before = pages(20);
    run(
        &mut work.other,
        "SELECT rolecall.push_item('orders', '{}', 1, '1 hour') FROM generate_series(1, 10000);
         SELECT rolecall.push_item('shipped', '{}') FROM generate_series(1, 10000)",
    );
    run(&mut work.other, fill);
    run(
        &mut work.admin,
        "UPDATE rolecall.work_items SET state = 'successful', due = NULL WHERE id IN
            (SELECT id FROM rolecall.work_items WHERE due IS NOT NULL AND state = 'new' ORDER BY id LIMIT 5000)",
    );
    let after = pages(50);
    assert!(after < before + 40, "{before} pages before, {after} with 20,000 more items");
    let popped = "SELECT count(*) || ' ' || min(priority) FROM rolecall.my_work_items WHERE state = 'processing'";
    assert_eq!(column(&mut work.robot, popped), ["70 5"]);
}

/// A queue for a pool that is dropped at the same time: one of the two is refused, and it is told why.
#[test]
fn a_pool_is_not_dropped_while_it_gets_a_queue() {
    let work = Work::new();
    let mut admin = work.database.admin();
    let calls = ["create_work_queue('q', 'doomed')", "drop_role('doomed')"];
    for (calls, code, message) in [
        (calls, "2BP01", "role \"doomed\" is the pool of work queue \"q\""),
        ([calls[1], calls[0]], "42704", "role \"doomed\" does not exist"),
    ] {
        run(&mut admin, "SELECT rolecall.create_role('doomed', pool => true)");
        let (mut first, mut second) = (work.database.admin(), work.database.admin());
        let pid: i32 = one(&mut second, "SELECT pg_backend_pid()");
        run(&mut first, &format!("BEGIN; SELECT rolecall.{}", calls[0]));
        let waiting =
            std::thread::spawn(move || sqlstate(second.batch_execute(&format!("SELECT rolecall.{}", calls[1]))));
        wait_for_lock(&mut admin, pid, || waiting.is_finished());
        run(&mut first, "COMMIT");
        assert_eq!(waiting.join().unwrap(), (code.to_owned(), message.to_owned()));
        if code == "2BP01" {
            run(&mut admin, "SELECT rolecall.drop_work_queue('q'); SELECT rolecall.drop_role('doomed')");
        }
    }
}
