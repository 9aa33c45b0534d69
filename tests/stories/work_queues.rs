//! Work queues: the life of an item, and whose it is.

use crate::support::*;
use postgres::Client;
use postgres::fallible_iterator::FallibleIterator;
use rolecall_tests::{Database, sqlstate};
use serde_json::{Value, json};
use std::time::Duration;

/// A queue `orders` for the pool `robots`, with `shipped` and `trouble` for what ends. One robot is in the pool, another
/// in a fleet that is; an outsider is in neither.
pub struct Work {
    pub database: Database<'static>,
    pub admin: Client,
    pub robot: Client,
    pub other: Client,
    pub outsider: Client,
}

impl Work {
    pub fn new() -> Self {
        let database = database();
        let mut admin = database.admin();
        run(
            &mut admin,
            "SELECT rolecall.create_role('robots', pool => true), rolecall.create_role('fleet');
             SELECT rolecall.grant_role('robots', 'role:fleet');
             SELECT rolecall.create_work_queue('shipped', 'robots'), rolecall.create_work_queue('trouble', 'robots');
             SELECT rolecall.create_work_queue('orders', 'robots', success_queue => 'shipped', failed_queue => 'trouble');",
        );
        let mut user = |name: &str, roles: &str| {
            let login = database.login(name);
            let create = format!(
                "SELECT rolecall.create_user('{name}', roles => '{roles}', id => '{name}', database_role => '{login}')"
            );
            run(&mut admin, &create);
            connect(&database, name)
        };
        let (robot, other) = (user("robot", "{robots}"), user("other", "{fleet}"));
        let outsider = user("outsider", "{}");
        Self { admin, robot, other, outsider, database }
    }
}

/// A connection of one of them, on which nothing waits for ever.
pub fn connect(database: &Database, name: &str) -> Client {
    let login = format!("{}_{name}", database.name);
    database.connect_with(&login, "-c statement_timeout=20s").expect("the login connects")
}

/// Puts `{"n": n}` into `orders`, with what follows the payload in the call; its number.
pub fn push(client: &mut Client, n: i32, more: &str) -> i64 {
    one(client, &format!("SELECT rolecall.push_item('orders', '{{\"n\": {n}}}'{more})"))
}

/// The next item, where there is one; `arguments` are those of `pop_item()`.
pub fn pop(client: &mut Client, arguments: &str) -> Option<Value> {
    let popped: Option<String> = one(client, &format!("SELECT rolecall.pop_item({arguments})::text"));
    popped.map(|popped| serde_json::from_str(&popped).unwrap())
}

/// The item's state, retries, run and error, with `NULL` written out.
fn state(client: &mut Client, item: i64) -> String {
    let query =
        "SELECT concat_ws(' ', state, retries, run, coalesce(error, 'NULL')) FROM rolecall.my_work_items WHERE item = ";
    one(client, &format!("{query}{item}"))
}

#[test]
fn an_item_is_new_processed_tried_again_and_successful() {
    let mut work = Work::new();
    let item = push(&mut work.robot, 1, "");
    assert_eq!(state(&mut work.other, item), "new 0 0 NULL");
    let popped = pop(&mut work.other, "'orders', '1 hour'").unwrap();
    let lease = popped["lease_until"].as_str().unwrap().to_owned();
    let expected = json!({"item": item, "queue": "orders", "payload": {"n": 1}, "priority": 2, "retries": 0, "run": 1,
        "lease_until": lease});
    assert_eq!(popped, expected);
    let ends = format!("SELECT '{lease}' - clock_timestamp() BETWEEN '59 minutes' AND '60 minutes'");
    assert!(one::<bool>(&mut work.admin, &ends), "{lease}");
    assert_eq!(state(&mut work.robot, item), "processing 0 1 NULL");
    assert_eq!(pop(&mut work.robot, "'orders'"), None, "one has it");
    for call in ["item_done(1)", "item_failed(1)", "extend_item(1, '1 hour')", "item_done(99)", "item_done(NULL)"] {
        refused(&mut work.robot, &format!("SELECT rolecall.{call}"), "55000", "you are not processing item ");
    }
    run(&mut work.other, "SELECT rolecall.item_failed(1, 'no paper')");
    assert_eq!(state(&mut work.robot, item), "retry 1 1 no paper");
    let popped = pop(&mut work.robot, "'orders'").unwrap();
    assert_eq!((&popped["retries"], &popped["run"]), (&json!(1), &json!(2)));
    refused(&mut work.robot, "SELECT rolecall.item_done(1, run => 1)", "55000", "you are not processing item 1");
    refused(&mut work.robot, "SELECT rolecall.retry_item(1)", "55000", "item 1 is neither successful nor failed");
    run(&mut work.robot, "SELECT rolecall.item_done(1, '{\"pages\": 3}', run => 2)");
    assert_eq!(state(&mut work.robot, item), "successful 1 2 NULL");
    assert_eq!(
        column(&mut work.other, "SELECT result FROM rolecall.my_work_items WHERE item = 1"),
        [r#"{"pages": 3}"#]
    );
    for call in ["item_done(1)", "item_failed(1)", "extend_item(1, '1 hour')"] {
        refused(&mut work.robot, &format!("SELECT rolecall.{call}"), "55000", "you are not processing item 1");
    }
    let copy = pop(&mut work.robot, "'shipped'").unwrap();
    assert_eq!(copy["payload"], json!({"n": 1}));
    let source = json!({"item": 1, "queue": "orders", "state": "successful", "result": {"pages": 3}, "error": null});
    assert_eq!(copy["source"], source);
    assert_eq!(pop(&mut work.robot, "'orders'"), None);
    assert_eq!(pop(&mut work.robot, "'trouble'"), None);
}

#[test]
fn after_its_runs_an_item_is_failed_and_copied_once() {
    let mut work = Work::new();
    let item = push(&mut work.robot, 7, ", 1");
    for number in 1..=3 {
        assert_eq!(pop(&mut work.robot, "'orders'").unwrap()["run"], json!(number));
        run(&mut work.robot, &format!("SELECT rolecall.item_failed({item}, 'jam {number}')"));
    }
    assert_eq!(state(&mut work.robot, item), "failed 2 3 jam 3");
    assert_eq!(pop(&mut work.robot, "'orders'"), None);
    let copy = pop(&mut work.other, "'trouble'").unwrap();
    assert_eq!((&copy["payload"], &copy["priority"]), (&json!({"n": 7}), &json!(1)));
    assert_eq!(copy["source"]["error"], json!("jam 3"));
    assert_eq!(pop(&mut work.other, "'trouble'"), None);

    // A fresh set of runs, of which the first is made the last.
    run(&mut work.other, &format!("SELECT rolecall.retry_item({item})"));
    assert_eq!(state(&mut work.robot, item), "retry 0 3 jam 3");
    let popped = pop(&mut work.robot, "'orders'").unwrap();
    assert_eq!((&popped["retries"], &popped["run"]), (&json!(0), &json!(4)));
    run(&mut work.robot, &format!("SELECT rolecall.item_failed({item}, 'no such customer', final => true)"));
    assert_eq!(state(&mut work.robot, item), "failed 0 4 no such customer");
    assert!(pop(&mut work.robot, "'trouble'").is_some());

    run(&mut work.admin, "SELECT rolecall.create_work_queue('once', 'robots', max_retries => 1)");
    run(&mut work.robot, "SELECT rolecall.push_item('once', '1'), rolecall.pop_item('once')");
    run(&mut work.robot, "SELECT rolecall.item_failed(max(item)) FROM rolecall.my_work_items");
    let ended = "SELECT state FROM rolecall.my_work_items WHERE queue = 'once' AND finished_at IS NOT NULL";
    assert_eq!(column(&mut work.robot, ended), ["failed"]);
}

#[test]
fn what_is_urgent_goes_first_then_what_is_older() {
    let mut work = Work::new();
    for (n, more) in [(1, ""), (2, ", 3"), (3, ", 1"), (4, ""), (5, ", -1")] {
        push(&mut work.robot, n, more);
    }
    let order: Vec<_> =
        std::iter::from_fn(|| pop(&mut work.other, "'orders'")).map(|i| i["payload"]["n"].clone()).collect();
    assert_eq!(order, [5, 3, 1, 4, 2]);
}

#[test]
fn items_wait_until_their_delay_has_ended() {
    let mut work = Work::new();
    run(
        &mut work.admin,
        "SELECT rolecall.create_work_queue('slow', 'robots', retry_delay => '1 hour', initial_delay => '1 hour')",
    );
    run(
        &mut work.robot,
        "SELECT rolecall.push_item('slow', '\"later\"'), rolecall.push_item('slow', '\"now\"', delay => '0')",
    );
    let item = pop(&mut work.robot, "'slow'").unwrap();
    assert_eq!(item["payload"], json!("now"));
    run(&mut work.robot, &format!("SELECT rolecall.item_failed({})", item["item"]));
    assert_eq!(pop(&mut work.robot, "'slow'"), None, "both wait");
    let waits =
        "SELECT bool_and(due - clock_timestamp() BETWEEN '59 minutes' AND '60 minutes') FROM rolecall.my_work_items";
    assert!(one::<bool>(&mut work.robot, waits));

    let soon = push(&mut work.robot, 1, ", 1, '1 hour'");
    push(&mut work.robot, 2, "");
    let first = pop(&mut work.robot, "'orders'").unwrap();
    assert_eq!(first["payload"], json!({"n": 2}), "what waits is passed over, whatever its priority");
    assert_eq!(pop(&mut work.robot, "'orders'"), None);
    run(&mut work.admin, &format!("UPDATE rolecall.work_items SET due = due - interval '1 hour' WHERE id = {soon}"));
    assert_eq!(pop(&mut work.robot, "'orders'").unwrap()["item"], json!(soon));
    run(&mut work.robot, &format!("SELECT rolecall.item_done({soon}); SELECT rolecall.retry_item({soon}, '1 hour')"));
    assert_eq!(pop(&mut work.robot, "'orders'"), None);
}

#[test]
fn who_is_not_in_the_pool_learns_nothing() {
    let mut work = Work::new();
    let item = push(&mut work.robot, 1, "");
    pop(&mut work.robot, "'orders'").unwrap();
    for queue in ["orders", "no such"] {
        for (call, verb) in [("push_item($1, '1')", "push to"), ("pop_item($1)", "pop from")] {
            let call = format!("SELECT rolecall.{call}");
            let message = format!("permission denied: you may not {verb} work queue \"{queue}\"");
            assert_eq!(sqlstate(work.outsider.execute(&call, &[&queue])), ("42501".to_owned(), message));
        }
    }
    for item in [item, 99] {
        for call in
            [format!("item_done({item})"), format!("item_failed({item})"), format!("extend_item({item}, '1 h')")]
        {
            refused(&mut work.outsider, &format!("SELECT rolecall.{call}"), "55000", "you are not processing item");
        }
        let retry = format!("SELECT rolecall.retry_item({item})");
        refused(&mut work.outsider, &retry, "42501", &format!("permission denied: you may not retry item {item}"));
    }
    assert_eq!(column(&mut work.outsider, "SELECT item FROM rolecall.my_work_items"), [""; 0]);
    for table in ["work_queues", "work_items"] {
        refused(&mut work.robot, &format!("SELECT FROM rolecall.{table}"), "42501", "permission denied");
    }
    let calls = [
        "push_item('orders', '1')",
        "pop_item('orders')",
        "pop_item('no such')",
        "item_done(1)",
        "item_failed(1)",
        "extend_item(1, '1 hour')",
        "retry_item(1)",
    ];
    let guest = work.database.login("guest");
    let mut guest = work.database.connect(&guest);
    for as_member in [false, true] {
        for call in calls {
            refused(&mut guest, &format!("SELECT rolecall.{call}"), "28000", "Please log in");
        }
        if !as_member {
            run(&mut work.admin, "SELECT rolecall.grant_role('robots', 'role:guest')");
        }
    }
    run(&mut work.admin, "SELECT rolecall.revoke_role('robots', 'role:guest')");
    for call in ["push_item('no such', '1')", "pop_item('no such')", "retry_item(99)"] {
        refused(&mut work.admin, &format!("SELECT rolecall.{call}"), "42704", "does not exist");
    }
    assert_eq!(state(&mut work.admin, item), "processing 0 1 NULL", "none of it changed anything");
}

#[test]
fn a_right_that_is_lost_is_lost_at_once() {
    let mut work = Work::new();
    let item = push(&mut work.robot, 1, "");
    pop(&mut work.other, "'orders'").unwrap();
    run(&mut work.other, "BEGIN; SELECT rolecall.extend_item(1, '1 hour')");
    run(&mut work.admin, "SELECT rolecall.revoke_role('robots', 'role:fleet')");
    refused(&mut work.other, "SELECT rolecall.item_done(1)", "55000", "you are not processing item 1");
    run(&mut work.other, "ROLLBACK");
    refused(&mut work.other, "SELECT rolecall.pop_item('orders')", "42501", "you may not pop from");
    assert_eq!(column(&mut work.other, "SELECT item FROM rolecall.my_work_items"), [""; 0]);
    run(&mut work.admin, "SELECT rolecall.grant_role('robots', 'role:fleet')");
    run(&mut work.other, "SELECT rolecall.item_done(1)");
    assert_eq!(state(&mut work.robot, item), "successful 0 1 NULL");
}

#[test]
fn a_queues_acl_lets_others_push_or_pop_and_keeps_members_out() {
    let mut work = Work::new();
    let acl = |admin: &mut Client, acl: &str| {
        admin.execute("UPDATE rolecall.work_queues SET acl = $1::text::jsonb WHERE name = 'orders'", &[&acl]).unwrap();
    };
    let refused_push = |client: &mut Client| {
        refused(client, "SELECT rolecall.push_item('orders', '1')", "42501", "you may not push to");
    };
    let refused_pop = |client: &mut Client| {
        refused(client, "SELECT rolecall.pop_item('orders')", "42501", "you may not pop from");
    };
    let items = "SELECT item FROM rolecall.my_work_items ORDER BY item";
    push(&mut work.robot, 1, "");
    // In one transaction, so that the plans of a session that had no right stay.
    run(&mut work.outsider, "BEGIN");
    for _ in 0..7 {
        run(&mut work.outsider, "SAVEPOINT s");
        refused_push(&mut work.outsider);
        run(&mut work.outsider, "ROLLBACK TO s");
    }
    acl(&mut work.admin, r#"[{"id": "outsider", "rights": ["create"]}]"#);
    assert_eq!(push(&mut work.outsider, 2, ""), 2);
    run(&mut work.outsider, "COMMIT");
    assert_eq!(column(&mut work.outsider, items), ["2"], "one's own, not those of others");
    refused_pop(&mut work.outsider);
    refused(&mut work.outsider, "SELECT rolecall.retry_item(2)", "42501", "you may not retry item 2");

    acl(
        &mut work.admin,
        r#"[{"id": "outsider", "rights": ["invoke"]}, {"id": "fleet", "rights": ["invoke"], "deny": true}]"#,
    );
    assert_eq!(pop(&mut work.outsider, "'orders'").unwrap()["item"], json!(1));
    assert_eq!(column(&mut work.outsider, items), ["1", "2"]);
    refused_push(&mut work.outsider);
    refused_pop(&mut work.other);
    assert_eq!(push(&mut work.other, 3, ""), 3, "a member may still do what is not denied");
    assert_eq!(column(&mut work.other, items), ["3"]);

    // The same by name.
    run(
        &mut work.admin,
        "SELECT rolecall.revoke_right('rolecall.work_queues', 'orders', 'outsider'),
                rolecall.grant_right('rolecall.work_queues', 'orders', 'role:users', '{create,invoke}', deny => true)",
    );
    for client in [&mut work.robot, &mut work.other, &mut work.outsider] {
        refused_push(client);
        refused_pop(client);
        assert_eq!(column(client, items), [""; 0]);
    }
    let grant = "SELECT rolecall.grant_right('rolecall.work_queues', 'orders', 'outsider', '{invoke}')";
    refused(&mut work.outsider, grant, "42501", "the ACL of a work queue needs an administrator");
    refused(&mut work.admin, &grant.replace("orders", "none"), "42704", "queue \"none\" does not exist");
    refused(&mut work.outsider, "SELECT rolecall.item_done(1)", "55000", "you are not processing item 1");
    assert!(pop(&mut work.admin, "'orders'").is_some(), "administrators pass");
}

#[test]
fn api_tokens_work_too_and_are_told_apart() {
    let mut work = Work::new();
    push(&mut work.robot, 1, "");
    let mut create = || one::<String>(&mut work.admin, "SELECT rolecall.create_api_token('worker', '{robots}')");
    let (mine, others) = (create(), create());
    authenticate(&mut work.outsider, &mine, true);
    pop(&mut work.outsider, "'orders'").unwrap();
    let consumer: String = one(&mut work.outsider, "SELECT consumer FROM rolecall.my_work_items");
    assert_eq!(consumer, one::<String>(&mut work.outsider, "SELECT 'api_token:' || rolecall.api_token_id()"));
    authenticate(&mut work.outsider, &others, true);
    refused(&mut work.outsider, "SELECT rolecall.item_done(1)", "55000", "you are not processing item 1");
    authenticate(&mut work.outsider, &mine, true);
    run(&mut work.outsider, "SELECT rolecall.item_done(1)");
}

#[test]
fn definitions_are_checked() {
    let mut work = Work::new();
    run(&mut work.admin, "SELECT rolecall.create_role('clerks')");
    let create = |arguments: &str| format!("SELECT rolecall.create_work_queue({arguments})");
    for (arguments, code, message) in [
        ("NULL, 'robots'", "22023", "name must not be NULL"),
        ("'', 'robots'", "22023", "must not be empty"),
        ("repeat('x', 256), 'robots'", "22023", "longer than 255"),
        ("'q', NULL", "22023", "pool must not be NULL"),
        ("'q', 'clerks'", "22023", "role \"clerks\" is no pool"),
        ("'q', 'no such'", "42704", "role \"no such\" does not exist"),
        ("'q', 'robots', 0", "22023", "max_retries must be 1 or more"),
        ("'q', 'robots', NULL", "22023", "max_retries must be 1 or more"),
        ("'q', 'robots', retry_delay => '-1 s'", "22023", "retry_delay must be 0 or more"),
        ("'q', 'robots', initial_delay => NULL", "22023", "initial_delay must be 0 or more"),
        ("'q', 'robots', success_queue => 'q'", "22023", "work queue \"q\" cannot copy to itself"),
        ("'q', 'robots', failed_queue => 'no such'", "42704", "work queue \"no such\" does not exist"),
        ("'orders', 'robots'", "42710", "work queue \"orders\" exists already"),
    ] {
        refused(&mut work.admin, &create(arguments), code, message);
    }
    for (call, message) in [
        ("push_item('orders', NULL)", "payload must not be NULL"),
        ("push_item('orders', '1', NULL)", "priority must not be NULL"),
        ("push_item('orders', '1', delay => '-1 s')", "delay must be 0 or more"),
        ("pop_item('orders', '0')", "lease must be more than 0"),
        ("pop_item('orders', NULL)", "lease must be more than 0"),
        ("extend_item(1, '-1 s')", "lease must be more than 0"),
        ("item_failed(1, final => NULL)", "final must not be NULL"),
        ("retry_item(1, '-1 s')", "delay must be 0 or more"),
    ] {
        if call.starts_with("extend") {
            push(&mut work.robot, 1, "");
            pop(&mut work.robot, "'orders'").unwrap();
        }
        refused(&mut work.robot, &format!("SELECT rolecall.{call}"), "22023", message);
    }
    refused(&mut work.admin, "SELECT rolecall.drop_work_queue('no such')", "42704", "does not exist");
    let drop = "SELECT rolecall.drop_work_queue('trouble')";
    refused(&mut work.admin, drop, "2BP01", "work queue \"trouble\" gets copies from \"orders\"");
    let pool = "is the pool of work queue \"orders\", \"shipped\", \"trouble\"";
    refused(&mut work.admin, "SELECT rolecall.drop_role('robots')", "2BP01", pool);

    run(&mut work.admin, "SELECT rolecall.rename_role('robots', 'machines')");
    run(&mut work.robot, "SELECT rolecall.item_done(1)");
    assert!(pop(&mut work.other, "'shipped'").is_some(), "another name is the same pool");
    for queue in ["orders", "trouble", "shipped"] {
        run(&mut work.admin, &format!("SELECT rolecall.drop_work_queue('{queue}')"));
    }
    assert_eq!(one::<i64>(&mut work.admin, "SELECT count(*) FROM rolecall.work_items"), 0);
    refused(&mut work.robot, "SELECT rolecall.item_done(2)", "55000", "you are not processing item 2");
    run(&mut work.admin, "SELECT rolecall.drop_role('machines')");
    let log = "SELECT action || ' ' || coalesce(new ->> 'name', old ->> 'name') FROM rolecall.audit_log
                WHERE object = 'work_queues' AND action <> 'insert' ORDER BY id";
    let (renamed, dropped) = (["update orders", "update shipped", "update trouble"], ["orders", "trouble", "shipped"]);
    let mut logged = column(&mut work.admin, log);
    logged[..3].sort();
    assert_eq!(logged[..3], renamed);
    assert_eq!(logged[3..], dropped.map(|queue| format!("delete {queue}")));
}

#[test]
fn a_pool_is_woken_by_what_is_ready() {
    let mut work = Work::new();
    let channel: String = one(&mut work.admin, "SELECT channel FROM rolecall.queues WHERE role = 'robots'");
    run(&mut work.admin, &format!("LISTEN \"{channel}\""));
    let mut woken = |what: &str, expected: bool| {
        let mut notifications = work.admin.notifications();
        let timeout = Duration::from_millis(if expected { 10_000 } else { 200 });
        let got = notifications.timeout_iter(timeout).next().unwrap().is_some();
        assert_eq!(got, expected, "{what}");
        while notifications.iter().next().unwrap().is_some() {}
    };
    let robot = &mut work.robot;
    push(robot, 1, "");
    woken("a new item", true);
    push(robot, 2, ", delay => '1 hour'");
    woken("a delayed one", false);
    pop(robot, "'orders'").unwrap();
    run(robot, "SELECT rolecall.item_failed(1)");
    woken("one to be tried again", true);
    pop(robot, "'orders'").unwrap();
    run(robot, "SELECT rolecall.item_done(1)");
    woken("a copy", true);
    run(robot, "SELECT rolecall.retry_item(1)");
    woken("one put back", true);
    push(robot, 3, ", delay => '0.2 seconds'");
    std::thread::sleep(Duration::from_millis(300));
    woken("one whose delay ends is noticed by the next pop", false);
    pop(robot, "'orders'").unwrap();
    woken("which wakes those who wait for it", true);
}

#[test]
fn queues_and_items_are_restored() {
    let mut work = Work::new();
    for n in 1..=4 {
        push(&mut work.robot, n, if n == 4 { ", delay => '1 hour'" } else { "" });
    }
    for _ in 1..=3 {
        pop(&mut work.robot, "'orders', '1 hour'").unwrap();
    }
    run(&mut work.robot, "SELECT rolecall.item_done(1), rolecall.item_failed(2)");
    let restored = crate::dump::restore(&work.database);
    let mut new = restored.admin();
    for table in ["work_queues", "work_items", "audit_entries"] {
        let rows = format!("SELECT t FROM rolecall.{table} t ORDER BY t::text");
        let (before, after) = (column(&mut work.admin, &rows), column(&mut new, &rows));
        assert!(before.len() > 2 && before == after, "{table}\n{before:?}\n{after:?}");
    }
    let mut robot = restored.connect(&format!("{}_robot", work.database.name));
    run(&mut robot, "SELECT rolecall.item_done(3)");
    assert_eq!(pop(&mut robot, "'orders'").unwrap()["item"], json!(2));
    assert_eq!(push(&mut robot, 5, ""), 7, "numbers go on");
}
